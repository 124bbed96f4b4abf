//! The worker on one core, without Kafka around it: events a second, from bytes to bytes.
//!
//! The log is in memory: it brings encoded events in batches, takes what the worker writes and forgets it, and brings
//! charges back. So what is measured is what Tollgate itself costs: decoding, both stages, encoding, rows to `RocksDB`.
//! The log's clock goes forward by five microseconds an event, so that every run closes the same transactions.
//!
//! `cargo bench --bench worker`; `EVENTS`, `CONTACTS` and `RUNS` in the environment change the volume.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot go on stops")]
#![allow(clippy::cast_precision_loss, reason = "a figure is read to three digits")]
#![allow(clippy::cast_possible_wrap, reason = "offsets of a few million")]

mod measure;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tollgate::codec::frame::{Framer, Framing};
use tollgate::codec::partitioner::{self, Partitioner};
use tollgate::codec::{reference, schema};
use tollgate::config::{self, Overrides};
use tollgate::domain::reference::Reference;
use tollgate::loadgen::{self, Calendar, Settings};
use tollgate::store::{self, Rocks};
use tollgate::stream::{Committed, Failure, Found, Log, NextOffset, Partition, Reader, Records, Slot, TOGETHER, Topic};
use tollgate::worker::headers::Headers;
use tollgate::worker::{Arrival, Checkpoint, Closing, Disk, Framers, Latest, Shared, Worker};
use tollgate::zones::Zones;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: u32 = 8;

/// How long an event takes by the log's clock.
const EACH: Duration = Duration::from_micros(5);

struct Days(Zones);

impl Calendar for Days {
    fn date(&self, zone: &str, millis: i64) -> (i16, u8, u8) {
        self.0.day(zone, millis).expect("a day")
    }
}

/// Encoded events, by partition.
struct Events {
    partitions: Vec<Vec<Vec<u8>>>,
    count: u64,
    known: Reference,
}

fn events(count: u64, contacts: u32) -> Events {
    let settings = Settings { events: count, contacts, numbers: 256, ..Settings::default() };
    let zones = Zones::new();
    let framer = Framer::new(schema::EVENT, Framing::SingleObject).expect("a schema");
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    let references = loadgen::generate(
        &settings,
        &Days(Zones::new()),
        &mut |event| {
            let mut bytes = Vec::new();
            framer.write(event, &mut bytes).expect("an event can be encoded");
            let partition = partitioner::partition(event.phone_number_id.as_str().as_bytes(), PARTITIONS);
            partitions[partition as usize].push(bytes);
            Ok(())
        },
        &mut |_| Ok(()),
    );
    let references = references.expect("valid settings");
    let mut known = Reference::default();
    for account in &references.accounts {
        reference::learn_account(&mut known, account, &|name| zones.find(name)).expect("valid accounts");
    }
    for template in &references.templates {
        reference::learn_template(&mut known, template).expect("valid templates");
    }
    let count = partitions.iter().map(|events| events.len() as u64).sum();
    Events { partitions, count, known }
}

/// A log in memory.
struct InMemory {
    events: Arc<Events>,
    assigned: bool,
    now: Duration,
    /// Where reading goes on, by partition, and whose turn it is.
    next: Vec<usize>,
    turn: usize,
    charges: VecDeque<(u32, Vec<u8>)>,
    charged: Vec<i64>,
    committed: BTreeMap<Slot, Committed>,
    records: u64,
    bytes: u64,
}

impl InMemory {
    fn new(events: Arc<Events>) -> Self {
        let partitions = PARTITIONS as usize;
        Self {
            events,
            assigned: false,
            now: Duration::ZERO,
            next: vec![0; partitions],
            turn: 0,
            charges: VecDeque::new(),
            charged: vec![0; partitions],
            committed: BTreeMap::new(),
            records: 0,
            bytes: 0,
        }
    }

    fn is_read(&self) -> bool {
        self.charges.is_empty()
            && self.next.iter().zip(&self.events.partitions).all(|(next, events)| *next == events.len())
    }
}

struct Nothing;

impl Reader for Nothing {
    fn poll(&mut self, _: Duration, _: &mut Records) -> Result<(), Failure> {
        Ok(())
    }

    fn position(&self, _: Slot) -> NextOffset {
        NextOffset::START
    }
}

impl Log for InMemory {
    type Reader = Nothing;

    fn now(&self) -> Duration {
        self.now
    }

    fn wall(&self) -> i64 {
        1_791_200_000_000
    }

    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<Found, Failure> {
        let slots = |topic| (0..PARTITIONS).map(move |place| Slot { topic, partition: Partition(place) });
        if !std::mem::replace(&mut self.assigned, true) {
            return Ok(Found::Assigned(slots(Topic::Input(0)).chain(slots(Topic::Charges)).collect()));
        }
        let turn = self.turn % self.next.len();
        self.turn += 1;
        let (events, from) = (&self.events.partitions[turn], self.next[turn]);
        let until = (from + TOGETHER).min(events.len());
        let slot = Slot { topic: Topic::Input(0), partition: Partition(turn as u32) };
        for (offset, event) in (from as i64..).zip(&events[from..until]) {
            records.push(slot, offset, 1_791_200_000_000, None, Some(event));
        }
        self.next[turn] = until;
        self.now += EACH * (until - from) as u32;
        while let Some((partition, charge)) = self.charges.pop_front() {
            let slot = Slot { topic: Topic::Charges, partition: Partition(partition) };
            let offset = &mut self.charged[partition as usize];
            records.push(slot, *offset, 1_791_200_000_000, None, Some(&charge));
            *offset += 1;
        }
        if records.heads().is_empty() {
            self.now += wait;
        }
        Ok(Found::Records)
    }

    fn assign(&mut self, _: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        Ok(())
    }

    fn pause(&mut self, _: &[Slot]) -> Result<(), Failure> {
        Err(Failure::Halt("nobody waits here".to_owned()))
    }

    fn resume(&mut self, _: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        Err(Failure::Halt("nobody waits here".to_owned()))
    }

    fn unassign(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn committed(&mut self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Failure> {
        Ok(slots.iter().map(|slot| self.committed.get(slot).copied()).collect())
    }

    fn start(&mut self, _: Slot) -> Result<NextOffset, Failure> {
        Ok(NextOffset::START)
    }

    fn end(&mut self, _: Slot) -> Result<NextOffset, Failure> {
        Ok(NextOffset::START)
    }

    fn reader(&mut self, _: &[(Slot, NextOffset)]) -> Result<Nothing, Failure> {
        Ok(Nothing)
    }

    fn recycle(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn tainted(&self) -> Option<&'static str> {
        None
    }

    fn begin(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn produce(&mut self, slot: Slot, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        self.records += 1;
        self.bytes += (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64;
        if slot.topic == Topic::Charges {
            self.charges.push_back((slot.partition.0, value.unwrap_or_default().to_vec()));
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn send_offsets(&mut self, positions: &[(Slot, Committed)]) -> Result<(), Failure> {
        self.committed.extend(positions.iter().copied());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

struct OnDisk(TempDir);

impl Disk for OnDisk {
    type Store = Rocks;

    fn open(&mut self, partition: Partition) -> Result<Rocks, store::Error> {
        Rocks::open(&self.0.path().join(partition.0.to_string()), 16 << 20).map(Rocks::unforced)
    }

    fn discard(&mut self, _: Partition) -> Result<(), store::Error> {
        panic!("a fresh store is never put aside")
    }
}

fn shared(zones: &Zones) -> Shared {
    let path: PathBuf = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.toml").into();
    let config = config::load(Some(&path), &Overrides::default(), zones).expect("the demo's configuration is usable");
    Shared {
        setup: Arc::new(config.setup),
        name: config.name,
        enforced: true,
        framers: Framers::new(|_| Framing::SingleObject).expect("schemas of ours"),
        inputs: vec!["events".to_owned()],
        charges: "charges".to_owned(),
        partitions: PARTITIONS,
        arrival: Arrival::Field,
        keep_payload: false,
        headers: Headers::Off,
        partitioner: Partitioner::default(),
        heartbeats: false,
        gateway_silence: None,
        forecasts: None,
        // A month passes here in seconds. Told every minute of it, what is used would be told about once in twenty events; a
        // deployment at this rate of events tells it less often than this, by events.
        usage_every: tollgate::domain::time::Millis::days(1),
        closing: Closing { age: Duration::from_millis(100), records: 50_000, bytes: 16 << 20 },
        checkpoint: Checkpoint { bytes: 8 << 20, age: Duration::from_secs(10) },
        tombstones_kept: Duration::from_hours(24),
        patience: Duration::from_secs(10),
    }
}

/// Reads everything once, from an empty state. Returns how many records, of how many bytes, were written.
fn run(events: &Arc<Events>) -> (Duration, u64, u64) {
    let latest = Latest::default();
    latest.set(Arc::new(events.known.clone()));
    let disk = OnDisk(tempfile::tempdir().expect("a directory"));
    let log = InMemory::new(Arc::clone(events));
    let schemas = Box::new(|_| Ok(None));
    let worker = Worker::new(log, disk, Arc::new(shared(&Zones::new())), latest, schemas);
    let mut worker = worker.expect("schemas of ours");
    let (taken, log) = measure::time(|| {
        while !worker.log().is_read() {
            worker.turn().expect("nothing goes wrong here");
        }
        worker.stop().expect("nothing goes wrong here")
    });
    (taken, log.records, log.bytes)
}

fn main() {
    measure::machine();
    let (count, contacts) = (measure::setting("EVENTS", 1_000_000), measure::setting("CONTACTS", 100_000));
    let events = Arc::new(events(count, u32::try_from(contacts).expect("fewer than all people")));
    let runs: Vec<_> = (0..measure::runs()).map(|_| run(&events)).collect();
    if let Some((_, records, bytes)) = runs.first() {
        let each = |sum: u64| sum as f64 / events.count as f64;
        println!("writes {:.2} records of together {:.0} bytes an event", each(*records), each(*bytes));
    }
    measure::report("the worker alone, on one core", events.count, runs.into_iter().map(|run| run.0).collect());
}
