//! What a worker does with what keeps one of its partitions waiting, or makes the fold fail: inputs that are behind or
//! far ahead of each other, schemas that cannot be had, panics. The rest goes on, and nothing is lost or told twice.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "offsets of a few thousand")]

mod in_memory;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate::codec::frame::Framing;
use tollgate::codec::{frame, partitioner, reference, schema};
use tollgate::domain::reference::Reference;
use tollgate::domain::time::{Millis, Timestamp};
use tollgate::loadgen::{self, Calendar, Settings};
use tollgate::store::{self, Batch, Memory, Store};
use tollgate::stream::{Committed, Failure, Found, Glance, Log, NextOffset, Partition, Records, Slot, Topic};
use tollgate::worker::observe::Observer;
use tollgate::worker::{Arrival, Closing, Disk, Framers, Latest, Schemas, Shared, Worker};
use tollgate::zones::Zones;

use in_memory::{InMemory, Nothing};

/// 2026-10-05, in milliseconds.
const START: i64 = 1_791_200_000_000;

/// How many records of a slot a poll brings.
const BATCH: usize = 50;

const fn input(index: u8, partition: u32) -> Slot {
    Slot { topic: Topic::Input(index), partition: Partition(partition) }
}

/// What lies at an offset.
enum Entry {
    Record { at: i64, value: Vec<u8> },
    Marker,
}

/// What a worker told the log about reading.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Assign(BTreeSet<Slot>),
    Pause(BTreeSet<Slot>),
    Resume(BTreeMap<Slot, i64>),
}

/// A log in memory. The charges that a transaction writes are read again.
#[derive(Default)]
struct Script {
    now: u64,
    /// How long after the start it is, by the clock on the wall.
    later: i64,
    assigned: bool,
    entries: BTreeMap<Slot, Vec<Entry>>,
    /// Offsets from which on a slot's records do not come, though they are there.
    withheld: BTreeMap<Slot, usize>,
    cursors: BTreeMap<Slot, usize>,
    reached: BTreeMap<Slot, NextOffset>,
    told: Vec<Told>,
    open: Vec<(Slot, Vec<u8>)>,
    positions: Vec<(Slot, Committed)>,
    committed: BTreeMap<Slot, Committed>,
    /// What committed transactions have published.
    published: Vec<(Slot, Vec<u8>)>,
    /// How many commits are refused from now on.
    refused: usize,
    aborts: usize,
}

impl Script {
    /// Adds a record that the log took so long after the start.
    fn add(&mut self, slot: Slot, after: i64, value: impl Into<Vec<u8>>) {
        self.entries.entry(slot).or_default().push(Entry::Record { at: START + after, value: value.into() });
    }

    fn mark(&mut self, slot: Slot) {
        self.entries.entry(slot).or_default().push(Entry::Marker);
    }

    /// What was published to a topic, as JSON.
    fn lines(&self, topic: Topic) -> Vec<Value> {
        let of_topic = self.published.iter().filter(|(slot, _)| slot.topic == topic);
        of_topic.map(|(_, value)| serde_json::from_slice(value).expect("JSON")).collect()
    }

    /// Whether everything that comes is folded and committed.
    fn is_folded(&self) -> bool {
        self.entries.iter().all(|(slot, entries)| {
            let comes = entries.len().min(self.withheld.get(slot).copied().unwrap_or(usize::MAX));
            let last = entries[..comes].iter().rposition(|entry| matches!(entry, Entry::Record { .. }));
            let committed = self.committed.get(slot).map_or(0, |committed| committed.next.offset());
            last.is_none_or(|last| committed > last as i64)
        })
    }
}

impl Log for Script {
    type Reader = Nothing;

    fn now(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    fn wall(&self) -> i64 {
        START + self.later
    }

    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<Found, Failure> {
        if !std::mem::replace(&mut self.assigned, true) {
            return Ok(Found::Assigned(self.entries.keys().copied().collect()));
        }
        for (slot, cursor) in &mut self.cursors {
            let entries = &self.entries[slot];
            let comes = entries.len().min(self.withheld.get(slot).copied().unwrap_or(usize::MAX));
            for (offset, entry) in entries[..comes].iter().enumerate().skip(*cursor).take(BATCH) {
                if let Entry::Record { at, value } = entry {
                    records.push(*slot, offset as i64, *at, None, Some(value));
                }
            }
            *cursor = (*cursor + BATCH).min(comes);
            if *cursor == entries.len() {
                self.reached.insert(*slot, NextOffset::at(*cursor as i64).expect("an offset"));
            }
        }
        self.now += if records.heads().is_empty() { wait.as_millis().max(1) as u64 } else { 1 };
        Ok(Found::Records)
    }

    fn assign(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        self.reached.clear();
        self.cursors = slots.iter().map(|(slot, next)| (*slot, next.offset() as usize)).collect();
        self.told.push(Told::Assign(self.cursors.keys().copied().collect()));
        Ok(())
    }

    fn pause(&mut self, slots: &[Slot]) -> Result<(), Failure> {
        self.cursors.retain(|slot, _| !slots.contains(slot));
        self.told.push(Told::Pause(slots.iter().copied().collect()));
        Ok(())
    }

    fn resume(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        for (slot, next) in slots {
            assert!(!self.cursors.contains_key(slot), "{slot:?} was not paused");
            self.cursors.insert(*slot, next.offset() as usize);
            self.reached.remove(slot);
        }
        self.told.push(Told::Resume(slots.iter().map(|(slot, next)| (*slot, next.offset())).collect()));
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), Failure> {
        self.cursors.clear();
        Ok(())
    }

    fn committed(&mut self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Failure> {
        Ok(slots.iter().map(|slot| self.committed.get(slot).copied()).collect())
    }

    fn start(&mut self, _: Slot) -> Result<NextOffset, Failure> {
        Ok(NextOffset::START)
    }

    fn end(&mut self, slot: Slot) -> Result<NextOffset, Failure> {
        // The changelogs are empty: every test begins anew.
        let end = if slot.topic.is_read() { self.entries[&slot].len() } else { 0 };
        Ok(NextOffset::at(end as i64).expect("an offset"))
    }

    fn glance(&self, slot: Slot) -> Glance {
        Glance { end: None, reached: self.reached.get(&slot).copied() }
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

    fn produce(&mut self, slot: Slot, _: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        self.open.push((slot, value.unwrap_or_default().to_vec()));
        Ok(())
    }

    fn drain(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn send_offsets(&mut self, positions: &[(Slot, Committed)]) -> Result<(), Failure> {
        self.positions = positions.to_vec();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if self.refused > 0 {
            self.refused -= 1;
            return Err(Failure::Abort("the test refuses it".to_owned()));
        }
        self.committed.extend(std::mem::take(&mut self.positions));
        for (slot, value) in std::mem::take(&mut self.open) {
            if slot.topic == Topic::Charges {
                self.add(slot, 0, value);
            } else {
                self.published.push((slot, value));
            }
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Failure> {
        // The sweep that a new producer begins with is all without values.
        let sweep = !self.open.is_empty() && self.open.iter().all(|(_, value)| value.is_empty());
        self.aborts += usize::from(!sweep);
        self.open.clear();
        Ok(())
    }
}

fn shared(inputs: usize, partitions: u32, arrival: Arrival) -> Shared {
    Shared {
        framers: Framers::new(|_| Framing::Json).expect("schemas of ours"),
        inputs: (0..inputs).map(|index| format!("input-{index}")).collect(),
        partitions,
        arrival,
        closing: Closing { age: Duration::from_millis(10), records: 1_000, bytes: 400_000 },
        ..in_memory::shared()
    }
}

/// A log with empty slots for so many inputs and partitions.
fn script(inputs: u8, partitions: u32) -> Script {
    let mut log = Script::default();
    for partition in 0..partitions {
        log.entries.insert(Slot { topic: Topic::Charges, partition: Partition(partition) }, Vec::new());
        for index in 0..inputs {
            log.entries.insert(input(index, partition), Vec::new());
        }
    }
    log
}

fn no_schemas() -> Schemas {
    Box::new(|_| Ok(None))
}

/// Runs a worker until everything that comes is folded.
fn until_folded(worker: &mut Worker<Script, InMemory>) {
    for _ in 0..20_000 {
        worker.turn().expect("nothing that happens is a reason to halt");
        if worker.is_running() && worker.log().is_folded() {
            return;
        }
    }
    panic!("everything is folded in the end: {:?}", worker.log().committed);
}

/// An ask for free text, as its producer writes it.
fn ask(request: &str, after: i64) -> Vec<u8> {
    let content = json!({ "kind": "freeform", "message_type": "text" });
    let ask = json!({
        "kind": "send_requested",
        "phone_number_id": "731840265519304",
        "occurred_at": START + after,
        "contact": { "wa_id": "447700900123" },
        "send_requested": { "request_id": request, "content": content },
    });
    ask.to_string().into_bytes()
}

fn heartbeat() -> Vec<u8> {
    json!({ "kind": "heartbeat", "phone_number_id": "", "occurred_at": START }).to_string().into_bytes()
}

/// Counts records that passed over an input.
struct Passes(Arc<AtomicU64>);

impl Observer for Passes {
    fn passed_over(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A worker with two inputs of one partition, and how many records passed over one of them.
fn of_two(log: Script) -> (Worker<Script, InMemory>, Arc<AtomicU64>) {
    let passes = Arc::new(AtomicU64::new(0));
    let shared = Arc::new(shared(2, 1, Arrival::Log));
    let worker = Worker::new(log, InMemory, shared, Latest::default(), no_schemas()).expect("a worker");
    (worker.observed_by(Box::new(Passes(Arc::clone(&passes)))), passes)
}

fn verdicts(log: &Script) -> Vec<(String, String, String)> {
    let text = |verdict: &Value, name: &str| verdict[name].as_str().unwrap_or_default().to_owned();
    let lines = log.lines(Topic::Verdicts);
    lines.iter().map(|line| (text(line, "request_id"), text(line, "verdict"), text(line, "reason"))).collect()
}

#[test]
fn an_input_that_ends_in_a_marker_keeps_the_other_waiting_for_nothing() {
    let mut log = script(2, 1);
    log.add(input(1, 0), 0, heartbeat());
    log.mark(input(1, 0));
    for number in 1..=5 {
        log.add(input(0, 0), number * 100, ask(&format!("ask-{number}"), number * 100));
    }
    let (mut worker, passes) = of_two(log);
    until_folded(&mut worker);
    let log = worker.log();
    assert!(log.now < 1_000, "nobody waited out the patience: {} ms", log.now);
    assert_eq!(passes.load(Ordering::Relaxed), 0);
    let answers = verdicts(log);
    assert_eq!(answers.len(), 5);
    let certain = |(_, verdict, reason): &(String, String, String)| {
        (verdict.as_str(), reason.as_str()) == ("blocked", "service_window_never_opened")
    };
    assert!(answers.iter().all(certain), "{answers:?}");
}

#[test]
fn while_an_input_is_behind_a_window_that_looks_closed_is_unknown_and_not_blocked() {
    let mut log = script(2, 1);
    log.add(input(1, 0), 0, heartbeat());
    log.withheld.insert(input(1, 0), 0);
    log.add(input(0, 0), 100, ask("early", 100));
    let (mut worker, passes) = of_two(log);
    while verdicts(worker.log()).is_empty() {
        worker.turn().expect("it waits, and goes on");
        assert!(worker.log().now < 10_000, "it does not wait for ever");
    }
    assert!(worker.log().now >= 2_000, "it waited: {} ms", worker.log().now);
    let answer = |request: &str, verdict: &str, reason: &str| (request.into(), verdict.into(), reason.into());
    assert_eq!(verdicts(worker.log()), [answer("early", "unknown", "stale_input")]);
    assert_eq!(passes.load(Ordering::Relaxed), 1);
    // The input comes, and certainty with it.
    worker.log().withheld.clear();
    worker.log().add(input(0, 0), 200, ask("late", 200));
    until_folded(&mut worker);
    assert_eq!(verdicts(worker.log())[1..], [answer("late", "blocked", "service_window_never_opened")]);
    assert_eq!(passes.load(Ordering::Relaxed), 1);
}

#[test]
fn while_the_gateway_is_silent_a_window_that_looks_closed_is_unknown_and_not_blocked() {
    let mut log = script(1, 1);
    log.add(input(0, 0), 0, ask("unheard", 0));
    log.add(input(0, 0), 60_000, heartbeat());
    for (request, after) in [("soon", 61_000), ("just", 70_000), ("late", 70_001)] {
        log.add(input(0, 0), after, ask(request, after));
    }
    log.add(input(0, 0), 80_000, heartbeat());
    log.add(input(0, 0), 81_000, ask("again", 81_000));
    let mut shared = shared(1, 1, Arrival::Log);
    shared.gateway_silence = Some(Millis(10_000));
    let worker = Worker::new(log, InMemory, Arc::new(shared), Latest::default(), no_schemas());
    let mut worker = worker.expect("a worker");
    until_folded(&mut worker);
    let answer = |request: &str, verdict: &str, reason: &str| (request.into(), verdict.into(), reason.into());
    let closed = |request| answer(request, "blocked", "service_window_never_opened");
    let late = answer("late", "unknown", "stale_input");
    let expected = [closed("unheard"), closed("soon"), closed("just"), late, closed("again")];
    assert_eq!(verdicts(worker.log()), expected);
}

#[test]
fn of_an_input_that_is_far_ahead_no_more_is_read_than_has_room() {
    let mut log = script(2, 1);
    // All of the first input was taken after all of the second: after a long rest both are read at the same pace.
    for number in 0..4_000 {
        log.add(input(0, 0), 100_000 + number, heartbeat());
        log.add(input(1, 0), number, heartbeat());
    }
    let (mut worker, passes) = of_two(log);
    let mut most = 0;
    for _ in 0..20_000 {
        worker.turn().expect("nothing that happens is a reason to halt");
        let log = worker.log();
        let folded = log.committed.get(&input(0, 0)).map_or(0, |committed| committed.next.offset() as usize);
        most = most.max(log.cursors.get(&input(0, 0)).copied().unwrap_or(0).saturating_sub(folded));
        if log.is_folded() {
            break;
        }
    }
    let log = worker.log();
    assert!(log.is_folded(), "{:?}", log.committed);
    // An eighth of what closes a transaction, at 200 bytes and more for each; a batch may come on top, and what is folded
    // may be in an open transaction.
    assert!((BATCH..600).contains(&most), "{most} records of it waited");
    let of_first = |told: &&Told| match told {
        Told::Assign(_) => false,
        Told::Pause(slots) => slots.contains(&input(0, 0)),
        Told::Resume(slots) => slots.contains_key(&input(0, 0)),
    };
    assert!(log.told.iter().filter(of_first).count() > 2, "{:?}", log.told);
    let assigned = log.told.iter().filter(|told| matches!(told, Told::Assign(_))).count();
    assert!(assigned <= 2, "nothing is read anew: {:?}", log.told);
    assert_eq!(passes.load(Ordering::Relaxed), 0, "however long it waited, the other one was catching up");
}

#[test]
fn a_partition_that_waits_for_a_schema_holds_up_no_other() {
    let mut log = script(1, 2);
    let framed = [&[0], &77_u32.to_be_bytes()[..], b"record"].concat();
    for number in 0..200 {
        let value = if number == 60 { framed.clone() } else { heartbeat() };
        log.add(input(0, 0), number, value);
        log.add(input(0, 1), number, heartbeat());
    }
    let known = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&known);
    let schemas: Schemas = Box::new(move |id| {
        assert_eq!(id, 77);
        if theirs.load(Ordering::Relaxed) { Ok(None) } else { Err("the registry is being asked".to_owned()) }
    });
    let shared = Arc::new(shared(1, 2, Arrival::Log));
    let mut worker = Worker::new(log, InMemory, shared, Latest::default(), schemas).expect("a worker");
    let next = |log: &Script, partition| {
        log.committed.get(&input(0, partition)).map_or(0, |committed| committed.next.offset())
    };
    while next(worker.log(), 1) < 200 {
        worker.turn().expect("one partition waits, and nobody halts");
        assert!(worker.log().now < 60_000, "the other partition goes on");
    }
    assert_eq!(next(worker.log(), 0), 60, "what came before it is committed");
    for _ in 0..50 {
        worker.turn().expect("it waits");
    }
    known.store(true, Ordering::Relaxed);
    until_folded(&mut worker);
    let log = worker.log();
    let first_pause = log.told.iter().position(|told| matches!(told, Told::Pause(_))).expect("it was paused");
    let waited = [Told::Pause([input(0, 0)].into()), Told::Resume([(input(0, 0), 60)].into())];
    assert_eq!(log.told[first_pause..], waited, "only what waits is told, and where it goes on");
    let letters = log.lines(Topic::DeadLetters);
    let [letter] = letters.as_slice() else { panic!("one letter: {letters:?}") };
    assert_eq!((&letter["original_offset"], &letter["error"]), (&json!(60), &json!("unknown_schema")));
}

#[test]
fn while_accounts_and_templates_cannot_be_followed_what_rests_on_them_is_unknown() {
    let mut log = script(1, 1);
    let template = |request: &str, after: i64| {
        let mut ask: Value = serde_json::from_slice(&ask(request, after)).expect("JSON");
        ask["send_requested"]["content"] =
            json!({ "kind": "template", "template": { "name": "spring_sale", "language": "en" } });
        ask.to_string().into_bytes()
    };
    log.add(input(0, 0), 100, template("template", 100));
    log.add(input(0, 0), 200, ask("text", 200));
    let latest = Latest::default();
    latest.set_stale(true);
    let shared = Arc::new(shared(1, 1, Arrival::Log));
    let mut worker = Worker::new(log, InMemory, shared, latest.clone(), no_schemas()).expect("a worker");
    until_folded(&mut worker);
    latest.set_stale(false);
    worker.log().add(input(0, 0), 300, template("again", 300));
    until_folded(&mut worker);
    let answer = |request: &str, verdict: &str, reason: &str| (request.into(), verdict.into(), reason.into());
    let expected = [
        answer("template", "unknown", "reference_stale"),
        // A window is known by the events alone.
        answer("text", "blocked", "service_window_never_opened"),
        answer("again", "unknown", "template_unknown"),
    ];
    assert_eq!(verdicts(worker.log()), expected);
}

/// A store that outlives its worker, and how often it was put aside.
#[derive(Clone, Default)]
struct Kept {
    rows: Arc<Mutex<Memory>>,
    discarded: Arc<AtomicU64>,
}

impl Store for Kept {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, store::Error> {
        self.rows.lock().expect("nobody panics").get(key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, store::Error> {
        self.rows.lock().expect("nobody panics").scan(prefix, from, limit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), store::Error> {
        self.rows.lock().expect("nobody panics").commit(batch)
    }

    fn time_is(&self, _: Timestamp) {}
}

impl Disk for Kept {
    type Store = Self;

    fn open(&mut self, _: Partition) -> Result<Self, store::Error> {
        Ok(self.clone())
    }

    fn discard(&mut self, _: Partition) -> Result<(), store::Error> {
        *self.rows.lock().expect("nobody panics") = Memory::default();
        self.discarded.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// What was deleted since a store was written may have left the changelog, and would live on in that store alone.
#[test]
fn a_store_older_than_half_of_what_tombstones_are_kept_is_put_aside() {
    for (hours, discarded) in [(11, 0), (13, 1)] {
        let (mut log, disk) = (script(1, 1), Kept::default());
        log.add(input(0, 0), 100, ask("ask", 100));
        let shared = Arc::new(shared(1, 1, Arrival::Log));
        let worker = |log, disk: &Kept| {
            Worker::new(log, disk.clone(), Arc::clone(&shared), Latest::default(), no_schemas()).expect("a worker")
        };
        let mut first = worker(log, &disk);
        while !first.log().is_folded() {
            first.turn().expect("nothing goes wrong");
        }
        let mut log = first.stop().expect("everything is committed and written");
        (log.assigned, log.later) = (false, hours * 3_600_000);
        let mut second = worker(log, &disk);
        for _ in 0..20 {
            second.turn().expect("nothing goes wrong");
        }
        assert_eq!(disk.discarded.load(Ordering::Relaxed), discarded, "after {hours} hours");
        assert_eq!(
            second.is_running(),
            discarded == 0,
            "what was put aside comes back from the changelogs, empty here"
        );
    }
}

struct Days(Zones);

impl Calendar for Days {
    fn date(&self, zone: &str, millis: i64) -> (i16, u8, u8) {
        self.0.day(zone, millis).expect("a day")
    }
}

/// Some days of generated traffic in one partition, and what is known of its businesses.
fn traffic() -> (Script, Latest) {
    let settings = Settings { events: 600, contacts: 25, numbers: 2, days: 3, moves: false, ..Settings::default() };
    let (mut log, zones) = (script(1, 1), Zones::new());
    let mut events = Vec::new();
    let references = loadgen::generate(
        &settings,
        &Days(Zones::new()),
        &mut |event| {
            let mut value = Vec::new();
            frame::write(event, schema::EVENT, Framing::Json, &mut value).expect("an event of ours");
            assert_eq!(partitioner::partition(event.phone_number_id.as_str().as_bytes(), 1), 0);
            events.push(value);
            Ok(())
        },
        &mut |_| Ok(()),
    );
    let references = references.expect("settings that can be had");
    for value in events {
        log.add(input(0, 0), 0, value);
    }
    let mut known = Reference::default();
    for account in &references.accounts {
        reference::learn_account(&mut known, account, &|name| zones.find(name)).expect("valid accounts");
    }
    for template in &references.templates {
        reference::learn_template(&mut known, template).expect("valid templates");
    }
    let latest = Latest::default();
    latest.set(Arc::new(known));
    (log, latest)
}

/// Where the fold is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At an event: always at the same one.
    Event,
    /// While what follows from an event is published.
    Published(Topic),
    /// When deadlines fire: the first time, and one by one.
    Deadline,
}

/// An observer with a fault: it panics in the middle of the fold, where only a fault of ours does.
struct Faulty {
    at: At,
    calls: u64,
    /// The event at which it panics, once that is chosen.
    event: Arc<Mutex<Option<Timestamp>>>,
}

impl Observer for Faulty {
    fn folded(&mut self, occurred_at: Timestamp, _: Timestamp) {
        if self.at != At::Event {
            return;
        }
        self.calls += 1;
        let mut event = self.event.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.calls == 100 {
            *event = Some(occurred_at);
        }
        let fails = *event == Some(occurred_at);
        drop(event);
        assert!(!fails, "a fault of the test");
    }

    fn fired(&mut self, _: u64) {
        if self.at == At::Deadline {
            self.calls += 1;
            // All at once, then the third of them one by one, and one that follows from it.
            assert!(!matches!(self.calls, 3 | 6), "a fault of the test");
        }
    }

    fn published(&mut self, topic: Topic) {
        if self.at == At::Published(topic) {
            self.calls += 1;
            assert!(self.calls != 20, "a fault of the test");
        }
    }
}

/// Folds the traffic with a fault in it, or with none.
fn folded(at: Option<At>) -> Script {
    let (log, latest) = traffic();
    let shared = Arc::new(shared(1, 1, Arrival::Field));
    let mut worker = Worker::new(log, InMemory, shared, latest, no_schemas()).expect("a worker");
    if let Some(at) = at {
        worker = worker.observed_by(Box::new(Faulty { at, calls: 0, event: Arc::default() }));
    }
    until_folded(&mut worker);
    // The charges of the last transaction are priced in the next one.
    for _ in 0..20 {
        worker.turn().expect("nothing is left that fails");
    }
    worker.stop().expect("everything is committed")
}

/// Ids of what was published to a topic.
fn ids(log: &Script, topic: Topic) -> BTreeSet<String> {
    let lines = log.lines(topic);
    let ids: Vec<String> =
        lines.iter().map(|line| line["envelope"]["id"].as_str().expect("an id").to_owned()).collect();
    let once: BTreeSet<String> = ids.iter().cloned().collect();
    assert_eq!(once.len(), ids.len(), "something in {topic:?} was published twice");
    once
}

#[test]
fn a_record_that_makes_the_fold_panic_is_a_dead_letter_and_the_rest_goes_on() {
    let well = folded(None);
    assert!(ids(&well, Topic::Verdicts).len() > 20 && ids(&well, Topic::Billing).len() > 20, "traffic of every kind");
    assert!(well.lines(Topic::DeadLetters).is_empty() && well.aborts == 0);
    for at in [At::Event, At::Published(Topic::Verdicts), At::Published(Topic::Billing)] {
        let log = folded(Some(at));
        let letters = log.lines(Topic::DeadLetters);
        assert!(!letters.is_empty(), "{at:?}");
        assert!(letters.iter().all(|letter| letter["error"] == "fold_failed"), "{at:?}: {letters:?}");
        assert_eq!(log.aborts, letters.len(), "{at:?}: one abort for each record that fails");
        let from = if at == At::Published(Topic::Billing) { "charges" } else { "input-0" };
        assert_eq!(letters[0]["original_topic"], from, "{at:?}");
        for topic in [Topic::Verdicts, Topic::Billing, Topic::Outcomes] {
            let (expected, found) = (ids(&well, topic), ids(&log, topic));
            let missing = expected.difference(&found).count();
            // What follows from the record itself, and what follows from that.
            assert!(missing <= 5, "{at:?}: {missing} of {} in {topic:?} are missing", expected.len());
        }
        let lost: usize = [Topic::Verdicts, Topic::Billing]
            .into_iter()
            .map(|topic| ids(&well, topic).difference(&ids(&log, topic)).count())
            .sum();
        if let At::Published(topic) = at {
            assert_eq!(lost, 1, "{at:?}: the one whose publishing fails, in {topic:?}");
        }
    }
}

#[test]
fn a_deadline_that_makes_the_fold_panic_is_left_out_and_told_and_the_rest_goes_on() {
    let (well, log) = (folded(None), folded(Some(At::Deadline)));
    let letters = log.lines(Topic::DeadLetters);
    let [letter] = letters.as_slice() else { panic!("one letter: {letters:?}") };
    assert_eq!((&letter["error"], &letter["original_topic"]), (&json!("fold_failed"), &json!("input-0")));
    assert!(letter["part"].as_str().is_some_and(|part| part.starts_with("deadline ")), "{letter}");
    assert_eq!(log.aborts, 2, "once for all of them, once for the one");
    for topic in [Topic::Verdicts, Topic::Billing, Topic::Outcomes] {
        assert_eq!(ids(&log, topic), ids(&well, topic), "{topic:?}");
    }
    let (edges, expected) = (ids(&log, Topic::Windows), ids(&well, Topic::Windows));
    assert!(edges.is_subset(&expected) && edges.len() >= expected.len() - 2, "{} of {}", edges.len(), expected.len());
}

const QUESTIONS: Slot = Slot { topic: Topic::Forecasts, partition: Partition(0) };

/// A question about so many people, whose numbers end in their places in the list.
fn question(request: &str, people: u32) -> Vec<u8> {
    let recipients: Vec<Value> = (0..people).map(|person| json!({ "wa_id": format!("44770090{person:04}") })).collect();
    let question = json!({
        "request_id": request, "phone_number_id": "731840265519304", "occurred_at": START + 1_000, "recipients": recipients,
        "candidates": [{ "kind": "freeform" }],
    });
    question.to_string().into_bytes()
}

/// A person writes.
fn inbound(person: u32, after: i64) -> Vec<u8> {
    let message = json!({ "message_id": format!("wamid.{person}"), "type": "text" });
    let event = json!({
        "kind": "message", "phone_number_id": "731840265519304", "occurred_at": START + after,
        "contact": { "wa_id": format!("44770090{person:04}") }, "message": message,
    });
    event.to_string().into_bytes()
}

/// A worker that answers questions, and a log where 200 people have written.
fn with_questions() -> Script {
    let mut log = script(1, 1);
    log.entries.insert(QUESTIONS, Vec::new());
    for person in 0..200 {
        log.add(input(0, 0), i64::from(person), inbound(person, i64::from(person)));
    }
    log
}

fn answering(log: Script) -> Worker<Script, InMemory> {
    let shared = Shared { forecasts: Some("questions".to_owned()), ..shared(1, 1, Arrival::Log) };
    Worker::new(log, InMemory, Arc::new(shared), Latest::default(), no_schemas()).expect("a worker")
}

/// A verdict, its reason, and how many there are.
type Total = (String, String, i64);

/// What was answered: the question, up to where the events were folded, and how many may be written to, and may not.
fn forecasts(log: &Script) -> Vec<(String, i64, Vec<Total>)> {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let total =
        |total: &Value| (text(total, "verdict"), text(total, "reason"), total["recipients"].as_i64().unwrap_or(0));
    let answer = |answer: &Value| {
        let totals = answer["totals"].as_array().into_iter().flatten().map(total).collect();
        (text(answer, "request_id"), answer["answered_at_offset"].as_i64().unwrap_or(-1), totals)
    };
    log.lines(Topic::ForecastAnswers).iter().map(answer).collect()
}

fn total(verdict: &str, reason: &str, recipients: i64) -> Total {
    (verdict.to_owned(), reason.to_owned(), recipients)
}

#[test]
fn a_question_waits_until_the_live_input_is_at_its_end() {
    let mut log = with_questions();
    log.add(QUESTIONS, 0, question("spring", 250));
    log.withheld.insert(input(0, 0), 120);
    let mut worker = answering(log);
    for _ in 0..2_000 {
        worker.turn().expect("nothing that happens is a reason to halt");
    }
    let folded = |log: &Script| log.committed.get(&input(0, 0)).map(|committed| committed.next.offset());
    assert_eq!(folded(worker.log()), Some(120), "what comes is folded");
    assert_eq!(forecasts(worker.log()), [], "there is more to fold");
    worker.log().withheld.clear();
    until_folded(&mut worker);
    let answered = total("allowed", "service_window_open", 200);
    let refused = total("blocked", "service_window_never_opened", 50);
    assert_eq!(forecasts(worker.log()), [("spring".to_owned(), 200, vec![answered, refused])]);
    let aside = worker.log().lines(Topic::DeadLetters).len() + worker.log().aborts;
    assert_eq!(aside, 0);
}

#[test]
fn a_question_that_comes_while_there_is_more_to_fold_is_read_again() {
    let mut log = with_questions();
    let mut worker = answering(std::mem::take(&mut log));
    until_folded(&mut worker);
    for _ in 0..20 {
        worker.turn().expect("nothing that happens is a reason to halt");
    }
    // The questions are being read by now, and more events are there than come.
    worker.log().add(QUESTIONS, 300, question("summer", 1));
    worker.log().add(input(0, 0), 300, inbound(200, 300));
    worker.log().withheld.insert(input(0, 0), 200);
    worker.log().told.clear();
    for _ in 0..200 {
        worker.turn().expect("nothing that happens is a reason to halt");
    }
    assert_eq!(forecasts(worker.log()), []);
    assert_eq!(worker.log().told, [Told::Pause([QUESTIONS].into())], "it is not read on");
    worker.log().withheld.clear();
    until_folded(&mut worker);
    assert_eq!(worker.log().told[1], Told::Resume([(QUESTIONS, 0)].into()));
    assert_eq!(forecasts(worker.log()), [("summer".to_owned(), 201, vec![total("allowed", "service_window_open", 1)])]);
}

#[test]
fn a_question_is_answered_once_whatever_becomes_of_a_transaction() {
    let mut log = with_questions();
    for number in 0..5 {
        log.add(QUESTIONS, number, question(&format!("question-{number}"), 10));
    }
    let mut worker = answering(log);
    for _ in 0..20 {
        worker.log().refused = 1;
        for _ in 0..3 {
            worker.turn().expect("nothing that happens is a reason to halt");
        }
    }
    until_folded(&mut worker);
    assert!(worker.log().aborts > 0, "some were refused");
    let answers: Vec<String> = forecasts(worker.log()).into_iter().map(|(request, ..)| request).collect();
    assert_eq!(answers, (0..5).map(|number| format!("question-{number}")).collect::<Vec<_>>());
    assert_eq!(worker.log().committed[&QUESTIONS].next, NextOffset::at(5).expect("an offset"));
}

#[test]
fn a_question_that_nobody_understands_is_a_dead_letter_and_answered() {
    let mut log = with_questions();
    let mut people = question("autumn", 3);
    people.truncate(people.len() - 1);
    log.add(QUESTIONS, 0, "no question");
    log.add(QUESTIONS, 1, people);
    log.add(QUESTIONS, 2, r#"{"request_id": "winter", "phone_number_id": "731840265519304", "recipients": [{}, {}]}"#);
    log.add(QUESTIONS, 3, question("spring", 1));
    let mut worker = answering(log);
    until_folded(&mut worker);
    let letters = worker.log().lines(Topic::DeadLetters);
    let codes: Vec<&str> = letters.iter().filter_map(|letter| letter["error"].as_str()).collect();
    assert_eq!(codes, ["unknown_framing", "not_json", "unknown_shape"]);
    assert!(letters.iter().all(|letter| letter["original_topic"] == "questions"), "{letters:?}");
    assert_eq!(
        forecasts(worker.log()),
        [
            ("winter".to_owned(), 200, vec![total("unknown", "malformed", 2)]),
            ("spring".to_owned(), 200, vec![total("allowed", "service_window_open", 1)]),
        ]
    );
}

#[test]
fn of_a_number_that_was_never_heard_of_nobody_knows_the_windows() {
    let mut log = script(1, 1);
    log.entries.insert(QUESTIONS, Vec::new());
    log.add(QUESTIONS, 0, question("spring", 2));
    let mut worker = answering(log);
    until_folded(&mut worker);
    assert_eq!(forecasts(worker.log()), [("spring".to_owned(), 0, vec![total("unknown", "stale_input", 2)])]);
}
