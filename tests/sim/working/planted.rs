//! Faults planted around the worker, to see that the simulation finds them: what the log, its reader or the disk
//! does is not what they say. The worker itself is the one that ships.

use std::collections::BTreeMap;
use std::time::Duration;

use tollgate::codec::state::ledger;
use tollgate::domain::time::Timestamp;
use tollgate::store::{self, Batch, Store, keys};
use tollgate::stream::{Committed, Failure, Found, Glance, Log, NextOffset, Partition, Reader, Records, Slot, Topic};
use tollgate::worker::{Disk, SWEPT};

use super::Course;
use crate::broker::partition::Pair;
use crate::disk::{Disks, SimDisk};
use crate::log::{SimLog, SimReader};
use crate::world::Handle;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    Nothing,
    /// A producer whose requests may still be under way is never recycled: KAFKA-17754.
    TaintIgnored,
    /// What is written to sweep away what a broker has forgotten is lost.
    NothingSwept,
    /// Committed positions are one too far.
    OffsetsAhead,
    /// Committed positions are one too few.
    OffsetsBehind,
    /// Positions are not part of the transaction.
    OffsetsNotSent,
    /// Positions of a member that is none any more are taken.
    StaleGeneration,
    /// A commit is reported, and was an abort.
    CommitNotSent,
    /// An abort is reported, and was a commit.
    AbortCommits,
    /// Reading goes on where it was, and not where it is told to.
    RewindIgnored,
    /// Committed positions are told while a transaction is about to change them.
    UnstablePositions,
    /// Where nothing was committed, the beginning is told.
    MissingIsStart,
    /// A record that is read is lost on the way.
    ReadLoses,
    /// What is not committed is restored too.
    ReaderSeesUncommitted,
    /// The last record of a changelog is not restored.
    ReaderStopsEarly,
    /// The reader stands behind the last record, and not behind the markers that follow it.
    ReaderStandsAtRecord,
    /// A row of a changelog is lost on the way.
    ChangelogLoses,
    /// The record that ends a transaction in its changelog is lost on the way.
    CommitRecordLost,
    /// An output is written twice.
    OutputTwice,
    /// An output is written outside of the transaction.
    OutputOutside,
    /// The store is written before the transaction is committed.
    DirtyStore,
    /// The store does not keep the position that belongs to its rows.
    StoreLosesPosition,
    /// The store keeps the position, and not all of its rows.
    StoreLosesRows,
    /// A disk that is full says that it has written.
    FullUnsaid,
    /// The end of a changelog is told too far while a transaction is closed: what comes next is taken for what the
    /// store has. As far as transactions that are open would do no harm: what the worker's own holds goes to the
    /// store with its position, and nobody else's can be committed.
    EndAhead,
    /// What verdicts are told of limits and budgets is newer than the commit record says.
    UsageReadAhead,
    /// The messages of a half-hour count twice once they are restored.
    HalfHourTwice,
    /// Discounts of a transaction that was aborted are published with the next one too.
    DiscountAgain,
    /// Committed positions do not tell of which transaction they are.
    NumbersForgotten,
    /// The group has lost its positions of the charges.
    ChargesMissing,
    /// The group's positions of the charges are missing from some answers.
    ChargesMissNowAndThen,
}

impl Plant {
    /// Those that must be found. A worker can live with what is left.
    pub const ALL: [Self; 28] = [
        Self::TaintIgnored,
        Self::NothingSwept,
        Self::OffsetsAhead,
        Self::OffsetsBehind,
        Self::OffsetsNotSent,
        Self::StaleGeneration,
        Self::CommitNotSent,
        Self::AbortCommits,
        Self::RewindIgnored,
        Self::ReadLoses,
        Self::ReaderSeesUncommitted,
        Self::ReaderStopsEarly,
        Self::ReaderStandsAtRecord,
        Self::ChangelogLoses,
        Self::CommitRecordLost,
        Self::OutputTwice,
        Self::OutputOutside,
        Self::DirtyStore,
        Self::StoreLosesPosition,
        Self::StoreLosesRows,
        Self::FullUnsaid,
        Self::EndAhead,
        Self::MissingIsStart,
        Self::UnstablePositions,
        Self::NumbersForgotten,
        Self::UsageReadAhead,
        Self::HalfHourTwice,
        Self::DiscountAgain,
    ];

    /// The seed of a run that has met it, to begin with: a few faults take a coincidence that one run in some hundreds has, and
    /// looking for that takes minutes. Runs become others when the worker does; then it is looked for, and a new seed belongs here.
    pub const fn met_by(self) -> u64 {
        match self {
            Self::TaintIgnored => 628,
            Self::FullUnsaid => 162,
            Self::NumbersForgotten => 1_343,
            _ => 0,
        }
    }

    /// Where it shows.
    pub const fn course(self) -> Course {
        match self {
            Self::UnstablePositions | Self::NumbersForgotten => Course::Deadlines,
            Self::NothingSwept => Course::Forgetful,
            _ => Course::Usual,
        }
    }
}

/// A log and disks with a fault.
pub fn around(log: SimLog, disks: Disks, plant: Plant) -> (WrongLog, WrongDisks) {
    let (read, told, discounts) = (BTreeMap::new(), Records::default(), Discounts::default());
    let log = WrongLog { log, plant, read, told, closes: false, discounts };
    (log, WrongDisks { disks, plant })
}

/// A log with a fault.
pub struct WrongLog {
    log: SimLog,
    plant: Plant,
    /// How far each slot has been read, by the records that were given.
    read: BTreeMap<Slot, NextOffset>,
    told: Records,
    /// Whether everything of the open transaction is in the log.
    closes: bool,
    discounts: Discounts,
}

/// Lines of discount: those of the open transaction, and those of one that was aborted before it.
#[derive(Default)]
struct Discounts {
    open: Vec<(Slot, Pair)>,
    aborted: Vec<(Slot, Pair)>,
}

/// Whether something that happens now and then happens now: one time in `of`.
fn sometimes(handle: &Handle, of: u64) -> bool {
    handle.shared.lock().random.below(of) == 0
}

impl WrongLog {
    fn is(&self, plant: Plant, of: u64) -> bool {
        self.plant == plant && sometimes(self.log.handle(), of)
    }
}

impl Log for WrongLog {
    type Reader = WrongReader;

    fn now(&self) -> Duration {
        self.log.now()
    }

    fn wall(&self) -> i64 {
        self.log.wall()
    }

    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<Found, Failure> {
        self.told.clear();
        let found = self.log.poll(wait, &mut self.told)?;
        for head in self.told.heads() {
            if self.plant == Plant::ReadLoses && sometimes(self.log.handle(), 100) {
                continue;
            }
            self.read.insert(head.slot, NextOffset::after(head.offset));
            let (key, value) = (self.told.key(head), self.told.value(head));
            records.push(head.slot, head.offset, head.appended_at, key, value);
        }
        Ok(found)
    }

    fn assign(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        if self.plant != Plant::RewindIgnored {
            return self.log.assign(slots);
        }
        let onward = |(slot, next): &(Slot, NextOffset)| (*slot, self.read.get(slot).map_or(*next, |at| *next.max(at)));
        let slots: Vec<_> = slots.iter().map(onward).collect();
        self.log.assign(&slots)
    }

    fn pause(&mut self, slots: &[Slot]) -> Result<(), Failure> {
        self.log.pause(slots)
    }

    fn resume(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        self.log.resume(slots)
    }

    fn glance(&self, slot: Slot) -> Glance {
        self.log.glance(slot)
    }

    fn unassign(&mut self) -> Result<(), Failure> {
        self.read.clear();
        self.log.unassign()
    }

    fn committed(&mut self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Failure> {
        if self.plant == Plant::UnstablePositions {
            let world = self.log.handle().shared.lock();
            return Ok(slots.iter().map(|slot| world.broker.group.told(*slot)).collect());
        }
        let committed = self.log.committed(slots)?;
        if self.plant == Plant::MissingIsStart {
            return Ok(committed.into_iter().map(|next| next.or(Some(NextOffset::START.into()))).collect());
        }
        if self.plant == Plant::NumbersForgotten {
            return Ok(committed.into_iter().map(|told| told.map(|told| told.next.into())).collect());
        }
        let missing = self.plant == Plant::ChargesMissing || self.is(Plant::ChargesMissNowAndThen, 2);
        let told = slots.iter().zip(committed);
        Ok(told.map(|(slot, told)| told.filter(|_| !missing || slot.topic != Topic::Charges)).collect())
    }

    fn start(&mut self, slot: Slot) -> Result<NextOffset, Failure> {
        self.log.start(slot)
    }

    fn end(&mut self, slot: Slot) -> Result<NextOffset, Failure> {
        let end = self.log.end(slot)?;
        if self.plant != Plant::EndAhead || !self.closes {
            return Ok(end);
        }
        // Behind the transaction's own marker, and the first records of the next one.
        let furthest = self.log.handle().shared.lock().broker.log(slot).end();
        Ok(NextOffset::at(furthest + 4).unwrap_or(end))
    }

    fn reader(&mut self, from: &[(Slot, NextOffset)]) -> Result<WrongReader, Failure> {
        let (reader, handle) = (self.log.reader(from)?, self.log.handle().clone());
        let read = from.iter().copied().collect();
        Ok(WrongReader { reader, handle, plant: self.plant, read, told: Records::default() })
    }

    fn recycle(&mut self) -> Result<(), Failure> {
        self.log.recycle()
    }

    fn tainted(&self) -> Option<&'static str> {
        self.log.tainted().filter(|_| self.plant != Plant::TaintIgnored)
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.closes = false;
        self.discounts.open.clear();
        self.log.begin()
    }

    fn produce(&mut self, slot: Slot, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        if self.plant == Plant::NothingSwept && key == Some(SWEPT) {
            return Ok(());
        }
        let ends = key == Some(keys::meta());
        let is_row = matches!(slot.topic, Topic::Contacts | Topic::Messages) && !ends;
        let is_output = matches!(slot.topic, Topic::Verdicts | Topic::Windows | Topic::Billing | Topic::Charges);
        if is_row && self.is(Plant::ChangelogLoses, 20) {
            return Ok(());
        }
        if slot.topic == Topic::Contacts && ends && self.is(Plant::CommitRecordLost, 10) {
            return Ok(());
        }
        if is_output && self.is(Plant::OutputTwice, 50) {
            self.log.produce(slot, key, value)?;
        }
        let pair = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        if is_output && self.is(Plant::OutputOutside, 10) {
            let now = self.log.wall();
            self.log.handle().shared.lock().broker.log_mut(slot).append(now, pair);
            return Ok(());
        }
        if is_row && self.plant == Plant::DirtyStore {
            let place = (self.log.handle().process, slot.partition);
            let mut world = self.log.handle().shared.lock();
            if let (Some(disk), (Some(key), value)) = (world.disks.get_mut(&place), pair) {
                disk.commit(vec![(key, value)]);
            }
        }
        if self.plant == Plant::DiscountAgain && is_discount(slot, value) {
            self.discounts.open.push((slot, (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))));
        }
        self.log.produce(slot, key, value)
    }

    fn drain(&mut self) -> Result<(), Failure> {
        self.closes = true;
        for (slot, (key, value)) in std::mem::take(&mut self.discounts.aborted) {
            self.log.produce(slot, key.as_deref(), value.as_deref())?;
        }
        self.log.drain()
    }

    fn send_offsets(&mut self, positions: &[(Slot, Committed)]) -> Result<(), Failure> {
        let by = match self.plant {
            Plant::OffsetsAhead => 1,
            Plant::OffsetsBehind => -1,
            Plant::OffsetsNotSent => return Ok(()),
            Plant::StaleGeneration => {
                self.log.handle().shared.lock().broker.group.takes_anything();
                0
            }
            _ => 0,
        };
        let moved = |(slot, committed): &(Slot, Committed)| {
            let next = NextOffset::at(committed.next.offset() + by).unwrap_or(committed.next);
            (*slot, Committed { next, ..*committed })
        };
        let positions: Vec<_> = positions.iter().map(moved).collect();
        self.log.send_offsets(&positions)
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if self.is(Plant::CommitNotSent, 10) { self.log.abort() } else { self.log.commit() }
    }

    fn abort(&mut self) -> Result<(), Failure> {
        if self.plant == Plant::AbortCommits && self.log.commit().is_ok() {
            return Ok(());
        }
        self.discounts.aborted.append(&mut self.discounts.open);
        self.log.abort()
    }
}

/// Whether a line of the ledger is one of discount.
fn is_discount(slot: Slot, value: Option<&[u8]>) -> bool {
    const NAME: &[u8] = b"DISCOUNT";
    slot.topic == Topic::Billing && value.is_some_and(|value| value.windows(NAME.len()).any(|part| part == NAME))
}

/// A half-hour with twice as many messages.
fn doubled(row: &[u8]) -> Vec<u8> {
    let shares = ledger::read_half_hour(row).expect("a row of ours");
    let twice: Vec<_> = shares.iter().map(|(share, messages)| (share, messages * 2)).collect();
    let mut row = Vec::new();
    ledger::write_half_hour(&twice, &mut row);
    row
}

/// A reader with a fault.
pub struct WrongReader {
    reader: SimReader,
    handle: Handle,
    plant: Plant,
    /// How far each slot has been read, by the records that were given.
    read: BTreeMap<Slot, NextOffset>,
    told: Records,
}

impl Reader for WrongReader {
    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<(), Failure> {
        self.told.clear();
        let from: Vec<_> = self.read.keys().map(|slot| (*slot, self.reader.position(*slot))).collect();
        self.reader.poll(wait, &mut self.told)?;
        for head in self.told.heads() {
            let world = self.handle.shared.lock();
            let stable = world.broker.log(head.slot).visible().map(|(record, _)| record.offset).last();
            drop(world);
            if self.plant == Plant::ReaderStopsEarly && stable == Some(head.offset) {
                continue;
            }
            self.read.insert(head.slot, NextOffset::after(head.offset));
            let (key, value) = (self.told.key(head), self.told.value(head));
            let is_half_hour = key.is_some_and(|key| key.first() == Some(&keys::HALF_HOUR));
            let twice = value.filter(|_| is_half_hour && self.plant == Plant::HalfHourTwice).map(doubled);
            records.push(head.slot, head.offset, head.appended_at, key, twice.as_deref().or(value));
        }
        if self.plant == Plant::ReaderSeesUncommitted {
            for (slot, from) in from {
                let world = self.handle.shared.lock();
                let until = self.reader.position(slot).offset().max(world.broker.log(slot).stable());
                for record in world.broker.log(slot).from(from.offset()) {
                    if record.visible().is_none()
                        && (record.offset < self.reader.position(slot).offset() || record.offset >= until)
                        && let crate::broker::partition::Body::Data((key, value)) = &record.body
                    {
                        records.push(slot, record.offset, record.appended_at, key.as_deref(), value.as_deref());
                    }
                }
            }
        }
        Ok(())
    }

    fn position(&self, slot: Slot) -> NextOffset {
        if self.plant == Plant::ReaderStandsAtRecord {
            return self.read.get(&slot).copied().unwrap_or(NextOffset::START);
        }
        self.reader.position(slot)
    }
}

/// Disks with a fault.
pub struct WrongDisks {
    disks: Disks,
    plant: Plant,
}

impl Disk for WrongDisks {
    type Store = WrongStore;

    fn open(&mut self, partition: Partition) -> Result<WrongStore, store::Error> {
        Ok(WrongStore { disk: self.disks.open(partition)?, plant: self.plant, written: 0 })
    }

    fn discard(&mut self, partition: Partition) -> Result<(), store::Error> {
        self.disks.discard(partition)
    }
}

/// A store with a fault.
pub struct WrongStore {
    disk: SimDisk,
    plant: Plant,
    written: usize,
}

impl Store for WrongStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, store::Error> {
        self.disk.get(key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, store::Error> {
        self.disk.scan(prefix, from, limit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), store::Error> {
        let mut kept = Batch::default();
        for (key, value) in batch.changes() {
            self.written += 1;
            let is_position = key == keys::meta();
            let lost = match self.plant {
                Plant::StoreLosesPosition => is_position && self.written > 1,
                Plant::StoreLosesRows => !is_position && self.written.is_multiple_of(20),
                _ => false,
            };
            match value {
                _ if lost => {}
                Some(value) => kept.put(key, value),
                None => kept.delete(key),
            }
        }
        match self.disk.commit(kept) {
            Err(store::Error::Full(_)) if self.plant == Plant::FullUnsaid => Ok(()),
            written => written,
        }
    }

    fn time_is(&self, partition_time: Timestamp) {
        self.disk.time_is(partition_time);
    }
}
