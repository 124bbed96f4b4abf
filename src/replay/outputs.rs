//! The output files: one per topic, as NDJSON or as an Avro container.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::codec::avro::ContainerWriter;
use crate::codec::schema::{self, RecordSchema};
use crate::engine::publish::Record;

/// How records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A JSON object per line.
    #[default]
    Ndjson,
    /// An Avro object container file.
    Avro,
}

/// The files, in the order in which their lengths are remembered.
const FILES: [(&str, RecordSchema); 7] = [
    ("verdicts", schema::VERDICT),
    ("billing", schema::BILLING_ENTRY),
    ("windows", schema::WINDOW_EVENT),
    ("window-state", schema::WINDOW_STATE_ROW),
    ("outcomes", schema::OUTCOME),
    ("dead-letters", schema::DEAD_LETTER),
    ("usage", schema::USAGE),
];

/// How many bytes of lines are gathered before they are written.
const BUFFER: usize = 64 << 10;

/// How long each output is, up to and with the last record that was committed.
pub type Lengths = [u64; FILES.len()];

/// The output files of one run.
pub struct Outputs {
    files: Vec<Output>,
}

struct Output {
    path: PathBuf,
    file: Measured,
    lines: Lines,
}

/// What gathers until it is worth a write.
enum Lines {
    Json(Vec<u8>),
    Avro(ContainerWriter),
}

/// A file that knows how long it is.
struct Measured {
    file: File,
    length: u64,
}

impl Write for Measured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// An output that cannot be used.
#[derive(Debug)]
pub struct Unusable {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl Outputs {
    /// Makes the files of a directory, or opens those of a former run and cuts off what it had not committed.
    ///
    /// # Errors
    /// The file that cannot be made, or is not as long as it was.
    pub fn open(directory: &Path, format: Format, resume: Option<&Lengths>) -> Result<Self, Unusable> {
        std::fs::create_dir_all(directory).map_err(|error| Unusable { path: directory.to_owned(), error })?;
        let mut files = Vec::with_capacity(FILES.len());
        for (index, (name, schema)) in FILES.iter().enumerate() {
            let extension = match format {
                Format::Ndjson => "ndjson",
                Format::Avro => "avro",
            };
            let path = directory.join(format!("{name}.{extension}"));
            let opened = Output::open(&path, name, *schema, format, resume.map(|lengths| lengths[index]));
            files.push(match opened {
                Ok((file, lines)) => Output { path, file, lines },
                Err(error) => return Err(Unusable { path, error }),
            });
        }
        Ok(Self { files })
    }

    /// Writes a record to its file.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn write(&mut self, record: &Record<'_>) -> Result<(), Unusable> {
        match record {
            Record::Verdict(verdict) => self.files[0].write(verdict),
            Record::Billing(entry) | Record::Charge(_, entry) => self.files[1].write(entry),
            Record::Window(event) => self.files[2].write(event),
            Record::State(row) => self.files[3].write(row),
            Record::Outcome(outcome) => self.files[4].write(outcome),
            Record::DeadLetter(letter) => self.files[5].write(letter),
            Record::Usage(usage) => self.files[6].write(usage),
        }
    }

    /// Writes out everything so far, puts it on disk where it must be durable, and says how long the files are.
    ///
    /// # Errors
    /// The file that cannot be written.
    pub fn sync(&mut self, durable: bool) -> Result<Lengths, Unusable> {
        let mut lengths = Lengths::default();
        for (length, output) in lengths.iter_mut().zip(&mut self.files) {
            output
                .flush()
                .and_then(|()| if durable { output.file.file.sync_data() } else { Ok(()) })
                .map_err(|error| output.unusable(error))?;
            *length = output.file.length;
        }
        Ok(lengths)
    }
}

impl Output {
    fn open(
        path: &Path,
        name: &str,
        schema: RecordSchema,
        format: Format,
        resume: Option<u64>,
    ) -> io::Result<(Measured, Lines)> {
        let (file, length) = match resume {
            None => (File::create(path)?, 0),
            Some(length) => {
                let mut file = OpenOptions::new().write(true).open(path)?;
                if file.metadata()?.len() < length {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "it is shorter than the former run left it; replay into a new state directory",
                    ));
                }
                file.set_len(length)?;
                io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
                (file, length)
            }
        };
        let mut file = Measured { file, length };
        let lines = match format {
            Format::Ndjson => Lines::Json(Vec::new()),
            Format::Avro => {
                // The sync marker is made from the file's name, so that equal runs write equal headers.
                let container = ContainerWriter::new(crate::codec::ids::hash(&[b"sync marker", name.as_bytes()]));
                if resume.is_none() {
                    let mut header = Vec::new();
                    container.header(schema.text, &mut header);
                    file.write_all(&header)?;
                }
                Lines::Avro(container)
            }
        };
        Ok((file, lines))
    }

    fn unusable(&self, error: io::Error) -> Unusable {
        Unusable { path: self.path.clone(), error }
    }

    fn write(&mut self, record: &impl Serialize) -> Result<(), Unusable> {
        self.add(record).map_err(|error| self.unusable(error))
    }

    fn add(&mut self, record: &impl Serialize) -> io::Result<()> {
        match &mut self.lines {
            Lines::Avro(container) => container.add(record, &mut self.file),
            Lines::Json(buffer) => {
                serde_json::to_writer(&mut *buffer, record)?;
                buffer.push(b'\n');
                if buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.lines {
            Lines::Avro(container) => container.flush(&mut self.file),
            Lines::Json(buffer) => {
                self.file.write_all(buffer)?;
                buffer.clear();
                Ok(())
            }
        }
    }
}
