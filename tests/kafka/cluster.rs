//! A broker, deployments on it with topics of their own, and their processes.

use std::collections::BTreeMap;
use std::fs::File;
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
    /// Whether dead letters say only where their records are.
    pub pointers: bool,
    /// Where its schema registry is, if it has one.
    pub registry: Option<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { name: "plain", partitions: 4, inputs: 1, json: false, settings: "", pointers: false, registry: None }
    }
}

/// A deployment: topics, a configuration, and a directory for the state of each of its processes.
pub struct Deployment {
    pub plan: Plan,
    bootstrap: String,
    directory: TempDir,
    /// The format in which processes write their state.
    write_format: AtomicU8,
}

impl Deployment {
    /// Makes the topics.
    pub fn create(broker: &Broker, plan: Plan) -> Self {
        let directory = tempfile::Builder::new().prefix("tollgate-deployment-").tempdir().expect("a directory");
        let (bootstrap, write_format) = (broker.bootstrap().to_owned(), AtomicU8::new(2));
        let deployment = Self { plan, bootstrap, directory, write_format };
        deployment.make_topics();
        deployment
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

    /// The configuration of one process, written to a file.
    pub fn config_file(&self, instance: &str) -> PathBuf {
        let Plan { name, inputs, json, settings, registry, .. } = &self.plan;
        let write_format = self.write_format.load(Ordering::Relaxed);
        let payload = if self.plan.pointers { "pointer" } else { "full" };
        let registry = registry.as_ref().map_or_else(String::new, |url| format!("[registry]\nurls = [\"{url}\"]\n"));
        let cards = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rate-cards");
        let card = |file: &str| format!("{:?}", cards.join(file).display().to_string());
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
            "charges",
            "contacts_changelog",
            "messages_changelog",
        ];
        let topics: String = named.map(|what| format!("{what} = \"{}\"\n", topic(what))).concat();
        let text = format!(
            "[deployment]\nname = \"{name}\"\nkey = \"tests name invented people only\"\n\
             [prices]\nrate_cards = [{}, {}]\n\
             [state]\nmemory = \"256MiB\"\ndirectory = \"{instance}-state\"\nwrite_format = {write_format}\n\
             [kafka]\nbootstrap = \"{}\"\ninstance = \"{instance}\"\narrival = \"field\"\nframing = \"{}\"\n{settings}\n\
             [kafka.topics]\nevents = [{}]\n{topics}\
             [dead_letters]\npayload = \"{payload}\"\n\
             {registry}\
             [http]\nlisten = \"off\"\n",
            card("sample-usd-2026-10-01.csv"),
            card("sample-inr-2026-10-01.csv"),
            self.bootstrap,
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
        let config = self.config_file(instance);
        let log = self.directory.path().join(format!("{instance}.log"));
        let file = File::options().create(true).append(true).open(&log).expect("a log");
        let child = tollgate(&config)
            .args(["run", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("the same file"))
            .stderr(file)
            .spawn()
            .expect("the binary runs");
        Process { instance, child, log }
    }

    /// Waits until the processes have folded and priced all there is.
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
    }

    /// What is still to be folded or priced, if anything is.
    pub fn left(&self, positions: &Positions) -> Option<String> {
        let partitions = self.plan.partitions;
        for topic in (0..self.plan.inputs).map(Topic::Input) {
            let topic = self.topic(topic);
            let Ok(committed) = positions.committed(&topic, partitions) else {
                return Some(format!("the positions of `{topic}` are not known"));
            };
            for (partition, committed) in committed {
                let committed = committed.unwrap_or_default();
                match positions.end(&topic, partition) {
                    Ok(end) if end == committed => {}
                    Ok(end) => return Some(format!("`{topic}`, partition {partition}: {committed} of {end}")),
                    Err(error) => return Some(format!("the end of `{topic}` is not known: {error}")),
                }
            }
        }
        // Behind the last charge there are markers, so its end is not where the group stands.
        let topic = self.topic(Topic::Charges);
        let Ok(committed) = positions.committed(&topic, partitions) else {
            return Some(format!("the positions of `{topic}` are not known"));
        };
        let from = committed.into_iter().map(|(partition, committed)| (partition, committed.unwrap_or_default()));
        let mut left = None;
        scan_from(&self.bootstrap, &topic, &from.collect(), Isolation::Committed, |read| {
            left = Some(format!("`{topic}`, partition {}: a charge at {}", read.partition, read.offset));
            ControlFlow::Break(())
        });
        left
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
    pub fn terminate(mut self) {
        self.signal("TERM");
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

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.expect("signals can be sent").success(), "SIG{name} reaches it");
    }
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
