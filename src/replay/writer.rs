//! The thread that prices, makes records, counts them and writes them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::decode::MalformedAsk;
use super::outputs::{Lengths, Outputs};
use super::summary::{Counts, Summary};
use crate::config::Mistake;
use crate::domain::effect::What;
use crate::domain::time::Timestamp;
use crate::engine::Output;
use crate::engine::publish::{Problem, Publisher, Record};

/// Something to write.
#[derive(Debug)]
pub enum ToWrite {
    /// What the fold told.
    Output(Output),
    /// What could not be folded.
    Letter(Box<Letter>),
    /// What was read.
    Read {
        /// Records.
        records: u64,
        /// Events.
        events: u64,
        /// Facts.
        facts: u64,
    },
    /// An event of a kind this version does not know.
    Unknown(Box<str>),
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
    Write(Vec<ToWrite>),
    Sync { durable: bool, reply: SyncSender<Result<Synced, Mistake>> },
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
    spent: Receiver<Vec<ToWrite>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    #[must_use]
    pub fn start(publisher: Publisher, outputs: Option<Outputs>, counts: Counts) -> Self {
        let (orders, inbox) = sync_channel(super::WAITING);
        let (done, spent) = channel();
        let desk = Desk { publisher, outputs, counts, broken: None };
        Self { orders: Some(orders), spent, thread: Some(thread::spawn(move || desk.work(&inbox, &done))) }
    }

    /// An empty list, with room if one has come back.
    #[must_use]
    pub fn spent(&self) -> Vec<ToWrite> {
        self.spent.try_recv().unwrap_or_default()
    }

    /// Hands over what is to be written.
    pub fn write(&self, batch: Vec<ToWrite>) {
        if let Some(orders) = &self.orders {
            // A thread that is gone has said why at the last sync, or says so at the next.
            let _ = orders.send(Order::Write(batch));
        }
    }

    /// Waits until everything handed over is written, and where it must be durable, on disk.
    ///
    /// # Errors
    /// If an output cannot be written.
    pub fn sync(&self, durable: bool) -> Result<Synced, Mistake> {
        let (reply, answer) = sync_channel(1);
        let gone = || Mistake::new("the outputs", "the writing thread has stopped");
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order::Sync { durable, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
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
    broken: Option<Mistake>,
}

impl Desk {
    fn work(mut self, inbox: &Receiver<Order>, done: &Sender<Vec<ToWrite>>) {
        for order in inbox {
            match order {
                Order::Write(mut batch) => {
                    for item in batch.drain(..) {
                        if let Err(error) = self.write(&item) {
                            self.broken.get_or_insert_with(|| Mistake::new("the outputs", error.to_string()));
                        }
                    }
                    // Whoever hands over may be gone, and want no list back.
                    let _ = done.send(batch);
                }
                Order::Sync { durable, reply } => {
                    let _ = reply.send(self.sync(durable));
                }
            }
        }
    }

    fn sync(&mut self, durable: bool) -> Result<Synced, Mistake> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        let lengths = self.outputs.as_mut().map(|outputs| outputs.sync(durable)).transpose();
        let lengths = lengths.map_err(|error| Mistake::new("the outputs", error.to_string()))?;
        Ok(Synced { lengths, summary: self.counts.summary() })
    }

    fn write(&mut self, item: &ToWrite) -> std::io::Result<()> {
        let Self { publisher, outputs, counts, .. } = self;
        match item {
            ToWrite::Read { records, events, facts } => counts.read(*records, *events, *facts),
            ToWrite::Unknown(name) => counts.unknown_event(name),
            ToWrite::Output(output) => {
                let effect = &output.effect;
                let entry = match &effect.what {
                    What::Charge(charge) => Some(publisher.price(charge)),
                    What::Verdict(_) | What::Window(_) | What::State(_) | What::Outcome(_) => None,
                };
                match &effect.what {
                    What::Verdict(verdict) => counts.verdict(effect, verdict),
                    What::Window(edge) => counts.window(edge),
                    What::Outcome(outcome) => counts.outcome(outcome),
                    What::Charge(_) | What::State(_) => {}
                }
                if let Some(entry) = &entry {
                    counts.entry(effect, entry);
                }
                if let Some(outputs) = outputs {
                    outputs.write(&publisher.record(output, entry.as_ref()))?;
                }
            }
            ToWrite::Letter(letter) => {
                counts.dead_letter(letter.problem.code);
                let (path, number) = (&*letter.path, i64::try_from(letter.number).unwrap_or(i64::MAX));
                let at = letter.arrived_at.millis();
                if let Some(ask) = &letter.ask {
                    counts.malformed();
                    if let Some(outputs) = outputs {
                        let asked_at = ask.at.map_or(at, Timestamp::millis);
                        let verdict = publisher.malformed(&ask.number, &ask.request, asked_at);
                        outputs.write(&Record::Verdict(Box::new(verdict)))?;
                    }
                }
                if let Some(outputs) = outputs {
                    let payload = letter.bytes.as_deref();
                    let record = publisher.dead_letter(path, number, &letter.problem, payload, letter.size, at);
                    outputs.write(&Record::DeadLetter(Box::new(record)))?;
                }
            }
        }
        Ok(())
    }
}
