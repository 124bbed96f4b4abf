//! An Apache Kafka, as far as a worker can tell: partitions, the coordinators of transactions and of the
//! group, and requests with their answers. It does what it is asked at once; that requests are late, lost or
//! repeated is the network's doing, and that markers take their time is the scheduler's.

pub mod group;
pub mod partition;
pub mod transactions;

use std::collections::BTreeMap;
use std::sync::Arc;

use group::{Group, MemberId, Patience};
use partition::{Ending, Pair, PartitionLog, Producer};
use tollgate::stream::{Committed, Partition, Slot, Topic};
use transactions::{Target, Transactions};

/// Why a broker refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// `CONCURRENT_TRANSACTIONS`: the transaction before is still ending.
    Concurrent,
    /// `INVALID_PRODUCER_EPOCH`, `PRODUCER_FENCED`
    Fenced,
    /// `INVALID_TXN_STATE`
    InvalidState,
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`
    OutOfOrder,
    /// `COORDINATOR_LOAD_IN_PROGRESS` and its like
    Loading,
    /// `UNKNOWN_MEMBER_ID`
    UnknownMember,
    /// `FENCED_INSTANCE_ID`
    FencedInstance,
    /// `ILLEGAL_GENERATION`
    IllegalGeneration,
    /// `UNSTABLE_OFFSET_COMMIT`
    Unstable,
}

/// What a client asks a broker.
#[derive(Clone, Debug)]
pub enum Request {
    InitProducer {
        identity: usize,
    },
    AddTargets {
        identity: usize,
        producer: Producer,
        targets: Arc<[Target]>,
    },
    Produce {
        identity: usize,
        producer: Producer,
        slot: Slot,
        sequence: u32,
        pairs: Arc<[Pair]>,
    },
    CommitOffsets {
        identity: usize,
        producer: Producer,
        member: Option<MemberId>,
        generation: i32,
        positions: Arc<[(Slot, Committed)]>,
    },
    EndTransaction {
        identity: usize,
        producer: Producer,
        ending: Ending,
    },
    FetchOffsets {
        slots: Arc<[Slot]>,
    },
    StableOffset {
        slot: Slot,
    },
    StartOffset {
        slot: Slot,
    },
}

/// What a broker answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    Done,
    /// The batch was in the log already.
    Repeated,
    Producer(Producer),
    Offsets(Vec<Option<Committed>>),
    Offset(i64),
    Refused(Code),
}

/// The cluster.
pub struct Broker {
    logs: BTreeMap<Slot, PartitionLog>,
    pub transactions: Transactions,
    pub group: Group,
}

impl Broker {
    pub fn new(inputs: u8, partitions: u32, read: &[Topic], patience: Patience) -> Self {
        let topics = (0..inputs).map(Topic::Input).chain(Topic::WRITTEN);
        let slots = topics.flat_map(|topic| (0..partitions).map(move |n| Slot { topic, partition: Partition(n) }));
        Self {
            logs: slots.map(|slot| (slot, PartitionLog::default())).collect(),
            transactions: Transactions::default(),
            group: Group::new(read, partitions, patience),
        }
    }

    /// Every partition.
    pub fn logs(&self) -> impl Iterator<Item = (Slot, &PartitionLog)> {
        self.logs.iter().map(|(slot, log)| (*slot, log))
    }

    /// A partition.
    pub fn log(&self, slot: Slot) -> &PartitionLog {
        self.logs.get(&slot).expect("a partition that exists")
    }

    /// A partition, to write to.
    pub fn log_mut(&mut self, slot: Slot) -> &mut PartitionLog {
        self.logs.get_mut(&slot).expect("a partition that exists")
    }

    /// The slots that the group reads.
    pub fn read_slots(&self) -> impl Iterator<Item = Slot> {
        self.logs.keys().copied().filter(|slot| self.group.topics().contains(&slot.topic))
    }

    /// Whether nothing is open, nothing about to end, and everything visible is behind the committed position.
    pub fn at_rest(&self) -> bool {
        let unread = |slot: Slot| {
            let log = self.log(slot);
            let from = self.group.committed(slot).unwrap_or(log.start());
            log.from(from).iter().any(|record| record.visible().is_some())
        };
        self.transactions.at_rest() && self.group.at_rest() && !self.read_slots().any(unread)
    }

    /// Does what a request asks, at a time in milliseconds since the epoch.
    pub fn serve(&mut self, now: i64, request: &Request) -> Response {
        match self.answer(now, request) {
            Ok(response) => response,
            Err(code) => Response::Refused(code),
        }
    }

    fn answer(&mut self, now: i64, request: &Request) -> Result<Response, Code> {
        match request {
            Request::InitProducer { identity } => self.transactions.init(*identity).map(Response::Producer),
            Request::AddTargets { identity, producer, targets } => {
                self.transactions.add(*identity, *producer, targets).map(|()| Response::Done)
            }
            Request::Produce { identity, producer, slot, sequence, pairs } => {
                // Brokers since 3.6 ask the coordinator before the first write of a transaction.
                if !self.log(*slot).is_open(*producer) {
                    self.transactions.verify(*identity, *producer, Target::Slot(*slot))?;
                }
                let new = self.log_mut(*slot).produce(now, *producer, *sequence, pairs)?;
                Ok(if new { Response::Done } else { Response::Repeated })
            }
            Request::CommitOffsets { identity, producer, member, generation, positions } => {
                self.transactions.verify(*identity, *producer, Target::Offsets)?;
                self.group.commit_pending(*identity, *member, *generation, *producer, positions)?;
                Ok(Response::Done)
            }
            Request::EndTransaction { identity, producer, ending } => {
                self.transactions.end(*identity, *producer, *ending).map(|()| Response::Done)
            }
            Request::FetchOffsets { slots } => self.group.stable_offsets(slots).map(Response::Offsets),
            Request::StartOffset { slot } => Ok(Response::Offset(self.log(*slot).start())),
            Request::StableOffset { slot } => Ok(Response::Offset(self.log(*slot).stable())),
        }
    }

    /// Writes a marker where it goes.
    pub fn mark(&mut self, now: i64, identity: usize, number: u64, producer: Producer, target: Target, ending: Ending) {
        match target {
            Target::Slot(slot) => self.log_mut(slot).mark(now, producer, ending),
            Target::Offsets => self.group.mark(producer, ending),
        }
        self.transactions.marked(identity, number, target);
    }
}
