//! The reasons of verdicts, in order of precedence.

use crate::domain::id::EventId;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $code:literal $effect:ident $platform:expr;)*) => {
        /// Why. In order of precedence: of several that hold the first is *the* reason (rules.md 3.1).
        /// Published codes are never renumbered or reused; a golden file holds list and order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All reasons, in order of precedence.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The published code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it does to the answer.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$name => Effect::$effect,)* }
            }

            /// The platform's error code for it, where there is one.
            #[must_use]
            pub const fn platform_code(self) -> Option<i32> {
                match self { $(Self::$name => $platform,)* }
            }
        }
    };
}

impl Reason {
    /// Whether it follows from what is known of accounts and templates, and not from the events alone.
    pub(super) const fn rests_on_reference(self) -> bool {
        match self {
            Self::AccountRestricted
            | Self::TemplateClassificationLimit
            | Self::CurrencyNotAccepted
            | Self::MessagingLimit
            | Self::MessagingLimitUnsure
            | Self::Throughput
            | Self::TemplateNotFound
            | Self::TemplateNotApproved
            | Self::TemplatePaused
            | Self::TemplateDisabled
            | Self::DirectSendNotEnabled
            | Self::PaymentIssue
            | Self::TemplateUnknown
            | Self::DirectSendUnknown
            | Self::ReferenceStale
            | Self::TemplateApproved
            | Self::DirectSendEnabled
            | Self::AccountScheduledForDisable
            | Self::RestrictionUnknown
            | Self::TemplateCategoryDrift => true,
            Self::RecipientIsSender
            | Self::AccountLocked
            | Self::AccessRefused
            | Self::NumberNotReady
            | Self::TemplateClassificationLimitUnsure
            | Self::DirectSendRefused
            | Self::RecipientNotAllowed
            | Self::CountryRestricted
            | Self::ThreadOwnedElsewhere
            | Self::TemplateRefused
            | Self::MarketingRefused
            | Self::MaxPriceRefused
            | Self::PaymentRefused
            | Self::Malformed
            | Self::Throttled
            | Self::IdentityConflict
            | Self::ScopedIdUnsupported
            | Self::MarketingNotInCountry
            | Self::OptedOut
            | Self::MarketingOptedOut
            | Self::OptInRequired
            | Self::ServiceWindowNeverOpened
            | Self::ServiceWindowClosed
            | Self::ServiceWindowClosesBeforeSchedule
            | Self::OneTemplateAfterWindow
            | Self::PairRate
            | Self::StaleInput
            | Self::ServiceWindowOpen
            | Self::FreeEntryPointOpen
            | Self::BudgetExceeded
            | Self::BudgetOverrun
            | Self::BudgetLow
            | Self::AllowanceLow
            | Self::NoOptInRecord
            | Self::MarketingFrequencyCap
            | Self::ExperimentHoldout
            | Self::Undeliverable
            | Self::RecipientBlocked
            | Self::ServiceWindowDisputed
            | Self::PortfolioPacing
            | Self::ScopedIdMayBeUnsupported
            | Self::FreeEntryPointProvisional => false,
        }
    }
}

/// What a reason does to the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It forbids.
    Blocks,
    /// It makes the answer uncertain.
    Doubts,
    /// It permits.
    Permits,
    /// It permits, with something to know.
    Warns,
}

reasons! {
    /// The ask cannot be understood.
    Malformed "malformed" Doubts None;
    /// More asks of this number have arrived within a second than the deployment answers.
    Throttled "throttled" Doubts None;
    /// The phone number was seen with another person's id, and whose it is now has not shown yet.
    IdentityConflict "identity_conflict" Doubts None;
    /// The account is banned, or restricted in what was asked for (rules.md 3.8).
    AccountRestricted "account_restricted" Blocks Some(131_031);
    /// The account has been found to misuse template categories, and may send neither templates nor Direct Send until the
    /// limit is lifted (rules.md 3.8).
    TemplateClassificationLimit "template_classification_limit" Blocks Some(131_064);
    /// The platform does not deliver for an account in this currency any more (rules.md 1.1).
    CurrencyNotAccepted "currency_not_accepted" Blocks None;
    /// The message would go to the number that sends it (rules.md 3.1).
    RecipientIsSender "recipient_is_sender" Blocks Some(131_021);
    /// The contact shows no phone number, and this content cannot be sent without one (rules.md 3.3).
    ScopedIdUnsupported "bsuid_unsupported" Blocks Some(131_062);
    /// The platform delivers no marketing to people in the contact's country (rules.md 3.5).
    MarketingNotInCountry "marketing_not_in_country" Blocks Some(131_049);
    /// The contact has withdrawn consent to be written to.
    OptedOut "opted_out" Blocks None;
    /// The contact has stopped marketing messages (rules.md 3.5).
    MarketingOptedOut "marketing_opted_out" Blocks Some(131_050);
    /// Nothing says that the contact agreed to be written to, and the deployment requires it.
    OptInRequired "opt_in_required" Blocks None;
    /// The contact has never written or called.
    ServiceWindowNeverOpened "service_window_never_opened" Blocks Some(131_047);
    /// The service window is closed.
    ServiceWindowClosed "service_window_closed" Blocks Some(131_047);
    /// The service window is open now and will be closed at the instant asked for.
    ServiceWindowClosesBeforeSchedule "service_window_closes_before_schedule" Blocks Some(131_047);
    /// The account's list of templates is whole, and this one is not on it.
    TemplateNotFound "template_not_found" Blocks Some(132_001);
    /// The template is not approved.
    TemplateNotApproved "template_not_approved" Blocks Some(132_001);
    /// The template is paused.
    TemplatePaused "template_paused" Blocks Some(132_015);
    /// The template is disabled.
    TemplateDisabled "template_disabled" Blocks Some(132_016);
    /// The account may not use Direct Send.
    DirectSendNotEnabled "direct_send_not_enabled" Blocks Some(100);
    /// The deployment allows one template after the window has closed, and it was sent.
    OneTemplateAfterWindow "one_template_after_window" Blocks None;
    /// The portfolio, or before 2025-10-07 the number, has reached as many people outside service windows in the last 24
    /// hours as its limit allows (rules.md 3.6).
    MessagingLimit "messaging_limit" Blocks None;
    /// The number writes to this person faster than the platform takes (rules.md 3.7).
    PairRate "pair_rate" Blocks Some(131_056);
    /// The number has sent as many messages in this second as the platform takes (rules.md 3.7).
    Throughput "throughput" Blocks Some(130_429);
    /// The message would be charged, and no payment method is on file (rules.md 3.1).
    PaymentIssue "payment_issue" Blocks Some(131_042);
    /// The deployment's budget for the month would be overrun.
    BudgetExceeded "budget_exceeded" Blocks None;
    /// The window looks closed, and an inbound event that opened it may not have been seen yet.
    StaleInput "stale_input" Doubts None;
    /// Nothing is known of the template.
    TemplateUnknown "template_unknown" Doubts None;
    /// Whether the account may use Direct Send is unknown.
    DirectSendUnknown "direct_send_unknown" Doubts None;
    /// What is known of accounts and templates may be too old: it could not be followed for a while.
    ReferenceStale "reference_stale" Doubts None;
    /// The template is approved.
    TemplateApproved "template_approved" Permits None;
    /// The service window is open.
    ServiceWindowOpen "service_window_open" Permits None;
    /// The account may use Direct Send.
    DirectSendEnabled "direct_send_enabled" Permits None;
    /// A free entry point window is open: the message is free.
    FreeEntryPointOpen "free_entry_point_open" Permits None;
    /// The account is to be disabled at a date.
    AccountScheduledForDisable "account_scheduled_for_disable" Warns None;
    /// The account is under a restriction this version does not know.
    RestrictionUnknown "restriction_unknown" Warns None;
    /// The platform has refused what the account sends, because it is locked or blocked, and nothing shows that it is not any
    /// more (rules.md 3.8).
    AccountLocked "account_locked" Warns Some(131_031);
    /// It has refused it, because the sender's access is not what it must be.
    AccessRefused "access_refused" Warns Some(131_005);
    /// It has refused what the number sends, because it is not registered, or not ready.
    NumberNotReady "number_not_ready" Warns Some(133_010);
    /// It has refused templates for misuse of their categories, so long ago that the limit may have been lifted
    /// (rules.md 3.8).
    TemplateClassificationLimitUnsure "template_classification_limit_unsure" Warns Some(131_064);
    /// It has refused Direct Send (rules.md 3.3).
    DirectSendRefused "direct_send_refused" Warns Some(139_200);
    /// The number is a test number, and the person was not on its list (rules.md 3.1).
    RecipientNotAllowed "recipient_not_allowed" Warns Some(131_030);
    /// The platform has refused what the account sends to people in the contact's country (rules.md 3.1).
    CountryRestricted "country_restricted" Warns Some(130_497);
    /// Another responder had the thread with this person.
    ThreadOwnedElsewhere "thread_owned_elsewhere" Warns Some(131_070);
    /// Nothing says that the contact agreed to be written to.
    NoOptInRecord "no_opt_in_record" Warns None;
    /// The platform has held marketing back from this person within the last day, because they have had enough of it from
    /// all businesses (rules.md 3.5).
    MarketingFrequencyCap "marketing_frequency_cap" Warns Some(131_049);
    /// The platform has held marketing back from this person for an experiment; in an open window it delivers it
    /// (rules.md 3.5).
    ExperimentHoldout "experiment_holdout" Warns Some(130_472);
    /// The last message could not be delivered to this person, and nothing has shown since that one can.
    Undeliverable "undeliverable" Warns Some(131_026);
    /// The business has blocked this person.
    RecipientBlocked "recipient_blocked" Warns Some(130_403);
    /// The service window looks open, and the platform has refused a message in it because it was closed; it is known to
    /// happen (rules.md 2.1).
    ServiceWindowDisputed "service_window_disputed" Warns Some(131_047);
    /// The platform has dropped a template that it had held back, and may stop the whole portfolio from sending
    /// (rules.md 3.4).
    PortfolioPacing "portfolio_pacing" Warns Some(135_000);
    /// The platform has refused the template for what it is or in what state it is, and nothing that is known of it tells why.
    TemplateRefused "template_refused" Warns Some(132_001);
    /// The platform has refused marketing of the account through the Cloud API.
    MarketingRefused "marketing_refused" Warns Some(131_063);
    /// It has refused the template for its max price, through this API or in the contact's country (rules.md 1.10).
    MaxPriceRefused "max_price_refused" Warns Some(131_061);
    /// As many people have been reached as the messaging limit allows, by a count that is too old to be sure of.
    MessagingLimitUnsure "messaging_limit_unsure" Warns None;
    /// The message would be charged, and the platform has refused the account's last such message for want of payment
    /// (rules.md 3.9).
    PaymentRefused "payment_refused" Warns Some(131_042);
    /// A budget of the month would be overrun that the deployment only wants to hear of.
    BudgetOverrun "budget_overrun" Warns None;
    /// Little is left of a budget of the month.
    BudgetLow "budget_low" Warns None;
    /// Few of the month's free deliveries are left.
    AllowanceLow "allowance_low" Warns None;
    /// The contact shows no phone number, and some templates of the category cannot be sent without one.
    ScopedIdMayBeUnsupported "bsuid_may_be_unsupported" Warns Some(131_062);
    /// The platform's category of the template is not the sender's, or is about to change.
    TemplateCategoryDrift "template_category_drift" Warns None;
    /// The free entry point window is our inference; the platform has not priced a message in it yet.
    FreeEntryPointProvisional "free_entry_point_provisional" Warns None;
}

/// A reason with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cited {
    /// The reason.
    pub reason: Reason,
    /// The input event it rests on, if it rests on one.
    pub evidence: Option<EventId>,
    /// The platform's or the operator's word for the fact, if there is one.
    pub fact: Option<Box<str>>,
}

impl From<Reason> for Cited {
    fn from(reason: Reason) -> Self {
        Self { reason, evidence: None, fact: None }
    }
}
