//! A partition waits: for a schema, or for room on the disk.

use std::time::Duration;

use super::super::{Disk, Trouble, Worker};
use super::{Conversation, Merge};
use crate::stream::{Log, Partition};

/// How soon a partition that waits for a schema asks again whether it is there. Whoever is asked answers at once.
const SCHEMA_AGAIN: Duration = Duration::from_millis(20);

/// How often a partition says that it still waits for a schema, and why.
const SCHEMA_TOLD: Duration = Duration::from_secs(2);

/// What is waited for.
pub(super) enum Awaited {
    /// A schema.
    Schema {
        id: u32,
        /// When it is asked for again.
        again: Duration,
        /// When that was last said.
        told: Duration,
    },
    /// Room on the disk.
    Room,
}

impl<L: Log, D: Disk> Worker<L, D> {
    /// Lets a partition wait for a schema. The others go on, and nothing that was read of them is read again.
    pub(super) fn await_schema(&mut self, partition: Partition, schema: u32) -> Result<(), Trouble> {
        let now = self.log.now();
        if let Some(task) = self.running(partition) {
            task.awaits = Some(Awaited::Schema { id: schema, again: now + SCHEMA_AGAIN, told: now });
            task.merge = Merge::new(&task.read);
        }
        let slots = self.input_slots(partition);
        Ok(self.log.pause(&slots)?)
    }

    /// Lets a partition wait until the disk has room: no more rows fit into memory either.
    pub(in crate::worker) fn await_room(&mut self, partition: Partition) -> Result<(), Trouble> {
        if let Some(task) = self.running(partition) {
            task.awaits = Some(Awaited::Room);
            task.merge = Merge::new(&task.read);
        }
        let slots = self.input_slots(partition);
        Ok(self.log.pause(&slots)?)
    }

    /// Ends the waiting of partitions whose schema is there, or is known to be none.
    pub(in crate::worker) fn end_pauses(&mut self) -> Result<(), Trouble> {
        if !self.conversations.values().any(Conversation::is_paused) {
            return Ok(());
        }
        let now = self.log.now();
        let awaits = |task: &Conversation<D::Store>| match task.running.as_ref()?.awaits {
            Some(Awaited::Schema { id, again, .. }) => Some((id, again)),
            Some(Awaited::Room) | None => None,
        };
        let waiting = self.conversations.iter().filter_map(|(partition, task)| Some((*partition, awaits(task)?)));
        let due: Vec<_> = waiting.filter(|(_, (_, again))| *again <= now).collect();
        for (partition, (schema, _)) in due {
            match (self.schemas)(schema) {
                Err(why) => {
                    let awaited = self.running(partition).and_then(|task| task.awaits.as_mut());
                    if let Some(Awaited::Schema { again, told, .. }) = awaited {
                        *again = now + SCHEMA_AGAIN;
                        if now.saturating_sub(*told) >= SCHEMA_TOLD {
                            *told = now;
                            tracing::warn!(partition = partition.0, schema, why, "still waits for a schema");
                        }
                    }
                }
                Ok(found) => {
                    // Records with a schema that is none become dead letters, as those without one do.
                    if let Some(Err(error)) = found.map(|text| self.writers.add_registered(schema, &text)) {
                        tracing::warn!(schema, %error, "what the registry gives is no schema");
                    }
                    self.read_again(partition)?;
                    tracing::info!(partition = partition.0, schema, "goes on");
                }
            }
        }
        Ok(())
    }

    /// Reads the inputs of a partition again, from what is folded next.
    pub(in crate::worker) fn read_again(&mut self, partition: Partition) -> Result<(), Trouble> {
        let slots = self.input_slots(partition);
        let Some(task) = self.running(partition) else {
            return Ok(());
        };
        let positions: Vec<_> = slots.into_iter().zip(task.read.iter().copied()).collect();
        // Where everything is to be told to the log anew, this is told with it.
        if !self.stale {
            self.log.resume(&positions)?;
        }
        if let Some(task) = self.running(partition) {
            task.awaits = None;
        }
        Ok(())
    }
}
