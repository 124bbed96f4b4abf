//! What a run reads: generated traffic with all that a worker can make of it, and records that nobody can read.

use std::sync::Arc;

use tollgate::codec::frame::{self, Framing};
use tollgate::codec::state::WriteFormat;
use tollgate::codec::{partitioner, reference, schema};
use tollgate::config::{self, Overrides};
use tollgate::domain::reference::Reference;
use tollgate::engine::Setup;
use tollgate::loadgen::{self, Calendar, Date, Settings};
use tollgate::stream::{Partition, Slot, Topic};
use tollgate::worker::Arrival;
use tollgate::zones::Zones;

use super::UNKNOWN_SCHEMA;
use crate::broker::partition::Pair;
use crate::random::Random;
use crate::time::{MILLI, Micros, SECOND, wall};
use crate::world::Feed;

/// A day in milliseconds: the life of a window, and the length of the traffic.
const DAY: i64 = 86_400_000;

/// What all runs share.
pub struct Ground {
    /// As it is by default, and with the newer format of rows.
    pub setups: [Arc<Setup>; 2],
    zones: Zones,
}

impl Ground {
    /// The configuration of `make demo`: with rate cards.
    pub fn new() -> Self {
        let zones = Zones::new();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.toml");
        let setup = |write_format| {
            let config = config::load(Some(path.as_ref()), &Overrides::default(), &zones);
            let config = config.expect("the demo's configuration is usable");
            Arc::new(Setup { write_format, ..config.setup })
        };
        Self { setups: [WriteFormat::First, WriteFormat::Second].map(setup), zones }
    }
}

/// What a run reads, and what is known of the businesses in it.
pub struct Traffic {
    pub feeds: Vec<Feed>,
    pub reference: Arc<Reference>,
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
pub fn make(random: &mut Random, ground: &Ground, partitions: u32, span: Micros, arrival: Arrival) -> Traffic {
    let settings = Settings {
        events: random.between(60, 240),
        seed: random.next(),
        contacts: random.between(4, 30) as u32,
        numbers: random.between(1, 6) as u16,
        start: wall(0) - DAY,
        days: 1,
        moves: false,
        repeats_per_mille: 50,
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
    let references = references.expect("settings that can be had");
    let mut feeds = Vec::with_capacity(records.len() + 8);
    let count = records.len() as u64;
    let mut at = 0;
    for (number, (partition, pair)) in (0..).zip(records) {
        // Records come in bursts, and one by one.
        if number == 0 || !random.happens(5_000) {
            at = number * span / count + random.below(SECOND / 100);
        }
        feeds.push(Feed { at, slot: Slot { topic: Topic::Input(0), partition }, pair });
    }
    for _ in 0..random.below(8) {
        feeds.push(stray(random, partitions, span, Topic::Input(0)));
    }
    // One input: of several, one that stays behind is passed over, and what is published says so, which the plain
    // fold cannot know.
    feeds.sort_by_key(|feed| feed.at);
    Traffic { feeds, reference: Arc::new(known(&references, &ground.zones)) }
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

fn known(references: &loadgen::References, zones: &Zones) -> Reference {
    let mut known = Reference::default();
    for account in &references.accounts {
        reference::learn_account(&mut known, account, &|name| zones.find(name)).expect("valid accounts");
    }
    for template in &references.templates {
        reference::learn_template(&mut known, template).expect("valid templates");
    }
    known
}
