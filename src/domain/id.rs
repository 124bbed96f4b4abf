//! Names of things, each parsed once, at the edge, by its only way in.
//!
//! Ids that are personal data, or that contain some (a message id encodes the other side's phone number),
//! print as their type's name alone: no log line, panic or test failure may show one.

use std::fmt;

use super::identity::Rank;

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidId {
    /// Nothing there.
    Empty,
    /// More than the 512 bytes that any id of the platform fits in several times over.
    TooLong,
    /// A control character or a space, which no id of the platform holds.
    Character,
    /// A phone number that is not 7 to 15 digits.
    NotAPhone,
    /// A business-scoped id that is not two capital letters, a point and a name.
    NotScoped,
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::TooLong => "it is longer than 512 bytes",
            Self::Character => "it holds a space or a control character",
            Self::NotAPhone => "a phone number has 7 to 15 digits and nothing else",
            Self::NotScoped => "a business-scoped id is two capital letters, a point and a name",
        })
    }
}

impl std::error::Error for InvalidId {}

fn plain(text: &str) -> Result<Box<str>, InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > 512 {
        return Err(InvalidId::TooLong);
    }
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(InvalidId::Character);
    }
    Ok(text.into())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The only way in.
            ///
            /// # Errors
            /// When the text is no such id; the error never repeats the text.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                $parse(text).map(Self)
            }

            /// The id as the platform writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

/// Ids of the business's own side print themselves.
macro_rules! shown {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

/// Ids of people, and those that contain one, do not.
macro_rules! hidden {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

text_id! {
    /// A business phone number by the platform's id for it; never the number itself. Everything the
    /// conversation stage keeps belongs to one of these.
    NumberId, plain
}
text_id! {
    /// A WhatsApp Business account, or since 2026-09 a Messaging account, which keeps the old id.
    AccountId, plain
}
text_id! {
    /// A business portfolio, the owner of accounts.
    PortfolioId, plain
}
text_id! {
    /// A person's phone number as the platform writes it: 7 to 15 digits, no plus sign. What is another spelling of the
    /// same number in Argentina or Brazil is read as one.
    WaId, phone
}
text_id! {
    /// A person as one portfolio knows them: `<ISO country>.<name>`, for people who may show no number.
    ScopedUserId, scoped
}
text_id! {
    /// The parent of several scoped ids: `<ISO country>.ENT.<name>`.
    ParentUserId, scoped
}
text_id! {
    /// A message's `wamid`. Hidden, because it encodes the phone number of the other side.
    MessageId, plain
}
text_id! {
    /// The caller's own id of a send it asks about. Hidden, because nothing stops a caller from putting a
    /// phone number into it.
    RequestId, plain
}
text_id! {
    /// A group chat. Hidden, because it encodes the phone number of whoever made the group.
    GroupId, plain
}
text_id! {
    /// One recipient of a group message, by whichever id the status names first (rules.md 6.3).
    Participant, plain
}

shown! { NumberId AccountId PortfolioId }
hidden! { WaId ScopedUserId ParentUserId MessageId RequestId GroupId Participant }

/// A phone number, in the one form that stands for all its spellings.
fn phone(text: &str) -> Result<Box<str>, InvalidId> {
    if !(7..=15).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidId::NotAPhone);
    }
    match text.as_bytes() {
        // A mobile number of Argentina has a 9 behind the calling code, and is dialled within the country without it.
        // Ten digits follow, of which no mobile number shares any with another line's.
        [b'5', b'4', next, ..] if text.len() == 12 && *next != b'9' => Ok(["549", &text[2..]].concat().into()),
        // Mobile numbers of Brazil got a ninth digit, a 9, from 2012 to 2016; older accounts still show eight. Those begin
        // with 6 to 9, and other lines with 2 to 5.
        [b'5', b'5', _, _, b'6'..=b'9', ..] if text.len() == 12 => Ok([&text[..4], "9", &text[4..]].concat().into()),
        _ => Ok(text.into()),
    }
}

fn scoped(text: &str) -> Result<Box<str>, InvalidId> {
    match text.as_bytes() {
        [a, b, b'.', _, ..] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => plain(text),
        _ => Err(InvalidId::NotScoped),
    }
}

/// The id of an input event: a hash of what makes it that event and no other, so that an event delivered
/// twice has one id (rules.md 6.6 lists the fields; `codec::ids` computes it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

/// A contact as outputs name it: a keyed hash, equal on every replay with the same deployment key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContactKey(pub [u8; 16]);

/// One name of a contact, hashed with the deployment's key: for a person the contact key they would have by it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AliasHash(pub [u8; 16]);

/// A contact as the state names it: given in order of first sight, so that several aliases can point to
/// one contact and a message can outlive a change of alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContactNumber(pub u64);

impl ContactNumber {
    /// Under which number a recipient within a group is noted, who need not be a contact: made of their name, and above all
    /// numbers that contacts are given.
    #[must_use]
    pub fn of_recipient(name: AliasHash) -> Self {
        let first = name.0.first_chunk().copied().map_or(0, u64::from_be_bytes);
        Self(first | (1 << 63))
    }
}

/// A message as the state names it: a hash of number, message id and participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageKey(pub [u8; 16]);

/// Everything an event says about who the person is. At least one field is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The phone number, absent for people who hide it behind a username.
    pub phone: Option<WaId>,
    /// The id scoped to the portfolio.
    pub scoped: Option<ScopedUserId>,
    /// The parent of the scoped id.
    pub parent: Option<ParentUserId>,
}

impl Identity {
    /// An identity, or `None` if nothing is known of the person.
    #[must_use]
    pub fn new(phone: Option<WaId>, scoped: Option<ScopedUserId>, parent: Option<ParentUserId>) -> Option<Self> {
        (phone.is_some() || scoped.is_some() || parent.is_some()).then_some(Self { phone, scoped, parent })
    }

    /// The best of these names: the phone number if known, else the scoped id, else its parent.
    #[must_use]
    pub fn canonical(&self) -> &str {
        self.names().next().map_or("", |(_, name)| name)
    }

    /// The names, best first.
    pub fn names(&self) -> impl Iterator<Item = (Rank, &str)> {
        let phone = self.phone.as_ref().map(|phone| (Rank::Phone, phone.as_str()));
        let scoped = self.scoped.as_ref().map(|scoped| (Rank::Scoped, scoped.as_str()));
        let parent = self.parent.as_ref().map(|parent| (Rank::Parent, parent.as_str()));
        [phone, scoped, parent].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_ids_never_print_themselves() {
        let identity =
            Identity::new(WaId::parse("12025550143").ok(), ScopedUserId::parse("US.13491208655302741918").ok(), None);
        let message = MessageId::parse("wamid.HBgLMTIwMjU1NTAxNDM");
        let printed = format!("{identity:?} {message:?}");
        assert!(!printed.contains("555") && !printed.contains("1349") && !printed.contains("HBgL"), "{printed}");
    }

    #[test]
    fn what_is_no_id_is_refused_without_being_repeated() {
        assert_eq!(WaId::parse("+1202555014"), Err(InvalidId::NotAPhone));
        assert_eq!(WaId::parse("123456"), Err(InvalidId::NotAPhone));
        assert_eq!(ScopedUserId::parse("us.1"), Err(InvalidId::NotScoped));
        assert_eq!(NumberId::parse(""), Err(InvalidId::Empty));
        assert_eq!(RequestId::parse("a b"), Err(InvalidId::Character));
        assert_eq!(MessageId::parse(&"x".repeat(513)), Err(InvalidId::TooLong));
    }

    #[test]
    fn the_spellings_of_a_number_are_one_number() {
        let written = |text: &str| WaId::parse(text).map(|phone| phone.as_str().to_owned());
        for (text, number) in [
            ("541155551234", "5491155551234"),
            ("5491155551234", "5491155551234"),
            ("543515551234", "5493515551234"),
            ("551187654321", "5511987654321"),
            ("5511987654321", "5511987654321"),
            ("551133334444", "551133334444"),
            ("54911555512", "54911555512"),
            ("12025550143", "12025550143"),
        ] {
            assert_eq!(written(text).as_deref(), Ok(number));
        }
    }

    #[test]
    fn the_phone_number_ranks_before_the_scoped_id() {
        let phone = WaId::parse("12025550143").ok();
        let scoped = ScopedUserId::parse("US.1").ok();
        let both = Identity::new(phone, scoped.clone(), None).expect("known");
        assert_eq!(both.canonical(), "12025550143");
        assert_eq!(Identity::new(None, scoped, None).expect("known").canonical(), "US.1");
        assert_eq!(Identity::new(None, None, None), None);
    }
}
