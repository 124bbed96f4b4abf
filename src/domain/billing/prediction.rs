//! What the rules say a message costs, and what they make of the platform's own word.

use super::{FreeReason, Toll, Unpriced};
use crate::domain::content::{Category, Content};
use crate::domain::conversation::{ConversationKind, Role, Wants};
use crate::domain::event::{Pricing, PricingKind};
use crate::domain::reference::{Account, Country};
use crate::domain::rules::eras::{
    Charges, ConversationTerms, Era, FreeConversations, MessageTerms, ServicePrice, ToldApartBy,
};
use crate::domain::rules::markets::Origin;
use crate::domain::rules::{EraAt, Rules};
use crate::domain::time::{Days, Month, Timestamp};

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
    let toll = match (used_before < limit, is_exempt(terms, circumstances.account, days)) {
        (true, _) => free,
        (false, true) => Toll::Free(FreeReason::PaidExempt, Category::Service),
        (false, false) => Toll::Charged(Category::Service),
    };
    let consumed = toll.is_free_service();
    Prediction { toll, rule: era.name, allowance: Some(Allowance { month, limit, used_before, consumed }) }
}

/// Whether what is no template is free beyond the allowance, because of whose account it is (rules.md 1.7).
fn is_exempt(terms: &MessageTerms, account: &Account, days: Days) -> bool {
    account.exempt && terms.exempt_service_until.is_some_and(|until| days.last < until)
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
    let toll = match (pricing.pricing_kind(), category) {
        (_, category) if pricing.is_of_conversation() => return conversation(rules, category, circumstances, used),
        (None, _) => {
            let kind = pricing.kind.as_ref().map_or("", |kind| kind.as_str());
            Toll::Unknown(Unpriced::PricingTypeUnknown(kind.into()))
        }
        (Some(_), Category::Unknown(raw)) => Toll::Unknown(Unpriced::CategoryUnknown(raw)),
        // That it is exempt the platform may say, or not (rules.md 1.7).
        (Some(PricingKind::Regular), Category::Service)
            if is_exempt_by(rules, circumstances.account, circumstances.days) =>
        {
            Toll::Free(FreeReason::PaidExempt, Category::Service)
        }
        (Some(PricingKind::Regular), category) => Toll::Charged(category),
        (Some(PricingKind::FreeCustomerService), category) => Toll::Free(FreeReason::FreeCustomerService, category),
        (Some(PricingKind::FreeEntryPoint), category) => Toll::Free(FreeReason::FreeEntryPoint, category),
        (Some(PricingKind::FreeGroupCustomerService), category) => {
            Toll::Free(FreeReason::FreeGroupCustomerService, category)
        }
    };
    let allowance = allowance_of(rules, &toll, circumstances, used);
    (toll, allowance)
}

/// The same by the rules of the day.
fn is_exempt_by(rules: &Rules, account: &Account, days: Days) -> bool {
    let EraAt::Era(era) = rules.era(days) else {
        return false;
    };
    era.messages().is_some_and(|terms| is_exempt(terms, account, days))
}

/// Whether a word of the platform's charges for a message by itself; `days` are those of the word.
#[must_use]
pub fn charges(rules: &Rules, account: &Account, pricing: &Pricing, days: impl FnOnce() -> Days) -> bool {
    if pricing.is_of_conversation() || pricing.is_paid_exempt() || pricing.pricing_kind() != Some(PricingKind::Regular)
    {
        return false;
    }
    match pricing.category() {
        Category::Unknown(_) => false,
        Category::Service if account.exempt => !is_exempt_by(rules, account, days()),
        _ => true,
    }
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
        // before, seen or not. That it is paid with that holds for utility, and for what is no template (rules.md 1.5).
        (_, Some((_, Charges::Messages(_)))) if category.is_marketing() || category.is_authentication() => {
            (Toll::Charged(category), None)
        }
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
