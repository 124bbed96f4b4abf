//! `tollgate run`: workers on Kafka, what they know of accounts and templates, and what is served about them.

mod aside;
mod disk;
pub mod forecast;
mod freshness;
mod identity;
mod reference;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::codec::frame::Framing;
use crate::codec::schema::{self, RecordSchema};
use crate::config::stream::{self, Stream};
use crate::config::{Config, Mistake};
use crate::domain::time::Millis;
use crate::engine::publish::ENGINE_VERSION;
use crate::health::{Health, Limits};
use crate::http;
use crate::kafka::topics::{self, Topics};
use crate::kafka::{Kafka, Names, Settings};
use crate::metrics::Metrics;
use crate::registry::{self, Registry};
use crate::stream::{Log, Topic};
use crate::worker::{Arrival, Checkpoint, Closing, Framers, Latest, Schemas, Shared, Worker};
use disk::Stores;
use watch::{Recorder, Watch};

/// How soon a registry that does not answer is asked again.
const ASKED_AGAIN: Duration = Duration::from_secs(1);

/// How soon a signal is noticed.
const NOTICE: Duration = Duration::from_millis(100);

/// Runs until it is told to stop, or nobody can go on.
///
/// # Errors
/// What was given and cannot be used, or why nobody can go on.
pub fn run(config: Config, stop: &Arc<AtomicBool>) -> Result<(), Vec<Mistake>> {
    let Config { name, enforced, mut setup, stream, keep_payload, .. } = config;
    let limits = Limits { silence: stream.silence, lag: stream.lag, poison: stream.poison_ratio };
    let metrics = Metrics::new(ENGINE_VERSION).map_err(|error| vec![Mistake::new("the metrics", error.to_string())])?;
    let metrics = Arc::new(metrics);
    let health = Arc::new(Health::new(Arc::clone(&metrics), limits));
    // Before anything that may take long, so that the probes can tell what is being waited for.
    let served = stream.listen.as_deref().map(|listen| serve(listen, &metrics, &health)).transpose()?;
    let names = Names::new(stream.topics.clone());
    let partitions = check_topics(&stream, &names)?;
    let registry = stream.registry.as_ref().map(connect_registry).transpose()?.map(Arc::new);
    let Some(framers) = framers(&stream, registry.as_deref(), stop)? else {
        return Ok(());
    };
    // The memory that is set is the process's, and each partition gets its share.
    let memory = setup.memory;
    setup.memory = memory / partitions.max(1) as usize;
    let shared = Arc::new(Shared {
        setup: Arc::new(setup),
        name: name.clone(),
        enforced,
        framers,
        inputs: stream.inputs.clone(),
        charges: names.name(Topic::Charges).to_owned(),
        forecasts: Some(names.name(Topic::Forecasts).to_owned()).filter(|name| !name.is_empty()),
        partitions,
        partitioner: stream.partitioner,
        arrival: if stream.arrival_by_field { Arrival::Field } else { Arrival::Log },
        keep_payload,
        heartbeats: stream.heartbeats,
        gateway_silence: stream
            .gateway_silence
            .map(|length| Millis(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))),
        headers: stream.headers,
        usage_every: Millis::minutes(1),
        closing: Closing { age: stream.commit_age, records: 50_000, bytes: 16 << 20 },
        checkpoint: Checkpoint { bytes: memory / 8 / partitions.max(1) as usize, age: Duration::from_secs(10) },
        tombstones_kept: topics::TOMBSTONES_KEPT,
        patience: stream.transaction_timeout * 2,
    });
    let names = Arc::new(names);
    let latest = Latest::default();
    let settings = |worker: &str| connection(&stream, worker);
    let around = reference::Around {
        latest: latest.clone(),
        metrics: Arc::clone(&metrics),
        health: Arc::clone(&health),
        patience: stream.reference_patience,
        stop: Arc::clone(stop),
    };
    let reference = reference::start(&settings("reference"), &names, schemas(registry.clone()), around);
    reference.map_err(|why| vec![Mistake::new("the reference topics", why)])?;
    let leave = Arc::new(AtomicBool::new(false));
    let joining = Arc::new(AtomicUsize::new(usize::from(stream.workers)));
    let (ended, ends) = channel();
    for index in 0..stream.workers {
        let worker = Started {
            name: format!("worker-{index}"),
            settings: settings(&format!("{index}")),
            names: Arc::clone(&names),
            shared: Arc::clone(&shared),
            latest: latest.clone(),
            registry: registry.clone(),
            stores: Stores::new(stream.directory.clone(), memory / 4 / partitions.max(1) as usize),
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            joining: Arc::clone(&joining),
            leave: Arc::clone(&leave),
        };
        worker.start(ended.clone()).map_err(|error| vec![Mistake::new("a thread", error.to_string())])?;
    }
    drop(ended);
    info!(name, partitions, workers = stream.workers, "runs");
    let ended = wait(&ends, stop, &leave, &health, stream.transaction_timeout * 3);
    if let Some(Err(error)) = served.map(http::Served::stop) {
        warn!(%error, "metrics and probes were not served to the end");
    }
    ended
}

fn serve(listen: &str, metrics: &Arc<Metrics>, health: &Arc<Health>) -> Result<http::Served, Vec<Mistake>> {
    let served = http::serve(listen, Arc::clone(metrics), Arc::clone(health));
    let served = served.map_err(|error| vec![Mistake::new("http.listen", format!("`{listen}`: {error}"))])?;
    info!(address = %served.address(), "serves /metrics, /livez, /readyz and /startupz");
    Ok(served)
}

/// Waits until all workers have ended. The first that cannot go on stops the others. Who asks is told that this
/// process is leaving before any worker begins to.
///
/// A call of librdkafka may wait without an end for brokers that are away, so there is a bound to how long a worker
/// may take to leave. Ending without it loses nothing: what it left open is aborted, and folded again.
fn wait(
    ends: &Receiver<Result<(), Mistake>>,
    stop: &AtomicBool,
    leave: &AtomicBool,
    health: &Health,
    patience: Duration,
) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let mut left = Duration::ZERO;
    loop {
        match ends.recv_timeout(NOTICE) {
            Ok(Err(mistake)) => {
                stop.store(true, Ordering::Relaxed);
                mistakes.push(mistake);
            }
            Ok(Ok(())) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if stop.load(Ordering::Relaxed) {
            health.drain();
            leave.store(true, Ordering::Release);
            left += NOTICE;
        }
        if left > patience {
            let why = format!("a worker has not ended within {} s; what it left open is folded again", left.as_secs());
            mistakes.push(Mistake::new("the end", why));
            break;
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// Everything a worker's thread needs.
struct Started {
    name: String,
    settings: Settings,
    names: Arc<Names>,
    shared: Arc<Shared>,
    latest: Latest,
    registry: Option<Arc<Registry>>,
    stores: Stores,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    /// How many workers have not been assigned anything yet, and be it nothing.
    joining: Arc<AtomicUsize>,
    leave: Arc<AtomicBool>,
}

impl Started {
    fn start(self, ended: Sender<Result<(), Mistake>>) -> std::io::Result<()> {
        thread::Builder::new().name(self.name.clone()).spawn(move || {
            let place = self.name.clone();
            // A worker that panics must not leave the others to run as if nothing were missing.
            let done = catch_unwind(AssertUnwindSafe(|| self.work()));
            let done = done.unwrap_or_else(|_| Err("it panicked; its message is above, report it".to_owned()));
            // Whoever waits for the end has gone only with the whole process.
            let _ = ended.send(done.map_err(|why| Mistake::new(place, why)));
        })?;
        Ok(())
    }

    fn work(self) -> Result<(), String> {
        let pulse = Arc::new(self.health.worker(self.name.as_str()));
        let recorder = Recorder::new(&self.metrics, &self.names, &self.shared, Arc::clone(&pulse));
        let mut watch = Watch::new(Arc::clone(&self.metrics), &self.shared);
        let kafka = Kafka::connect(self.settings, self.names).map_err(|failure| failure.to_string())?;
        let schemas = aside::aside(format!("{}-schemas", self.name), schemas(self.registry));
        let schemas = schemas.map_err(|error| format!("a thread: {error}"))?;
        let worker = Worker::new(kafka, self.stores, self.shared, self.latest, schemas);
        let mut worker = worker.map_err(|error| error.to_string())?.observed_by(Box::new(recorder));
        let mut joined = false;
        while !self.leave.load(Ordering::Acquire) {
            worker.turn().map_err(|halted| halted.to_string())?;
            let (now, wall) = (worker.log().now(), worker.log().wall());
            let joins = !joined && worker.has_joined();
            if joins || watch.is_due(now) {
                watch.look(&worker.tasks(), now, wall);
            }
            if joins {
                joined = true;
                if self.joining.fetch_sub(1, Ordering::AcqRel) == 1 {
                    self.health.joined();
                }
            }
        }
        info!(worker = self.name, "stops");
        worker.stop().map_err(|halted| halted.to_string())?;
        pulse.retire();
        Ok(())
    }
}

/// Asks the registry for schemas of records that are read.
#[must_use]
pub fn schemas(registry: Option<Arc<Registry>>) -> Schemas {
    Box::new(move |id| match &registry {
        None => Ok(None),
        Some(registry) => match registry.schema(registry::SchemaId(id)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.may_pass() => Err(error.to_string()),
            Err(error) => {
                warn!(id, %error, "no schema");
                Ok(None)
            }
        },
    })
}

/// How the worker of this name connects.
#[must_use]
pub fn connection(stream: &Stream, worker: &str) -> Settings {
    let instance = format!("{}-{worker}", stream.instance);
    Settings {
        group: stream.group.clone(),
        transactional_id: format!("{}-{instance}", stream.group),
        instance,
        transaction_timeout: stream.transaction_timeout,
        socket_timeout: stream.request_timeout,
        session_timeout: stream.session_timeout,
        common: stream.common.clone(),
        consumer: stream.consumer.clone(),
        producer: stream.producer.clone(),
    }
}

fn connect_topics(stream: &Stream, names: Names) -> Result<Topics, Vec<Mistake>> {
    Topics::connect(&stream.common, names).map_err(|error| vec![Mistake::new("the brokers", error.to_string())])
}

/// Whether topics are there, evenly, for somebody who reads and writes them outside the group. Returns how many
/// partitions they have.
///
/// # Errors
/// Which are not, or why the brokers cannot be asked.
pub fn reach(stream: &Stream, names: &Names) -> Result<u32, Vec<Mistake>> {
    let admin = connect_topics(stream, names.clone())?;
    let partitions = admin.partitions().map_err(|error| vec![Mistake::new("the brokers", admin.explain(&error))])?;
    let findings = topics::missing_or_uneven(names, &partitions);
    if findings.is_empty() {
        Ok(partitions.get(&Topic::Input(0)).copied().unwrap_or_default())
    } else {
        Err(findings.into_iter().map(mistake).collect())
    }
}

fn mistake(finding: topics::Finding) -> Mistake {
    Mistake::new(format!("topic `{}`", finding.name), finding.problem)
}

/// Looks at the topics before anything is read. Returns how many partitions they have.
fn check_topics(stream: &Stream, names: &Names) -> Result<u32, Vec<Mistake>> {
    let admin = connect_topics(stream, names.clone())?;
    let brokers = |error| vec![Mistake::new("the brokers", admin.explain(&error))];
    let partitions = admin.partitions().map_err(brokers)?;
    let mut findings = topics::missing_or_uneven(names, &partitions);
    if findings.is_empty() {
        findings = wait_for(admin.check())?.map_err(brokers)?;
    }
    let (fatal, others): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.fatal);
    for finding in others {
        warn!("{finding}");
    }
    if fatal.is_empty() {
        identity::check(&stream.directory, &admin.identity().map_err(brokers)?)?;
        Ok(partitions.get(&Topic::Input(0)).copied().unwrap_or_default())
    } else {
        Err(fatal.into_iter().map(mistake).collect())
    }
}

/// Waits for what librdkafka does elsewhere.
fn wait_for<F: Future>(future: F) -> Result<F::Output, Vec<Mistake>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| vec![Mistake::new("the runtime", error.to_string())])?;
    Ok(runtime.block_on(future))
}

/// `tollgate topics`: makes topics, or looks at them.
///
/// # Errors
/// What is not as it must be.
pub fn look_after_topics(config: &Config, create: Option<(u32, u16)>) -> Result<Vec<String>, Vec<Mistake>> {
    let admin = connect_topics(&config.stream, Names::new(config.stream.topics.clone()))?;
    let brokers = |error| vec![Mistake::new("the brokers", admin.explain(&error))];
    wait_for(async {
        let mut done = Vec::new();
        if let Some((partitions, replication)) = create {
            done = admin.create(partitions, replication).await.map_err(brokers)?;
        }
        let mut findings = admin.check().await.map_err(brokers)?;
        // What was just made reaches the brokers one by one.
        for _ in 0..if create.is_some() { SETTLED } else { 0 } {
            if findings.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            findings = admin.check().await.map_err(brokers)?;
        }
        if findings.is_empty() {
            done.push("all topics are as they must be".to_owned());
            Ok(done)
        } else {
            Err(findings.into_iter().map(mistake).collect())
        }
    })?
}

/// How often topics that were just made are looked at again.
const SETTLED: usize = 150;

/// Gets ready to ask a registry.
///
/// # Errors
/// What of its settings cannot be used.
pub fn connect_registry(settings: &stream::Registry) -> Result<Registry, Vec<Mistake>> {
    let wrong = |why: String| vec![Mistake::new("registry", why)];
    let auth = match (&settings.user, &settings.password_file) {
        (Some(user), Some(file)) => {
            let password = std::fs::read_to_string(file)
                .map_err(|error| wrong(format!("{} cannot be read: {error}", file.display())))?;
            Some(registry::Basic { name: user.clone(), password: password.trim_end().to_owned() })
        }
        (None, None) => None,
        _ => return Err(wrong("`user` and `password_file` belong together; set both or none".to_owned())),
    };
    Registry::new(&settings.urls, auth.as_ref(), Duration::from_secs(5)).map_err(|error| wrong(error.to_string()))
}

/// How every output and every heartbeat is written: with a registry, by the ids it has or gives. Nothing, where the
/// process is told to stop while the registry is down.
fn framers(stream: &Stream, registry: Option<&Registry>, stop: &AtomicBool) -> Result<Option<Framers>, Vec<Mistake>> {
    let mut written: Vec<(Topic, RecordSchema)> = vec![
        (Topic::Verdicts, schema::VERDICT),
        (Topic::Billing, schema::BILLING_ENTRY),
        (Topic::Windows, schema::WINDOW_EVENT),
        (Topic::WindowState, schema::WINDOW_STATE),
        (Topic::Outcomes, schema::OUTCOME),
        (Topic::DeadLetters, schema::DEAD_LETTER),
        (Topic::Usage, schema::USAGE),
    ];
    // Whoever else reads the input finds heartbeats among the records of its producers, and must be able to read them.
    if stream.heartbeats && !stream.arrival_by_field {
        written.push((Topic::Input(0), schema::EVENT));
    }
    if stream.topics.iter().any(|(topic, _)| *topic == Topic::ForecastAnswers) {
        written.push((Topic::ForecastAnswers, schema::FORECAST_ANSWER));
    }
    let mut framings = std::collections::BTreeMap::new();
    let mut asked = 0;
    for (topic, schema) in written {
        let Some(framing) = framing(stream, registry, (topic, schema), &mut asked, stop)? else {
            return Ok(None);
        };
        framings.insert(topic, framing);
    }
    let framers = Framers::new(|topic| framings.get(&topic).copied().unwrap_or(Framing::SingleObject));
    framers.map(Some).map_err(|error| vec![Mistake::new("a schema", error.to_string())])
}

/// How the records of a topic are written. Nothing, where the process is told to stop while the registry is down.
/// `asked` counts how often it was.
///
/// # Errors
/// Why the registry gives the schema no id.
pub fn framing(
    stream: &Stream,
    registry: Option<&Registry>,
    (topic, schema): (Topic, RecordSchema),
    asked: &mut u32,
    stop: &AtomicBool,
) -> Result<Option<Framing>, Vec<Mistake>> {
    let registry = match (stream.framing, registry) {
        (stream::Framing::Json, _) => return Ok(Some(Framing::Json)),
        (stream::Framing::Avro, None) => return Ok(Some(Framing::SingleObject)),
        (stream::Framing::Avro, Some(registry)) => registry,
    };
    let name = stream.topics.iter().find(|(known, _)| *known == topic).map_or("", |(_, name)| name.as_str());
    let subject = registry::subject(name);
    let register = stream.registry.as_ref().is_some_and(|settings| settings.register);
    let ask = || {
        if register { registry.register(&subject, schema.text) } else { registry.look_up(&subject, schema.text) }
    };
    Ok(schema_id(&subject, ask, asked, stop)?.map(Framing::Registry))
}

/// How often a registry that is down is asked again, for all schemas together, before the start is given up.
const ASKED: u32 = 30;

/// The id of a schema. Nothing, where the process is told to stop while the registry is down.
fn schema_id(
    subject: &str,
    ask: impl Fn() -> Result<registry::SchemaId, registry::Error>,
    asked: &mut u32,
    stop: &AtomicBool,
) -> Result<Option<u32>, Vec<Mistake>> {
    loop {
        let why = match ask() {
            Ok(id) => return Ok(Some(id.0)),
            Err(why) => why,
        };
        *asked += 1;
        if !why.may_pass() || *asked >= ASKED {
            return Err(vec![Mistake::new(format!("registry, subject `{subject}`"), why.to_string())]);
        }
        error!(subject, %why, "the registry does not answer; it is asked again");
        for _ in 0..ASKED_AGAIN.as_millis() / NOTICE.as_millis() {
            if stop.load(Ordering::Relaxed) {
                info!("told to stop before the registry has answered");
                return Ok(None);
            }
            thread::sleep(NOTICE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_waits_for_a_registry_that_is_down_ends_when_it_is_told_to() {
        let down = || Err(registry::Error::Unreachable { tried: Vec::new() });
        let stop = AtomicBool::new(true);
        assert!(schema_id("a-value", down, &mut 0, &stop).is_ok_and(|id| id.is_none()));
        // All schemas share the patience: none has another half a minute of its own.
        let mut asked = ASKED - 1;
        assert!(schema_id("b-value", down, &mut asked, &AtomicBool::new(false)).is_err());
        let refuses = || Err(registry::Error::References(registry::SchemaId(1)));
        assert!(schema_id("c-value", refuses, &mut 0, &stop).is_err(), "a refusal does not pass");
    }

    #[test]
    fn a_worker_that_does_not_leave_is_not_waited_for_without_end() {
        let metrics = Arc::new(Metrics::new(ENGINE_VERSION).expect("metrics"));
        let health = Health::new(metrics, Limits::default());
        let (_hangs, ends) = channel();
        let (stop, leave) = (AtomicBool::new(true), AtomicBool::new(false));
        let ended = wait(&ends, &stop, &leave, &health, NOTICE);
        assert!(leave.load(Ordering::Acquire), "it was asked to leave");
        assert!(ended.is_err_and(|mistakes| mistakes[0].to_string().contains("folded again")));
    }
}
