//! `tollgate run` on a real Kafka, beside what it could at best be and what it could be instead.
//!
//! `make bench-stream`, or `cargo bench --bench stream`. README.md, in this folder, says what is measured and how; `settings.rs`
//! what may be set. This binary is its own helper too: what is measured runs in processes of its own, so that the
//! generator's and the readers' work is not counted.

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot go on stops")]
#![allow(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "a figure is read to three digits")]
#![allow(clippy::cast_possible_wrap, reason = "offsets and instants are far from the edges")]

#[path = "../../tests/broker/mod.rs"]
mod broker;
mod cluster;
mod deployment;
mod events;
mod ladder;
mod latency;
#[path = "../measure/mod.rs"]
#[allow(dead_code, reason = "each bench uses its part")]
mod measure;
mod memory;
mod openloop;
mod passing;
mod process;
mod restart;
mod settings;
mod shape;
mod system;
mod table;

use settings::{Part, Settings};

/// As the command has it, so that the pass-through does not win or lose by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if passing::play(&arguments) {
        return;
    }
    let settings = Settings::from_environment();
    measure::machine();
    for part in &settings.parts {
        match part {
            Part::Load => ladder::load_only(&settings),
            Part::Ladder => ladder::run(&settings),
            Part::Latency => latency::run(&settings),
            Part::Idle => latency::run_with_idle_partitions(&settings),
            Part::Restart => restart::run(&settings),
            Part::Memory => memory::run(&settings),
        }
    }
    println!("\nload average after: {}", table::load_average());
}
