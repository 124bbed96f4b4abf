//! Outputs: those that must be there, and how they are found again.

use std::collections::{BTreeMap, HashMap};

use tollgate::codec::frame::Writers;
use tollgate::codec::schema::RecordSchema;
use tollgate::codec::{charge, ids, records, schema};
use tollgate::stream::Topic;
use tollgate::worker::SWEPT;

use super::fold::Registered;
use super::{Anomaly, Figures, Findings, OUTPUTS};
use crate::cluster::Deployment;
use crate::ledgers::reached::Reached;
use crate::reading::{Isolation, Read, scan};

/// The record that an output follows from: its topic, partition and offset.
pub type From = (Topic, u32, i64);

/// An output that must be there.
pub struct Expected {
    pub topic: Topic,
    pub partition: u32,
    /// The output's own id; nothing where it has none.
    pub id: Option<[u8; 16]>,
    pub from: From,
    /// How often it is still to be found.
    pub left: i64,
    /// Whether a reader of all records has seen it.
    pub seen: bool,
}

/// The outputs that must be there, by all that a reader gets of them.
pub type Outputs = HashMap<[u8; 16], Expected>;

pub fn name_of(topic: Topic, partition: u32, key: Option<&[u8]>, value: Option<&[u8]>) -> [u8; 16] {
    let place = OUTPUTS.iter().position(|known| *known == topic).expect("an output");
    let there = [u8::from(key.is_some()), u8::from(value.is_some()), u8::try_from(place).expect("few topics")];
    ids::hash(&[&there, &partition.to_be_bytes(), key.unwrap_or_default(), value.unwrap_or_default()])
}

/// An output that must not be there.
struct Stranger {
    topic: Topic,
    partition: u32,
    offset: i64,
    id: Option<[u8; 16]>,
    says: String,
}

/// Reads outputs.
pub struct Ids {
    pub verdicts: Writers,
    pub billing: Writers,
    windows: Writers,
    outcomes: Writers,
    pub letters: Writers,
    registered: BTreeMap<Topic, u32>,
}

impl Ids {
    /// What is written to outputs.
    pub const SCHEMAS: [(Topic, RecordSchema); 7] = [
        (Topic::Verdicts, schema::VERDICT),
        (Topic::Billing, schema::BILLING_ENTRY),
        (Topic::Windows, schema::WINDOW_EVENT),
        (Topic::WindowState, schema::WINDOW_STATE),
        (Topic::Outcomes, schema::OUTCOME),
        (Topic::DeadLetters, schema::DEAD_LETTER),
        (Topic::Usage, schema::USAGE),
    ];

    pub fn new(registered: Option<&Registered>) -> Self {
        let registered = registered.map_or_else(BTreeMap::new, |registered| registered.ids.clone());
        let of = |topic| Self::read_by(topic, &registered);
        Self {
            verdicts: of(Topic::Verdicts),
            billing: of(Topic::Billing),
            windows: of(Topic::Windows),
            outcomes: of(Topic::Outcomes),
            letters: of(Topic::DeadLetters),
            registered,
        }
    }

    /// What reads an output.
    pub fn writers(&self, topic: Topic) -> Writers {
        Self::read_by(topic, &self.registered)
    }

    fn read_by(topic: Topic, registered: &BTreeMap<Topic, u32>) -> Writers {
        let (_, schema) = Self::SCHEMAS.into_iter().find(|(known, _)| *known == topic).expect("an output");
        let mut writers = Writers::of(schema).expect("a schema of ours");
        if let Some(id) = registered.get(&topic) {
            writers.add_registered(*id, schema.text).expect("a schema of ours");
        }
        writers
    }

    fn is_discount(&self, topic: Topic, read: &Read<'_>) -> bool {
        let line = self.billing.read::<records::BillingEntry<'_>>(read.value.unwrap_or_default());
        topic == Topic::Billing && line.is_ok_and(|line| line.entry_type.as_str() == "DISCOUNT")
    }

    /// Takes note of what of the ledger's rules an output has reached.
    fn count(&self, read: &Read<'_>, topic: Topic, reached: &mut Reached) {
        let value = read.value.unwrap_or_default();
        match topic {
            Topic::Verdicts => {
                reached.verdict(&self.verdicts.read::<records::Verdict<'_>>(value).expect("a verdict of ours"));
            }
            Topic::Billing => {
                reached.line(&self.billing.read::<records::BillingEntry<'_>>(value).expect("a line of ours"));
            }
            _ => {}
        }
    }

    /// The reasons that a verdict gives, in words; of another output nothing.
    fn reasons(&self, topic: Topic, read: &Read<'_>) -> String {
        let verdict = (topic == Topic::Verdicts).then(|| self.verdicts.read::<records::Verdict<'_>>(read.value?).ok());
        verdict.flatten().map_or_else(String::new, |verdict| {
            let codes: Vec<&str> = verdict.reasons.iter().map(|reason| reason.code.as_str()).collect();
            format!("; it says {} for {codes:?}", verdict.verdict.as_str())
        })
    }

    /// The id of an output; nothing where it has none.
    pub fn id(&self, topic: Topic, read: &Read<'_>) -> Option<[u8; 16]> {
        let value = read.value?;
        let text = match topic {
            Topic::Verdicts => self.verdicts.read::<records::Verdict<'_>>(value).ok()?.envelope.id,
            Topic::Billing => self.billing.read::<records::BillingEntry<'_>>(value).ok()?.envelope.id,
            Topic::Windows => self.windows.read::<records::WindowEvent<'_>>(value).ok()?.envelope.id,
            Topic::Outcomes => self.outcomes.read::<records::Outcome<'_>>(value).ok()?.envelope.id,
            Topic::DeadLetters => self.letters.read::<records::DeadLetter<'_>>(value).ok()?.envelope.id,
            Topic::Charges => charge::read(value, &self.billing).ok()?.entry.envelope.id,
            _ => return None,
        };
        ids::from_hex(text.as_str())
    }
}

/// Compares outputs with what must be there.
pub fn compare(
    deployment: &Deployment,
    reader: &Ids,
    expected: &mut Outputs,
    figures: &mut Figures,
    findings: &mut Findings,
) {
    let all = || 0..deployment.plan.partitions;
    let mut strangers = Vec::new();
    for topic in OUTPUTS {
        let name = deployment.topic(topic);
        scan(deployment.bootstrap(), &name, all(), Isolation::Committed, |read| {
            figures.outputs += 1;
            match expected.get_mut(&name_of(topic, read.partition, read.key, read.value)) {
                Some(known) => {
                    known.left -= 1;
                    reader.count(&read, topic, &mut figures.reached);
                    findings.unless(known.left >= 0, Anomaly::Duplicate, || {
                        let (from, partition, offset) = known.from;
                        format!(
                            "`{name}`, partition {}, offset {}: it is there already; it follows from {from:?}, \
                             partition {partition}, offset {offset}",
                            read.partition, read.offset
                        )
                    });
                }
                None => strangers.push(Stranger {
                    topic,
                    partition: read.partition,
                    offset: read.offset,
                    id: reader.id(topic, &read),
                    says: reader.reasons(topic, &read),
                }),
            }
        });
    }
    if !strangers.is_empty() {
        let ids: BTreeMap<(Topic, [u8; 16]), From> =
            expected.values().filter_map(|known| Some(((known.topic, known.id?), known.from))).collect();
        for Stranger { topic, partition, offset, id, says } in strangers {
            match id.and_then(|id| ids.get(&(topic, id))) {
                Some(from) => findings.add(Anomaly::StaleState, || {
                    format!(
                        "{topic:?}, partition {partition}, offset {offset}: it is not what follows from {from:?}{says}"
                    )
                }),
                None => findings.add(Anomaly::AbortedRead, || {
                    format!(
                        "{topic:?}, partition {partition}, offset {offset}: it follows from nothing in the log{says}"
                    )
                }),
            }
        }
    }
    let mut lost: Vec<&Expected> = expected.values().filter(|known| known.left > 0).collect();
    lost.sort_by_key(|known| (known.topic, known.partition, known.from));
    for known in lost {
        findings.add(Anomaly::LostWrite, || {
            let (from, partition, offset) = known.from;
            format!(
                "{:?}, partition {}: what follows from {from:?}, partition {partition}, offset {offset} is missing {} \
                 times",
                known.topic, known.partition, known.left
            )
        });
    }
    // What was aborted and folded again came out as the same records. A reader of everything that keeps one of each
    // id has exactly what a reader of committed records has. Where verdicts go by what ledgers have told, more may have
    // come back the second time, so that a record may say something else under the same id; and discounts may be cut into
    // other lines.
    let may_differ = deployment.plan.tiers.is_some();
    let mut others = BTreeMap::new();
    for topic in OUTPUTS {
        let name = deployment.topic(topic);
        scan(deployment.bootstrap(), &name, all(), Isolation::Uncommitted, |read| {
            if read.key == Some(SWEPT) && read.value.is_none() {
                return;
            }
            figures.aborted += 1;
            if let Some(known) = expected.get_mut(&name_of(topic, read.partition, read.key, read.value)) {
                known.seen = true;
            } else if !(may_differ && reader.is_discount(topic, &read)) {
                let id = reader.id(topic, &read).filter(|_| may_differ);
                others.entry((topic, id)).or_insert((read.partition, read.offset));
            }
        });
    }
    for known in expected.values().filter(|known| known.id.is_some()) {
        others.remove(&(known.topic, known.id));
    }
    for ((topic, _), (partition, offset)) in others {
        findings.add(Anomaly::StaleState, || {
            format!(
                "{topic:?}, partition {partition}, offset {offset}: whoever reads all records sees what never was \
                 committed"
            )
        });
    }
    figures.aborted -= figures.outputs;
    findings.unless(expected.values().all(|known| known.seen), Anomaly::LostWrite, || {
        "whoever reads all records does not see all that was committed".to_owned()
    });
}
