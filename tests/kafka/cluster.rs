//! A broker, deployments on it with topics of their own, and their processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use tollgate::config::{self, Config, Overrides};
use tollgate::stream::Topic;
use tollgate::zones::Zones;

use crate::broker::Broker;
use crate::ledgers::rules;
use crate::reading::{Isolation, Positions, scan_from};

/// The clock of tests: how long something may take, and nothing that is compared.
#[allow(clippy::disallowed_methods, reason = "how long a test waits")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day in milliseconds since the epoch, where it meets that of others: the broker's, a client's.
#[allow(clippy::disallowed_methods, reason = "when something was killed or asked")]
pub fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_millis()).expect("before the end of time")
}

/// The broker that tests of one run share. It ends with the last of them.
pub fn shared_broker() -> Arc<Broker> {
    static BROKER: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
    let mut known = BROKER.lock().unwrap_or_else(PoisonError::into_inner);
    known.upgrade().unwrap_or_else(|| {
        // It is never killed, so nobody waits for its session to end; on a machine that is busy it keeps it.
        let broker = Arc::new(Broker::start_with(&["broker.session.timeout.ms=60000"]));
        *known = Arc::downgrade(&broker);
        broker
    })
}

/// What a deployment is like.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Plan {
    /// Names its topics and its group.
    pub name: &'static str,
    pub partitions: u32,
    /// How many topics of events it reads.
    pub inputs: u8,
    /// Whether records are JSON, and not Avro as single objects.
    pub json: bool,
    /// Lines for `[kafka]`, such as `commit_age = "1s"`.
    pub settings: &'static str,
    /// Lines for `[deployment]`, such as `enforced = false`.
    pub deployment: &'static str,
    /// Whether a record arrives when the log takes it, as it is shipped, and not when it says.
    pub by_log: bool,
    /// What its processes log.
    pub log: &'static str,
    /// How its processes reach the broker, where that is not as the tests do.
    pub access: Option<Access>,
    /// Whether dead letters say only where their records are.
    pub pointers: bool,
    /// Where its schema registry is, if it has one.
    pub registry: Option<String>,
    /// Whether it answers campaign questions.
    pub questions: bool,
    /// Where the volume tiers behind the first begin, if its cards have any.
    pub tiers: Option<[u64; 2]>,
    /// Lines for `[limits]`.
    pub limits: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            name: "plain",
            partitions: 4,
            inputs: 1,
            json: false,
            settings: "",
            deployment: "",
            by_log: false,
            log: "warn,tollgate=info",
            access: None,
            pointers: false,
            registry: None,
            questions: false,
            tiers: None,
            limits: String::new(),
        }
    }
}

/// How to reach a broker that does not let everybody in.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Where it answers those who show who they are.
    pub bootstrap: String,
    /// Lines for `[kafka.properties]`.
    pub properties: String,
    /// Where the registry is, if it is not where the tests find it.
    pub registry: Option<String>,
    /// The authorities that the system trusts, in a file, if they are not this machine's.
    pub trusted: Option<PathBuf>,
}

/// A deployment: topics, a configuration, and a directory for the state of each of its processes.
pub struct Deployment {
    pub plan: Plan,
    bootstrap: String,
    directory: TempDir,
    /// Its rate cards and volume tiers.
    cards: Vec<PathBuf>,
    /// The format in which processes write their state.
    write_format: AtomicU8,
}

/// The names of all deployments.
static NAMED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());

impl Deployment {
    /// Makes the topics.
    pub fn create(broker: &Broker, plan: Plan) -> Self {
        let deployment = Self::planned(broker, plan);
        deployment.make_topics();
        deployment
    }

    /// Leaves it to somebody else to make the topics.
    pub fn planned(broker: &Broker, plan: Plan) -> Self {
        // Topics have its name, so that two of one name would read each other's.
        let is_new = NAMED.lock().unwrap_or_else(PoisonError::into_inner).insert(plan.name);
        assert!(is_new, "two deployments have the name `{}`", plan.name);
        let directory = tempfile::Builder::new().prefix("tollgate-deployment-").tempdir().expect("a directory");
        let tiers = plan.tiers.map(|begins| rules::write_tiers(directory.path(), &begins));
        let cards = rules::cards().into_iter().chain(tiers.unwrap_or_default()).collect();
        let (bootstrap, write_format) = (broker.bootstrap().to_owned(), AtomicU8::new(2));
        Self { plan, bootstrap, directory, cards, write_format }
    }

    /// Makes topics that are missing, and sets what is not as it must be about those that are there.
    pub fn make_topics(&self) {
        let (partitions, config) = (self.plan.partitions.to_string(), self.config_file("topics"));
        // On a machine that is busy the broker may lose touch with itself for a moment.
        for attempt in 1.. {
            let output = tollgate(&config)
                .args(["topics", "--create", "--partitions", &partitions, "--replication", "1", "--config"])
                .arg(&config)
                .output()
                .expect("the binary runs");
            if output.status.success() {
                break;
            }
            assert!(attempt < 20, "topics are made: {}", String::from_utf8_lossy(&output.stderr));
            thread::sleep(Duration::from_millis(500));
        }
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The name of a topic.
    pub fn topic(&self, topic: Topic) -> String {
        let config = self.config();
        let found = config.stream.topics.into_iter().find(|(known, _)| *known == topic);
        found.expect("a topic of the deployment").1
    }

    /// The configuration as processes have it.
    pub fn config(&self) -> Config {
        let file = self.config_file("topics");
        config::load(Some(&file), &Overrides::default(), &Zones::new()).unwrap_or_else(|mistakes| {
            panic!("the configuration of the test: {}", mistakes[0]);
        })
    }

    /// Processes that are started from now on write their state in this format.
    pub fn write_format(&self, format: u8) {
        self.write_format.store(format, Ordering::Relaxed);
    }

    /// The configuration of one process that has the tests' own access to the broker, written to a file.
    pub fn config_file(&self, instance: &str) -> PathBuf {
        self.config_with(instance, None)
    }

    fn config_with(&self, instance: &str, access: Option<&Access>) -> PathBuf {
        let Plan { name, inputs, json, settings, deployment, registry, limits, .. } = &self.plan;
        let write_format = self.write_format.load(Ordering::Relaxed);
        let payload = if self.plan.pointers { "pointer" } else { "full" };
        let registry = access.and_then(|access| access.registry.as_ref()).or(registry.as_ref());
        let registry = registry.map_or_else(String::new, |url| format!("[registry]\nurls = [\"{url}\"]\n"));
        let arrival = if self.plan.by_log { "" } else { "arrival = \"field\"\n" };
        let bootstrap = access.map_or(&self.bootstrap, |access| &access.bootstrap);
        let properties = access.map_or_else(String::new, |access| format!("[kafka.properties]\n{}", access.properties));
        let cards: Vec<String> = self.cards.iter().map(|list| format!("{:?}", list.display().to_string())).collect();
        let topic = |what: &str| format!("{name}.{what}");
        let events: Vec<String> = (0..*inputs).map(|index| format!("\"{name}.events-{index}\"")).collect();
        let named = [
            "accounts",
            "templates",
            "verdicts",
            "billing",
            "windows",
            "window_state",
            "outcomes",
            "dead_letters",
            "usage",
            "charges",
            "contacts_changelog",
            "messages_changelog",
        ];
        let asked = ["forecasts", "forecast_answers"].into_iter().filter(|_| self.plan.questions);
        let named: Vec<&str> = named.into_iter().chain(asked).collect();
        let topics: Vec<String> = named.into_iter().map(|what| format!("{what} = \"{}\"\n", topic(what))).collect();
        let topics = topics.concat();
        let text = format!(
            "[deployment]\nname = \"{name}\"\nkey = \"tests name invented people only\"\n{deployment}\n\
             [prices]\nrate_cards = [{}]\n\
             [limits]\n{limits}\n\
             [state]\nmemory = \"256MiB\"\ndirectory = \"{instance}-state\"\nwrite_format = {write_format}\n\
             [kafka]\nbootstrap = \"{bootstrap}\"\ninstance = \"{instance}\"\n{arrival}framing = \"{}\"\n{settings}\n\
             {properties}\n\
             [kafka.topics]\nevents = [{}]\n{topics}\
             [dead_letters]\npayload = \"{payload}\"\n\
             {registry}\
             [http]\nlisten = \"127.0.0.1:0\"\n",
            cards.join(", "),
            if *json { "json" } else { "avro" },
            events.join(", "),
        );
        let file = self.directory.path().join(format!("{instance}.toml"));
        std::fs::write(&file, text).expect("a configuration is written");
        file
    }

    /// Where the state of a process is.
    pub fn state(&self, instance: &str) -> PathBuf {
        self.directory.path().join(format!("{instance}-state"))
    }

    /// The state directories of all processes that ever ran.
    pub fn states(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory.path()).expect("the directory of the deployment");
        let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        found.retain(|path| path.is_dir() && path.to_string_lossy().ends_with("-state"));
        found.sort();
        found
    }

    /// Starts a process. What it says is added to what its predecessors of the same name have said.
    pub fn start(&self, instance: &'static str) -> Process {
        let config = self.config_with(instance, self.plan.access.as_ref());
        let log = self.directory.path().join(format!("{instance}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        let begins = file.metadata().expect("the length of a file").len();
        let trusted = self.plan.access.as_ref().and_then(|access| access.trusted.as_ref());
        let child = tollgate(&config)
            .env("TOLLGATE_LOG", self.plan.log)
            .envs(trusted.map(|file| ("SSL_CERT_FILE", file)))
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the same file"))
            .stderr(file)
            .spawn()
            .expect("the binary runs");
        Process { instance, child, log, begins: usize::try_from(begins).expect("a small file") }
    }

    /// Runs `tollgate topics`, which looks at topics and changes nothing. Whether all is well, and what it says.
    pub fn look_at_topics(&self) -> (bool, String) {
        let config = self.config_file("topics");
        let output = tollgate(&config).args(["topics", "--config"]).arg(&config).output().expect("the binary runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Waits until the processes have folded and priced all there is, and hold it. One that begins when another has folded
    /// everything has only its store to bring up to date.
    pub fn wait_until_drained(&self, processes: &mut [Process], limit: Duration) {
        let positions = Positions::of(&self.bootstrap, self.plan.name);
        let end = now() + limit;
        while let Some(left) = self.left(&positions) {
            for process in &mut *processes {
                process.assert_runs();
            }
            assert!(now() <= end, "after {limit:?} there is still something to do: {left}\n{}", logs(processes));
            thread::sleep(Duration::from_millis(50));
        }
        for process in processes {
            process.wait_for("what was committed is restored", |process| {
                let (started, _) = process.get("/startupz")?;
                let (_, troubles) = process.get("/readyz")?;
                (started == 200 && !troubles.contains("restoring")).then_some(())
            });
        }
    }

    /// What is still to be folded or priced, if anything is.
    pub fn left(&self, positions: &Positions) -> Option<String> {
        let partitions = self.plan.partitions;
        for topic in (0..self.plan.inputs).map(Topic::Input) {
            let topic = self.topic(topic);
            let Ok(committed) = positions.committed(&topic, partitions) else {
                return Some(format!("the positions of `{topic}` are not known"));
            };
            if self.plan.by_log {
                if let Some(unread) = self.unread(&topic, committed) {
                    return Some(unread);
                }
                continue;
            }
            for (partition, committed) in committed {
                let committed = committed.unwrap_or_default();
                match positions.end(&topic, partition) {
                    Ok(end) if end == committed => {}
                    Ok(end) => return Some(format!("`{topic}`, partition {partition}: {committed} of {end}")),
                    Err(error) => return Some(format!("the end of `{topic}` is not known: {error}")),
                }
            }
        }
        let topic = self.topic(Topic::Charges);
        let Ok(committed) = positions.committed(&topic, partitions) else {
            return Some(format!("the positions of `{topic}` are not known"));
        };
        self.unread(&topic, committed)
    }

    /// A record behind the group's positions. Where records come in transactions, as charges and heartbeats do, markers
    /// follow the last of them, so that the end is not where the group stands.
    fn unread(&self, topic: &str, committed: BTreeMap<u32, Option<i64>>) -> Option<String> {
        let from = committed.into_iter().map(|(partition, committed)| (partition, committed.unwrap_or_default()));
        let mut unread = None;
        scan_from(&self.bootstrap, topic, &from.collect(), Isolation::Committed, |read| {
            unread = Some(format!("`{topic}`, partition {}: a record at {}", read.partition, read.offset));
            ControlFlow::Break(())
        });
        unread
    }
}

/// The binary, as a deployment runs it: it says what it does, and nothing of whom.
pub fn tollgate(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .env_remove("TOLLGATE_DEPLOYMENT_KEY")
        .env("TOLLGATE_LOG", "warn,tollgate=info")
        .current_dir(config.parent().expect("a file is in a directory"));
    command
}

/// A process of a deployment. It is killed with this value.
pub struct Process {
    pub instance: &'static str,
    child: Child,
    log: PathBuf,
    /// Where in the log it has begun.
    begins: usize,
}

impl Process {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it by `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Stops it where it is, as a machine that is put to sleep.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Asks it to end, and waits until it has. It must end in order.
    pub fn terminate(self) {
        self.ask_to_end();
        self.ends_in_order();
    }

    /// Asks it to end.
    pub fn ask_to_end(&self) {
        self.signal("TERM");
    }

    /// Waits until it has ended as it was asked to.
    pub fn ends_in_order(mut self) {
        let end = now() + Duration::from_mins(1);
        loop {
            match self.ended() {
                Some(status) => {
                    assert!(status.success(), "SIGTERM ends it in order, not with {status}:\n{}", self.said());
                    return;
                }
                None if now() > end => panic!("it does not end by SIGTERM:\n{}", self.said()),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Waits until it has ended by itself because it cannot go on, and returns everything it has said.
    pub fn gives_up(mut self) -> String {
        let end = now() + Duration::from_mins(1);
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(now() < end, "it does not try for ever\n{}", self.said());
            thread::sleep(Duration::from_millis(50));
        };
        assert!(!status.success(), "it says by its exit code that it could not go on:\n{}", self.said());
        self.told()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state is known")
    }

    /// Fails the test if it has ended.
    pub fn assert_runs(&mut self) {
        if let Some(status) = self.ended() {
            panic!("`{}` has ended by itself ({status}):\n{}", self.instance, self.said());
        }
    }

    /// The end of what it has said.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(60);
        format!("--- {}\n{}\n", self.instance, lines[from..].join("\n"))
    }

    /// Everything it has said.
    pub fn told(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(text.get(self.begins..).unwrap_or_default()).into_owned()
    }

    /// Asks what it serves under a path: the status and the body. Nothing where it does not serve yet, or any more.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let told = self.told();
        let (_, address) = told.lines().find(|line| line.contains("serves /metrics"))?.split_once("address=")?;
        let mut connection = TcpStream::connect(address.split_whitespace().next()?).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        write!(connection, "GET {path} HTTP/1.1\r\nHost: tests\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until a probe answers with this status, and for this reason.
    pub fn wait_until_it_says(&mut self, path: &str, status: u16, reason: &str) {
        self.wait_for(&format!("{path} says {status} and `{reason}`"), |process| {
            process.get(path).filter(|(found, body)| *found == status && body.contains(reason))
        });
    }

    /// Waits until something is there. The process goes on meanwhile.
    pub fn wait_for<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let limit = Duration::from_mins(2);
        let end = now() + limit;
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            self.assert_runs();
            assert!(now() < end, "after {limit:?} it does not hold that {what}\n{}", self.said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The sum of a metric over all its labels that hold `label`. Nothing where metrics are not served yet.
    pub fn metric(&self, name: &str, label: &str) -> Option<f64> {
        let (status, text) = self.get("/metrics")?;
        assert_eq!(status, 200, "{text}");
        let of_metric = |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(label);
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
        Some(text.lines().filter(of_metric).filter_map(value).sum())
    }

    fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
    assert!(status.expect("signals can be sent").success(), "SIG{name} reaches it");
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ends of what processes have said.
pub fn logs(processes: &[Process]) -> String {
    processes.iter().map(Process::said).collect()
}

/// The broker's directory of logs.
pub fn data(broker: &Broker) -> PathBuf {
    broker.directory().join("data")
}

/// Positions by partition.
pub type ByPartition = BTreeMap<u32, i64>;
