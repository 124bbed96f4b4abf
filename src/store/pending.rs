//! Rows that are committed in Kafka and not yet in the store on disk.
//!
//! A transaction touches a few thousand rows, many of them again and again. They gather here, and the store
//! behind gets them once in a while, in order, with the position they belong to in the same batch. What is lost
//! in a crash is restored from the changelog.

use hashbrown::HashMap;

use super::{Batch, Error, Store, Told};
use crate::domain::time::Timestamp;

/// Rows in front of a store.
pub struct Pending<S> {
    rows: HashMap<Vec<u8>, Option<Vec<u8>>, foldhash::fast::RandomState>,
    bytes: usize,
    behind: S,
}

impl<S: Store> Pending<S> {
    /// A store with nothing in front of it.
    pub fn new(behind: S) -> Self {
        Self { rows: HashMap::default(), bytes: 0, behind }
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

    /// Writes all rows that wait to the store behind, in one batch with a row more: the position.
    ///
    /// # Errors
    /// If the store cannot be written; then nothing was. There is no going on: the rows are in the changelog alone.
    pub fn write_out(&mut self, position: (Vec<u8>, Vec<u8>)) -> Result<(), Error> {
        self.bytes = 0;
        #[allow(clippy::iter_over_hash_type, reason = "sorted right after")]
        let mut rows: Vec<_> = self.rows.drain().collect();
        // As the store wants them.
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut batch = Batch::of(rows.len() + 1);
        for (key, value) in rows.into_iter().chain([(position.0, Some(position.1))]) {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        self.behind.commit(batch)
    }
}

impl<S: Store> Store for Pending<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.rows.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.behind.get(key),
        }
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let start = from.max(prefix);
        #[allow(clippy::iter_over_hash_type, reason = "sorted right after")]
        let mut waiting: Vec<(&Vec<u8>, &Option<Vec<u8>>)> =
            self.rows.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_slice() >= start).collect();
        waiting.sort_unstable_by(|a, b| a.0.cmp(b.0));
        // Each row that waits may hide one behind.
        let behind = self.behind.scan(prefix, from, limit.saturating_add(waiting.len()))?;
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
                    *front < back
                }
            };
            if first {
                if let Some((key, Some(value))) = waiting.next() {
                    found.push((key.clone(), value.clone()));
                }
            } else {
                found.extend(behind.next());
            }
        }
        Ok(found)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        for (key, value) in batch.into_changes() {
            self.bytes += key.len() + value.as_ref().map_or(0, Vec::len) + 48;
            self.rows.insert(key, value);
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
                Some(value) => batch.put(key.as_bytes().to_vec(), value.as_bytes().to_vec()),
                None => batch.delete(key.as_bytes().to_vec()),
            }
        }
        batch
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
        pending.write_out((b"!".to_vec(), b"here".to_vec())).expect("memory");
        assert_eq!((rows(&pending, 9).as_str(), pending.bytes()), ("k1=new k3=new k4=old ", 0));
        assert_eq!(pending.behind().get(b"!").expect("memory"), Some(b"here".to_vec()));
    }
}
