//! What must hold of the worker when everything has come to rest, read from the raw logs and the disks, and from
//! nothing that the worker says of itself. The measure is a plain fold: the same records through an engine in
//! memory, one partition after the other, without log, transactions or crashes.

mod fold;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use fold::{Expected, place, read};
use tollgate::codec::charge::Charged;
use tollgate::codec::frame::Writers;
use tollgate::codec::records::{BillingEntry, Event, Verdict};
use tollgate::codec::state::WriteFormat;
use tollgate::codec::state::ledger::{read_counter, read_reached};
use tollgate::codec::{charge, schema};
use tollgate::domain::ledger::reach::COUNTED;
use tollgate::domain::time::Timestamp;
use tollgate::engine;
use tollgate::engine::publish::Publisher;
use tollgate::store::keys::{self, Changelog};
use tollgate::stream::{Committed, NextOffset, Partition, Slot, Topic};
use tollgate::worker::Shared;
use tollgate::worker::position::Position;
use tollgate::zones::Zones;

use super::traffic::Known;
use crate::broker::Broker;
use crate::broker::partition::Pair;
use crate::check;
use crate::ledgers::reached::Reached;
use crate::ledgers::{Usage, time_of};
use crate::world::Outcome;

/// What went wrong. The names are those that Jepsen gives, where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// Something that follows from the input was never published.
    LostWrite(String),
    /// Something was published more than once.
    Duplicate(String),
    /// Something was published that does not follow from what can be read.
    AbortedRead(String),
    /// Everything is there, and not in its order.
    Reordered(String),
    /// Positions, commit records and changelogs do not say the same.
    TornTransaction(String),
    /// Rows are not those that follow from the input.
    StaleState(String),
    /// The log itself is broken, or the group was told what it must not be told.
    Broken(String),
    /// A worker halted or panicked, or there was work left when nothing went wrong any more.
    Stuck(String),
}

/// Where something is published, and from which partition's records it follows: that is what has an order.
type Stream = (Slot, Partition);
type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// A dead letter, as far as it does not depend on when it was written.
type Letter = (String, i64, i64, String);

/// Whatever is wrong with a run.
pub fn check(outcome: &Outcome, shared: &Arc<Shared>, known: &Known) -> Result<(), Anomaly> {
    let broker = &outcome.broker;
    check::logs(broker).map_err(|broken| Anomaly::Broken(format!("{broken:?}")))?;
    check::positions(broker).map_err(|misdeed| Anomaly::Broken(format!("{misdeed:?}")))?;
    if shared.inputs.len() > 1 {
        return without_order(outcome, shared);
    }
    let mut expected = Expected::default();
    let mut usage = Usage::new(fold::told(broker), Writers::of(schema::USAGE).expect("a schema"));
    for partition in (0..shared.partitions).map(Partition) {
        expected.fold(broker, partition, shared, (known, &mut usage))?;
    }
    let found = found(broker, shared)?;
    for stream in expected.published.keys().chain(found.published.keys()) {
        let of = |published: &BTreeMap<Stream, Vec<Pair>>| published.get(stream).cloned().unwrap_or_default();
        compare(&format!("{stream:?}"), &of(&expected.published), &of(&found.published))?;
    }
    let letters = |letters: &[Letter]| {
        let mut letters = letters.to_vec();
        letters.sort();
        letters
    };
    compare("dead letters", &letters(&expected.letters), &letters(&found.letters))?;
    for (partition, rows) in &expected.rows {
        let ends = positions(broker, *partition, shared)?;
        let log = |topic| broker.log(Slot { topic, partition: *partition });
        let mut kept = Rows::new();
        for topic in [Topic::Contacts, Topic::Messages] {
            apply(&mut kept, log(topic).visible().map(|(_, pair)| pair), topic);
        }
        same_rows(&format!("the changelog of {partition:?}"), rows, &kept, ends.is_some())?;
        disks(outcome, *partition, rows, ends.is_some())?;
    }
    Ok(())
}

/// Every disk of a partition, with what the changelogs hold after its position, has the rows that it must have.
fn disks(outcome: &Outcome, partition: Partition, rows: &Rows, begun: bool) -> Result<(), Anomaly> {
    for ((machine, _), disk) in outcome.disks.iter().filter(|((_, of), _)| *of == partition) {
        let mut kept = disk.rows().clone();
        let place = format!("the disk of {partition:?} on machine {machine}");
        let position = kept.get(keys::meta()).map(|row| position_of(row));
        let (contacts, messages) = position.map_or((0, 0), |at| (at.contacts.offset(), at.messages.offset()));
        for (topic, from) in [(Topic::Contacts, contacts), (Topic::Messages, messages)] {
            let log = outcome.broker.log(Slot { topic, partition });
            let after = log.visible().filter(|(record, _)| record.offset >= from);
            apply(&mut kept, after.map(|(_, pair)| pair), topic);
        }
        same_rows(&place, rows, &kept, begun)?;
        timers(&place, disk.rows())?;
    }
    Ok(())
}

/// What holds in whatever order the inputs were merged: every record is folded once, every ask answered once, every
/// charge priced once, nothing is published twice, and the disks hold what the changelogs do.
fn without_order(outcome: &Outcome, shared: &Arc<Shared>) -> Result<(), Anomaly> {
    let broker = &outcome.broker;
    let writers = Writers::of(schema::EVENT).expect("a schema");
    let publisher = Publisher::new(Arc::clone(&shared.setup), Zones::new(), shared.name.clone(), shared.enforced);
    let mut expected = Expected::default();
    let mut asks: BTreeMap<(String, String), i64> = BTreeMap::new();
    for partition in (0..shared.partitions).map(Partition) {
        let last = positions(broker, partition, shared)?;
        let mut folded = 0;
        for (index, name) in (0..).zip(&shared.inputs) {
            for (record, (_, value)) in broker.log(Slot { topic: Topic::Input(index), partition }).visible() {
                folded += 1;
                let value = value.as_deref().unwrap_or_default();
                let read = read(value, &writers, partition, shared);
                let place = (name.clone(), i64::from(partition.0), record.offset);
                let letter = |code: &str| (place.0.clone(), place.1, place.2, code.to_owned());
                expected.letters.extend(read.mistake.map(letter));
                if let Some(ask) = read.ask {
                    *asks.entry((ask.number, ask.request)).or_default() += 1;
                } else if let Ok(record) = writers.read::<Event<'_>>(value)
                    && let (Some(ask), None) = (&record.send_requested, read.mistake)
                {
                    // One that is repeated is answered once.
                    let number = record.phone_number_id.as_str().to_owned();
                    asks.insert((number, ask.request_id.as_str().to_owned()), 1);
                }
            }
        }
        let said = last.as_ref().map_or(0, |position| position.records);
        if said != folded {
            return Err(Anomaly::LostWrite(format!("{partition:?}: {said} records are folded, of {folded}")));
        }
        expected.price_at_list(broker, partition, &publisher, shared)?;
        let mut rows = Rows::new();
        for topic in [Topic::Contacts, Topic::Messages] {
            apply(&mut rows, broker.log(Slot { topic, partition }).visible().map(|(_, pair)| pair), topic);
        }
        forget_people(&mut rows);
        disks(outcome, partition, &rows, last.is_some())?;
    }
    let found = found(broker, shared)?;
    for ((slot, from), pairs) in &found.published {
        let mut once: Vec<Pair> = pairs.clone();
        once.sort();
        once.dedup();
        // The table of windows may have the same row again, and verdicts are counted by their asks: two that nobody can
        // understand may be alike.
        let repeats = matches!(slot.topic, Topic::WindowState | Topic::Verdicts);
        if !repeats && once.len() < pairs.len() {
            let twice = pairs.iter().find(|pair| pairs.iter().filter(|other| other == pair).count() > 1);
            let what = twice.map_or_else(String::new, Describe::describe);
            return Err(Anomaly::Duplicate(format!("{slot:?} from {from:?}: {what}")));
        }
    }
    // Whose charge a line is of cannot be told from the line; but the charges it can lie among are known.
    let lines = |published: &BTreeMap<Stream, Vec<Pair>>| {
        let lines = published.iter().filter(|((slot, _), _)| slot.topic == Topic::Billing);
        let mut lines: Vec<Pair> = lines.flat_map(|(_, pairs)| pairs.iter().cloned()).collect();
        lines.sort();
        lines
    };
    compare("lines of the ledger", &lines(&expected.published), &lines(&found.published))?;
    let sorted = |mut letters: Vec<Letter>| {
        letters.sort();
        letters
    };
    compare("dead letters", &sorted(expected.letters), &sorted(found.letters))?;
    for (_, log) in broker.logs().filter(|(slot, _)| slot.topic == Topic::Verdicts) {
        let writers = Writers::of(schema::VERDICT).expect("a schema");
        for (_, (_, value)) in log.visible() {
            let verdict = writers.read::<Verdict<'_>>(value.as_deref().unwrap_or_default()).expect("a verdict");
            let ask = (verdict.phone_number_id.as_str().to_owned(), verdict.request_id.as_str().to_owned());
            *asks.entry(ask).or_default() -= 1;
        }
    }
    match asks.iter().find(|(_, left)| **left != 0) {
        None => Ok(()),
        Some((ask, left)) if *left > 0 => Err(Anomaly::LostWrite(format!("no verdict for {ask:?}"))),
        Some((ask, _)) => Err(Anomaly::Duplicate(format!("another verdict for {ask:?}"))),
    }
}

/// How many records the partitions have folded, as their last commit records say.
pub fn folded(outcome: &Outcome, shared: &Shared) -> u64 {
    let last = |partition| commits(&outcome.broker, Topic::Contacts, partition).pop();
    (0..shared.partitions).map(Partition).filter_map(last).map(|(_, position)| position.records).sum()
}

/// What of the ledger's rules a run has reached.
pub fn reached(outcome: &Outcome) -> Reached {
    let (verdicts, lines) = (Writers::of(schema::VERDICT), Writers::of(schema::BILLING_ENTRY));
    let (verdicts, lines) = (verdicts.expect("a schema"), lines.expect("a schema"));
    let mut reached = Reached::default();
    for (slot, log) in outcome.broker.logs() {
        for (_, (_, value)) in log.visible() {
            let value = value.as_deref().unwrap_or_default();
            match slot.topic {
                Topic::Verdicts => reached.verdict(&verdicts.read::<Verdict<'_>>(value).expect("a verdict")),
                Topic::Billing => reached.line(&lines.read::<BillingEntry<'_>>(value).expect("a line")),
                Topic::Usage => reached.rows(1),
                _ => {}
            }
        }
    }
    reached
}

/// The commit records in a changelog, each with how far time had come.
fn commits(broker: &Broker, topic: Topic, partition: Partition) -> Vec<(Option<Timestamp>, Position)> {
    let records = broker.log(Slot { topic, partition }).visible();
    let ends = records.filter(|(_, (key, _))| key.as_deref() == Some(keys::meta()));
    let rows = ends.map(|(_, (_, row))| row.as_deref().unwrap_or_default());
    rows.map(|row| (time_of(row), position_of(row))).collect()
}

fn position_of(row: &[u8]) -> Position {
    let bytes = engine::position_of(row).expect("a row that says where the state stands");
    Position::read(&bytes).expect("a position")
}

/// Applies records of a changelog to rows.
fn apply<'r>(rows: &mut Rows, pairs: impl Iterator<Item = &'r Pair>, topic: Topic) {
    for (key, value) in pairs {
        let key = key.clone().unwrap_or_default();
        // The end of a transaction in the messages changelog says nothing of the rows.
        if key == keys::meta() && topic == Topic::Messages {
            continue;
        }
        match value {
            Some(value) => rows.insert(key, value.clone()),
            None => rows.remove(&key),
        };
    }
}

/// Forgets who does not count any more: a store deletes them, and the changelog forgets by age.
fn forget_people(rows: &mut Rows) {
    let now = rows.get(keys::meta()).and_then(|row| time_of(row));
    rows.retain(|key, row| {
        key.first() != Some(&keys::REACHED)
            || read_reached(row).is_ok_and(|(_, at)| now.is_none_or(|now| at + COUNTED > now))
    });
}

/// Who is charged: lines of a business without a portfolio belong to its account, else to its number.
fn owner<'e>(entry: &'e BillingEntry<'_>) -> &'e str {
    let owner = entry.portfolio_id.as_ref().or(entry.account_id.as_ref()).or(entry.phone_number_id.as_ref());
    owner.map_or("", |owner| owner.as_str())
}

/// What readers of committed records find.
#[derive(Default)]
struct Found {
    published: BTreeMap<Stream, Vec<Pair>>,
    letters: Vec<Letter>,
}

fn found(broker: &Broker, shared: &Shared) -> Result<Found, Anomaly> {
    let writers = Writers::of(schema::BILLING_ENTRY).expect("a schema");
    let mut found = Found::default();
    for (slot, log) in broker.logs() {
        for (_, (key, value)) in log.visible() {
            let bytes = value.as_deref().unwrap_or_default();
            // What a sweep writes, say, and nobody ever commits.
            let streams =
                [Topic::Charges, Topic::Verdicts, Topic::Billing, Topic::Windows, Topic::Outcomes, Topic::Usage];
            if value.is_none() && (streams.contains(&slot.topic) || slot.topic == Topic::DeadLetters) {
                return Err(Anomaly::AbortedRead(format!("{slot:?}: what is no output was committed")));
            }
            let from = match slot.topic {
                Topic::Verdicts | Topic::Windows | Topic::WindowState | Topic::Outcomes => slot.partition,
                Topic::Charges => {
                    let Charged { entry, .. } = charge::read(bytes, &writers).expect("a charge");
                    place(entry.phone_number_id.as_ref().map_or("", |number| number.as_str()), shared)
                }
                Topic::Billing => {
                    place(owner(&writers.read::<BillingEntry<'_>>(bytes).expect("a line of the ledger")), shared)
                }
                Topic::DeadLetters => {
                    found.letters.push(letter(bytes));
                    continue;
                }
                _ => continue,
            };
            found.published.entry((slot, from)).or_default().push((key.clone(), value.clone()));
        }
    }
    Ok(found)
}

fn letter(bytes: &[u8]) -> Letter {
    let letter: serde_json::Value = serde_json::from_slice(bytes).expect("a dead letter");
    let text = |name: &str| letter[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| letter[name].as_i64().unwrap_or(-1);
    (text("original_topic"), number("original_partition"), number("original_offset"), text("error"))
}

/// What tells a record to a person.
trait Describe {
    fn describe(&self) -> String;
}

impl Describe for Pair {
    fn describe(&self) -> String {
        let text = |part: &Option<Vec<u8>>| String::from_utf8_lossy(part.as_deref().unwrap_or_default()).into_owned();
        format!("{}: {}", text(&self.0), text(&self.1))
    }
}

impl Describe for Letter {
    fn describe(&self) -> String {
        format!("{self:?}")
    }
}

/// Says how one list differs from another.
fn compare<T: Ord + Describe>(what: &str, expected: &[T], found: &[T]) -> Result<(), Anomaly> {
    if expected == found {
        return Ok(());
    }
    let mut count: BTreeMap<&T, (usize, usize)> = BTreeMap::new();
    for one in expected {
        count.entry(one).or_default().0 += 1;
    }
    for one in found {
        count.entry(one).or_default().1 += 1;
    }
    let first = |wrong: fn(usize, usize) -> bool| {
        let (one, (must, is)) = count.iter().find(|(_, (must, is))| wrong(*must, *is))?;
        let at = found.iter().position(|other| other == *one).or(expected.iter().position(|other| other == *one));
        let at = at.unwrap_or_default();
        let text = |list: &[T]| list.get(at).map_or_else(|| "nothing".to_owned(), Describe::describe);
        let (must_be, is_there) = (text(expected), text(found));
        // From a little before they part.
        let same = must_be.chars().zip(is_there.chars()).take_while(|(a, b)| a == b).count();
        let part = |text: &str| text.chars().skip(same.saturating_sub(60)).take(140).collect::<String>();
        let (must_be, is_there) = (part(&must_be), part(&is_there));
        Some(format!("{what}: {must} expected, {is} found; number {at} is\n  {is_there}\nand must be\n  {must_be}"))
    };
    // A record that should not be there tells more than one that is missing.
    Err(if let Some(why) = first(|must, is| must == 0 && is > 0) {
        Anomaly::AbortedRead(why)
    } else if let Some(why) = first(|must, is| is > must) {
        Anomaly::Duplicate(why)
    } else if let Some(why) = first(|must, is| is < must) {
        Anomaly::LostWrite(why)
    } else {
        Anomaly::Reordered(what.to_owned())
    })
}

/// Transactions are numbered without a gap in both changelogs, what they read abuts, and the group stands where
/// the last one ended. The last of them.
fn positions(broker: &Broker, partition: Partition, shared: &Shared) -> Result<Option<Position>, Anomaly> {
    let ends = |topic| -> Vec<Position> {
        commits(broker, topic, partition).into_iter().map(|(_, position)| position).collect()
    };
    let torn = |why: String| Err(Anomaly::TornTransaction(format!("{partition:?}: {why}")));
    let (mut contacts, messages) = (ends(Topic::Contacts), ends(Topic::Messages));
    if contacts != messages {
        return torn("the changelogs tell of different transactions".to_owned());
    }
    let mut next: Vec<NextOffset> = vec![NextOffset::START; shared.inputs.len()];
    let mut priced = NextOffset::START;
    for (position, number) in contacts.iter().zip(1..) {
        let from: Vec<NextOffset> = position.inputs.iter().map(|range| range.from).collect();
        if position.sequence != number || from != next {
            return torn(format!(
                "transaction {number} is {} and reads from {from:?}, not {next:?}",
                position.sequence
            ));
        }
        next = position.inputs.iter().map(|range| range.next).collect();
        // Only the newer format has room for the ledger.
        if position.charges.is_some() != (shared.setup.write_format >= WriteFormat::Second) {
            return torn(format!("transaction {number} is written in another format than is set"));
        }
        if let Some(range) = position.charges {
            if range.from != priced {
                return torn(format!("transaction {number} prices charges from {:?}, not {priced:?}", range.from));
            }
            priced = range.next;
        }
    }
    let charges = Slot { topic: Topic::Charges, partition };
    let number = contacts.last().map(|position| position.sequence);
    let told = contacts.last().and_then(|position| position.charges).map(|range| (charges, range.next));
    let inputs = (0..).zip(&next).map(|(index, next)| (Slot { topic: Topic::Input(index), partition }, *next));
    for (slot, next) in inputs.chain(told) {
        let wanted = number.map(|_| Committed { next, number });
        if broker.group.told(slot) != wanted {
            return torn(format!("{:?} of {slot:?} is committed, {wanted:?} is folded", broker.group.told(slot)));
        }
    }
    if broker.group.told(charges).map(|committed| committed.number) != number.map(Some) {
        return torn(format!("transaction {number:?} is the last, and not that of {:?}", broker.group.told(charges)));
    }
    Ok(contacts.pop())
}

/// Rows are those of the plain fold. Deadlines follow from contacts; messages that were forgotten may still be
/// there, because nothing deletes them from a changelog that forgets by age.
fn same_rows(place: &str, expected: &Rows, found: &Rows, begun: bool) -> Result<(), Anomaly> {
    let derived = |key: &[u8]| keys::changelog(key) == Changelog::Derived || key == keys::meta();
    let mut wrong = String::new();
    for (key, row) in expected.iter().filter(|(key, _)| !derived(key)) {
        if found.get(key).is_none_or(|other| other != row && !is_same_count(key, row, other)) {
            let how = if found.contains_key(key) { "is another" } else { "is missing" };
            let _ = write!(wrong, "row {} {how}; ", String::from_utf8_lossy(&key[..1]));
        }
    }
    for key in found.keys().filter(|key| !derived(key) && !expected.contains_key(*key)) {
        if keys::changelog(key) == Changelog::Contacts {
            let _ = write!(wrong, "row {} should not be; ", String::from_utf8_lossy(&key[..1]));
        }
    }
    // The head of the row says how far time has come and how many contacts there are; the position follows.
    let head = |rows: &Rows| rows.get(keys::meta()).map(|row| row[..25].to_vec());
    if begun && head(expected) != head(found) {
        let _ = write!(wrong, "time or counts: {:?}, not {:?}", head(found), head(expected));
    }
    wrong.truncate(200);
    if wrong.is_empty() { Ok(()) } else { Err(Anomaly::StaleState(format!("{place}: {wrong}"))) }
}

/// Whether two rows are the same count, but for when it is published: that depends on when its charges were read.
fn is_same_count(key: &[u8], row: &[u8], other: &[u8]) -> bool {
    let count = |row: &[u8]| {
        let row = read_counter(row).expect("a count");
        (row.id, row.published)
    };
    key.first() == Some(&keys::COUNTER) && count(row) == count(other)
}

/// What follows from a row waits beside it: a contact's deadline, and when a message went to its contact.
fn timers(place: &str, rows: &Rows) -> Result<(), Anomaly> {
    for (key, row) in rows {
        let mut derived = engine::derived_from(key, row).expect("a row of ours");
        if derived.any(|derived| !rows.contains_key(&derived[..])) {
            return Err(Anomaly::StaleState(format!("{place}: what follows from a row is missing")));
        }
    }
    Ok(())
}
