//! The keys of the rows: one byte for the kind, then what names the row, in an order that scans can use.
//!
//! A prefix is never given to another kind of row, not even after its kind is gone.

use std::ops::Deref;

use crate::codec::state::NumberIndex;
use crate::domain::id::{AliasHash, ContactNumber, MessageKey};
use crate::domain::time::Month;

/// Where the state stands: the position, written with every batch.
pub const META: u8 = b'!';
/// A business phone number.
pub const NUMBER: u8 = b'n';
/// What a number has used of a month.
pub const NUMBER_MONTH: u8 = b'm';
/// A contact.
pub const CONTACT: u8 = b'c';
/// One name of a contact, hashed.
pub const ALIAS: u8 = b'a';
/// A message.
pub const MESSAGE: u8 = b'w';
/// A send that was asked about.
pub const REQUEST: u8 = b'r';
/// A contact's next deadline.
pub const TIMER: u8 = b't';
/// A message that went to a contact, about in the order of sending.
pub const SENT: u8 = b'x';
/// A reference fact learned from the events themselves.
pub const FACT: u8 = b'f';

/// A count of the ledger's: what has been published of a portfolio's market, volume and month.
pub const COUNTER: u8 = b'b';
/// The messages of a half-hour in a count of the ledger's.
pub const HALF_HOUR: u8 = b'l';
/// What a number has been charged for.
pub const SPEND: u8 = b'p';
/// When a portfolio last reached a person outside a service window.
pub const REACHED: u8 = b'u';
/// What there is to notice of a messaging limit.
pub const NOTICES: u8 = b'o';

/// Reserved for what is still to come: conversations, suppressed contacts.
pub const RESERVED: [u8; 2] = [b'v', b's'];

/// How long the longest key is: a kind, two numbers of 64 bits and a hash.
const LONGEST: usize = 33;

/// A key, as bytes that need no allocation.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Key {
    fn of<const N: usize, const M: usize>(kind: u8, first: [u8; N], second: [u8; M]) -> Self {
        const { assert!(1 + N + M <= LONGEST) };
        let mut bytes = [0; LONGEST];
        bytes[0] = kind;
        bytes[1..=N].copy_from_slice(&first);
        bytes[1 + N..1 + N + M].copy_from_slice(&second);
        Self { bytes, length: 1 + N + M }
    }
}

/// The position.
#[must_use]
pub const fn meta() -> &'static [u8] {
    &[META]
}

/// A number, by its place.
#[must_use]
pub fn number(index: NumberIndex) -> Key {
    Key::of(NUMBER, index.0.to_be_bytes(), [])
}

/// A number's month.
#[must_use]
pub fn month(index: NumberIndex, month: Month) -> Key {
    Key::of(NUMBER_MONTH, index.0.to_be_bytes(), month.ordinal().to_be_bytes())
}

/// The number and month of a key that [`month`] made.
#[must_use]
pub fn parse_month(key: &[u8]) -> Option<(NumberIndex, Month)> {
    let rest = key.strip_prefix(&[NUMBER_MONTH])?;
    let (index, ordinal) = rest.split_first_chunk::<4>()?;
    let month = Month::from_ordinal(i32::from_be_bytes(*ordinal.first_chunk()?))?;
    Some((NumberIndex(u32::from_be_bytes(*index)), month))
}

/// A contact.
#[must_use]
pub fn contact(number: ContactNumber) -> Key {
    Key::of(CONTACT, number.0.to_be_bytes(), [])
}

/// The contact of a key that [`contact`] made.
#[must_use]
pub fn parse_contact(key: &[u8]) -> Option<ContactNumber> {
    let number = key.strip_prefix(&[CONTACT])?;
    Some(ContactNumber(u64::from_be_bytes(number.try_into().ok()?)))
}

/// Which changelog a row goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changelog {
    /// Kept until deleted: numbers, contacts, their names, and the position.
    Contacts,
    /// Forgotten by age: messages and asks.
    Messages,
    /// None: what can be worked out from the other rows.
    Derived,
}

/// Which changelog the row of a key goes to.
#[must_use]
pub fn changelog(key: &[u8]) -> Changelog {
    match key.first() {
        Some(&(META | NUMBER | NUMBER_MONTH | CONTACT | ALIAS | COUNTER | HALF_HOUR | SPEND | NOTICES)) => {
            Changelog::Contacts
        }
        Some(&(MESSAGE | REQUEST | REACHED)) => Changelog::Messages,
        _ => Changelog::Derived,
    }
}

/// What the key begins with of a row that is looked for together with others while events are folded: those of a contact,
/// or of a count. Nothing for a row that is got by its key, or only looked for when a store is opened.
#[must_use]
pub fn together(key: &[u8]) -> Option<&[u8]> {
    match key.first() {
        Some(&SENT) => key.get(..9),
        Some(&HALF_HOUR) => key.get(..17),
        _ => None,
    }
}

/// A name of a contact.
#[must_use]
pub fn alias(alias: AliasHash) -> Key {
    Key::of(ALIAS, alias.0, [])
}

/// A message.
#[must_use]
pub fn message(message: MessageKey) -> Key {
    Key::of(MESSAGE, message.0, [])
}

/// The message of a key that [`message`] made.
#[must_use]
pub fn parse_message(key: &[u8]) -> Option<MessageKey> {
    Some(MessageKey(key.strip_prefix(&[MESSAGE])?.try_into().ok()?))
}

/// A request.
#[must_use]
pub fn request(request: [u8; 16]) -> Key {
    Key::of(REQUEST, request, [])
}

/// A timer, in order of the instant in milliseconds at which it is due. No instant of ours is negative, so
/// the order of the bytes is that of the numbers; anything before the first instant stands for it.
#[must_use]
pub fn timer_at(due: i64, contact: ContactNumber) -> Key {
    Key::of(TIMER, due.max(0).to_be_bytes(), contact.0.to_be_bytes())
}

/// When the timer of a key is due, and whose it is.
#[must_use]
pub fn parse_timer(key: &[u8]) -> Option<(i64, ContactNumber)> {
    let rest = key.strip_prefix(&[TIMER])?;
    let (due, contact) = rest.split_first_chunk::<8>()?;
    let contact = u64::from_be_bytes(*contact.first_chunk()?);
    Some((i64::from_be_bytes(*due), ContactNumber(contact)))
}

/// The messages that went to a contact: what the keys of all of them begin with.
#[must_use]
pub fn sent_to(contact: ContactNumber) -> Key {
    Key::of(SENT, contact.0.to_be_bytes(), [])
}

/// A message that went to a contact, in order of the instant in milliseconds under which it is noted.
#[must_use]
pub fn sent(contact: ContactNumber, at: i64, message: MessageKey) -> Key {
    let mut rest = [0; 24];
    rest[..8].copy_from_slice(&at.max(0).to_be_bytes());
    rest[8..].copy_from_slice(&message.0);
    Key::of(SENT, contact.0.to_be_bytes(), rest)
}

/// The message of a key that [`sent`] made.
#[must_use]
pub fn parse_sent(key: &[u8]) -> Option<MessageKey> {
    Some(MessageKey(key.strip_prefix(&[SENT])?.get(16..)?.try_into().ok()?))
}

/// The instant under which the message of a key that [`sent`] made is noted, in milliseconds.
#[must_use]
pub fn sent_when(key: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(*key.strip_prefix(&[SENT])?.get(8..16)?.first_chunk()?))
}

/// A count of the ledger's, by the hash of what it counts.
#[must_use]
pub fn counter(counter: [u8; 16]) -> Key {
    Key::of(COUNTER, counter, [])
}

/// The half-hours of a count: what the keys of all of them begin with.
#[must_use]
pub fn half_hours(counter: [u8; 16]) -> Key {
    Key::of(HALF_HOUR, counter, [])
}

/// A half-hour of a count, in order of time; none of ours has a negative number.
#[must_use]
pub fn half_hour(counter: [u8; 16], number: i32) -> Key {
    Key::of(HALF_HOUR, counter, number.max(0).to_be_bytes())
}

/// The number of the half-hour of a key that [`half_hour`] made.
#[must_use]
pub fn parse_half_hour(key: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(*key.strip_prefix(&[HALF_HOUR])?.get(16..)?.first_chunk()?))
}

/// What a number has been charged for, by the hash of the number.
#[must_use]
pub fn spend(number: [u8; 16]) -> Key {
    Key::of(SPEND, number, [])
}

/// A person that a portfolio has reached.
#[must_use]
pub fn reached(scope: [u8; 16], person: [u8; 16]) -> Key {
    Key::of(REACHED, scope, person)
}

/// The scope and the person of a key that [`reached`] made.
#[must_use]
pub fn parse_reached(key: &[u8]) -> Option<([u8; 16], [u8; 16])> {
    let (scope, person) = key.strip_prefix(&[REACHED])?.split_first_chunk::<16>()?;
    Some((*scope, person.try_into().ok()?))
}

/// What there is to notice of the messaging limit of a scope, by the scope's hash.
#[must_use]
pub fn notices(scope: [u8; 16]) -> Key {
    Key::of(NOTICES, scope, [])
}

/// A learned fact, in the order in which they were learned.
#[must_use]
pub fn fact(sequence: u64) -> Key {
    Key::of(FACT, sequence.to_be_bytes(), [])
}
