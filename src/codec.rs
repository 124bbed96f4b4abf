//! Bytes to domain and back.

pub mod avro;
pub mod ids;
pub mod records;
pub mod text;
