//! What is stored and what is published under a name: every form ever written is still read, and no name is
//! changed, reused or moved.
//!
//! `tests/golden/rows` holds rows of the store as each version of their format wrote them, one file a version;
//! the topics' records have files of their own (`contracts.rs`). `UPDATE_GOLDEN=1` writes what is missing, and the
//! list of reasons anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate::codec::reference::Learned;
use tollgate::codec::state::WriteFormat;
use tollgate::codec::webhook::{Parsed, Part, Settings};
use tollgate::codec::{event, state};
use tollgate::config::{self, Overrides};
use tollgate::domain::in_flight::Uses;
use tollgate::domain::number::Asks;
use tollgate::domain::time::Timestamp;
use tollgate::domain::verdict::Reason;
use tollgate::engine::{Advanced, Engine, Prepared};
use tollgate::loadgen::{self, Calendar};
use tollgate::store::{Memory, Store, keys};
use tollgate::zones::Zones;

/// The rows that each version of the format wrote, and how that version is written today: `state.write_format` says
/// which.
const FORMATS: [(&str, WriteFormat); 2] = [("v1.txt", WriteFormat::First), ("v2.txt", WriteFormat::Second)];

/// The newest of them, in which a deployment begins.
const NEWEST: (&str, WriteFormat) = FORMATS[FORMATS.len() - 1];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

#[test]
fn reasons_keep_their_codes_and_their_order() {
    let mut list = String::new();
    for reason in Reason::ALL {
        let platform = reason.platform_code().map_or("-".to_owned(), |code| code.to_string());
        let _ = writeln!(list, "{} {:?} {platform}", reason.code(), reason.effect());
    }
    let path = golden("reasons.txt");
    if updating() {
        std::fs::write(&path, &list).expect("written");
    }
    let kept = std::fs::read_to_string(&path).expect("the list is there");
    assert_eq!(list, kept, "a code or its place changed: sinks know them, so add, and never change");
    let codes: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    assert_eq!(codes.len(), Reason::ALL.len(), "a code means one thing");
}

/// A row read and written again by today's code in a format; nothing for a kind whose rows are keys alone.
fn rewritten(key: &[u8], row: &[u8], format: WriteFormat) -> Option<Vec<u8>> {
    let readable = "a row that was ever written is read";
    let mut again = Vec::new();
    match key[0] {
        keys::CONTACT => {
            state::write_contact_row(&state::read_contact_row(row).expect(readable), &mut again);
        }
        keys::NUMBER => {
            let (index, number) = state::read_number(row).expect(readable);
            state::write_number(index, &number, format, &mut again);
        }
        keys::NUMBER_MONTH => state::write_month(&state::read_month(row).expect(readable), &mut again),
        keys::MESSAGE => state::write_message(&state::read_message(row).expect(readable), &mut again),
        keys::REQUEST => state::write_request(&state::read_request(row).expect(readable), &mut again),
        keys::FACT => again = Learned::read(row).expect(readable).write(),
        keys::ALIAS => state::write_alias(&state::read_alias(row).expect(readable), &mut again),
        keys::META | keys::TIMER | keys::SENT => return None,
        kind => panic!("rows of kind {kind} have no reader in this test"),
    }
    Some(again)
}

fn rows(file: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = std::fs::read_to_string(file).expect("rows are there");
    let line = |line: &str| {
        let (key, row) = line.split_once(' ').expect("a key and a row");
        (from_hex(key), from_hex(row))
    };
    text.lines().map(line).collect()
}

#[test]
fn rows_of_every_version_are_read_and_written_the_same() {
    for (name, format) in FORMATS {
        let file = golden("rows").join(name);
        if updating() && !file.exists() {
            write_rows(&file, format);
        }
        let mut kinds = BTreeSet::new();
        for (key, row) in rows(&golden("rows").join(name)) {
            kinds.insert(char::from(key[0]));
            if let Some(again) = rewritten(&key, &row, format) {
                let kind = char::from(key[0]);
                assert_eq!(again, row, "{name}: a row of kind {kind} is written otherwise than it was read");
            }
        }
        let kinds = kinds.into_iter().collect::<String>();
        assert_eq!(kinds, "!acfmnrtwx", "{name} has rows of every kind");
    }
    let files = std::fs::read_dir(golden("rows")).expect("versions are there");
    let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, FORMATS.map(|(name, _)| name), "every file is of a version");
    assert_eq!(NEWEST.1, WriteFormat::default(), "what is newest is what a deployment begins with (decision 10)");
}

#[test]
fn numbers_of_the_second_version_hold_the_asks_of_a_second_and_what_is_in_flight() {
    let rows = rows(&golden("rows").join("v2.txt"));
    let numbers = rows.iter().filter(|(key, _)| key[0] == keys::NUMBER);
    let numbers: Vec<_> = numbers.map(|(_, row)| state::read_number(row).expect("a row of ours").1).collect();
    assert!(numbers.iter().any(|number| number.asks != Asks::default()), "or the second format is not shown");
    assert!(numbers.iter().any(|number| !number.in_flight.minutes().is_empty()), "nor sends on their way");
    let messages = rows.iter().filter(|(key, _)| key[0] == keys::MESSAGE);
    let mut messages = messages.map(|(_, row)| state::read_message(row).expect("a row of ours"));
    assert!(messages.any(|message| message.in_flight.is_some()), "nor a message that is");
}

#[test]
fn a_row_of_a_later_version_is_refused_and_not_guessed() {
    for (key, mut row) in rows(&golden("rows").join(NEWEST.0)) {
        // A timer is its key alone, and so is the order of a contact's messages.
        let Some(version) = row.first_mut() else { continue };
        *version = 200;
        let refused = match key[0] {
            keys::CONTACT => state::read_contact_row(&row).is_err(),
            keys::NUMBER => state::read_number(&row).is_err(),
            keys::NUMBER_MONTH => state::read_month(&row).is_err(),
            keys::MESSAGE => state::read_message(&row).is_err(),
            keys::REQUEST => state::read_request(&row).is_err(),
            keys::FACT => Learned::read(&row).is_err(),
            _ => true,
        };
        assert!(refused, "a row of kind {} and version 200 was read", char::from(key[0]));
    }
}

/// What a rolling upgrade and its rollback rest on: where `state.write_format` is 1, every row is one that the first
/// version could have written, byte by byte; and where it is 2, both formats are read.
#[test]
fn where_the_write_format_is_the_first_rows_are_those_of_the_first_version() {
    let file = rows(&golden("rows").join("v1.txt"));
    for (_, row) in file.iter().filter(|(key, _)| key[0] == keys::NUMBER) {
        let (index, mut number) = state::read_number(row).expect("a row of the first version is read");
        number.asks = Asks { second: 1_790_000_000, count: 12 };
        number.in_flight.depart(Uses::Allowance, Timestamp::EARLIEST);
        let (first, second) = (WriteFormat::First, WriteFormat::Second);
        let written = |format| {
            let mut row = Vec::new();
            state::write_number(index, &number, format, &mut row);
            row
        };
        assert_eq!(written(first), *row, "the rollback would not read this");
        let raised = written(second);
        assert_eq!(state::read_number(&raised), Ok((index, number)), "the newer format keeps all there is");
    }
}

struct Days(Zones);

impl Calendar for Days {
    fn date(&self, zone: &str, millis: i64) -> (i16, u8, u8) {
        self.0.day(zone, millis).expect("a day")
    }
}

/// Writes the rows that some made-up traffic leaves behind, in the format that a deployment begins with.
fn write_rows(file: &Path, format: WriteFormat) {
    let zones = Zones::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo.toml");
    let overrides = Overrides { assume_zone: Some("Europe/Berlin".into()), ..Overrides::default() };
    let mut config = config::load(Some(&demo), &overrides, &zones).expect("the demo's configuration is usable");
    // Asks are counted where there is a limit to them.
    config.setup.policy.asks_per_second = Some(1_000);
    config.setup.write_format = format;
    let key = config.setup.key.clone();
    let opened = Engine::open(Arc::new(config.setup), zones, Arc::default(), Memory::default());
    let (mut engine, _) = opened.expect("memory can be read");
    // What the platform's notices tell of accounts and templates is kept in rows of their own.
    for line in std::fs::read_to_string(golden("../webhooks/shapes.ndjson")).expect("bodies").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a fixture is JSON");
        let body = line["body"].to_string();
        let parsed = Parsed::new(body.as_bytes()).expect("a body");
        for part in parsed.parts(&Settings::default(), Some(0)) {
            if let Part::Fact(fact) = part {
                let _ = engine.learn_fact(&Learned::new(fact.into_owned(), 0));
            }
        }
    }
    let settings = loadgen::Settings { events: 400, contacts: 40, numbers: 2, ..loadgen::Settings::default() };
    let (mut outputs, mut heard) = (Vec::new(), 0);
    let made = loadgen::generate(
        &settings,
        &Days(Zones::new()),
        &mut |record| {
            // Of the last messages no more is heard than that they were sent: they are on their way.
            heard += 1;
            if heard > 225 && record.status.as_deref().is_some_and(|status| status.status.as_str() != "sent") {
                return Ok(());
            }
            let arrived = event::parse(record, &key).expect("the generator makes valid events");
            let at = arrived.received_at.unwrap_or(arrived.occurred_at);
            while engine.advance(at, usize::MAX, &mut outputs).expect("memory can be read") == Advanced::CommitFirst {
                engine.commit(b"{}").expect("memory can be written");
            }
            if let Some(event) = arrived.event {
                let folded = engine.fold(&Prepared::new(event, &key), at, &mut outputs).expect("memory can be read");
                folded.expect("nothing is too late");
            }
            Ok(())
        },
        &mut |_| Ok(()),
    );
    made.expect("valid settings");
    engine.commit(b"{}").expect("memory can be written");
    let mut text = String::new();
    for (key, row) in engine.into_store().scan(&[], &[], usize::MAX).expect("memory can be read") {
        let _ = writeln!(text, "{} {}", hex(&key), hex(&row));
    }
    std::fs::create_dir_all(golden("rows")).expect("a folder");
    std::fs::write(file, text).expect("written");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("two hexadecimal digits");
    (0..text.len()).step_by(2).map(byte).collect()
}
