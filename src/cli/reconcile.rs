//! `tollgate reconcile`: what may be typed, and what it comes to.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::{ConfigArgs, KafkaArg, refuse};
use crate::codec::records::BillingEntry;
use crate::config::{self, Config, Mistake};
use crate::reconcile::{self, Adjustments, Options, Ours, Reconciled};
use crate::replay::inputs::Files;
use crate::zones::Zones;

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 both sides are equal, 1 they differ, 2 something cannot be used.")]
pub(super) struct ReconcileArgs {
    /// Answers of the platform's `pricing_analytics`, whole or its data points one per line (repeatable)
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    analytics: Vec<PathBuf>,
    /// Lines of `wa.billing`, NDJSON or Avro, or the directory a replay wrote its outputs to (repeatable)
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    billing: Vec<PathBuf>,
    /// Records of `wa.dead-letters`, besides those of such directories (repeatable)
    #[arg(long, value_name = "FILE", num_args = 1..)]
    dead_letters: Vec<PathBuf>,
    /// The platform's answer to `GET /<account>/phone_numbers`: which number has which id (repeatable)
    #[arg(long, value_name = "FILE")]
    numbers: Vec<PathBuf>,
    /// The account that analytics are about which do not say
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// `start` of the request, in seconds: lines from here on count where the platform answered nothing
    #[arg(long, value_name = "SECONDS")]
    start: Option<i64>,
    /// `end` of the request, in seconds
    #[arg(long, value_name = "SECONDS")]
    end: Option<i64>,
    /// Records of `wa.accounts`, for the price of what came too late (repeatable)
    #[arg(long, value_name = "FILE")]
    accounts: Vec<PathBuf>,
    /// Where every difference goes, as NDJSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the ADJUSTMENT lines that make the ledger the platform's and that it does not have: to a file, Avro if its
    /// name ends in .avro, else NDJSON; with --kafka and no file to `wa.billing`
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "an option that may do without its value")]
    post: Option<Option<PathBuf>>,
    /// What the reconciliation is called; made from its figures otherwise
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    #[command(flatten)]
    kafka: KafkaArg,
    #[command(flatten)]
    config: ConfigArgs,
}

impl ReconcileArgs {
    fn options(&self) -> Options {
        Options {
            analytics: self.analytics.clone(),
            numbers: self.numbers.clone(),
            account: self.account.clone(),
            start: self.start,
            end: self.end,
            reference: self.reference.clone(),
        }
    }

    /// What was typed and cannot be used, and the files of our side.
    fn files(&self) -> Result<(Files, Files), Vec<Mistake>> {
        let mut mistakes = Vec::new();
        if self.billing.is_empty() && !self.kafka.is_given() {
            mistakes.push(Mistake::new("--billing", KafkaArg::instead("name files of lines of the ledger")));
        }
        if matches!(self.post, Some(None)) && !self.kafka.is_given() {
            mistakes.push(Mistake::new("--post", KafkaArg::instead("name the file to write")));
        }
        match reconcile::files(&self.billing, &self.dead_letters) {
            Ok(files) if mistakes.is_empty() => Ok(files),
            files => {
                mistakes.extend(files.err().unwrap_or_default());
                Err(mistakes)
            }
        }
    }

    fn load(&self) -> Result<Config, Vec<Mistake>> {
        config::load(self.config.config.as_deref(), &self.config.overrides(), &Zones::new())
    }
}

/// Both, or all that is wrong.
fn both<A, B>(one: Result<A, Vec<Mistake>>, other: Result<B, Vec<Mistake>>) -> Result<(A, B), Vec<Mistake>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => {
            let mut mistakes = one.err().unwrap_or_default();
            mistakes.extend(other.err().unwrap_or_default());
            Err(mistakes)
        }
    }
}

/// Runs the command.
pub(super) fn run(args: &ReconcileArgs) -> ExitCode {
    #[cfg(feature = "kafka")]
    if args.kafka.is_given() {
        return on_kafka(args).unwrap_or_else(|mistakes| refuse(&mistakes));
    }
    on_files(args).unwrap_or_else(|mistakes| refuse(&mistakes))
}

fn on_files(args: &ReconcileArgs) -> Result<ExitCode, Vec<Mistake>> {
    // Only the price of what came too late depends on it, and the name that posted lines carry.
    let config = args.config.config.as_ref().map(|_| args.load()).transpose();
    let ((mut billing, mut dead_letters), config) = both(args.files(), config)?;
    let source = config.as_ref().map_or_else(|| "tollgate".to_owned(), |config| config.name.clone());
    let mut accounts = Files(args.accounts.clone());
    let mut ours = Ours { billing: &mut billing, dead_letters: &mut dead_letters, accounts: &mut accounts };
    let found = reconcile::run(&args.options(), &mut ours, config, &Zones::new())?;
    tell(args, &found)?;
    if let Some(Some(path)) = &args.post {
        write(&lacking(&found, &source), path)?;
    }
    Ok(ended(&found))
}

fn tell(args: &ReconcileArgs, found: &Reconciled) -> Result<(), Vec<Mistake>> {
    if let Some(path) = &args.out {
        let written = std::fs::File::create(path).map(std::io::BufWriter::new).and_then(|mut file| {
            found.write(&mut file)?;
            file.flush()
        });
        written.map_err(|error| vec![Mistake::new(path.display().to_string(), error.to_string())])?;
    }
    print!("{found}");
    Ok(())
}

/// The lines that the ledger does not have; tells how many it has.
fn lacking<'a>(found: &'a Reconciled, source: &'a str) -> Vec<BillingEntry<'a>> {
    let Adjustments { lines, posted } = reconcile::adjustments(found, source);
    if posted > 0 {
        println!("\n{posted} ADJUSTMENT lines of this reference are in the ledger already, and are not written again");
    }
    lines
}

fn write(lines: &[BillingEntry<'_>], path: &Path) -> Result<(), Vec<Mistake>> {
    reconcile::write(lines, path).map_err(|error| vec![Mistake::new(path.display().to_string(), error.to_string())])?;
    println!("\n{} ADJUSTMENT lines are in {}", lines.len(), path.display());
    Ok(())
}

fn ended(found: &Reconciled) -> ExitCode {
    if found.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "kafka")]
fn on_kafka(args: &ReconcileArgs) -> Result<ExitCode, Vec<Mistake>> {
    use crate::codec::schema;
    use crate::operate::{Cluster, reconcile as topics};
    use crate::replay::inputs::Supply;
    use crate::stream::Topic;

    let ((mut lines, mut letters), config) = both(args.files(), args.load())?;
    let wanted = [Topic::Billing, Topic::DeadLetters, Topic::Accounts];
    let cluster = Cluster::connect(&config.stream, &wanted, super::reading)?;
    let source = config.name.clone();
    let mut billing = cluster.records(Topic::Billing, schema::BILLING_ENTRY)?;
    let mut dead_letters = cluster.records(Topic::DeadLetters, schema::DEAD_LETTER)?;
    let mut accounts = cluster.records(Topic::Accounts, schema::ACCOUNT)?;
    let mut files = Files(args.accounts.clone());
    let from_files = !lines.0.is_empty();
    let mut ours = Ours {
        billing: if from_files { &mut lines as &mut dyn Supply } else { &mut billing },
        dead_letters: if letters.0.is_empty() { &mut dead_letters as &mut dyn Supply } else { &mut letters },
        accounts: if files.0.is_empty() { &mut accounts as &mut dyn Supply } else { &mut files },
    };
    let mut found = reconcile::run(&args.options(), &mut ours, Some(config), &Zones::new())?;
    tell(args, &found)?;
    let missing = if from_files { Vec::new() } else { topics::missing(&billing) };
    if !missing.is_empty() && args.post.is_some() {
        // What the ledger has forgotten is no difference, and must not be billed again.
        return Err(missing);
    }
    for mistake in missing {
        eprintln!("warning: {mistake}");
    }
    match &args.post {
        None => {}
        Some(Some(path)) => write(&lacking(&found, &source), path)?,
        Some(None) => {
            if from_files {
                found.note_posted(&mut billing)?;
            }
            let posted = topics::post(&cluster, &lacking(&found, &source))?;
            println!("\n{posted} ADJUSTMENT lines are in `{}`", cluster.name(Topic::Billing));
        }
    }
    Ok(ended(&found))
}
