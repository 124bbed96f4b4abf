//! The tables of the docs that are made of the rules themselves, so that the two cannot drift apart: `docs/rule-rows.md`,
//! every dated row with its source, and `docs/decision-table.md`, what the gate and the toll say of each kind of message
//! in each window of each era.
//!
//! `UPDATE_GOLDEN=1 cargo test --test rule_tables` writes them anew; read the difference.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records;
use tollgate::codec::reference::Learned;
use tollgate::codec::state::WriteFormat;
use tollgate::domain::billing::Toll;
use tollgate::domain::contact::RefusedFor;
use tollgate::domain::effect::What;
use tollgate::domain::policy::Policy;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::ai_providers::AI_PROVIDERS;
use tollgate::domain::rules::cards::Cards;
use tollgate::domain::rules::countries::{NEVER_CAPPED, NO_MARKETING};
use tollgate::domain::rules::currencies::CURRENCIES;
use tollgate::domain::rules::eras::{
    AGENTS, AnswerWithin, Charges, ENTRY_POINTS, ERAS, EntryPointRule, Era, FreeConversations, SERVICE_WINDOW,
    SERVICE_WINDOW_SOURCE, ServicePrice, ToldApartBy, entry_point, era,
};
use tollgate::domain::rules::errors::ERRORS;
use tollgate::domain::rules::international::INTERNATIONAL;
use tollgate::domain::rules::limits::LIMITS;
use tollgate::domain::rules::markets::{MARKET_ROWS, MARKETS};
use tollgate::domain::rules::openers::OPENERS;
use tollgate::domain::rules::refusals::{REFUSALS, Subject};
use tollgate::domain::rules::restrictions::{Forbids, RESTRICTIONS, STANDINGS, Standing};
use tollgate::domain::rules::templates::{EVENTS, Meaning, PAUSES, Pause};
use tollgate::domain::time::{Date, Millis, Timestamp};
use tollgate::domain::verdict::{Answer, Verdict};
use tollgate::engine::{Advanced, Engine, Prepared, Setup};
use tollgate::store::Memory;
use tollgate::zones::Zones;

/// Compares a file of the docs with what it must be, or writes it.
fn holds(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = known.lines().zip(text.lines()).find(|(known, made)| known != made);
    assert!(
        known == text,
        "docs/{name} is not what the rules say; `UPDATE_GOLDEN=1 cargo test --test rule_tables` writes it anew. First \
         difference: {differs:?}"
    );
}

const MADE: &str =
    "Made of the rules by `tests/rule_tables.rs`: do not edit. A source is a key of [rules.md](rules.md), section 0.\n";

fn length(length: Millis) -> String {
    format!("{} h", length.0 / 3_600_000)
}

fn terms(era: &Era) -> String {
    match &era.charges {
        Charges::Notifications => "each delivered template is charged; what is no template is free".into(),
        Charges::Conversations(terms) => {
            let apart = match terms.told_apart_by {
                ToldApartBy::Initiator => "each conversation is charged by who began it",
                ToldApartBy::Category => "each conversation is charged by its category",
            };
            let free = match terms.free {
                FreeConversations::UpTo { limit, business_initiated_until, business_initiated_until_with_partner } => {
                    format!(
                        "{limit} a month are free, those that the business began until {business_initiated_until} \
                     ({business_initiated_until_with_partner} for accounts that a partner serves)"
                    )
                }
                FreeConversations::ServiceUpTo(limit) => format!("{limit} service conversations a month are free"),
                FreeConversations::Service => "all service conversations are free".into(),
            };
            format!("{apart}; {free}")
        }
        Charges::Messages(terms) => {
            let service = match terms.service {
                ServicePrice::Free => "what is no template is free".into(),
                ServicePrice::FreeUpTo(limit) => {
                    format!("what is no template is free for {limit} deliveries a number and month, then charged")
                }
            };
            let utility = if terms.utility_in_window_free { "free" } else { "charged" };
            let exempt = terms
                .exempt_service_until
                .map_or_else(String::new, |until| format!("; exempt accounts do not pay for service before {until}"));
            format!(
                "each delivered message is charged; {service}; utility templates in the service window are {utility}{exempt}"
            )
        }
    }
}

fn table(out: &mut String, title: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let _ = writeln!(out, "\n## {title}\n\n| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        assert!(row.iter().all(|cell| !cell.is_empty()), "{title}: a row without a source or another cell: {row:?}");
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

/// A row of the free entry point.
fn entry_point_row(rule: &EntryPointRule) -> Vec<String> {
    let answer = match rule.answer {
        AnswerWithin::Length(within) => format!("within {}", length(within)),
        AnswerWithin::ServiceWindow => "while the service window is open".into(),
    };
    let longer = rule.up_to.map_or_else(String::new, |longest| {
        format!("; or up to {} while the person goes on writing, where `free_entry_point_extends`", length(longest))
    });
    let free = length(rule.length);
    let what = format!("everything is free for {free} from the answer to a click, given {answer}{longer}");
    vec![rule.from.to_string(), rule.name.into(), what, rule.source.into()]
}

fn rule_rows() -> String {
    let mut out = format!("# The rows of the rules\n\n{MADE}");
    let _ =
        writeln!(out, "Days are those of the account's own time zone; a row holds until the next one of its table.");
    table(
        &mut out,
        "Eras",
        &["from", "row", "what", "source"],
        ERAS.iter().map(|era| vec![era.from.to_string(), era.name.into(), terms(era), era.source.into()]),
    );
    table(&mut out, "Windows", &["from", "row", "what", "source"], {
        let always = vec![
            ERAS[0].from.to_string(),
            "service window".into(),
            format!("open for {} from each inbound event that opens it, half-open", length(SERVICE_WINDOW)),
            SERVICE_WINDOW_SOURCE.into(),
        ];
        let entry = ENTRY_POINTS.iter().map(entry_point_row);
        let agents = AGENTS.iter().map(|rule| {
            let what = if rule.charged { "are charged by their tokens, in every window" } else { "are free" };
            let what = format!("messages of the platform's own agent {what}");
            vec![rule.from.to_string(), "agent".into(), what, rule.source.into()]
        });
        [always].into_iter().chain(entry).chain(agents).collect::<Vec<_>>()
    });
    table(
        &mut out,
        "What opens the service window",
        &["inbound", "opens", "source"],
        OPENERS
            .iter()
            .map(|row| vec![format!("`{}`", row.name), if row.opens { "yes" } else { "no" }.into(), row.source.into()]),
    );
    let mut markets: BTreeMap<(Date, &str), (Vec<String>, &str)> = BTreeMap::new();
    for row in &MARKET_ROWS {
        let source = row.source().expect("every row that ships has one");
        let entry = markets.entry((row.from, row.market.name())).or_insert((Vec::new(), source));
        entry.0.push(row.dial.to_string());
    }
    let _ = writeln!(
        out,
        "\nWhat is in none of the following rows is `Other`. `1` stands for the area codes of the United States and Canada."
    );
    table(
        &mut out,
        "Markets",
        &["from", "market", "calling codes", "source"],
        markets
            .into_iter()
            .map(|((from, name), (dials, source))| vec![from.to_string(), name.into(), dials.join(" "), source.into()]),
    );
    table(
        &mut out,
        "International rates for passcodes",
        &["from", "countries", "source"],
        INTERNATIONAL.iter().map(|row| vec![row.from.to_string(), row.countries.into(), row.source.into()]),
    );
    table(
        &mut out,
        "Providers of artificial intelligence are charged",
        &["from", "before", "recipients in", "source"],
        AI_PROVIDERS.iter().map(|row| {
            let until = row.until.map_or_else(|| "open".to_owned(), |until| until.to_string());
            vec![row.from.to_string(), until, row.countries.into(), row.source.into()]
        }),
    );
    table(
        &mut out,
        "Eligible accounts must pay in",
        &["from", "currency", "source"],
        CURRENCIES.iter().map(|row| vec![row.from.to_string(), row.currency.into(), row.source.into()]),
    );
    table(
        &mut out,
        "Error codes",
        &["code", "class", "what to do", "a verdict could have known", "source"],
        ERRORS.iter().map(|row| {
            let known = if row.predictable { "yes" } else { "no" };
            vec![
                codes(row.code, row.last),
                row.class.name().into(),
                row.advice.into(),
                known.into(),
                "ERR (rules.md 3.9)".into(),
            ]
        }),
    );
    enforcement(&mut out);
    out
}

fn codes(first: i32, last: i32) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// What the platform forbids, refuses and takes back.
fn enforcement(out: &mut String) {
    table(
        out,
        "What a failure tells of the next message",
        &["code", "from", "about", "what it does", "until", "source"],
        REFUSALS.iter().map(|row| {
            let does = match (row.blocks, row.subject) {
                (Some(blocks), _) => format!("blocks for {}, then warns", length(blocks)),
                (None, Subject::Person(RefusedFor::Itself)) => "blocks".into(),
                (None, _) => "warns".into(),
            };
            let (about, over) = (row.subject.about().into(), row.subject.over().into());
            vec![codes(row.code, row.last), row.from.to_string(), about, does, over, row.source.into()]
        }),
    );
    table(
        out,
        "Template events",
        &["event", "what it means for sending", "source"],
        EVENTS.iter().map(|row| {
            let what = match row.meaning {
                Meaning::Approved => "it can be sent",
                Meaning::Paused => "it is paused, as its title says",
                Meaning::Disabled => "it cannot be sent, unless it is reinstated",
                Meaning::NotApproved => "it cannot be sent",
                Meaning::Unarchived => "what held before it was archived",
                Meaning::Unchanged => "nothing",
            };
            vec![format!("`{}`", row.event), what.into(), row.source.into()]
        }),
    );
    table(
        out,
        "Pauses of templates",
        &["title", "ends", "source"],
        PAUSES.iter().map(|row| {
            let ends = match row.pause {
                Pause::For(time) => format!("by itself after {}", length(time)),
                Pause::UntilUnpaused => "when somebody ends it".into(),
            };
            vec![format!("`{}`", row.title), ends, row.source.into()]
        }),
    );
    table(
        out,
        "Restrictions of accounts and numbers",
        &["restriction", "forbids", "source"],
        RESTRICTIONS.iter().map(|row| {
            let Forbids { templates, freeform, direct_send_utility } = row.forbids;
            let forbids: Vec<&str> = [
                (templates, "templates and Direct Send"),
                (freeform, "free text"),
                (direct_send_utility, "Direct Send of category utility"),
            ]
            .into_iter()
            .filter_map(|(forbidden, what)| forbidden.then_some(what))
            .collect();
            let forbids = if forbids.is_empty() { "no message".into() } else { forbids.join(", ") };
            vec![format!("`{}`", row.name), forbids, row.source.into()]
        }),
    );
    table(
        out,
        "How an account stands",
        &["event or ban state", "what it means", "source"],
        STANDINGS.iter().map(|row| {
            let what = match row.standing {
                Standing::Good => "as it should",
                Standing::ScheduledForDisable => "everything is allowed, with a warning",
                Standing::Disabled => "nothing can be sent",
            };
            vec![format!("`{}`", row.name), what.into(), row.source.into()]
        }),
    );
    for (title, rows) in
        [("No marketing is delivered to people in", &NO_MARKETING), ("Marketing is never capped in", &NEVER_CAPPED)]
    {
        table(
            out,
            title,
            &["from", "before", "countries", "source"],
            rows.iter().map(|row| {
                let until = row.until.map_or_else(|| "open".to_owned(), |until| until.to_string());
                vec![row.from.to_string(), until, row.countries.into(), row.source.into()]
            }),
        );
    }
    table(
        out,
        "Whose a messaging limit is",
        &["from", "whose", "source"],
        LIMITS.iter().map(|row| {
            let whose = if row.of_portfolio { "the portfolio's" } else { "each number's" };
            vec![row.from.to_string(), whose.into(), row.source.into()]
        }),
    );
}

const HOUR: i64 = 3_600_000;

/// A business number, somebody to write to, and the engine that is asked.
struct World {
    engine: Engine<Memory>,
    key: DeploymentKey,
    folded: u32,
}

impl World {
    fn new() -> Self {
        let key = DeploymentKey::new(b"tables name invented people only").expect("long enough");
        let setup = Arc::new(Setup {
            policy: Policy::default(),
            rules: Rules::default(),
            cards: Cards::default(),
            key: key.clone(),
            assume_zone: None,
            assume_currency: None,
            memory: 64 << 20,
            write_format: WriteFormat::default(),
        });
        let (mut engine, _) =
            Engine::open(setup, Zones::new(), Arc::default(), Memory::default()).expect("memory never fails");
        let fact = |(name, value): (&'static str, &'static str)| records::Fact {
            name: name.into(),
            value: Some(value.into()),
            from: Timestamp::EARLIEST.millis(),
            learned_at: Timestamp::EARLIEST.millis(),
            ..records::Fact::default()
        };
        let facts = [
            ("time_zone", "UTC"),
            ("currency", "USD"),
            ("payment_method", "true"),
            ("templates_complete", "true"),
            ("direct_send", "true"),
        ];
        let account =
            records::Account { entity_type: "account".into(), entity_id: "A".into(), facts: facts.map(fact).into() };
        engine.learn_fact(&Learned::Account(account)).expect("a fact");
        for category in ["marketing", "utility", "authentication"] {
            let template = records::TemplateHistory {
                account_id: "A".into(),
                name: category.into(),
                language: "en".into(),
                template_id: None,
                facts: [("status", "APPROVED"), ("category", category)].map(fact).into(),
            };
            engine.learn_fact(&Learned::Template(template)).expect("a fact");
        }
        Self { engine, key, folded: 0 }
    }

    fn event(&mut self, kind: &'static str, person: u32, at: i64) -> records::Event<'static> {
        self.folded += 1;
        records::Event {
            event_id: Some(format!("{:032x}", self.folded).into()),
            kind: kind.into(),
            phone_number_id: "N".into(),
            account_id: Some("A".into()),
            occurred_at: at,
            received_at: Some(at),
            provenance: "live".into(),
            contact: Some(records::Person {
                wa_id: Some(format!("1416{}", 5_550_000 + person).into()),
                ..records::Person::default()
            }),
            ..records::Event::default()
        }
    }

    fn fold(&mut self, record: &records::Event<'_>) -> Vec<What> {
        let arrived = event::parse(record, &self.key).expect("an event");
        let at = arrived.received_at.expect("every event of ours says");
        let mut outputs = Vec::new();
        while self.engine.advance(at, usize::MAX, &mut outputs).expect("memory never fails") == Advanced::CommitFirst {
            self.engine.commit(&[]).expect("memory never fails");
        }
        outputs.clear();
        let prepared = Prepared::new(arrived.event.expect("an event"), &self.key);
        self.engine.fold(&prepared, at, &mut outputs).expect("memory never fails").expect("nothing is late here");
        outputs.into_iter().map(|output| output.effect.what).collect()
    }

    /// The person writes, through an advertisement or not.
    fn inbound(&mut self, person: u32, at: i64, click: bool) {
        let mut event = self.event("message", person, at);
        event.message = Some(Box::new(records::Message {
            message_id: format!("in-{}", self.folded).into(),
            r#type: "text".into(),
            client_platform: click.then(|| "android".into()),
            referral: click
                .then(|| records::Referral { source_type: Some("ad".into()), ..records::Referral::default() }),
            ..records::Message::default()
        }));
        self.fold(&event);
    }

    /// The platform delivers free text.
    fn answer(&mut self, person: u32, at: i64) {
        let message = format!("out-{}", self.folded);
        let mut event = self.event("send_accepted", person, at);
        event.send_accepted = Some(Box::new(records::SendAccepted {
            message_id: message.clone().into(),
            content: Some(content("free text")),
            ..records::SendAccepted::default()
        }));
        self.fold(&event);
        for status in ["sent", "delivered"] {
            let mut event = self.event("status", person, at);
            event.status = Some(Box::new(records::Status {
                message_id: Some(message.clone().into()),
                status: status.into(),
                ..records::Status::default()
            }));
            self.fold(&event);
        }
    }

    /// What is free of a month is used up: everybody writes, and is answered.
    fn use_up(&mut self, at: i64, times: u32) {
        for person in 1_000..1_000 + times {
            self.inbound(person, at, false);
            self.answer(person, at);
        }
    }

    fn ask(&mut self, person: u32, at: i64, message: &str) -> Verdict {
        let mut event = self.event("send_requested", person, at);
        event.send_requested = Some(Box::new(records::SendRequested {
            request_id: format!("ask-{}", self.folded).into(),
            content: content(message),
            ..records::SendRequested::default()
        }));
        let told = self.fold(&event).into_iter().find_map(|what| match what {
            What::Verdict(verdict) => Some(verdict),
            _ => None,
        });
        *told.expect("an ask is answered")
    }
}

const MESSAGES: [&str; 7] = [
    "marketing template",
    "utility template",
    "authentication template",
    "Direct Send, utility",
    "free text",
    "reaction",
    "agent",
];

fn content(message: &str) -> records::Content<'static> {
    let template = |category: &'static str| records::Content {
        kind: "template".into(),
        template: Some(records::Template { name: category.into(), language: "en".into(), category: None }),
        ..records::Content::default()
    };
    let other = |kind: &'static str| records::Content { kind: kind.into(), ..records::Content::default() };
    match message {
        "marketing template" => template("marketing"),
        "utility template" => template("utility"),
        "authentication template" => template("authentication"),
        "Direct Send, utility" => records::Content { category: Some("utility".into()), ..other("direct_send") },
        "free text" => other("freeform"),
        "reaction" => other("reaction"),
        "agent" => other("agent"),
        unknown => panic!("there is no message `{unknown}`"),
    }
}

const SITUATIONS: [&str; 4] = ["no window", "service window", "service window and entry point", "entry point alone"];

/// Brings a person into a situation that holds at an instant.
fn bring(world: &mut World, situation: &str, person: u32, at: i64) {
    match situation {
        "no window" => {}
        "service window" => world.inbound(person, at - HOUR, false),
        "service window and entry point" => {
            world.inbound(person, at - 3 * HOUR, true);
            world.answer(person, at - 2 * HOUR);
        }
        "entry point alone" => {
            world.inbound(person, at - 26 * HOUR, true);
            world.answer(person, at - 25 * HOUR);
        }
        unknown => panic!("there is no situation `{unknown}`"),
    }
}

fn told(verdict: &Verdict) -> String {
    let because = verdict.reasons.first().map_or("", |cited| cited.reason.code());
    match (verdict.answer, &verdict.price.toll) {
        (Answer::Allowed, Toll::Charged(category)) => format!("charged `{}`", category.name()),
        (Answer::Allowed, Toll::Free(why, _)) => format!("free: `{}`", why.name()),
        (Answer::Allowed, Toll::Unknown(why)) => format!("unknown: `{}`", why.name()),
        (Answer::Blocked, _) => format!("**no**: `{because}`"),
        (Answer::Unknown, _) => format!("unknown: `{because}`"),
    }
}

/// The days from which anything in the table may differ.
fn beginnings() -> BTreeSet<Date> {
    let eras = ERAS.iter().map(|era| era.from);
    let partly_free = ERAS.iter().filter_map(|era| match era.conversations()?.free {
        FreeConversations::UpTo { business_initiated_until, .. } => Some(business_initiated_until),
        FreeConversations::ServiceUpTo(_) | FreeConversations::Service => None,
    });
    eras.chain(partly_free)
        .chain(ENTRY_POINTS.iter().map(|rule| rule.from))
        .chain(AGENTS.iter().filter(|rule| rule.charged).map(|rule| rule.from))
        .collect()
}

fn decision_table() -> String {
    let mut out = format!("# What may be sent, and what it costs\n\n{MADE}");
    let _ = writeln!(
        out,
        "Each cell is what the engine answers to an ask, for an account that lacks nothing (approved templates, a payment method, Direct Send) \
         and a contact who has not refused: **no** and why, or what the message is charged as, or why it is free. Where the month's free \
         messages or conversations decide, the cell says what holds while there are any, and then when they are used up. The entry point's \
         click is answered within the hour; \"alone\" is a day later, when the service window has closed."
    );
    for from in beginnings() {
        let (year, month, day) = from.numbers();
        // Two days and a half later everything that has led to a situation happened by the same rows.
        let midnight = jiff::civil::date(year, month.try_into().expect("a month"), day.try_into().expect("a day"));
        let start = midnight.in_tz("UTC").expect("a zone").timestamp().as_millisecond();
        let at = start + 60 * HOUR;
        let rows = (era(from).expect("eras begin first").name, entry_point(from));
        let entry = if rows.1.from <= from { format!(", entry point {}", rows.1.name) } else { String::new() };
        let _ = writeln!(out, "\n## From {from}: era {}{entry}\n", rows.0);
        let _ = writeln!(out, "| message | {} |\n|{}", SITUATIONS.join(" | "), "---|".repeat(SITUATIONS.len() + 1));
        let month = Date::new(year, month, 1).month();
        let limit = Rules::default().allowance(month);
        for message in MESSAGES {
            let _ = write!(out, "| {message} |");
            for situation in SITUATIONS {
                let cell = |used: bool| {
                    let mut world = World::new();
                    if used {
                        world.use_up(start, limit.unwrap_or_default());
                    }
                    bring(&mut world, situation, 1, at);
                    told(&world.ask(1, at, message))
                };
                let fresh = cell(false);
                // Only what is free may be free because there is some left.
                let used = if limit.is_some() && fresh.starts_with("free") { cell(true) } else { fresh.clone() };
                let both = if used == fresh { fresh } else { format!("{fresh}, then {used}") };
                let _ = write!(out, " {both} |");
            }
            out.push('\n');
        }
    }
    out
}

#[test]
fn the_rows_in_the_docs_are_those_of_the_rules() {
    assert_eq!(MARKETS.len(), 47, "the head of the market map speaks of so many");
    holds("rule-rows.md", &rule_rows());
}

#[test]
fn the_decisions_in_the_docs_are_those_of_the_engine() {
    holds("decision-table.md", &decision_table());
}
