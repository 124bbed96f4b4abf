//! What may go wrong, how often in this run, and how often it did.

use std::collections::BTreeMap;
use std::fmt;

use crate::random::Random;
use crate::time::{MILLI, Micros, SECOND};

/// Something that goes wrong, or a consequence that tests must have met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The process dies before the call does anything.
    CrashBefore,
    /// The process dies while it waits for the call's answer.
    CrashDuring,
    /// The call has done everything, and the process dies before it learns so.
    CrashAfter,
    /// A crash took disk batches with it.
    DiskSuffixLost,
    /// A machine came back with an empty disk.
    DiskLost,
    /// What is on a disk is not what was written there, and the store says so.
    DiskDamaged,
    /// A disk had no room for a while.
    DiskFull,
    /// The process stands still for a while, as by `SIGSTOP`.
    Stopped,
    /// The process is asked to end in good order.
    Retired,
    /// A request or its answer takes long.
    Delayed,
    /// A request never arrives.
    RequestLost,
    /// A request is served, and its answer never arrives.
    ResponseLost,
    /// A request arrives after its client has given up on it.
    Late,
    /// An `EndTxn` that came late ended a transaction that it was not meant for.
    LateEnd,
    /// A retried batch was found to be in the log already.
    Repeated,
    /// A coordinator asks for patience.
    Loading,
    /// A marker takes long.
    SlowMarker,
    /// A coordinator has ended a transaction by itself, and a marker of it is never written (KAFKA-20734).
    ForgottenMarker,
    /// A transaction was open for too long.
    TransactionTimeout,
    /// A request of an older epoch was refused.
    Fenced,
    /// A request found the transaction in another state.
    InvalidState,
    /// Offsets of somebody who is no member, or of an older generation, were refused.
    StaleMember,
    /// Positions were asked for while a transaction was about to change them.
    Unstable,
    /// A member was thrown out because it was silent.
    SessionExpired,
    /// A member was thrown out because it took too long to join again.
    LateJoin,
    /// A member took the place of its older life.
    Replaced,
    /// A process that runs cannot reach the group coordinator for a while.
    Isolated,
    /// A second process is started with the name of one that is still there.
    Twin,
    /// Everybody was asked to join again for no reason.
    Rebalance,
    /// The process did not poll for too long.
    PollTimeout,
}

impl Fault {
    /// Those that a worker must have met. A late `EndTxn` is not among them: it never meets a transaction that it was
    /// not meant for.
    pub const OF_A_WORKER: [Self; 28] = [
        Self::CrashBefore,
        Self::CrashDuring,
        Self::CrashAfter,
        Self::DiskSuffixLost,
        Self::DiskLost,
        Self::DiskDamaged,
        Self::DiskFull,
        Self::Stopped,
        Self::Retired,
        Self::Delayed,
        Self::RequestLost,
        Self::ResponseLost,
        Self::Late,
        Self::Repeated,
        Self::Loading,
        Self::SlowMarker,
        Self::TransactionTimeout,
        Self::Fenced,
        Self::InvalidState,
        Self::StaleMember,
        Self::Unstable,
        Self::SessionExpired,
        Self::LateJoin,
        Self::Replaced,
        Self::Isolated,
        Self::Twin,
        Self::Rebalance,
        Self::PollTimeout,
    ];

    /// Those that are met while no process does anything.
    pub const OF_THE_WORLD: [Self; 8] = [
        Self::Late,
        Self::SlowMarker,
        Self::TransactionTimeout,
        Self::SessionExpired,
        Self::LateJoin,
        Self::Rebalance,
        Self::Fenced,
        Self::InvalidState,
    ];
}

/// What a process was doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Poll,
    Assign,
    Unassign,
    Committed,
    Start,
    End,
    Reader,
    ReaderPoll,
    Recycle,
    Begin,
    Produce,
    Drain,
    SendOffsets,
    Commit,
    Abort,
    DiskOpen,
    DiskCommit,
    /// Nothing that a process did.
    #[default]
    World,
}

impl Step {
    /// Every call of the log and of the disk.
    pub const CALLS: [Self; 17] = [
        Self::Poll,
        Self::Assign,
        Self::Unassign,
        Self::Committed,
        Self::Start,
        Self::End,
        Self::Reader,
        Self::ReaderPoll,
        Self::Recycle,
        Self::Begin,
        Self::Produce,
        Self::Drain,
        Self::SendOffsets,
        Self::Commit,
        Self::Abort,
        Self::DiskOpen,
        Self::DiskCommit,
    ];

    /// Those that ask a broker.
    pub const ASKING: [Self; 9] = [
        Self::Committed,
        Self::Start,
        Self::End,
        Self::Recycle,
        Self::Produce,
        Self::Drain,
        Self::SendOffsets,
        Self::Commit,
        Self::Abort,
    ];

    /// Those that often wait, so that a crash finds them waiting.
    pub const WAITING: [Self; 9] = [
        Self::Poll,
        Self::ReaderPoll,
        Self::Committed,
        Self::End,
        Self::Recycle,
        Self::Produce,
        Self::Drain,
        Self::SendOffsets,
        Self::Commit,
    ];
}

/// Where in the life of a transaction a process was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// It looks for records.
    Reading,
    Beginning,
    /// It folds, and hands outputs to the producer.
    Folding,
    Draining,
    /// It adds positions to the transaction.
    Sending,
    /// The coordinator has not decided yet.
    Committing,
    /// The coordinator has, and the process does not know yet.
    Decided,
    /// The process knows, and has called nothing since.
    Committed,
    /// It writes to its disk, and has called nothing since it knows.
    StoringAtOnce,
    /// It writes to its disk.
    Storing,
    /// It has written to its disk, and has called nothing since.
    Stored,
    #[default]
    Elsewhere,
}

/// The mix of faults of one run. Rates are in ten thousand calls, requests or whatever they are of.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Crashes and stops happen in calls of this kind only, and far more often: some kinds are rare.
    pub focus: Option<Step>,
    /// Of calls.
    pub crash: u32,
    /// Of crashes.
    pub disk_suffix_lost: u32,
    /// Of crashes.
    pub disk_lost: u32,
    /// Of calls.
    pub stop: u32,
    /// Of batches that are written to a disk.
    pub disk_damaged: u32,
    /// Of batches that are written to a disk.
    pub disk_full: u32,
    /// Of requests.
    pub delayed: u32,
    /// Of requests.
    pub request_lost: u32,
    /// Of requests.
    pub response_lost: u32,
    /// Of requests.
    pub loading: u32,
    /// Of markers.
    pub slow_marker: u32,
    /// Of markers of transactions that nobody has asked to end. Only a next transaction of the same producer's id helps,
    /// so that a run with it must have one worker, which comes back.
    pub forgotten_marker: u32,
    /// Of heartbeats.
    pub isolated: u32,
    /// Of seconds.
    pub rebalance: u32,
    /// Of seconds.
    pub retired: u32,
    /// Of seconds.
    pub twin: u32,
    /// Of input records: ones that come in a transaction of their own.
    pub gaps: u32,
    /// What a request usually takes.
    pub latency: Micros,
}

impl Faults {
    /// A quiet world.
    pub const NONE: Self = Self {
        focus: None,
        crash: 0,
        disk_suffix_lost: 0,
        disk_lost: 0,
        disk_damaged: 0,
        disk_full: 0,
        stop: 0,
        delayed: 0,
        request_lost: 0,
        response_lost: 0,
        loading: 0,
        slow_marker: 0,
        forgotten_marker: 0,
        isolated: 0,
        rebalance: 0,
        retired: 0,
        twin: 0,
        gaps: 0,
        latency: 2 * MILLI,
    };

    /// A mix of its own for every run: most faults are absent, so that the others can do their worst.
    pub fn draw(random: &mut Random) -> Self {
        // By numbers of its own: what disks do changes nothing else of a seed's run.
        let mut apart = random.clone();
        let mut of_disks = |rates: [u32; 3]| if apart.happens(3_000) { *apart.pick(&rates) } else { 0 };
        let mut rate = |rates: [u32; 3]| if random.happens(5_000) { *random.pick(&rates) } else { 0 };
        Self {
            focus: None,
            crash: rate([5, 20, 80]),
            disk_suffix_lost: rate([2_000, 5_000, 10_000]),
            disk_lost: rate([200, 1_000, 3_000]),
            disk_damaged: of_disks([20, 100, 400]),
            disk_full: of_disks([20, 100, 400]),
            stop: rate([5, 20, 60]),
            delayed: rate([50, 300, 1_000]),
            request_lost: rate([20, 100, 400]),
            response_lost: rate([20, 100, 400]),
            loading: rate([50, 300, 1_000]),
            slow_marker: rate([100, 1_000, 4_000]),
            forgotten_marker: 0,
            isolated: rate([20, 100, 300]),
            rebalance: rate([200, 1_000, 3_000]),
            retired: rate([100, 500, 1_500]),
            twin: rate([200, 1_000, 3_000]),
            gaps: rate([200, 1_000, 4_000]),
            latency: *random.pick(&[MILLI / 2, 2 * MILLI, 10 * MILLI, 40 * MILLI]),
        }
        .focused(random)
    }

    fn focused(self, random: &mut Random) -> Self {
        if random.happens(4_000) {
            return self;
        }
        // What a commit leaves behind when it is cut short is what most depends on, and commits are few.
        let step = if random.happens(4_000) { Step::Commit } else { *random.pick(&Step::CALLS) };
        let more = match step {
            Step::Commit => 200,
            Step::Poll | Step::Produce => 5,
            Step::ReaderPoll => 20,
            Step::DiskCommit => 300,
            Step::Abort | Step::Unassign => 400,
            _ => 100,
        };
        Self { focus: Some(step), crash: self.crash.max(5) * more, stop: self.stop * more, ..self }
    }

    /// Whether crashes and stops may happen in calls of this kind.
    pub fn aim_at(&self, step: Step) -> bool {
        self.focus.is_none_or(|focus| focus == step)
    }

    /// How long something takes that takes long: any order of magnitude, so that every timeout is met
    /// from both sides.
    pub fn long(random: &mut Random) -> Micros {
        let scale = *random.pick(&[20 * MILLI, 200 * MILLI, 2 * SECOND, 8 * SECOND, 14 * SECOND]);
        random.between(scale / 2, scale)
    }
}

/// How often each fault was met, and during which call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    at: BTreeMap<(Fault, Step), u64>,
    /// The third part says whether the call had just begun.
    moments: BTreeMap<(Fault, Moment, bool), u64>,
}

impl Hits {
    pub fn count(&mut self, fault: Fault, step: Step) {
        *self.at.entry((fault, step)).or_default() += 1;
    }

    /// Counts what a fault meant for a transaction.
    pub fn count_moment(&mut self, fault: Fault, moment: Moment, fresh: bool) {
        *self.moments.entry((fault, moment, fresh)).or_default() += 1;
    }

    /// How often each fault was met at each moment of a transaction, and whether at the beginning of a call.
    pub fn moments(&self) -> impl Iterator<Item = (Fault, Moment, bool, u64)> {
        self.moments.iter().map(|((fault, moment, fresh), count)| (*fault, *moment, *fresh, *count))
    }

    pub fn add(&mut self, others: &Self) {
        for (what, count) in &others.at {
            *self.at.entry(*what).or_default() += count;
        }
        for (what, count) in &others.moments {
            *self.moments.entry(*what).or_default() += count;
        }
    }

    /// How often a fault was met during a call.
    pub fn at(&self, fault: Fault, step: Step) -> u64 {
        self.at.get(&(fault, step)).copied().unwrap_or(0)
    }

    /// How often a fault was met.
    pub fn of(&self, fault: Fault) -> u64 {
        self.at.iter().filter(|((met, _), _)| *met == fault).map(|(_, count)| count).sum()
    }

    /// Fails where one of these was met less often than it must have been.
    #[track_caller]
    pub fn demand(&self, least: u64, faults: &[Fault], steps: &[Step]) {
        let every = faults.iter().flat_map(|fault| steps.iter().map(move |step| (*fault, *step)));
        let rare: Vec<_> = every.filter(|(fault, step)| self.at(*fault, *step) < least).collect();
        assert!(rare.is_empty(), "met less than {least} times: {rare:?}\n{self}");
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = None;
        for ((fault, step), count) in &self.at {
            if last != Some(fault) {
                write!(
                    f,
                    "{}{:<20}{:>9} ",
                    if last.is_some() { "\n" } else { "" },
                    format!("{fault:?}"),
                    self.of(*fault)
                )?;
                last = Some(fault);
            }
            write!(f, " {step:?} {count}")?;
        }
        Ok(())
    }
}
