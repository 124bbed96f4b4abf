//! The command line: what may be typed, and what it comes to.

mod explain;
mod forecast;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Mistake, Overrides};
use crate::domain::policy::Policy;
use crate::domain::rules::cards::Card;
use crate::domain::time::Timestamp;
use crate::erasure;
use crate::loadgen::{self, Calendar};
use crate::replay::{self, Failure, Format, Options};
use crate::scenario::{self, Tally};
use crate::zones::Zones;
use crate::{reconcile, redrive};

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
    /// Compare the ledger with the platform's pricing analytics: what differs, and why
    Reconcile(ReconcileArgs),
    /// Give dead letters back: a file of events to replay
    Redrive(RedriveArgs),
    /// Make synthetic traffic, with the reference records it needs and the right answers to compare with
    Loadgen(LoadgenArgs),
    /// Tell why: the events of a contact with what each changed, and the rule, card and arithmetic of a verdict or message
    Explain(explain::ExplainArgs),
    /// Tell what a campaign would come to before it is sent: verdicts and price of a list of recipients
    Forecast(forecast::ForecastArgs),
    /// Run the stream processor on Kafka, exactly once
    #[cfg(feature = "kafka")]
    Run(ConfigArgs),
    /// Look at the topics on Kafka, or make them as they must be
    #[cfg(feature = "kafka")]
    Topics(TopicsArgs),
    /// Forget a person: writes the event that has them erased, for a replay or for the input topic
    Erase(EraseArgs),
    /// Check a configuration and its rate cards, and report all mistakes together
    Check(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Configuration file; `deploy/tollgate.toml` shows every setting
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The platform's list of rates or of volume tiers, CSV or XLSX, besides those of the configuration (repeatable)
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
    /// Rows behind those that ship, to rehearse what is announced: docs/candidates.md
    #[arg(long, value_name = "FILE")]
    candidate: Option<PathBuf>,
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
            candidate: self.candidate.clone(),
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
    #[arg(long, value_name = "RECORDS", requires = "state", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
    /// Make state and outputs durable after every so many records: what a run that is killed has to repeat
    #[arg(
        long,
        value_name = "RECORDS",
        requires = "state",
        default_value_t = replay::COMMIT_EVERY,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    commit_every: u64,
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

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 both sides are equal, 1 they differ, 2 something cannot be used.")]
struct ReconcileArgs {
    /// Answers of the platform's `pricing_analytics`, whole or its data points one per line (repeatable)
    #[arg(long, required = true, value_name = "FILE", num_args = 1..)]
    analytics: Vec<PathBuf>,
    /// Lines of `wa.billing`, NDJSON or Avro, or the directory a replay wrote its outputs to (repeatable)
    #[arg(long, required = true, value_name = "FILE|DIR", num_args = 1..)]
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
    /// Where ADJUSTMENT lines of `wa.billing` go that make the ledger the platform's: Avro if the name ends in .avro,
    /// else NDJSON
    #[arg(long, value_name = "FILE")]
    post: Option<PathBuf>,
    /// What the reconciliation is called; made from its figures otherwise
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 all that were asked for go back, 1 some cannot, 2 something cannot be used.")]
struct RedriveArgs {
    /// Records of `wa.dead-letters`, NDJSON or Avro, or the directory a replay wrote its outputs to
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// The file of events and webhook bodies to write, which `tollgate replay` takes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Only letters with this code, such as `too_late` (repeatable)
    #[arg(long, value_name = "CODE")]
    error: Vec<String>,
    /// Only letters that were read from this topic or file (repeatable)
    #[arg(long, value_name = "NAME")]
    topic: Vec<String>,
    /// Only letters of this day (UTC) and later ones
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Only letters before this day (UTC)
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
}

#[derive(Debug, Args)]
struct LoadgenArgs {
    /// How many events, repeats included
    #[arg(long, value_name = "N")]
    events: u64,
    /// Another seed, another stream; the same one, the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many contacts the events are about
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    contacts: u32,
    /// How many business numbers they belong to
    #[arg(long, value_name = "N", default_value_t = 8)]
    numbers: u16,
    /// The day the traffic begins, in UTC
    #[arg(long, value_name = "DATE", default_value = "2026-09-20")]
    start: String,
    /// How many days it lasts
    #[arg(long, value_name = "N", default_value_t = 45)]
    days: u32,
    /// Where the events go: an Avro container if the name ends in .avro, else NDJSON. Reference records are
    /// written beside it, as NAME.accounts.* and NAME.templates.*
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the right answers go, as NDJSON
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct EraseArgs {
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
    /// Where the event goes, at the end of what is there; standard output if no file is named
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[cfg(feature = "kafka")]
#[derive(Debug, Args)]
struct TopicsArgs {
    /// Make topics that are missing, and set what is not as it must be
    #[arg(long)]
    create: bool,
    /// How many partitions new topics get; as many as the input has, if that is there
    #[arg(long, value_name = "N", default_value_t = 8, requires = "create", value_parser = clap::value_parser!(u32).range(1..))]
    partitions: u32,
    /// How many copies new topics have
    #[arg(long, value_name = "N", default_value_t = 3, requires = "create", value_parser = clap::value_parser!(u16).range(1..))]
    replication: u16,
    #[command(flatten)]
    config: ConfigArgs,
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

/// Which log lines are wanted, in the form `level` or `module=level,…`.
const LOG_VARIABLE: &str = "TOLLGATE_LOG";

/// Sends log lines to standard error. Warnings are shown unless the environment says otherwise.
fn start_logging() -> Result<(), Mistake> {
    let wanted = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| "warn".to_owned());
    let filter = EnvFilter::builder().parse(&wanted).map_err(|error| {
        Mistake::new(LOG_VARIABLE, format!("`{wanted}` is no filter ({error}); write `info` or `tollgate=debug`"))
    })?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    Ok(())
}

/// Runs the command that was typed.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    if let Err(mistake) = start_logging() {
        return refuse(&[mistake]);
    }
    match cli.command {
        Command::Replay(args) => replay(&args),
        Command::Scenario(args) => scenario(&args),
        Command::Reconcile(args) => reconcile(&args),
        Command::Redrive(args) => redrive(&args),
        Command::Loadgen(args) => loadgen(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Forecast(args) => forecast::run(&args),
        #[cfg(feature = "kafka")]
        Command::Run(args) => run_on_kafka(&args),
        #[cfg(feature = "kafka")]
        Command::Topics(args) => topics(&args),
        Command::Erase(args) => erase(&args),
        Command::Check(args) => check(&args),
    }
}

fn refuse(mistakes: &[Mistake]) -> ExitCode {
    for mistake in mistakes {
        eprintln!("error: {mistake}");
    }
    ExitCode::from(REFUSED)
}

/// Writes the event that has a person erased. Names are read from a file, so that they are in no list of processes.
fn erase(args: &EraseArgs) -> ExitCode {
    let read = if args.names.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(&args.names)
    };
    let names = match read {
        Ok(names) => names,
        Err(error) => {
            return refuse(&[Mistake::new(args.names.display().to_string(), format!("it cannot be read: {error}"))]);
        }
    };
    let line = match erasure::line(&args.number, &names, &args.at) {
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

fn check(args: &ConfigArgs) -> ExitCode {
    let zones = Zones::new();
    match config::load(args.config.as_deref(), &args.overrides(), &zones) {
        Ok(config) => {
            println!("The configuration of `{}` is usable.", config.name);
            for card in config.setup.cards.all() {
                println!("{}", described(card));
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

/// What a rate card covers, so that one who forgot a list of tiers sees it.
fn described(card: &Card) -> String {
    let count = |markets: usize| format!("{markets} market{}", if markets == 1 { "" } else { "s" });
    let (listed, tiered) = card.markets();
    let tiers = if tiered == 0 { "no volume tiers".to_owned() } else { format!("volume tiers of {}", count(tiered)) };
    format!("Rate card {:?} from {}: {}, {tiers} ({})", card.currency, card.from, count(listed), card.name)
}

#[cfg(feature = "kafka")]
fn run_on_kafka(args: &ConfigArgs) -> ExitCode {
    use signal_hook::consts::{SIGINT, SIGTERM};

    let config = match config::load(args.config.as_deref(), &args.overrides(), &Zones::new()) {
        Ok(config) => config,
        Err(mistakes) => return refuse(&mistakes),
    };
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The first asks for an orderly end, the second gets one at once: that loses nothing either.
        let stop = || std::sync::Arc::clone(&stop);
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 1, stop())
            .and_then(|_| signal_hook::flag::register(signal, stop()));
        if let Err(error) = registered {
            return refuse(&[Mistake::new("signals", error.to_string())]);
        }
    }
    ended(crate::run::run(config, &stop).map(|()| Vec::new()))
}

#[cfg(feature = "kafka")]
fn topics(args: &TopicsArgs) -> ExitCode {
    let create = args.create.then_some((args.partitions, args.replication));
    match config::load(args.config.config.as_deref(), &args.config.overrides(), &Zones::new()) {
        Ok(config) => ended(crate::run::look_after_topics(&config, create)),
        Err(mistakes) => refuse(&mistakes),
    }
}

#[cfg(feature = "kafka")]
fn ended(end: Result<Vec<String>, Vec<Mistake>>) -> ExitCode {
    match end {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => {
            for mistake in mistakes {
                eprintln!("error: {mistake}");
            }
            ExitCode::FAILURE
        }
    }
}

fn reconcile(args: &ReconcileArgs) -> ExitCode {
    let zones = Zones::new();
    let options = reconcile::Options {
        analytics: args.analytics.clone(),
        billing: args.billing.clone(),
        dead_letters: args.dead_letters.clone(),
        numbers: args.numbers.clone(),
        account: args.account.clone(),
        start: args.start,
        end: args.end,
        accounts: args.accounts.clone(),
        reference: args.reference.clone(),
    };
    // Only the price of what came too late depends on it, and the name that posted lines carry.
    let config = match &args.config.config {
        None => None,
        Some(path) => match config::load(Some(path), &args.config.overrides(), &zones) {
            Ok(config) => Some(config),
            Err(mistakes) => return refuse(&mistakes),
        },
    };
    let source = config.as_ref().map_or_else(|| "tollgate".to_owned(), |config| config.name.clone());
    let found = match reconcile::run(&options, config, &zones) {
        Ok(found) => found,
        Err(mistakes) => return refuse(&mistakes),
    };
    let unwritable =
        |path: &Path, error: std::io::Error| refuse(&[Mistake::new(path.display().to_string(), error.to_string())]);
    if let Some(path) = &args.out {
        let written = std::fs::File::create(path).map(std::io::BufWriter::new).and_then(|mut file| {
            found.write(&mut file)?;
            file.flush()
        });
        if let Err(error) = written {
            return unwritable(path, error);
        }
    }
    print!("{found}");
    if let Some(path) = &args.post {
        match reconcile::post(&found, &source, path) {
            Ok(lines) => println!("\n{lines} ADJUSTMENT lines are in {}", path.display()),
            Err(error) => return unwritable(path, error),
        }
    }
    if found.is_equal() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn redrive(args: &RedriveArgs) -> ExitCode {
    let zones = Zones::new();
    let mut mistakes = Vec::new();
    let mut day = |option: &str, text: &Option<String>| {
        let text = text.as_ref()?;
        let at = midnight(&zones, text);
        if at.is_none() {
            mistakes.push(not_a_date(option, text));
        }
        at
    };
    let (from, until) = (day("--from", &args.from), day("--until", &args.until));
    if !mistakes.is_empty() {
        return refuse(&mistakes);
    }
    let options = redrive::Options {
        files: args.files.clone(),
        out: args.out.clone(),
        errors: args.error.clone(),
        topics: args.topic.clone(),
        from,
        until,
    };
    match redrive::run(&options) {
        Ok(redriven) => {
            print!("{redriven}");
            for mistake in &redriven.refused {
                eprintln!("error: {mistake}");
            }
            if redriven.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

/// The first instant of a day in UTC.
fn midnight(zones: &Zones, date: &str) -> Option<Timestamp> {
    config::parse_date(date).and_then(|date| zones.find("UTC").and_then(|utc| zones.first_instant(utc, date)))
}

fn not_a_date(option: &str, text: &str) -> Mistake {
    Mistake::new(option, format!("`{text}` is no date; write `2026-09-20`"))
}

/// The generator's calendar: it knows days, and nothing else of the product.
struct Days(Zones);

impl Calendar for Days {
    fn date(&self, zone: &str, millis: i64) -> (i16, u8, u8) {
        // The generator asks about its own zones and days, which there are.
        self.0.day(zone, millis).unwrap_or((1970, 1, 1))
    }
}

fn loadgen(args: &LoadgenArgs) -> ExitCode {
    let zones = Zones::new();
    let Some(start) = midnight(&zones, &args.start) else {
        return refuse(&[not_a_date("--start", &args.start)]);
    };
    let settings = loadgen::Settings {
        events: args.events,
        seed: args.seed,
        contacts: args.contacts,
        numbers: args.numbers,
        start: start.millis(),
        days: args.days,
        ..loadgen::Settings::default()
    };
    let bar = std::io::stderr().is_terminal().then(|| indicatif::ProgressBar::new(args.events));
    let files = loadgen::Files::beside(&args.out, args.answers.clone());
    let made = files.write(&settings, &Days(zones), &|written| {
        if let Some(bar) = &bar {
            bar.set_position(written);
        }
    });
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            refuse(&[Mistake::new("loadgen", error.to_string())])
        }
        Err(error) => {
            eprintln!("error: {}: {error}", args.out.display());
            ExitCode::FAILURE
        }
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
        commit_every: args.commit_every,
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
