//! What both suites on logs, the simulated and the real one, need to hold ledgers to: `wa.usage` as verdicts were told it,
//! what ledgers told on it, and rules of which something is reached.

pub mod reached;
pub mod rules;

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate::codec::frame::Writers;
use tollgate::codec::{records, usage};
use tollgate::domain::ledger::usage::Snapshot;
use tollgate::domain::reference::Reference;
use tollgate::domain::rules::limits::MessagingLimit;
use tollgate::domain::time::{Millis, Timestamp};
use tollgate::engine::Engine;
use tollgate::engine::ledger::{Posted, Used};
use tollgate::engine::publish::used_key;
use tollgate::store::Memory;
use tollgate::stream::NextOffset;

/// Longer than any run: whoever tells so seldom tells nothing.
const NEVER: Millis = Millis::days(10_000);

/// The partition time of a position row.
pub fn time_of(row: &[u8]) -> Option<Timestamp> {
    Timestamp::from_millis(i64::from_be_bytes(*row.get(1..9)?.first_chunk()?))
}

/// A record of `wa.usage` that was committed.
#[derive(Clone, Debug)]
pub struct Told {
    pub partition: u32,
    pub offset: i64,
    pub key: String,
    pub value: Vec<u8>,
}

impl Told {
    /// What it is about, without its kind: the key that charges of it have.
    pub fn owner(&self) -> &str {
        self.key.split_once('/').map_or("", |(_, owner)| owner)
    }
}

/// `wa.usage` as it lies in the log, and what whoever has read it up to some position knows.
pub struct Usage {
    partitions: BTreeMap<u32, Vec<Told>>,
    writers: Writers,
    known: Snapshot,
    /// How many records of each partition are in that.
    taken: BTreeMap<u32, usize>,
}

impl Usage {
    /// The records of each partition in the order of the log; `writers` read them.
    pub fn new(told: impl IntoIterator<Item = Told>, writers: Writers) -> Self {
        let mut partitions: BTreeMap<u32, Vec<Told>> = BTreeMap::new();
        for told in told {
            partitions.entry(told.partition).or_default().push(told);
        }
        Self { partitions, writers, known: Snapshot::default(), taken: BTreeMap::new() }
    }

    /// All records, by partition.
    pub fn all(&self) -> impl Iterator<Item = &Told> {
        self.partitions.values().flatten()
    }

    /// What is known up to positions; nothing of a partition that has none.
    pub fn at(&mut self, read: &BTreeMap<u32, NextOffset>) -> Arc<Snapshot> {
        let wanted: BTreeMap<u32, usize> = self
            .partitions
            .iter()
            .map(|(partition, told)| {
                let next = read.get(partition).map_or(0, |next| next.offset());
                (*partition, told.partition_point(|told| told.offset < next))
            })
            .collect();
        // Another worker may have read less.
        if self.taken.iter().any(|(partition, taken)| wanted.get(partition).is_none_or(|wanted| wanted < taken)) {
            self.known = Snapshot::default();
            self.taken.clear();
        }
        for (partition, wanted) in wanted {
            let taken = self.taken.insert(partition, wanted).unwrap_or_default();
            for told in &self.partitions[&partition][taken..wanted] {
                let row = self.writers.read::<records::Usage<'_>>(&told.value).expect("a row of ours");
                usage::learn(&mut self.known, &row).expect("a row of ours says what it should");
            }
        }
        Arc::new(self.known.clone())
    }
}

/// Holds what the ledger of one partition has told against that of the plain fold.
///
/// When something is told depends on when the engine was opened, which is not in the log. What is told does not: at an instant
/// of a record's the ledger of the fold must have said the same, to the byte.
pub struct Audit<'t> {
    every: Millis,
    /// What was told and has not been said by the fold yet, by its instant.
    left: BTreeMap<Timestamp, Vec<&'t Told>>,
    /// What was told last, by key.
    last_told: BTreeMap<&'t str, (Timestamp, &'t Told)>,
    /// What the fold has said last, and when something changed that is to be told.
    said: BTreeMap<String, Used>,
    changed: BTreeMap<String, Timestamp>,
    compared: u64,
    wrong: Vec<String>,
}

impl<'t> Audit<'t> {
    /// `every` is how often ledgers tell what is used.
    pub fn new(told: impl IntoIterator<Item = &'t Told>, writers: &Writers, every: Millis) -> Self {
        let (mut left, mut last_told): (BTreeMap<_, Vec<_>>, _) = (BTreeMap::new(), BTreeMap::new());
        for told in told {
            let row = writers.read::<records::Usage<'_>>(&told.value).expect("a row of ours");
            let as_of = Timestamp::from_millis(row.as_of).expect("an instant");
            left.entry(as_of).or_default().push(told);
            last_told.insert(told.key.as_str(), (as_of, told));
        }
        let (said, changed) = (BTreeMap::new(), BTreeMap::new());
        Self { every, left, last_told, said, changed, compared: 0, wrong: Vec::new() }
    }

    /// Before time moves to an instant. Lets the ledger tell what is used then, if somebody has.
    pub fn before(&self, engine: &mut Engine<Memory>, now: Timestamp) {
        engine.tell_usage_every(if self.left.contains_key(&now) { Millis::ZERO } else { NEVER });
    }

    /// Takes note of what the ledger of the fold tells after time has moved.
    pub fn says(&mut self, used: Used) {
        self.said.insert(used_key(&used.scope), used);
    }

    /// A line of a scope was booked.
    pub fn booked(&mut self, key: String, now: Timestamp) {
        self.changed.insert(key, now);
    }

    /// After time has moved to an instant: looks for what was told as of then. `known` tells limits, and `write` makes the
    /// record.
    pub fn after(&mut self, now: Timestamp, known: &Reference, write: impl Fn(&Used) -> Vec<u8>) {
        if let Some(left) = self.left.get_mut(&now) {
            let before = left.len();
            left.retain(|told| {
                // What has not changed is not said again, and the limit may be another one since. Where nobody counts, it
                // decides whether nobody is what is told.
                let said = self.said.get(&told.key).map(|used| {
                    let limit = known.messaging_limit(&used.scope, now);
                    let nobody = limit.and_then(MessagingLimit::people).map(|_| 0);
                    Used {
                        as_of: now,
                        limit,
                        people: used.people.filter(|people| *people > 0).or(nobody),
                        ..used.clone()
                    }
                });
                said.is_none_or(|used| write(&used) != told.value)
            });
            self.compared += (before - left.len()) as u64;
            if left.is_empty() {
                self.left.remove(&now);
            }
        }
        self.give_up(Some(now));
    }

    /// What was told as of instants before one can be nothing any more that the fold says.
    fn give_up(&mut self, before: Option<Timestamp>) {
        let later = before.map_or_else(BTreeMap::new, |now| self.left.split_off(&now));
        for (_, told) in std::mem::replace(&mut self.left, later) {
            self.wrong.extend(told.into_iter().map(|told| {
                let Told { partition, offset, key, .. } = told;
                format!(
                    "wa.usage, partition {partition}, offset {offset}: what `{key}` has used is not what the fold says"
                )
            }));
        }
    }

    /// How many records were compared; what is wrong about them, and about what was not told. The engine stands at the end of
    /// its input.
    pub fn end(mut self, engine: &mut Engine<Memory>, writers: &Writers) -> (u64, Vec<String>) {
        let Some(now) = engine.partition_time() else {
            return (0, self.left.values().map(|told| format!("{told:?} follows from nothing")).collect());
        };
        self.give_up(None);
        engine.tell_usage_every(Millis::ZERO);
        engine.advance(now, 0, &mut Vec::new()).map(drop).expect("memory");
        for posted in engine.take_posted() {
            if let Posted::Used(used) = posted {
                self.says(*used);
            }
        }
        let is_old = |at: Timestamp| at + self.every <= now;
        for (key, at) in &self.changed {
            // What was free alone leaves nothing to tell.
            let used = self.said.get(key).is_some_and(|used| !used.tiers.is_empty() || !used.spend.is_empty());
            if used && !self.last_told.contains_key(key.as_str()) && is_old(*at) {
                self.wrong.push(format!("wa.usage: nothing is told of `{key}`"));
            }
        }
        for (key, (as_of, told)) in &self.last_told {
            let row = writers.read::<records::Usage<'_>>(&told.value).expect("a row of ours");
            if row.unique_users.is_some_and(|people| people > 0) && is_old(*as_of) {
                self.wrong.push(format!("wa.usage: while people counted, `{key}` was not told any more"));
            }
            let (Some(used), Some(changed)) = (self.said.get(*key), self.changed.get(*key)) else {
                continue;
            };
            let messages: u64 = used.tiers.iter().map(|tier| tier.messages).sum();
            let told: i64 = row.tiers.iter().map(|tier| tier.messages).sum();
            if is_old(*changed) && i64::try_from(messages) != Ok(told) {
                self.wrong.push(format!("wa.usage: of `{key}` {told} messages are told, and there are {messages}"));
            }
        }
        (self.compared, self.wrong)
    }
}
