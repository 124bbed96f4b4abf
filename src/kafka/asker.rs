//! Writes records outside of any transaction, for those who ask: each is acknowledged, or it is said which is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::{Settings, halt, number};
use crate::stream::{Failure, Partition};

/// A record to write.
pub struct Asked {
    /// Its partition.
    pub partition: Partition,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// Counts what arrived.
#[derive(Clone, Default)]
struct Arrived(Arc<AtomicU64>);

impl ClientContext for Arrived {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "asker");
    }
}

impl ProducerContext for Arrived {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
    }
}

/// Writes records in the order in which they are given, each once.
pub struct Asker {
    producer: BaseProducer<Arrived>,
    arrived: Arrived,
    given: u64,
    wait: Duration,
}

impl Asker {
    /// Connects. A record that the brokers do not have in time never gets there.
    ///
    /// # Errors
    /// If the settings cannot be used.
    pub fn open(settings: &Settings, wait: Duration) -> Result<Self, Failure> {
        let mut config = settings.base();
        config.extend(settings.producer.clone());
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.max.bytes", "16000000")
            .set("queue.buffering.max.kbytes", "65536")
            .set("message.timeout.ms", super::millis(wait));
        let arrived = Arrived::default();
        let producer = config.create_with_context(arrived.clone()).map_err(halt("the producer"))?;
        Ok(Self { producer, arrived, given: 0, wait })
    }

    /// Hands a record over. Waits where many are under way.
    ///
    /// # Errors
    /// If it is not taken.
    pub fn write(&mut self, topic: &str, Asked { partition, key, value }: &Asked) -> Result<(), Failure> {
        let mut next = BaseRecord::to(topic).partition(number(*partition)).key(key.as_str()).payload(value.as_slice());
        while let Err((error, refused)) = self.producer.send(next) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(halt("a record")(error));
            }
            self.producer.poll(Duration::from_millis(10));
            next = refused;
        }
        self.given += 1;
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until the brokers have all records. Returns how many those are.
    ///
    /// # Errors
    /// How many they do not have in time.
    pub fn finish(self) -> Result<u64, Failure> {
        let flushed = self.producer.flush(self.wait);
        let arrived = self.arrived.0.load(Ordering::Relaxed).min(self.given);
        match (flushed, self.given - arrived) {
            (Ok(()), 0) => Ok(arrived),
            (Ok(()), missing) => Err(Failure::Busy(format!("{missing} of {} records were not taken", self.given))),
            (Err(error), missing) => {
                Err(Failure::Busy(format!("{missing} of {} records are not acknowledged: {error}", self.given)))
            }
        }
    }
}

/// Writes records to a topic, and waits until the brokers have them.
///
/// # Errors
/// If they do not have all of them in time.
pub fn send(settings: &Settings, topic: &str, records: &[Asked], wait: Duration) -> Result<(), Failure> {
    let mut asker = Asker::open(settings, wait)?;
    records.iter().try_for_each(|record| asker.write(topic, record))?;
    asker.finish().map(|_| ()).map_err(|failure| Failure::Busy(format!("`{topic}`: {failure}")))
}
