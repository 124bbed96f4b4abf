//! Reads topics as anybody else would: from the beginning to the end, without a group.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, Headers, Message};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset, TopicPartitionList};

/// How long the broker may take to answer, or to bring the next record.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a reader is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Records of committed transactions, and of none.
    Committed,
    /// All records.
    Uncommitted,
}

/// A record as it was read.
#[derive(Clone, Copy)]
pub struct Read<'r> {
    pub partition: u32,
    pub offset: i64,
    /// When it was appended, in milliseconds since the epoch.
    pub appended_at: i64,
    pub key: Option<&'r [u8]>,
    pub value: Option<&'r [u8]>,
    pub headers: Option<&'r BorrowedHeaders>,
}

impl Read<'_> {
    /// Its headers, as text.
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("headers of ours are text");
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        headers.map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default())).collect()
    }
}

fn consumer(bootstrap: &str, group: &str, isolation: Isolation) -> BaseConsumer {
    let level = match isolation {
        Isolation::Committed => "read_committed",
        Isolation::Uncommitted => "read_uncommitted",
    };
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("isolation.level", level)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.queue.backoff.ms", "5")
        .set("log_level", "2")
        .create()
        .expect("the settings of a consumer")
}

fn number(partition: u32) -> i32 {
    i32::try_from(partition).expect("few partitions")
}

/// Reads partitions of a topic from positions to their end, or until `each` has had enough.
pub fn scan_from(
    bootstrap: &str,
    topic: &str,
    from: &BTreeMap<u32, i64>,
    isolation: Isolation,
    mut each: impl FnMut(Read<'_>) -> ControlFlow<()>,
) {
    let consumer = consumer(bootstrap, "tests-read-without-a-group", isolation);
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        list.add_partition_offset(topic, number(*partition), Offset::Offset(*offset)).expect("an offset");
    }
    consumer.assign(&list).expect("an assignment");
    let mut left: BTreeSet<i32> = from.keys().map(|partition| number(*partition)).collect();
    while !left.is_empty() {
        match consumer.poll(PATIENCE) {
            None => panic!("`{topic}`: partitions {left:?} bring nothing, not even their end"),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                left.remove(&partition);
            }
            Some(Err(KafkaError::MessageConsumption(code))) => panic!("`{topic}` cannot be read: {code}"),
            // Connections come and go; what matters is whether records come.
            Some(Err(_)) => {}
            Some(Ok(message)) => {
                let partition = u32::try_from(message.partition()).expect("a partition");
                let read = Read {
                    partition,
                    offset: message.offset(),
                    appended_at: message.timestamp().to_millis().expect("the log says when it took a record"),
                    key: message.key(),
                    value: message.payload(),
                    headers: message.headers(),
                };
                if each(read).is_break() {
                    return;
                }
            }
        }
    }
}

/// Reads partitions of a topic from their beginning to their end.
pub fn scan(
    bootstrap: &str,
    topic: &str,
    partitions: impl IntoIterator<Item = u32>,
    isolation: Isolation,
    mut each: impl FnMut(Read<'_>),
) {
    let from = partitions.into_iter().map(|partition| (partition, 0)).collect();
    scan_from(bootstrap, topic, &from, isolation, |read| {
        each(read);
        ControlFlow::Continue(())
    });
}

/// Asks for positions. One of these is kept where they are asked for again and again.
pub struct Positions {
    group: BaseConsumer,
}

impl Positions {
    /// For a group, whose member this is not. Ends are those of what is decided.
    pub fn of(bootstrap: &str, group: &str) -> Self {
        Self { group: consumer(bootstrap, group, Isolation::Committed) }
    }

    /// For ends that are those of all records.
    pub fn of_all_records(bootstrap: &str) -> Self {
        Self { group: consumer(bootstrap, "tests-read-without-a-group", Isolation::Uncommitted) }
    }

    fn found(&self, topic: &str, partitions: u32) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(topic, number(partition));
        }
        self.group.committed_offsets(list, Duration::from_secs(5))
    }

    /// What is noted beside the group's committed positions of a topic.
    pub fn notes(&self, topic: &str, partitions: u32) -> Result<BTreeMap<u32, String>, KafkaError> {
        let found = self.found(topic, partitions)?;
        let note = |element: &TopicPartitionListElem<'_>| {
            (u32::try_from(element.partition()).expect("a partition"), element.metadata().to_owned())
        };
        Ok(found.elements().iter().map(note).collect())
    }

    /// The group's committed positions of a topic; what cannot be learned now is an error.
    pub fn committed(&self, topic: &str, partitions: u32) -> Result<BTreeMap<u32, Option<i64>>, KafkaError> {
        let found = self.found(topic, partitions)?;
        let mut committed = BTreeMap::new();
        for element in found.elements() {
            element.error()?;
            let offset = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            committed.insert(u32::try_from(element.partition()).expect("a partition"), offset);
        }
        Ok(committed)
    }

    /// Whether the group has no members any more, and its positions can be set. One of theirs that has ended is a member
    /// until its session has.
    pub fn is_abandoned(&self, group: &str) -> bool {
        let found = self.group.fetch_group_list(Some(group), Duration::from_secs(5));
        found.is_ok_and(|list| list.groups().iter().all(|group| matches!(group.state(), "Empty" | "Dead")))
    }

    /// The end of a partition: for readers of committed records that is where the first open transaction began.
    pub fn end(&self, topic: &str, partition: u32) -> Result<i64, KafkaError> {
        Ok(self.group.fetch_watermarks(topic, number(partition), Duration::from_secs(5))?.1)
    }
}
