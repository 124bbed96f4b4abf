//! A deployment as it is shipped: its time is the log's, it writes heartbeats, and it serves metrics and probes.

use std::thread;
use std::time::Duration;

use tollgate::codec::frame::Writers;
use tollgate::codec::{partitioner, records, schema};
use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{Deployment, Plan, Process, now, signal, wall};
use crate::oracle;
use crate::produce::{Loader, ask, messages};
use crate::reading::{Isolation, Positions, scan};

const NUMBER: &str = "107310000000001";

/// The first of the people who write.
const CUSTOMER: &str = "5511000000000";

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// How long the customer's window is still open when it is learned of.
const REST: i64 = 10_000;

const LIMIT: Duration = Duration::from_mins(2);

/// How many people write at once before the broker falls silent: more than is folded and committed in a moment.
const CROWD: u64 = 30_000;

/// A deployment, its process, and what is sent to it.
struct Running {
    deployment: Deployment,
    process: Process,
    loader: Loader,
}

impl Running {
    /// Asks whether the customer may be sent free-form text, and waits for the answer and its reason.
    fn ask(&mut self, request: &str) -> (String, String) {
        self.loader.event(&ask(NUMBER, CUSTOMER, request, wall()));
        self.loader.finish();
        let deployment = &self.deployment;
        self.process.wait_for("an ask is answered", |_| {
            let mut answer = None;
            read(deployment, Topic::Verdicts, |value| {
                let writers = Writers::of(schema::VERDICT).expect("a schema of ours");
                let verdict: records::Verdict<'_> = writers.read(value).expect("a verdict");
                if verdict.request_id.as_str() == request {
                    answer = Some((verdict.verdict.as_str().to_owned(), verdict.reason.as_str().to_owned()));
                }
            });
            answer
        })
    }

    /// Waits until a metric says what it must.
    #[allow(clippy::float_cmp, reason = "counters count whole things")]
    fn counts(&mut self, name: &str, label: &str, expected: usize) {
        let what = format!("`{name}` with `{label}` is {expected}");
        let expected = f64::from(u32::try_from(expected).expect("few things"));
        self.process.wait_for(&what, |process| (process.metric(name, label)? == expected).then_some(()));
    }
}

/// What has been told of windows: what happened, when, and the end of the window.
fn edges(deployment: &Deployment) -> Vec<(String, i64, i64)> {
    let mut edges = Vec::new();
    read(deployment, Topic::Windows, |value| {
        let writers = Writers::of(schema::WINDOW_EVENT).expect("a schema of ours");
        let edge: records::WindowEvent<'_> = writers.read(value).expect("an edge of a window");
        edges.push((edge.envelope.r#type.as_str().to_owned(), edge.envelope.time, edge.expires_at));
    });
    edges
}

/// When each heartbeat in the input was stamped.
fn heartbeats(deployment: &Deployment) -> Vec<i64> {
    let mut heartbeats = Vec::new();
    read(deployment, Topic::Input(0), |value| {
        let writers = Writers::of(schema::EVENT).expect("a schema of ours");
        if let Ok(event) = writers.read::<records::Event<'_>>(value)
            && event.kind.as_str() == "heartbeat"
        {
            heartbeats.push(event.occurred_at);
        }
    });
    heartbeats
}

fn read(deployment: &Deployment, topic: Topic, mut each: impl FnMut(&[u8])) {
    let all = 0..deployment.plan.partitions;
    scan(deployment.bootstrap(), &deployment.topic(topic), all, Isolation::Committed, |read| {
        each(read.value.expect("a record"));
    });
}

#[test]
fn as_it_is_shipped_windows_close_by_time_alone_and_probes_and_metrics_say_how_it_is() {
    // One of its own, because it falls silent below. It keeps its own session all the same.
    let broker = Broker::start_with(&["broker.session.timeout.ms=60000"]);
    let plan = Plan { name: "shipped", by_log: true, ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let (process, loader) = (deployment.start("a"), Loader::of(&deployment));
    let mut running = Running { deployment, process, loader };
    for probe in ["/startupz", "/readyz", "/livez"] {
        running.process.wait_until_it_says(probe, 200, "ok");
    }

    a_window_closes_by_time_alone(&mut running);
    a_producer_that_sends_nonsense_shows(&mut running);
    let deployment = who_leaves_says_so(running, &broker);

    // Back under its name it goes on, and all of it came out as it must.
    let mut processes = [deployment.start("a")];
    processes[0].wait_until_it_says("/startupz", 200, "ok");
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    println!("shipped: {:?}", oracle::check(&deployment));
}

/// Somebody wrote almost a day ago. After that nothing comes any more.
fn a_window_closes_by_time_alone(running: &mut Running) {
    let wrote = wall() - DAY + REST;
    messages(NUMBER, 0..1, wrote, |event| running.loader.event(event));
    let answer = running.ask("in-time");
    assert_eq!((answer.0.as_str(), answer.1.as_str()), ("allowed", "service_window_open"));
    let Running { deployment, process, .. } = running;
    let closed = process.wait_for("the window is closed", |_| {
        edges(deployment).into_iter().find(|(edge, ..)| edge == "tollgate.window.closed.v1")
    });
    let told = wall();
    assert_eq!((closed.1, closed.2), (wrote + DAY, wrote + DAY), "it closes a day after the message");
    assert!(told >= wrote + DAY, "it is not told before it happens");
    let edges: Vec<_> = edges(deployment).into_iter().map(|(edge, ..)| edge).collect();
    let expected = ["tollgate.window.opened.v1", "tollgate.window.closing.v1", "tollgate.window.closed.v1"];
    assert_eq!(edges, expected, "each edge once, in their order");
    let heartbeats = heartbeats(deployment);
    assert!(heartbeats.iter().any(|at| *at >= wrote + DAY), "a heartbeat has told that time has passed");

    running.counts("tollgate_heartbeats_written_total", "", heartbeats.len());
    running.counts("tollgate_deadlines_fired_total", "", 2);
    running.counts("tollgate_events_folded_total", "", 2);
    running.counts("tollgate_records_consumed_total", "shipped.events-0", 2 + heartbeats.len());
    running.counts("tollgate_outputs_total", "shipped.windows", 3);
    running.counts("tollgate_verdicts_total", "service_window_open", 1);
    let answer = running.ask("too-late");
    assert_eq!((answer.0.as_str(), answer.1.as_str()), ("blocked", "service_window_closed"));
    running.process.wait_until_it_says("/readyz", 200, "ok");
}

/// More of the latest records cannot be read than is usual, which makes the process unready and nothing worse.
fn a_producer_that_sends_nonsense_shows(running: &mut Running) {
    let home = partitioner::partition(NUMBER.as_bytes(), running.deployment.plan.partitions);
    for _ in 0..60 {
        running.loader.raw(home, NUMBER.as_bytes(), b"\x01\x02\x03");
    }
    running.loader.finish();
    let reason = format!("of the latest records of conversation partition {home} are dead letters");
    running.process.wait_until_it_says("/readyz", 503, &reason);
    running.process.wait_until_it_says("/livez", 200, "ok");
    running.counts("tollgate_dead_letters_total", "unknown_framing", 60);
    assert_eq!(running.ask("behind-nonsense").0, "blocked", "the partition goes on");
}

/// From the signal on it says that it is leaving, also while it waits for a broker that does not answer.
fn who_leaves_says_so(running: Running, broker: &Broker) -> Deployment {
    let Running { deployment, mut process, mut loader } = running;
    let Plan { name, partitions, .. } = deployment.plan;
    let (home, input) = (partitioner::partition(NUMBER.as_bytes(), partitions), deployment.topic(Topic::Input(0)));
    let positions = Positions::of(deployment.bootstrap(), name);
    let stands = || positions.committed(&input, partitions).ok().map(|found| found[&home]);
    let before = stands().expect("the group's position");
    messages(NUMBER, 1..CROWD, wall(), |event| loader.event(event));
    let end = now() + LIMIT;
    while stands().is_none_or(|stands| stands == before) {
        process.assert_runs();
        assert!(now() < end, "the crowd is folded\n{}", process.said());
        thread::sleep(Duration::from_millis(1));
    }
    // Some of it is in a transaction that is open, and much is yet to be folded.
    signal(broker.pid(), "STOP");
    process.ask_to_end();
    process.wait_until_it_says("/readyz", 503, "draining: shutting down");
    process.wait_until_it_says("/livez", 200, "ok");
    signal(broker.pid(), "CONT");
    process.ends_in_order();
    loader.finish();
    deployment
}
