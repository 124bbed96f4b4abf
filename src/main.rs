//! The `tollgate` command.

use std::process::ExitCode;

/// Records are decoded on one thread, folded on a second and freed on a third, which the system's allocator
/// takes a third of the time for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tollgate::cli::run()
}
