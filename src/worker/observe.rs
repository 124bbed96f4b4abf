//! What a worker tells while it works, and what it shows of its partitions when it is looked at.
//!
//! Both are for metrics and probes, and decide nothing. What happens for every record is told as it happens;
//! what is only ever asked for every second is left where it is until somebody looks ([`Worker::tasks`]).

use std::time::Duration;

use super::conversation::Conversation;
use super::{Disk, Worker};
use crate::domain::time::Timestamp;
use crate::domain::verdict::{Answer, Reason};
use crate::store::{Store, Told};
use crate::stream::{Log, NextOffset, Partition, Slot, Topic};

/// Is told what a worker does. Every method may be left out; none may take long.
pub trait Observer {
    /// The worker is there. Comes at every turn, and between steps that may each take long.
    fn alive(&mut self) {}

    /// A record was read as part of the open transaction.
    fn read(&mut self, _topic: Topic) {}

    /// An event was folded: when it happened, and when it arrived.
    fn folded(&mut self, _occurred_at: Timestamp, _arrived_at: Timestamp) {}

    /// The event was of a kind that this version does not know.
    fn unknown_event(&mut self) {}

    /// So many deadlines have fired.
    fn fired(&mut self, _deadlines: u64) {}

    /// A record became a dead letter.
    fn dead_letter(&mut self, _code: &'static str) {}

    /// An ask was answered. `appended_at` is when the log took it, in milliseconds since the epoch.
    fn answered(&mut self, _answer: Answer, _reason: Reason, _appended_at: i64) {}

    /// A record was published, or a changed row written.
    fn published(&mut self, _topic: Topic) {}

    /// A heartbeat was written.
    fn heartbeat(&mut self) {}

    /// A record was folded although an earlier one of another input topic may still come.
    fn passed_over(&mut self) {}

    /// The transaction is committed, at this time of the wall clock: all that was told of it counts.
    fn committed(&mut self, _wall: i64) {}

    /// The transaction never was: nothing that was told of it counts, and most of it will be told again.
    fn aborted(&mut self) {}

    /// Nobody said what became of the transaction. [`Self::committed`] or [`Self::aborted`] follows.
    fn unknown(&mut self) {}

    /// How long committing took; not told where the answer had to be asked for.
    fn took(&mut self, _steps: Steps) {}

    /// The producer was dropped and made again.
    fn recycled(&mut self, _why: &'static str) {}

    /// Rows were written to a store.
    fn checkpoint(&mut self, _took: Duration) {}

    /// Where the time of a turn went.
    fn spent(&mut self, _time: Spent) {}
}

/// Nobody looks.
impl Observer for () {}

/// How long a commit took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Steps {
    /// From the transaction's beginning to its end.
    pub whole: Duration,
    /// Until everything was in the log.
    pub drain: Duration,
    /// Adding the input positions.
    pub offsets: Duration,
    /// The commit itself.
    pub commit: Duration,
}

/// Where the time of a turn went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// Waiting for records.
    pub poll: Duration,
    /// Waiting for answers.
    pub blocked: Duration,
    /// Everything else: folding, and making records.
    pub fold: Duration,
}

/// Why producers are made anew, besides the reasons of [`Log::tainted`].
pub mod recycled {
    /// There was none yet. This is not told to the observer.
    pub const START: &str = "start";
    /// A transaction ended without an answer.
    pub const UNKNOWN_OUTCOME: &str = "unknown_outcome";
    /// Partitions were taken away while a transaction was open.
    pub const LOST: &str = "lost";
    /// Partitions were asked for, and the open transaction could not be committed.
    pub const REVOKED: &str = "revoked";
    /// All that are told.
    pub const ALL: [&str; 3] = [UNKNOWN_OUTCOME, LOST, REVOKED];
}

/// The stage that a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Events to verdicts, windows, outcomes and charges.
    Conversation,
    /// Charges to the ledger.
    Ledger,
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Its state is coming back.
    Restoring,
    /// It folds.
    Running,
    /// It waits for something outside, and goes on by itself.
    Paused,
    /// Going on could lose something: somebody has to look.
    Halted,
}

/// A partition of a stage, as it is now.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The stage.
    pub stage: Stage,
    /// The partition.
    pub partition: Partition,
    /// What it does.
    pub doing: Doing,
    /// The records of each input that are not committed; nothing where the input's end is not known yet.
    pub lag: Vec<(Topic, Option<u64>)>,
    /// What it has told of its records.
    pub signs: Signs,
    /// Records of the changelogs that were applied since it was assigned.
    pub restored: u64,
    /// Records of the changelogs still to be applied, as offsets count.
    pub to_restore: u64,
    /// How many bytes wait for the store.
    pub unflushed: usize,
    /// What the store tells of itself.
    pub store: Option<Told>,
}

/// What a task's records have told since it was assigned.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signs {
    /// Records read. One that is read again after an abort counts again.
    pub records: u64,
    /// Those of them that became dead letters.
    pub letters: u64,
    /// When the log took the first record that is read and not committed, in milliseconds since the epoch.
    pub open_since: Option<i64>,
    /// When the log took the last record that was read.
    pub latest: Option<i64>,
}

impl Signs {
    /// A record was read.
    pub(super) fn read(&mut self, appended_at: i64) {
        self.records += 1;
        self.open_since.get_or_insert(appended_at);
        self.latest = Some(appended_at);
    }

    /// The transaction is over.
    pub(super) const fn closed(&mut self) {
        self.open_since = None;
    }
}

/// How many records lie behind a position that was committed. Where everything is read and committed, markers and
/// aborted records before the end count for nothing.
fn lag(log: &impl Log, slot: Slot, committed: NextOffset, read: NextOffset) -> Option<u64> {
    let glance = log.glance(slot);
    let here = if committed == read { glance.reached.map_or(read, |reached| reached.max(read)) } else { committed };
    Some(u64::try_from(glance.end?.offset() - here.offset()).unwrap_or_default())
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// All partitions that are assigned, as they are now. Asks nobody anything.
    #[must_use]
    pub fn tasks(&self) -> Vec<Seen> {
        let conversations = self.conversations.iter().map(|(partition, task)| self.conversation(*partition, task));
        let ledgers = self.ledgers.iter().map(|(partition, task)| {
            let slot = Slot { topic: Topic::Charges, partition: *partition };
            let lag = task.range().and_then(|range| lag(&self.log, slot, range.from, range.next));
            Seen {
                stage: Stage::Ledger,
                partition: *partition,
                doing: match self.restore.progress(*partition) {
                    _ if task.is_running() => Doing::Running,
                    Some((_, _, true)) => Doing::Halted,
                    _ => Doing::Restoring,
                },
                lag: vec![(Topic::Charges, lag)],
                signs: task.signs,
                restored: 0,
                to_restore: 0,
                unflushed: 0,
                store: None,
            }
        });
        conversations.chain(ledgers).collect()
    }

    fn conversation(&self, partition: Partition, task: &Conversation<D::Store>) -> Seen {
        let restoring = self.restore.progress(partition);
        let doing = match restoring {
            _ if task.is_paused() => Doing::Paused,
            _ if task.is_running() => Doing::Running,
            Some((_, _, true)) => Doing::Halted,
            _ => Doing::Restoring,
        };
        let lag = (0..self.shared.inputs.len()).map(|index| {
            let input = index as u8;
            let slot = Slot { topic: Topic::Input(input), partition };
            (slot.topic, task.place(input).and_then(|(committed, read)| lag(&self.log, slot, committed, read)))
        });
        let (restored, to_restore, _) = restoring.unwrap_or((task.restored, 0, false));
        Seen {
            stage: Stage::Conversation,
            partition,
            doing,
            lag: lag.collect(),
            signs: task.signs,
            restored,
            to_restore,
            unflushed: task.waiting().map_or(0, |(bytes, _)| bytes),
            store: task.store().and_then(Store::told),
        }
    }
}
