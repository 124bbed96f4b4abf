//! What one worker measures, and what a transaction would count.

use std::sync::Arc;
use std::time::Duration;

use prometheus::local::LocalHistogram;
use prometheus::{Histogram, IntCounter, IntCounterVec};

use super::families::Families;
use super::labels::{Activity, Outcome, Step};
use super::{Names, seconds};
use crate::domain::time::Timestamp;
use crate::domain::verdict::{Answer, Reason};

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
    pub(super) fn new(families: Arc<Families>, names: &Names) -> Self {
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
