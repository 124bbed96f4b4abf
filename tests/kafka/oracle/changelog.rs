//! The changelogs of a partition: its commit records and its rows.

use std::collections::BTreeMap;

use tollgate::domain::time::Timestamp;
use tollgate::engine;
use tollgate::store::keys;
use tollgate::stream::Topic;
use tollgate::worker::position::Position;

use super::{Anomaly, Findings, next_offsets};
use crate::cluster::Deployment;
use crate::ledgers::time_of;
use crate::reading::{Isolation, Read, scan};

/// Rows by their keys.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// The changelogs of a partition.
pub struct Changelogs {
    pub commits: Vec<Position>,
    /// How far time had come at each of them.
    pub times: Vec<Option<Timestamp>>,
    /// The sequence numbers of the messages changelog.
    messages_commits: Vec<u64>,
    pub meta: Option<Vec<u8>>,
    pub contacts: Rows,
    pub messages: Rows,
}

impl Changelogs {
    pub fn read(deployment: &Deployment, partition: u32, findings: &mut Findings) -> Self {
        let mut all = Self {
            commits: Vec::new(),
            times: Vec::new(),
            messages_commits: Vec::new(),
            meta: None,
            contacts: Rows::new(),
            messages: Rows::new(),
        };
        for topic in [Topic::Contacts, Topic::Messages] {
            scan(deployment.bootstrap(), &deployment.topic(topic), [partition], Isolation::Committed, |read| {
                all.take(topic, read, findings);
            });
        }
        all
    }

    fn take(&mut self, topic: Topic, read: Read<'_>, findings: &mut Findings) {
        let key = read.key.unwrap_or_default();
        if key == keys::meta() {
            let row = read.value.unwrap_or_default();
            match engine::position_of(row).and_then(|bytes| Position::read(&bytes)) {
                Ok(position) if topic == Topic::Messages => self.messages_commits.push(position.sequence),
                Ok(position) => {
                    self.commits.push(position);
                    self.times.push(time_of(row));
                    self.meta = Some(row.to_vec());
                }
                Err(error) => findings.add(Anomaly::TornTransaction, || {
                    format!(
                        "{topic:?}, partition {}, offset {}: no commit record: {error}",
                        read.partition, read.offset
                    )
                }),
            }
            return;
        }
        let rows = if topic == Topic::Contacts { &mut self.contacts } else { &mut self.messages };
        match read.value {
            Some(value) => rows.insert(key.to_vec(), value.to_vec()),
            None => rows.remove(key),
        };
    }

    pub fn last(&self) -> Option<&Position> {
        self.commits.last()
    }

    /// Commit records follow each other without a gap, in both changelogs, and tile the inputs.
    pub fn check(&self, partition: u32, ends: &[i64], findings: &mut Findings) {
        let torn = Anomaly::TornTransaction;
        let (mut stands, mut priced) = (vec![0; ends.len()], Some(0));
        for (expected, commit) in (1..).zip(&self.commits) {
            findings.unless(commit.sequence == expected, torn, || {
                format!("partition {partition}: commit record {} where {expected} follows", commit.sequence)
            });
            let from: Vec<i64> = commit.inputs.iter().map(|range| range.from.offset()).collect();
            findings.unless(from == stands, torn, || {
                format!("partition {partition}, transaction {expected}: it read from {from:?}, and {stands:?} was next")
            });
            stands = next_offsets(commit);
            // Only the newer format tells of the charges.
            if let (Some(range), Some(priced)) = (commit.charges, priced) {
                findings.unless(range.from.offset() == priced, torn, || {
                    format!(
                        "partition {partition}, transaction {expected}: it priced charges from {}, and {priced} was next",
                        range.from.offset()
                    )
                });
            }
            priced = commit.charges.map(|range| range.next.offset());
        }
        findings.unless(stands == ends, Anomaly::LostWrite, || {
            format!("partition {partition}: transactions have read up to {stands:?}, and the inputs end at {ends:?}")
        });
        let sequences: Vec<u64> = self.commits.iter().map(|commit| commit.sequence).collect();
        findings.unless(sequences == self.messages_commits, torn, || {
            format!(
                "partition {partition}: {} ends of transactions in the contacts changelog and {} in that of messages",
                sequences.len(),
                self.messages_commits.len()
            )
        });
    }
}
