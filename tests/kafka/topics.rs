//! Topics that are made right by `tollgate topics --create`.

use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, shared_broker};

/// Kafka's own tool for settings.
const CONFIGS: &str = "kafka.admin.ConfigCommand";

#[test]
fn what_somebody_has_set_for_a_topic_stays_when_topics_are_made_right() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "settings", ..Plan::default() });
    let input = deployment.topic(Topic::Input(0));
    let of_input = ["--entity-type", "topics", "--entity-name", &input];
    let change = |setting: &str| {
        broker.tool(CONFIGS, &[&["--alter", "--add-config", setting], &of_input[..]].concat());
    };
    change("max.message.bytes=2000000");
    change("message.timestamp.type=CreateTime");
    deployment.make_topics();
    let settings = broker.tool(CONFIGS, &[&["--describe"], &of_input[..]].concat());
    assert!(settings.contains("message.timestamp.type=LogAppendTime"), "what must be is set:\n{settings}");
    assert!(settings.contains("max.message.bytes=2000000"), "what need not be stays:\n{settings}");
}
