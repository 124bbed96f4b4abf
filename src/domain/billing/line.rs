//! The lines of a message's ledger, before they are priced.

use super::{Prediction, Toll};
use crate::domain::content::Content;
use crate::domain::event::Pricing;
use crate::domain::id::{EventId, MessageId, Participant, RequestId};
use crate::domain::ledger::usage::Person;
use crate::domain::message::Message;
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::Rules;
use crate::domain::rules::markets::Origin;
use crate::domain::time::{Date, Month, Timestamp};

/// Whether our computation and the platform's word agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Both say the same.
    Match,
    /// They say different things; the platform's word counts.
    Conflict,
    /// The platform has priced a message we know too little of to compute anything.
    PlatformOnly,
    /// The platform has not priced it yet.
    OursOnly,
}

impl Agreement {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Conflict => "conflict",
            Self::PlatformOnly => "platform_only",
            Self::OursOnly => "ours_only",
        }
    }

    /// The agreement of a prediction with what the platform says, if it has said anything.
    #[must_use]
    pub fn of(ours: &Toll, platform: Option<&Toll>) -> Self {
        match (ours, platform) {
            (_, None) => Self::OursOnly,
            (Toll::Unknown(_), Some(_)) => Self::PlatformOnly,
            (ours, Some(platform)) if ours == platform => Self::Match,
            // In a free entry point the platform names the message's own category or the window's.
            (Toll::Free(ours, _), Some(Toll::Free(platform, _))) if ours == platform => Self::Match,
            // Marketing through either API has one rate; which API it was, only the platform tells.
            (Toll::Charged(ours), Some(Toll::Charged(platform))) if ours.is_marketing() && platform.is_marketing() => {
                Self::Match
            }
            _ => Self::Conflict,
        }
    }
}

/// A line of the ledger, as far as a later line must know it to take it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number among the message's lines.
    pub revision: u32,
    /// What it costs.
    pub toll: Toll,
    /// The instant that decides rate and month.
    pub charged_at: Timestamp,
    /// The day of that instant in the account's zone, if that is known.
    pub date: Option<Date>,
    /// The account's currency, if that is known.
    pub currency: Option<Currency>,
    /// Where the recipient is.
    pub origin: Origin,
    /// How many units it is charged for: the pulses of a call, and one of anything else.
    pub units: u32,
    /// The price the platform named itself.
    pub cost: Option<(Amount, Currency)>,
    /// The month whose free delivery it took.
    pub consumed: Option<Month>,
}

impl Line {
    /// Whether a line with these facts would say anything else: type, category, charge instant, period or
    /// amount, which depends on the market where something is charged. Everything else is not worth a correction.
    #[must_use]
    pub fn says_the_same(&self, other: &Self, rules: &Rules) -> bool {
        let market = |line: &Self| match line.toll {
            Toll::Charged(_) => line.date.and_then(|date| rules.market(line.origin, date)),
            Toll::Free(..) | Toll::Unknown(_) => None,
        };
        self.toll == other.toll
            && self.charged_at == other.charged_at
            && self.date.map(Date::month) == other.date.map(Date::month)
            && ((self.origin, self.date) == (other.origin, other.date) || market(self) == market(other))
            && self.cost == other.cost
            && self.units == other.units
    }
}

/// By which report a message became chargeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// `delivered`.
    Delivered,
    /// `read`, without a `delivered` before it.
    ReadImplied,
    /// `sent`: a reaction is never reported as delivered (rules.md 5).
    Sent,
    /// A call ended.
    CallEnded,
}

impl Trigger {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::ReadImplied => "read_implied",
            Self::Sent => "sent",
            Self::CallEnded => "call_ended",
        }
    }

    /// What made a message chargeable.
    #[must_use]
    pub const fn of(message: &Message) -> Self {
        match (&message.content, message.delivered_at, message.read_at) {
            (Some(Content::Call(_)), ..) => Self::CallEnded,
            (Some(Content::Reaction), ..) | (_, None, None) => Self::Sent,
            (_, Some(_), _) => Self::Delivered,
            (_, None, Some(_)) => Self::ReadImplied,
        }
    }
}

/// What the conversation stage decides: one line of a message's ledger, not yet priced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The message.
    pub message: MessageId,
    /// The recipient within a group.
    pub participant: Option<Participant>,
    /// The send it answers to.
    pub request: Option<RequestId>,
    /// The kind of content, if known.
    pub content: Option<&'static str>,
    /// This line's number among the message's lines.
    pub revision: u32,
    /// The line it takes back, if it is a reversal; the facts below are then that line's.
    pub reverses: Option<u32>,
    /// What it says.
    pub line: Line,
    /// What made the message chargeable.
    pub trigger: Trigger,
    /// Our own computation.
    pub prediction: Prediction,
    /// Whether the platform agrees.
    pub agreement: Agreement,
    /// The platform's word, if it has given one.
    pub pricing: Option<Pricing>,
    /// Whether the service window was open at the deciding instant.
    pub service_window: bool,
    /// Whether a free entry point window was open.
    pub free_entry_point: bool,
    /// The status that made it.
    pub status: EventId,
    /// Who was reached, where that counts towards a messaging limit.
    pub person: Option<Person>,
}
