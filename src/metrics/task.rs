//! What is known of one partition while it is assigned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{Counter, Gauge, IntCounter, IntGauge};

use super::families::Families;
use super::labels::{Cache, Lookup, Stage, State};
use super::{lock, whole};

/// What RocksDB tells of itself, for one store.
#[derive(Clone, Copy, Debug, Default)]
pub struct RocksDb {
    /// Bytes that are in no file yet.
    pub memtable_bytes: u64,
    /// Bytes yet to be compacted.
    pub pending_compaction_bytes: u64,
    /// Bytes of files that it keeps at hand.
    pub block_cache_bytes: u64,
    /// Errors of its own threads since it was opened.
    pub background_errors: u64,
    /// How long writes have waited since it was opened.
    pub write_stall: Duration,
    /// About how many rows there are.
    pub estimated_rows: u64,
    /// Reads of rows that what is in no file yet could answer, since it was opened; and those that it could not.
    pub memtable: (u64, u64),
    /// Reads of blocks of files that were at hand, since it was opened; and those that were not.
    pub block_cache: (u64, u64),
}

/// The store's lookups, in the order in which a task counts them.
const LOOKUPS: [(Cache, Lookup); 4] = [
    (Cache::Memtable, Lookup::Hit),
    (Cache::Memtable, Lookup::Miss),
    (Cache::Blocks, Lookup::Hit),
    (Cache::Blocks, Lookup::Miss),
];

/// What of a count that begins at zero again with every opening of the store was not counted yet.
fn uncounted(counted: &AtomicU64, now: u64) -> u64 {
    let counted = counted.swap(now, Ordering::Relaxed);
    // Less than before: the store was opened again.
    if now < counted { now } else { now - counted }
}

/// What is known of one partition of a stage while it is assigned. Health is judged by these very values, so
/// that a probe and a dashboard cannot disagree.
pub struct Task {
    families: Arc<Families>,
    pub(super) stage: Stage,
    pub(super) partition: i32,
    inputs: Vec<String>,
    state: IntGauge,
    time_lag: Gauge,
    poison_ratio: Gauge,
    restored: AtomicU64,
    restore_remaining: IntGauge,
    unflushed: IntGauge,
    memtable: IntGauge,
    pending_compaction: IntGauge,
    block_cache: IntGauge,
    background_errors: IntGauge,
    write_stall: Counter,
    /// The microseconds of stalls already counted.
    stalled: AtomicU64,
    estimated_rows: IntGauge,
    /// By [`LOOKUPS`], each with how many are already counted.
    lookups: [(IntCounter, AtomicU64); 4],
}

impl Task {
    pub(super) fn new(families: Arc<Families>, stage: Stage, partition: i32, inputs: &[String]) -> Self {
        let number = partition.to_string();
        let labels = [stage.name(), number.as_str()];
        let state = families.task_state.with_label_values(&labels);
        state.set(State::Restoring as i64);
        Self {
            stage,
            partition,
            inputs: inputs.to_vec(),
            state,
            time_lag: families.partition_time_lag.with_label_values(&labels),
            poison_ratio: families.poison_ratio.with_label_values(&labels),
            restored: AtomicU64::new(0),
            restore_remaining: families.restore_remaining.with_label_values(&labels),
            unflushed: families.unflushed.with_label_values(&labels),
            memtable: families.rocksdb_memtable.with_label_values(&labels),
            pending_compaction: families.rocksdb_pending_compaction.with_label_values(&labels),
            block_cache: families.rocksdb_block_cache.with_label_values(&labels),
            background_errors: families.rocksdb_background_errors.with_label_values(&labels),
            write_stall: families.rocksdb_write_stall.with_label_values(&labels),
            stalled: AtomicU64::new(0),
            estimated_rows: families.rocksdb_estimated_rows.with_label_values(&labels),
            lookups: LOOKUPS.map(|(cache, outcome)| {
                let labels = [labels[0], labels[1], cache.name(), outcome.name()];
                (families.rocksdb_lookups.with_label_values(&labels), AtomicU64::new(0))
            }),
            families,
        }
    }

    /// The stage.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> i32 {
        self.partition
    }

    /// What it does at present; [`State::Restoring`] from the start.
    #[must_use]
    pub fn state(&self) -> State {
        let state = usize::try_from(self.state.get()).ok().and_then(|place| State::ALL.get(place));
        state.copied().unwrap_or(State::Halted)
    }

    /// It does something else now.
    pub fn set_state(&self, state: State) {
        self.state.set(state as i64);
    }

    /// Records of an input that are not committed yet; the input's place in the list the task was made with.
    pub fn set_lag(&self, input: usize, records: u64) {
        let number = self.partition.to_string();
        self.families.consumer_lag.with_label_values(&[self.inputs[input].as_str(), &number]).set(whole(records));
    }

    /// How long ago the log took the oldest record that is not committed yet.
    #[must_use]
    pub fn time_lag(&self) -> Duration {
        Duration::try_from_secs_f64(self.time_lag.get()).unwrap_or_default()
    }

    /// How long ago the log took the oldest record that is not committed yet; zero at the input's end.
    pub fn set_time_lag(&self, lag: Duration) {
        self.time_lag.set(lag.as_secs_f64());
    }

    /// The share of the latest records that became dead letters.
    #[must_use]
    pub fn poison_ratio(&self) -> f64 {
        self.poison_ratio.get()
    }

    /// The share of the latest records that became dead letters, from 0 to 1.
    pub fn set_poison_ratio(&self, ratio: f64) {
        self.poison_ratio.set(ratio);
    }

    /// Changelog records read since the partition was assigned, and those still to be read.
    #[must_use]
    pub fn restore_progress(&self) -> (u64, u64) {
        (self.restored.load(Ordering::Relaxed), u64::try_from(self.restore_remaining.get()).unwrap_or(0))
    }

    /// Some more changelog records were read, and so many are still to be read.
    pub fn restored(&self, records: u64, remaining: u64) {
        self.restored.fetch_add(records, Ordering::Relaxed);
        self.families.restore_records.inc_by(records);
        self.restore_remaining.set(whole(remaining));
    }

    /// Committed rows that are in memory and not in the store yet.
    pub fn set_unflushed(&self, bytes: u64) {
        self.unflushed.set(whole(bytes));
    }

    /// What RocksDB tells of itself. To be called by one thread at a time.
    pub fn set_rocksdb(&self, told: RocksDb) {
        self.memtable.set(whole(told.memtable_bytes));
        self.pending_compaction.set(whole(told.pending_compaction_bytes));
        self.block_cache.set(whole(told.block_cache_bytes));
        self.background_errors.set(whole(told.background_errors));
        let micros = u64::try_from(told.write_stall.as_micros()).unwrap_or(u64::MAX);
        self.write_stall.inc_by(Duration::from_micros(uncounted(&self.stalled, micros)).as_secs_f64());
        self.estimated_rows.set(whole(told.estimated_rows));
        let lookups = [told.memtable.0, told.memtable.1, told.block_cache.0, told.block_cache.1];
        for ((counter, counted), now) in self.lookups.iter().zip(lookups) {
            counter.inc_by(uncounted(counted, now));
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let mut tasks = lock(&self.families.tasks);
        // Counted and not upgraded: an upgraded task could be dropped here, and would wait for this lock for ever.
        tasks.retain(|(_, _, task)| task.strong_count() > 0);
        // The partition may have come back before the last holder of the old task let go of it.
        if tasks.iter().any(|(stage, partition, _)| (*stage, *partition) == (self.stage, self.partition)) {
            return;
        }
        let number = self.partition.to_string();
        let labels = [self.stage.name(), number.as_str()];
        let families = &self.families;
        for gauges in [
            &families.task_state,
            &families.restore_remaining,
            &families.unflushed,
            &families.rocksdb_memtable,
            &families.rocksdb_pending_compaction,
            &families.rocksdb_block_cache,
            &families.rocksdb_background_errors,
            &families.rocksdb_estimated_rows,
        ] {
            // It may be gone already, which is what is wanted.
            let _ = gauges.remove_label_values(&labels);
        }
        for gauges in [&families.partition_time_lag, &families.poison_ratio] {
            let _ = gauges.remove_label_values(&labels);
        }
        let _ = families.rocksdb_write_stall.remove_label_values(&labels);
        for (cache, outcome) in LOOKUPS {
            let labels = [labels[0], labels[1], cache.name(), outcome.name()];
            let _ = families.rocksdb_lookups.remove_label_values(&labels);
        }
        for topic in &self.inputs {
            let _ = families.consumer_lag.remove_label_values(&[topic.as_str(), number.as_str()]);
        }
    }
}
