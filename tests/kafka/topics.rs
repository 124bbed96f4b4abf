//! Topics that are made right by `tollgate topics --create`, and one that is not.

use std::thread;
use std::time::Duration;

use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{Deployment, Plan, now, shared_broker};
use crate::produce::{Loader, messages};

/// Kafka's own tool for settings.
const CONFIGS: &str = "kafka.admin.ConfigCommand";

pub fn change(broker: &Broker, topic: &str, setting: &str) {
    broker.tool(CONFIGS, &["--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", setting]);
}

#[test]
fn what_somebody_has_set_for_a_topic_stays_when_topics_are_made_right() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "settings", ..Plan::default() });
    let input = deployment.topic(Topic::Input(0));
    change(&broker, &input, "max.message.bytes=2000000");
    change(&broker, &input, "message.timestamp.type=CreateTime");
    deployment.make_topics();
    let settings = broker.tool(CONFIGS, &["--describe", "--entity-type", "topics", "--entity-name", &input]);
    assert!(settings.contains("message.timestamp.type=LogAppendTime"), "what must be is set:\n{settings}");
    assert!(settings.contains("max.message.bytes=2000000"), "what need not be stays:\n{settings}");
}

#[test]
fn an_output_that_its_topic_has_no_room_for_ends_the_process_which_names_the_topic() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "narrow", ..Plan::default() });
    let windows = deployment.topic(Topic::Windows);
    change(&broker, &windows, "max.message.bytes=100");
    let mut loader = Loader::of(&deployment);
    messages("107310000000001", 0..1, 1_791_200_000_000, |event| loader.event(event));
    loader.finish();
    let said = deployment.start("a").gives_up();
    let told = format!("larger than `{windows}` lets records be");
    assert!(said.contains(&told), "{told}:\n{said}");
}

/// What Kafka's own tool says of a topic's settings.
fn settings(broker: &Broker, topic: &str) -> String {
    broker.tool(CONFIGS, &["--describe", "--entity-type", "topics", "--entity-name", topic])
}

#[test]
fn what_is_kept_longer_than_it_must_be_is_not_shortened_and_what_is_not_is_lengthened() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "longer", ..Plan::default() });
    let [input, messages] = [Topic::Input(0), Topic::Messages].map(|topic| deployment.topic(topic));
    let letters = deployment.topic(Topic::DeadLetters);
    change(&broker, &input, "retention.ms=-1");
    change(&broker, &messages, "retention.ms=9999999999,delete.retention.ms=1000");
    change(&broker, &letters, "retention.ms=60000");
    deployment.make_topics();
    assert!(settings(&broker, &input).contains("retention.ms=-1 "), "for ever stays:\n{}", settings(&broker, &input));
    let of_messages = settings(&broker, &messages);
    assert!(of_messages.contains(" retention.ms=9999999999 "), "longer stays:\n{of_messages}");
    assert!(of_messages.contains(" delete.retention.ms=86400000 "), "shorter does not:\n{of_messages}");
    let of_letters = settings(&broker, &letters);
    assert!(
        of_letters.contains(" retention.ms=60000 "),
        "how long letters are kept is for others to say:\n{of_letters}"
    );
}

#[test]
fn a_process_does_not_start_where_deletions_are_forgotten_too_soon_or_nothing_can_be_written() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "forgetful", ..Plan::default() });
    let [contacts, billing] = [Topic::Contacts, Topic::Billing].map(|topic| deployment.topic(topic));
    change(&broker, &contacts, "delete.retention.ms=1000");
    change(&broker, &billing, "min.insync.replicas=2");
    let mut process = deployment.start("a");
    let end = now() + Duration::from_mins(1);
    let status = loop {
        if let Some(status) = process.ended() {
            break status;
        }
        assert!(now() < end, "it does not start\n{}", process.said());
        thread::sleep(Duration::from_millis(50));
    };
    assert!(!status.success());
    for (topic, told) in [
        (&contacts, "`delete.retention.ms` is `1000` and should be at least `86400000`"),
        (&billing, "`min.insync.replicas` is `2`, and there are 1 copies: nothing can be written"),
    ] {
        assert!(
            process.said().contains(topic.as_str()) && process.said().contains(told),
            "{told}:\n{}",
            process.said()
        );
    }
    deployment.make_topics();
    let mut process = deployment.start("a");
    thread::sleep(Duration::from_secs(2));
    process.assert_runs();
    process.terminate();
}
