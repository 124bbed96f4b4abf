//! Writes records outside of any transaction, for those who ask: each is acknowledged, or it is said which is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
struct Arrived(Arc<AtomicUsize>);

impl ClientContext for Arrived {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "asker");
    }
}

impl ProducerContext for Arrived {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.fetch_add(usize::from(result.is_ok()), Ordering::Relaxed);
    }
}

/// Writes records to a topic, and waits until the brokers have them.
///
/// # Errors
/// If they do not have all of them in time.
pub fn send(settings: &Settings, topic: &str, records: &[Asked], wait: Duration) -> Result<(), Failure> {
    let mut config = settings.base();
    config.extend(settings.producer.clone());
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.max.bytes", "16000000")
        .set("message.timeout.ms", super::millis(wait));
    let arrived = Arrived::default();
    let producer: BaseProducer<Arrived> = config.create_with_context(arrived.clone()).map_err(halt("the producer"))?;
    for record in records {
        let Asked { partition, key, value } = record;
        let mut next = BaseRecord::to(topic).partition(number(*partition)).key(key.as_str()).payload(value.as_slice());
        while let Err((error, refused)) = producer.send(next) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(halt("a question")(error));
            }
            producer.poll(Duration::from_millis(10));
            next = refused;
        }
    }
    producer.flush(wait).map_err(|error| Failure::Busy(format!("`{topic}`: {error}")))?;
    let missing = records.len() - arrived.0.load(Ordering::Relaxed).min(records.len());
    if missing == 0 { Ok(()) } else { Err(Failure::Busy(format!("`{topic}` did not take {missing} questions"))) }
}
