//! Brings what workers tell, and what is seen of their partitions, to the metrics and the probes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::domain::verdict::{Answer, Reason};
use crate::health::Pulse;
use crate::kafka::{Names, TAINTS};
use crate::metrics::{self, Activity, CommitTimes, Metrics, Outcome, RocksDb, State, Tally, Task};
use crate::stream::{Partition, Topic};
use crate::worker::Shared;
use crate::worker::observe::{Doing, Observer, Seen, Signs, Spent, Stage, Steps, recycled};

/// How often partitions are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Of how many latest records the share of dead letters is taken, at least: one bad record among few is no alarm.
const FEWEST: f64 = 100.0;

/// What is left after a second of what was counted: the share of dead letters is that of about a minute.
const FADING: f64 = 59.0 / 60.0;

/// What workers publish to, in the order in which the metrics know it.
const OUTPUTS: [Topic; 8] = [
    Topic::Charges,
    Topic::Verdicts,
    Topic::Billing,
    Topic::Windows,
    Topic::WindowState,
    Topic::Outcomes,
    Topic::DeadLetters,
    Topic::Usage,
];

/// The place of a topic in [`OUTPUTS`].
const fn output(topic: Topic) -> Option<usize> {
    Some(match topic {
        Topic::Charges => 0,
        Topic::Verdicts => 1,
        Topic::Billing => 2,
        Topic::Windows => 3,
        Topic::WindowState => 4,
        Topic::Outcomes => 5,
        Topic::DeadLetters => 6,
        Topic::Usage => 7,
        // Behind all others, where there are any.
        Topic::ForecastAnswers => OUTPUTS.len(),
        Topic::Forecasts | Topic::Input(_) | Topic::Contacts | Topic::Messages | Topic::Accounts | Topic::Templates => {
            return None;
        }
    })
}

/// Writes down what one worker tells.
pub struct Recorder {
    worker: Arc<metrics::Worker>,
    tally: Tally,
    pulse: Arc<Pulse>,
    /// How many input topics there are; the charges come behind them.
    inputs: usize,
}

impl Recorder {
    /// A recorder for a worker that shows itself by a pulse.
    pub fn new(metrics: &Metrics, names: &Names, shared: &Shared, pulse: Arc<Pulse>) -> Self {
        let name = |topic: Topic| names.name(topic).to_owned();
        let mut inputs = shared.inputs.clone();
        inputs.push(shared.charges.clone());
        inputs.extend(shared.forecasts.clone());
        let answers = shared.forecasts.iter().map(|_| name(Topic::ForecastAnswers));
        let worker = metrics.worker(&metrics::Names {
            inputs,
            outputs: OUTPUTS.map(name).into_iter().chain(answers).collect(),
            changelogs: [Topic::Contacts, Topic::Messages].map(name).to_vec(),
            recycled: recycled::ALL.into_iter().chain(TAINTS).collect(),
        });
        Self { tally: worker.tally(), worker, pulse, inputs: shared.inputs.len() }
    }
}

impl Observer for Recorder {
    fn alive(&mut self) {
        self.pulse.beat();
    }

    fn read(&mut self, topic: Topic) {
        let place = match topic {
            Topic::Input(input) => usize::from(input),
            Topic::Forecasts => self.inputs + 1,
            _ => self.inputs,
        };
        self.tally.consumed(place, 1);
    }

    fn folded(&mut self, occurred_at: Timestamp, arrived_at: Timestamp) {
        self.tally.folded(occurred_at, arrived_at);
    }

    fn unknown_event(&mut self) {
        self.tally.unknown_event();
    }

    fn fired(&mut self, deadlines: u64) {
        self.tally.deadlines_fired(deadlines);
    }

    fn dead_letter(&mut self, code: &'static str) {
        self.tally.dead_letter(code);
    }

    fn answered(&mut self, answer: Answer, reason: Reason, appended_at: i64) {
        self.tally.answered(answer, reason, Timestamp::from_millis(appended_at));
        if reason == Reason::Throttled {
            self.tally.throttled();
        }
    }

    fn published(&mut self, topic: Topic) {
        match topic {
            Topic::Contacts => self.tally.changed(0, 1),
            Topic::Messages => self.tally.changed(1, 1),
            // A heartbeat goes to an input, and is told by itself.
            topic => output(topic).into_iter().for_each(|place| self.tally.published(place, 1)),
        }
    }

    fn heartbeat(&mut self) {
        self.worker.heartbeats_written(1);
    }

    fn passed_over(&mut self) {
        self.worker.merge_passed(1);
    }

    fn committed(&mut self, wall: i64) {
        self.tally.committed(Timestamp::from_millis(wall).unwrap_or(Timestamp::EARLIEST));
        self.worker.transaction(Outcome::Committed);
    }

    fn aborted(&mut self) {
        self.tally.aborted();
        self.worker.transaction(Outcome::Aborted);
    }

    fn unknown(&mut self) {
        self.worker.transaction(Outcome::Unknown);
    }

    fn took(&mut self, steps: Steps) {
        let Steps { whole, drain, offsets, commit } = steps;
        self.worker.commit_took(whole, CommitTimes { drain, offsets, commit });
    }

    fn recycled(&mut self, why: &'static str) {
        self.worker.producer_recycled(why);
    }

    fn checkpoint(&mut self, took: Duration) {
        self.worker.checkpoint_took(took);
    }

    fn spent(&mut self, time: Spent) {
        self.worker.spent(Activity::Poll, time.poll);
        self.worker.spent(Activity::Blocked, time.blocked);
        self.worker.spent(Activity::Fold, time.fold);
    }
}

/// Looks at the partitions of one worker once in a while.
pub struct Watch {
    metrics: Arc<Metrics>,
    inputs: Vec<String>,
    charges: Vec<String>,
    tasks: BTreeMap<(Stage, Partition), Watched>,
    due: Duration,
}

/// A partition as it was when it was last looked at.
struct Watched {
    task: Arc<Task>,
    restored: u64,
    share: Share,
    behind: Behind,
}

impl Watch {
    /// With nothing to look at yet.
    pub fn new(metrics: Arc<Metrics>, shared: &Shared) -> Self {
        let (inputs, charges) = (shared.inputs.clone(), vec![shared.charges.clone()]);
        Self { metrics, inputs, charges, tasks: BTreeMap::new(), due: Duration::ZERO }
    }

    /// Whether it is time to look, by a clock that only goes forward.
    pub fn is_due(&self, now: Duration) -> bool {
        now >= self.due
    }

    /// Takes down how the partitions are. What is not there any more vanishes.
    pub fn look(&mut self, seen: &[Seen], now: Duration, wall: i64) {
        self.due = now + EVERY;
        self.tasks.retain(|key, _| seen.iter().any(|seen| (seen.stage, seen.partition) == *key));
        for seen in seen {
            let (stage, inputs) = match seen.stage {
                Stage::Conversation => (metrics::Stage::Conversation, &self.inputs),
                Stage::Ledger => (metrics::Stage::Ledger, &self.charges),
            };
            let watched = self.tasks.entry((seen.stage, seen.partition)).or_insert_with(|| {
                let partition = i32::try_from(seen.partition.0).unwrap_or(i32::MAX);
                let task = self.metrics.task(stage, partition, inputs);
                Watched { task, restored: 0, share: Share::default(), behind: Behind::default() }
            });
            watched.look(seen, wall);
        }
    }
}

impl Watched {
    fn look(&mut self, seen: &Seen, wall: i64) {
        // Fewer than before: the partition was away and came back between two looks.
        if seen.restored < self.restored {
            self.restored = 0;
        }
        self.task.restored(seen.restored - self.restored, seen.to_restore);
        self.restored = seen.restored;
        // After its numbers, so that a partition is never seen to start with nothing left to do.
        self.task.set_state(match seen.doing {
            Doing::Restoring => State::Restoring,
            Doing::Running => State::Running,
            Doing::Paused => State::Paused,
            Doing::Halted => State::Halted,
        });
        for (input, (_, lag)) in seen.lag.iter().enumerate() {
            if let Some(lag) = lag {
                self.task.set_lag(input, *lag);
            }
        }
        // Where the end is not known there may be something behind: what cannot be reached is not caught up with.
        let lag = seen.lag.iter().map(|(_, lag)| lag.unwrap_or(1)).sum();
        self.task.set_time_lag(self.behind.look(lag, &seen.signs, wall));
        self.task.set_poison_ratio(self.share.look(&seen.signs));
        self.task.set_unflushed(seen.unflushed as u64);
        if let Some(told) = seen.store {
            self.task.set_rocksdb(RocksDb {
                memtable_bytes: told.memtable_bytes,
                pending_compaction_bytes: told.pending_compaction_bytes,
                block_cache_bytes: told.block_cache_bytes,
                background_errors: told.background_errors,
                write_stall: Duration::from_micros(told.stalled_micros),
                estimated_rows: told.estimated_rows,
                memtable: (told.memtable.hits, told.memtable.misses),
                block_cache: (told.block_cache.hits, told.block_cache.misses),
            });
        }
    }
}

/// The share of dead letters among the latest records.
#[derive(Default)]
struct Share {
    counted: (u64, u64),
    records: f64,
    letters: f64,
}

impl Share {
    #[allow(clippy::cast_precision_loss, reason = "records of a second, for a share")]
    fn look(&mut self, signs: &Signs) -> f64 {
        let (records, letters) = self.counted;
        self.counted = (signs.records, signs.letters);
        self.records = self.records * FADING + signs.records.saturating_sub(records) as f64;
        self.letters = self.letters * FADING + signs.letters.saturating_sub(letters) as f64;
        self.letters / self.records.max(FEWEST)
    }
}

/// Since when a partition has been behind its input.
#[derive(Default)]
struct Behind {
    /// When that was first seen, and how many records it had read by then.
    since: Option<(i64, u64)>,
}

impl Behind {
    fn look(&mut self, lag: u64, signs: &Signs, wall: i64) -> Duration {
        if lag == 0 && signs.open_since.is_none() {
            self.since = None;
            return Duration::ZERO;
        }
        let (since, read) = *self.since.get_or_insert((wall, signs.records));
        let oldest = match (signs.open_since, signs.latest) {
            (Some(open), _) => open,
            // What comes next is hardly younger than what was read last.
            (None, Some(latest)) if signs.records > read => latest,
            // Nothing was read since there has been something to read, and its age is not known.
            _ => since,
        };
        Duration::from_millis(u64::try_from(wall - oldest).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_counted_by_their_topics() {
        for (place, topic) in OUTPUTS.into_iter().enumerate() {
            assert_eq!(output(topic), Some(place), "{topic:?}");
        }
    }

    #[test]
    fn a_few_bad_records_are_no_alarm_and_many_are_one_for_a_while() {
        let mut share = Share::default();
        let signs = |records, letters| Signs { records, letters, ..Signs::default() };
        assert!(share.look(&signs(1, 1)) < 0.02);
        let bad = share.look(&signs(201, 101));
        assert!((0.45..0.55).contains(&bad), "{bad}");
        let mut later = bad;
        for _ in 0..600 {
            later = share.look(&signs(201, 101));
        }
        assert!(later < 0.001, "an idle partition is no longer poisoned: {later}");
    }

    #[test]
    fn lag_in_time_is_the_age_of_what_is_not_committed() {
        let mut behind = Behind::default();
        let signs = |records, open_since, latest| Signs { records, letters: 0, open_since, latest };
        let lag = |behind: &mut Behind, lag, signs, wall| behind.look(lag, &signs, wall).as_millis();
        assert_eq!(lag(&mut behind, 0, signs(0, None, None), 10_000), 0);
        // A record that has been read and not committed.
        assert_eq!(lag(&mut behind, 1, signs(1, Some(9_000), Some(9_500)), 11_000), 2_000);
        assert_eq!(lag(&mut behind, 0, signs(1, None, Some(9_500)), 12_000), 0);
        // Something has come after a long silence, and is not read yet: it is not as old as what came last.
        assert_eq!(lag(&mut behind, 5, signs(1, None, Some(9_500)), 99_000), 0);
        assert_eq!(lag(&mut behind, 5, signs(1, None, Some(9_500)), 99_700), 700);
        // A backlog, between two transactions.
        assert_eq!(lag(&mut behind, 4, signs(2, None, Some(60_000)), 100_000), 40_000);
    }
}
