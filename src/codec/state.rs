//! The records of the store: what is remembered, as bytes.
//!
//! Every record begins with its format's version. A reader takes every version ever written and refuses a
//! newer one; golden files hold that. The layout is written out by hand, because a record outlives the
//! shape of the type it came from.

pub(crate) mod bytes;
mod contact;
pub mod ledger;
mod line;
mod message;
mod number;

use std::fmt;

use bytes::{Reader, Writer};

use crate::domain::time::Timestamp;
pub use contact::{
    AliasRow, ContactRow, read_alias, read_contact, read_contact_row, write_alias, write_contact, write_contact_row,
};
pub use line::{read_charged, write_charged};
pub use message::{read_message, read_request, write_message, write_request};
pub use number::{read_month, read_number, write_month, write_number};

/// The first version, in which most records still are.
const VERSION: u8 = 1;

/// The newest version of any record.
const NEWEST: u8 = 2;

/// The format that records are written in: a deployment raises it once all its members can read the newer one. What is
/// newest before the first release is what a deployment begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum WriteFormat {
    /// As the first version wrote them.
    First,
    /// Numbers hold the asks and the sends of the last second, so that a restart does not begin to count anew; sends on their
    /// way are counted, in the rows of numbers and messages; a refusal is remembered where nobody has asked; and the position
    /// says how far the ledger is (`worker::position`).
    #[default]
    Second,
}

impl WriteFormat {
    /// The format of a number in the configuration.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::First),
            2 => Some(Self::Second),
            _ => None,
        }
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A newer version of Tollgate wrote it.
    Newer(u8),
    /// It is damaged: it ends too early, or holds what cannot be.
    Damaged(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(version) => {
                write!(f, "it has format {version}, and this version of Tollgate reads up to {NEWEST}; run a newer one")
            }
            Self::Damaged(what) => {
                write!(f, "it is damaged: {what}; rebuild the state by replaying into a new directory")
            }
        }
    }
}

impl std::error::Error for Error {}

type Result<T> = std::result::Result<T, Error>;

/// Where a number stands in the table of numbers; contacts and messages name it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NumberIndex(pub u32);

fn begin(out: &mut Vec<u8>) -> Writer<'_> {
    let mut writer = Writer::to(out);
    writer.byte(VERSION);
    writer
}

fn open(bytes: &[u8]) -> Result<Reader<'_>> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        VERSION => Ok(reader),
        0 => Err(Error::Damaged("no version")),
        version => Err(Error::Newer(version)),
    }
}

/// The version of a record that is written in more than one.
fn first_or_newest(r: &mut Reader<'_>) -> Result<u8> {
    match r.byte()? {
        0 => Err(Error::Damaged("no version")),
        version @ VERSION..=NEWEST => Ok(version),
        newer => Err(Error::Newer(newer)),
    }
}

/// Until when a record of a message or a request is kept: eight bytes behind the version, so that compaction
/// can drop it without reading the rest. `None` while that is open.
#[must_use]
pub fn kept_until(bytes: &[u8]) -> Option<Timestamp> {
    let millis = i64::from_be_bytes(*bytes.get(1..9)?.first_chunk()?);
    Timestamp::from_millis(millis)
}

fn write_kept_until(w: &mut Writer<'_>, until: Option<Timestamp>) {
    w.array(until.map_or(0, Timestamp::millis).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contact::Contact;
    use crate::domain::conversation::Edge;
    use crate::domain::conversation::{ConversationKind, Wants};
    use crate::domain::id::{AccountId, AliasHash, ContactKey, ContactNumber, MessageKey, NumberId, Participant};
    use crate::domain::identity::Rank as NameRank;
    use crate::domain::message::Message;
    use crate::domain::number::Number;
    use crate::domain::reference::Country;
    use crate::domain::refusal::{GoneOut, Refusal as SenderRefusal};
    use crate::domain::rules::markets::Origin;
    use crate::domain::time::Timestamp;

    #[test]
    fn conversations_and_shares_come_back_as_they_were() {
        let at = Timestamp::from_millis(1_690_848_000_000).expect("in range");
        let mut contact = Contact::new(ContactKey([7; 16]), NameRank::Phone, Origin::Unknown);
        contact.edges_before = 3;
        for (name, kind, any) in [(1, ConversationKind::Service, true), (2, ConversationKind::Utility, false)] {
            let wants = Wants { kind, any, opens: true };
            contact.conversations.note(at, MessageKey([name; 16]), Some(wants), &contact.entry, at);
        }
        let edges = contact.conversations.announce(&contact.entry, at, at);
        assert!(matches!(edges[..], [Edge::Opened(_), Edge::Opened(_)]));
        let mut row = Vec::new();
        write_contact(NumberIndex(3), &contact, &mut row);
        assert_eq!(read_contact(&row), Ok((NumberIndex(3), contact)));

        let whole = Message { shares: vec![MessageKey([1; 16]), MessageKey([2; 16])], ..Message::default() };
        let participant = Some(Participant::parse("13105550199").expect("a name"));
        let recipient = Some(ContactNumber::of_recipient(AliasHash([0; 16])));
        let unnoted = Message { participant, contact: Some(ContactNumber(1)), ..Message::default() };
        for message in [whole, Message { recipient, ..unnoted.clone() }, unnoted] {
            let mut row = Vec::new();
            write_message(&message, &mut row);
            assert_eq!(read_message(&row), Ok(message));
        }
    }

    #[test]
    fn refusals_and_what_has_gone_out_come_back_as_they_were() {
        let mut number = Number::new(NumberId::parse("106540352242922").expect("an id"));
        let refusal = SenderRefusal {
            code: 131_065,
            account: AccountId::parse("102290129340398").ok(),
            country: Country::parse("BR"),
            template: Some(("welcome".into(), "en".into())),
            at: Timestamp::EARLIEST,
        };
        let all = SenderRefusal { code: 0, account: None, country: None, template: None, ..refusal };
        number.refusals = vec![refusal, all];
        let at = Timestamp::EARLIEST;
        number.gone_out =
            vec![GoneOut { account: AccountId::parse("9").ok(), sent_at: [Some(at), None, Some(at), None, None] }];
        let mut row = Vec::new();
        write_number(NumberIndex(3), &number, WriteFormat::Second, &mut row);
        assert_eq!(read_number(&row), Ok((NumberIndex(3), number)));
    }
}
