//! What may be set, all of it by the environment.

use crate::measure::setting;

/// A part of the bench, each with a broker of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Only loads the workload, and tells what it is like.
    Load,
    /// Everything that is there, drained as fast as it goes.
    Ladder,
    /// How long an answer takes at fixed rates.
    Latency,
    /// The same where almost all partitions are idle.
    Idle,
    /// How long it takes to come back after a `kill -9`.
    Restart,
    /// Whether memory stays as it is over a long drain.
    Memory,
}

const PARTS: [(&str, Part); 6] = [
    ("load", Part::Load),
    ("ladder", Part::Ladder),
    ("latency", Part::Latency),
    ("idle", Part::Idle),
    ("restart", Part::Restart),
    ("memory", Part::Memory),
];

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `PART`: what is run; everything but `load` unless it is set.
    pub parts: Vec<Part>,
    /// `EVENTS`: how many are drained.
    pub events: u64,
    /// `PEOPLE`: how many contacts the workload has.
    pub people: u32,
    /// `RUNS`: how often each figure is taken.
    pub runs: usize,
    /// `RATES`: events a second at which latency is measured.
    pub rates: Vec<u64>,
    /// `SECONDS`: how long each rate is held.
    pub seconds: u64,
    /// `WARM`: how many events are drained before latency is measured. A virtual machine needs a million to get going.
    pub warm: u64,
    /// `PEER`: whether Kafka Streams takes part (1) or not (0), where there is no Java, say.
    pub peer: bool,
    /// `PEER_COMMIT_MS`: the peer's commit interval where latency is measured. The ladder's is always 100.
    pub peer_commit: u64,
    /// `CONTACTS`: sizes of state to restart with, smallest first.
    pub contacts: Vec<u64>,
    /// `KILLS`: how often it is killed with each.
    pub kills: usize,
    /// `MEMORY_EVENTS`: how long the long drain is.
    pub memory_events: u64,
}

impl Settings {
    /// What the environment says, and the usual where it says nothing.
    pub fn from_environment() -> Self {
        let parts = std::env::var("PART").unwrap_or_default();
        let parts = match parts.trim() {
            "" => PARTS.into_iter().skip(1).map(|(_, part)| part).collect(),
            named => named.split([',', ' ']).filter(|name| !name.is_empty()).map(part).collect(),
        };
        Self {
            parts,
            events: setting("EVENTS", 2_000_000),
            people: u32::try_from(setting("PEOPLE", 200_000)).expect("`PEOPLE` is at most 40 million"),
            runs: std::env::var("RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(3),
            rates: numbers("RATES", &[2_000, 20_000, 50_000]),
            seconds: setting("SECONDS", 5),
            warm: setting("WARM", 500_000),
            peer: setting("PEER", 1) != 0,
            peer_commit: setting("PEER_COMMIT_MS", 20),
            contacts: numbers("CONTACTS", &[10_000, 1_000_000]),
            kills: usize::try_from(setting("KILLS", 3)).expect("a few"),
            memory_events: setting("MEMORY_EVENTS", 3_000_000),
        }
    }
}

fn part(name: &str) -> Part {
    let found = PARTS.into_iter().find(|(known, _)| *known == name);
    let names = PARTS.map(|(known, _)| known).join(", ");
    found.unwrap_or_else(|| panic!("`PART={name}`: there are {names}")).1
}

fn numbers(name: &str, usual: &[u64]) -> Vec<u64> {
    let Ok(text) = std::env::var(name) else {
        return usual.to_vec();
    };
    let parse =
        |word: &str| word.replace('_', "").parse().unwrap_or_else(|_| panic!("`{name}`: `{word}` is no number"));
    text.split([',', ' ']).filter(|word| !word.is_empty()).map(parse).collect()
}
