//! How far a replay has come: what the committed batch holds beside the state.

use serde::{Deserialize, Serialize};

use super::inputs::{Identity, Place};
use super::outputs::{Format, Lengths};
use super::summary::Summary;
use crate::config::Mistake;
use crate::domain::time::Timestamp;

/// How far a replay has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Everything that decides the outputs besides the inputs.
    pub fingerprint: String,
    /// The files, in the order that breaks ties between them.
    pub inputs: Vec<InputPosition>,
    /// Where the outputs are and how they are written, if there are any.
    pub outputs: Option<OutputPosition>,
    /// What has been counted.
    pub summary: Summary,
}

/// How far a file has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPosition {
    /// Which file.
    pub identity: Identity,
    /// Everything before this place is in the state.
    pub place: Place,
    /// The greatest time it has had, in milliseconds.
    pub high: Option<i64>,
    /// Whether it has been read to its end.
    pub finished: bool,
}

/// Where the outputs are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPosition {
    /// The directory, as given.
    pub directory: String,
    /// `ndjson` or `avro`.
    pub format: String,
    /// How long each file is, once something was committed.
    pub lengths: Option<Lengths>,
}

impl OutputPosition {
    /// Outputs in a directory, before anything is written.
    #[must_use]
    pub fn start(directory: &str, format: Format) -> Self {
        Self { directory: directory.to_owned(), format: format_name(format).to_owned(), lengths: None }
    }
}

impl InputPosition {
    /// A file at its beginning.
    #[must_use]
    pub const fn start(identity: Identity) -> Self {
        Self { identity, place: Place { bytes: 0, records: 0, lines: 0 }, high: None, finished: false }
    }

    /// The greatest time it has had.
    #[must_use]
    pub fn high(&self) -> Option<Timestamp> {
        self.high.and_then(Timestamp::from_millis)
    }
}

/// The name of a format.
#[must_use]
pub const fn format_name(format: Format) -> &'static str {
    match format {
        Format::Ndjson => "ndjson",
        Format::Avro => "avro",
    }
}

impl Position {
    /// Reads a position.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Writes it.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        // A position is made of texts and numbers alone, which JSON always holds.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether the settings of a configuration are those it was made with; accounts and templates may be others.
    #[must_use]
    pub fn is_of(&self, settings: &str) -> bool {
        self.fingerprint.strip_prefix(settings).is_some_and(|rest| rest.starts_with(" ["))
    }

    /// Goes on from here with the files given now: those of the former run first, in their order, then new
    /// ones.
    ///
    /// # Errors
    /// What does not fit the former run.
    pub fn resume(
        &mut self,
        given: Vec<Identity>,
        fingerprint: &str,
        outputs: Option<(&str, Format)>,
    ) -> Result<(), Vec<Mistake>> {
        let mut mistakes = Vec::new();
        if self.fingerprint != fingerprint {
            let problem = "settings, rate cards, accounts or templates are not those the state was made with; \
                           replay into a new --state directory, or give the former ones";
            mistakes.push(Mistake::new("--state", problem));
        }
        match (&self.outputs, outputs) {
            (None, None) => {}
            (Some(former), Some((directory, format)))
                if former.directory == directory && former.format == format_name(format) => {}
            (former, _) => {
                let former = former.as_ref().map_or_else(
                    || "without --out".to_owned(),
                    |former| format!("with --out {} --format {}", former.directory, former.format),
                );
                mistakes.push(Mistake::new("--out", format!("the former run was made {former}; go on the same way")));
            }
        }
        let all_finished = self.inputs.iter().all(|input| input.finished);
        for former in &self.inputs {
            match given.iter().find(|identity| identity.path == former.identity.path) {
                Some(identity) if *identity != former.identity => {
                    let problem = "it is not the file the former run read: its size or its beginning has changed";
                    mistakes.push(Mistake::new(&former.identity.path, problem));
                }
                None if !former.finished => {
                    let problem = "the former run stopped in the middle of it; give it again";
                    mistakes.push(Mistake::new(&former.identity.path, problem));
                }
                Some(_) | None => {}
            }
        }
        for identity in given {
            let known = self.inputs.iter().any(|former| former.identity.path == identity.path);
            if !known && !all_finished {
                let problem = "it is new, and the former run has not finished its own files; finish them first";
                mistakes.push(Mistake::new(&identity.path, problem));
            }
            if !known {
                self.inputs.push(InputPosition::start(identity));
            }
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64) -> Identity {
        Identity { path: name.into(), size: Some(size), digest: "d".into() }
    }

    fn after(finished: bool) -> Position {
        let input = InputPosition { finished, ..InputPosition::start(file("day1", 10)) };
        Position { fingerprint: "f".into(), inputs: vec![input], outputs: None, summary: Summary::default() }
    }

    fn problems(position: &mut Position, given: &[Identity]) -> usize {
        position.resume(given.to_vec(), "f", None).err().map_or(0, |mistakes| mistakes.len())
    }

    #[test]
    fn a_file_that_was_finished_may_be_left_out_and_a_new_one_added() {
        let mut position = after(true);
        assert_eq!(problems(&mut position, &[file("day2", 20)]), 0);
        assert_eq!(position.inputs.len(), 2);
        assert!(position.inputs[0].finished && !position.inputs[1].finished);
    }

    #[test]
    fn a_file_in_the_middle_must_be_given_again_unchanged_and_alone() {
        assert_eq!(problems(&mut after(false), &[file("day1", 10)]), 0);
        assert_eq!(problems(&mut after(false), &[]), 1);
        assert_eq!(problems(&mut after(false), &[file("day1", 11)]), 1);
        assert_eq!(problems(&mut after(false), &[file("day1", 10), file("day2", 20)]), 1);
    }

    #[test]
    fn other_settings_or_outputs_are_refused() {
        assert!(after(true).resume(Vec::new(), "g", None).is_err());
        assert!(after(true).resume(Vec::new(), "f", Some(("out", Format::Avro))).is_err());
    }

    #[test]
    fn a_position_comes_back_as_it_was_written() {
        let position = after(false);
        assert_eq!(Position::read(&position.write()), Some(position));
    }
}
