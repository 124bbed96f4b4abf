//! Ids by content: every id says what a thing is about, never where it was read.
//!
//! H is the first 128 bits of SHA-256 over fields, each behind its length as four bytes, big-endian; as text,
//! 32 hexadecimal digits. Names of people go through HMAC-SHA-256 with the deployment's key instead, so that
//! an output tells who is meant only to whoever holds the key. A golden test fixes both.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::text::Text;
use crate::domain::id::{
    AccountId, AliasHash, ContactKey, EventId, Identity, MessageId, MessageKey, NumberId, Participant, RequestId,
};
use crate::domain::identity::{Alias, Rank};
use crate::domain::ledger::reach::PersonKey;
use crate::domain::time::Timestamp;

/// H over some fields.
#[must_use]
pub fn hash(fields: &[&[u8]]) -> [u8; 16] {
    let mut sha = Sha256::new();
    gather(fields, |bytes| sha.update(bytes));
    first_half(&sha.finalize())
}

/// Hands over fields, each behind its length. All at once where they are as short as ids are: what is fed in pieces is
/// copied and counted piece by piece, which costs as much as the hashing.
fn gather(fields: &[&[u8]], mut feed: impl FnMut(&[u8])) {
    let mut together = [0; 256];
    let mut end = 0;
    for field in fields {
        for part in [&length(field), *field] {
            if together.len() - end < part.len() {
                feed(&together[..end]);
                end = 0;
            }
            match together.get_mut(end..end + part.len()) {
                Some(place) => {
                    place.copy_from_slice(part);
                    end += part.len();
                }
                None => feed(part),
            }
        }
    }
    feed(&together[..end]);
}

fn length(field: &[u8]) -> [u8; 4] {
    u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes()
}

fn first_half(digest: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of each byte as a lower-case hexadecimal digit; 255 where it is none.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// An id as outputs write it: 32 hexadecimal digits.
#[must_use]
pub fn hex(id: [u8; 16]) -> Text<'static> {
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(id) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    // Digits are ASCII, so this is always text.
    Text::copied(str::from_utf8(&digits).unwrap_or_default())
}

/// The id that [`hex`] wrote; `None` for any other text.
#[must_use]
pub fn from_hex(text: &str) -> Option<[u8; 16]> {
    let bytes: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let (mut id, mut seen) = ([0; 16], 0);
    for (byte, digits) in id.iter_mut().zip(bytes.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(digits[0])], VALUES[usize::from(digits[1])]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    // One byte that was no digit shows in the end.
    (seen < 16).then_some(id)
}

/// Writes a number in decimal digits into a buffer, for hashing without an allocation.
struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    fn new(value: i64) -> Self {
        let mut decimal = Self { digits: [0; 20], start: 20 };
        let mut rest = value.unsigned_abs();
        loop {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            decimal.start -= 1;
            decimal.digits[decimal.start] = b'-';
        }
        decimal
    }

    fn bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

/// The id of an input event, from its number, its kind and what makes it that event (rules.md 6.6).
#[must_use]
pub fn event(number: &str, kind: &str, parts: &[&str], occurred_at: Option<i64>) -> EventId {
    let time = Decimal::new(occurred_at.unwrap_or_default());
    let mut fields: Vec<&[u8]> = Vec::with_capacity(parts.len() + 3);
    fields.extend([number.as_bytes(), kind.as_bytes()]);
    fields.extend(parts.iter().map(|part| part.as_bytes()));
    if occurred_at.is_some() {
        fields.push(time.bytes());
    }
    EventId(hash(&fields))
}

/// The key of a message in the state: H(number, message id, participant).
#[must_use]
pub fn message(number: &NumberId, message: &MessageId, participant: Option<&Participant>) -> MessageKey {
    let participant = participant.map_or("", Participant::as_str);
    MessageKey(hash(&[number.as_str().as_bytes(), message.as_str().as_bytes(), participant.as_bytes()]))
}

/// The key of a request in the state: H(number, request id).
#[must_use]
pub fn request(number: &NumberId, request: &RequestId) -> [u8; 16] {
    hash(&[number.as_str().as_bytes(), request.as_str().as_bytes()])
}

/// A verdict's id: H(number, request id, `occurred_at`). `occurred_at` is nothing for an ask that could not be
/// decoded.
#[must_use]
pub fn verdict(number: &str, request: &str, occurred_at: Option<Timestamp>) -> [u8; 16] {
    let time = Decimal::new(occurred_at.map_or(0, Timestamp::millis));
    hash(&[number.as_bytes(), request.as_bytes(), time.bytes()])
}

/// A billing line's id: H(number, message id, participant, revision).
#[must_use]
pub fn billing_line(
    number: &NumberId,
    message: &MessageId,
    participant: Option<&Participant>,
    revision: u32,
) -> [u8; 16] {
    let participant = participant.map_or("", Participant::as_str);
    let revision = Decimal::new(i64::from(revision));
    let number = number.as_str().as_bytes();
    hash(&[number, message.as_str().as_bytes(), participant.as_bytes(), revision.bytes()])
}

/// A discount's id: H(portfolio, account, market, category, month, revision). Where the portfolio is not known, the
/// account or number that stands alone is in its place.
#[must_use]
pub fn discount(
    portfolio: &str,
    account: Option<&AccountId>,
    market: &str,
    category: &str,
    month: &str,
    revision: u32,
) -> [u8; 16] {
    let account = account.map_or("", AccountId::as_str);
    let revision = Decimal::new(i64::from(revision));
    let fields = [portfolio, account, market, category, month].map(str::as_bytes);
    let [portfolio, account, market, category, month] = fields;
    hash(&[portfolio, account, market, category, month, revision.bytes()])
}

/// A window's id: H(number, contact key, window type, `opened_at`).
#[must_use]
pub fn window(number: &NumberId, contact: ContactKey, window: &str, opened_at: Timestamp) -> [u8; 16] {
    let opened = Decimal::new(opened_at.millis());
    let key = hex(contact.0);
    hash(&[number.as_str().as_bytes(), key.as_str().as_bytes(), window.as_bytes(), opened.bytes()])
}

/// A window event's id: H(number, contact key, window type, `opened_at`, transition, revision).
#[must_use]
pub fn window_event(
    number: &NumberId,
    contact: ContactKey,
    window: &str,
    opened_at: Timestamp,
    transition: &str,
    revision: u32,
) -> [u8; 16] {
    let opened = Decimal::new(opened_at.millis());
    let revision = Decimal::new(i64::from(revision));
    let key = hex(contact.0);
    hash(&[
        number.as_str().as_bytes(),
        key.as_str().as_bytes(),
        window.as_bytes(),
        opened.bytes(),
        transition.as_bytes(),
        revision.bytes(),
    ])
}

/// An outcome's id: H(number, message or request id, participant, outcome, revision).
#[must_use]
pub fn outcome(
    number: &NumberId,
    about: &str,
    participant: Option<&Participant>,
    outcome: &str,
    revision: u32,
) -> [u8; 16] {
    let participant = participant.map_or("", Participant::as_str);
    let revision = Decimal::new(i64::from(revision));
    let number = number.as_str().as_bytes();
    hash(&[number, about.as_bytes(), participant.as_bytes(), outcome.as_bytes(), revision.bytes()])
}

/// An adjustment's id: H(reconciliation reference, dimensions).
#[must_use]
pub fn adjustment(reference: &str, dimensions: &[&str]) -> [u8; 16] {
    let mut fields = vec![reference.as_bytes()];
    fields.extend(dimensions.iter().map(|dimension| dimension.as_bytes()));
    hash(&fields)
}

/// A forecast answer's id: H(number, request id, chunk).
#[must_use]
pub fn forecast_answer(number: &str, request: &str, chunk: i32) -> [u8; 16] {
    let chunk = Decimal::new(i64::from(chunk));
    hash(&[number.as_bytes(), request.as_bytes(), chunk.bytes()])
}

/// A dead letter's id: H(topic, partition, offset), and the part if only a part of the record is meant. The
/// one id that says where something was read.
#[must_use]
pub fn dead_letter(topic: &str, partition: i32, offset: i64, part: Option<&str>) -> [u8; 16] {
    let (partition, offset) = (Decimal::new(i64::from(partition)), Decimal::new(offset));
    let fields = [topic.as_bytes(), partition.bytes(), offset.bytes()];
    match part {
        Some(part) => hash(&[fields[0], fields[1], fields[2], part.as_bytes()]),
        None => hash(&fields),
    }
}

/// The deployment's secret, ready to name people with.
#[derive(Clone)]
pub struct DeploymentKey(Hmac<Sha256>);

/// The shortest deployment key accepted, in bytes. Phone numbers are few enough to try them all, so the key
/// is all that protects them.
pub const SHORTEST_KEY: usize = 16;

impl DeploymentKey {
    /// A key from the bytes of the configured secret; `None` if there are too few.
    #[must_use]
    pub fn new(secret: &[u8]) -> Option<Self> {
        if secret.len() < SHORTEST_KEY {
            return None;
        }
        Hmac::new_from_slice(secret).ok().map(Self)
    }

    fn name(&self, fields: &[&[u8]]) -> [u8; 16] {
        let mut hmac = self.0.clone();
        gather(fields, |bytes| hmac.update(bytes));
        first_half(&hmac.finalize().into_bytes())
    }

    /// A contact's key on outputs: HMAC(deployment key, number, canonical alias, generation).
    #[must_use]
    pub fn contact(&self, number: &NumberId, canonical_alias: &str, generation: u32) -> ContactKey {
        let generation = Decimal::new(i64::from(generation));
        ContactKey(self.name(&[number.as_str().as_bytes(), canonical_alias.as_bytes(), generation.bytes()]))
    }

    /// The hash of an alias in the state: of a person's the contact key that it makes alone, of a group's
    /// HMAC(deployment key, "alias", number, "group", group).
    #[must_use]
    pub fn alias(&self, number: &NumberId, rank: Rank, alias: &str) -> Alias {
        let hash = match rank {
            Rank::Phone | Rank::Scoped | Rank::Parent => self.contact(number, alias, 0).0,
            Rank::Group => self.name(&[b"alias", number.as_str().as_bytes(), b"group", alias.as_bytes()]),
        };
        Alias { rank, hash: AliasHash(hash) }
    }

    /// All aliases of an identity, best first.
    pub fn aliases<'a>(&'a self, number: &'a NumberId, identity: &'a Identity) -> impl Iterator<Item = Alias> + 'a {
        identity.names().map(|(rank, alias)| self.alias(number, rank, alias))
    }

    /// A person as a whole portfolio knows them: HMAC(deployment key, "person", portfolio, canonical alias).
    #[must_use]
    pub fn person(&self, portfolio: &str, canonical_alias: &str) -> PersonKey {
        PersonKey(self.name(&[b"person", portfolio.as_bytes(), canonical_alias.as_bytes()]))
    }

    /// A group participant's key on outputs: HMAC(deployment key, "participant", number, participant).
    #[must_use]
    pub fn participant(&self, number: &NumberId, participant: &Participant) -> [u8; 16] {
        self.name(&[b"participant", number.as_str().as_bytes(), participant.as_str().as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published test vector: a client that computes these finds its contacts and its lines.
    #[test]
    fn ids_are_what_they_have_always_been() {
        let number = NumberId::parse("106540352242922").expect("an id");
        let message = MessageId::parse("wamid.TEST").expect("an id");
        let at = Timestamp::from_millis(1_790_812_800_000).expect("in range");
        let key = DeploymentKey::new(b"sample deployment key").expect("long enough");
        let contact = key.contact(&number, "12025550143", 0);
        let ids = [
            hash(&[b"a", b"", b"bc"]),
            verdict(number.as_str(), "ask-1", Some(at)),
            billing_line(&number, &message, None, 0),
            contact.0,
            window(&number, contact, "service_window", at),
            window_event(&number, contact, "service_window", at, "opened", 0),
            outcome(&number, "wamid.TEST", None, "delivered", 0),
            dead_letter("wa.events", 3, 42, None),
            key.alias(&number, Rank::Phone, "12025550143").hash.0,
            key.alias(&number, Rank::Group, "12025550143").hash.0,
            forecast_answer(number.as_str(), "campaign-1", 2),
        ];
        let written: Vec<String> = ids.into_iter().map(|id| hex(id).as_str().to_owned()).collect();
        let golden = include_str!("../../tests/golden/ids.txt");
        assert_eq!(written.join("\n"), golden.trim_end());
    }

    #[test]
    fn fields_of_any_length_are_hashed_as_one_text() {
        for sizes in [[0, 0, 0], [250, 2, 3], [248, 1, 300], [256, 256, 256], [1_000, 5, 252]] {
            let fields = sizes.map(|size| vec![b'x'; size]);
            let whole: Vec<u8> = fields.iter().flat_map(|field| [&length(field)[..], field].concat()).collect();
            let parts: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            assert_eq!(hash(&parts), first_half(&Sha256::digest(&whole)), "{sizes:?}");
        }
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"ab", b""]), hash(&[b"ab"]));
    }

    #[test]
    fn hexadecimal_comes_back_and_nothing_else_is_taken_for_it() {
        let id = hash(&[b"x"]);
        assert_eq!(from_hex(hex(id).as_str()), Some(id));
        assert_eq!(from_hex("00"), None);
        assert_eq!(from_hex(&"G".repeat(32)), None);
    }

    #[test]
    fn a_short_secret_is_no_key() {
        assert!(DeploymentKey::new(b"short").is_none());
    }
}
