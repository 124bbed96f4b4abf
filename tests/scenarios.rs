//! The rules as text: every vector of `tests/scenarios/`, through the engine.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use tollgate::domain::policy::Policy;
use tollgate::scenario;

#[test]
fn every_vector_does_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 11, "the shared vectors' nine sections, the seed rules and our own");
    let (mut shown, mut passed, mut pending, mut failed) = (String::new(), 0, 0, 0);
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a text");
        let tally = scenario::run(&path, &text, &Policy::default(), false, &mut |report| shown.push_str(report));
        passed += tally.passed;
        pending += tally.pending;
        failed += tally.failed;
    }
    assert_eq!(failed, 0, "\n{shown}");
    assert!(passed >= 100, "{passed} passed, {pending} pending");
}
