//! The thread that prices, makes records, counts them and writes them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::outputs::{Lengths, Outputs, Unusable};
use super::summary::{Counts, Summary};
use crate::codec::ask::MalformedAsk;
use crate::config::Mistake;
use crate::domain::effect::What;
use crate::domain::time::Timestamp;
use crate::engine::Output;
use crate::engine::ledger::{Booked, Posted};
use crate::engine::publish::{Place, Problem, Publisher, Record};

/// What came of some records, to be written.
#[derive(Debug, Default)]
pub struct Told {
    /// How many records they are.
    pub records: u64,
    /// How many events they held.
    pub events: u64,
    /// How many facts.
    pub facts: u64,
    /// The events of kinds this version does not know, by name.
    pub unknown: Vec<Box<str>>,
    /// What the fold told, in order.
    pub outputs: Vec<Output>,
    /// What booking the charges among them has told, in order.
    pub booked: VecDeque<Booked>,
    /// What the ledger told, each with the number of outputs before it.
    pub posted: Vec<(usize, Posted)>,
    /// What could not be folded, each with the number of outputs before it.
    pub letters: Vec<(usize, Letter)>,
}

impl Told {
    fn clear(&mut self) {
        (self.records, self.events, self.facts) = (0, 0, 0);
        self.unknown.clear();
        self.outputs.clear();
        self.booked.clear();
        self.posted.clear();
        self.letters.clear();
    }
}

/// What could not be folded.
#[derive(Debug)]
pub struct Letter {
    /// The file.
    pub path: Arc<str>,
    /// Its line or number.
    pub number: u64,
    /// What is wrong.
    pub problem: Problem,
    /// The record, where it is kept.
    pub bytes: Option<Vec<u8>>,
    /// How many bytes it has.
    pub size: u64,
    /// When it arrived.
    pub arrived_at: Timestamp,
    /// The ask it is, if it is one that can be answered.
    pub ask: Option<MalformedAsk>,
}

enum Order {
    Write(Told),
    Sync { durable: bool, reply: SyncSender<Synced> },
}

/// What is written.
#[derive(Debug)]
pub struct Synced {
    /// How long each output is, if there are any.
    pub lengths: Option<Lengths>,
    /// What has been counted up to there.
    pub summary: Summary,
}

/// The writing thread, as the folding thread sees it.
pub struct Writer {
    orders: Option<SyncSender<Order>>,
    spent: Receiver<Told>,
    thread: Option<thread::JoinHandle<Result<(), Mistake>>>,
}

impl Writer {
    /// Starts the thread.
    #[must_use]
    pub fn start(publisher: Publisher, outputs: Option<Outputs>, counts: Counts) -> Self {
        let (orders, inbox) = sync_channel(super::WAITING);
        let (done, spent) = channel();
        let desk = Desk { publisher, outputs, counts };
        Self { orders: Some(orders), spent, thread: Some(thread::spawn(move || desk.work(&inbox, &done))) }
    }

    /// An empty one, with room if one has come back.
    #[must_use]
    pub fn spent(&self) -> Told {
        self.spent.try_recv().unwrap_or_default()
    }

    /// Hands over what is to be written.
    ///
    /// # Errors
    /// If something handed over before cannot be written.
    pub fn write(&mut self, told: Told) -> Result<(), Mistake> {
        self.order(Order::Write(told))
    }

    /// Waits until everything handed over is written, and where it must be durable, on disk.
    ///
    /// # Errors
    /// If an output cannot be written.
    pub fn sync(&mut self, durable: bool) -> Result<Synced, Mistake> {
        let (reply, answer) = sync_channel(1);
        self.order(Order::Sync { durable, reply })?;
        answer.recv().map_err(|_| self.end())
    }

    fn order(&mut self, order: Order) -> Result<(), Mistake> {
        match &self.orders {
            Some(orders) if orders.send(order).is_ok() => Ok(()),
            _ => Err(self.end()),
        }
    }

    /// Why the thread has stopped.
    fn end(&mut self) -> Mistake {
        self.orders = None;
        match self.thread.take().map(thread::JoinHandle::join) {
            Some(Ok(Err(mistake))) => mistake,
            _ => Mistake::new("the outputs", "the writing thread has stopped"),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread works with.
struct Desk {
    publisher: Publisher,
    outputs: Option<Outputs>,
    counts: Counts,
}

impl Desk {
    /// Does what it is ordered to. The first thing that cannot be written is the end of it.
    fn work(mut self, inbox: &Receiver<Order>, done: &Sender<Told>) -> Result<(), Mistake> {
        let failed = |Unusable { path, error }| Mistake::new(path.display().to_string(), error.to_string());
        for order in inbox {
            match order {
                Order::Write(mut told) => {
                    self.write(&mut told).map_err(failed)?;
                    told.clear();
                    // Whoever hands over may be gone, and want none back.
                    let _ = done.send(told);
                }
                Order::Sync { durable, reply } => {
                    let lengths = self.outputs.as_mut().map(|outputs| outputs.sync(durable)).transpose();
                    let lengths = lengths.map_err(failed)?;
                    let _ = reply.send(Synced { lengths, summary: self.counts.summary() });
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, told: &mut Told) -> Result<(), Unusable> {
        self.counts.read(told.records, told.events, told.facts);
        for name in &told.unknown {
            self.counts.unknown_event(name);
        }
        let (mut letters, mut posted) = (told.letters.iter().peekable(), told.posted.iter().peekable());
        for (written, output) in told.outputs.iter().enumerate() {
            while let Some((_, letter)) = letters.next_if(|(before, _)| *before == written) {
                self.write_letter(letter)?;
            }
            while let Some((_, posted)) = posted.next_if(|(before, _)| *before == written) {
                self.write_posted(posted)?;
            }
            let booked = matches!(output.effect.what, What::Charge(_)).then(|| told.booked.pop_front()).flatten();
            self.write_output(output, booked.as_ref())?;
        }
        letters.try_for_each(|(_, letter)| self.write_letter(letter))?;
        posted.try_for_each(|(_, posted)| self.write_posted(posted))
    }

    fn write_posted(&mut self, posted: &Posted) -> Result<(), Unusable> {
        let Self { publisher, outputs, counts, .. } = self;
        let record = match posted {
            Posted::Discount(posted) => {
                counts.discount(&posted.discount);
                Record::Billing(publisher.discount(posted))
            }
            Posted::Used(used) => {
                counts.used(used);
                Record::Usage(publisher.used(used))
            }
        };
        match outputs {
            Some(outputs) => outputs.write(&record),
            None => Ok(()),
        }
    }

    fn write_output(&mut self, output: &Output, booked: Option<&Booked>) -> Result<(), Unusable> {
        let Self { publisher, outputs, counts, .. } = self;
        let effect = &output.effect;
        match (&effect.what, booked) {
            (What::Verdict(verdict), _) => counts.verdict(effect, verdict),
            (What::Window(edge), _) => counts.window(edge),
            (What::Outcome(outcome), _) => counts.outcome(outcome),
            (What::Charge(charge), Some(booked)) => counts.entry(effect, charge, &booked.price),
            (What::Charge(_), None) | (What::State(_), _) => {}
        }
        match outputs {
            Some(outputs) => outputs.write(&publisher.record(output, booked)),
            None => Ok(()),
        }
    }

    fn write_letter(&mut self, letter: &Letter) -> Result<(), Unusable> {
        let Self { publisher, outputs, counts, .. } = self;
        counts.dead_letter(letter.problem.code);
        if letter.ask.is_some() {
            counts.malformed();
        }
        let Some(outputs) = outputs else {
            return Ok(());
        };
        let offset = i64::try_from(letter.number).unwrap_or(i64::MAX);
        let place = Place { topic: &letter.path, partition: 0, offset, key: None };
        let at = letter.arrived_at.millis();
        if let Some(ask) = &letter.ask {
            let asked_at = ask.at.map_or(at, Timestamp::millis);
            let verdict = publisher.malformed(&ask.number, &ask.request, asked_at);
            outputs.write(&Record::Verdict(verdict))?;
        }
        let record = publisher.dead_letter(place, &letter.problem, letter.bytes.as_deref(), letter.size, at);
        outputs.write(&Record::DeadLetter(record))
    }
}
