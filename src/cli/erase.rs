//! `tollgate erase`: what may be typed, and what it comes to.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{KafkaArg, refuse};
use crate::codec::records::Event;
use crate::config::Mistake;
use crate::erasure;

#[derive(Debug, Args)]
pub(super) struct EraseArgs {
    /// The business number whose contact is to be forgotten, by the platform's id of it
    #[arg(long, value_name = "ID")]
    number: String,
    /// File with the person's names, one a line: phone number, scoped id or parent id; `-` is standard input, which no
    /// history of commands remembers. Every name that is known of them is erased with these
    #[arg(long, value_name = "FILE", default_value = "-")]
    names: PathBuf,
    /// When it was asked for, such as `2026-11-02T09:30:00Z`: what happened before it brings nobody back
    #[arg(long, value_name = "TIME")]
    at: String,
    /// Where the event goes, at the end of what is there; else to standard output, or with --kafka to the topic of events
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaArg,
    /// With --kafka, configuration file of the stream processor
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "FILE", requires = "kafka")]
    config: Option<PathBuf>,
}

/// The names, as they were typed: in a file, so that they are in no list of processes.
fn names(file: &Path) -> Result<String, Mistake> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| Mistake::new(file.display().to_string(), format!("it cannot be read: {error}")))
}

/// Runs the command.
pub(super) fn run(args: &EraseArgs) -> ExitCode {
    let mut mistakes = Vec::new();
    if args.kafka.is_given() && args.out.is_some() {
        mistakes.push(Mistake::new("--kafka", "the event goes to a file by --out; leave one of them out"));
    }
    let names = names(&args.names).map_err(|mistake| mistakes.push(mistake)).unwrap_or_default();
    let event = match erasure::event(&args.number, &names, &args.at) {
        Ok(event) if mistakes.is_empty() => event,
        Ok(_) => return refuse(&mistakes),
        Err(wrong) => {
            mistakes.extend(wrong);
            return refuse(&mistakes);
        }
    };
    #[cfg(feature = "kafka")]
    if args.kafka.is_given() {
        return to_topic(args, &event);
    }
    to_file(args, &event)
}

fn to_file(args: &EraseArgs, event: &Event<'_>) -> ExitCode {
    let line = match erasure::line(event) {
        Ok(line) => line,
        Err(mistakes) => return refuse(&mistakes),
    };
    let written = match &args.out {
        None => std::io::stdout().write_all(&line),
        Some(path) => std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(&line).and_then(|()| file.sync_all())),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let place = args.out.as_ref().map_or("standard output".into(), |path| path.display().to_string());
            eprintln!("error: {place}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "kafka")]
fn to_topic(args: &EraseArgs, event: &Event<'_>) -> ExitCode {
    use crate::config::{self, Overrides};
    use crate::zones::Zones;

    let written = config::load(args.config.as_deref(), &Overrides::default(), &Zones::new())
        .and_then(|config| crate::operate::erase::erase(&config.stream, event, super::reading));
    match written {
        Ok(place) => {
            println!("The event is in {place}. The stream processor erases the person when it folds it.");
            ExitCode::SUCCESS
        }
        Err(mistakes) => refuse(&mistakes),
    }
}
