//! Whether the process is alive, ready and started, and if not, why.
//!
//! - *Alive*: every worker has shown itself lately. If not, restarting helps.
//! - *Ready*: every assigned partition runs, near enough to its input's end, on input that can be read. If not,
//!   somebody should look; restarting does not help.
//! - *Started*: what was assigned at first has been restored. Until then nobody should expect the other two.
//!
//! Nothing is kept twice: the state of partitions is that of their [metrics](crate::metrics::Task).

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::metrics::{Metrics, Stage, State};

/// From when on something is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// How long a worker may be silent. More than the longest step between two beats, which is one call to the
    /// brokers.
    pub silence: Duration,
    /// How far a partition may be behind its input.
    pub lag: Duration,
    /// The share of records that may be dead letters, from 0 to 1.
    pub poison: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { silence: Duration::from_mins(1), lag: Duration::from_mins(1), poison: 0.1 }
    }
}

/// The time since some fixed instant.
type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// What the probes ask. Shared by all workers and the server.
pub struct Health {
    metrics: Arc<Metrics>,
    limits: Limits,
    clock: Clock,
    workers: Mutex<Vec<Arc<Shown>>>,
    joined: AtomicBool,
    started: AtomicBool,
    draining: AtomicBool,
    reference_stale: AtomicBool,
    /// Why the reference topics cannot be followed now.
    reference: Mutex<Option<String>>,
}

/// When a worker was last seen.
struct Shown {
    name: String,
    at: AtomicU64,
}

impl Health {
    /// Health by the machine's own clock.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, limits: Limits) -> Self {
        #[allow(clippy::disallowed_methods, reason = "a probe is about this process now; no output depends on it")]
        let start = Instant::now();
        Self::with_clock(metrics, limits, Box::new(move || start.elapsed()))
    }

    /// Health by another clock: the time since the process began, as the test has it.
    #[must_use]
    pub fn with_clock(metrics: Arc<Metrics>, limits: Limits, clock: Clock) -> Self {
        Self {
            metrics,
            limits,
            clock,
            workers: Mutex::default(),
            joined: AtomicBool::new(false),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            reference_stale: AtomicBool::new(false),
            reference: Mutex::default(),
        }
    }

    /// A worker begins, and will beat from now on. The name is shown where it has fallen silent.
    #[must_use]
    pub fn worker(self: &Arc<Self>, name: impl Into<String>) -> Pulse {
        let shown = Arc::new(Shown { name: name.into(), at: AtomicU64::new(self.now()) });
        self.workers().push(Arc::clone(&shown));
        Pulse { health: Arc::clone(self), shown }
    }

    /// Every worker's first assignment of partitions has come, even if it is empty, and its tasks have been made.
    pub fn joined(&self) {
        self.joined.store(true, Ordering::Release);
    }

    /// The process is on its way out: it finishes what it has begun, and should be sent nothing more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// What is known of accounts and templates may be too old from now on, or is fresh again.
    pub fn reference_is(&self, stale: bool) {
        self.reference_stale.store(stale, Ordering::Release);
    }

    /// The reference topics are read as they should be, or they are not, and why.
    pub fn reference(&self, trouble: Option<String>) {
        *self.reference.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Whether every worker is alive.
    #[must_use]
    pub fn live(&self) -> Report {
        let now = self.now();
        let limit = self.limits.silence;
        let workers = self.workers();
        let silent = workers.iter().filter_map(|worker| {
            let since = Duration::from_millis(now.saturating_sub(worker.at.load(Ordering::Relaxed)));
            (since > limit).then(|| Trouble::Silent { worker: worker.name.clone(), since, limit })
        });
        Report { troubles: silent.collect(), note: None }
    }

    /// Whether everything assigned is worked on.
    #[must_use]
    pub fn ready(&self) -> Report {
        let mut troubles = Vec::new();
        if self.draining.load(Ordering::Acquire) {
            troubles.push(Trouble::Draining);
        }
        if !self.joined.load(Ordering::Acquire) {
            troubles.push(Trouble::NotJoined);
        }
        if self.reference_stale.load(Ordering::Acquire) {
            troubles.push(Trouble::ReferenceStale);
        }
        troubles.extend(self.reference_trouble());
        for task in self.metrics.tasks() {
            let place = Place { stage: task.stage(), partition: task.partition() };
            let (state, lag, ratio) = (task.state(), task.time_lag(), task.poison_ratio());
            if state != State::Running {
                troubles.push(Trouble::NotRunning { place, state });
            }
            if lag > self.limits.lag {
                troubles.push(Trouble::Behind { place, lag, limit: self.limits.lag });
            }
            if ratio > self.limits.poison {
                troubles.push(Trouble::Poisoned { place, ratio, limit: self.limits.poison });
            }
        }
        Report { troubles, note: None }
    }

    /// Whether what was assigned at first has been restored. Once it has, the answer stays.
    #[must_use]
    pub fn started(&self) -> Report {
        if self.started.load(Ordering::Acquire) {
            return Report { troubles: Vec::new(), note: None };
        }
        if !self.joined.load(Ordering::Acquire) {
            // Workers join once the reference topics are read to their end.
            let troubles = self.reference_trouble().into_iter().chain([Trouble::NotJoined]).collect();
            return Report { troubles, note: None };
        }
        let (mut troubles, mut done, mut remaining) = (Vec::new(), 0, 0);
        for task in self.metrics.tasks() {
            let (task_done, task_remaining) = task.restore_progress();
            done += task_done;
            if task.state() == State::Restoring {
                remaining += task_remaining;
                let place = Place { stage: task.stage(), partition: task.partition() };
                troubles.push(Trouble::NotRunning { place, state: State::Restoring });
            }
        }
        if troubles.is_empty() {
            self.started.store(true, Ordering::Release);
            return Report { troubles, note: None };
        }
        let progress = Progress { done, remaining, since: Duration::from_millis(self.now()) };
        Report { troubles, note: Some(progress) }
    }

    fn reference_trouble(&self) -> Option<Trouble> {
        let why = self.reference.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(Trouble::Reference { why })
    }

    fn now(&self) -> u64 {
        u64::try_from((self.clock)().as_millis()).unwrap_or(u64::MAX)
    }

    /// The list of workers. Whoever panicked while holding it had only pushed to it or looked at it.
    fn workers(&self) -> MutexGuard<'_, Vec<Arc<Shown>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker's sign of life. Dropped without [`Pulse::retire`], as by a panic, the worker counts as silent.
pub struct Pulse {
    health: Arc<Health>,
    shown: Arc<Shown>,
}

impl Pulse {
    /// The worker is there. Cheap enough for every turn of its loop.
    pub fn beat(&self) {
        self.shown.at.store(self.health.now(), Ordering::Relaxed);
    }

    /// The worker ends as it should, and will be missed by nobody.
    pub fn retire(&self) {
        self.health.workers().retain(|worker| !Arc::ptr_eq(worker, &self.shown));
    }
}

/// A partition of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stage.
    pub stage: Stage,
    /// The partition.
    pub partition: i32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} partition {}", self.stage.name(), self.partition)
    }
}

/// Why the answer is no.
#[derive(Clone, Debug, PartialEq)]
pub enum Trouble {
    /// The process is on its way out.
    Draining,
    /// It has not been assigned partitions yet.
    NotJoined,
    /// The reference topics have not been read to their end for a while.
    ReferenceStale,
    /// A worker has not shown itself.
    Silent {
        /// Its name.
        worker: String,
        /// For how long.
        since: Duration,
        /// How long it may.
        limit: Duration,
    },
    /// The reference topics cannot be followed: what is told of accounts and templates may be old.
    Reference {
        /// Why.
        why: String,
    },
    /// A partition is not being worked on.
    NotRunning {
        /// Which.
        place: Place,
        /// What it does instead.
        state: State,
    },
    /// A partition is far behind its input.
    Behind {
        /// Which.
        place: Place,
        /// How far.
        lag: Duration,
        /// How far it may be.
        limit: Duration,
    },
    /// Too many records of a partition cannot be used.
    Poisoned {
        /// Which.
        place: Place,
        /// The share of them.
        ratio: f64,
        /// The share there may be.
        limit: f64,
    },
}

impl Trouble {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::NotJoined => "not_joined",
            Self::ReferenceStale => "reference_stale",
            Self::Silent { .. } => "silent",
            Self::Reference { .. } => "reference",
            Self::NotRunning { state, .. } => state.name(),
            Self::Behind { .. } => "behind",
            Self::Poisoned { .. } => "poisoned",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            Self::Draining => f.write_str("shutting down; what was begun is being committed"),
            Self::NotJoined => f.write_str("no partitions were assigned yet; the brokers or the group may be slow"),
            Self::ReferenceStale => {
                f.write_str("accounts and templates cannot be followed, which the log explains; verdicts that need them are unknown")
            }
            Self::Silent { worker, since, limit } => {
                let (since, limit) = (since.as_secs(), limit.as_secs());
                write!(f, "worker {worker} has not shown itself for {since} s, the limit is {limit} s")
            }
            Self::Reference { why } => {
                write!(f, "the topics of accounts and templates cannot be read on, and are tried again: {why}")
            }
            Self::NotRunning { place, state: State::Halted } => {
                write!(f, "{place} stopped rather than lose something; the log says what and what to do")
            }
            Self::NotRunning { place, state: State::Paused } => {
                write!(f, "{place} waits for something outside, which the log names, and goes on by itself")
            }
            Self::NotRunning { place, state: State::Restoring | State::Running } => {
                write!(f, "{place} catches up with its changelog")
            }
            Self::Behind { place, lag, limit } => {
                let (lag, limit) = (lag.as_secs(), limit.as_secs());
                write!(f, "{place} is {lag} s behind its input, the limit is {limit} s")
            }
            Self::Poisoned { place, ratio, limit } => {
                let (ratio, limit) = (ratio * 100.0, limit * 100.0);
                write!(f, "{ratio:.1} % of the latest records of {place} are dead letters, the limit is {limit:.1} %")
            }
        }
    }
}

/// How far restoring has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub done: u64,
    /// Records still to be read, as far as is known.
    pub remaining: u64,
    /// How long ago the process began.
    pub since: Duration,
}

impl Progress {
    /// How long the rest will take at the speed so far; `None` while there is no speed yet.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let millis = (self.since.as_millis() * u128::from(self.remaining)).checked_div(u128::from(self.done))?;
        Some(Duration::from_millis(u64::try_from(millis).ok()?))
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restored {} of {} records", self.done, self.done.saturating_add(self.remaining))?;
        match self.time_left() {
            Some(left) => write!(f, ", about {} s left", left.as_secs()),
            None => Ok(()),
        }
    }
}

/// An answer to a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What is wrong; nothing if the answer is yes.
    pub troubles: Vec<Trouble>,
    /// How far it has come, where that is the question.
    pub note: Option<Progress>,
}

impl Report {
    /// Whether the answer is yes.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.troubles.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_well() {
            return f.write_str("ok\n");
        }
        if let Some(progress) = self.note {
            writeln!(f, "{progress}")?;
        }
        self.troubles.iter().try_for_each(|trouble| writeln!(f, "{trouble}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Health by a clock that is moved by hand.
    fn health() -> (Arc<Metrics>, Arc<Health>, Arc<AtomicU64>) {
        let metrics = Arc::new(Metrics::new("test").expect("names differ"));
        let now = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now);
        let clock = Box::new(move || Duration::from_secs(clock.load(Ordering::Relaxed)));
        let health = Health::with_clock(Arc::clone(&metrics), Limits::default(), clock);
        (metrics, Arc::new(health), now)
    }

    fn codes(report: &Report) -> Vec<&'static str> {
        report.troubles.iter().map(Trouble::code).collect()
    }

    #[test]
    fn a_worker_that_falls_silent_is_named() {
        let (_, health, now) = health();
        let (first, second) = (health.worker("conversation-0"), health.worker("conversation-1"));
        now.store(60, Ordering::Relaxed);
        assert!(health.live().is_well());
        first.beat();
        now.store(61, Ordering::Relaxed);
        let text = health.live().to_string();
        assert_eq!(text, "silent: worker conversation-1 has not shown itself for 61 s, the limit is 60 s\n");
        second.retire();
        assert!(health.live().is_well());
        // As a panic drops it.
        drop(first);
        now.store(130, Ordering::Relaxed);
        assert_eq!(codes(&health.live()), ["silent"]);
    }

    #[test]
    fn ready_is_every_partition_running_near_the_end_on_readable_input() {
        let (metrics, health, _) = health();
        assert_eq!(codes(&health.ready()), ["not_joined"]);
        health.joined();
        assert!(health.ready().is_well(), "nothing assigned is nothing to wait for");
        let task = metrics.task(Stage::Conversation, 4, &[]);
        assert_eq!(codes(&health.ready()), ["restoring"]);
        task.set_state(State::Running);
        assert_eq!(health.ready().to_string(), "ok\n");
        task.set_time_lag(Duration::from_secs(61));
        task.set_poison_ratio(0.25);
        assert_eq!(
            health.ready().to_string(),
            "behind: conversation partition 4 is 61 s behind its input, the limit is 60 s\n\
             poisoned: 25.0 % of the latest records of conversation partition 4 are dead letters, the limit is 10.0 %\n"
        );
        drop(task);
        health.reference_is(true);
        assert_eq!(codes(&health.ready()), ["reference_stale"]);
        health.reference_is(false);
        health.drain();
        assert_eq!(codes(&health.ready()), ["draining"]);
    }

    #[test]
    fn reference_topics_that_cannot_be_followed_are_told_and_forgotten_once_they_can() {
        let (_, health, _) = health();
        health.reference(Some("the registry is down".to_owned()));
        assert_eq!(codes(&health.ready()), ["not_joined", "reference"]);
        assert_eq!(codes(&health.started()), ["reference", "not_joined"]);
        assert!(health.live().is_well(), "a restart would not help");
        health.joined();
        assert!(health.ready().to_string().ends_with("tried again: the registry is down\n"), "{}", health.ready());
        health.reference(None);
        assert!(health.ready().is_well());
    }

    #[test]
    fn started_is_what_was_assigned_first_restored_once() {
        let (metrics, health, now) = health();
        assert_eq!(codes(&health.started()), ["not_joined"]);
        let (first, second) = (metrics.task(Stage::Conversation, 0, &[]), metrics.task(Stage::Ledger, 0, &[]));
        health.joined();
        now.store(10, Ordering::Relaxed);
        first.restored(0, 500);
        assert!(health.started().to_string().starts_with("restored 0 of 500 records\n"), "{}", health.started());
        first.restored(100, 300);
        second.restored(0, 100);
        assert!(health.started().to_string().starts_with("restored 100 of 500 records, about 40 s left\n"));
        first.set_state(State::Running);
        second.set_state(State::Halted);
        assert!(health.started().is_well(), "a partition that halts is no longer starting");
        first.set_state(State::Restoring);
        assert!(health.started().is_well(), "a later assignment is no start");
    }
}
