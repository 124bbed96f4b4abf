//! Tollgate.
pub mod domain;
