//! May this be sent? The answer, its reasons in order of precedence, and what else is possible.
//!
//! A refusal is an answer, not an error, and "we cannot tell" is not a refusal. Nothing here changes
//! anything: the same question twice has the same answer.

mod gates;
mod reason;
mod refused;
mod used;

use self::gates::{
    account_gate, consent_gate, content_gate, held_back_gate, one_template_gate, payment_gate, rate_gate,
    recipient_gate, supporting_reasons, template_gate,
};
use super::billing::{self, Allowance, Circumstances, ListPrice, NoPrice, Prediction, Toll};
use super::contact::{Choice, Contact};
use super::content::{Category, Content, Template};
use super::conversation::Role;
use super::entry_point::{ExpirySource, Looks};
use super::event::Ask;
use super::id::{EventId, RequestId, WaId};
use super::in_flight::Uses;
use super::number::Number;
use super::policy::Context;
use super::reference::{Account, TemplateView};
use super::rules::markets::Market;
use super::rules::templates::{Pause, TemplateState};
use super::time::{Days, Month, Timestamp};
use super::window::WindowAt;
pub use reason::{Cited, Effect, Reason};
pub use used::{BudgetUse, Limits, reaches_anew};

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

    /// Whether nothing forbids, and nothing makes uncertain.
    fn permit(&self) -> bool {
        !self.0.iter().any(|cited| matches!(cited.reason.effect(), Effect::Blocks | Effect::Doubts))
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

/// What else may be sent at the same instant: every kind that would be allowed, cheapest first. Templates
/// stand for "an approved template of this category".
fn alternatives(
    context: &Context<'_>,
    known: Known<'_>,
    asked: &Content,
    (asked_at, at): (Timestamp, Timestamp),
) -> Vec<Alternative> {
    let mut gates = Gates::default();
    refused::own_gate(&mut gates, context, known, at);
    rate_gate(&mut gates, context, known, at);
    if !gates.permit() {
        return Vec::new();
    }
    let template = |category: Category| {
        Some(Content::Template(Template { name: "".into(), language: "".into(), category: Some(category) }))
    };
    let candidates = [
        Some(Content::Freeform),
        template(Category::Utility),
        template(Category::Authentication),
        template(Category::Marketing),
        (known.account.direct_send == Some(true)).then_some(Content::DirectSend(Category::Utility)),
    ];
    let mut possible = Vec::with_capacity(candidates.len());
    for content in candidates.into_iter().flatten().filter(|content| !same_kind(content, asked)) {
        let category = match &content {
            Content::Template(template) => template.category.clone(),
            Content::DirectSend(category) => Some(category.clone()),
            Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => None,
        };
        gates.0.clear();
        account_gate(&mut gates, context, known, &content, at);
        recipient_gate(&mut gates, known.contact, &content, category.as_ref());
        consent_gate(&mut gates, context, known.contact, &content, category.as_ref());
        if !matches!(content, Content::Template(_)) {
            content_gate(&mut gates, context, known, &content, at, at);
        }
        one_template_gate(&mut gates, context, known, &content, at);
        // What is refused whatever it costs is not priced.
        if !gates.permit() {
            continue;
        }
        let price = known.preview(context, &content, category.as_ref(), (asked_at, at));
        refused::refused_gate(&mut gates, context, known, (&content, category.as_ref(), &price.toll), at);
        held_back_gate(&mut gates, context, known, category.as_ref(), &content, &price.toll, at);
        payment_gate(&mut gates, known.account, &price.toll);
        used::budget_gate(&mut gates, context, known, &price, at);
        if gates.permit() {
            possible.push(Alternative { content: content.name(), category, price });
        }
    }
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
