//! Markers of transactions, read from the files of the log itself, so that how often a transaction was cut off does
//! not depend on anybody's word.

use std::collections::BTreeMap;
use std::path::Path;

/// The size of a batch's head.
const HEAD: usize = 61;
/// The attribute bit of batches that belong to a transaction.
const TRANSACTIONAL: i16 = 0x10;
/// The attribute bit of batches that are markers.
const CONTROL: i16 = 0x20;

/// The end of a transaction, as it is written to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Marker {
    pub producer: i64,
    pub epoch: i16,
    pub commits: bool,
    /// Whether its epoch is later than that of what it ends: it was not the producer that ended it, but the next one
    /// of its name, or the broker.
    pub cut_off: bool,
    /// When it was written, in milliseconds since the epoch.
    pub at: i64,
}

/// What the files of a topic tell of transactions.
#[derive(Debug, Default)]
pub struct Transactions {
    pub markers: Vec<Marker>,
    /// Records of transactions that were aborted.
    pub aborted_records: u64,
    /// Records of transactions that are still open.
    pub open_records: u64,
    /// Transactions whose end was never written and that went on under another epoch of their producer: the epochs
    /// before and after. Only the broker can do that (Kafka 4.3.1 may, KAFKA-20734).
    pub joined: Vec<(i64, i16, i16)>,
}

impl Transactions {
    /// Transactions that were aborted because their producer was gone: each once, in however many partitions it
    /// wrote. Cutting one off raises the epoch, so that producer and epoch name it.
    pub fn cut_off(&self) -> BTreeMap<(i64, i16), i64> {
        let ends = self.markers.iter().filter(|marker| !marker.commits && marker.cut_off);
        ends.map(|marker| ((marker.producer, marker.epoch), marker.at)).collect()
    }

    /// Takes in another topic's.
    pub fn add(&mut self, other: Self) {
        self.markers.extend(other.markers);
        self.aborted_records += other.aborted_records;
        self.open_records += other.open_records;
        self.joined.extend(other.joined);
    }
}

/// Reads all partitions of a topic from a broker's directory.
pub fn transactions(data: &Path, topic: &str, partitions: u32) -> Transactions {
    let mut found = Transactions::default();
    for partition in 0..partitions {
        let folder = data.join(format!("{topic}-{partition}"));
        let entries = std::fs::read_dir(&folder).expect("the partition's directory");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        let mut open = Open::new();
        for file in files {
            read(&std::fs::read(file).expect("a segment"), &mut open, &mut found);
        }
        found.open_records += open.values().map(|(_, records)| records).sum::<u64>();
    }
    found
}

/// The open transaction of each producer: its epoch, and how many records it has.
type Open = BTreeMap<i64, (i16, u64)>;

fn read(segment: &[u8], open: &mut Open, found: &mut Transactions) {
    let mut rest = segment;
    while let Some(head) = rest.first_chunk::<HEAD>() {
        let int = |at: usize| i32::from_be_bytes(*head[at..].first_chunk().expect("inside the head"));
        let long = |at: usize| i64::from_be_bytes(*head[at..].first_chunk().expect("inside the head"));
        let short = |at: usize| i16::from_be_bytes(*head[at..].first_chunk().expect("inside the head"));
        let length = 12 + usize::try_from(int(8)).unwrap_or_default();
        // Files are as long as they may become where a broker was killed; what was never written is zero.
        if length <= 12 || length > rest.len() {
            return;
        }
        let (attributes, at, producer, epoch) = (short(21), long(35), long(43), short(51));
        if attributes & CONTROL != 0 {
            // The key of the only record is a version and a kind of two bytes each, behind five numbers of
            // variable length, all of which are small.
            let kind = rest[HEAD..length].get(8);
            let commits = kind == Some(&1);
            let (began, records) = open.remove(&producer).unwrap_or((epoch, 0));
            found.markers.push(Marker { producer, epoch, commits, cut_off: epoch > began, at });
            found.aborted_records += if commits { 0 } else { records };
        } else if attributes & TRANSACTIONAL != 0 {
            let (began, records) = open.entry(producer).or_insert((epoch, 0));
            if *began != epoch {
                found.joined.push((producer, *began, epoch));
                *began = epoch;
            }
            *records += u64::try_from(int(57)).unwrap_or_default();
        }
        rest = &rest[length..];
    }
}
