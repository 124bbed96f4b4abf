//! Each metric once, with its name, its labels and its help text.

use std::sync::{Mutex, Weak};

use prometheus::{
    Counter, CounterVec, Error, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGaugeVec, Opts, Registry,
};

use super::labels::Stage;
use super::task::Task;

/// From the fastest commit on one machine to the longest wait for a broker.
const DURATIONS: [f64; 19] = [
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// From "as it happens" to the seven days after which the platform stops trying to deliver a webhook.
const LATENESS: [f64; 15] = [
    0.1,
    0.5,
    1.0,
    2.0,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    3600.0,
    14_400.0,
    43_200.0,
    86_400.0,
    3.0 * 86_400.0,
    7.0 * 86_400.0,
];

/// Registers metrics under our prefix.
pub(super) struct Maker<'r>(pub(super) &'r Registry);

impl Maker<'_> {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        let made = IntCounterVec::new(Opts::new(name, help).namespace("tollgate"), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn seconds(&self, name: &str, help: &str, labels: &[&str]) -> Result<CounterVec, Error> {
        let made = CounterVec::new(Opts::new(name, help).namespace("tollgate"), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        let made = IntGaugeVec::new(Opts::new(name, help).namespace("tollgate"), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn ratios(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, Error> {
        let made = GaugeVec::new(Opts::new(name, help).namespace("tollgate"), labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec, Error> {
        let options = HistogramOpts::new(name, help).namespace("tollgate").buckets(buckets.to_vec());
        let made = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(made.clone()))?;
        Ok(made)
    }
}

/// The tasks that were made and not dropped yet.
pub(super) type Tasks = Vec<(Stage, i32, Weak<Task>)>;

/// All families, and the tasks that are alive.
pub(super) struct Families {
    pub(super) records_consumed: IntCounterVec,
    pub(super) events_folded: IntCounter,
    pub(super) unknown_events: IntCounter,
    pub(super) deadlines_fired: IntCounter,
    pub(super) outputs: IntCounterVec,
    pub(super) changelog_records: IntCounterVec,
    pub(super) dead_letters: IntCounterVec,
    pub(super) verdicts: IntCounterVec,
    pub(super) record_lateness: Histogram,
    pub(super) verdict_latency: Histogram,
    pub(super) transactions: IntCounterVec,
    pub(super) transaction_seconds: Histogram,
    pub(super) commit_seconds: Histogram,
    pub(super) commit_step_seconds: HistogramVec,
    pub(super) producer_recycled: IntCounterVec,
    pub(super) fold_seconds: Counter,
    pub(super) blocked_seconds: Counter,
    pub(super) poll_seconds: Counter,
    pub(super) throttled: IntCounter,
    pub(super) heartbeats_written: IntCounter,
    pub(super) merge_passes: IntCounter,
    pub(super) restore_records: IntCounter,
    pub(super) checkpoint_seconds: Histogram,
    pub(super) task_state: IntGaugeVec,
    pub(super) consumer_lag: IntGaugeVec,
    pub(super) partition_time_lag: GaugeVec,
    pub(super) restore_remaining: IntGaugeVec,
    pub(super) unflushed: IntGaugeVec,
    pub(super) poison_ratio: GaugeVec,
    pub(super) rocksdb_memtable: IntGaugeVec,
    pub(super) rocksdb_pending_compaction: IntGaugeVec,
    pub(super) rocksdb_background_errors: IntGaugeVec,
    pub(super) rocksdb_write_stall: CounterVec,
    pub(super) rocksdb_block_cache: IntGaugeVec,
    pub(super) rocksdb_estimated_rows: IntGaugeVec,
    pub(super) rocksdb_lookups: IntCounterVec,
    pub(super) reference_records: IntCounterVec,
    pub(super) reference_watermark: Gauge,
    pub(super) tasks: Mutex<Tasks>,
}

impl Families {
    #[allow(clippy::too_many_lines, reason = "it is a list: each metric once, with its help text")]
    pub(super) fn new(registry: &Registry) -> Result<Self, Error> {
        let make = Maker(registry);
        let verdict_latency = make.histograms(
            "verdict_latency_seconds",
            "From the log's taking an ask to the commit of its verdict.",
            &[],
            &DURATIONS,
        )?;
        let reference_watermark = make.ratios(
            "reference_watermark_timestamp_seconds",
            "Until when facts about accounts and templates have been learned, in seconds since 1970.",
            &[],
        )?;
        Ok(Self {
            records_consumed: make.counters(
                "records_consumed_total",
                "Records read whose transaction was committed.",
                &["topic"],
            )?,
            events_folded: make.counters("events_folded_total", "Events folded.", &[])?.with_label_values::<&str>(&[]),
            unknown_events: make
                .counters(
                    "unknown_events_total",
                    "Events of a kind that this version does not know; they change nothing.",
                    &[],
                )?
                .with_label_values::<&str>(&[]),
            deadlines_fired: make
                .counters(
                    "deadlines_fired_total",
                    "Deadlines that partition time has passed, such as the end of a window.",
                    &[],
                )?
                .with_label_values::<&str>(&[]),
            outputs: make.counters("outputs_total", "Records published.", &["topic"])?,
            changelog_records: make.counters(
                "changelog_records_total",
                "Changed rows written to a changelog.",
                &["changelog"],
            )?,
            dead_letters: make.counters(
                "dead_letters_total",
                "Records that could not be used, by what is wrong with them.",
                &["code"],
            )?,
            verdicts: make.counters("verdicts_total", "Verdicts, by their first reason.", &["verdict", "reason"])?,
            record_lateness: make
                .histograms(
                    "record_lateness_seconds",
                    "From what an event tells of to the log's taking it.",
                    &[],
                    &LATENESS,
                )?
                .with_label_values::<&str>(&[]),
            verdict_latency: verdict_latency.with_label_values::<&str>(&[]),
            transactions: make.counters("transactions_total", "Transactions, by how they ended.", &["outcome"])?,
            transaction_seconds: make
                .histograms("transaction_seconds", "From a transaction's first record to its commit.", &[], &DURATIONS)?
                .with_label_values::<&str>(&[]),
            commit_seconds: make
                .histograms(
                    "commit_seconds",
                    "Ending a transaction: all steps of commit_step_seconds together.",
                    &[],
                    &DURATIONS,
                )?
                .with_label_values::<&str>(&[]),
            commit_step_seconds: make.histograms(
                "commit_step_seconds",
                "A step of ending a transaction.",
                &["step"],
                &DURATIONS,
            )?,
            producer_recycled: make.counters(
                "producer_recycled_total",
                "Producers dropped and made again under their transactional id.",
                &["why"],
            )?,
            fold_seconds: make
                .seconds("fold_seconds_total", "Time spent in folding and in making records.", &[])?
                .with_label_values::<&str>(&[]),
            blocked_seconds: make
                .seconds("blocked_seconds_total", "Time spent waiting for the broker to answer.", &[])?
                .with_label_values::<&str>(&[]),
            poll_seconds: make
                .seconds("poll_seconds_total", "Time spent waiting for records.", &[])?
                .with_label_values::<&str>(&[]),
            throttled: make
                .counters(
                    "throttled_total",
                    "Asks answered `unknown: throttled`, because their number asked too often.",
                    &[],
                )?
                .with_label_values::<&str>(&[]),
            heartbeats_written: make
                .counters("heartbeats_written_total", "Events written to move the time of an idle partition.", &[])?
                .with_label_values::<&str>(&[]),
            merge_passes: make
                .counters(
                    "merge_passes_total",
                    "Records folded although an earlier one of another input may still come, after the bounded wait.",
                    &[],
                )?
                .with_label_values::<&str>(&[]),
            restore_records: make
                .counters("restore_records_total", "Changelog records read to bring a store up to date.", &[])?
                .with_label_values::<&str>(&[]),
            checkpoint_seconds: make
                .histograms("checkpoint_seconds", "Writing what is committed into the store.", &[], &DURATIONS)?
                .with_label_values::<&str>(&[]),
            task_state: make.gauges(
                "task_state",
                "What a partition's task does: 0 restoring, 1 running, 2 paused, 3 halted.",
                &["stage", "partition"],
            )?,
            consumer_lag: make.gauges(
                "consumer_lag_records",
                "Records of the input that are not committed yet. Not there until the input's end is known.",
                &["topic", "partition"],
            )?,
            partition_time_lag: make.ratios(
                "partition_time_lag_seconds",
                "About how long ago the log took the oldest record not committed yet; 0 at the input's end.",
                &["stage", "partition"],
            )?,
            restore_remaining: make.gauges(
                "restore_remaining_records",
                "Changelog records still to be read before a partition runs.",
                &["stage", "partition"],
            )?,
            unflushed: make.gauges(
                "unflushed_bytes",
                "Committed rows that are in memory and not in the store yet.",
                &["stage", "partition"],
            )?,
            poison_ratio: make.ratios(
                "poison_ratio",
                "Share of the latest records that became dead letters, from 0 to 1.",
                &["stage", "partition"],
            )?,
            rocksdb_memtable: make.gauges(
                "rocksdb_memtable_bytes",
                "What RocksDB holds that is in no file yet.",
                &["stage", "partition"],
            )?,
            rocksdb_pending_compaction: make.gauges(
                "rocksdb_pending_compaction_bytes",
                "What RocksDB has yet to compact.",
                &["stage", "partition"],
            )?,
            rocksdb_background_errors: make.gauges(
                "rocksdb_background_errors",
                "Errors of RocksDB's own threads since the store was opened.",
                &["stage", "partition"],
            )?,
            rocksdb_write_stall: make.seconds(
                "rocksdb_write_stall_seconds_total",
                "Time that writes waited for RocksDB to flush or compact.",
                &["stage", "partition"],
            )?,
            rocksdb_block_cache: make.gauges(
                "rocksdb_block_cache_bytes",
                "Blocks of files that RocksDB keeps at hand.",
                &["stage", "partition"],
            )?,
            rocksdb_estimated_rows: make.gauges(
                "rocksdb_estimated_rows",
                "About how many rows the store has.",
                &["stage", "partition"],
            )?,
            rocksdb_lookups: make.counters(
                "rocksdb_lookups_total",
                "How often RocksDB looked in its memory before it asked its files, and whether it found something.",
                &["stage", "partition", "cache", "outcome"],
            )?,
            reference_records: make.counters(
                "reference_records_total",
                "Records about accounts, templates and usage that were learned.",
                &["topic"],
            )?,
            reference_watermark: reference_watermark.with_label_values::<&str>(&[]),
            tasks: Mutex::default(),
        })
    }
}
