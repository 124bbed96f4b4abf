//! Webhook bodies and events, line by line: read, folded, and what comes of them published. Whether the state
//! was committed and read back in between must make no difference.

use std::path::Path;
use std::sync::Arc;

use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records::{
    Account, BillingEntry, Event, Outcome, TemplateHistory, Verdict, WindowEvent, WindowStateRow,
};
use tollgate::codec::reference::{self, Learned};
use tollgate::codec::webhook::{Parsed, Part, Settings};
use tollgate::codec::{event, frame, frame::Framing, frame::Writers, schema};
use tollgate::config::{self, Config, Overrides};
use tollgate::domain::effect::What;
use tollgate::domain::reference::Reference;
use tollgate::domain::time::{Millis, Timestamp};
use tollgate::engine::publish::{Publisher, Record};
use tollgate::engine::{Advanced, Engine, Output, Prepared, Setup};
use tollgate::store::Memory;
use tollgate::zones::Zones;

use crate::frames::{same_again, with_writers};

/// How many lines of an input are read.
const LINES: usize = 24;

/// What stays the same for all inputs.
pub struct World {
    setup: Arc<Setup>,
    webhook: Settings,
    reference: Reference,
    key: DeploymentKey,
    publisher: Publisher,
}

thread_local! {
    static WORLD: World = World::new();
}

fn example(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

impl World {
    fn new() -> Self {
        let zones = Zones::new();
        let Ok(config) = config::load(Some(&example("demo.toml")), &Overrides::default(), &zones) else {
            panic!("the configuration of the demo is usable");
        };
        let Config { setup, webhook, .. } = config;
        let (setup, key) = (Arc::new(setup), DeploymentKey::new(b"targets name invented people").expect("a key"));
        let mut reference = Reference::default();
        let read = |path| std::fs::read_to_string(example(path)).expect("an example");
        for line in read("day/accounts.ndjson").lines() {
            let account = frame::from_json::<Account<'_>>(line.as_bytes()).expect("an account");
            reference::learn_account(&mut reference, &account, &|name| zones.find(name)).expect("facts");
        }
        for line in read("day/templates.ndjson").lines() {
            let template = frame::from_json::<TemplateHistory<'_>>(line.as_bytes()).expect("a template");
            reference::learn_template(&mut reference, &template).expect("facts");
        }
        let publisher = Publisher::new(Arc::clone(&setup), zones, "fuzz".into(), true);
        Self { setup, webhook, reference, key, publisher }
    }

    fn open(&self, store: Memory) -> Engine<Memory> {
        let reference = self.reference.clone();
        Engine::open(Arc::clone(&self.setup), Zones::new(), Arc::new(reference), store).expect("memory can be read").0
    }

    /// Reads a line as `tollgate replay` does, in short.
    fn read(&self, writers: &Writers, line: &[u8], high: &mut Option<Timestamp>) -> Unit {
        let mut unit = Unit::default();
        let mut received = None;
        match Parsed::new(line) {
            Ok(body) if body.is_webhook() => {
                received = body.received_at().and_then(Timestamp::from_millis);
                let fallback = body.received_at().or(high.map(Timestamp::millis));
                for part in body.parts(&self.webhook, fallback) {
                    match part {
                        Part::Event(record) => self.event(writers, &record, &mut unit, &mut received, high),
                        Part::Fact(fact) => unit.facts.push(Learned::new(fact.into_owned(), fallback.unwrap_or(0))),
                        Part::Refused(_) => {}
                    }
                }
            }
            _ => {
                if let Ok(record) = frame::from_json::<Event<'_>>(line) {
                    self.event(writers, &record, &mut unit, &mut received, high);
                }
            }
        }
        *high = (*high).max(received);
        unit.arrived_at = received.or(*high).unwrap_or(Timestamp::EARLIEST);
        unit
    }

    fn event(
        &self,
        writers: &Writers,
        record: &Event<'_>,
        unit: &mut Unit,
        received: &mut Option<Timestamp>,
        high: &mut Option<Timestamp>,
    ) {
        same_again!(writers, Event, schema::EVENT, record);
        if let Ok(arrived) = event::parse(record, &self.key) {
            *received = (*received).max(arrived.received_at);
            *high = (*high).max(Some(arrived.occurred_at)).max(arrived.received_at);
            unit.events.extend(arrived.event.map(|event| Prepared::new(event, &self.key)));
        }
    }

    /// Publishes what the engine told, as JSON.
    fn publish(&self, outputs: &mut Vec<Output>, told: &mut Vec<String>) {
        for output in outputs.drain(..) {
            let price = match &output.effect.what {
                What::Charge(charge) => Some(self.publisher.at_list(&charge.line, charge.reverses.is_some())),
                What::Verdict(_) | What::Window(_) | What::State(_) | What::Outcome(_) => None,
            };
            let mut json = Vec::new();
            macro_rules! written {
                ($record:expr, $schema:ident) => {
                    frame::write(&$record, schema::$schema, Framing::Json, &mut json)
                };
            }
            let written = match self.publisher.record(&output, price.as_ref()) {
                Record::Verdict(record) => written!(record, VERDICT),
                Record::Billing(record) | Record::Charge(_, record) => written!(record, BILLING_ENTRY),
                Record::Window(record) => written!(record, WINDOW_EVENT),
                Record::State(record) => written!(record, WINDOW_STATE_ROW),
                Record::Outcome(record) => written!(record, OUTCOME),
                Record::Usage(record) => written!(record, USAGE),
                Record::DeadLetter(record) => written!(record, DEAD_LETTER),
            };
            written.expect("every record can be written");
            told.push(String::from_utf8(json).expect("JSON is UTF-8"));
        }
    }

    /// Holds that what was published can be read, and is the same in every framing.
    fn published(writers: &Writers, told: &[String]) {
        for text in told {
            let kind = text.split_once(r#""type":"tollgate."#).map_or("", |(_, rest)| rest);
            macro_rules! read {
                ($record:ident, $schema:ident) => {{
                    let record = frame::from_json::<$record<'_>>(text.as_bytes()).expect("our own record");
                    same_again!(writers, $record, schema::$schema, &record);
                }};
            }
            match kind {
                _ if text.starts_with(r#"{"key""#) => read!(WindowStateRow, WINDOW_STATE_ROW),
                kind if kind.starts_with("send.verdict") => read!(Verdict, VERDICT),
                kind if kind.starts_with("billing") => read!(BillingEntry, BILLING_ENTRY),
                kind if kind.starts_with("window") => read!(WindowEvent, WINDOW_EVENT),
                _ => read!(Outcome, OUTCOME),
            }
        }
    }
}

/// What a line holds.
struct Unit {
    arrived_at: Timestamp,
    events: Vec<Prepared>,
    facts: Vec<Learned<'static>>,
}

impl Default for Unit {
    fn default() -> Self {
        Self { arrived_at: Timestamp::EARLIEST, events: Vec::new(), facts: Vec::new() }
    }
}

/// Folds units, in one go or with a commit behind each and a new engine, now and then, on what was committed.
/// Returns what was published, and the rows.
fn fold(world: &World, units: &[Unit], stopping: bool) -> (Vec<String>, Memory) {
    let (mut outputs, mut told) = (Vec::new(), Vec::new());
    let mut engine = world.open(Memory::default());
    let advance = |engine: &mut Engine<Memory>, to, outputs: &mut Vec<Output>| {
        while engine.advance(to, usize::MAX, outputs).expect("memory can be read") == Advanced::CommitFirst {
            engine.commit(b"").expect("memory can be written");
        }
    };
    for (number, unit) in units.iter().enumerate() {
        advance(&mut engine, unit.arrived_at, &mut outputs);
        for event in &unit.events {
            // What is too late or ahead of its time is refused, which is an answer too.
            let _ = engine.fold(event, unit.arrived_at, &mut outputs).expect("memory can be read");
        }
        for fact in &unit.facts {
            let _ = engine.learn_fact(fact);
        }
        if stopping {
            engine.commit(b"").expect("memory can be written");
            // To open one takes longer than to fold most lines.
            if number % 4 == 2 {
                engine = world.open(engine.into_store());
            }
        }
        world.publish(&mut outputs, &mut told);
    }
    // Every deadline passes in the end.
    let last = engine.partition_time().unwrap_or(Timestamp::EARLIEST);
    for days in [1, 3, 30, 200] {
        advance(&mut engine, last + Millis::days(days), &mut outputs);
    }
    engine.commit(b"").expect("memory can be written");
    world.publish(&mut outputs, &mut told);
    (told, engine.into_store())
}

/// Folds lines; returns what was published, and the rows left.
pub fn run(input: &[u8]) -> (Vec<String>, Memory) {
    WORLD.with(|world| {
        with_writers(|writers| {
            let mut high = None;
            let lines = input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(LINES);
            let units: Vec<Unit> = lines.map(|line| world.read(writers, line, &mut high)).collect();
            let (told, store) = fold(world, &units, false);
            World::published(writers, &told);
            if !told.is_empty() {
                let (again, _) = fold(world, &units, true);
                for (number, (one, other)) in told.iter().zip(&again).enumerate() {
                    assert!(one == other, "output {number} depends on when the state was committed:\n{one}\n{other}");
                }
                assert!(told.len() == again.len(), "how much is published depends on when the state was committed");
            }
            (told, store)
        })
    })
}

/// Folds lines.
pub fn check(input: &[u8]) {
    run(input);
}
