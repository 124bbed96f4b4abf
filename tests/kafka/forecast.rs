//! Campaign questions on a real Kafka: sent by `tollgate forecast`, answered by a worker, each once.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, Process, shared_broker, tollgate, wall};
use crate::oracle;
use crate::produce::{Loader, messages};
use crate::reading::{Isolation, scan_from};

const NUMBER: &str = "100007310000000";

/// Asks about the people of a list. The records of the answer.
fn ask(deployment: &Deployment, list: &Path, more: &[&str]) -> Vec<Value> {
    let config = deployment.config_file("asker");
    let mut command = tollgate(&config);
    command.arg("forecast").arg(list).arg("--config").arg(&config);
    let output = command.args(["--kafka", "--number", NUMBER, "--freeform"]).args(more).output().expect("it runs");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    said.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// How many may be written to, and how many may not.
fn totals(answer: &Value) -> Vec<(String, String, i64)> {
    let text = |total: &Value, name: &str| total[name].as_str().expect("a word").to_owned();
    let total =
        |total: &Value| (text(total, "verdict"), text(total, "reason"), total["recipients"].as_i64().expect("a count"));
    answer["totals"].as_array().expect("totals").iter().map(total).collect()
}

#[test]
fn campaigns_are_answered_by_who_folds_the_events_and_each_once() {
    let broker = shared_broker();
    let deployment =
        Deployment::create(&broker, Plan { name: "campaigns", partitions: 2, questions: true, ..Plan::default() });
    let mut loader = Loader::of(&deployment);
    messages(NUMBER, 0..30, wall(), |event| loader.event(event));
    loader.finish();
    let folder = tempfile::tempdir().expect("a folder");
    let list = folder.path().join("list.csv");
    let phones: Vec<String> = (0..40).map(|person| format!("5511{person:09}\n")).collect();
    std::fs::write(&list, format!("phone\n{}", phones.concat())).expect("written");
    let limit = Duration::from_mins(2);
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, limit);

    let total = |verdict: &str, reason: &str, recipients| (verdict.to_owned(), reason.to_owned(), recipients);
    let expected = [total("allowed", "service_window_open", 30), total("blocked", "service_window_never_opened", 10)];
    let [answer] = &ask(&deployment, &list, &["--per-recipient"])[..] else { panic!("one part") };
    assert_eq!(totals(answer), expected);
    assert_eq!(answer["recipients"].as_array().map(Vec::len), Some(40));
    assert_eq!(answer["answered_at_offset"], 30);
    let [answer] = &ask(&deployment, &list, &[])[..] else { panic!("one part") };
    assert_eq!((totals(answer), answer["recipients"].as_array().map(Vec::len)), (expected.to_vec(), Some(0)));

    // Whoever comes after goes on behind the last question.
    let [process] = processes;
    process.terminate();
    let mut processes = [deployment.start("b")];
    deployment.wait_until_drained(&mut processes, limit);
    messages(NUMBER, 30..40, wall(), |event| loader.event(event));
    loader.finish();
    deployment.wait_until_drained(&mut processes, limit);
    let [answer] = &ask(&deployment, &list, &[])[..] else { panic!("one part") };
    assert_eq!(totals(answer), [total("allowed", "service_window_open", 40)]);
    processes.into_iter().for_each(Process::terminate);

    let mut answers = 0;
    let from = (0..2).map(|partition| (partition, 0)).collect();
    scan_from(deployment.bootstrap(), &deployment.topic(Topic::ForecastAnswers), &from, Isolation::Committed, |_| {
        answers += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(answers, 3, "three questions have been asked");
    println!("forecast: {:?}", oracle::check(&deployment));
}
