//! Loads topics, as a deployment's own producers would.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tollgate::codec::frame::{Framer, Framing};
use tollgate::codec::schema::{self, RecordSchema};
use tollgate::codec::{ids, records};
use tollgate::loadgen::{self, Calendar, References, Settings};
use tollgate::stream::Topic;
use tollgate::zones::Zones;

use crate::cluster::Deployment;

/// How long a record may be under way: longer than any broker is away.
const PATIENCE: Duration = Duration::from_mins(3);

/// Counts what arrived.
#[derive(Clone, Default)]
struct Arrived {
    records: Arc<AtomicU64>,
    failures: Arc<AtomicU64>,
}

impl ClientContext for Arrived {}

impl ProducerContext for Arrived {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = if result.is_ok() { &self.records } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A producer that keeps order and repeats nothing, and partitions by the key as the Java client does.
pub struct Loader {
    producer: ThreadedProducer<Arrived>,
    arrived: Arrived,
    inputs: Vec<String>,
    partitions: u32,
    events: Framer,
    /// How records of accounts and of templates are written.
    references: [Framing; 2],
    bytes: Vec<u8>,
    sent: u64,
}

impl Loader {
    /// A producer for a deployment.
    pub fn of(deployment: &Deployment) -> Self {
        let arrived = Arrived::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", deployment.bootstrap())
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "20")
            // As large as the broker takes them.
            .set("message.max.bytes", "8000000")
            .set("message.timeout.ms", PATIENCE.as_millis().to_string())
            .set("log_level", "2")
            .create_with_context(arrived.clone())
            .expect("the settings of a producer");
        let framing = if deployment.plan.json { Framing::Json } else { Framing::SingleObject };
        Self {
            producer,
            arrived,
            inputs: (0..deployment.plan.inputs).map(|input| deployment.topic(Topic::Input(input))).collect(),
            partitions: deployment.plan.partitions,
            events: Framer::new(schema::EVENT, framing).expect("a schema of ours"),
            references: [framing; 2],
            bytes: Vec::new(),
            sent: 0,
        }
    }

    /// Sends an event to the input it belongs to: all of one number are in order within each of them.
    pub fn event(&mut self, event: &records::Event<'_>) {
        self.bytes.clear();
        self.events.write(event, &mut self.bytes).expect("an event can be written");
        let number = event.phone_number_id.as_str();
        // What the business says goes to one topic, and what it is told to the next.
        let input = usize::from(event.kind.as_str().starts_with("send_")) % self.inputs.len();
        // Nothing is about no number but a sign that time has passed, which is for every partition in turn.
        let place = number.is_empty().then(|| self.sent % u64::from(self.partitions));
        let place = place.map(|place| i32::try_from(place).expect("few partitions"));
        let (topic, bytes) = (self.inputs[input].clone(), std::mem::take(&mut self.bytes));
        self.send(&topic, place, number.as_bytes(), &bytes);
        self.bytes = bytes;
    }

    /// Sends bytes that need not be an event.
    pub fn raw(&mut self, partition: u32, key: &[u8], value: &[u8]) {
        let topic = self.inputs[0].clone();
        self.send(&topic, Some(i32::try_from(partition).expect("few partitions")), key, value);
    }

    fn send(&mut self, topic: &str, partition: Option<i32>, key: &[u8], value: &[u8]) {
        self.sent += 1;
        let mut record = BaseRecord::to(topic).key(key).payload(value);
        record.partition = partition;
        let mut unknown = 0;
        while let Err((error, back)) = self.producer.send(record) {
            // A topic that was just made may not be known here with all its partitions yet.
            let is_new = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::UnknownPartition));
            let full = matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            unknown += u32::from(is_new);
            assert!(full || (is_new && unknown < 6_000), "`{topic}` takes records: {error}");
            record = back;
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// From now on records of accounts and of templates are written in framings of their own.
    pub fn frame_references(&mut self, accounts: Framing, templates: Framing) {
        self.references = [accounts, templates];
    }

    /// Sends the reference records of a stream.
    pub fn references(&mut self, deployment: &Deployment, settings: &Settings) {
        self.facts(deployment, &known(settings));
    }

    /// Sends what is known of accounts and templates.
    pub fn facts(&mut self, deployment: &Deployment, known: &References) {
        let (accounts, templates) = (deployment.topic(Topic::Accounts), deployment.topic(Topic::Templates));
        known.accounts.iter().for_each(|record| self.account(&accounts, record));
        known.templates.iter().for_each(|record| self.template(&templates, record));
        self.finish();
    }

    /// Sends what is known of an account.
    pub fn account(&mut self, topic: &str, record: &records::Account<'_>) {
        let key = record.entity_id.as_str();
        self.reference(topic, (schema::ACCOUNT, self.references[0]), key, record);
    }

    /// Sends what is known of a template.
    pub fn template(&mut self, topic: &str, record: &records::TemplateHistory<'_>) {
        let key = [record.account_id.as_str(), record.name.as_str(), record.language.as_str()].join("/");
        self.reference(topic, (schema::TEMPLATE_HISTORY, self.references[1]), &key, record);
    }

    fn reference(
        &mut self,
        topic: &str,
        (schema, framing): (RecordSchema, Framing),
        key: &str,
        record: &impl serde::Serialize,
    ) {
        let mut bytes = Vec::new();
        let framer = Framer::new(schema, framing).expect("a schema of ours");
        framer.write(record, &mut bytes).expect("a record can be written");
        self.send(topic, None, key.as_bytes(), &bytes);
    }

    /// Makes a stream and sends all of it. `pace` is told how many events have been sent, and may wait.
    pub fn stream(&mut self, settings: &Settings, mut pace: impl FnMut(u64)) {
        let mut sent = 0;
        let mut send = |event: &records::Event<'_>| {
            self.event(event);
            sent += 1;
            pace(sent);
            Ok(())
        };
        loadgen::generate(settings, &Days(Zones::new()), &mut send, &mut |_| Ok(())).expect("settings of a stream");
    }

    /// Waits until everything has arrived.
    pub fn finish(&mut self) {
        self.producer.flush(PATIENCE).expect("everything arrives");
        let (arrived, failed) = (&self.arrived.records, &self.arrived.failures);
        assert_eq!((arrived.load(Ordering::Relaxed), failed.load(Ordering::Relaxed)), (self.sent, 0));
    }
}

/// The generator's calendar.
struct Days(Zones);

impl Calendar for Days {
    fn date(&self, zone: &str, millis: i64) -> (i16, u8, u8) {
        self.0.day(zone, millis).expect("a day of the generator's")
    }
}

/// What is known of the accounts and templates of a stream.
pub fn known(settings: &Settings) -> References {
    loadgen::references(settings, &Days(Zones::new())).expect("settings of a stream")
}

/// A stream of so many events about so many numbers that every partition has some.
pub fn traffic(seed: u64, events: u64, contacts: u32) -> Settings {
    Settings { events, seed, contacts, numbers: 48, ..Settings::default() }
}

/// An ask whether a person may be sent free-form text now.
pub fn ask<'a>(number: &'a str, person: &'a str, request: &'a str, at: i64) -> records::Event<'a> {
    let content = records::Content { kind: "freeform".into(), ..records::Content::default() };
    let asked = records::SendRequested { request_id: request.into(), content, ..records::SendRequested::default() };
    records::Event {
        kind: "send_requested".into(),
        phone_number_id: number.into(),
        occurred_at: at,
        received_at: Some(at),
        contact: Some(records::Person { wa_id: Some(person.into()), ..records::Person::default() }),
        send_requested: Some(Box::new(asked)),
        ..records::Event::default()
    }
}

/// Inbound messages, one from each of some invented people, all at one instant.
pub fn messages(number: &str, people: Range<u64>, at: i64, mut each: impl FnMut(&records::Event<'_>)) {
    for person in people {
        let hash = ids::hash(&[number.as_bytes(), &person.to_be_bytes()]);
        let id = u64::from_be_bytes(*hash.first_chunk().expect("16 bytes"));
        let message = records::Message {
            message_id: format!("wamid.{id:016x}").into(),
            r#type: "text".into(),
            ..records::Message::default()
        };
        let contact = records::Person { wa_id: Some(format!("5511{person:09}").into()), ..records::Person::default() };
        each(&records::Event {
            event_id: Some(format!("{id:032x}").into()),
            kind: "message".into(),
            phone_number_id: number.to_owned().into(),
            account_id: Some("204550000000001".into()),
            occurred_at: at,
            received_at: Some(at),
            provenance: "live".into(),
            contact: Some(contact),
            message: Some(Box::new(message)),
            ..records::Event::default()
        });
    }
}
