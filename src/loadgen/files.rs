//! The stream as files: events, reference records and answers, for a replay and for whoever checks it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Answer, Calendar, Settings, generate, references};
use crate::codec::avro::ContainerWriter;
use crate::codec::schema::{self, RecordSchema};

/// Where the stream goes. A file whose name ends in `.avro` becomes an Avro container, any other NDJSON.
#[derive(Clone, Debug)]
pub struct Files {
    /// The events, in order of arrival.
    pub events: PathBuf,
    /// The records of `wa.accounts`.
    pub accounts: PathBuf,
    /// The records of `wa.templates`.
    pub templates: PathBuf,
    /// The right answers, as NDJSON, if they are wanted.
    pub answers: Option<PathBuf>,
}

impl Files {
    /// The files of a stream: events where they are to go, and what belongs to them beside it, under the same
    /// name with `accounts` and `templates` before its ending.
    #[must_use]
    pub fn beside(events: &Path, answers: Option<PathBuf>) -> Self {
        let ending = events.extension().unwrap_or_default();
        let sibling = |what: &str| {
            let mut name = events.file_stem().unwrap_or_default().to_owned();
            name.push(".");
            name.push(what);
            events.with_file_name(name).with_added_extension(ending)
        };
        Self { accounts: sibling("accounts"), templates: sibling("templates"), events: events.to_owned(), answers }
    }

    /// Makes the stream. `progress` is told how many events have been written.
    ///
    /// # Errors
    /// If a setting is not one it can have, or a file cannot be written.
    pub fn write(&self, settings: &Settings, calendar: &dyn Calendar, progress: &dyn Fn(u64)) -> io::Result<()> {
        let known = references(settings, calendar)?;
        let mut accounts = Sink::create(&self.accounts, schema::ACCOUNT)?;
        known.accounts.iter().try_for_each(|record| accounts.add(record))?;
        accounts.finish()?;
        let mut templates = Sink::create(&self.templates, schema::TEMPLATE_HISTORY)?;
        known.templates.iter().try_for_each(|record| templates.add(record))?;
        templates.finish()?;
        let mut events = Sink::create(&self.events, schema::EVENT)?;
        let mut answers = self.answers.as_deref().map(File::create).transpose()?.map(BufWriter::new);
        let mut written = 0;
        generate(
            settings,
            calendar,
            &mut |event| {
                written += 1;
                if written % 10_000 == 0 {
                    progress(written);
                }
                events.add(event)
            },
            &mut |answer: &Answer| match &mut answers {
                Some(answers) => {
                    serde_json::to_writer(&mut *answers, answer)?;
                    answers.write_all(b"\n")
                }
                None => Ok(()),
            },
        )?;
        events.finish()?;
        answers.map_or(Ok(()), |mut answers| answers.flush())
    }
}

/// A file of records.
struct Sink {
    file: BufWriter<File>,
    container: Option<ContainerWriter>,
}

impl Sink {
    fn create(path: &Path, schema: RecordSchema) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 18, File::create(path)?);
        let avro = path.extension().is_some_and(|ending| ending == "avro");
        let container = avro.then(|| ContainerWriter::new(crate::codec::ids::hash(&[schema.name.as_bytes()])));
        if let Some(container) = &container {
            let mut header = Vec::new();
            container.header(schema.text, &mut header);
            file.write_all(&header)?;
        }
        Ok(Self { file, container })
    }

    fn add(&mut self, record: &impl Serialize) -> io::Result<()> {
        if let Some(container) = &mut self.container {
            return container.add(record, &mut self.file);
        }
        serde_json::to_writer(&mut self.file, record)?;
        self.file.write_all(b"\n")
    }

    fn finish(mut self) -> io::Result<()> {
        if let Some(container) = &mut self.container {
            container.flush(&mut self.file)?;
        }
        self.file.flush()
    }
}
