//! What can happen: every input of the fold as a value, time included.
//!
//! An event is what the platform or the sender said, parsed and no more; what follows from it is the
//! fold's business. A value the platform added after this was written stays an [`Happening::Unknown`]
//! with its raw name: it is counted, and changes nothing.

use std::borrow::Cow;

use super::content::{Category, Content};
use super::id::{AccountId, EventId, GroupId, Identity, MessageId, NumberId, Participant, RequestId};
use super::identity::Rank;
use super::money::{Amount, Currency};
use super::rules::openers::InboundKind;
use super::time::{Millis, Timestamp};

/// One thing that happened to one business phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What makes it this event; equal when it is delivered again.
    pub id: EventId,
    /// The business phone number it belongs to.
    pub number: NumberId,
    /// The account the event came through, if it says.
    pub account: Option<AccountId>,
    /// When it happened. The only time the rules use.
    pub occurred_at: Timestamp,
    /// The person it concerns, if any.
    pub contact: Option<Identity>,
    /// The group it happened in, if any.
    pub group: Option<GroupId>,
    /// Whether it is folded however late it is: an operator brought it back from the dead letters.
    pub admit_late: bool,
    /// What happened.
    pub happening: Happening,
}

impl Event {
    /// Whether the platform announces a change of the person's names.
    #[must_use]
    pub const fn is_announcement(&self) -> bool {
        matches!(self.happening, Happening::IdentityChanged(_))
    }

    /// The person's names that it gives: those before a change that it announces, then those after.
    pub fn names(&self) -> impl Iterator<Item = (Rank, &str)> {
        let after = match &self.happening {
            Happening::IdentityChanged(after) => after.as_deref(),
            _ => None,
        };
        self.contact.iter().chain(after).flat_map(Identity::names)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The person wrote, reacted or called.
    Inbound(Inbound),
    /// The business wrote from the phone app: no window, no price, but an answer (rules.md 2.1).
    Echo,
    /// The person stopped or resumed marketing messages in `WhatsApp`'s own settings.
    MarketingPreference(Preference),
    /// The person gave or withdrew consent, by whatever means the business records.
    Consent(ConsentGiven),
    /// The platform announces that the person's ids changed: those they have now, if it names any. The event's own are
    /// those before.
    IdentityChanged(Option<Box<Identity>>),
    /// The person is to be forgotten.
    ContactErased,
    /// A call of the business's ended.
    CallEnded(CallEnded),
    /// Somebody asks whether a message may be sent.
    SendRequested(Ask),
    /// The platform's API took a message.
    SendAccepted(Acceptance),
    /// The platform reports on a message.
    Status(Status),
    /// Something became true of the business phone number.
    NumberFact(NumberFact),
    /// Something this version does not know, by its raw name.
    Unknown(Box<str>),
}

/// The person wrote, reacted or called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// What it was; decides whether a service window opens.
    pub kind: InboundKind,
    /// Whether it happened live, or is an old message that an import brings.
    pub live: bool,
    /// The advertisement or post it came through, if any.
    pub referral: Option<Referral>,
}

/// A call of the business's ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnded {
    /// The platform's id of the call, which names its line as a message's id names the message's.
    pub call: MessageId,
    /// How long it lasted.
    pub lasted: Lasted,
}

/// How long a call lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasted {
    /// So many seconds; none if the person did not take it.
    Seconds(u32),
    /// The person took it, and nothing says how long it lasted.
    Unknown,
}

impl Lasted {
    /// In pulses, of which a fraction counts as one (CALL); `None` for a call that nobody took.
    #[must_use]
    pub const fn call(self) -> Option<Content> {
        match self {
            Self::Seconds(0) => None,
            Self::Seconds(seconds) => Some(Content::Call(Some(seconds.div_ceil(PULSE)))),
            Self::Unknown => Some(Content::Call(None)),
        }
    }
}

/// How many seconds of a call are charged as one (CALL; rules.md 1.9).
const PULSE: u32 = 6;

/// The click that brought the person, which may open a free entry point (rules.md 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// `ad` or `post`, as the platform says.
    pub source_type: Term,
    /// Whether the person is known to have clicked on a desktop or in a browser, where no entry point opens.
    pub on_desktop: bool,
}

/// What a person chose in `WhatsApp`'s own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preference {
    /// No more marketing.
    Stop,
    /// Marketing again.
    Resume,
}

/// Consent given or withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentGiven {
    /// What it is about.
    pub scope: ConsentScope,
    /// Given, or withdrawn.
    pub given: bool,
    /// By what means: `web_form`, `keyword`, and so on; the caller's word.
    pub source: Term,
}

/// What a consent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentScope {
    /// Any message the business starts.
    All,
    /// Marketing only.
    Marketing,
}

/// A question: may this be sent?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The caller's id of the send.
    pub request: RequestId,
    /// What is to be said.
    pub content: Content,
    /// The instant to answer for, when it is not now.
    pub evaluate_for: Option<Timestamp>,
    /// How long the platform may try to deliver, if the sender sets it.
    pub time_to_live: Option<Millis>,
}

/// The API took a message: request and message are one thing from here on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The caller's id, if the sender used one.
    pub request: Option<RequestId>,
    /// The platform's id.
    pub message: MessageId,
    /// Whether the platform holds it back to judge the template first (rules.md 3.4, pacing).
    pub held: bool,
    /// What was said, repeated here so that a message without a known request can be judged.
    pub content: Option<Content>,
    /// How long the platform may try to deliver, if the sender set it.
    pub time_to_live: Option<Millis>,
}

/// The platform's report on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which message.
    pub about: About,
    /// The recipient within a group.
    pub participant: Option<Participant>,
    /// How far it got.
    pub stage: Stage,
    /// What the platform says of its price.
    pub pricing: Option<Pricing>,
    /// When the conversation the platform put it in ends, if it says.
    pub conversation_ends: Option<Timestamp>,
    /// Error codes, the first one decisive.
    pub errors: Vec<i32>,
}

/// What a status is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A message the API took.
    Message(MessageId),
    /// A send the API refused at once, so that it never had a message id.
    Request(RequestId),
}

/// How far a message got, in the order of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// On the platform's server.
    Sent,
    /// On the person's phone.
    Delivered,
    /// Seen; a voice message played counts too.
    Read,
    /// Not delivered, and never will be.
    Failed,
}

impl Stage {
    /// The platform's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Failed => "failed",
        }
    }
}

/// A word of the platform's: its raw spelling, held without allocation when it is one we know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term(Cow<'static, str>);

/// The words that `pricing`, `referral` and consent sources are made of nearly always.
const KNOWN_TERMS: [&str; 25] = [
    "PMP",
    "CBP",
    "regular",
    "free_customer_service",
    "free_entry_point",
    "free_group_customer_service",
    "marketing",
    "utility",
    "authentication",
    "service",
    "referral_conversion",
    "marketing_lite",
    "authentication-international",
    "authentication_international",
    "paid_exempt",
    "business_initiated",
    "user_initiated",
    "ad",
    "post",
    "keyword",
    "web_form",
    "user_preferences",
    "platform_error",
    "import",
    "api",
];

impl Term {
    /// A word as the platform spells it.
    #[must_use]
    pub fn new(word: &str) -> Self {
        match KNOWN_TERMS.iter().find(|known| **known == word) {
            Some(known) => Self(Cow::Borrowed(known)),
            None => Self(Cow::Owned(word.to_owned())),
        }
    }

    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The platform's `pricing` object. Every field is its own word; the normalised meaning is in the methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pricing {
    /// `PMP` or `CBP`.
    pub model: Term,
    /// `regular` or one of the `free_…` values; absent under conversation-based pricing.
    pub kind: Option<Term>,
    /// The category.
    pub category: Term,
    /// A refinement, such as `paid_exempt`.
    pub subtype: Option<Term>,
    /// The platform's `billable`; informational, because its meaning changed (rules.md 6.3).
    pub billable: Option<bool>,
    /// What the platform expects to charge, where it bids for the price; replaces the card (rules.md 1.10).
    pub cost: Option<(Amount, Currency)>,
}

/// What `pricing.type` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PricingKind {
    /// Charged.
    Regular,
    /// Free: before 2026-10-01 in the service window, since then in the monthly allowance.
    FreeCustomerService,
    /// Free: in a free entry point window.
    FreeEntryPoint,
    /// Free: in a group's service window or the monthly allowance.
    FreeGroupCustomerService,
}

impl PricingKind {
    /// The platform's word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Regular => "regular",
            Self::FreeCustomerService => "free_customer_service",
            Self::FreeEntryPoint => "free_entry_point",
            Self::FreeGroupCustomerService => "free_group_customer_service",
        }
    }
}

impl Pricing {
    /// The meaning of `type`; `None` if absent or unknown to this version.
    #[must_use]
    pub fn pricing_kind(&self) -> Option<PricingKind> {
        match self.kind.as_ref()?.as_str() {
            "regular" => Some(PricingKind::Regular),
            "free_customer_service" => Some(PricingKind::FreeCustomerService),
            "free_entry_point" => Some(PricingKind::FreeEntryPoint),
            "free_group_customer_service" => Some(PricingKind::FreeGroupCustomerService),
            _ => None,
        }
    }

    /// Whether it is the price of a conversation and not of a message.
    #[must_use]
    pub fn is_of_conversation(&self) -> bool {
        self.model.as_str() == "CBP"
    }

    /// The normalised category.
    #[must_use]
    pub fn category(&self) -> Category {
        Category::parse(self.category.as_str())
    }

    /// Whether the platform exempts the message from its price (rules.md 1.7).
    #[must_use]
    pub fn is_paid_exempt(&self) -> bool {
        self.subtype.as_ref().is_some_and(|subtype| subtype.as_str() == "paid_exempt")
    }
}

/// Something that became true of a business phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NumberFact {
    /// It is under a restriction, by the platform's name (rules.md 3.8), until an instant if that is known.
    Restriction {
        /// The platform's name.
        name: Box<str>,
        /// The first instant after it.
        until: Option<Timestamp>,
    },
    /// The number is used from the phone app as well, since the event's time: what came before opens no
    /// window (rules.md 2.1, coexistence).
    Coexistence,
}
