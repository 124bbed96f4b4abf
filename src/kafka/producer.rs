//! The transactional producer, and what its errors mean.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};

use super::native::{NotTaken, Outlets};
use super::{Names, Settings, group};
use crate::stream::Failure;

/// How long one wait for the producer's queue takes at most, before its events are served.
const SLICE_MS: i32 = 50;

/// What the producer's callbacks leave behind.
#[derive(Clone, Default)]
pub struct Marks {
    /// See [`TAINTS`]; 0 is none.
    taint: Arc<AtomicU8>,
    /// What the first record means that could not be delivered.
    undelivered: Arc<Mutex<Option<Failure>>>,
}

/// Why a producer must be made anew before its next transaction.
pub const TAINTS: [&str; 4] = ["connection", "slow_answer", "repeated_call", "abort"];

/// The places of [`TAINTS`].
const CONNECTION: u8 = 0;
const SLOW_ANSWER: u8 = 1;
const REPEATED_CALL: u8 = 2;
const ABORT: u8 = 3;

/// From when on an answer may be that to a repeated request: librdkafka waits for [`super::REPEATED`], less a fifth,
/// before it repeats one, and says nothing of it.
const SLOW: Duration = Duration::from_millis(super::REPEATED * 7 / 10);

impl Marks {
    fn taint(&self, why: u8) {
        self.taint.store(why + 1, Ordering::Relaxed);
    }
}

impl ClientContext for Marks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // A connection that was lost, or a request whose time was over, is told as a line of the log and mostly by no
        // error. The request is repeated without a word.
        if matches!(facility, "FAIL" | "REQTMOUT") {
            self.taint(CONNECTION);
        }
        group::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Whatever it was, a request may have been sent and not answered.
        tracing::warn!(%error, reason, "producer");
        self.taint(CONNECTION);
    }
}

impl ProducerContext for Marks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = result {
            let mut undelivered = self.undelivered.lock().unwrap_or_else(PoisonError::into_inner);
            undelivered.get_or_insert_with(|| match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => too_large(record.topic()),
                _ => Failure::Abort(format!("a record was not delivered: {error}")),
            });
        }
    }
}

/// A record that its topic has no room for will have none when it is folded again.
fn too_large(topic: &str) -> Failure {
    Failure::Halt(format!(
        "a record is larger than `{topic}` lets records be: raise the topic's `max.message.bytes` and start again"
    ))
}

/// The producer.
pub struct Transactional {
    outlets: Outlets<Marks>,
    marks: Marks,
    /// How long a call may take.
    patience: Duration,
    /// Whether nothing of the present transaction can be under way: all its records were answered, and no positions sent.
    quiet: bool,
}

#[allow(clippy::disallowed_methods, reason = "how long calls take decides whether a producer is recycled")]
fn now() -> Instant {
    Instant::now()
}

impl Transactional {
    /// Makes a producer. All transactions of its predecessors have ended when it is there.
    pub fn make(settings: &Settings, names: &Names) -> Result<Self, Failure> {
        let marks = Marks::default();
        let producer: BaseProducer<Marks> = settings
            .producer()
            .create_with_context(marks.clone())
            .map_err(|error| Failure::Halt(format!("the producer: {error}")))?;
        let patience = settings.transaction_timeout;
        producer.init_transactions(patience * 2).map_err(|error| match &error {
            KafkaError::Transaction(why) if why.is_fatal() && !why.is_retriable() => {
                Failure::Halt(format!("the producer `{}` cannot begin: {error}", settings.transactional_id))
            }
            _ => Failure::Busy(format!("the producer `{}` cannot begin yet: {error}", settings.transactional_id)),
        })?;
        let outlets = Outlets::new(producer, &names.for_c());
        let wait = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        outlets.learn(wait).map_err(|error| Failure::Busy(format!("the partitions of the topics: {error}")))?;
        let made = Self { outlets, marks, patience, quiet: true };
        // What went wrong on the way here is over: the epoch is new.
        made.serve();
        made.marks.taint.store(0, Ordering::Relaxed);
        Ok(made)
    }

    /// Why it must be made anew, if it must.
    pub fn tainted(&self) -> Option<&'static str> {
        self.serve();
        let taint = usize::from(self.marks.taint.load(Ordering::Relaxed));
        taint.checked_sub(1).and_then(|why| TAINTS.get(why).copied())
    }

    /// Serves all events that have come. A poll that does not wait serves one, and lines of the log come before errors.
    pub fn serve(&self) {
        self.outlets.producer().poll(Duration::ZERO);
        while self.outlets.has_events() {
            self.outlets.producer().poll(Duration::ZERO);
        }
    }

    pub fn begin(&mut self) -> Result<(), Failure> {
        self.outlets.forget();
        self.quiet = true;
        *self.marks.undelivered.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.outlets.producer().begin_transaction().map_err(|error| meaning("the beginning", &error))
    }

    /// Adds a record to the transaction: it is handed over with others, at the latest when they are drained.
    pub fn produce(
        &mut self,
        topic: usize,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), Failure> {
        if self.outlets.hold(topic, partition, key, value) { self.hand_over(topic) } else { Ok(()) }
    }

    fn hand_over(&mut self, topic: usize) -> Result<(), Failure> {
        self.quiet = false;
        let began = now();
        loop {
            match self.outlets.hand_over(topic) {
                Ok(()) => return Ok(()),
                Err(NotTaken(RDKafkaErrorCode::QueueFull)) if began.elapsed() < self.patience => {
                    self.serve();
                    self.outlets.flush(SLICE_MS);
                }
                Err(NotTaken(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                    return Err(too_large(&self.outlets.name(topic)));
                }
                Err(NotTaken(code)) => return Err(Failure::Abort(format!("a record was not taken: {code}"))),
            }
        }
    }

    pub fn produce_with(
        &mut self,
        (place, topic): (usize, &str),
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&'static str, String)],
    ) -> Result<(), Failure> {
        // What came before it goes before it.
        self.hand_over(place)?;
        let began = now();
        loop {
            let held = headers.iter().fold(OwnedHeaders::new(), |held, (key, value)| {
                held.insert(Header { key, value: Some(value.as_str()) })
            });
            let mut record: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(topic).partition(partition).headers(held);
            if let Some(key) = key {
                record = record.key(key);
            }
            if let Some(value) = value {
                record = record.payload(value);
            }
            match self.outlets.producer().send(record) {
                Ok(()) => return Ok(()),
                Err((error, _))
                    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
                        && began.elapsed() < self.patience =>
                {
                    self.serve();
                    self.outlets.flush(SLICE_MS);
                }
                Err((error, _)) => return Err(Failure::Abort(format!("a record was not taken: {error}"))),
            }
        }
    }

    /// Waits until every record is in the log. Without this the calls that follow would each take 100 ms.
    pub fn drain(&mut self) -> Result<(), Failure> {
        (0..self.outlets.count()).try_for_each(|topic| self.hand_over(topic))?;
        let began = now();
        while !self.outlets.flush(SLICE_MS) {
            self.serve();
            if began.elapsed() > self.patience {
                return Err(Failure::Abort("the records of a transaction do not reach the log".to_owned()));
            }
        }
        self.serve();
        let undelivered = self.marks.undelivered.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.quiet = undelivered.is_none();
        undelivered.map_or(Ok(()), Err)
    }

    pub fn send_offsets(&mut self, list: &TopicPartitionList, member: &ConsumerGroupMetadata) -> Result<(), Failure> {
        self.quiet = false;
        self.timed("the positions", |producer, patience| producer.send_offsets_to_transaction(list, member, patience))
    }

    /// The beginning and the end of a partition.
    pub fn watermarks(&self, topic: &str, partition: i32, wait: Duration) -> Result<(i64, i64), KafkaError> {
        self.outlets.producer().client().fetch_watermarks(topic, partition, wait)
    }

    pub fn commit(&self) -> Result<(), Failure> {
        // Once it is sent, only its success tells what became of it. An error that asks for an abort was
        // answered by the coordinator, so nothing was committed.
        self.timed("the commit", Producer::commit_transaction).map_err(|failure| match failure {
            Failure::Busy(why) => Failure::Recycle(why),
            other => other,
        })
    }

    pub fn abort(&mut self) -> Result<(), Failure> {
        self.outlets.forget();
        // Whatever is still under way, records or positions, would be taken for part of the next transaction if that had
        // the same epoch.
        if !self.quiet {
            self.marks.taint(ABORT);
        }
        // What is queued and under way would hold up the abort, which serves no events itself.
        self.outlets.producer().purge(PurgeConfig::default().queue().inflight());
        let began = now();
        while self.outlets.producer().in_flight_count() > 0 && began.elapsed() < self.patience {
            self.serve();
            self.outlets.flush(1);
        }
        self.timed("the abort", Producer::abort_transaction).map_err(|failure| Failure::Recycle(failure.to_string()))
    }

    /// Makes a call, once more where it may be repeated, and marks the producer where an answer was late.
    fn timed(
        &self,
        what: &'static str,
        call: impl Fn(&BaseProducer<Marks>, Duration) -> Result<(), KafkaError>,
    ) -> Result<(), Failure> {
        let began = now();
        let done = loop {
            let done = call(self.outlets.producer(), self.patience);
            let again = matches!(&done, Err(KafkaError::Transaction(why)) if why.is_retriable());
            if !again || began.elapsed() > self.patience {
                break done;
            }
            self.marks.taint(REPEATED_CALL);
            self.serve();
        };
        if began.elapsed() > SLOW {
            self.marks.taint(SLOW_ANSWER);
        }
        done.map_err(|error| meaning(what, &error))
    }
}

/// What an error of a transaction's call means.
fn meaning(what: &str, error: &KafkaError) -> Failure {
    let text = format!("{what}: {error}");
    match error {
        KafkaError::Transaction(why) if why.is_fatal() => Failure::Recycle(text),
        KafkaError::Transaction(why) if why.txn_requires_abort() => Failure::Abort(text),
        KafkaError::Transaction(why) if why.is_retriable() => Failure::Busy(text),
        // An error without a flag counts as fatal.
        _ => Failure::Recycle(text),
    }
}
