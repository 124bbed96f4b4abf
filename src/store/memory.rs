//! A store in memory: for scenarios, and for a build without `RocksDB`.

use std::collections::BTreeMap;

use super::{Batch, Error, Store};
use crate::domain::time::Timestamp;

/// Rows in memory.
#[derive(Debug, Default)]
pub struct Memory {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.rows.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let start = from.max(prefix).to_vec();
        let rows = self.rows.range(start..).take_while(|(key, _)| key.starts_with(prefix));
        Ok(rows.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        for (key, value) in batch.changes() {
            match value {
                Some(value) => self.rows.insert(key.to_vec(), value.to_vec()),
                None => self.rows.remove(key),
            };
        }
        Ok(())
    }

    fn time_is(&self, _: Timestamp) {}
}
