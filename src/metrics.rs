//! Every metric of `tollgate run`, in one registry that is built once and passed in.
//!
//! Methods take domain values and small enums, so that labels are bounded by types: a contact, a phone number or
//! anything else out of a record can be no label. Names are `tollgate_<name>_<unit>`, with `_total` where they
//! only grow; seconds and bytes are the only units.
//!
//! A [`Worker`] is what one thread measures of itself, whatever the stages of its partitions: one transaction holds
//! them all. A [`Task`] is what is known of one partition of a stage, and a [`Tally`] what a transaction would count. A
//! tally is plain numbers until the transaction is over: committed it is added, aborted it is dropped, so that the
//! counters agree with what readers of the outputs see.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use prometheus::local::LocalHistogram;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::domain::time::Timestamp;
use crate::domain::verdict::{Answer, Effect, Reason};

/// What went wrong with the registry. Names and labels are constants, so this means a mistake in this file.
pub use prometheus::Error;

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $word:literal,)* })*) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$case_doc])* $case,)* }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$case),*];

            /// The value of the label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$case => $word,)* }
            }
        })*
    };
}

labels! {
    /// A stage of the processor: the same engine with another fold.
    Stage {
        /// Events to verdicts, windows and outcomes, by business number.
        Conversation = "conversation",
        /// Charges to the ledger, by portfolio.
        Ledger = "ledger",
    }

    /// What a partition's task does. The metric's value is the place in this list, from 0.
    State {
        /// It catches up with its changelog.
        Restoring = "restoring",
        /// It folds what comes.
        Running = "running",
        /// It waits for something outside, such as the schema registry, and will go on by itself.
        Paused = "paused",
        /// Going on could lose something: somebody has to look.
        Halted = "halted",
    }

    /// How a transaction ended.
    Outcome {
        /// All of it is there.
        Committed = "committed",
        /// None of it is there; it is folded again.
        Aborted = "aborted",
        /// The broker did not say. The committed offsets tell, and it is counted once more as they do.
        Unknown = "unknown",
    }

    /// A step of a commit.
    Step {
        /// Waiting until the brokers have all that was produced.
        Drain = "drain",
        /// Adding the input's offsets to the transaction.
        Offsets = "offsets",
        /// Committing it.
        Commit = "commit",
    }

    /// Memory in which a store looks before it asks its files.
    Cache {
        /// What is in no file yet.
        Memtable = "memtable",
        /// Blocks of files that were read before.
        Blocks = "block_cache",
    }

    /// What came of looking.
    Lookup {
        /// It was there.
        Hit = "hit",
        /// It was not.
        Miss = "miss",
    }

    /// What a worker's time goes into.
    Activity {
        /// Folding, and making records of effects.
        Fold = "fold",
        /// Waiting for the broker to answer.
        Blocked = "blocked",
        /// Waiting for records.
        Poll = "poll",
    }
}

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
struct Maker<'r>(&'r Registry);

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

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
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
type Tasks = Vec<(Stage, i32, Weak<Task>)>;

/// All families, and the tasks that are alive.
struct Families {
    records_consumed: IntCounterVec,
    events_folded: IntCounter,
    unknown_events: IntCounter,
    deadlines_fired: IntCounter,
    outputs: IntCounterVec,
    changelog_records: IntCounterVec,
    dead_letters: IntCounterVec,
    verdicts: IntCounterVec,
    record_lateness: Histogram,
    verdict_latency: Histogram,
    transactions: IntCounterVec,
    transaction_seconds: Histogram,
    commit_seconds: Histogram,
    commit_step_seconds: HistogramVec,
    producer_recycled: IntCounterVec,
    fold_seconds: Counter,
    blocked_seconds: Counter,
    poll_seconds: Counter,
    throttled: IntCounter,
    heartbeats_written: IntCounter,
    merge_passes: IntCounter,
    restore_records: IntCounter,
    checkpoint_seconds: Histogram,
    task_state: IntGaugeVec,
    consumer_lag: IntGaugeVec,
    partition_time_lag: GaugeVec,
    restore_remaining: IntGaugeVec,
    unflushed: IntGaugeVec,
    poison_ratio: GaugeVec,
    rocksdb_memtable: IntGaugeVec,
    rocksdb_pending_compaction: IntGaugeVec,
    rocksdb_background_errors: IntGaugeVec,
    rocksdb_write_stall: CounterVec,
    rocksdb_block_cache: IntGaugeVec,
    rocksdb_estimated_rows: IntGaugeVec,
    rocksdb_lookups: IntCounterVec,
    reference_records: IntCounterVec,
    reference_watermark: Gauge,
    tasks: Mutex<Tasks>,
}

impl Families {
    #[allow(clippy::too_many_lines, reason = "it is a list: each metric once, with its help text")]
    fn new(registry: &Registry) -> Result<Self, Error> {
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

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
}

impl Metrics {
    /// Registers everything. `version` is the one that `tollgate_build_info` names.
    ///
    /// # Errors
    /// If two metrics have one name, which is a mistake in this file.
    pub fn new(version: &str) -> Result<Self, Error> {
        let registry = Registry::new();
        let families = Arc::new(Families::new(&registry)?);
        let build = Maker(&registry).gauges("build_info", "1, with the version that runs.", &["version"])?;
        build.with_label_values(&[version]).set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        // A series that begins at its first increase hides that increase from `rate()`.
        for reason in Reason::ALL {
            let answer = match reason.effect() {
                Effect::Blocks => Answer::Blocked,
                Effect::Doubts => Answer::Unknown,
                Effect::Permits => Answer::Allowed,
                Effect::Warns => continue,
            };
            families.verdicts.with_label_values(&[answer.name(), reason.code()]);
        }
        Ok(Self { registry, families })
    }

    /// Everything, in the text format of Prometheus.
    ///
    /// # Errors
    /// If it cannot be written as text, which is a mistake in this file.
    pub fn render(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// The metrics of one worker. The names are all that it will ever read and write; its tallies speak of them
    /// by their place in these lists.
    #[must_use]
    pub fn worker(&self, names: &Names) -> Arc<Worker> {
        Arc::new(Worker::new(Arc::clone(&self.families), names))
    }

    /// The metrics of a partition that was assigned. They vanish when the task is dropped.
    #[must_use]
    pub fn task(&self, stage: Stage, partition: i32, inputs: &[String]) -> Arc<Task> {
        // The lock is held so that a task of the same partition, if it is being dropped, takes its own series away
        // before ours begin, or leaves them to us.
        let mut tasks = lock(&self.families.tasks);
        let task = Arc::new(Task::new(Arc::clone(&self.families), stage, partition, inputs));
        tasks.push((stage, partition, Arc::downgrade(&task)));
        task
    }

    /// The partitions that are assigned at present, in order.
    #[must_use]
    pub fn tasks(&self) -> Vec<Arc<Task>> {
        let mut alive: Vec<Arc<Task>> =
            lock(&self.families.tasks).iter().filter_map(|(_, _, task)| task.upgrade()).collect();
        alive.sort_by_key(|task| (task.stage, task.partition));
        alive
    }

    /// Records of a reference topic were learned; none, to make its series.
    pub fn reference_learned(&self, topic: &str, records: u64) {
        self.families.reference_records.with_label_values(&[topic]).inc_by(records);
    }

    /// Until when facts have been learned.
    pub fn reference_watermark(&self, at: Timestamp) {
        self.families.reference_watermark.set(seconds(at.millis()));
    }
}

/// The topics that a worker reads and writes.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// What it reads.
    pub inputs: Vec<String>,
    /// What it publishes.
    pub outputs: Vec<String>,
    /// Where it writes changed rows.
    pub changelogs: Vec<String>,
    /// Why its producer may have to be made again.
    pub recycled: Vec<&'static str>,
}

/// How long the steps of one commit took.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitTimes {
    /// [`Step::Drain`]
    pub drain: Duration,
    /// [`Step::Offsets`]
    pub offsets: Duration,
    /// [`Step::Commit`]
    pub commit: Duration,
}

/// What one worker measures of itself. Its methods are for once a batch or a transaction; what is counted for
/// each record goes through a [`Tally`].
pub struct Worker {
    consumed: Vec<IntCounter>,
    outputs: Vec<IntCounter>,
    changelogs: Vec<IntCounter>,
    transactions: Vec<IntCounter>,
    commit_steps: Vec<Histogram>,
    families: Arc<Families>,
}

impl Worker {
    fn new(families: Arc<Families>, names: &Names) -> Self {
        let of = |counters: &IntCounterVec, labels: &[String]| -> Vec<IntCounter> {
            labels.iter().map(|label| counters.with_label_values(&[label])).collect()
        };
        let consumed = of(&families.records_consumed, &names.inputs);
        let outputs = of(&families.outputs, &names.outputs);
        let changelogs = of(&families.changelog_records, &names.changelogs);
        let outcomes = Outcome::ALL.iter();
        let transactions = outcomes.map(|outcome| families.transactions.with_label_values(&[outcome.name()])).collect();
        let steps = Step::ALL.iter();
        let commit_steps = steps.map(|step| families.commit_step_seconds.with_label_values(&[step.name()])).collect();
        for why in &names.recycled {
            families.producer_recycled.with_label_values(&[why]);
        }
        Self { consumed, outputs, changelogs, transactions, commit_steps, families }
    }

    /// An empty tally.
    #[must_use]
    pub fn tally(self: &Arc<Self>) -> Tally {
        Tally {
            consumed: vec![0; self.consumed.len()],
            outputs: vec![0; self.outputs.len()],
            changelogs: vec![0; self.changelogs.len()],
            events_folded: 0,
            unknown_events: 0,
            deadlines_fired: 0,
            throttled: 0,
            dead_letters: Vec::new(),
            verdicts: vec![0; ANSWERS * Reason::ALL.len()],
            asked: Vec::new(),
            lateness: self.families.record_lateness.local(),
            worker: Arc::clone(self),
        }
    }

    /// A transaction has ended.
    pub fn transaction(&self, outcome: Outcome) {
        self.transactions[outcome as usize].inc();
    }

    /// A transaction was committed: how long after its first record, and how long ending it took.
    pub fn commit_took(&self, since_first_record: Duration, times: CommitTimes) {
        self.families.transaction_seconds.observe(since_first_record.as_secs_f64());
        self.families.commit_seconds.observe((times.drain + times.offsets + times.commit).as_secs_f64());
        for step in Step::ALL {
            let took = match step {
                Step::Drain => times.drain,
                Step::Offsets => times.offsets,
                Step::Commit => times.commit,
            };
            self.commit_steps[*step as usize].observe(took.as_secs_f64());
        }
    }

    /// The producer was dropped and made again. The reason is one of those that the program's own text holds.
    pub fn producer_recycled(&self, why: &'static str) {
        self.families.producer_recycled.with_label_values(&[why]).inc();
    }

    /// Time went into something.
    pub fn spent(&self, activity: Activity, time: Duration) {
        let spent = match activity {
            Activity::Fold => &self.families.fold_seconds,
            Activity::Blocked => &self.families.blocked_seconds,
            Activity::Poll => &self.families.poll_seconds,
        };
        spent.inc_by(time.as_secs_f64());
    }

    /// Events were written to move the time of idle partitions.
    pub fn heartbeats_written(&self, events: u64) {
        self.families.heartbeats_written.inc_by(events);
    }

    /// An input was passed over after the bounded wait.
    pub fn merge_passed(&self, times: u64) {
        self.families.merge_passes.inc_by(times);
    }

    /// What is committed was written into a store.
    pub fn checkpoint_took(&self, time: Duration) {
        self.families.checkpoint_seconds.observe(time.as_secs_f64());
    }
}

/// How many answers there are.
const ANSWERS: usize = 3;

/// What a transaction would count: plain numbers, cheap enough for every record. Dropped, it counts nothing.
pub struct Tally {
    worker: Arc<Worker>,
    consumed: Vec<u64>,
    outputs: Vec<u64>,
    changelogs: Vec<u64>,
    events_folded: u64,
    unknown_events: u64,
    deadlines_fired: u64,
    throttled: u64,
    dead_letters: Vec<(&'static str, u64)>,
    verdicts: Vec<u64>,
    /// When the log took the asks that were answered; as many as a transaction has verdicts.
    asked: Vec<Timestamp>,
    lateness: LocalHistogram,
}

impl Tally {
    /// Records were read from an input: its place in [`Names::inputs`].
    pub fn consumed(&mut self, input: usize, records: u64) {
        self.consumed[input] += records;
    }

    /// Records were published to an output: its place in [`Names::outputs`].
    pub fn published(&mut self, output: usize, records: u64) {
        self.outputs[output] += records;
    }

    /// Rows were written to a changelog: its place in [`Names::changelogs`].
    pub fn changed(&mut self, changelog: usize, rows: u64) {
        self.changelogs[changelog] += rows;
    }

    /// An event was folded. It happened at one instant, and the log took it at another.
    pub fn folded(&mut self, occurred_at: Timestamp, arrived_at: Timestamp) {
        self.events_folded += 1;
        // A sender's clock that is ahead makes no event early.
        self.lateness.observe(seconds(arrived_at.since(occurred_at).0.max(0)));
    }

    /// It was of a kind that this version does not know.
    pub fn unknown_event(&mut self) {
        self.unknown_events += 1;
    }

    /// Deadlines have fired.
    pub fn deadlines_fired(&mut self, deadlines: u64) {
        self.deadlines_fired += deadlines;
    }

    /// A record became a dead letter. The code is one of the stable ones, which the program's own text holds.
    pub fn dead_letter(&mut self, code: &'static str) {
        match self.dead_letters.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => self.dead_letters.push((code, 1)),
        }
    }

    /// An ask was answered, with this first reason. `arrived_at` is when the log took it, where that is known.
    pub fn answered(&mut self, answer: Answer, reason: Reason, arrived_at: Option<Timestamp>) {
        self.verdicts[answer as usize * Reason::ALL.len() + reason as usize] += 1;
        self.asked.extend(arrived_at);
    }

    /// An ask was answered `unknown`, because its number asks too often.
    pub fn throttled(&mut self) {
        self.throttled += 1;
    }

    /// The transaction was committed at an instant of the same clock that stamps the log: all of it counts, and
    /// the tally is empty again.
    pub fn committed(&mut self, at: Timestamp) {
        let worker = &self.worker;
        let families = &worker.families;
        for (counters, counts) in [
            (&worker.consumed, &mut self.consumed),
            (&worker.outputs, &mut self.outputs),
            (&worker.changelogs, &mut self.changelogs),
        ] {
            for (counter, count) in counters.iter().zip(counts) {
                counter.inc_by(std::mem::take(count));
            }
        }
        for (counter, count) in [
            (&families.events_folded, &mut self.events_folded),
            (&families.unknown_events, &mut self.unknown_events),
            (&families.deadlines_fired, &mut self.deadlines_fired),
            (&families.throttled, &mut self.throttled),
        ] {
            counter.inc_by(std::mem::take(count));
        }
        for (code, count) in self.dead_letters.drain(..) {
            families.dead_letters.with_label_values(&[code]).inc_by(count);
        }
        for (answer, counts) in [Answer::Allowed, Answer::Blocked, Answer::Unknown]
            .into_iter()
            .zip(self.verdicts.chunks_exact_mut(Reason::ALL.len()))
        {
            for (reason, count) in Reason::ALL.iter().zip(counts).filter(|(_, count)| **count > 0) {
                let labels = [answer.name(), reason.code()];
                families.verdicts.with_label_values(&labels).inc_by(std::mem::take(count));
            }
        }
        for arrived_at in self.asked.drain(..) {
            // The broker's clock may be a little ahead of ours.
            families.verdict_latency.observe(seconds(at.since(arrived_at).0.max(0)));
        }
        self.lateness.flush();
    }

    /// The transaction was aborted: none of it counts, and the tally is empty again.
    pub fn aborted(&mut self) {
        *self = self.worker.tally();
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // A local histogram adds what it holds when it is dropped, so it is emptied first.
        self.lateness.clear();
    }
}

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
    stage: Stage,
    partition: i32,
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
    fn new(families: Arc<Families>, stage: Stage, partition: i32, inputs: &[String]) -> Self {
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

/// The list's guard. Whoever panicked while holding it had only pushed to it or looked at it.
fn lock(tasks: &Mutex<Tasks>) -> MutexGuard<'_, Tasks> {
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds as Prometheus counts time.
#[allow(clippy::cast_precision_loss, reason = "a metric; a double holds milliseconds for longer than the calendar")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

/// A count as a gauge holds it.
fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + millis).expect("an instant")
    }

    fn names() -> Names {
        Names {
            inputs: vec!["wa.events".into()],
            outputs: vec!["wa.verdicts".into(), "wa.windows".into()],
            changelogs: vec!["contacts".into()],
            recycled: vec!["lost"],
        }
    }

    fn metrics() -> Metrics {
        Metrics::new("1.2.3").expect("names differ")
    }

    /// The value of a series as the text says it, by its name and labels.
    fn value(metrics: &Metrics, series: &str) -> Option<f64> {
        let text = metrics.render().expect("text");
        let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series));
        line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
    }

    #[test]
    fn a_tally_counts_when_its_transaction_is_committed() {
        let metrics = metrics();
        let worker = metrics.worker(&names());
        let mut tally = worker.tally();
        let fill = |tally: &mut Tally| {
            tally.consumed(0, 3);
            tally.published(1, 2);
            tally.changed(0, 5);
            tally.folded(at(0), at(700));
            tally.folded(at(900), at(700));
            tally.dead_letter("not_json");
            tally.dead_letter("not_json");
            tally.answered(Answer::Unknown, Reason::Malformed, Some(at(0)));
            tally.answered(Answer::Allowed, Reason::TemplateApproved, Some(at(990)));
        };
        fill(&mut tally);
        tally.aborted();
        drop(tally);
        let mut tally = worker.tally();
        fill(&mut tally);
        drop(tally);
        let mut tally = worker.tally();
        assert_eq!(value(&metrics, "tollgate_record_lateness_seconds_count"), Some(0.0));
        fill(&mut tally);
        tally.committed(at(1000));
        tally.committed(at(2000));
        for (series, expected) in [
            ("tollgate_records_consumed_total{topic=\"wa.events\"}", 3.0),
            ("tollgate_outputs_total{topic=\"wa.verdicts\"}", 0.0),
            ("tollgate_outputs_total{topic=\"wa.windows\"}", 2.0),
            ("tollgate_changelog_records_total{changelog=\"contacts\"}", 5.0),
            ("tollgate_events_folded_total", 2.0),
            ("tollgate_dead_letters_total{code=\"not_json\"}", 2.0),
            ("tollgate_verdicts_total{reason=\"malformed\",verdict=\"unknown\"}", 1.0),
            ("tollgate_verdicts_total{reason=\"template_approved\",verdict=\"allowed\"}", 1.0),
            ("tollgate_verdicts_total{reason=\"opted_out\",verdict=\"blocked\"}", 0.0),
            ("tollgate_record_lateness_seconds_count", 2.0),
            ("tollgate_record_lateness_seconds_sum", 0.7),
            ("tollgate_verdict_latency_seconds_count", 2.0),
            ("tollgate_verdict_latency_seconds_sum", 1.01),
            ("tollgate_build_info{version=\"1.2.3\"}", 1.0),
        ] {
            let value = value(&metrics, series).expect(series);
            assert!((value - expected).abs() < 1e-9, "{series} is {value}");
        }
    }

    #[test]
    fn what_a_worker_measures_is_there_from_the_start() {
        let metrics = metrics();
        let worker = metrics.worker(&names());
        for series in [
            "tollgate_transactions_total{outcome=\"unknown\"}",
            "tollgate_producer_recycled_total{why=\"lost\"}",
            "tollgate_blocked_seconds_total",
        ] {
            assert_eq!(value(&metrics, series), Some(0.0), "{series}");
        }
        worker.transaction(Outcome::Unknown);
        worker.producer_recycled("lost");
        worker.spent(Activity::Blocked, Duration::from_millis(500));
        let millis = Duration::from_millis;
        worker.commit_took(millis(100), CommitTimes { drain: millis(1), offsets: millis(2), commit: millis(4) });
        for (series, expected) in [
            ("tollgate_transactions_total{outcome=\"unknown\"}", 1.0),
            ("tollgate_producer_recycled_total{why=\"lost\"}", 1.0),
            ("tollgate_blocked_seconds_total", 0.5),
            ("tollgate_transaction_seconds_sum", 0.1),
            ("tollgate_commit_seconds_sum", 0.007),
            ("tollgate_commit_step_seconds_sum{step=\"commit\"}", 0.004),
        ] {
            assert_eq!(value(&metrics, series), Some(expected), "{series}");
        }
    }

    #[test]
    fn a_partition_has_series_while_it_is_assigned() {
        let metrics = metrics();
        let inputs = names().inputs;
        let state = "tollgate_task_state{partition=\"3\",stage=\"conversation\"}";
        let lag = "tollgate_consumer_lag_records{partition=\"3\",topic=\"wa.events\"}";
        let task = metrics.task(Stage::Conversation, 3, &inputs);
        assert_eq!((task.state(), value(&metrics, state)), (State::Restoring, Some(0.0)));
        task.set_state(State::Paused);
        task.set_lag(0, 17);
        assert_eq!((value(&metrics, state), value(&metrics, lag)), (Some(2.0), Some(17.0)));
        // The partition comes back before the old task is gone.
        let again = metrics.task(Stage::Conversation, 3, &inputs);
        again.set_state(State::Running);
        drop(task);
        assert_eq!(value(&metrics, state), Some(1.0));
        assert_eq!(metrics.tasks().len(), 1);
        drop(again);
        assert_eq!((value(&metrics, state), value(&metrics, lag)), (None, None));
        assert!(metrics.tasks().is_empty());
    }

    #[test]
    fn stalls_only_grow_even_when_the_store_is_opened_again() {
        let metrics = metrics();
        let task = metrics.task(Stage::Ledger, 0, &[]);
        for millis in [500, 700, 200] {
            task.set_rocksdb(RocksDb { write_stall: Duration::from_millis(millis), ..RocksDb::default() });
        }
        let stalls = value(&metrics, "tollgate_rocksdb_write_stall_seconds_total{partition=\"0\",stage=\"ledger\"}");
        assert!(stalls.is_some_and(|stalls| (stalls - 0.9).abs() < 1e-9), "{stalls:?}");
    }

    #[test]
    fn lookups_are_counted_by_where_and_whether_something_was_there() {
        let metrics = metrics();
        let task = metrics.task(Stage::Conversation, 0, &[]);
        for (memtable, block_cache) in [((10, 4), (7, 3)), ((12, 4), (8, 3)), ((1, 1), (1, 0))] {
            task.set_rocksdb(RocksDb { estimated_rows: 40, memtable, block_cache, ..RocksDb::default() });
        }
        let lookups = |cache: &str, outcome: &str| {
            let labels = format!("cache=\"{cache}\",outcome=\"{outcome}\",partition=\"0\",stage=\"conversation\"");
            value(&metrics, &format!("tollgate_rocksdb_lookups_total{{{labels}}}"))
        };
        assert_eq!((lookups("memtable", "hit"), lookups("memtable", "miss")), (Some(13.0), Some(5.0)));
        assert_eq!((lookups("block_cache", "hit"), lookups("block_cache", "miss")), (Some(9.0), Some(3.0)));
        drop(task);
        assert_eq!(lookups("memtable", "hit"), None, "the partition is somebody else's");
    }

    /// All families, each with at least one series.
    fn families() -> Vec<prometheus::proto::MetricFamily> {
        let metrics = metrics();
        let worker = metrics.worker(&names());
        let mut tally = worker.tally();
        tally.dead_letter("not_json");
        tally.committed(at(0));
        let task = metrics.task(Stage::Conversation, 0, &names().inputs);
        task.set_lag(0, 0);
        metrics.reference_learned("wa.accounts", 1);
        metrics.reference_watermark(at(0));
        let families = metrics.registry.gather();
        drop(task);
        families
    }

    #[test]
    fn every_metric_has_our_name_a_unit_and_a_help_text() {
        let families = families();
        let ours: Vec<_> = families.iter().filter(|family| !family.name().starts_with("process_")).collect();
        assert!(ours.len() > 35, "only {} metrics", ours.len());
        for family in ours {
            let name = family.name();
            assert!(name.starts_with("tollgate_") && family.help().ends_with('.'), "{name}: {}", family.help());
            let unit = ["_total", "_seconds", "_bytes", "_records", "_rows", "_ratio", "_state", "_info", "_errors"];
            assert!(unit.iter().any(|unit| name.ends_with(unit)), "{name} has no unit");
        }
    }

    /// The rows `| name | type | labels | …` that the documentation must have.
    fn rows() -> Vec<String> {
        let families = families();
        let row = |family: &prometheus::proto::MetricFamily| {
            let labels = family.get_metric()[0].get_label().iter();
            let mut labels: Vec<String> = labels.map(|label| format!("`{}`", label.name())).collect();
            labels.sort_unstable();
            let kind = format!("{:?}", family.get_field_type()).to_lowercase();
            format!("| `{}` | {kind} | {} |", family.name(), labels.join(", "))
        };
        families.iter().map(row).collect()
    }

    #[test]
    fn the_documentation_has_every_metric_and_no_other() {
        let text = include_str!("../docs/metrics.md");
        let documented: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        let mut wanted = rows();
        for row in &wanted {
            let found = documented.iter().filter(|line| line.starts_with(row.as_str())).count();
            assert_eq!(found, 1, "docs/metrics.md needs one row that begins with {row}");
        }
        // What the system tells of a process is there on Linux alone.
        wanted.retain(|row| !row.contains("`process_"));
        let ours: Vec<_> = documented.iter().filter(|line| !line.contains("`process_")).collect();
        assert_eq!(ours.len(), wanted.len(), "docs/metrics.md has a row of a metric that is none");
    }

    #[test]
    fn alerts_speak_of_metrics_that_there_are() {
        let families = families();
        let text = include_str!("../deploy/alerts.yml");
        let mut spoken = 0;
        for (at, _) in text.match_indices("tollgate_") {
            let end = text[at..].find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
            let name = &text[at..at + end.unwrap_or(text.len() - at)];
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
            let known = families.iter().any(|family| family.name() == of_histogram.unwrap_or(name));
            assert!(known, "deploy/alerts.yml speaks of `{name}`");
            spoken += 1;
        }
        assert!(spoken > 10, "only {spoken}");
    }
}
