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

    /// The folder stays beside the others as `partition-N.aside` for whoever wants to look at it, until the next of the
    /// same partition is put aside: a disk must not fill up with what nothing reads.
    fn discard(&mut self, partition: Partition) -> Result<(), store::Error> {
        let place = self.place(partition);
        let aside = place.with_extension("aside");
        if aside.exists() {
            std::fs::remove_dir_all(&aside).map_err(|error| disk(&error))?;
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

#[cfg(feature = "rocksdb")]
#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Batch, Store};

    #[test]
    fn a_store_that_is_put_aside_is_made_anew_and_kept_until_the_next_one_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut stores = Stores::new(directory.path().to_owned(), 1 << 20);
        let (first, other) = (Partition(1), Partition(11));
        for value in [b"first", b"again"] {
            let mut store = stores.open(first).expect("a store");
            assert_eq!(store.get(b"key").expect("it can be read"), None, "it is made anew");
            let mut batch = Batch::default();
            batch.put(b"key", value);
            store.commit(batch).expect("it can be written");
            drop(store);
            drop(stores.open(other).expect("another store"));
            stores.discard(first).expect("it is put aside");
        }
        let mut left: Vec<_> = std::fs::read_dir(directory.path()).expect("the directory").flatten().collect();
        left.sort_by_key(std::fs::DirEntry::file_name);
        let left: Vec<_> = left.iter().map(std::fs::DirEntry::file_name).collect();
        assert_eq!(left, ["partition-1.aside", "partition-11"]);
        let kept =
            store::Rocks::open(&directory.path().join("partition-1.aside"), 1 << 20).expect("what was put aside");
        assert_eq!(kept.get(b"key").expect("it can be read"), Some(b"again".to_vec()));
    }
}
