//! Records that nobody can fold. Each ends in a dead letter, or has its partition wait, and everything else flows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tollgate::codec::frame::{Framer, Framing};
use tollgate::codec::{partitioner, records, schema};
use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{Deployment, Plan, Process, now, shared_broker};
use crate::produce::{Loader, ask, messages};
use crate::reading::{Isolation, Positions, scan};
use crate::registry_server::{Mood, RegistryServer};

/// A business number to whose partition everything goes, and when its customers write and are written to.
const NUMBER: &str = "107310000000001";
const NOON: i64 = 1_791_200_000_000;
const HOUR: i64 = 60 * 60 * 1_000;

/// The customer who has written: free-form text is allowed.
const CUSTOMER: &str = "5511000000000";

const LIMIT: Duration = Duration::from_mins(2);

/// A deployment, its process, and what is sent to it.
struct Running {
    deployment: Deployment,
    process: Process,
    loader: Loader,
}

impl Running {
    fn start(broker: &Arc<Broker>, plan: Plan) -> Self {
        let deployment = Deployment::create(broker, plan);
        let process = deployment.start("a");
        let mut loader = Loader::of(&deployment);
        messages(NUMBER, 0..1, NOON, |event| loader.event(event));
        Self { deployment, process, loader }
    }

    fn home(&self) -> u32 {
        partitioner::partition(NUMBER.as_bytes(), self.deployment.plan.partitions)
    }

    /// A number of another partition.
    fn stranger(&self) -> String {
        let elsewhere =
            |number: &String| partitioner::partition(number.as_bytes(), self.deployment.plan.partitions) != self.home();
        (2..100).map(|index| format!("1073100000000{index:02}")).find(elsewhere).expect("several partitions")
    }

    /// Asks about the customer.
    fn ask(&mut self, number: &str, request: &str) {
        self.loader.event(&ask(number, CUSTOMER, request, NOON + 1_000));
        self.loader.finish();
    }

    /// Waits until an ask is answered, and tells how.
    fn answer(&mut self, request: &str) -> String {
        let end = now() + LIMIT;
        loop {
            if let Some(verdict) = self.verdicts().remove(request) {
                return verdict;
            }
            self.process.assert_runs();
            assert!(now() < end, "`{request}` is answered\n{}", self.process.said());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// All answers by the ids of the asks.
    fn verdicts(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        self.read(Topic::Verdicts, |value| {
            let verdict: records::Verdict<'_> = serde_json::from_slice(value).expect("a verdict");
            found.insert(verdict.request_id.as_str().to_owned(), verdict.verdict.as_str().to_owned());
        });
        found
    }

    fn letters(&self) -> Vec<Letter> {
        let mut found = Vec::new();
        self.read(Topic::DeadLetters, |value| {
            let letter: records::DeadLetter<'_> = serde_json::from_slice(value).expect("a dead letter");
            found.push(Letter {
                partition: letter.original_partition.unsigned_abs(),
                code: letter.error.as_str().to_owned(),
                size: usize::try_from(letter.payload_size).expect("a size"),
                key: letter.original_key.map(|key| key.0.into_owned()),
                payload: letter.payload.map(|payload| payload.0.into_owned()),
            });
        });
        found
    }

    fn read(&self, topic: Topic, mut each: impl FnMut(&[u8])) {
        let all = 0..self.deployment.plan.partitions;
        scan(self.deployment.bootstrap(), &self.deployment.topic(topic), all, Isolation::Committed, |read| {
            each(read.value.expect("a record"));
        });
    }
}

/// An ask with a template's name.
fn about_template(name: &str) -> records::SendRequested<'_> {
    let template = records::Template { name: name.into(), language: "en".into(), category: None };
    let content = records::Content { kind: "template".into(), template: Some(template), ..records::Content::default() };
    records::SendRequested { request_id: "long".into(), content, ..records::SendRequested::default() }
}

/// What a dead letter says of a record.
struct Letter {
    partition: u32,
    code: String,
    size: usize,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

#[test]
fn what_cannot_be_folded_becomes_a_dead_letter_and_the_rest_of_its_partition_is_answered() {
    let broker = shared_broker();
    let mut running = Running::start(&broker, Plan { name: "poison", json: true, ..Plan::default() });
    let (home, stranger) = (running.home(), running.stranger());
    let key = NUMBER.as_bytes();
    let event = |event: &records::Event<'_>| {
        let mut bytes = Vec::new();
        let framer = Framer::new(schema::EVENT, Framing::Json).expect("a schema of ours");
        framer.write(event, &mut bytes).expect("an event can be written");
        bytes
    };
    let misplaced = event(&ask(&stranger, CUSTOMER, "misplaced", NOON));
    let mut early = ask(NUMBER, CUSTOMER, "early", NOON);
    early.occurred_at += 2 * HOUR;
    let early = event(&early);
    let (large, largest) = (vec![0x7f; 700_000], vec![0x7f; 5_000_000]);
    let long_key = vec![b'k'; 900_000];
    let long_ask = format!(
        "{{\"phone_number_id\":\"{NUMBER}\",\"send_requested\":{{\"request_id\":\"{}\"}}}}",
        "r".repeat(2_000_000)
    );
    let name = "t".repeat(600_000);
    let long_name = event(&records::Event {
        send_requested: Some(Box::new(about_template(&name))),
        ..ask(NUMBER, CUSTOMER, "long", NOON)
    });
    let poison: [(&str, &[u8], &[u8], bool); 9] = [
        ("unknown_framing", key, b"\x01\x02\x03", true),
        ("not_json", key, b"{", true),
        ("wrong_partition", stranger.as_bytes(), &misplaced, true),
        ("in_the_future", key, &early, true),
        ("unknown_framing", key, &large, true),
        ("unknown_framing", key, &largest, false),
        ("unknown_framing", &long_key, b"\x01", true),
        ("invalid_field", key, &long_name, true),
        ("unknown_shape", key, long_ask.as_bytes(), false),
    ];
    for (index, (_, key, value, _)) in poison.iter().enumerate() {
        running.loader.raw(home, key, value);
        running.ask(NUMBER, &format!("after-{index}"));
    }
    for index in 0..poison.len() {
        assert_eq!(running.answer(&format!("after-{index}")), "allowed", "the ask behind record {index}");
    }
    // An ask whose number and id can be read is told at least that it could not be understood.
    assert_eq!(running.verdicts().get("long").map(String::as_str), Some("unknown"));
    assert_eq!(running.verdicts().len(), poison.len() + 1, "nothing else is answered");
    let letters = running.letters();
    assert_eq!(letters.len(), poison.len());
    for (letter, (code, key, value, is_whole)) in letters.iter().zip(poison) {
        assert_eq!((letter.code.as_str(), letter.partition, letter.size), (code, home, value.len()));
        let small_key = Some(key.to_vec()).filter(|key| key.len() < 1_000);
        assert_eq!(letter.key, small_key, "{code}: a letter has the record's key, if it has room for it");
        let held = letter.payload.as_deref();
        assert!(
            held == is_whole.then_some(value),
            "{code}, {} bytes: it holds {:?}",
            value.len(),
            held.map(<[u8]>::len)
        );
    }
    running.process.terminate();
}

#[test]
fn letters_that_only_point_hold_nothing_of_their_records() {
    let broker = shared_broker();
    let plan = Plan { name: "pointers", json: true, pointers: true, ..Plan::default() };
    let mut running = Running::start(&broker, plan);
    let home = running.home();
    running.loader.raw(home, NUMBER.as_bytes(), b"\x01\x02\x03");
    running.loader.raw(home, NUMBER.as_bytes(), &vec![0x7f; 5_000_000]);
    running.ask(NUMBER, "after");
    assert_eq!(running.answer("after"), "allowed");
    let letters = running.letters();
    assert_eq!(letters.iter().map(|letter| letter.size).collect::<Vec<_>>(), [3, 5_000_000]);
    assert!(letters.iter().all(|letter| letter.payload.is_none() && letter.code == "unknown_framing"));
    running.process.terminate();
}

#[test]
fn a_partition_waits_for_the_registry_and_others_do_not() {
    let broker = shared_broker();
    let registry = RegistryServer::start();
    let plan = Plan { name: "waiting", json: true, registry: Some(registry.url()), ..Plan::default() };
    let mut running = Running::start(&broker, plan);
    let (home, stranger) = (running.home(), running.stranger());
    running.ask(NUMBER, "before");
    assert_eq!(running.answer("before"), "allowed");

    // Its producer registered the schema, which Tollgate has never seen, and then the registry is gone.
    let input = running.deployment.topic(Topic::Input(0));
    let id = registry.register(&format!("{input}-value"), schema::EVENT.text);
    registry.set_mood(Mood::Silent);
    let framed = |id: u32, request: &str| {
        let mut bytes = Vec::new();
        let framer = Framer::new(schema::EVENT, Framing::Registry(id)).expect("a schema of ours");
        framer.write(&ask(NUMBER, CUSTOMER, request, NOON + 2_000), &mut bytes).expect("an event can be written");
        bytes
    };
    let positions = Positions::of(running.deployment.bootstrap(), running.deployment.plan.name);
    let stands = || positions.committed(&input, 4).expect("the group's positions")[&home];
    let before = stands();
    running.loader.raw(home, NUMBER.as_bytes(), &framed(id, "framed"));
    running.ask(NUMBER, "behind");
    // It is asked again and again, and again in vain.
    let end = now() + LIMIT;
    while running.process.said().matches("waits for a schema").count() < 3 {
        assert!(now() < end, "the registry is asked\n{}", running.process.said());
        running.process.assert_runs();
        thread::sleep(Duration::from_millis(100));
    }
    running.ask(&stranger, "elsewhere");
    assert_eq!(running.answer("elsewhere"), "blocked", "another partition goes on");
    assert_eq!(stands(), before, "nothing is skipped");
    assert_eq!(running.letters().len(), 0, "nothing is given up");
    assert!(!running.verdicts().contains_key("behind"), "nothing overtakes what waits");

    registry.set_mood(Mood::Well);
    assert_eq!(running.answer("framed"), "allowed");
    assert_eq!(running.answer("behind"), "allowed");
    assert_eq!(running.letters().len(), 0);

    // An id that the registry does not know will never be known.
    running.loader.raw(home, NUMBER.as_bytes(), &framed(id + 1_000, "unknown"));
    running.ask(NUMBER, "last");
    assert_eq!(running.answer("last"), "allowed");
    let letters = running.letters();
    assert_eq!(letters.iter().map(|letter| letter.code.as_str()).collect::<Vec<_>>(), ["unknown_schema"]);
    assert!(!running.verdicts().contains_key("unknown"));
    running.process.terminate();
}
