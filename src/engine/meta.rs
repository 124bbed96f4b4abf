//! The row that says where the state stands.

use crate::codec::state::Error;
use crate::domain::time::{Millis, Timestamp};

/// The version of the row.
const VERSION: u8 = 1;

/// Where the state stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The greatest arrival seen.
    pub partition_time: Option<Timestamp>,
    /// The number the next new contact gets.
    pub next_contact: u64,
    /// The number the next learned fact gets.
    pub next_fact: u64,
}

impl Meta {
    /// The row of a position, with what another row says of the state.
    pub fn with_position(row: Option<&[u8]>, position: &[u8]) -> Result<Vec<u8>, Error> {
        let meta = row.map(Self::read).transpose()?.map_or_else(Self::default, |(meta, _)| meta);
        Ok(meta.write(position))
    }

    /// Writes the row, with the caller's position behind it.
    pub fn write(&self, position: &[u8]) -> Vec<u8> {
        let time = self.partition_time.map_or(0, Timestamp::millis);
        let mut row = vec![VERSION];
        row.extend_from_slice(&time.to_be_bytes());
        row.extend_from_slice(&self.next_contact.to_be_bytes());
        row.extend_from_slice(&self.next_fact.to_be_bytes());
        row.extend_from_slice(position);
        row
    }

    /// Reads the row, and the caller's position.
    pub fn read(row: &[u8]) -> Result<(Self, Vec<u8>), Error> {
        let damaged = Error::Damaged("the position");
        let (version, rest) = row.split_first().ok_or(damaged)?;
        match *version {
            VERSION => {}
            0 => return Err(damaged),
            newer => return Err(Error::Newer(newer)),
        }
        let (time, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (next_contact, rest) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let (next_fact, position) = rest.split_first_chunk::<8>().ok_or(damaged)?;
        let time = i64::from_be_bytes(*time);
        let meta = Self {
            partition_time: (time != 0).then(|| Timestamp::EARLIEST + Millis(time - Timestamp::EARLIEST.millis())),
            next_contact: u64::from_be_bytes(*next_contact),
            next_fact: u64::from_be_bytes(*next_fact),
        };
        Ok((meta, position.to_vec()))
    }
}
