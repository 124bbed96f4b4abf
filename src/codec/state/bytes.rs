//! The few shapes that records of the store are made of.

use super::{Error, Result};
use crate::domain::time::{Millis, Timestamp};

/// Appends a record to others.
pub struct Writer<'o>(&'o mut Vec<u8>);

impl<'o> Writer<'o> {
    pub const fn to(out: &'o mut Vec<u8>) -> Self {
        Self(out)
    }

    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub fn array<const N: usize>(&mut self, bytes: [u8; N]) {
        self.0.extend_from_slice(&bytes);
    }

    /// A number, small ones in few bytes.
    pub fn unsigned(&mut self, mut rest: u64) {
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    pub fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    /// A number or nothing: zero is nothing, so the number is one more.
    pub fn optional_signed(&mut self, value: Option<i64>) {
        match value {
            None => self.byte(0),
            Some(value) => {
                self.byte(1);
                self.signed(value);
            }
        }
    }

    pub fn instant(&mut self, at: Timestamp) {
        self.unsigned(at.millis().unsigned_abs());
    }

    pub fn optional_instant(&mut self, at: Option<Timestamp>) {
        // No instant is 0: the earliest is in 2009.
        self.unsigned(at.map_or(0, |at| at.millis().unsigned_abs()));
    }

    pub fn count(&mut self, count: usize) {
        self.unsigned(count as u64);
    }

    pub fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A text or nothing: a length of zero is nothing, so the length is one more.
    pub fn optional_text(&mut self, text: Option<&str>) {
        match text {
            None => self.byte(0),
            Some(text) => {
                self.count(text.len() + 1);
                self.0.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Up to 63 truths in one number.
    pub fn flags(&mut self, flags: &[bool]) {
        self.unsigned(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u64::from(*flag)));
    }
}

/// Reads a record.
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub const fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub const fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    /// Holds that nothing is left.
    pub fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Damaged("bytes follow the record")) }
    }

    fn take(&mut self, count: usize) -> Result<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Error::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| Error::Damaged("it ends too early"))
    }

    pub fn unsigned(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Damaged("a number of more than 64 bits"))
    }

    pub fn signed(&mut self) -> Result<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub fn optional_signed(&mut self) -> Result<Option<i64>> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.signed().map(Some),
            _ => Err(Error::Damaged("neither something nor nothing")),
        }
    }

    /// A number of at most 32 bits.
    pub fn small(&mut self) -> Result<u32> {
        u32::try_from(self.unsigned()?).map_err(|_| Error::Damaged("a number of more than 32 bits"))
    }

    pub fn instant(&mut self) -> Result<Timestamp> {
        self.optional_instant()?.ok_or(Error::Damaged("an instant"))
    }

    pub fn optional_instant(&mut self) -> Result<Option<Timestamp>> {
        match self.unsigned()? {
            0 => Ok(None),
            // Deadlines lie beyond the instants that events may have, so any number of milliseconds is one.
            millis => {
                let millis = i64::try_from(millis).map_err(|_| Error::Damaged("an instant"))?;
                Ok(Some(Timestamp::EARLIEST + Millis(millis - Timestamp::EARLIEST.millis())))
            }
        }
    }

    /// An instant written as its distance from an earlier one.
    pub fn instant_after(&mut self, earlier: Timestamp) -> Result<Timestamp> {
        Ok(earlier + Millis(self.signed()?))
    }

    pub fn text(&mut self) -> Result<&'b str> {
        let length = self.small()? as usize;
        self.utf8(length)
    }

    fn utf8(&mut self, length: usize) -> Result<&'b str> {
        std::str::from_utf8(self.take(length)?).map_err(|_| Error::Damaged("a text that is not UTF-8"))
    }

    pub fn optional_text(&mut self) -> Result<Option<&'b str>> {
        match self.small()? {
            0 => Ok(None),
            length => self.utf8(length as usize - 1).map(Some),
        }
    }

    pub fn flags<const N: usize>(&mut self) -> Result<[bool; N]> {
        let bits = self.unsigned()?;
        if bits >> N != 0 {
            return Err(Error::Damaged("a flag that is not there"));
        }
        Ok(std::array::from_fn(|index| bits >> index & 1 == 1))
    }

    /// Reads something if it is there.
    pub fn when<T>(&mut self, there: bool, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if there { read(self).map(Some) } else { Ok(None) }
    }

    /// Reads as many of something as are there.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.small()? as usize;
        // Each takes at least a byte, so a damaged count cannot ask for more memory than the record has.
        if count > self.0.len() {
            return Err(Error::Damaged("a list longer than its record"));
        }
        (0..count).map(|_| read(self)).collect()
    }
}
