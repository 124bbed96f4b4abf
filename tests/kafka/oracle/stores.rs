//! Rows: those of the changelogs and of the stores, held against those of the fold.

use std::collections::BTreeSet;

use tollgate::codec::state::{self, WriteFormat, ledger};
use tollgate::domain::ledger::reach::COUNTED;
use tollgate::domain::message::NOTED;
use tollgate::domain::time::Timestamp;
use tollgate::engine;
use tollgate::store::keys::{self, Changelog};
use tollgate::store::{Rocks, Store};
use tollgate::worker::position::Position;

use super::changelog::{Changelogs, Rows};
use super::{Anomaly, Figures, Findings, META};
use crate::cluster::Deployment;
use crate::ledgers::time_of;

/// What is not forgotten yet.
fn is_kept(key: &[u8], row: &[u8], now: Option<Timestamp>) -> bool {
    let until = match key.first() {
        Some(&keys::REACHED) => ledger::read_reached(row).ok().map(|(_, at)| at + COUNTED),
        _ if keys::changelog(key) == Changelog::Messages => state::kept_until(row),
        _ => None,
    };
    until.is_none_or(|until| Some(until) > now)
}

/// Whether two rows say the same of a number, be it in two formats: a row that was not changed stays as it was written.
/// What the first format has no room for is compared where both are of the second.
fn is_same_number(key: &[u8], row: &[u8], other: &[u8]) -> bool {
    let is_first = |row: &[u8]| row.first() == Some(&1);
    let format = if is_first(row) || is_first(other) { WriteFormat::First } else { WriteFormat::Second };
    let again = |row: &[u8]| {
        let (index, number) = state::read_number(row).expect("a row of a number");
        let mut again = Vec::new();
        state::write_number(index, &number, format, &mut again);
        again
    };
    key.first() == Some(&keys::NUMBER) && again(row) == again(other)
}

/// Compares rows, but for those that are forgotten by age: those go whenever it suits.
pub fn compare_rows(
    place: &str,
    (expected, found): (&Rows, &Rows),
    now: Option<Timestamp>,
    findings: &mut Findings,
) -> u64 {
    let kind = |key: &[u8]| key.first().map_or('?', |kind| char::from(*kind));
    let mut compared = 0;
    for (key, row) in expected.iter().filter(|(key, row)| is_kept(key, row, now)) {
        compared += 1;
        match found.get(key) {
            Some(other) if other == row || is_same_number(key, row, other) => {}
            Some(_) => findings.add(Anomaly::StaleState, || format!("{place}: a row of kind `{}` differs", kind(key))),
            None => findings.add(Anomaly::LostWrite, || format!("{place}: a row of kind `{}` is missing", kind(key))),
        }
    }
    for (key, _) in found.iter().filter(|(key, row)| is_kept(key, row, now) && !expected.contains_key(*key)) {
        findings.add(Anomaly::AbortedRead, || format!("{place}: a row of kind `{}` is there of nothing", kind(key)));
    }
    compared
}

/// The stores of a partition: the one that was written last agrees with the changelogs, and none is ahead of them.
pub fn check_stores(
    deployment: &Deployment,
    partition: u32,
    changelog: &Changelogs,
    figures: &mut Figures,
    findings: &mut Findings,
) {
    let (Some(last), Some(meta)) = (changelog.last(), &changelog.meta) else {
        return;
    };
    let mut up_to_date = 0;
    for state in deployment.states() {
        let directory = state.join(format!("partition-{partition}"));
        if !directory.exists() {
            continue;
        }
        let place = format!("the store {}", directory.display());
        let store = Rocks::open(&directory, 16 << 20).expect("a store that nobody uses");
        let mut rows: Rows = store.scan(&[], &[], usize::MAX).expect("a store that can be read").into_iter().collect();
        let Some(row) = rows.remove(keys::meta()) else {
            continue;
        };
        let position = engine::position_of(&row).and_then(|bytes| Position::read(&bytes)).expect("a position");
        findings.unless(position.sequence <= last.sequence, Anomaly::AbortedRead, || {
            format!("{place}: transaction {}, and {} is the last that was committed", position.sequence, last.sequence)
        });
        // That of a process that lost the partition is read on from when it gets it back.
        if position.sequence != last.sequence {
            continue;
        }
        up_to_date += 1;
        let same = (&position.inputs, position.charges) == (&last.inputs, last.charges);
        findings.unless(row[..META] == meta[..META] && same, Anomaly::StaleState, || {
            format!("{place}: its position row is not the last commit record's")
        });
        let is_derived = |key: &[u8]| matches!(key[0], keys::TIMER | keys::SENT);
        let derived: BTreeSet<Vec<u8>> = rows.keys().filter(|key| is_derived(key)).cloned().collect();
        rows.retain(|key, _| !is_derived(key));
        let mut expected = changelog.contacts.clone();
        expected.extend(changelog.messages.clone());
        // When a message went to its contact is forgotten once nothing can come so late.
        let forgotten = time_of(meta).map_or(i64::MIN, |now| (now - NOTED).millis());
        for (key, row) in &expected {
            let mut follows = engine::derived_from(key, row).expect("a row of the changelog");
            findings.unless(
                follows
                    .all(|key| keys::sent_when(&key).is_some_and(|at| at <= forgotten) || derived.contains(&key[..])),
                Anomaly::LostWrite,
                || format!("{place}: what follows from a row is missing"),
            );
        }
        figures.stored += compare_rows(&place, (&expected, &rows), time_of(meta), findings);
    }
    findings.unless(up_to_date > 0, Anomaly::LostWrite, || {
        format!("partition {partition}: no store has the last transaction, {}", last.sequence)
    });
}
