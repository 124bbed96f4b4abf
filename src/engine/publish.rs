//! Effects to the records of the output topics: ids, names and amounts as text.
//!
//! The conversation's charges are priced here, at list, so this is also where a charge becomes an entry of
//! the ledger.

pub mod forecast;

use std::sync::Arc;

use super::ledger::{Booked, Measure, PostedDiscount, SpentBy, Standing, TierUsed, Used};
use super::{Output, Rejected, Setup};
use crate::codec::ids::{self, hex};
use crate::codec::records;
use crate::codec::reference::Mistake;
use crate::codec::text::{Bytes, Text};
use crate::domain::billing::{self, Allowance, Charge, FreeReason, Line, NoPrice, PriceSource, Toll, Unpriced};
use crate::domain::contact::Choice;
use crate::domain::content::{Category, Content};
use crate::domain::effect::{
    ContactState, Effect, Named, Outcome, SendResult, Transition, What, WindowEdge, WindowKind,
};
use crate::domain::event::{Pricing, Term};
use crate::domain::id::{
    AccountId, ContactKey, EventId, MessageId, NumberId, PortfolioId, RequestId, ScopedUserId, WaId,
};
use crate::domain::ledger::Scope;
use crate::domain::ledger::notices::Notice;
use crate::domain::ledger::spend;
use crate::domain::ledger::volume::{CounterId, Reached};
use crate::domain::money::{Amount, Currency};
use crate::domain::reference::{Account, TemplateView};
use crate::domain::rules::EraAt;
use crate::domain::rules::errors;
use crate::domain::rules::limits::MessagingLimit;
use crate::domain::rules::markets::{Market, Origin};
use crate::domain::rules::templates::TemplateState;
use crate::domain::time::{Days, Timestamp};
use crate::domain::verdict::{Cited, FreeView, Limits, Preview, Verdict, Windows};
use crate::domain::window::WindowAt;
use crate::zones::Zones;

/// The version of Tollgate that outputs name.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes records of effects.
pub struct Publisher {
    setup: Arc<Setup>,
    zones: Zones,
    source: String,
    enforced: bool,
}

/// A record of one of the output topics.
#[derive(Debug)]
pub enum Record<'a> {
    /// `wa.verdicts`
    Verdict(records::Verdict<'a>),
    /// `tollgate.charges`: a line of the ledger without its price, and what the price depends on.
    Charge(&'a Charge, records::BillingEntry<'a>),
    /// `wa.billing`
    Billing(records::BillingEntry<'a>),
    /// `wa.windows`
    Window(records::WindowEvent<'a>),
    /// `wa.window-state`
    State(records::WindowStateRow<'a>),
    /// `wa.outcomes`
    Outcome(records::Outcome<'a>),
    /// `wa.usage`
    Usage(records::Usage<'a>),
    /// `wa.dead-letters`
    DeadLetter(records::DeadLetter<'a>),
}

/// What is wrong with a record, for its dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable code.
    pub code: &'static str,
    /// What is wrong and what to do, without any of the content.
    pub detail: String,
    /// The part of the record that is wrong, if the rest was folded.
    pub part: Option<String>,
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        Self { code: rejected.code(), detail: rejected.detail().into(), part: None }
    }
}

impl Problem {
    /// The problem of a fact that cannot be what it says.
    #[must_use]
    pub fn of_fact(mistakes: &[Mistake]) -> Self {
        let all: Vec<&str> = mistakes.iter().map(|Mistake(problem)| problem.as_str()).collect();
        Self { code: "invalid_fact", detail: all.join("; "), part: None }
    }
}

impl Publisher {
    /// A publisher for a deployment. `source` names it on every output; `enforced` is false where verdicts are
    /// only observed.
    #[must_use]
    pub const fn new(setup: Arc<Setup>, zones: Zones, source: String, enforced: bool) -> Self {
        Self { setup, zones, source, enforced }
    }

    /// Makes the record of an effect. A charge that is `booked` is a line of the ledger; one that is not is for the ledger
    /// stage to book.
    #[must_use]
    pub fn record<'a>(&'a self, output: &'a Output, booked: Option<&'a Booked>) -> Record<'a> {
        let about = About { publisher: self, number: &output.number, effect: &output.effect };
        match (&output.effect.what, booked) {
            (What::Verdict(verdict), _) => Record::Verdict(about.verdict(verdict)),
            (What::Charge(charge), Some(booked)) => {
                let mut entry = about.unpriced(charge);
                add_price(&mut entry, &charge.line, booked);
                Record::Billing(entry)
            }
            (What::Charge(charge), None) => Record::Charge(charge, about.unpriced(charge)),
            (What::Window(edge), _) => Record::Window(about.window(edge)),
            (What::State(state), _) => Record::State(about.state(state.as_deref())),
            (What::Outcome(outcome), _) => Record::Outcome(about.outcome(outcome)),
        }
    }

    /// What booking a line tells where nothing is counted.
    #[must_use]
    pub fn at_list(&self, line: &Line, reverses: bool) -> Booked {
        Booked { price: billing::price(line, reverses, &self.setup.rules, &self.setup.cards), tier: None }
    }

    /// Makes a row of the table of what is used.
    #[must_use]
    pub fn used<'a>(&'a self, used: &'a Used) -> records::Usage<'a> {
        let Used { scope, as_of, limit, people, tiers, spend, off, notices } = used;
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let tier = |TierUsed { counter, account, messages, tier }: &'a TierUsed| records::TierUse {
            account_id: account.as_ref().map_or("", AccountId::as_str).into(),
            market: counter.market.name().into(),
            category: counter.accrual.name().into(),
            month: counter.month.to_string().into(),
            messages: count(*messages),
            tier: tier.map(|reached| reached.tier.to_string().into()),
        };
        let of_numbers = spend.iter().flat_map(|SpentBy { number, spend, month }| {
            spend.items.iter().filter_map(move |(item, spent)| {
                let span = month.filter(|(present, _)| *present == item.month).map(|(_, span)| span);
                Some(records::Spend {
                    phone_number_id: Some(number.as_str().into()),
                    month: item.month.to_string().into(),
                    category: item.category.name().into(),
                    amount: amount(spent.amount?),
                    currency: currency(item.currency),
                    forecast: span.and_then(|span| spend::forecast(spent.amount?, span, *as_of)).map(amount),
                })
            })
        });
        let of_tiers = off.iter().map(|(month, accrual, unit, sum)| records::Spend {
            phone_number_id: None,
            month: month.to_string().into(),
            category: accrual.name().into(),
            amount: amount(*sum),
            currency: currency(*unit),
            forecast: None,
        });
        records::Usage {
            envelope: records::Envelope {
                id: used_key(scope).into(),
                source: self.source.as_str().into(),
                r#type: "tollgate.usage.v1".into(),
                time: as_of.millis(),
                engine_version: ENGINE_VERSION.into(),
                ..records::Envelope::default()
            },
            scope_type: scope.kind().into(),
            scope_id: scope.id().into(),
            as_of: as_of.millis(),
            messaging_limit: limit.and_then(MessagingLimit::people).map(i64::from),
            messaging_limit_name: limit.and_then(MessagingLimit::name).map(Text::from),
            unique_users: people.map(count),
            tiers: tiers.iter().map(tier).collect(),
            spend: of_numbers.chain(of_tiers).collect(),
            notices: notices.iter().filter_map(notice).collect(),
        }
    }

    /// Makes the line of a discount.
    #[must_use]
    pub fn discount<'a>(&'a self, posted: &'a PostedDiscount) -> records::BillingEntry<'a> {
        let PostedDiscount { at, account, discount } = posted;
        let CounterId { scope, market, accrual, month } = &discount.counter;
        let (period, owner) = (month.to_string(), discount.account.as_ref());
        let id = ids::discount(scope.id(), owner, market.name(), accrual.name(), &period, discount.revision);
        records::BillingEntry {
            envelope: records::Envelope {
                id: hex(id),
                source: self.source.as_str().into(),
                r#type: "tollgate.billing.entry.v1".into(),
                time: at.millis(),
                subject: account.billing_subject.as_deref().map(Text::from),
                engine_version: ENGINE_VERSION.into(),
                ..records::Envelope::default()
            },
            entry_type: "DISCOUNT".into(),
            revision: small(discount.revision),
            account_id: owner.map(AccountId::as_str).map(Text::from),
            portfolio_id: scope.portfolio().map(PortfolioId::as_str).map(Text::from),
            billing_subject: account.billing_subject.as_deref().map(Text::from),
            payer: account.payer.as_deref().map(Text::from),
            occurred_at: at.millis(),
            billing_period: Some(period.into()),
            time_zone: account.zone.map(|zone| self.zones.name(zone).into()),
            market: Some(market.name().into()),
            category: Some(accrual.name().into()),
            quantity: 0,
            unit: "message".into(),
            amount: Some(amount(discount.amount)),
            currency: Some(currency(discount.currency)),
            price_source: "rate_card".into(),
            tier: discount.tier.map(tier),
            rule: "volume_tiers".into(),
            finality: "provisional".into(),
            ..records::BillingEntry::default()
        }
    }

    /// Makes the answer to an ask that could not be understood, where at least its number and id could be.
    #[must_use]
    pub fn malformed<'a>(&'a self, number: &'a str, request: &'a str, at: i64) -> records::Verdict<'a> {
        records::Verdict {
            envelope: records::Envelope {
                id: hex(ids::verdict(number, request, None)),
                source: self.source.as_str().into(),
                r#type: "tollgate.send.verdict.v1".into(),
                time: at,
                engine_version: ENGINE_VERSION.into(),
                ..records::Envelope::default()
            },
            phone_number_id: number.into(),
            request_id: request.into(),
            verdict: "unknown".into(),
            reason: "malformed".into(),
            reasons: vec![records::Reason { code: "malformed".into(), ..records::Reason::default() }],
            asked_at: at,
            evaluate_for: at,
            enforced: self.enforced,
            ..records::Verdict::default()
        }
    }

    /// Makes a dead letter.
    #[must_use]
    pub fn dead_letter<'a>(
        &'a self,
        place: Place<'a>,
        problem: &'a Problem,
        payload: Option<&'a [u8]>,
        size: u64,
        at: i64,
    ) -> records::DeadLetter<'a> {
        let Place { topic, partition, offset, key } = place;
        records::DeadLetter {
            envelope: records::Envelope {
                id: hex(ids::dead_letter(topic, partition, offset, problem.part.as_deref())),
                source: self.source.as_str().into(),
                r#type: "tollgate.dead_letter.v1".into(),
                time: at,
                engine_version: ENGINE_VERSION.into(),
                ..records::Envelope::default()
            },
            original_topic: topic.into(),
            original_partition: partition,
            original_offset: offset,
            original_key: key.map(|key| Bytes(key.into())),
            error: problem.code.into(),
            detail: problem.detail.as_str().into(),
            part: problem.part.as_deref().map(Text::from),
            payload: payload.map(|payload| Bytes(payload.into())),
            payload_size: i64::try_from(size).unwrap_or(i64::MAX),
        }
    }
}

/// Where a record was read.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The topic or file.
    pub topic: &'a str,
    /// The partition; 0 in a file.
    pub partition: i32,
    /// The offset, or in a file the line.
    pub offset: i64,
    /// The key, where records have one.
    pub key: Option<&'a [u8]>,
}

/// A notice; nothing where what it is of does not fit into an amount any more.
fn notice(standing: &Standing) -> Option<records::Notice<'_>> {
    let Standing { number, notice, reached, since, is_new: _ } = standing;
    let (category, unit, bound) = match notice {
        Notice::AllowanceLow(of) | Notice::AllowanceUsedUp(of) => (None, None, of.bound.to_string().into()),
        Notice::BudgetLow(of) | Notice::BudgetOverrun(of) | Notice::BudgetExceeded(of) => {
            (of.category.as_ref(), Some(of.currency), amount(of.bound))
        }
        Notice::MessagingLimitLow(bound) | Notice::MessagingLimitReached(bound) => {
            (None, None, bound.to_string().into())
        }
    };
    Some(records::Notice {
        code: notice.code().into(),
        phone_number_id: number.as_ref().map(NumberId::as_str).map(Text::from),
        month: notice.month().map(|month| month.to_string().into()),
        category: category.map(Category::name).map(Text::from),
        bound,
        reached: match reached {
            Measure::Count(count) => count.to_string().into(),
            Measure::Sum(sum) => amount((*sum)?),
        },
        currency: unit.map(currency),
        since: since.millis(),
    })
}

/// The key of a row of the table of what is used.
#[must_use]
pub fn used_key(scope: &Scope) -> String {
    [scope.kind(), "/", scope.id()].concat()
}

/// Adds to a line of the ledger what the ledger has found.
pub fn add_price(entry: &mut records::BillingEntry<'_>, line: &Line, Booked { price, tier: reached }: &Booked) {
    let listed = price.amount.filter(|_| matches!(line.toll, Toll::Charged(_)));
    let unit_price = listed.map(|amount| if entry.reverses.is_some() { amount.reversed() } else { amount });
    // A price is so many times that of a unit, of which a line has one at least.
    let unit_price =
        unit_price.map(|amount| Amount::from_millionths(amount.millionths() / i64::from(line.units.max(1))));
    let (source, card, missing) = match &price.source {
        PriceSource::Card(card) => ("rate_card", Some(card), None),
        PriceSource::Platform => ("platform", None, None),
        PriceSource::Free => ("free", None, None),
        PriceSource::TollUnknown => ("unknown", None, None),
        PriceSource::Missing(missing) => ("unknown", None, Some(*missing)),
    };
    entry.entry_type = price.kind.name().into();
    entry.market = price.market.map(Market::name).map(Text::from);
    entry.unknown_reason = unknown_reason(&line.toll, missing);
    entry.list_unit_price = unit_price.map(amount);
    entry.effective_unit_price = reached.map(|reached| reached.tier.price).or(unit_price).map(amount);
    entry.tier = reached.map(tier);
    entry.amount = price.amount.map(amount);
    entry.currency = price.currency.map(currency);
    entry.price_source = source.into();
    entry.rate_card = card.map(|card| card.to_string().into());
}

fn tier(reached: Reached) -> records::Tier<'static> {
    let bound = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    records::Tier {
        name: reached.tier.to_string().into(),
        from: bound(reached.tier.first),
        to: reached.tier.last.map(bound),
        basis: if reached.announced { "platform" } else { "count" }.into(),
    }
}

/// An effect and what all records say of it.
struct About<'a> {
    publisher: &'a Publisher,
    number: &'a NumberId,
    effect: &'a Effect,
}

impl<'a> About<'a> {
    fn account(&self) -> &'a Account {
        &self.effect.account
    }

    fn envelope(&self, id: Text<'a>, kind: Text<'a>) -> records::Envelope<'a> {
        records::Envelope {
            id,
            source: self.publisher.source.as_str().into(),
            r#type: kind,
            time: self.effect.at.millis(),
            subject: self.account().billing_subject.as_deref().map(Text::from),
            cause: self.effect.cause.map(event),
            engine_version: ENGINE_VERSION.into(),
            read_from: None,
        }
    }

    fn account_id(&self) -> Option<Text<'a>> {
        self.account().id.as_ref().map(AccountId::as_str).map(Text::from)
    }

    fn portfolio_id(&self) -> Option<Text<'a>> {
        self.account().portfolio.as_ref().map(PortfolioId::as_str).map(Text::from)
    }

    fn contact_key(&self) -> ContactKey {
        self.effect.contact.as_ref().map_or(ContactKey([0; 16]), |contact| contact.key)
    }

    fn contact(&self) -> Option<records::Contact<'a>> {
        self.effect.contact.as_ref().map(contact)
    }

    fn verdict(&self, verdict: &'a Verdict) -> records::Verdict<'a> {
        let request = verdict.request.as_str();
        let number = self.number.as_str();
        let id = hex(ids::verdict(number, request, Some(verdict.asked_at)));
        let (opt_in, marketing) = &verdict.consent;
        let asked_category = match &verdict.content {
            Content::Template(template) => template.category.as_ref(),
            Content::DirectSend(category) => Some(category),
            Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => None,
        };
        let known_category = verdict.template.as_ref().and_then(|view| view.category.as_ref());
        records::Verdict {
            envelope: self.envelope(id, "tollgate.send.verdict.v1".into()),
            phone_number_id: number.into(),
            account_id: self.account_id(),
            portfolio_id: self.portfolio_id(),
            contact: self.contact(),
            request_id: request.into(),
            message_kind: Some(verdict.content.name().into()),
            category: known_category.or(asked_category).map(Category::name).map(Text::from),
            template: template(verdict),
            verdict: verdict.answer.name().into(),
            reason: verdict.reasons.first().map_or("", |cited| cited.reason.code()).into(),
            reasons: verdict.reasons.iter().map(reason).collect(),
            warnings: verdict.warnings.iter().map(reason).collect(),
            asked_at: verdict.asked_at.millis(),
            evaluate_for: verdict.evaluate_for.millis(),
            valid_until: verdict.valid_until.map(Timestamp::millis),
            service_window: Some(service_window(&verdict.windows)),
            free_entry_point: free_entry_point(verdict.windows.eligible_until, verdict.windows.free),
            price: Some(price(&verdict.price)),
            alternatives: verdict
                .alternatives
                .iter()
                .map(|alternative| records::Alternative {
                    message_kind: alternative.content.into(),
                    category: alternative.category.as_ref().map(Category::name).map(Text::from),
                    price: price(&alternative.price),
                })
                .collect(),
            consent: (opt_in.is_some() || marketing.is_some()).then(|| consent(opt_in.as_ref(), marketing.as_ref())),
            limits: limits(&verdict.limits),
            enforced: self.publisher.enforced,
            reference_watermark: verdict.reference_watermark.map(Timestamp::millis),
            rules_as_of: self.publisher.setup.rules.as_of.map(|date| date.to_string().into()),
        }
    }

    /// A line of the ledger as far as the conversation stage can tell.
    fn unpriced(&self, charge: &'a Charge) -> records::BillingEntry<'a> {
        let line =
            |revision| hex(ids::billing_line(self.number, &charge.message, charge.participant.as_ref(), revision));
        let Line { toll, charged_at, date, origin, .. } = &charge.line;
        let account = self.account();
        records::BillingEntry {
            envelope: self.envelope(line(charge.revision), "tollgate.billing.entry.v1".into()),
            revision: small(charge.revision),
            reverses: charge.reverses.map(line),
            phone_number_id: Some(self.number.as_str().into()),
            account_id: self.account_id(),
            portfolio_id: self.portfolio_id(),
            billing_subject: account.billing_subject.as_deref().map(Text::from),
            payer: account.payer.as_deref().map(Text::from),
            contact: self.contact(),
            message_id: Some(charge.message.as_str().into()),
            participant_key: self.participant(charge.participant.as_ref()),
            request_id: charge.request.as_ref().map(RequestId::as_str).map(Text::from),
            message_kind: charge.content.map(Text::from),
            status_event: Some(event(charge.status)),
            charge_trigger: Some(charge.trigger.name().into()),
            occurred_at: charged_at.millis(),
            billing_period: date.map(|date| date.month().to_string().into()),
            local_date: date.map(|date| date.to_string().into()),
            time_zone: account.zone.map(|zone| self.publisher.zones.name(zone).into()),
            country: origin.country().map(Text::from),
            country_source: country_source(*origin).map(Text::from),
            pricing_type: toll.pricing_type().map(Text::from),
            category: toll.category().map(Text::copied),
            free_reason: free_reason(toll),
            platform: charge.pricing.as_ref().map(platform),
            expected_type: charge.prediction.toll.pricing_type().map(Text::from),
            expected_category: charge.prediction.toll.category().map(Text::copied),
            agreement: Some(charge.agreement.name().into()),
            service_window_open: Some(charge.service_window),
            free_entry_point_open: Some(charge.free_entry_point),
            allowance: charge.prediction.allowance.map(|it| allowance(it, None)),
            quantity: if charge.reverses.is_some() { -i64::from(charge.line.units) } else { charge.line.units.into() },
            unit: self.unit(charge).into(),
            rule: charge.prediction.rule.into(),
            finality: "provisional".into(),
            ..records::BillingEntry::default()
        }
    }

    /// What a line counts. Where conversations are charged, what opens one is a conversation, unless the platform has
    /// priced the message by itself.
    fn unit(&self, charge: &Charge) -> &'static str {
        if charge.line.toll.category() == Some(Category::Call.name()) {
            return "pulse";
        }
        let by_message = charge.pricing.as_ref().is_some_and(|pricing| !pricing.is_of_conversation());
        let opens = matches!(charge.line.toll, Toll::Charged(_) | Toll::Free(FreeReason::FreeTier, _));
        let era = charge.line.date.map(|date| self.publisher.setup.rules.era(Days { first: date, last: date }));
        match era {
            Some(EraAt::Era(era)) if opens && !by_message && era.conversations().is_some() => "conversation",
            _ => "message",
        }
    }

    fn participant(&self, participant: Option<&crate::domain::id::Participant>) -> Option<Text<'a>> {
        participant.map(|participant| hex(self.publisher.setup.key.participant(self.number, participant)))
    }

    fn window(&self, edge: &'a WindowEdge) -> records::WindowEvent<'a> {
        let (key, kind, transition) = (self.contact_key(), edge.window.id(), edge.transition.name());
        let id = ids::window_event(self.number, key, kind, edge.opened_at, transition, edge.revision);
        let count = |count: Option<u32>| count.map(small);
        records::WindowEvent {
            envelope: self.envelope(hex(id), event_type(edge.transition).into()),
            window_id: hex(ids::window(self.number, key, kind, edge.opened_at)),
            phone_number_id: self.number.as_str().into(),
            account_id: self.account_id(),
            portfolio_id: self.portfolio_id(),
            contact: self.contact().unwrap_or_default(),
            window_type: edge.window.name().into(),
            category: match edge.window {
                WindowKind::Conversation(kind) => Some(Text::copied(kind.category().name())),
                WindowKind::Service
                | WindowKind::GroupService
                | WindowKind::Eligibility
                | WindowKind::FreeEntryPoint => None,
            },
            transition: transition.into(),
            opened_at: edge.opened_at.millis(),
            refreshed_at: edge.refreshed_at.map(Timestamp::millis),
            expires_at: edge.expires_at.millis(),
            closed_at: edge.closed_at.map(Timestamp::millis),
            expiry_source: edge.expiry.name().into(),
            close_reason: edge.reason.map(|reason| reason.name().into()),
            opened_by: edge.opened_by.map(event),
            opened_by_kind: edge.opened_by_kind.map(Text::from),
            inbound_count: count(edge.inbound_count),
            outbound_count: count(edge.outbound_count),
            first_response_at: edge.first_response_at.map(Timestamp::millis),
            lead_ms: edge.lead.map(|lead| lead.0),
            revision: small(edge.revision),
            corrects: edge.corrects.map(|former| hex(ids::window(self.number, key, kind, former))),
            corrected_fields: match edge.transition {
                Transition::Corrected if edge.corrects.is_some_and(|former| former != edge.opened_at) => {
                    vec!["opened_at".into(), "expires_at".into()]
                }
                Transition::Corrected => vec!["expires_at".into()],
                Transition::Opened | Transition::Refreshed | Transition::Closing | Transition::Closed => Vec::new(),
            },
        }
    }

    fn state(&self, state: Option<&'a ContactState>) -> records::WindowStateRow<'a> {
        let contact_key = hex(self.contact_key().0);
        let key = [self.number.as_str(), "/", contact_key.as_str()].concat();
        let value = state.map(|state| records::WindowState {
            envelope: self.envelope(key.clone().into(), "tollgate.window.state.v1".into()),
            phone_number_id: self.number.as_str().into(),
            contact: self.contact().unwrap_or_default(),
            service_window: state.service.map(|service| records::ServiceWindowState {
                r#type: if state.is_group { WindowKind::GroupService } else { WindowKind::Service }.name().into(),
                opened_at: service.opened_at.millis(),
                refreshed_at: service.refreshed_at.millis(),
                expires_at: service.expires_at.millis(),
            }),
            free_entry_point: free_entry_point(state.eligible_until, state.free),
            opted_out: state.opted_out.as_ref().map(|choice| records::OptOut {
                scope: if state.marketing_only { "marketing" } else { "all" }.into(),
                source: choice.source.name().into(),
                at: choice.at.millis(),
            }),
            updated_at: self.effect.at.millis(),
        });
        records::WindowStateRow { key: key.into(), value }
    }

    fn outcome(&self, outcome: &'a Outcome) -> records::Outcome<'a> {
        let name = outcome.result.name();
        let message = outcome.message.as_ref().map(MessageId::as_str);
        let request = outcome.request.as_ref().map(RequestId::as_str);
        let about = message.or(request).unwrap_or_default();
        let id = ids::outcome(self.number, about, outcome.participant.as_ref(), name, outcome.revision);
        let (held, code, agreement) = match outcome.result {
            SendResult::Accepted { held } => (Some(held), None, None),
            SendResult::Failed { code } => (None, code, None),
            SendResult::Agreement(agreement) => (None, None, Some(agreement.name())),
            SendResult::Delivered | SendResult::Dropped => (None, None, None),
        };
        let row = code.and_then(errors::error);
        records::Outcome {
            envelope: self.envelope(hex(id), "tollgate.send.outcome.v1".into()),
            phone_number_id: self.number.as_str().into(),
            account_id: self.account_id(),
            portfolio_id: self.portfolio_id(),
            contact: self.contact(),
            message_id: message.map(Text::from),
            participant_key: self.participant(outcome.participant.as_ref()),
            request_id: request.map(Text::from),
            outcome: name.into(),
            held,
            code,
            error_class: row.map(|row| row.class.name().into()),
            advice: row.map(|row| row.advice.into()),
            agreement: agreement.map(Text::from),
            disagrees: outcome.disagrees,
            revision: small(outcome.revision),
        }
    }
}

const fn event_type(transition: Transition) -> &'static str {
    match transition {
        Transition::Opened => "tollgate.window.opened.v1",
        Transition::Refreshed => "tollgate.window.refreshed.v1",
        Transition::Closing => "tollgate.window.closing.v1",
        Transition::Closed => "tollgate.window.closed.v1",
        Transition::Corrected => "tollgate.window.corrected.v1",
    }
}

fn event(id: EventId) -> Text<'static> {
    hex(id.0)
}

fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn amount(amount: Amount) -> Text<'static> {
    amount.to_string().into()
}

fn currency(currency: Currency) -> Text<'static> {
    Text::copied(currency.as_str())
}

fn contact(named: &Named) -> records::Contact<'_> {
    let clear = named.clear.as_ref();
    records::Contact {
        key: hex(named.key.0),
        wa_id: clear.and_then(|clear| clear.phone.as_ref()).map(WaId::as_str).map(Text::from),
        user_id: clear.and_then(|clear| clear.scoped.as_ref()).map(ScopedUserId::as_str).map(Text::from),
    }
}

fn template(verdict: &Verdict) -> Option<records::TemplateView<'_>> {
    let Content::Template(asked) = &verdict.content else {
        return None;
    };
    let view = verdict.template.as_ref();
    let state = view.and_then(|view| view.state.as_ref());
    let announced = view.and_then(|TemplateView { announced, .. }| announced.as_ref());
    Some(records::TemplateView {
        name: (&*asked.name).into(),
        language: (&*asked.language).into(),
        category: view.and_then(|view| view.category.as_ref()).map(Category::name).map(Text::from),
        status: state.map(|state| match state {
            TemplateState::Approved => "APPROVED".into(),
            TemplateState::Paused(_) => "PAUSED".into(),
            TemplateState::Disabled => "DISABLED".into(),
            TemplateState::NotApproved(name) => (&**name).into(),
        }),
        announced_category: announced.map(|(category, _)| category.name().into()),
        announced_for: announced.map(|(_, at)| at.millis()),
    })
}

fn reason(cited: &Cited) -> records::Reason<'_> {
    records::Reason {
        code: cited.reason.code().into(),
        platform_code: cited.reason.platform_code(),
        evidence: cited.evidence.map(event).into_iter().collect(),
        fact: cited.fact.as_deref().map(Text::from),
    }
}

fn service_window(windows: &Windows) -> records::ServiceWindow<'static> {
    let (state, span, closed_at) = match windows.service {
        WindowAt::Open(span) => ("open", Some(span), None),
        WindowAt::Closed(at) => ("closed", None, Some(at)),
        WindowAt::Never => ("never_opened", None, None),
    };
    records::ServiceWindow {
        state: state.into(),
        opened_at: span.map(|span| span.start.millis()),
        expires_at: span.map(|span| span.end.millis()),
        closed_at: closed_at.map(Timestamp::millis),
        opened_by: windows.service_opened_by.map(event),
    }
}

fn free_entry_point(
    eligible_until: Option<Timestamp>,
    free: Option<FreeView>,
) -> Option<records::FreeEntryPoint<'static>> {
    let state = match (free, eligible_until) {
        (Some(_), _) => "open",
        (None, Some(_)) => "eligible",
        (None, None) => return None,
    };
    Some(records::FreeEntryPoint {
        state: state.into(),
        eligible_until: eligible_until.map(Timestamp::millis),
        opened_at: free.map(|free| free.opened_at.millis()),
        expires_at: free.map(|free| free.expires_at.millis()),
        expiry_source: free.map(|free| free.expiry.name().into()),
        confirmed: free.map(|free| free.confirmed),
    })
}

fn price(preview: &Preview) -> records::Price<'_> {
    let (price, missing) = match &preview.price {
        Some(Ok(price)) => (Some(price), None),
        Some(Err(missing)) => (None, Some(*missing)),
        None => (None, None),
    };
    records::Price {
        chargeable: match preview.toll {
            Toll::Charged(_) => Some(true),
            Toll::Free(..) => Some(false),
            Toll::Unknown(_) => None,
        },
        pricing_type: preview.toll.pricing_type().map(Text::from),
        category: preview.toll.category().map(Text::from),
        free_reason: free_reason(&preview.toll),
        unknown_reason: unknown_reason(&preview.toll, missing),
        unit_price: price.map(|price| amount(price.amount)),
        currency: price.map(|price| currency(price.currency)),
        market: preview.market.map(Market::name).map(Text::from),
        rate_card: price.map(|price| Text::from(&*price.card)),
        rule: preview.rule.into(),
        allowance: preview.allowance.map(|it| allowance(it, preview.in_flight)),
    }
}

fn limits(limits: &Limits) -> Option<records::Limits<'static>> {
    let Limits { messaging, reached, in_flight, pair_rate, throughput, budget } = *limits;
    // Nearly every ask keeps the rate of its pair, which is no news; each field costs where all verdicts have it.
    if messaging.is_none() && budget.is_none() && pair_rate != Some(false) && throughput.is_none() {
        return None;
    }
    Some(records::Limits {
        messaging_limit: messaging.map(i64::from),
        pair_rate_ok: pair_rate,
        throughput_ok: throughput,
        messaging_used: reached.map(|reached| i64::try_from(reached.count).unwrap_or(i64::MAX)),
        messaging_in_flight: in_flight.map(i64::from),
        messaging_as_of: reached.map(|reached| reached.as_of.millis()),
        budget: budget.map(|budget| amount(budget.amount)),
        budget_spent: budget.map(|budget| amount(budget.spent)),
        budget_currency: budget.map(|budget| currency(budget.currency)),
    })
}

fn free_reason(toll: &Toll) -> Option<Text<'static>> {
    match toll {
        Toll::Free(reason, _) => Some(reason.name().into()),
        Toll::Charged(_) | Toll::Unknown(_) => None,
    }
}

fn unknown_reason(toll: &Toll, missing: Option<NoPrice>) -> Option<Text<'static>> {
    match toll {
        Toll::Unknown(why) => Some(Unpriced::name(why).into()),
        Toll::Charged(_) | Toll::Free(..) => missing.map(|missing| missing.name().into()),
    }
}

fn allowance(allowance: Allowance, in_flight: Option<u32>) -> records::Allowance<'static> {
    records::Allowance {
        period: allowance.month.to_string().into(),
        limit: small(allowance.limit),
        used_before: small(allowance.used_before),
        consumed: allowance.consumed,
        in_flight: in_flight.map(small),
        // Both were counted in this fold.
        as_of: None,
    }
}

/// The limits looked at; nothing where none is counted.
fn consent(opt_in: Option<&Choice>, marketing: Option<&Choice>) -> records::ConsentView<'static> {
    let source = |choice: &Choice| Text::copied(choice.source.name());
    records::ConsentView {
        opt_in: opt_in.map(|choice| choice.given),
        opt_in_source: opt_in.map(source),
        opt_in_at: opt_in.map(|choice| choice.at.millis()),
        marketing: marketing.map(|choice| choice.given),
        marketing_source: marketing.map(source),
        marketing_at: marketing.map(|choice| choice.at.millis()),
    }
}

fn platform(pricing: &Pricing) -> records::Pricing<'_> {
    let term = |term: &Term| Text::copied(term.as_str());
    records::Pricing {
        billable: pricing.billable,
        pricing_model: Some(term(&pricing.model)),
        r#type: pricing.kind.as_ref().map(term),
        category: Some(term(&pricing.category)),
        subtype: pricing.subtype.as_ref().map(term),
        cost_amount: pricing.cost.map(|(cost, _)| amount(cost)),
        cost_currency: pricing.cost.map(|(_, unit)| currency(unit)),
    }
}

const fn country_source(origin: Origin) -> Option<&'static str> {
    match origin {
        Origin::Dial(_) => Some("phone_prefix"),
        Origin::Country(_) => Some("user_id_prefix"),
        Origin::Unknown => None,
    }
}
