//! A topic that only has the name of the one that a state was made of.

use std::thread;
use std::time::Duration;

use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, Process, now, shared_broker};
use crate::produce::{Loader, messages};

/// Kafka's own tool for topics.
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

/// How long a step may take.
const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn a_state_is_not_read_on_from_a_changelog_that_was_deleted_and_made_again() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "identity", ..Plan::default() });
    let mut loader = Loader::of(&deployment);
    messages("107310000000001", 0..10, 1_791_200_000_000, |event| loader.event(event));
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    // The same topics: it goes on.
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);

    let changelog = deployment.topic(Topic::Contacts);
    broker.tool(TOPICS, &["--delete", "--topic", &changelog]);
    let end = now() + LIMIT;
    while broker.tool(TOPICS, &["--list"]).lines().any(|topic| topic == changelog) {
        assert!(now() < end, "it is deleted");
        thread::sleep(Duration::from_millis(100));
    }
    deployment.make_topics();
    let mut process = deployment.start("a");
    let end = now() + LIMIT;
    let status = loop {
        if let Some(status) = process.ended() {
            break status;
        }
        assert!(now() < end, "it refuses to start\n{}", process.said());
        thread::sleep(Duration::from_millis(50));
    };
    assert!(!status.success());
    let told = format!("topic `{changelog}`: it was deleted and made again");
    assert!(process.said().contains(&told), "{told}:\n{}", process.said());
}
