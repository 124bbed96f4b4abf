//! Bytes to domain and back: the records of the topics in their three framings, the platform's webhooks,
//! rate cards, and the records of the store.

pub mod analytics;
pub mod ask;
pub mod avro;
pub mod charge;
pub mod event;
pub mod forecast;
pub mod frame;
pub mod ids;
pub mod partitioner;
pub mod rate_card;
pub mod records;
pub mod reference;
pub mod schema;
pub mod state;
pub mod text;
pub mod usage;
pub mod webhook;
