//! `tollgate forecast`: what a campaign would come to, asked of a state that is there or is folded for it.

pub mod list;
mod table;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use crate::codec::{forecast as record, ids, records};
use crate::config::{Config, Mistake};
use crate::domain::forecast::Totals;
use crate::domain::time::Timestamp;
use crate::engine::forecast::{Judged, Standing};
use crate::engine::publish::forecast::{Asked, Parts, recipient};
use crate::replay::refold::Refold;
use crate::replay::{Failure, Options, Prepared};
use crate::zones::Zones;
use list::{Listed, Terms};
pub use table::Table;

/// What to forecast, and where to.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The list.
    pub list: PathBuf,
    /// What the command line says of it. When it is asked is the state's own time.
    pub terms: Terms,
    /// Where every recipient's answer goes.
    pub recipients: Option<PathBuf>,
    /// Whether the answer is wanted as records, and not as a table.
    pub json: bool,
}

/// One recipient's answer as a line of a file.
#[derive(Serialize)]
struct Line<'a> {
    /// The line of the list.
    line: u64,
    #[serde(flatten)]
    answer: records::ForecastRecipient<'a>,
}

/// Answers a list's questions from a state, and writes the answers.
///
/// # Errors
/// What was given and cannot be used, together; or what failed on the way.
pub fn run(
    config: Config,
    asking: &Asking,
    options: &Options,
    prepared: Prepared,
    zones: Zones,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut lines = asking.recipients.as_deref().map(create).transpose()?;
    let mut refold = Refold::open(config, options, prepared, zones)?;
    refold.fold(None, &mut ())?;
    // There is no clock: now is the time that the state has come to.
    let asked_at = refold.engine().partition_time().or(asking.terms.at).unwrap_or(Timestamp::EARLIEST);
    let terms = Terms { asked_at, ..asking.terms.clone() };
    let list = list::read(&asking.list, &terms).map_err(Failure::Mistakes)?;
    for column in &list.unused {
        eprintln!("The column `{column}` is not used.");
    }
    for listed in &list.questions {
        let answer = answer(&refold, listed, lines.as_mut(), asking)?;
        let written =
            if asking.json { answer.write_records(&refold, listed, out) } else { answer.write_table(listed, out) };
        written.map_err(|error| Failure::Failed(Mistake::new("the answer", error.to_string())))?;
    }
    if let (Some(mut lines), Some(path)) = (lines, &asking.recipients) {
        lines.flush().map_err(|error| unwritable(path, &error))?;
    }
    Ok(())
}

/// The questions of a list as records, asked now. Those of a table have ids of this moment, so that nobody else's answers
/// are taken for theirs.
///
/// # Errors
/// All mistakes of the list.
#[allow(clippy::disallowed_methods, reason = "a question is asked now")]
pub fn questions(asking: &Asking) -> Result<Vec<records::ForecastRequested<'static>>, Vec<Mistake>> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_millis()).ok().and_then(Timestamp::from_millis).unwrap_or(Timestamp::EARLIEST);
    let list = list::read(&asking.list, &Terms { asked_at: now, ..asking.terms.clone() })?;
    let mut written = Vec::new();
    for (place, listed) in list.questions.iter().enumerate() {
        let (nanos, process) = (since.as_nanos().to_be_bytes(), std::process::id().to_be_bytes());
        let about = [listed.question.request.as_str().as_bytes(), &nanos, &process, &place.to_be_bytes()];
        let id = ids::hex(ids::hash(&about));
        let own = listed.question.request.as_str();
        let records = record::write(&listed.question, |part| match (listed.is_named, part) {
            (true, 0) => own.to_owned(),
            (true, part) => format!("{own}-{part}"),
            (false, part) => format!("{}-{part}", id.as_str()),
        });
        if records.len() > 1 {
            eprintln!(
                "The list is asked in {} questions: each counts free deliveries, limits and budgets from where they stand.",
                records.len()
            );
        }
        written.extend(records);
    }
    Ok(written)
}

/// Prints a record of an answer.
///
/// # Errors
/// If it cannot be written.
pub fn print(answer: &records::ForecastAnswer<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path);
    file.map(BufWriter::new).map_err(|error| {
        Failure::Mistakes(vec![Mistake::new(path.display().to_string(), format!("it cannot be written: {error}"))])
    })
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(Mistake::new(path.display().to_string(), error.to_string()))
}

struct Answer {
    standing: Standing,
    records: u64,
    totals: Totals,
    parts: Parts,
}

fn answer(
    refold: &Refold,
    listed: &Listed,
    mut lines: Option<&mut BufWriter<File>>,
    asking: &Asking,
) -> Result<Answer, Failure> {
    let question = &listed.question;
    let mut parts = Parts::new(question.candidates.len(), question.per_recipient && asking.json);
    let mut totals = Totals::default();
    let mut written = Ok(());
    let standing = refold.engine().forecast(question, |judged: &Judged<'_>| {
        totals.add(judged.group());
        parts.add(judged);
        if let (Some(lines), Ok(())) = (lines.as_mut(), &written) {
            let line = listed.lines.get(judged.recipient).copied().unwrap_or_default();
            let line = Line { line, answer: recipient(judged) };
            written = serde_json::to_writer(&mut **lines, &line)
                .map_err(std::io::Error::from)
                .and_then(|()| lines.write_all(b"\n"));
        }
    });
    let standing = standing.map_err(|error| Failure::Failed(Mistake::new("the state", error.to_string())))?;
    if let (Err(error), Some(path)) = (written, &asking.recipients) {
        return Err(unwritable(path, &error));
    }
    Ok(Answer { standing, records: refold.records(), totals, parts })
}

impl Answer {
    fn write_records(&self, refold: &Refold, listed: &Listed, out: &mut dyn Write) -> std::io::Result<()> {
        let question = &listed.question;
        let asked = Asked {
            number: question.number.as_str(),
            request: question.request.as_str(),
            at: question.asked_at.millis(),
            folded: i64::try_from(self.records).ok(),
        };
        for record in refold.publisher().forecast(asked, self.standing, &self.parts) {
            print(&record, out)?;
        }
        Ok(())
    }

    fn write_table(&self, listed: &Listed, out: &mut dyn Write) -> std::io::Result<()> {
        let table =
            Table { question: &listed.question, standing: self.standing, records: self.records, totals: &self.totals };
        write!(out, "{table}")
    }
}
