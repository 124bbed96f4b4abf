//! Members that come and go while events come in: every partition has one owner, and what belongs together stays
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{Deployment, Plan, Process, logs, now, shared_broker};
use crate::oracle;
use crate::produce::{Loader, traffic};
use crate::reading::Positions;

/// Kafka's own tool for groups.
const GROUPS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";

/// How long a group may take to settle, and to fold again. Who left is missed after its session.
const LIMIT: Duration = Duration::from_mins(3);

const EVENTS: u64 = 60_000;

#[test]
fn one_member_two_three_and_two_again_own_each_partition_once_and_its_inputs_together() {
    let broker = shared_broker();
    let settings = "session_timeout = \"6s\"\n";
    let plan = Plan { name: "members", partitions: 6, inputs: 2, settings, ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let stream = traffic(7, EVENTS, 1_500);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &stream);
    let settled = AtomicBool::new(false);
    let mut group = Group { broker: &broker, deployment: &deployment, processes: Vec::new() };
    thread::scope(|scope| {
        let settled = &settled;
        scope.spawn(move || {
            loader.stream(&stream, |sent| {
                // As long as members come and go there is always something to fold. Nor is a month of events sent
                // in a moment after that: of an input that is passed over they would come too late.
                let together = if settled.load(Ordering::Relaxed) { 100 } else { 20 };
                if sent % together == 0 {
                    thread::sleep(Duration::from_millis(100));
                }
            });
            loader.finish();
        });
        for instance in ["a", "b", "c"] {
            group.processes.push(deployment.start(instance));
            group.settles();
        }
        group.processes.remove(0).terminate();
        group.settles();
        settled.store(true, Ordering::Relaxed);
    });
    let mut processes = group.processes;
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    let figures = oracle::check(&deployment);
    assert_eq!(figures.records, EVENTS);
    println!("members: {figures:?}");
}

/// The group of a deployment whose processes come and go.
struct Group<'d> {
    broker: &'d Broker,
    deployment: &'d Deployment,
    processes: Vec<Process>,
}

impl Group<'_> {
    /// Waits until every process has its share and every partition goes on, and looks at who owns what.
    fn settles(&mut self) {
        let expected: BTreeSet<String> =
            self.processes.iter().map(|process| format!("{}-0", process.instance)).collect();
        // There is no group to ask about before something was folded.
        self.goes_on();
        let end = now() + LIMIT;
        let owners = loop {
            let owners = self.owners();
            let found: BTreeSet<String> = owners.values().flatten().cloned().collect();
            if found == expected {
                break owners;
            }
            assert!(now() < end, "owners are {found:?}, not {expected:?}\n{}", logs(&self.processes));
            self.processes.iter_mut().for_each(Process::assert_runs);
        };
        let topics: Vec<String> =
            [Topic::Input(0), Topic::Input(1), Topic::Charges].map(|topic| self.deployment.topic(topic)).into();
        for partition in 0..self.deployment.plan.partitions {
            let of = |topic: &String| owners.get(&(topic.clone(), partition)).map_or(&[][..], Vec::as_slice);
            let [first, second, charges] = [of(&topics[0]), of(&topics[1]), of(&topics[2])];
            assert_eq!(first.len(), 1, "partition {partition} of `{}` has one owner", topics[0]);
            assert_eq!(first, second, "partition {partition} of both inputs has the same owner");
            assert_eq!(charges.len(), 1, "partition {partition} of `{}` has one owner", topics[2]);
        }
        self.goes_on();
    }

    /// Who owns each partition, by the broker's own word. While the group changes nobody does.
    fn owners(&self) -> BTreeMap<(String, u32), Vec<String>> {
        let text = self.broker.tool(GROUPS, &["--describe", "--group", self.deployment.plan.name]);
        let mut owners: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match &words[..] {
                ["GROUP", .., last] => assert_eq!(*last, "CLIENT-ID", "the last column names the member:\n{text}"),
                [group, topic, partition, .., owner] if *group == self.deployment.plan.name && *owner != "-" => {
                    let partition = partition.parse().expect("a partition's number");
                    owners.entry(((*topic).to_owned(), partition)).or_default().push((*owner).to_owned());
                }
                _ => {}
            }
        }
        owners
    }

    /// Waits until the group's position in every partition of every input is another than now.
    fn goes_on(&mut self) {
        let positions = Positions::of(self.deployment.bootstrap(), self.deployment.plan.name);
        for topic in (0..self.deployment.plan.inputs).map(Topic::Input) {
            let topic = self.deployment.topic(topic);
            let committed = || positions.committed(&topic, self.deployment.plan.partitions);
            let before = self.until("the positions are known", || committed().ok());
            self.until("every partition is folded", || {
                let after = committed().ok()?;
                before.iter().all(|(partition, stood)| after[partition] > *stood).then_some(())
            });
        }
    }

    /// Waits until something is there.
    fn until<T>(&mut self, what: &str, found: impl Fn() -> Option<T>) -> T {
        let end = now() + LIMIT;
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(now() < end, "after {LIMIT:?} it does not hold that {what}\n{}", logs(&self.processes));
            self.processes.iter_mut().for_each(Process::assert_runs);
            thread::sleep(Duration::from_millis(100));
        }
    }
}
