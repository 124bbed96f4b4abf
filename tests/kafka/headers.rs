//! Headers of outputs, for consumers that route by them: the attributes of CloudEvents, which are fields as well.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::Value;
use tollgate::domain::time::{Date, Timestamp};
use tollgate::stream::Topic;

use crate::cluster::{ByPartition, Deployment, Plan, Process, shared_broker};
use crate::oracle;
use crate::produce::{Loader, ask, messages, traffic};
use crate::reading::{Isolation, scan_from};

const LIMIT: Duration = Duration::from_mins(2);

const EVENTS: u64 = 6_000;

/// What the world reads.
const OUTPUTS: [Topic; 6] =
    [Topic::Verdicts, Topic::Billing, Topic::Windows, Topic::WindowState, Topic::Outcomes, Topic::DeadLetters];

/// Until where outputs have been looked at.
type Looked = BTreeMap<Topic, ByPartition>;

#[test]
fn headers_say_what_the_record_says_and_nothing_else_changes_by_them() {
    let broker = shared_broker();
    // Nobody is expected to act on these verdicts, and whoever asks too often learns that.
    let deployment = "enforced = false\nasks_per_second = 2\n";
    let plan = Plan { name: "headers", json: true, deployment, settings: "headers = \"full\"\n", ..Plan::default() };
    let mut deployment = Deployment::create(&broker, plan);
    let settings = traffic(8, EVENTS, 300);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    // Nobody can read the first two of these, and the second could have been an ask.
    loader.raw(0, b"a key", b"{");
    loader.raw(1, b"a key", b"{\"phone_number_id\":\"107310000000001\",\"send_requested\":{\"request_id\":\"odd\"}}");
    let mut looked = Looked::new();
    let mut process = Some(deployment.start("a"));
    loader.stream(&settings, |sent| {
        if sent == EVENTS / 2 {
            let mut processes = [process.take().expect("a process")];
            deployment.wait_until_drained(&mut processes, LIMIT);
            processes.into_iter().for_each(Process::terminate);
            assert!(look(&deployment, &mut looked, full) > 1_000, "there is something to look at");
            deployment.plan.settings = "headers = \"minimal\"\n";
            process = Some(deployment.start("a"));
        }
    });
    asks_in_a_row(&mut loader);
    loader.finish();
    let mut processes = [process.take().expect("a process")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes[0].wait_for("throttled asks are counted", |process| {
        process.metric("tollgate_throttled_total", "").filter(|throttled| *throttled >= 2.0)
    });
    processes.into_iter().for_each(Process::terminate);
    assert!(look(&deployment, &mut looked, minimal) > 1_000, "there is something to look at");

    let mut verdicts = Vec::new();
    read(&deployment, Topic::Verdicts, &ByPartition::new(), |value, _| {
        assert_eq!(value["enforced"], Value::Bool(false), "nobody is expected to act on a verdict");
        if let Some(request) = value["request_id"].as_str().filter(|request| request.starts_with("row-")) {
            verdicts.push(["verdict", "reason"].map(|field| value[field].as_str().unwrap_or_default().to_owned()));
            assert_eq!(request, format!("row-{}", verdicts.len() - 1), "answers are in the order of the asks");
        }
    });
    let (answered, throttled) = (["allowed", "service_window_open"], ["unknown", "throttled"]);
    assert_eq!(verdicts, [answered, answered, throttled, throttled, answered]);
    // The oracle compares bytes, which headers are no part of.
    println!("headers: {:?}", oracle::check(&deployment));
}

/// Four asks within a second, and one in the next, of somebody who may be written to.
fn asks_in_a_row(loader: &mut Loader) {
    let (number, at) = ("107310000000002", 1_798_000_000_000);
    messages(number, 0..1, at - 1_000, |event| loader.event(event));
    for (index, after) in [0, 10, 20, 999, 1_000].into_iter().enumerate() {
        loader.event(&ask(number, "5511000000000", &format!("row-{index}"), at + after));
    }
}

/// Looks at the outputs that were not looked at before, and returns how many they are.
fn look(
    deployment: &Deployment,
    looked: &mut Looked,
    expected: impl Fn(&Value) -> Vec<(&'static str, String)>,
) -> usize {
    let mut count = 0;
    for topic in OUTPUTS {
        let before = count;
        let looked = looked.entry(topic).or_default();
        let behind = read(deployment, topic, looked, |value, headers| {
            let expected: Vec<_> = expected(value).into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
            assert_eq!(headers, expected, "{topic:?}");
            count += 1;
        });
        assert!(count > before || topic == Topic::DeadLetters, "{topic:?} has something");
        *looked = behind;
    }
    count
}

/// Reads the records of an output from positions on, but for those that delete a row. Returns where it ends.
fn read(
    deployment: &Deployment,
    topic: Topic,
    from: &ByPartition,
    mut each: impl FnMut(&Value, Vec<(String, String)>),
) -> ByPartition {
    let all = 0..deployment.plan.partitions;
    let from: ByPartition = all.map(|partition| (partition, from.get(&partition).copied().unwrap_or(0))).collect();
    let mut behind = from.clone();
    scan_from(deployment.bootstrap(), &deployment.topic(topic), &from, Isolation::Committed, |read| {
        behind.insert(read.partition, read.offset + 1);
        match read.value {
            Some(value) => each(&serde_json::from_slice(value).expect("JSON"), read.headers()),
            None => assert_eq!(read.headers(), [], "a row that is deleted has no attributes"),
        }
        ControlFlow::Continue(())
    });
    behind
}

fn minimal(record: &Value) -> Vec<(&'static str, String)> {
    vec![("ce_id", text(record, "id").expect("an id")), ("ce_type", text(record, "type").expect("a type"))]
}

fn full(record: &Value) -> Vec<(&'static str, String)> {
    let mut headers = minimal(record);
    headers.push(("ce_specversion", "1.0".to_owned()));
    headers.push(("ce_source", text(record, "source").expect("a source")));
    let at = record["envelope"]["time"].as_i64().and_then(Timestamp::from_millis).expect("a time");
    headers.push(("ce_time", rfc_3339(at)));
    headers.extend(text(record, "subject").map(|subject| ("ce_subject", subject)));
    headers
}

fn text(record: &Value, attribute: &str) -> Option<String> {
    record["envelope"][attribute].as_str().map(str::to_owned)
}

/// An instant as headers have it.
fn rfc_3339(at: Timestamp) -> String {
    let of_day = at.millis().rem_euclid(24 * 60 * 60 * 1_000);
    let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", Date::utc(at), of_day % 1_000)
}
