//! The events of the workload, as a producer hands them over.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tollgate::codec::frame::{Framer, Framing};
use tollgate::codec::{partitioner, records, schema};
use tollgate::loadgen::{self, Calendar};
use tollgate::zones::Zones;

use crate::cluster::{Cluster, Watch};

struct Days(Zones);

impl Calendar for Days {
    fn date(&self, zone: &str, millis: i64) -> (i16, u8, u8) {
        self.0.day(zone, millis).expect("a day")
    }
}

/// A record for a topic of events.
pub struct Record<'r> {
    /// Its partition, as the Java client's partitioner chooses it.
    pub partition: u32,
    /// The business phone number; nothing for heartbeats.
    pub key: &'r [u8],
    /// The event.
    pub value: &'r [u8],
    /// The event's kind.
    pub kind: &'r str,
    /// The request's id, if the event is an ask.
    pub request: Option<&'r str>,
}

/// Encodes events, and chooses their partitions.
pub struct Encoder {
    framer: Framer,
    bytes: Vec<u8>,
    partitions: u32,
    heartbeats: u32,
}

impl Encoder {
    /// For topics with so many partitions.
    pub fn new(partitions: u32) -> Self {
        let framer = Framer::new(schema::EVENT, Framing::SingleObject).expect("a schema");
        Self { framer, bytes: Vec::new(), partitions, heartbeats: 0 }
    }

    /// Encodes an event.
    pub fn encode<'r>(&'r mut self, event: &'r records::Event<'_>) -> Record<'r> {
        self.bytes.clear();
        self.framer.write(event, &mut self.bytes).expect("an event can be encoded");
        let key = event.phone_number_id.as_str().as_bytes();
        let partition = if key.is_empty() {
            // A heartbeat is about a partition, and about no number.
            self.heartbeats += 1;
            self.heartbeats % self.partitions
        } else {
            partitioner::partition(key, self.partitions)
        };
        let request = event.send_requested.as_ref().map(|ask| ask.request_id.as_str());
        Record { partition, key, value: &self.bytes, kind: event.kind.as_str(), request }
    }
}

/// What the load generator is told. Enough numbers that eight partitions get about equally much.
pub fn usual(events: u64, people: u32) -> loadgen::Settings {
    loadgen::Settings { events, contacts: people, numbers: 256, ..loadgen::Settings::default() }
}

/// Makes the events of the workload, one after another, and what is to be known of its businesses.
pub fn make(
    settings: &loadgen::Settings,
    partitions: u32,
    mut each: impl FnMut(u64, &Record<'_>),
) -> loadgen::References {
    let mut encoder = Encoder::new(partitions);
    let mut index = 0;
    let made = loadgen::generate(
        settings,
        &Days(Zones::new()),
        &mut |event| {
            each(index, &encoder.encode(event));
            index += 1;
            Ok(())
        },
        &mut |_| Ok(()),
    );
    made.expect("valid settings")
}

/// Writes events to a broker.
pub struct Sender {
    producer: BaseProducer,
}

impl Sender {
    /// One that sends as much as it can at once.
    pub fn in_bulk(cluster: &Cluster) -> Self {
        Self::new(cluster, "20")
    }

    /// One that sends at once, or nearly: what comes within a millisecond goes together. It knows the topic it is for, or its
    /// first events would be held up for half a second.
    pub fn promptly(cluster: &Cluster, topic: &str) -> Self {
        let made = Self::new(cluster, "1");
        made.producer.client().fetch_metadata(Some(topic), Duration::from_secs(30)).expect("the topic is there");
        made
    }

    fn new(cluster: &Cluster, linger: &str) -> Self {
        let mut config = cluster.client();
        // Idempotent, so that the n-th event of a partition has offset n whatever happens.
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", linger)
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "262144")
            .set("delivery.report.only.error", "true");
        Self { producer: config.create().expect("a producer") }
    }

    /// Hands a record over.
    pub fn send(&self, topic: &str, partition: u32, key: &[u8], value: &[u8]) {
        let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition as i32).payload(value);
        if !key.is_empty() {
            record = record.key(key);
        }
        while let Err((error, again)) = self.producer.send(record) {
            let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            assert!(full, "an event cannot be sent: {error}");
            self.producer.poll(Duration::from_millis(5));
            record = again;
        }
    }

    /// Serves what has come back.
    pub fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until everything is there.
    pub fn flush(&self) {
        self.producer.flush(Duration::from_mins(1)).expect("events reach the broker");
    }
}

/// Writes what is to be known of the businesses.
pub fn send_references(sender: &Sender, known: &loadgen::References) {
    let accounts = Framer::new(schema::ACCOUNT, Framing::SingleObject).expect("a schema");
    let templates = Framer::new(schema::TEMPLATE_HISTORY, Framing::SingleObject).expect("a schema");
    let mut bytes = Vec::new();
    for account in &known.accounts {
        bytes.clear();
        accounts.write(account, &mut bytes).expect("a record");
        sender.send("wa.accounts", 0, account.entity_id.as_str().as_bytes(), &bytes);
    }
    for template in &known.templates {
        bytes.clear();
        templates.write(template, &mut bytes).expect("a record");
        let key = [&template.account_id, &template.name, &template.language]
            .map(tollgate::codec::text::Text::as_str)
            .join("/");
        sender.send("wa.templates", 0, key.as_bytes(), &bytes);
    }
    sender.flush();
}

/// What was loaded.
pub struct Loaded {
    /// How many events.
    pub events: u64,
    /// Their bytes, keys included.
    pub bytes: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<String, u64>,
    /// How many of them each partition has.
    pub partitions: Vec<i64>,
}

/// Loads the workload into a topic, with what is to be known of its businesses.
pub fn load(cluster: &Cluster, topic: &str, settings: &loadgen::Settings, partitions: u32) -> Loaded {
    let sender = Sender::in_bulk(cluster);
    let (mut bytes, mut kinds) = (0, BTreeMap::<String, u64>::new());
    let known = make(settings, partitions, |index, record| {
        bytes += record.key.len() + record.value.len();
        if let Some(count) = kinds.get_mut(record.kind) {
            *count += 1;
        } else {
            kinds.insert(record.kind.to_owned(), 1);
        }
        sender.send(topic, record.partition, record.key, record.value);
        if index % 1_000 == 0 {
            sender.serve();
        }
    });
    send_references(&sender, &known);
    let partitions = Watch::new(cluster, "bench-loader", topic).ends();
    let loaded = partitions.iter().sum::<i64>() as u64;
    assert_eq!(loaded, settings.events, "every event is in the topic, once");
    Loaded { events: loaded, bytes: bytes as u64, kinds, partitions }
}
