//! The broker that other tests run on: it starts, it is killed, and it comes back as itself.

#![cfg(feature = "broker")]

mod broker;

use std::net::TcpStream;

use broker::Broker;

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

#[test]
fn a_broker_that_was_killed_comes_back_with_its_topics_on_its_port() {
    let mut broker = Broker::start_with(&["num.partitions=3"]);
    let (bootstrap, pid) = (broker.bootstrap().to_owned(), broker.pid());
    broker.tool(TOPICS, &["--create", "--topic", "kept"]);

    broker.kill();
    assert!(TcpStream::connect(&bootstrap).is_err(), "nobody answers at {bootstrap} any more");

    broker.restart();
    assert_eq!(broker.bootstrap(), bootstrap, "it answers where it answered");
    assert_ne!(broker.pid(), pid, "it is another process");
    let kept = broker.tool(TOPICS, &["--describe", "--topic", "kept"]);
    assert!(kept.contains("PartitionCount: 3"), "the topic is there, made by the broker's settings:\n{kept}");

    broker.stop();
    broker.restart();
    assert_eq!(broker.tool(TOPICS, &["--list"]).trim(), "kept");

    drop(broker);
    assert!(TcpStream::connect(&bootstrap).is_err(), "with its value it is gone");
}

#[test]
#[should_panic(expected = "ConfigException")]
fn a_broker_that_cannot_start_fails_the_test_and_says_why() {
    Broker::start_with(&["min.insync.replicas=none"]);
}
