//! What a run reads: generated traffic with all that a worker can make of it, and records that nobody can read.

use std::path::Path;
use std::sync::Arc;

use tollgate::codec::frame::{self, Framing};
use tollgate::codec::records::Event;
use tollgate::codec::state::WriteFormat;
use tollgate::codec::{partitioner, reference, schema};
use tollgate::config::{self, Overrides};
use tollgate::domain::reference::Reference;
use tollgate::domain::time::Timestamp;
use tollgate::engine::Setup;
use tollgate::loadgen::{self, Calendar, Date, Settings};
use tollgate::stream::{Partition, Slot, Topic};
use tollgate::worker::{Arrival, Latest};
use tollgate::zones::Zones;

use super::{Course, UNKNOWN_SCHEMA};
use crate::broker::partition::Pair;
use crate::ledgers::rules::{self, Switch};
use crate::random::Random;
use crate::time::{MILLI, Micros, SECOND, wall};
use crate::world::Feed;

/// A day in milliseconds: the life of a window, and the length of the traffic.
const DAY: i64 = 86_400_000;

/// What all runs share.
pub struct Ground {
    /// With the older format of rows and with the newer one. Commit records of the older one do not say how charges and
    /// events took turns, nor what verdicts were told of limits and budgets, so that there are none of them.
    plain: [Arc<Setup>; 2],
    full: Arc<Setup>,
    zones: Zones,
}

/// Where the volume tiers behind the first begin: a run charges some dozens of messages.
const TIERS: [u64; 2] = [2, 4];

/// Limits and budgets that are reached within a day of little traffic, and counts that are old within some seconds.
const LIMITS: &str = r#"
[limits]
usage_fresh = "2h"
budgets = [
    { amount = "0.30", low = "0.10", currency = "USD", over = "block" },
    { category = "utility", amount = "0.03", low = "0.01", currency = "USD" },
    { amount = "2.00", low = "0.50", currency = "INR", over = "block" },
]
"#;

impl Ground {
    /// The configuration of `make demo`: with rate cards. And one with all that a ledger tells.
    pub fn new() -> Self {
        let zones = Zones::new();
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.toml");
        let load = |path: &Path| config::load(Some(path), &Overrides::default(), &zones).expect("it is usable").setup;
        let plain = [WriteFormat::First, WriteFormat::Second]
            .map(|write_format| Arc::new(Setup { write_format, ..load(demo.as_ref()) }));
        let directory = tempfile::tempdir().expect("a directory");
        let lists = rules::cards().into_iter().chain(rules::write_tiers(directory.path(), &TIERS));
        let lists: Vec<String> = lists.map(|list| format!("{:?}", list.display().to_string())).collect();
        let text = format!(
            "[deployment]\nname = \"full\"\nkey = \"the simulation invents its people\"\n\
             [prices]\nrate_cards = [{}]\n{LIMITS}",
            lists.join(", ")
        );
        let file = directory.path().join("full.toml");
        std::fs::write(&file, text).expect("a configuration is written");
        Self { plain, full: Arc::new(load(&file)), zones }
    }

    /// How runs of a course may be set.
    pub fn setups(&self, course: Course) -> [Arc<Setup>; 2] {
        let [first, second] = &self.plain;
        // Without an order of the inputs nobody can tell what a ledger must have said.
        [first, if course.inputs() == 1 { &self.full } else { second }].map(Arc::clone)
    }

    /// Whether verdicts of a setup go by what ledgers have told.
    pub fn is_full(&self, setup: &Arc<Setup>) -> bool {
        Arc::ptr_eq(setup, &self.full)
    }
}

/// What a run reads, and what is known of the businesses in it.
pub struct Traffic {
    pub feeds: Vec<Feed>,
    pub known: Known,
}

/// What is known, from which instant on. Facts come while events do, and most of them later than others that were
/// learned at the same instant or after them.
#[derive(Clone)]
pub struct Known(Vec<(Micros, Arc<Reference>)>);

impl Known {
    /// Tells what has become known by an instant. `told` is how many of the states have been told already.
    pub fn tell(&self, latest: &Latest, told: &mut usize, now: Micros) {
        for (_, reference) in self.0.iter().skip(*told).take_while(|(at, _)| *at <= now) {
            latest.set(Arc::clone(reference));
            *told += 1;
        }
    }

    /// What was known at a watermark.
    pub fn at(&self, watermark: Option<Timestamp>) -> Option<&Arc<Reference>> {
        self.0.iter().map(|(_, reference)| reference).find(|reference| reference.watermark() == watermark)
    }
}

struct Days<'z>(&'z Zones);

impl Calendar for Days<'_> {
    fn date(&self, zone: &str, millis: i64) -> Date {
        self.0.day(zone, millis).expect("a day")
    }
}

/// Makes traffic that takes `span` to be written.
///
/// Where records arrive when the log takes them, a day is pressed into a few seconds and moved back by a day, so
/// that windows end while the run lasts; else they arrive when they say.
pub fn make(
    random: &mut Random,
    ground: &Ground,
    partitions: u32,
    span: Micros,
    arrival: Arrival,
    course: Course,
) -> Traffic {
    let settings = Settings {
        events: random.between(60, 240),
        seed: random.next(),
        contacts: if course == Course::Deadlines { 30 } else { random.between(4, 30) as u32 },
        numbers: random.between(1, 6) as u16,
        start: wall(0) - DAY,
        days: 1,
        moves: false,
        // What is repeated before what it is about has come, by the other input, may be told again under the same id:
        // that could not be told from what is published twice.
        repeats_per_mille: if course.inputs() == 1 { 50 } else { 0 },
        ..Settings::default()
    };
    let seconds = i64::try_from(span / SECOND).expect("short");
    let framing = if random.happens(5_000) { Framing::Json } else { Framing::SingleObject };
    let mut records: Vec<(Partition, Pair)> = Vec::new();
    let references = loadgen::generate(
        &settings,
        &Days(&ground.zones),
        &mut |event| {
            let mut event = event.clone();
            if arrival == Arrival::Log {
                event.occurred_at = wall(0) - DAY + (event.occurred_at - settings.start) / (DAY / 1_000) * seconds;
            }
            let mut value = Vec::new();
            frame::write(&event, schema::EVENT, framing, &mut value).expect("an event of ours");
            let number = event.phone_number_id.as_str().as_bytes();
            let partition = Partition(partitioner::partition(number, partitions));
            records.push((partition, (Some(number.to_vec()), Some(value))));
            Ok(())
        },
        &mut |_| Ok(()),
    );
    let mut references = references.expect("settings that can be had");
    let switch = Switch { market: "Brazil", month: "2026-11", begins: TIERS[0], at: wall(0) - DAY / 2 };
    rules::add_facts(&mut references, [1, 3], (wall(0) - DAY / 2) / 1_000, &[switch]);
    let mut feeds = Vec::with_capacity(records.len() + 8);
    let count = records.len() as u64;
    let mut at = 0;
    for (number, (partition, pair)) in (0..).zip(records) {
        // Records come in bursts, and one by one.
        if number == 0 || !random.happens(5_000) {
            at = number * span / count + random.below(SECOND / 100);
        }
        let topic = Topic::Input(random.below(u64::from(course.inputs())) as u8);
        feeds.push(Feed { at, slot: Slot { topic, partition }, pair });
    }
    for _ in 0..random.below(8) {
        let topic = Topic::Input(random.below(u64::from(course.inputs())) as u8);
        feeds.push(stray(random, partitions, span, topic));
    }
    feeds.sort_by_key(|feed| feed.at);
    // Everything that is still due when the traffic ends becomes due at once, more than one transaction holds. Where
    // the order of the inputs is not certain, what comes after would sometimes be too late.
    if course.inputs() == 1 && arrival == Arrival::Field && (course == Course::Deadlines || random.happens(5_000)) {
        for partition in (0..partitions).map(Partition) {
            feeds.push(Feed { at: span, slot: Slot { topic: Topic::Input(0), partition }, pair: much_later() });
        }
    }
    Traffic { feeds, known: known(random, &references, &ground.zones, span, course) }
}

/// A sign that days have passed.
fn much_later() -> Pair {
    let heartbeat = Event { kind: "heartbeat".into(), occurred_at: wall(0) + 3 * DAY, ..Event::default() };
    let mut value = Vec::new();
    frame::write(&heartbeat, schema::EVENT, Framing::Json, &mut value).expect("an event of ours");
    (None, Some(value))
}

/// A record that cannot be folded.
fn stray(random: &mut Random, partitions: u32, span: Micros, topic: Topic) -> Feed {
    let value = match random.below(3) {
        0 => b"nonsense".to_vec(),
        1 => [&[0], &UNKNOWN_SCHEMA.to_be_bytes()[..]].concat(),
        // An ask that deserves an answer all the same.
        _ if topic == Topic::Input(0) => {
            br#"{"phone_number_id":"1","occurred_at":1795000000000,"send_requested":{"request_id":"r"}}"#.to_vec()
        }
        _ => Vec::new(),
    };
    let partition = Partition(random.below(u64::from(partitions)) as u32);
    Feed { at: random.below(span / MILLI) * MILLI, slot: Slot { topic, partition }, pair: (None, Some(value)) }
}

/// All facts, in up to four portions: the first is there before anything is read. Where a rare coincidence of deadlines
/// is looked for, all are there, so that every window has all that follows from it.
fn known(random: &mut Random, references: &loadgen::References, zones: &Zones, span: Micros, course: Course) -> Known {
    let (mut known, latest, mut states) = (Reference::default(), Latest::default(), Vec::new());
    let (accounts, templates) = (&references.accounts, &references.templates);
    let portions = if course == Course::Deadlines { 1 } else { random.between(1, 5) as usize };
    let mut learned = 0;
    for portion in 1..=portions {
        let until = (accounts.len() + templates.len()) * portion / portions;
        for index in learned..until {
            if let Some(account) = accounts.get(index) {
                reference::learn_account(&mut known, account, &|name| zones.find(name)).expect("valid accounts");
            } else if let Some(template) = templates.get(index - accounts.len()) {
                reference::learn_template(&mut known, template).expect("valid templates");
            }
        }
        learned = until;
        let at = if portion == 1 { 0 } else { (portion as u64 - 1) * span / portions as u64 };
        latest.set(Arc::new(known.clone()));
        states.push((at, latest.get()));
    }
    Known(states)
}
