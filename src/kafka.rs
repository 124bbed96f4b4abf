//! Kafka, as one worker sees it: a member of the group, a transactional producer, readers of changelogs.
//!
//! What librdkafka does by itself and must not: it commits no positions and stores none, resets no position
//! that is out of range, and takes no record for good whose checksum is wrong. Rebalances are only taken down by
//! its callback; the worker answers them in its own time.

pub mod asker;
mod group;
mod native;
mod producer;
mod reader;
pub mod span;
pub mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::stream::{Committed, Failure, Found, Glance, Log, NextOffset, Partition, Records, Slot, Topic};
use group::{Change, Group};
use native::{Brought, DataQueue};
pub use producer::TAINTS;
use producer::Transactional;
pub use reader::ChangelogReader;

/// How long a question to the brokers may take.
const QUESTION: Duration = Duration::from_secs(10);

/// How long partitions may take to be read from somewhere else.
const MOVED: Duration = Duration::from_secs(2);

/// How long librdkafka waits before it repeats a request, in milliseconds, give or take a fifth. Long enough that an
/// answer within a shorter time is certain to be that to a request that was sent once.
const REPEATED: u64 = 500;

/// Within how long a member that is driven out twice has a twin.
const TWINS: Duration = Duration::from_mins(5);

/// How long an assignment waits for those of its partitions that are not ready. Most are within a second; what is
/// ready does not wait longer for what is not.
const GRACE: Duration = Duration::from_secs(1);

/// The names of all topics, by what they are for.
#[derive(Clone, Debug)]
pub struct Names {
    names: Vec<(Topic, String)>,
}

impl Names {
    /// The names of the topics.
    #[must_use]
    pub fn new(names: Vec<(Topic, String)>) -> Self {
        Self { names }
    }

    /// All topics and their names.
    pub fn iter(&self) -> impl Iterator<Item = (Topic, &str)> {
        self.names.iter().map(|(topic, name)| (*topic, name.as_str()))
    }

    /// The name of a topic.
    #[must_use]
    pub fn name(&self, topic: Topic) -> &str {
        self.place(topic).map_or("", |place| self.names[place].1.as_str())
    }

    fn place(&self, topic: Topic) -> Option<usize> {
        self.names.iter().position(|(known, _)| *known == topic)
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.names.iter().find(|(_, known)| known == name).map(|(topic, _)| *topic)
    }

    /// The names for C. A name with a zero byte in it is none, and never gets past the configuration.
    fn for_c(&self) -> Vec<CString> {
        self.names.iter().map(|(_, name)| CString::new(name.as_str()).unwrap_or_default()).collect()
    }

    fn slot(&self, place: usize, partition: i32) -> Option<Slot> {
        let (topic, _) = self.names.get(place)?;
        Some(Slot { topic: *topic, partition: Partition(u32::try_from(partition).ok()?) })
    }

    fn partitions(&self, slots: &mut dyn Iterator<Item = &Slot>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for slot in slots {
            list.add_partition(self.name(slot.topic), number(slot.partition));
        }
        list
    }

    fn positions(&self, slots: &[(Slot, NextOffset)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(slots.len());
        for (slot, next) in slots {
            // An offset that a position holds is never negative, so it is always taken.
            let _ =
                list.add_partition_offset(self.name(slot.topic), number(slot.partition), Offset::Offset(next.offset()));
        }
        list
    }

    /// Positions with the numbers of their transactions.
    fn noted(&self, positions: &[(Slot, Committed)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (slot, Committed { next, number: transaction }) in positions {
            let mut element = list.add_partition(self.name(slot.topic), number(slot.partition));
            // An offset that a position holds is never negative, so it is always taken.
            let _ = element.set_offset(Offset::Offset(next.offset()));
            if let Some(transaction) = transaction {
                element.set_metadata(format!("{NOTE}{transaction}"));
            }
        }
        list
    }
}

/// What stands before the number of a transaction in the metadata of a committed position.
const NOTE: &str = "transaction ";

/// The number in the metadata of a position. Somebody else's metadata holds none.
fn number_in(metadata: &str) -> Option<u64> {
    metadata.strip_prefix(NOTE)?.parse().ok()
}

/// A partition's number as librdkafka counts.
fn number(partition: Partition) -> i32 {
    i32::try_from(partition.0).unwrap_or(i32::MAX)
}

/// How to connect, and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The consumer group.
    pub group: String,
    /// The member's name: the same after a restart, so that it gets its partitions back at once.
    pub instance: String,
    /// The producer's name: the same after a restart, so that what it left open is ended at once.
    pub transactional_id: String,
    /// How long a transaction may stay open before the broker aborts it.
    pub transaction_timeout: Duration,
    /// How long a request may take before it counts as lost.
    pub socket_timeout: Duration,
    /// How long a member may be silent before its partitions are given to others.
    pub session_timeout: Duration,
    /// librdkafka's properties for consumer and producer: brokers, TLS, SASL.
    pub common: BTreeMap<String, String>,
    /// librdkafka's properties for the consumer alone.
    pub consumer: BTreeMap<String, String>,
    /// librdkafka's properties for the producer alone.
    pub producer: BTreeMap<String, String>,
}

impl Settings {
    fn base(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // The last word on these is ours: exactly-once depends on them.
        config.set("socket.timeout.ms", millis(self.socket_timeout)).set("socket.nagle.disable", "true");
        config.extend(self.common.clone());
        config
    }

    /// The configuration of a consumer.
    fn consumer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            .set("fetch.queue.backoff.ms", "5")
            .set("queued.max.messages.kbytes", "16384")
            .set("max.poll.interval.ms", "300000")
            .set("session.timeout.ms", millis(self.session_timeout))
            .set("heartbeat.interval.ms", millis(self.session_timeout / 4));
        config.extend(self.consumer.clone());
        config
            .set("group.id", &self.group)
            .set("partition.assignment.strategy", "range")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("allow.auto.create.topics", "false");
        config
    }

    /// The configuration of the producer.
    fn producer(&self) -> ClientConfig {
        let mut config = self.base();
        config
            // The end of a transaction waits for nobody. Until then fewer and larger requests cost less, here and there.
            .set("linger.ms", "20")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("message.max.bytes", "16000000");
        config.extend(self.producer.clone());
        config
            .set_log_level(RDKafkaLogLevel::Info)
            .set("retry.backoff.ms", REPEATED.to_string())
            .set("retry.backoff.max.ms", (2 * REPEATED).to_string())
            .set("transactional.id", &self.transactional_id)
            .set("transaction.timeout.ms", millis(self.transaction_timeout))
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("delivery.report.only.error", "true");
        config
    }
}

fn millis(length: Duration) -> String {
    length.as_millis().to_string()
}

/// Kafka, for one worker.
pub struct Kafka {
    names: Arc<Names>,
    settings: Settings,
    producer: Option<Transactional>,
    data: DataQueue<Group>,
    /// What the group has given this member.
    owned: Vec<Slot>,
    /// When an assignment is answered even if not all of it is ready.
    answer_by: Duration,
    /// Which of it is being read; nothing before the group has its answer.
    reading: Option<BTreeSet<Slot>>,
    /// Where reading last came to a partition's end.
    reached: BTreeMap<Slot, NextOffset>,
    /// When the group last took another for this member, although the brokers were never away.
    fenced_at: Option<Duration>,
    started: Instant,
}

/// A member of the group.
fn join(settings: &Settings, names: &Arc<Names>) -> Result<DataQueue<Group>, Failure> {
    let mut config = settings.consumer();
    config.set("group.instance.id", &settings.instance).set("client.id", &settings.instance);
    // Only the end of a partition tells that markers are passed: without it, a partition whose last record was
    // written in a transaction would seem to lag for ever. librdkafka's stored positions, which these events
    // are known to spoil, are not used.
    config.set("enable.partition.eof", "true");
    let context = Group::new(Arc::clone(names));
    let consumer: BaseConsumer<Group> = config.create_with_context(context).map_err(halt("the consumer"))?;
    let read: Vec<&str> = names.iter().filter(|(topic, _)| topic.is_read()).map(|(_, name)| name).collect();
    consumer.subscribe(&read).map_err(halt("the subscription"))?;
    Ok(DataQueue::new(Arc::new(consumer), names.for_c()))
}

impl Kafka {
    /// Connects, and joins the group. Nothing is read before the group has assigned it.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn connect(settings: Settings, names: Arc<Names>) -> Result<Self, Failure> {
        let data = join(&settings, &names)?;
        #[allow(clippy::disallowed_methods, reason = "decides when transactions close, and nothing that is published")]
        let started = Instant::now();
        Ok(Self {
            names,
            settings,
            producer: None,
            data,
            owned: Vec::new(),
            answer_by: Duration::ZERO,
            reading: None,
            reached: BTreeMap::new(),
            fenced_at: None,
            started,
        })
    }

    /// Joins the group anew, as the group has taken this member for one that another of its name has replaced.
    ///
    /// That may be the member itself: librdkafka gives itself a new id after the brokers were away, and the group may
    /// be told the new one and the old one, each time that they were away. Where there really are two processes of one
    /// name each of them drives the other out, until the one that was driven out first gives way.
    fn join_again(&mut self) -> Result<Found, Failure> {
        let now = self.now();
        let by_itself = self.consumer().context().was_cut_off();
        if !by_itself && self.fenced_at.is_some_and(|at| now.saturating_sub(at) < TWINS) {
            return Err(Failure::Halt(format!(
                "another process is the member `{}` now; give every process a name of its own",
                self.settings.instance
            )));
        }
        tracing::warn!(instance = self.settings.instance, "the group knows another member of this name; joins again");
        if !by_itself {
            self.fenced_at = Some(now);
        }
        self.consumer().context().close();
        self.data = join(&self.settings, &self.names)?;
        self.reading = None;
        self.reached.clear();
        Ok(Found::Lost(std::mem::take(&mut self.owned)))
    }

    /// Answers an assignment of the group: takes all of it, and reads the part that is wanted.
    ///
    /// Partitions are forwarded to the data queue before they are taken, and stay so until they are given up:
    /// taking the same ones again would end the forwarding behind our back. What is not wanted yet is paused.
    ///
    /// It is taken at its end as a number, never as `Offset::End`: librdkafka looks that one up on its own, and when
    /// a seek overtakes the answer, it looks it up once more and goes there, past every record in between.
    fn answer(&mut self, slots: &[(Slot, NextOffset)], wanted: &BTreeSet<Slot>) -> Result<(), Failure> {
        let later: Vec<Slot> = self.owned.iter().filter(|slot| !wanted.contains(slot)).copied().collect();
        let ends = later.iter().map(|slot| Ok((*slot, self.end_of(*slot)?))).collect::<Result<Vec<_>, Failure>>()?;
        for slot in &self.owned {
            if let Some(place) = self.names.place(slot.topic) {
                self.data.forward(place, number(slot.partition));
            }
        }
        // What was paused in an earlier assignment still is.
        self.consumer().resume(&self.names.partitions(&mut self.owned.iter())).map_err(unassignable)?;
        let all: Vec<_> = slots.iter().copied().chain(ends).collect();
        self.consumer().assign(&self.names.positions(&all)).map_err(unassignable)?;
        self.hold(&mut later.iter())
    }

    /// Fetches nothing of these slots any more.
    fn hold(&self, slots: &mut dyn Iterator<Item = &Slot>) -> Result<(), Failure> {
        let list = self.names.partitions(slots);
        if list.count() > 0 { self.consumer().pause(&list).map_err(unassignable) } else { Ok(()) }
    }

    /// Reads what is wanted from new positions, and pauses the rest.
    fn move_to(
        &self,
        slots: &[(Slot, NextOffset)],
        wanted: &BTreeSet<Slot>,
        reading: &BTreeSet<Slot>,
    ) -> Result<(), Failure> {
        self.hold(&mut reading.difference(wanted))?;
        if slots.is_empty() {
            return Ok(());
        }
        // A partition that was taken a moment ago may not have begun to be read, and cannot be moved before.
        // But where the group is changing, it can be moved only once that is answered.
        let deadline = self.started.elapsed() + MOVED;
        loop {
            let moved = self.consumer().seek_partitions(self.names.positions(slots), MOVED).map_err(unassignable)?;
            let failed = moved.elements().iter().find_map(|element| element.error().err());
            match failed {
                None => break,
                Some(error) if self.started.elapsed() > deadline => return Err(unassignable(error)),
                Some(_) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        let resumed = self.names.partitions(&mut wanted.difference(reading));
        if resumed.count() > 0 { self.consumer().resume(&resumed).map_err(unassignable) } else { Ok(()) }
    }

    fn consumer(&self) -> &BaseConsumer<Group> {
        self.data.consumer()
    }

    fn producer(&mut self) -> Result<&mut Transactional, Failure> {
        self.producer.as_mut().ok_or_else(|| Failure::Recycle("there is no producer".to_owned()))
    }

    /// The beginning and the end of a partition. By the producer's connection where there is one: on the consumer's a
    /// question waits behind a fetch, and that waits for records for up to half a second.
    fn watermarks(&self, slot: Slot) -> Result<(i64, i64), Failure> {
        let (name, partition) = (self.names.name(slot.topic), number(slot.partition));
        let found = match &self.producer {
            Some(producer) => producer.watermarks(name, partition, QUESTION),
            None => self.consumer().fetch_watermarks(name, partition, QUESTION),
        };
        found.map_err(|error| Failure::Busy(format!("the ends of `{name}`, partition {}: {error}", slot.partition.0)))
    }

    /// With `read_committed`, which is librdkafka's default for producers too, this is the last stable offset.
    fn end_of(&self, slot: Slot) -> Result<NextOffset, Failure> {
        self.watermarks(slot).map(|(_, high)| position(high))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unassignable(error: KafkaError) -> Failure {
    Failure::Busy(format!("the assignment: {error}"))
}

/// All partitions of topics, each with its beginning and its end as of now.
///
/// # Errors
/// If the brokers cannot be asked.
pub fn ends(
    settings: &Settings,
    names: &Names,
    topics: &[Topic],
) -> Result<Vec<(Slot, NextOffset, NextOffset)>, Failure> {
    let consumer: BaseConsumer = settings.consumer().create().map_err(halt("the consumer"))?;
    let mut found = Vec::new();
    for topic in topics {
        let name = names.name(*topic);
        let busy = |error: KafkaError| Failure::Busy(format!("the ends of `{name}`: {error}"));
        let metadata = consumer.fetch_metadata(Some(name), QUESTION).map_err(busy)?;
        for partition in metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions) {
            let (low, high) = consumer.fetch_watermarks(name, partition.id(), QUESTION).map_err(busy)?;
            let partition = Partition(u32::try_from(partition.id()).unwrap_or_default());
            found.push((Slot { topic: *topic, partition }, position(low), position(high)));
        }
    }
    Ok(found)
}

/// What is read cannot be changed before the group has its answer.
fn unanswered() -> Failure {
    Failure::Busy("the assignment is not answered yet".to_owned())
}

fn nowhere(topic: Topic) -> Failure {
    Failure::Halt(format!("{topic:?} has no topic; report this"))
}

/// An error that no repetition mends.
fn halt(what: &'static str) -> impl Fn(KafkaError) -> Failure {
    move |error| Failure::Halt(format!("{what}: {error}"))
}

fn position(offset: i64) -> NextOffset {
    NextOffset::at(offset).unwrap_or(NextOffset::START)
}

impl Log for Kafka {
    type Reader = ChangelogReader;

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall(&self) -> i64 {
        #[allow(clippy::disallowed_methods, reason = "the stamp of heartbeats, and the age of stores")]
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<Found, Failure> {
        // The consumer's own queue brings rebalances and errors, and keeps the member alive; records do not
        // come this way.
        let (mut fenced, mut failure) = (false, None);
        self.data.events(|event| match event {
            Ok(_) => failure = Some(Failure::Halt("a record came by the wrong queue; report this".to_owned())),
            Err(KafkaError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId)) => fenced = true,
            Err(KafkaError::MessageConsumptionFatal(code)) => {
                failure = Some(Failure::Halt(format!("the consumer failed: {code}")));
            }
            Err(error) => tracing::warn!(%error, "consumer"),
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        if fenced {
            return self.join_again();
        }
        if let Some(change) = self.consumer().context().take() {
            return Ok(match change {
                Change::Assigned(slots) => {
                    self.owned.clone_from(&slots);
                    self.answer_by = self.now() + GRACE;
                    self.reading = None;
                    Found::Assigned(slots)
                }
                Change::Revoked(slots) => Found::Revoked(slots),
                Change::Lost(slots) => Found::Lost(slots),
            });
        }
        // The producer's errors are events of its own, and must be seen before the next transaction.
        if let Some(producer) = &self.producer {
            producer.serve();
        }
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let names = Arc::clone(&self.names);
        let (mut failure, reached) = (None, &mut self.reached);
        self.data.poll(wait, |brought| match brought {
            Brought::Record { topic, partition, offset, timestamp, key, value } => {
                if let Some(slot) = names.slot(topic, partition) {
                    records.push(slot, offset, timestamp, key, value);
                }
            }
            Brought::End { topic, partition, offset } => {
                if let (Some(slot), Some(next)) = (names.slot(topic, partition), NextOffset::at(offset)) {
                    reached.insert(slot, next);
                }
            }
            Brought::Error { topic, partition, offset, code } => {
                let name = names.slot(topic, partition).map_or("", |slot| names.name(slot.topic));
                match code {
                    // It has lost its place, as it may when all brokers were away. Ours is still known.
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange if offset < 0 => {
                        failure = Some(Failure::Busy(format!("`{name}`, partition {partition}: {code}")));
                    }
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                        failure = Some(Failure::Halt(format!(
                            "`{name}`, partition {partition}: the log no longer holds offset {offset}; records that were \
                             never read are gone. Lengthen the topic's retention, and decide from where to go on"
                        )));
                    }
                    code => tracing::warn!(topic = name, partition, offset, %code, "cannot be read now"),
                }
            }
        });
        failure.map_or(Ok(Found::Records), Err)
    }

    fn assign(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        self.reached.clear();
        let wanted: BTreeSet<Slot> = slots.iter().map(|(slot, _)| *slot).collect();
        // Partitions that are taken without a position have to be moved later; most are ready within seconds.
        if self.reading.is_none() && slots.len() < self.owned.len() && self.now() < self.answer_by {
            return Err(Failure::Busy("waits for the state of other partitions".to_owned()));
        }
        match &self.reading {
            None => self.answer(slots, &wanted)?,
            Some(reading) => self.move_to(slots, &wanted, reading)?,
        }
        self.reading = Some(wanted);
        Ok(())
    }

    fn pause(&mut self, slots: &[Slot]) -> Result<(), Failure> {
        self.hold(&mut slots.iter())?;
        let reading = self.reading.as_mut().ok_or_else(unanswered)?;
        reading.retain(|slot| !slots.contains(slot));
        Ok(())
    }

    fn resume(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        let reading = self.reading.as_ref().ok_or_else(unanswered)?;
        let wanted: BTreeSet<Slot> = reading.iter().copied().chain(slots.iter().map(|(slot, _)| *slot)).collect();
        self.move_to(slots, &wanted, reading)?;
        // It was come to from elsewhere: what lies before it may have to be read again.
        self.reached.retain(|reached, _| slots.iter().all(|(slot, _)| slot != reached));
        self.reading = Some(wanted);
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), Failure> {
        self.reached.clear();
        self.owned.clear();
        self.reading = None;
        self.consumer().unassign().map_err(|error| Failure::Busy(format!("giving up the assignment: {error}")))
    }

    fn committed(&mut self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Failure> {
        let list = self.names.partitions(&mut slots.iter());
        let busy = |error: KafkaError| Failure::Busy(format!("the committed positions: {error}"));
        let found = self.consumer().committed_offsets(list, QUESTION).map_err(busy)?;
        slots
            .iter()
            .map(|slot| {
                let Some(found) = found.find_partition(self.names.name(slot.topic), number(slot.partition)) else {
                    return Ok(None);
                };
                found.error().map_err(busy)?;
                Ok(match found.offset() {
                    // Metadata is text by Kafka's protocol, so that reading it cannot fail.
                    Offset::Offset(offset) => {
                        NextOffset::at(offset).map(|next| Committed { next, number: number_in(found.metadata()) })
                    }
                    _ => None,
                })
            })
            .collect()
    }

    fn start(&mut self, slot: Slot) -> Result<NextOffset, Failure> {
        self.watermarks(slot).map(|(low, _)| position(low))
    }

    fn end(&mut self, slot: Slot) -> Result<NextOffset, Failure> {
        self.end_of(slot)
    }

    fn glance(&self, slot: Slot) -> Glance {
        let end = self.names.place(slot.topic).and_then(|place| self.data.end(place, number(slot.partition)));
        Glance { end: end.and_then(NextOffset::at), reached: self.reached.get(&slot).copied() }
    }

    fn reader(&mut self, from: &[(Slot, NextOffset)]) -> Result<ChangelogReader, Failure> {
        ChangelogReader::open(&self.settings, &self.names, from)
    }

    fn recycle(&mut self) -> Result<(), Failure> {
        self.producer = None;
        self.producer = Some(Transactional::make(&self.settings, &self.names)?);
        Ok(())
    }

    fn tainted(&self) -> Option<&'static str> {
        self.producer.as_ref().and_then(Transactional::tainted)
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.producer()?.begin()
    }

    fn produce(&mut self, slot: Slot, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        let place = self.names.place(slot.topic).ok_or_else(|| nowhere(slot.topic))?;
        self.producer()?.produce(place, number(slot.partition), key, value)
    }

    fn produce_with(
        &mut self,
        slot: Slot,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&'static str, String)],
    ) -> Result<(), Failure> {
        if headers.is_empty() {
            return self.produce(slot, key, value);
        }
        let names = Arc::clone(&self.names);
        let place = names.place(slot.topic).ok_or_else(|| nowhere(slot.topic))?;
        self.producer()?.produce_with((place, names.name(slot.topic)), number(slot.partition), key, value, headers)
    }

    fn drain(&mut self) -> Result<(), Failure> {
        self.producer()?.drain()
    }

    fn send_offsets(&mut self, positions: &[(Slot, Committed)]) -> Result<(), Failure> {
        let list = self.names.noted(positions);
        // Fresh at every commit: it says which generation of the group the positions come from.
        let member = self.consumer().group_metadata();
        let member = member.ok_or_else(|| Failure::Abort("the worker is no member of the group".to_owned()))?;
        self.producer()?.send_offsets(&list, &member)
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.producer()?.commit()
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.producer()?.abort()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Leaving the group asks for the partitions back; nobody is there to answer any more.
        self.consumer().context().close();
    }
}
