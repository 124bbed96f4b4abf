//! What topics held at one instant: read outside the group, from beginnings to the ends of then, and no further.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::reader::ChangelogReader;
use super::{Names, QUESTION, Settings, halt, number, position};
use crate::stream::{Failure, Head, NextOffset, Reader, Records, Slot};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(200);

/// After how many polls that brought nothing it is given up: half a minute.
const PATIENCE: u32 = 150;

/// What is said where retention is faster than the reader.
const GONE: &str = "retention has removed it while it was about to be read; try again";

/// A partition with its beginning and its end, as [`super::ends`] finds them.
pub type Stretch = (Slot, NextOffset, NextOffset);

/// The same stretches without the records that were appended before an instant, in milliseconds since the epoch.
///
/// # Errors
/// If the brokers cannot be asked.
pub fn since(settings: &Settings, names: &Names, stretches: &[Stretch], at: i64) -> Result<Vec<Stretch>, Failure> {
    let busy = |error: KafkaError| Failure::Busy(format!("offsets by time: {error}"));
    let mut asked = TopicPartitionList::new();
    for (slot, ..) in stretches {
        asked.add_partition_offset(names.name(slot.topic), number(slot.partition), Offset::Offset(at)).map_err(busy)?;
    }
    let consumer: BaseConsumer = settings.consumer().create().map_err(halt("the consumer"))?;
    let found = consumer.offsets_for_times(asked, QUESTION).map_err(busy)?;
    let narrowed = stretches.iter().map(|(slot, start, end)| {
        let found = found.find_partition(names.name(slot.topic), number(slot.partition));
        match found.map(|found| (found.error(), found.offset())) {
            Some((Ok(()), Offset::Offset(first))) => Ok((*slot, position(first).clamp(*start, *end), *end)),
            // None of them was appended as late as that.
            Some((Ok(()), _)) => Ok((*slot, *end, *end)),
            Some((Err(error), _)) => Err(busy(error)),
            None => Ok((*slot, *start, *end)),
        }
    });
    narrowed.collect()
}

/// Stretches of partitions, being read.
pub struct Span {
    reader: ChangelogReader,
    names: Arc<Names>,
    stretches: Vec<Stretch>,
    came: Records,
    records: Records,
}

impl Span {
    /// Begins to read.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn open(settings: &Settings, names: &Arc<Names>, stretches: &[Stretch]) -> Result<Self, Failure> {
        // One that is empty brings nothing, not even its end where another is read to.
        let stretches: Vec<_> = stretches.iter().filter(|(_, start, end)| start < end).copied().collect();
        let from: Vec<_> = stretches.iter().map(|(slot, start, _)| (*slot, *start)).collect();
        Ok(Self {
            reader: ChangelogReader::open(settings, names, &from)?.saying(GONE),
            names: Arc::clone(names),
            stretches,
            came: Records::default(),
            records: Records::default(),
        })
    }

    /// How many offsets have been passed; as many as there are at the end.
    #[must_use]
    pub fn passed(&self) -> u64 {
        let passed = |(slot, start, end): &Stretch| {
            let at = self.reader.position(*slot).clamp(*start, *end);
            u64::try_from(at.offset() - start.offset()).unwrap_or_default()
        };
        self.stretches.iter().map(passed).sum()
    }

    fn is_at_end(&self) -> bool {
        self.stretches.iter().all(|(slot, _, end)| self.reader.position(*slot) >= *end)
    }

    /// The records that came last, those of one partition in order.
    #[must_use]
    pub const fn records(&self) -> &Records {
        &self.records
    }

    /// Reads the records that come next. There are none at the end, and only there.
    ///
    /// # Errors
    /// If the brokers bring nothing for half a minute, or retention has removed what was to be read.
    pub fn advance(&mut self) -> Result<(), Failure> {
        self.records.clear();
        let ends: BTreeMap<Slot, NextOffset> = self.stretches.iter().map(|(slot, _, end)| (*slot, *end)).collect();
        let is_wanted = |head: &&Head| ends.get(&head.slot).is_some_and(|end| head.offset < end.offset());
        let (mut idle, mut before) = (0, self.passed());
        while self.records.heads().is_empty() && !self.is_at_end() {
            self.came.clear();
            self.reader.poll(POLL, &mut self.came)?;
            for head in self.came.heads().iter().filter(is_wanted) {
                let (key, value) = (self.came.key(head), self.came.value(head));
                self.records.push(head.slot, head.offset, head.appended_at, key, value);
            }
            let passed = self.passed();
            idle = if passed == before { idle + 1 } else { 0 };
            before = passed;
            if idle > PATIENCE {
                let left = self.stretches.iter().find(|(slot, _, end)| self.reader.position(*slot) < *end);
                let name = left.map_or("", |(slot, ..)| self.names.name(slot.topic));
                return Err(Failure::Busy(format!("`{name}` brings no records; are its brokers well?")));
            }
        }
        Ok(())
    }
}

/// Reads single records again, each where somebody has said that it is.
pub struct Again {
    consumer: BaseConsumer,
    /// What is being read: topic, partition, and the offset that comes next.
    at: Option<(String, i32, i64)>,
}

/// How far ahead a record may be for what is before it to be read too, and not looked for anew.
const NEAR: i64 = 1000;

impl Again {
    /// Connects.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn open(settings: &Settings) -> Result<Self, Failure> {
        let mut config = settings.consumer();
        config
            .set("enable.partition.eof", "true")
            // Whoever looks elsewhere waits for the answer to what was asked before.
            .set("fetch.wait.max.ms", "20")
            .set("client.id", format!("{}-again", settings.instance));
        Ok(Self { consumer: config.create().map_err(halt("the reader"))?, at: None })
    }

    /// The value of a record; nothing where the log holds it no more.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn value(&mut self, topic: &str, partition: i32, offset: i64) -> Result<Option<Vec<u8>>, Failure> {
        let busy =
            |error: KafkaError| Failure::Busy(format!("`{topic}`, partition {partition}, offset {offset}: {error}"));
        let at = self.at.take().filter(|(reads, of, next)| {
            reads == topic && *of == partition && (*next..next.saturating_add(NEAR)).contains(&offset)
        });
        if at.is_none() {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(topic, partition, Offset::Offset(offset)).map_err(busy)?;
            self.consumer.assign(&list).map_err(busy)?;
        }
        let mut idle = 0;
        while idle < PATIENCE {
            match self.consumer.poll(POLL) {
                None => idle += 1,
                // What was on its way from where it read before.
                Some(Ok(record)) if record.topic() != topic || record.partition() != partition => {}
                Some(Ok(record)) if record.offset() < offset => idle = 0,
                Some(Ok(record)) => {
                    self.at = Some((topic.to_owned(), partition, record.offset().saturating_add(1)));
                    let is_it = record.offset() == offset;
                    return Ok(record.payload().filter(|_| is_it).map(<[u8]>::to_vec));
                }
                Some(Err(
                    KafkaError::PartitionEOF(_)
                    | KafkaError::MessageConsumption(
                        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                    ),
                )) => return Ok(None),
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(busy(error)),
                // Connections come and go.
                Some(Err(error)) => {
                    idle += 1;
                    tracing::warn!(topic, partition, offset, %error, "cannot be read now");
                }
            }
        }
        Err(Failure::Busy(format!("`{topic}`, partition {partition}, offset {offset}: its brokers bring nothing")))
    }
}
