//! What a delivered message costs, or why it is free.
//!
//! Two types from the start, because two stages write the ledger. The conversation stage knows the contact,
//! its windows and the month's allowance: it decides a [`Charge`]. The ledger stage knows cards: it prices a
//! charge. A charge is never changed; a new fact gives a reversal and a new one.

mod line;
mod prediction;
mod price;

pub use self::line::{Agreement, Charge, Line, Trigger};
pub use self::prediction::{Allowance, Circumstances, Prediction, charges, confirmed, predict, wants, wants_by_word};
pub use self::price::{EntryKind, ListPrice, NoPrice, Price, PriceSource, list_price, price};
use super::content::Category;

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

/// Whether a message of this toll would cost something, as far as is known: what an account without a
/// payment method cannot send.
#[must_use]
pub const fn is_paid(toll: &Toll) -> bool {
    matches!(toll, Toll::Charged(_))
}
