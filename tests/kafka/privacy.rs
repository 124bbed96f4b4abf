//! No personal data in what a process logs and serves, nor in its outputs, but for the records in dead letters: it reads
//! every shape of event there is, and what is left of some that were damaged, and logs everything it can.

use std::time::Duration;

use serde_json::Value;
use tollgate::codec::webhook::{Parsed, Part, Settings};
use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, shared_broker};
use crate::personal::{all_personal, assert_clean, lines};
use crate::produce::Loader;
use crate::reading::{Isolation, scan};

const LIMIT: Duration = Duration::from_mins(2);

#[test]
fn nothing_personal_is_logged_served_or_published() {
    let lines = lines();
    let secrets = all_personal(&lines);
    assert!(secrets.len() > 50, "the fixtures hold personal data to look for");
    let broker = shared_broker();
    // librdkafka tells what it sends and reads, too.
    let settings = "headers = \"full\"\n[kafka.properties]\ndebug = \"broker,topic,msg,eos,cgrp,fetch\"\n";
    let plan = Plan { name: "private", json: true, settings, log: "trace", ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let mut loader = Loader::of(&deployment);
    let mut events = 0;
    for line in &lines {
        let Ok(parsed) = Parsed::new(line.as_bytes()) else { continue };
        for part in parsed.parts(&Settings::default(), Some(1_791_200_000_000)) {
            if let Part::Event(record) = part {
                loader.event(&record);
                events += 1;
            }
        }
        // Whoever sends webhooks here as they came, whole or cut short, has mistaken the topic.
        let cut = line.char_indices().nth(line.chars().count() * 3 / 4).map_or(line.len(), |(at, _)| at);
        for bytes in [line.as_bytes(), &line.as_bytes()[..cut]] {
            loader.raw(events % deployment.plan.partitions, b"a key", bytes);
        }
    }
    assert!(events > 50, "there are events to fold");
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    let [process] = processes;
    let (_, metrics) = process.get("/metrics").expect("it serves metrics");
    assert!(metrics.contains("tollgate_dead_letters_total"), "there is something to tell:\n{metrics}");
    assert_clean("/metrics", &metrics, &secrets);
    for probe in ["/livez", "/readyz", "/startupz"] {
        let (_, text) = process.get(probe).expect("it serves probes");
        assert_clean(probe, &text, &secrets);
    }
    let log = process.told();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is on");
    assert_clean("the log", &log, &secrets);
    process.terminate();

    let mut letters = 0;
    for topic in Topic::WRITTEN {
        let place = deployment.topic(topic);
        scan(deployment.bootstrap(), &place, 0..deployment.plan.partitions, Isolation::Committed, |read| {
            for (name, value) in read.headers() {
                assert_clean(&format!("the header {name} of `{place}`"), &value, &secrets);
            }
            match topic {
                // The state is what the answers are made of, and is nobody's to read.
                Topic::Contacts | Topic::Messages => {}
                Topic::DeadLetters => {
                    letters += 1;
                    let mut letter: Value = serde_json::from_slice(read.value.expect("a letter")).expect("JSON");
                    let fields = letter.as_object_mut().expect("a record");
                    assert!(fields.remove("payload").is_some(), "it holds the record as it came");
                    assert_clean(&format!("`{place}`"), &letter.to_string(), &secrets);
                }
                _ => {
                    for part in [read.key, read.value].into_iter().flatten() {
                        assert_clean(&format!("`{place}`"), &String::from_utf8_lossy(part), &secrets);
                    }
                }
            }
        });
    }
    assert!(letters > 50, "what was damaged has become letters");
}
