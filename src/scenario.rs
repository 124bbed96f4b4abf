//! Scenarios: timelines as text with the verdicts and charges to expect of them.
//!
//! They are our rule tests and a user's way to test a policy. Each vector runs through the same engine as a
//! replay, on a store in memory.

mod parse;
mod play;

use std::ops::Range;
use std::path::Path;

use ariadne::{Color, Config as ReportConfig, Label, Report, ReportKind, Source};

use crate::domain::policy::Policy;
use parse::{Mistake, Vector};

/// What became of a file's vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Vectors that did what they say.
    pub passed: usize,
    /// Vectors, or lines of vectors, that wait for a rule, and do not pass yet.
    pub pending: usize,
    /// Vectors that did something else, and pending ones that pass.
    pub failed: usize,
}

/// Runs all vectors of a text. `report` gets every failure as it is to be shown.
pub fn run(name: &Path, text: &str, policy: &Policy, color: bool, report: &mut dyn FnMut(&str)) -> Tally {
    let file = parse::parse(text);
    let folder = name.parent().unwrap_or(Path::new("."));
    let mut tally = Tally::default();
    let mut show =
        |at: Range<usize>, problem: &str, vector: &str| report(&render(name, text, at, problem, vector, color));
    for Mistake { at, problem } in &file.mistakes {
        tally.failed += 1;
        show(at.clone(), problem, "it cannot be read");
    }
    for vector in &file.vectors {
        let result = judge(vector, policy, folder);
        tally.pending += result.pending;
        if result.failures.is_empty() {
            tally.passed += usize::from(vector.pending.is_none());
        } else {
            tally.failed += 1;
        }
        for Mistake { at, problem } in &result.failures {
            show(at.clone(), problem, &format!("{} {}", vector.id, vector.title));
        }
    }
    tally
}

#[derive(Default)]
struct Judged {
    pending: usize,
    failures: Vec<Mistake>,
}

/// Plays a vector and weighs what differs against what it says is pending.
fn judge(vector: &Vector, policy: &Policy, folder: &Path) -> Judged {
    let played = if vector.mistakes.is_empty() { play::play(vector, policy, folder) } else { Ok(Vec::new()) };
    let differences = match played {
        Ok(differences) => differences,
        Err(mistake) => vec![play::Difference { step: None, mistake }],
    };
    let mut judged = Judged::default();
    if let Some(rule) = &vector.pending {
        if differences.is_empty() && vector.mistakes.is_empty() {
            let problem = format!("it passes, though it is pending for `{rule}`: unmark it");
            judged.failures.push(Mistake { at: vector.at.clone(), problem });
        } else {
            judged.pending = 1;
        }
        return judged;
    }
    for (index, step) in vector.steps.iter().enumerate() {
        if let Some(rule) = &step.pending {
            if differences.iter().any(|difference| difference.step == Some(index)) {
                judged.pending += 1;
            } else {
                let problem = format!("it passes, though it is pending for `{rule}`: unmark it");
                judged.failures.push(Mistake { at: step.at.clone(), problem });
            }
        }
    }
    let waits = |difference: &play::Difference| {
        difference.step.and_then(|step| vector.steps.get(step)).is_some_and(|step| step.pending.is_some())
    };
    judged
        .failures
        .extend(differences.into_iter().filter(|difference| !waits(difference)).map(|difference| difference.mistake));
    judged
}

/// Shows a place in the text and what is wrong there.
fn render(name: &Path, text: &str, at: Range<usize>, problem: &str, vector: &str, color: bool) -> String {
    let name = name.display().to_string();
    // The report counts in characters, and we in bytes.
    let characters = |byte: usize| text[..byte.min(text.len())].chars().count();
    let span = (name.clone(), characters(at.start)..characters(at.end).max(characters(at.start) + 1));
    let report = Report::build(ReportKind::Error, span.clone())
        .with_config(ReportConfig::default().with_color(color))
        .with_message(vector)
        .with_label(Label::new(span).with_message(problem).with_color(Color::Red))
        .finish();
    let mut out = Vec::new();
    if report.write((name, Source::from(text)), &mut out).is_err() {
        return format!("{vector}: {problem}\n");
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_text(text: &str) -> (Tally, String) {
        let mut shown = String::new();
        let tally = run(Path::new("test.txt"), text, &Policy::default(), false, &mut |report| shown.push_str(report));
        (tally, shown)
    }

    #[test]
    fn a_vector_that_does_what_it_says_passes() {
        let (tally, shown) =
            run_text("A02 x\n  0 IN text => csw[0,24) ; 23:59:59 OUT svc => ALLOW ; 24 ASK svc => BLOCK 131047\n");
        assert_eq!((tally.passed, tally.failed), (1, 0), "{shown}");
    }

    #[test]
    fn a_failure_shows_the_place_and_what_was_found() {
        let (tally, shown) = run_text("A02 x\n  0 IN text\n  1 ASK svc => BLOCK\n");
        assert_eq!(tally.failed, 1);
        assert!(shown.contains("test.txt:3") && shown.contains("allowed: service_window_open"), "{shown}");
    }

    #[test]
    fn a_pending_vector_that_passes_fails_the_run() {
        let (tally, shown) = run_text("A02 x\n  pending: nothing\n  0 IN text => csw[0,24)\n");
        assert_eq!((tally.pending, tally.failed), (0, 1));
        assert!(shown.contains("unmark"), "{shown}");
    }

    #[test]
    fn a_pending_line_leaves_the_others_to_pass() {
        let (tally, shown) = run_text("A02 x\n  0 IN text => csw[0,24)\n  pending(magic) 1 ASK svc => BLOCK\n");
        assert_eq!((tally.passed, tally.pending, tally.failed), (1, 1, 0), "{shown}");
    }
}
