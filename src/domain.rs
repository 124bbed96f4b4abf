//! The rules. Only std: no I/O, no clock, no async, no logging, no serde, no floats. Time is an argument,
//! so the same events give the same effects, always.
//!
//! Read [`fold`] first: it alone changes what is remembered. [`verdict`] answers questions and [`billing`]
//! decides what a delivered message costs; both read, and change nothing.

pub mod bid;
pub mod billing;
pub mod contact;
pub mod content;
pub mod conversation;
pub mod effect;
pub mod entry_point;
pub mod event;
pub mod fold;
pub mod forecast;
pub mod id;
pub mod identity;
pub mod in_flight;
pub mod ledger;
pub mod message;
pub mod money;
pub mod number;
pub mod pair;
pub mod policy;
pub mod reference;
pub mod refusal;
pub mod rules;
pub mod time;
pub mod verdict;
pub mod window;
