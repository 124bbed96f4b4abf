//! What is compared.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::cluster::Cluster;
use crate::deployment::Deployment;
use crate::passing::Pace;
use crate::shape::Shape;

/// A rung of the ladder, or the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Reads, and does nothing else.
    Consume,
    /// Reads and writes as much as the engine does, exactly once.
    PassThrough,
    /// `tollgate run`.
    Engine,
    /// Kafka Streams.
    Peer,
}

impl System {
    /// As tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consume => "L0 consume only",
            Self::PassThrough => "L2 exactly-once pass-through",
            Self::Engine => "L5 `tollgate run`",
            Self::Peer => "Kafka Streams",
        }
    }

    /// As topics and files call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Consume => "consume",
            Self::PassThrough => "pass",
            Self::Engine => "engine",
            Self::Peer => "peer",
        }
    }

    /// The command that plays it on a deployment's topics.
    pub fn command(self, around: &Around<'_>, deployment: &Deployment) -> Command {
        match self {
            Self::Consume => {
                let mut command = itself();
                command.arg("consume").arg(&deployment.file).stdout(Stdio::piped());
                command
            }
            Self::PassThrough => {
                let mut command = itself();
                command.arg("pass-through").arg(&deployment.file).arg(around.shape.text()).arg(around.pace.word());
                command
            }
            Self::Engine => deployment.run(),
            Self::Peer => peer(around, deployment),
        }
    }
}

/// What commands need to know besides the deployment.
pub struct Around<'a> {
    /// The broker.
    pub cluster: &'a Cluster,
    /// Where files may be left.
    pub directory: &'a Path,
    /// What is written for an event.
    pub shape: &'a Shape,
    /// When the pass-through closes transactions.
    pub pace: Pace,
    /// The peer's commit interval in milliseconds.
    pub peer_commit: u64,
}

fn itself() -> Command {
    Command::new(std::env::current_exe().expect("this binary has a place"))
}

fn peer_script() -> Command {
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/kafka-streams/run.sh"))
}

/// Builds the peer, so that no run waits for that.
pub fn build_peer() {
    let output = peer_script().arg("--help").output().expect("the peer's script can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the peer cannot be built (PEER=0 goes without it):\n{said}");
}

/// The peer at its best on two cores: one thread, a record cache of 256 MiB, and the collector that takes the least
/// processor time.
fn peer(around: &Around<'_>, deployment: &Deployment) -> Command {
    let mut command = peer_script();
    command
        .env("GC", "Parallel")
        .env("HEAP", "2g")
        .args(["--threads", "1", "--cache", "256", "--bootstrap", &around.cluster.bootstrap])
        .args(["--commit-ms", &around.peer_commit.to_string(), "--app-id", &deployment.name])
        .args(["--in", &deployment.events, "--out", &around.shape.for_peer(&deployment.name), "--state-dir"])
        .arg(around.directory.join(format!("{}-state", deployment.name)))
        .arg("--progress")
        .arg(around.directory.join(format!("{}.csv", deployment.name)));
    command
}
