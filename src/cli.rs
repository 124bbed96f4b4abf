//! The command line: what may be typed, and what it comes to.

mod erase;
mod explain;
mod forecast;
mod reconcile;
mod redrive;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config::{self, Mistake, Overrides};
use crate::domain::policy::Policy;
use crate::domain::rules::cards::Card;
use crate::domain::time::Timestamp;
use crate::loadgen::{self, Calendar};
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
    /// Compare the ledger with the platform's pricing analytics: what differs, and why
    Reconcile(reconcile::ReconcileArgs),
    /// Give dead letters back: as a file of events to replay, or to the topics they came from
    Redrive(redrive::RedriveArgs),
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
    /// Forget a person: writes the event that has them erased, for a replay or to the topic of events
    Erase(erase::EraseArgs),
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

/// The switch from files to topics, the same in every command that has it.
#[derive(Debug, Args)]
struct KafkaArg {
    /// Where no file is named, read and write the topics of the configuration (--config), as `tollgate run` does
    #[cfg(feature = "kafka")]
    #[arg(long)]
    kafka: bool,
}

impl KafkaArg {
    #[cfg(feature = "kafka")]
    const fn is_given(&self) -> bool {
        self.kafka
    }

    #[cfg(not(feature = "kafka"))]
    #[allow(clippy::unused_self, reason = "there is a switch where there is Kafka")]
    const fn is_given(&self) -> bool {
        false
    }

    /// What is said of something that neither a file nor a topic stands for.
    fn instead(what: &str) -> String {
        if cfg!(feature = "kafka") { format!("{what}, or give --kafka for the topic") } else { what.to_owned() }
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
        Command::Reconcile(args) => reconcile::run(&args),
        Command::Redrive(args) => redrive::run(&args),
        Command::Loadgen(args) => loadgen(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Forecast(args) => forecast::run(&args),
        #[cfg(feature = "kafka")]
        Command::Run(args) => run_on_kafka(&args),
        #[cfg(feature = "kafka")]
        Command::Topics(args) => topics(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Check(args) => check(&args),
    }
}

/// Shows how far a topic is read, where somebody watches.
#[cfg(feature = "kafka")]
fn reading(topic: &str, offsets: u64) -> Box<dyn Fn(u64)> {
    if !std::io::stderr().is_terminal() {
        return Box::new(|_| ());
    }
    let bar = indicatif::ProgressBar::new(offsets).with_finish(indicatif::ProgressFinish::AndClear);
    let bar = match indicatif::ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    };
    bar.set_message(topic.to_owned());
    Box::new(move |passed| bar.set_position(passed))
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
