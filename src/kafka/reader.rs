//! Reads partitions outside the group, to their end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::native::{Brought, DataQueue};
use super::{Names, QUESTION, Settings, group, halt, number};
use crate::stream::{Failure, NextOffset, Reader, Records, Slot};

/// A consumer that is no member of anything.
struct Alone;

impl ClientContext for Alone {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        group::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "reader");
    }
}

impl ConsumerContext for Alone {}

/// Reads changelogs and reference topics.
pub struct ChangelogReader {
    names: Arc<Names>,
    data: DataQueue<Alone>,
    positions: BTreeMap<Slot, NextOffset>,
    /// What it means, and what to do, where a position is not there any more.
    gone: &'static str,
}

/// Of a store that is read on from where it stands.
const OF_A_STORE: &str = "the changelog no longer holds it, and the store is to be read on from there; put the store aside, and it is built anew";

impl ChangelogReader {
    /// Begins to read slots from positions.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn open(settings: &Settings, names: &Arc<Names>, from: &[(Slot, NextOffset)]) -> Result<Self, Failure> {
        let mut config = settings.consumer();
        // The end of a partition is an event: markers there are no records, and only it tells that they are
        // passed. Without a group there is no session either.
        config.set("enable.partition.eof", "true").set("client.id", format!("{}-reader", settings.instance));
        let consumer: BaseConsumer<Alone> = config.create_with_context(Alone).map_err(halt("the reader"))?;
        let mut data = DataQueue::new(Arc::new(consumer), names.for_c());
        for (slot, _) in from {
            if let Some(place) = names.place(slot.topic) {
                data.forward(place, number(slot.partition));
            }
        }
        data.consumer().assign(&names.positions(from)).map_err(halt("the reader"))?;
        Ok(Self { names: Arc::clone(names), data, positions: from.iter().copied().collect(), gone: OF_A_STORE })
    }

    /// The same, for somebody who is told something else where a position is not there any more.
    #[must_use]
    pub fn saying(self, gone: &'static str) -> Self {
        Self { gone, ..self }
    }

    /// Where the partitions end now.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn ends(&self) -> Result<Vec<(Slot, NextOffset)>, Failure> {
        let end = |slot: &Slot| {
            let name = self.names.name(slot.topic);
            let found = self.data.consumer().fetch_watermarks(name, number(slot.partition), QUESTION);
            let (_, high) = found.map_err(|error| Failure::Busy(format!("the end of `{name}`: {error}")))?;
            Ok((*slot, NextOffset::at(high).unwrap_or(NextOffset::START)))
        };
        self.positions.keys().map(end).collect()
    }

    /// Whether everything before some ends is read.
    #[must_use]
    pub fn has_read(&self, ends: &[(Slot, NextOffset)]) -> bool {
        ends.iter().all(|(slot, end)| self.positions.get(slot).is_some_and(|position| end <= position))
    }
}

impl Reader for ChangelogReader {
    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<(), Failure> {
        let mut failure = None;
        self.data.events(|event| match event {
            Ok(_) => failure = Some(Failure::Halt("a record came by the wrong queue; report this".to_owned())),
            Err(error) => tracing::warn!(%error, "reader"),
        });
        let (names, gone, positions) = (Arc::clone(&self.names), self.gone, &mut self.positions);
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        self.data.poll(wait, |brought| match brought {
            Brought::Record { topic, partition, offset, timestamp, key, value } => {
                if let Some(slot) = names.slot(topic, partition) {
                    records.push(slot, offset, timestamp, key, value);
                    positions.insert(slot, NextOffset::after(offset));
                }
            }
            Brought::End { topic, partition, offset } => {
                if let (Some(slot), Some(next)) = (names.slot(topic, partition), NextOffset::at(offset)) {
                    let known = positions.entry(slot).or_insert(next);
                    *known = (*known).max(next);
                }
            }
            Brought::Error { topic, partition, offset, code } => {
                let name = names.slot(topic, partition).map_or("", |slot| names.name(slot.topic));
                match code {
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                        failure =
                            Some(Failure::Halt(format!("`{name}`, partition {partition}, offset {offset}: {gone}")));
                    }
                    code => tracing::warn!(topic = name, partition, offset, %code, "cannot be read now"),
                }
            }
        });
        failure.map_or(Ok(()), Err)
    }

    fn position(&self, slot: Slot) -> NextOffset {
        self.positions.get(&slot).copied().unwrap_or(NextOffset::START)
    }
}
