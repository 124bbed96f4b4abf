//! What happened and what follows, in words. Nobody is named: people by the keys that outputs have for them, messages
//! and asks by their ids.

use crate::codec::ids::hex;
use crate::domain::billing::{Allowance, Charge, NoPrice, Price, PriceSource, Toll, Unpriced};
use crate::domain::contact::{Choice, Contact};
use crate::domain::content::{Category, Content};
use crate::domain::effect::{Effect, Outcome, SendResult, Transition, What, WindowEdge, WindowKind};
use crate::domain::event::{About, ConsentScope, Event, Happening, NumberFact, Preference, Pricing, Stage, Term};
use crate::domain::id::AccountId;
use crate::domain::identity::{How, Join, Rank};
use crate::domain::ledger::volume::{CounterId, Discount, Reached};
use crate::domain::message::Message;
use crate::domain::policy::Policy;
use crate::domain::rules::markets::Market;
use crate::domain::rules::openers::OPENERS;
use crate::domain::rules::{Rules, errors};
use crate::domain::time::{Days, Timestamp};
use crate::domain::verdict::{Cited, Effect as ReasonEffect, Preview, Verdict};
use crate::domain::window::WindowAt;
use crate::engine::ledger::PostedDiscount;
use crate::engine::publish::Publisher;
use crate::zones::{Zones, instant};

/// What happened, in one line.
pub fn event(event: &Event, policy: &Policy) -> String {
    match &event.happening {
        Happening::Inbound(inbound) => {
            let row = &OPENERS[inbound.kind as usize];
            let opens = policy.openers.opens(inbound.kind);
            let rule = match (inbound.live, opens) {
                (false, _) => "an old message, which an import brought: it opens nothing".to_owned(),
                (true, opens) => {
                    let set = if opens == row.opens { "" } else { ", by setting" };
                    format!(
                        "row `{}`: {}{set} ({})",
                        row.name,
                        if opens { "opens the window" } else { "opens nothing" },
                        row.source
                    )
                }
            };
            let click = inbound.referral.as_ref().map_or_else(String::new, |referral| {
                format!(", through a click on an {}", referral.source_type.as_str())
            });
            format!("the person wrote or called{click}; {rule}")
        }
        Happening::Echo => "the business wrote from the phone app".into(),
        Happening::MarketingPreference(Preference::Stop) => "the person stopped marketing messages".into(),
        Happening::MarketingPreference(Preference::Resume) => "the person resumed marketing messages".into(),
        Happening::Consent(consent) => {
            let scope = match consent.scope {
                ConsentScope::All => "to be written to",
                ConsentScope::Marketing => "to marketing",
            };
            let given = if consent.given { "given" } else { "withdrawn" };
            format!("consent {scope} {given}, by {}", consent.source.as_str())
        }
        Happening::IdentityChanged(_) => "an id of the person changed".into(),
        Happening::ContactErased => "the person was to be forgotten".into(),
        Happening::CallEnded(_) => "a call of the business's ended".into(),
        Happening::SendRequested(ask) => {
            let later = ask.evaluate_for.map_or_else(String::new, |at| format!(", for {}", instant(at)));
            format!("asked whether {} may be sent{later}, as {}", content(&ask.content), ask.request.as_str())
        }
        Happening::SendAccepted(accepted) => {
            let request = accepted.request.as_ref().map_or_else(String::new, |id| format!(" for {}", id.as_str()));
            let said = accepted.content.as_ref().map_or_else(String::new, |said| format!(": {}", content(said)));
            let held = if accepted.held { ", and holds it back" } else { "" };
            format!("the API took {}{request}{said}{held}", accepted.message.as_str())
        }
        Happening::Status(status) => {
            let stage = match status.stage {
                Stage::Sent => "sent",
                Stage::Delivered => "delivered",
                Stage::Read => "read",
                Stage::Failed => "failed",
            };
            let about = match &status.about {
                About::Message(id) => id.as_str(),
                About::Request(id) => id.as_str(),
            };
            let pricing = status.pricing.as_ref().map_or_else(String::new, |word| format!("; {}", pricing(word)));
            let errors: Vec<String> = status.errors.iter().map(ToString::to_string).collect();
            let errors = if errors.is_empty() { String::new() } else { format!(", code {}", errors.join(", ")) };
            format!("status {stage} of {about}{errors}{pricing}")
        }
        Happening::NumberFact(NumberFact::Coexistence) => {
            "the number is used from the phone app too from now on".into()
        }
        Happening::NumberFact(NumberFact::Restriction { name, until }) => {
            let until = until.map_or_else(String::new, |at| format!(" until {}", instant(at)));
            format!("the number is under {name}{until}")
        }
        Happening::Unknown(name) => format!("an event of kind `{name}`, which this version does not know"),
    }
}

/// The platform's word on a price.
pub fn pricing(pricing: &Pricing) -> String {
    let kind = pricing.kind.as_ref().map_or("", Term::as_str);
    let subtype = pricing.subtype.as_ref().map_or_else(String::new, |subtype| format!(" {}", subtype.as_str()));
    let cost = pricing.cost.map_or_else(String::new, |(cost, unit)| format!(", {cost} {}", unit.as_str()));
    format!("the platform says {} {kind}{subtype} in {}{cost}", pricing.model.as_str(), pricing.category.as_str())
}

/// What was to be said.
pub fn content(said: &Content) -> String {
    let category = |category: Option<&Category>| category.map_or_else(String::new, |it| format!(" ({})", it.name()));
    match said {
        Content::Template(template) => {
            format!("the template {}/{}{}", template.name, template.language, category(template.category.as_ref()))
        }
        Content::DirectSend(of) => format!("a direct send{}", category(Some(of))),
        Content::Freeform => "what is no template".into(),
        Content::Reaction => "a reaction".into(),
        Content::Agent => "a message of the platform's agent".into(),
        Content::Call(Some(pulses)) => format!("a call of {pulses} pulses"),
        Content::Call(None) => "a call".into(),
    }
}

/// What follows, in one line; nothing for what another line tells.
pub fn effect(effect: &Effect, publisher: &Publisher, rules: &Rules, zones: &Zones) -> Option<String> {
    match &effect.what {
        What::Window(edge) if edge.window == WindowKind::FreeEntryPoint && edge.transition == Transition::Opened => {
            let row = rules.entry_point(Days::of(zones, effect.account.zone, edge.opened_at));
            let source = edge.expiry.name();
            let told = window(edge);
            Some(format!("{told}, the end by {source}; row {}, in force from {} ({})", row.name, row.from, row.source))
        }
        What::Window(edge) => Some(window(edge)),
        What::Outcome(told) => Some(outcome(told)),
        What::Verdict(verdict) => {
            let first = verdict.reasons.first().map_or("", |cited| cited.reason.code());
            Some(format!("verdict {}: {first}", verdict.answer.name()))
        }
        What::Charge(charge) => Some(format!("ledger of {}: {}", charge.message.as_str(), line(charge, publisher))),
        What::State(_) => None,
    }
}

fn window(edge: &WindowEdge) -> String {
    let until = match edge.closed_at {
        Some(at) => format!(" at {}", instant(at)),
        None => format!(": from {} until {}", instant(edge.opened_at), instant(edge.expires_at)),
    };
    let reason = edge.reason.map_or_else(String::new, |reason| format!(" ({})", reason.name()));
    let former = edge.corrects.map_or_else(String::new, |at| format!(", announced before as from {}", instant(at)));
    format!("{} {}{until}{reason}{former}", edge.window.id(), edge.transition.name())
}

fn outcome(told: &Outcome) -> String {
    let more = match told.result {
        SendResult::Accepted { held: true } => ", held back".to_owned(),
        SendResult::Failed { code: Some(code) } => {
            let advice =
                errors::error(code).map_or_else(String::new, |row| format!(" ({}: {})", row.class.name(), row.advice));
            format!(", code {code}{advice}")
        }
        SendResult::Agreement(agreement) => format!(": {}", agreement.name()),
        SendResult::Accepted { held: false }
        | SendResult::Failed { code: None }
        | SendResult::Delivered
        | SendResult::Dropped => String::new(),
    };
    let disagrees = if told.disagrees { "; the platform contradicts us" } else { "" };
    format!("outcome {}{more}{disagrees}", told.result.name())
}

/// What changed of a contact that no output tells.
pub fn changes(before: Option<&Contact>, after: Option<&Contact>) -> Vec<String> {
    let Some(after) = after else {
        return Vec::new();
    };
    let mut told = Vec::new();
    if before.is_none() {
        told.push("first heard of".to_owned());
    }
    let choice = |of: &Option<Choice>| of.clone();
    for (name, was, is) in [
        ("consent to be written to", before.and_then(|was| choice(&was.consent.all)), &after.consent.all),
        ("consent to marketing", before.and_then(|was| choice(&was.consent.marketing)), &after.consent.marketing),
    ] {
        if was != *is
            && let Some(choice) = is
        {
            told.push(format!("{name}: {}", consent(choice)));
        }
    }
    if let Some(at) = after.capped_at.filter(|at| before.and_then(|was| was.capped_at) != Some(*at)) {
        told.push(format!("marketing was held back at {}: enough of it from all businesses", instant(at)));
    }
    if let Some(at) = after.held_out_at.filter(|at| before.and_then(|was| was.held_out_at) != Some(*at)) {
        told.push(format!("marketing was held back at {} for an experiment", instant(at)));
    }
    told
}

/// A choice.
pub fn consent(choice: &Choice) -> String {
    let given = if choice.given { "given" } else { "refused" };
    format!("{given} at {}, by {}", instant(choice.at), choice.source.name())
}

/// What is known of a contact at the end.
pub fn standing(contact: &Contact, at: Timestamp) -> Vec<String> {
    let mut told = Vec::new();
    told.push(match contact.window.at(at, None) {
        WindowAt::Open(span) => format!("service window open until {}", instant(span.end)),
        WindowAt::Closed(end) => format!("service window closed since {}", instant(end)),
        WindowAt::Never => "service window never opened, as far as is known".into(),
    });
    if let Some((span, confirmed)) = contact.entry.at(at) {
        let word = if confirmed { "confirmed by the platform" } else { "by our rule" };
        told.push(format!("free entry point open until {}, {word}", instant(span.end)));
    }
    for (name, choice) in
        [("consent to be written to", &contact.consent.all), ("consent to marketing", &contact.consent.marketing)]
    {
        told.push(format!("{name}: {}", choice.as_ref().map_or_else(|| "nothing is known".to_owned(), consent)));
    }
    let chain = contact.chain.as_deref();
    told.extend(chain.into_iter().flat_map(|chain| &chain.joins).map(name));
    if let Some(others) = chain.map(|chain| chain.absorbed.len()).filter(|others| *others > 0) {
        told.push(format!("{others} that were taken for other people turned out to be this one"));
    }
    told
}

/// A name of a contact, by the key that it would have by that name alone, and how it was learned.
fn name(join: &Join) -> String {
    let kind = match join.alias.rank {
        Rank::Phone => "a phone number",
        Rank::Scoped => "a user id",
        Rank::Parent => "a parent user id",
        Rank::Group => "a group",
    };
    let how = match join.how {
        How::Together => "given together with another name",
        How::Former => "announced as the one before a change",
        How::Latter => "announced as the one after a change",
    };
    let left = join.left.map_or_else(String::new, |at| format!("; somebody else's since {}", instant(at)));
    let (key, event) = (hex(join.key().0), hex(join.event.0));
    format!("known by {kind} ({}): {how} at {}, by event {}{left}", key.as_str(), instant(join.at), event.as_str())
}

/// A reason with its place in the order, what it does, and what it rests on.
pub fn reason(cited: &Cited, decides: bool, find: &impl Fn([u8; 16]) -> Option<String>) -> String {
    let rank =
        crate::domain::verdict::Reason::ALL.iter().position(|reason| *reason == cited.reason).unwrap_or_default();
    let does = match cited.reason.effect() {
        ReasonEffect::Blocks => "blocks",
        ReasonEffect::Doubts => "cannot be told",
        ReasonEffect::Permits => "permits",
        ReasonEffect::Warns => "warns",
    };
    let platform = cited.reason.platform_code();
    let platform = platform.map_or_else(String::new, |code| format!(", as the platform's code {code} would"));
    let fact = cited.fact.as_ref().map_or_else(String::new, |fact| format!(", by {fact}"));
    let evidence = cited.evidence.map_or_else(String::new, |id| {
        let place = find(id.0).map_or_else(|| "which is not in these files".to_owned(), |place| format!("at {place}"));
        format!(", by event {} {place}", hex(id.0).as_str())
    });
    let outweighed = !decides && cited.reason.effect() != ReasonEffect::Warns;
    let outweighed = if outweighed { "; outweighed" } else { "" };
    format!("{:>2}. {} {does}{platform}{fact}{evidence}{outweighed}", rank + 1, cited.reason.code())
}

/// A rule row with its first day and where it was read.
pub fn rule(name: &str, rules: &Rules) -> String {
    let era = rules.eras.iter().find(|era| era.name == name);
    let as_of = rules.as_of.map_or_else(String::new, |date| format!(", because rules as of {date} are asked for"));
    match era {
        Some(era) => format!("{name}, in force from {} ({}){as_of}", era.from, era.source),
        None if name == "reaction" => "a reaction is free in every era (rules.md 5)".into(),
        None => "no rule row applies".into(),
    }
}

fn allowance(allowance: Allowance) -> String {
    let Allowance { month, limit, used_before, consumed } = allowance;
    if consumed {
        format!("free delivery {} of {limit} in {month}", used_before + 1)
    } else {
        format!("{used_before} of {limit} free deliveries in {month} were used before it")
    }
}

fn toll(toll: &Toll) -> String {
    match toll {
        Toll::Charged(category) => format!("charged as {}", category.name()),
        Toll::Free(reason, category) => format!("free as {}: {}", category.name(), reason.name()),
        Toll::Unknown(why) => format!("unknown: {}", Unpriced::name(why)),
    }
}

/// The arithmetic of a price that was expected.
pub fn preview(preview: &Preview, rules: &Rules) -> Vec<String> {
    let mut told = vec![format!("expected: {}", toll(&preview.toll)), format!("rule: {}", rule(preview.rule, rules))];
    told.extend(preview.market.map(|market| format!("market: {}", Market::name(market))));
    told.extend(preview.allowance.map(|it| format!("allowance: {}", allowance(it))));
    match &preview.price {
        Some(Ok(price)) => {
            told.push(format!("list price: {} {} by {}", price.amount, price.currency.as_str(), price.card));
        }
        Some(Err(missing)) => told.push(format!("list price: unknown, {}", NoPrice::name(*missing))),
        None => {}
    }
    told
}

/// A line of the ledger, in one line.
pub fn line(charge: &Charge, publisher: &Publisher) -> String {
    let Price { kind, amount, currency, source, .. } = publisher.at_list(&charge.line, charge.reverses.is_some()).price;
    let amount = amount.map_or_else(|| "amount unknown".to_owned(), |amount| amount.to_string());
    let currency = currency.map_or_else(String::new, |unit| format!(" {}", unit.as_str()));
    let source = match source {
        PriceSource::Card(card) => format!(" by {card}"),
        PriceSource::Platform => ", the platform's own price".into(),
        PriceSource::Free | PriceSource::TollUnknown => String::new(),
        PriceSource::Missing(missing) => format!(" ({})", missing.name()),
    };
    let reverses = charge.reverses.map_or_else(String::new, |line| format!(" takes back line {line}:"));
    format!(
        "line {} {}{reverses} {}, {amount}{currency}{source}",
        charge.revision,
        kind.name(),
        toll(&charge.line.toll)
    )
}

/// The arithmetic of a line of the ledger.
pub fn derivation(charge: &Charge, publisher: &Publisher, rules: &Rules) -> Vec<String> {
    let price = publisher.at_list(&charge.line, charge.reverses.is_some()).price;
    let mut told = vec![line(charge, publisher)];
    let day =
        charge.line.date.map_or_else(|| "a day that is unknown".to_owned(), |date| format!("{date} of the account"));
    told.push(format!("charged at {}, {day}, by {}", instant(charge.line.charged_at), charge.trigger.name()));
    told.push(format!("rule: {}", rule(charge.prediction.rule, rules)));
    let open = |open| if open { "open" } else { "closed" };
    told.push(format!(
        "when it was sent: service window {}, free entry point {}",
        open(charge.service_window),
        open(charge.free_entry_point)
    ));
    told.extend(price.market.map(|market| format!("market: {}", Market::name(market))));
    told.extend(charge.prediction.allowance.map(|it| format!("allowance: {}", allowance(it))));
    told.push(format!("we computed: {}", toll(&charge.prediction.toll)));
    told.push(match &charge.pricing {
        Some(word) => format!("{}; agreement: {}", pricing(word), charge.agreement.name()),
        None => format!("the platform has not said a price; agreement: {}", charge.agreement.name()),
    });
    told
}

/// The volume tier that a line was booked in.
pub fn tier(reached: Reached) -> String {
    let Reached { tier, announced } = reached;
    let by = if announced { "as the platform has announced" } else { "by our count" };
    format!("volume tier: {tier} of the month, {} each, {by}; DISCOUNT lines take off the difference", tier.price)
}

/// What a line of discount says, and why.
pub fn discount(posted: &PostedDiscount) -> Vec<String> {
    let Discount { counter, account, revision, amount, currency, tier: reached } = &posted.discount;
    let CounterId { scope, market, accrual, month } = counter;
    let account = account.as_ref().map_or("an account that is not known", AccountId::as_str);
    let mut told = vec![
        format!("line {revision} DISCOUNT {amount} {} of {account}, {}", currency.as_str(), instant(posted.at)),
        format!("counted: {} of {} {} in {month}, in {}", accrual.name(), scope.kind(), scope.id(), Market::name(*market)),
        "arithmetic: what all its messages of the month cost by the prices of the tiers they came into, less what they \
         cost at list, less what the lines before this one have taken off"
            .to_owned(),
    ];
    told.extend(reached.map(tier));
    told
}

/// What a verdict rests on besides its reasons.
pub fn verdict(verdict: &Verdict, rules: &Rules) -> Vec<String> {
    let mut told = vec![
        format!("{} for {}", verdict.answer.name(), instant(verdict.evaluate_for)),
        format!("judged: {}", content(&verdict.content)),
    ];
    told.push(match verdict.windows.service {
        WindowAt::Open(span) => {
            format!("service window: open from {} until {}", instant(span.start), instant(span.end))
        }
        WindowAt::Closed(at) => format!("service window: closed at {}", instant(at)),
        WindowAt::Never => "service window: never opened".into(),
    });
    told.extend(
        verdict.windows.free.map(|free| {
            format!("free entry point: open until {}, by {}", instant(free.expires_at), free.expiry.name())
        }),
    );
    told.extend(preview(&verdict.price, rules));
    told.extend(verdict.valid_until.map(|at| format!("valid until {}", instant(at))));
    told.extend(verdict.reference_watermark.map(|at| format!("facts known until {}", instant(at))));
    told
}

/// How far a message got.
fn stages(message: &Message) -> [(&'static str, Option<Timestamp>); 6] {
    [
        ("asked about", message.requested_at),
        ("taken by the API", message.accepted_at),
        ("sent", message.sent_at),
        ("delivered", message.delivered_at),
        ("read", message.read_at),
        ("failed", message.failed.map(|failure| failure.at)),
    ]
}

/// What changed of a message.
pub fn progress(before: Option<&Message>, after: Option<&Message>) -> Vec<String> {
    let Some(after) = after else {
        return Vec::new();
    };
    let was = before.map(stages);
    let stages = (0..).zip(stages(after)).filter_map(|(place, (name, at))| {
        let was: Option<Timestamp> = was.as_ref().and_then(|was| was.get::<usize>(place)).and_then(|(_, at)| *at);
        at.filter(|at| was != Some(*at)).map(|at| format!("the message: {name} {}", instant(at)))
    });
    let mut told: Vec<String> = stages.collect();
    if let Some(priced) =
        after.priced.as_ref().filter(|priced| before.and_then(|was| was.priced.as_ref()) != Some(priced))
    {
        told.push(format!("the message: {}", pricing(&priced.pricing)));
    }
    told
}

/// How far a message got, and what is missing of it.
pub fn message(message: &Message) -> (Vec<String>, Vec<String>) {
    let reached = stages(message).into_iter().filter_map(|(name, at)| Some(format!("{name} {}", instant(at?))));
    let mut told: Vec<String> = reached.collect();
    told.extend(message.content.as_ref().map(|said| format!("it says: {}", content(said))));
    let mut missing = Vec::new();
    match (message.requested_at, message.accepted_at) {
        (None, None) => missing.push(
            "no send of it was seen, neither an ask nor an acceptance: what it says is unknown, and the platform's reports \
             alone tell its price",
        ),
        (None, Some(_)) => missing.push("no ask about it was seen, so there was no verdict"),
        (Some(_), _) => {}
    }
    if message.charge_instant().is_none() && message.failed.is_none() {
        missing.push("no delivery of it was reported, so it has no line in the ledger");
    }
    if message.priced.is_none() && message.charge_instant().is_some() {
        missing.push("no report of the platform's price was seen: its line rests on our computation alone");
    }
    (told, missing.into_iter().map(str::to_owned).collect())
}
