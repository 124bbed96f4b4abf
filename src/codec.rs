//! Bytes to domain and back.

pub mod records;
pub mod text;
