//! What stands around a worker whose log is a script: stores in memory, changelogs with nothing in them, and settings.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tollgate::codec::frame::Framing;
use tollgate::codec::partitioner::Partitioner;
use tollgate::config::{self, Overrides};
use tollgate::store::{self, Memory};
use tollgate::stream::{Failure, NextOffset, Partition, Reader, Records, Slot};
use tollgate::worker::headers::Headers;
use tollgate::worker::{Arrival, Checkpoint, Closing, Disk, Framers, Shared};
use tollgate::zones::Zones;

/// Reads changelogs that are empty.
pub struct Nothing;

impl Reader for Nothing {
    fn poll(&mut self, _: Duration, _: &mut Records) -> Result<(), Failure> {
        Ok(())
    }

    fn position(&self, _: Slot) -> NextOffset {
        NextOffset::START
    }
}

/// Stores in memory, all of them new.
pub struct InMemory;

impl Disk for InMemory {
    type Store = Memory;

    fn open(&mut self, _: Partition) -> Result<Memory, store::Error> {
        Ok(Memory::default())
    }

    fn discard(&mut self, _: Partition) -> Result<(), store::Error> {
        panic!("a fresh store is never put aside")
    }
}

/// The settings of one input with one partition, by the configuration of the demo.
pub fn shared() -> Shared {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/demo.toml"));
    let config = config::load(Some(&path), &Overrides::default(), &Zones::new());
    let config = config.unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    Shared {
        setup: Arc::new(config.setup),
        name: config.name,
        enforced: true,
        framers: Framers::new(|_| Framing::SingleObject).expect("schemas of ours"),
        inputs: config.stream.inputs,
        charges: "charges".to_owned(),
        forecasts: None,
        partitions: 1,
        partitioner: Partitioner::default(),
        arrival: Arrival::Log,
        keep_payload: false,
        headers: Headers::Off,
        heartbeats: false,
        gateway_silence: None,
        usage_every: tollgate::domain::time::Millis::minutes(1),
        closing: Closing { age: Duration::from_millis(2), records: 1_000, bytes: 1 << 20 },
        checkpoint: Checkpoint { bytes: 1 << 20, age: Duration::from_secs(10) },
        tombstones_kept: Duration::from_hours(24),
        patience: Duration::from_secs(10),
    }
}
