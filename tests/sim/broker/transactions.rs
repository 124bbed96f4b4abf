//! The transaction coordinator, as it speaks to clients of the old protocol: an epoch lives for many
//! transactions, so a request that comes late may find a transaction it was not meant for.

use std::collections::{BTreeMap, BTreeSet};

use tollgate::stream::Slot;

use super::Code;
use super::partition::{Ending, Producer};

/// Where a marker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Slot(Slot),
    /// The group's pending offsets.
    Offsets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Empty,
    Ongoing,
    Preparing(Ending),
    Complete(Ending),
}

/// What the coordinator knows of one transactional id.
struct State {
    producer: Producer,
    phase: Phase,
    targets: BTreeSet<Target>,
    /// Counts transactions, so that a timeout knows which one it is of.
    number: u64,
}

/// Something that the coordinator has decided and that takes its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A transaction has begun, and may time out.
    Began { identity: usize, number: u64 },
    /// A marker is to be written. Whether somebody has asked for the end, or the coordinator saw to it by itself.
    Mark { identity: usize, number: u64, producer: Producer, target: Target, ending: Ending, asked: bool },
}

/// The coordinator of all transactional ids.
#[derive(Default)]
pub struct Transactions {
    states: BTreeMap<usize, State>,
    decisions: Vec<Decision>,
}

impl Transactions {
    /// What has been decided since this was last asked.
    pub fn decisions(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.decisions)
    }

    /// What has been decided and not been asked for yet.
    pub fn undecided(&self) -> &[Decision] {
        &self.decisions
    }

    /// Whether no transaction is open or about to end.
    pub fn at_rest(&self) -> bool {
        self.states.values().all(|state| matches!(state.phase, Phase::Empty | Phase::Complete(_)))
    }

    /// Whether the last transaction of a transactional id has been decided on, whether or not it has ended.
    pub fn is_decided(&self, identity: usize) -> bool {
        self.states.get(&identity).is_some_and(|state| matches!(state.phase, Phase::Preparing(_) | Phase::Complete(_)))
    }

    fn prepare(&mut self, identity: usize, ending: Ending, asked: bool) {
        let Some(state) = self.states.get_mut(&identity) else { return };
        state.phase = Phase::Preparing(ending);
        let (number, producer) = (state.number, state.producer);
        let mark = |target: &Target| Decision::Mark { identity, number, producer, target: *target, ending, asked };
        self.decisions.extend(state.targets.iter().map(mark));
        if state.targets.is_empty() {
            state.phase = Phase::Complete(ending);
        }
    }

    /// A new life for a transactional id. What it had open is aborted, what was ending ends first: until
    /// then the answer is [`Code::Concurrent`].
    pub fn init(&mut self, identity: usize) -> Result<Producer, Code> {
        let fresh = State {
            producer: Producer { id: identity as u64, epoch: -1 },
            phase: Phase::Empty,
            targets: BTreeSet::new(),
            number: 0,
        };
        let state = self.states.entry(identity).or_insert(fresh);
        match state.phase {
            Phase::Preparing(_) => Err(Code::Concurrent),
            Phase::Ongoing => {
                state.producer.epoch += 1;
                self.prepare(identity, Ending::Abort, false);
                Err(Code::Concurrent)
            }
            Phase::Empty | Phase::Complete(_) => {
                state.producer.epoch += 1;
                state.phase = Phase::Empty;
                Ok(state.producer)
            }
        }
    }

    fn of(&mut self, identity: usize, producer: Producer) -> Result<&mut State, Code> {
        let state = self.states.get_mut(&identity).ok_or(Code::InvalidState)?;
        if state.producer == producer { Ok(state) } else { Err(Code::Fenced) }
    }

    /// Adds partitions, or the group's offsets, to the transaction, and begins one where none is open.
    pub fn add(&mut self, identity: usize, producer: Producer, targets: &[Target]) -> Result<(), Code> {
        let state = self.of(identity, producer)?;
        match state.phase {
            Phase::Preparing(_) => return Err(Code::Concurrent),
            Phase::Ongoing => {}
            Phase::Empty | Phase::Complete(_) => {
                state.phase = Phase::Ongoing;
                state.targets.clear();
                state.number += 1;
                let number = state.number;
                self.decisions.push(Decision::Began { identity, number });
            }
        }
        self.of(identity, producer)?.targets.extend(targets);
        Ok(())
    }

    /// Whether a target belongs to the producer's open transaction: brokers ask before they write.
    pub fn verify(&mut self, identity: usize, producer: Producer, target: Target) -> Result<(), Code> {
        let state = self.of(identity, producer)?;
        if state.phase == Phase::Ongoing && state.targets.contains(&target) { Ok(()) } else { Err(Code::InvalidState) }
    }

    /// Ends the transaction of the producer, whichever it is by now: nothing in the old protocol names it.
    pub fn end(&mut self, identity: usize, producer: Producer, ending: Ending) -> Result<(), Code> {
        let state = self.of(identity, producer)?;
        match state.phase {
            Phase::Ongoing => {
                self.prepare(identity, ending, true);
                Ok(())
            }
            Phase::Complete(done) if done == ending => Ok(()),
            Phase::Preparing(done) if done == ending => Err(Code::Concurrent),
            Phase::Empty | Phase::Complete(_) | Phase::Preparing(_) => Err(Code::InvalidState),
        }
    }

    /// A transaction was open for too long: it is aborted and its producer fenced. Whether it was so.
    pub fn time_out(&mut self, identity: usize, number: u64) -> bool {
        let Some(state) = self.states.get_mut(&identity) else { return false };
        let still_open = state.phase == Phase::Ongoing && state.number == number;
        if still_open {
            state.producer.epoch += 1;
            self.prepare(identity, Ending::Abort, false);
        }
        still_open
    }

    /// A marker has been written. With the last one the transaction is complete.
    pub fn marked(&mut self, identity: usize, number: u64, target: Target) {
        let Some(state) = self.states.get_mut(&identity) else { return };
        if let Phase::Preparing(ending) = state.phase
            && state.number == number
        {
            state.targets.remove(&target);
            if state.targets.is_empty() {
                state.phase = Phase::Complete(ending);
            }
        }
    }
}
