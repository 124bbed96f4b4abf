//! The order in which records of several inputs are folded, and when all of them are.

use std::time::Duration;

use super::super::merge::Appetite;
use super::super::{Disk, Trouble, Worker};
use crate::stream::{Failure, Head, Log, Partition, Records, Slot, Topic};

/// Of an input that others are merged with no more is read once so large a share of what closes a transaction waits.
const HELD: usize = 8;

/// How often the ends of inputs that keep others waiting are asked for.
const ASKED: Duration = Duration::from_millis(5);

impl<L: Log, D: Disk> Worker<L, D> {
    /// Lets a record of one of several inputs wait for those of the others.
    pub(in crate::worker) fn let_wait(&mut self, input: u8, head: &Head, records: &Records) {
        let (now, input) = (self.log.now(), usize::from(input));
        if let Some(task) = self.running(head.slot.partition).filter(|task| task.awaits.is_none()) {
            // What was on its way before the position was set anew.
            if task.merge.next_offset(input).is_some_and(|next| head.offset >= next.offset()) {
                task.merge.push(input, head, records, now);
            }
        }
    }

    /// Folds what waits, in order, as far as the order is certain or was waited for.
    pub(in crate::worker) fn fold_merged(&mut self) -> Result<(), Trouble> {
        let partitions: Vec<Partition> = self.conversations.keys().copied().collect();
        for partition in partitions {
            loop {
                let now = self.log.now();
                let Some(next) = self.running(partition).and_then(|task| task.merge.pop(now)) else {
                    if self.ask_ends(partition)? {
                        continue;
                    }
                    break;
                };
                if next.passed {
                    self.observer.passed_over();
                }
                if let Some(engine) = self.running(partition).and_then(|task| task.engine.as_mut()) {
                    engine.input_may_be_stale(next.passed);
                }
                for head in next.record.heads() {
                    if let Topic::Input(input) = head.slot.topic {
                        self.fold(input, head, &next.record)?;
                    }
                }
                self.close_if_full()?;
            }
        }
        Ok(())
    }

    /// Asks for the ends of inputs that keep others waiting. Tells whether it did.
    fn ask_ends(&mut self, partition: Partition) -> Result<bool, Trouble> {
        let now = self.log.now();
        let Some(task) = self.running(partition).filter(|task| now.saturating_sub(task.asked) >= ASKED) else {
            return Ok(false);
        };
        let behind = task.merge.behind();
        if behind.is_empty() {
            return Ok(false);
        }
        task.asked = now;
        for input in behind {
            let slot = Slot { topic: Topic::Input(input as u8), partition };
            let end = match self.log.end(slot) {
                Ok(end) => end,
                Err(Failure::Busy(_)) => return Ok(false),
                Err(failure) => return Err(Trouble::Log(failure)),
            };
            let reached = self.log.glance(slot).reached;
            if let Some(task) = self.running(partition) {
                task.merge.ended(input, end, reached);
            }
        }
        Ok(true)
    }

    /// Reads no more of inputs of which much waits for the others, and goes on with those of which little is left.
    pub(in crate::worker) fn hold_back(&mut self) -> Result<(), Trouble> {
        let room = self.shared.closing.bytes / HELD;
        let (mut sated, mut again) = (Vec::new(), Vec::new());
        for (partition, task) in &self.conversations {
            let Some(task) = task.running.as_ref().filter(|task| task.awaits.is_none()) else {
                continue;
            };
            for input in 0..self.shared.inputs.len() {
                let slot = Slot { topic: Topic::Input(input as u8), partition: *partition };
                match task.merge.appetite(input, room) {
                    Appetite::Same => {}
                    Appetite::Sated => sated.push(slot),
                    Appetite::Again(next) => again.push((slot, next)),
                }
            }
        }
        if !sated.is_empty() {
            self.log.pause(&sated)?;
        }
        if !again.is_empty() {
            self.log.resume(&again)?;
        }
        let held = sated.into_iter().map(|slot| (slot, true)).chain(again.into_iter().map(|(slot, _)| (slot, false)));
        for (slot, held) in held {
            if let (Topic::Input(input), Some(task)) = (slot.topic, self.running(slot.partition)) {
                task.merge.hold(usize::from(input), held);
            }
        }
        Ok(())
    }

    /// Whether everything that the inputs of a partition hold is folded, as far as is known.
    pub(in crate::worker) fn is_at_end(&mut self, partition: Partition) -> Result<bool, Trouble> {
        let task = self.running(partition).filter(|task| task.awaits.is_none() && task.merge.is_empty());
        let Some(read) = task.map(|task| task.read.clone()) else {
            return Ok(false);
        };
        for (input, read) in (0..).zip(read) {
            let slot = Slot { topic: Topic::Input(input), partition };
            let glance = self.log.glance(slot);
            let end = match glance.end.map_or_else(|| self.log.end(slot), Ok) {
                Ok(end) => end,
                Err(Failure::Busy(_)) => return Ok(false),
                Err(failure) => return Err(failure.into()),
            };
            // Markers and aborted records have offsets, and never come.
            if Some(read).max(glance.reached) < Some(end) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
