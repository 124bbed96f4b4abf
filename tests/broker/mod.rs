//! An Apache Kafka for one test: a broker in a directory of its own, on the loopback interface.
//!
//! `deploy/kafka/broker.sh` does the work. A broker that cannot start fails the test, and says why.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A broker that is ended, and its data removed, with this value. It is killed if the test's process goes away.
pub struct Broker {
    directory: TempDir,
    bootstrap: String,
}

impl Broker {
    /// Brings Kafka if it was never brought, and starts a new broker. It answers when this returns.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a new broker with settings of its own, each as `KEY=VALUE`.
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_new(settings, None)
    }

    /// Starts a new broker that listens at one more port by a protocol such as `SASL_PLAINTEXT`.
    pub fn start_secured(protocol: &str, settings: &[&str]) -> Self {
        Self::start_new(settings, Some(protocol))
    }

    fn start_new(settings: &[&str], secured: Option<&str>) -> Self {
        let directory = tempfile::Builder::new().prefix("tollgate-kafka-").tempdir().expect("a directory");
        // Made before it starts: where the start fails half-way, dropping this ends it.
        let mut broker = Self { directory, bootstrap: String::new() };
        let mut command = broker.command("start");
        command.args(settings).envs(secured.map(|protocol| ("KAFKA_SECURED", protocol)));
        broker.bootstrap = printed(&mut command).trim().into();
        broker
    }

    /// Where it answers those who show who they are, as `host:port`.
    pub fn secured(&self) -> String {
        let address = std::fs::read_to_string(self.path("secured")).expect("a broker with a port of this kind");
        address.trim().to_owned()
    }

    /// Where it answers, as `host:port`. It stays the same for as long as the broker lives, and lives again.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Its process, as long as it runs.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.path("pid")).expect("a broker that was started has a process id");
        text.trim().parse().expect("a process id is a number")
    }

    /// What it had to say so far. It says little: warnings and errors.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }

    /// Ends it as a power cut would end the process, by `kill -9`. It is gone when this returns.
    pub fn kill(&mut self) {
        self.script("kill");
    }

    /// Ends it in order. It is gone when this returns.
    pub fn stop(&mut self) {
        self.script("stop");
    }

    /// Starts it again on the same data and the same port, however it was ended; one that runs is killed first. After a
    /// kill it first reads what it had not forced to disk, which may be gigabytes.
    pub fn restart(&mut self) {
        self.kill();
        printed(self.command("start").env("KAFKA_WAIT", "300"));
    }

    /// Runs one of Kafka's own tools against it, and returns what it printed.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(script());
        command.args(["tool", class, "--bootstrap-server", self.bootstrap()]).args(arguments);
        printed(&mut command)
    }

    /// Where its data is.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn script(&self, what: &str) -> String {
        printed(&mut self.command(what))
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(script());
        command.arg(what).arg(self.directory.path());
        command.env("KAFKA_OWNER", std::process::id().to_string());
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nobody will read its data, so nothing is lost by not asking it to stop. Nor can anything be done here
        // about a failure; the test's result stands.
        let _ = Command::new(script()).arg("kill").arg(self.directory.path()).output();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kafka/broker.sh")
}

/// Runs a command to its end and returns its output. If it fails, all it said is the reason for which the test fails.
fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the script can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed ({}):\n{text}{errors}", output.status);
    text
}
