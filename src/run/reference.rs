//! What is known of accounts and templates: the reference topics, read to their end before the first fold, and
//! followed from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::codec::frame::Writers;
use crate::codec::{records, reference, schema};
use crate::domain::reference::Reference;
use crate::health::Health;
use crate::kafka::{Names, Settings, ends};
use crate::metrics::Metrics;
use crate::stream::{Failure, Reader, Records, Topic};
use crate::worker::Latest;
use crate::zones::Zones;

use super::freshness::{Change, Freshness};

/// How often the topics are looked for before the start is given up, and how long after each other.
const ASKED: u32 = 30;
const AGAIN: Duration = Duration::from_secs(1);

/// Reads everything there is, then goes on reading on a thread of its own.
///
/// The error says why the topics cannot be read.
pub fn start(
    settings: &Settings,
    names: &Arc<Names>,
    latest: Latest,
    metrics: Arc<Metrics>,
    (health, patience): (Arc<Health>, Duration),
    stop: Arc<AtomicBool>,
) -> Result<(), String> {
    for topic in [Topic::Accounts, Topic::Templates] {
        metrics.reference_learned(names.name(topic), 0);
    }
    let mut asked = 1;
    let slots = loop {
        match ends(settings, names, &[Topic::Accounts, Topic::Templates]) {
            Ok(slots) => break slots,
            // Topics that were just made are not known to every broker yet.
            Err(Failure::Busy(why)) if asked < ASKED && !stop.load(Ordering::Relaxed) => {
                warn!(why, "the reference topics are looked for again");
                asked += 1;
                thread::sleep(AGAIN);
            }
            Err(failure) => return Err(failure.to_string()),
        }
    };
    let from: Vec<_> = slots.iter().map(|(slot, start, _)| (*slot, *start)).collect();
    let mut follower = Follower {
        reader: crate::kafka::ChangelogReader::open(settings, names, &from).map_err(|failure| failure.to_string())?,
        learner: Learner::new().map_err(|error| error.to_string())?,
        records: Records::default(),
        names: Arc::clone(names),
        metrics,
    };
    while slots.iter().any(|(slot, _, end)| follower.reader.position(*slot) < *end) {
        follower.step().map_err(|failure| failure.to_string())?;
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
    latest.set(Arc::new(follower.learner.known.clone()));
    info!(records = follower.learner.records, "reference topics read to their end");
    thread::Builder::new()
        .name("reference".into())
        .spawn(move || {
            #[allow(clippy::disallowed_methods, reason = "how long the topics have been out of reach")]
            let began = Instant::now();
            let mut freshness = Freshness::new(patience, began.elapsed());
            while !stop.load(Ordering::Relaxed) {
                let mut failed = None;
                match follower.step() {
                    Ok(true) => latest.set(Arc::new(follower.learner.known.clone())),
                    Ok(false) => {}
                    Err(failure) => {
                        error!(%failure, "the reference topics cannot be read");
                        // What it says comes at once, and again.
                        thread::sleep(AGAIN);
                        failed = Some(failure);
                    }
                }
                let is_read = || failed.map_or_else(|| follower.reader.is_at_end(), Err);
                if let Some(change) = freshness.look(began.elapsed(), is_read) {
                    let stale = matches!(change, Change::Stale(_));
                    latest.set_stale(stale);
                    health.reference_is(stale);
                    match change {
                        Change::Stale(why) => error!(why, "verdicts that rest on the reference topics are unknown"),
                        Change::Fresh => info!("the reference topics are read to their end again"),
                    }
                }
            }
        })
        .map_err(|error| error.to_string())?;
    Ok(())
}

struct Follower<R> {
    reader: R,
    learner: Learner,
    records: Records,
    names: Arc<Names>,
    metrics: Arc<Metrics>,
}

impl<R: Reader> Follower<R> {
    /// Reads what has come. Tells whether that was anything.
    fn step(&mut self) -> Result<bool, Failure> {
        self.records.clear();
        self.reader.poll(Duration::from_millis(200), &mut self.records)?;
        for head in self.records.heads() {
            self.learner.learn(head.slot.topic, head.offset, self.records.value(head));
            self.metrics.reference_learned(self.names.name(head.slot.topic), 1);
        }
        if let Some(watermark) = self.learner.known.watermark() {
            self.metrics.reference_watermark(watermark);
        }
        Ok(!self.records.heads().is_empty())
    }
}

/// Learns the records of the reference topics.
struct Learner {
    known: Reference,
    accounts: Writers,
    templates: Writers,
    zones: Zones,
    records: u64,
}

impl Learner {
    fn new() -> Result<Self, crate::codec::avro::Error> {
        Ok(Self {
            known: Reference::default(),
            accounts: Writers::of(schema::ACCOUNT)?,
            templates: Writers::of(schema::TEMPLATE_HISTORY)?,
            zones: Zones::new(),
            records: 0,
        })
    }

    /// Learns a record. What is wrong in it is told and left out; the rest counts.
    fn learn(&mut self, topic: Topic, offset: i64, value: Option<&[u8]>) {
        self.records += 1;
        // A record that was deleted takes back nothing: verdicts and bills have relied on it.
        let Some(value) = value else {
            return;
        };
        let Self { known, accounts, templates, zones, .. } = self;
        let unreadable = |error: crate::codec::frame::Error| vec![reference::Mistake(error.to_string())];
        let learned = if topic == Topic::Accounts {
            let record = accounts.read::<records::Account<'_>>(value).map_err(unreadable);
            record.and_then(|record| reference::learn_account(known, &record, &|name| zones.find(name)))
        } else {
            let record = templates.read::<records::TemplateHistory<'_>>(value).map_err(unreadable);
            record.and_then(|record| reference::learn_template(known, &record))
        };
        for reference::Mistake(problem) in learned.err().unwrap_or_default() {
            warn!(?topic, offset, problem, "a reference fact is left out");
        }
    }
}
