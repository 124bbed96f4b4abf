//! May this be sent? The answer, its reasons in order of precedence, and what else is possible.
//!
//! A refusal is an answer, not an error, and "we cannot tell" is not a refusal. Nothing here changes
//! anything: the same question twice has the same answer.

mod refused;
mod used;

use super::billing::{self, Allowance, Circumstances, FreeReason, ListPrice, NoPrice, Prediction, Toll};
use super::contact::{Choice, Contact, RefusedFor};
use super::content::{Category, Content, Template};
use super::conversation::Role;
use super::entry_point::{ExpirySource, Looks};
use super::event::Ask;
use super::id::{EventId, RequestId, WaId};
use super::in_flight::Uses;
use super::number::Number;
use super::policy::{Context, NoOptIn};
use super::reference::{Account, Country, TemplateView};
use super::rules::markets::{Market, Origin};
use super::rules::restrictions::{self, Standing};
use super::rules::templates::{Pause, TemplateState};
use super::rules::{currencies, errors};
use super::time::{Days, Month, Timestamp};
use super::window::WindowAt;
pub use used::{BudgetUse, Limits};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// Send it.
    Allowed,
    /// Do not: the platform would refuse it, or the deployment's own policy does.
    Blocked,
    /// It cannot be told.
    Unknown,
}

impl Answer {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }
}

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
    const fn rests_on_reference(self) -> bool {
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

/// The answer to one ask, with all it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The caller's id.
    pub request: RequestId,
    /// What was judged.
    pub content: Content,
    /// What is known of the template, if it was one.
    pub template: Option<TemplateView>,
    /// The answer.
    pub answer: Answer,
    /// The reasons for the answer, in order of precedence; the first is *the* reason. Never empty.
    pub reasons: Vec<Cited>,
    /// What to know besides.
    pub warnings: Vec<Cited>,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// The instant it is answered for.
    pub evaluate_for: Timestamp,
    /// Until when the answer holds if nothing happens; `None` if no edge is known.
    pub valid_until: Option<Timestamp>,
    /// The windows at that instant.
    pub windows: Windows,
    /// What it would cost.
    pub price: Preview,
    /// What else is possible, cheapest first.
    pub alternatives: Vec<Alternative>,
    /// What the contact has agreed to or refused: to be written to, and marketing.
    pub consent: (Option<Choice>, Option<Choice>),
    /// What is used of the limits that apply.
    pub limits: Limits,
    /// The greatest `learned_at` of the reference facts used.
    pub reference_watermark: Option<Timestamp>,
}

/// The windows at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The service window.
    pub service: WindowAt,
    /// The event that opened it, if it is the present one.
    pub service_opened_by: Option<EventId>,
    /// Until when a click may be answered.
    pub eligible_until: Option<Timestamp>,
    /// The free entry point window, if it is open.
    pub free: Option<FreeView>,
}

/// A free entry point window as a verdict shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeView {
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Where its end was learned.
    pub expiry: ExpirySource,
    /// Whether the platform has confirmed it.
    pub confirmed: bool,
}

/// What a message would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The decision.
    pub toll: Toll,
    /// The rule row.
    pub rule: &'static str,
    /// The allowance looked at.
    pub allowance: Option<Allowance>,
    /// How many sends on their way may take one of its free deliveries before this message; nothing where they are not
    /// counted.
    pub in_flight: Option<u32>,
    /// The market, if known.
    pub market: Option<Market>,
    /// The list price where the message is charged.
    pub price: Option<Result<ListPrice, NoPrice>>,
}

/// Something else that may be sent, and what it would cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// The kind of content.
    pub content: &'static str,
    /// The category of the template or the Direct Send.
    pub category: Option<Category>,
    /// What it would cost.
    pub price: Preview,
}

/// Who is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The business phone number.
    pub number: &'a Number,
    /// The contact.
    pub contact: &'a Contact,
    /// The phone number that the ask names.
    pub phone: Option<&'a WaId>,
    /// What is known of the sending account.
    pub account: &'a Account,
}

impl Known<'_> {
    /// The service window at an instant, with the safety margin of the deployment's policy.
    fn service_at(&self, context: &Context<'_>, at: Timestamp) -> WindowAt {
        match self.contact.window.at(at, self.number.coexistence_since) {
            WindowAt::Open(span) if span.end - context.policy.margin <= at => {
                WindowAt::Closed(span.end - context.policy.margin)
            }
            window => window,
        }
    }

    /// When the person can be written to again, if not at an instant.
    fn waits_until(&self, context: &Context<'_>, at: Timestamp) -> Option<Timestamp> {
        self.contact.burst.filter(|_| context.policy.pair_rate)?.holds_back(at)
    }

    /// Whether the number may send one more message in the second of an instant; nothing where no fact tells.
    fn throughput_ok(&self, at: Timestamp) -> Option<bool> {
        self.account.throughput.map(|limit| self.number.sends.at(at) < limit)
    }

    fn template(&self, context: &Context<'_>, template: &Template, at: Timestamp) -> Option<TemplateView> {
        let account = self.account.id.as_ref()?;
        let mut view = context.reference.template(account, template, at)?;
        let paced = self
            .number
            .paced
            .iter()
            .find(|pause| pause.name == template.name && pause.language == template.language && pause.since <= at);
        if context.policy.pacing_told_by_failures
            && paced.is_some_and(|pause| context.reference.paused_by_pacing(account, template, pause.since, at))
        {
            view.state = Some(TemplateState::Paused(Pause::UntilUnpaused));
        }
        Some(view)
    }

    /// What content of a category would cost at an instant.
    fn preview(
        &self,
        context: &Context<'_>,
        content: &Content,
        category: Option<&Category>,
        (asked_at, at): (Timestamp, Timestamp),
    ) -> Preview {
        let Self { number, contact, account, phone: _ } = *self;
        let days = Days::of(context.zones, account.zone, at);
        let window = contact.window.at(at, number.coexistence_since);
        // The answer to a click opens the entry point and is free itself (rules.md 2.2).
        let service_window = matches!(window, WindowAt::Open(_));
        let wants = Some(at).filter(|at| context.rules.may_be_in_conversation(*at));
        let wants = wants.and_then(|_| billing::wants(context.rules, days, content, category, service_window));
        let role = wants.and_then(|wants| contact.conversations.would_be(at, None, wants, &contact.entry));
        // Where one conversation takes every message, a click is answered by none that joins it (rules.md 1.3).
        let joins = matches!(role, Some(Role::Joined(_))) && wants.is_some_and(|wants| wants.kind.is_by_initiator());
        let look = Looks { context, account, window: &contact.window, cut: number.coexistence_since };
        let opens = !joins && contact.entry.would_open(at, &look);
        // Sends on their way are delivered before this one; by another month all of them are.
        let counts = context.rows_hold_all && context.rules.has_free_service_messages(days);
        let in_flight = |month: Month| {
            let now = if asked_at == at { days } else { Days::of(context.zones, account.zone, asked_at) };
            let before = counts && now.first.month() == month && now.last.month() == month;
            before.then(|| number.in_flight.count(Uses::Allowance, asked_at))
        };
        let mut prediction = billing::predict(
            context.rules,
            Circumstances {
                content: Some(content),
                template_category: category,
                in_group: contact.is_group,
                service_window,
                free_entry_point: contact.entry.at(at).is_some() || opens,
                role,
                charged_at: at,
                days,
                origin: contact.origin,
                account,
            },
            |month: Month| number.used(month).saturating_add(in_flight(month).unwrap_or_default()),
        );
        let in_flight = prediction.allowance.as_ref().and_then(|allowance| in_flight(allowance.month));
        if let (Some(allowance), Some(in_flight)) = (&mut prediction.allowance, in_flight) {
            allowance.used_before = allowance.used_before.saturating_sub(in_flight);
        }
        let date = account.zone.and_then(|_| days.certain());
        let market = days.certain().and_then(|date| context.rules.market(contact.origin, date));
        let price = match &prediction.toll {
            Toll::Charged(category) => {
                let currency = account.currency;
                Some(billing::list_price(context.rules, context.cards, date, currency, contact.origin, category))
            }
            Toll::Free(..) | Toll::Unknown(_) => None,
        };
        let Prediction { toll, rule, allowance } = prediction;
        Preview { toll, rule, allowance, in_flight, market, price }
    }
}

/// Gathers reasons as the gates are passed, in any order.
#[derive(Default)]
struct Gates(Vec<Cited>);

impl Gates {
    fn because(&mut self, reason: Reason) {
        self.0.push(reason.into());
    }

    fn cite(&mut self, reason: Reason, fact: &str) {
        self.0.push(Cited { reason, evidence: None, fact: Some(fact.into()) });
    }

    /// What is known of accounts and templates may be too old: nothing that rests on it counts, neither for nor against.
    fn doubt_reference(&mut self) {
        self.0.retain(|cited| !cited.reason.rests_on_reference());
        self.because(Reason::ReferenceStale);
    }

    /// The phone number may be another person's than it was: of all that is known only a refusal counts.
    fn doubt_identity(&mut self) {
        self.0.retain(|cited| matches!(cited.reason, Reason::OptedOut | Reason::MarketingOptedOut));
        self.because(Reason::IdentityConflict);
    }

    /// The answer, its reasons and the warnings: one refusal outweighs any doubt, one doubt any permission.
    fn answer(mut self) -> (Answer, Vec<Cited>, Vec<Cited>) {
        self.0.sort_by_key(|cited| cited.reason);
        let has = |effect| self.0.iter().any(|cited| cited.reason.effect() == effect);
        let (answer, decisive) = if has(Effect::Blocks) {
            (Answer::Blocked, Effect::Blocks)
        } else if has(Effect::Doubts) {
            (Answer::Unknown, Effect::Doubts)
        } else {
            (Answer::Allowed, Effect::Permits)
        };
        let (warnings, rest): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|cited| cited.reason.effect() == Effect::Warns);
        let reasons = rest.into_iter().filter(|cited| cited.reason.effect() == decisive).collect();
        (answer, reasons, warnings)
    }
}

/// Answers an ask; one that is `throttled` with that alone.
#[must_use]
pub fn decide(context: &Context<'_>, known: Known<'_>, ask: &Ask, asked_at: Timestamp, throttled: bool) -> Verdict {
    let verdict = judge(context, known, ask, asked_at, throttled);
    // What is possible rests on what is known of the account, whatever the content.
    if context.reference_stale {
        return verdict;
    }
    let alternatives = alternatives(context, known, &ask.content, (asked_at, verdict.evaluate_for));
    Verdict { alternatives, ..verdict }
}

/// Answers an ask as [`decide`] does, without looking for what else is possible.
#[must_use]
pub fn judge(context: &Context<'_>, known: Known<'_>, ask: &Ask, asked_at: Timestamp, throttled: bool) -> Verdict {
    let Weighed { mut gates, template, price, windows, limits, waits_until } = weigh(context, known, ask, asked_at);
    if throttled {
        gates = Gates(vec![Reason::Throttled.into()]);
    }
    let (answer, reasons, warnings) = gates.answer();
    let ends = [open_end(windows.service), windows.free.map(|free| free.expires_at), waits_until];
    Verdict {
        request: ask.request.clone(),
        content: ask.content.clone(),
        template,
        answer,
        reasons,
        warnings,
        asked_at,
        evaluate_for: ask.evaluate_for.unwrap_or(asked_at),
        valid_until: ends.into_iter().flatten().min(),
        alternatives: Vec::new(),
        windows,
        price,
        consent: (known.contact.consent.all.clone(), known.contact.consent.marketing.clone()),
        limits,
        reference_watermark: context.reference.watermark(),
    }
}

/// Every reason that holds of an ask, in order of precedence: those that decide, and those that they outweigh.
#[must_use]
pub fn considered(context: &Context<'_>, known: Known<'_>, ask: &Ask, asked_at: Timestamp) -> Vec<Cited> {
    let Gates(mut cited) = weigh(context, known, ask, asked_at).gates;
    cited.sort_by_key(|cited| cited.reason);
    cited
}

/// What an answer is made of.
struct Weighed {
    gates: Gates,
    template: Option<TemplateView>,
    price: Preview,
    windows: Windows,
    limits: Limits,
    /// When the person can be written to again, or such a message sent, if not at the instant asked for.
    waits_until: Option<Timestamp>,
}

/// Passes all gates, and looks up the price.
fn weigh(context: &Context<'_>, known: Known<'_>, ask: &Ask, asked_at: Timestamp) -> Weighed {
    let at = ask.evaluate_for.unwrap_or(asked_at);
    let template = match &ask.content {
        Content::Template(template) => known.template(context, template, at),
        _ => None,
    };
    let category = match &ask.content {
        Content::Template(asked) => {
            template.as_ref().and_then(|view| view.category.clone()).or_else(|| asked.category.clone())
        }
        Content::DirectSend(category) => Some(category.clone()),
        Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => None,
    };
    let price = known.preview(context, &ask.content, category.as_ref(), (asked_at, at));
    let mut gates = Gates::default();
    account_gate(&mut gates, context, known, &ask.content, at);
    let said = (&ask.content, category.as_ref(), &price.toll);
    refused::own_gate(&mut gates, context, known, at);
    let refused_until = refused::refused_gate(&mut gates, context, known, said, at);
    let waits_until = rate_gate(&mut gates, context, known, at).or(refused_until);
    let mut limits = used::messaging_gate(&mut gates, context, known, &ask.content, (asked_at, at));
    held_back_gate(&mut gates, context, known, category.as_ref(), &ask.content, &price.toll, at);
    recipient_gate(&mut gates, known.contact, &ask.content, category.as_ref());
    consent_gate(&mut gates, context, known.contact, &ask.content, category.as_ref());
    match &ask.content {
        Content::Template(asked) => {
            template_gate(&mut gates, known.account, asked, template.as_ref());
        }
        _ => content_gate(&mut gates, context, known, &ask.content, asked_at, at),
    }
    one_template_gate(&mut gates, context, known, &ask.content, at);
    payment_gate(&mut gates, known.account, &price.toll);
    limits.budget = used::budget_gate(&mut gates, context, known, &price, at);
    used::allowance_gate(&mut gates, context, &price);
    let windows = windows_at(context, known, at);
    supporting_reasons(&mut gates, &ask.content, &windows, &price.toll);
    if context.reference_stale {
        gates.doubt_reference();
    }
    if known.contact.is_unsettled() {
        gates.doubt_identity();
    }
    Weighed { gates, template, price, windows, limits, waits_until }
}

fn open_end(window: WindowAt) -> Option<Timestamp> {
    match window {
        WindowAt::Open(span) => Some(span.end),
        WindowAt::Closed(_) | WindowAt::Never => None,
    }
}

fn windows_at(context: &Context<'_>, known: Known<'_>, at: Timestamp) -> Windows {
    let service = known.service_at(context, at);
    let present = known.contact.window.present();
    let entry = &known.contact.entry;
    let open = entry.open.as_ref().filter(|open| open.span.contains(at));
    Windows {
        service,
        service_opened_by: match service {
            WindowAt::Open(span) => {
                present.filter(|present| span.contains(present.opened_at)).map(|present| present.opened_by)
            }
            WindowAt::Closed(_) | WindowAt::Never => None,
        },
        eligible_until: entry.eligible.as_ref().map(|click| click.deadline).filter(|deadline| at < *deadline),
        free: open
            .map(|open| FreeView {
                opened_at: open.span.start,
                expires_at: open.span.end,
                expiry: open.expiry,
                confirmed: open.confirmed,
            })
            .or_else(|| {
                entry.at(at).map(|(span, confirmed)| FreeView {
                    opened_at: span.start,
                    expires_at: span.end,
                    expiry: ExpirySource::Rule,
                    confirmed,
                })
            }),
    }
}

/// Gate 1: the account, and the number.
fn account_gate(gates: &mut Gates, context: &Context<'_>, known: Known<'_>, content: &Content, at: Timestamp) {
    // Of a day that depends on an unknown zone the older rule holds.
    let day = || context.rules.card_date(Days::of(context.zones, known.account.zone, at).first);
    if known.account.must_pay_in.is_some() && currencies::is_refused(known.account, day()) {
        gates.because(Reason::CurrencyNotAccepted);
    }
    match known.account.standing {
        Standing::Good => {}
        Standing::ScheduledForDisable => gates.because(Reason::AccountScheduledForDisable),
        Standing::Disabled => gates.cite(Reason::AccountRestricted, "disabled"),
    }
    for restriction in known.account.restrictions.iter().chain(known.number.restricted(at)) {
        let Some(forbids) = restrictions::forbids(&restriction.name) else {
            gates.cite(Reason::RestrictionUnknown, &restriction.name);
            continue;
        };
        let forbidden = match content {
            Content::DirectSend(Category::Utility) => forbids.templates || forbids.direct_send_utility,
            Content::Template(_) | Content::DirectSend(_) => forbids.templates,
            Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => forbids.freeform,
        };
        if forbidden && restriction.name.as_ref() == restrictions::MISUSE {
            gates.because(Reason::TemplateClassificationLimit);
        } else if forbidden {
            gates.cite(Reason::AccountRestricted, &restriction.name);
        }
    }
}

/// Gate 5: how fast the number writes to the person; and how much it has sent in the second of the ask, where a fact tells
/// what the platform takes. Returns when the person can be written to again, if not now.
fn rate_gate(gates: &mut Gates, context: &Context<'_>, known: Known<'_>, at: Timestamp) -> Option<Timestamp> {
    let waits_until = known.waits_until(context, at);
    if waits_until.is_some() {
        gates.because(Reason::PairRate);
    }
    if known.throughput_ok(at) == Some(false) {
        gates.because(Reason::Throughput);
    }
    waits_until
}

/// What the platform has held back before, and may again: only the platform can know.
fn held_back_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    category: Option<&Category>,
    content: &Content,
    toll: &Toll,
    at: Timestamp,
) {
    let is_template = matches!(content, Content::Template(_) | Content::DirectSend(_));
    if is_template && known.number.portfolio_paced_at.is_some_and(|since| since <= at) {
        gates.because(Reason::PortfolioPacing);
    }
    for refusal in known.contact.refusals.iter().filter(|refusal| refusal.at <= at) {
        match refusal.why {
            RefusedFor::Undeliverable => gates.because(Reason::Undeliverable),
            RefusedFor::Blocked => gates.because(Reason::RecipientBlocked),
            RefusedFor::NotAllowed => gates.because(Reason::RecipientNotAllowed),
            RefusedFor::Routed => gates.because(Reason::ThreadOwnedElsewhere),
            // It blocks, and is no risk.
            RefusedFor::Itself => {}
            RefusedFor::WindowClosed if is_template => {}
            RefusedFor::WindowClosed => {
                if matches!(known.service_at(context, at), WindowAt::Open(_)) {
                    gates.because(Reason::ServiceWindowDisputed);
                }
            }
        }
    }
    if !category.is_some_and(Category::is_marketing) {
        return;
    }
    let (contact, country) = (known.contact, known.contact.origin.country());
    let days = Days::of(context.zones, known.account.zone, at);
    // Of a day that depends on an unknown zone the older rule holds.
    if let Some(country) = country
        && context.rules.delivers_marketing(country, days) == Some(false)
    {
        gates.cite(Reason::MarketingNotInCountry, country);
        return;
    }
    let capped = contact.capped_at.is_some_and(|since| since <= at && at < since + errors::MARKETING_CAP);
    let own = known.account.country.as_ref().map(Country::as_str);
    if capped && !country.into_iter().chain(own).any(|country| context.rules.never_caps_marketing(country, days)) {
        gates.because(Reason::MarketingFrequencyCap);
    }
    // So is a conversation about marketing that the message joins, where conversations are charged.
    let joins = matches!(toll, Toll::Free(FreeReason::InConversation, Category::Marketing));
    let window = joins || matches!(known.service_at(context, at), WindowAt::Open(_)) || contact.entry.at(at).is_some();
    if !window && contact.held_out_at.is_some_and(|since| since <= at) {
        gates.because(Reason::ExperimentHoldout);
    }
}

/// Gate 2: the recipient.
fn recipient_gate(gates: &mut Gates, contact: &Contact, content: &Content, category: Option<&Category>) {
    if matches!(contact.origin, Origin::Dial(_)) || !matches!(category, Some(Category::Authentication)) {
        return;
    }
    match content {
        Content::DirectSend(_) => gates.because(Reason::ScopedIdUnsupported),
        _ => gates.because(Reason::ScopedIdMayBeUnsupported),
    }
}

/// Gate 3: consent. Free-form answers somebody who has just written, so only what the business starts needs it.
fn consent_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    contact: &Contact,
    content: &Content,
    category: Option<&Category>,
) {
    if !matches!(content, Content::Template(_) | Content::DirectSend(_)) {
        return;
    }
    match &contact.consent.all {
        Some(choice) if !choice.given => gates.cite(Reason::OptedOut, choice.source.name()),
        Some(_) => {}
        None => match context.policy.no_opt_in {
            NoOptIn::Warn => gates.because(Reason::NoOptInRecord),
            NoOptIn::Block => gates.because(Reason::OptInRequired),
        },
    }
    if let Some(choice) = contact.consent.marketing.as_ref().filter(|choice| !choice.given)
        && category.is_some_and(Category::is_marketing)
    {
        gates.cite(Reason::MarketingOptedOut, choice.source.name());
    }
}

/// Gate 4 for templates.
fn template_gate(gates: &mut Gates, account: &Account, asked: &Template, view: Option<&TemplateView>) {
    let Some(view) = view else {
        gates.because(if account.templates_complete { Reason::TemplateNotFound } else { Reason::TemplateUnknown });
        return;
    };
    match &view.state {
        Some(TemplateState::Approved) => gates.because(Reason::TemplateApproved),
        Some(TemplateState::Paused(_)) => gates.because(Reason::TemplatePaused),
        Some(TemplateState::Disabled) => gates.because(Reason::TemplateDisabled),
        Some(TemplateState::NotApproved(state)) => gates.cite(Reason::TemplateNotApproved, state),
        None => gates.because(Reason::TemplateUnknown),
    }
    let drifted = matches!((&asked.category, &view.category), (Some(asked), Some(known)) if asked != known);
    if drifted || view.announced.is_some() {
        gates.because(Reason::TemplateCategoryDrift);
    }
}

/// Gate 4 for what is no template.
fn content_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    content: &Content,
    asked_at: Timestamp,
    at: Timestamp,
) {
    let window = known.service_at(context, at);
    let enabled = known.account.direct_send;
    match (content, window) {
        (_, WindowAt::Open(_)) => {
            let evidence = windows_at(context, known, at).service_opened_by;
            gates.0.push(Cited { reason: Reason::ServiceWindowOpen, evidence, fact: None });
        }
        (Content::DirectSend(_), _) => gates.because(match enabled {
            Some(true) => Reason::DirectSendEnabled,
            Some(false) => Reason::DirectSendNotEnabled,
            None => Reason::DirectSendUnknown,
        }),
        (_, WindowAt::Never | WindowAt::Closed(_)) if context.input_stale => gates.because(Reason::StaleInput),
        (_, WindowAt::Never) => gates.because(Reason::ServiceWindowNeverOpened),
        (_, WindowAt::Closed(_)) if matches!(known.service_at(context, asked_at), WindowAt::Open(_)) => {
            gates.because(Reason::ServiceWindowClosesBeforeSchedule);
        }
        (_, WindowAt::Closed(_)) => gates.because(Reason::ServiceWindowClosed),
    }
}

/// The seed policy "one single template after the window has closed", where a deployment switches it on.
fn one_template_gate(gates: &mut Gates, context: &Context<'_>, known: Known<'_>, content: &Content, at: Timestamp) {
    if !context.policy.one_template_after_window
        || !matches!(content, Content::Template(_) | Content::DirectSend(_))
        || matches!(known.service_at(context, at), WindowAt::Open(_))
    {
        return;
    }
    let since = match known.contact.window.at(at, known.number.coexistence_since) {
        WindowAt::Closed(closed_at) => Some(closed_at),
        WindowAt::Open(_) | WindowAt::Never => None,
    };
    if let Some(sent) = known.contact.last_template_outside
        && since.is_none_or(|closed_at| sent >= closed_at)
    {
        gates.because(Reason::OneTemplateAfterWindow);
    }
}

/// Gate 7: an account without a payment method sends what is free, and nothing else.
fn payment_gate(gates: &mut Gates, account: &Account, toll: &Toll) {
    if account.payment_method == Some(false) && billing::is_paid(toll) {
        gates.because(Reason::PaymentIssue);
    }
}

/// What supports a permission besides what grants it: an open window tells why a message is free.
fn supporting_reasons(gates: &mut Gates, content: &Content, windows: &Windows, toll: &Toll) {
    let cited = |gates: &Gates, reason| gates.0.iter().any(|cited: &Cited| cited.reason == reason);
    if matches!(windows.service, WindowAt::Open(_))
        && matches!(content, Content::Template(_))
        && !cited(gates, Reason::ServiceWindowOpen)
    {
        let evidence = windows.service_opened_by;
        gates.0.push(Cited { reason: Reason::ServiceWindowOpen, evidence, fact: None });
    }
    let free = matches!(toll, Toll::Free(FreeReason::FreeEntryPoint, _));
    if windows.free.is_some() {
        gates.because(Reason::FreeEntryPointOpen);
    }
    if free && windows.free.is_none_or(|free| !free.confirmed) {
        gates.because(Reason::FreeEntryPointProvisional);
    }
}

/// What else may be sent at the same instant: every kind that would be allowed, cheapest first. Templates
/// stand for "an approved template of this category".
fn alternatives(
    context: &Context<'_>,
    known: Known<'_>,
    asked: &Content,
    (asked_at, at): (Timestamp, Timestamp),
) -> Vec<Alternative> {
    let template = |category: Category| {
        Content::Template(Template { name: "".into(), language: "".into(), category: Some(category) })
    };
    let mut candidates = vec![Content::Freeform];
    candidates.extend([Category::Utility, Category::Authentication, Category::Marketing].map(template));
    if known.account.direct_send == Some(true) {
        candidates.push(Content::DirectSend(Category::Utility));
    }
    let mut possible: Vec<Alternative> = candidates
        .into_iter()
        .filter(|content| !same_kind(content, asked))
        .filter_map(|content| {
            let category = match &content {
                Content::Template(template) => template.category.clone(),
                Content::DirectSend(category) => Some(category.clone()),
                Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => None,
            };
            let price = known.preview(context, &content, category.as_ref(), (asked_at, at));
            let mut gates = Gates::default();
            account_gate(&mut gates, context, known, &content, at);
            recipient_gate(&mut gates, known.contact, &content, category.as_ref());
            consent_gate(&mut gates, context, known.contact, &content, category.as_ref());
            if !matches!(content, Content::Template(_)) {
                content_gate(&mut gates, context, known, &content, at, at);
            }
            one_template_gate(&mut gates, context, known, &content, at);
            refused::own_gate(&mut gates, context, known, at);
            refused::refused_gate(&mut gates, context, known, (&content, category.as_ref(), &price.toll), at);
            rate_gate(&mut gates, context, known, at);
            held_back_gate(&mut gates, context, known, category.as_ref(), &content, &price.toll, at);
            payment_gate(&mut gates, known.account, &price.toll);
            used::budget_gate(&mut gates, context, known, &price, at);
            let (answer, ..) = gates.answer();
            (answer == Answer::Allowed).then(|| Alternative { content: content.name(), category, price })
        })
        .collect();
    // Free first, then by price; what has no known price last. Equal ones keep the order above.
    possible.sort_by_key(|alternative| match (&alternative.price.toll, &alternative.price.price) {
        (Toll::Free(..), _) => (0, 0),
        (_, Some(Ok(price))) => (1, price.amount.millionths()),
        _ => (2, 0),
    });
    possible
}

/// Whether content is of the kind that was asked about, so that it is no alternative to it.
fn same_kind(content: &Content, asked: &Content) -> bool {
    match (content, asked) {
        (Content::Template(possible), Content::Template(asked)) => possible.category == asked.category,
        (Content::DirectSend(possible), Content::DirectSend(asked)) => possible == asked,
        (Content::Freeform, Content::Freeform | Content::Reaction) => true,
        _ => false,
    }
}
