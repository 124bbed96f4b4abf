//! The fold on one core, with its state in memory: events a second, step by step.
//!
//! `cargo bench --bench fold`; `EVENTS`, `CONTACTS` and `RUNS` in the environment change the volume.

#![allow(clippy::expect_used, reason = "a bench that cannot go on stops")]
#![allow(clippy::cast_precision_loss, reason = "a figure is read to three digits")]

mod measure;

use std::sync::Arc;
use std::time::Duration;

use tollgate::codec::avro::ContainerWriter;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::{event, frame, reference};
use tollgate::config::{self, Config, Overrides};
use tollgate::domain::effect::What;
use tollgate::domain::reference::Reference;
use tollgate::domain::time::Timestamp;
use tollgate::engine::publish::{Publisher, Record};
use tollgate::engine::{Advanced, Engine, Output, Prepared};
use tollgate::loadgen::{self, Calendar, Settings};
#[cfg(feature = "rocksdb")]
use tollgate::store::{Batch, Rocks, keys};
use tollgate::store::{Memory, Store};
use tollgate::zones::Zones;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Days(Zones);

impl Calendar for Days {
    fn date(&self, zone: &str, millis: i64) -> (i16, u8, u8) {
        self.0.day(zone, millis).expect("a day")
    }
}

/// A stream, decoded, and what is known of its businesses.
struct Stream {
    events: Vec<(Timestamp, Prepared)>,
    references: loadgen::References,
}

fn stream(events: u64, contacts: u32) -> Stream {
    let settings = Settings { events, contacts, ..Settings::default() };
    let key = DeploymentKey::new(b"a bench has no secrets").expect("a key");
    let mut high = Timestamp::EARLIEST;
    let mut decoded = Vec::new();
    let references = loadgen::generate(
        &settings,
        &Days(Zones::new()),
        &mut |record| {
            let arrived = event::parse(record, &key).expect("the generator makes valid events");
            high = high.max(arrived.received_at.unwrap_or(arrived.occurred_at));
            decoded.extend(arrived.event.map(|event| (high, Prepared::new(event, &key))));
            Ok(())
        },
        &mut |_| Ok(()),
    );
    Stream { events: decoded, references: references.expect("valid settings") }
}

fn reference(references: &loadgen::References, zones: &Zones) -> Reference {
    let mut known = Reference::default();
    for account in &references.accounts {
        reference::learn_account(&mut known, account, &|name| zones.find(name)).expect("valid accounts");
    }
    for template in &references.templates {
        reference::learn_template(&mut known, template).expect("valid templates");
    }
    known
}

/// The configuration of `make demo`: with rate cards, and a key that needs no setting up.
fn config(zones: &Zones) -> Config {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.toml");
    config::load(Some(path.as_ref()), &Overrides::default(), zones).expect("the demo's configuration is usable")
}

/// Folds a whole stream from an empty state; what it tells goes to `told`, batch by batch.
fn fold(stream: &Stream, told: &mut dyn FnMut(&mut Vec<Output>)) -> (Duration, Engine<Memory>) {
    let zones = Zones::new();
    let config = config(&zones);
    let known = reference(&stream.references, &zones);
    let opened = Engine::open(Arc::new(config.setup), zones, Arc::new(known), Memory::default());
    let (mut engine, _) = opened.expect("memory can be read");
    let mut outputs = Vec::new();
    let (taken, ()) = measure::time(|| {
        for (arrived_at, prepared) in &stream.events {
            while engine.advance(*arrived_at, usize::MAX, &mut outputs).expect("memory can be read")
                == Advanced::CommitFirst
            {
                engine.commit(b"").expect("memory can be written");
            }
            let folded = engine.fold(prepared, *arrived_at, &mut outputs).expect("memory can be read");
            folded.expect("nothing is too late");
            if outputs.len() > 500 {
                told(&mut outputs);
            }
        }
        told(&mut outputs);
    });
    (taken, engine)
}

/// Lets people write once, closes their windows, and returns how many bytes of rows are left of each.
fn idle_contact() -> f64 {
    const PEOPLE: u64 = 10_000;
    let key = DeploymentKey::new(b"a bench has no secrets").expect("a key");
    let zones = Zones::new();
    let setup = Arc::new(config(&zones).setup);
    let opened = Engine::open(setup, zones, Arc::default(), Memory::default());
    let (mut engine, _) = opened.expect("memory can be read");
    let mut outputs = Vec::new();
    let start = 1_790_000_000_000;
    for person in 0..PEOPLE {
        let (at, phone) = (start + i64::try_from(person).expect("few"), 5_511_900_000_000 + person);
        let text = format!(
            "{{\"kind\":\"message\",\"phone_number_id\":\"1\",\"occurred_at\":{at},\
             \"contact\":{{\"wa_id\":\"{phone}\"}},\"message\":{{\"message_id\":\"m{person}\",\"type\":\"text\"}}}}"
        );
        let record = frame::from_json(text.as_bytes()).expect("an event");
        let arrived = event::parse(&record, &key).expect("a valid event");
        let prepared = Prepared::new(arrived.event.expect("no heartbeat"), &key);
        let at = Timestamp::from_millis(at).expect("an instant");
        assert!(engine.advance(at, usize::MAX, &mut outputs).expect("memory can be read") == Advanced::Done);
        engine.fold(&prepared, at, &mut outputs).expect("memory can be read").expect("nothing is too late");
    }
    let later = Timestamp::from_millis(start + 40 * 86_400_000).expect("an instant");
    assert!(engine.advance(later, usize::MAX, &mut outputs).expect("memory can be read") == Advanced::Done);
    engine.commit(b"").expect("memory can be written");
    let bytes = engine.into_store().scan(&[], &[], usize::MAX).expect("memory can be read");
    bytes.iter().map(|(key, row)| key.len() + row.len()).sum::<usize>() as f64 / PEOPLE as f64
}

/// Folds a stream, and returns how many bytes a message takes in files: its row, and the one that says to whom it went.
#[cfg(feature = "rocksdb")]
fn messages_on_disk(stream: &Stream) -> [f64; 2] {
    let (_, mut engine) = fold(stream, &mut Vec::clear);
    engine.commit(b"").expect("memory can be written");
    let memory = engine.into_store();
    let rows = |kind| memory.scan(&[kind], &[], usize::MAX).expect("memory can be read");
    let messages = rows(keys::MESSAGE).len();
    [keys::MESSAGE, keys::SENT].map(|kind| {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = Rocks::open(directory.path(), 64 << 20).expect("a new store");
        let mut batch = Batch::default();
        for (key, row) in &rows(kind) {
            batch.put(key, row);
        }
        store.commit(batch).expect("the disk has room");
        store.compact().expect("the disk has room");
        let files = std::fs::read_dir(directory.path()).expect("its directory").flatten();
        let tables = files.filter(|file| file.path().extension().is_some_and(|kind| kind == "sst"));
        tables.map(|file| file.metadata().expect("a file").len()).sum::<u64>() as f64 / messages as f64
    })
}

fn main() {
    measure::machine();
    let (events, contacts) = (measure::setting("EVENTS", 500_000), measure::setting("CONTACTS", 20_000));
    let stream = stream(events, contacts.try_into().expect("at most 40 million contacts"));
    let folded = stream.events.len() as u64;
    println!("{folded} events of {contacts} contacts");
    let runs = measure::runs();

    let taken = (0..runs).map(|_| fold(&stream, &mut Vec::clear).0).collect();
    measure::report("fold", folded, taken);

    let taken = (0..runs).map(|_| {
        let (folding, mut engine) = fold(&stream, &mut Vec::clear);
        let (committing, ()) = measure::time(|| engine.commit(b"").expect("memory can be written"));
        folding + committing
    });
    measure::report("fold, and one commit of all rows", folded, taken.collect());

    let zones = Zones::new();
    let config = config(&zones);
    let publisher = Publisher::new(Arc::new(config.setup), zones, config.name, config.enforced);
    let mut records = 0_u64;
    let taken = (0..runs).map(|_| {
        records = 0;
        let mut container = ContainerWriter::new([0; 16]);
        let mut bytes = Vec::new();
        let (taken, _) = fold(&stream, &mut |outputs| {
            for output in outputs.drain(..) {
                records += 1;
                let entry = match &output.effect.what {
                    What::Charge(charge) => Some(publisher.at_list(&charge.line, charge.reverses.is_some())),
                    What::Verdict(_) | What::Window(_) | What::State(_) | What::Outcome(_) => None,
                };
                let written = match &publisher.record(&output, entry.as_ref()) {
                    Record::Verdict(record) => container.add(&record, &mut bytes),
                    Record::Billing(record) | Record::Charge(_, record) => container.add(&record, &mut bytes),
                    Record::Window(record) => container.add(&record, &mut bytes),
                    Record::State(record) => container.add(&record, &mut bytes),
                    Record::Outcome(record) => container.add(&record, &mut bytes),
                    Record::Usage(record) => container.add(&record, &mut bytes),
                    Record::DeadLetter(record) => container.add(&record, &mut bytes),
                };
                written.expect("memory can be written");
            }
            bytes.clear();
        });
        taken
    });
    let taken = taken.collect();
    measure::report("fold, price and encode to Avro", folded, taken);
    println!("{:.2} records an event", records as f64 / folded as f64);
    println!("{:.0} bytes of rows for an idle contact", idle_contact());
    #[cfg(feature = "rocksdb")]
    {
        let [row, noted] = messages_on_disk(&stream);
        println!("{row:.0} bytes in files for a message that is held whole, {noted:.0} for whom it went to");
    }
}
