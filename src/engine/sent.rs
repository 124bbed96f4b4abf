//! Which messages went to a contact since an instant: looked up when an event arrives late and may disturb them, and when
//! the contact is to be forgotten.
//!
//! The rows follow from those of the messages (`Message::noted_at`), so they are in no changelog. A message whose send turns
//! out to be earlier than it was known to be has two; whoever reads looks at the message itself.

use std::collections::BTreeSet;

use crate::domain::id::{ContactNumber, MessageKey};
use crate::domain::time::Timestamp;
use crate::store::{self, Batch, Store, keys};

/// How many new rows are kept before they should be written.
const BOUND: usize = 200_000;

/// The messages of all contacts, in the order in which they are noted.
#[derive(Default)]
pub struct SentIndex {
    /// Rows not yet in the store.
    new: BTreeSet<(ContactNumber, i64, MessageKey)>,
}

impl SentIndex {
    /// Adds a message.
    pub fn add(&mut self, contact: ContactNumber, noted_at: Timestamp, message: MessageKey) {
        self.new.insert((contact, noted_at.millis(), message));
    }

    /// The messages to a contact that are noted at an instant or later.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn since(
        &self,
        contact: ContactNumber,
        at: Timestamp,
        store: &impl Store,
    ) -> Result<BTreeSet<MessageKey>, store::Error> {
        let first = MessageKey([0; 16]);
        let rows = store.scan(&keys::sent_to(contact), &keys::sent(contact, at.millis(), first), usize::MAX)?;
        let mut found: BTreeSet<MessageKey> = rows.iter().filter_map(|(key, _)| keys::parse_sent(key)).collect();
        let new = self.new.range((contact, at.millis(), first)..).take_while(|(other, ..)| *other == contact);
        found.extend(new.map(|(_, _, message)| *message));
        Ok(found)
    }

    /// Whether so many rows wait that they should be written.
    pub fn is_full(&self) -> bool {
        self.new.len() > BOUND
    }

    /// How many rows there are to write.
    pub fn to_write(&self) -> usize {
        self.new.len()
    }

    /// Adds the new rows to a batch.
    pub fn write(&mut self, batch: &mut Batch) {
        for (contact, at, message) in std::mem::take(&mut self.new) {
            batch.put(&keys::sent(contact, at, message), &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Millis;
    use crate::store::Memory;

    #[test]
    fn messages_are_found_whether_they_are_written_or_not() {
        let at = |hours| Timestamp::from_millis(1_790_812_800_000).expect("in range") + Millis::hours(hours);
        let message = |name| MessageKey([name; 16]);
        let (mut index, mut store) = (SentIndex::default(), Memory::default());
        for (contact, hours, name) in [(1, 0, 1), (1, 5, 2), (2, 6, 3)] {
            index.add(ContactNumber(contact), at(hours), message(name));
        }
        let mut batch = Batch::default();
        index.write(&mut batch);
        store.commit(batch).expect("memory never fails");
        index.add(ContactNumber(1), at(7), message(4));
        let since = |hours| index.since(ContactNumber(1), at(hours), &store).expect("memory never fails");
        assert_eq!(since(0), [1, 2, 4].map(message).into());
        assert_eq!(since(5), [2, 4].map(message).into());
        assert_eq!(since(8), BTreeSet::new());
    }
}
