//! The configuration: as typed, and as needed. All mistakes are reported together, each with the setting it
//! is about and what to do.

pub mod candidate;
mod limits;
pub mod stream;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::codec::ids::{DeploymentKey, SHORTEST_KEY};
use crate::codec::rate_card;
use crate::codec::state::WriteFormat;
use crate::codec::webhook;
use crate::domain::money::Currency;
use crate::domain::policy::{DecidedAt, NoOptIn, Policy};
use crate::domain::reference::Country;
use crate::domain::rules::Rules;
use crate::domain::rules::cards::Cards;
use crate::domain::rules::eras::AnswerWithin;
use crate::domain::rules::markets::Market;
use crate::domain::rules::openers::OPENERS;
use crate::domain::time::{Date, Millis, Zone};
use crate::engine::Setup;
use crate::zones::Zones;

/// The environment variable that holds the deployment's key, where the file names none.
pub const KEY_VARIABLE: &str = "TOLLGATE_DEPLOYMENT_KEY";

/// The configuration with every setting at its default and what it means; the one that ships.
pub const DEFAULT: &str = include_str!("../deploy/tollgate.toml");

/// A mistake in the configuration or on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where: a file, a setting, an option.
    pub place: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl Mistake {
    /// A mistake at a place.
    #[must_use]
    pub fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawConfig {
    deployment: RawDeployment,
    rules: RawRules,
    consent: RawConsent,
    limits: limits::RawLimits,
    prices: RawPrices,
    state: RawState,
    dead_letters: RawDeadLetters,
    kafka: stream::RawKafka,
    registry: stream::RawRegistry,
    http: stream::RawHttp,
    health: stream::RawHealth,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawDeployment {
    name: Option<String>,
    key: Option<String>,
    key_file: Option<PathBuf>,
    identity: Option<String>,
    asks_per_second: Option<u32>,
    enforced: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawRules {
    as_of: Option<String>,
    candidate: Option<PathBuf>,
    window_decided_at: Option<String>,
    utility_in_window_free: Option<bool>,
    closing_lead: Option<String>,
    verdict_margin: Option<String>,
    lateness_horizon: Option<String>,
    one_template_after_window: Option<bool>,
    pair_rate: Option<bool>,
    pacing_told_by_failures: Option<bool>,
    free_entry_point_answer: Option<String>,
    free_entry_point_extends: Option<bool>,
    unlisted_markets: BTreeMap<String, String>,
    opens_service_window: BTreeMap<String, bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawConsent {
    no_opt_in_record: Option<String>,
    opt_out_keywords: Vec<String>,
    opt_in_keywords: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawPrices {
    rate_cards: Vec<PathBuf>,
    assume_zone: Option<String>,
    assume_currency: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawState {
    memory: Option<String>,
    write_format: Option<u8>,
    directory: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawDeadLetters {
    payload: Option<String>,
}

/// What the command line says over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// Further rate cards.
    pub rate_cards: Vec<PathBuf>,
    /// `--assume-zone`
    pub assume_zone: Option<String>,
    /// `--assume-currency`
    pub assume_currency: Option<String>,
    /// `--rules-as-of`
    pub rules_as_of: Option<String>,
    /// `--candidate`
    pub candidate: Option<PathBuf>,
    /// `--memory`
    pub memory: Option<String>,
}

/// The configuration as needed.
pub struct Config {
    /// The deployment's name.
    pub name: String,
    /// Whether verdicts are meant to be acted on.
    pub enforced: bool,
    /// What the fold needs.
    pub setup: Setup,
    /// What the webhook reader needs.
    pub webhook: webhook::Settings,
    /// Whether dead letters hold the record they are about.
    pub keep_payload: bool,
    /// What the stream processor needs.
    pub stream: stream::Stream,
    /// A text that is the same exactly where outputs would be: everything that decides them.
    pub fingerprint: String,
}

/// Reads a configuration file, or the defaults where none is given.
///
/// # Errors
/// All mistakes in it, and in the rate cards it names.
pub fn load(path: Option<&Path>, overrides: &Overrides, zones: &Zones) -> Result<Config, Vec<Mistake>> {
    let (text, place, directory) = match path {
        None => (String::new(), "the configuration".to_owned(), PathBuf::from(".")),
        Some(path) => {
            let place = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => (text, place, path.parent().unwrap_or(Path::new(".")).to_owned()),
                Err(error) => {
                    let mistake = Mistake::new(place, format!("it cannot be read: {error}"));
                    return Err(beside(mistake, overrides, zones));
                }
            }
        }
    };
    parse(&text, place, directory, overrides, zones)
}

/// Reads a configuration's text. `place` is what mistakes call it, and files it names are looked for from
/// `directory`.
///
/// # Errors
/// All mistakes in it, and in the rate cards it names.
pub fn parse(
    text: &str,
    place: String,
    directory: PathBuf,
    overrides: &Overrides,
    zones: &Zones,
) -> Result<Config, Vec<Mistake>> {
    match toml::from_str(text) {
        Ok(raw) => Builder { mistakes: Vec::new(), place, directory, zones }.build(raw, overrides),
        Err(error) => {
            let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
            let place = line.map_or_else(|| place.clone(), |line| format!("{place}, line {line}"));
            Err(beside(Mistake::new(place, error.message()), overrides, zones))
        }
    }
}

/// The mistake that keeps a file from being read, and those in what was given beside it.
fn beside(mistake: Mistake, overrides: &Overrides, zones: &Zones) -> Vec<Mistake> {
    // What the file says of the key is not known, so nothing can be said about it.
    let deployment = RawDeployment { key: Some("?".repeat(SHORTEST_KEY)), ..RawDeployment::default() };
    let raw = RawConfig { deployment, ..RawConfig::default() };
    let place = "the command line".to_owned();
    let builder = Builder { mistakes: vec![mistake], place, directory: PathBuf::from("."), zones };
    builder.build(raw, overrides).err().unwrap_or_default()
}

struct Builder<'z> {
    mistakes: Vec<Mistake>,
    place: String,
    directory: PathBuf,
    zones: &'z Zones,
}

impl Builder<'_> {
    fn wrong(&mut self, setting: &str, problem: impl Into<String>) {
        self.mistakes.push(Mistake::new(format!("{}, `{setting}`", self.place), problem));
    }

    /// One of a few words, or the default.
    fn word<T: Copy>(&mut self, setting: &str, value: Option<&str>, words: &[(&str, T)], default: T) -> T {
        let Some(value) = value else {
            return default;
        };
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
            *meaning
        } else {
            let known: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.wrong(setting, format!("`{value}` is none of {}", known.join(", ")));
            default
        }
    }

    fn length(&mut self, setting: &str, value: Option<&str>, default: Millis) -> Millis {
        match value.map(parse_length) {
            None => default,
            Some(Some(length)) => length,
            Some(None) => {
                self.wrong(setting, "it is no length of time; write `90s`, `30m`, `1h` or `7d`");
                default
            }
        }
    }

    fn build(mut self, raw: RawConfig, overrides: &Overrides) -> Result<Config, Vec<Mistake>> {
        let key = self.key(&raw.deployment);
        let policy = self.policy(&raw);
        let as_of = overrides.rules_as_of.as_ref().or(raw.rules.as_of.as_ref()).and_then(|text| {
            let date = parse_date(text);
            if date.is_none() {
                self.wrong("rules.as_of", format!("`{text}` is no date; write `2026-10-01`"));
            }
            date
        });
        let rules = self.rules(&raw.rules, as_of);
        let in_file = raw.rules.candidate.as_ref().map(|path| self.directory.join(path));
        // Before the cards, which may list markets that only a candidate row knows.
        let candidate = overrides.candidate.clone().or(in_file).map(|path| candidate::read(&path));
        let (mut cards, mut digests) = self.cards(&raw.prices, overrides);
        let rules = match candidate {
            None => rules,
            Some(Ok(file)) => {
                digests.push(file.digest);
                // Where cards have mistakes there are none, and nothing can be said of what changes them.
                let wrong_before = !self.mistakes.is_empty();
                file.apply(rules.clone(), &mut cards).unwrap_or_else(|mistakes| {
                    self.mistakes.extend(mistakes.into_iter().filter(|_| !wrong_before));
                    rules
                })
            }
            Some(Err(mistakes)) => {
                self.mistakes.extend(mistakes);
                rules
            }
        };
        let assume_zone = self.zone(overrides.assume_zone.as_ref().or(raw.prices.assume_zone.as_ref()));
        let assume_currency = self.currency(overrides.assume_currency.as_ref().or(raw.prices.assume_currency.as_ref()));
        let memory = overrides.memory.as_ref().or(raw.state.memory.as_ref()).map_or("512MiB", String::as_str);
        let memory = parse_size(memory).unwrap_or_else(|| {
            self.wrong("state.memory", format!("`{memory}` is no size; write `512MiB` or `2GiB`"));
            0
        });
        let write_format = raw.state.write_format.map_or(Some(WriteFormat::default()), WriteFormat::of);
        if write_format.is_none() {
            self.wrong("state.write_format", "the formats are 1 and 2");
        }
        let payload = raw.dead_letters.payload.as_deref();
        let keep_payload = self.word("dead_letters.payload", payload, &[("full", true), ("pointer", false)], true);
        let name = raw.deployment.name.clone().unwrap_or_else(|| "tollgate".to_owned());
        let enforced = raw.deployment.enforced.unwrap_or(true);
        let stream = self.stream(raw.kafka, raw.registry, (raw.http, raw.health), raw.state.directory, &name);
        let fingerprint = format!(
            "{policy:?} {rules:?} {digests:?} {assume_zone:?} {assume_currency:?} {keep_payload} {name} {enforced} \
             {:?} zones {} key {:?}",
            raw.consent,
            Zones::version(),
            key.as_ref().map(|(_, digest)| *digest),
        );
        let Some((key, _)) = key.filter(|_| self.mistakes.is_empty()) else {
            return Err(self.mistakes);
        };
        Ok(Config {
            name,
            enforced,
            setup: Setup {
                policy,
                rules,
                cards,
                key,
                assume_zone,
                assume_currency,
                memory,
                write_format: write_format.unwrap_or_default(),
            },
            webhook: webhook::Settings {
                opt_out_keywords: raw.consent.opt_out_keywords,
                opt_in_keywords: raw.consent.opt_in_keywords,
            },
            keep_payload,
            stream,
            fingerprint,
        })
    }

    /// The deployment's key, and a digest of it to compare.
    fn key(&mut self, raw: &RawDeployment) -> Option<(DeploymentKey, [u8; 16])> {
        let secret = match (&raw.key, &raw.key_file) {
            (Some(_), Some(_)) => {
                self.wrong("deployment.key", "`key` and `key_file` are both set; keep one");
                return None;
            }
            (Some(key), None) => key.clone(),
            (None, Some(file)) => {
                let path = self.directory.join(file);
                match std::fs::read_to_string(&path) {
                    Ok(text) => text.trim_end().to_owned(),
                    Err(error) => {
                        self.wrong("deployment.key_file", format!("{} cannot be read: {error}", path.display()));
                        return None;
                    }
                }
            }
            (None, None) => {
                if let Ok(key) = std::env::var(KEY_VARIABLE) {
                    key
                } else {
                    let problem = format!(
                        "outputs name people by a keyed hash, and there is no key; set `key_file`, `key` or the \
                     environment variable {KEY_VARIABLE} to at least {SHORTEST_KEY} random bytes, once and for good"
                    );
                    self.wrong("deployment.key", problem);
                    return None;
                }
            }
        };
        let key = DeploymentKey::new(secret.as_bytes());
        if key.is_none() {
            self.wrong("deployment.key", format!("the key is shorter than {SHORTEST_KEY} bytes"));
        }
        key.map(|key| (key, crate::codec::ids::hash(&[b"fingerprint", secret.as_bytes()])))
    }

    /// The rule rows as the deployment looks them up.
    fn rules(&mut self, raw: &RawRules, as_of: Option<Date>) -> Rules {
        let answer = raw.free_entry_point_answer.as_deref();
        let entry_point_answer = answer.and_then(answer_within);
        if let Some(answer) = answer.filter(|_| entry_point_answer.is_none()) {
            let problem = format!("`{answer}` is none of `24h`, `service_window`");
            self.wrong("rules.free_entry_point_answer", problem);
        }
        let mut unlisted = Vec::new();
        for (country, market) in &raw.unlisted_markets {
            let setting = "rules.unlisted_markets";
            match (Country::parse(country), Market::named(market)) {
                (Some(country), Some(market)) => unlisted.push((country, market)),
                (None, _) => self.wrong(setting, format!("`{country}` is not two capital letters, such as `KZ`")),
                (_, None) => self.wrong(setting, format!("`{market}` is no market of the rate card")),
            }
        }
        Rules {
            as_of,
            utility_in_window_free: raw.utility_in_window_free,
            entry_point_answer,
            entry_point_extends: raw.free_entry_point_extends.unwrap_or(false),
            unlisted,
            ..Rules::default()
        }
    }

    fn policy(&mut self, raw: &RawConfig) -> Policy {
        let mut policy = Policy::default();
        let rules = &raw.rules;
        let decided_at = [("sent", DecidedAt::Sent), ("delivered", DecidedAt::Delivered)];
        policy.window_decided_at = self.word(
            "rules.window_decided_at",
            rules.window_decided_at.as_deref(),
            &decided_at,
            policy.window_decided_at,
        );
        policy.closing_lead = match rules.closing_lead.as_deref() {
            Some("off") => None,
            lead => {
                let default = policy.closing_lead.unwrap_or(Millis::ZERO);
                Some(self.length("rules.closing_lead", lead, default))
            }
        };
        policy.margin = self.length("rules.verdict_margin", rules.verdict_margin.as_deref(), policy.margin);
        policy.horizon = self.length("rules.lateness_horizon", rules.lateness_horizon.as_deref(), policy.horizon);
        policy.one_template_after_window = rules.one_template_after_window.unwrap_or(false);
        policy.pair_rate = rules.pair_rate.unwrap_or(policy.pair_rate);
        policy.pacing_told_by_failures = rules.pacing_told_by_failures.unwrap_or(policy.pacing_told_by_failures);
        for (name, opens) in &rules.opens_service_window {
            if !policy.openers.set(name, *opens) {
                let known: Vec<&str> = OPENERS.iter().map(|row| row.name).collect();
                let problem = format!("`{name}` is no row of the table; the rows are {}", known.join(", "));
                self.wrong("rules.opens_service_window", problem);
            }
        }
        let no_opt_in = [("warn", NoOptIn::Warn), ("block", NoOptIn::Block)];
        let value = raw.consent.no_opt_in_record.as_deref();
        policy.no_opt_in = self.word("consent.no_opt_in_record", value, &no_opt_in, policy.no_opt_in);
        let identity = raw.deployment.identity.as_deref();
        policy.clear_identity =
            self.word("deployment.identity", identity, &[("hashed", false), ("clear", true)], false);
        policy.asks_per_second = raw.deployment.asks_per_second;
        self.limits(&mut policy, &raw.limits);
        policy
    }

    /// All rate cards, and what identifies them.
    fn cards(&mut self, raw: &RawPrices, overrides: &Overrides) -> (Cards, Vec<[u8; 16]>) {
        let (mut import, mut digests) = (rate_card::Import::default(), Vec::new());
        let in_file = raw.rate_cards.iter().map(|path| self.directory.join(path));
        let paths: Vec<PathBuf> = in_file.chain(overrides.rate_cards.iter().cloned()).collect();
        for path in paths {
            let place = path.display().to_string();
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) => {
                    self.mistakes.push(Mistake::new(place, format!("the rate card cannot be read: {error}")));
                    import.missing();
                    continue;
                }
            };
            let name = path.file_name().map_or_else(|| place.clone(), |name| name.to_string_lossy().into_owned());
            digests.push(crate::codec::ids::hash(&[name.as_bytes(), &bytes]));
            import.add(&place, &name, &bytes);
        }
        let cards = import.finish().unwrap_or_else(|mistakes| {
            let placed = mistakes.into_iter().map(|mistake| Mistake::new(mistake.place.to_string(), mistake.problem));
            self.mistakes.extend(placed);
            Cards::default()
        });
        (cards, digests)
    }

    fn zone(&mut self, name: Option<&String>) -> Option<Zone> {
        let name = name?;
        let zone = self.zones.find(name);
        if zone.is_none() {
            let problem = format!("`{name}` is no time zone of the IANA database, such as `America/Sao_Paulo`");
            self.wrong("prices.assume_zone", problem);
        }
        zone
    }

    fn currency(&mut self, name: Option<&String>) -> Option<Currency> {
        let name = name?;
        let currency = Currency::parse(name);
        if currency.is_none() {
            let problem = format!("`{name}` is no currency; three capital letters are, such as `USD`");
            self.wrong("prices.assume_currency", problem);
        }
        currency
    }
}

/// A length of time: a whole number and `s`, `m`, `h` or `d`.
fn parse_length(text: &str) -> Option<Millis> {
    let (number, unit) = text.trim().split_at_checked(text.trim().len().checked_sub(1)?)?;
    let number: i64 = number.trim().parse().ok().filter(|number| (0..=100_000_000).contains(number))?;
    match unit {
        "s" => Some(Millis::seconds(number)),
        "m" => Some(Millis::minutes(number)),
        "h" => Some(Millis::hours(number)),
        "d" => Some(Millis::days(number)),
        _ => None,
    }
}

/// A size: a whole number and `KiB`, `MiB` or `GiB`.
fn parse_size(text: &str) -> Option<usize> {
    let text = text.trim();
    let (number, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))?;
    let number: usize = number.trim().parse().ok()?;
    number.checked_mul(1 << shift).filter(|size| *size >= 1 << 20)
}

/// A date as `2026-10-01`.
#[must_use]
pub fn parse_date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    Date::checked(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

/// By when a click must be answered: `24h` after it, or while the `service_window` is open.
#[must_use]
pub fn answer_within(text: &str) -> Option<AnswerWithin> {
    match text {
        "24h" => Some(AnswerWithin::Length(Millis::hours(24))),
        "service_window" => Some(AnswerWithin::ServiceWindow),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_that_ships_is_the_default() {
        let raw: RawConfig = toml::from_str(DEFAULT).expect("it parses");
        let zones = Zones::new();
        let builder =
            || Builder { mistakes: Vec::new(), place: String::new(), directory: PathBuf::new(), zones: &zones };
        let policy = builder().policy(&raw);
        assert_eq!(format!("{policy:?}"), format!("{:?}", Policy::default()));
        let stream = |raw: RawConfig| {
            let mut builder = builder();
            let stream =
                builder.stream(raw.kafka, raw.registry, (raw.http, raw.health), raw.state.directory, "tollgate");
            assert_eq!(builder.mistakes, []);
            format!("{stream:?}")
        };
        assert_eq!(stream(raw), stream(RawConfig::default()));
    }

    #[test]
    fn every_setting_stands_in_the_configuration_that_ships() {
        let uncommented: String = DEFAULT
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.starts_with(|letter: char| letter.is_ascii_lowercase()) && rest.contains(" = ") => {
                    rest
                }
                _ => line,
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let raw: toml::Table = toml::from_str(&uncommented).expect("it parses");
        toml::from_str::<RawConfig>(&uncommented).expect("every setting in it is one");
        for (section, settings) in [
            ("deployment", vec!["name", "key", "key_file", "identity", "asks_per_second", "enforced"]),
            (
                "rules",
                vec![
                    "as_of",
                    "candidate",
                    "window_decided_at",
                    "utility_in_window_free",
                    "closing_lead",
                    "verdict_margin",
                    "lateness_horizon",
                    "one_template_after_window",
                    "pair_rate",
                    "pacing_told_by_failures",
                    "free_entry_point_answer",
                    "free_entry_point_extends",
                    "unlisted_markets",
                    "opens_service_window",
                ],
            ),
            ("consent", vec!["no_opt_in_record", "opt_out_keywords", "opt_in_keywords"]),
            ("prices", vec!["rate_cards", "assume_zone", "assume_currency"]),
            ("state", vec!["memory", "write_format", "directory"]),
            ("dead_letters", vec!["payload"]),
            (
                "kafka",
                vec![
                    "bootstrap",
                    "group",
                    "instance",
                    "workers",
                    "arrival",
                    "partitioner",
                    "framing",
                    "headers",
                    "heartbeats",
                    "gateway_silence",
                    "reference_patience",
                    "commit_age",
                    "transaction_timeout",
                    "session_timeout",
                    "request_timeout",
                    "topics",
                    "properties",
                    "consumer",
                    "producer",
                ],
            ),
            ("registry", vec!["urls", "user", "password_file", "register"]),
            ("http", vec!["listen"]),
            ("health", vec!["silence", "lag", "poison_ratio"]),
        ] {
            let table = raw[section].as_table().expect("a section");
            for setting in settings {
                assert!(table.contains_key(setting), "{section}.{setting} is missing");
            }
        }
        let topics = raw["kafka"]["topics"].as_table().expect("a section");
        for topic in [
            "events",
            "accounts",
            "templates",
            "verdicts",
            "billing",
            "windows",
            "window_state",
            "outcomes",
            "dead_letters",
            "charges",
            "contacts_changelog",
            "messages_changelog",
        ] {
            assert!(topics.contains_key(topic), "kafka.topics.{topic} is missing");
        }
        let openers = raw["rules"]["opens_service_window"].as_table().expect("a table");
        for row in &OPENERS {
            assert_eq!(openers[row.name].as_bool(), Some(row.opens), "{}", row.name);
        }
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let text = "[deployment]\nkey = \"short\"\nidentity = \"open\"\n[rules]\nclosing_lead = \"soon\"\nas_of = \"October\"\n\
                    [rules.opens_service_window]\ntelepathy = true\n[prices]\nrate_cards = [\"nowhere.csv\"]\n\
                    assume_zone = \"Mars/Olympus\"\n[state]\nmemory = \"lots\"\n";
        std::fs::write(file.path(), text).expect("written");
        let mistakes = load(Some(file.path()), &Overrides::default(), &Zones::new()).err().expect("mistakes");
        let all = mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n");
        for setting in [
            "deployment.key",
            "deployment.identity",
            "rules.closing_lead",
            "rules.as_of",
            "rules.opens_service_window",
            "nowhere.csv",
            "prices.assume_zone",
            "state.memory",
        ] {
            assert!(all.contains(setting), "{setting} in\n{all}");
        }
    }

    #[test]
    fn a_setting_that_does_not_exist_is_a_mistake_with_its_line() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "[deployment]\nname = \"x\"\ncolour = \"red\"\n").expect("written");
        let mistakes = load(Some(file.path()), &Overrides::default(), &Zones::new()).err().expect("mistakes");
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].place.ends_with("line 3") && mistakes[0].problem.contains("colour"), "{}", mistakes[0]);
    }

    #[test]
    fn lengths_and_sizes_are_read_as_people_write_them() {
        assert_eq!(parse_length("90s"), Some(Millis::seconds(90)));
        assert_eq!(parse_length("7d"), Some(Millis::days(7)));
        assert_eq!(parse_length("-1h"), None);
        assert_eq!(parse_length("h"), None);
        assert_eq!(parse_size("512MiB"), Some(512 << 20));
        assert_eq!(parse_size("12"), None);
    }
}
