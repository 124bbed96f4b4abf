//! What operators do with the topics of a deployment, besides running it: dead letters back in, a person forgotten, the
//! ledger reconciled, something explained. What is done is done by the modules that do it with files; this is where
//! their records come from and go to.

pub mod erase;
pub mod explain;
pub mod reconcile;
pub mod redrive;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use crate::codec::frame::{self, Framer, Writers};
use crate::codec::partitioner::Partitioner;
use crate::codec::schema::RecordSchema;
use crate::config::Mistake;
use crate::config::stream::Stream;
use crate::domain::time::Timestamp;
use crate::engine::FUTURE;
use crate::kafka::asker::{Asked, Asker};
use crate::kafka::span::{self, Span, Stretch};
use crate::kafka::{Names, Settings, ends};
use crate::registry::Registry;
use crate::replay::inputs::{MOST_MISTAKES, RawRecord, Supply, Take};
use crate::run;
use crate::stream::{Failure, NextOffset, Partition, Slot, Topic};
use crate::worker::Schemas;

/// How long a record may take to be acknowledged.
const WAIT: Duration = Duration::from_mins(1);

/// How often a registry that does not answer is asked for a schema, and how long after each other.
const ASKED: u32 = 10;
const AGAIN: Duration = Duration::from_secs(1);

/// Shows how far something is read: it is told the topic and how many offsets there are to pass, and hands out whoever
/// is to be told how many have been passed.
pub type Progress = fn(&str, u64) -> Box<dyn Fn(u64)>;

/// A deployment's topics, as somebody outside of it reads and writes them.
pub struct Cluster {
    stream: Stream,
    names: Arc<Names>,
    settings: Settings,
    registry: Option<Arc<Registry>>,
    partitions: u32,
    progress: Progress,
}

fn wrong(place: &str) -> impl Fn(&dyn Display) -> Vec<Mistake> {
    move |why| vec![Mistake::new(place, why.to_string())]
}

impl Cluster {
    /// Finds these topics and those of events.
    ///
    /// # Errors
    /// Which of them are not there, or why the brokers or the registry cannot be used.
    pub fn connect(stream: &Stream, topics: &[Topic], progress: Progress) -> Result<Self, Vec<Mistake>> {
        let is_wanted = |topic: &Topic| matches!(topic, Topic::Input(_)) || topics.contains(topic);
        let names = stream.topics.iter().filter(|(topic, _)| is_wanted(topic)).cloned().collect();
        let names = Arc::new(Names::new(names));
        let partitions = run::reach(stream, &names)?;
        let registry = stream.registry.as_ref().map(run::connect_registry).transpose()?.map(Arc::new);
        let settings = run::connection(stream, "operator");
        Ok(Self { stream: stream.clone(), names, settings, registry, partitions, progress })
    }

    /// The name of a topic.
    #[must_use]
    pub fn name(&self, topic: Topic) -> &str {
        self.names.name(topic)
    }

    fn inputs(&self) -> impl Iterator<Item = (Topic, &str)> {
        self.names.iter().filter(|(topic, _)| matches!(topic, Topic::Input(_)))
    }

    /// The names of the topics of events, to be told.
    #[must_use]
    pub fn topics_of_events(&self) -> String {
        let names: Vec<String> = self.inputs().map(|(_, name)| format!("`{name}`")).collect();
        names.join(", ")
    }

    /// The partition of a key: among inputs as their producers choose it, and among outputs as `tollgate run` does.
    fn partition(&self, topic: Topic, key: &str) -> Partition {
        let partitioner = match topic {
            Topic::Input(_) => self.stream.partitioner,
            _ => Partitioner::Murmur2,
        };
        Partition(partitioner.partition(key.as_bytes(), self.partitions))
    }

    /// Where topics begin and end now.
    fn stretches(&self, topics: &[Topic]) -> Result<Vec<Stretch>, Vec<Mistake>> {
        ends(&self.settings, &self.names, topics).map_err(|failure| wrong("the brokers")(&failure))
    }

    /// All that a topic holds now.
    ///
    /// # Errors
    /// If that cannot be learned.
    pub fn records(&self, topic: Topic, schema: RecordSchema) -> Result<Held<'_>, Vec<Mistake>> {
        let known = Known::of(schema, self.registry.clone())?;
        let stretches = self.stretches(&[topic])?;
        Ok(Held {
            cluster: self,
            topic,
            known,
            begins: stretches.clone(),
            stretches,
            first: BTreeMap::new(),
            is_cut_short: false,
        })
    }

    /// How the records of a topic are written.
    fn framer(&self, topic: Topic, schema: RecordSchema) -> Result<Framer, Vec<Mistake>> {
        let (mut asked, stop) = (0, AtomicBool::new(false));
        let framing = run::framing(&self.stream, self.registry.as_deref(), (topic, schema), &mut asked, &stop)?;
        // Nobody tells it to stop.
        let framing = framing.ok_or_else(|| wrong("registry")(&"it was not asked to the end"))?;
        Framer::new(schema, framing).map_err(|error| wrong(self.name(topic))(&error))
    }

    fn asker(&self) -> Result<Asker, Vec<Mistake>> {
        Asker::open(&self.settings, WAIT).map_err(|failure| wrong("the producer")(&failure))
    }

    /// Writes records to a topic, each to the partition of its key, and waits until the brokers have them.
    fn write(&self, topic: Topic, records: impl Iterator<Item = (String, Vec<u8>)>) -> Result<u64, Vec<Mistake>> {
        let (name, mut asker) = (self.name(topic), self.asker()?);
        let failed = |failure| wrong(&format!("topic `{name}`"))(&failure);
        for (key, value) in records {
            asker.write(name, &Asked { partition: self.partition(topic, &key), key, value }).map_err(failed)?;
        }
        asker.finish().map_err(failed)
    }
}

/// The schemas of a topic's records, those of the registry as they are met.
struct Known {
    writers: Writers,
    schemas: Schemas,
}

impl Known {
    fn of(schema: RecordSchema, registry: Option<Arc<Registry>>) -> Result<Self, Vec<Mistake>> {
        let writers = Writers::of(schema).map_err(|error| wrong("a schema")(&error))?;
        Ok(Self { writers, schemas: run::schemas(registry) })
    }

    /// Asks for the schema that a record names, if it is not known yet. What nobody knows stays unknown.
    ///
    /// The error says why it cannot be had now.
    fn learn(&mut self, value: &[u8]) -> Result<(), String> {
        let Err(frame::Error::UnknownId(id)) = self.writers.unframe(value) else {
            return Ok(());
        };
        let mut asked = 1;
        let found = loop {
            match (self.schemas)(id) {
                Ok(found) => break found,
                Err(_) if asked < ASKED => thread::sleep(AGAIN),
                Err(why) => return Err(format!("schema {id}: {why}")),
            }
            asked += 1;
        };
        found.map_or(Ok(()), |text| {
            self.writers.add_registered(id, &text).map_err(|error| format!("schema {id}: {error}"))
        })
    }
}

/// What a topic held when it was looked at. It is read as often as somebody wants it.
pub struct Held<'c> {
    cluster: &'c Cluster,
    topic: Topic,
    known: Known,
    /// All that there is.
    begins: Vec<Stretch>,
    /// What of it is read.
    stretches: Vec<Stretch>,
    /// When the first record was appended that each partition still has, once it is read.
    first: BTreeMap<Slot, i64>,
    /// Whether something has kept it from being read to its end.
    is_cut_short: bool,
}

impl Held<'_> {
    /// Of the partitions that were to be read from where retention has removed records: the offset before which it has,
    /// and when the first record was appended that is still there, if one was read.
    fn cut(&self) -> impl Iterator<Item = (Partition, NextOffset, Option<i64>)> {
        let cut = self.begins.iter().filter(|begin| begin.1 > NextOffset::START && self.stretches.contains(begin));
        cut.map(|(slot, start, _)| (slot.partition, *start, self.first.get(slot).copied()))
    }

    /// Whether something has kept it from being read to its end, which is among the mistakes.
    #[must_use]
    pub const fn is_cut_short(&self) -> bool {
        self.is_cut_short
    }

    /// Reads all of it. What is wrong with records is told of the first of them; the others are handed out all the same.
    ///
    /// The error is what keeps it from being read on.
    fn read(&mut self, mistakes: &mut Vec<Mistake>, take: &mut Take<'_>) -> Result<(), String> {
        let Self { cluster, topic, stretches, known, first, .. } = self;
        let name = cluster.name(*topic);
        let offsets = |(_, start, end): &Stretch| u64::try_from(end.offset() - start.offset()).unwrap_or_default();
        let passed = (cluster.progress)(name, stretches.iter().map(offsets).sum());
        let stopped = |failure: Failure| failure.to_string();
        let mut span = Span::open(&cluster.settings, &cluster.names, stretches).map_err(stopped)?;
        let most = mistakes.len() + MOST_MISTAKES;
        loop {
            span.advance().map_err(stopped)?;
            let records = span.records();
            if records.heads().is_empty() {
                return Ok(());
            }
            for head in records.heads() {
                first.entry(head.slot).or_insert(head.appended_at);
                // A record without a value deletes another, and says nothing itself.
                let Some(value) = records.value(head) else {
                    continue;
                };
                known.learn(value)?;
                let read = known.writers.unframe(value).map_err(|error| vec![error.to_string()]).and_then(|framed| {
                    let (plan, bytes) = framed.map_or((None, value), |(plan, bytes)| (Some(plan), bytes));
                    let number = u64::try_from(head.offset).unwrap_or_default();
                    take(&RawRecord { number, bytes, size: value.len() as u64, flaw: None, plan, frame: &[] })
                });
                if let Err(problems) = read {
                    let place = format!("`{name}`, partition {}, offset {}", head.slot.partition.0, head.offset);
                    let told = problems.into_iter().map(|problem| Mistake::new(&place, problem));
                    mistakes.extend(told.take(most.saturating_sub(mistakes.len())));
                }
            }
            passed(span.passed());
        }
    }
}

impl Supply for Held<'_> {
    /// What is about an instant is appended after it, but for the time that an event may be ahead of its arrival. Where
    /// records themselves say when they arrive, the log's own time says nothing.
    fn since(&mut self, at: Timestamp) -> Result<(), Mistake> {
        let Cluster { stream, settings, names, .. } = self.cluster;
        if !stream.arrival_by_field {
            let narrowed = span::since(settings, names, &self.begins, at.millis() - FUTURE.0);
            self.stretches = narrowed.map_err(|failure| {
                Mistake::new(format!("topic `{}`", self.cluster.name(self.topic)), failure.to_string())
            })?;
        }
        Ok(())
    }

    fn each(&mut self, mistakes: &mut Vec<Mistake>, take: &mut Take<'_>) {
        if let Err(why) = self.read(mistakes, take) {
            self.is_cut_short = true;
            mistakes.push(Mistake::new(format!("topic `{}`", self.cluster.name(self.topic)), why));
        }
    }
}
