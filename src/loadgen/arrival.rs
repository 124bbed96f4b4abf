//! Events that are planned and have not arrived, in the order in which they will.
//!
//! Only what differs between events is kept, so that millions may be under way; the record of one is written
//! when it arrives.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::answer::Category;
use super::people::Ids;
use super::rules::Content;

/// An event under way.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) received_at: i64,
    /// Its place among those that arrive at the same instant, which is the order of planning.
    order: u64,
    /// What its id is made of; a repeat has the same.
    pub(super) serial: u64,
    pub(super) occurred_at: i64,
    /// The contact, by index.
    pub(super) contact: u32,
    pub(super) ids: Ids,
    pub(super) what: What,
}

/// What happened. Messages, requests and calls are numbered.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// A message of the form at this place of [`super::inbound::FORMS`].
    Said {
        message: u64,
        form: u8,
        about: Option<u64>,
        client: Option<Client>,
        clicked: bool,
        provenance: Provenance,
    },
    Called {
        call: u64,
        event: CallEvent,
        by_person: bool,
    },
    Preference {
        stop: bool,
    },
    /// The person's phone number changed, and all ids with it; or only a key, and no id.
    Moved {
        ids_change: bool,
    },
    Consent {
        all: bool,
        given: bool,
    },
    Asked {
        request: u64,
        content: Content,
        evaluate_for: Option<i64>,
    },
    Accepted {
        request: Option<u64>,
        message: u64,
        content: Option<Content>,
        held: bool,
    },
    Reported(Report),
    Heartbeat,
    Throughput,
    Unknown,
}

/// The app a person uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Android,
    Ios,
    Web,
    Desktop,
}

/// How a message came to us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Provenance {
    Live,
    History,
    PhoneApp,
}

/// What happened to a call.
#[derive(Clone, Copy)]
pub(super) enum CallEvent {
    Connect,
    Ringing,
    Accepted,
    Rejected,
    Terminate,
}

/// A status.
#[derive(Clone, Copy)]
pub(super) struct Report {
    pub(super) stage: Stage,
    pub(super) about: About,
    pub(super) pricing: Option<Pricing>,
    /// The end of the free entry point it was sent in, if the platform says so.
    pub(super) entry_ends: Option<i64>,
    /// Whether it names its recipient.
    pub(super) names_contact: bool,
    /// The message, if it is one of the month's replies and this decides which.
    pub(super) counts: Option<u64>,
    /// Whether the message has kept a place among the month's replies, which is now free or taken.
    pub(super) releases: bool,
}

/// What a status is about.
#[derive(Clone, Copy)]
pub(super) enum About {
    Message(u64),
    /// A send that the platform refused at once.
    Request(u64),
}

/// How far a message got.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Sent,
    Delivered,
    Read,
    Failed(i32),
}

/// The platform's word on a price.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pricing {
    pub(super) kind: PricingType,
    pub(super) category: Category,
}

/// The platform's pricing types.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PricingType {
    Regular,
    FreeCustomerService,
    FreeEntryPoint,
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    /// The first to arrive is the greatest, which is what a heap gives first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.received_at, other.order).cmp(&(self.received_at, self.order))
    }
}

/// All that is under way.
#[derive(Default)]
pub(super) struct UnderWay {
    heap: BinaryHeap<Arrival>,
    /// How many events were planned so far, repeats included.
    pub(super) planned: u64,
}

impl UnderWay {
    /// A new event; its arrival for repeating it.
    pub(super) fn plan(&mut self, contact: u32, ids: Ids, what: What, occurred_at: i64, received_at: i64) -> Arrival {
        let serial = self.planned + 1;
        let arrival = Arrival { received_at, order: serial, serial, occurred_at, contact, ids, what };
        self.push(arrival);
        arrival
    }

    /// The same event once more, at `received_at`. It decides nothing a second time.
    pub(super) fn repeat(&mut self, first: Arrival, received_at: i64) {
        let what = match first.what {
            What::Reported(report) => What::Reported(Report { counts: None, releases: false, ..report }),
            what => what,
        };
        self.push(Arrival { received_at, order: self.planned + 1, what, ..first });
    }

    fn push(&mut self, arrival: Arrival) {
        self.planned += 1;
        self.heap.push(arrival);
    }

    /// The next event that arrives no later than `now`.
    pub(super) fn arrived(&mut self, now: i64) -> Option<Arrival> {
        if self.heap.peek()?.received_at <= now { self.heap.pop() } else { None }
    }
}
