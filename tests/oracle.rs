//! Windows, eras and the free thousand against a slow, obvious oracle: it keeps every event and looks through
//! all of them for every answer. The instants are drawn from the edges: one millisecond before, at and after
//! 24 hours, midnight in the account's zone also where the clocks change, and the switch of eras.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;
use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records;
use tollgate::codec::reference::Learned;
use tollgate::codec::state::WriteFormat;
use tollgate::domain::billing::{FreeReason, Toll};
use tollgate::domain::content::Category;
use tollgate::domain::effect::What;
use tollgate::domain::policy::Policy;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::cards::Cards;
use tollgate::domain::time::Timestamp;
use tollgate::domain::verdict::Answer;
use tollgate::engine::{Advanced, Engine, Prepared, Setup};
use tollgate::store::Memory;
use tollgate::zones::Zones;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Zones whose midnights differ, some of them with clocks that change in the weeks around the switch of eras.
const ZONES: [&str; 6] =
    ["UTC", "America/Sao_Paulo", "Asia/Kolkata", "Europe/Berlin", "Africa/Cairo", "Australia/Lord_Howe"];

/// What happens, at an instant.
#[derive(Clone, Debug)]
enum Step {
    /// A person writes something that opens the window, or something that does not.
    Inbound { contact: usize, opens: bool },
    /// The business asks for free text, now or for a while later.
    Ask { contact: usize, ahead: i64 },
    /// The business sends, and it is delivered a while later.
    Send { contact: usize, what: Sent, takes: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Service,
    Utility,
    Marketing,
    Reaction,
}

/// Everything that has happened, looked through for every answer.
#[derive(Default)]
struct Oracle {
    inbound: Vec<(usize, i64)>,
    free_service: Vec<(i16, i8)>,
}

impl Oracle {
    fn is_open(&self, contact: usize, at: i64) -> bool {
        self.inbound.iter().any(|(who, when)| *who == contact && *when <= at && at < when + DAY)
    }

    /// Whether and why a message is free, or what it is charged as.
    fn toll(&mut self, zone: &TimeZone, contact: usize, what: Sent, sent: i64, delivered: i64) -> Toll {
        let clock = zone.to_datetime(jiff::Timestamp::from_millisecond(delivered).expect("in range"));
        let charged_answers = (clock.year(), clock.month()) >= (2026, 10);
        match what {
            Sent::Reaction => Toll::Free(FreeReason::Reaction, Category::Service),
            Sent::Marketing => Toll::Charged(Category::Marketing),
            Sent::Utility if self.is_open(contact, sent) && !charged_answers => {
                Toll::Free(FreeReason::FreeCustomerService, Category::Utility)
            }
            Sent::Utility => Toll::Charged(Category::Utility),
            Sent::Service if !charged_answers => Toll::Free(FreeReason::FreeCustomerService, Category::Service),
            Sent::Service => {
                let month = (clock.year(), clock.month());
                if self.free_service.iter().filter(|used| **used == month).count() < 1_000 {
                    self.free_service.push(month);
                    Toll::Free(FreeReason::FreeCustomerService, Category::Service)
                } else {
                    Toll::Charged(Category::Service)
                }
            }
        }
    }
}

struct World {
    engine: Engine<Memory>,
    key: DeploymentKey,
    now: i64,
}

impl World {
    fn new(zone: &str, used: u32, start: i64) -> Self {
        let key = DeploymentKey::new(b"tests name invented people only").expect("long enough");
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
        let fact = |name: &str, value: &str| records::Fact {
            name: name.to_owned().into(),
            value: Some(value.to_owned().into()),
            from: Timestamp::EARLIEST.millis(),
            learned_at: Timestamp::EARLIEST.millis(),
            ..records::Fact::default()
        };
        let account = records::Account {
            entity_type: "account".into(),
            entity_id: "A".into(),
            facts: vec![fact("time_zone", zone), fact("currency", "USD")],
        };
        engine.learn_fact(&Learned::Account(account)).expect("a fact");
        let mut world = Self { engine, key, now: start };
        // What has been used up of a month is told by the platform, a delivery each.
        for index in 0..used {
            let mut event = world.base("status", 99, start);
            event.status = Some(Box::new(records::Status {
                message_id: Some(format!("used-{index}").into()),
                status: "delivered".into(),
                pricing: Some(records::Pricing {
                    pricing_model: Some("PMP".into()),
                    r#type: Some("free_customer_service".into()),
                    category: Some("service".into()),
                    ..records::Pricing::default()
                }),
                ..records::Status::default()
            }));
            world.fold(&event);
        }
        world
    }

    fn base(&self, kind: &'static str, contact: usize, at: i64) -> records::Event<'static> {
        records::Event {
            kind: kind.into(),
            phone_number_id: "N".into(),
            account_id: Some("A".into()),
            occurred_at: at,
            received_at: Some(at.max(self.now)),
            provenance: "live".into(),
            contact: Some(records::Person {
                wa_id: Some(format!("1202555{contact:04}").into()),
                ..records::Person::default()
            }),
            ..records::Event::default()
        }
    }

    fn fold(&mut self, record: &records::Event<'_>) -> Vec<What> {
        let arrived = event::parse(record, &self.key).expect("an event");
        let at = arrived.received_at.expect("every event of ours says");
        self.now = at.millis();
        let mut outputs = Vec::new();
        while self.engine.advance(at, usize::MAX, &mut outputs).expect("memory never fails") == Advanced::CommitFirst {
            self.engine.commit(&[]).expect("memory never fails");
        }
        outputs.clear();
        let prepared = Prepared::new(arrived.event.expect("an event"), &self.key);
        self.engine.fold(&prepared, at, &mut outputs).expect("memory never fails").expect("nothing is late here");
        outputs.into_iter().map(|output| output.effect.what).collect()
    }
}

fn content(what: Sent) -> records::Content<'static> {
    let template = |category: &'static str| {
        Some(records::Template { name: "t".into(), language: "en".into(), category: Some(category.into()) })
    };
    let of = |kind: &'static str, template| records::Content { kind: kind.into(), template, ..Default::default() };
    match what {
        Sent::Service => of("freeform", None),
        Sent::Reaction => of("reaction", None),
        Sent::Utility => of("template", template("utility")),
        Sent::Marketing => of("template", template("marketing")),
    }
}

/// Lengths of time with an edge in them.
fn length() -> impl Strategy<Value = i64> {
    let edge = prop_oneof![Just(-1), Just(0), Just(1)];
    let long = prop_oneof![
        3 => Just(0), 2 => 0..2 * HOUR, 2 => Just(DAY), 1 => Just(DAY / 2), 1 => Just(72 * HOUR), 1 => 0..3 * DAY,
    ];
    (long, edge).prop_map(|(long, edge)| (long + edge).max(0))
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let contact = 0..3_usize;
    let sent = prop_oneof![
        3 => Just(Sent::Service), 2 => Just(Sent::Utility), 1 => Just(Sent::Marketing), 1 => Just(Sent::Reaction),
    ];
    let ahead = prop_oneof![2 => Just(0), 1 => length()];
    let step = prop_oneof![
        3 => (contact.clone(), prop::bool::weighted(0.9)).prop_map(|(contact, opens)| Step::Inbound { contact, opens }),
        3 => (contact.clone(), ahead).prop_map(|(contact, ahead)| Step::Ask { contact, ahead }),
        4 => (contact, sent, length()).prop_map(|(contact, what, takes)| Step::Send { contact, what, takes }),
    ];
    (length(), step)
}

/// Instants near which something turns: midnights around the switch of eras, and where clocks change.
fn start(zone: &str) -> i64 {
    let civil = jiff::civil::date(2026, 9, 28).in_tz(zone).expect("a zone");
    civil.timestamp().as_millisecond()
}

fn check(zone_name: &str, used: u32, steps: &[(i64, Step)]) -> Result<(), TestCaseError> {
    let zone = TimeZone::get(zone_name).expect("a zone");
    let begin = start(zone_name);
    // What is used up counts in October, so it happens at the first instant of it, or not at all.
    let october = jiff::civil::date(2026, 10, 1).in_tz(zone_name).expect("a zone").timestamp().as_millisecond();
    let begin = if used > 0 { october } else { begin };
    let mut world = World::new(zone_name, used, begin);
    let mut oracle = Oracle::default();
    for _ in 0..used {
        oracle.free_service.push((2026, 10));
    }
    let mut at = begin;
    for (index, (gap, step)) in steps.iter().enumerate() {
        at += gap;
        match step {
            Step::Inbound { contact, opens } => {
                let mut event = world.base("message", *contact, at);
                let kind = if *opens { "text" } else { "edit" };
                event.message = Some(Box::new(records::Message {
                    message_id: format!("in-{index}").into(),
                    r#type: kind.into(),
                    ..records::Message::default()
                }));
                world.fold(&event);
                if *opens {
                    oracle.inbound.push((*contact, at));
                }
            }
            Step::Ask { contact, ahead } => {
                let mut event = world.base("send_requested", *contact, at);
                event.send_requested = Some(Box::new(records::SendRequested {
                    request_id: format!("ask-{index}").into(),
                    content: content(Sent::Service),
                    evaluate_for: Some(at + ahead),
                    ..records::SendRequested::default()
                }));
                let told = world.fold(&event);
                let Some(What::Verdict(verdict)) = told.first() else {
                    return Err(TestCaseError::fail("no verdict"));
                };
                let expected = if oracle.is_open(*contact, at + ahead) { Answer::Allowed } else { Answer::Blocked };
                prop_assert_eq!(verdict.answer, expected, "{} at step {}", zone_name, index);
            }
            Step::Send { contact, what, takes } => {
                let message = format!("wamid-{index}");
                let mut accepted = world.base("send_accepted", *contact, at);
                accepted.send_accepted = Some(Box::new(records::SendAccepted {
                    message_id: message.clone().into(),
                    content: Some(content(*what)),
                    ..records::SendAccepted::default()
                }));
                world.fold(&accepted);
                let mut told = Vec::new();
                let delivered = if *what == Sent::Reaction { at } else { at + takes };
                let stages: &[(&'static str, i64)] =
                    if *what == Sent::Reaction { &[("sent", 0)] } else { &[("sent", 0), ("delivered", *takes)] };
                for (stage, after) in stages {
                    let mut event = world.base("status", *contact, at + after);
                    event.status = Some(Box::new(records::Status {
                        message_id: Some(message.clone().into()),
                        status: (*stage).into(),
                        ..records::Status::default()
                    }));
                    told.extend(world.fold(&event));
                }
                let tolls: Vec<Toll> = told
                    .into_iter()
                    .filter_map(|what| match what {
                        What::Charge(charge) => Some(charge.line.toll),
                        _ => None,
                    })
                    .collect();
                let expected = oracle.toll(&zone, *contact, *what, at, delivered);
                prop_assert_eq!(tolls, [expected], "{} at step {}", zone_name, index);
                // Deliveries are folded in order: what comes next comes after this one.
                at = delivered;
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_and_prices_are_those_of_the_oracle(
        zone in 0..ZONES.len(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        check(ZONES[zone], 0, &steps)?;
    }

    #[test]
    fn the_thousandth_delivery_is_the_last_free_one(
        zone in 0..ZONES.len(),
        left in 0..4_u32,
        steps in prop::collection::vec(step(), 1..12),
    ) {
        check(ZONES[zone], 1_000 - left, &steps)?;
    }
}
