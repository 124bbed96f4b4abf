//! The gates that rest on what is known of the sender, the recipient and the content (rules.md 3.1).

use super::{Cited, Gates, Known, Reason, Windows, windows_at};
use crate::domain::billing::{self, FreeReason, Toll};
use crate::domain::contact::{Contact, RefusedFor};
use crate::domain::content::{Category, Content, Template};
use crate::domain::policy::{Context, NoOptIn};
use crate::domain::reference::{Account, Country, TemplateView};
use crate::domain::rules::markets::Origin;
use crate::domain::rules::restrictions::{self, Standing};
use crate::domain::rules::templates::TemplateState;
use crate::domain::rules::{currencies, errors};
use crate::domain::time::{Days, Timestamp};
use crate::domain::window::WindowAt;

/// Gate 1: the account, and the number.
pub(super) fn account_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    content: &Content,
    at: Timestamp,
) {
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
pub(super) fn rate_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    at: Timestamp,
) -> Option<Timestamp> {
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
pub(super) fn held_back_gate(
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
pub(super) fn recipient_gate(gates: &mut Gates, contact: &Contact, content: &Content, category: Option<&Category>) {
    if matches!(contact.origin, Origin::Dial(_)) || !matches!(category, Some(Category::Authentication)) {
        return;
    }
    match content {
        Content::DirectSend(_) => gates.because(Reason::ScopedIdUnsupported),
        _ => gates.because(Reason::ScopedIdMayBeUnsupported),
    }
}

/// Gate 3: consent. Free-form answers somebody who has just written, so only what the business starts needs it.
pub(super) fn consent_gate(
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
pub(super) fn template_gate(gates: &mut Gates, account: &Account, asked: &Template, view: Option<&TemplateView>) {
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
pub(super) fn content_gate(
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
pub(super) fn one_template_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    content: &Content,
    at: Timestamp,
) {
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
pub(super) fn payment_gate(gates: &mut Gates, account: &Account, toll: &Toll) {
    if account.payment_method == Some(false) && billing::is_paid(toll) {
        gates.because(Reason::PaymentIssue);
    }
}

/// What supports a permission besides what grants it: an open window tells why a message is free.
pub(super) fn supporting_reasons(gates: &mut Gates, content: &Content, windows: &Windows, toll: &Toll) {
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
