//! What has changed is made durable: every row, with the caller's position, in one batch.

use super::Engine;
use super::meta::Meta;
use crate::codec::state::{self, NumberIndex, WriteFormat};
use crate::domain::number::Number;
use crate::domain::time::{Date, Millis, Timestamp};
use crate::store::{self, Batch, Store, keys};

/// How many bytes a row that is written has, about, with its key: at least, and at most where room is made by what rows lately
/// had. A few large ones say nothing of many others.
const ROW: [usize; 2] = [96, 768];

/// How long a month's use is kept after the month: longer than anything may be late.
const MONTHS_KEPT: Millis = Millis::days(75);

impl<S: Store> Engine<S> {
    /// Whether enough has changed that it should be committed.
    #[must_use]
    pub fn wants_commit(&self) -> bool {
        self.contacts.is_full()
            || self.aliases.is_full()
            || self.messages.is_full()
            || self.requests.is_full()
            || self.timers.is_full()
            || self.sent.is_full()
    }

    /// Makes everything so far durable, with the caller's position. After a crash anywhere before the batch
    /// is written the store holds the former commit, after it this one; there is nothing between.
    ///
    /// # Errors
    /// If the store cannot be written; nothing was, then.
    pub fn commit(&mut self, position: &[u8]) -> Result<(), store::Error> {
        let changes = self.changes(position);
        self.keep(changes)
    }

    /// Takes out everything that has changed since the last time, with the caller's position. It must be given
    /// back by [`Engine::keep`], unless it is all to be forgotten: then the engine is to be opened anew.
    pub fn changes(&mut self, position: &[u8]) -> Batch {
        let tables = self.contacts.to_write() + self.aliases.to_write() + self.messages.to_write();
        let rows = tables + self.requests.to_write() + self.timers.to_write() + self.sent.to_write() + 64;
        let mut batch = Batch::of(rows, rows * self.row_bytes.clamp(ROW[0], ROW[1]));
        let now = self.meta.partition_time;
        for (index, entry) in (0..).zip(&mut self.numbers) {
            if std::mem::take(&mut entry.changed) {
                write_number(&mut batch, NumberIndex(index), &mut entry.number, now, self.setup.write_format);
            }
        }
        self.contacts.write(&mut batch);
        self.aliases.write(&mut batch);
        self.messages.write(&mut batch);
        self.requests.write(&mut batch);
        self.timers.write(&mut batch);
        self.sent.write(&mut batch);
        self.ledger.write(now, &mut batch);
        for record in self.facts.drain(..) {
            batch.put(&keys::fact(self.meta.next_fact), &record);
            self.meta.next_fact += 1;
        }
        batch.put(keys::meta(), &self.meta.write(position));
        self.row_bytes = batch.bytes() / batch.len();
        batch
    }

    /// Keeps changes that were taken out, and makes room in memory.
    ///
    /// # Errors
    /// If the store cannot be written; nothing was, then.
    pub fn keep(&mut self, changes: Batch) -> Result<(), store::Error> {
        let now = self.meta.partition_time;
        if let Some(now) = now {
            self.store.time_is(now);
        }
        self.store.commit(changes)?;
        self.contacts.trim();
        self.aliases.trim();
        self.messages.trim();
        self.requests.trim();
        self.timers.trim();
        self.ledger.trim();
        match now {
            Some(now) if self.timers.needs_refill(now) => self.timers.refill(&self.store),
            _ => Ok(()),
        }
    }
}

/// The position of a position row.
///
/// # Errors
/// If the row is damaged or too new.
pub fn position_of(row: &[u8]) -> Result<Vec<u8>, state::Error> {
    Meta::read(row).map(|(_, position)| position)
}

/// The position row of another position, where the rest of the state is as a former row says.
///
/// # Errors
/// If that row is damaged or too new.
pub fn position_row(former: Option<&[u8]>, position: &[u8]) -> Result<Vec<u8>, state::Error> {
    Meta::with_position(former, position)
}

/// The rows that a row of the changelog brings with it: a contact's timer, or to whom a message went.
///
/// # Errors
/// If the row is damaged or too new.
pub fn derived_from(key: &[u8], row: &[u8]) -> Result<impl Iterator<Item = keys::Key>, state::Error> {
    if let Some(contact_number) = keys::parse_contact(key) {
        let row = state::read_contact_row(row)?;
        let due = row.contact().and_then(|contact| contact.armed);
        return Ok([due.map(|due| keys::timer_at(due.millis(), contact_number)), None].into_iter().flatten());
    }
    let Some(message_key) = keys::parse_message(key) else {
        return Ok([None, None].into_iter().flatten());
    };
    let message = state::read_message(row)?;
    let noted_at = message.noted_at();
    let sent = |to: Option<_>| Some(keys::sent(to?, noted_at?.millis(), message_key));
    Ok([sent(message.contact), sent(message.recipient)].into_iter().flatten())
}

/// Writes a number and its months, and forgets months nothing can come late for any more.
fn write_number(
    batch: &mut Batch,
    index: NumberIndex,
    number: &mut Number,
    now: Option<Timestamp>,
    format: WriteFormat,
) {
    let old = now.map(|now| Date::utc(now - MONTHS_KEPT).month());
    number.months.retain(|month, used| {
        let keep = old.is_none_or(|old| *month >= old);
        let changed = std::mem::take(&mut used.changed);
        if keep && changed {
            batch.write(&keys::month(index, *month), |record| state::write_month(used, record));
        } else if !keep {
            batch.delete(&keys::month(index, *month));
        }
        keep
    });
    batch.write(&keys::number(index), |record| state::write_number(index, number, format, record));
}
