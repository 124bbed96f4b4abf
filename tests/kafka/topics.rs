//! Topics that are made right by `tollgate topics --create`, and one that is not.

use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{Deployment, Plan, shared_broker};
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
