//! A deployment for one run: a configuration with topics and a state of its own, so that no run finds what another left.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tollgate::config::stream::Stream;
use tollgate::config::{self, Overrides};
use tollgate::kafka::Names;
use tollgate::zones::Zones;

/// How often topics are asked for before a bench gives up.
const MAKE: usize = 5;

/// The command that is measured.
pub fn tollgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.env("TOLLGATE_LOG", std::env::var("TOLLGATE_LOG").unwrap_or_else(|_| "warn".into()));
    command
}

/// A configuration in a directory.
pub struct Deployment {
    /// What it is called: the group, and what its topics' names begin with.
    pub name: String,
    /// The configuration's file.
    pub file: PathBuf,
    /// The topic of events.
    pub events: String,
}

impl Deployment {
    /// Writes a configuration, and makes the topics it names with `tollgate topics --create`.
    ///
    /// Accounts and templates are shared by all deployments of a broker; events by those that name the same topic.
    pub fn make(directory: &Path, bootstrap: &str, name: &str, events: &str, partitions: u32) -> Self {
        let cards = |name: &str| {
            Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rate-cards").join(name).display().to_string()
        };
        let topics = crate::shape::WRITTEN.map(|(_, key, usual)| format!("{key} = \"{name}.{usual}\"\n")).concat();
        let text = format!(
            "[deployment]\nname = \"{name}\"\nkey = \"a bench has no secrets\"\n\
             [prices]\nrate_cards = [{:?}, {:?}]\n\
             [state]\ndirectory = \"{name}-state\"\n\
             [kafka]\nbootstrap = \"{bootstrap}\"\ninstance = \"bench\"\narrival = \"field\"\n\
             [kafka.topics]\nevents = [\"{events}\"]\n{topics}\
             [http]\nlisten = \"off\"\n",
            cards("sample-usd-2026-10-01.csv"),
            cards("sample-inr-2026-10-01.csv"),
        );
        let file = directory.join(format!("{name}.toml"));
        std::fs::write(&file, text).expect("a configuration can be written");
        let made = Self { name: name.to_owned(), file, events: events.to_owned() };
        let partitions = partitions.to_string();
        let create = || {
            tollgate()
                .args(["topics", "--create", "--replication", "1", "--partitions", &partitions, "--config"])
                .arg(&made.file)
                .stdin(Stdio::null())
                .output()
                .expect("the command can be started")
        };
        // On a busy machine the broker may not show in time what it has just made. The command may be repeated.
        let mut output = create();
        for _ in 1..MAKE {
            if output.status.success() {
                break;
            }
            output = create();
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the topics of {name} cannot be made:\n{said}");
        made
    }

    /// `tollgate run` of it.
    pub fn run(&self) -> Command {
        let mut command = tollgate();
        command.arg("run").arg("--config").arg(&self.file);
        command
    }

    /// The names of the topics that only this deployment writes.
    pub fn own_topics(&self) -> Vec<String> {
        crate::shape::WRITTEN.map(|(_, _, usual)| format!("{}.{usual}", self.name)).to_vec()
    }
}

/// The stream processor's settings in a configuration.
pub fn read(file: &Path) -> Stream {
    let config = config::load(Some(file), &Overrides::default(), &Zones::new());
    config.unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", file.display())).stream
}

/// The names of all topics of these settings.
pub fn names(stream: &Stream) -> Names {
    Names::new(stream.topics.clone())
}
