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
    /// The changes of keys that are looked for together, in order: there may be hundreds of thousands of others.
    together: HashTable<Vec<Place>>,
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

/// What the keys of changes that are looked for together begin with.
fn beginning<'a>(places: &[Place], batches: &'a [Batch]) -> Option<&'a [u8]> {
    places.first().and_then(|place| keys::together(place.key(batches)))
}

impl<S: Store> Pending<S> {
    /// A store with nothing in front of it.
    pub fn new(behind: S) -> Self {
        let (latest, together, hashing) = (HashTable::new(), HashTable::new(), RandomState::default());
        Self { batches: Vec::new(), latest, together, hashing, bytes: 0, behind, damaged: Cell::new(false) }
    }

    /// The rows that wait with keys that begin so, from a key on, in order.
    fn waiting(&self, prefix: &[u8], start: &[u8]) -> Vec<(&[u8], Option<&[u8]>)> {
        let batches = &self.batches;
        let wanted = |(key, _): &(&[u8], _)| key.starts_with(prefix) && *key >= start;
        let mut rows: Vec<_> = if keys::together(prefix) == Some(prefix) {
            let alike = |places: &Vec<Place>| beginning(places, batches) == Some(prefix);
            let places = self.together.find(self.hashing.hash_one(prefix), alike);
            places.into_iter().flatten().map(|place| place.of(batches)).filter(wanted).collect()
        } else {
            self.latest.iter().map(|place| place.of(batches)).filter(wanted).collect()
        };
        // The last change of a key stands behind the ones before.
        rows.sort_by_key(|(key, _)| *key);
        rows.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                *earlier = *later;
            }
            same
        });
        rows
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
        let waiting = self.latest.iter().map(|place| place.of(&self.batches)).filter(|(key, _)| *key != keys::meta());
        let mut rows: Vec<_> = waiting.chain([(keys::meta(), Some(position))]).collect();
        // As the store wants them.
        rows.sort_unstable_by_key(|(key, _)| *key);
        let written = self.behind.commit_rows(&rows);
        if !matches!(written, Err(Error::Full(_))) {
            self.batches.clear();
            self.latest.clear();
            self.together.clear();
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
        let waiting = self.waiting(prefix, from.max(prefix));
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
        let Self { batches, latest, together, hashing, bytes, .. } = self;
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
            if let Some(alike) = keys::together(key) {
                let is_alike = |places: &Vec<Place>| beginning(places, batches) == Some(alike);
                let hash = |places: &Vec<Place>| hashing.hash_one(beginning(places, batches).unwrap_or_default());
                together.entry(hashing.hash_one(alike), is_alike, hash).or_insert_with(Vec::new).get_mut().push(place);
                *bytes += size_of::<Place>();
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
    use crate::domain::id::{ContactNumber, MessageKey};
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

    /// What a round of the test below changes: a few rows of three contacts and of two counts, again and again.
    fn round(number: u64) -> Batch {
        let mut rows = Batch::default();
        for row in 0..5 {
            let draw = (number * 5 + row).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let (owner, name) = (draw % 3, (draw / 3 % 4) as u8);
            let key = if draw & 64 == 0 {
                keys::sent(ContactNumber(owner), i64::from(name), MessageKey([name; 16]))
            } else {
                keys::half_hour([name % 2; 16], name.into())
            };
            if draw & 128 == 0 { rows.delete(&key) } else { rows.put(&key, &number.to_be_bytes()) }
        }
        rows
    }

    #[test]
    fn rows_that_are_looked_for_together_are_found_as_in_one_store() {
        let (mut whole, mut pending) = (Memory::default(), Pending::new(Memory::default()));
        let mut found = 0;
        for number in 0..90 {
            whole.commit(round(number)).expect("memory never fails");
            pending.commit(round(number)).expect("memory never fails");
            for contact in (0..3).map(ContactNumber) {
                let (all, from) = (keys::sent_to(contact), keys::sent(contact, 2, MessageKey([0; 16])));
                let half_hours = keys::half_hours([contact.0 as u8; 16]);
                for (prefix, from) in [(&all, &all), (&all, &from), (&half_hours, &half_hours)] {
                    let expected = whole.scan(prefix, from, usize::MAX).expect("memory never fails");
                    found += expected.len();
                    assert_eq!(pending.scan(prefix, from, usize::MAX).expect("memory"), expected, "round {number}");
                }
            }
            if number % 7 == 6 {
                pending.write_out(b"here").expect("memory never fails");
            }
        }
        assert!(found > 300, "{found}");
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
