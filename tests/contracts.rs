//! The data contract, held from four sides: the schemas against the structs, today's code against the files
//! that every release has written, every released schema against every other, and the codec against
//! apache-avro, which knows nothing of our habits.
//!
//! The files under `tests/golden/records/<version>` and `tests/golden/schemas/<version>` are never edited once
//! that version is released; a version is only added. How is written in `contracts/golden.rs`.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod contracts {
    mod case;
    mod compatibility;
    mod containers;
    mod forward;
    mod golden;
    mod hostile;
    mod invented;
    mod library;
    mod schemas;
    mod trees;
    mod values;
}
