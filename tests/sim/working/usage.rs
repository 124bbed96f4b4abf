//! What the reader of the reference topics does beside a worker: tells it what ledgers have told of limits and budgets.

use std::sync::Arc;

use tollgate::codec::frame::Writers;
use tollgate::codec::{records, schema, usage};
use tollgate::domain::ledger::usage::Snapshot;
use tollgate::stream::{NextOffset, Partition, Slot, Topic};
use tollgate::worker::{Latest, Used};

use super::planted::Plant;
use crate::time::{MILLI, Micros};
use crate::world::Handle;

/// How long a row is under way at most.
const LAG: Micros = 40 * MILLI;

/// Reads `wa.usage` from its beginning.
pub struct Reader {
    handle: Handle,
    partitions: u32,
    plant: Plant,
    writers: Writers,
    known: Snapshot,
    read: Vec<NextOffset>,
    again: Micros,
}

impl Reader {
    pub fn new(handle: Handle, partitions: u32, plant: Plant) -> Self {
        Self {
            handle,
            partitions,
            plant,
            writers: Writers::of(schema::USAGE).expect("a schema"),
            known: Snapshot::default(),
            read: vec![NextOffset::START; partitions as usize],
            again: 0,
        }
    }

    /// Tells what has come, if it is time to look.
    pub fn look(&mut self, latest: &Latest) {
        let world = self.handle.shared.lock();
        if world.now < self.again {
            return;
        }
        self.again = world.now + LAG;
        let (before, mut rows) = (self.read.clone(), Vec::new());
        for (partition, read) in (0..self.partitions).map(Partition).zip(&mut self.read) {
            let log = world.broker.log(Slot { topic: Topic::Usage, partition });
            let stable = log.stable();
            for record in log.from(read.offset()).iter().take_while(|record| record.offset < stable) {
                rows.extend(record.visible().and_then(|(_, value)| value.clone()));
                *read = NextOffset::after(record.offset);
            }
        }
        drop(world);
        if self.read == before {
            return;
        }
        for row in rows {
            let row = self.writers.read::<records::Usage<'_>>(&row).expect("a row of ours");
            usage::learn(&mut self.known, &row).expect("a row of ours says what it should");
        }
        // Whoever reads on and says that it has not tells what commit records do not name.
        let read = if self.plant == Plant::UsageReadAhead { before } else { self.read.clone() };
        latest.set_used(Arc::new(Used { told: Arc::new(self.known.clone()), read }));
    }
}
