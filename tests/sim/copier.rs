//! The smallest honest worker: copies every record of its inputs and commits outputs and positions together.
//! It shows how failures are to be dealt with, and holds the simulation to account; and each [`Mistake`] is a
//! way to get it wrong that the simulation must find.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tollgate::store::{Batch, Store};
use tollgate::stream::{Failure, Found, Log, NextOffset, Partition, Reaction, Reader, Records, Slot, Topic};

use crate::disk::{Disks, SimDisk};
use crate::log::SimLog;
use crate::world::{Ended, Machine};

/// Where copies go.
pub const COPIES: Topic = Topic::Verdicts;

const INTERVAL: Duration = Duration::from_millis(100);
const MOST_RECORDS: usize = 40;

/// How a worker can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    None,
    /// Goes on with a producer whose requests may still be under way.
    IgnoresTaint,
    /// Commits the offset of the last record instead of the one behind it.
    CommitsLast,
    /// Commits one offset too few even for that.
    CommitsBeforeLast,
    /// Aborts, and reads on.
    DoesNotRewind,
    /// Commits outputs without positions.
    SkipsOffsets,
    /// Commits positions of slots that it has had, too.
    CommitsUnassigned,
    /// Takes a commit of unknown outcome for done.
    AssumesCommitted,
    /// Takes a commit of unknown outcome for not done.
    AssumesAborted,
    /// Reads from the beginning wherever it is sent.
    StartsOver,
    /// Writes to its disk what is not committed yet.
    DiskFirst,
}

impl Mistake {
    pub const ALL: [Self; 10] = [
        Self::IgnoresTaint,
        Self::CommitsLast,
        Self::CommitsBeforeLast,
        Self::DoesNotRewind,
        Self::SkipsOffsets,
        Self::CommitsUnassigned,
        Self::AssumesCommitted,
        Self::AssumesAborted,
        Self::StartsOver,
        Self::DiskFirst,
    ];
}

/// How far a slot has been copied, and how far that is committed.
#[derive(Clone, Copy)]
struct Place {
    next: NextOffset,
    committed: NextOffset,
}

struct Copier {
    log: SimLog,
    disks: Disks,
    mistake: Mistake,
    places: BTreeMap<Slot, Place>,
    had: BTreeMap<Slot, NextOffset>,
    stores: BTreeMap<Partition, SimDisk>,
    /// Slots that have been given and are not read yet.
    given: Option<Vec<Slot>>,
    /// Since when a transaction is open.
    open: Option<Duration>,
    copied: usize,
    records: Records,
}

/// Copies until it is asked to stop.
pub fn run(machine: Machine, mistake: Mistake) -> Ended {
    let Machine { log, disks, signals } = machine;
    let mut copier = Copier {
        log,
        disks,
        mistake,
        places: BTreeMap::new(),
        had: BTreeMap::new(),
        stores: BTreeMap::new(),
        given: None,
        open: None,
        copied: 0,
        records: Records::default(),
    };
    let mut lived = copier.recycle();
    while lived.is_ok() && !signals.asked_to_stop() {
        lived = copier.turn();
    }
    match lived.and_then(|()| copier.give_up()) {
        Ok(()) => Ended::Stopped,
        Err(failure) => Ended::Halted(failure.to_string()),
    }
}

/// The same call until the log is not busy any more.
fn patiently<T>(mut call: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    loop {
        match call() {
            Err(failure) if failure.reaction() == Reaction::Retry => {}
            done => return done,
        }
    }
}

/// Where the disk keeps the position of a slot.
pub fn row(topic: Topic) -> Vec<u8> {
    format!("{topic:?}").into_bytes()
}

impl Copier {
    fn turn(&mut self) -> Result<(), Failure> {
        let done = self.step();
        self.deal_with(done)
    }

    fn deal_with(&mut self, done: Result<(), Failure>) -> Result<(), Failure> {
        match done {
            Ok(()) => Ok(()),
            Err(failure) => match failure.reaction() {
                Reaction::Retry => Ok(()),
                Reaction::Abort => self.roll_back(),
                Reaction::Recycle => self.recover(),
                Reaction::Halt => Err(failure),
            },
        }
    }

    fn step(&mut self) -> Result<(), Failure> {
        if let Some(given) = self.given.take() {
            self.given = self.start(&given)?.then_some(given);
        }
        self.records.clear();
        match self.log.poll(INTERVAL, &mut self.records)? {
            Found::Records => self.copy()?,
            Found::Assigned(slots) => self.given = Some(slots),
            Found::Revoked(_) => return self.give_up(),
            Found::Lost(_) => return self.let_go(),
        }
        match self.open {
            Some(since) if self.copied >= MOST_RECORDS || self.log.now() >= since + INTERVAL => self.commit(),
            _ => Ok(()),
        }
    }

    /// Begins to read slots. Whether it has to be tried again.
    fn start(&mut self, slots: &[Slot]) -> Result<bool, Failure> {
        let committed = match self.log.committed(slots) {
            Err(Failure::Busy(_)) => return Ok(true),
            committed => committed?,
        };
        let mut from = Vec::with_capacity(slots.len());
        for (slot, committed) in slots.iter().zip(committed) {
            let next = match (self.mistake, committed) {
                (Mistake::StartsOver, _) => NextOffset::START,
                (_, Some(committed)) => committed.next,
                (_, None) => patiently(|| self.log.start(*slot))?,
            };
            from.push((*slot, next));
        }
        for (slot, next) in &from {
            if !self.stores.contains_key(&slot.partition) {
                let store = self.disks.open(slot.partition).map_err(|error| Failure::Halt(error.to_string()))?;
                self.stores.insert(slot.partition, store);
            }
            let row = self.stores[&slot.partition].get(&row(slot.topic)).ok().flatten();
            let looks = matches!(self.mistake, Mistake::None | Mistake::DiskFirst);
            if looks && row.is_some_and(|row| row > next.offset().to_be_bytes().to_vec()) {
                return Err(Failure::Halt("the disk is ahead of what is committed".to_owned()));
            }
        }
        self.places = from.iter().map(|(slot, next)| (*slot, Place { next: *next, committed: *next })).collect();
        if self.mistake == Mistake::None {
            // Nothing is read yet, but the group has its answer.
            self.log.assign(&[])?;
            self.restore()?;
        }
        self.log.assign(&from)?;
        Ok(false)
    }

    /// Reads the copies made so far, as a worker reads its changelog: no copy may be there twice.
    fn restore(&mut self) -> Result<(), Failure> {
        let partitions: BTreeSet<Partition> = self.places.keys().map(|slot| slot.partition).collect();
        for partition in partitions {
            let copies = Slot { topic: COPIES, partition };
            let end = patiently(|| self.log.end(copies))?;
            let mut reader = patiently(|| self.log.reader(&[(copies, NextOffset::START)]))?;
            let mut seen = BTreeSet::new();
            while reader.position(copies) < end {
                self.records.clear();
                reader.poll(INTERVAL, &mut self.records)?;
                for head in self.records.heads() {
                    let copy =
                        (self.records.key(head).map(<[u8]>::to_vec), self.records.value(head).map(<[u8]>::to_vec));
                    assert!(seen.insert(copy), "a record is copied twice: offset {} of {partition:?}", head.offset);
                }
            }
        }
        Ok(())
    }

    fn copy(&mut self) -> Result<(), Failure> {
        for head in self.records.heads() {
            let place = self.places.get_mut(&head.slot).expect("only what is assigned is read");
            assert!(head.offset >= place.next.offset(), "{:?} was read before", head.slot);
            if self.open.is_none() {
                if self.log.tainted().is_some() && self.mistake != Mistake::IgnoresTaint {
                    patiently(|| self.log.recycle())?;
                }
                self.log.begin()?;
                self.open = Some(self.log.now());
            }
            let to = Slot { topic: COPIES, partition: head.slot.partition };
            let (key, value) = (row(head.slot.topic), self.records.value(head));
            patiently(|| self.log.produce(to, Some(&key), value))?;
            place.next = NextOffset::after(head.offset);
            self.copied += 1;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        patiently(|| self.log.drain())?;
        let moved = self.places.iter().filter(|(_, place)| place.next != place.committed);
        let mut positions: Vec<_> = moved.map(|(slot, place)| (*slot, self.position(place.next).into())).collect();
        let disk_first = self.mistake == Mistake::DiskFirst;
        if disk_first {
            self.keep();
        }
        if self.mistake == Mistake::CommitsUnassigned {
            let lost = self.had.iter().filter(|(slot, _)| !self.places.contains_key(slot));
            positions.extend(lost.map(|(slot, next)| (*slot, (*next).into())));
        }
        if self.mistake != Mistake::SkipsOffsets {
            patiently(|| self.log.send_offsets(&positions))?;
        }
        match patiently(|| self.log.commit()) {
            Err(Failure::Recycle(_)) if self.mistake == Mistake::AssumesCommitted => self.recycle()?,
            committed => committed?,
        }
        self.close();
        for place in self.places.values_mut() {
            place.committed = place.next;
        }
        self.had.extend(self.places.iter().map(|(slot, place)| (*slot, place.committed)));
        if !disk_first {
            self.keep();
        }
        Ok(())
    }

    fn position(&self, next: NextOffset) -> NextOffset {
        let back = match self.mistake {
            Mistake::CommitsLast => 1,
            Mistake::CommitsBeforeLast => 2,
            _ => 0,
        };
        NextOffset::at(next.offset() - back).unwrap_or(NextOffset::START)
    }

    /// Writes to the disks how far everything is.
    fn keep(&mut self) {
        for (partition, store) in &mut self.stores {
            let mut batch = Batch::default();
            for (slot, place) in self.places.iter().filter(|(slot, _)| slot.partition == *partition) {
                batch.put(&row(slot.topic), &place.next.offset().to_be_bytes());
            }
            store.commit(batch).expect("a disk that works");
        }
    }

    fn close(&mut self) {
        self.open = None;
        self.copied = 0;
    }

    /// Aborts, and goes back to what is committed.
    fn roll_back(&mut self) -> Result<(), Failure> {
        if self.open.is_some() {
            match patiently(|| self.log.abort()) {
                Err(failure) if failure.reaction() == Reaction::Recycle => return self.recover(),
                aborted => aborted?,
            }
        }
        self.close();
        self.rewind()
    }

    fn rewind(&mut self) -> Result<(), Failure> {
        if self.mistake == Mistake::DoesNotRewind {
            return Ok(());
        }
        for place in self.places.values_mut() {
            place.next = place.committed;
        }
        let back: Vec<_> = self.places.iter().map(|(slot, place)| (*slot, place.committed)).collect();
        self.log.assign(&back)
    }

    fn recycle(&mut self) -> Result<(), Failure> {
        patiently(|| self.log.recycle())
    }

    /// Makes a new producer, and asks what became of the transaction.
    fn recover(&mut self) -> Result<(), Failure> {
        self.close();
        self.recycle()?;
        let slots: Vec<Slot> = self.places.keys().copied().collect();
        if self.mistake != Mistake::AssumesAborted {
            let committed = patiently(|| self.log.committed(&slots))?;
            for (place, committed) in self.places.values_mut().zip(committed) {
                place.committed = committed.map_or(NextOffset::START, |committed| committed.next);
            }
        }
        self.rewind()
    }

    /// Finishes what is open, then gives up all slots.
    fn give_up(&mut self) -> Result<(), Failure> {
        if self.open.is_some() {
            let committed = self.commit();
            self.deal_with(committed)?;
        }
        self.forget();
        self.log.unassign()
    }

    /// Gives up what is lost already.
    fn let_go(&mut self) -> Result<(), Failure> {
        if self.open.take().is_some()
            && let Err(failure) = patiently(|| self.log.abort())
        {
            match failure.reaction() {
                Reaction::Recycle => self.recycle()?,
                _ => return Err(failure),
            }
        }
        self.forget();
        self.log.unassign()
    }

    fn forget(&mut self) {
        self.close();
        self.given = None;
        self.places.clear();
        self.stores.clear();
    }
}
