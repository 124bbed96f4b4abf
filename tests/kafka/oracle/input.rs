//! The inputs of a partition, and what else is read back from the log to fold them again.

use std::ops::Range;

use tollgate::stream::Topic;

use crate::cluster::Deployment;
use crate::ledgers::Told;
use crate::reading::{Isolation, scan};

/// Where a key or a value lies among the bytes of a partition.
type Part = Option<Range<usize>>;

/// A record of the input.
#[derive(Clone, Copy)]
pub struct Given<'r> {
    pub offset: i64,
    pub appended_at: i64,
    pub key: Option<&'r [u8]>,
    pub value: Option<&'r [u8]>,
}

/// A partition of an input, as it was read.
pub struct Input {
    pub heads: Vec<(i64, i64, Part, Part)>,
    bytes: Vec<u8>,
}

impl Input {
    pub fn read(deployment: &Deployment, topic: Topic, partition: u32) -> Self {
        let mut input = Self { heads: Vec::new(), bytes: Vec::new() };
        scan(deployment.bootstrap(), &deployment.topic(topic), [partition], Isolation::Committed, |read| {
            let mut keep = |part: &[u8]| {
                let start = input.bytes.len();
                input.bytes.extend_from_slice(part);
                start..input.bytes.len()
            };
            let (key, value) = (read.key.map(&mut keep), read.value.map(&mut keep));
            input.heads.push((read.offset, read.appended_at, key, value));
        });
        input
    }

    pub fn record(&self, index: usize) -> Option<Given<'_>> {
        let (offset, appended_at, key, value) = self.heads.get(index)?;
        let part = |range: &Part| range.clone().and_then(|range| self.bytes.get(range));
        Some(Given { offset: *offset, appended_at: *appended_at, key: part(key), value: part(value) })
    }

    /// The position behind the last record. The partition's end may be behind that: heartbeats come in transactions, and
    /// a marker follows.
    pub fn end(&self) -> i64 {
        self.heads.last().map_or(0, |(offset, ..)| offset + 1)
    }
}

/// The charges of a partition, by their offsets.
pub fn charges(deployment: &Deployment, partition: u32) -> Vec<(i64, Vec<u8>)> {
    let mut charges = Vec::new();
    let topic = deployment.topic(Topic::Charges);
    scan(deployment.bootstrap(), &topic, partition..=partition, Isolation::Committed, |read| {
        charges.push((read.offset, read.value.unwrap_or_default().to_vec()));
    });
    charges
}

/// What ledgers have told, in the order of the log. Nothing was compacted away: a segment that is written to never is, and
/// none of the tests' is full.
pub fn told(deployment: &Deployment) -> Vec<Told> {
    let mut told = Vec::new();
    let all = 0..deployment.plan.partitions;
    scan(deployment.bootstrap(), &deployment.topic(Topic::Usage), all, Isolation::Committed, |read| {
        let key = String::from_utf8_lossy(read.key.unwrap_or_default()).into_owned();
        let value = read.value.unwrap_or_default().to_vec();
        told.push(Told { partition: read.partition, offset: read.offset, key, value });
    });
    told
}
