//! The command line: what may be typed, and what it comes to.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{self, Mistake, Overrides};
use crate::domain::policy::Policy;
use crate::replay::{self, Failure, Format, Options};
use crate::scenario::{self, Tally};
use crate::zones::Zones;

/// A gate and a toll for `WhatsApp` Business traffic: may this be sent now, and what does it cost?
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay webhooks and events from files: verdicts and a ledger, no broker needed
    Replay(ReplayArgs),
    /// Play text timelines and compare verdicts and charges with what they expect
    Scenario(ScenarioArgs),
    /// Check a configuration and its rate cards, and report all mistakes together
    Check(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file; `deploy/tollgate.toml` shows every setting
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rate card in the platform's CSV layout, besides those of the configuration (repeatable)
    #[arg(long, value_name = "FILE")]
    rate_card: Vec<PathBuf>,
    /// Time zone for accounts of which no fact tells one, such as `America/Sao_Paulo`
    #[arg(long, value_name = "ZONE")]
    assume_zone: Option<String>,
    /// Currency for accounts of which no fact tells one, such as USD
    #[arg(long, value_name = "CURRENCY")]
    assume_currency: Option<String>,
    /// Apply the rules, cards and markets of this day to all events, whatever their date
    #[arg(long, value_name = "DATE")]
    rules_as_of: Option<String>,
    /// How much memory the state's rows may take, such as 512MiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
}

impl ConfigArgs {
    fn overrides(&self) -> Overrides {
        Overrides {
            rate_cards: self.rate_card.clone(),
            assume_zone: self.assume_zone.clone(),
            assume_currency: self.assume_currency.clone(),
            rules_as_of: self.rules_as_of.clone(),
            memory: self.memory.clone(),
        }
    }
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// Files of webhook bodies or events: NDJSON, pretty-printed JSON or Avro, plain, gzip or zstd; `-` is
    /// standard input. Several are merged by arrival
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Directory for the outputs; without it only the summary is printed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How outputs are written
    #[arg(long, value_enum, default_value_t = FormatArg::Ndjson)]
    format: FormatArg,
    /// Records of `wa.accounts`: time zones, currencies, restrictions (repeatable)
    #[arg(long, value_name = "FILE")]
    accounts: Vec<PathBuf>,
    /// Records of `wa.templates`: states and categories (repeatable)
    #[arg(long, value_name = "FILE")]
    templates: Vec<PathBuf>,
    /// Directory of a state: go on where the former run with it stopped
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Stop after so many records, to go on later with --state
    #[arg(long, value_name = "RECORDS", requires = "state")]
    stop_after: Option<u64>,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t = SummaryArg::Table)]
    summary: SummaryArg,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
struct ScenarioArgs {
    /// Files of scenarios; docs/scenarios.md describes how they are written
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Configuration file whose policy the scenarios are played under
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Ndjson,
    Avro,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SummaryArg {
    Table,
    Json,
}

/// Nothing was done, because something given cannot be used.
const REFUSED: u8 = 2;

/// Runs the command that was typed.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Replay(args) => replay(&args),
        Command::Scenario(args) => scenario(&args),
        Command::Check(args) => check(&args),
    }
}

fn refuse(mistakes: &[Mistake]) -> ExitCode {
    for mistake in mistakes {
        eprintln!("error: {mistake}");
    }
    ExitCode::from(REFUSED)
}

fn check(args: &ConfigArgs) -> ExitCode {
    let zones = Zones::new();
    match config::load(args.config.as_deref(), &args.overrides(), &zones) {
        Ok(config) => {
            println!("The configuration of `{}` is usable.", config.name);
            ExitCode::SUCCESS
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

fn scenario(args: &ScenarioArgs) -> ExitCode {
    let policy = match &args.config {
        None => Policy::default(),
        Some(path) => match config::load(Some(path), &Overrides::default(), &Zones::new()) {
            Ok(config) => config.setup.policy,
            Err(mistakes) => return refuse(&mistakes),
        },
    };
    let (mut texts, mut mistakes) = (Vec::new(), Vec::new());
    for path in &args.files {
        match std::fs::read_to_string(path) {
            Ok(text) => texts.push((path, text)),
            Err(error) => {
                mistakes.push(Mistake::new(path.display().to_string(), format!("it cannot be read: {error}")));
            }
        }
    }
    if !mistakes.is_empty() {
        return refuse(&mistakes);
    }
    let color = std::io::stderr().is_terminal();
    let mut total = Tally::default();
    for (path, text) in texts {
        let tally = scenario::run(path, &text, &policy, color, &mut |report| eprint!("{report}"));
        total = Tally {
            passed: total.passed + tally.passed,
            pending: total.pending + tally.pending,
            failed: total.failed + tally.failed,
        };
    }
    println!("{} passed, {} pending, {} failed", total.passed, total.pending, total.failed);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn replay(args: &ReplayArgs) -> ExitCode {
    let zones = Zones::new();
    let options = Options {
        files: args.files.clone(),
        out: args.out.clone(),
        format: match args.format {
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Avro => Format::Avro,
        },
        accounts: args.accounts.clone(),
        templates: args.templates.clone(),
        state: args.state.clone(),
        stop_after: args.stop_after,
        progress: std::io::stderr().is_terminal(),
    };
    // Everything that can be found wrong before the first record is found and told at once.
    let config = config::load(args.config.config.as_deref(), &args.config.overrides(), &zones);
    let prepared = options.prepare(&zones);
    let (config, prepared) = match (config, prepared) {
        (Ok(config), Ok(prepared)) => (config, prepared),
        (config, prepared) => {
            let mut mistakes = config.err().unwrap_or_default();
            mistakes.extend(prepared.err().unwrap_or_default());
            return refuse(&mistakes);
        }
    };
    match replay::run(config, &options, prepared, zones) {
        Ok(summary) => {
            let mut out = std::io::stdout().lock();
            let printed = match args.summary {
                SummaryArg::Table => write!(out, "{summary}"),
                SummaryArg::Json => serde_json::to_writer_pretty(&mut out, &summary)
                    .map_err(std::io::Error::from)
                    .and_then(|()| writeln!(out)),
            };
            // Whoever reads the summary may stop reading it; the run itself is done.
            if printed.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(Failure::Mistakes(mistakes)) => refuse(&mistakes),
        Err(Failure::Failed(mistake)) => {
            eprintln!("error: {mistake}");
            ExitCode::FAILURE
        }
    }
}
