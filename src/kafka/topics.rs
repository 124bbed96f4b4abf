//! Topics: what they must be like for nothing to be lost, and making them so.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::{Names, QUESTION};
use crate::stream::Topic;

/// What a topic must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it is for.
    pub topic: Topic,
    /// Its name.
    pub name: String,
    /// The settings that matter, and why each does.
    pub settings: Vec<(&'static str, String, &'static str)>,
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

const DAY: u64 = 24 * 60 * 60 * 1_000;

/// How large a record of an input may be, in bytes: what Kafka allows by default.
const RECORD: u64 = 1_048_588;

/// What each topic must be like.
#[must_use]
pub fn wanted(names: &Names) -> Vec<Wanted> {
    let append_time = (
        "message.timestamp.type",
        "LogAppendTime".to_owned(),
        "a record stamped by its sender can be deleted at once or refuse a whole transaction",
    );
    let of = |topic: Topic| -> Vec<(&'static str, String, &'static str)> {
        let compacted = ("cleanup.policy", "compact".to_owned(), "the last record of each key is the state");
        let mut settings = vec![append_time.clone()];
        match topic {
            Topic::Accounts | Topic::Templates | Topic::WindowState => settings.push(compacted),
            Topic::Contacts => settings.extend([
                compacted,
                ("min.compaction.lag.ms", (DAY / 24).to_string(), "a restore in progress reads what it began with"),
                ("max.compaction.lag.ms", (7 * DAY).to_string(), "what is erased is gone within a week"),
                ("delete.retention.ms", DAY.to_string(), "a store as old as half of it can still be read on"),
            ]),
            Topic::Messages => settings.extend([
                ("cleanup.policy", "compact,delete".to_owned(), "messages are forgotten by age"),
                ("min.compaction.lag.ms", (DAY / 24).to_string(), "a restore in progress reads what it began with"),
                ("retention.ms", (45 * DAY).to_string(), "a message is remembered for 37 days"),
            ]),
            // What cannot be put in a dead letter whole needs room for the letter around it.
            Topic::DeadLetters => settings.extend([
                ("retention.ms", (14 * DAY).to_string(), "letters hold records as they came"),
                ("max.message.bytes", (RECORD + 65_536).to_string(), "a letter is larger than the record in it"),
            ]),
            Topic::Input(_) => {
                settings.push(("retention.ms", (7 * DAY).to_string(), "what was not read in time is lost"));
            }
            Topic::Charges | Topic::Verdicts | Topic::Billing | Topic::Windows | Topic::Outcomes => {}
        }
        settings
    };
    let one = |(topic, name): (Topic, &str)| Wanted { topic, name: name.to_owned(), settings: of(topic) };
    names.iter().map(one).collect()
}

/// Looks after topics.
pub struct Topics {
    admin: AdminClient<DefaultClientContext>,
    names: Names,
}

impl Topics {
    /// Connects.
    ///
    /// # Errors
    /// If the properties cannot be used.
    pub fn connect(properties: &BTreeMap<String, String>, names: Names) -> Result<Self, KafkaError> {
        let mut config = ClientConfig::new();
        config.extend(properties.clone());
        Ok(Self { admin: config.create()?, names })
    }

    /// How many partitions each topic has; topics that are not there are left out.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub fn partitions(&self) -> Result<BTreeMap<Topic, u32>, KafkaError> {
        let metadata = self.admin.inner().fetch_metadata(None, QUESTION)?;
        let there = metadata.topics().iter().filter(|topic| topic.error().is_none());
        let counts: BTreeMap<&str, usize> = there.map(|topic| (topic.name(), topic.partitions().len())).collect();
        let count = |name: &str| counts.get(name).and_then(|count| u32::try_from(*count).ok());
        Ok(self.names.iter().filter_map(|(topic, name)| Some((topic, count(name)?))).collect())
    }

    /// What is not as it must be.
    ///
    /// # Errors
    /// If the brokers cannot be asked.
    pub async fn check(&self) -> Result<Vec<Finding>, KafkaError> {
        let partitions = self.partitions()?;
        let mut findings = missing_or_uneven(&self.names, &partitions);
        let wanted: Vec<Wanted> =
            wanted(&self.names).into_iter().filter(|wanted| partitions.contains_key(&wanted.topic)).collect();
        // Nothing cannot be asked about.
        if wanted.is_empty() {
            return Ok(findings);
        }
        let resources: Vec<_> = wanted.iter().map(|wanted| ResourceSpecifier::Topic(&wanted.name)).collect();
        let described = self.admin.describe_configs(resources.iter(), &options()).await?;
        for (wanted, described) in wanted.iter().zip(described) {
            let described = described.map_err(KafkaError::AdminOp)?;
            // Why a topic has no settings the client does not pass on; every topic has some.
            if described.entries.is_empty() {
                findings.push(Finding {
                    name: wanted.name.clone(),
                    problem: "how it is set is not told: the user needs the right `DescribeConfigs` on it".to_owned(),
                    fatal: true,
                });
                continue;
            }
            for (setting, value, why) in &wanted.settings {
                let found = described.entry_map().get(setting).and_then(|entry| entry.value.clone());
                if found.as_deref() != Some(value) {
                    let found = found.unwrap_or_default();
                    findings.push(Finding {
                        name: wanted.name.clone(),
                        problem: format!("`{setting}` is `{found}` and should be `{value}`: {why}"),
                        fatal: *setting == "message.timestamp.type"
                            || (*setting == "cleanup.policy"
                                && matches!(wanted.topic, Topic::Contacts | Topic::Messages)),
                    });
                }
            }
        }
        Ok(findings)
    }

    /// What somebody has set for topics that are there.
    async fn settled(
        &self,
        there: &BTreeMap<Topic, u32>,
    ) -> Result<BTreeMap<Topic, BTreeMap<String, String>>, KafkaError> {
        let topics: Vec<_> = self.names.iter().filter(|(topic, _)| there.contains_key(topic)).collect();
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let resources: Vec<_> = topics.iter().map(|(_, name)| ResourceSpecifier::Topic(name)).collect();
        let described = self.admin.describe_configs(resources.iter(), &options()).await?;
        let mut settled = BTreeMap::new();
        for ((topic, _), described) in topics.into_iter().zip(described) {
            let entries = described.map_err(KafkaError::AdminOp)?.entries.into_iter();
            let own = entries.filter(|entry| entry.source == ConfigSource::DynamicTopic);
            settled.insert(topic, own.filter_map(|entry| Some((entry.name, entry.value?))).collect());
        }
        Ok(settled)
    }

    /// Makes topics that are missing, and sets what is not as it must be. Tells what it did.
    ///
    /// # Errors
    /// If the brokers refuse.
    pub async fn create(&self, partitions: u32, replication: u16) -> Result<Vec<String>, KafkaError> {
        let there = self.partitions()?;
        let mut settled = self.settled(&there).await?;
        let mut done = Vec::new();
        let count = there.iter().find(|(topic, _)| topic.is_read()).map_or(partitions, |(_, count)| *count);
        for wanted in wanted(&self.names) {
            let settings = wanted.settings.iter();
            if there.contains_key(&wanted.topic) {
                // What this request leaves out goes back to its default.
                let mut all = settled.remove(&wanted.topic).unwrap_or_default();
                all.extend(settings.map(|(setting, value, _)| ((*setting).to_owned(), value.clone())));
                let alter = AlterConfig::new(ResourceSpecifier::Topic(&wanted.name));
                let alter = all.iter().fold(alter, |alter, (setting, value)| alter.set(setting, value));
                each(self.admin.alter_configs([&alter], &options()).await?)?;
                done.push(format!("set `{}`", wanted.name));
                continue;
            }
            let replicas = TopicReplication::Fixed(i32::from(replication));
            let count = i32::try_from(count).unwrap_or(i32::MAX);
            let mut topic = NewTopic::new(&wanted.name, count, replicas);
            for (setting, value, _) in settings {
                topic = topic.set(setting, value);
            }
            // With three copies two must have a record before it counts.
            let in_sync = replication.saturating_sub(1).max(1).to_string();
            topic = topic.set("min.insync.replicas", &in_sync);
            each(self.admin.create_topics([&topic], &options()).await?)?;
            done.push(format!("created `{}` with {count} partitions", wanted.name));
        }
        Ok(done)
    }
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
                "it has {found} partitions, and the input has {}; all topics must have equally many",
                count.unwrap_or_default()
            ),
            Some(_) => continue,
        };
        findings.push(Finding { name: name.to_owned(), problem, fatal: true });
    }
    findings
}
