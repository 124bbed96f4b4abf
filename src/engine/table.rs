//! A table of rows in memory, in front of the store.
//!
//! Rows stay decoded between events and are written when the engine commits. The table is bounded: rows that
//! are in the store and have not been used for a while make room. While nothing was ever dropped the table
//! holds all there is, and a row that is not in it is known not to exist without asking the store.

use std::borrow::Cow;
use std::hash::Hash;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::codec::state;
use crate::store::keys::Key;
use crate::store::{self, Batch, Store};

/// How rows of a kind become bytes and back.
pub struct Format<K, V> {
    /// What they are called in errors.
    pub kind: &'static str,
    /// The key in the store.
    pub key: fn(K) -> Key,
    /// Appends the record in the store.
    pub write: fn(&V, &mut Vec<u8>),
    /// The row of a record.
    pub read: fn(&[u8]) -> Result<V, state::Error>,
    /// About how many bytes a row takes in memory.
    pub weight: usize,
}

/// One row.
#[derive(Debug)]
pub struct Row<V> {
    /// The value; nothing where the row does not exist.
    pub value: Option<V>,
    changed: bool,
    used: bool,
}

/// Rows in memory.
pub struct Table<K, V> {
    // In boxes of their own, so that a table that grows moves eight bytes a row and not hundreds.
    rows: HashMap<K, Box<Row<V>>, foldhash::fast::RandomState>,
    changed: Vec<K>,
    format: Format<K, V>,
    bound: usize,
    complete: bool,
}

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    /// A table of at most about `memory` bytes. `complete` says that the store holds no row of this kind.
    pub fn new(format: Format<K, V>, memory: usize, complete: bool) -> Self {
        let bound = (memory / format.weight).max(1_000);
        Self { rows: HashMap::default(), changed: Vec::new(), format, bound, complete }
    }

    /// A row, loaded if it is not here yet.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn row(&mut self, key: K, store: &impl Store) -> Result<&mut Row<V>, store::Error> {
        match self.rows.entry(key) {
            Entry::Occupied(row) => {
                let row = row.into_mut();
                row.used = true;
                Ok(row)
            }
            Entry::Vacant(place) => {
                let record = if self.complete { None } else { store.get(&(self.format.key)(key))? };
                let value = record.map(|record| (self.format.read)(&record)).transpose();
                let value = value.map_err(|error| store::Error::Row { kind: self.format.kind, error })?;
                Ok(place.insert(Box::new(Row { value, changed: false, used: true })))
            }
        }
    }

    /// A row as it is, for those who only look: what is not in memory is read and not kept.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn peek(&self, key: K, store: &impl Store) -> Result<Option<Cow<'_, V>>, store::Error>
    where
        V: Clone,
    {
        if let Some(row) = self.rows.get(&key) {
            return Ok(row.value.as_ref().map(Cow::Borrowed));
        }
        let record = if self.complete { None } else { store.get(&(self.format.key)(key))? };
        let value = record.map(|record| (self.format.read)(&record)).transpose();
        value.map(|value| value.map(Cow::Owned)).map_err(|error| store::Error::Row { kind: self.format.kind, error })
    }

    /// Takes note that a row is to be written. Call it once after the row was changed.
    pub fn changed(&mut self, key: K) {
        if let Some(row) = self.rows.get_mut(&key)
            && !row.changed
        {
            row.changed = true;
            self.changed.push(key);
        }
    }

    /// Whether the table has outgrown its bound, or holds so many rows to write that it soon will.
    pub fn is_full(&self) -> bool {
        self.rows.len() > self.bound || self.changed.len() > self.bound / 4 * 3
    }

    /// How many rows there are to write.
    pub const fn to_write(&self) -> usize {
        self.changed.len()
    }

    /// Adds all rows to write to a batch.
    pub fn write(&mut self, batch: &mut Batch) {
        for key in self.changed.drain(..) {
            if let Some(row) = self.rows.get_mut(&key) {
                row.changed = false;
                let (key, write) = ((self.format.key)(key), self.format.write);
                match &row.value {
                    Some(value) => batch.write(&key, |record| write(value, record)),
                    None => batch.delete(&key),
                }
            }
        }
    }

    /// Makes room, after a commit: drops rows that have not been used since the last time, and if that is
    /// not enough, others.
    pub fn trim(&mut self) {
        if self.rows.len() <= self.bound {
            return;
        }
        let target = self.bound / 4 * 3;
        for keep_used in [true, false] {
            let mut excess = self.rows.len().saturating_sub(target);
            self.rows.retain(|_, row| {
                let keep = excess == 0 || row.changed || (keep_used && row.used);
                row.used = false;
                excess -= usize::from(!keep);
                keep
            });
            if self.rows.len() <= target {
                break;
            }
        }
        self.complete = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::ContactNumber;
    use crate::store::{Memory, keys};

    fn table(bound: usize) -> Table<u64, u64> {
        let format = Format {
            kind: "test",
            key: |key: u64| keys::contact(ContactNumber(key)),
            write: |value: &u64, record| record.extend_from_slice(&value.to_be_bytes()),
            read: |bytes: &[u8]| Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| state::Error::Damaged("length"))?)),
            weight: 1,
        };
        Table::new(format, bound, true)
    }

    #[test]
    fn what_was_dropped_comes_back_from_the_store() {
        let (mut table, mut store) = (table(1_000), Memory::default());
        for key in 0..3_000 {
            table.row(key, &store).expect("memory never fails").value = Some(key * 2);
            table.changed(key);
        }
        assert!(table.is_full());
        let mut batch = Batch::default();
        table.write(&mut batch);
        store.commit(batch).expect("memory never fails");
        table.trim();
        assert!(table.rows.len() <= 1_000);
        for key in 0..3_000 {
            let seen = table.peek(key, &store).expect("memory never fails").map(Cow::into_owned);
            assert_eq!(seen, Some(key * 2), "whoever looks finds it too");
            assert_eq!(table.row(key, &store).expect("memory never fails").value, Some(key * 2));
        }
    }

    #[test]
    fn a_row_to_write_is_never_dropped() {
        let (mut table, store) = (table(1_000), Memory::default());
        for key in 0..2_000 {
            table.row(key, &store).expect("memory never fails").value = Some(key);
            table.changed(key);
        }
        table.trim();
        assert_eq!(table.rows.len(), 2_000);
    }
}
