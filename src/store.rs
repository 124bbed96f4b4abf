//! Where state rests: rows in order of their keys, changed in batches that happen whole or not at all.
//!
//! A batch holds the position beside the rows that follow from it, so whatever survives a crash is a state
//! that was, with the position that belongs to it. Two stores keep that promise: [`Memory`], for scenarios
//! and for a build without `RocksDB`, and [`Rocks`], on disk.

pub mod keys;
mod memory;
mod pending;
#[cfg(feature = "rocksdb")]
mod rocks;

use std::fmt;

pub use memory::Memory;
pub use pending::Pending;
#[cfg(feature = "rocksdb")]
pub use rocks::Rocks;

/// Why the store cannot do what it is asked. Where it is not for want of room there is no going on with it: that would
/// lose money.
#[derive(Debug)]
pub enum Error {
    /// The disk or `RocksDB` refused.
    Disk(String),
    /// The disk is full. Nothing was written, and what was written before can still be read.
    Full(String),
    /// What is on disk is not what was written. Where it can be made anew from somewhere else, it is.
    Damaged(String),
    /// A row cannot be read.
    Row {
        /// What kind of row.
        kind: &'static str,
        /// Why.
        error: crate::codec::state::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(why) => write!(f, "the state cannot be read or written: {why}"),
            Self::Full(why) => {
                write!(f, "the disk is full: {why}; make room for the state, nothing that is committed is lost")
            }
            Self::Damaged(why) => {
                write!(f, "the state on disk is damaged: {why}; build it anew by replaying into a new directory")
            }
            Self::Row { kind, error } => write!(f, "a {kind} record of the state cannot be read: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// Changes to rows: a value, or nothing to delete. The bytes of all of them lie in one piece.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    changes: Vec<Change>,
}

/// Where a change lies: the key, and right behind it the value if there is one.
#[derive(Clone, Copy, Debug)]
struct Change {
    key: usize,
    value: usize,
    end: usize,
    deletes: bool,
}

impl Batch {
    /// A batch with room for so many changes, of together about so many bytes.
    #[must_use]
    pub fn of(changes: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), changes: Vec::with_capacity(changes) }
    }

    /// Writes a row.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.write(key, |bytes| bytes.extend_from_slice(value));
    }

    /// Writes a row whose value somebody appends.
    pub fn write(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let between = self.bytes.len();
        value(&mut self.bytes);
        self.changes.push(Change { key: start, value: between, end: self.bytes.len(), deletes: false });
    }

    /// Deletes a row.
    pub fn delete(&mut self, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let end = self.bytes.len();
        self.changes.push(Change { key: start, value: end, end, deletes: true });
    }

    /// How many changes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many bytes keys and values have together.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The changes, in order; a later one of a key counts.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|change| self.at(*change))
    }

    fn at(&self, Change { key, value, end, deletes }: Change) -> (&[u8], Option<&[u8]>) {
        (&self.bytes[key..value], (!deletes).then(|| &self.bytes[value..end]))
    }
}

/// What a store on disk tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Bytes that are in no file yet.
    pub memtable_bytes: u64,
    /// Bytes yet to be compacted.
    pub pending_compaction_bytes: u64,
    /// Bytes of files that are kept at hand.
    pub block_cache_bytes: u64,
    /// Errors of its own threads since it was opened.
    pub background_errors: u64,
    /// How many microseconds writes have waited since it was opened.
    pub stalled_micros: u64,
    /// About how many rows there are.
    pub estimated_rows: u64,
    /// Reads of rows that what is in no file yet could answer, since it was opened.
    pub memtable: Lookups,
    /// Reads of blocks of files, since it was opened.
    pub block_cache: Lookups,
}

/// How often something was looked for in memory since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lookups {
    /// It was there.
    pub hits: u64,
    /// It was not, and files were asked.
    pub misses: u64,
}

/// How many bytes a key and its value have.
fn bytes_of((key, value): &(&[u8], Option<&[u8]>)) -> usize {
    key.len() + value.map_or(0, <[u8]>::len)
}

/// Rows in order of their keys.
pub trait Store {
    /// A row.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Up to `limit` rows whose keys begin with `prefix`, from `from` on, in order.
    ///
    /// # Errors
    /// If the store cannot be read.
    #[allow(clippy::type_complexity, reason = "a row is a key and a value")]
    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error>;

    /// Makes all changes of a batch, or none.
    ///
    /// # Errors
    /// If the store cannot be written; then none was made.
    fn commit(&mut self, batch: Batch) -> Result<(), Error>;

    /// The same, of changes to different keys that lie elsewhere, in the order of the keys.
    ///
    /// # Errors
    /// As those of [`Store::commit`].
    fn commit_rows(&mut self, rows: &[(&[u8], Option<&[u8]>)]) -> Result<(), Error> {
        let mut batch = Batch::of(rows.len(), rows.iter().map(bytes_of).sum());
        for (key, value) in rows {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.commit(batch)
    }

    /// Tells how far time has come: rows kept until an earlier instant may be dropped.
    fn time_is(&self, partition_time: crate::domain::time::Timestamp);

    /// What it tells of itself, if it is on disk. Cheap enough for every second.
    fn told(&self) -> Option<Told> {
        None
    }
}

impl Store for Box<dyn Store> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        (**self).get(key)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        (**self).scan(prefix, from, limit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        (**self).commit(batch)
    }

    fn commit_rows(&mut self, rows: &[(&[u8], Option<&[u8]>)]) -> Result<(), Error> {
        (**self).commit_rows(rows)
    }

    fn time_is(&self, partition_time: crate::domain::time::Timestamp) {
        (**self).time_is(partition_time);
    }

    fn told(&self) -> Option<Told> {
        (**self).told()
    }
}
