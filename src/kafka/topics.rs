//! Topics: what they must be like for nothing to be lost, and making them so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, ProducerContext};

use super::{Names, QUESTION, native};
use crate::stream::Topic;

/// What a topic must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it is for.
    pub topic: Topic,
    /// Its name.
    pub name: String,
    /// The settings that matter.
    pub settings: Vec<Setting>,
}

/// A setting of a topic that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it must be like.
    pub must: Must,
    /// Why.
    pub why: &'static str,
    /// Whether `run` refuses to start where it is otherwise.
    pub fatal: bool,
}

/// What a setting must be like. What somebody has set otherwise for a reason stays wherever nothing is lost by it:
/// a retention that is made shorter deletes records at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Must {
    /// These words, in whatever order.
    Be(&'static str),
    /// So much, or more; of a time to keep records, -1 is for ever.
    BeAtLeast(u64),
    /// So much, or less.
    BeAtMost(u64),
    /// This, where the topic is made. Nobody looks at it after that.
    BeginAs(u64),
}

impl Must {
    /// Whether a topic's setting is as it must be. One that the broker does not know is not.
    fn holds(&self, found: Option<&str>) -> bool {
        let Some(found) = found else {
            return matches!(self, Self::BeginAs(_));
        };
        let number = || found.trim().parse::<i64>().ok();
        match self {
            Self::Be(wanted) => words(found) == words(wanted),
            Self::BeAtLeast(least) => {
                number().is_some_and(|found| u64::try_from(found).map_or(found == -1, |found| found >= *least))
            }
            Self::BeAtMost(most) => {
                number().and_then(|found| u64::try_from(found).ok()).is_some_and(|found| found <= *most)
            }
            Self::BeginAs(_) => true,
        }
    }

    /// What it is set to, where it is not as it must be or the topic is new.
    fn value(&self) -> String {
        match self {
            Self::Be(wanted) => (*wanted).to_owned(),
            Self::BeAtLeast(value) | Self::BeAtMost(value) | Self::BeginAs(value) => value.to_string(),
        }
    }
}

impl fmt::Display for Must {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Be(wanted) => write!(f, "`{wanted}`"),
            Self::BeAtLeast(least) => write!(f, "at least `{least}`"),
            Self::BeAtMost(most) => write!(f, "at most `{most}`"),
            Self::BeginAs(value) => write!(f, "`{value}`, at first"),
        }
    }
}

/// The words of a setting that is a list of them.
fn words(value: &str) -> Vec<&str> {
    let mut words: Vec<&str> = value.split(',').map(str::trim).collect();
    words.sort_unstable();
    words
}

/// Something about a topic that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The topic.
    pub name: String,
    /// What is wrong, and what to do.
    pub problem: String,
    /// Whether `run` refuses to start with it.
    pub fatal: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "topic `{}`: {}", self.name, self.problem)
    }
}

/// Which cluster and which topics these are. A topic that was deleted and made again has its name, and another id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: String,
    /// The ids of topics, by their names.
    pub topics: BTreeMap<String, String>,
}

const HOUR: u64 = 60 * 60 * 1_000;
const DAY: u64 = 24 * HOUR;

/// How long the changelogs keep what says that a row was deleted, at least. Whoever reads on from an older state, or
/// takes longer to read all of it, may miss that.
pub const TOMBSTONES_KEPT: Duration = Duration::from_hours(24);

/// How large a record of an input may be, in bytes: what Kafka allows by default.
const RECORD: u64 = 1_048_588;

/// What each topic must be like.
#[must_use]
pub fn wanted(names: &Names) -> Vec<Wanted> {
    let one = |(topic, name): (Topic, &str)| Wanted { topic, name: name.to_owned(), settings: settings(topic) };
    names.iter().map(one).collect()
}

fn settings(topic: Topic) -> Vec<Setting> {
    let must = |name, must, why| Setting { name, must, why, fatal: false };
    let fatal = |name, must, why| Setting { name, must, why, fatal: true };
    let mut settings = vec![fatal(
        "message.timestamp.type",
        Must::Be("LogAppendTime"),
        "a record stamped by its sender can be deleted at once or refuse a whole transaction",
    )];
    let last_is_state = "the last record of each key is the state";
    let forgets = must("max.compaction.lag.ms", Must::BeAtMost(7 * DAY), "what is erased is gone within a week");
    let changelog = [
        must("min.compaction.lag.ms", Must::BeAtLeast(HOUR), "a restore in progress reads what it began with"),
        fatal(
            "delete.retention.ms",
            Must::BeAtLeast(DAY),
            "a state as old as half a day is read on, and would not learn what was deleted",
        ),
    ];
    match topic {
        Topic::Accounts | Topic::Templates | Topic::Usage => {
            settings.push(must("cleanup.policy", Must::Be("compact"), last_is_state));
        }
        Topic::WindowState => {
            settings.push(must("cleanup.policy", Must::Be("compact"), last_is_state));
            settings.push(forgets);
        }
        Topic::Contacts => {
            settings.push(fatal("cleanup.policy", Must::Be("compact"), last_is_state));
            settings.extend(changelog);
            settings.push(forgets);
        }
        Topic::Messages => {
            settings.push(fatal("cleanup.policy", Must::Be("compact,delete"), "messages are forgotten by age"));
            settings.extend(changelog);
            settings.push(forgets);
            settings.push(must("retention.ms", Must::BeAtLeast(45 * DAY), "a message is remembered for 37 days"));
        }
        Topic::DeadLetters => settings.extend([
            // Whoever keeps them longer knows why; shorter is for them to say, too.
            must("retention.ms", Must::BeginAs(14 * DAY), "letters hold records as they came"),
            // What cannot be put in a dead letter whole needs room for the letter around it.
            must("max.message.bytes", Must::BeAtLeast(RECORD + 65_536), "a letter is larger than the record in it"),
        ]),
        Topic::Input(_) | Topic::Forecasts => {
            settings.push(must("retention.ms", Must::BeAtLeast(7 * DAY), "what was not read in time is lost"));
        }
        Topic::Charges
        | Topic::Verdicts
        | Topic::Billing
        | Topic::Windows
        | Topic::Outcomes
        | Topic::ForecastAnswers => {}
    }
    settings
}

/// The setting that says how many brokers must have a record before it counts.
const IN_SYNC: &str = "min.insync.replicas";

/// How many of a topic's copies must have a record before it counts: half of them, so that no machine takes a record
/// with it where there are three, and one may be away.
const fn in_sync(copies: u32) -> u32 {
    if copies < 2 { 1 } else { copies.div_ceil(2) }
}

/// What is wrong about how many brokers must have a record of a topic before it counts, if anything.
fn not_in_sync(name: &str, copies: u32, found: Option<&str>) -> Option<Finding> {
    let least = in_sync(copies);
    let number = found.and_then(|found| found.trim().parse::<u32>().ok());
    let finding = |problem, fatal| Some(Finding { name: name.to_owned(), problem, fatal });
    match number {
        Some(number) if number > copies => {
            finding(format!("`{IN_SYNC}` is `{number}`, and there are {copies} copies: nothing can be written"), true)
        }
        Some(number) if number >= least => None,
        _ => finding(
            format!(
                "`{IN_SYNC}` is `{}` and should be at least `{least}`, as there are {copies} copies: a record that \
                 fewer have may go with them, after its transaction was committed",
                found.unwrap_or_default()
            ),
            false,
        ),
    }
}

/// Looks after topics.
pub struct Topics {
    config: ClientConfig,
    admin: AdminClient<DefaultClientContext>,
    names: Names,
}

/// Listens to why connections fail. That is told by librdkafka's log alone, and an error says only that they do.
#[derive(Clone, Default)]
struct Listener {
    failed: Arc<Mutex<Option<String>>>,
}

impl Listener {
    fn heard(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.to_owned());
        }
    }

    // What the log says is more.
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// How often a client that cannot connect is asked why, a tenth of a second each.
const TRIES: usize = 30;

impl Topics {
    /// Connects.
    ///
    /// # Errors
    /// If the properties cannot be used.
    pub fn connect(properties: &BTreeMap<String, String>, names: Names) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config.extend(properties.clone());
        Ok(Self { admin: config.create()?, config, names })
    }

    /// An error, and why no connection comes about if none does. Tries to connect once more to learn that, because a
    /// client of this kind does not tell.
    #[must_use]
    pub fn explain(&self, error: &KafkaError) -> String {
        let listener = Listener::default();
        let client: KafkaResult<BaseProducer<Listener>> = self.config.create_with_context(listener.clone());
        let heard = client.ok().and_then(|client| {
            (0..TRIES).find_map(|_| {
                client.poll(Duration::from_millis(100));
                listener.heard()
            })
        });
        heard.map_or_else(|| error.to_string(), |why| format!("{error}: {why}"))
    }

    /// How many partitions each topic has; topics that are not there are left out.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn partitions(&self) -> Result<BTreeMap<Topic, u32>, KafkaError> {
        Ok(self.shapes()?.into_iter().map(|(topic, shape)| (topic, shape.partitions)).collect())
    }

    /// The topics that are there.
    fn shapes(&self) -> Result<BTreeMap<Topic, Shape>, KafkaError> {
        let metadata = self.admin.inner().fetch_metadata(None, QUESTION)?;
        let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let shape = |topic: &MetadataTopic| {
            let copies =
                topic.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or_default();
            Shape { partitions: topic.partitions().len() as u32, copies: copies as u32 }
        };
        let shapes: BTreeMap<&str, Shape> = there.map(|topic| (topic.name(), shape(topic))).collect();
        Ok(self.names.iter().filter_map(|(topic, name)| Some((topic, *shapes.get(name)?))).collect())
    }

    /// What is set for topics that are there.
    async fn described(&self, there: &BTreeMap<Topic, Shape>) -> Result<BTreeMap<Topic, ConfigResource>, KafkaError> {
        let topics: Vec<_> = self.names.iter().filter(|(topic, _)| there.contains_key(topic)).collect();
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resources: Vec<_> = topics.iter().map(|(_, name)| ResourceSpecifier::Topic(name)).collect();
        let described = self.admin.describe_configs(resources.iter(), &options()).await?;
        let described = topics.into_iter().zip(described);
        described.map(|((topic, _), told)| Ok((topic, told.map_err(KafkaError::AdminOp)?))).collect()
    }

    /// Which cluster and which topics these are, whatever they are called. Topics that are not there are left out, and
    /// all of them where the brokers give topics no ids.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn identity(&self) -> Result<Identity, KafkaError> {
        let wait = i32::try_from(QUESTION.as_millis()).unwrap_or(i32::MAX);
        let found = native::ids(self.admin.inner(), &self.names.for_c(), wait).map_err(KafkaError::AdminOp);
        let (cluster, ids) = found?;
        let known = self.names.iter().zip(ids).filter_map(|((_, name), id)| Some((name.to_owned(), id?)));
        let given = known.filter(|(_, id)| *id != [0, 0]);
        let topics = given.map(|(name, [most, least])| (name, format!("{most:016x}{least:016x}"))).collect();
        Ok(Identity { cluster, topics })
    }

    /// What is not as it must be.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub async fn check(&self) -> Result<Vec<Finding>, KafkaError> {
        let there = self.shapes()?;
        let described = self.described(&there).await?;
        let partitions = there.iter().map(|(topic, shape)| (*topic, shape.partitions)).collect();
        let mut findings = missing_or_uneven(&self.names, &partitions);
        for wanted in wanted(&self.names) {
            let (Some(shape), Some(told)) = (there.get(&wanted.topic), described.get(&wanted.topic)) else {
                continue;
            };
            // Why a topic has no settings the client does not pass on; every topic has some.
            if told.entries.is_empty() {
                findings.push(Finding {
                    name: wanted.name.clone(),
                    problem: "how it is set is not told: the user needs the right `DescribeConfigs` on it".to_owned(),
                    fatal: true,
                });
                continue;
            }
            findings.extend(wanted.settings.iter().filter_map(|setting| {
                let found = effective(told, setting.name);
                (!setting.must.holds(found)).then(|| Finding {
                    name: wanted.name.clone(),
                    problem: format!(
                        "`{}` is `{}` and should be {}: {}",
                        setting.name,
                        found.unwrap_or_default(),
                        setting.must,
                        setting.why
                    ),
                    fatal: setting.fatal,
                })
            }));
            findings.extend(not_in_sync(&wanted.name, shape.copies, effective(told, IN_SYNC)));
        }
        Ok(findings)
    }

    /// Makes topics that are missing, and sets what is not as it must be, and nothing else. Tells what it did.
    ///
    /// # Errors
    /// If the brokers refuse.
    pub async fn create(&self, partitions: u32, replication: u16) -> Result<Vec<String>, KafkaError> {
        let there = self.shapes()?;
        let described = self.described(&there).await?;
        let mut done = Vec::new();
        let count = there.iter().find(|(topic, _)| topic.is_read()).map_or(partitions, |(_, shape)| shape.partitions);
        for wanted in wanted(&self.names) {
            let Some((shape, told)) = there.get(&wanted.topic).zip(described.get(&wanted.topic)) else {
                let replicas = TopicReplication::Fixed(i32::from(replication));
                let mut topic = NewTopic::new(&wanted.name, i32::try_from(count).unwrap_or(i32::MAX), replicas);
                let in_sync = in_sync(u32::from(replication)).to_string();
                let values: Vec<_> =
                    wanted.settings.iter().map(|setting| (setting.name, setting.must.value())).collect();
                for (setting, value) in &values {
                    topic = topic.set(setting, value);
                }
                topic = topic.set(IN_SYNC, &in_sync);
                each(self.admin.create_topics([&topic], &options()).await?)?;
                done.push(format!("created `{}` with {count} partitions", wanted.name));
                continue;
            };
            let wrong = wanted.settings.iter().filter(|setting| !setting.must.holds(effective(told, setting.name)));
            let mut changes: Vec<_> = wrong.map(|setting| (setting.name, setting.must.value())).collect();
            if not_in_sync(&wanted.name, shape.copies, effective(told, IN_SYNC)).is_some() {
                changes.push((IN_SYNC, in_sync(shape.copies).to_string()));
            }
            if changes.is_empty() {
                continue;
            }
            // What this request leaves out goes back to its default, so that what somebody has set is said again.
            let own = told.entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
            let mut all: BTreeMap<&str, &str> =
                own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?))).collect();
            all.extend(changes.iter().map(|(setting, value)| (*setting, value.as_str())));
            let alter = AlterConfig::new(ResourceSpecifier::Topic(&wanted.name));
            let alter = all.iter().fold(alter, |alter, (setting, value)| alter.set(setting, value));
            each(self.admin.alter_configs([&alter], &options()).await?)?;
            let changes: Vec<_> = changes.iter().map(|(setting, value)| format!("`{setting}` to `{value}`")).collect();
            done.push(format!("set {} of `{}`", changes.join(", "), wanted.name));
        }
        Ok(done)
    }
}

/// A topic as it is.
#[derive(Clone, Copy)]
struct Shape {
    partitions: u32,
    /// How many copies its partitions have; of the one that has fewest.
    copies: u32,
}

/// What a setting of a topic comes to, whoever has set it.
fn effective<'t>(told: &'t ConfigResource, setting: &str) -> Option<&'t str> {
    told.entries.iter().find(|entry| entry.name == setting)?.value.as_deref()
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(QUESTION)).operation_timeout(Some(QUESTION))
}

fn each<T>(results: Vec<Result<T, (impl Sized, RDKafkaErrorCode)>>) -> Result<(), KafkaError> {
    results.into_iter().try_for_each(|result| result.map(|_| ()).map_err(|(_, code)| KafkaError::AdminOp(code)))
}

/// Topics that are not there, and those that have not as many partitions as the first input.
#[must_use]
pub fn missing_or_uneven(names: &Names, partitions: &BTreeMap<Topic, u32>) -> Vec<Finding> {
    let count = partitions.get(&Topic::Input(0)).copied();
    let mut findings = Vec::new();
    for (topic, name) in names.iter() {
        let problem = match partitions.get(&topic) {
            None => "it is not there; `tollgate topics --create` makes it".to_owned(),
            Some(_) if matches!(topic, Topic::Accounts | Topic::Templates) => continue,
            Some(found) if count.is_some_and(|count| count != *found) => format!(
                "it has {found} partitions, and the input has {}; all topics but those of accounts and templates must have \
                 equally many",
                count.unwrap_or_default()
            ),
            Some(_) => continue,
        };
        findings.push(Finding { name: name.to_owned(), problem, fatal: true });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_loses_something_is_called_wrong() {
        let (be, least, most) = (Must::Be("compact,delete"), Must::BeAtLeast(1_000), Must::BeAtMost(1_000));
        assert!(be.holds(Some("delete,compact")) && !be.holds(Some("delete")) && !be.holds(None));
        assert!(least.holds(Some("1000")) && least.holds(Some("1001")) && !least.holds(Some("999")));
        assert!(least.holds(Some("-1")), "for ever is longer than anything");
        assert!(!least.holds(Some("-2")) && !least.holds(Some("soon")) && !least.holds(None));
        assert!(most.holds(Some("1000")) && most.holds(Some("0")) && !most.holds(Some("1001")));
        assert!(!most.holds(Some("-1")), "nothing is said by it of how long at most");
        assert!(Must::BeginAs(1).holds(Some("2")) && Must::BeginAs(1).holds(None));
    }

    #[test]
    fn of_three_copies_two_must_have_a_record_and_of_one_that_one() {
        assert_eq!([1, 2, 3, 4, 5].map(in_sync), [1, 1, 2, 2, 3]);
        let problem = |copies, found| not_in_sync("t", copies, found).map(|finding| finding.fatal);
        assert_eq!(problem(3, Some("2")), None);
        assert_eq!(problem(3, Some("3")), None, "who wants all of them knows that none may be away");
        assert_eq!(problem(3, Some("1")), Some(false));
        assert_eq!(problem(3, None), Some(false));
        assert_eq!(problem(1, Some("1")), None);
        assert_eq!(problem(1, Some("2")), Some(true), "no transaction would ever be committed");
    }

    #[test]
    fn a_state_is_read_on_for_as_long_as_deletions_are_kept() {
        for topic in [Topic::Contacts, Topic::Messages] {
            let kept = settings(topic).into_iter().find(|setting| setting.name == "delete.retention.ms");
            let kept = kept.expect("both changelogs delete rows");
            let millis = u64::try_from(TOMBSTONES_KEPT.as_millis()).expect("a day");
            assert!(kept.fatal && kept.must == Must::BeAtLeast(millis), "{topic:?}: {kept:?}");
        }
    }
}
