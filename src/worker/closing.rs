//! Transactions: when they are closed, how, and what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ledger::Ledger;
use super::observe::Steps;
use super::position::Position;
use super::questions::Questions;
use super::{Disk, Duty, HELD, ROOM_AGAIN, Trouble, Worker, in_transaction};
use crate::codec::state::WriteFormat;
use crate::store::keys::{self, Changelog};
use crate::store::{self, Batch};
use crate::stream::{Committed, Failure, Log, NextOffset, Partition, Slot, Topic};

/// When a transaction is closed.
///
/// Where nothing more is waiting to be read it is closed soon: an answer that is ready should not wait. Where
/// there is more it stays open up to its greatest age, because closing costs the same for one record as for ten
/// thousand.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// At the latest at this age.
    pub age: Duration,
    /// At the latest with so many records published.
    pub records: usize,
    /// At the latest with so many bytes published.
    pub bytes: usize,
}

/// A transaction stays open for at least this many times what closing it costs, so that closing never takes
/// more than a third of the time.
const WORTH: u32 = 2;

/// How often between two checkpoints the ends of the changelogs are looked at. What lies behind the last look is
/// restored again, which does no harm: they are the same rows.
const LOOKS: u32 = 4;

/// The key of a record without a value that is in no committed transaction: only readers of uncommitted records see it.
pub const SWEPT: &[u8] = b"swept";

impl Closing {
    /// Whether a transaction is so large that it must be closed whatever waits.
    pub(super) fn is_full(&self, open: &Transaction) -> bool {
        open.records >= self.records || open.bytes >= self.bytes
    }

    /// How young a transaction may be when it is closed for want of records.
    fn least(&self, cost: Duration) -> Duration {
        (cost * WORTH).min(self.age)
    }

    /// How long a poll may wait for more.
    pub(super) fn rest(&self, open: &Transaction, now: Duration, cost: Duration) -> Duration {
        self.least(cost).saturating_sub(now.saturating_sub(open.began))
    }
}

/// The open transaction.
pub struct Transaction {
    /// When it began, by the log's clock.
    began: Duration,
    /// How many records it holds.
    pub records: usize,
    /// How many bytes they have.
    pub bytes: usize,
    /// What it reads: from where, and to where. From nowhere, where nothing was ever committed.
    pub reads: BTreeMap<Slot, (Option<Committed>, NextOffset)>,
    /// What it changes, once it is being closed.
    closing: Vec<(Partition, Position, Batch)>,
    /// Whether its positions were sent: before that it cannot have been committed.
    sent: bool,
}

impl Transaction {
    /// The group's positions as the transaction leads to them. Whatever it reads belongs to a partition whose commit
    /// record it writes, and has that record's number.
    fn leads_to(&self) -> Vec<(Slot, Committed)> {
        let number = |partition| {
            let record = self.closing.iter().find(|(of, _, _)| *of == partition);
            record.map(|(_, position, _)| position.sequence)
        };
        let led = |(slot, (_, next)): (&Slot, &(Option<Committed>, NextOffset))| {
            (*slot, Committed { next: *next, number: number(slot.partition) })
        };
        self.reads.iter().map(led).collect()
    }
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// Begins a transaction, unless one is open.
    pub(super) fn begin(&mut self) -> Result<(), Trouble> {
        if self.transaction.is_some() {
            return Ok(());
        }
        if self.duty == Duty::None && self.log.tainted().is_some() {
            self.do_duty()?;
        }
        if self.unswept {
            self.sweep()?;
            self.unswept = false;
            if self.log.tainted().is_some() {
                return Err(Failure::Busy("the sweep was answered late, and is done again".to_owned()).into());
            }
        }
        self.log.begin()?;
        self.transaction = Some(Transaction {
            began: self.log.now(),
            records: 0,
            bytes: 0,
            reads: BTreeMap::new(),
            closing: Vec::new(),
            sent: false,
        });
        Ok(())
    }

    /// Writes to every partition that this worker's producers may ever have written to, and aborts.
    ///
    /// When a new producer is there, all transactions of its predecessors have ended. But a coordinator that comes back may
    /// end one without telling partitions that have no leader at that moment (Kafka 4.3.1, KAFKA-20734), and there the next
    /// transaction of the same producer's id would take the rest of it along: outputs twice. This one does, and takes it away.
    /// It is for transactions that were not committed, which is certain once state and positions agree.
    fn sweep(&mut self) -> Result<(), Trouble> {
        self.log.begin()?;
        let answers = self.shared.forecasts.iter().map(|_| Topic::ForecastAnswers);
        for topic in Topic::WRITTEN.into_iter().chain(answers) {
            for partition in (0..self.shared.partitions).map(Partition) {
                self.log.produce(Slot { topic, partition }, Some(SWEPT), None).map_err(in_transaction)?;
            }
        }
        self.step_of_closing(L::drain)?;
        self.step_of_closing(L::abort)?;
        Ok(())
    }

    /// Asks for the group's committed positions. Whatever is about to change them ends within its time-out; what has not
    /// after twice as long may be a transaction of this worker's whose end the coordinator did not tell to those who keep
    /// the positions, and is swept away. If it was committed elsewhere, state and positions do not agree, and the partition
    /// halts.
    pub(super) fn ask_committed(&mut self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Failure> {
        let found = self.ask(|log| log.committed(slots)).0;
        if found.is_ok() {
            self.unanswered_since = None;
            return found;
        }
        let now = self.log.now();
        let since = *self.unanswered_since.get_or_insert(now);
        // While positions are to be settled the log has no transaction, only the worker does.
        let free = self.transaction.is_none() || self.duty != Duty::None;
        if free && now.saturating_sub(since) > self.shared.patience {
            self.unanswered_since = None;
            self.sweep_positions(slots)?;
        }
        found
    }

    fn sweep_positions(&mut self, slots: &[Slot]) -> Result<(), Failure> {
        tracing::warn!("the group's positions are not told; sweeps away what may have been forgotten there");
        let positions: Vec<_> = slots.iter().map(|slot| (*slot, NextOffset::START.into())).collect();
        self.log.begin()?;
        // Even where they are refused, whoever keeps them is told of the transaction's end.
        let sent = self.ask(|log| log.send_offsets(&positions)).0;
        self.ask(L::abort).0?;
        sent
    }

    /// Notes that the transaction has read a slot up to a position.
    pub(super) fn has_read(&mut self, slot: Slot, committed: Option<Committed>, next: NextOffset) {
        if let Some(open) = &mut self.transaction {
            open.reads.entry(slot).or_insert((committed, next)).1 = next;
        }
    }

    /// Whether the transaction is to be closed; `caught_up` says that after the last poll no more was waiting.
    pub(super) fn is_due(&self, caught_up: bool) -> bool {
        self.transaction.as_ref().is_some_and(|open| {
            let age = self.log.now().saturating_sub(open.began);
            age >= self.shared.closing.age
                || self.shared.closing.is_full(open)
                || (caught_up && age >= self.shared.closing.least(self.commit_cost))
        })
    }

    /// Closes the transaction between two records, and writes rows to a store: under load most transactions end here, and rows
    /// that wait take memory.
    pub(super) fn close_and_go_on(&mut self) -> Result<(), Trouble> {
        self.close()?;
        self.checkpoint()
    }

    /// Closes the transaction: changelogs, commit records, everything into the log, input positions, commit.
    pub(super) fn close(&mut self) -> Result<(), Trouble> {
        if self.transaction.is_none() {
            return Ok(());
        }
        let began = self.log.now();
        self.write_changelogs()?;
        let drain = self.step_of_closing(L::drain)?;
        self.look_at_ends()?;
        let mut offsets = Duration::ZERO;
        if let Some(open) = &mut self.transaction {
            let positions = open.leads_to();
            open.sent = true;
            if !positions.is_empty() {
                offsets = self.step_of_closing(|log| log.send_offsets(&positions))?;
            }
        }
        let commit = self.step_of_closing(L::commit)?;
        let now = self.log.now();
        let cost = now.saturating_sub(began);
        self.commit_cost = (self.commit_cost * 7 + cost) / 8;
        let whole = self.transaction.as_ref().map_or(cost, |open| now.saturating_sub(open.began));
        self.observer.took(Steps { whole, drain, offsets, commit });
        self.committed()
    }

    fn step_of_closing(&mut self, step: impl FnOnce(&mut L) -> Result<(), Failure>) -> Result<Duration, Trouble> {
        let (done, took) = self.ask(step);
        done.map_err(in_transaction)?;
        Ok(took)
    }

    /// Learns how far the changelogs are, for the stores.
    ///
    /// It must be now: positions that are taken after this say that the partitions were the worker's, so that
    /// all that the changelogs hold is in its rows too. Later they may hold what somebody else has folded, and a
    /// store that claimed to have it would lose it.
    fn look_at_ends(&mut self) -> Result<(), Trouble> {
        let now = self.log.now();
        let interval = self.shared.checkpoint.age / LOOKS;
        let Some(open) = &mut self.transaction else {
            return Ok(());
        };
        for (partition, position, _) in &mut open.closing {
            let Some(task) = self.conversations.get_mut(partition) else {
                continue;
            };
            if !task.looks_again(now, interval) {
                continue;
            }
            let mut end = |topic| match self.log.end(Slot { topic, partition: *partition }) {
                Ok(end) => Ok(Some(end)),
                Err(Failure::Busy(_)) => Ok(None),
                Err(failure) => Err(in_transaction(failure)),
            };
            if let (Some(contacts), Some(messages)) = (end(Topic::Contacts)?, end(Topic::Messages)?) {
                (position.contacts, position.messages) = (contacts, messages);
            }
        }
        Ok(())
    }

    /// Adds to the transaction what it changes, and the commit record of every partition it touches.
    fn write_changelogs(&mut self) -> Result<(), Trouble> {
        let touched: Vec<Partition> =
            self.conversations.iter().filter(|(_, task)| task.is_touched()).map(|(partition, _)| *partition).collect();
        for partition in touched {
            let count = self.shared.partitions;
            let charges = self.ledgers.get(&partition).and_then(Ledger::range);
            let charges = charges.filter(|_| self.shared.setup.write_format >= WriteFormat::Second);
            let changes = self.conversations.get_mut(&partition).and_then(|task| task.changes(count, charges));
            let Some((position, batch)) = changes else {
                continue;
            };
            let (contacts, messages) =
                (Slot { topic: Topic::Contacts, partition }, Slot { topic: Topic::Messages, partition });
            let mut commit_record = None;
            for (key, value) in batch.changes() {
                match keys::changelog(key) {
                    Changelog::Contacts if key == keys::meta() => commit_record = value,
                    Changelog::Contacts => self.produce(contacts, Some(key), value)?,
                    // What is forgotten by age needs no tombstone.
                    Changelog::Messages if value.is_some() => self.produce(messages, Some(key), value)?,
                    Changelog::Messages | Changelog::Derived => {}
                }
            }
            // Last, so that whoever has read it has read everything before it. The other changelog ends in one
            // too: by its number it is known to be complete.
            self.produce(messages, Some(keys::meta()), commit_record)?;
            self.produce(contacts, Some(keys::meta()), commit_record)?;
            if let Some(open) = &mut self.transaction {
                open.closing.push((partition, position, batch));
            }
        }
        Ok(())
    }

    /// Makes what the transaction holds the present state: it is committed.
    fn committed(&mut self) -> Result<(), Trouble> {
        let Some(done) = self.transaction.take() else {
            return Ok(());
        };
        self.observer.committed(self.log.wall());
        let now = self.log.now();
        for (slot, committed) in done.leads_to() {
            if slot.topic == Topic::Charges
                && let Some(task) = self.ledgers.get_mut(&slot.partition)
            {
                task.committed(committed);
            }
            if slot.topic == Topic::Forecasts
                && let Some(task) = self.questions.get_mut(&slot.partition)
            {
                task.committed(committed);
            }
        }
        // Whatever a store says, it is committed, and all others must keep it.
        let mut kept = Ok(());
        for (partition, position, batch) in done.closing {
            if let Some(task) = self.conversations.get_mut(&partition) {
                kept = kept.and(task.keep(position, batch, now));
            }
        }
        Ok(kept?)
    }

    /// Forgets the transaction, and folds again from the committed positions.
    pub(super) fn rewind(&mut self) -> Result<(), store::Error> {
        if self.transaction.take().is_some() {
            self.observer.aborted();
        }
        let shared = std::sync::Arc::clone(&self.shared);
        // Whatever a store says, all others must go back.
        let mut opened = Ok(());
        for task in self.conversations.values_mut() {
            opened = opened.and(task.rewind(&shared, &self.latest));
        }
        for task in self.ledgers.values_mut() {
            task.rewind();
        }
        self.questions.values_mut().for_each(Questions::rewind);
        self.stale = true;
        opened
    }

    /// Finds out what became of a transaction whose producer is gone: the committed positions are part of it and
    /// have its number, so they tell.
    pub(super) fn settle(&mut self) -> Result<(), Trouble> {
        // Whatever was read and not folded is to be read again.
        self.stale = true;
        let Some(open) = &self.transaction else {
            return Ok(());
        };
        self.observer.unknown();
        let (sent, behind) = (open.sent, open.leads_to());
        let before: Vec<Option<Committed>> = open.reads.values().map(|(committed, _)| *committed).collect();
        let happened = if sent && !behind.is_empty() {
            let slots: Vec<Slot> = behind.iter().map(|(slot, _)| *slot).collect();
            let found = match self.ask_committed(&slots) {
                Ok(found) => found,
                Err(failure) => {
                    self.duty = Duty::Settle;
                    return Err(Trouble::Log(failure));
                }
            };
            let happened = found.iter().copied().eq(behind.iter().map(|(_, committed)| Some(*committed)));
            // Where they are others, somebody may have taken the partitions over. The changelogs tell.
            if !happened && found != before {
                self.restore_anew();
                return Ok(());
            }
            happened
        } else {
            false
        };
        if happened {
            // What may be left of it is to be committed, not swept away.
            self.unswept = false;
            self.committed()
        } else {
            self.rewind().map_err(Trouble::from)
        }
    }

    /// Forgets the state of all that the transaction has read, for it to be restored. Whether state and positions
    /// agree is seen to before anything is folded.
    fn restore_anew(&mut self) {
        let reads = self.transaction.take().map(|open| open.reads).unwrap_or_default();
        for slot in reads.into_keys() {
            if let Some(task) = self.conversations.get_mut(&slot.partition) {
                *task = super::Conversation::joining();
            }
            if let Some(task) = self.ledgers.get_mut(&slot.partition) {
                *task = Ledger::joining();
            }
            if let Some(task) = self.questions.get_mut(&slot.partition) {
                task.forget();
            }
        }
    }

    /// Writes rows to the stores where enough of them wait.
    pub(super) fn checkpoint(&mut self) -> Result<(), Trouble> {
        let (limits, now) = (self.shared.checkpoint, self.log.now());
        let due = |task: &super::Conversation<D::Store>| {
            let waiting = task.waiting().filter(|_| !task.rests(now));
            waiting.is_some_and(|(bytes, since)| bytes >= limits.bytes || now.saturating_sub(since) >= limits.age)
        };
        // One at a time, so that records need not wait for all of them.
        let first = self.conversations.iter().find(|(_, task)| due(task)).map(|(partition, _)| *partition);
        if let Some(partition) = first {
            self.write_out(partition)?;
        }
        let sated = |task: &super::Conversation<D::Store>| {
            let bytes = task.waiting().filter(|_| task.rests(now)).map_or(0, |(bytes, _)| bytes);
            !task.is_paused() && bytes >= limits.bytes * HELD
        };
        let sated = self.conversations.iter().find(|(_, task)| sated(task)).map(|(partition, _)| *partition);
        if let Some(partition) = sated {
            tracing::warn!(partition = partition.0, "waits for room on the disk: no more rows fit into memory");
            self.await_room(partition)?;
        }
        Ok(())
    }

    /// Writes all rows to the stores.
    pub(super) fn checkpoint_all(&mut self) -> Result<(), Trouble> {
        let waiting = self.conversations.iter().filter(|(_, task)| task.waiting().is_some());
        let partitions: Vec<Partition> = waiting.map(|(partition, _)| *partition).collect();
        partitions.into_iter().try_for_each(|partition| self.write_out(partition))
    }

    /// Writes the rows of a partition to its store. Where the disk is full they go on waiting: they are in the changelogs,
    /// so that what is lost by ending now is only read again.
    fn write_out(&mut self, partition: Partition) -> Result<(), Trouble> {
        self.observer.alive();
        let (began, wall) = (self.log.now(), self.log.wall());
        let Some(task) = self.conversations.get_mut(&partition) else {
            return Ok(());
        };
        match task.write_out(wall) {
            Ok(()) => {
                let (was_full, waits) = task.has_room();
                self.observer.checkpoint(self.log.now().saturating_sub(began));
                if was_full {
                    tracing::info!(partition = partition.0, "the disk has room again");
                }
                if waits { self.read_again(partition) } else { Ok(()) }
            }
            Err(error @ store::Error::Full(_)) => {
                if task.rest(began + ROOM_AGAIN) {
                    tracing::error!(partition = partition.0, %error, "keeps rows in memory, and tries again");
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
