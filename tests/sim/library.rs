//! What a process's Kafka client remembers: its membership, its positions and its producer. It dies with the
//! process. What it does is in the other files: [`crate::log`] on the process's own thread, [`crate::world`]
//! behind its back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tollgate::stream::{Found, Slot};

use crate::broker::group::MemberId;
use crate::broker::partition::{Pair, Producer};
use crate::broker::transactions::Target;
use crate::time::Micros;

/// Where the member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not joined yet, or must join again.
    Out,
    /// It has asked to join, and waits for its slots.
    Joining,
    /// It has slots.
    Holding,
    /// It must give up its slots.
    Leaving,
    /// Another process has its name.
    Fenced,
}

/// The member of the group.
pub struct Membership {
    pub standing: Standing,
    pub member: Option<MemberId>,
    pub generation: i32,
    pub given: Vec<Slot>,
    /// Changes that the process has not been told yet.
    pub found: VecDeque<Found>,
    pub last_poll: Micros,
    pub isolated_until: Micros,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            standing: Standing::Out,
            member: None,
            generation: -1,
            given: Vec::new(),
            found: VecDeque::new(),
            last_poll: 0,
            isolated_until: 0,
        }
    }
}

impl Membership {
    /// The group takes the slots back, and everybody's word is still good. Whether to join again at once.
    pub fn revoke(&mut self) -> bool {
        self.give_up(Found::Revoked)
    }

    /// The member is none any more. Whether to join again at once.
    pub fn lose(&mut self) -> bool {
        self.member = None;
        self.generation = -1;
        self.found.retain(|found| !matches!(found, Found::Revoked(_)));
        match self.standing {
            // It was told to give up its slots, or is about to answer; now they are gone.
            Standing::Leaving => {
                self.found.push_back(Found::Lost(self.given.clone()));
                false
            }
            _ => self.give_up(Found::Lost),
        }
    }

    fn give_up(&mut self, found: fn(Vec<Slot>) -> Found) -> bool {
        let untold = self.found.iter().any(|found| matches!(found, Found::Assigned(_)));
        if self.standing != Standing::Holding || untold {
            self.found.clear();
            self.standing = Standing::Out;
            return true;
        }
        self.standing = Standing::Leaving;
        self.found.push_back(found(self.given.clone()));
        false
    }
}

/// Whether the producer can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Fine,
    /// The transaction must be aborted.
    Abortable,
    /// There must be a new producer.
    Fatal,
}

/// The transactional producer.
pub struct Sender {
    pub producer: Option<Producer>,
    pub health: Health,
    pub tainted: Option<&'static str>,
    pub open: bool,
    /// What the coordinator has been told belongs to the transaction.
    pub added: BTreeSet<Target>,
    pub queue: Vec<(Slot, Pair)>,
    pub sequences: BTreeMap<Slot, u32>,
    /// A batch was given up on: nobody knows which sequence the broker expects.
    pub sequence_lost: bool,
    /// Counts transactions, to tell requests that come late.
    pub number: u64,
}

impl Default for Sender {
    fn default() -> Self {
        Self {
            producer: None,
            health: Health::Fatal,
            tainted: None,
            open: false,
            added: BTreeSet::new(),
            queue: Vec::new(),
            sequences: BTreeMap::new(),
            sequence_lost: false,
            number: 0,
        }
    }
}

impl Sender {
    /// Goes on as a new producer.
    pub fn renew(&mut self, producer: Producer) {
        *self = Self { producer: Some(producer), health: Health::Fine, number: self.number + 1, ..Self::default() };
    }

    /// The transaction is over, one way or the other.
    pub fn close(&mut self) {
        self.open = false;
        self.added.clear();
        self.queue.clear();
    }
}

/// The client of one life of a process.
#[derive(Default)]
pub struct Library {
    pub membership: Membership,
    /// The next offset of every slot that is read.
    pub cursors: BTreeMap<Slot, i64>,
    pub sender: Sender,
}
