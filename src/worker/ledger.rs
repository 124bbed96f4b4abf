//! The ledger stage of one partition: has charges booked by the ledger of the engine of the same partition number, and
//! publishes the lines. How far it is stands in that partition's commit record. So it begins together with it, by the
//! same gate, and its transactions are that partition's too.

use std::sync::Arc;

use super::conversation::Conversation;
use super::observe::Signs;
use super::position::Range;
use super::{Disk, Trouble, Worker, after, guarded, headers, unwritable};
use crate::codec::charge::Charged;
use crate::codec::records::BillingEntry;
use crate::codec::{charge, partitioner};
use crate::domain::billing::Line;
use crate::domain::id::InvalidId;
use crate::domain::ledger::usage::Person;
use crate::engine::Engine;
use crate::engine::ledger::{Booked, Posted, Posting};
use crate::engine::publish::{self, Problem};
use crate::stream::{Committed, Head, Log, NextOffset, Partition, Records, Slot, Topic};

/// One partition of the ledger stage.
pub struct Ledger {
    /// Where it is, once that is certain.
    place: Option<Place>,
    /// What its records have told.
    pub signs: Signs,
}

/// Where a partition of the ledger stage is.
#[derive(Clone, Copy)]
struct Place {
    /// The group's position; nothing where none was ever committed.
    committed: Option<Committed>,
    /// Where the present transaction began.
    from: NextOffset,
    /// The next offset to read.
    read: NextOffset,
}

impl Ledger {
    /// A partition that has just been assigned.
    pub const fn joining() -> Self {
        Self { place: None, signs: Signs { records: 0, letters: 0, open_since: None, latest: None } }
    }

    /// Begins to read.
    pub const fn start(&mut self, read: NextOffset, committed: Option<Committed>) {
        self.place = Some(Place { committed, from: read, read });
    }

    pub const fn is_running(&self) -> bool {
        self.place.is_some()
    }

    /// The next offset to read.
    pub fn reads(&self) -> Option<NextOffset> {
        self.place.map(|place| place.read)
    }

    /// The group's position, and the next offset to read.
    pub fn stands(&self) -> Option<(Option<Committed>, NextOffset)> {
        self.place.map(|place| (place.committed, place.read))
    }

    /// What the present transaction has read.
    pub fn range(&self) -> Option<Range> {
        self.place.map(|place| Range { from: place.from, next: place.read })
    }

    /// What it has read is committed. One that does not run begins by what the group says.
    pub const fn committed(&mut self, committed: Committed) {
        self.signs.closed();
        if self.is_running() {
            self.start(committed.next, Some(committed));
        }
    }

    /// Reads again from what is committed; from where it began, where nothing is.
    pub fn rewind(&mut self) {
        self.signs.closed();
        if let Some(place) = &mut self.place {
            place.read = place.from;
        }
    }
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// Prices one charge.
    pub(super) fn price(&mut self, head: &Head, records: &Records) -> Result<(), Trouble> {
        let slot = head.slot;
        let wanted = self.ledgers.get(&slot.partition).and_then(Ledger::reads);
        // What was on its way before the position was set anew.
        if wanted.is_none_or(|next| head.offset < next.offset()) {
            return Ok(());
        }
        self.touch(slot.partition)?;
        self.observer.read(slot.topic);
        if let Some(task) = self.ledgers.get_mut(&slot.partition) {
            task.signs.read(head.appended_at);
        }
        let priced = guarded(|| self.publish_price(head, records));
        priced.unwrap_or_else(|| Err(self.failed(head)))?;
        if let Some(task) = self.conversations.get_mut(&slot.partition) {
            task.booked();
        }
        if let Some(place) = self.ledgers.get_mut(&slot.partition).and_then(|task| task.place.as_mut()) {
            place.read = after(head);
            let committed = place.committed;
            self.has_read(slot, committed, after(head));
        }
        Ok(())
    }

    /// Books a line in the engine of its partition. Nothing where that is not running; whoever asks is not either, then.
    #[allow(clippy::type_complexity, reason = "a line may not be one, and the engine not be there")]
    fn book(
        &mut self,
        partition: Partition,
        (line, person): (&Line, Option<Person>),
        entry: &BillingEntry<'_>,
    ) -> Result<Option<Result<Booked, InvalidId>>, Trouble> {
        let Some(engine) = self.conversations.get_mut(&partition).and_then(Conversation::engine) else {
            return Ok(None);
        };
        let (number, account, scope) = match charge::whose(entry) {
            Ok(whose) => whose,
            Err(invalid) => return Ok(Some(Err(invalid))),
        };
        let posting = Posting {
            scope: &scope,
            account: account.as_ref(),
            number: &number,
            line,
            reverses: entry.reverses.is_some(),
            person,
        };
        Ok(Some(Ok(engine.book(posting)?)))
    }

    /// Publishes what the ledger of a partition has to tell.
    pub(super) fn publish_posted(&mut self, partition: Partition) -> Result<(), Trouble> {
        let posted = self.conversations.get_mut(&partition).and_then(Conversation::engine).map(Engine::take_posted);
        let shared = Arc::clone(&self.shared);
        for posted in posted.unwrap_or_default() {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            let (topic, key, headers) = match &posted {
                Posted::Discount(posted) => {
                    let record = self.publisher.discount(posted);
                    shared.framers.billing.write(&record, &mut bytes).map_err(unwritable)?;
                    let key = posted.discount.counter.scope.id().to_owned();
                    (Topic::Billing, key, headers::of(&record.envelope, shared.headers))
                }
                Posted::Used(used) => {
                    let record = self.publisher.used(used);
                    shared.framers.usage.write(&record, &mut bytes).map_err(unwritable)?;
                    (Topic::Usage, publish::used_key(&used.scope), headers::of(&record.envelope, shared.headers))
                }
            };
            let partition = Partition(partitioner::partition(key.as_bytes(), shared.partitions));
            self.produce_with(Slot { topic, partition }, Some(key.as_bytes()), Some(&bytes), &headers)?;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Publishes a charge with its price, or as a dead letter where it has none.
    fn publish_price(&mut self, head: &Head, records: &Records) -> Result<(), Trouble> {
        if let Some(problem) = self.is_poison(head) {
            return self.publish_letter(head, records, &problem, head.appended_at);
        }
        let value = records.value(head).unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        match charge::read(value, &self.charge_writers) {
            Ok(Charged { line, person, mut entry }) => {
                let partition = head.slot.partition;
                match self.book(partition, (&line, person), &entry)? {
                    Some(Ok(booked)) => publish::add_price(&mut entry, &line, &booked),
                    Some(Err(invalid)) => {
                        let problem = Problem { code: "not_a_charge", detail: invalid.to_string(), part: None };
                        self.bytes = bytes;
                        return self.publish_letter(head, records, &problem, head.appended_at);
                    }
                    None => {
                        self.bytes = bytes;
                        return Ok(());
                    }
                }
                shared.framers.billing.write(&entry, &mut bytes).map_err(unwritable)?;
                let number = entry.phone_number_id.as_ref().map_or("", |number| number.as_str());
                let partition = Partition(partitioner::partition(number.as_bytes(), shared.partitions));
                let out = Slot { topic: Topic::Billing, partition };
                let headers = headers::of(&entry.envelope, shared.headers);
                self.produce_with(out, Some(number.as_bytes()), Some(&bytes), &headers)?;
            }
            Err(error) if error.is_newer() => {
                return Err(Trouble::Halt(format!(
                    "`{}`, partition {}, offset {}: {error}; run that version here too",
                    shared.charges, head.slot.partition.0, head.offset
                )));
            }
            Err(error) => {
                let problem = Problem { code: "not_a_charge", detail: error.to_string(), part: None };
                self.publish_letter(head, records, &problem, head.appended_at)?;
            }
        }
        self.bytes = bytes;
        Ok(())
    }
}
