//! Tollgate: a gate and a toll for WhatsApp Business traffic.
pub mod codec;
pub mod domain;
pub mod engine;
pub mod store;
pub mod zones;
