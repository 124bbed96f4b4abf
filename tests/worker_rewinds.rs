//! What a worker does with records that are on their way while its positions are set back: they lie ahead of what is
//! folded next, and are read again. And with an assignment that it cannot fold: it says so and halts. And how it tells an
//! idle partition that time has passed.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod in_memory;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tollgate::codec::frame::{self, Framing, Writers};
use tollgate::codec::{records, schema};
use tollgate::engine;
use tollgate::store::keys;
use tollgate::stream::{Committed, Failure, Found, Log, NextOffset, Partition, Records, Slot, Topic};
use tollgate::worker::position::Position;
use tollgate::worker::{Checkpoint, Closing, Framers, Latest, Shared, Worker};

use in_memory::{InMemory, Nothing, shared};

const INPUT: Slot = Slot { topic: Topic::Input(0), partition: Partition(0) };
const CHARGES: Slot = Slot { topic: Topic::Charges, partition: Partition(0) };

/// How many records the input has.
const RECORDS: i64 = 100;

/// When the log took the first of them.
const NOON: i64 = 1_791_200_000_000;
const DAY: i64 = 24 * 60 * 60 * 1_000;

/// A log of one partition that fails as it is told.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each stands for something else that may be so")]
struct Scripted {
    now: u64,
    assigned: bool,
    /// Where the next poll goes on.
    cursor: Option<i64>,
    /// What the next calls of `commit` do: nothing, where they succeed.
    commits: VecDeque<Option<Failure>>,
    /// How many milliseconds a commit takes.
    slow: u64,
    /// How often a new producer cannot be had, once one has to be made in the middle.
    busy: usize,
    tainted: bool,
    /// There is no producer.
    gone: bool,
    in_transaction: bool,
    positions: Vec<(Slot, Committed)>,
    committed: BTreeMap<Slot, Committed>,
    /// What is at the input's beginning, if not heartbeats like all others.
    messages: Vec<Vec<u8>>,
    /// What was written to the input.
    written: Vec<Vec<u8>>,
    /// The last commit record of the open transaction, and of those that were committed.
    open: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
}

impl Log for Scripted {
    type Reader = Nothing;

    fn now(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    fn wall(&self) -> i64 {
        NOON + i64::try_from(self.now).expect("a short run")
    }

    fn poll(&mut self, _: Duration, records: &mut Records) -> Result<Found, Failure> {
        self.now += 1;
        if !std::mem::replace(&mut self.assigned, true) {
            return Ok(Found::Assigned(vec![INPUT, CHARGES]));
        }
        // Whatever the worker means to read next: what is on its way comes until it says so.
        if let Some(cursor) = self.cursor {
            let end = (cursor + 10).min(RECORDS);
            for offset in cursor..end {
                let at = NOON + offset;
                let text = format!("{{\"kind\":\"heartbeat\",\"phone_number_id\":\"\",\"occurred_at\":{at}}}");
                let message = usize::try_from(offset).ok().and_then(|place| self.messages.get(place));
                records.push(INPUT, offset, at, None, Some(message.map_or(text.as_bytes(), Vec::as_slice)));
            }
            self.cursor = Some(end);
            // An answer was late, and it is noticed while records come.
            self.tainted |= self.busy > 0 && !self.in_transaction && cursor > 20;
        }
        Ok(Found::Records)
    }

    fn assign(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        self.cursor = slots.iter().find(|(slot, _)| *slot == INPUT).map(|(_, next)| next.offset());
        Ok(())
    }

    fn pause(&mut self, _: &[Slot]) -> Result<(), Failure> {
        panic!("one input whose schemas are known is never paused")
    }

    fn resume(&mut self, _: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        panic!("nothing was paused")
    }

    fn unassign(&mut self) -> Result<(), Failure> {
        self.cursor = None;
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
        self.gone = self.assigned && self.busy > 0;
        self.tainted = false;
        if self.gone {
            self.busy -= 1;
            return Err(Failure::Busy("the predecessor's transaction is ending".to_owned()));
        }
        Ok(())
    }

    fn tainted(&self) -> Option<&'static str> {
        self.tainted.then_some("slow answer")
    }

    fn begin(&mut self) -> Result<(), Failure> {
        if self.gone {
            return Err(Failure::Recycle("there is no producer".to_owned()));
        }
        self.in_transaction = true;
        Ok(())
    }

    fn produce(&mut self, slot: Slot, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        if slot.topic == Topic::Contacts && key == Some(keys::meta()) {
            self.open = value.map(<[u8]>::to_vec);
        }
        if slot == INPUT {
            self.written.extend(value.map(<[u8]>::to_vec));
        }
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
        self.in_transaction = false;
        self.now += self.slow;
        if let Some(failure) = self.commits.pop_front().flatten() {
            return Err(failure);
        }
        self.committed.extend(std::mem::take(&mut self.positions));
        self.last = self.open.take();
        Ok(())
    }

    fn abort(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Runs a worker until the group stands at the end, and returns how many records its transactions have folded.
fn folded(log: Scripted) -> u64 {
    let schemas = Box::new(|_| Ok(None));
    let mut worker = Worker::new(log, InMemory, Arc::new(shared()), Latest::default(), schemas).expect("a worker");
    for turn in 0.. {
        worker.turn().expect("nothing that happens is a reason to halt");
        let log = worker.log();
        if log.committed.get(&INPUT).is_some_and(|committed| committed.next.offset() == RECORDS) {
            break;
        }
        assert!(turn < 1_000, "everything is folded in the end");
    }
    let row = worker.log().last.clone().expect("a commit record");
    let position = engine::position_of(&row).and_then(|bytes| Position::read(&bytes)).expect("a position");
    assert_eq!(position.inputs.last().map(|range| range.next.offset()), Some(RECORDS));
    position.records
}

#[test]
fn an_assignment_that_parts_what_belongs_together_halts_the_worker_and_says_how_to_mend_it() {
    let mut shared = shared();
    shared.inputs = vec!["received".to_owned(), "sent".to_owned()];
    // The log assigns the partition of the first input alone.
    let schemas = Box::new(|_| Ok(None));
    let worker = Worker::new(Scripted::default(), InMemory, Arc::new(shared), Latest::default(), schemas);
    let halted = worker.expect("a worker").turn().expect_err("half of a partition is not folded");
    for told in ["[0]", "`sent`", "equally many partitions", "assignor `range`"] {
        assert!(halted.0.contains(told), "{told} in: {halted}");
    }
}

#[test]
fn an_aborted_transaction_is_folded_again_before_what_was_on_its_way() {
    let abort = || Some(Failure::Abort("a record was not delivered".to_owned()));
    let log = Scripted { commits: [None, abort(), None, abort(), abort()].into(), ..Scripted::default() };
    assert_eq!(folded(log), RECORDS.unsigned_abs());
}

#[test]
fn a_transaction_whose_producer_is_gone_is_folded_again_before_what_was_on_its_way() {
    let gone = || Some(Failure::Recycle("no answer".to_owned()));
    let log = Scripted { commits: [None, gone(), None, gone()].into(), ..Scripted::default() };
    assert_eq!(folded(log), RECORDS.unsigned_abs());
}

#[test]
fn records_that_came_while_no_producer_could_be_had_are_read_again() {
    let log = Scripted { busy: 3, ..Scripted::default() };
    assert_eq!(folded(log), RECORDS.unsigned_abs());
}

/// A message of somebody whose service window closes when the input has been silent for a while.
fn message(who: i64) -> Vec<u8> {
    let (id, phone) = (format!("wamid.{who}"), format!("55110000000{who:02}"));
    let text = records::Message { message_id: id.into(), r#type: "text".into(), ..records::Message::default() };
    let person = records::Person { wa_id: Some(phone.into()), ..records::Person::default() };
    let event = records::Event {
        event_id: Some(format!("{who:032x}").into()),
        kind: "message".into(),
        phone_number_id: "107310000000001".into(),
        occurred_at: NOON - DAY + 500,
        provenance: "live".into(),
        contact: Some(person),
        message: Some(Box::new(text)),
        ..records::Event::default()
    };
    let mut bytes = Vec::new();
    frame::write(&event, schema::EVENT, Framing::Json, &mut bytes).expect("an event can be written");
    bytes
}

#[test]
fn rows_do_not_pile_up_where_transactions_end_in_the_middle_of_what_was_read() {
    // So slow that a transaction is not closed as soon as nothing waits.
    let log = Scripted { messages: (0..RECORDS).map(message).collect(), slow: 80, ..Scripted::default() };
    let closing = Closing { age: Duration::from_hours(1), records: 20, bytes: 1 << 20 };
    let checkpoint = Checkpoint { bytes: 1, age: Duration::from_hours(1) };
    let (schemas, shared) = (Box::new(|_| Ok(None)), Shared { closing, checkpoint, ..shared() });
    let mut worker = Worker::new(log, InMemory, Arc::new(shared), Latest::default(), schemas).expect("a worker");
    let behind = |worker: &mut Worker<Scripted, InMemory>| {
        worker.log().committed.get(&INPUT).map_or(0, |committed| committed.next.offset())
    };
    let mut within = 0;
    while behind(&mut worker) < RECORDS - 10 {
        worker.turn().expect("nothing that happens is a reason to halt");
        within += usize::from(worker.log().in_transaction);
        assert!(worker.tasks().iter().all(|task| task.unflushed == 0), "what is committed is in the store");
    }
    assert!(within > 5, "turns end within transactions");
}

#[test]
fn heartbeats_are_written_as_those_who_read_the_input_are_used_to() {
    let mut writers = Writers::of(schema::EVENT).expect("a schema of ours");
    writers.add_registered(7, schema::EVENT.text).expect("a schema of ours");
    for (framing, begin) in
        [(Framing::Json, &b"{"[..]), (Framing::SingleObject, b"\xC3\x01"), (Framing::Registry(7), b"\0\0\0\0\x07")]
    {
        let log = Scripted { messages: vec![message(0)], ..Scripted::default() };
        let framers = Framers::new(|topic| if topic == Topic::Input(0) { framing } else { Framing::SingleObject });
        let shared = Shared { heartbeats: true, framers: framers.expect("schemas of ours"), ..shared() };
        let schemas = Box::new(|_| Ok(None));
        let mut worker = Worker::new(log, InMemory, Arc::new(shared), Latest::default(), schemas).expect("a worker");
        for turn in 0.. {
            worker.turn().expect("nothing that happens is a reason to halt");
            if !worker.log().written.is_empty() {
                break;
            }
            assert!(turn < 5_000, "the partition is idle, and a window is due to close");
        }
        assert!(worker.log().now().as_millis() >= 1_000, "a partition that is not idle needs none");
        let heartbeat = &worker.log().written[0];
        assert!(heartbeat.starts_with(begin), "{framing:?}: {heartbeat:?}");
        let read: records::Event<'_> = writers.read(heartbeat).expect("whoever reads the input can read it");
        assert!(read.kind.as_str() == "heartbeat" && read.occurred_at >= NOON + 500);
    }
}
