//! What a bench asks of the broker itself: where partitions end, how far groups are, and to forget topics.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message, Offset, TopicPartitionList};

/// How long a question may take.
const QUESTION: Duration = Duration::from_secs(20);

/// How often a broker is asked for the end of a partition.
const ASKED: usize = 20;

/// A broker that may be asked.
#[derive(Clone)]
pub struct Cluster {
    /// Where it is.
    pub bootstrap: String,
}

impl Cluster {
    /// A client's first properties.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("log_level", "3");
        config
    }

    /// Deletes topics: what a run has written would fill the disk.
    pub fn delete(&self, topics: &[String]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("a client");
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let options = AdminOptions::new().operation_timeout(Some(QUESTION));
        // What cannot be deleted is only in the way of the disk.
        if let Err(error) = runtime.block_on(admin.delete_topics(&names, &options)) {
            eprintln!("topics stay: {error}");
        }
    }
}

/// Where a partition ends. Of a topic that was just made, a busy broker may not know everything yet; so it is asked again.
fn end(consumer: &BaseConsumer, topic: &str, partition: i32) -> i64 {
    for _ in 0..ASKED {
        match consumer.fetch_watermarks(topic, partition, QUESTION) {
            Ok((_, end)) => return end,
            Err(error) => eprintln!("`{topic}`, partition {partition}: {error}; asked again"),
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("`{topic}`, partition {partition}: the broker does not tell its end");
}

/// Looks at how far a group is, without waiting for transactions that are about to move it on.
pub struct Watch {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Watch {
    /// Of a group's positions in a topic.
    pub fn new(cluster: &Cluster, group: &str, topic: &str) -> Self {
        let mut config = cluster.client();
        config.set("group.id", group).set("isolation.level", "read_uncommitted").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().expect("a client");
        let metadata = consumer.fetch_metadata(Some(topic), QUESTION).expect("the broker can be asked");
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        Self { consumer, topic: topic.to_owned(), partitions: i32::try_from(partitions).expect("few") }
    }

    /// The next offset that each partition's group reads; 0 where nothing was ever committed.
    pub fn committed(&self) -> Vec<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, self.partitions - 1);
        let Ok(found) = self.consumer.committed_offsets(list, QUESTION) else {
            return vec![0; self.partitions as usize];
        };
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        found.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// The sum of them.
    pub fn sum(&self) -> u64 {
        self.committed().into_iter().sum::<i64>() as u64
    }

    /// Where each partition ends.
    pub fn ends(&self) -> Vec<i64> {
        (0..self.partitions).map(|partition| end(&self.consumer, &self.topic, partition)).collect()
    }

    /// Whether the group has read every record. Behind the last one a transaction's marker may lie, and what an aborted one
    /// has left, and nobody commits a position behind those.
    pub fn is_done(&self) -> bool {
        self.committed().into_iter().zip(self.ends()).all(|(next, end)| end - next <= 4)
    }
}

/// Reads a topic, committed records only.
pub struct Reading {
    consumer: BaseConsumer,
    /// Partitions that have not been read to their end.
    left: Vec<bool>,
}

impl Reading {
    /// Of a whole topic.
    pub fn from_start(cluster: &Cluster, topic: &str) -> Self {
        Self::from(cluster, topic, |_, _| Offset::Beginning)
    }

    /// Of what is written to a topic from now on.
    pub fn from_now(cluster: &Cluster, topic: &str) -> Self {
        // Asked for, because the client would look up the end by itself some time later.
        Self::from(cluster, topic, |consumer, partition| Offset::Offset(end(consumer, topic, partition)))
    }

    fn from(cluster: &Cluster, topic: &str, first: impl Fn(&BaseConsumer, i32) -> Offset) -> Self {
        let mut config = cluster.client();
        config
            .set("group.id", "bench-reader")
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.queue.backoff.ms", "5");
        let consumer: BaseConsumer = config.create().expect("a client");
        let metadata = consumer.fetch_metadata(Some(topic), QUESTION).expect("the broker can be asked");
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions as i32 {
            let offset = list.add_partition_offset(topic, partition, first(&consumer, partition));
            offset.expect("an offset that there can be");
        }
        consumer.assign(&list).expect("partitions can be read");
        Self { consumer, left: vec![true; partitions] }
    }

    /// Reads what comes next, and waits for it at most so long. Tells how many events came, ends of partitions included;
    /// nothing once all partitions have been read to their end.
    pub fn next(&mut self, wait: Duration, mut each: impl FnMut(&BorrowedMessage<'_>)) -> Option<usize> {
        if self.left.iter().all(|left| !left) {
            return None;
        }
        let mut count = 0;
        let mut wait = wait;
        while let Some(polled) = self.consumer.poll(wait) {
            count += 1;
            wait = Duration::ZERO;
            match polled {
                Ok(record) => each(&record),
                Err(rdkafka::error::KafkaError::PartitionEOF(partition)) => {
                    self.left[partition as usize] = false;
                    if self.left.iter().all(|left| !left) {
                        break;
                    }
                }
                Err(error) => eprintln!("a reader: {error}"),
            }
        }
        Some(count)
    }

    /// Reads records as they come, until told to stop. Ends of partitions mean nothing here: more comes.
    pub fn follow(&self, mut each: impl FnMut(i32, &[u8]), go_on: impl Fn() -> bool) {
        while go_on() {
            match self.consumer.poll(Duration::from_millis(50)) {
                Some(Ok(record)) => each(record.partition(), record.payload().unwrap_or_default()),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) | None => {}
                Some(Err(error)) => eprintln!("a reader: {error}"),
            }
        }
    }
}
