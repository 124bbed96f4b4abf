//! How a partition's state comes back: the store as it was left, and the tail of the changelogs after it.
//!
//! A store that is there is read on from its position; a new one is built from the beginning of the changelogs
//! by the same steps. Each step writes rows and how far the changelogs have been read in one batch, so that a
//! restore that is interrupted goes on where it was. In the middle of a restore the store is no state that ever
//! was, which is why no partition runs before its commit record agrees with the group's positions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::position::Position;
use super::{Disk, ROOM_AGAIN, Trouble, Worker};
use crate::codec::state;
use crate::engine;
use crate::store::{self, Batch, Store, keys};
use crate::stream::{Committed, Failure, Log, NextOffset, Partition, Reader, Records, Slot, Topic};

/// How many bytes of rows are written at once.
const CHUNK: usize = 8 << 20;

/// How often committed positions that do not agree yet are asked for again.
const AGAIN: Duration = Duration::from_millis(100);

/// How often the log says how far the changelogs are read: its beginning and its end may be far from each other.
const TOLD: Duration = Duration::from_secs(10);

/// Partitions whose state is coming back.
pub struct Restore<R, S> {
    reader: Option<R>,
    partitions: BTreeMap<Partition, Restoring<S>>,
    records: Records,
    pace: Option<Pace>,
    /// Until when the disk is not tried again because it was full.
    rests_until: Option<Duration>,
}

/// Since when changelogs are read, and when that was last told.
#[derive(Clone, Copy)]
struct Pace {
    began: Duration,
    told: Duration,
}

impl Pace {
    /// Whether it is to be told again how far they are read; then it counts as done.
    fn is_due(pace: &mut Option<Self>, now: Duration) -> bool {
        let pace = pace.get_or_insert(Self { began: now, told: now });
        let is_due = now.saturating_sub(pace.told) >= TOLD;
        if is_due {
            pace.told = now;
        }
        is_due
    }

    /// How long the rest will take as fast as the beginning went; nothing where that tells nothing.
    fn rest(self, now: Duration, applied: u64, left: u64) -> Option<Duration> {
        let took = now.saturating_sub(self.began).as_millis();
        let rest = (took * u128::from(left)).checked_div(u128::from(applied))?;
        Some(Duration::from_millis(u64::try_from(rest).ok()?))
    }
}

impl<R, S> Default for Restore<R, S> {
    fn default() -> Self {
        Self { reader: None, partitions: BTreeMap::new(), records: Records::default(), pace: None, rests_until: None }
    }
}

impl<R, S> Restore<R, S> {
    /// Whether there is something to read now.
    pub fn is_reading(&self, now: Duration) -> bool {
        !self.rests(now) && self.partitions.values().any(|partition| !partition.is_read())
    }

    fn rests(&self, now: Duration) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// The disk was full. What was read and not written is forgotten, and read again when there may be room.
    fn rest(&mut self, until: Duration) {
        self.rests_until = Some(until);
        self.partitions.retain(|_, task| task.refused != Some(Refused::Full));
        self.reader = None;
    }

    /// Of a partition: how many records were applied, how many are left as offsets count, and whether it is halted.
    pub fn progress(&self, partition: Partition) -> Option<(u64, u64, bool)> {
        let task = self.partitions.get(&partition)?;
        Some((task.applied, task.contacts.left() + task.messages.left(), task.halted))
    }

    /// Says in the log how far the changelogs are read, once in a while.
    fn tell(&mut self, now: Duration) {
        let reading = || self.partitions.values().filter(|task| !task.is_read());
        let partitions = reading().count();
        if partitions == 0 || !Pace::is_due(&mut self.pace, now) {
            return;
        }
        let applied: u64 = reading().map(|task| task.applied).sum();
        let left: u64 = reading().map(|task| task.contacts.left() + task.messages.left()).sum();
        let seconds_left = self.pace.and_then(|pace| pace.rest(now, applied, left)).map(|rest| rest.as_secs());
        tracing::info!(partitions, applied, left, seconds_left, "still reads the changelogs");
    }

    /// Partitions whose store has turned out to be damaged.
    pub fn damaged(&self) -> impl Iterator<Item = Partition> {
        let damaged = |task: &Restoring<S>| task.refused == Some(Refused::Damaged);
        self.partitions.iter().filter(move |(_, task)| damaged(task)).map(|(partition, _)| *partition)
    }

    /// Forgets a partition; the others are read on.
    pub fn forget(&mut self, partition: Partition) {
        if self.partitions.remove(&partition).is_some() {
            self.reader = None;
        }
    }

    /// Forgets everything; what was written stays.
    pub fn stop(&mut self) {
        *self = Self::default();
    }
}

/// One partition whose state is coming back.
struct Restoring<S> {
    store: S,
    /// The row that says where the state stands, if there is one.
    row: Option<Vec<u8>>,
    position: Position,
    contacts: Progress,
    messages: Progress,
    /// Records applied.
    applied: u64,
    group: Told,
    batch: Batch,
    bytes: usize,
    /// Whether something was read that is not in the store.
    dirty: bool,
    /// Since when everything is read and does not agree, and when it is looked at again.
    disagrees: Option<(Duration, Duration)>,
    halted: bool,
    /// Why the store could not be written, where something can be done about that.
    refused: Option<Refused>,
}

/// Why a store cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refused {
    Damaged,
    Full,
}

/// What the group has committed of a partition.
struct Told {
    /// Of every input.
    inputs: Vec<Option<Committed>>,
    /// Of the charges.
    charges: Option<Committed>,
    /// Whether the log holds charges of which none was ever read.
    has_charges: bool,
}

/// How far a changelog is read, and how far it is to be read.
#[derive(Clone, Copy)]
struct Progress {
    start: NextOffset,
    next: NextOffset,
    end: NextOffset,
}

impl Progress {
    fn left(self) -> u64 {
        u64::try_from(self.end.offset() - self.next.offset()).unwrap_or_default()
    }
}

impl<S> Restoring<S> {
    fn is_read(&self) -> bool {
        self.contacts.left() == 0 && self.messages.left() == 0
    }

    /// Whether the state is that of a transaction's end, and of the one that the group's positions come from.
    fn agrees(&self) -> bool {
        let by_state = self.position.inputs.iter().map(|range| Some(range.next));
        let by_state = by_state.chain(std::iter::repeat(None)).take(self.group.inputs.len());
        let by_group = self.group.inputs.iter().map(|committed| committed.map(|committed| committed.next));
        // A messages changelog whose beginning has gone by age may hold no end of a transaction any more.
        let aged = self.position.messages_sequence == 0 && self.messages.start > NextOffset::START;
        let complete = aged || self.position.messages_sequence == self.position.sequence;
        complete && by_state.eq(by_group) && self.agrees_on_charges() && self.agrees_on_number()
    }

    /// Whether the group's position of the charges is the state's, as far as the state tells it.
    fn agrees_on_charges(&self) -> bool {
        match (self.position.charges, self.group.charges) {
            (Some(range), committed) => committed.is_some_and(|committed| committed.next == range.next),
            (None, Some(_)) => true,
            // A version that did not commit it with everything else may have had nothing to commit; but where there
            // are charges it may as well be lost, and from the beginning they would all be billed again.
            (None, None) => self.position.sequence == 0 || !self.group.has_charges,
        }
    }

    /// Whether the group's positions are those of the state's transaction, as far as they tell. Positions alone do
    /// not: a transaction between two deadlines moves none, and its commit record may be yet to be seen.
    fn agrees_on_number(&self) -> bool {
        let is_ours = |number| number == self.position.sequence;
        let mut numbers = self.group.inputs.iter().flatten().filter_map(|committed| committed.number).peekable();
        if numbers.peek().is_none() {
            return true;
        }
        // Who has committed these has committed the charges with them.
        let charges = self.group.charges.is_some_and(|charges| charges.number.is_none_or(is_ours));
        charges && numbers.all(is_ours)
    }
}

impl<S> Restoring<S> {
    /// Why a partition is halted, and what to do.
    fn why_not(&self, partition: Partition) -> String {
        let position = &self.position;
        let next = |committed: &Option<Committed>| committed.map(|committed| committed.next.offset());
        let number = |committed: &Option<Committed>| committed.and_then(|committed| committed.number);
        let by_state: Vec<i64> = position.inputs.iter().map(|range| range.next.offset()).collect();
        let by_group: Vec<Option<i64>> = self.group.inputs.iter().map(next).collect();
        let numbers: Vec<Option<u64>> = self.group.inputs.iter().chain([&self.group.charges]).map(number).collect();
        let charges = match position.charges {
            Some(range) => format!("position {} of the charges", range.next.offset()),
            None => "a position of the charges that it does not tell".to_owned(),
        };
        let lost = match (self.group.charges, position.charges) {
            (None, None) => {
                ". What the state does not tell of the charges is the position behind the last of them whose line is in \
                 the billing topic: from the beginning they would all be billed again"
            }
            _ => "",
        };
        let hangs = if position.messages_sequence < position.sequence {
            ". The messages changelog ends before the state does: if positions and transactions agree, look for a \
             transaction that hangs in it with `kafka-transactions find-hanging`"
        } else {
            ""
        };
        format!(
            "partition {}: the state is that of input positions {by_state:?} and {charges} (transaction {}, messages {}), and \
             the group's committed positions are {by_group:?} and {:?} (transactions {numbers:?}). Either somebody has \
             set them, or they have expired, or the broker that keeps them has lost sight of the latest (restart it), or a \
             transaction was torn. To go on from the state, stop all members and set \
             the group's positions to those of the state{lost}{hangs}",
            partition.0,
            position.sequence,
            position.messages_sequence,
            next(&self.group.charges)
        )
    }
}

fn damaged(error: state::Error) -> Trouble {
    Trouble::from(store::Error::Row { kind: "position", error })
}

impl<S: Store> Restoring<S> {
    /// Takes in a record of a changelog.
    fn apply(&mut self, topic: Topic, key: &[u8], value: Option<&[u8]>) -> Result<(), Trouble> {
        self.dirty = true;
        if key == keys::meta() {
            let row = value.unwrap_or_default();
            let position = engine::position_of(row).and_then(|bytes| Position::read(&bytes)).map_err(damaged)?;
            if topic == Topic::Messages {
                self.position.messages_sequence = position.sequence;
            } else {
                let (messages_sequence, written_at) = (self.position.messages_sequence, self.position.written_at);
                self.position = Position { messages_sequence, written_at, ..position };
                self.row = Some(row.to_vec());
            }
            return Ok(());
        }
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        match value {
            Some(value) => {
                let row = |error| Trouble::from(store::Error::Row { kind: "changelog", error });
                for derived in engine::derived_from(key, value).map_err(row)? {
                    self.batch.put(&derived, &[]);
                }
                self.batch.put(key, value);
            }
            None => self.batch.delete(key),
        }
        Ok(())
    }

    /// Writes what was taken in, and how far the changelogs have been read.
    fn write(&mut self, wall: i64) -> Result<(), Trouble> {
        self.position.contacts = self.contacts.next;
        self.position.messages = self.messages.next;
        self.position.written_at = wall;
        let row = engine::position_row(self.row.as_deref(), &self.position.write()).map_err(damaged)?;
        self.batch.put(keys::meta(), &row);
        let written = self.store.commit(std::mem::take(&mut self.batch));
        self.refused = match &written {
            Err(store::Error::Damaged(_)) => Some(Refused::Damaged),
            Err(store::Error::Full(_)) => Some(Refused::Full),
            Ok(()) | Err(store::Error::Disk(_) | store::Error::Row { .. }) => None,
        };
        written?;
        (self.bytes, self.dirty) = (0, false);
        Ok(())
    }
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// A partition whose state does not agree with the group's positions, and that waits for somebody to look.
    #[must_use]
    pub fn halted(&self) -> Option<Partition> {
        self.restore.partitions.iter().find(|(_, task)| task.halted).map(|(partition, _)| *partition)
    }

    /// Brings partitions that were assigned closer to being folded.
    pub(super) fn admit(&mut self) -> Result<(), Trouble> {
        let now = self.log.now();
        if self.restore.rests(now) {
            return Ok(());
        }
        match self.bring_back() {
            // Another worker's transaction is about to move the positions; it ends sooner or later.
            Err(Trouble::Log(Failure::Busy(_))) => Ok(()),
            Err(Trouble::Full(why)) => {
                tracing::warn!(why, "cannot bring back state; tries again");
                self.restore.rest(now + ROOM_AGAIN);
                Ok(())
            }
            done => done,
        }
    }

    fn bring_back(&mut self) -> Result<(), Trouble> {
        self.join()?;
        if self.restore.partitions.is_empty() {
            return Ok(());
        }
        self.read_changelogs()?;
        self.start_restored()
    }

    /// Learns the committed positions of what was just assigned, and opens the stores.
    fn join(&mut self) -> Result<(), Trouble> {
        let joining = self
            .conversations
            .iter()
            .filter(|(partition, task)| !task.is_running() && !self.restore.partitions.contains_key(partition));
        let joining: Vec<Partition> = joining.map(|(partition, _)| *partition).collect();
        for partition in joining {
            let group = self.ask_group(partition)?;
            let restoring = self.open_store(partition, group)?;
            self.restore.partitions.insert(partition, restoring);
            self.restore.reader = None;
        }
        Ok(())
    }

    pub(super) fn input_slots(&self, partition: Partition) -> Vec<Slot> {
        (0..self.shared.inputs.len()).map(|index| Slot { topic: Topic::Input(index as u8), partition }).collect()
    }

    fn ask_group(&mut self, partition: Partition) -> Result<Told, Trouble> {
        let charges = Slot { topic: Topic::Charges, partition };
        let mut slots = self.input_slots(partition);
        slots.push(charges);
        let mut inputs = self.ask_committed(&slots)?;
        let committed = inputs.pop().flatten();
        let has_charges = committed.is_none() && self.log.start(charges)? < self.log.end(charges)?;
        Ok(Told { inputs, charges: committed, has_charges })
    }

    fn open_store(&mut self, partition: Partition, group: Told) -> Result<Restoring<D::Store>, Trouble> {
        let progress = |log: &mut L, topic| -> Result<Progress, Failure> {
            let slot = Slot { topic, partition };
            let (start, end) = (log.start(slot)?, log.end(slot)?);
            Ok(Progress { start, next: start, end })
        };
        let mut contacts = progress(&mut self.log, Topic::Contacts)?;
        let mut messages = progress(&mut self.log, Topic::Messages)?;
        let (mut store, mut row) = match self.open_row(partition) {
            Err(store::Error::Damaged(why)) => {
                self.put_aside(partition, &why)?;
                self.open_row(partition)?
            }
            opened => opened?,
        };
        let read = |row: &[u8]| engine::position_of(row).and_then(|bytes| Position::read(&bytes)).map_err(damaged);
        let mut position = row.as_deref().map(read).transpose()?;
        let too_old = self.shared.tombstones_kept / 2;
        let age = |position: &Position| {
            Duration::from_millis(u64::try_from(self.log.wall() - position.written_at).unwrap_or_default())
        };
        if position.as_ref().is_some_and(|position| age(position) > too_old) {
            tracing::warn!(partition = partition.0, "the store is older than tombstones are kept; it is built anew");
            drop(store);
            self.disk.discard(partition)?;
            store = self.disk.open(partition)?;
            (row, position) = (None, None);
        }
        if let Some(position) = &position {
            contacts.next = contacts.next.max(position.contacts);
            messages.next = messages.next.max(position.messages);
        }
        let position = position.unwrap_or_else(|| Position::start(contacts.next, messages.next));
        let restoring = Restoring {
            store,
            row,
            position,
            contacts,
            messages,
            applied: 0,
            group,
            batch: Batch::default(),
            bytes: 0,
            dirty: false,
            disagrees: None,
            halted: false,
            refused: None,
        };
        tracing::info!(
            partition = partition.0,
            records = contacts.left() + messages.left(),
            "reads the changelogs after the store"
        );
        Ok(restoring)
    }

    /// Opens a store, and reads where it stands.
    fn open_row(&mut self, partition: Partition) -> Result<(D::Store, Option<Vec<u8>>), store::Error> {
        let store = self.disk.open(partition)?;
        let row = store.get(keys::meta())?;
        Ok((store, row))
    }

    fn read_changelogs(&mut self) -> Result<(), Trouble> {
        let Restore { reader, partitions, records, .. } = &mut self.restore;
        if partitions.values().all(Restoring::is_read) {
            return Ok(());
        }
        let slots = |partition: &Partition, task: &Restoring<D::Store>| {
            [(Topic::Contacts, task.contacts.next), (Topic::Messages, task.messages.next)]
                .map(|(topic, next)| (Slot { topic, partition: *partition }, next))
        };
        let reader = if let Some(reader) = reader {
            reader
        } else {
            let from: Vec<_> = partitions.iter().flat_map(|(partition, task)| slots(partition, task)).collect();
            reader.insert(self.log.reader(&from)?)
        };
        records.clear();
        reader.poll(Duration::from_millis(20), records)?;
        for head in records.heads() {
            let (Some(task), Some(key)) = (partitions.get_mut(&head.slot.partition), records.key(head)) else {
                continue;
            };
            task.apply(head.slot.topic, key, records.value(head))?;
            task.applied += 1;
        }
        let wall = self.log.wall();
        let chunk = self.shared.checkpoint.bytes.min(CHUNK);
        for (partition, task) in partitions.iter_mut() {
            let partition = *partition;
            task.contacts.next = reader.position(Slot { topic: Topic::Contacts, partition });
            task.messages.next = reader.position(Slot { topic: Topic::Messages, partition });
            if task.bytes >= chunk {
                self.observer.alive();
                task.write(wall)?;
            }
        }
        self.restore.tell(self.log.now());
        Ok(())
    }

    /// Starts the partitions whose state is back and agrees with the group's positions.
    fn start_restored(&mut self) -> Result<(), Trouble> {
        let now = self.log.now();
        let read: Vec<Partition> = self
            .restore
            .partitions
            .iter()
            .filter(|(_, task)| task.is_read() && !task.halted && task.disagrees.is_none_or(|(_, again)| again <= now))
            .map(|(partition, _)| *partition)
            .collect();
        for partition in read {
            self.observer.alive();
            if self.restore.partitions.get(&partition).is_some_and(Restoring::agrees) {
                self.start(partition)?;
            } else {
                self.look_again(partition)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, partition: Partition) -> Result<(), Trouble> {
        let wall = self.log.wall();
        let Some(task) = self.restore.partitions.get_mut(&partition) else {
            return Ok(());
        };
        let (then, now) = (task.position.partitions, self.shared.partitions);
        if task.position.sequence > 0 && then != now {
            return Err(Trouble::Halt(format!(
                "the state was made of {then} partitions, and the topics have {now}: numbers are on other partitions now. \
                 Put the partitions back, or fold the events again into new changelogs and a new state"
            )));
        }
        if task.dirty || task.row.is_none() {
            task.write(wall)?;
        }
        let Some(task) = self.restore.partitions.remove(&partition) else {
            return Ok(());
        };
        let Told { inputs, charges, .. } = task.group;
        let mut begins = |slot, committed: Option<Committed>| {
            committed.map_or_else(|| self.log.start(slot), |committed| Ok(committed.next))
        };
        let priced = begins(Slot { topic: Topic::Charges, partition }, charges)?;
        let mut read = Vec::with_capacity(inputs.len());
        for (index, committed) in (0..).zip(&inputs) {
            read.push(begins(Slot { topic: Topic::Input(index), partition }, *committed)?);
        }
        let now = self.log.now();
        if let Some(conversation) = self.conversations.get_mut(&partition) {
            conversation.restored = task.applied;
            let around = (&*self.shared, &self.latest);
            match conversation.start(task.store, task.position, inputs, read, around, now) {
                // It is opened again, and found damaged again, before it has taken part in anything.
                Err(store::Error::Damaged(why)) => {
                    return Ok(self.put_aside(partition, &why)?);
                }
                started => started?,
            }
            tracing::info!(partition = partition.0, "folds");
            self.stale = true;
        }
        if let Some(ledger) = self.ledgers.get_mut(&partition) {
            ledger.start(priced, charges);
        }
        if self.restore.partitions.is_empty() {
            self.restore.stop();
        }
        Ok(())
    }

    /// Asks again for positions and ends that do not agree: the end of a transaction reaches its partitions one
    /// by one. What still does not agree after that halts the partition.
    fn look_again(&mut self, partition: Partition) -> Result<(), Trouble> {
        let now = self.log.now();
        let group = self.ask_group(partition)?;
        let contacts = self.log.end(Slot { topic: Topic::Contacts, partition })?;
        let messages = self.log.end(Slot { topic: Topic::Messages, partition })?;
        let Some(task) = self.restore.partitions.get_mut(&partition) else {
            return Ok(());
        };
        task.group = group;
        task.contacts.end = task.contacts.end.max(contacts);
        task.messages.end = task.messages.end.max(messages);
        let (since, _) = *task.disagrees.get_or_insert((now, now));
        task.disagrees = Some((since, now + AGAIN));
        if task.agrees() || !task.is_read() || now.saturating_sub(since) <= self.shared.patience {
            return Ok(());
        }
        task.halted = true;
        tracing::error!("{}", task.why_not(partition));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_once_in_a_while_and_the_rest_goes_as_fast_as_the_beginning() {
        let (mut pace, seconds) = (None, Duration::from_secs);
        assert!(!Pace::is_due(&mut pace, seconds(100)), "what has just begun has nothing to tell");
        assert!(!Pace::is_due(&mut pace, seconds(109)));
        assert!(Pace::is_due(&mut pace, seconds(110)) && !Pace::is_due(&mut pace, seconds(119)));
        assert!(Pace::is_due(&mut pace, seconds(120)));
        let pace = pace.expect("it has begun");
        assert_eq!(pace.rest(seconds(120), 1_000, 3_000), Some(seconds(60)));
        assert_eq!(pace.rest(seconds(120), 0, 3_000), None);
    }
}
