//! A worker: one thread, one member of the group, one transactional producer, and the partitions it owns.
//!
//! It folds what it reads, and makes it real in transactions: outputs, changelogs and input positions together,
//! or nothing. The order of a transaction, and what survives a crash between any two of its steps:
//!
//! | step | what happens | a crash here |
//! |---|---|---|
//! | 1 | a batch is read | nothing has happened |
//! | 2 | the transaction begins | nothing: an empty one is aborted by the next producer |
//! | 3 | records are folded, outputs are handed to the producer | rows in memory are gone; the same records are folded again |
//! | 4 | outputs reach the log | they are aborted by the next producer, and no reader has seen them |
//! | 5 | changelogs and the commit record are in the log too | the same |
//! | 6 | input positions are added | the same |
//! | 7 | the commit is sent | it happened or it did not; the committed positions tell |
//! | 8 | the coordinator has decided | all of it happens; the store is restored from the changelog |
//! | 9 | the commit is answered | the same |
//! | 10 | the rows are the committed state in memory | the same |
//! | 11 | they are written to the store, with their position | the store holds them, or it is restored |
//! | 12 | the store has them | nothing is left to do |
//!
//! The store only ever holds what is committed, so it is never wiped because of a crash or a time-out. A worker
//! knows no Kafka: what it talks to is a [`Log`].

mod closing;
mod conversation;
pub mod headers;
mod ledger;
mod merge;
pub mod observe;
pub mod position;
mod questions;
mod restore;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::codec::frame::{Framer, Framing, Writers};
use crate::codec::partitioner::Partitioner;
use crate::codec::{avro, schema};
use crate::domain::ledger::usage::Snapshot;
use crate::domain::reference::Reference;
use crate::domain::time::{Millis, Timestamp};
use crate::engine::publish::{Problem, Publisher};
use crate::engine::{Output, Setup};
use crate::store::{self, Store};
use crate::stream::{Failure, Found, Head, Log, NextOffset, Partition, Reaction, Records, Slot, TOGETHER, Topic};
use crate::zones::Zones;
use closing::Transaction;
pub use closing::{Closing, SWEPT};
use conversation::Conversation;
pub use conversation::{Decoded, decode, wrong_partition};
use ledger::Ledger;
use observe::{Observer, Spent, recycled};
use questions::Questions;
use restore::Restore;

/// How long a poll waits where nothing is going on.
const IDLE: Duration = Duration::from_millis(100);

/// How long it takes until a disk that was full is tried again.
const ROOM_AGAIN: Duration = Duration::from_secs(5);

/// Where the disk is full, this many times as many bytes wait for it as usual before their partition is not folded on.
const HELD: usize = 4;

/// How long a turn waits before it asks again for something that is not there yet.
const AGAIN: Duration = Duration::from_millis(10);

/// How outputs are written: one framer for every topic.
#[derive(Clone, Debug)]
pub struct Framers {
    /// `wa.verdicts`
    pub verdict: Framer,
    /// `wa.billing`
    pub billing: Framer,
    /// `wa.windows`
    pub window: Framer,
    /// `wa.window-state`
    pub state: Framer,
    /// `wa.outcomes`
    pub outcome: Framer,
    /// `wa.dead-letters`
    pub dead_letter: Framer,
    /// `wa.usage`
    pub usage: Framer,
    /// `wa.forecast-answers`
    pub forecast_answer: Framer,
    /// Heartbeats, in the first of the input topics.
    pub heartbeat: Framer,
    /// Lines of the ledger inside of `tollgate.charges`, always in the single-object framing.
    pub charge: Framer,
}

impl Framers {
    /// Framers that write every topic in the framing that `framing` gives its schema.
    ///
    /// # Errors
    /// If a schema is none, which none of ours is.
    pub fn new(framing: impl Fn(Topic) -> Framing) -> Result<Self, avro::Error> {
        let framer = |topic, schema| Framer::new(schema, framing(topic));
        Ok(Self {
            verdict: framer(Topic::Verdicts, schema::VERDICT)?,
            billing: framer(Topic::Billing, schema::BILLING_ENTRY)?,
            window: framer(Topic::Windows, schema::WINDOW_EVENT)?,
            state: framer(Topic::WindowState, schema::WINDOW_STATE)?,
            outcome: framer(Topic::Outcomes, schema::OUTCOME)?,
            dead_letter: framer(Topic::DeadLetters, schema::DEAD_LETTER)?,
            usage: framer(Topic::Usage, schema::USAGE)?,
            forecast_answer: framer(Topic::ForecastAnswers, schema::FORECAST_ANSWER)?,
            heartbeat: framer(Topic::Input(0), schema::EVENT)?,
            charge: Framer::new(schema::BILLING_ENTRY, Framing::SingleObject)?,
        })
    }
}

/// What tells when a record arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The log: the instant at which it appended the record.
    Log,
    /// The record: its `received_at`, but never before what has arrived already. For imports, mirrors and tests.
    Field,
}

impl Arrival {
    /// When a record arrives: `said` is its own word, and `known` when the last one did. Time never goes back.
    #[must_use]
    pub fn at(self, appended_at: i64, said: Option<Timestamp>, known: Option<Timestamp>) -> Timestamp {
        let at = match self {
            Self::Log => Timestamp::from_millis(appended_at),
            Self::Field => said,
        };
        at.or(known).max(known).unwrap_or(Timestamp::EARLIEST)
    }
}

/// Everything that all workers of a deployment share, and that stays as it is.
pub struct Shared {
    /// What the fold needs.
    pub setup: Arc<Setup>,
    /// The deployment's name: the `source` of every output.
    pub name: String,
    /// Whether verdicts are meant to be acted on.
    pub enforced: bool,
    /// How outputs are written.
    pub framers: Framers,
    /// The names of the input topics, for dead letters.
    pub inputs: Vec<String>,
    /// The name of the topic of charges.
    pub charges: String,
    /// The name of the topic of campaign questions, where they are answered.
    pub forecasts: Option<String>,
    /// How many partitions every topic has.
    pub partitions: u32,
    /// How producers choose the partition of a number.
    pub partitioner: Partitioner,
    /// What tells when a record arrived.
    pub arrival: Arrival,
    /// Whether dead letters hold the record they are about.
    pub keep_payload: bool,
    /// Whether the worker writes heartbeats for partitions that are idle while a deadline is due.
    pub heartbeats: bool,
    /// How long a gateway that writes heartbeats may be silent before a window that looks closed is not believed to be.
    pub gateway_silence: Option<Millis>,
    /// Which headers outputs carry.
    pub headers: headers::Headers,
    /// How often ledgers tell what is used of limits, tiers and budgets, by the time of the events.
    pub usage_every: Millis,
    /// When a transaction is closed.
    pub closing: Closing,
    /// When rows are written to the store.
    pub checkpoint: Checkpoint,
    /// A store older than this is built anew from the changelogs: what was deleted since may have left them.
    pub tombstones_kept: Duration,
    /// How long committed positions and changelogs may disagree before the partition halts: as long as a
    /// transaction of another worker may take to end.
    pub patience: Duration,
}

/// When rows are written to the store.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint {
    /// Once so many bytes wait.
    pub bytes: usize,
    /// Once the oldest of them has waited so long.
    pub age: Duration,
}

/// What is used of limits and budgets, and how far `wa.usage` was read for it: commit records name that.
#[derive(Clone, Debug, Default)]
pub struct Used {
    /// What ledgers have told.
    pub told: Arc<Snapshot>,
    /// The next offset of each partition of `wa.usage`, in their order.
    pub read: Vec<NextOffset>,
}

/// What is known of accounts and templates, as it is learned by whoever reads the reference topics.
#[derive(Clone, Default)]
pub struct Latest {
    known: Arc<Mutex<Arc<Reference>>>,
    used: Arc<Mutex<Arc<Used>>>,
    stale: Arc<AtomicBool>,
}

impl Latest {
    /// What is known now.
    #[must_use]
    pub fn get(&self) -> Arc<Reference> {
        Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this is known. Where it is more than before and its watermark says the same, that is moved: commit
    /// records and verdicts name it, and whoever folds again takes from them what was known.
    pub fn set(&self, mut reference: Arc<Reference>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watermark) = known.watermark()
            && reference.version() != known.version()
            && reference.watermark() <= Some(watermark)
        {
            Arc::make_mut(&mut reference).move_behind(watermark);
        }
        *known = reference;
    }

    /// What is used of limits and budgets.
    #[must_use]
    pub fn used(&self) -> Arc<Used> {
        Arc::clone(&self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on so much is used of limits and budgets.
    pub fn set_used(&self, used: Arc<Used>) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = used;
    }

    /// Whether that may be too old to rest a verdict on.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    /// From now on what is known may be too old to rest a verdict on, or is fresh again.
    pub fn set_stale(&self, stale: bool) {
        self.stale.store(stale, Ordering::Relaxed);
    }
}

/// Where the stores of partitions are.
pub trait Disk {
    /// The store of a partition.
    type Store: Store;

    /// Opens a partition's store, or makes it.
    ///
    /// # Errors
    /// If it cannot be opened: another process has it, or it is damaged.
    fn open(&mut self, partition: Partition) -> Result<Self::Store, store::Error>;

    /// Puts a partition's store aside, so that it is made anew when it is opened next.
    ///
    /// # Errors
    /// If that cannot be done.
    fn discard(&mut self, partition: Partition) -> Result<(), store::Error>;
}

/// Tells the schema that a registry gave an id: nothing where there is none.
///
/// A worker asks between records of other partitions and with a transaction open, so it must be told at once. The error
/// says that the answer is not there yet, or that the registry cannot be asked now; the same is asked again soon.
pub type Schemas = Box<dyn FnMut(u32) -> Result<Option<String>, String> + Send>;

/// The worker cannot go on. The message says what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halted(pub String);

impl fmt::Display for Halted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Halted {}

/// Why a turn did not come to its end.
enum Trouble {
    /// The log failed.
    Log(Failure),
    /// The store of a partition is damaged.
    Damaged(String),
    /// There is no room on the disk.
    Full(String),
    /// Nobody can go on from here.
    Halt(String),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Log(failure)
    }
}

impl From<store::Error> for Trouble {
    fn from(error: store::Error) -> Self {
        match error {
            // It is built anew from the changelogs.
            store::Error::Damaged(why) => Self::Damaged(why),
            store::Error::Full(_) => Self::Full(error.to_string()),
            store::Error::Disk(_) | store::Error::Row { .. } => Self::Halt(error.to_string()),
        }
    }
}

/// What must be done before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// Nothing.
    None,
    /// Make a producer. Nothing was under way.
    Recycle(&'static str),
    /// Make a producer, then find out what became of the transaction.
    Settle,
}

/// One worker.
#[allow(clippy::struct_excessive_bools, reason = "each is a note to a later step of the same turn")]
pub struct Worker<L: Log, D: Disk> {
    log: L,
    disk: D,
    shared: Arc<Shared>,
    latest: Latest,
    schemas: Schemas,
    publisher: Publisher,
    writers: Writers,
    charge_writers: Writers,
    question_writers: Writers,
    slots: Vec<Slot>,
    conversations: BTreeMap<Partition, Conversation<D::Store>>,
    ledgers: BTreeMap<Partition, Ledger>,
    /// Of every partition, where questions are answered.
    questions: BTreeMap<Partition, Questions>,
    restore: Restore<L::Reader, D::Store>,
    transaction: Option<Transaction>,
    /// What the last transactions took to close, smoothed.
    commit_cost: Duration,
    /// Records whose fold or pricing panicked; they go to the dead letters instead.
    poison: BTreeSet<(Slot, i64)>,
    duty: Duty,
    /// Whether the log has yet to be told that everything is given up.
    leaves: bool,
    /// Whether the log has yet to be swept of what the predecessor of its producer may have left open.
    unswept: bool,
    /// Since when the group's positions are not told.
    unanswered_since: Option<Duration>,
    /// Whether what is read must be told to the log anew.
    stale: bool,
    /// Whether memory asks for the transaction to be closed after the present record.
    wants_close: bool,
    records: Records,
    outputs: Vec<Output>,
    bytes: Vec<u8>,
    observer: Box<dyn Observer + Send>,
    /// When the log took the record that is being folded.
    present: i64,
    /// Whether the group has assigned anything yet, and be it nothing.
    joined: bool,
    /// How long the present turn has waited for records, and for answers.
    waited: Duration,
    blocked: Duration,
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// A worker that owns nothing yet.
    ///
    /// # Errors
    /// If a schema is none, which none of ours is.
    pub fn new(log: L, disk: D, shared: Arc<Shared>, latest: Latest, schemas: Schemas) -> Result<Self, avro::Error> {
        let publisher = Publisher::new(Arc::clone(&shared.setup), zones(), shared.name.clone(), shared.enforced);
        Ok(Self {
            log,
            disk,
            publisher,
            shared,
            latest,
            schemas,
            writers: Writers::of(schema::EVENT)?,
            charge_writers: Writers::of(schema::BILLING_ENTRY)?,
            question_writers: Writers::of(schema::FORECAST_REQUESTED)?,
            slots: Vec::new(),
            conversations: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            questions: BTreeMap::new(),
            restore: Restore::default(),
            transaction: None,
            commit_cost: Duration::ZERO,
            poison: BTreeSet::new(),
            duty: Duty::Recycle(recycled::START),
            leaves: false,
            unswept: false,
            unanswered_since: None,
            stale: false,
            wants_close: false,
            records: Records::default(),
            outputs: Vec::new(),
            bytes: Vec::new(),
            observer: Box::new(()),
            present: 0,
            joined: false,
            waited: Duration::ZERO,
            blocked: Duration::ZERO,
        })
    }

    /// From now on somebody is told what happens.
    #[must_use]
    pub fn observed_by(mut self, observer: Box<dyn Observer + Send>) -> Self {
        self.observer = observer;
        self
    }

    /// Whether the group has assigned partitions once, and be it none.
    #[must_use]
    pub const fn has_joined(&self) -> bool {
        self.joined
    }

    /// The log.
    pub const fn log(&mut self) -> &mut L {
        &mut self.log
    }

    /// Whether every partition that was assigned is being folded.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.duty == Duty::None
            && self.conversations.values().all(Conversation::is_running)
            && self.ledgers.values().all(Ledger::is_running)
    }

    /// Does what there is to do, and waits a little where there is nothing. To be called again and again.
    ///
    /// # Errors
    /// If nobody can go on from here.
    pub fn turn(&mut self) -> Result<(), Halted> {
        let began = self.log.now();
        (self.waited, self.blocked) = (Duration::ZERO, Duration::ZERO);
        self.observer.alive();
        let mut done = self.step();
        // What is done about one trouble may meet another.
        let done = loop {
            done = match done {
                Ok(()) => break Ok(()),
                // Whoever could wait for room has.
                Err(Trouble::Halt(why) | Trouble::Full(why)) => break Err(Halted(why)),
                Err(Trouble::Log(failure)) => self.react(&failure),
                Err(Trouble::Damaged(why)) => self.build_anew(why),
            };
        };
        let (poll, blocked) = (self.waited, self.blocked);
        let fold = self.log.now().saturating_sub(began + poll + blocked);
        self.observer.spent(Spent { poll, blocked, fold });
        done
    }

    /// Asks the log something that may take long. Returns its answer and how long that took.
    fn ask<T>(&mut self, what: impl FnOnce(&mut L) -> T) -> (T, Duration) {
        self.observer.alive();
        let began = self.log.now();
        let answer = what(&mut self.log);
        let took = self.log.now().saturating_sub(began);
        self.blocked += took;
        (answer, took)
    }

    /// Commits what is open, writes the stores, and ends. The log is given back, so that leaving the group is
    /// its owner's to decide.
    ///
    /// # Errors
    /// If what is open could not be committed. It is not lost: it will be folded again.
    pub fn stop(mut self) -> Result<L, Halted> {
        let mut closed = self.close().and_then(|()| self.checkpoint_all());
        while let Err(Trouble::Damaged(why)) = closed {
            closed = self.build_anew(why).and_then(|()| self.checkpoint_all());
        }
        match closed {
            Ok(()) => Ok(self.log),
            Err(Trouble::Halt(why) | Trouble::Damaged(why) | Trouble::Full(why)) => Err(Halted(why)),
            Err(Trouble::Log(failure)) => Err(Halted(failure.to_string())),
        }
    }

    fn step(&mut self) -> Result<(), Trouble> {
        self.do_duty()?;
        // Before anything is read: what was read and not kept comes again, and nothing may come before it. Where the
        // log cannot be told now, because the group is changing, only the change is taken in.
        match self.assign() {
            Ok(()) | Err(Trouble::Log(Failure::Busy(_))) => {}
            Err(trouble) => return Err(trouble),
        }
        let wait = self.wait();
        let mut records = std::mem::take(&mut self.records);
        records.clear();
        let polled = self.log.now();
        let found = self.log.poll(wait, &mut records);
        self.waited = self.log.now().saturating_sub(polled);
        let folded = match found {
            // They come from where the log was told to read before.
            Ok(Found::Records) if self.stale => Ok(()),
            Ok(Found::Records) => self.take(&records),
            Ok(Found::Assigned(slots)) => self.assigned(slots),
            Ok(Found::Revoked(_)) => self.revoked(),
            Ok(Found::Lost(_)) => self.lost(),
            Err(failure) => Err(Trouble::Log(failure)),
        };
        let caught_up = records.heads().len() < TOGETHER;
        self.records = records;
        if folded.is_err() {
            // Records that were not folded are forgotten here, so they must be read again.
            self.stale = true;
        }
        folded?;
        self.admit()?;
        self.end_pauses()?;
        self.read_questions()?;
        self.write_heartbeats()?;
        if self.is_due(caught_up) {
            self.close()?;
        }
        if self.transaction.is_none() {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Answers a failure of the log, by its reaction alone.
    fn react(&mut self, failure: &Failure) -> Result<(), Trouble> {
        match failure.reaction() {
            Reaction::Retry => {}
            Reaction::Abort => {
                // An abort that does not succeed is as good as none: the next producer aborts.
                if self.ask(L::abort).0.is_ok() {
                    self.rewind()?;
                } else {
                    self.duty = Duty::Settle;
                }
            }
            Reaction::Recycle => self.duty = Duty::Settle,
            Reaction::Halt => return Err(Trouble::Halt(failure.to_string())),
        }
        Ok(())
    }

    /// Puts stores aside that have turned out to be damaged, and has their partitions restored from the changelogs. What
    /// is open is folded again: of these partitions once their state is back.
    fn build_anew(&mut self, why: String) -> Result<(), Trouble> {
        let of_running =
            self.conversations.iter().filter(|(_, task)| task.is_damaged()).map(|(partition, _)| *partition);
        let damaged: BTreeSet<Partition> = of_running.chain(self.restore.damaged()).collect();
        if damaged.is_empty() {
            return Err(Trouble::Halt(format!("a store is damaged, and no partition's: {why}; report this")));
        }
        self.stale = true;
        for partition in damaged {
            // The store is closed with what holds it.
            self.restore.forget(partition);
            self.conversations.insert(partition, Conversation::joining());
            self.ledgers.insert(partition, Ledger::joining());
            self.put_aside(partition, &why)?;
        }
        if self.transaction.is_some() && self.duty == Duty::None {
            self.react(&Failure::Abort(why))?;
        }
        Ok(())
    }

    /// Puts a damaged store aside: whoever opens it next finds none, and reads the changelogs from their beginning.
    fn put_aside(&mut self, partition: Partition, why: &str) -> Result<(), store::Error> {
        tracing::error!(partition = partition.0, why, "puts the store aside, and builds it anew from the changelogs");
        self.disk.discard(partition)
    }

    /// Makes a producer if one is needed, and finds out what became of a transaction of the last one.
    fn do_duty(&mut self) -> Result<(), Trouble> {
        let why = match (self.duty, self.log.tainted()) {
            (Duty::Recycle(why), _) => why,
            (Duty::Settle, _) => recycled::UNKNOWN_OUTCOME,
            (Duty::None, Some(why)) if self.transaction.is_none() => why,
            (Duty::None, _) => return Ok(()),
        };
        self.ask(L::recycle).0?;
        self.unswept = true;
        if why != recycled::START {
            self.observer.recycled(why);
        }
        if self.duty == Duty::Settle {
            self.duty = Duty::Recycle(recycled::UNKNOWN_OUTCOME);
            self.settle()?;
        }
        self.duty = Duty::None;
        Ok(())
    }

    /// How long the next poll may wait.
    fn wait(&self) -> Duration {
        if self.restore.is_reading(self.log.now()) {
            return Duration::ZERO;
        }
        if self.stale || !self.is_running() {
            return AGAIN;
        }
        match &self.transaction {
            Some(transaction) => self.shared.closing.rest(transaction, self.log.now(), self.commit_cost),
            None if self.conversations.values().any(Conversation::has_waiting) => AGAIN,
            None => IDLE,
        }
    }

    /// Takes in an assignment. What is read of it, once it is ready, is told to the log by [`Self::assign`].
    fn assigned(&mut self, slots: Vec<Slot>) -> Result<(), Trouble> {
        let partitions = |wanted: Topic| -> BTreeSet<Partition> {
            slots.iter().filter(|slot| slot.topic == wanted).map(|slot| slot.partition).collect()
        };
        // The charges too: how far the ledger is stands in the commit record of the partition of the same number.
        let inputs = (0..).zip(&self.shared.inputs).map(|(index, name)| (Topic::Input(index), name));
        let topics = inputs.chain([(Topic::Charges, &self.shared.charges)]);
        let topics = topics.chain(self.shared.forecasts.iter().map(|name| (Topic::Forecasts, name)));
        let owned: Vec<_> = topics.map(|(topic, name)| (name, partitions(topic))).collect();
        let all: BTreeSet<Partition> = owned.iter().flat_map(|(_, owned)| owned).copied().collect();
        if let Some((name, owned)) = owned.iter().find(|(_, owned)| *owned != all) {
            let missing: Vec<u32> = all.difference(owned).map(|partition| partition.0).collect();
            return Err(Trouble::Halt(format!(
                "this member owns partitions {missing:?} of another topic but not of `{name}`: inputs, charges and questions must have \
                 equally many partitions, and the group must use the assignor `range`"
            )));
        }
        self.ledgers = all.iter().map(|partition| (*partition, Ledger::joining())).collect();
        let asked = all.iter().filter(|_| self.shared.forecasts.is_some());
        self.questions = asked.map(|partition| (*partition, Questions::default())).collect();
        self.conversations = all.into_iter().map(|partition| (partition, Conversation::joining())).collect();
        self.slots = slots;
        self.stale = true;
        self.joined = true;
        Ok(())
    }

    /// Gives up an assignment: what is open is committed first.
    fn revoked(&mut self) -> Result<(), Trouble> {
        let closed = self.close().and_then(|()| self.checkpoint_all());
        if closed.is_err() {
            // What is open is not ours to finish any more. Whoever comes next folds it again.
            self.duty = Duty::Recycle(recycled::REVOKED);
        }
        self.give_up()?;
        match closed {
            Err(Trouble::Halt(why) | Trouble::Log(Failure::Halt(why))) => Err(Trouble::Halt(why)),
            // A damaged store is found damaged again by whoever opens it next, and a full disk full.
            Ok(()) | Err(Trouble::Log(_) | Trouble::Damaged(_) | Trouble::Full(_)) => Ok(()),
        }
    }

    /// Gives up an assignment that is somebody else's already: what is open is void.
    fn lost(&mut self) -> Result<(), Trouble> {
        if self.transaction.is_some() {
            self.duty = Duty::Recycle(recycled::LOST);
        }
        self.give_up()
    }

    fn give_up(&mut self) -> Result<(), Trouble> {
        if self.transaction.take().is_some() {
            self.observer.aborted();
        }
        self.conversations.clear();
        self.ledgers.clear();
        self.questions.clear();
        self.restore.stop();
        self.slots.clear();
        self.stale = false;
        self.poison.clear();
        self.leaves = true;
        self.assign()
    }

    /// Tells the log what to read, if that has changed.
    fn assign(&mut self) -> Result<(), Trouble> {
        if self.leaves {
            self.log.unassign()?;
            self.leaves = false;
        }
        if !self.stale {
            return Ok(());
        }
        let mut slots = Vec::with_capacity(self.slots.len());
        self.conversations.values_mut().for_each(Conversation::forget_waiting);
        self.questions.values_mut().for_each(Questions::forget_reading);
        for slot in &self.slots {
            let position = match slot.topic {
                Topic::Input(index) => self.conversations.get(&slot.partition).and_then(|task| task.reads(index)),
                Topic::Charges => self.ledgers.get(&slot.partition).and_then(Ledger::reads),
                _ => None,
            };
            slots.extend(position.map(|position| (*slot, position)));
        }
        self.log.assign(&slots)?;
        self.stale = false;
        Ok(())
    }

    /// Folds records that came together.
    fn take(&mut self, records: &Records) -> Result<(), Trouble> {
        for head in records.heads() {
            match head.slot.topic {
                Topic::Input(index) if self.shared.inputs.len() > 1 => self.let_wait(index, head, records),
                Topic::Input(index) => self.fold(index, head, records)?,
                Topic::Charges => self.price(head, records)?,
                _ => {}
            }
            self.close_if_full()?;
        }
        if self.shared.inputs.len() > 1 {
            self.fold_merged()?;
            self.hold_back()?;
        }
        self.answer_questions(records)
    }

    fn close_if_full(&mut self) -> Result<(), Trouble> {
        let full = self.transaction.as_ref().is_some_and(|open| self.shared.closing.is_full(open));
        if std::mem::take(&mut self.wants_close) || full { self.close_and_go_on() } else { Ok(()) }
    }

    /// Adds a record to the transaction, and counts it.
    fn produce(&mut self, slot: Slot, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Trouble> {
        self.produce_with(slot, key, value, &[])
    }

    fn produce_with(
        &mut self,
        slot: Slot,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&'static str, String)],
    ) -> Result<(), Trouble> {
        if headers.is_empty() {
            self.log.produce(slot, key, value).map_err(in_transaction)?;
        } else {
            self.log.produce_with(slot, key, value, headers).map_err(in_transaction)?;
        }
        if let Some(open) = &mut self.transaction {
            open.records += 1;
            open.bytes += key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        }
        self.observer.published(slot.topic);
        Ok(())
    }

    /// Folding or pricing a record, or publishing what follows, panicked. That leaves rows half changed: the transaction
    /// is aborted, the rows are those of the last commit again, and the record goes to the dead letters when it is read
    /// again.
    fn failed(&mut self, head: &Head) -> Trouble {
        self.outputs.clear();
        self.poison.insert((head.slot, head.offset));
        let Head { slot: Slot { topic, partition }, offset, .. } = head;
        let why =
            format!("the record at offset {offset} of partition {} of {topic:?} makes the fold panic", partition.0);
        Trouble::Log(Failure::Abort(why))
    }

    /// What is wrong with a record whose fold or pricing panicked before.
    fn is_poison(&self, head: &Head) -> Option<Problem> {
        let detail = || "folding it failed; this is a fault of Tollgate: report it with this record".to_owned();
        self.poison.contains(&(head.slot, head.offset)).then(|| fold_failed(detail(), None))
    }

    /// Publishes what cannot be folded, as it came.
    fn publish_letter(&mut self, head: &Head, records: &Records, problem: &Problem, at: i64) -> Result<(), Trouble> {
        self.observer.dead_letter(problem.code);
        let signs = match head.slot.topic {
            Topic::Charges => self.ledgers.get_mut(&head.slot.partition).map(|task| &mut task.signs),
            _ => self.conversations.get_mut(&head.slot.partition).map(|task| &mut task.signs),
        };
        if let Some(signs) = signs {
            signs.letters += 1;
        }
        let shared = Arc::clone(&self.shared);
        let topic = match head.slot.topic {
            Topic::Input(index) => shared.inputs.get(usize::from(index)).map_or("", String::as_str),
            Topic::Forecasts => shared.forecasts.as_deref().unwrap_or_default(),
            _ => shared.charges.as_str(),
        };
        let value = records.value(head);
        let size = value.map_or(0, <[u8]>::len);
        let payload = value.filter(|value| shared.keep_payload && value.len() <= LARGEST_LETTER);
        let mut bytes = std::mem::take(&mut self.bytes);
        // What makes a letter too large is left out: the record, or its key, which a letter has twice, or both. A letter
        // that the log does not take would be aborted with everything else, again and again.
        let (mut key, mut headers) = (records.key(head), Vec::new());
        for (kept_key, kept_payload) in [(key, payload), (key, None), (None, payload), (None, None)] {
            key = kept_key;
            let place = crate::engine::publish::Place {
                topic,
                partition: i32::try_from(head.slot.partition.0).unwrap_or(i32::MAX),
                offset: head.offset,
                key,
            };
            let record = self.publisher.dead_letter(place, problem, kept_payload, size as u64, at);
            bytes.clear();
            shared.framers.dead_letter.write(&record, &mut bytes).map_err(unwritable)?;
            headers = headers::of(&record.envelope, shared.headers);
            if bytes.len() + key.map_or(0, <[u8]>::len) <= LARGEST_LETTER {
                break;
            }
        }
        let slot = Slot { topic: Topic::DeadLetters, partition: head.slot.partition };
        let produced = self.produce_with(slot, key, Some(&bytes), &headers);
        self.bytes = bytes;
        produced
    }
}

/// Does what a fault of ours might make panic. Nothing, where it did: the panic's message has been told by then.
///
/// Whatever it was in the middle of may be half done, so what it changes must be undone, or not be believed.
fn guarded<T>(what: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(what)).ok()
}

/// What dead letters say of records that a fault of ours has made unusable.
fn fold_failed(detail: String, part: Option<String>) -> Problem {
    Problem { code: "fold_failed", detail, part }
}

/// The largest dead letter, in bytes: a record of the usual largest size fits into it, and it fits into its topic.
const LARGEST_LETTER: usize = (1 << 20) + 32_768;

/// A failure inside of a transaction: there is no going on with half of a record published.
fn in_transaction(failure: Failure) -> Trouble {
    Trouble::Log(match failure {
        Failure::Busy(why) => Failure::Abort(why),
        other => other,
    })
}

/// A record of ours that cannot be encoded: a fault of ours, and no reason to lose the record.
#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unwritable(error: avro::Error) -> Trouble {
    Trouble::Halt(format!("an output cannot be encoded: {error}; report this"))
}

/// Time zones are compiled in, so every engine can have its own.
fn zones() -> Zones {
    Zones::new()
}

/// The next position behind a record.
const fn after(head: &Head) -> NextOffset {
    NextOffset::after(head.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::AccountId;
    use crate::domain::reference::{AccountFact, Dated};

    #[test]
    fn whatever_is_learned_moves_the_watermark_however_late_it_is() {
        let (start, latest) = (Timestamp::EARLIEST + Millis::days(1), Latest::default());
        let mut known = Reference::default();
        let mut learn = |hour, exempt| {
            let fact =
                Dated { from: start, learned_at: start + Millis::hours(hour), value: AccountFact::Exempt(exempt) };
            known.learn_account(&AccountId::parse("900").expect("an id"), fact);
            latest.set(Arc::new(known.clone()));
            latest.get().watermark()
        };
        let first = start + Millis::hours(5);
        assert_eq!(learn(5, true), Some(first));
        assert_eq!(learn(5, true), Some(first), "nothing new");
        assert_eq!(learn(1, false), Some(first + Millis(1)), "somebody knew it before, and we did not");
        assert_eq!(learn(2, true), Some(first + Millis(2)));
        assert_eq!(learn(6, false), Some(start + Millis::hours(6)));
    }
}
