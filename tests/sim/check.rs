//! What must hold when everything has come to rest, read from the raw logs. The names of anomalies are those
//! that Jepsen gives them.

use std::collections::{BTreeMap, BTreeSet};

use tollgate::stream::{Slot, Topic};

use crate::broker::Broker;
use crate::broker::partition::{Body, Fate};

/// What went wrong with the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anomaly {
    /// A record of the input has no copy.
    LostWrite { slot: Slot, value: String },
    /// A record of the input has more than one.
    Duplicate { slot: Slot, value: String },
    /// Copies are in another order than what they are copies of.
    Reordered { slot: Slot, value: String },
    /// A copy of nothing that can be seen.
    AbortedRead { slot: Slot, value: String },
    /// Positions were committed that should not have been.
    Misdeed(String),
    /// Something that the broker itself must never do.
    Broken(String),
}

fn text(value: Option<&Vec<u8>>) -> String {
    value.map_or_else(String::new, |value| String::from_utf8_lossy(value).into_owned())
}

/// Every record of the inputs has exactly one copy, in order. `kind` tells from the key of a copy which topic
/// it is of.
pub fn copies(broker: &Broker, output: Topic, kind: impl Fn(Topic) -> Vec<u8>) -> Result<(), Anomaly> {
    for slot in broker.read_slots() {
        let wanted: Vec<String> = broker.log(slot).visible().map(|(_, (_, value))| text(value.as_ref())).collect();
        let key = kind(slot.topic);
        let to = Slot { topic: output, partition: slot.partition };
        let copies = broker.log(to).visible().filter(|(_, (of, _))| of.as_ref() == Some(&key));
        let found: Vec<String> = copies.map(|(_, (_, value))| text(value.as_ref())).collect();
        if wanted == found {
            continue;
        }
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        for value in &found {
            *count.entry(value).or_default() += 1;
        }
        let known: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        if let Some(value) = found.iter().find(|value| !known.contains(value.as_str())) {
            return Err(Anomaly::AbortedRead { slot, value: value.clone() });
        }
        if let Some(value) = wanted.iter().find(|value| !count.contains_key(value.as_str())) {
            return Err(Anomaly::LostWrite { slot, value: value.clone() });
        }
        if let Some((value, _)) = count.iter().find(|(_, count)| **count > 1) {
            return Err(Anomaly::Duplicate { slot, value: (*value).to_owned() });
        }
        let first = wanted.iter().zip(&found).find(|(wanted, found)| wanted != found);
        return Err(Anomaly::Reordered { slot, value: first.map_or_else(String::new, |(value, _)| value.clone()) });
    }
    Ok(())
}

/// Nobody has committed positions of what was not theirs, or taken one back.
pub fn positions(broker: &Broker) -> Result<(), Anomaly> {
    match broker.group.misdeeds() {
        [] => Ok(()),
        [first, ..] => Err(Anomaly::Misdeed(format!("{first:?}"))),
    }
}

/// The broker is one: offsets and times go up, every record's fate is decided and is that of its marker, and
/// epochs only rise.
pub fn logs(broker: &Broker) -> Result<(), Anomaly> {
    for (slot, log) in broker.logs() {
        let broken = |what: &str, offset: i64| Err(Anomaly::Broken(format!("{slot:?}, offset {offset}: {what}")));
        let mut epochs: BTreeMap<u64, i16> = BTreeMap::new();
        let mut open: BTreeMap<u64, Fate> = BTreeMap::new();
        for pair in log.records().windows(2) {
            if pair[1].offset <= pair[0].offset || pair[1].appended_at < pair[0].appended_at {
                return broken("out of order", pair[1].offset);
            }
        }
        for record in log.records() {
            let Some(producer) = record.producer else { continue };
            let epoch = epochs.entry(producer.id).or_insert(producer.epoch);
            if producer.epoch < *epoch {
                return broken("an older epoch", record.offset);
            }
            *epoch = producer.epoch;
            let torn = match record.body {
                Body::Data(_) => *open.entry(producer.id).or_insert(record.fate) != record.fate,
                Body::Marker(_) => open.remove(&producer.id).is_some_and(|fate| fate != record.fate),
            };
            if torn {
                return broken("records of one transaction, and its marker, differ in their fate", record.offset);
            }
        }
        if log.stable() != log.end() || open.values().any(|fate| *fate != Fate::Plain) {
            return broken("a transaction that never ends", log.stable());
        }
    }
    Ok(())
}
