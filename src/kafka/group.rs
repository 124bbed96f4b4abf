//! Rebalances, taken down for the worker to answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::Names;
use crate::stream::{Partition, Slot};

/// A change of the assignment.
pub enum Change {
    /// These are the worker's now.
    Assigned(Vec<Slot>),
    /// These are to be given up.
    Revoked(Vec<Slot>),
    /// These are somebody else's already.
    Lost(Vec<Slot>),
}

/// What the consumer's callbacks leave behind.
pub struct Group {
    names: Arc<Names>,
    changes: Mutex<VecDeque<Change>>,
    closing: AtomicBool,
    cut_off: AtomicBool,
}

impl Group {
    /// With nothing to tell.
    pub fn new(names: Arc<Names>) -> Self {
        Self { names, changes: Mutex::default(), closing: AtomicBool::new(false), cut_off: AtomicBool::new(false) }
    }

    /// The oldest change not yet taken.
    pub fn take(&self) -> Option<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Whether a connection to a broker was ever lost.
    pub fn was_cut_off(&self) -> bool {
        self.cut_off.load(Ordering::Relaxed)
    }

    /// From now on everything is given up as it is asked for.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "consumer");
        let lost = [RDKafkaErrorCode::BrokerTransportFailure, RDKafkaErrorCode::AllBrokersDown];
        if error.rdkafka_error_code().is_some_and(|code| lost.contains(&code)) {
            self.cut_off.store(true, Ordering::Relaxed);
        }
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.closing.load(Ordering::Relaxed) {
            let _ = consumer.unassign();
            return;
        }
        let elements = list.elements();
        let slots = elements.iter().filter_map(|element| {
            let partition = Partition(u32::try_from(element.partition()).ok()?);
            Some(Slot { topic: self.names.topic(element.topic())?, partition })
        });
        let slots = slots.collect();
        let change = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Change::Assigned(slots),
            _ if consumer.assignment_lost() => Change::Lost(slots),
            _ => Change::Revoked(slots),
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}

/// Passes a line of librdkafka's own log on.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(facility, "{message}");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(facility, "{message}"),
        RDKafkaLogLevel::Debug => tracing::debug!(facility, "{message}"),
    }
}
