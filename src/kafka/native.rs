//! What librdkafka offers and its Rust wrapper does not: records in batches from a queue of one's own, records
//! produced in batches to topics that were looked up once, a wait for the producer's queue that ends when it does, and
//! the ids of the cluster and its topics.
//!
//! The only file with `unsafe`. Each block says why it is sound. Pointers never leave this file, and both types
//! keep the client that theirs belong to alive.

#![allow(unsafe_code, reason = "the C interface of librdkafka")]

use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};

use crate::stream::TOGETHER;

/// What a queue brings.
pub enum Brought<'q> {
    /// A record.
    Record {
        /// The topic's place among the names given to [`DataQueue::new`].
        topic: usize,
        partition: i32,
        offset: i64,
        /// Milliseconds since the epoch; -1 where there is none.
        timestamp: i64,
        key: Option<&'q [u8]>,
        value: Option<&'q [u8]>,
    },
    /// The end of a partition: there was nothing before this offset.
    End { topic: usize, partition: i32, offset: i64 },
    /// Something went wrong with a partition.
    Error { topic: usize, partition: i32, offset: i64, code: RDKafkaErrorCode },
}

/// A queue of one's own, to which the partitions of a consumer are forwarded.
///
/// It is never the consumer's own queue: there the batch call would answer a rebalance by giving up everything.
pub struct DataQueue<C: ConsumerContext> {
    queue: *mut c::rd_kafka_queue_t,
    consumer: Arc<BaseConsumer<C>>,
    names: Vec<CString>,
    /// Topics as librdkafka hands them out, so that a name is compared once and not per record.
    seen: Vec<(*mut c::rd_kafka_topic_t, usize)>,
    messages: Vec<*mut c::rd_kafka_message_t>,
}

// SAFETY: librdkafka's objects may be used from any thread; this one is only used by one at a time, because
// every method that reads from the queue takes `&mut self`.
unsafe impl<C: ConsumerContext> Send for DataQueue<C> {}

impl<C: ConsumerContext> DataQueue<C> {
    /// A queue for partitions of these topics.
    pub fn new(consumer: Arc<BaseConsumer<C>>, names: Vec<CString>) -> Self {
        // SAFETY: the client lives for as long as `consumer` does, which this value holds.
        let queue = unsafe { c::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Self { queue, consumer, names, seen: Vec::new(), messages: vec![ptr::null_mut(); TOGETHER] }
    }

    /// The consumer whose partitions these are.
    pub fn consumer(&self) -> &BaseConsumer<C> {
        &self.consumer
    }

    /// Forwards a partition to this queue. To be called before it is assigned: the end of an assignment ends it.
    pub fn forward(&mut self, topic: usize, partition: i32) {
        self.seen.clear();
        let Some(name) = self.names.get(topic) else {
            return;
        };
        // SAFETY: the client is alive, the name ends in a zero byte, and the partition's queue is released after
        // it was forwarded, which keeps the forwarding.
        unsafe {
            let queue = c::rd_kafka_queue_get_partition(self.consumer.client().native_ptr(), name.as_ptr(), partition);
            if !queue.is_null() {
                c::rd_kafka_queue_forward(queue, self.queue);
                c::rd_kafka_queue_destroy(queue);
            }
        }
    }

    /// The end of a partition that is read, as of the last answer to a fetch. Asks nobody.
    pub fn end(&self, topic: usize, partition: i32) -> Option<i64> {
        let name = self.names.get(topic)?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client is alive, the name ends in a zero byte, and both numbers outlive the call.
        let answer = unsafe {
            let client = self.consumer.client().native_ptr();
            c::rd_kafka_get_watermark_offsets(client, name.as_ptr(), partition, &raw mut low, &raw mut high)
        };
        (answer == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
    }

    /// What comes by the consumer's own queue: all of it. A poll that does not wait serves one event, and lines of the
    /// log stand before the change of the group that they tell of.
    pub fn events(&self, mut each: impl FnMut(KafkaResult<BorrowedMessage<'_>>)) {
        loop {
            if let Some(event) = self.consumer.poll(Duration::ZERO) {
                each(event);
            }
            // SAFETY: the client is alive, and the reference to its queue is given back.
            let left = unsafe {
                let queue = c::rd_kafka_queue_get_consumer(self.consumer.client().native_ptr());
                let left = c::rd_kafka_queue_length(queue);
                c::rd_kafka_queue_destroy(queue);
                left
            };
            if left == 0 {
                return;
            }
        }
    }

    /// Waits up to so many milliseconds for a first record, and takes all that are there then.
    pub fn poll(&mut self, wait_ms: i32, mut each: impl FnMut(Brought<'_>)) {
        // The batch call waits until the batch is full; so the first record is waited for alone.
        let mut count = self.fill(wait_ms, 0, 1);
        if count == 1 {
            count += self.fill(0, 1, TOGETHER - 1);
        }
        for index in 0..count {
            let message = self.messages[index];
            // SAFETY: the batch call filled `count` places with messages that are ours until they are destroyed,
            // which happens right after the borrow ends.
            unsafe {
                if let Some(brought) = self.read(&*message) {
                    each(brought);
                }
                c::rd_kafka_message_destroy(message);
            }
        }
    }

    fn fill(&mut self, wait_ms: i32, from: usize, room: usize) -> usize {
        let places = &mut self.messages[from..from + room];
        // SAFETY: the queue is alive and `places` has room for `room` messages.
        let count = unsafe { c::rd_kafka_consume_batch_queue(self.queue, wait_ms, places.as_mut_ptr(), room) };
        usize::try_from(count).unwrap_or(0)
    }

    /// # Safety
    /// The message must have come from the batch call and not be destroyed while what is returned is used.
    unsafe fn read<'q>(&mut self, message: &'q c::rd_kafka_message_t) -> Option<Brought<'q>> {
        let topic = self.topic(message.rkt)?;
        let (partition, offset) = (message.partition, message.offset);
        let bytes = |start: *mut std::ffi::c_void, length: usize| {
            // SAFETY: librdkafka keeps the bytes for as long as the message.
            (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>().cast_const(), length) })
        };
        Some(match message.err {
            c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => {
                let mut kind = c::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
                // SAFETY: both pointers are valid for the call.
                let timestamp = unsafe { c::rd_kafka_message_timestamp(message, &raw mut kind) };
                let (key, value) = (bytes(message.key, message.key_len), bytes(message.payload, message.len));
                Brought::Record { topic, partition, offset, timestamp, key, value }
            }
            c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => Brought::End { topic, partition, offset },
            error => Brought::Error { topic, partition, offset, code: error.into() },
        })
    }

    fn topic(&mut self, topic: *mut c::rd_kafka_topic_t) -> Option<usize> {
        if let Some((_, index)) = self.seen.iter().find(|(seen, _)| *seen == topic) {
            return Some(*index);
        }
        if topic.is_null() {
            return None;
        }
        // SAFETY: a message's topic is alive with the message, and its name ends in a zero byte.
        let name = unsafe { CStr::from_ptr(c::rd_kafka_topic_name(topic)) };
        let index = self.names.iter().position(|known| known.as_c_str() == name)?;
        self.seen.push((topic, index));
        Some(index)
    }
}

impl<C: ConsumerContext> Drop for DataQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and is not used again; the client outlives it.
        unsafe { c::rd_kafka_queue_destroy(self.queue) };
    }
}

/// How many records are handed over at once.
const HANDFUL: usize = 64;

/// In a batch whose records name their partitions themselves.
const NO_PARTITION: i32 = -1;

/// Produces to topics that were looked up once, and hands records over some at a time: librdkafka takes its locks
/// and looks at its clocks once a call.
pub struct Outlets<C: ProducerContext + 'static> {
    topics: Vec<Outlet>,
    messages: Vec<c::rd_kafka_message_t>,
    producer: BaseProducer<C>,
}

/// A topic, and the records it is to get next.
struct Outlet {
    topic: *mut c::rd_kafka_topic_t,
    held: Vec<Held>,
    /// Their keys and values, one behind the other.
    bytes: Vec<u8>,
}

/// A record that is to be handed over: the lengths of its parts.
struct Held {
    partition: i32,
    key: Option<usize>,
    value: Option<usize>,
}

// SAFETY: librdkafka's objects may be used from any thread; the messages point nowhere between two calls.
unsafe impl<C: ProducerContext + 'static> Send for Outlets<C> {}

/// The first record that is not taken, and why: the producer's queue is full, or it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTaken(pub RDKafkaErrorCode);

impl<C: ProducerContext + 'static> Outlets<C> {
    /// Looks up topics.
    pub fn new(producer: BaseProducer<C>, names: &[CString]) -> Self {
        let client = producer.client().native_ptr();
        let topics = names.iter().map(|name| {
            // SAFETY: the client is alive, the name ends in a zero byte, and no configuration is handed over.
            let topic = unsafe { c::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
            Outlet { topic, held: Vec::new(), bytes: Vec::new() }
        });
        Self { topics: topics.collect(), messages: Vec::new(), producer }
    }

    /// Learns where the partitions of all topics are. A record of a topic of which nothing is known yet would enter the
    /// transaction as one of partition -1. No broker knows that, and the transaction would be held up until it is given up.
    ///
    /// # Errors
    /// If the brokers do not answer in so many milliseconds, or do not know one of the topics.
    pub fn learn(&self, wait_ms: i32) -> Result<(), RDKafkaErrorCode> {
        let fine = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        let mut metadata = ptr::null();
        // SAFETY: the client is alive, and what it gives is read before it is released. What is asked for is all topics that
        // were looked up.
        unsafe {
            let client = self.producer.client().native_ptr();
            let answer = c::rd_kafka_metadata(client, 0, ptr::null_mut(), &raw mut metadata, wait_ms);
            if answer != fine || metadata.is_null() {
                return Err(answer.into());
            }
            let count = usize::try_from((*metadata).topic_cnt).unwrap_or_default();
            let first = (*metadata).topics.cast_const();
            let topics = if first.is_null() { &[][..] } else { std::slice::from_raw_parts(first, count) };
            let failed = topics.iter().map(|topic| topic.err).find(|error| *error != fine);
            c::rd_kafka_metadata_destroy(metadata);
            failed.map_or(Ok(()), |error| Err(error.into()))
        }
    }

    /// The producer.
    pub const fn producer(&self) -> &BaseProducer<C> {
        &self.producer
    }

    /// Copies a record. Tells whether there are so many of its topic that they should be handed over.
    pub fn hold(&mut self, topic: usize, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> bool {
        let Some(outlet) = self.topics.get_mut(topic) else {
            return true;
        };
        let mut copied = |part: &[u8]| {
            outlet.bytes.extend_from_slice(part);
            part.len()
        };
        outlet.held.push(Held { partition, key: key.map(&mut copied), value: value.map(&mut copied) });
        outlet.held.len() >= HANDFUL
    }

    /// How many topics there are.
    pub const fn count(&self) -> usize {
        self.topics.len()
    }

    /// What a topic is called.
    pub fn name(&self, topic: usize) -> String {
        let Some(outlet) = self.topics.get(topic).filter(|outlet| !outlet.topic.is_null()) else {
            return String::new();
        };
        // SAFETY: the topic is alive, and its name ends in a zero byte.
        unsafe { CStr::from_ptr(c::rd_kafka_topic_name(outlet.topic)) }.to_string_lossy().into_owned()
    }

    /// Forgets all records that were not handed over.
    pub fn forget(&mut self) {
        for outlet in &mut self.topics {
            outlet.held.clear();
            outlet.bytes.clear();
        }
    }

    /// Hands over what is held for a topic.
    ///
    /// # Errors
    /// If a record is not taken. Those before it were, and it is the first of those that are still held.
    pub fn hand_over(&mut self, topic: usize) -> Result<(), NotTaken> {
        let unknown = NotTaken(RDKafkaErrorCode::UnknownTopic);
        let outlet = self.topics.get_mut(topic).filter(|outlet| !outlet.topic.is_null()).ok_or(unknown)?;
        self.messages.clear();
        let mut rest = outlet.bytes.as_slice();
        let mut part = |length: Option<usize>| {
            let (part, after) = rest.split_at(length.unwrap_or(0));
            rest = after;
            (length.map_or(ptr::null(), |_| part.as_ptr()), part.len())
        };
        for held in &outlet.held {
            let ((key, key_len), (payload, len)) = (part(held.key), part(held.value));
            self.messages.push(c::rd_kafka_message_t {
                err: c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
                rkt: ptr::null_mut(),
                partition: held.partition,
                payload: payload.cast_mut().cast(),
                len,
                key: key.cast_mut().cast(),
                key_len,
                offset: 0,
                _private: ptr::null_mut(),
            });
        }
        // SAFETY: the topic is alive, the messages are as many as told, and with F_COPY librdkafka only reads their
        // bytes, which are not moved during the call.
        unsafe {
            c::rd_kafka_produce_batch(
                outlet.topic,
                NO_PARTITION,
                c::RD_KAFKA_MSG_F_COPY | c::RD_KAFKA_MSG_F_PARTITION,
                self.messages.as_mut_ptr(),
                i32::try_from(self.messages.len()).unwrap_or(i32::MAX),
            );
        }
        let refused =
            |message: &c::rd_kafka_message_t| message.err != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        let first = self.messages.iter().position(refused);
        let taken = first.unwrap_or(outlet.held.len());
        let length: usize =
            outlet.held.drain(..taken).map(|held| held.key.unwrap_or(0) + held.value.unwrap_or(0)).sum();
        outlet.bytes.drain(..length);
        first.map_or(Ok(()), |first| Err(NotTaken(self.messages[first].err.into())))
    }

    /// Whether events wait to be served.
    pub fn has_events(&self) -> bool {
        // SAFETY: the client is alive, and the reference to its queue is given back.
        unsafe {
            let queue = c::rd_kafka_queue_get_main(self.producer.client().native_ptr());
            let length = c::rd_kafka_queue_length(queue);
            c::rd_kafka_queue_destroy(queue);
            length > 0
        }
    }

    /// Sends everything at once and waits up to so many milliseconds until it has arrived. Tells whether it has.
    pub fn flush(&self, wait_ms: i32) -> bool {
        // SAFETY: the client is alive. The call does not serve events; the caller does.
        let answer = unsafe { c::rd_kafka_flush(self.producer.client().native_ptr(), wait_ms) };
        answer == c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
    }
}

impl<C: ProducerContext + 'static> Drop for Outlets<C> {
    fn drop(&mut self) {
        for outlet in self.topics.drain(..).filter(|outlet| !outlet.topic.is_null()) {
            // SAFETY: each was made by `new`, and the client is dropped after this.
            unsafe { c::rd_kafka_topic_destroy(outlet.topic) };
        }
    }
}

/// Two topics of one name, one after the other, are told apart by these. All zeros where the brokers have none.
pub type TopicId = [i64; 2];

/// The id of the cluster, and those of topics in the order of their names; nothing for a topic that is not there.
///
/// # Errors
/// If the brokers do not answer in so many milliseconds, or refuse.
pub fn ids<C: ClientContext>(
    client: &Client<C>,
    names: &[CString],
    wait_ms: i32,
) -> Result<(String, Vec<Option<TopicId>>), RDKafkaErrorCode> {
    let handle = client.native_ptr();
    let late = RDKafkaErrorCode::OperationTimedOut;
    // SAFETY: the client is alive for as long as it is borrowed. What librdkafka gives is released once, after its last
    // use: the cluster's name, the options, the collection, the queue, and the event that the answers belong to. The
    // names outlive the call that copies them.
    unsafe {
        let cluster = c::rd_kafka_clusterid(handle, wait_ms);
        if cluster.is_null() {
            return Err(late);
        }
        let name = CStr::from_ptr(cluster).to_string_lossy().into_owned();
        c::rd_kafka_mem_free(handle, cluster.cast());

        let queue = c::rd_kafka_queue_new(handle);
        let options = c::rd_kafka_AdminOptions_new(handle, c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        c::rd_kafka_AdminOptions_set_request_timeout(options, wait_ms, ptr::null_mut(), 0);
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let topics = c::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        c::rd_kafka_DescribeTopics(handle, topics, options, queue);
        c::rd_kafka_TopicCollection_destroy(topics);
        c::rd_kafka_AdminOptions_destroy(options);
        let event = c::rd_kafka_queue_poll(queue, wait_ms);
        let found = if event.is_null() { Err(late) } else { topic_ids(event, names) };
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_queue_destroy(queue);
        Ok((name, found?))
    }
}

/// # Safety
/// The event must be alive, and the answer to a description of topics.
unsafe fn topic_ids(
    event: *mut c::rd_kafka_event_t,
    names: &[CString],
) -> Result<Vec<Option<TopicId>>, RDKafkaErrorCode> {
    let fine = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: what the event tells lives as long as the event, and is told here in values of our own.
    unsafe {
        let failed = c::rd_kafka_event_error(event);
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        if failed != fine || result.is_null() {
            return Err(failed.into());
        }
        let mut count = 0;
        let first = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let described = if first.is_null() { &[][..] } else { std::slice::from_raw_parts(first.cast_const(), count) };
        let mut found = vec![None; names.len()];
        for topic in described {
            let name = CStr::from_ptr(c::rd_kafka_TopicDescription_name(*topic));
            let Some(place) = names.iter().position(|known| known.as_c_str() == name) else {
                continue;
            };
            let error = c::rd_kafka_TopicDescription_error(*topic);
            let code = if error.is_null() { fine } else { c::rd_kafka_error_code(error) };
            let id = c::rd_kafka_TopicDescription_topic_id(*topic);
            found[place] = match code {
                code if code == fine && !id.is_null() => {
                    Some([c::rd_kafka_Uuid_most_significant_bits(id), c::rd_kafka_Uuid_least_significant_bits(id)])
                }
                c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART => None,
                code => return Err(code.into()),
            };
        }
        Ok(found)
    }
}
