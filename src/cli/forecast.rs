//! `tollgate forecast`: what may be typed, and what it comes to.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{ConfigArgs, refuse};
use crate::codec::{forecast as record, records};
use crate::config::{self, Mistake};
use crate::domain::content::Content;
use crate::domain::id::{AccountId, NumberId};
use crate::domain::time::Timestamp;
use crate::forecast::{self, Asking, list};
use crate::replay::{self, Failure, Format, Options};
use crate::zones::{Zones, parse_instant};

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct ForecastArgs {
    /// The campaign list: CSV whose first line names the columns (`phone` or `user_id`, and if wanted `template`,
    /// `language`, `category`, `kind`), or records of `wa.forecasts` as NDJSON
    #[arg(value_name = "FILE")]
    list: PathBuf,
    /// Directory of a state that `tollgate replay --state` has left; it stays as it is
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Files of webhook bodies or events to fold first, on top of the state if there is one
    #[arg(long, value_name = "FILE", num_args = 1..)]
    replay: Vec<PathBuf>,
    /// Records of `wa.accounts` (repeatable)
    #[arg(long, value_name = "FILE")]
    accounts: Vec<PathBuf>,
    /// Records of `wa.templates` (repeatable)
    #[arg(long, value_name = "FILE")]
    templates: Vec<PathBuf>,
    /// The business phone number that would send, by the platform's id for it
    #[arg(long, value_name = "PHONE_NUMBER_ID")]
    number: Option<String>,
    /// The account that would send, where facts do not tell
    #[arg(long, value_name = "ACCOUNT_ID")]
    account: Option<String>,
    /// The instant to answer for, such as `2026-12-01T09:00:00Z`; without it the time the state has come to
    #[arg(long, value_name = "INSTANT")]
    at: Option<String>,
    /// A template that might be sent (repeatable: each is a campaign of its own)
    #[arg(long, value_name = "NAME/LANGUAGE[/CATEGORY]")]
    template: Vec<String>,
    /// What is no template might be sent
    #[arg(long)]
    freeform: bool,
    /// A direct send of this category might be sent
    #[arg(long, value_name = "CATEGORY")]
    direct_send: Option<String>,
    /// Where every recipient's answer goes, as NDJSON with the line of the list
    #[arg(long, value_name = "FILE")]
    recipients: Option<PathBuf>,
    /// Ask whoever runs the stream processor of this configuration (`--config`), through `wa.forecasts`; the answers are
    /// printed as records, as they come
    #[cfg(feature = "kafka")]
    #[arg(long, conflicts_with_all = ["state", "replay", "accounts", "templates", "recipients"])]
    kafka: bool,
    /// How many seconds to wait for the answers
    #[cfg(feature = "kafka")]
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "kafka")]
    wait: u64,
    /// With --kafka, list every recipient's answer besides the totals
    #[cfg(feature = "kafka")]
    #[arg(long, requires = "kafka")]
    per_recipient: bool,
    /// Print the answer as records of `wa.forecast-answers`, not as a table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl ForecastArgs {
    fn candidates(&self, mistakes: &mut Vec<Mistake>) -> Vec<Content> {
        let kind = |kind: &str| records::Content { kind: kind.to_owned().into(), ..records::Content::default() };
        let mut said = Vec::new();
        for template in &self.template {
            let mut parts = template.split('/');
            let (Some(name), Some(language), category, None) = (parts.next(), parts.next(), parts.next(), parts.next())
            else {
                mistakes.push(Mistake::new("--template", "write NAME/LANGUAGE, or NAME/LANGUAGE/CATEGORY"));
                continue;
            };
            let text = |text: &str| text.to_owned().into();
            let template =
                records::Template { name: text(name), language: text(language), category: category.map(text) };
            said.push(("--template", records::Content { template: Some(template), ..kind("template") }));
        }
        if self.freeform {
            said.push(("--freeform", kind("freeform")));
        }
        if let Some(category) = &self.direct_send {
            let category = Some(category.clone().into());
            said.push(("--direct-send", records::Content { category, ..kind("direct_send") }));
        }
        let mut understood = |(option, said): (&str, records::Content<'_>)| {
            let wrong =
                |invalid: crate::codec::event::Invalid| mistakes.push(Mistake::new(option, invalid.to_string()));
            record::said(&said).map_err(wrong).ok()
        };
        said.into_iter().filter_map(&mut understood).collect()
    }

    fn asking(&self) -> Result<Asking, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let candidates = self.candidates(&mut mistakes);
        let mut id = |option: &str, problem: Option<String>| {
            mistakes.extend(problem.map(|problem| Mistake::new(option, format!("it is no id: {problem}"))));
        };
        let number = self.number.as_deref().map(NumberId::parse).transpose();
        id("--number", number.as_ref().err().map(ToString::to_string));
        let account = self.account.as_deref().map(AccountId::parse).transpose();
        id("--account", account.as_ref().err().map(ToString::to_string));
        let at = self.at.as_deref().map(parse_instant);
        if at == Some(None) {
            mistakes.push(Mistake::new("--at", NO_INSTANT));
        }
        if self.state.is_none() && self.replay.is_empty() && !self.is_for_kafka() {
            mistakes.push(Mistake::new(
                "forecast",
                "say what to ask: --state with the state of a replay, or --replay with files of events",
            ));
        }
        let terms = list::Terms {
            number: number.ok().flatten(),
            account: account.ok().flatten(),
            candidates,
            at: at.flatten(),
            asked_at: Timestamp::EARLIEST,
            per_recipient: self.recipients.is_some() || self.lists_recipients(),
        };
        let (list, recipients) = (self.list.clone(), self.recipients.clone());
        mistakes.extend(list::read(&list, &terms).err().unwrap_or_default());
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Asking { list, terms, recipients, json: self.json })
    }
}

#[cfg(feature = "kafka")]
impl ForecastArgs {
    const fn is_for_kafka(&self) -> bool {
        self.kafka
    }

    const fn lists_recipients(&self) -> bool {
        self.per_recipient
    }
}

#[cfg(not(feature = "kafka"))]
#[allow(clippy::unused_self, reason = "there are switches where there is Kafka")]
impl ForecastArgs {
    const fn is_for_kafka(&self) -> bool {
        false
    }

    const fn lists_recipients(&self) -> bool {
        false
    }
}

/// Sends a list's questions, and prints the answers.
#[cfg(feature = "kafka")]
fn ask(config: &config::Config, asking: &Asking, wait: u64) -> ExitCode {
    let questions = match forecast::questions(asking) {
        Ok(questions) => questions,
        Err(mistakes) => return refuse(&mistakes),
    };
    let mut out = std::io::stdout().lock();
    let wait = std::time::Duration::from_secs(wait);
    super::ended(
        crate::run::forecast::ask(config, &questions, wait, |answer| forecast::print(answer, &mut out))
            .map(|()| Vec::new()),
    )
}

/// What is said of a text that is no instant.
pub(super) const NO_INSTANT: &str = "it is no instant between 2009 and 2099; write `2026-12-01T09:00:00Z`";

/// What a replay is told that only folds.
pub(super) fn folding(
    files: &[PathBuf],
    accounts: &[PathBuf],
    templates: &[PathBuf],
    state: Option<PathBuf>,
) -> Options {
    Options {
        files: files.to_vec(),
        out: None,
        format: Format::Ndjson,
        accounts: accounts.to_vec(),
        templates: templates.to_vec(),
        state,
        stop_after: None,
        commit_every: replay::COMMIT_EVERY,
        progress: false,
    }
}

/// Runs the command.
pub(super) fn run(args: &ForecastArgs) -> ExitCode {
    let zones = Zones::new();
    let options = folding(&args.replay, &args.accounts, &args.templates, args.state.clone());
    let config = config::load(args.config.config.as_deref(), &args.config.overrides(), &zones);
    let (prepared, asking) = (options.prepare(&zones), args.asking());
    let (config, prepared, asking) = match (config, prepared, asking) {
        (Ok(config), Ok(prepared), Ok(asking)) => (config, prepared, asking),
        (config, prepared, asking) => {
            let mut mistakes = config.err().unwrap_or_default();
            mistakes.extend(prepared.err().unwrap_or_default());
            mistakes.extend(asking.err().unwrap_or_default());
            return refuse(&mistakes);
        }
    };
    #[cfg(feature = "kafka")]
    if args.kafka {
        return ask(&config, &asking, args.wait);
    }
    match forecast::run(config, &asking, &options, prepared, zones, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Mistakes(mistakes)) => refuse(&mistakes),
        Err(Failure::Failed(mistake)) => {
            eprintln!("error: {mistake}");
            ExitCode::FAILURE
        }
    }
}
