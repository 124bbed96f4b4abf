//! A store on disk: RocksDB, with its memory inside one bound.
//!
//! A commit is one write batch, synced unless said otherwise: after a power cut the store holds a prefix of the commits, each with
//! its position. Rows kept until an instant that has passed are dropped by compaction; readers treat them as
//! absent before that, so when it happens changes nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, CompactionDecision, DB,
    DBCompressionType, IteratorMode, Options, WaitForCompactOptions, WriteBatch, WriteOptions, properties,
    statistics::{self, Ticker},
};

use super::{Batch, Error, Lookups, Store, Told, bytes_of, keys};
use crate::codec::state;
use crate::domain::message::NOTED;
use crate::domain::time::Timestamp;

/// How old a file gets, in seconds, before compaction writes it anew, a level deeper if there is one: what was deleted or
/// written over goes when it meets what it hides. The changelogs are compacted as often.
const WRITTEN_ANEW: u64 = 7 * 24 * 60 * 60;

/// Rows on disk.
pub struct Rocks {
    db: DB,
    /// Kept for the statistics in it.
    options: Options,
    partition_time: Arc<AtomicI64>,
    forced: bool,
}

impl Rocks {
    /// Opens the store of a directory, or makes one. RocksDB uses at most about `memory` bytes: a third for
    /// what is not yet in a file, the rest to keep blocks of files at hand.
    ///
    /// # Errors
    /// If the directory cannot be used, or another process uses it.
    pub fn open(directory: &Path, memory: usize) -> Result<Self, Error> {
        let partition_time = Arc::new(AtomicI64::new(i64::MIN));
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(memory / 3 * 2));
        // Filters and indexes stay inside the bound, in small parts: as one block a file they would be larger
        // than a shard of the cache, and would be read from the file again for every row.
        blocks.set_bloom_filter(10.0, false);
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_cache_index_and_filter_blocks(true);
        blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
        blocks.set_pin_top_level_index_and_filter(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_bottommost_compression_type(DBCompressionType::Zstd);
        options.set_write_buffer_size(memory / 9);
        options.set_max_write_buffer_number(3);
        // Most messages are new: that one is not here either is known without a search.
        options.set_memtable_prefix_bloom_ratio(0.02);
        options.set_memtable_whole_key_filtering(true);
        options.set_max_background_jobs(2);
        options.set_periodic_compaction_seconds(WRITTEN_ANEW);
        // The log of RocksDB's own doings is for its authors; keep one small file of it.
        options.set_keep_log_file_num(1);
        options.set_max_log_file_size(1 << 20);
        // Counters alone: nothing is timed but the waits themselves.
        options.enable_statistics();
        options.set_statistics_level(statistics::StatsLevel::ExceptHistogramOrTimers);
        let now = Arc::clone(&partition_time);
        options.set_compaction_filter("expired rows", move |_, key, value| {
            let until = match key.first() {
                Some(&(keys::MESSAGE | keys::REQUEST)) => state::kept_until(value).map(Timestamp::millis),
                Some(&keys::SENT) => keys::sent_when(key).map(|at| at + NOTED.0),
                _ => None,
            };
            match until {
                Some(until) if until <= now.load(Ordering::Relaxed) => CompactionDecision::Remove,
                _ => CompactionDecision::Keep,
            }
        });
        let db = DB::open(&options, directory).map_err(disk)?;
        Ok(Self { db, options, partition_time, forced: true })
    }
}

impl Rocks {
    /// Batches are not forced to disk: a power cut may lose the last ones, whole, for something else to bring
    /// back.
    #[must_use]
    pub const fn unforced(mut self) -> Self {
        self.forced = false;
        self
    }

    /// Writes all files anew at once: what was deleted or written over is in none of them then. By itself compaction takes a
    /// week for each level of files.
    ///
    /// # Errors
    /// If the disk has no room or cannot be written.
    pub fn compact(&self) -> Result<(), Error> {
        self.db.flush().map_err(disk)?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        // It does not say how it went; what it met is told by the next write.
        self.db.wait_for_compact(&WaitForCompactOptions::default()).map_err(disk)
    }
}

/// How RocksDB begins what it says of a disk without room. It goes on by itself once there is some, and refuses to write until
/// then, with the same words.
const NO_ROOM: &str = "IO error: No space left on device";

fn disk(error: rocksdb::Error) -> Error {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::Damaged(error.into_string()),
        rocksdb::ErrorKind::IOError if error.as_ref().starts_with(NO_ROOM) => Error::Full(error.into_string()),
        _ => Error::Disk(error.into_string()),
    }
}

impl Rocks {
    /// Makes so many changes, of together so many bytes.
    fn write<'r>(
        &self,
        changes: impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)>,
        count: usize,
        bytes: usize,
    ) -> Result<(), Error> {
        // Each change is told with a byte for its kind and two lengths.
        let mut write = WriteBatch::with_capacity_bytes(bytes + 8 * count + 64);
        for (key, value) in changes {
            match value {
                Some(value) => write.put(key, value),
                None => write.delete(key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(self.forced);
        self.db.write_opt(write, &options).map_err(disk)
    }
}

impl Store for Rocks {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.db.get(key).map_err(disk)
    }

    fn scan(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Vec<u8>)>, Error> {
        let start = from.max(prefix);
        let rows = self.db.iterator(IteratorMode::From(start, rocksdb::Direction::Forward));
        let mut found = Vec::new();
        for row in rows.take(limit) {
            let (key, value) = row.map_err(disk)?;
            if !key.starts_with(prefix) {
                break;
            }
            found.push((key.into_vec(), value.into_vec()));
        }
        Ok(found)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Error> {
        self.write(batch.changes(), batch.len(), batch.bytes())
    }

    fn commit_rows(&mut self, rows: &[(&[u8], Option<&[u8]>)]) -> Result<(), Error> {
        self.write(rows.iter().copied(), rows.len(), rows.iter().map(bytes_of).sum())
    }

    fn time_is(&self, partition_time: Timestamp) {
        self.partition_time.store(partition_time.millis(), Ordering::Relaxed);
    }

    fn told(&self) -> Option<Told> {
        let number = |name| self.db.property_int_value(name).ok().flatten().unwrap_or_default();
        let count = |ticker| self.options.get_ticker_count(ticker);
        Some(Told {
            memtable_bytes: number(properties::CUR_SIZE_ALL_MEM_TABLES),
            pending_compaction_bytes: number(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
            block_cache_bytes: number(properties::BLOCK_CACHE_USAGE),
            background_errors: number(properties::BACKGROUND_ERRORS),
            stalled_micros: count(Ticker::StallMicros),
            estimated_rows: number(properties::ESTIMATE_NUM_KEYS),
            memtable: Lookups { hits: count(Ticker::MemtableHit), misses: count(Ticker::MemtableMiss) },
            block_cache: Lookups { hits: count(Ticker::BlockCacheHit), misses: count(Ticker::BlockCacheMiss) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(directory: &Path) -> Rocks {
        let mut store = Rocks::open(directory, 16 << 20).expect("a directory of the test's own");
        let mut batch = Batch::default();
        (0..100_u8).for_each(|row| batch.put(&[b'k', row], &[row; 50]));
        store.commit(batch).expect("the disk has room");
        store
    }

    #[test]
    fn a_file_in_which_a_byte_has_changed_is_found_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = filled(directory.path());
        store.db.flush().expect("the disk has room");
        drop(store);
        let files = std::fs::read_dir(directory.path()).expect("the directory").flatten().map(|entry| entry.path());
        let file = files.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "sst")).expect("a file");
        let mut bytes = std::fs::read(&file).expect("it can be read");
        bytes[20] ^= 1;
        std::fs::write(&file, bytes).expect("it can be written");
        let found = Rocks::open(directory.path(), 16 << 20).and_then(|store| store.get(b"k\x07"));
        assert!(matches!(found, Err(Error::Damaged(_))), "{found:?}");
    }

    #[test]
    fn a_store_tells_how_many_rows_it_has_and_where_they_were_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = filled(directory.path());
        assert!(store.get(b"k\x07").expect("it can be read").is_some());
        assert!(store.get(b"elsewhere").expect("it can be read").is_none());
        let told = store.told().expect("a store on disk tells");
        assert_eq!((told.estimated_rows, told.memtable), (100, Lookups { hits: 1, misses: 1 }));
        // What is in a file is found there, and at hand the next time.
        store.db.flush().expect("the disk has room");
        for _ in 0..2 {
            assert!(store.get(b"k\x07").expect("it can be read").is_some());
        }
        let told = store.told().expect("a store on disk tells");
        assert_eq!((told.estimated_rows, told.memtable.hits), (100, 1));
        assert!(told.block_cache.hits > 0 && told.block_cache.misses > 0, "{told:?}");
    }
}
