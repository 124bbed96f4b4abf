//! Bytes to domain and back.

pub mod avro;
pub mod event;
pub mod ids;
pub mod records;
pub mod reference;
pub mod text;
pub mod webhook;
