//! The ladder: everything that is in the topic, drained as fast as it goes, by one after another.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::cluster::{Cluster, Watch};
use crate::deployment::Deployment;
use crate::events::{self, Loaded};
use crate::passing::Pace;
use crate::process::{Running, Usage};
use crate::settings::Settings;
use crate::shape::Shape;
use crate::system::{self, Around, System};
use crate::table::{self, Figures, load_average, number};

/// How many partitions the workload's topics have.
pub const PARTITIONS: u32 = 8;

/// How often progress is looked at. A commit comes every 100 ms.
const LOOK: Duration = Duration::from_millis(20);

/// How long nothing may happen before a run counts as stuck.
const STUCK: Duration = Duration::from_secs(90);

/// A broker whose topics are gone from the disk soon after they are deleted.
pub fn broker() -> (Broker, Cluster) {
    let broker = Broker::start_with(&["log.segment.delete.delay.ms=1000"]);
    let cluster = Cluster { bootstrap: broker.bootstrap().to_owned() };
    (broker, cluster)
}

#[allow(clippy::disallowed_methods, reason = "this measures")]
pub fn now() -> Instant {
    Instant::now()
}

/// Loads the workload, and tells what it is.
fn load(settings: &Settings, cluster: &Cluster, directory: &Path) -> Loaded {
    let name = "load";
    let made = Deployment::make(directory, &cluster.bootstrap, name, "wa.events", PARTITIONS);
    let began = now();
    let workload = events::usual(settings.events, settings.people);
    let loaded = events::load(cluster, "wa.events", &workload, PARTITIONS);
    cluster.delete(&made.own_topics());
    let share = |events: Option<&i64>| 100.0 * events.copied().unwrap_or_default() as f64 / loaded.events as f64;
    println!(
        "{} events of {} contacts and 256 numbers, {:.0} bytes each with their keys, loaded in {:.0} s; {PARTITIONS} \
         partitions with {:.1} % to {:.1} % of them",
        number(loaded.events as f64, 0),
        number(f64::from(settings.people), 0),
        loaded.bytes as f64 / loaded.events as f64,
        began.elapsed().as_secs_f64(),
        share(loaded.partitions.iter().min()),
        share(loaded.partitions.iter().max()),
    );
    let of = |(kind, count): (&String, &u64)| format!("{kind} {:.1} %", share(Some(&(*count as i64))));
    println!("\nKinds: {}.", loaded.kinds.iter().map(of).collect::<Vec<_>>().join(", "));
    loaded
}

/// `PART=load`: a broker with the workload in it, and what the engine writes for it.
pub fn load_only(settings: &Settings) {
    let (_broker, cluster) = broker();
    let directory = tempfile::tempdir().expect("a directory");
    let loaded = load(settings, &cluster, directory.path());
    println!("\n{}", shape(&cluster, directory.path(), loaded.events).table());
}

/// Lets the engine drain everything once, and counts what it has written.
fn shape(cluster: &Cluster, directory: &Path, events: u64) -> Shape {
    let nothing = Shape(Vec::new());
    let around = Around { cluster, directory, shape: &nothing, pace: Pace::AtAge, peer_commit: 100 };
    let deployment = Deployment::make(directory, &cluster.bootstrap, "shape", "wa.events", PARTITIONS);
    drain(&around, System::Engine, &deployment, events);
    let shape = Shape::count(cluster, &deployment, events);
    cluster.delete(&deployment.own_topics());
    shape
}

/// What a stretch of a drain took.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    events: u64,
    wall: Duration,
    cpu: Duration,
}

impl Stretch {
    fn rate(&self) -> f64 {
        self.events as f64 / self.wall.as_secs_f64()
    }

    /// Microseconds of processor time for an event.
    fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.events as f64
    }
}

/// What a drain took.
pub struct Drained {
    /// From the start of the process to its last commit.
    whole: Stretch,
    /// The second half of the events.
    steady: Stretch,
    /// The most memory it held, in bytes.
    pub peak: u64,
}

/// How far a system is, seen from outside.
enum Progress {
    /// By its group's positions: what counts is what is committed.
    Group(Watch),
    /// By its own word.
    Told(Arc<AtomicU64>),
}

impl Progress {
    fn of(system: System, cluster: &Cluster, deployment: &Deployment, running: &mut Running) -> Self {
        if system != System::Consume {
            return Self::Group(Watch::new(cluster, &deployment.name, &deployment.events));
        }
        let told = Arc::new(AtomicU64::new(0));
        let output = running.output().expect("its output is piped");
        let read = Arc::clone(&told);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                read.store(line.parse().unwrap_or_default(), Ordering::Relaxed);
            }
        });
        Self::Told(told)
    }

    fn events(&self) -> u64 {
        match self {
            Self::Group(watch) => watch.sum(),
            Self::Told(told) => told.load(Ordering::Relaxed),
        }
    }
}

/// Starts a system and waits until it has drained so many events.
pub fn drain(around: &Around<'_>, system: System, deployment: &Deployment, events: u64) -> Drained {
    let began = now();
    let mut running = Running::start(&mut system.command(around, deployment));
    let drained = wait(around.cluster, system, deployment, &mut running, events, began, &mut |_| {});
    running.kill();
    drained
}

/// Waits until a system that was just started has drained so many events; what it uses meanwhile is told.
pub fn wait(
    cluster: &Cluster,
    system: System,
    deployment: &Deployment,
    running: &mut Running,
    events: u64,
    began: Instant,
    look: &mut dyn FnMut(&Usage),
) -> Drained {
    let progress = Progress::of(system, cluster, deployment, running);
    let charges = Watch::new(cluster, &deployment.name, &format!("{}.tollgate.charges", deployment.name));
    let two_stages = matches!(system, System::PassThrough | System::Engine);
    let (mut half, mut last) = (None, (0, now()));
    loop {
        let done = progress.events();
        let (usage, at) = (running.usage(), now());
        look(&usage);
        if done > last.0 {
            last = (done, at);
        }
        if half.is_none() && done * 2 >= events {
            half = Some((done, at, usage));
        }
        // The second stage is done when it has read all that the first one wrote.
        if done >= events && (!two_stages || charges.is_done()) {
            let (half_done, half_at, half_usage) = half.unwrap_or((0, began, Usage::default()));
            return Drained {
                whole: Stretch { events, wall: at - began, cpu: usage.cpu },
                steady: Stretch {
                    events: events - half_done.min(events),
                    wall: at - half_at,
                    cpu: usage.cpu.saturating_sub(half_usage.cpu),
                },
                peak: usage.peak,
            };
        }
        assert!(last.1.elapsed() < STUCK, "{} is stuck at {done} of {events} events", deployment.name);
        std::thread::sleep(LOOK);
    }
}

#[derive(Default)]
struct Row {
    rate: Figures,
    cost: Figures,
    whole_rate: Figures,
    whole_cost: Figures,
    peak: Figures,
}

/// Runs the ladder and prints its table.
pub fn run(settings: &Settings) {
    println!("\n## Drained");
    let mut systems = vec![System::Consume, System::PassThrough, System::Engine];
    if settings.peer {
        system::build_peer();
        systems.push(System::Peer);
    }
    let (_broker, cluster) = broker();
    let directory = tempfile::tempdir().expect("a directory");
    let loaded = load(settings, &cluster, directory.path());
    let shape = shape(&cluster, directory.path(), loaded.events);
    println!("\n### What the engine writes\n\n{}", shape.table());
    let around =
        Around { cluster: &cluster, directory: directory.path(), shape: &shape, pace: Pace::AtAge, peer_commit: 100 };
    let mut rows: Vec<Row> = systems.iter().map(|_| Row::default()).collect();
    let before = load_average();
    for run in 0..settings.runs {
        for (system, row) in systems.iter().zip(&mut rows) {
            let name = format!("{}-{run}", system.word());
            let deployment = Deployment::make(directory.path(), &cluster.bootstrap, &name, "wa.events", PARTITIONS);
            let drained = drain(&around, *system, &deployment, loaded.events);
            cluster.delete(&deployment.own_topics());
            let _ = std::fs::remove_dir_all(directory.path().join(format!("{name}-state")));
            row.rate.add(drained.steady.rate());
            row.cost.add(drained.steady.cost());
            row.whole_rate.add(drained.whole.rate());
            row.whole_cost.add(drained.whole.cost());
            row.peak.add((drained.peak >> 20) as f64);
            eprintln!(
                "{name}: {} events/s, {:.2} µs an event; load {}",
                number(drained.steady.rate(), 0),
                drained.steady.cost(),
                load_average()
            );
        }
    }
    let title = format!("Drained: median of {} runs, least and most; load average before: {before}", settings.runs);
    let cells = |(system, row): (&System, &Row)| {
        vec![
            system.name().to_owned(),
            row.rate.text(0),
            row.cost.text(2),
            row.whole_rate.text(0),
            row.whole_cost.text(2),
            row.peak.text(0),
        ]
    };
    table::print(
        &title,
        &["", "events/s", "client CPU µs/event", "events/s, whole", "CPU µs/event, whole", "peak memory, MiB"],
        &systems.iter().zip(&rows).map(cells).collect::<Vec<_>>(),
    );
    let cost = |wanted: System| {
        let row = systems.iter().zip(&rows).find(|(system, _)| **system == wanted);
        row.map_or(f64::NAN, |(_, row)| row.cost.median())
    };
    println!(
        "\nClient CPU per event, L2 ÷ L5: {:.2}. Kafka Streams ÷ L5: {:.2}.",
        cost(System::PassThrough) / cost(System::Engine),
        cost(System::Peer) / cost(System::Engine)
    );
}
