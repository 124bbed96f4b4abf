//! What a log of records is to a worker: partitions, positions, and one transaction at a time. Only std.
//!
//! [`Log`] is the seam between the worker and the world. Behind it is Kafka, or the broker of the simulation,
//! which forgets, delays, repeats and fences as it likes. All calls block, and all belong to one thread.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// A partition of a topic. Topics that are read together have the same number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

/// The offset of the next record to read: one more than that of the last one read, and more still where
/// markers and aborted records lie between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(i64);

impl NextOffset {
    /// The beginning of a partition.
    pub const START: Self = Self(0);

    /// The position before the record of an offset; nothing where that is no offset.
    #[must_use]
    pub fn at(offset: i64) -> Option<Self> {
        (offset >= 0).then_some(Self(offset))
    }

    /// The position behind the record of an offset.
    #[must_use]
    pub const fn after(offset: i64) -> Self {
        Self(offset + 1)
    }

    /// As the log counts.
    #[must_use]
    pub const fn offset(self) -> i64 {
        self.0
    }
}

/// A position that the group has committed, or is to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Where whoever reads the slot goes on.
    pub next: NextOffset,
    /// The number that the partition's transaction with this position has in its commit record. Positions may stay
    /// where they are from one transaction to the next; the number never does, so that it tells which of two
    /// transactions was the last. Nothing where somebody else has set the position, or a version without numbers.
    pub number: Option<u64>,
}

impl From<NextOffset> for Committed {
    /// A position of nobody's transaction.
    fn from(next: NextOffset) -> Self {
        Self { next, number: None }
    }
}

/// A topic, by what it is for. Which name it has is the deployment's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// One of the topics with events, by its place in the configuration.
    Input(u8),
    /// The conversation stage's charges, which the ledger stage prices.
    Charges,
    /// `wa.verdicts`
    Verdicts,
    /// `wa.billing`
    Billing,
    /// `wa.windows`
    Windows,
    /// `wa.window-state`
    WindowState,
    /// `wa.outcomes`
    Outcomes,
    /// `wa.dead-letters`
    DeadLetters,
    /// `wa.usage`: written by ledgers, and read back by all.
    Usage,
    /// The changelog of numbers, contacts and their names; it also holds the commit records.
    Contacts,
    /// The changelog of messages and asks.
    Messages,
    /// `wa.accounts`
    Accounts,
    /// `wa.templates`
    Templates,
    /// `wa.forecasts`, where campaign questions are answered.
    Forecasts,
    /// `wa.forecast-answers`
    ForecastAnswers,
}

impl Topic {
    /// Every topic that a worker writes with keys of its own choice of partition, besides the answers to questions where
    /// there are any.
    pub const WRITTEN: [Self; 10] = [
        Self::Charges,
        Self::Verdicts,
        Self::Billing,
        Self::Windows,
        Self::WindowState,
        Self::Outcomes,
        Self::DeadLetters,
        Self::Usage,
        Self::Contacts,
        Self::Messages,
    ];

    /// Whether workers read it as their input.
    #[must_use]
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Input(_) | Self::Charges | Self::Forecasts)
    }
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The topic.
    pub topic: Topic,
    /// The partition.
    pub partition: Partition,
}

/// Where a record lies among the [`Records`] it came with, and in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where it was read.
    pub slot: Slot,
    /// At which offset.
    pub offset: i64,
    /// When the log took it, in milliseconds since the epoch.
    pub appended_at: i64,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// Records that came together. Their bytes lie in one piece, and its room is used again.
#[derive(Debug, Default)]
pub struct Records {
    heads: Vec<Head>,
    bytes: Vec<u8>,
}

impl Records {
    /// Forgets all records, and keeps their room.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.bytes.clear();
    }

    /// Adds a record.
    pub fn push(&mut self, slot: Slot, offset: i64, appended_at: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        let bytes = &mut self.bytes;
        let mut keep = |part: &[u8]| {
            let start = bytes.len();
            bytes.extend_from_slice(part);
            start..bytes.len()
        };
        let (key, value) = (key.map(&mut keep), value.map(&mut keep));
        self.heads.push(Head { slot, offset, appended_at, key, value });
    }

    /// The records, in the order in which they came.
    #[must_use]
    pub fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// The key of a record.
    #[must_use]
    pub fn key(&self, head: &Head) -> Option<&[u8]> {
        head.key.clone().and_then(|range| self.bytes.get(range))
    }

    /// The value of a record.
    #[must_use]
    pub fn value(&self, head: &Head) -> Option<&[u8]> {
        head.value.clone().and_then(|range| self.bytes.get(range))
    }
}

/// What a poll found besides records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing but records, or nothing at all.
    Records,
    /// These slots are the worker's now, and nobody else's. Answer with [`Log::assign`].
    Assigned(Vec<Slot>),
    /// These slots are about to be taken: finish what is open, then answer with [`Log::unassign`].
    Revoked(Vec<Slot>),
    /// These slots are somebody else's already: what is open is void. Answer with [`Log::unassign`].
    Lost(Vec<Slot>),
}

/// What is known of a slot without asking anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The position behind the last record the log has taken, as of the last answer of whoever holds it.
    pub end: Option<NextOffset>,
    /// The position at which reading last came to the end; markers and aborted records lie before it.
    pub reached: Option<NextOffset>,
}

/// Why the log did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing happened, and the same call may succeed later.
    Busy(String),
    /// The transaction cannot be committed: abort it, go back to the committed positions and fold again.
    Abort(String),
    /// Nothing is known of the open transaction any more, or the producer is fenced: make a new one with
    /// [`Log::recycle`] and ask the committed positions what became of it.
    Recycle(String),
    /// The log does not hold what it must; going on would lose money.
    Halt(String),
}

/// What a worker does about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The same again, a little later.
    Retry,
    /// Abort, rewind, fold again.
    Abort,
    /// A new producer, then whatever the committed positions say.
    Recycle,
    /// Stop, and say so loudly.
    Halt,
}

impl Failure {
    /// What to do about it. Exhaustive on purpose: a new failure does not compile until someone decides.
    #[must_use]
    pub const fn reaction(&self) -> Reaction {
        match self {
            Self::Busy(_) => Reaction::Retry,
            Self::Abort(_) => Reaction::Abort,
            Self::Recycle(_) => Reaction::Recycle,
            Self::Halt(_) => Reaction::Halt,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Busy(why) | Self::Abort(why) | Self::Recycle(why) | Self::Halt(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for Failure {}

/// The most records that a poll brings at once. Fewer say that no more were there.
pub const TOGETHER: usize = 1_000;

/// A log, as one worker sees it: what it reads as member of a group, and a producer whose transactions hold
/// outputs, changelogs and input positions together.
///
/// In a transaction the calls come in this order: [`Log::begin`], [`Log::produce`] any number of times,
/// [`Log::drain`], [`Log::send_offsets`], [`Log::commit`]. Until [`Log::commit`] says that it is, nothing is.
pub trait Log {
    /// Reads partitions outside the group, from given positions to their end.
    type Reader: Reader;

    /// How long the log has been open, by a clock that only goes forward. Decides when a transaction is
    /// closed, and nothing that is published.
    fn now(&self) -> Duration;

    /// The wall clock, in milliseconds since the epoch: when a state was last written, and the stamp of
    /// heartbeats.
    fn wall(&self) -> i64;

    /// Waits up to `wait` for records of the slots that are read, or for a change of the
    /// assignment. Records are added to `records`; a change of the assignment comes with none.
    ///
    /// # Errors
    /// [`Failure::Halt`] where a position is outside of what the log holds.
    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<Found, Failure>;

    /// Reads these slots, from these positions, and no others. Records that were on their way from what was
    /// read before never come.
    ///
    /// # Errors
    /// If the group has changed meanwhile.
    fn assign(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure>;

    /// Reads these slots no more, and the others on where they are. What was on its way of them may still come.
    ///
    /// # Errors
    /// If the group has changed meanwhile.
    fn pause(&mut self, slots: &[Slot]) -> Result<(), Failure>;

    /// Reads these slots too, from these positions, and the others on where they are. They were assigned, and are
    /// not being read. Records that were on their way from what was read of them before never come.
    ///
    /// # Errors
    /// If the group has changed meanwhile.
    fn resume(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure>;

    /// Reads nothing any more, and lets the group go on.
    ///
    /// # Errors
    /// If the group has changed meanwhile.
    fn unassign(&mut self) -> Result<(), Failure>;

    /// The group's committed positions. Waits for transactions that are about to change them.
    ///
    /// # Errors
    /// [`Failure::Busy`] while such a transaction stays open.
    fn committed(&mut self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Failure>;

    /// The position of the first record that the log still holds.
    ///
    /// # Errors
    /// If it cannot be learned now.
    fn start(&mut self, slot: Slot) -> Result<NextOffset, Failure>;

    /// The position behind the last record that no open transaction precedes: the last stable offset.
    ///
    /// # Errors
    /// If it cannot be learned now.
    fn end(&mut self, slot: Slot) -> Result<NextOffset, Failure>;

    /// What is known of a slot that is read, without asking. A log may know nothing: then lags are not shown, and an
    /// input that ends in markers keeps those it is merged with waiting until it is passed over.
    fn glance(&self, _slot: Slot) -> Glance {
        Glance::default()
    }

    /// A reader of partitions outside the group, from these positions; it sees committed records only.
    ///
    /// # Errors
    /// If it cannot be made.
    fn reader(&mut self, from: &[(Slot, NextOffset)]) -> Result<Self::Reader, Failure>;

    /// Makes a producer with the worker's own transactional id, whether or not there was one. When this
    /// returns, every transaction of its predecessors has ended, and none of their delayed requests can
    /// have an effect any more.
    ///
    /// # Errors
    /// If that cannot be done now.
    fn recycle(&mut self) -> Result<(), Failure>;

    /// Why the producer must be recycled before the next transaction, if it must: something was answered
    /// late or not at all, so that a request of it may still be under way.
    fn tainted(&self) -> Option<&'static str>;

    /// Begins a transaction.
    ///
    /// # Errors
    /// If the producer cannot.
    fn begin(&mut self) -> Result<(), Failure>;

    /// Adds a record to the transaction. A record without a value deletes its key where the topic is
    /// compacted.
    ///
    /// # Errors
    /// If the producer cannot.
    fn produce(&mut self, slot: Slot, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure>;

    /// Adds a record with headers to the transaction, where the log has such.
    ///
    /// # Errors
    /// If the producer cannot.
    fn produce_with(
        &mut self,
        slot: Slot,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&'static str, String)],
    ) -> Result<(), Failure> {
        let _ = headers;
        self.produce(slot, key, value)
    }

    /// Waits until every record of the transaction is in the log.
    ///
    /// # Errors
    /// If one cannot be.
    fn drain(&mut self) -> Result<(), Failure>;

    /// Adds input positions to the transaction, as the present member of the group.
    ///
    /// # Errors
    /// [`Failure::Abort`] where the worker is no member any more.
    fn send_offsets(&mut self, positions: &[(Slot, Committed)]) -> Result<(), Failure>;

    /// Commits the transaction.
    ///
    /// # Errors
    /// [`Failure::Recycle`] where it is not known whether it was.
    fn commit(&mut self) -> Result<(), Failure>;

    /// Aborts the transaction.
    ///
    /// # Errors
    /// [`Failure::Recycle`] where it is not known whether it was.
    fn abort(&mut self) -> Result<(), Failure>;
}

/// Reads partitions outside the group.
pub trait Reader {
    /// Waits up to `wait` for records, and adds them to `records`.
    ///
    /// # Errors
    /// [`Failure::Halt`] where a position is outside of what the log holds.
    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<(), Failure>;

    /// How far a slot has been read: behind the last record, or behind the markers that follow it. What is
    /// read is done when this reaches the end, not when the last record was seen.
    fn position(&self, slot: Slot) -> NextOffset;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_keys_and_values_apart() {
        let slot = Slot { topic: Topic::Input(0), partition: Partition(3) };
        let mut records = Records::default();
        records.push(slot, 7, 1_000, Some(b"key"), Some(b"value"));
        records.push(slot, 9, 1_001, None, None);
        let [first, second] = records.heads() else { panic!("two records") };
        assert_eq!((records.key(first), records.value(first)), (Some(&b"key"[..]), Some(&b"value"[..])));
        assert_eq!((records.key(second), records.value(second)), (None, None));
        assert_eq!((second.offset, second.appended_at), (9, 1_001));
    }
}
