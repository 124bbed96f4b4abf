//! How many records the engine writes for an event, topic by topic, and how long they are.
//!
//! They are counted in the topics after a run of the engine on the very events that are measured, so that pass-through and
//! peer write the same.

use std::fmt::Write as _;
use std::time::Duration;

use rdkafka::Message;
use tollgate::stream::Topic;

use crate::cluster::{Cluster, Reading};
use crate::deployment::Deployment;

/// The topics that a deployment writes, their names in the configuration's `[kafka.topics]`, and what they are usually called.
pub const WRITTEN: [(Topic, &str, &str); 10] = [
    (Topic::Verdicts, "verdicts", "wa.verdicts"),
    (Topic::Windows, "windows", "wa.windows"),
    (Topic::WindowState, "window_state", "wa.window-state"),
    (Topic::Outcomes, "outcomes", "wa.outcomes"),
    (Topic::Billing, "billing", "wa.billing"),
    (Topic::Charges, "charges", "tollgate.charges"),
    (Topic::Contacts, "contacts_changelog", "tollgate.conversation-contacts-changelog"),
    (Topic::Messages, "messages_changelog", "tollgate.conversation-messages-changelog"),
    (Topic::DeadLetters, "dead_letters", "wa.dead-letters"),
    (Topic::Usage, "usage", "wa.usage"),
];

/// What is written to one topic.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// The topic.
    pub topic: Topic,
    /// Records in a million events.
    pub per_million: u64,
    /// Bytes of a record's key.
    pub key: usize,
    /// Bytes of a record's value.
    pub value: usize,
}

impl Rate {
    /// How many records are due with the event of an offset. What is due follows from the offset alone, so that the mean is
    /// met exactly on every partition; Kafka Streams' side counts in the same way.
    pub const fn due(&self, offset: u64) -> u64 {
        (offset + 1) * self.per_million / 1_000_000 - offset * self.per_million / 1_000_000
    }
}

/// What is written to all topics.
#[derive(Clone, Debug)]
pub struct Shape(pub Vec<Rate>);

impl Shape {
    /// Counts what a deployment has written for so many events.
    pub fn count(cluster: &Cluster, deployment: &Deployment, events: u64) -> Self {
        let one = |(topic, _, usual): &(Topic, &str, &str)| {
            let name = format!("{}.{usual}", deployment.name);
            let (mut records, mut keys, mut values) = (0_u64, 0_usize, 0_usize);
            let mut reading = Reading::from_start(cluster, &name);
            while let Some(batch) = reading.next(Duration::from_secs(10), |record| {
                records += 1;
                keys += record.key().map_or(0, <[u8]>::len);
                values += record.payload().map_or(0, <[u8]>::len);
            }) {
                assert!(batch > 0, "`{name}` cannot be read to its end");
            }
            let mean = |bytes: usize| (bytes as f64 / records.max(1) as f64).round() as usize;
            Rate { topic: *topic, per_million: records * 1_000_000 / events, key: mean(keys), value: mean(values) }
        };
        Self(WRITTEN.iter().map(one).filter(|rate| rate.per_million > 0).collect())
    }

    /// As an argument of this binary.
    pub fn text(&self) -> String {
        let one = |rate: &Rate| format!("{}:{}:{}:{}", place(rate.topic), rate.per_million, rate.key, rate.value);
        self.0.iter().map(one).collect::<Vec<_>>().join(",")
    }

    /// From an argument of this binary.
    pub fn parse(text: &str) -> Self {
        let one = |part: &str| {
            let numbers: Vec<u64> = part.split(':').map(|word| word.parse().expect("a number")).collect();
            let [topic, per_million, key, value] = numbers[..] else { panic!("four numbers") };
            Rate { topic: WRITTEN[topic as usize].0, per_million, key: key as usize, value: value as usize }
        };
        Self(text.split(',').map(one).collect())
    }

    /// As the peer's option `--out`: what readers of Tollgate's outputs get. Its changelog is its own affair, and of a stage
    /// in between it knows nothing.
    pub fn for_peer(&self, name: &str) -> String {
        let outputs = self.0.iter().filter(|rate| {
            !matches!(
                rate.topic,
                Topic::Charges | Topic::Contacts | Topic::Messages | Topic::DeadLetters | Topic::Usage
            )
        });
        let one = |rate: &Rate| {
            let per_event = rate.per_million as f64 / 1e6;
            format!("{name}.{}:{per_event:.6}:{}", WRITTEN[place(rate.topic)].2, rate.value)
        };
        outputs.map(one).collect::<Vec<_>>().join(",")
    }

    /// As a table, for whoever wants to know what was measured.
    pub fn table(&self) -> String {
        let mut text =
            "| topic | records per event | bytes of key | bytes of value |\n|---|---:|---:|---:|\n".to_owned();
        let (mut records, mut bytes) = (0.0, 0.0);
        for rate in &self.0 {
            let per_event = rate.per_million as f64 / 1e6;
            records += per_event;
            bytes += per_event * (rate.key + rate.value) as f64;
            let name = WRITTEN[place(rate.topic)].2;
            let _ = writeln!(text, "| `{name}` | {per_event:.3} | {} | {} |", rate.key, rate.value);
        }
        let _ = writeln!(text, "| together | {records:.2} | | {bytes:.0} per event, keys included |");
        text
    }
}

/// A topic's place in [`WRITTEN`].
pub fn place(topic: Topic) -> usize {
    WRITTEN.iter().position(|(known, ..)| *known == topic).expect("a topic that is written")
}
