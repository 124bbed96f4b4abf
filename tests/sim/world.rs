//! The world: one queue of events in order of time, and processes of which only one runs at a time.
//!
//! Every process has a thread of its own, so that a worker is written as it is for a real Kafka: one call
//! after the other. A baton goes round. Whoever has it runs until a call has to wait; then the same thread
//! plays the events that come next, and hands the baton over when one of them wakes another process. Nothing
//! else decides anything, so a seed decides everything.
//!
//! A crash unwinds the process's stack with a payload of our own, past the panic hook: nothing is printed,
//! memory is given back, and no code of the process has a say in it, whereas calls that fail for ever would
//! test how a worker deals with failures that never come. A destructor that calls the log of a dead process
//! is told that the process is gone.

mod baton;

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use tollgate::stream::{Partition, Slot, Topic};

use crate::broker::group::{Assignment, Home, Joined, MemberId, Patience, Pulse};
use crate::broker::partition::{Ending, Pair, Producer};
use crate::broker::transactions::{Decision, Target};
use crate::broker::{Broker, Code, Request, Response};
use crate::disk::{Disk, Disks};
use crate::faults::{Fault, Faults, Hits, Moment, Step};
use crate::library::{Library, Standing};
use crate::log::SimLog;
use crate::random::{Random, mix};
use crate::time::{MILLI, Micros, SECOND, wall};
use baton::NOBODY;
pub use baton::{Handle, Shared, Turn};

/// A record of the input, and when it is written.
#[derive(Clone, Debug)]
pub struct Feed {
    pub at: Micros,
    pub slot: Slot,
    pub pair: Pair,
}

/// How long things may take before somebody loses patience.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For one request; the client then sends it again.
    pub request: Micros,
    /// For one call of the log, its retries included.
    pub call: Micros,
    pub transaction: Micros,
    pub max_poll: Micros,
    pub group: Patience,
    /// A poll that finds nothing lasts this long at least: an idle process costs a thread's hand-over.
    pub idle: Micros,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            request: SECOND,
            call: 4 * SECOND,
            transaction: 10 * SECOND,
            max_poll: 12 * SECOND,
            group: Patience { session: 6 * SECOND, rebalance: 5 * SECOND },
            idle: 400 * MILLI,
        }
    }
}

/// What a run is made of, besides the program.
pub struct Setup {
    pub workers: usize,
    pub inputs: u8,
    pub partitions: u32,
    /// The topics that the group reads.
    pub read: Vec<Topic>,
    /// In order of time.
    pub feeds: Vec<Feed>,
    pub faults: Faults,
    /// From here on nothing goes wrong any more, and everything must come to rest.
    pub calm_from: Micros,
    pub timing: Timing,
}

/// How a process ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to. It is started again later.
    Stopped,
    /// It says that it cannot go on. The run has failed.
    Halted(String),
}

/// What a process is given.
pub struct Machine {
    pub log: SimLog,
    pub disks: Disks,
    pub signals: Signals,
}

/// What a process does from its start to its end.
pub type Program = dyn Fn(Machine) -> Ended + Send + Sync;

/// What is asked of a process from outside.
pub struct Signals(Handle);

impl Signals {
    /// Whether the process is to finish what it does and return.
    pub fn asked_to_stop(&self) -> bool {
        self.0.shared.lock().processes[self.0.process].asked_to_stop
    }
}

enum Event {
    Start { process: usize },
    Wake { process: usize, token: u64 },
    Arrive { process: usize, life: u32, call: u64, number: u64, request: Request, back: Option<Micros> },
    Answer { process: usize, life: u32, call: u64, answer: Answer },
    Mark { identity: usize, number: u64, producer: Producer, target: Target, ending: Ending },
    Forget { identity: usize, number: u64, target: Target },
    TransactionTimeout { identity: usize, number: u64 },
    Feed,
    FeedMarker { slot: Slot, producer: Producer, ending: Ending },
    Join { home: Home, member: Option<MemberId> },
    Assignment(Assignment),
    Beat { process: usize, life: u32 },
    Crash { process: usize, life: u32 },
    Stop { process: usize, life: u32 },
    GroupTick,
    Fuss,
    Rest,
}

impl Event {
    const fn kind(&self) -> u64 {
        match self {
            Self::Start { .. } => 1,
            Self::Wake { .. } => 2,
            Self::Arrive { .. } => 3,
            Self::Answer { .. } => 4,
            Self::Mark { .. } => 5,
            Self::TransactionTimeout { .. } => 6,
            Self::Feed => 7,
            Self::FeedMarker { .. } => 8,
            Self::Join { .. } => 9,
            Self::Assignment(_) => 10,
            Self::Beat { .. } => 11,
            Self::Crash { .. } => 12,
            Self::Stop { .. } => 13,
            Self::GroupTick => 14,
            Self::Fuss => 15,
            Self::Rest => 16,
            Self::Forget { .. } => 17,
        }
    }
}

struct Due {
    at: Micros,
    sequence: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest, because a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// Whether there is a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Being {
    /// It will be started.
    #[default]
    Down,
    Up,
    /// It has crashed, and its stack is not unwound yet.
    Doomed,
    /// Another process has its name, or might have: nobody starts it.
    GivenUp,
}

/// What a request that was sent has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Awaited,
    Came(Response),
    /// None in time, or the connection was cut.
    Missing,
}

/// One process. Its number is that of its machine and disk too.
#[derive(Default)]
pub struct Process {
    /// Its name in the group, and its transactional id. Another machine may be told to be the same.
    pub identity: usize,
    being: Being,
    pub library: Library,
    pub life: u32,
    pub step: Step,
    /// The call that succeeded last.
    last: Step,
    /// The present call has not waited for anything yet.
    fresh: bool,
    /// It waits in a poll: records or a change of the group may wake it.
    pub polling: bool,
    asked_to_stop: bool,
    stopped_until: Micros,
    joining_since: Micros,
    attempt: u32,
    token: u64,
    calls: BTreeMap<u64, Answer>,
}

impl Process {
    /// The first of them are workers, the others wait to be told to take a worker's place.
    fn named(number: usize, workers: usize) -> Self {
        let being = if number < workers { Being::Down } else { Being::GivenUp };
        Self { identity: number % workers, being, ..Self::default() }
    }
}

/// Everything there is.
pub struct World {
    pub now: Micros,
    pub random: Random,
    pub broker: Broker,
    pub processes: Vec<Process>,
    pub disks: BTreeMap<(usize, Partition), Disk>,
    pub setup: Setup,
    pub hits: Hits,
    queue: BinaryHeap<Due>,
    sequence: u64,
    calls: u64,
    calls_at_once: u32,
    in_flight: usize,
    fed: usize,
    baton: usize,
    quiet_since: Option<Micros>,
    over: bool,
    failure: Option<String>,
    hash: u64,
    told: bool,
}

/// What is left when a run is over.
pub struct Outcome {
    pub broker: Broker,
    pub disks: BTreeMap<(usize, Partition), Disk>,
    pub hits: Hits,
    /// A process panicked or halted, or the world did not come to rest.
    pub failure: Option<String>,
    /// Stands for everything that happened, in its order.
    pub hash: u64,
    /// How long it took, by the simulation's clock.
    pub lasted: Micros,
}

impl World {
    fn new(seed: u64, setup: Setup, told: bool) -> Self {
        let broker = Broker::new(setup.inputs, setup.partitions, &setup.read, setup.timing.group);
        let mut world = Self {
            now: 0,
            random: Random::new(mix(seed) ^ 0x51B),
            broker,
            processes: (0..2 * setup.workers).map(|n| Process::named(n, setup.workers)).collect(),
            disks: BTreeMap::new(),
            hits: Hits::default(),
            queue: BinaryHeap::new(),
            sequence: 0,
            calls: 0,
            calls_at_once: 0,
            in_flight: 0,
            fed: 0,
            baton: usize::MAX,
            quiet_since: None,
            over: false,
            failure: None,
            hash: 0,
            told,
            setup,
        };
        for process in 0..world.setup.workers {
            let late = if world.random.happens(3_000) { Faults::long(&mut world.random) } else { MILLI };
            world.after(late, Event::Start { process });
        }
        world.after(0, Event::Feed);
        world.after(SECOND / 2, Event::GroupTick);
        world.after(SECOND, Event::Fuss);
        world.push(world.setup.calm_from, Event::Rest);
        world
    }

    /// Adds a line to the story of this run, if anybody listens.
    pub fn tell(&self, process: Option<usize>, what: impl FnOnce() -> String) {
        if self.told {
            let who = process.map_or_else(String::new, |n| format!("p{n}.{}", self.processes[n].life));
            println!("{:>4}.{:06} {who:<6} {}", self.now / SECOND, self.now % SECOND, what());
        }
    }

    /// Counts a fault, where the process is.
    pub fn hit(&mut self, fault: Fault, process: Option<usize>) {
        let step = process.map_or(Step::World, |n| self.processes[n].step);
        self.hits.count(fault, step);
        if let Some(process) = process {
            let (moment, fresh) = (self.moment(process), self.processes[process].fresh);
            self.hits.count_moment(fault, moment, fresh);
        }
        self.hash = mix(self.hash ^ fault as u64);
        self.tell(process, || format!("! {fault:?} ({step:?})"));
    }

    /// Where in the life of a transaction a process is.
    fn moment(&self, process: usize) -> Moment {
        let process = &self.processes[process];
        match (process.step, process.last) {
            (Step::Begin, _) => Moment::Beginning,
            (Step::Produce, _) => Moment::Folding,
            (Step::Drain, _) => Moment::Draining,
            (Step::SendOffsets, _) => Moment::Sending,
            (Step::Commit, _) if self.broker.transactions.is_decided(process.identity) => Moment::Decided,
            (Step::Commit, _) => Moment::Committing,
            (Step::DiskCommit, Step::Commit) => Moment::StoringAtOnce,
            (Step::DiskCommit, _) => Moment::Storing,
            (_, Step::Commit) => Moment::Committed,
            (_, Step::DiskCommit) => Moment::Stored,
            (Step::Poll, _) => Moment::Reading,
            _ => Moment::Elsewhere,
        }
    }

    fn push(&mut self, at: Micros, event: Event) {
        self.sequence += 1;
        self.queue.push(Due { at, sequence: self.sequence, event });
    }

    fn after(&mut self, span: Micros, event: Event) {
        self.push(self.now + span, event);
    }

    /// Whether nothing more goes wrong.
    pub fn is_calm(&self) -> bool {
        self.now >= self.setup.calm_from
    }

    /// Whether something goes wrong now that does so at this rate.
    pub fn strikes(&mut self, rate: impl Fn(&Faults) -> u32) -> bool {
        let rate = rate(&self.setup.faults);
        !self.is_calm() && self.random.happens(rate)
    }

    /// What a message over the network usually takes.
    pub fn latency(&mut self) -> Micros {
        let usual = if self.is_calm() { MILLI } else { self.setup.faults.latency };
        self.random.between(usual / 4, usual * 2) + 1
    }

    fn fail(&mut self, why: String) {
        self.tell(None, || format!("FAILED: {why}"));
        self.failure.get_or_insert(why);
        self.over = true;
    }

    /// Plays events until one of them lets a process run; nobody where the run is over.
    fn advance(&mut self) -> Option<usize> {
        while !self.over {
            let Some(due) = self.queue.pop() else {
                self.fail("nothing can happen any more".to_owned());
                break;
            };
            if due.at > self.now {
                self.now = due.at;
                self.calls_at_once = 0;
            }
            self.hash = mix(self.hash ^ (self.now << 5) ^ due.event.kind());
            let woken = self.play(due.event);
            self.decide();
            if let Some(process) = woken {
                self.hash = mix(self.hash ^ process as u64);
                return Some(process);
            }
        }
        None
    }

    /// Gives the decisions of coordinators their time.
    fn decide(&mut self) {
        for decision in self.broker.transactions.decisions() {
            match decision {
                Decision::Began { identity, number } => {
                    // Coordinators look for old transactions now and then.
                    let limit = self.setup.timing.transaction;
                    let span = limit + self.random.below(limit / 2);
                    self.after(span, Event::TransactionTimeout { identity, number });
                }
                Decision::Mark { identity, number, target, asked: false, .. }
                    if self.setup.faults.forgotten_marker > 0 && self.strikes(|faults| faults.forgotten_marker) =>
                {
                    self.hit(Fault::ForgottenMarker, None);
                    let span = self.latency();
                    self.after(span, Event::Forget { identity, number, target });
                }
                Decision::Mark { identity, number, producer, target, ending, .. } => {
                    let mut span = self.latency();
                    if self.strikes(|faults| faults.slow_marker) {
                        self.hit(Fault::SlowMarker, None);
                        span += Faults::long(&mut self.random) / 2;
                    }
                    self.after(span, Event::Mark { identity, number, producer, target, ending });
                }
            }
        }
        for assignment in self.broker.group.assignments() {
            let span = self.latency();
            self.after(span, Event::Assignment(assignment));
        }
    }

    fn lives(&self, process: usize, life: u32) -> bool {
        self.processes[process].being == Being::Up && self.processes[process].life == life
    }

    fn awaits_answer(&self, process: usize, life: u32, call: u64) -> bool {
        self.lives(process, life) && self.processes[process].calls.get(&call) == Some(&Answer::Awaited)
    }

    /// Puts an event of a process off where the process stands still.
    fn put_off(&mut self, process: usize, event: Event) -> Option<Event> {
        let until = self.processes[process].stopped_until;
        if until > self.now {
            self.push(until, event);
            return None;
        }
        Some(event)
    }

    fn play(&mut self, event: Event) -> Option<usize> {
        match event {
            Event::Start { process } => {
                let started = &mut self.processes[process];
                started.being = Being::Up;
                started.stopped_until = 0;
                let life = started.life;
                self.tell(Some(process), || "starts".to_owned());
                self.after(MILLI, Event::Beat { process, life });
                return Some(process);
            }
            Event::Wake { process, token } => {
                if self.processes[process].token == token && self.put_off(process, event).is_some() {
                    return Some(process);
                }
            }
            Event::Arrive { process, life, call, number, request, back } => {
                self.arrive(process, life, call, number, &request, back);
            }
            Event::Answer { process, life, call, .. } => {
                let awaited = self.awaits_answer(process, life, call);
                if awaited && let Some(Event::Answer { answer, .. }) = self.put_off(process, event) {
                    let calls = &mut self.processes[process].calls;
                    calls.insert(call, answer);
                    if !calls.values().any(|answer| *answer == Answer::Awaited) {
                        return Some(process);
                    }
                }
            }
            Event::Mark { identity, number, producer, target, ending } => {
                self.tell(None, || format!("marker {ending:?} of {producer:?} to {target:?}"));
                self.broker.mark(wall(self.now), identity, number, producer, target, ending);
                if let Target::Slot(slot) = target {
                    self.readable(slot);
                }
            }
            Event::Forget { identity, number, target } => {
                self.tell(None, || format!("no marker of transaction {number} of {identity} to {target:?}"));
                self.broker.transactions.marked(identity, number, target);
            }
            Event::TransactionTimeout { identity, number } => {
                if self.broker.transactions.time_out(identity, number) {
                    self.hit(Fault::TransactionTimeout, None);
                }
            }
            Event::Feed => self.feed(),
            Event::FeedMarker { slot, producer, ending } => {
                self.broker.log_mut(slot).mark(wall(self.now), producer, ending);
                self.readable(slot);
            }
            Event::Join { home, member } => self.join(home, member),
            Event::Assignment(assignment) => self.assigned(assignment),
            Event::Beat { process, life } => self.beat(process, life),
            Event::Crash { process, life } => {
                if self.lives(process, life) && !self.is_calm() {
                    self.hit(Fault::CrashDuring, Some(process));
                    self.processes[process].being = Being::Doomed;
                    return Some(process);
                }
            }
            Event::Stop { process, life } => {
                if self.lives(process, life) && !self.is_calm() {
                    self.stop(process);
                }
            }
            Event::GroupTick => {
                let (silent, late) = self.broker.group.tick(self.now);
                (0..silent).for_each(|_| self.hit(Fault::SessionExpired, None));
                (0..late).for_each(|_| self.hit(Fault::LateJoin, None));
                self.after(SECOND / 2, Event::GroupTick);
            }
            Event::Fuss => {
                if self.strikes(|faults| faults.rebalance) {
                    self.hit(Fault::Rebalance, None);
                    self.broker.group.rebalance(self.now);
                }
                if self.strikes(|faults| faults.retired) {
                    let process = self.random.below(self.processes.len() as u64) as usize;
                    self.hit(Fault::Retired, Some(process));
                    self.processes[process].asked_to_stop = true;
                }
                if self.strikes(|faults| faults.twin) {
                    self.start_twin();
                }
                self.after(SECOND, Event::Fuss);
            }
            Event::Rest => self.rest(),
        }
        None
    }

    /// A machine cannot be reached, so another one is told to take its place. It may well live.
    fn start_twin(&mut self) {
        let workers = self.setup.workers;
        let process = self.random.below(workers as u64) as usize;
        let twin = process + workers;
        if self.processes[process].being != Being::Up || self.processes[twin].being != Being::GivenUp {
            return;
        }
        self.hit(Fault::Twin, Some(process));
        if self.random.happens(5_000) {
            self.stop(process);
        } else {
            let long = Faults::long(&mut self.random);
            self.processes[process].library.membership.isolated_until = self.now + long;
        }
        self.processes[twin].being = Being::Down;
        let span = Faults::long(&mut self.random);
        self.after(span, Event::Start { process: twin });
    }

    fn arrive(&mut self, process: usize, life: u32, call: u64, number: u64, request: &Request, back: Option<Micros>) {
        self.in_flight -= 1;
        let awaited = self.awaits_answer(process, life, call);
        let at = awaited.then_some(process);
        let response = if self.strikes(|faults| faults.loading) {
            Response::Refused(Code::Loading)
        } else {
            self.broker.serve(wall(self.now), request)
        };
        if response == Response::Repeated {
            self.hit(Fault::Repeated, at);
        }
        self.tell(Some(process), || format!("{}{request:?} -> {response:?}", if awaited { "" } else { "late: " }));
        if !awaited {
            self.hit(Fault::Late, None);
        }
        if let (Response::Done, Request::EndTransaction { .. }) = (&response, request) {
            // Where nothing is open, only what other late requests began can be ended, and that is empty.
            let sender = &self.processes[process].library.sender;
            let moved_on = sender.open && sender.number != number;
            if self.lives(process, life) && moved_on && !self.broker.transactions.undecided().is_empty() {
                self.hit(Fault::LateEnd, None);
            }
        }
        match &response {
            Response::Refused(Code::Loading) => self.hit(Fault::Loading, at),
            Response::Refused(Code::Fenced) => self.hit(Fault::Fenced, at),
            Response::Refused(Code::InvalidState) => self.hit(Fault::InvalidState, at),
            Response::Refused(Code::Unstable) => self.hit(Fault::Unstable, at),
            Response::Refused(Code::UnknownMember | Code::FencedInstance | Code::IllegalGeneration) => {
                self.hit(Fault::StaleMember, at);
            }
            _ => {}
        }
        match back {
            None if awaited => self.hit(Fault::ResponseLost, at),
            None => {}
            Some(span) => self.after(span, Event::Answer { process, life, call, answer: Answer::Came(response) }),
        }
    }

    /// Sends a request for a process, and promises an answer or the news that there is none.
    fn send(&mut self, process: usize, request: Request) {
        self.calls += 1;
        let call = self.calls;
        self.processes[process].calls.insert(call, Answer::Awaited);
        let (life, number) = (self.processes[process].life, self.processes[process].library.sender.number);
        let (mut out, mut back) = (self.latency(), Some(self.latency()));
        let mut patience = self.setup.timing.request;
        if self.strikes(|faults| faults.delayed) {
            self.hit(Fault::Delayed, Some(process));
            let long = Faults::long(&mut self.random);
            if self.random.happens(7_000) { out += long } else { back = Some(long) }
        }
        let mut lost = false;
        if self.strikes(|faults| faults.request_lost) {
            self.hit(Fault::RequestLost, Some(process));
            lost = true;
        } else if self.strikes(|faults| faults.response_lost) {
            back = None;
        }
        if lost || back.is_none() {
            // A connection that is cut is noticed; one that is silent is not.
            patience = self.random.between(out, patience.max(out + 1));
        }
        if !lost {
            self.in_flight += 1;
            self.after(out, Event::Arrive { process, life, call, number, request, back });
        }
        self.after(patience, Event::Answer { process, life, call, answer: Answer::Missing });
    }

    fn stop(&mut self, process: usize) {
        self.hit(Fault::Stopped, Some(process));
        let long = Faults::long(&mut self.random);
        // Whoever stands still goes on when the faults end.
        let until = (self.now + long + self.random.below(long)).min(self.setup.calm_from);
        self.processes[process].stopped_until = until;
    }

    /// Wakes a process that polls.
    fn nudge(&mut self, process: usize) {
        if std::mem::take(&mut self.processes[process].polling) {
            let token = self.processes[process].token;
            let span = self.latency();
            self.after(span, Event::Wake { process, token });
        }
    }

    /// There may be something to read in a slot.
    fn readable(&mut self, slot: Slot) {
        for process in 0..self.processes.len() {
            if self.processes[process].library.cursors.contains_key(&slot) {
                self.nudge(process);
            }
        }
    }

    fn feed(&mut self) {
        while let Some(feed) = self.setup.feeds.get(self.fed).filter(|feed| feed.at <= self.now).cloned() {
            self.fed += 1;
            let now = wall(self.now);
            let slot = feed.slot;
            if self.strikes(|faults| faults.gaps) {
                // Another application writes it in a transaction, perhaps after one that it aborted.
                let producer = Producer { id: 1_000_000 + self.fed as u64, epoch: 0 };
                let log = self.broker.log_mut(slot);
                if feed.at % 2 == 0 {
                    let aborted = Producer { id: 2_000_000 + self.fed as u64, epoch: 0 };
                    let _ = log.produce(now, aborted, 0, &[(None, Some(b"aborted input".to_vec()))]);
                    log.mark(now, aborted, Ending::Abort);
                }
                let _ = log.produce(now, producer, 0, &[feed.pair]);
                let span = self.random.below(SECOND);
                self.after(span, Event::FeedMarker { slot, producer, ending: Ending::Commit });
            } else {
                self.broker.log_mut(slot).append(now, feed.pair);
                self.readable(slot);
            }
        }
        if let Some(next) = self.setup.feeds.get(self.fed).map(|feed| feed.at) {
            self.push(next, Event::Feed);
        }
    }

    /// Sends a request to join the group.
    pub fn ask_to_join(&mut self, process: usize) {
        let now = self.now;
        let span = self.latency();
        let asking = &mut self.processes[process];
        asking.joining_since = now;
        asking.attempt += 1;
        let home = Home { process, life: asking.life, attempt: asking.attempt };
        let membership = &mut asking.library.membership;
        membership.standing = Standing::Joining;
        let (at, member) = (now.max(membership.isolated_until) + span, membership.member);
        self.push(at, Event::Join { home, member });
    }

    /// Whether a process still waits for what came of this attempt to join.
    fn awaits(&self, home: Home) -> bool {
        self.lives(home.process, home.life) && self.processes[home.process].attempt == home.attempt
    }

    fn join(&mut self, home: Home, member: Option<MemberId>) {
        if !self.awaits(home) {
            return;
        }
        let process = home.process;
        let identity = self.processes[process].identity;
        match self.broker.group.join(self.now, identity, home, member) {
            Joined::Fine => {}
            Joined::Replaced => self.hit(Fault::Replaced, Some(process)),
            Joined::Fenced => {
                self.processes[process].library.membership.standing = Standing::Fenced;
                self.nudge(process);
            }
        }
    }

    fn assigned(&mut self, assignment: Assignment) {
        if !self.awaits(assignment.home) {
            return;
        }
        let process = assignment.home.process;
        let put_off = self.processes[process].library.membership.isolated_until;
        if put_off > self.now {
            self.push(put_off, Event::Assignment(assignment));
            return;
        }
        let Some(Event::Assignment(assignment)) = self.put_off(process, Event::Assignment(assignment)) else { return };
        self.tell(Some(process), || format!("is given {:?} in generation {}", assignment.slots, assignment.generation));
        let membership = &mut self.processes[process].library.membership;
        if membership.standing == Standing::Joining {
            membership.standing = Standing::Holding;
            membership.member = Some(assignment.member);
            membership.generation = assignment.generation;
            membership.given.clone_from(&assignment.slots);
            membership.found.push_back(tollgate::stream::Found::Assigned(assignment.slots));
            self.nudge(process);
        }
    }

    /// The client's own thread says to the group that the process lives.
    fn beat(&mut self, process: usize, life: u32) {
        if !self.lives(process, life) || self.put_off(process, Event::Beat { process, life }).is_none() {
            return;
        }
        let span = self.random.between(SECOND / 2, SECOND);
        self.after(span, Event::Beat { process, life });
        let (now, timing) = (self.now, self.setup.timing);
        let isolates = self.strikes(|faults| faults.isolated);
        let long = if isolates { Faults::long(&mut self.random) } else { 0 };
        let (joining_since, identity) = (self.processes[process].joining_since, self.processes[process].identity);
        let membership = &mut self.processes[process].library.membership;
        let holds = matches!(membership.standing, Standing::Holding | Standing::Leaving);
        if holds && membership.member.is_some() && membership.last_poll + timing.max_poll < now {
            self.hit(Fault::PollTimeout, Some(process));
            self.processes[process].library.membership.lose();
            self.nudge(process);
            return;
        }
        if membership.isolated_until > now {
            return;
        }
        if isolates {
            membership.isolated_until = now + long;
            self.hit(Fault::Isolated, Some(process));
            return;
        }
        if membership.standing == Standing::Joining {
            if joining_since + timing.group.session + timing.group.rebalance < now {
                (membership.member, membership.generation) = (None, -1);
                self.ask_to_join(process);
            }
            return;
        }
        let Some(member) = membership.member.filter(|_| holds) else { return };
        let generation = membership.generation;
        let again = match self.broker.group.beat(now, identity, member, generation) {
            Pulse::Fine => return,
            Pulse::Rebalance if membership.standing == Standing::Leaving => return,
            Pulse::Rebalance => membership.revoke(),
            Pulse::Unknown => membership.lose(),
            Pulse::Fenced => {
                membership.standing = Standing::Fenced;
                false
            }
        };
        if again {
            self.ask_to_join(process);
        }
        self.nudge(process);
    }

    /// Ends the run when everything has come to rest and stayed there, or when it never will.
    fn rest(&mut self) {
        let up = self.processes.iter().all(|process| matches!(process.being, Being::Up | Being::GivenUp));
        let quiet = up && self.in_flight == 0 && self.fed == self.setup.feeds.len() && self.broker.at_rest();
        let since = *self.quiet_since.get_or_insert(self.now);
        if !quiet {
            self.quiet_since = None;
        } else if self.now >= since + 3 * SECOND {
            self.over = true;
        }
        if self.now > self.setup.calm_from + 120 * SECOND {
            self.fail("nothing has gone wrong for two minutes, and still there is work to do".to_owned());
        }
        self.after(SECOND, Event::Rest);
    }

    /// Whether a process must end because another one has its name.
    fn is_fenced(&self, process: usize) -> bool {
        self.processes[process].library.membership.standing == Standing::Fenced
    }

    /// A process is no more.
    fn fell(&mut self, process: usize, crashed: bool) {
        if crashed {
            self.crash_disks(process);
        }
        let calm = self.is_calm();
        let fallen = &mut self.processes[process];
        let (identity, life, token) = (fallen.identity, fallen.life + 1, fallen.token + 1);
        let given_up = !crashed && fallen.library.membership.standing == Standing::Fenced;
        let being = if given_up { Being::GivenUp } else { Being::Down };
        *fallen = Process { identity, being, life, token, ..Process::default() };
        if given_up {
            return;
        }
        let span = if calm { 100 * MILLI } else { Faults::long(&mut self.random) };
        self.after(span, Event::Start { process });
    }

    fn crash_disks(&mut self, machine: usize) {
        let suffix = self.strikes(|faults| faults.disk_suffix_lost);
        let whole = self.strikes(|faults| faults.disk_lost);
        let of_machine = (machine, Partition(0))..=(machine, Partition(u32::MAX));
        let mut lost = 0;
        for (_, disk) in self.disks.range_mut(of_machine) {
            let kept = if suffix { self.random.below(disk.unsynced() as u64 + 1) as usize } else { disk.unsynced() };
            lost += disk.unsynced() - kept;
            disk.crash(kept);
        }
        if lost > 0 {
            self.hit(Fault::DiskSuffixLost, Some(machine));
        }
        if whole {
            self.disks.retain(|(of, _), _| *of != machine);
            self.hit(Fault::DiskLost, Some(machine));
        }
    }
}

/// Plays one seed to its end.
pub fn run(seed: u64, setup: Setup, told: bool, program: &Arc<Program>) -> Outcome {
    let processes = 2 * setup.workers;
    let shared = Arc::new(Shared {
        world: Mutex::new(World::new(seed, setup, told)),
        turns: (0..processes).map(|_| Condvar::new()).collect(),
        done: Condvar::new(),
    });
    let mut threads = Vec::new();
    for process in 0..processes {
        let (shared, program) = (Arc::clone(&shared), Arc::clone(program));
        let thread = thread::Builder::new().name(format!("seed {seed}, process {process}"));
        threads.push(thread.spawn(move || shared.live(process, &*program)).expect("a thread"));
    }
    let mut world = shared.lock();
    if let Some(first) = world.advance() {
        world.baton = first;
        shared.turns[first].notify_one();
        while world.baton != NOBODY {
            world = shared.done.wait(world).unwrap_or_else(PoisonError::into_inner);
        }
    }
    // One after the other, so that even the end has an order.
    for (process, thread) in threads.into_iter().enumerate() {
        world.baton = process;
        drop(world);
        shared.turns[process].notify_one();
        let _ = thread.join();
        world = shared.lock();
    }
    drop(world);
    let shared = Arc::into_inner(shared).expect("all processes have ended");
    let world = shared.world.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut hash = world.hash;
    for (slot, log) in world.broker.logs() {
        for record in log.records() {
            let value = record.visible().and_then(|(_, value)| value.as_deref()).unwrap_or_default();
            hash =
                value.iter().fold(mix(hash ^ record.offset.cast_unsigned()), |hash, byte| mix(hash ^ u64::from(*byte)));
        }
        hash = mix(hash ^ world.broker.group.committed(slot).unwrap_or(-1).cast_unsigned());
    }
    Outcome {
        broker: world.broker,
        disks: world.disks,
        hits: world.hits,
        failure: world.failure,
        hash,
        lasted: world.now,
    }
}
