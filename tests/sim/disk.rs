//! Disks: a store whose latest batches a crash may take, each of them whole, and never one before another.

use std::collections::BTreeMap;

use tollgate::domain::time::Timestamp;
use tollgate::store::{Batch, Error, Store};
use tollgate::stream::{Failure, Partition};

use crate::faults::{Fault, Step};
use crate::time::{MILLI, Micros, SECOND};
use crate::world::Handle;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The rows of one partition on one machine.
#[derive(Default)]
pub struct Disk {
    synced: Rows,
    rows: Rows,
    unsynced: Vec<Changes>,
    open: bool,
    /// Whether nothing can be read or written any more. What was written is still there for the tests to see.
    damaged: bool,
    /// Until when there is no room on it.
    full_until: Micros,
}

impl Disk {
    /// The rows as a process sees them.
    pub fn rows(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.rows
    }

    /// How many batches a crash may take.
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Keeps the first of the batches that are not synced.
    pub fn crash(&mut self, kept: usize) {
        for changes in std::mem::take(&mut self.unsynced).into_iter().take(kept) {
            write(&mut self.synced, changes);
        }
        self.rows.clone_from(&self.synced);
        self.open = false;
    }

    /// Makes changes that are not synced yet.
    pub fn commit(&mut self, changes: Changes) {
        write(&mut self.rows, changes.clone());
        self.unsynced.push(changes);
    }

    fn sync(&mut self) {
        for changes in std::mem::take(&mut self.unsynced) {
            write(&mut self.synced, changes);
        }
    }
}

fn write(rows: &mut Rows, changes: Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
}

/// The disks of the machine that a process runs on.
pub struct Disks(Handle);

impl Disks {
    pub const fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// Opens the disk of a partition, as it was left.
    ///
    /// # Errors
    /// If it is open already.
    pub fn open(&self, partition: Partition) -> Result<SimDisk, Error> {
        let key = (self.0.process, partition);
        let opened = self.0.call(Step::DiskOpen, |turn| {
            let disk = turn.disks.entry(key).or_default();
            if std::mem::replace(&mut disk.open, true) {
                return Err(Failure::Halt(format!("the disk of {partition:?} is open already")));
            }
            Ok(())
        });
        opened.map_err(|failure| refused(&failure))?;
        Ok(SimDisk { handle: self.0.clone(), partition })
    }

    /// Puts the disk of a partition aside.
    ///
    /// # Errors
    /// If it is open.
    pub fn discard(&self, partition: Partition) -> Result<(), Error> {
        let key = (self.0.process, partition);
        let discarded = self.0.call(Step::DiskOpen, |turn| match turn.disks.remove(&key) {
            Some(disk) if disk.open => Err(Failure::Halt(format!("the disk of {partition:?} is open"))),
            _ => Ok(()),
        });
        discarded.map_err(|failure| refused(&failure))
    }
}

fn damaged() -> Error {
    Error::Damaged("a checksum is wrong".to_owned())
}

fn full() -> Error {
    Error::Full("no space left".to_owned())
}

fn refused(failure: &Failure) -> Error {
    Error::Disk(failure.to_string())
}

/// An open disk.
pub struct SimDisk {
    handle: Handle,
    partition: Partition,
}

impl SimDisk {
    fn read<T>(&self, read: impl FnOnce(&Rows) -> T) -> Result<T, Error> {
        let world = self.handle.shared.lock();
        let disk = world.disks.get(&(self.handle.process, self.partition));
        if disk.is_some_and(|disk| disk.damaged) {
            return Err(damaged());
        }
        Ok(read(disk.map_or(&Rows::new(), Disk::rows)))
    }
}

impl Store for SimDisk {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.read(|rows| rows.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let start = from.max(prefix).to_vec();
        self.read(|rows| {
            let rows = rows.range(start..).take_while(|(key, _)| key.starts_with(prefix));
            rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
        })
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        let key = (self.handle.process, self.partition);
        let changes: Vec<_> = batch.changes().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
        let committed = self.handle.call(Step::DiskCommit, |turn| {
            let syncs = turn.random.happens(3_000);
            if syncs {
                let span = turn.random.below(20 * MILLI);
                turn.sleep(span);
            }
            let span = if turn.strikes(|faults| faults.disk_full) { turn.random.between(1, 60) * SECOND } else { 0 };
            let (now, calm) = (turn.now, turn.is_calm());
            let disk = turn.disks.entry(key).or_default();
            disk.full_until = if calm { 0 } else { disk.full_until.max(now + span) };
            if disk.full_until > now {
                turn.hit(Fault::DiskFull, Some(key.0));
                return Ok(Err(full()));
            }
            let strikes = turn.strikes(|faults| faults.disk_damaged);
            if strikes {
                turn.hit(Fault::DiskDamaged, Some(key.0));
            }
            // Found out at once, or by whoever reads next.
            let found = strikes && turn.random.happens(5_000);
            let disk = turn.disks.entry(key).or_default();
            disk.damaged |= strikes;
            if found {
                return Ok(Err(damaged()));
            }
            disk.commit(changes);
            if syncs {
                disk.sync();
            }
            Ok(Ok(()))
        });
        committed.map_err(|failure| refused(&failure))?
    }

    fn time_is(&self, _: Timestamp) {}
}

impl Drop for SimDisk {
    fn drop(&mut self) {
        let mut world = self.handle.shared.lock();
        if world.processes[self.handle.process].life == self.handle.life
            && let Some(disk) = world.disks.get_mut(&(self.handle.process, self.partition))
        {
            disk.open = false;
        }
    }
}
