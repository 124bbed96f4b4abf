//! What a delivered message costs, or why it is free.
//!
//! Two types from the start, because two stages write the ledger. The conversation stage knows the contact,
//! its windows and the month's allowance: it decides a [`Charge`]. The ledger stage knows cards: it prices a
//! charge. A charge is never changed; a new fact gives a reversal and a new one.

use std::sync::Arc;

use super::content::{Category, Content};
use super::conversation::{ConversationKind, Role, Wants};
use super::event::{Pricing, PricingKind};
use super::id::{EventId, MessageId, Participant, RequestId};
use super::ledger::usage::Person;
use super::message::Message;
use super::money::{Amount, Currency};
use super::reference::{Account, Country};
use super::rules::cards::{Cards, Column};
use super::rules::eras::{Charges, ConversationTerms, Era, FreeConversations, MessageTerms, ServicePrice, ToldApartBy};
use super::rules::markets::{Market, Origin};
use super::rules::{EraAt, Rules};
use super::time::{Date, Days, Month, Timestamp};

/// What a message costs, before any price is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toll {
    /// It is charged, in this category.
    Charged(Category),
    /// It is free.
    Free(FreeReason, Category),
    /// It cannot be told, and is never guessed at.
    Unknown(Unpriced),
}

/// Why a message is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeReason {
    /// It was sent in a free entry point window.
    FreeEntryPoint,
    /// Until 2026-09-30 it was sent in the service window; since then it is within the month's allowance.
    FreeCustomerService,
    /// As above, in a group.
    FreeGroupCustomerService,
    /// It is a reaction.
    Reaction,
    /// The platform exempts the account (rules.md 1.7).
    PaidExempt,
    /// It belongs to a conversation that was open, and that has been paid for (rules.md 1.3, 1.4).
    InConversation,
    /// It opened one of the month's free conversations, or a service conversation when all of these were free.
    FreeTier,
    /// Before 2022-02-01 it was no template (rules.md 1.2).
    SessionMessage,
    /// Before 2026-08-01 it was written by the platform's own agent (rules.md 1.7).
    AgentMessage,
}

impl FreeReason {
    /// The name on outputs; the platform's own where it has one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FreeEntryPoint => "free_entry_point",
            Self::FreeCustomerService => "free_customer_service",
            Self::FreeGroupCustomerService => "free_group_customer_service",
            Self::Reaction => "reaction",
            Self::PaidExempt => "paid_exempt",
            Self::InConversation => "in_conversation",
            Self::FreeTier => "free_tier",
            Self::SessionMessage => "session_message",
            Self::AgentMessage => "agent_message",
        }
    }

    /// Whether a message that is free for it stands on the bill at all.
    #[must_use]
    pub const fn is_billed(self) -> bool {
        !matches!(self, Self::SessionMessage | Self::AgentMessage)
    }
}

/// Why it cannot be told what a message costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpriced {
    /// It is older than the first rules.
    BeforeFirstEra,
    /// Its day or month depends on the account's time zone, which is unknown.
    TimeZoneUnknown,
    /// Nothing says what the message was, and the platform has not priced it.
    ContentUnknown,
    /// The template's category is unknown.
    TemplateUnknown,
    /// The platform names a category this version does not know.
    CategoryUnknown(Box<str>),
    /// The platform names a pricing type this version does not know.
    PricingTypeUnknown(Box<str>),
    /// It depends on the recipient's country, which is unknown.
    MarketUnknown,
    /// It is a call, and nothing says how long it lasted.
    DurationUnknown,
}

impl Unpriced {
    /// The name on outputs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BeforeFirstEra => "before_first_era",
            Self::TimeZoneUnknown => "time_zone_unknown",
            Self::ContentUnknown => "content_unknown",
            Self::TemplateUnknown => "template_unknown",
            Self::CategoryUnknown(_) => "category_unknown",
            Self::PricingTypeUnknown(_) => "pricing_type_unknown",
            Self::MarketUnknown => "market_unknown",
            Self::DurationUnknown => "duration_unknown",
        }
    }
}

impl Toll {
    /// The category, if there is one; the raw name of one that is unknown.
    #[must_use]
    pub fn category(&self) -> Option<&str> {
        match self {
            Self::Charged(category) | Self::Free(_, category) => Some(category.name()),
            Self::Unknown(Unpriced::CategoryUnknown(raw)) => Some(raw),
            Self::Unknown(_) => None,
        }
    }

    /// The platform's pricing type for it, if it has one.
    #[must_use]
    pub const fn pricing_type(&self) -> Option<&'static str> {
        match self {
            Self::Charged(_) => Some("regular"),
            Self::Free(
                reason @ (FreeReason::FreeEntryPoint
                | FreeReason::FreeCustomerService
                | FreeReason::FreeGroupCustomerService),
                _,
            ) => Some(reason.name()),
            Self::Free(..) | Self::Unknown(_) => None,
        }
    }

    /// Whether it takes one of the month's free deliveries, in an era that has an allowance.
    const fn is_free_service(&self) -> bool {
        matches!(
            self,
            Self::Free(
                FreeReason::FreeCustomerService | FreeReason::FreeGroupCustomerService,
                Category::Service | Category::GroupService
            )
        )
    }
}

/// A free delivery of the month: how many there are, and how many were used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The month, in the account's zone.
    pub month: Month,
    /// How many deliveries are free.
    pub limit: u32,
    /// How many were used before this message.
    pub used_before: u32,
    /// Whether this message takes one.
    pub consumed: bool,
}

/// All that decides what a message costs.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// What it says; `None` for a message of which only statuses were seen.
    pub content: Option<&'a Content>,
    /// The category of its template at the time of use, by the platform's record or else the sender's word.
    pub template_category: Option<&'a Category>,
    /// Whether it goes to a group.
    pub in_group: bool,
    /// Whether the service window was open at the deciding instant.
    pub service_window: bool,
    /// Whether a free entry point window was open.
    pub free_entry_point: bool,
    /// What it is to the contact's conversations.
    pub role: Option<Role>,
    /// The charge instant.
    pub charged_at: Timestamp,
    /// The days the charge instant may fall on.
    pub days: Days,
    /// Where the recipient is.
    pub origin: Origin,
    /// What is known of the account.
    pub account: &'a Account,
}

/// What the rules say a message costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// What it costs.
    pub toll: Toll,
    /// The row that says so.
    pub rule: &'static str,
    /// The allowance that was looked at, if one was.
    pub allowance: Option<Allowance>,
}

impl Prediction {
    const fn because(toll: Toll, rule: &'static str) -> Self {
        Self { toll, rule, allowance: None }
    }
}

/// What a message asks of the conversations it finds; nothing where the rules of its day charge none, or where it
/// cannot be told. `answers` says whether it was sent while the service window was open.
#[must_use]
pub fn wants(
    rules: &Rules,
    days: Days,
    content: &Content,
    template_category: Option<&Category>,
    answers: bool,
) -> Option<Wants> {
    let EraAt::Era(era) = rules.era(days) else {
        return None;
    };
    let kind = match content {
        Content::Reaction | Content::Agent | Content::Call(_) => return None,
        Content::Freeform => Some(ConversationKind::Service),
        Content::Template(_) => template_category.and_then(ConversationKind::of),
        Content::DirectSend(category) => ConversationKind::of(category),
    };
    match &era.charges {
        Charges::Notifications => None,
        Charges::Conversations(terms) => match terms.told_apart_by {
            ToldApartBy::Initiator if answers => Some(ConversationKind::UserInitiated),
            ToldApartBy::Initiator => Some(ConversationKind::BusinessInitiated),
            ToldApartBy::Category => kind,
        }
        .map(|kind| Wants {
            kind,
            any: terms.told_apart_by == ToldApartBy::Initiator || matches!(content, Content::Freeform),
            opens: true,
        }),
        // Utility alone has a published rule for a conversation that is open when its era ends (rules.md 1.5).
        Charges::Messages(_) => (kind == Some(ConversationKind::Utility) && rules.may_span(era, days))
            .then_some(Wants { kind: ConversationKind::Utility, any: false, opens: false }),
    }
}

/// What the platform's word on a conversation asks of the conversations known: it joins one of that name, or opens it.
#[must_use]
pub fn wants_by_word(pricing: &Pricing) -> Option<Wants> {
    let kind = ConversationKind::of(&pricing.category())?;
    Some(Wants { kind, any: kind.is_by_initiator(), opens: true })
}

/// What the rules say a message costs. `used` tells how many free deliveries of a month are used up.
#[must_use]
pub fn predict(rules: &Rules, circumstances: Circumstances<'_>, used: impl Fn(Month) -> u32) -> Prediction {
    let Circumstances { content, template_category, in_group, free_entry_point, role, days, .. } = circumstances;
    let because = Prediction::because;
    let Some(content) = content else {
        return because(Toll::Unknown(Unpriced::ContentUnknown), "none");
    };
    // A reaction is free in every era (rules.md 5), so neither day nor zone matters.
    if matches!(content, Content::Reaction) {
        return because(Toll::Free(FreeReason::Reaction, Category::Service), "reaction");
    }
    // And so is a call charged, whatever windows are open.
    if let Content::Call(pulses) = content {
        let toll = match pulses {
            Some(_) => Toll::Charged(Category::Call),
            None => Toll::Unknown(Unpriced::DurationUnknown),
        };
        return because(toll, "call");
    }
    let era = match rules.era(days) {
        EraAt::Era(era) => era,
        EraAt::BeforeFirst => return because(Toll::Unknown(Unpriced::BeforeFirstEra), "none"),
        EraAt::ZoneUnknown => return because(Toll::Unknown(Unpriced::TimeZoneUnknown), "none"),
    };
    // An agent's tokens are charged even in a free entry point window (rules.md 1.11, reason order).
    if matches!(content, Content::Agent) {
        let toll = match rules.charges_agent(days) {
            Some(true) => Toll::Charged(Category::Tokens),
            Some(false) => Toll::Free(FreeReason::AgentMessage, Category::Service),
            None => Toll::Unknown(Unpriced::TimeZoneUnknown),
        };
        return because(toll, era.name);
    }
    let is_template = matches!(content, Content::Template(_) | Content::DirectSend(_));
    if era.charges == Charges::Notifications {
        let toll = if is_template {
            Toll::Charged(Category::Notification)
        } else {
            Toll::Free(FreeReason::SessionMessage, Category::Service)
        };
        return because(toll, era.name);
    }
    if free_entry_point {
        return because(Toll::Free(FreeReason::FreeEntryPoint, Category::ReferralConversion), era.name);
    }
    if let Some(Role::Joined(kind)) = role {
        return because(Toll::Free(FreeReason::InConversation, kind.category()), era.name);
    }
    let prediction = match (&era.charges, role) {
        (Charges::Conversations(terms), Some(Role::Opened(kind))) => opened(era, terms, kind, &circumstances, used),
        (Charges::Messages(terms), _) => message(rules, era, terms, content, &circumstances, used),
        (Charges::Notifications | Charges::Conversations(_), _) => {
            let why = match template_category {
                Some(Category::Unknown(raw)) => Unpriced::CategoryUnknown(raw.clone()),
                _ => Unpriced::TemplateUnknown,
            };
            because(Toll::Unknown(why), era.name)
        }
    };
    match prediction.toll {
        Toll::Charged(Category::Authentication) => Prediction { toll: passcode(rules, &circumstances), ..prediction },
        Toll::Charged(category) if in_group => Prediction { toll: Toll::Charged(category.in_group()), ..prediction },
        Toll::Free(FreeReason::FreeCustomerService, category) if in_group => {
            Prediction { toll: Toll::Free(FreeReason::FreeGroupCustomerService, category.in_group()), ..prediction }
        }
        toll => Prediction { toll, ..prediction },
    }
}

/// What a message costs that opens a conversation.
fn opened(
    era: &'static Era,
    terms: &ConversationTerms,
    kind: ConversationKind,
    circumstances: &Circumstances<'_>,
    used: impl Fn(Month) -> u32,
) -> Prediction {
    let days = circumstances.days;
    let is_service = kind == ConversationKind::Service;
    let limit = match terms.free {
        FreeConversations::Service if is_service => {
            return Prediction::because(Toll::Free(FreeReason::FreeTier, kind.category()), era.name);
        }
        FreeConversations::Service => None,
        FreeConversations::ServiceUpTo(limit) => is_service.then_some(limit),
        FreeConversations::UpTo { limit, business_initiated_until, business_initiated_until_with_partner } => {
            let partner = circumstances.account.partner_served;
            let until = if partner { business_initiated_until_with_partner } else { business_initiated_until };
            (kind == ConversationKind::UserInitiated || days.last < until).then_some(limit)
        }
    };
    let Some(limit) = limit else {
        return Prediction::because(Toll::Charged(kind.category()), era.name);
    };
    let month = days.first.month();
    if month != days.last.month() {
        return Prediction::because(Toll::Unknown(Unpriced::TimeZoneUnknown), era.name);
    }
    let used_before = used(month);
    let consumed = used_before < limit;
    let toll =
        if consumed { Toll::Free(FreeReason::FreeTier, kind.category()) } else { Toll::Charged(kind.category()) };
    Prediction { toll, rule: era.name, allowance: Some(Allowance { month, limit, used_before, consumed }) }
}

/// What a message costs in an era that charges by the message.
fn message(
    rules: &Rules,
    era: &'static Era,
    terms: &MessageTerms,
    content: &Content,
    circumstances: &Circumstances<'_>,
    used: impl Fn(Month) -> u32,
) -> Prediction {
    let category = match content {
        Content::Template(_) => circumstances.template_category,
        Content::DirectSend(category) => Some(category),
        Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => Some(&Category::Service),
    };
    let toll = match category {
        None => Toll::Unknown(Unpriced::TemplateUnknown),
        Some(Category::Unknown(raw)) => Toll::Unknown(Unpriced::CategoryUnknown(raw.clone())),
        Some(Category::Service) if circumstances.account.ai_provider => {
            return ai_provider(rules, era, terms, circumstances, used);
        }
        Some(Category::Service) => return service(era, terms, circumstances, used),
        Some(Category::Utility) if circumstances.service_window && rules.utility_in_window_free(terms) => {
            Toll::Free(FreeReason::FreeCustomerService, Category::Utility)
        }
        Some(category) => Toll::Charged(category.clone()),
    };
    Prediction::because(toll, era.name)
}

/// What an answer of a provider of artificial intelligence costs (rules.md 1.8). The changes of 2026-10-01 do not apply
/// to it: where it is not charged it is free, and takes nothing of the month's allowance.
fn ai_provider(
    rules: &Rules,
    era: &'static Era,
    terms: &MessageTerms,
    circumstances: &Circumstances<'_>,
    used: impl Fn(Month) -> u32,
) -> Prediction {
    let Some(country) = circumstances.origin.country() else {
        return Prediction::because(Toll::Unknown(Unpriced::MarketUnknown), era.name);
    };
    let toll = match (rules.charges_ai_provider(country, circumstances.days), terms.service) {
        (Some(true), _) => Toll::Charged(Category::GeneralPurposeAi),
        (Some(false), ServicePrice::Free) => return service(era, terms, circumstances, used),
        (Some(false), ServicePrice::FreeUpTo(_)) => Toll::Free(FreeReason::FreeCustomerService, Category::Service),
        (None, _) => Toll::Unknown(Unpriced::TimeZoneUnknown),
    };
    Prediction::because(toll, era.name)
}

/// What a message costs that is no template.
fn service(
    era: &'static Era,
    terms: &MessageTerms,
    circumstances: &Circumstances<'_>,
    used: impl Fn(Month) -> u32,
) -> Prediction {
    let days = circumstances.days;
    let free = Toll::Free(FreeReason::FreeCustomerService, Category::Service);
    let limit = match terms.service {
        ServicePrice::Free => return Prediction::because(free, era.name),
        ServicePrice::FreeUpTo(limit) => limit,
    };
    let month = days.first.month();
    if month != days.last.month() {
        return Prediction::because(Toll::Unknown(Unpriced::TimeZoneUnknown), era.name);
    }
    let used_before = used(month);
    let exempt = circumstances.account.exempt && terms.exempt_service_until.is_some_and(|until| days.last < until);
    let toll = match (used_before < limit, exempt) {
        (true, _) => free,
        (false, true) => Toll::Free(FreeReason::PaidExempt, Category::Service),
        (false, false) => Toll::Charged(Category::Service),
    };
    let consumed = toll.is_free_service();
    Prediction { toll, rule: era.name, allowance: Some(Allowance { month, limit, used_before, consumed }) }
}

/// At which of its two rates a passcode is charged (rules.md 1.6).
fn passcode(rules: &Rules, circumstances: &Circumstances<'_>) -> Toll {
    let Circumstances { charged_at, days, origin, account, .. } = *circumstances;
    let eligible =
        |country: &&str| Country::parse(country).is_some_and(|country| account.pays_international(country, charged_at));
    match origin.country().filter(eligible).map(|country| rules.has_international_rate(country, days)) {
        Some(Some(true)) => Toll::Charged(Category::AuthenticationInternational),
        Some(None) => Toll::Unknown(Unpriced::TimeZoneUnknown),
        Some(Some(false)) | None => Toll::Charged(Category::Authentication),
    }
}

/// What the platform says a message costs, by its `pricing` object. Of a conversation's price it says the category, and
/// whether it is an entry point's; whether the message opened the conversation, `circumstances.role` says.
#[must_use]
pub fn confirmed(
    rules: &Rules,
    pricing: &Pricing,
    circumstances: &Circumstances<'_>,
    used: impl Fn(Month) -> u32,
) -> (Toll, Option<Allowance>) {
    let category = pricing.category();
    if pricing.is_paid_exempt() {
        return (Toll::Free(FreeReason::PaidExempt, category), None);
    }
    let toll = match (pricing.pricing_kind(), &pricing.kind) {
        _ if pricing.is_of_conversation() => return conversation(rules, category, circumstances, used),
        (Some(PricingKind::Regular), _) => match category {
            Category::Unknown(raw) => Toll::Unknown(Unpriced::CategoryUnknown(raw)),
            category => Toll::Charged(category),
        },
        (Some(PricingKind::FreeCustomerService), _) => Toll::Free(FreeReason::FreeCustomerService, category),
        (Some(PricingKind::FreeEntryPoint), _) => Toll::Free(FreeReason::FreeEntryPoint, category),
        (Some(PricingKind::FreeGroupCustomerService), _) => Toll::Free(FreeReason::FreeGroupCustomerService, category),
        (None, kind) => {
            let kind = kind.as_ref().map_or("", |kind| kind.as_str());
            Toll::Unknown(Unpriced::PricingTypeUnknown(kind.into()))
        }
    };
    let allowance = allowance_of(rules, &toll, circumstances, used);
    (toll, allowance)
}

/// What the platform's word on a conversation makes a message cost.
fn conversation(
    rules: &Rules,
    category: Category,
    circumstances: &Circumstances<'_>,
    used: impl Fn(Month) -> u32,
) -> (Toll, Option<Allowance>) {
    if let Category::Unknown(raw) = category {
        return (Toll::Unknown(Unpriced::CategoryUnknown(raw)), None);
    }
    if category == Category::ReferralConversion {
        return (Toll::Free(FreeReason::FreeEntryPoint, category), None);
    }
    let era = match rules.era(circumstances.days) {
        EraAt::Era(era) => Some(era),
        EraAt::BeforeFirst | EraAt::ZoneUnknown => None,
    };
    match (circumstances.role, era.map(|era| (era, &era.charges))) {
        // Since messages are charged one by one, a conversation is named for a message only that belongs to one opened
        // before, seen or not (rules.md 1.5).
        (Some(Role::Joined(_)), _) | (_, Some((_, Charges::Messages(_)))) => {
            (Toll::Free(FreeReason::InConversation, category), None)
        }
        (Some(Role::Opened(kind)), Some((era, Charges::Conversations(terms)))) => {
            let Prediction { toll, allowance, .. } = opened(era, terms, kind, circumstances, used);
            let international = category == Category::AuthenticationInternational;
            (if international { Toll::Charged(category) } else { toll }, allowance)
        }
        (_, _) => (Toll::Charged(category), None),
    }
}

/// The allowance a confirmed toll takes from, by the same rule rows.
fn allowance_of(
    rules: &Rules,
    toll: &Toll,
    circumstances: &Circumstances<'_>,
    used: impl Fn(Month) -> u32,
) -> Option<Allowance> {
    let days = circumstances.days;
    let EraAt::Era(era) = rules.era(days) else {
        return None;
    };
    let ServicePrice::FreeUpTo(limit) = era.messages()?.service else {
        return None;
    };
    let month = days.first.month();
    let charged = matches!(toll, Toll::Charged(Category::Service | Category::GroupService));
    let counts = (toll.is_free_service() && !circumstances.account.ai_provider) || charged;
    (counts && month == days.last.month()).then(|| Allowance {
        month,
        limit,
        used_before: used(month),
        consumed: toll.is_free_service(),
    })
}

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
    /// amount. Everything else is not worth a correction.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.toll == other.toll
            && self.charged_at == other.charged_at
            && self.date.map(Date::month) == other.date.map(Date::month)
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

/// Why an amount is unknown although the toll is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPrice {
    /// The account is unknown, or its time zone is.
    TimeZoneUnknown,
    /// The account's currency is unknown.
    CurrencyUnknown,
    /// No card for the currency and day is loaded.
    NoRateCard,
    /// The recipient's country is unknown.
    MarketUnknown,
    /// The card has no rate for the market and category.
    NoRate,
    /// It is charged by the token, and no report tells how many there were.
    TokensUnknown,
}

impl NoPrice {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TimeZoneUnknown => "time_zone_unknown",
            Self::CurrencyUnknown => "currency_unknown",
            Self::NoRateCard => "no_rate_card",
            Self::MarketUnknown => "market_unknown",
            Self::NoRate => "no_rate",
            Self::TokensUnknown => "tokens_unknown",
        }
    }
}

/// What one message costs by a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPrice {
    /// What one message costs.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// The card's name.
    pub card: Arc<str>,
}

/// The list price of a category for a recipient on a day.
///
/// # Errors
/// Which fact is missing; the first one that an operator has to supply.
pub fn list_price(
    rules: &Rules,
    cards: &Cards,
    date: Option<Date>,
    currency: Option<Currency>,
    origin: Origin,
    category: &Category,
) -> Result<ListPrice, NoPrice> {
    if *category == Category::Tokens {
        return Err(NoPrice::TokensUnknown);
    }
    let date = date.ok_or(NoPrice::TimeZoneUnknown)?;
    let currency = currency.ok_or(NoPrice::CurrencyUnknown)?;
    let market = rules.market(origin, date).ok_or(NoPrice::MarketUnknown)?;
    let card = cards.in_force(currency, rules.card_date(date)).ok_or(NoPrice::NoRateCard)?;
    let column = Column::of(category).ok_or(NoPrice::NoRate)?;
    let amount = card.rate(market, column).ok_or(NoPrice::NoRate)?;
    Ok(ListPrice { amount, currency, card: Arc::clone(&card.name) })
}

/// The kinds of ledger line a single message can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Something to pay.
    Charge,
    /// Nothing to pay, and why.
    Free,
    /// It cannot be told what there is to pay.
    Unknown,
    /// An earlier line taken back.
    Reversal,
}

impl EntryKind {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Charge => "CHARGE",
            Self::Free => "FREE",
            Self::Unknown => "UNKNOWN",
            Self::Reversal => "REVERSAL",
        }
    }
}

/// What the ledger stage adds to a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The kind of line.
    pub kind: EntryKind,
    /// The market, if the recipient's country and the day are known.
    pub market: Option<Market>,
    /// What there is to pay: negative on a reversal, nothing where it is unknown.
    pub amount: Option<Amount>,
    /// The currency of the amount.
    pub currency: Option<Currency>,
    /// Where the amount comes from.
    pub source: PriceSource,
}

/// Where an amount comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceSource {
    /// From a card's list rate.
    Card(Arc<str>),
    /// The platform named it.
    Platform,
    /// Nothing is charged, so no price was looked up.
    Free,
    /// The toll itself is unknown.
    TollUnknown,
    /// A fact is missing.
    Missing(NoPrice),
}

/// Prices a line at list; `reverses` says that it takes an earlier one back.
#[must_use]
pub fn price(line: &Line, reverses: bool, rules: &Rules, cards: &Cards) -> Price {
    let Line { date, currency, origin, cost, units, .. } = *line;
    let (kind, amount, currency, source) = match (&line.toll, cost) {
        (Toll::Unknown(_), _) => (EntryKind::Unknown, None, currency, PriceSource::TollUnknown),
        (Toll::Free(..), _) => (EntryKind::Free, Some(Amount::ZERO), currency, PriceSource::Free),
        (Toll::Charged(_), Some((amount, currency))) => {
            (EntryKind::Charge, Some(amount), Some(currency), PriceSource::Platform)
        }
        (Toll::Charged(category), None) => match list_price(rules, cards, date, currency, origin, category) {
            // What does not fit into an amount is no price.
            Ok(price) => match price.amount.times(units.into()) {
                Some(amount) => (EntryKind::Charge, Some(amount), Some(price.currency), PriceSource::Card(price.card)),
                None => (EntryKind::Unknown, None, currency, PriceSource::Missing(NoPrice::NoRate)),
            },
            Err(missing) => (EntryKind::Unknown, None, currency, PriceSource::Missing(missing)),
        },
    };
    let market = date.and_then(|date| rules.market(origin, date));
    let (kind, amount) = if reverses { (EntryKind::Reversal, amount.map(Amount::reversed)) } else { (kind, amount) };
    Price { kind, market, amount, currency, source }
}

/// Whether a message of this toll would cost something, as far as is known: what an account without a
/// payment method cannot send.
#[must_use]
pub const fn is_paid(toll: &Toll) -> bool {
    matches!(toll, Toll::Charged(_))
}
