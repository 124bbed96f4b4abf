//! Rows that are committed in Kafka and not yet in the store on disk.
//!
//! A transaction touches a few thousand rows, many of them again and again. They gather here, and the store
//! behind gets them once in a while, in order, with the position they belong to in the same batch. What is lost
//! in a crash is restored from the changelog.

use std::cell::Cell;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{Batch, Change, Error, Store, Told, keys};
use crate::domain::time::Timestamp;

/// What a row takes besides its bytes, about.
const BESIDES: usize = 48;

/// Rows in front of a store.
pub struct Pending<S> {
    /// What was committed, in order and as it came.
    batches: Vec<Batch>,
    /// The last change of every key.
    latest: HashTable<Place>,
    hashing: RandomState,
    bytes: usize,
    behind: S,
    /// Whether the store behind has turned out to be damaged.
    damaged: Cell<bool>,
}

/// Where a change is: the batch, and where it lies in that.
#[derive(Clone, Copy)]
struct Place {
    batch: usize,
    change: Change,
}

impl Place {
    fn of(self, batches: &[Batch]) -> (&[u8], Option<&[u8]>) {
        batches.get(self.batch).map_or((&[], None), |batch| batch.at(self.change))
    }

    fn key(self, batches: &[Batch]) -> &[u8] {
        self.of(batches).0
    }
}

impl<S: Store> Pending<S> {
    /// A store with nothing in front of it.
    pub fn new(behind: S) -> Self {
        let (latest, hashing) = (HashTable::new(), RandomState::default());
        Self { batches: Vec::new(), latest, hashing, bytes: 0, behind, damaged: Cell::new(false) }
    }

    /// About how many bytes wait.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The store behind.
    #[must_use]
    pub const fn behind(&self) -> &S {
        &self.behind
    }

    /// Whether the store behind has turned out to be damaged. Then rows are nowhere but in the changelog.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.damaged.get()
    }

    fn note<T>(&self, answer: Result<T, Error>) -> Result<T, Error> {
        if matches!(answer, Err(Error::Damaged(_))) {
            self.damaged.set(true);
        }
        answer
    }

    /// Writes all rows that wait to the store behind, in one batch with a row more: where they lead.
    ///
    /// # Errors
    /// If the store cannot be written; then nothing was. Where it is for want of room the rows go on waiting. Otherwise there
    /// is no going on: they are in the changelog alone.
    pub fn write_out(&mut self, position: &[u8]) -> Result<(), Error> {
        let mut rows: Vec<_> = self.latest.iter().map(|place| place.of(&self.batches)).collect();
        // As the store wants them.
        rows.sort_unstable_by_key(|(key, _)| *key);
        let mut batch = Batch::of(rows.len() + 1, self.bytes);
        for (key, value) in rows.into_iter().chain([(keys::meta(), Some(position))]) {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        let written = self.behind.commit(batch);
        if !matches!(written, Err(Error::Full(_))) {
            self.batches.clear();
            self.latest.clear();
            self.bytes = 0;
        }
        self.note(written)
    }
}

impl<S: Store> Store for Pending<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let batches = &self.batches;
        match self.latest.find(self.hashing.hash_one(key), |place| place.key(batches) == key) {
            Some(place) => Ok(place.of(batches).1.map(<[u8]>::to_vec)),
            None => self.note(self.behind.get(key)),
        }
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let start = from.max(prefix);
        let places = self.latest.iter().map(|place| place.of(&self.batches));
        let mut waiting: Vec<_> = places.filter(|(key, _)| key.starts_with(prefix) && *key >= start).collect();
        waiting.sort_unstable_by_key(|(key, _)| *key);
        // Each row that waits may hide one behind.
        let behind = self.note(self.behind.scan(prefix, from, limit.saturating_add(waiting.len())))?;
        let mut found = Vec::with_capacity(behind.len());
        let (mut waiting, mut behind) = (waiting.into_iter().peekable(), behind.into_iter().peekable());
        while found.len() < limit {
            let first = match (waiting.peek(), behind.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((front, _)), Some((back, _))) => {
                    if *front == back {
                        behind.next();
                        continue;
                    }
                    *front < back.as_slice()
                }
            };
            if first {
                if let Some((key, Some(value))) = waiting.next() {
                    found.push((key.to_vec(), value.to_vec()));
                }
            } else {
                found.extend(behind.next());
            }
        }
        Ok(found)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        self.bytes += batch.bytes() + BESIDES * batch.len();
        let number = self.batches.len();
        self.batches.push(batch);
        let Self { batches, latest, hashing, .. } = self;
        for change in batches.last().into_iter().flat_map(|batch| &batch.changes) {
            let place = Place { batch: number, change: *change };
            let key = place.key(batches);
            let hash = |place: &Place| hashing.hash_one(place.key(batches));
            match latest.entry(hashing.hash_one(key), |known| known.key(batches) == key, hash) {
                hashbrown::hash_table::Entry::Occupied(mut known) => *known.get_mut() = place,
                hashbrown::hash_table::Entry::Vacant(free) => {
                    free.insert(place);
                }
            }
        }
        Ok(())
    }

    fn time_is(&self, partition_time: Timestamp) {
        self.behind.time_is(partition_time);
    }

    fn told(&self) -> Option<Told> {
        self.behind.told()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    fn batch(rows: &[(&str, Option<&str>)]) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in rows {
            match value {
                Some(value) => batch.put(key.as_bytes(), value.as_bytes()),
                None => batch.delete(key.as_bytes()),
            }
        }
        batch
    }

    /// A store on a disk that may be full.
    struct Small {
        rows: Memory,
        full: bool,
    }

    impl Store for Small {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            self.rows.get(key)
        }

        fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
            self.rows.scan(prefix, from, limit)
        }

        fn commit(&mut self, batch: Batch) -> Result<(), Error> {
            if self.full { Err(Error::Full("no room".to_owned())) } else { self.rows.commit(batch) }
        }

        fn time_is(&self, _: Timestamp) {}
    }

    #[test]
    fn what_the_disk_has_no_room_for_goes_on_waiting() {
        let mut pending = Pending::new(Small { rows: Memory::default(), full: true });
        pending.commit(batch(&[("k1", Some("old")), ("k2", Some("old"))])).expect("memory");
        assert!(matches!(pending.write_out(b"here"), Err(Error::Full(_))));
        pending.commit(batch(&[("k1", Some("new")), ("k2", None)])).expect("memory");
        assert_eq!(rows(&pending, 9), "k1=new ");
        assert!(pending.bytes() > 0 && !pending.is_damaged());
        pending.behind.full = false;
        pending.write_out(b"there").expect("there is room");
        assert_eq!((rows(pending.behind(), 9).as_str(), pending.bytes()), ("k1=new ", 0));
        assert_eq!(pending.get(keys::meta()).expect("memory"), Some(b"there".to_vec()));
    }

    fn rows(store: &impl Store, limit: usize) -> String {
        let rows = store.scan(b"k", b"k", limit).expect("memory never fails");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        rows.into_iter().map(|(key, value)| [text(key), text(value)].join("=") + " ").collect()
    }

    #[test]
    fn what_waits_hides_what_is_behind_and_is_written_out_with_the_position() {
        let mut behind = Memory::default();
        behind.commit(batch(&[("k1", Some("old")), ("k2", Some("old")), ("k4", Some("old"))])).expect("memory");
        let mut pending = Pending::new(behind);
        pending
            .commit(batch(&[("k1", Some("new")), ("k2", None), ("k3", Some("new")), ("x", Some("-"))]))
            .expect("memory");
        assert_eq!(rows(&pending, 9), "k1=new k3=new k4=old ");
        assert_eq!(rows(&pending, 2), "k1=new k3=new ");
        assert_eq!(pending.get(b"k2").expect("memory"), None);
        pending.write_out(b"here").expect("memory");
        assert_eq!((rows(&pending, 9).as_str(), pending.bytes()), ("k1=new k3=new k4=old ", 0));
        assert_eq!(pending.behind().get(keys::meta()).expect("memory"), Some(b"here".to_vec()));
    }
}
