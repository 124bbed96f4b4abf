//! What operators do to topics and positions, what they are told of it, and how they go on from there.

use std::thread;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::{Offset, TopicPartitionList};
use tollgate::codec::{partitioner, records};
use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{ByPartition, Deployment, Plan, Process, now, shared_broker};
use crate::oracle;
use crate::produce::{Loader, ask, messages};
use crate::reading::{Isolation, Positions, scan};
use crate::topics::change;

/// Kafka's own tool for groups.
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

const NUMBER: &str = "107310000000001";
const CUSTOMER: &str = "5511000000000";
const NOON: i64 = 1_791_200_000_000;

const LIMIT: Duration = Duration::from_mins(2);

/// Sets topics and their records right, or wrong.
pub struct Admin {
    client: AdminClient<DefaultClientContext>,
    runtime: tokio::runtime::Runtime,
}

impl Admin {
    pub fn of(deployment: &Deployment) -> Self {
        let mut config = ClientConfig::new();
        let client =
            config.set("bootstrap.servers", deployment.bootstrap()).create().expect("the settings of a client");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { client, runtime }
    }

    fn options() -> AdminOptions {
        AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)))
    }

    /// Gives topics more partitions.
    fn grow(&self, topics: &[String], partitions: usize) {
        let wanted: Vec<_> = topics.iter().map(|topic| NewPartitions::new(topic, partitions)).collect();
        let grown = self.runtime.block_on(self.client.create_partitions(&wanted, &Self::options()));
        assert!(grown.expect("the broker answers").iter().all(Result::is_ok), "{topics:?} get more partitions");
    }

    /// Deletes the records of a partition before a position, as retention does.
    pub fn delete_before(&self, topic: &str, partition: u32, offset: i64) {
        let mut list = TopicPartitionList::new();
        let partition = i32::try_from(partition).expect("few partitions");
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        let deleted = self.runtime.block_on(self.client.delete_records(&list, &Self::options()));
        let deleted = deleted.expect("the broker answers");
        assert!(deleted.elements().iter().all(|element| element.error().is_ok()), "records of `{topic}` are deleted");
    }
}

/// Waits until the group has no members any more.
fn wait_until_abandoned(deployment: &Deployment) {
    let positions = Positions::of(deployment.bootstrap(), deployment.plan.name);
    let end = now() + LIMIT;
    while !positions.is_abandoned(deployment.plan.name) {
        assert!(now() < end, "who has ended is missed");
        thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until an ask is answered.
fn wait_for_answer(deployment: &Deployment, process: &mut Process, request: &str) {
    process.wait_for(&format!("`{request}` is answered"), |_| {
        let (all, mut found) = (0..deployment.plan.partitions, None);
        scan(deployment.bootstrap(), &deployment.topic(Topic::Verdicts), all, Isolation::Committed, |read| {
            let verdict: records::Verdict<'_> = serde_json::from_slice(read.value.expect("a verdict")).expect("JSON");
            found = found.or((verdict.request_id.as_str() == request).then_some(()));
        });
        found
    });
}

/// A number whose events are in another partition than those of [`NUMBER`].
fn stranger(partitions: u32) -> String {
    let place = |number: &str| partitioner::partition(number.as_bytes(), partitions);
    let mut numbers = (2..100).map(|index| format!("1073100000000{index:02}"));
    numbers.find(|number| place(number) != place(NUMBER)).expect("several partitions")
}

/// Everybody refuses topics that are not as they must be: `tollgate topics`, and `tollgate run`.
fn refused(deployment: &Deployment, whys: &[String]) {
    let (well, said) = deployment.look_at_topics();
    assert!(!well, "`tollgate topics` says by its exit code that something is wrong:\n{said}");
    let run = deployment.start("a").gives_up();
    for (who, said) in [("topics", said), ("run", run)] {
        for why in whys {
            assert!(said.contains(why), "`tollgate {who}` says `{why}`:\n{said}");
        }
    }
}

#[test]
fn topics_that_are_not_as_they_must_be_are_refused_before_anything_is_read() {
    let broker = shared_broker();
    let plan = Plan { name: "refused", partitions: 2, ..Plan::default() };
    let deployment = Deployment::planned(&broker, plan);
    let topics: Vec<String> = deployment.config().stream.topics.into_iter().map(|(_, name)| name).collect();
    let missing: Vec<String> = topics.iter().map(|name| format!("topic `{name}`: it is not there")).collect();
    refused(&deployment, &missing);
    deployment.make_topics();
    let (well, said) = deployment.look_at_topics();
    assert!(well && said.contains("all topics are as they must be"), "{said}");

    let mut loader = Loader::of(&deployment);
    messages(NUMBER, 0..10, NOON, |event| loader.event(event));
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);

    let input = deployment.topic(Topic::Input(0));
    change(&broker, &input, "message.timestamp.type=CreateTime");
    refused(&deployment, &[format!("topic `{input}`: `message.timestamp.type` is `CreateTime`")]);
    deployment.make_topics();

    // One topic first, as somebody would who needs more room for verdicts alone.
    let (admin, verdicts) = (Admin::of(&deployment), deployment.topic(Topic::Verdicts));
    admin.grow(std::slice::from_ref(&verdicts), 4);
    refused(&deployment, &[format!("topic `{verdicts}`: it has 4 partitions")]);
    // Then all of them: they are even, and numbers are elsewhere than the state that was made of them.
    let others: Vec<String> = topics.into_iter().filter(|topic| *topic != verdicts).collect();
    admin.grow(&others, 4);
    let (well, said) = deployment.look_at_topics();
    assert!(well, "topics are even again:\n{said}");
    let said = deployment.start("a").gives_up();
    assert!(said.contains("the state was made of 2 partitions, and the topics have 4"), "{said}");
}

#[test]
fn positions_that_somebody_has_set_halt_their_partition_until_they_are_set_to_what_it_names() {
    let broker = shared_broker();
    // It waits for twice the length of a transaction before it halts, and is missed when its session is over.
    let settings = "transaction_timeout = \"4s\"\nrequest_timeout = \"4s\"\nsession_timeout = \"4s\"\n";
    let plan = Plan { name: "moved", partitions: 2, json: true, settings, ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let (home, stranger) = (partitioner::partition(NUMBER.as_bytes(), 2), stranger(2));
    let (input, charges) = (deployment.topic(Topic::Input(0)), deployment.topic(Topic::Charges));
    let mut loader = Loader::of(&deployment);
    for number in [NUMBER, &stranger] {
        messages(number, 0..50, NOON, |event| loader.event(event));
    }
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);

    wait_until_abandoned(&deployment);
    let place = format!("{input}:{home}");
    reset(&broker, &deployment, &["--topic", &place, "--to-earliest"]);
    let mut process = deployment.start("a");
    let reason = format!("halted: conversation partition {home} stopped rather than lose something");
    process.wait_until_it_says("/readyz", 503, &reason);
    process.wait_until_it_says("/livez", 200, "ok");
    loader.event(&ask(NUMBER, CUSTOMER, "here", NOON + 1_000));
    loader.event(&ask(&stranger, CUSTOMER, "elsewhere", NOON + 1_000));
    loader.finish();
    wait_for_answer(&deployment, &mut process, "elsewhere");
    let said = process.told();
    process.terminate();

    // As docs/kafka.md says, by what the log names.
    let halted = said.lines().find(|line| line.contains(&format!("partition {home}: the state is that of")));
    let halted = halted.unwrap_or_else(|| panic!("the log says where the state stands:\n{said}"));
    let number = |before: &str, after: &str| -> i64 {
        let found = halted.split_once(before).and_then(|(_, rest)| rest.split_once(after));
        found.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("a position in: {halted}"))
    };
    let of_input = number("input positions [", "]");
    assert_eq!(of_input, 50, "the state is that of all messages");
    let of_charges = number("] and position ", " of the charges");
    wait_until_abandoned(&deployment);
    let file = deployment.state("a").join("../positions.csv");
    let lines = format!("{input},{home},{of_input}\n{charges},{home},{of_charges}\n");
    std::fs::write(&file, lines).expect("a file");
    reset(&broker, &deployment, &["--from-file", &file.display().to_string()]);
    let mut processes = [deployment.start("a")];
    wait_for_answer(&deployment, &mut processes[0], "here");
    processes[0].wait_until_it_says("/readyz", 200, "ok");
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    assert_eq!(oracle::check(&deployment).records, 102, "nothing was folded twice");
}

/// Sets positions of the group as operators do.
fn reset(broker: &Broker, deployment: &Deployment, positions: &[&str]) {
    let mut arguments = vec!["--reset-offsets", "--execute", "--group", deployment.plan.name];
    arguments.extend(positions);
    let printed = broker.tool(GROUPS, &arguments);
    assert!(!printed.contains("Error"), "positions are set:\n{printed}");
}

#[test]
fn records_that_are_gone_before_they_were_read_end_the_process_which_says_where() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "gone", partitions: 2, ..Plan::default() });
    let (home, input) = (partitioner::partition(NUMBER.as_bytes(), 2), deployment.topic(Topic::Input(0)));
    let mut loader = Loader::of(&deployment);
    messages(NUMBER, 0..10, NOON, |event| loader.event(event));
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);

    // It was away for longer than the topic's records are kept.
    messages(NUMBER, 10..20, NOON + 1_000, |event| loader.event(event));
    loader.finish();
    Admin::of(&deployment).delete_before(&input, home, 15);
    let said = deployment.start("a").gives_up();
    let told = format!(
        "`{input}`, partition {home}: the log no longer holds offset 10; records that were never read are gone"
    );
    assert!(said.contains(&told), "{told}:\n{said}");
    let positions = Positions::of(deployment.bootstrap(), deployment.plan.name);
    let stands: ByPartition = positions
        .committed(&input, 2)
        .expect("the group's positions")
        .into_iter()
        .filter_map(|(partition, committed)| Some((partition, committed?)))
        .collect();
    assert_eq!(stands.get(&home), Some(&10), "nothing is passed over");
}
