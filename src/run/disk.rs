//! Where the stores of partitions are: a directory each.

use std::path::PathBuf;

use crate::store;
use crate::stream::Partition;
use crate::worker::Disk;

/// The directory of a deployment's state.
pub struct Stores {
    directory: PathBuf,
    #[cfg_attr(not(feature = "rocksdb"), allow(dead_code, reason = "what is in memory has no other bound"))]
    memory: usize,
}

impl Stores {
    /// The stores of a directory, each with so much memory.
    pub const fn new(directory: PathBuf, memory: usize) -> Self {
        Self { directory, memory }
    }

    fn place(&self, partition: Partition) -> PathBuf {
        self.directory.join(format!("partition-{}", partition.0))
    }
}

fn disk(error: &std::io::Error) -> store::Error {
    store::Error::Disk(error.to_string())
}

#[cfg(feature = "rocksdb")]
impl Disk for Stores {
    type Store = store::Rocks;

    fn open(&mut self, partition: Partition) -> Result<store::Rocks, store::Error> {
        let place = self.place(partition);
        std::fs::create_dir_all(&place).map_err(|error| disk(&error))?;
        store::Rocks::open(&place, self.memory).map(store::Rocks::unforced)
    }

    fn discard(&mut self, partition: Partition) -> Result<(), store::Error> {
        let place = self.place(partition);
        let mut number = 0;
        let mut aside = place.with_extension("aside");
        while aside.exists() {
            number += 1;
            aside = place.with_extension(format!("aside-{number}"));
        }
        std::fs::rename(&place, aside).map_err(|error| disk(&error))
    }
}

/// Without RocksDB the state is in memory, and every start builds it anew from the changelogs.
#[cfg(not(feature = "rocksdb"))]
impl Disk for Stores {
    type Store = store::Memory;

    fn open(&mut self, partition: Partition) -> Result<store::Memory, store::Error> {
        let _ = self.place(partition);
        Ok(store::Memory::default())
    }

    fn discard(&mut self, _: Partition) -> Result<(), store::Error> {
        let _ = disk;
        Ok(())
    }
}
