//! `tollgate explain --kafka`: the events of the partition of one number, read from the log, decoded and timed as the
//! stream processor does, and folded by the same refold as files are.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Cluster, Known};
use crate::codec::ids::DeploymentKey;
use crate::codec::partitioner::Partitioner;
use crate::codec::{frame, schema};
use crate::config::{Config, Mistake};
use crate::domain::id::NumberId;
use crate::domain::reference::Reference;
use crate::domain::time::Timestamp;
use crate::engine::publish::Problem;
use crate::explain::{self, Explanation, Sought};
use crate::kafka::span::{Span, Stretch};
use crate::replay::Failure;
use crate::replay::refold::{Batch, Item, Refold, Unit, Units, Unreadable};
use crate::stream::{NextOffset, Topic};
use crate::worker::{Arrival, Decoded, decode, wrong_partition};
use crate::zones::Zones;

/// How many records are decoded at once.
const BATCH: usize = 512;

/// Explains something of a number's partition. `load` gives the configuration, twice, as it is folded by.
///
/// # Errors
/// What cannot be read or used.
pub fn explain(
    cluster: &Cluster,
    sought: &Sought,
    number: &NumberId,
    reference: &Reference,
    load: impl Fn() -> Result<Config, Vec<Mistake>>,
) -> Result<Explanation, Failure> {
    let inputs: Vec<Topic> = cluster.inputs().map(|(topic, _)| topic).collect();
    let home = cluster.partition(Topic::Input(0), number.as_str());
    let mut stretches = cluster.stretches(&inputs).map_err(Failure::Mistakes)?;
    // Both folds read the same, whatever is written meanwhile.
    stretches.retain(|(slot, ..)| slot.partition == home);
    let place = |stretch: &Stretch| format!("{}/{}", cluster.name(stretch.0.topic), home.0);
    let cut = stretches.iter().filter(|(_, start, _)| *start > NextOffset::START);
    let missing = cut.map(|stretch| {
        let (place, (_, start, end)) = (place(stretch), stretch);
        let left = if start == end { "; nothing is left of it" } else { "" };
        format!(
            "retention has removed what {place} held before offset {}{left}: what follows from earlier events is not \
             known, and may have been decided otherwise",
            start.offset()
        )
    });
    let of_others = "what the numbers of other partitions have used of a portfolio's messaging limit and volume tiers is not \
                     counted";
    explain::run(sought, missing.chain([of_others.to_owned()]).collect(), || {
        let config = load().map_err(Failure::Mistakes)?;
        let (policy, rules) = (config.setup.policy.clone(), config.setup.rules.clone());
        let names = stretches.iter().map(|stretch| Arc::from(place(stretch))).collect();
        let log = Log::open(cluster, &stretches, config.setup.key.clone()).map_err(Failure::Mistakes)?;
        let refold = Refold::of(config, reference.clone(), (names, Box::new(log)), Zones::new())?;
        Ok((refold, policy, rules))
    })
}

/// One partition of the topics of events, merged by when their records were appended.
struct Log {
    inputs: Vec<Input>,
    passed: Box<dyn Fn(u64)>,
    known: Known,
    key: DeploymentKey,
    arrival: Arrival,
    partitioner: Partitioner,
    partitions: u32,
    /// When the last record arrived.
    time: Option<Timestamp>,
}

/// One of the topics, and what of it is to be merged next.
struct Input {
    name: String,
    partition: u32,
    span: Span,
    /// The place of the next of the records that came last.
    next: usize,
}

impl Input {
    /// When the record was appended that is to be merged next.
    fn head(&self) -> Option<i64> {
        self.span.records().heads().get(self.next).map(|head| head.appended_at)
    }
}

impl Log {
    fn open(cluster: &Cluster, stretches: &[Stretch], key: DeploymentKey) -> Result<Self, Vec<Mistake>> {
        let input = |stretch: &Stretch| {
            let span = Span::open(&cluster.settings, &cluster.names, std::slice::from_ref(stretch));
            let name = cluster.name(stretch.0.topic).to_owned();
            let span = span.map_err(|failure| vec![Mistake::new(&name, failure.to_string())])?;
            Ok(Input { name, partition: stretch.0.partition.0, span, next: 0 })
        };
        let offsets = |(_, start, end): &Stretch| u64::try_from(end.offset() - start.offset()).unwrap_or_default();
        let name = stretches.first().map_or("", |(slot, ..)| cluster.name(slot.topic));
        Ok(Self {
            inputs: stretches.iter().map(input).collect::<Result<_, Vec<Mistake>>>()?,
            passed: (cluster.progress)(name, stretches.iter().map(offsets).sum()),
            known: Known::of(schema::EVENT, cluster.registry.clone())?,
            key,
            arrival: if cluster.stream.arrival_by_field { Arrival::Field } else { Arrival::Log },
            partitioner: cluster.stream.partitioner,
            partitions: cluster.partitions,
            time: None,
        })
    }

    /// The input whose record comes next: by append time, then in the order of the configuration.
    fn first(&mut self) -> Result<Option<usize>, Unreadable> {
        let mut first: Option<(i64, usize)> = None;
        for (index, input) in self.inputs.iter_mut().enumerate() {
            if input.head().is_none() {
                input.next = 0;
                input.span.advance().map_err(|failure| unreadable(&input.name, failure))?;
            }
            if let Some(head) = input.head().filter(|head| first.is_none_or(|(least, _)| *head < least)) {
                first = Some((head, index));
            }
        }
        Ok(first.map(|(_, index)| index))
    }

    /// Decodes the next record of an input.
    fn take(&mut self, index: usize) -> Result<Option<Unit>, Unreadable> {
        let Self { inputs, known, key, .. } = self;
        let Some(input) = inputs.get_mut(index) else {
            return Ok(None);
        };
        let records = input.span.records();
        let Some(head) = records.heads().get(input.next) else {
            return Ok(None);
        };
        let value = records.value(head);
        known.learn(value.unwrap_or_default()).map_err(|why| unreadable(&input.name, why))?;
        let decoded = decode(value, &known.writers, key);
        let said = match &decoded {
            Decoded::Event(_, said) | Decoded::Heartbeat(said) => *said,
            Decoded::Letter(..) | Decoded::Schema(_) => None,
        };
        let item = match decoded {
            Decoded::Event(event, _) => {
                let home = self.partitioner.partition(event.event.number.as_str().as_bytes(), self.partitions);
                Some(if home == input.partition {
                    Item::Event(event)
                } else {
                    Item::Letter(wrong_partition(self.partitioner), None)
                })
            }
            Decoded::Heartbeat(_) => None,
            Decoded::Letter(problem, ask) => Some(Item::Letter(problem, ask)),
            Decoded::Schema(id) => {
                let unknown = frame::Error::UnknownId(id);
                let problem = Problem { code: unknown.code(), detail: unknown.to_string(), part: None };
                Some(Item::Letter(problem, None))
            }
        };
        let arrived_at = self.arrival.at(head.appended_at, said, self.time);
        self.time = Some(arrived_at);
        let (offset, size) = (u64::try_from(head.offset).unwrap_or_default(), value.map_or(0, <[u8]>::len) as u64);
        input.next += 1;
        Ok(Some(Unit::of_log(index, offset, arrived_at, item.into_iter().collect(), size)))
    }
}

fn unreadable(name: &str, why: impl Display) -> Unreadable {
    Unreadable { path: PathBuf::from(name), error: io::Error::other(why.to_string()) }
}

impl Units for Log {
    fn next(&mut self, batch: &mut Batch) -> Result<(), Unreadable> {
        batch.clear();
        while batch.units.len() < BATCH
            && let Some(index) = self.first()?
        {
            batch.units.extend(self.take(index)?);
        }
        (self.passed)(self.inputs.iter().map(|input| input.span.passed()).sum());
        Ok(())
    }
}
