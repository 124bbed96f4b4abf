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
    /// What could not be folded, each with the number of outputs before it.
    pub letters: Vec<(usize, Letter)>,
}

impl Told {
    fn clear(&mut self) {
        (self.records, self.events, self.facts) = (0, 0, 0);
        self.unknown.clear();
        self.outputs.clear();
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
    spent: Receiver<Told>,
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

    /// An empty one, with room if one has come back.
    #[must_use]
    pub fn spent(&self) -> Told {
        self.spent.try_recv().unwrap_or_default()
    }

    /// Hands over what is to be written.
    pub fn write(&self, told: Told) {
        if let Some(orders) = &self.orders {
            // A thread that is gone has said why at the last sync, or says so at the next.
            let _ = orders.send(Order::Write(told));
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
    fn work(mut self, inbox: &Receiver<Order>, done: &Sender<Told>) {
        for order in inbox {
            match order {
                Order::Write(mut told) => {
                    if let Err(error) = self.write(&told) {
                        self.broken.get_or_insert_with(|| Mistake::new("the outputs", error.to_string()));
                    }
                    told.clear();
                    // Whoever hands over may be gone, and want none back.
                    let _ = done.send(told);
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

    fn write(&mut self, told: &Told) -> std::io::Result<()> {
        self.counts.read(told.records, told.events, told.facts);
        for name in &told.unknown {
            self.counts.unknown_event(name);
        }
        let mut written = 0;
        for (before, letter) in &told.letters {
            self.write_outputs(&told.outputs[written..*before])?;
            self.write_letter(letter)?;
            written = *before;
        }
        self.write_outputs(&told.outputs[written..])
    }

    fn write_outputs(&mut self, told: &[Output]) -> std::io::Result<()> {
        let Self { publisher, outputs, counts, .. } = self;
        for output in told {
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
        Ok(())
    }

    fn write_letter(&mut self, letter: &Letter) -> std::io::Result<()> {
        let Self { publisher, outputs, counts, .. } = self;
        counts.dead_letter(letter.problem.code);
        if letter.ask.is_some() {
            counts.malformed();
        }
        let Some(outputs) = outputs else {
            return Ok(());
        };
        let (path, number) = (&*letter.path, i64::try_from(letter.number).unwrap_or(i64::MAX));
        let at = letter.arrived_at.millis();
        if let Some(ask) = &letter.ask {
            let asked_at = ask.at.map_or(at, Timestamp::millis);
            let verdict = publisher.malformed(&ask.number, &ask.request, asked_at);
            outputs.write(&Record::Verdict(verdict))?;
        }
        let record = publisher.dead_letter(path, number, &letter.problem, letter.bytes.as_deref(), letter.size, at);
        outputs.write(&Record::DeadLetter(record))
    }
}
