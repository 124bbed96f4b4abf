//! `tollgate explain`: what may be typed, and what it comes to.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::forecast::{NO_INSTANT, folding};
use super::{ConfigArgs, KafkaArg, refuse};
use crate::config::{self, Mistake};
use crate::domain::id::NumberId;
use crate::explain::{self, Explanation, Sought};
use crate::replay::Failure;
use crate::zones::{Zones, parse_instant};

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// What to explain: a phone number, a user id, a contact key, a message id, a request id, or the id of any event,
    /// verdict, window event, outcome or line of the ledger
    #[arg(value_name = "WHAT")]
    what: String,
    /// Files of webhook bodies or events, as `tollgate replay` takes them
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Records of `wa.accounts` (repeatable)
    #[arg(long, value_name = "FILE")]
    accounts: Vec<PathBuf>,
    /// Records of `wa.templates` (repeatable)
    #[arg(long, value_name = "FILE")]
    templates: Vec<PathBuf>,
    /// Look at this business phone number alone, by the platform's id for it; --kafka reads the partition that is its
    /// home
    #[arg(long, value_name = "PHONE_NUMBER_ID")]
    number: Option<String>,
    /// Explain as it was known at this instant, such as `2026-12-01T09:00:00Z`
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
    /// Print one JSON object, not text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    kafka: KafkaArg,
    #[command(flatten)]
    config: ConfigArgs,
}

impl ExplainArgs {
    fn sought(&self) -> Result<Sought, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let number = self.number.as_deref().map(NumberId::parse).transpose();
        if let Err(invalid) = &number {
            mistakes.push(Mistake::new("--number", format!("it is no id: {invalid}")));
        }
        let as_of = self.as_of.as_deref().map(parse_instant);
        if as_of == Some(None) {
            mistakes.push(Mistake::new("--as-of", NO_INSTANT));
        }
        if self.files.is_empty() && !self.kafka.is_given() {
            mistakes.push(Mistake::new("explain", KafkaArg::instead("name files of events or webhook bodies")));
        }
        if self.kafka.is_given() && !self.files.is_empty() {
            mistakes.push(Mistake::new("--kafka", "events are in files too; leave one of them out"));
        }
        if self.kafka.is_given() && self.number.is_none() {
            mistakes.push(no_number());
        }
        if self.files.iter().any(|path| path == Path::new("-")) {
            mistakes.push(Mistake::new("-", "standard input cannot be read twice; give files"));
        }
        let (text, number) = (self.what.clone(), number.ok().flatten());
        if mistakes.is_empty() { Ok(Sought { text, number, as_of: as_of.flatten() }) } else { Err(mistakes) }
    }
}

/// What is said where nobody knows which partition to read.
fn no_number() -> Mistake {
    Mistake::new("--number", "with --kafka it says which partition to read; name the number")
}

/// Runs the command. What nothing is known of is a failure.
pub(super) fn run(args: &ExplainArgs) -> ExitCode {
    let options = folding(&args.files, &args.accounts, &args.templates, None);
    let load = || {
        let zones = Zones::new();
        let config = config::load(args.config.config.as_deref(), &args.config.overrides(), &zones);
        match (config, options.prepare(&zones)) {
            (Ok(config), Ok(prepared)) => Ok((config, prepared)),
            (config, prepared) => {
                let mut mistakes = config.err().unwrap_or_default();
                mistakes.extend(prepared.err().unwrap_or_default());
                Err(mistakes)
            }
        }
    };
    let sought = match args.sought() {
        Ok(sought) => sought,
        Err(mut mistakes) => {
            mistakes.extend(load().err().unwrap_or_default());
            return refuse(&mistakes);
        }
    };
    #[cfg(feature = "kafka")]
    if args.kafka.is_given() {
        return told(args, on_kafka(args, &sought));
    }
    told(args, explain::of_files(&sought, &options, load))
}

#[cfg(feature = "kafka")]
fn on_kafka(args: &ExplainArgs, sought: &Sought) -> Result<Explanation, Failure> {
    use crate::codec::schema;
    use crate::operate::{self, Cluster};
    use crate::replay;
    use crate::replay::inputs::{Files, Supply};
    use crate::stream::Topic;

    let number = sought.number.as_ref().ok_or_else(|| Failure::Mistakes(vec![no_number()]))?;
    let zones = Zones::new();
    let load = || config::load(args.config.config.as_deref(), &args.config.overrides(), &zones);
    let known = || {
        let stream = load()?.stream;
        let cluster = Cluster::connect(&stream, &[Topic::Accounts, Topic::Templates], super::reading)?;
        let mut accounts = cluster.records(Topic::Accounts, schema::ACCOUNT)?;
        let mut templates = cluster.records(Topic::Templates, schema::TEMPLATE_HISTORY)?;
        let (mut account_files, mut template_files) = (Files(args.accounts.clone()), Files(args.templates.clone()));
        let mut mistakes = Vec::new();
        let reference = replay::learn(
            if args.accounts.is_empty() { &mut accounts as &mut dyn Supply } else { &mut account_files },
            if args.templates.is_empty() { &mut templates as &mut dyn Supply } else { &mut template_files },
            &zones,
            &mut mistakes,
        );
        if accounts.is_cut_short() || templates.is_cut_short() {
            return Err(mistakes);
        }
        // The stream processor leaves out what is wrong in them, and so does this.
        for mistake in mistakes {
            eprintln!("warning: {mistake}");
        }
        Ok((cluster, reference))
    };
    let (cluster, reference) = known().map_err(Failure::Mistakes)?;
    operate::explain::explain(&cluster, sought, number, &reference, load)
}

/// Prints what was found.
fn told(args: &ExplainArgs, explained: Result<Explanation, Failure>) -> ExitCode {
    match explained {
        Ok(explanation) => {
            let mut out = std::io::stdout().lock();
            let printed = if args.json {
                serde_json::to_writer_pretty(&mut out, &explanation)
                    .map_err(std::io::Error::from)
                    .and_then(|()| writeln!(out))
            } else {
                write!(out, "{explanation}")
            };
            if printed.is_ok() && !explanation.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(Failure::Mistakes(mistakes)) => refuse(&mistakes),
        Err(Failure::Failed(mistake)) => {
            eprintln!("error: {mistake}");
            ExitCode::FAILURE
        }
    }
}
