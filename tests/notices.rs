//! What the ledger takes notice of, as `wa.usage` tells it: at once, once, over restarts, and for as long as it holds; and
//! what it forecasts. The bounds themselves are in `domain/ledger/notices.rs`, and in `tests/scenarios/beyond.txt`.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::sync::Arc;

use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records;
use tollgate::codec::reference::Learned;
use tollgate::codec::state::WriteFormat;
use tollgate::domain::billing::{FreeReason, Line, Toll};
use tollgate::domain::content::Category;
use tollgate::domain::id::{AccountId, NumberId, PortfolioId};
use tollgate::domain::ledger::Scope;
use tollgate::domain::ledger::reach::PersonKey;
use tollgate::domain::ledger::usage::Person;
use tollgate::domain::money::{Amount, Currency};
use tollgate::domain::policy::{Budget, Over, Policy};
use tollgate::domain::reference::Reference;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::cards::Cards;
use tollgate::domain::rules::limits::MessagingLimit;
use tollgate::domain::rules::markets::Origin;
use tollgate::domain::time::{Millis, Timestamp, Zones as _};
use tollgate::engine::ledger::{Posted, Posting};
use tollgate::engine::publish::Publisher;
use tollgate::engine::{Advanced, Engine, Setup};
use tollgate::store::Memory;
use tollgate::zones::{Zones, parse_instant};

/// The account's zone; its midnight is 03:00 UTC.
const ZONE: &str = "America/Sao_Paulo";

fn usd() -> Currency {
    Currency::parse("USD").expect("a currency")
}

fn at(text: &str) -> Timestamp {
    parse_instant(text).expect("an instant")
}

/// A ledger with a messaging limit of 3 people, of which 2 are most; 2 free deliveries are few; and with a budget of 1.00
/// for marketing, of which 0.80 are most.
struct Desk {
    setup: Arc<Setup>,
    reference: Arc<Reference>,
    engine: Engine<Memory>,
}

fn open(setup: &Arc<Setup>, reference: &Arc<Reference>, store: Memory) -> Engine<Memory> {
    let opened = Engine::open(Arc::clone(setup), Zones::new(), Arc::clone(reference), store);
    let (mut engine, _) = opened.expect("memory never fails");
    engine.tell_usage_every(Millis::minutes(1));
    engine
}

/// The account's facts, from an instant on.
fn learn(mut reference: Reference, from: Timestamp, facts: &[(&'static str, &'static str)]) -> Reference {
    let fact = |(name, value): &(&'static str, &'static str)| records::Fact {
        name: (*name).into(),
        value: Some((*value).into()),
        from: from.millis(),
        learned_at: from.millis(),
        ..records::Fact::default()
    };
    let account = records::Account {
        entity_type: "account".into(),
        entity_id: "A".into(),
        facts: facts.iter().map(fact).collect(),
    };
    let zones = Zones::new();
    Learned::Account(account).learn(&mut reference, &|name| zones.find(name)).expect("facts");
    reference
}

impl Desk {
    fn new() -> Self {
        let budget = Budget {
            number: None,
            category: Some(Category::Marketing),
            amount: Amount::parse("1.00").expect("an amount"),
            low: Amount::parse("0.80").expect("an amount"),
            currency: usd(),
            over: Over::Warn,
        };
        let policy = Policy {
            budgets: vec![budget],
            allowance_low: Some(2),
            messaging_limit_low: Some(50),
            ..Policy::default()
        };
        let setup = Arc::new(Setup {
            policy,
            rules: Rules::default(),
            cards: Cards::default(),
            key: DeploymentKey::new(b"notices name invented people only").expect("long enough"),
            assume_zone: None,
            assume_currency: None,
            memory: 1 << 20,
            write_format: WriteFormat::default(),
        });
        let facts = [("time_zone", ZONE), ("portfolio", "P"), ("messaging_limit", "3")];
        let reference = Arc::new(learn(Reference::default(), Timestamp::EARLIEST, &facts));
        let engine = open(&setup, &reference, Memory::default());
        Self { setup, reference, engine }
    }

    /// Stops, and goes on from what is stored.
    fn restart(mut self) -> Self {
        self.engine.commit(b"").expect("memory never fails");
        let engine = open(&self.setup, &self.reference, self.engine.into_store());
        Self { engine, ..self }
    }

    fn time_is(&mut self, now: Timestamp) {
        while self.engine.advance(now, usize::MAX, &mut Vec::new()).expect("memory never fails") != Advanced::Done {
            self.engine.commit(b"").expect("memory never fails");
        }
    }

    /// Books a line of the number at an instant: `charge 0.40`, `takes back 0.40`, `free`, `reach ann` or `wait`. Returns
    /// what is told, without what is told at the minute.
    fn book(&mut self, now: &str, what: &str) -> String {
        let now = at(now);
        self.time_is(now);
        let of_the_minute = self.told();
        if what == "wait" {
            return of_the_minute;
        }
        let zones = Zones::new();
        let date = zones.date(zones.find(ZONE).expect("a zone"), now);
        let (account, number) = (AccountId::parse("A").expect("an id"), NumberId::parse("n").expect("an id"));
        let scope = Scope::Portfolio(PortfolioId::parse("P").expect("an id"));
        let words: Vec<&str> = what.split(' ').collect();
        let cost = words.last().and_then(|word| Amount::parse(word)).map(|amount| (amount, usd()));
        let free = words[0] == "free";
        let line = Line {
            revision: 0,
            toll: if free {
                Toll::Free(FreeReason::FreeCustomerService, Category::Service)
            } else {
                Toll::Charged(Category::Marketing)
            },
            charged_at: now,
            date: Some(date),
            currency: Some(usd()),
            origin: Origin::of_phone("14165550143"),
            units: 1,
            cost: cost.or(Some((Amount::ZERO, usd()))),
            consumed: free.then(|| date.month()),
        };
        let person = (words[0] == "reach").then(|| {
            let mut key = [0; 16];
            key[..3].copy_from_slice(words[1].as_bytes());
            Person { key: PersonKey(key), of_portfolio: true }
        });
        let reverses = words[0] == "takes";
        let posting =
            Posting { scope: &scope, account: Some(&account), number: &number, line: &line, reverses, person };
        self.engine.book(posting).expect("memory never fails");
        self.told()
    }

    /// The notices of the rows that were published; what is new is marked, and `-` is a row without any.
    fn told(&mut self) -> String {
        let publisher = Publisher::new(Arc::clone(&self.setup), Zones::new(), "test".into(), true);
        let mut told = String::new();
        for posted in self.engine.take_posted() {
            let Posted::Used(used) = posted else {
                continue;
            };
            let row = publisher.used(&used);
            let news: Vec<bool> = used.notices.iter().map(|standing| standing.is_new).collect();
            for (notice, is_new) in row.notices.iter().zip(news) {
                let since = Timestamp::from_millis(notice.since).map(|since| since.since(at("2026-11-01T03:00:00Z")));
                let hours = since.map_or(0, |since| since.0 / 3_600_000);
                let new = if is_new { "new " } else { "" };
                let (code, reached, bound) = (notice.code.as_str(), notice.reached.as_str(), notice.bound.as_str());
                let _ = write!(told, "{new}{code} {reached}/{bound} since {hours}h, ");
            }
            if row.notices.is_empty() {
                told.push_str("-, ");
            }
        }
        told.trim_end_matches(", ").to_owned()
    }
}

/// Books lines one after the other, and holds what is told with each against what is expected.
fn check(lines: &[(&str, &str, &str)]) {
    let mut desk = Desk::new();
    for (now, what, expected) in lines {
        if *what == "restart" {
            desk = desk.restart();
            continue;
        }
        assert_eq!(desk.book(now, what), *expected, "at {now}: {what}");
    }
}

#[test]
fn a_budget_is_noticed_when_it_is_crossed_and_until_its_month_has_ended() {
    check(&[
        ("2026-11-01T03:00:00Z", "charge 0.80", ""),
        ("2026-11-01T04:00:00Z", "charge 0.10", "new budget_low 0.90/0.80 since 1h"),
        ("2026-11-01T05:00:00Z", "charge 0.10", ""),
        ("", "restart", ""),
        ("2026-11-01T06:00:00Z", "wait", "budget_low 1.00/0.80 since 1h"),
        ("2026-11-01T06:00:00Z", "charge 0.20", "budget_low 1.20/0.80 since 1h, new budget_overrun 1.20/1.00 since 3h"),
        ("2026-12-01T02:59:59Z", "wait", "budget_low 1.20/0.80 since 1h, budget_overrun 1.20/1.00 since 3h"),
        ("2026-12-01T03:00:00Z", "wait", "-"),
    ]);
}

#[test]
fn a_line_that_is_taken_back_and_written_anew_is_no_news() {
    check(&[
        ("2026-11-01T03:00:00Z", "charge 0.50", ""),
        ("2026-11-01T04:00:00Z", "charge 0.40", "new budget_low 0.90/0.80 since 1h"),
        ("2026-11-01T04:10:00Z", "takes back 0.40", ""),
        ("2026-11-01T04:10:00Z", "charge 0.45", ""),
        ("2026-11-01T04:20:00Z", "wait", "budget_low 0.95/0.80 since 1h"),
        ("2026-11-01T04:30:00Z", "takes back 0.45", ""),
        ("2026-11-01T04:40:00Z", "wait", "-"),
        ("", "restart", ""),
        ("2026-11-01T05:00:00Z", "charge 0.40", ""),
        ("2026-11-01T05:01:00Z", "wait", "budget_low 0.90/0.80 since 1h"),
    ]);
}

#[test]
fn free_deliveries_are_noticed_and_a_late_line_of_a_month_that_has_ended_is_not() {
    check(&[
        ("2026-10-31T20:00:00Z", "free", ""),
        ("2026-11-01T02:59:59Z", "free", "new allowance_low 2/2 since 0h"),
        ("2026-11-01T03:00:00Z", "wait", "-"),
        ("2026-11-01T03:00:01Z", "free", ""),
        ("2026-11-01T04:00:00Z", "free", "new allowance_low 2/2 since 1h"),
        ("", "restart", ""),
        ("2026-12-01T02:59:59Z", "free", ""),
        ("2026-12-01T03:00:00Z", "wait", "-"),
        ("2026-12-01T09:00:00Z", "wait", ""),
    ]);
}

#[test]
fn a_messaging_limit_is_noticed_as_often_as_it_is_reached() {
    check(&[
        ("2026-11-01T03:00:00Z", "reach ann", ""),
        ("2026-11-01T04:00:00Z", "reach bob", "new messaging_limit_low 2/2 since 1h"),
        ("2026-11-01T04:00:10Z", "reach bob", ""),
        (
            "2026-11-01T04:00:20Z",
            "reach cat",
            "messaging_limit_low 3/2 since 1h, new messaging_limit_reached 3/3 since 1h",
        ),
        ("", "restart", ""),
        ("2026-11-01T04:00:30Z", "reach cat", ""),
        ("2026-11-02T03:00:00Z", "wait", "messaging_limit_low 2/2 since 1h"),
        (
            "2026-11-02T03:00:10Z",
            "reach dan",
            "messaging_limit_low 3/2 since 1h, new messaging_limit_reached 3/3 since 24h",
        ),
        ("2026-11-03T09:00:00Z", "wait", "-"),
        ("2026-11-03T10:00:00Z", "wait", ""),
    ]);
}

#[test]
fn a_limit_that_is_raised_is_told_though_nobody_is_reached_any_more() {
    let mut desk = Desk::new();
    assert_eq!(desk.book("2026-11-01T03:00:00Z", "reach ann"), "");
    assert_eq!(desk.book("2026-11-02T09:00:00Z", "wait"), "-");
    assert_eq!(desk.book("2026-11-02T09:05:00Z", "wait"), "", "nothing changes");
    let mut learn_at = |now: &str, fact: (&'static str, &'static str)| {
        desk.reference = Arc::new(learn(Reference::clone(&desk.reference), at(now), &[fact]));
        desk.engine.refer_to(Arc::clone(&desk.reference));
        desk.time_is(at(now) + Millis::minutes(2));
        let posted = desk.engine.take_posted();
        let used = posted.iter().map(|posted| match posted {
            Posted::Used(used) => (used.limit, used.people),
            Posted::Discount(discount) => panic!("{discount:?}"),
        });
        used.collect::<Vec<_>>()
    };
    let limit = MessagingLimit::People(1_000);
    assert_eq!(learn_at("2026-11-02T09:10:00Z", ("messaging_limit", "1000")), [(Some(limit), Some(0))]);
    assert_eq!(learn_at("2026-11-02T09:20:00Z", ("currency", "USD")), [], "what else is learned is none of its");
    assert_eq!(learn_at("2026-11-02T09:30:00Z", ("portfolio", "Q")), [(None, None)]);
}

#[test]
fn a_month_is_forecast_in_the_zone_of_its_account() {
    let mut desk = Desk::new();
    let mut forecast = |now: &str, what: &str| {
        desk.time_is(at(now));
        desk.engine.take_posted();
        if what != "wait" {
            desk.book(now, what);
        }
        desk.engine.close_ledger().expect("memory never fails");
        let publisher = Publisher::new(Arc::clone(&desk.setup), Zones::new(), "test".into(), true);
        let posted = desk.engine.take_posted();
        let used = posted.iter().find_map(|posted| match posted {
            Posted::Used(used) => Some(used),
            Posted::Discount(_) => None,
        });
        let row = publisher.used(used.expect("a row"));
        let spend = row.spend.iter().find(|spend| spend.month.as_str() == "2026-11").expect("what was spent").clone();
        spend.forecast.map(|forecast| forecast.as_str().to_owned())
    };
    assert_eq!(forecast("2026-11-02T02:59:59Z", "charge 0.10"), None, "it is the first day");
    assert_eq!(forecast("2026-11-04T03:00:00Z", "charge 0.20").as_deref(), Some("3.00"), "three days of thirty");
    assert_eq!(forecast("2026-11-16T03:00:00Z", "charge 0.10").as_deref(), Some("0.80"), "half of it");
    assert_eq!(forecast("2026-12-01T03:00:00Z", "charge 0.10"), None, "it has ended");
}
