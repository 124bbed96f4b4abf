//! `tollgate redrive`: dead letters back in, once what kept them from being folded is mended.
//!
//! A letter goes back as it came, byte for byte. The one exception is what came too late, or comes too late by going back:
//! it gets `admit_late`, without which it would be a letter again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::codec::frame::Writers;
use crate::codec::records::{DeadLetter, Event};
use crate::codec::{ids, schema};
use crate::config::Mistake;
use crate::domain::time::Timestamp;
use crate::replay::inputs::{Files, Supply};

/// Which letters go back.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only letters with one of these codes; all if there is none.
    pub errors: Vec<String>,
    /// Only letters that were read from one of these topics or files.
    pub topics: Vec<String>,
    /// Only letters from this instant on.
    pub from: Option<Timestamp>,
    /// Only letters before this instant.
    pub until: Option<Timestamp>,
}

/// What became of the letters.
#[derive(Debug, Default)]
pub struct Redriven {
    /// How many went back, by code.
    pub given_back: BTreeMap<String, u64>,
    /// How many were not asked for.
    pub passed_over: u64,
    /// How many say the same as one that goes back already.
    pub repeated: u64,
    /// How many cannot go back.
    pub refused: u64,
    /// The first of these: where each was read first, and what to do.
    pub told: Vec<Mistake>,
}

/// Of how many letters that cannot go back it is told why.
const TOLD: usize = 100;

/// Where letters go back to.
pub trait Target {
    /// What a letter goes back as. Its bytes say what it is: the same ones go back once.
    type Record: AsRef<[u8]>;

    /// The record that a letter is about and does not hold.
    ///
    /// # Errors
    /// Why there is none.
    fn find(&mut self, letter: &DeadLetter<'_>) -> Result<Vec<u8>, String>;

    /// What a letter goes back as.
    ///
    /// # Errors
    /// Why it cannot go back, without any of its content.
    fn record(&mut self, letter: &DeadLetter<'_>, payload: &[u8]) -> Result<Self::Record, String>;

    /// Takes a record.
    ///
    /// # Errors
    /// Why nothing more can be taken.
    fn take(&mut self, record: Self::Record) -> Result<(), Mistake>;
}

/// The code of what came too late.
const TOO_LATE: &str = "too_late";

/// The flag that lets it in.
const FLAG: &str = "admit_late";

/// Gives letters back.
///
/// # Errors
/// What cannot be read or written.
pub fn run<T: Target>(wanted: &Wanted, letters: &mut dyn Supply, target: &mut T) -> Result<Redriven, Vec<Mistake>> {
    let (mut redriven, mut known, mut taken) = (Redriven::default(), BTreeSet::new(), Ok(()));
    let mut mistakes = Vec::new();
    letters.each(&mut mistakes, &mut |record| {
        let letter: DeadLetter<'_> = record.read().map_err(|problem| vec![problem])?;
        if !wanted.holds(&letter) {
            redriven.passed_over += 1;
            return Ok(());
        }
        if taken.is_err() {
            return Ok(());
        }
        let found = letter
            .payload
            .as_ref()
            .map_or_else(|| target.find(&letter).map(Cow::Owned), |payload| Ok(Cow::Borrowed(&payload.0[..])));
        match found.and_then(|payload| target.record(&letter, &payload)) {
            // The same record may be in the log twice, or be a letter again because it was given back before.
            Ok(record) if !known.insert(ids::hash(&[record.as_ref()])) => redriven.repeated += 1,
            Ok(record) => {
                taken = target.take(record);
                *redriven.given_back.entry(letter.error.as_str().to_owned()).or_default() += 1;
            }
            Err(why) => {
                redriven.refused += 1;
                if redriven.told.len() < TOLD {
                    redriven.told.push(Mistake::new(place(&letter), why));
                }
            }
        }
        Ok(())
    });
    mistakes.extend(taken.err());
    if mistakes.is_empty() { Ok(redriven) } else { Err(mistakes) }
}

/// A file of events and webhook bodies, for `tollgate replay`.
pub struct Lines {
    path: PathBuf,
    out: BufWriter<File>,
    writers: Writers,
}

impl Lines {
    /// Begins a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path) -> Result<Self, Mistake> {
        let writers = Writers::of(schema::EVENT).map_err(|error| Mistake::new("event.avsc", error.to_string()))?;
        let file = File::create(path).map_err(|error| unwritable(path, &error))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), writers })
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> Result<(), Mistake> {
        let written = self.out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Mistake {
    Mistake::new(path.display().to_string(), error.to_string())
}

impl Target for Lines {
    type Record = Vec<u8>;

    fn find(&mut self, _: &DeadLetter<'_>) -> Result<Vec<u8>, String> {
        Err("the letter has no payload, because `dead_letters.payload` is `pointer` or the record was too large; \
             take the record from its topic while that still has it"
            .to_owned())
    }

    /// JSON stays as it is; Avro, which has no lines, becomes JSON with the same fields.
    fn record(&mut self, letter: &DeadLetter<'_>, payload: &[u8]) -> Result<Vec<u8>, String> {
        let bytes = if letter.error.as_str() == TOO_LATE {
            admitted(letter, payload, &self.writers)?
        } else {
            Cow::Borrowed(payload)
        };
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Ok(bytes.into_owned());
        }
        let event: Event<'_> = self.writers.read(&bytes).map_err(|error| error.to_string())?;
        serde_json::to_vec(&event).map_err(|error| error.to_string())
    }

    fn take(&mut self, line: Vec<u8>) -> Result<(), Mistake> {
        let written = self.out.write_all(&line).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| unwritable(&self.path, &error))
    }
}

/// A letter's record with the flag that lets it in however late it comes, and else byte for byte what it was.
///
/// # Errors
/// If it cannot be read, or came too late and was written with a schema that has no such flag.
pub fn admitted<'a>(letter: &DeadLetter<'_>, payload: &'a [u8], writers: &Writers) -> Result<Cow<'a, [u8]>, String> {
    let flagged = writers.with_flag(payload, FLAG).map_err(|error| error.to_string())?;
    match flagged {
        Some(flagged) => Ok(Cow::Owned(flagged)),
        None if letter.error.as_str() == TOO_LATE => {
            Err("it was written with a schema that has no `admit_late`; update whoever writes it".to_owned())
        }
        None => Ok(Cow::Borrowed(payload)),
    }
}

/// The files of dead letters: those given, and those of a replay's directory.
///
/// # Errors
/// Which directories have none.
pub fn files(paths: &[PathBuf]) -> Result<Files, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let names = ["dead-letters.ndjson", "dead-letters.avro"].map(|name| path.join(name));
        let before = files.len();
        files.extend(names.into_iter().filter(|path| path.is_file()));
        if files.len() == before {
            let why =
                "it holds neither dead-letters.ndjson nor dead-letters.avro, which `tollgate replay --out` writes";
            mistakes.push(Mistake::new(path.display().to_string(), why));
        }
    }
    if mistakes.is_empty() { Ok(Files(files)) } else { Err(mistakes) }
}

fn place(letter: &DeadLetter<'_>) -> String {
    format!(
        "{}, partition {}, offset {}",
        letter.original_topic.as_str(),
        letter.original_partition,
        letter.original_offset
    )
}

impl Wanted {
    fn holds(&self, letter: &DeadLetter<'_>) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        let at = letter.envelope.time;
        among(&self.errors, letter.error.as_str())
            && among(&self.topics, letter.original_topic.as_str())
            && self.from.is_none_or(|from| from.millis() <= at)
            && self.until.is_none_or(|until| at < until.millis())
    }
}

impl fmt::Display for Redriven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.given_back.is_empty() {
            writeln!(f, "No letter goes back.")?;
        }
        for (code, count) in &self.given_back {
            writeln!(f, "{count} with `{code}` go back")?;
        }
        for (count, what) in [
            (self.passed_over, "were not asked for"),
            (self.repeated, "say the same as one that goes back already"),
            (self.refused, "cannot go back"),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        Ok(())
    }
}
