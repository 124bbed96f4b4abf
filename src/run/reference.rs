//! What is known of accounts and templates: the reference topics, read to their end before the first fold, and
//! followed from then on.
//!
//! A record whose schema cannot be had now is waited for, as those of the inputs are: a price that rests on what was
//! left out would be wrong without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use crate::codec::frame::{self, Writers};
use crate::codec::{records, reference, schema};
use crate::domain::ledger::usage::Snapshot;
use crate::domain::reference::Reference;
use crate::health::Health;
use crate::kafka::{Names, Settings, ends};
use crate::metrics::Metrics;
use crate::stream::{Failure, NextOffset, Reader, Records, Slot, Topic};
use crate::worker::{Latest, Schemas, Used};
use crate::zones::Zones;

use super::freshness::{Change, Freshness};

/// How often the topics are looked for, and a schema is asked for, before the start is given up; and how long after
/// each other.
const ASKED: u32 = 30;
const AGAIN: Duration = Duration::from_secs(1);

/// Whom the reader of the reference topics tells, and who tells it to end.
pub struct Around {
    /// What is known.
    pub latest: Latest,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the probes ask.
    pub health: Arc<Health>,
    /// How long the topics may be out of reach before verdicts that rest on them are unknown.
    pub patience: Duration,
    /// Whether to end.
    pub stop: Arc<AtomicBool>,
}

/// Reads everything there is, then goes on reading on a thread of its own. `schemas` asks the registry for schemas of
/// records.
///
/// The error says why the topics cannot be read.
pub fn start(settings: &Settings, names: &Arc<Names>, schemas: Schemas, around: Around) -> Result<(), String> {
    let Around { latest, metrics, health, patience, stop } = around;
    for topic in [Topic::Accounts, Topic::Templates, Topic::Usage] {
        metrics.reference_learned(names.name(topic), 0);
    }
    let mut asked = 1;
    let slots = loop {
        match ends(settings, names, &[Topic::Accounts, Topic::Templates, Topic::Usage]) {
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
        learner: Learner::new(schemas).map_err(|error| error.to_string())?,
        records: Records::default(),
        next: 0,
        names: Arc::clone(names),
        metrics,
    };
    let mut asked = 1;
    while follower.is_behind() || slots.iter().any(|(slot, _, end)| follower.reader.position(*slot) < *end) {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        match follower.step() {
            Ok(Step::Learned | Step::Nothing) => {
                asked = 1;
                health.reference(None);
            }
            // Nothing is folded before all of it is known.
            Ok(Step::Waits(why)) if asked < ASKED => {
                error!(why, "{WAITS}");
                health.reference(Some(why));
                asked += 1;
                thread::sleep(AGAIN);
            }
            Ok(Step::Waits(why)) => return Err(why),
            Err(failure) => return Err(failure.to_string()),
        }
    }
    follower.learner.tell(&latest);
    info!(records = follower.learner.records, "reference topics read to their end");
    thread::Builder::new()
        .name("reference".into())
        .spawn(move || {
            #[allow(clippy::disallowed_methods, reason = "how long the topics have been out of reach")]
            let began = Instant::now();
            let mut freshness = Freshness::new(patience, began.elapsed());
            while !stop.load(Ordering::Relaxed) {
                let trouble = match follower.step() {
                    Ok(Step::Learned) => {
                        follower.learner.tell(&latest);
                        None
                    }
                    Ok(Step::Nothing) => None,
                    // What is known stays what it was, and whoever asks the probes is told.
                    Ok(Step::Waits(why)) => {
                        error!(why, "{WAITS}");
                        Some(why)
                    }
                    Err(failure) => {
                        error!(%failure, "the reference topics cannot be read");
                        Some(failure.to_string())
                    }
                };
                let failed = trouble.clone();
                let ends = || match failed {
                    Some(why) => Err(Failure::Busy(why)),
                    None => follower.reader.ends(),
                };
                let is_read = |ends: &Vec<_>| !follower.is_behind() && follower.reader.has_read(ends);
                if let Some(change) = freshness.look(began.elapsed(), ends, is_read) {
                    let stale = matches!(change, Change::Stale(_));
                    latest.set_stale(stale);
                    health.reference_is(stale);
                    match change {
                        Change::Stale(why) => error!(why, "verdicts that rest on the reference topics are unknown"),
                        Change::Fresh => info!("the reference topics are read to their end again"),
                    }
                }
                let is_well = trouble.is_none();
                health.reference(trouble);
                if !is_well {
                    thread::sleep(AGAIN);
                }
            }
        })
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// What is said where a record waits for its schema.
const WAITS: &str = "the reference topics wait for a schema; it is asked for again";

/// What a step of reading came to.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing new has come.
    Nothing,
    /// Something was learned.
    Learned,
    /// The next record is of a schema that cannot be had now. Says why.
    Waits(String),
}

struct Follower<R> {
    reader: R,
    learner: Learner,
    records: Records,
    /// The place of the next of them that is to be learned.
    next: usize,
    names: Arc<Names>,
    metrics: Arc<Metrics>,
}

impl<R: Reader> Follower<R> {
    /// Whether records were read that are not learned yet.
    fn is_behind(&self) -> bool {
        self.next < self.records.heads().len()
    }

    /// Learns what waits, or else reads what has come.
    fn step(&mut self) -> Result<Step, Failure> {
        if !self.is_behind() {
            self.records.clear();
            self.next = 0;
            self.reader.poll(Duration::from_millis(200), &mut self.records)?;
        }
        let first = self.next;
        while let Some(head) = self.records.heads().get(self.next) {
            match self.learner.learn(head.slot, head.offset, self.records.value(head)) {
                Ok(()) => {}
                Err(why) if self.next == first => return Ok(Step::Waits(why)),
                // What came before it counts at once.
                Err(_) => break,
            }
            self.metrics.reference_learned(self.names.name(head.slot.topic), 1);
            self.next += 1;
        }
        if let Some(watermark) = self.learner.known.watermark() {
            self.metrics.reference_watermark(watermark);
        }
        Ok(if self.next > first { Step::Learned } else { Step::Nothing })
    }
}

/// Learns the records of the reference topics.
struct Learner {
    known: Reference,
    used: Snapshot,
    /// How far the partitions of `wa.usage` are in that.
    used_read: Vec<NextOffset>,
    /// The version of what is known that was told last, and whether what is used has changed since.
    told: Option<u64>,
    used_more: bool,
    accounts: Writers,
    templates: Writers,
    usage: Writers,
    schemas: Schemas,
    zones: Zones,
    records: u64,
}

/// Why a record tells nothing, or not all of what it should.
enum Unlearned {
    /// It names a schema that is not known here.
    Schema(u32),
    /// There is something wrong in it.
    Mistakes(Vec<reference::Mistake>),
}

impl From<frame::Error> for Unlearned {
    fn from(error: frame::Error) -> Self {
        match error {
            frame::Error::UnknownId(id) => Self::Schema(id),
            error => Self::Mistakes(vec![reference::Mistake(error.to_string())]),
        }
    }
}

impl Learner {
    fn new(schemas: Schemas) -> Result<Self, crate::codec::avro::Error> {
        Ok(Self {
            known: Reference::default(),
            used: Snapshot::default(),
            used_read: Vec::new(),
            told: None,
            used_more: true,
            usage: Writers::of(schema::USAGE)?,
            accounts: Writers::of(schema::ACCOUNT)?,
            templates: Writers::of(schema::TEMPLATE_HISTORY)?,
            schemas,
            zones: Zones::new(),
            records: 0,
        })
    }

    /// Tells what is known now, as far as that has changed.
    fn tell(&mut self, latest: &Latest) {
        if self.told.replace(self.known.version()) != Some(self.known.version()) {
            latest.set(Arc::new(self.known.clone()));
        }
        if std::mem::take(&mut self.used_more) {
            latest.set_used(Arc::new(Used { told: Arc::new(self.used.clone()), read: self.used_read.clone() }));
        }
    }

    /// Learns a record, and asks for its schema if it is not known yet. What is wrong in a record is told and left
    /// out; the rest counts.
    ///
    /// The error says why the schema cannot be had now; nothing was learned.
    fn learn(&mut self, Slot { topic, partition }: Slot, offset: i64, value: Option<&[u8]>) -> Result<(), String> {
        // A record that was deleted takes back nothing: verdicts and bills have relied on it.
        let mut learned = value.map_or(Ok(()), |value| self.take_in(topic, value));
        if let (Err(Unlearned::Schema(id)), Some(value)) = (&learned, value) {
            let id = *id;
            if let Some(text) = (self.schemas)(id)? {
                let writers = match topic {
                    Topic::Accounts => &mut self.accounts,
                    Topic::Usage => &mut self.usage,
                    _ => &mut self.templates,
                };
                learned = match writers.add_registered(id, &text) {
                    Ok(()) => self.take_in(topic, value),
                    Err(error) => Err(Unlearned::Mistakes(vec![reference::Mistake(format!("schema {id}: {error}"))])),
                };
            }
        }
        self.records += 1;
        if topic == Topic::Usage {
            let place = partition.0 as usize;
            if self.used_read.len() <= place {
                self.used_read.resize(place + 1, NextOffset::START);
            }
            self.used_read[place] = NextOffset::after(offset);
            self.used_more = true;
        }
        let mistakes = match learned {
            Ok(()) => Vec::new(),
            Err(Unlearned::Schema(id)) => vec![reference::Mistake(frame::Error::UnknownId(id).to_string())],
            Err(Unlearned::Mistakes(mistakes)) => mistakes,
        };
        for reference::Mistake(problem) in mistakes {
            warn!(?topic, offset, problem, "a reference fact is left out");
        }
        Ok(())
    }

    fn take_in(&mut self, topic: Topic, value: &[u8]) -> Result<(), Unlearned> {
        let Self { known, used, accounts, templates, usage, zones, .. } = self;
        let learned = match topic {
            Topic::Accounts => {
                let record = accounts.read::<records::Account<'_>>(value)?;
                reference::learn_account(known, &record, &|name| zones.find(name))
            }
            Topic::Usage => {
                let record = usage.read::<records::Usage<'_>>(value)?;
                crate::codec::usage::learn(used, &record).map_err(|mistake| vec![mistake])
            }
            _ => {
                let record = templates.read::<records::TemplateHistory<'_>>(value)?;
                reference::learn_template(known, &record)
            }
        };
        learned.map_err(Unlearned::Mistakes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::codec::frame::Framing;
    use crate::stream::Partition;

    const ACCOUNTS: Slot = Slot { topic: Topic::Accounts, partition: Partition(0) };

    /// A registry's answers, one after the other.
    fn answers(answers: &[Result<Option<String>, &'static str>]) -> Schemas {
        let mut left: VecDeque<_> = answers.iter().cloned().collect();
        Box::new(move |_| left.pop_front().expect("an answer for each question").map_err(str::to_owned))
    }

    fn account(framing: Framing) -> Vec<u8> {
        let record = records::Account {
            entity_type: "account".into(),
            entity_id: "204550000000001".into(),
            facts: vec![records::Fact {
                name: "currency".into(),
                value: Some("USD".into()),
                from: 1_790_000_000_000,
                learned_at: 1_790_000_000_000,
                ..records::Fact::default()
            }],
        };
        let mut bytes = Vec::new();
        frame::write(&record, schema::ACCOUNT, framing, &mut bytes).expect("a record of ours");
        bytes
    }

    #[test]
    fn what_a_registry_frames_is_learned_once_the_registry_has_told_how() {
        let schemas = answers(&[Err("it is down"), Ok(Some(schema::ACCOUNT.text.to_owned()))]);
        let mut learner = Learner::new(schemas).expect("schemas of ours");
        let framed = account(Framing::Registry(7));
        assert_eq!(learner.learn(ACCOUNTS, 0, Some(&framed)), Err("it is down".to_owned()));
        assert_eq!((learner.known.watermark(), learner.records), (None, 0), "it is still to be learned");
        assert_eq!(learner.learn(ACCOUNTS, 0, Some(&framed)), Ok(()));
        assert!(learner.known.watermark().is_some());
        // Once it is known it is not asked for again: there is no answer left.
        assert_eq!(learner.learn(ACCOUNTS, 1, Some(&framed)), Ok(()));
        assert_eq!(learner.records, 2);
    }

    #[test]
    fn an_id_that_the_registry_does_not_know_is_left_out_and_the_rest_counts() {
        let mut learner = Learner::new(answers(&[Ok(None)])).expect("schemas of ours");
        assert_eq!(learner.learn(ACCOUNTS, 0, Some(&account(Framing::Registry(7)))), Ok(()));
        assert_eq!(learner.known.watermark(), None);
        assert_eq!(learner.learn(ACCOUNTS, 1, Some(&account(Framing::SingleObject))), Ok(()));
        assert!(learner.known.watermark().is_some());
    }

    /// Brings records once, and has no more.
    struct Once(Vec<Vec<u8>>);

    impl Reader for Once {
        fn poll(&mut self, _: Duration, records: &mut Records) -> Result<(), Failure> {
            for (offset, value) in (0..).zip(self.0.drain(..)) {
                records.push(ACCOUNTS, offset, 0, None, Some(&value));
            }
            Ok(())
        }

        fn position(&self, _: Slot) -> NextOffset {
            NextOffset::START
        }
    }

    #[test]
    fn nothing_overtakes_a_record_that_waits_for_its_schema() {
        let schemas = answers(&[Err("it is down"), Err("it is down"), Ok(Some(schema::ACCOUNT.text.to_owned()))]);
        let framings = [Framing::SingleObject, Framing::Registry(7), Framing::SingleObject];
        let mut follower = Follower {
            reader: Once(framings.map(account).to_vec()),
            learner: Learner::new(schemas).expect("schemas of ours"),
            records: Records::default(),
            next: 0,
            names: Arc::new(Names::new(vec![(Topic::Accounts, "wa.accounts".to_owned())])),
            metrics: Arc::new(Metrics::new("test").expect("metrics")),
        };
        assert_eq!(follower.step(), Ok(Step::Learned), "what comes before it counts");
        assert_eq!(follower.step(), Ok(Step::Waits("it is down".to_owned())));
        assert_eq!((follower.learner.records, follower.is_behind()), (1, true));
        assert_eq!(follower.step(), Ok(Step::Learned));
        assert_eq!((follower.learner.records, follower.is_behind()), (3, false));
        assert_eq!(follower.step(), Ok(Step::Nothing));
    }
}
