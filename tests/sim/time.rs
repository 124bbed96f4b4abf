//! The simulation's time.

use std::time::Duration;

/// Microseconds since a run began.
pub type Micros = u64;

pub const MILLI: Micros = 1_000;
pub const SECOND: Micros = 1_000_000;

/// What the wall clocks showed when a run began.
const BEGAN_AT: i64 = 1_795_000_000_000;

/// The wall clock of brokers and workers, in milliseconds since the epoch.
pub const fn wall(now: Micros) -> i64 {
    BEGAN_AT + (now / MILLI).cast_signed()
}

/// A span, as the simulation counts.
pub fn micros(span: Duration) -> Micros {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
