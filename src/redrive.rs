//! `tollgate redrive`: dead letters back in, once what kept them from being folded is mended.
//!
//! A letter goes back as it came, byte for byte. The one exception is what came too late: it gets `admit_late`, without
//! which it would be a letter again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use crate::codec::frame::Writers;
use crate::codec::records::{DeadLetter, Event};
use crate::codec::{ids, schema};
use crate::config::Mistake;
use crate::domain::time::Timestamp;
use crate::replay::inputs;

/// Which letters, and where to.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Files of `wa.dead-letters`, or directories of a replay's outputs.
    pub files: Vec<PathBuf>,
    /// The file of events and webhook bodies to write, for `tollgate replay`.
    pub out: PathBuf,
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
    /// How many are a letter that was there before.
    pub repeated: u64,
    /// Those that could not be given back: where each was read first, and what to do.
    pub refused: Vec<Mistake>,
}

/// The code of what came too late.
const TOO_LATE: &str = "too_late";

/// The flag that lets it in.
const FLAG: &str = "admit_late";

/// Gives letters back.
///
/// # Errors
/// What cannot be read or written.
pub fn run(options: &Options) -> Result<Redriven, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let files = files(&options.files, &mut mistakes);
    let writers = Writers::of(schema::EVENT).map_err(|error| vec![Mistake::new("event.avsc", error.to_string())])?;
    let unwritable = |error: &io::Error| vec![Mistake::new(options.out.display().to_string(), error.to_string())];
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let mut out = BufWriter::new(File::create(&options.out).map_err(|error| unwritable(&error))?);
    let (mut redriven, mut known, mut written) = (Redriven::default(), BTreeSet::new(), Ok(()));
    for path in &files {
        inputs::each(path, &mut mistakes, |record| {
            let letter: DeadLetter<'_> = record.read().map_err(|problem| vec![problem])?;
            if !options.wants(&letter) {
                redriven.passed_over += 1;
                return Ok(());
            }
            let id = ids::from_hex(letter.envelope.id.as_str());
            // Several parts of one webhook body may be letters; the body goes back once.
            if !known.insert((id, letter.original_topic.as_str().to_owned(), letter.original_offset)) {
                redriven.repeated += 1;
                return Ok(());
            }
            match line(&letter, &writers) {
                Ok(bytes) if written.is_ok() => {
                    written = out.write_all(&bytes).and_then(|()| out.write_all(b"\n"));
                    *redriven.given_back.entry(letter.error.as_str().to_owned()).or_default() += 1;
                }
                Ok(_) => {}
                Err(why) => redriven.refused.push(Mistake::new(place(&letter), why)),
            }
            Ok(())
        });
    }
    let finished = written.and_then(|()| out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all());
    finished.map_err(|error| unwritable(&error))?;
    if mistakes.is_empty() { Ok(redriven) } else { Err(mistakes) }
}

/// The files of dead letters: those given, and those of a replay's directory.
fn files(paths: &[PathBuf], mistakes: &mut Vec<Mistake>) -> Vec<PathBuf> {
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
    files
}

fn place(letter: &DeadLetter<'_>) -> String {
    format!(
        "{}, partition {}, offset {}",
        letter.original_topic.as_str(),
        letter.original_partition,
        letter.original_offset
    )
}

impl Options {
    fn wants(&self, letter: &DeadLetter<'_>) -> bool {
        let among = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        let at = letter.envelope.time;
        among(&self.errors, letter.error.as_str())
            && among(&self.topics, letter.original_topic.as_str())
            && self.from.is_none_or(|from| from.millis() <= at)
            && self.until.is_none_or(|until| at < until.millis())
    }
}

/// A letter as a line of a file of events. JSON stays as it is; Avro, which has no lines, becomes JSON with the same
/// fields.
fn line<'a>(letter: &'a DeadLetter<'_>, writers: &Writers) -> Result<Cow<'a, [u8]>, String> {
    let Some(payload) = &letter.payload else {
        return Err(
            "the letter has no payload, because `dead_letters.payload` is `pointer` or the record was too large; \
                    take the record from its topic while that still has it"
                .to_owned(),
        );
    };
    let payload = &payload.0[..];
    let bytes = if letter.error.as_str() == TOO_LATE {
        let flagged = writers.with_flag(payload, FLAG).map_err(|error| error.to_string())?;
        Cow::Owned(flagged.ok_or("it was written with a schema that has no `admit_late`; update whoever writes it")?)
    } else {
        Cow::Borrowed(payload)
    };
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(bytes);
    }
    let event: Event<'_> = writers.read(&bytes).map_err(|error| error.to_string())?;
    serde_json::to_vec(&event).map(Cow::Owned).map_err(|error| error.to_string())
}

impl fmt::Display for Redriven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.given_back.is_empty() {
            writeln!(f, "No letter goes back.")?;
        }
        for (code, count) in &self.given_back {
            writeln!(f, "{count} with `{code}` go back")?;
        }
        for (count, what) in
            [(self.passed_over, "were not asked for"), (self.repeated, "are of a record that goes back already")]
        {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        Ok(())
    }
}
