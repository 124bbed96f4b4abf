//! Tollgate: a gate and a toll for `WhatsApp` Business traffic.
//!
//! - [`domain`] is the rules: what can happen, what is remembered, what follows. Pure; only std.
//! - [`codec`] turns bytes into the domain and back: records in three framings, webhooks, ids, state rows.
//! - [`store`] is where state rests: rows in batches that happen whole or not at all.
//! - [`stream`] is what a log of records is to a worker; Kafka and the simulation's broker are such logs.
//! - [`engine`] is one partition: load, fold, keep, commit. It knows no files and no Kafka.
//! - [`worker`] drives engines over a log, exactly once: transactions, changelogs, restore.
//! - [`zones`] are the time zones, compiled in.
//! - [`config`] is the configuration as typed and as needed, all mistakes together.
//! - [`replay`] drives the engine over files, [`scenario`] over timelines written as text.
//! - [`reconcile`] compares the ledger with the platform's own figures; [`redrive`] gives dead letters back.
//! - [`explain`] tells why something is as it is: the events behind it, the rule, the arithmetic.
//! - [`forecast`] asks what a list of messages would come to.
//! - [`erasure`] is the event that has a person erased. `operate` does on topics what these do on files.
//! - `registry`, `metrics`, `health` and `http` stand around the stream processor: the schema registry's client, what is
//!   measured, whether all is well, and the server that tells both.
//! - [`loadgen`] makes traffic with the right answers beside it, and shares no rule with the domain.
//! - [`cli`] is the command line.
//!
//! Each names only those above it; `tests/architecture.rs` holds them to that.

pub mod cli;
pub mod codec;
pub mod config;
pub mod domain;
pub mod engine;
pub mod erasure;
pub mod explain;
pub mod forecast;
#[cfg(feature = "serving")]
pub mod health;
#[cfg(feature = "serving")]
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod loadgen;
#[cfg(feature = "serving")]
pub mod metrics;
#[cfg(feature = "kafka")]
pub mod operate;
pub mod reconcile;
pub mod redrive;
#[cfg(feature = "serving")]
pub mod registry;
pub mod replay;
#[cfg(feature = "kafka")]
pub mod run;
pub mod scenario;
pub mod store;
pub mod stream;
pub mod worker;
pub mod zones;
