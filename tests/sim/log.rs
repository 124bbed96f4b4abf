//! The log as a process sees it: what librdkafka does on the thread that calls it, and how it judges failures.
//!
//! Records are sent while the process is in [`Log::produce`], [`Log::drain`] or [`Log::commit`], not between
//! calls: to everybody else that looks like a process that is slow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tollgate::stream::{Committed, Failure, Found, Glance, Log, NextOffset, Reader, Records, Slot};

use crate::broker::partition::{Ending, Pair, PartitionLog};
use crate::broker::transactions::Target;
use crate::broker::{Code, Request, Response};
use crate::faults::Step;
use crate::library::{Health, Standing};
use crate::time::{MILLI, Micros, micros, wall};
use crate::world::{Handle, Turn};

/// The log of one life of a process.
pub struct SimLog {
    handle: Handle,
    tainted: Option<&'static str>,
}

impl SimLog {
    pub const fn new(handle: Handle) -> Self {
        Self { handle, tainted: None }
    }

    /// The life of the process that the log belongs to.
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A call that may leave the producer tainted.
    fn send<T>(&mut self, step: Step, what: impl FnOnce(&mut Turn<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let mut tainted = None;
        let result = self.handle.call(step, |turn| {
            let result = what(turn);
            tainted = turn.library().sender.tainted;
            result
        });
        self.tainted = tainted;
        result
    }
}

impl Log for SimLog {
    type Reader = SimReader;

    fn now(&self) -> Duration {
        Duration::from_micros(self.handle.shared.lock().now)
    }

    fn wall(&self) -> i64 {
        wall(self.handle.shared.lock().now)
    }

    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<Found, Failure> {
        self.handle.call(Step::Poll, |turn| {
            if let Some(found) = turn.look(records)? {
                return Ok(found);
            }
            // Who does not want to wait still takes a moment.
            let span = if wait.is_zero() { MILLI / 10 } else { micros(wait).max(turn.setup.timing.idle) };
            let until = turn.now + span;
            turn.me().polling = true;
            turn.wait_until(until);
            turn.me().polling = false;
            Ok(turn.look(records)?.unwrap_or(Found::Records))
        })
    }

    fn assign(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        self.handle.call(Step::Assign, |turn| {
            turn.was_given(slots)?;
            turn.library().cursors = slots.iter().map(|(slot, next)| (*slot, next.offset())).collect();
            Ok(())
        })
    }

    fn pause(&mut self, slots: &[Slot]) -> Result<(), Failure> {
        self.handle.call(Step::Assign, |turn| {
            turn.library().cursors.retain(|slot, _| !slots.contains(slot));
            Ok(())
        })
    }

    fn resume(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        self.handle.call(Step::Assign, |turn| {
            turn.was_given(slots)?;
            let cursors = &mut turn.library().cursors;
            if slots.iter().any(|(slot, _)| cursors.contains_key(slot)) {
                return Err(Failure::Halt("these slots were not paused".to_owned()));
            }
            cursors.extend(slots.iter().map(|(slot, next)| (*slot, next.offset())));
            Ok(())
        })
    }

    fn glance(&self, slot: Slot) -> Glance {
        let world = self.handle.shared.lock();
        let (log, cursor) =
            (world.broker.log(slot), world.processes[self.handle.process].library.cursors.get(&slot).copied());
        // As of the last poll: what has come since is not known.
        let reached = cursor.filter(|cursor| *cursor >= log.stable());
        Glance { end: NextOffset::at(log.end()), reached: reached.and_then(NextOffset::at) }
    }

    fn unassign(&mut self) -> Result<(), Failure> {
        self.handle.call(Step::Unassign, |turn| {
            let library = turn.library();
            library.cursors.clear();
            if library.membership.standing == Standing::Leaving {
                library.membership.found.clear();
                let process = turn.process;
                turn.ask_to_join(process);
            }
            Ok(())
        })
    }

    fn committed(&mut self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Failure> {
        self.handle.call(Step::Committed, |turn| {
            let until = turn.now + turn.setup.timing.call / 2;
            let request = Request::FetchOffsets { slots: slots.into() };
            loop {
                match turn.exchange([request.clone()]).pop().flatten() {
                    Some(Response::Offsets(offsets)) => return Ok(offsets),
                    _ if turn.now >= until => return Err(Failure::Busy("the positions are not stable".to_owned())),
                    _ => turn.sleep(100 * MILLI),
                }
            }
        })
    }

    fn start(&mut self, slot: Slot) -> Result<NextOffset, Failure> {
        self.handle.call(Step::Start, |turn| match turn.exchange([Request::StartOffset { slot }]).pop().flatten() {
            Some(Response::Offset(offset)) => Ok(NextOffset::at(offset).unwrap_or(NextOffset::START)),
            _ => Err(Failure::Busy("no answer".to_owned())),
        })
    }

    fn end(&mut self, slot: Slot) -> Result<NextOffset, Failure> {
        self.handle.call(Step::End, |turn| match turn.exchange([Request::StableOffset { slot }]).pop().flatten() {
            Some(Response::Offset(offset)) => Ok(NextOffset::at(offset).unwrap_or(NextOffset::START)),
            _ => Err(Failure::Busy("no answer".to_owned())),
        })
    }

    fn reader(&mut self, from: &[(Slot, NextOffset)]) -> Result<SimReader, Failure> {
        let handle = self.handle.clone();
        self.handle.call(Step::Reader, |turn| {
            if turn.strikes(|faults| faults.loading) {
                turn.sleep(MILLI);
                return Err(Failure::Busy("the brokers cannot be reached".to_owned()));
            }
            Ok(SimReader { handle, next: from.iter().map(|(slot, next)| (*slot, next.offset())).collect() })
        })
    }

    fn recycle(&mut self) -> Result<(), Failure> {
        self.send(Step::Recycle, |turn| {
            let sender = &mut turn.library().sender;
            sender.close();
            sender.health = Health::Fatal;
            let identity = turn.identity();
            match turn.ask(&Request::InitProducer { identity }) {
                Some(Response::Producer(producer)) => {
                    turn.library().sender.renew(producer);
                    Ok(())
                }
                _ => Err(Failure::Busy("no producer yet".to_owned())),
            }
        })
    }

    fn tainted(&self) -> Option<&'static str> {
        self.tainted
    }

    fn begin(&mut self) -> Result<(), Failure> {
        self.handle.call(Step::Begin, |turn| {
            let sender = &mut turn.library().sender;
            match (sender.health, sender.open) {
                (Health::Fatal, _) => Err(Failure::Recycle("there is no producer".to_owned())),
                (_, true) | (Health::Abortable, false) => Err(Failure::Halt("a transaction is open".to_owned())),
                (Health::Fine, false) => {
                    sender.open = true;
                    Ok(())
                }
            }
        })
    }

    fn produce(&mut self, slot: Slot, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        self.send(Step::Produce, |turn| {
            turn.healthy()?;
            if turn.strikes(|faults| faults.loading / 4) {
                turn.sleep(MILLI);
                return Err(Failure::Busy("the queue is full".to_owned()));
            }
            turn.library().sender.queue.push((slot, (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec))));
            if turn.random.happens(500) { turn.transmit() } else { Ok(()) }
        })
    }

    /// The simulated log keeps no headers, so it looks at them here: the first is the id of the record that it is on.
    fn produce_with(
        &mut self,
        slot: Slot,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&'static str, String)],
    ) -> Result<(), Failure> {
        let id = headers.first().filter(|(name, _)| *name == "ce_id").map(|(_, id)| id.as_bytes());
        let holds = |id: &[u8]| value.is_some_and(|value| value.windows(id.len()).any(|part| part == id));
        if !id.is_some_and(holds) {
            return Err(Failure::Halt("these headers are not those of the record".to_owned()));
        }
        self.produce(slot, key, value)
    }

    fn drain(&mut self) -> Result<(), Failure> {
        self.send(Step::Drain, |turn| {
            turn.healthy()?;
            turn.transmit()
        })
    }

    fn send_offsets(&mut self, positions: &[(Slot, Committed)]) -> Result<(), Failure> {
        let positions: Arc<[(Slot, Committed)]> = positions.into();
        self.send(Step::SendOffsets, |turn| {
            turn.healthy()?;
            turn.add(vec![Target::Offsets])?;
            let identity = turn.identity();
            let library = turn.library();
            let Some(producer) = library.sender.producer else { return Err(turn.fatal("there is no producer")) };
            let (member, generation) = (library.membership.member, library.membership.generation);
            match turn.ask(&Request::CommitOffsets { identity, producer, member, generation, positions }) {
                Some(Response::Refused(Code::UnknownMember | Code::FencedInstance | Code::IllegalGeneration)) => {
                    Err(turn.abortable("no member of the group any more"))
                }
                Some(Response::Refused(_)) => Err(turn.fatal("fenced, or the transaction is gone")),
                Some(_) => Ok(()),
                // Both are what an application may be told.
                None if turn.random.happens(5_000) => Err(Failure::Busy("no answer".to_owned())),
                None => Err(turn.abortable("no answer")),
            }
        })
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.send(Step::Commit, |turn| {
            turn.healthy()?;
            turn.transmit()?;
            turn.end(Ending::Commit)
        })
    }

    fn abort(&mut self) -> Result<(), Failure> {
        self.send(Step::Abort, |turn| {
            let sender = &mut turn.library().sender;
            if sender.health == Health::Fatal {
                return Err(Failure::Recycle("there is no producer".to_owned()));
            }
            if !sender.open {
                return Err(Failure::Halt("no transaction is open".to_owned()));
            }
            sender.queue.clear();
            if !sender.sequence_lost {
                return turn.end(Ending::Abort);
            }
            // Nobody knows what the broker expects next: the library asks for a new epoch, which aborts too.
            let (identity, tainted) = (turn.identity(), turn.library().sender.tainted);
            match turn.ask(&Request::InitProducer { identity }) {
                Some(Response::Producer(producer)) => {
                    turn.library().sender.renew(producer);
                    turn.library().sender.tainted = tainted;
                    Ok(())
                }
                _ => Err(turn.fatal("nobody knows whether it was aborted")),
            }
        })
    }
}

impl Turn<'_> {
    /// Whether slots may be read. Nothing may be read at any time.
    fn was_given(&mut self, slots: &[(Slot, NextOffset)]) -> Result<(), Failure> {
        let membership = &self.library().membership;
        let asked = slots.is_empty() || matches!(membership.standing, Standing::Holding | Standing::Leaving);
        if !asked || slots.iter().any(|(slot, _)| !membership.given.contains(slot)) {
            return Err(Failure::Halt("these slots were not given".to_owned()));
        }
        Ok(())
    }

    /// What a poll finds at once.
    fn look(&mut self, records: &mut Records) -> Result<Option<Found>, Failure> {
        let (now, process) = (self.now, self.process);
        let membership = &mut self.library().membership;
        membership.last_poll = now;
        match membership.standing {
            Standing::Fenced => return Err(Failure::Halt("another process has this member's name".to_owned())),
            Standing::Out => self.ask_to_join(process),
            Standing::Joining | Standing::Holding | Standing::Leaving => {}
        }
        // Records that have arrived may come before the news.
        let news_first = self.random.happens(7_000);
        if news_first && let Some(found) = self.library().membership.found.pop_front() {
            return Ok(Some(found));
        }
        if self.fetch(records)? {
            return Ok(Some(Found::Records));
        }
        Ok(self.library().membership.found.pop_front())
    }

    /// Adds some of what can be read. Whether there was something.
    fn fetch(&mut self, records: &mut Records) -> Result<bool, Failure> {
        let mut slots: Vec<Slot> = self.library().cursors.keys().copied().collect();
        self.random.shuffle(&mut slots);
        let mut some = false;
        for slot in slots {
            let room = self.random.below(30) as usize;
            let from = self.library().cursors[&slot];
            let next = read(self.broker.log(slot), slot, from, room, records)?;
            self.library().cursors.insert(slot, next);
            some |= next > from;
        }
        some &= !records.heads().is_empty();
        if some && self.random.happens(3_000) {
            let span = self.latency();
            self.sleep(span);
        }
        Ok(some)
    }

    /// Whether the producer has a transaction open that can go on.
    fn healthy(&mut self) -> Result<(), Failure> {
        let sender = &self.library().sender;
        match sender.health {
            Health::Fine if sender.open => Ok(()),
            Health::Fine => Err(Failure::Halt("no transaction is open".to_owned())),
            Health::Abortable => Err(Failure::Abort("the transaction must be aborted".to_owned())),
            Health::Fatal => Err(Failure::Recycle("there is no producer".to_owned())),
        }
    }

    fn abortable(&mut self, why: &str) -> Failure {
        self.library().sender.health = Health::Abortable;
        Failure::Abort(why.to_owned())
    }

    fn fatal(&mut self, why: &str) -> Failure {
        self.library().sender.health = Health::Fatal;
        Failure::Recycle(why.to_owned())
    }

    /// Sends a request of the producer until there is an answer, as the library does by itself. Every answer
    /// that does not come leaves a taint: the request may still be under way.
    fn ask(&mut self, request: &Request) -> Option<Response> {
        let until = self.now + self.setup.timing.call;
        loop {
            match self.exchange([request.clone()]).pop().flatten() {
                Some(Response::Refused(Code::Loading | Code::Concurrent)) => self.back_off(),
                Some(response) => return Some(response),
                None => self.library().sender.tainted = Some("a request was not answered in time"),
            }
            if self.now >= until {
                return None;
            }
        }
    }

    fn back_off(&mut self) {
        let span: Micros = self.random.between(5 * MILLI, 40 * MILLI);
        self.sleep(span);
    }

    /// Tells the coordinator what belongs to the transaction.
    fn add(&mut self, mut targets: Vec<Target>) -> Result<(), Failure> {
        let identity = self.identity();
        let sender = &self.library().sender;
        targets.retain(|target| !sender.added.contains(target));
        let Some(producer) = sender.producer else { return Err(self.fatal("there is no producer")) };
        if targets.is_empty() {
            return Ok(());
        }
        let request = Request::AddTargets { identity, producer, targets: targets.as_slice().into() };
        match self.ask(&request) {
            Some(Response::Refused(_)) => Err(self.fatal("fenced")),
            Some(_) => {
                self.library().sender.added.extend(targets);
                Ok(())
            }
            None => {
                // Whether the coordinator has them is not known: there is something to end.
                self.library().sender.added.extend(targets);
                Err(self.abortable("no answer from the coordinator"))
            }
        }
    }

    /// Sends everything that is queued, and waits until it is in the log.
    fn transmit(&mut self) -> Result<(), Failure> {
        let mut batches: BTreeMap<Slot, Vec<Pair>> = BTreeMap::new();
        for (slot, pair) in self.library().sender.queue.drain(..) {
            batches.entry(slot).or_default().push(pair);
        }
        self.add(batches.keys().map(|slot| Target::Slot(*slot)).collect())?;
        let identity = self.identity();
        let sender = &mut self.library().sender;
        let Some(producer) = sender.producer else { return Err(self.fatal("there is no producer")) };
        let mut open = Vec::new();
        for (slot, pairs) in batches {
            let sequence = sender.sequences.entry(slot).or_default();
            open.push(Request::Produce {
                identity,
                producer,
                slot,
                sequence: *sequence,
                pairs: pairs.as_slice().into(),
            });
            *sequence += pairs.len() as u32;
        }
        let until = self.now + self.setup.timing.call;
        while !open.is_empty() {
            let answers = self.exchange(open.iter().cloned());
            let mut again = Vec::new();
            let mut refused = None;
            for (request, answer) in open.into_iter().zip(answers) {
                match answer {
                    Some(Response::Refused(Code::Loading)) => again.push(request),
                    Some(Response::Refused(code)) => refused = refused.max(Some(code)),
                    Some(_) => {}
                    None => {
                        self.library().sender.tainted = Some("a batch was not acknowledged in time");
                        again.push(request);
                    }
                }
            }
            if refused == Some(Code::Fenced) {
                return Err(self.fatal("fenced"));
            }
            if refused.is_some() || (!again.is_empty() && self.now >= until) {
                self.library().sender.sequence_lost = true;
                return Err(self.abortable("a record cannot be delivered"));
            }
            open = again;
            if !open.is_empty() {
                self.back_off();
            }
        }
        Ok(())
    }

    fn end(&mut self, ending: Ending) -> Result<(), Failure> {
        let identity = self.identity();
        let sender = &self.library().sender;
        let Some(producer) = sender.producer else { return Err(self.fatal("there is no producer")) };
        if !sender.added.is_empty() {
            match self.ask(&Request::EndTransaction { identity, producer, ending }) {
                Some(Response::Refused(_)) => return Err(self.fatal("fenced, or the transaction is gone")),
                Some(_) => {}
                None => return Err(self.fatal("nobody knows how the transaction ended")),
            }
        }
        let sender = &mut self.library().sender;
        sender.close();
        sender.number += 1;
        sender.health = Health::Fine;
        Ok(())
    }
}

/// Reads committed records of a log up to its last stable offset, and looks at no more than `room` offsets.
/// The position behind what was looked at.
fn read(log: &PartitionLog, slot: Slot, from: i64, room: usize, records: &mut Records) -> Result<i64, Failure> {
    if from < log.start() || from > log.end() {
        return Err(Failure::Halt(format!("{slot:?} holds {} to {}, not {from}", log.start(), log.end())));
    }
    let stable = log.stable();
    let mut next = from;
    for record in log.from(from).iter().take(room).take_while(|record| record.offset < stable) {
        if let Some((key, value)) = record.visible() {
            records.push(slot, record.offset, record.appended_at, key.as_deref(), value.as_deref());
        }
        next = record.offset + 1;
    }
    Ok(next)
}

/// Reads partitions outside the group.
pub struct SimReader {
    handle: Handle,
    next: BTreeMap<Slot, i64>,
}

impl Reader for SimReader {
    fn poll(&mut self, wait: Duration, records: &mut Records) -> Result<(), Failure> {
        let next = &mut self.next;
        self.handle.call(Step::ReaderPoll, |turn| {
            let mut moved = false;
            for (slot, next) in next {
                let room = turn.random.below(40) as usize;
                let from = *next;
                *next = read(turn.broker.log(*slot), *slot, from, room, records)?;
                moved |= *next > from;
            }
            if !moved {
                turn.sleep(micros(wait).max(MILLI));
            }
            Ok(())
        })
    }

    fn position(&self, slot: Slot) -> NextOffset {
        self.next.get(&slot).and_then(|next| NextOffset::at(*next)).unwrap_or(NextOffset::START)
    }
}
