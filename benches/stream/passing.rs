//! The lower rungs of the ladder, each played by this binary in a process of its own: only reading, and passing through.
//!
//! They use the engine's own edge to Kafka (`tollgate::kafka`), so what they leave out is what the engine adds: decoding,
//! folding, encoding, state.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollgate::kafka::Kafka;
use tollgate::run;
use tollgate::stream::{Failure, Found, Head, Log, NextOffset, Records, Slot, TOGETHER, Topic};

use crate::deployment::{names, read};
use crate::shape::{Shape, place};

/// Plays a part, if this process was started to do so.
pub fn play(arguments: &[String]) -> bool {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["consume", file] => consume(Path::new(file)),
        ["pass-through", file, shape, closing] => pass_through(Path::new(file), &Shape::parse(shape), closing),
        _ => return false,
    }
    true
}

/// When a transaction of the pass-through is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At its greatest age, 100 ms: what costs least.
    AtAge,
    /// As the engine closes its own: soon, where nothing more is waiting to be read. What answers fastest.
    Promptly,
}

impl Pace {
    /// As an argument.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AtAge => "at-age",
            Self::Promptly => "promptly",
        }
    }
}

/// How long a poll waits where nothing is going on.
const IDLE: Duration = Duration::from_millis(100);

/// Asks again until it is answered.
fn insist<T>(mut ask: impl FnMut() -> Result<T, Failure>) -> T {
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(Failure::Busy(_)) => std::thread::sleep(Duration::from_millis(20)),
            Err(failure) => panic!("{failure}"),
        }
    }
}

/// A member that reads what the group gives it, from the beginning.
struct Member {
    log: Kafka,
    records: Records,
}

impl Member {
    fn join(file: &Path) -> Self {
        let stream = read(file);
        let log =
            Kafka::connect(run::connection(&stream, "0"), Arc::new(names(&stream))).expect("settings that can be used");
        Self { log, records: Records::default() }
    }

    /// Waits for records. Assignments are answered.
    fn poll(&mut self, wait: Duration) {
        self.records.clear();
        match insist(|| self.log.poll(wait, &mut self.records)) {
            Found::Records => {}
            Found::Assigned(slots) => {
                let from = slots.iter().map(|slot| (*slot, NextOffset::START)).collect::<Vec<_>>();
                insist(|| self.log.assign(&from));
            }
            Found::Revoked(_) | Found::Lost(_) => panic!("a bench has one member, and it keeps what it has"),
        }
    }
}

/// Reads, and tells on standard output how many records it has read.
fn consume(file: &Path) {
    let mut member = Member::join(file);
    let (mut read, mut told) = (0, Duration::ZERO);
    loop {
        member.poll(IDLE);
        read += member.records.heads().len();
        let now = member.log.now();
        if now.saturating_sub(told) >= Duration::from_millis(20) {
            told = now;
            println!("{read}");
        }
    }
}

/// A transaction of the pass-through.
struct Open {
    began: Duration,
    reads: BTreeMap<Slot, NextOffset>,
}

/// Exactly once, and nothing besides: for each event as many records as the engine writes, of the same lengths, to the same
/// topics. What the engine's ledger stage reads is read here too, and answered by a line of the bill each.
fn pass_through(file: &Path, shape: &Shape, closing: &str) {
    let age = Duration::from_millis(100);
    let promptly = closing == Pace::Promptly.word();
    let mut member = Member::join(file);
    insist(|| member.log.recycle());
    let mut writing = Writing { shape, bytes: (0..1 << 16).map(|index: u32| (index % 251) as u8).collect() };
    let mut cost = Duration::ZERO;
    let mut open: Option<Open> = None;
    loop {
        // The engine's own rule: a transaction stays open for at least twice what closing it costs.
        let least = if promptly { (cost * 2).min(age) } else { age };
        let wait = open.as_ref().map_or(IDLE, |open| least.saturating_sub(member.log.now().saturating_sub(open.began)));
        member.poll(wait);
        let Member { log, records } = &mut member;
        for head in records.heads() {
            if open.is_none() {
                insist(|| log.begin());
                open = Some(Open { began: log.now(), reads: BTreeMap::new() });
            }
            writing.answer(log, head, records.key(head));
            if let Some(open) = &mut open {
                open.reads.insert(head.slot, NextOffset::after(head.offset));
            }
        }
        let caught_up = records.heads().len() < TOGETHER;
        let due = open.as_ref().is_some_and(|open| {
            let open_for = log.now().saturating_sub(open.began);
            open_for >= age || (promptly && caught_up && open_for >= least)
        });
        if let Some(done) = open.take_if(|_| due) {
            let began = log.now();
            let reads: Vec<_> = done.reads.into_iter().map(|(slot, next)| (slot, next.into())).collect();
            insist(|| log.drain());
            insist(|| log.send_offsets(&reads));
            insist(|| log.commit());
            cost = (cost * 7 + log.now().saturating_sub(began)) / 8;
        }
    }
}

struct Writing<'s> {
    shape: &'s Shape,
    /// Filling for keys and values. A value of an output says, in bytes 10 to 25, where it comes from: partition, topic,
    /// ordinal, offset. So does the peer's.
    bytes: Vec<u8>,
}

impl Writing<'_> {
    fn answer(&mut self, log: &mut Kafka, head: &Head, key: Option<&[u8]>) {
        for rate in &self.shape.0 {
            let due = match (head.slot.topic, rate.topic) {
                // A line of the bill follows from a charge, and from nothing else.
                (Topic::Charges, Topic::Billing) => 1,
                (Topic::Charges, _) | (_, Topic::Billing) => 0,
                _ => rate.due(head.offset as u64),
            };
            for ordinal in 0..due {
                let origin = &mut self.bytes[10..26];
                origin[..2].copy_from_slice(&(head.slot.partition.0 as u16).to_be_bytes());
                origin[2..4].copy_from_slice(&(place(rate.topic) as u16).to_be_bytes());
                origin[4..8].copy_from_slice(&(ordinal as u32).to_be_bytes());
                origin[8..].copy_from_slice(&head.offset.to_be_bytes());
                let slot = Slot { topic: rate.topic, partition: head.slot.partition };
                // Keys that change, as those of rows do; where the length is that of a number, the number itself.
                let key = key.filter(|key| key.len() == rate.key).unwrap_or(&self.bytes[16..16 + rate.key]);
                let value = Some(&self.bytes[..rate.value]).filter(|value| !value.is_empty());
                insist(|| log.produce(slot, Some(key), value));
            }
        }
    }
}
