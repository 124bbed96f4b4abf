//! Tollgate: a gate and a toll for `WhatsApp` Business traffic.
pub mod cli;
pub mod codec;
pub mod config;
pub mod domain;
pub mod engine;
pub mod loadgen;
pub mod replay;
pub mod scenario;
pub mod store;
pub mod zones;
