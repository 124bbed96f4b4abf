//! Plays a vector: its lines become the events that a webhook reader and a sender would have written, the
//! engine folds them, and what it tells is held against what the vector expects.

mod given;
mod weigh;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::parse::{Bid, Happening, Inbound, Mistake, Outbound, Person, Pricing, StatusLine, Step, Vector, When};
use crate::codec::event;
use crate::codec::ids::DeploymentKey;
use crate::codec::records::{self, Event};
use crate::codec::reference::Learned;
use crate::codec::state::WriteFormat;
use crate::config::parse_date;
use crate::domain::bid;
use crate::domain::billing::{Agreement, Charge, EntryKind};
use crate::domain::conversation::ConversationKind;
use crate::domain::effect::{CloseReason, SendResult, Transition, What, WindowEdge, WindowKind};
use crate::domain::id::{ContactKey, MessageId, RequestId};
use crate::domain::ledger::volume::Discount;
use crate::domain::policy::Policy;
use crate::domain::rules::eras::{Era, FreeConversations, era};
use crate::domain::time::{Date, Millis, Span, Timestamp, Zone};
use crate::domain::verdict::{Answer, Verdict};
use crate::engine::ledger::{Booked, Posted};
use crate::engine::{Advanced, Engine, Output, Prepared, Setup};
use crate::store::Memory;
use crate::zones::Zones;
use weigh::Later;

/// Something that is not as expected, and at which step.
pub struct Difference {
    /// The step, if it is one step's.
    pub step: Option<usize>,
    /// Where it stands in the text, and what was found.
    pub mistake: Mistake,
}

/// The key scenarios name people by. It protects nobody: the people are invented.
const KEY: &[u8] = b"scenarios name invented people only";

/// Plays a vector and returns what differs. Files that it names are looked for in `folder`.
///
/// # Errors
/// If something given cannot be.
pub fn play(vector: &Vector, policy: &Policy, folder: &Path) -> Result<Vec<Difference>, Mistake> {
    let mut stage = Stage::new(vector, policy, folder)?;
    stage.set()?;
    for (index, step) in vector.steps.iter().enumerate() {
        stage.step(index, step)?;
    }
    stage.run_queue(None)?;
    stage.close()?;
    Ok(stage.finish())
}

struct Stage<'v> {
    vector: &'v Vector,
    engine: Engine<Memory>,
    key: DeploymentKey,
    zone: Option<Zone>,
    /// The arrival of the step being played.
    now: Timestamp,
    /// Events that are still to come, in order of time and then of writing.
    queue: BTreeMap<(Timestamp, usize), Event<'static>>,
    queued: usize,
    verdicts: Vec<Verdict>,
    told: usize,
    /// The line of each message that stands; nothing where it was taken back.
    lines: HashMap<String, Option<(Charge, Booked)>>,
    /// What volume tiers take off.
    discounts: Vec<Discount>,
    /// How many people besides the contact have been written to.
    others: u32,
    /// The conversations that were opened, and not taken back.
    conversations: Vec<(ConversationKind, Span)>,
    outcomes: HashMap<String, Vec<&'static str>>,
    agreements: HashMap<String, Agreement>,
    names: HashMap<String, String>,
    sent: usize,
    asked: usize,
    /// The last bid.
    bid: Option<u64>,
    /// The names that the step being played gives, if it gives any.
    by: Option<String>,
    /// Whom the last output of the step is about.
    about: Option<ContactKey>,
    /// Why the step has closed windows.
    closed: Vec<&'static str>,
    /// What the ledger has taken notice of in the step.
    notices: Vec<&'static str>,
    later: Vec<Later>,
    differences: Vec<Difference>,
}

impl<'v> Stage<'v> {
    fn new(vector: &'v Vector, policy: &Policy, folder: &Path) -> Result<Self, Mistake> {
        let given = &vector.given;
        let wrong = |problem: String| Mistake { at: vector.at.clone(), problem };
        let zones = Zones::new();
        let zone_name = given.zone.as_deref().unwrap_or("UTC");
        let zone = zones.find(zone_name).ok_or_else(|| wrong(format!("`{zone_name}` is no time zone")))?;
        let (policy, rules) = given::settings(given, policy).map_err(wrong)?;
        let mut cards = given::cards(given).map_err(wrong)?;
        let rules = given::candidate(given, folder, rules, &mut cards).map_err(wrong)?;
        let key = DeploymentKey::new(KEY).ok_or_else(|| wrong("the sample key is too short".into()))?;
        let setup = Arc::new(Setup {
            policy,
            rules,
            cards,
            key: key.clone(),
            assume_zone: None,
            assume_currency: None,
            memory: 64 << 20,
            write_format: WriteFormat::default(),
        });
        let opened = Engine::open(setup, zones, Arc::default(), Memory::default());
        let (engine, _) = opened.map_err(|error| wrong(error.to_string()))?;
        let now = midnight(engine.zones(), vector.origin);
        Ok(Self {
            vector,
            engine,
            key,
            zone: Some(zone),
            now,
            queue: BTreeMap::new(),
            queued: 0,
            verdicts: Vec::new(),
            told: 0,
            lines: HashMap::new(),
            discounts: Vec::new(),
            others: 0,
            conversations: Vec::new(),
            outcomes: HashMap::new(),
            agreements: HashMap::new(),
            names: HashMap::new(),
            sent: 0,
            asked: 0,
            bid: None,
            by: None,
            about: None,
            closed: Vec::new(),
            notices: Vec::new(),
            later: Vec::new(),
            differences: Vec::new(),
        })
    }

    fn wrong(&self, problem: impl Into<String>) -> Mistake {
        Mistake { at: self.vector.at.clone(), problem: problem.into() }
    }

    fn instant(&self, when: When) -> Result<Timestamp, Mistake> {
        let at = match when {
            When::After(length) => Some(midnight(self.engine.zones(), self.vector.origin) + length),
            When::Utc(date, time) => Some(midnight(self.engine.zones(), date) + time),
            When::Local(date, time) => {
                let zone = self.zone.map(|zone| self.engine.zones().first_instant(zone, date));
                zone.flatten().map(|start| start + time)
            }
            When::Unix(seconds) => Timestamp::from_seconds(seconds),
        };
        at.ok_or_else(|| self.wrong("a time is out of range"))
    }

    /// Plays what is given.
    fn set(&mut self) -> Result<(), Mistake> {
        let first = self.vector.steps.first().map_or(Ok(self.now), |step| self.instant(step.when))?;
        let given = &self.vector.given;
        let long_ago = Timestamp::EARLIEST.millis();
        for account in ["A", "B", "C"] {
            let own = given.other_zones.iter().find(|(of, _)| of == account).map(|(_, zone)| zone);
            let zone = own.or(given.zone.as_ref());
            let zone = zone.map_or("UTC", String::as_str);
            let currency = given.currency.as_deref().unwrap_or("USD");
            let mut facts = vec![("portfolio", "portfolio"), ("time_zone", zone), ("currency", currency)];
            facts.extend([("payment_method", "true"), ("templates_complete", "true"), ("direct_send", "true")]);
            let facts = facts.into_iter().map(|(name, value)| fact(name, value, long_ago));
            // What is given holds from a later instant, so that it outweighs what every vector has.
            let given = given.facts.iter().map(|(name, value)| fact(name, value, long_ago + 1));
            let record = records::Account {
                entity_type: "account".into(),
                entity_id: account.to_owned().into(),
                facts: facts.chain(given).collect(),
            };
            self.learn(&Learned::Account(record))?;
            for (name, category) in [("M", "MARKETING"), ("U", "UTILITY"), ("A", "AUTHENTICATION")] {
                let record = records::TemplateHistory {
                    account_id: account.to_owned().into(),
                    name: name.into(),
                    language: "en".into(),
                    template_id: None,
                    facts: vec![fact("status", "APPROVED", long_ago), fact("category", category, long_ago)],
                };
                self.learn(&Learned::Template(record))?;
            }
        }
        if let Some(own) = &given.own {
            self.learn(&Learned::Account(records::Account {
                entity_type: "number".into(),
                entity_id: "P1".into(),
                facts: vec![fact("display_phone_number", own, long_ago)],
            }))?;
        }
        if !given.no_opt_in {
            self.now = first - Millis::days(40);
            for number in self.numbers() {
                let mut event = self.about_contact("consent", &number, self.now, None);
                event.consent = Some(Box::new(records::Consent {
                    scope: "all".into(),
                    state: "given".into(),
                    source: Some("web_form".into()),
                }));
                self.fold(&event)?;
            }
        }
        self.use_up(first)?;
        // Those that used it up are none of the vector's.
        self.conversations.clear();
        if given.window_open {
            self.now = first - Millis::hours(1);
            self.inbound(&Inbound { kind: "text".into(), ..Inbound::default() })?;
        }
        Ok(())
    }

    fn learn(&mut self, fact: &Learned<'_>) -> Result<(), Mistake> {
        self.engine.learn_fact(fact).map_err(|mistakes| {
            self.wrong(mistakes.into_iter().map(|mistake| mistake.0).collect::<Vec<_>>().join("; "))
        })
    }

    /// The business numbers the vector speaks of.
    fn numbers(&self) -> Vec<String> {
        let mut numbers = vec!["P1".to_owned()];
        for step in &self.vector.steps {
            let named = match &step.event {
                Happening::In(inbound) => inbound.number.clone(),
                Happening::Out(out) => out.number.clone(),
                _ => None,
            };
            numbers.extend(named.filter(|name| !numbers.contains(name)));
        }
        numbers
    }

    /// Uses up free deliveries of a month: those named, or all of them, as vectors about later ones suppose.
    fn use_up(&mut self, first: Timestamp) -> Result<(), Mistake> {
        let day = self.zone.map_or_else(|| Date::utc(first), |zone| self.local_date(zone, first));
        let conversations = era(day).and_then(Era::conversations);
        // Until 2023-05-31 every conversation is one of the free ones.
        let all_count = conversations.is_some_and(|terms| matches!(terms.free, FreeConversations::UpTo { .. }));
        let speaks_of_service = self
            .vector
            .steps
            .iter()
            .any(|step| matches!(&step.event, Happening::Out(out) if all_count || out.content == "svc"));
        let (count, month) = match &self.vector.given.used {
            Some((count, month)) => (*count, month.clone()),
            None if speaks_of_service => (1_000, None),
            None => return Ok(()),
        };
        let day = if let Some(month) = month {
            let first = parse_date(&format!("{month}-01"));
            first.ok_or_else(|| self.wrong(format!("`{month}` is no month; write `2026-10`")))?
        } else {
            let (year, month, _) = day.numbers();
            Date::new(year, month, 1)
        };
        let start = self.zone.and_then(|zone| self.engine.zones().first_instant(zone, day));
        let Some(start) = start.filter(|start| *start <= first) else {
            return Err(self.wrong("free deliveries can only be used up before the first step"));
        };
        self.now = self.now.max(start);
        for index in 0..count {
            let mut event = self.base("status", "P1", start);
            // Each a person of its own, because a conversation takes all messages to one.
            let phone = format!("1202{}", 6_000_000 + index);
            event.contact = Some(records::Person { wa_id: Some(phone.into()), ..records::Person::default() });
            let (model, kind, category) = match conversations {
                Some(_) if all_count => ("CBP", None, "user_initiated"),
                Some(_) => ("CBP", None, "service"),
                None => ("PMP", Some("free_customer_service"), "service"),
            };
            event.status = Some(Box::new(records::Status {
                message_id: Some(format!("given-{index}").into()),
                status: "delivered".into(),
                pricing: Some(records::Pricing {
                    pricing_model: Some(model.into()),
                    r#type: kind.map(Into::into),
                    category: Some(category.into()),
                    ..records::Pricing::default()
                }),
                ..records::Status::default()
            }));
            self.fold(&event)?;
        }
        Ok(())
    }

    fn local_date(&self, zone: Zone, at: Timestamp) -> Date {
        use crate::domain::time::Zones as _;
        self.engine.zones().date(zone, at)
    }

    fn base(&self, kind: &'static str, number: &str, occurred_at: Timestamp) -> Event<'static> {
        Event {
            kind: kind.into(),
            phone_number_id: number.to_owned().into(),
            account_id: Some("A".into()),
            occurred_at: occurred_at.millis(),
            received_at: Some(self.now.max(occurred_at).millis()),
            provenance: "live".into(),
            ..Event::default()
        }
    }

    /// An event about the vector's contact. `by` says which of its ids the event carries.
    fn about_contact(&self, kind: &'static str, number: &str, at: Timestamp, by: Option<&str>) -> Event<'static> {
        let given = &self.vector.given;
        let phone = match (&given.phone, &given.scoped) {
            (Some(phone), _) => Some(phone.clone()),
            (None, Some(_)) => None,
            (None, None) => Some("14165550143".to_owned()),
        };
        let mut event = self.base(kind, number, at);
        event.contact = Some(match by {
            Some(names) if !["phone", "id"].contains(&names) => person(names),
            by => records::Person {
                wa_id: phone.filter(|_| by != Some("id")).map(Into::into),
                user_id: given.scoped.clone().filter(|_| by != Some("phone")).map(Into::into),
                parent_user_id: None,
            },
        });
        event
    }

    fn about_person(&self, kind: &'static str, person: &Person) -> Result<Event<'static>, Mistake> {
        let at = person.occurred.map_or(Ok(self.now), |when| self.instant(when))?;
        Ok(self.about_contact(kind, "P1", at, person.by.as_deref()))
    }

    /// Folds an event and takes in what it tells.
    fn fold(&mut self, record: &Event<'_>) -> Result<(), Mistake> {
        let arrived = event::parse(record, &self.key).map_err(|invalid| self.wrong(invalid.to_string()))?;
        let at = arrived.received_at.unwrap_or(arrived.occurred_at);
        let mut outputs = Vec::new();
        self.advance(at, &mut outputs)?;
        if let Some(event) = arrived.event {
            let prepared = Prepared::new(event, &self.key);
            let folded =
                self.engine.fold(&prepared, at, &mut outputs).map_err(|error| self.wrong(error.to_string()))?;
            folded.map_err(|rejected| self.wrong(format!("an event was refused: {}", rejected.code())))?;
        }
        self.take_in(outputs)
    }

    /// Has the ledger publish what it has not yet.
    fn close(&mut self) -> Result<(), Mistake> {
        self.engine.close_ledger().map_err(|error| self.wrong(error.to_string()))?;
        self.take_in(Vec::new())
    }

    fn advance(&mut self, at: Timestamp, outputs: &mut Vec<Output>) -> Result<(), Mistake> {
        loop {
            match self.engine.advance(at, usize::MAX, outputs).map_err(|error| self.wrong(error.to_string()))? {
                Advanced::Done => return Ok(()),
                Advanced::TakeOutputs => {}
                Advanced::CommitFirst => self.engine.commit(&[]).map_err(|error| self.wrong(error.to_string()))?,
            }
        }
    }

    /// Takes in what the ledger has told.
    fn take_posted(&mut self) {
        for posted in self.engine.take_posted() {
            match posted {
                Posted::Discount(posted) => self.discounts.push(posted.discount),
                Posted::Used(used) => {
                    self.notices.extend(used.notices.iter().filter(|it| it.is_new).map(|it| it.notice.code()));
                }
            }
        }
    }

    fn take_in(&mut self, outputs: Vec<Output>) -> Result<(), Mistake> {
        self.take_posted();
        for output in outputs {
            self.told += 1;
            let booked = self.engine.book_output(&output).map_err(|error| self.wrong(error.to_string()))?;
            self.take_posted();
            self.about = output.effect.contact.map(|contact| contact.key).or(self.about);
            match output.effect.what {
                What::Verdict(verdict) => self.verdicts.push(*verdict),
                What::Charge(charge) => {
                    let mut name = charge.message.as_str().to_owned();
                    if let Some(participant) = &charge.participant {
                        name = format!("{name}/{}", participant.as_str());
                    }
                    self.agreements.insert(name.clone(), charge.agreement);
                    let standing = booked.filter(|booked| booked.price.kind != EntryKind::Reversal);
                    let standing = standing.map(|booked| (*charge, booked));
                    self.lines.insert(name, standing);
                }
                What::Outcome(outcome) => {
                    let about = outcome
                        .message
                        .as_ref()
                        .map(MessageId::as_str)
                        .or(outcome.request.as_ref().map(RequestId::as_str));
                    let outcomes = self.outcomes.entry(about.unwrap_or_default().to_owned()).or_default();
                    outcomes.push(outcome.result.name());
                    if let SendResult::Agreement(agreement) = outcome.result {
                        self.agreements.insert(about.unwrap_or_default().to_owned(), agreement);
                    }
                }
                What::Window(edge) => self.take_in_edge(&edge),
                What::State(_) => {}
            }
        }
        Ok(())
    }

    fn take_in_edge(&mut self, edge: &WindowEdge) {
        self.closed.extend(edge.reason.map(CloseReason::name));
        let WindowKind::Conversation(kind) = edge.window else {
            return;
        };
        match (edge.transition, edge.reason) {
            (Transition::Opened, _) => {
                self.conversations.push((kind, Span { start: edge.opened_at, end: edge.expires_at }));
            }
            (_, Some(CloseReason::Withdrawn)) => {
                self.conversations.retain(|(known, span)| (*known, span.start) != (kind, edge.opened_at));
            }
            _ => {}
        }
    }

    fn later(&mut self, at: Timestamp, event: Event<'static>) {
        self.queue.insert((at, self.queued), event);
        self.queued += 1;
    }

    /// Folds what was to happen up to an instant.
    fn run_queue(&mut self, until: Option<Timestamp>) -> Result<(), Mistake> {
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if until.is_some_and(|until| at > until) {
                break;
            }
            let mut event = entry.remove();
            self.now = self.now.max(at);
            event.received_at = Some(self.now.millis());
            self.fold(&event)?;
        }
        Ok(())
    }

    fn step(&mut self, index: usize, step: &Step) -> Result<(), Mistake> {
        let when = self.instant(step.when)?;
        self.run_queue(Some(when))?;
        self.now = self.now.max(when);
        let (told, asked) = (self.told, self.verdicts.len());
        let mut messages = Vec::new();
        (self.about, self.closed, self.notices) = (None, Vec::new(), Vec::new());
        self.by = step.event.by().map(str::to_owned);
        match &step.event {
            Happening::In(inbound) => self.inbound(inbound)?,
            Happening::Call(kind) => self.call(kind)?,
            Happening::CallOf(length, after) => messages.push(self.call_of(when, *length, *after)?),
            Happening::Out(out) => messages = self.send(when, out)?,
            Happening::Status(line) => messages.push(self.status(line)?),
            Happening::Erase(person) => {
                let event = self.about_person("contact_erased", person)?;
                self.fold(&event)?;
            }
            Happening::Preference(value, person) => {
                let mut event = self.about_person("preference", person)?;
                event.preference = Some(Box::new(records::Preference {
                    category: "marketing_messages".into(),
                    value: value.clone().into(),
                }));
                self.fold(&event)?;
            }
            Happening::Consent(scope, given, person) => {
                let mut event = self.about_person("consent", person)?;
                let state = if *given { "given" } else { "withdrawn" };
                event.consent = Some(Box::new(records::Consent {
                    scope: scope.clone().into(),
                    state: state.into(),
                    source: Some("import".into()),
                }));
                self.fold(&event)?;
            }
            Happening::Template { template, fact: name, value, title, from } => {
                let from = from.map_or(Ok(when), |from| self.instant(from))?;
                let mut new = fact(name, value, from.millis());
                new.learned_at = self.now.millis();
                new.attributes.extend(title.iter().map(|title| ("title".into(), title.clone().into())));
                self.learn(&Learned::Template(records::TemplateHistory {
                    account_id: "A".into(),
                    name: template.to_string().into(),
                    language: "en".into(),
                    template_id: None,
                    facts: vec![new],
                }))?;
            }
            Happening::Account(name, value, until) => {
                let mut new = fact(name, value, when.millis());
                new.learned_at = self.now.millis();
                new.until = until.map(|until| self.instant(until)).transpose()?.map(Timestamp::millis);
                let (entity_type, entity_id) = ("account".into(), "A".into());
                self.learn(&Learned::Account(records::Account { entity_type, entity_id, facts: vec![new] }))?;
            }
            Happening::Tier { tier, market, category, month } => {
                let mut new = fact("volume_tier", tier, when.millis());
                let began = (when.millis() / 1000).to_string();
                let attributes = [
                    ("region", market),
                    ("pricing_category", category),
                    ("effective_month", month),
                    ("tier_update_time", &began),
                ];
                new.attributes.extend(attributes.map(|(name, value)| (name.into(), value.clone().into())));
                let (entity_type, entity_id) = ("account".into(), "A".into());
                self.learn(&Learned::Account(records::Account { entity_type, entity_id, facts: vec![new] }))?;
            }
            Happening::Bid(Bid::Price(currency, price)) => self.bid = bid::of_price(*price, *currency),
            Happening::Bid(Bid::Scaled(known, multiplier)) => self.bid = bid::scaled(*known, *multiplier),
            Happening::Coexistence => {
                let mut event = self.base("number_fact", "P1", when);
                let name = "coexistence_since".into();
                event.number_fact = Some(Box::new(records::NumberFact { name, ..records::NumberFact::default() }));
                self.fold(&event)?;
            }
            Happening::Time => {
                let mut outputs = Vec::new();
                self.advance(when, &mut outputs)?;
                self.take_in(outputs)?;
            }
        }
        let (told, verdicts) = (self.told - told, asked..self.verdicts.len());
        for (at, expect) in &step.expects {
            self.weigh(index, at, expect, told, verdicts.clone(), &messages)?;
        }
        Ok(())
    }

    fn inbound(&mut self, inbound: &Inbound) -> Result<(), Mistake> {
        let at = inbound.occurred.map_or(Ok(self.now), |when| self.instant(when))?;
        let number = inbound.number.as_deref().unwrap_or("P1").to_owned();
        let (kind, detail) =
            inbound.kind.split_once(':').map_or((inbound.kind.as_str(), None), |(kind, rest)| (kind, Some(rest)));
        if kind == "call" {
            let mut event = self.about_contact("call", &number, at, inbound.by.as_deref());
            event.call = Some(Box::new(records::Call {
                call_id: self.name("wacid", inbound.name.as_deref()).into(),
                event: "connect".into(),
                direction: Some("user_initiated".into()),
                ..records::Call::default()
            }));
            return self.fold(&event);
        }
        if kind == "system" {
            let mut event = self.about_contact("identity_change", &number, at, inbound.by.as_deref());
            let r#type = detail.unwrap_or("user_changed_number").to_owned().into();
            let after = inbound.becomes.as_deref().map(person).unwrap_or_default();
            event.identity_change = Some(Box::new(records::IdentityChange {
                message_id: None,
                r#type,
                new_wa_id: after.wa_id,
                new_user_id: after.user_id,
                new_parent_user_id: after.parent_user_id,
            }));
            return self.fold(&event);
        }
        let mut event = self.about_contact("message", &number, at, inbound.by.as_deref());
        let (r#type, removed) = match kind {
            "ctwa" => ("text", false),
            "unreact" => ("reaction", true),
            other => (other, false),
        };
        event.message = Some(Box::new(records::Message {
            message_id: self.name("in", inbound.name.as_deref()).into(),
            r#type: r#type.to_owned().into(),
            subtype: detail
                .filter(|_| kind == "unsupported" || kind == "interactive")
                .map(|kind| kind.to_owned().into()),
            reaction_removed: removed,
            client_platform: detail.filter(|_| kind == "ctwa").map(|platform| platform.to_owned().into()),
            referral: (kind == "ctwa").then(|| records::Referral {
                source_type: Some("ad".into()),
                ctwa_clid: Some("click".into()),
                ..records::Referral::default()
            }),
            error_codes: if kind == "unsupported" { vec![131_051] } else { Vec::new() },
            context_message_id: None,
        }));
        self.fold(&event)
    }

    fn call(&mut self, kind: &str) -> Result<(), Mistake> {
        let call = self.name("wacid", None);
        self.call_event(&call, kind, self.now, None)
    }

    /// The business calls, and the person takes it for so long; the call's id.
    fn call_of(&mut self, when: Timestamp, length: Millis, after: u32) -> Result<String, Mistake> {
        // Minutes used before, in calls of a day at most; names that begin so are not the vector's own.
        let mut left = i64::from(after);
        while left > 0 {
            let minutes = left.min(24 * 60);
            left -= minutes;
            let call = format!("given-{}", self.name("wacid", None));
            self.call_event(&call, "terminate", when - Millis::hours(1), Some(minutes * 60))?;
        }
        let call = self.name("wacid", None);
        self.call_event(&call, "connect", when, None)?;
        self.call_event(&call, "accepted", when, None)?;
        self.call_event(&call, "terminate", when + length, Some(length.0 / 1_000))?;
        Ok(call)
    }

    fn call_event(&mut self, call: &str, kind: &str, at: Timestamp, seconds: Option<i64>) -> Result<(), Mistake> {
        let mut event = self.about_contact("call", "P1", at, None);
        event.call = Some(Box::new(records::Call {
            call_id: call.to_owned().into(),
            event: kind.to_owned().into(),
            direction: Some("business_initiated".into()),
            status: seconds.map(|_| "completed".into()),
            duration_seconds: seconds,
        }));
        self.fold(&event)
    }

    /// The id of something with a name, or of something new.
    fn name(&mut self, kind: &str, name: Option<&str>) -> String {
        self.sent += 1;
        let fresh = format!("{kind}-{}", self.sent);
        match name {
            Some(name) => self.names.entry(name.to_owned()).or_insert(fresh).clone(),
            None => fresh,
        }
    }

    /// Asks, and sends what may be sent; the messages' ids.
    fn send(&mut self, when: Timestamp, out: &Outbound) -> Result<Vec<String>, Mistake> {
        let mut messages = Vec::new();
        for _ in 0..out.times {
            let message = self.name("wamid", out.name.as_deref());
            let whom = out.to_others.then(|| {
                self.others += 1;
                format!("1203{}", 6_000_000 + self.others)
            });
            let request = self.ask(when, out, whom.as_deref())?;
            let allowed = self.verdicts.last().is_some_and(|verdict| verdict.answer == Answer::Allowed);
            if !out.ask_only && (allowed || out.anyway) {
                self.deliver(when, out, (&message, &request), whom.as_deref())?;
            }
            match out.group_of {
                Some(size) => {
                    let reached = 0..out.reaching.unwrap_or(size);
                    messages.extend(reached.map(|index| format!("{message}/{}", participant(index))));
                }
                None => messages.push(message),
            }
        }
        Ok(messages)
    }

    /// An event about the vector's contact, or about somebody else.
    fn about(
        &self,
        kind: &'static str,
        number: &str,
        at: Timestamp,
        (by, whom): (Option<&str>, Option<&str>),
    ) -> Event<'static> {
        let mut event = self.about_contact(kind, number, at, by);
        if let Some(phone) = whom {
            event.contact =
                Some(records::Person { wa_id: Some(phone.to_owned().into()), ..records::Person::default() });
        }
        event
    }

    fn ask(&mut self, when: Timestamp, out: &Outbound, whom: Option<&str>) -> Result<String, Mistake> {
        self.asked += 1;
        let request = format!("ask-{}", self.asked);
        let number = out.number.as_deref().unwrap_or("P1");
        let mut event = self.about("send_requested", number, when, (out.by.as_deref(), whom));
        event.account_id = Some(out.account.clone().unwrap_or_else(|| "A".into()).into());
        to_group(&mut event, out);
        event.send_requested = Some(Box::new(records::SendRequested {
            request_id: request.clone().into(),
            content: content(&out.content),
            evaluate_for: out.evaluate_for.map(|when| self.instant(when)).transpose()?.map(Timestamp::millis),
            ..records::SendRequested::default()
        }));
        self.fold(&event)?;
        Ok(request)
    }

    fn deliver(
        &mut self,
        when: Timestamp,
        out: &Outbound,
        (message, request): (&str, &str),
        whom: Option<&str>,
    ) -> Result<(), Mistake> {
        let number = out.number.as_deref().unwrap_or("P1").to_owned();
        let account = out.account.clone().unwrap_or_else(|| "A".into());
        if let Some(super::parse::Failure { code }) = out.refused {
            let mut event = self.about("status", &number, when, (out.by.as_deref(), whom));
            event.account_id = Some(account.into());
            to_group(&mut event, out);
            event.status = Some(Box::new(records::Status {
                message_id: None,
                request_id: Some(request.to_owned().into()),
                ..self.status_record(message, "failed", None, code)?
            }));
            return self.fold(&event);
        }
        let mut accepted = self.about("send_accepted", &number, when, (out.by.as_deref(), whom));
        accepted.account_id = Some(account.clone().into());
        to_group(&mut accepted, out);
        accepted.send_accepted = Some(Box::new(records::SendAccepted {
            request_id: Some(request.to_owned().into()),
            message_id: message.to_owned().into(),
            message_status: out.held.then(|| "held_for_quality_assessment".into()),
            ..records::SendAccepted::default()
        }));
        self.fold(&accepted)?;
        if out.undelivered {
            return Ok(());
        }
        let sent_at = out.sent.map_or(Ok(when), |when| self.instant(when))?;
        let delivered_at = out.delivered.map_or(Ok(sent_at), |when| self.instant(when))?;
        let stages: &[&str] = match (&out.fails, out.content.as_str(), out.held) {
            (Some(_), _, true) => &["failed"],
            (Some(_), _, false) => &["sent", "failed"],
            (None, "react", _) => &["sent"],
            (None, ..) => &["sent", "delivered"],
        };
        let mut stages: Vec<&str> = stages.to_vec();
        stages.extend(out.pricing.iter().filter(|(stage, _)| stage == "read").map(|_| "read"));
        for stage in stages {
            let at = if stage == "sent" { sent_at } else { delivered_at };
            let mut event = self.about("status", &number, at, (out.by.as_deref(), whom));
            event.account_id = Some(account.clone().into());
            let pricing = out.pricing.iter().find(|(on, _)| on == stage).map(|(_, pricing)| pricing);
            let code = out.fails.and_then(|failure| failure.code).filter(|_| stage == "failed");
            let status = self.status_record(message, stage, pricing, code)?;
            to_group(&mut event, out);
            let participants = out.group_of.map_or(vec![None], |size| {
                let reached = if stage == "sent" { size } else { out.reaching.unwrap_or(size) };
                (0..reached).map(Some).collect()
            });
            for index in participants {
                let mut event = event.clone();
                let who = index.map(participant_record);
                event.status = Some(Box::new(records::Status { participant: who, ..status.clone() }));
                if at > self.now { self.later(at, event) } else { self.fold(&event)? }
            }
        }
        Ok(())
    }

    fn status_record(
        &self,
        message: &str,
        status: &str,
        pricing: Option<&Pricing>,
        code: Option<i32>,
    ) -> Result<records::Status<'static>, Mistake> {
        let expires = pricing.and_then(|pricing| pricing.expires).map(|when| self.instant(when)).transpose()?;
        Ok(records::Status {
            message_id: Some(message.to_owned().into()),
            status: status.to_owned().into(),
            pricing: pricing.map(price_record),
            conversation: expires.map(|expires| records::Conversation {
                id: Some("conversation".into()),
                origin: Some("referral_conversion".into()),
                expires_at: Some(expires.millis()),
            }),
            errors: code.into_iter().map(|code| records::PlatformError { code, title: None }).collect(),
            ..records::Status::default()
        })
    }

    fn status(&mut self, line: &StatusLine) -> Result<String, Mistake> {
        let message = self.name("wamid", Some(&line.name));
        let at = line.occurred.map_or(Ok(self.now), |when| self.instant(when))?;
        let mut event = self.about_contact("status", "P1", at, line.by.as_deref());
        if line.nobody {
            event.contact = None;
        }
        event.status = Some(Box::new(self.status_record(&message, &line.status, line.pricing.as_ref(), line.code)?));
        self.fold(&event)?;
        Ok(message)
    }
}

/// A person by names as the text writes them.
fn person(names: &str) -> records::Person<'static> {
    let mut person = records::Person::default();
    for name in names.split('+') {
        let place = match name {
            parent if parent.contains(".ENT.") => &mut person.parent_user_id,
            scoped if scoped.contains('.') => &mut person.user_id,
            _ => &mut person.wa_id,
        };
        *place = Some(name.to_owned().into());
    }
    person
}

/// The id of a group's participant: from Canada, the United States, Brazil and India in turn, of whom every other one shows
/// a phone number and the rest scoped ids.
fn participant(index: u32) -> String {
    let id = 100 + index;
    match index % 4 {
        0 => format!("1416555{id:04}"),
        1 => format!("US.{id}"),
        2 => format!("55119{id:08}"),
        _ => format!("IN.{id}"),
    }
}

fn participant_record(index: u32) -> records::Person<'static> {
    let id = participant(index);
    if id.contains('.') {
        records::Person { user_id: Some(id.into()), ..records::Person::default() }
    } else {
        records::Person { wa_id: Some(id.into()), ..records::Person::default() }
    }
}

fn to_group(event: &mut Event<'_>, out: &Outbound) {
    if out.group_of.is_some() {
        event.group_id = Some("group".into());
        event.contact = None;
    }
}

/// Midnight of a day in UTC.
fn midnight(zones: &Zones, date: Date) -> Timestamp {
    let start = zones.find("UTC").and_then(|utc| zones.first_instant(utc, date));
    start.unwrap_or(Timestamp::EARLIEST)
}

/// A fact; what follows a `;` in its value is the countries with a start of their own.
fn fact(name: &str, value: &str, from: i64) -> records::Fact<'static> {
    let (value, exceptions) = value.split_once(';').map_or((value, None), |(value, rest)| (value, Some(rest)));
    let attributes = exceptions.map(|exceptions| ("exception_countries".into(), exceptions.to_owned().into()));
    records::Fact {
        name: name.to_owned().into(),
        value: Some(value.to_owned().into()),
        from,
        learned_at: from,
        attributes: attributes.into_iter().collect(),
        ..records::Fact::default()
    }
}

fn content(what: &str) -> records::Content<'static> {
    let kind = |kind: &'static str| records::Content { kind: kind.into(), ..records::Content::default() };
    match what {
        "M" | "U" | "A" | "tmpl" => records::Content {
            template: Some(records::Template {
                name: if what == "tmpl" { "U".into() } else { what.to_owned().into() },
                language: "en".into(),
                category: None,
            }),
            ..kind("template")
        },
        "DS:U" => records::Content { category: Some("utility".into()), ..kind("direct_send") },
        "DS:A" => records::Content { category: Some("authentication".into()), ..kind("direct_send") },
        "react" => kind("reaction"),
        "agent" => kind("agent"),
        _ => kind("freeform"),
    }
}

fn price_record(pricing: &Pricing) -> records::Pricing<'static> {
    records::Pricing {
        billable: pricing.billable.then_some(true),
        pricing_model: Some(pricing.model.clone().into()),
        r#type: pricing.kind.clone().map(Into::into),
        category: Some(pricing.category.clone().into()),
        subtype: pricing.subtype.clone().map(Into::into),
        cost_amount: pricing.cost.as_ref().map(|(amount, _)| amount.clone().into()),
        cost_currency: pricing.cost.as_ref().map(|(_, currency)| currency.clone().into()),
    }
}
