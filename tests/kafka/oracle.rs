//! What must have come out, worked out without worker, store or Kafka: each partition's input is read back from the
//! log and folded in process. And whether group, commit records, changelogs and stores agree with it.
//!
//! Anomalies have the names that Jepsen gives them. They name topics, offsets and ids, never what a record says.

mod changelog;
mod fold;
mod input;
mod outputs;
mod stores;

use std::collections::BTreeMap;
use std::fmt;

use changelog::Changelogs;
use fold::Oracle;
use input::{Input, charges, told};
use outputs::{Outputs, compare};
use stores::check_stores;
use tollgate::stream::Topic;
use tollgate::worker::position::Position;

use crate::cluster::{ByPartition, Deployment};
use crate::ledgers::Usage;
use crate::ledgers::reached::Reached;
use crate::reading::{Isolation, Positions, scan};

/// What a reader of outputs may see.
const OUTPUTS: [Topic; 7] = [
    Topic::Charges,
    Topic::Verdicts,
    Topic::Billing,
    Topic::Windows,
    Topic::WindowState,
    Topic::Outcomes,
    Topic::DeadLetters,
];

/// How many anomalies are told; of the others only how many there are.
const TOLD: usize = 12;

/// How large the position row is before the position.
const META: usize = 25;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anomaly {
    /// Something that follows from the input is not there.
    LostWrite,
    /// Something is there more often than it follows from the input.
    Duplicate,
    /// Something is there that follows from nothing that was committed.
    AbortedRead,
    /// Of what one transaction holds a part is there, and another part is not.
    TornTransaction,
    /// Something follows from a state that is not that of what was read before.
    StaleState,
}

/// Everything that went wrong.
#[derive(Debug, Default)]
pub struct Findings {
    found: BTreeMap<Anomaly, (u64, Vec<String>)>,
}

impl Findings {
    fn add(&mut self, anomaly: Anomaly, what: impl FnOnce() -> String) {
        let (count, told) = self.found.entry(anomaly).or_default();
        *count += 1;
        if told.len() < TOLD {
            told.push(what());
        }
    }

    fn unless(&mut self, holds: bool, anomaly: Anomaly, what: impl FnOnce() -> String) {
        if !holds {
            self.add(anomaly, what);
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (anomaly, (count, told)) in &self.found {
            writeln!(f, "{anomaly:?}: {count}")?;
            for what in told {
                writeln!(f, "  {what}")?;
            }
        }
        Ok(())
    }
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Figures {
    /// Records of the inputs.
    pub records: u64,
    /// Records of the outputs that readers of committed records see.
    pub outputs: u64,
    /// Records of the outputs besides those, which only readers of all records see.
    pub aborted: u64,
    /// Transactions by their commit records, one for every partition it touched.
    pub commits: u64,
    /// Commit records between two deadlines that one record's arrival has passed.
    pub between_deadlines: u64,
    /// Asks of several inputs that came too late for a verdict, because their topic was passed over.
    pub late_asks: u64,
    /// Rows of the changelogs.
    pub rows: u64,
    /// Rows of stores that were compared.
    pub stored: u64,
    /// What of the ledger's rules was compared.
    pub reached: Reached,
}

/// Compares everything that a deployment has left behind. Its processes have ended in order.
///
/// # Panics
/// With all anomalies.
pub fn check(deployment: &Deployment) -> Figures {
    let mut findings = Findings::default();
    let mut figures = Figures::default();
    let mut oracle = Oracle::of(deployment);
    let mut expected = Outputs::new();
    let positions = Positions::of(deployment.bootstrap(), deployment.plan.name);
    let inputs: Vec<Topic> = (0..deployment.plan.inputs).map(Topic::Input).collect();
    let groups: Vec<_> = inputs.iter().map(|topic| committed(&positions, deployment, *topic)).collect();
    let noted = inputs.iter().copied().chain([Topic::Charges]).map(|topic| {
        let notes = positions.notes(&deployment.topic(topic), deployment.plan.partitions);
        (topic, notes.expect("what is noted beside the group's positions"))
    });
    let notes: Vec<_> = noted.collect();
    let mut usage = Usage::new(told(deployment), oracle.reader.writers(Topic::Usage));
    let mut asks: BTreeMap<(String, String), i64> = BTreeMap::new();
    for partition in 0..deployment.plan.partitions {
        let changelog = Changelogs::read(deployment, partition, &mut findings);
        let mut records: Vec<Input> = inputs.iter().map(|topic| Input::read(deployment, *topic, partition)).collect();
        for input in &records {
            oracle.learn_schemas(input);
        }
        if let Some(last) = changelog.last().filter(|_| deployment.plan.by_log) {
            for (input, range) in records.iter_mut().zip(&last.inputs) {
                oracle.leave_heartbeats(input, range.next.offset());
            }
        }
        let ends: Vec<i64> = records.iter().map(Input::end).collect();
        figures.records += records.iter().map(|input| input.heads.len() as u64).sum::<u64>();
        figures.commits += changelog.commits.len() as u64;
        figures.between_deadlines += changelog.commits.iter().filter(|commit| commit.cursor.is_some()).count() as u64;
        figures.rows += (changelog.contacts.len() + changelog.messages.len()) as u64;
        changelog.check(partition, &ends, &mut findings);
        let last: Vec<i64> = changelog.last().map_or_else(Vec::new, next_offsets);
        let group: Vec<i64> = groups.iter().filter_map(|group| *group.get(&partition)?).collect();
        findings.unless(last == group, Anomaly::TornTransaction, || {
            format!("partition {partition}: the last commit record ends at {last:?}, and the group stands at {group:?}")
        });
        for (topic, notes) in &notes {
            let note = changelog.last().map_or_else(String::new, |last| format!("transaction {}", last.sequence));
            findings.unless(notes.get(&partition) == Some(&note), Anomaly::TornTransaction, || {
                format!("{topic:?}, partition {partition}: {:?} is noted, and not `{note}`", notes.get(&partition))
            });
        }
        if let [input] = &records[..] {
            let log = (input, &charges(deployment, partition)[..]);
            oracle.fold(partition, log, (&changelog, &mut usage), &mut expected, (&mut figures, &mut findings));
        } else {
            for input in &records {
                oracle.add_asks(input, &mut asks);
            }
        }
        check_stores(deployment, partition, &changelog, &mut figures, &mut findings);
    }
    check_charges_position(&positions, deployment, &mut findings);
    if inputs.len() == 1 {
        compare(deployment, &oracle.reader, &mut expected, &mut figures, &mut findings);
    } else {
        oracle.check_without_order(deployment, asks, &mut figures, &mut findings);
    }
    assert!(findings.found.is_empty(), "anomalies after {figures:?}:\n{findings}");
    figures
}

fn committed(positions: &Positions, deployment: &Deployment, topic: Topic) -> BTreeMap<u32, Option<i64>> {
    let found = positions.committed(&deployment.topic(topic), deployment.plan.partitions);
    found.expect("the group's positions")
}

fn next_offsets(position: &Position) -> Vec<i64> {
    position.inputs.iter().map(|range| range.next.offset()).collect()
}

/// The group stands behind the last charge that can be seen, and not behind the end.
fn check_charges_position(positions: &Positions, deployment: &Deployment, findings: &mut Findings) {
    let mut last = ByPartition::new();
    let all = 0..deployment.plan.partitions;
    scan(deployment.bootstrap(), &deployment.topic(Topic::Charges), all, Isolation::Committed, |read| {
        last.insert(read.partition, read.offset);
    });
    for (partition, stands) in committed(positions, deployment, Topic::Charges) {
        let behind = last.get(&partition).map_or(0, |offset| offset + 1);
        // It is committed with whatever the partition's other stage does, charges or not.
        findings.unless(stands.unwrap_or(0) == behind, Anomaly::TornTransaction, || {
            format!(
                "charges, partition {partition}: the group stands at {stands:?}, and the last charge before {behind:?}"
            )
        });
    }
}
