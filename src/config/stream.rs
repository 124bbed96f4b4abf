//! The settings of the stream processor: brokers, topics, transactions, what it listens on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Builder;
use crate::codec::partitioner::Partitioner;
use crate::stream::Topic;
use crate::worker::headers::Headers;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawKafka {
    bootstrap: Option<String>,
    group: Option<String>,
    instance: Option<String>,
    workers: Option<u16>,
    arrival: Option<String>,
    partitioner: Option<String>,
    framing: Option<String>,
    headers: Option<String>,
    heartbeats: Option<bool>,
    gateway_silence: Option<String>,
    commit_age: Option<String>,
    transaction_timeout: Option<String>,
    session_timeout: Option<String>,
    request_timeout: Option<String>,
    reference_patience: Option<String>,
    topics: RawTopics,
    properties: BTreeMap<String, String>,
    consumer: BTreeMap<String, String>,
    producer: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawTopics {
    events: Option<Vec<String>>,
    accounts: Option<String>,
    templates: Option<String>,
    verdicts: Option<String>,
    billing: Option<String>,
    windows: Option<String>,
    window_state: Option<String>,
    outcomes: Option<String>,
    dead_letters: Option<String>,
    usage: Option<String>,
    charges: Option<String>,
    forecasts: Option<String>,
    forecast_answers: Option<String>,
    contacts_changelog: Option<String>,
    messages_changelog: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRegistry {
    urls: Vec<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    register: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHttp {
    listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawHealth {
    silence: Option<String>,
    lag: Option<String>,
    poison_ratio: Option<f64>,
}

/// How outputs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As Avro: behind a registry's id where a registry is set, else as single objects.
    Avro,
    /// As JSON.
    Json,
}

/// The settings of the stream processor.
#[derive(Clone, Debug)]
pub struct Stream {
    /// The consumer group.
    pub group: String,
    /// What this process is called: the same after a restart.
    pub instance: String,
    /// How many workers this process runs.
    pub workers: u16,
    /// The input topics, in order.
    pub inputs: Vec<String>,
    /// All topics, by what they are for.
    pub topics: Vec<(Topic, String)>,
    /// Whether the record tells when it arrived, and not the log.
    pub arrival_by_field: bool,
    /// How the producers of the inputs choose the partition of a number.
    pub partitioner: Partitioner,
    /// How outputs are written.
    pub framing: Framing,
    /// Which headers outputs carry.
    pub headers: Headers,
    /// Whether heartbeats are written for idle partitions.
    pub heartbeats: bool,
    /// How long a gateway that writes heartbeats may be silent before a closed window is doubted.
    pub gateway_silence: Option<Duration>,
    /// How long a transaction stays open while there is more to fold.
    pub commit_age: Duration,
    /// How long the broker lets one stay open.
    pub transaction_timeout: Duration,
    /// How long a member may be silent.
    pub session_timeout: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long the reference topics may be out of reach before verdicts that rest on them are unknown.
    pub reference_patience: Duration,
    /// librdkafka's properties for everything.
    pub common: BTreeMap<String, String>,
    /// librdkafka's properties for consumers.
    pub consumer: BTreeMap<String, String>,
    /// librdkafka's properties for producers.
    pub producer: BTreeMap<String, String>,
    /// Where the state is.
    pub directory: PathBuf,
    /// The schema registry, if there is one.
    pub registry: Option<Registry>,
    /// Where metrics and health are served.
    pub listen: Option<String>,
    /// How long a worker may be silent before the process counts as dead.
    pub silence: Duration,
    /// How far a partition may be behind its input.
    pub lag: Duration,
    /// The share of records that may be dead letters, from 0 to 1.
    pub poison_ratio: f64,
}

/// The schema registry.
#[derive(Clone, Debug)]
pub struct Registry {
    /// Its addresses, tried in turn.
    pub urls: Vec<String>,
    /// Who asks.
    pub user: Option<String>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Whether schemas that it lacks are registered; else they must be there.
    pub register: bool,
}

/// The environment variable that names the brokers, whatever the file says.
pub const BOOTSTRAP_VARIABLE: &str = "TOLLGATE_KAFKA_BOOTSTRAP";

/// The environment variable that names the process, whatever the file says.
pub const INSTANCE_VARIABLE: &str = "TOLLGATE_KAFKA_INSTANCE";

/// Properties on which exactly-once depends, or that have a setting of their own.
const OURS: [&str; 16] = [
    "bootstrap.servers",
    "metadata.broker.list",
    "group.id",
    "group.instance.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "isolation.level",
    "transactional.id",
    "transaction.timeout.ms",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "delivery.report.only.error",
    "retry.backoff.ms",
    "retry.backoff.max.ms",
];

/// Properties that decide who owns which partitions, what each may be, and why nothing else.
const ASSIGNMENT: [(&str, &str, &str); 3] = [
    (
        "partition.assignment.strategy",
        "range",
        "other assignors give a partition's inputs and charges to different members",
    ),
    (
        "group.protocol",
        "classic",
        "with `consumer` a process that was killed is refused under its own name until its session has ended, and \
         partitions are given and taken one by one, which a transaction over all of them does not outlive",
    ),
    ("group.remote.assignor", "", "it belongs to `group.protocol=consumer`, which is not supported"),
];

impl Builder<'_> {
    fn refuse_ours(&mut self, place: &str, properties: &BTreeMap<String, String>) {
        let taken: Vec<&str> = OURS.into_iter().filter(|ours| properties.contains_key(*ours)).collect();
        if !taken.is_empty() {
            let problem = format!("{taken:?} are set by Tollgate itself: exactly-once depends on them");
            self.wrong(&format!("kafka.{place}"), problem);
        }
        for (property, only, why) in ASSIGNMENT {
            if let Some(value) = properties.get(property).filter(|value| *value != only) {
                let instead = if only.is_empty() { "leave it out".to_owned() } else { format!("it must be `{only}`") };
                self.wrong(&format!("kafka.{place}.\"{property}\""), format!("`{value}`: {instead}; {why}"));
            }
        }
    }

    pub(super) fn stream(
        &mut self,
        raw: RawKafka,
        registry: RawRegistry,
        (http, health): (RawHttp, RawHealth),
        directory: Option<PathBuf>,
        name: &str,
    ) -> Stream {
        let mut common = raw.properties;
        for (place, properties) in [("properties", &common), ("consumer", &raw.consumer), ("producer", &raw.producer)] {
            self.refuse_ours(place, properties);
        }
        let bootstrap = std::env::var(BOOTSTRAP_VARIABLE).ok().or(raw.bootstrap);
        common.insert("bootstrap.servers".into(), bootstrap.unwrap_or_else(|| "localhost:9092".into()));
        let (inputs, topics) = self.topics(raw.topics);
        let mut length = |setting: &str, value: Option<&str>, default: u64| {
            let value = value.map(|value| (value, parse_duration(value)));
            match value {
                None => Duration::from_millis(default),
                Some((_, Some(length))) if !length.is_zero() => length,
                Some((text, _)) => {
                    let problem = format!("`{text}` is no length of time; write `100ms`, `15s` or `1m`");
                    self.wrong(setting, problem);
                    Duration::from_millis(default)
                }
            }
        };
        let commit_age = length("kafka.commit_age", raw.commit_age.as_deref(), 100);
        let transaction_timeout = length("kafka.transaction_timeout", raw.transaction_timeout.as_deref(), 15_000);
        let session_timeout = length("kafka.session_timeout", raw.session_timeout.as_deref(), 15_000);
        let request_timeout = length("kafka.request_timeout", raw.request_timeout.as_deref(), 10_000);
        let reference_patience = length("kafka.reference_patience", raw.reference_patience.as_deref(), 60_000);
        let gateway_silence = raw.gateway_silence.as_deref().map(|text| length("kafka.gateway_silence", Some(text), 0));
        let silence = length("health.silence", health.silence.as_deref(), 60_000);
        let lag = length("health.lag", health.lag.as_deref(), 60_000);
        if silence <= transaction_timeout * 2 {
            let problem =
                "it must be more than twice `kafka.transaction_timeout`: one call to the brokers may take so long";
            self.wrong("health.silence", problem);
        }
        let poison_ratio = health.poison_ratio.unwrap_or(0.1);
        if !(0.0..=1.0).contains(&poison_ratio) {
            self.wrong("health.poison_ratio", "it is a share; write a number from 0.0 to 1.0");
        }
        let heartbeats = raw.heartbeats.unwrap_or(true);
        if gateway_silence.is_some() && heartbeats {
            let problem =
                "set `kafka.heartbeats = false` too: the gateway's heartbeats cannot be told from Tollgate's own";
            self.wrong("kafka.gateway_silence", problem);
        }
        if commit_age * 2 > transaction_timeout {
            self.wrong("kafka.commit_age", "it must be less than half of `kafka.transaction_timeout`");
        }
        if request_timeout > transaction_timeout {
            self.wrong("kafka.request_timeout", "it must not be more than `kafka.transaction_timeout`");
        }
        let arrival = self.word("kafka.arrival", raw.arrival.as_deref(), &[("log", false), ("field", true)], false);
        let partitioners =
            [("murmur2", Partitioner::Murmur2), ("crc32", Partitioner::Crc32), ("fnv1a", Partitioner::Fnv1a)];
        let partitioner = raw.partitioner.as_deref();
        let partitioner = self.word("kafka.partitioner", partitioner, &partitioners, Partitioner::default());
        let framings = [("avro", Framing::Avro), ("json", Framing::Json)];
        let framing = self.word("kafka.framing", raw.framing.as_deref(), &framings, Framing::Avro);
        let headers = [("off", Headers::Off), ("minimal", Headers::Minimal), ("full", Headers::Full)];
        let headers = self.word("kafka.headers", raw.headers.as_deref(), &headers, Headers::Off);
        let registry = (!registry.urls.is_empty()).then(|| Registry {
            urls: registry.urls,
            user: registry.user,
            password_file: registry.password_file.map(|file| self.directory.join(file)),
            register: registry.register.unwrap_or(true),
        });
        Stream {
            group: raw.group.unwrap_or_else(|| name.to_owned()),
            instance: std::env::var(INSTANCE_VARIABLE)
                .ok()
                .or(raw.instance)
                .or_else(|| std::env::var("HOSTNAME").ok())
                .unwrap_or_else(|| name.to_owned()),
            workers: raw.workers.unwrap_or(1).max(1),
            inputs,
            topics,
            arrival_by_field: arrival,
            partitioner,
            framing,
            headers,
            heartbeats,
            gateway_silence,
            commit_age,
            transaction_timeout,
            session_timeout,
            request_timeout,
            reference_patience,
            common,
            consumer: raw.consumer,
            producer: raw.producer,
            directory: self.directory.join(directory.unwrap_or_else(|| "state".into())),
            registry,
            listen: Some(http.listen.unwrap_or_else(|| "127.0.0.1:9464".into())).filter(|listen| listen != "off"),
            silence,
            lag,
            poison_ratio,
        }
    }

    /// The input topics, and all topics by what they are for.
    fn topics(&mut self, topics: RawTopics) -> (Vec<String>, Vec<(Topic, String)>) {
        let inputs = topics.events.unwrap_or_else(|| vec!["wa.events".into()]);
        if inputs.is_empty() || inputs.len() > 100 {
            self.wrong("kafka.topics.events", "name between one and a hundred topics");
        }
        let topics_of_questions = (topics.forecasts, topics.forecast_answers);
        let named = [
            (Topic::Accounts, topics.accounts, "wa.accounts"),
            (Topic::Templates, topics.templates, "wa.templates"),
            (Topic::Verdicts, topics.verdicts, "wa.verdicts"),
            (Topic::Billing, topics.billing, "wa.billing"),
            (Topic::Windows, topics.windows, "wa.windows"),
            (Topic::WindowState, topics.window_state, "wa.window-state"),
            (Topic::Outcomes, topics.outcomes, "wa.outcomes"),
            (Topic::DeadLetters, topics.dead_letters, "wa.dead-letters"),
            (Topic::Usage, topics.usage, "wa.usage"),
            (Topic::Charges, topics.charges, "tollgate.charges"),
            (Topic::Contacts, topics.contacts_changelog, "tollgate.conversation-contacts-changelog"),
            (Topic::Messages, topics.messages_changelog, "tollgate.conversation-messages-changelog"),
        ];
        let mut topics: Vec<(Topic, String)> =
            (0..).zip(&inputs).map(|(index, name)| (Topic::Input(index), name.clone())).collect();
        topics.extend(named.map(|(topic, name, default)| (topic, name.unwrap_or_else(|| default.to_owned()))));
        // Questions are answered where their topic is named.
        if let Some(forecasts) = topics_of_questions.0 {
            topics.push((Topic::Forecasts, forecasts));
            let answers = topics_of_questions.1.unwrap_or_else(|| "wa.forecast-answers".into());
            topics.push((Topic::ForecastAnswers, answers));
        } else if topics_of_questions.1.is_some() {
            self.wrong(
                "kafka.topics.forecast_answers",
                "name `kafka.topics.forecasts` too: without questions there are no answers",
            );
        }
        let mut names: Vec<&str> = topics.iter().map(|(_, name)| name.as_str()).collect();
        names.sort_unstable();
        if let Some((twice, _)) = names.iter().zip(names.iter().skip(1)).find(|(name, next)| name == next) {
            let problem = format!("`{twice}` is named twice; every topic needs a name of its own");
            self.wrong("kafka.topics", problem);
        }
        if let Some(wrong) = topics.iter().find(|(_, name)| !is_topic_name(name)) {
            let problem = format!("`{}` is no name of a topic: 1 to 249 letters, digits, `.`, `_` and `-`", wrong.1);
            self.wrong("kafka.topics", problem);
        }
        (inputs, topics)
    }
}

fn is_topic_name(name: &str) -> bool {
    let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    (1..=249).contains(&name.len()) && name.chars().all(known) && name != "." && name != ".."
}

/// A length of time that a machine waits: a whole number and `ms`, `s` or `m`.
fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = [("ms", 1), ("s", 1_000), ("m", 60_000)]
        .into_iter()
        .find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
    let number: u64 = number.trim().parse().ok().filter(|number| *number <= 10_000_000)?;
    Some(Duration::from_millis(number * unit))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{self, Overrides};
    use crate::zones::Zones;

    /// What is wrong with a configuration that passes properties on.
    fn mistakes(section: &str, properties: &str) -> Vec<String> {
        let text = format!("[deployment]\nkey = \"tests name invented people\"\n[{section}]\n{properties}\n");
        let parsed = config::parse(&text, String::new(), PathBuf::new(), &Overrides::default(), &Zones::new());
        parsed.err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn assignors_and_protocols_that_would_part_what_belongs_together_are_refused() {
        for (property, only) in [
            ("\"partition.assignment.strategy\" = \"roundrobin\"", "it must be `range`"),
            ("\"partition.assignment.strategy\" = \"cooperative-sticky\"", "it must be `range`"),
            ("\"partition.assignment.strategy\" = \"range,roundrobin\"", "it must be `range`"),
            ("\"group.protocol\" = \"consumer\"", "it must be `classic`"),
            ("\"group.remote.assignor\" = \"uniform\"", "leave it out"),
        ] {
            for section in ["kafka.consumer", "kafka.properties"] {
                let told = mistakes(section, property);
                assert!(told.len() == 1 && told[0].contains(only), "{section}, {property}: {told:?}");
            }
        }
        let both = "\"group.protocol\" = \"consumer\"\n\"group.remote.assignor\" = \"range\"";
        assert_eq!(mistakes("kafka.consumer", both).len(), 2);
    }

    #[test]
    fn properties_that_change_nothing_or_concern_nobody_else_are_passed_on() {
        let same = "\"partition.assignment.strategy\" = \"range\"\n\"group.protocol\" = \"classic\"";
        assert_eq!(mistakes("kafka.consumer", same), [""; 0]);
        assert_eq!(mistakes("kafka.consumer", "\"fetch.min.bytes\" = \"1000\""), [""; 0]);
    }

    #[test]
    fn what_exactly_once_depends_on_is_refused_by_every_name_it_has() {
        for property in ["isolation.level", "acks", "request.required.acks", "metadata.broker.list"] {
            let told = mistakes("kafka.properties", &format!("\"{property}\" = \"1\""));
            assert!(told.len() == 1 && told[0].contains(property), "{property}: {told:?}");
        }
    }

    #[test]
    fn whoever_listens_for_the_gateways_heartbeats_writes_none() {
        let told = mistakes("kafka", "gateway_silence = \"10s\"");
        assert!(told.len() == 1 && told[0].contains("`kafka.heartbeats = false`"), "{told:?}");
        assert_eq!(mistakes("kafka", "gateway_silence = \"10s\"\nheartbeats = false"), [""; 0]);
        assert_eq!(mistakes("kafka", "gateway_silence = \"soon\"\nheartbeats = false").len(), 1);
    }

    #[test]
    fn producers_choose_partitions_by_one_of_three_ways() {
        let parsed = |partitioner: &str| {
            let text = format!(
                "[deployment]\nkey = \"tests name invented people\"\n[kafka]\npartitioner = \"{partitioner}\"\n"
            );
            config::parse(&text, String::new(), PathBuf::new(), &Overrides::default(), &Zones::new())
        };
        for (word, meant) in
            [("murmur2", Partitioner::Murmur2), ("crc32", Partitioner::Crc32), ("fnv1a", Partitioner::Fnv1a)]
        {
            assert_eq!(parsed(word).map(|config| config.stream.partitioner).ok(), Some(meant));
        }
        let told = parsed("random").err().unwrap_or_default();
        assert!(told.len() == 1 && told[0].to_string().contains("kafka.partitioner"), "{told:?}");
    }

    #[test]
    fn a_request_may_not_take_longer_than_its_transaction() {
        let told = mistakes("kafka", "transaction_timeout = \"5s\"");
        assert!(told.len() == 1 && told[0].contains("kafka.request_timeout"), "{told:?}");
        assert_eq!(mistakes("kafka", "transaction_timeout = \"5s\"\nrequest_timeout = \"5s\""), [""; 0]);
    }

    #[test]
    fn lengths_are_read_as_people_write_them() {
        assert_eq!(parse_duration("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(parse_duration("15s"), Some(Duration::from_secs(15)));
        assert_eq!(parse_duration("1m"), Some(Duration::from_mins(1)));
        assert_eq!(parse_duration("1h"), None);
        assert_eq!(parse_duration("-1s"), None);
    }
}
