//! Histories whose reports arrive in random orders, on Kafka: the lines that stand in the end and the windows are those of
//! the same events folded in the order in which they happened. `tests/disorder.rs` holds the same of the fold alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tollgate::codec::reference::Learned;
use tollgate::codec::{event, ids, partitioner, records};
use tollgate::domain::billing::{Price, Toll};
use tollgate::domain::effect::What;
use tollgate::domain::money::Amount;
use tollgate::domain::reference::Reference;
use tollgate::domain::rules::markets::Market;
use tollgate::domain::time::{Date, Timestamp};
use tollgate::engine::{Advanced, Engine, Output, Prepared};
use tollgate::store::Memory;
use tollgate::stream::Topic;
use tollgate::zones::Zones;

use crate::cluster::{Deployment, Plan, Process, shared_broker};
use crate::histories::{self, Draw, STARTS, shuffled};
use crate::produce::Loader;
use crate::reading::{Isolation, scan};

const HISTORIES: u64 = 200;

const LIMIT: Duration = Duration::from_mins(2);

/// What stands in the end: by number and message the line, and by number and contact the windows that are open.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    lines: BTreeMap<String, String>,
    windows: BTreeMap<String, String>,
}

/// Histories that begin on one day. Time goes on in each partition by itself, so each day has a partition.
struct Day {
    events: Vec<records::Event<'static>>,
}

/// Draws the histories of each day, each of a number of its own.
fn days(partitions: u32) -> Vec<Day> {
    let mut days: Vec<Day> = STARTS.iter().map(|_| Day { events: Vec::new() }).collect();
    let mut numbers = 107_320_000_000_000_u64;
    for seed in 0..HISTORIES {
        let mut draw = Draw(seed.wrapping_mul(31).wrapping_add(7));
        let place = draw.below(STARTS.len());
        let number = loop {
            numbers += 1;
            let number = numbers.to_string();
            if usize::try_from(partitioner::partition(number.as_bytes(), partitions)) == Ok(place) {
                break number;
            }
        };
        let most = 10 + draw.below(31);
        days[place].events.extend(histories::history(&mut draw, &number, STARTS[place], most));
    }
    days
}

/// A sign that time has passed, with which everything that is due by then is.
fn heartbeat(day: &Day) -> records::Event<'static> {
    let last = day.events.iter().map(|event| event.occurred_at).max().expect("events of every day");
    records::Event {
        kind: "heartbeat".into(),
        phone_number_id: day.events[0].phone_number_id.clone(),
        occurred_at: last,
        received_at: Some(last),
        provenance: "live".into(),
        ..records::Event::default()
    }
}

/// Sends the events of a day in a random order. One arrives when it happened, or with the latest before it.
fn send(loader: &mut Loader, day: &Day, draw: &mut Draw) {
    let mut arrives = i64::MIN;
    for index in shuffled(draw, day.events.len()) {
        let event = &day.events[index];
        arrives = arrives.max(event.occurred_at);
        loader.event(&records::Event { received_at: Some(arrives), ..event.clone() });
    }
    loader.event(&heartbeat(day));
}

/// Folds the events of a day in the order in which they happened, and adds what that tells.
fn fold(deployment: &Deployment, reference: &Arc<Reference>, day: &Day, told: &mut Told) {
    let setup = Arc::new(deployment.config().setup);
    let key = setup.key.clone();
    let opened = Engine::open(setup, Zones::new(), Arc::clone(reference), Memory::default());
    let (mut engine, _) = opened.expect("memory never fails");
    let mut events: Vec<_> = day.events.iter().collect();
    events.sort_by_key(|event| event.occurred_at);
    let mut outputs = Vec::new();
    for record in events {
        let event = event::parse(record, &key).expect("an event").event.expect("it is for us");
        let at = event.occurred_at;
        advance(&mut engine, at, &mut outputs);
        engine.fold(&Prepared::new(event, &key), at, &mut outputs).expect("memory never fails").expect("it is folded");
    }
    let last = Timestamp::from_millis(heartbeat(day).occurred_at).expect("an instant");
    advance(&mut engine, last, &mut outputs);
    for output in &outputs {
        let booked = engine.book_output(output).expect("memory never fails");
        tell(output, booked.map(|booked| booked.price).as_ref(), told);
    }
}

fn advance(engine: &mut Engine<Memory>, at: Timestamp, outputs: &mut Vec<Output>) {
    while engine.advance(at, usize::MAX, outputs).expect("memory never fails") != Advanced::Done {
        engine.commit(&[]).expect("memory never fails");
    }
}

/// Adds what an output of the fold tells, and the price of a line.
fn tell(output: &Output, price: Option<&Price>, told: &mut Told) {
    match &output.effect.what {
        What::Charge(charge) => {
            let line = &charge.line;
            let price = price.expect("a line is priced");
            let market = price.market.map(Market::name);
            let amount = price.amount.map(|amount| if charge.reverses.is_some() { amount.reversed() } else { amount });
            let amount = amount.map(|amount| amount.to_string());
            let free = if let Toll::Free(reason, _) = &line.toll { reason.name() } else { "" };
            let month = line.date.map(Date::month).map(|month| month.to_string());
            let said = said(
                [
                    line.toll.category(),
                    line.toll.pricing_type(),
                    Some(free),
                    month.as_deref(),
                    market,
                    amount.as_deref(),
                ],
                line.charged_at.millis(),
            );
            let about = format!("{}/{}", output.number.as_str(), charge.message.as_str());
            stand(told, &about, said, charge.reverses.is_some());
        }
        What::State(state) => {
            let contact = output.effect.contact.as_ref().expect("a contact's row");
            let row = format!("{}/{}", output.number.as_str(), ids::hex(contact.key.0).as_str());
            let service = state.as_ref().and_then(|state| state.service);
            let free = state.as_ref().and_then(|state| state.free);
            let windows = [
                service.map(|window| window.opened_at),
                service.map(|window| window.expires_at),
                state.as_ref().and_then(|state| state.eligible_until),
                free.map(|window| window.opened_at),
                free.map(|window| window.expires_at),
            ];
            open(told, row, state.is_some().then(|| windows.map(|at| at.map(Timestamp::millis))));
        }
        What::Verdict(_) | What::Window(_) | What::Outcome(_) => {}
    }
}

fn said(words: [Option<&str>; 6], at: i64) -> String {
    format!("{:?} at {at}", words.map(Option::unwrap_or_default))
}

/// Notes a line, or that it was taken back. One stands at a time.
fn stand(told: &mut Told, about: &str, said: String, reverses: bool) {
    if reverses {
        assert_eq!(told.lines.remove(about), Some(said), "{about}: what is taken back is what stood");
    } else {
        assert_eq!(told.lines.insert(about.to_owned(), said), None, "{about}: one line stands at a time");
    }
}

/// Notes the windows of a contact that are open, if any are.
fn open(told: &mut Told, row: String, windows: Option<[Option<i64>; 5]>) {
    match windows {
        Some(windows) => told.windows.insert(row, format!("{windows:?}")),
        None => told.windows.remove(&row),
    };
}

/// What is done with each record's key and value.
type Each<'e> = &'e mut dyn FnMut(Option<&[u8]>, Option<&[u8]>);

/// What stands on Kafka.
fn read(deployment: &Deployment) -> Told {
    let mut told = Told::default();
    let scan = |topic, each: Each<'_>| {
        let all = 0..deployment.plan.partitions;
        scan(deployment.bootstrap(), &deployment.topic(topic), all, Isolation::Committed, |read| {
            each(read.key, read.value);
        });
    };
    scan(Topic::Billing, &mut |_, value| {
        let line: records::BillingEntry<'_> = serde_json::from_slice(value.expect("a line")).expect("a line");
        let word = |text: &Option<tollgate::codec::text::Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
        // What is about no message is a discount, which none of these are enough for.
        let message = word(&line.message_id).expect("a message");
        let words = [&line.category, &line.pricing_type, &line.free_reason, &line.billing_period, &line.market];
        let [category, pricing, free, period, market] = words.map(word);
        let amount = line.amount.as_ref().map(|amount| Amount::parse(amount.as_str()).expect("an amount"));
        let amount = amount.map(|amount| if line.reverses.is_some() { amount.reversed() } else { amount }.to_string());
        let words = [&category, &pricing, &free, &period, &market, &amount].map(|word| word.as_deref());
        let said = said(words, line.occurred_at);
        let about = format!("{}/{message}", word(&line.phone_number_id).expect("a number"));
        stand(&mut told, &about, said, line.reverses.is_some());
    });
    scan(Topic::WindowState, &mut |key, value| {
        let row = String::from_utf8(key.expect("a key").to_vec()).expect("a key of ours is text");
        let state: Option<Value> = value.map(|value| serde_json::from_slice(value).expect("JSON"));
        let windows = state.map(|state| {
            let at = |window: &str, edge: &str| state[window][edge].as_i64();
            [
                at("service_window", "opened_at"),
                at("service_window", "expires_at"),
                at("free_entry_point", "eligible_until"),
                at("free_entry_point", "opened_at"),
                at("free_entry_point", "expires_at"),
            ]
        });
        open(&mut told, row, windows);
    });
    told
}

#[test]
fn histories_tell_the_same_in_whatever_order_they_arrive() {
    let broker = shared_broker();
    let partitions = u32::try_from(STARTS.len()).expect("few days");
    let plan = Plan { name: "disorder", partitions, json: true, settings: "heartbeats = false\n", ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let mut loader = Loader::of(&deployment);
    let (zones, mut reference) = (Zones::new(), Reference::default());
    loader.account(&deployment.topic(Topic::Accounts), &histories::account());
    Learned::Account(histories::account()).learn(&mut reference, &|name| zones.find(name)).expect("facts");
    for template in histories::templates() {
        loader.template(&deployment.topic(Topic::Templates), &template);
        Learned::Template(template).learn(&mut reference, &|name| zones.find(name)).expect("facts");
    }
    loader.finish();
    let reference = Arc::new(reference);
    let (days, mut expected, mut draw) = (days(partitions), Told::default(), Draw(200));
    for day in &days {
        send(&mut loader, day, &mut draw);
        fold(&deployment, &reference, day, &mut expected);
    }
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    let counts = (expected.lines.len(), expected.windows.len());
    println!("disorder: {counts:?} lines and contacts with open windows");
    assert!(counts.0 > 300 && counts.1 > 10, "there is something to compare: {counts:?}");
    let found = read(&deployment);
    for (about, line) in &expected.lines {
        assert_eq!(found.lines.get(about), Some(line), "the line of {about}");
    }
    for (row, windows) in &expected.windows {
        assert_eq!(found.windows.get(row), Some(windows), "the windows of {row}");
    }
    assert_eq!((found.lines.len(), found.windows.len()), counts);
    let mut letters = 0;
    let all = 0..partitions;
    scan(deployment.bootstrap(), &deployment.topic(Topic::DeadLetters), all, Isolation::Committed, |_| letters += 1);
    assert_eq!(letters, 0, "every event is folded");
}
