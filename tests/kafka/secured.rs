//! Brokers that do not let everybody in: who Tollgate is to them, and which rights it needs.

use std::time::Duration;

use tollgate::loadgen::Settings;
use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{Access, Deployment, Plan, Process, wall};
use crate::oracle;
use crate::produce::{Loader, messages, traffic};

/// Kafka's own tool for rights.
const ACLS: &str = "org.apache.kafka.tools.AclCommand";

const LIMIT: Duration = Duration::from_mins(2);

const EVENTS: u64 = 3_000;

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Folds some events, the last of which needs a heartbeat, and compares what comes out.
fn runs(deployment: &Deployment) {
    let today = wall() - wall().rem_euclid(DAY);
    let settings = Settings { start: today - 4 * DAY, days: 2, ..traffic(9, EVENTS, 150) };
    let mut loader = Loader::of(deployment);
    loader.references(deployment, &settings);
    loader.stream(&settings, |_| ());
    messages("107310000000001", 0..1, today - DAY, |event| loader.event(event));
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes[0].wait_for("a heartbeat is written", |process| {
        process.metric("tollgate_heartbeats_written_total", "").filter(|written| *written > 0.0)
    });
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    let figures = oracle::check(deployment);
    assert!(figures.records > EVENTS && figures.outputs > EVENTS / 2, "{figures:?}");
}

/// Gives the deployment's user rights, as `docs/kafka.md` lists them.
struct Rights<'d> {
    broker: &'d Broker,
    deployment: &'d Deployment,
}

impl Rights<'_> {
    fn give(&self, operations: &[&str], resource: &[&str]) {
        let mut arguments = vec!["--add", "--allow-principal", "User:tollgate"];
        arguments.extend(operations.iter().flat_map(|operation| ["--operation", operation]));
        arguments.extend(resource);
        self.broker.tool(ACLS, &arguments);
    }

    fn give_to_topics(&self, operations: &[&str], wanted: impl Fn(Topic) -> bool) {
        let topics = self.deployment.config().stream.topics.into_iter().filter(|(topic, _)| wanted(*topic));
        let names: Vec<String> = topics.map(|(_, name)| name).collect();
        let resource: Vec<&str> = names.iter().flat_map(|name| ["--topic", name.as_str()]).collect();
        self.give(operations, &resource);
    }
}

#[test]
fn a_user_that_shows_its_password_runs_with_the_rights_that_are_documented_and_no_others() {
    // Who comes without a password is the tests, and may do everything.
    let broker = Broker::start_secured(
        "SASL_PLAINTEXT",
        &[
            "broker.session.timeout.ms=60000",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "listener.name.secured.sasl.enabled.mechanisms=PLAIN",
            "listener.name.secured.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_tollgate=\"its password\";",
        ],
    );
    let properties = "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
                      \"sasl.username\" = \"tollgate\"\n\"sasl.password\" = \"its password\"\n";
    let access = Access { bootstrap: broker.secured(), properties: properties.to_owned() };
    let plan = Plan { name: "entitled", partitions: 2, by_log: true, access: Some(access), ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);

    let said = deployment.start("a").gives_up();
    assert!(said.contains("topic `entitled.events-0`: it is not there"), "what nobody may see is not there:\n{said}");

    let rights = Rights { broker: &broker, deployment: &deployment };
    let is_written = |topic: Topic| Topic::WRITTEN.contains(&topic) || matches!(topic, Topic::Input(_));
    let is_read = |topic: Topic| {
        let of_tables = [Topic::Contacts, Topic::Messages, Topic::Accounts, Topic::Templates];
        topic.is_read() || of_tables.contains(&topic)
    };
    rights.give(&["Write", "Describe"], &["--transactional-id", "entitled", "--resource-pattern-type", "prefixed"]);
    rights.give(&["Read", "Describe"], &["--group", "entitled"]);
    rights.give_to_topics(&["Read", "Describe"], is_read);
    rights.give_to_topics(&["Write", "Describe"], is_written);
    let said = deployment.start("a").gives_up();
    let told = "how it is set is not told: the user needs the right `DescribeConfigs` on it";
    assert!(said.contains(&format!("topic `entitled.events-0`: {told}")), "{told}:\n{said}");

    rights.give_to_topics(&["DescribeConfigs"], |_| true);
    runs(&deployment);
}
