//! Where a partition stands: what one transaction has done, and how far the changelogs are in the store.
//!
//! The same row is the last record of every transaction in the contacts changelog (the commit record) and the
//! position row of the store, so that there is nothing to keep in step.

use crate::codec::state::Error;
use crate::codec::state::bytes::{Reader, Writer};
use crate::domain::id::ContactNumber;
use crate::domain::time::Timestamp;
use crate::stream::NextOffset;

/// The version of a row without the ledger's position.
const WITHOUT_CHARGES: u8 = 1;

/// The version of a row with it, and with nothing of what the transaction was given or of its order.
const WITHOUT_ORDER: u8 = 2;

/// The version of a row with all of it.
const VERSION: u8 = 3;

/// What a transaction read of one input: from one position to another. They abut from transaction to
/// transaction, and lie wider than their records where markers and aborted records are between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where it began.
    pub from: NextOffset,
    /// Where the next transaction begins.
    pub next: NextOffset,
}

/// Records of the inputs, and charges after them, as a transaction took them: it may price charges between two events, and
/// what the ledger publishes when a half-hour has passed depends on which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// How many records of the inputs were folded.
    pub records: u64,
    /// How many charges were booked then.
    pub charges: u64,
}

/// Where a partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The transaction's number among those of the partition, from 1; 0 before the first.
    pub sequence: u64,
    /// The last transaction whose end the messages changelog has been seen to hold: the same number, but for a
    /// store that is still being restored.
    pub messages_sequence: u64,
    /// How many partitions the topics had: with another number, numbers are elsewhere.
    pub partitions: u32,
    /// What was read of each input topic, in the order of the configuration.
    pub inputs: Vec<Range>,
    /// What the ledger stage read of the partition's charges. The group's position of them is held against it, as
    /// those of the inputs are: a ledger that began anew because its position is missing would bill everything again.
    ///
    /// Nothing in a row of the first format, which is written where `state.write_format` is 1: a version without the
    /// second reads these rows too, in the store and in the changelogs. What is left then is the transaction's number
    /// beside the group's positions.
    pub charges: Option<Range>,
    /// How inputs and charges took turns in the transaction: with this, whoever folds again comes to the same records. As
    /// many as the log's answers brought, not as there were records. Nothing in rows of former formats.
    pub turns: Vec<Turn>,
    /// How far `wa.usage` was read for what verdicts were told of limits and budgets, by partition: what has moved since
    /// the partition's former commit record; everything, in the first one of a worker that has taken the partition over.
    /// Nothing in rows of former formats.
    pub usage: Vec<(u32, NextOffset)>,
    /// The deadline that comes next, where the transaction was closed between the deadlines that a record's
    /// arrival had passed.
    pub cursor: Option<(Timestamp, ContactNumber)>,
    /// The greatest `learned_at` of the reference facts that were used.
    pub watermark: Option<Timestamp>,
    /// How many records were folded.
    pub records: u64,
    /// How many records were published.
    pub outputs: u64,
    /// How far the contacts changelog is in the store.
    pub contacts: NextOffset,
    /// How far the messages changelog is in the store.
    pub messages: NextOffset,
    /// When the store was last written, by the wall clock in milliseconds: what is not in it and deleted since
    /// may have left the changelog.
    pub written_at: i64,
}

impl Position {
    /// Before anything.
    #[must_use]
    pub fn start(contacts: NextOffset, messages: NextOffset) -> Self {
        Self {
            sequence: 0,
            messages_sequence: 0,
            partitions: 0,
            inputs: Vec::new(),
            charges: None,
            turns: Vec::new(),
            usage: Vec::new(),
            cursor: None,
            watermark: None,
            records: 0,
            outputs: 0,
            contacts,
            messages,
            written_at: 0,
        }
    }

    /// Writes the row, in the format that has room for all it holds.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut row = Vec::with_capacity(64);
        let mut w = Writer::to(&mut row);
        w.byte(if self.charges.is_some() { VERSION } else { WITHOUT_CHARGES });
        w.unsigned(self.sequence);
        w.unsigned(self.messages_sequence);
        w.unsigned(u64::from(self.partitions));
        w.count(self.inputs.len());
        for Range { from, next } in self.inputs.iter().chain(&self.charges) {
            w.signed(from.offset());
            w.signed(next.offset());
        }
        if self.charges.is_some() {
            w.count(self.turns.len());
            for Turn { records, charges } in &self.turns {
                w.unsigned(*records);
                w.unsigned(*charges);
            }
            w.count(self.usage.len());
            for (partition, next) in &self.usage {
                w.unsigned(u64::from(*partition));
                w.signed(next.offset());
            }
        }
        w.optional_instant(self.cursor.map(|(due, _)| due));
        if let Some((_, contact)) = self.cursor {
            w.unsigned(contact.0);
        }
        w.optional_instant(self.watermark);
        w.unsigned(self.records);
        w.unsigned(self.outputs);
        w.signed(self.contacts.offset());
        w.signed(self.messages.offset());
        w.signed(self.written_at);
        row
    }

    /// Reads the row.
    ///
    /// # Errors
    /// If it is damaged or too new.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        let (has_charges, has_order) = match r.byte()? {
            WITHOUT_CHARGES => (false, false),
            WITHOUT_ORDER => (true, false),
            VERSION => (true, true),
            0 => return Err(Error::Damaged("no version")),
            newer => return Err(Error::Newer(newer)),
        };
        let offset = |r: &mut Reader<'_>| NextOffset::at(r.signed()?).ok_or(Error::Damaged("an offset"));
        let (sequence, messages_sequence, partitions) = (r.unsigned()?, r.unsigned()?, r.small()?);
        let range = |r: &mut Reader<'_>| Ok(Range { from: offset(r)?, next: offset(r)? });
        let inputs = r.list(range)?;
        let charges = r.when(has_charges, range)?;
        let turn = |r: &mut Reader<'_>| Ok(Turn { records: r.unsigned()?, charges: r.unsigned()? });
        let turns = r.when(has_order, |r| r.list(turn))?.unwrap_or_default();
        let read = |r: &mut Reader<'_>| Ok((r.small()?, offset(r)?));
        let usage = r.when(has_order, |r| r.list(read))?.unwrap_or_default();
        let due = r.optional_instant()?;
        let cursor = due.map(|due| Ok((due, ContactNumber(r.unsigned()?)))).transpose()?;
        let position = Self {
            sequence,
            messages_sequence,
            partitions,
            inputs,
            charges,
            turns,
            usage,
            cursor,
            watermark: r.optional_instant()?,
            records: r.unsigned()?,
            outputs: r.unsigned()?,
            contacts: offset(&mut r)?,
            messages: offset(&mut r)?,
            written_at: r.signed()?,
        };
        r.end()?;
        Ok(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Millis;

    #[test]
    fn what_is_written_is_read() {
        let range = |from, next| Range { from: NextOffset::after(from), next: NextOffset::after(next) };
        let position = Position {
            sequence: 12,
            messages_sequence: 11,
            partitions: 64,
            inputs: vec![range(3, 900), range(0, 1 << 40)],
            charges: Some(range(11, 12)),
            turns: vec![Turn { records: 800, charges: 0 }, Turn { records: 97, charges: 3 }],
            usage: vec![(0, NextOffset::START), (3, NextOffset::after(1 << 33))],
            cursor: Some((Timestamp::EARLIEST + Millis::days(3), ContactNumber(77))),
            watermark: Some(Timestamp::EARLIEST),
            records: 5_000,
            outputs: 8_123,
            contacts: NextOffset::after(41),
            messages: NextOffset::START,
            written_at: 1_790_000_000_000,
        };
        let bytes = position.write();
        assert_eq!(Position::read(&bytes), Ok(position));
        for length in 0..bytes.len() {
            assert!(Position::read(&bytes[..length]).is_err(), "cut at {length}");
        }
        assert_eq!(Position::read(&[9]), Err(Error::Newer(9)));
    }

    /// A row as the first version wrote it: with two inputs' positions, and none of the charges.
    #[test]
    fn a_row_of_the_first_format_is_read_and_written_as_it_was() {
        let row = [1, 5, 4, 8, 1, 6, 14, 0, 0, 30, 41, 2, 4, 0];
        let position = Position::read(&row).expect("the first format is read for ever");
        assert_eq!((position.sequence, position.charges), (5, None));
        assert_eq!(position.inputs, [Range { from: NextOffset::after(2), next: NextOffset::after(6) }]);
        assert_eq!(position.write(), row);
    }

    /// A row as the second version wrote it: with one input's positions, and behind them those of the charges.
    #[test]
    fn a_row_of_the_second_format_is_read_and_written_in_the_third() {
        let row = [2, 5, 4, 8, 1, 6, 14, 22, 24, 0, 0, 30, 41, 2, 4, 0];
        let position = Position::read(&row).expect("the second format is read for ever");
        let range = |from, next| Range { from: NextOffset::after(from), next: NextOffset::after(next) };
        assert_eq!((position.sequence, position.charges), (5, Some(range(10, 11))));
        assert_eq!(position.inputs, [range(2, 6)]);
        assert_eq!((position.contacts, position.messages), (NextOffset::after(0), NextOffset::after(1)));
        assert!(position.turns.is_empty() && position.usage.is_empty());
        assert_eq!(position.write(), [3, 5, 4, 8, 1, 6, 14, 22, 24, 0, 0, 0, 0, 30, 41, 2, 4, 0]);
    }

    /// A row as the third version writes it: behind the positions how they took turns, and how far `wa.usage` was read.
    #[test]
    fn a_row_of_the_third_format_is_read_and_written_as_it_was() {
        let row = [3, 5, 4, 8, 1, 6, 14, 22, 24, 2, 1, 0, 3, 1, 1, 7, 18, 0, 0, 30, 41, 2, 4, 0];
        let position = Position::read(&row).expect("the third format is read for ever");
        assert_eq!(position.turns, [Turn { records: 1, charges: 0 }, Turn { records: 3, charges: 1 }]);
        assert_eq!(position.usage, [(7, NextOffset::after(8))]);
        assert_eq!(position.write(), row);
    }
}
