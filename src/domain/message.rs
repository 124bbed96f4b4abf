//! What is remembered of one message: how far it got, what the platform says of its price, and which line
//! of the ledger stands for it.
//!
//! A message is kept whole until seven days after it was settled, then cut to what a repeat must still
//! find, its decision, and forgotten 37 days after that.

use super::billing::{Agreement, Line};
use super::content::Content;
use super::event::{Pricing, Stage};
use super::id::{AccountId, ContactNumber, MessageId, MessageKey, Participant, RequestId};
use super::in_flight::Uses;
use super::time::{Millis, Month, Timestamp};
use super::verdict::Answer;

/// How long a message is kept whole after it was settled: as long as webhooks may be late.
pub const KEPT_WHOLE: Millis = Millis::days(7);
/// How long its decision is kept after that.
pub const KEPT_DECISION: Millis = Millis::days(37);
/// How long it is noted to whom a message went, so that all that is left of it is found where somebody is to be forgotten:
/// as long as the state or its changelog may hold it whole. A message is last written whole a week after it was settled, the
/// changelog keeps it for 45 days then, and goes by files of a week.
pub const NOTED: Millis = Millis::days(60);
/// How much earlier than it was sent or settled a message may be noted, so that one note does for nearly every one.
pub const NOTED_EARLY: Millis = Millis::days(1);
/// How long the platform tries to deliver, unless the message says less (rules.md 5, TTL).
pub const TIME_TO_LIVE: Millis = Millis::days(30);
/// How long it tries for authentication templates (rules.md 5, TTL).
pub const TIME_TO_LIVE_AUTHENTICATION: Millis = Millis::minutes(10);

/// One message of the business, or one recipient's share of a group message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Message {
    /// The platform's id; gone once only the decision is kept.
    pub id: Option<MessageId>,
    /// The recipient within a group.
    pub participant: Option<Participant>,
    /// Under which number that recipient is noted.
    pub recipient: Option<ContactNumber>,
    /// The send it answers to.
    pub request: Option<RequestId>,
    /// Whom it goes to.
    pub contact: Option<ContactNumber>,
    /// The account that sends it.
    pub account: Option<AccountId>,
    /// What it says; unknown for a message of which only statuses were seen.
    pub content: Option<Content>,
    /// When the send was asked about.
    pub requested_at: Option<Timestamp>,
    /// When the API took it.
    pub accepted_at: Option<Timestamp>,
    /// When the platform's server had it.
    pub sent_at: Option<Timestamp>,
    /// When the phone had it.
    pub delivered_at: Option<Timestamp>,
    /// When it was first read.
    pub read_at: Option<Timestamp>,
    /// When and with which code it failed.
    pub failed: Option<Failure>,
    /// What it may use up, while it counts as on its way under the instant of its acceptance.
    pub in_flight: Option<Uses>,
    /// Whether the platform holds it back to judge its template.
    pub held: bool,
    /// Whether it has been counted as sent: in the window, and as the answer to a click.
    pub counted: bool,
    /// In which windows it was sent, as far as was known when that could last be looked up.
    pub sent_in: Option<SentIn>,
    /// What we answered when asked about it.
    pub answer: Option<Answer>,
    /// The latest word of the platform's on its price.
    pub priced: Option<Priced>,
    /// Whether a report of the platform's has charged for it, be it the latest or not.
    pub was_charged: bool,
    /// When the platform says that its conversation ends, the latest if it has said so more than once.
    pub conversation_ends: Option<Timestamp>,
    /// When the platform gives up on it.
    pub drops_at: Option<Timestamp>,
    /// Which outcomes have been told.
    pub told: Told,
    /// How many lines the ledger has for it; the next line's revision.
    pub lines: u32,
    /// The line that stands.
    pub line: Option<Line>,
    /// The month in whose order it has a place, because the platform has not said whether it is free.
    pub ranked: Option<Month>,
    /// Whether our computation and the platform's word agree, as last told.
    pub agreement: Option<Agreement>,
    /// The partition time at which it was delivered, failed or dropped.
    pub settled_at: Option<Timestamp>,
    /// Whether only the decision is left.
    pub packed: bool,
    /// The recipients' shares of a message to a group, of which each has a line of its own (GRP).
    pub shares: Vec<MessageKey>,
}

/// The windows that a message was sent in. Windows are forgotten after some days, and a message may be delivered weeks
/// after it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentIn {
    /// The service window.
    pub service_window: bool,
    /// An entry point's window.
    pub entry_point: bool,
}

/// A failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// The platform's first error code, if it gave one.
    pub code: Option<i32>,
}

/// A `pricing` object and the status that carried it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The status's time.
    pub at: Timestamp,
    /// The status.
    pub stage: Stage,
    /// What it says.
    pub pricing: Pricing,
}

/// Which outcomes have been told of a message; each is told once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "four outcomes, each told or not")]
pub struct Told {
    /// The API took it.
    pub accepted: bool,
    /// It was delivered.
    pub delivered: bool,
    /// It failed.
    pub failed: bool,
    /// Its time to live ran out.
    pub dropped: bool,
    /// How often a change of agreement was told.
    pub agreements: u32,
}

impl Message {
    /// When the message was sent, as well as is known: it decides window and entry point (rules.md 1.11).
    #[must_use]
    pub fn send_instant(&self) -> Option<Timestamp> {
        self.sent_at.or(self.accepted_at).or(self.requested_at)
    }

    /// When the message went out, or the first that was heard of it after that: by this it is found among others.
    #[must_use]
    pub fn known_at(&self) -> Option<Timestamp> {
        self.send_instant().or(self.delivered_at).or(self.read_at)
    }

    /// Under which instant it is noted to whom the message went: that at which it was sent, or at which the API took it
    /// shortly before; and of what was settled later than that, a later one. Nothing once only the decision is kept.
    #[must_use]
    pub fn noted_at(&self) -> Option<Timestamp> {
        if self.packed {
            return None;
        }
        // Of what the platform refused, the refusal may be all that was heard.
        let known_at = self.known_at().or_else(|| self.failed.map(|failed| failed.at))?;
        let is_shortly_before = |at: &Timestamp| *at <= known_at && known_at.since(*at) <= NOTED_EARLY;
        let noted_at = self.accepted_at.filter(is_shortly_before).unwrap_or(known_at);
        Some(self.settled_at.map_or(noted_at, |settled_at| noted_at.max(settled_at - NOTED_EARLY)))
    }

    /// To whom it is noted to have gone: its contact, and of a share of a group message also the recipient.
    pub fn noted_to(&self) -> impl Iterator<Item = ContactNumber> {
        self.contact.into_iter().chain(self.recipient)
    }

    /// Whether the send itself is known, so that a `read` implies that the message was delivered.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.send_instant().is_some()
    }

    /// The charge instant: `delivered`, else the first `read` (which implies delivery for a message we hold,
    /// or one that carries pricing; rules.md 6.3).
    #[must_use]
    pub fn charge_instant(&self) -> Option<Timestamp> {
        self.delivered_at.or_else(|| self.read_at.filter(|_| self.is_held() || self.priced.is_some()))
    }

    /// Takes over what was asked.
    pub fn answers(&mut self, asked: &Asked) {
        self.requested_at = Some(asked.at);
        self.answer = Some(asked.answer);
        self.contact = self.contact.or(Some(asked.contact));
        if self.content.is_none() {
            self.content = Some(asked.content.clone());
        }
    }

    /// Takes over what is known of a message to a group as a whole, where a recipient's share of it is to be judged: what
    /// it says, who asked, and when it was sent.
    pub fn take_over(&mut self, whole: &Self) {
        if self.request.is_none() {
            self.request.clone_from(&whole.request);
        }
        if self.content.is_none() {
            self.content.clone_from(&whole.content);
        }
        if self.account.is_none() {
            self.account.clone_from(&whole.account);
        }
        self.requested_at = self.requested_at.or(whole.requested_at);
        self.accepted_at = self.accepted_at.or(whole.accepted_at);
        self.answer = self.answer.or(whole.answer);
        self.drops_at = self.drops_at.or(whole.drops_at);
    }

    /// Cuts the message to its decision.
    pub fn pack(&mut self) {
        let Self { contact, lines, line, ranked, agreement, settled_at, drops_at, told, failed, .. } =
            std::mem::take(self);
        let drops_at = drops_at.filter(|_| settled_at.is_none());
        *self = Self {
            contact,
            lines,
            line,
            ranked,
            agreement,
            settled_at,
            drops_at,
            told,
            failed,
            packed: true,
            ..Self::default()
        };
    }

    /// Whether all that was ever told of it is that it failed, or that its time to live ran out.
    #[must_use]
    pub const fn is_given_up(&self) -> bool {
        !self.told.delivered && self.line.is_none() && (self.told.failed || self.told.dropped)
    }

    /// It is heard of again, through an account, of which only the decision was kept.
    pub fn begin_again(&mut self, id: &MessageId, account: Option<&AccountId>) {
        let Self { contact, lines, told, failed, .. } = std::mem::take(self);
        let (id, account) = (Some(id.clone()), account.cloned());
        *self = Self { id, contact, account, failed, told, lines, ..Self::default() };
    }

    /// From when on only the decision is kept; `None` while the message is not settled.
    #[must_use]
    pub fn packs_at(&self) -> Option<Timestamp> {
        self.settled_at.map(|settled| settled + KEPT_WHOLE)
    }

    /// From when on nothing is kept; for a message of which nothing decisive is ever heard, after its time
    /// to live and the same grace.
    #[must_use]
    pub fn forgotten_at(&self) -> Option<Timestamp> {
        let settled = self.settled_at.or(self.drops_at);
        settled.map(|settled| settled + KEPT_WHOLE + KEPT_DECISION)
    }
}

/// A send that was asked about or that the API has refused, kept so that neither is answered twice and the message that
/// follows is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked; nothing where so far only the refusal was seen.
    pub asked: Option<Asked>,
    /// Whether the API's refusal has been told.
    pub refused: bool,
    /// The message that the API made of it, where that was seen before the ask.
    pub message: Option<MessageKey>,
    /// From when on it is forgotten.
    pub forgotten_at: Timestamp,
}

/// A send that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What was to be said.
    pub content: Content,
    /// To whom.
    pub contact: ContactNumber,
    /// From which account, if known.
    pub account: Option<AccountId>,
    /// When it was asked.
    pub at: Timestamp,
    /// What we answered.
    pub answer: Answer,
    /// How long the platform may try to deliver, if the sender set it.
    pub time_to_live: Option<Millis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many hours a message is noted whose steps happened after so many.
    fn noted(accepted: Option<i64>, sent: Option<i64>, settled: Option<i64>) -> i64 {
        let start = Timestamp::from_millis(1_790_812_800_000).expect("in range");
        let at = |hours| start + Millis::hours(hours);
        let message = Message {
            accepted_at: accepted.map(at),
            sent_at: sent.map(at),
            settled_at: settled.map(at),
            ..Message::default()
        };
        message.noted_at().expect("it went out").since(start).0 / 3_600_000
    }

    #[test]
    fn a_message_is_noted_once_unless_it_is_held_back_or_settled_long_after() {
        assert_eq!(noted(Some(0), None, None), 0);
        assert_eq!(noted(Some(0), Some(1), None), 0, "no row more when it goes out");
        assert_eq!(noted(Some(0), Some(1), Some(24)), 0, "nor when it is delivered");
        assert_eq!(noted(Some(0), Some(25), None), 25, "the API has had it for long");
        assert_eq!(noted(Some(2), Some(1), None), 1, "heard of after it was sent");
        assert_eq!(noted(Some(0), Some(1), Some(100)), 76, "it is held for longer");
        let failed = Some(Failure { at: Timestamp::EARLIEST, code: None });
        assert_eq!(Message { failed, ..Message::default() }.noted_at(), Some(Timestamp::EARLIEST));
        assert_eq!(Message { packed: true, ..Message::default() }.noted_at(), None);
    }
}
