//! Whatever bytes come, nothing panics; and what can be read can be written and read again, and is the same.
//!
//! Each test is a fuzz target. Under `cargo test` it runs over its kept corpus, and over inputs mutated from
//! it, the same ones every time. Under `make fuzz` it is fuzzed by libFuzzer, guided by coverage, and what that
//! learns stays out of the repository. The corpora are in `__fuzz__/NAME/corpus`, and `seeds.rs` makes them of the
//! examples. An input that has once failed is kept in `__fuzz__/NAME/crashes`, and run for ever after.

#![allow(clippy::expect_used, clippy::panic, reason = "a target that finds something fails")]

mod frames;
mod inputs;
mod mutation;
mod seeds;
mod state;
mod stream;
mod texts;

macro_rules! targets {
    ($($(#[$doc:meta])* $target:ident = $check:path;)*) => {
        $(
            $(#[$doc])*
            #[test]
            fn $target() {
                // The engine of `cargo test` draws its own inputs from nowhere, so that a failure would not come
                // again; it is left to run the files alone.
                bolero::check!().with_iterations(0).for_each(|input: &[u8]| $check(input));
            }
        )*

        mod mutated {
            $(
                #[test]
                fn $target() {
                    super::mutation::run(stringify!($target), $check);
                }
            )*
        }
    };
}

targets! {
    /// Every record in its three framings.
    frames = crate::frames::check;
    /// Files of records: JSON and Avro containers, plain and compressed.
    inputs = crate::inputs::check;
    /// Webhook bodies and events, through the engine.
    stream = crate::stream::check;
    /// The rows of the store.
    state = crate::state::check;
    /// Rate cards.
    rate_card = crate::texts::rate_card;
    /// Scenarios.
    scenario = crate::texts::scenario;
    /// The configuration.
    config = crate::texts::config;
}
