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

mod families;
mod labels;
mod task;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{Registry, TextEncoder};

use self::families::{Families, Maker, Tasks};
pub use self::labels::{Activity, Cache, Lookup, Outcome, Stage, State, Step};
pub use self::task::{RocksDb, Task};
pub use self::worker::{CommitTimes, Tally, Worker};
use crate::domain::time::Timestamp;
use crate::domain::verdict::{Answer, Effect, Reason};

/// What went wrong with the registry. Names and labels are constants, so this means a mistake in this module.
pub use prometheus::Error;

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    families: Arc<Families>,
}

impl Metrics {
    /// Registers everything. `version` is the one that `tollgate_build_info` names.
    ///
    /// # Errors
    /// If two metrics have one name, which is a mistake in this module.
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
    /// If it cannot be written as text, which is a mistake in this module.
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
