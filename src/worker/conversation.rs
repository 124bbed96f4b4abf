//! The conversation stage of one partition: decodes events, folds them, publishes what follows.

mod decoding;
mod order;
mod waits;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::headers;
use super::ledger::Ledger;
use super::merge::Merge;
use super::observe::Signs;
use super::position::{Position, Range, Turn};
use super::{Arrival, Disk, Latest, Shared, Trouble, Used, Worker, after, fold_failed, guarded, unwritable, zones};
use crate::codec::ask::MalformedAsk;
use crate::codec::{charge, partitioner, records};
use crate::domain::effect::What;
use crate::domain::event::Happening;
use crate::domain::forecast::Question;
use crate::domain::reference::Reference;
use crate::domain::time::{Millis, Timestamp};
use crate::domain::verdict::{Answer, Reason};
use crate::engine::forecast::Standing;
use crate::engine::publish::forecast::Parts;
use crate::engine::publish::{Problem, Record};
use crate::engine::{Advanced, Deadline, Engine, Prepared};
use crate::store::{self, Batch, Pending, Store};
use crate::stream::{Committed, Failure, Head, Log, NextOffset, Partition, Records, Slot, Topic};
use decoding::Missing;
pub use decoding::{Decoded, decode, wrong_partition};
use waits::Awaited;

/// How many outputs of deadlines are gathered before they are published, unless a transaction is smaller.
const ROOM: usize = 1_000;

/// How long a partition is idle before a heartbeat is written to it.
const IDLE: Duration = Duration::from_secs(1);

/// One partition of the conversation stage.
pub struct Conversation<S> {
    running: Option<Box<Running<S>>>,
    /// What its records have told.
    pub signs: Signs,
    /// How many records of the changelogs brought its state back.
    pub restored: u64,
}

/// A partition whose state is there.
struct Running<S> {
    /// There is none only while it is opened anew.
    engine: Option<Engine<Pending<S>>>,
    /// What was committed last.
    position: Position,
    /// The group's positions, by input; nothing where none was ever committed.
    committed: Vec<Option<Committed>>,
    /// Where the present transaction began, by input.
    from: Vec<NextOffset>,
    /// The next offset to fold, by input.
    read: Vec<NextOffset>,
    /// Whether the present transaction has something of this partition.
    touched: bool,
    /// Records folded in the present transaction.
    records: u64,
    /// How they and charges took turns.
    turns: Vec<Turn>,
    /// What the present transaction is told of limits and budgets.
    used: Arc<Used>,
    /// How far `wa.usage` was read, by partition, as the commit records of this worker's have named it.
    named: Vec<NextOffset>,
    /// Records published in the present transaction.
    outputs: u64,
    /// Since when rows wait for the store.
    waiting_since: Option<Duration>,
    /// When the ends of the changelogs were last looked at.
    looked_at: Duration,
    /// When the last record was folded, or the last heartbeat written.
    last_sign: Duration,
    /// When the last heartbeat arrived, as of now and as of the last commit. Not kept over a restart: then nothing is
    /// doubted before the next one has come.
    heartbeat: Option<Timestamp>,
    heartbeat_kept: Option<Timestamp>,
    /// What the partition waits for before it is folded on.
    awaits: Option<Awaited>,
    /// The disk was full. Until when it is not tried again.
    rests_until: Option<Duration>,
    /// Whether firing deadlines has panicked: then they are fired one at a time, so that it is known which it was.
    careful: bool,
    /// The deadlines that did it. They are taken away instead.
    spared: BTreeSet<Deadline>,
    /// Records of several inputs that wait for each other.
    merge: Merge,
    /// When the ends of inputs that are behind were last asked for.
    asked: Duration,
}

impl<S: Store> Conversation<S> {
    /// A partition that has just been assigned.
    pub const fn joining() -> Self {
        let signs = Signs { records: 0, letters: 0, open_since: None, latest: None };
        Self { running: None, signs, restored: 0 }
    }

    /// Begins to fold, from a state that agrees with the group's positions.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn start(
        &mut self,
        store: S,
        position: Position,
        committed: Vec<Option<Committed>>,
        read: Vec<NextOffset>,
        (shared, latest): (&Shared, &Latest),
        now: Duration,
    ) -> Result<(), store::Error> {
        let engine = open(shared, latest.get(), Pending::new(store))?;
        self.running = Some(Box::new(Running {
            engine: Some(engine),
            position,
            committed,
            from: read.clone(),
            merge: Merge::new(&read),
            asked: now,
            read,
            touched: false,
            records: 0,
            turns: Vec::new(),
            used: Arc::default(),
            named: Vec::new(),
            outputs: 0,
            waiting_since: None,
            looked_at: now,
            last_sign: now,
            heartbeat: None,
            heartbeat_kept: None,
            awaits: None,
            rests_until: None,
            careful: false,
            spared: BTreeSet::new(),
        }));
        Ok(())
    }

    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether it waits for something outside.
    pub fn is_paused(&self) -> bool {
        self.running.as_ref().is_some_and(|task| task.awaits.is_some())
    }

    /// Of an input: the position that is committed, or where it began if none is; and the next offset to fold.
    pub fn place(&self, input: u8) -> Option<(NextOffset, NextOffset)> {
        let task = self.running.as_ref()?;
        Some((*task.from.get(usize::from(input))?, *task.read.get(usize::from(input))?))
    }

    /// The engine, where it is there.
    pub fn engine(&mut self) -> Option<&mut Engine<Pending<S>>> {
        self.running.as_mut()?.engine.as_mut()
    }

    /// The store, where it is there.
    pub fn store(&self) -> Option<&Pending<S>> {
        Some(self.running.as_ref()?.engine.as_ref()?.store())
    }

    /// Whether its store has turned out to be damaged: when it was read, or when it was opened again.
    pub fn is_damaged(&self) -> bool {
        let engine = self.running.as_ref().map(|task| task.engine.as_ref());
        engine.is_some_and(|engine| engine.is_none_or(|engine| engine.store().is_damaged()))
    }

    /// Whether the present transaction has something of this partition.
    pub fn is_touched(&self) -> bool {
        self.running.as_ref().is_some_and(|task| task.touched)
    }

    /// The next offset of an input to read, unless the partition waits.
    pub fn reads(&self, input: u8) -> Option<NextOffset> {
        let task = self.running.as_ref().filter(|task| task.awaits.is_none())?;
        task.read.get(usize::from(input)).copied()
    }

    /// Whether records wait for each other.
    pub fn has_waiting(&self) -> bool {
        self.running.as_ref().is_some_and(|task| !task.merge.behind().is_empty())
    }

    /// Forgets records that wait for each other: they are read again.
    pub fn forget_waiting(&mut self) {
        if let Some(task) = &mut self.running {
            task.merge = Merge::new(&task.read);
        }
    }

    /// How many bytes wait for the store, and since when.
    pub fn waiting(&self) -> Option<(usize, Duration)> {
        let task = self.running.as_ref()?;
        Some((task.engine.as_ref()?.store().bytes(), task.waiting_since?))
    }

    /// Whether the disk was full a moment ago.
    pub fn rests(&self, now: Duration) -> bool {
        self.running.as_ref().and_then(|task| task.rests_until).is_some_and(|until| now < until)
    }

    /// The disk was full: it is not tried again before then. Tells whether this has just begun.
    pub fn rest(&mut self, until: Duration) -> bool {
        self.running.as_mut().is_some_and(|task| task.rests_until.replace(until).is_none())
    }

    /// The disk has room. Tells whether it had none before, and whether the partition waits for that.
    pub fn has_room(&mut self) -> (bool, bool) {
        let Some(task) = &mut self.running else {
            return (false, false);
        };
        (task.rests_until.take().is_some(), matches!(task.awaits, Some(Awaited::Room)))
    }

    /// A charge was booked.
    pub fn booked(&mut self) {
        let Some(task) = &mut self.running else {
            return;
        };
        match task.turns.last_mut() {
            Some(turn) => turn.charges += 1,
            None => task.turns.push(Turn { records: 0, charges: 1 }),
        }
    }

    /// Takes out what the present transaction changes, and where it leads. `charges` is what the ledger has read
    /// meanwhile, if that is to be told.
    pub fn changes(&mut self, partitions: u32, charges: Option<Range>) -> Option<(Position, Batch)> {
        let task = self.running.as_mut()?;
        let engine = task.engine.as_mut()?;
        // What was never read counts too: whoever had the partition before may have read more.
        let read = |partition: u32| task.used.read.get(partition as usize).copied().unwrap_or(NextOffset::START);
        let is_named = |partition: u32| task.named.get(partition as usize) == Some(&read(partition));
        let moved = (0..partitions).filter(|partition| !is_named(*partition));
        let position = Position {
            sequence: task.position.sequence + 1,
            messages_sequence: task.position.sequence + 1,
            partitions,
            inputs: task.from.iter().zip(&task.read).map(|(from, next)| Range { from: *from, next: *next }).collect(),
            charges,
            turns: task.turns.clone(),
            usage: moved.map(|partition| (partition, read(partition))).collect(),
            cursor: engine.due(),
            watermark: engine.reference().watermark(),
            records: task.position.records + task.records,
            outputs: task.position.outputs + task.outputs,
            ..task.position.clone()
        };
        let batch = engine.changes(&position.write());
        Some((position, batch))
    }

    /// The present transaction is committed.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn keep(&mut self, position: Position, batch: Batch, now: Duration) -> Result<(), store::Error> {
        let Some(task) = &mut self.running else {
            return Ok(());
        };
        if let Some(engine) = &mut task.engine {
            engine.keep(batch)?;
        }
        let committed = |range: &Range| Committed { next: range.next, number: Some(position.sequence) };
        task.committed = position.inputs.iter().map(|range| Some(committed(range))).collect();
        task.from = position.inputs.iter().map(|range| range.next).collect();
        task.named.clone_from(&task.used.read);
        task.named.resize(position.partitions as usize, NextOffset::START);
        task.position = position;
        task.heartbeat_kept = task.heartbeat;
        task.forget_transaction();
        self.signs.closed();
        task.waiting_since.get_or_insert(now);
        Ok(())
    }

    /// The present transaction never was.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn rewind(&mut self, shared: &Shared, latest: &Latest) -> Result<(), store::Error> {
        let Some(task) = &mut self.running else {
            return Ok(());
        };
        task.read.clone_from(&task.from);
        task.heartbeat = task.heartbeat_kept;
        self.signs.closed();
        if task.touched {
            task.forget_transaction();
            if let Some(engine) = task.engine.take() {
                let mut engine = open(shared, latest.get(), engine.into_store())?;
                task.spared.iter().for_each(|deadline| engine.spare(*deadline));
                task.engine = Some(engine);
            }
        }
        Ok(())
    }

    /// Whether the ends of the changelogs are to be looked at again; then it counts as done.
    pub fn looks_again(&mut self, now: Duration, interval: Duration) -> bool {
        let Some(task) = self.running.as_mut().filter(|task| now.saturating_sub(task.looked_at) >= interval) else {
            return false;
        };
        task.looked_at = now;
        true
    }

    /// Writes all rows that wait to the store, with the last known ends of the changelogs: those may lie before the
    /// truth, never behind it.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn write_out(&mut self, wall: i64) -> Result<(), store::Error> {
        let Some(task) = &mut self.running else {
            return Ok(());
        };
        task.position.written_at = wall;
        let row = task.position.write();
        if let Some(engine) = &mut task.engine {
            let row = engine.position_row(&row);
            engine.store_mut().write_out(&row)?;
        }
        task.waiting_since = None;
        Ok(())
    }
}

impl<S> Running<S> {
    fn forget_transaction(&mut self) {
        self.touched = false;
        (self.records, self.outputs) = (0, 0);
        self.turns.clear();
    }

    /// A record was folded.
    fn folded(&mut self) {
        self.records += 1;
        match self.turns.last_mut() {
            Some(turn) if turn.charges == 0 => turn.records += 1,
            _ => self.turns.push(Turn { records: 1, charges: 0 }),
        }
    }
}

fn open<S: Store>(shared: &Shared, known: Arc<Reference>, store: S) -> Result<Engine<S>, store::Error> {
    let (mut engine, _) = Engine::open(Arc::clone(&shared.setup), zones(), known, store)?;
    engine.tell_usage_every(shared.usage_every);
    Ok(engine)
}

impl<L: Log, D: Disk> Worker<L, D> {
    fn running(&mut self, partition: Partition) -> Option<&mut Running<D::Store>> {
        self.conversations.get_mut(&partition)?.running.as_deref_mut()
    }

    /// Judges a campaign by the present rows of a partition; nothing, where they are not there.
    pub(super) fn forecast(
        &mut self,
        partition: Partition,
        question: &Question,
        parts: &mut Parts,
    ) -> Result<Option<Standing>, Trouble> {
        let Some(engine) = self.running(partition).and_then(|task| task.engine.as_ref()) else {
            return Ok(None);
        };
        Ok(Some(engine.forecast(question, |judged| parts.add(judged))?))
    }

    /// Folds one record of an input.
    pub(super) fn fold(&mut self, input: u8, head: &Head, records: &Records) -> Result<(), Trouble> {
        let (slot, partition) = (head.slot, head.slot.partition);
        let wanted = self.conversations.get(&partition).and_then(|task| task.reads(input));
        // What was on its way before the position was set anew.
        if wanted.is_none_or(|next| head.offset < next.offset()) {
            return Ok(());
        }
        let decoded = match self.decode(head, records) {
            Ok(decoded) => decoded,
            Err(Missing { schema, why }) => {
                tracing::warn!(partition = partition.0, offset = head.offset, schema, why, "waits for a schema");
                return self.await_schema(partition, schema);
            }
        };
        let said = match &decoded {
            Decoded::Event(_, said) | Decoded::Heartbeat(said) => *said,
            Decoded::Letter(..) | Decoded::Schema(_) => None,
        };
        self.touch(partition)?;
        self.observer.read(slot.topic);
        if let Some(task) = self.conversations.get_mut(&partition) {
            task.signs.read(head.appended_at);
        }
        self.present = head.appended_at;
        let arrived_at = self.arrival(partition, head, said);
        self.advance(head, records, arrived_at)?;
        if let Some(limit) = self.shared.gateway_silence {
            self.listen(partition, matches!(decoded, Decoded::Heartbeat(_)), arrived_at, limit);
        }
        match decoded {
            Decoded::Event(prepared, _) => {
                let folded = guarded(|| self.fold_event(head, records, &prepared, arrived_at));
                folded.unwrap_or_else(|| Err(self.failed(head)))?;
            }
            Decoded::Heartbeat(_) | Decoded::Schema(_) => {}
            Decoded::Letter(problem, ask) => {
                self.publish_letter(head, records, &problem, arrived_at.millis())?;
                if let Some(ask) = ask {
                    self.answer_malformed(partition, &ask, arrived_at)?;
                }
            }
        }
        let now = self.log.now();
        if let Some(task) = self.running(partition) {
            task.folded();
            task.last_sign = now;
            task.read[usize::from(input)] = after(head);
            let committed = task.committed[usize::from(input)];
            self.has_read(slot, committed, after(head));
        }
        Ok(())
    }

    /// Takes note of the gateway's heartbeats, and of how long there was none: whoever hears nothing of the gateway does
    /// not know whether it has received something either. Both are told by the log alone.
    fn listen(&mut self, partition: Partition, beats: bool, arrived_at: Timestamp, limit: Millis) {
        let one_input = self.shared.inputs.len() == 1;
        let Some(task) = self.running(partition) else {
            return;
        };
        if beats {
            task.heartbeat = Some(arrived_at);
        }
        let silent = task.heartbeat.is_some_and(|last| arrived_at - limit > last);
        if let Some(engine) = task.engine.as_mut().filter(|_| silent || one_input) {
            // Of several inputs one may have been passed over besides, which was said before.
            engine.input_may_be_stale(silent);
        }
    }

    /// Makes the partition part of the transaction, with both stages.
    pub(super) fn touch(&mut self, partition: Partition) -> Result<(), Trouble> {
        self.begin()?;
        if self.conversations.get(&partition).is_none_or(Conversation::is_touched) {
            return Ok(());
        }
        let latest = self.latest.clone();
        let Some(task) = self.running(partition) else {
            return Ok(());
        };
        task.touched = true;
        if let Some(engine) = &mut task.engine {
            task.used = latest.used();
            engine.refer_to(latest.get());
            engine.use_usage(Arc::clone(&task.used.told));
            engine.reference_may_be_stale(latest.is_stale());
        }
        // All inputs and the charges, so that the commit record and the group's positions always say the same.
        let reads: Vec<_> = task.committed.iter().copied().zip(task.read.iter().copied()).collect();
        for (input, (committed, read)) in (0..).zip(reads) {
            self.has_read(Slot { topic: Topic::Input(input), partition }, committed, read);
        }
        if let Some((committed, read)) = self.ledgers.get(&partition).and_then(Ledger::stands) {
            self.has_read(Slot { topic: Topic::Charges, partition }, committed, read);
        }
        Ok(())
    }

    fn arrival(&mut self, partition: Partition, head: &Head, said: Option<Timestamp>) -> Timestamp {
        let known = self.running(partition).and_then(|task| task.engine.as_ref()?.partition_time());
        self.shared.arrival.at(head.appended_at, said, known)
    }

    /// Fires the deadlines that an arrival has passed, in as many transactions as they need.
    fn advance(&mut self, head: &Head, records: &Records, arrived_at: Timestamp) -> Result<(), Trouble> {
        let partition = head.slot.partition;
        loop {
            let fired = guarded(|| self.fire(head, records, arrived_at));
            let advanced = fired.unwrap_or_else(|| Err(self.deadline_failed(partition)))?;
            let full = self.transaction.as_ref().is_some_and(|open| self.shared.closing.is_full(open));
            match advanced {
                Advanced::Done => return Ok(()),
                Advanced::TakeOutputs if !full => {}
                // The record that moved time is not read yet: the transaction ends between two deadlines.
                Advanced::CommitFirst | Advanced::TakeOutputs => {
                    self.close_and_go_on()?;
                    self.touch(partition)?;
                }
            }
        }
    }

    /// Fires some of the deadlines that an arrival has passed, and publishes what follows.
    fn fire(&mut self, head: &Head, records: &Records, arrived_at: Timestamp) -> Result<Advanced, Trouble> {
        let partition = head.slot.partition;
        let room = self.shared.closing.records.min(ROOM);
        let mut outputs = std::mem::take(&mut self.outputs);
        let (mut advanced, mut fired, mut spared) = (Ok(Advanced::Done), 0, Vec::new());
        if let Some(task) = self.running(partition)
            && let Some(engine) = &mut task.engine
        {
            advanced = engine.advance(arrived_at, if task.careful { 0 } else { room }, &mut outputs);
            (fired, spared) = (engine.take_fired(), engine.take_spared());
        }
        self.outputs = outputs;
        let advanced = advanced?;
        if fired > 0 {
            self.observer.fired(fired);
        }
        self.publish(partition)?;
        self.publish_posted(partition)?;
        for (due, contact) in spared {
            let detail = format!(
                "a deadline of {} ms, which this record's arrival has passed, could not be fired; this is a fault of \
                 Tollgate: report it. The record itself is folded",
                due.millis()
            );
            let part = format!("deadline {} of contact {}", due.millis(), contact.0);
            self.publish_letter(head, records, &fold_failed(detail, Some(part)), arrived_at.millis())?;
        }
        Ok(advanced)
    }

    /// Firing a deadline, or publishing what follows, panicked. They are fired again one at a time; one that panics
    /// then is taken away instead, and told in a dead letter.
    fn deadline_failed(&mut self, partition: Partition) -> Trouble {
        self.outputs.clear();
        let why = format!("a deadline of partition {} makes the fold panic", partition.0);
        let Some(task) = self.running(partition) else {
            return Trouble::Halt(why);
        };
        if std::mem::replace(&mut task.careful, true) {
            let culprit = task.engine.as_ref().and_then(Engine::last_fired);
            if !culprit.is_some_and(|deadline| task.spared.insert(deadline)) {
                return Trouble::Halt(format!("{why}, even if it is not fired; report this"));
            }
        }
        Trouble::Log(Failure::Abort(why))
    }

    fn fold_event(
        &mut self,
        head: &Head,
        records: &Records,
        prepared: &Prepared,
        arrived_at: Timestamp,
    ) -> Result<(), Trouble> {
        let partition = head.slot.partition;
        let mut outputs = std::mem::take(&mut self.outputs);
        let Some(engine) = self.running(partition).and_then(|task| task.engine.as_mut()) else {
            return Ok(());
        };
        let folded = engine.fold(prepared, arrived_at, &mut outputs);
        self.outputs = outputs;
        match folded? {
            Ok(()) => {
                self.observer.folded(prepared.event.occurred_at, arrived_at);
                if matches!(prepared.event.happening, Happening::Unknown(_)) {
                    self.observer.unknown_event();
                }
            }
            Err(rejected) => self.publish_letter(head, records, &Problem::from(rejected), arrived_at.millis())?,
        }
        if self.running(partition).and_then(|task| task.engine.as_ref()).is_some_and(Engine::wants_commit) {
            self.publish(partition)?;
            // What is in memory has outgrown its bound; the record itself is part of what is committed.
            self.wants_close = true;
        }
        self.publish(partition)
    }

    /// Publishes what the fold told.
    fn publish(&mut self, partition: Partition) -> Result<(), Trouble> {
        if self.outputs.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let (mut outputs, mut bytes) = (std::mem::take(&mut self.outputs), std::mem::take(&mut self.bytes));
        let count = outputs.len() as u64;
        for output in &outputs {
            bytes.clear();
            if let What::Verdict(verdict) = &output.effect.what {
                // A verdict's reasons are never empty.
                let reason = verdict.reasons.first().map_or(Reason::Malformed, |cited| cited.reason);
                self.observer.answered(verdict.answer, reason, self.present);
            }
            let number = output.number.as_str().as_bytes();
            let framers = &shared.framers;
            let here = |topic| Slot { topic, partition };
            let record = self.publisher.record(output, None);
            let mut state_key = None;
            let mut charge_key = None;
            let (slot, written) = match &record {
                Record::Verdict(record) => (here(Topic::Verdicts), framers.verdict.write(record, &mut bytes)),
                Record::Window(record) => (here(Topic::Windows), framers.window.write(record, &mut bytes)),
                Record::Outcome(record) => (here(Topic::Outcomes), framers.outcome.write(record, &mut bytes)),
                Record::State(row) => {
                    state_key = Some(row.key.as_str().to_owned());
                    let written = row.value.as_ref().map_or(Ok(()), |value| framers.state.write(value, &mut bytes));
                    (here(Topic::WindowState), written)
                }
                Record::Charge(charged, entry) => {
                    // Charges of a number without a known portfolio are keyed by its account, else by itself.
                    let owner = entry.portfolio_id.as_ref().or(entry.account_id.as_ref());
                    let owner = owner.or(entry.phone_number_id.as_ref()).map_or("", |owner| owner.as_str());
                    let place = partitioner::partition(owner.as_bytes(), shared.partitions);
                    charge_key = Some(owner.to_owned());
                    let slot = Slot { topic: Topic::Charges, partition: Partition(place) };
                    (slot, charge::write(&charged.line, charged.person, entry, &framers.charge, &mut bytes))
                }
                Record::Billing(entry) => (here(Topic::Billing), framers.billing.write(entry, &mut bytes)),
                Record::Usage(usage) => (here(Topic::Usage), framers.usage.write(usage, &mut bytes)),
                Record::DeadLetter(letter) => (here(Topic::DeadLetters), framers.dead_letter.write(letter, &mut bytes)),
            };
            written.map_err(unwritable)?;
            let headers = headers::envelope(&record).map_or_else(Vec::new, |said| headers::of(said, shared.headers));
            drop(record);
            let key = state_key.as_ref().or(charge_key.as_ref()).map_or(number, String::as_bytes);
            // Only a row of the table may be nothing: then it is deleted.
            self.produce_with(slot, Some(key), (!bytes.is_empty()).then_some(bytes.as_slice()), &headers)?;
        }
        outputs.clear();
        (self.outputs, self.bytes) = (outputs, bytes);
        if let Some(task) = self.running(partition) {
            task.outputs += count;
        }
        Ok(())
    }

    /// Answers an ask that could not be understood.
    fn answer_malformed(&mut self, partition: Partition, ask: &MalformedAsk, at: Timestamp) -> Result<(), Trouble> {
        let asked_at = ask.at.unwrap_or(at).millis();
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let verdict = self.publisher.malformed(&ask.number, &ask.request, asked_at);
        self.shared.framers.verdict.write(&verdict, &mut bytes).map_err(unwritable)?;
        let headers = headers::of(&verdict.envelope, self.shared.headers);
        drop(verdict);
        let slot = Slot { topic: Topic::Verdicts, partition };
        let produced = self.produce_with(slot, Some(ask.number.as_bytes()), Some(&bytes), &headers);
        self.bytes = bytes;
        self.observer.answered(Answer::Unknown, Reason::Malformed, self.present);
        produced
    }

    /// Writes a heartbeat to each idle partition that has a deadline due: nothing else would tell it that time
    /// has passed.
    pub(super) fn write_heartbeats(&mut self) -> Result<(), Trouble> {
        if !self.shared.heartbeats || self.shared.arrival == Arrival::Field {
            return Ok(());
        }
        let (now, wall) = (self.log.now(), self.log.wall());
        let mut due = Vec::new();
        for (partition, task) in &mut self.conversations {
            let Some(task) = &mut task.running else {
                continue;
            };
            // While it waits for a schema, no sign of time is read either.
            if task.awaits.is_some() {
                continue;
            }
            let deadline = task.engine.as_ref().and_then(Engine::next_deadline);
            if now.saturating_sub(task.last_sign) >= IDLE && deadline.is_some_and(|due| due.millis() <= wall) {
                task.last_sign = now;
                due.push(*partition);
            }
        }
        for partition in due {
            self.begin()?;
            let heartbeat = records::Event { kind: "heartbeat".into(), occurred_at: wall, ..records::Event::default() };
            let mut bytes = Vec::new();
            self.shared.framers.heartbeat.write(&heartbeat, &mut bytes).map_err(unwritable)?;
            self.produce(Slot { topic: Topic::Input(0), partition }, None, Some(&bytes))?;
            self.observer.heartbeat();
        }
        Ok(())
    }
}
