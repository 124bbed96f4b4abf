//! The stream processor on a real Kafka: separate processes that are killed, stopped and started again, and a fold
//! without any of that which says what must have come out.

#![cfg(all(feature = "broker", feature = "rocksdb"))]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "../broker/mod.rs"]
mod broker;
mod chaos;
mod clients;
mod cluster;
mod commands;
mod deadlines;
mod disorder;
mod edge;
#[path = "../erased/mod.rs"]
mod erased;
mod erasure;
mod forecast;
mod headers;
#[path = "../histories/mod.rs"]
mod histories;
mod identity;
#[path = "../ledgers/mod.rs"]
mod ledgers;
mod members;
mod operator;
mod oracle;
#[path = "../personal/mod.rs"]
mod personal;
mod poison;
mod privacy;
mod produce;
mod reading;
mod references;
#[path = "../registry_server/mod.rs"]
mod registry_server;
mod runs;
mod secured;
mod segments;
mod shipped;
mod topics;
