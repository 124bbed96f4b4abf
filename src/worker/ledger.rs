//! The ledger stage of one partition: prices charges, line by line. It remembers nothing yet, so it has no
//! changelog, and its position is the group's.

use std::sync::Arc;

use super::observe::Signs;
use super::{Disk, Trouble, Worker, after, headers, unwritable};
use crate::codec::{charge, partitioner};
use crate::engine::publish::Problem;
use crate::stream::{Head, Log, NextOffset, Partition, Records, Slot, Topic};

/// One partition of the ledger stage.
pub struct Ledger {
    /// Where it reads, once that is known; and what was committed, if anything ever was.
    position: Option<(NextOffset, Option<NextOffset>)>,
    /// What its records have told.
    pub signs: Signs,
}

impl Ledger {
    /// A partition that has just been assigned.
    pub const fn joining() -> Self {
        Self { position: None, signs: Signs { records: 0, letters: 0, open_since: None, latest: None } }
    }

    /// Begins to read.
    pub const fn start(&mut self, read: NextOffset, committed: Option<NextOffset>) {
        self.position = Some((read, committed));
    }

    pub const fn is_running(&self) -> bool {
        self.position.is_some()
    }

    /// The next offset to read.
    pub fn reads(&self) -> Option<NextOffset> {
        self.position.map(|(read, _)| read)
    }

    /// The position that is committed, and the next offset to read. Where none is committed yet they are the same.
    pub fn place(&self) -> Option<(NextOffset, NextOffset)> {
        self.position.map(|(read, committed)| (committed.unwrap_or(read), read))
    }

    /// What it has read is committed.
    pub const fn committed(&mut self, next: NextOffset) {
        self.signs.closed();
        self.position = Some((next, Some(next)));
    }

    /// Reads again from what is committed; from the beginning, where nothing is.
    pub fn rewind(&mut self) {
        self.signs.closed();
        self.position = self.position.and_then(|(_, committed)| committed.map(|next| (next, Some(next))));
    }
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// Prices one charge.
    pub(super) fn price(&mut self, head: &Head, records: &Records) -> Result<(), Trouble> {
        let slot = head.slot;
        let Some((read, committed)) = self.ledgers.get(&slot.partition).and_then(|task| task.position) else {
            return Ok(());
        };
        // What was on its way before the position was set anew.
        if head.offset < read.offset() {
            return Ok(());
        }
        self.begin()?;
        self.observer.read(slot.topic);
        if let Some(task) = self.ledgers.get_mut(&slot.partition) {
            task.signs.read(head.appended_at);
        }
        let value = records.value(head).unwrap_or_default();
        let shared = Arc::clone(&self.shared);
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        match charge::read(value, &self.charge_writers) {
            Ok((line, mut entry)) => {
                self.publisher.add_price(&line, &mut entry);
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
                    shared.charges, slot.partition.0, head.offset
                )));
            }
            Err(error) => {
                let problem = Problem { code: "not_a_charge", detail: error.to_string(), part: None };
                self.publish_letter(head, records, &problem, head.appended_at)?;
            }
        }
        self.bytes = bytes;
        if let Some(task) = self.ledgers.get_mut(&slot.partition) {
            task.position = Some((after(head), committed));
        }
        self.has_read(slot, committed, after(head));
        Ok(())
    }
}
