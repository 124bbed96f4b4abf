//! The worker itself in the simulation: what it reads in a run, how it is set, and how it is run.

mod hits;
mod planted;
mod proof;
mod traffic;
mod usage;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tollgate::codec::frame::Framing;
use tollgate::codec::partitioner::Partitioner;
use tollgate::store;
use tollgate::stream::{Log, Partition, Topic};
use tollgate::worker::headers::Headers;
use tollgate::worker::observe::Observer;
use tollgate::worker::{Arrival, Checkpoint, Closing, Disk, Framers, Latest, Schemas, Shared, Worker};

use crate::disk::{Disks, SimDisk};
use crate::faults::{Fault, Faults, Hits};
use crate::ledgers::reached::Reached;
use crate::log::SimLog;
use crate::random::{Random, mix};
use crate::time::{MILLI, SECOND, micros};
use crate::world::{self, Ended, Machine, Outcome, Program, Setup, Timing};
use hits::Table;
use planted::Plant;
use proof::Anomaly;
use traffic::{Ground, Known, Traffic};

/// What a schema registry knows nothing of.
const UNKNOWN_SCHEMA: u32 = 77;

impl Disk for Disks {
    type Store = SimDisk;

    fn open(&mut self, partition: Partition) -> Result<SimDisk, store::Error> {
        Self::open(self, partition)
    }

    fn discard(&mut self, partition: Partition) -> Result<(), store::Error> {
        Self::discard(self, partition)
    }
}

/// A run of the worker: the world it lives in, and how it is set.
struct Case {
    world: Setup,
    shared: Arc<Shared>,
    known: Known,
    /// Whether what ledgers tell comes back.
    told: bool,
    /// How many records passed over an input.
    passes: Arc<AtomicU64>,
}

/// What a run is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// A bit of everything.
    Usual,
    /// Many deadlines pass at once, in as many transactions as they need, while markers are slow and partitions go
    /// from hand to hand. Between two deadlines no position moves.
    Deadlines,
    /// One worker, killed again and again, and a broker that forgets to end in some partitions what it has ended.
    Forgetful,
    /// Two inputs. In which order they are merged is not certain, so that less can be said of what is published.
    TwoInputs,
}

impl Course {
    const fn inputs(self) -> u8 {
        match self {
            Self::Usual | Self::Deadlines | Self::Forgetful => 1,
            Self::TwoInputs => 2,
        }
    }
}

/// What a seed makes of a run.
fn case(seed: u64, ground: &Ground, course: Course) -> Case {
    let mut random = Random::new(mix(seed) ^ 0x3017);
    let partitions = random.between(1, 4) as u32;
    let arrival = match course {
        Course::Usual | Course::TwoInputs if random.happens(4_000) => Arrival::Log,
        Course::Usual | Course::Deadlines | Course::Forgetful | Course::TwoInputs => Arrival::Field,
    };
    let span = random.between(3, 10) * SECOND;
    let Traffic { feeds, known } = traffic::make(&mut random, ground, partitions, span, arrival, course);
    let inputs = course.inputs();
    let shared = Shared {
        setup: Arc::clone(random.pick(&ground.setups(course))),
        name: "simulated".to_owned(),
        enforced: true,
        framers: Framers::new(|topic| match topic {
            // As text, so that a field may be left out of account.
            Topic::DeadLetters => Framing::Json,
            _ if seed % 2 == 1 => Framing::Json,
            _ => Framing::SingleObject,
        })
        .expect("our schemas are schemas"),
        inputs: (0..inputs).map(|index| format!("input-{index}")).collect(),
        charges: "charges".to_owned(),
        forecasts: None,
        partitions,
        arrival,
        keep_payload: random.happens(5_000),
        headers: match seed % 3 {
            0 => Headers::Off,
            1 => Headers::Minimal,
            _ => Headers::Full,
        },
        partitioner: Partitioner::default(),
        heartbeats: true,
        gateway_silence: None,
        usage_every: tollgate::domain::time::Millis::seconds(1),
        closing: Closing {
            age: Duration::from_millis(random.between(20, 400)),
            records: if course == Course::Deadlines { 3 } else { random.between(3, 60) as usize },
            bytes: random.between(500, 30_000) as usize,
        },
        checkpoint: Checkpoint {
            bytes: *random.pick(&[1, 4_000, 1 << 20]),
            age: Duration::from_millis(*random.pick(&[50, 400, 3_000])),
        },
        // A store is built anew once it is half as old.
        tombstones_kept: if random.happens(2_000) { Duration::from_secs(16) } else { Duration::from_hours(24) },
        patience: Duration::from_secs(30),
    };
    let mut read: Vec<Topic> = (0..inputs).map(Topic::Input).collect();
    read.push(Topic::Charges);
    let mut timing = Timing { max_poll: *random.pick(&[5 * SECOND, 12 * SECOND]), ..Timing::default() };
    let mut faults = Faults::draw(&mut random);
    if course == Course::Deadlines {
        timing.group.rebalance = SECOND;
        faults = Faults { slow_marker: 7_000, rebalance: 4_000, latency: 20 * MILLI, ..Faults::NONE };
    }
    if course == Course::Forgetful {
        faults = Faults { crash: 40, forgotten_marker: 5_000, ..Faults::NONE };
    }
    let workers = random.between(if course == Course::Deadlines { 2 } else { 1 }, 4) as usize;
    let world = Setup {
        workers: if course == Course::Forgetful { 1 } else { workers },
        inputs,
        partitions,
        read,
        feeds,
        faults,
        calm_from: span + random.between(2, 6) * SECOND + if course == Course::Deadlines { 15 * SECOND } else { 0 },
        timing,
    };
    let told = ground.is_full(&shared.setup);
    Case { world, shared: Arc::new(shared), known, told, passes: Arc::default() }
}

/// A registry that cannot be asked at first, and then does not know the schema.
fn schemas() -> Schemas {
    let mut asked = 0_u32;
    Box::new(move |_| {
        asked += 1;
        if asked % 3 == 1 { Err("the registry is down".to_owned()) } else { Ok(None) }
    })
}

/// What a worker is given besides its log and its disks.
struct Around {
    shared: Arc<Shared>,
    known: Known,
    told: bool,
    passes: Arc<AtomicU64>,
}

/// Counts records that passed over an input.
struct Passes(Arc<AtomicU64>);

impl Observer for Passes {
    fn passed_over(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs a worker until it is asked to stop, or cannot go on.
fn work<L: Log, D: Disk>(
    log: L,
    disk: D,
    around: &Around,
    mut usage: Option<usage::Reader>,
    asked_to_stop: &dyn Fn() -> bool,
) -> Ended {
    let (latest, mut told) = (Latest::default(), 0);
    around.known.tell(&latest, &mut told, 0);
    let worker = Worker::new(log, disk, Arc::clone(&around.shared), latest.clone(), schemas());
    let worker = worker.expect("our schemas are schemas");
    let mut worker = worker.observed_by(Box::new(Passes(Arc::clone(&around.passes))));
    while !asked_to_stop() {
        around.known.tell(&latest, &mut told, micros(worker.log().now()));
        if let Some(usage) = &mut usage {
            usage.look(&latest);
        }
        if let Err(halted) = worker.turn() {
            return Ended::Halted(halted.0);
        }
        if let Some(partition) = worker.halted() {
            return Ended::Halted(format!("partition {} halted", partition.0));
        }
    }
    // What could not be committed is folded again by whoever comes next.
    let _ = worker.stop();
    Ended::Stopped
}

/// The program that a process runs: the worker, on a log or a disk that may have a fault of its own.
fn program(case: &Case, plant: Plant) -> Arc<Program> {
    let (shared, known, passes) = (Arc::clone(&case.shared), case.known.clone(), Arc::clone(&case.passes));
    let around = Around { shared, known, told: case.told, passes };
    Arc::new(move |machine| {
        let Machine { log, disks, signals } = machine;
        let asked_to_stop = || signals.asked_to_stop();
        let reader = || usage::Reader::new(log.handle().clone(), around.shared.partitions, plant);
        let usage = around.told.then(reader);
        match plant {
            Plant::Nothing => work::<SimLog, Disks>(log, disks, &around, usage, &asked_to_stop),
            plant => {
                let (log, disks) = planted::around(log, disks, plant);
                work(log, disks, &around, usage, &asked_to_stop)
            }
        }
    })
}

/// Plays one seed, and reads what is left.
fn play(seed: u64, ground: &Ground, course: Course, plant: Plant, told: bool) -> (Outcome, Result<(), Anomaly>) {
    let case = case(seed, ground, course);
    let program = program(&case, plant);
    let Case { world, shared, known, .. } = case;
    let outcome = world::run(seed, world, told, &program);
    let verdict = match &outcome.failure {
        Some(why) => Err(Anomaly::Stuck(why.clone())),
        None => proof::check(&outcome, &shared, &known),
    };
    (outcome, verdict)
}

/// The seeds to play: those that were asked for, or as many as usual; and whether to tell the story.
fn seeds(usually: u64) -> (std::ops::Range<u64>, bool) {
    match crate::number("SIM_SEED") {
        Some(seed) => (seed..seed + 1, true),
        None => (0..crate::number("SIM_SEEDS").unwrap_or(usually), false),
    }
}

/// What many runs have met.
#[derive(Default)]
struct Met {
    runs: u64,
    table: Table,
    hits: Hits,
    reached: Reached,
}

/// Plays many seeds of a course; the first anomaly ends it.
fn play_all(course: Course, (seeds, told): (std::ops::Range<u64>, bool)) -> Met {
    let ground = Ground::new();
    let (mut met, mut lasted) = (Met::default(), 0);
    for seed in seeds {
        let (outcome, verdict) = play(seed, &ground, course, Plant::Nothing, told);
        if let Err(anomaly) = &verdict {
            println!("{}", format!("{anomaly:?}").replace("\\n", "\n"));
        }
        assert!(verdict.is_ok(), "SIM_SEED={seed} plays this run again and tells what happens");
        met.table.add(&outcome.hits);
        met.hits.add(&outcome.hits);
        met.reached += &proof::reached(&outcome);
        (met.runs, lasted) = (met.runs + 1, lasted + outcome.lasted);
    }
    let Met { runs, table, hits, reached } = &met;
    let minutes = lasted / (60 * SECOND);
    println!("{course:?}: {runs} runs, {minutes} simulated minutes\n{hits}\n\n{table}\n\n{reached}");
    met
}

#[test]
fn the_worker_does_everything_exactly_once_whatever_goes_wrong() {
    let Met { runs, table, hits, reached } = play_all(Course::Usual, seeds(2_000));
    let least = match runs {
        20_000.. => 100,
        2_000.. => 3,
        _ => return,
    };
    let steps = table.rare(least);
    let faults: Vec<Fault> = Fault::OF_A_WORKER.into_iter().filter(|fault| hits.of(*fault) < least).collect();
    assert!(steps.is_empty() && faults.is_empty(), "met less than {least} times: {steps:?} {faults:?}");
    let rare = reached.rare(least);
    assert!(rare.is_empty(), "reached less than {least} times: {rare:?}");
    assert_eq!(hits.of(Fault::LateEnd), 0, "a request of a tainted producer met its next transaction");
}

#[test]
fn a_deadline_fires_once_whoever_takes_over_between_two() {
    let (seeds, told) = seeds(100);
    play_all(Course::Deadlines, (tenth(seeds, told), told));
}

#[test]
fn what_a_broker_forgets_to_end_is_never_committed() {
    let (seeds, told) = seeds(100);
    let met = play_all(Course::Forgetful, (tenth(seeds, told), told));
    assert!(met.runs < 100 || met.hits.of(Fault::ForgottenMarker) > 100, "{}", met.hits);
}

#[test]
fn two_inputs_are_folded_exactly_once_whatever_goes_wrong() {
    let (seeds, told) = seeds(300);
    play_all(Course::TwoInputs, (tenth(seeds, told), told));
}

/// Both inputs end in markers again and again: transactions write half of what is read, and heartbeats.
#[test]
fn no_input_is_passed_over_where_nothing_goes_wrong() {
    let ground = Ground::new();
    let mut folded = 0;
    for seed in 0..20 {
        let mut case = case(seed, &ground, Course::TwoInputs);
        case.world.faults = Faults { gaps: 5_000, ..Faults::NONE };
        let program = program(&case, Plant::Nothing);
        let Case { world, shared, known, passes, .. } = case;
        let outcome = world::run(seed, world, false, &program);
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert_eq!(proof::check(&outcome, &shared, &known), Ok(()), "seed {seed}");
        assert_eq!(passes.load(Ordering::Relaxed), 0, "seed {seed}");
        folded += proof::folded(&outcome, &shared);
    }
    assert!(folded > 1_000, "{folded}");
}

/// Where many seeds were asked for, a tenth of them: the usual course has most to meet.
fn tenth(seeds: std::ops::Range<u64>, told: bool) -> std::ops::Range<u64> {
    if told || crate::number("SIM_SEEDS").is_none() { seeds } else { 0..seeds.end.div_ceil(10) }
}

#[test]
fn every_planted_fault_is_found() {
    let ground = Ground::new();
    let mut missed = Vec::new();
    println!("{:<24}{:>6}  what it was found by", "planted", "seed");
    // `SIM_PLANT=12` begins with the one of that place.
    let first = crate::number("SIM_PLANT").unwrap_or(0) as usize;
    for plant in Plant::ALL.into_iter().skip(first) {
        let found = std::iter::once(plant.met_by()).chain(0..3_000).find_map(|seed| {
            let (_, verdict) = play(seed, &ground, plant.course(), plant, false);
            verdict.err().map(|anomaly| (seed, anomaly))
        });
        match found {
            Some((seed, anomaly)) => {
                let mut anomaly = format!("{anomaly:?}");
                anomaly.truncate(90);
                println!("{:<24}{seed:>6}  {anomaly}", format!("{plant:?}"));
            }
            None => missed.push(plant),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Positions expire when the group is away for long, and answers go wrong. What was billed must not be billed again.
#[test]
fn a_ledger_whose_position_is_missing_waits_and_then_halts() {
    let ground = Ground::new();
    let (mut halted, mut waited) = (0, 0);
    for seed in 0..40 {
        match play(seed, &ground, Course::Usual, Plant::ChargesMissing, false).1 {
            // Nobody had to begin again.
            Ok(()) => {}
            Err(Anomaly::Stuck(why)) if why.contains("halted") => halted += 1,
            Err(anomaly) => panic!("seed {seed}: {anomaly:?}"),
        }
        let (outcome, verdict) = play(seed, &ground, Course::Usual, Plant::ChargesMissNowAndThen, false);
        assert_eq!(verdict, Ok(()), "seed {seed}");
        waited += u64::from(outcome.hits.of(Fault::Replaced) + outcome.hits.of(Fault::Rebalance) > 0);
    }
    assert!(halted > 0 && waited > 0, "{halted} runs halted, {waited} began again");
}

/// The commit record of a partition says how far its ledger is, so that both must be the same worker's.
#[test]
fn a_worker_that_is_given_inputs_without_their_charges_halts() {
    let mut case = case(0, &Ground::new(), Course::Usual);
    case.world.read.retain(|topic| *topic != Topic::Charges);
    case.world.faults = Faults::NONE;
    let program = program(&case, Plant::Nothing);
    let failure = world::run(0, case.world, false, &program).failure.unwrap_or_default();
    assert!(failure.contains("not of `charges`"), "{failure}");
}
