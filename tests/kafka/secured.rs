//! Brokers that do not let everybody in: who Tollgate is to them, which rights it needs, and whom it trusts.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tollgate::loadgen::Settings;
use tollgate::stream::Topic;

use crate::broker::Broker;
use crate::cluster::{Access, Deployment, Plan, Process, wall};
use crate::oracle;
use crate::produce::{Loader, messages, traffic};
use crate::registry_server::RegistryServer;

/// Kafka's own tool for rights.
const ACLS: &str = "org.apache.kafka.tools.AclCommand";

const LIMIT: Duration = Duration::from_mins(2);

const EVENTS: u64 = 3_000;

const DAY: i64 = 24 * 60 * 60 * 1_000;

/// Folds some events, the last of which needs a heartbeat, and compares what comes out.
fn runs(deployment: &Deployment) {
    let today = wall() - wall().rem_euclid(DAY);
    let settings = Settings { start: today - 4 * DAY, days: 2, ..traffic(9, EVENTS, 150) };
    let mut loader = Loader::of(deployment);
    loader.references(deployment, &settings);
    loader.stream(&settings, |_| ());
    messages("107310000000001", 0..1, today - DAY, |event| loader.event(event));
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes[0].wait_for("a heartbeat is written", |process| {
        process.metric("tollgate_heartbeats_written_total", "").filter(|written| *written > 0.0)
    });
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    let figures = oracle::check(deployment);
    assert!(figures.records > EVENTS && figures.outputs > EVENTS / 2, "{figures:?}");
}

/// Gives the deployment's user rights, as `docs/kafka.md` lists them.
struct Rights<'d> {
    broker: &'d Broker,
    deployment: &'d Deployment,
}

impl Rights<'_> {
    fn give(&self, operations: &[&str], resource: &[&str]) {
        let mut arguments = vec!["--add", "--allow-principal", "User:tollgate"];
        arguments.extend(operations.iter().flat_map(|operation| ["--operation", operation]));
        arguments.extend(resource);
        self.broker.tool(ACLS, &arguments);
    }

    fn give_to_topics(&self, operations: &[&str], wanted: impl Fn(Topic) -> bool) {
        let topics = self.deployment.config().stream.topics.into_iter().filter(|(topic, _)| wanted(*topic));
        let names: Vec<String> = topics.map(|(_, name)| name).collect();
        let resource: Vec<&str> = names.iter().flat_map(|name| ["--topic", name.as_str()]).collect();
        self.give(operations, &resource);
    }
}

#[test]
fn a_user_that_shows_its_password_runs_with_the_rights_that_are_documented_and_no_others() {
    // Who comes without a password is the tests, and may do everything.
    let broker = Broker::start_secured(
        "SASL_PLAINTEXT",
        &[
            "broker.session.timeout.ms=60000",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "listener.name.secured.sasl.enabled.mechanisms=PLAIN",
            "listener.name.secured.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_tollgate=\"its password\";",
        ],
    );
    let properties = "\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
                      \"sasl.username\" = \"tollgate\"\n\"sasl.password\" = \"its password\"\n";
    let access = Access { bootstrap: broker.secured(), properties: properties.to_owned(), ..Access::default() };
    let plan = Plan { name: "entitled", partitions: 2, by_log: true, access: Some(access), ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);

    let said = deployment.start("a").gives_up();
    assert!(said.contains("topic `entitled.events-0`: it is not there"), "what nobody may see is not there:\n{said}");

    let rights = Rights { broker: &broker, deployment: &deployment };
    let is_written = |topic: Topic| Topic::WRITTEN.contains(&topic) || matches!(topic, Topic::Input(_));
    let is_read = |topic: Topic| {
        let of_tables = [Topic::Contacts, Topic::Messages, Topic::Accounts, Topic::Templates];
        topic.is_read() || of_tables.contains(&topic)
    };
    rights.give(&["Write", "Describe"], &["--transactional-id", "entitled", "--resource-pattern-type", "prefixed"]);
    rights.give(&["Read", "Describe"], &["--group", "entitled"]);
    rights.give_to_topics(&["Read", "Describe"], is_read);
    rights.give_to_topics(&["Write", "Describe"], is_written);
    let said = deployment.start("a").gives_up();
    let told = "how it is set is not told: the user needs the right `DescribeConfigs` on it";
    assert!(said.contains(&format!("topic `entitled.events-0`: {told}")), "{told}:\n{said}");

    rights.give_to_topics(&["DescribeConfigs"], |_| true);
    runs(&deployment);
}

/// A certificate of this machine that is its own authority, with its key.
struct Certificate(TempDir);

impl Certificate {
    fn make() -> Self {
        let made = Self(tempfile::Builder::new().prefix("tollgate-certificate-").tempdir().expect("a directory"));
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"])
            .args(["-keyout".as_ref(), made.key().as_os_str(), "-out".as_ref(), made.certificate().as_os_str()])
            .output()
            .expect("`openssl` can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let parts = [made.key(), made.certificate()].map(|part| std::fs::read(part).expect("it was just made"));
        std::fs::write(made.both(), parts.concat()).expect("a file");
        made
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("certificate.pem")
    }

    /// Key and certificate in one file, as Kafka wants them.
    fn both(&self) -> PathBuf {
        self.0.path().join("both.pem")
    }
}

/// Takes connections by TLS and passes them on to an address that knows none.
struct Terminator {
    process: Child,
    port: u16,
}

impl Terminator {
    fn start(certificate: &Certificate, to: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/terminate_tls.py");
        let mut process = Command::new("python3")
            .args([script.as_path(), &certificate.both(), to.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be run");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("its port");
        Self { process, port: line.trim().parse().expect("a port") }
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        // It may be gone already, which is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn brokers_and_a_registry_behind_tls_are_reached_where_their_certificate_is_trusted_and_only_there() {
    let certificate = Certificate::make();
    let keystore = format!("listener.name.secured.ssl.keystore.location={}", certificate.both().display());
    let broker = Broker::start_secured(
        "SASL_SSL",
        &[
            "broker.session.timeout.ms=60000",
            "listener.name.secured.ssl.keystore.type=PEM",
            &keystore,
            "listener.name.secured.sasl.enabled.mechanisms=SCRAM-SHA-512",
            "listener.name.secured.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;",
        ],
    );
    let password = "SCRAM-SHA-512=[iterations=4096,password=its password]";
    let user = ["--alter", "--add-config", password, "--entity-type", "users", "--entity-name", "tollgate"];
    broker.tool("kafka.admin.ConfigCommand", &user);
    let registry = RegistryServer::start();
    let terminator = Terminator::start(&certificate, registry.url().trim_start_matches("http://"));

    let login = "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
                 \"sasl.username\" = \"tollgate\"\n\"sasl.password\" = \"its password\"\n";
    let trusting = format!("{login}\"ssl.ca.location\" = \"{}\"\n", certificate.certificate().display());
    let access = |properties: &str, trusted: Option<PathBuf>| Access {
        bootstrap: broker.secured(),
        properties: properties.to_owned(),
        registry: Some(format!("https://127.0.0.1:{}", terminator.port)),
        trusted,
    };
    let plan = Plan { name: "sealed", partitions: 2, by_log: true, registry: Some(registry.url()), ..Plan::default() };
    let mut deployment = Deployment::create(&broker, Plan { access: Some(access(&trusting, None)), ..plan });
    let said = deployment.start("a").gives_up();
    assert!(said.contains("https://127.0.0.1") && said.contains("certificate"), "the registry is not trusted:\n{said}");

    let trusted = Some(certificate.certificate());
    let other = Certificate::make();
    let elsewhere = format!("{login}\"ssl.ca.location\" = \"{}\"\n", other.certificate().display());
    deployment.plan.access = Some(access(&elsewhere, trusted.clone()));
    let said = deployment.start("a").gives_up();
    assert!(said.contains("certificate verify failed"), "the broker is not trusted:\n{said}");

    deployment.plan.access = Some(access(&trusting, trusted));
    runs(&deployment);
    assert!(!registry.requests().is_empty(), "its schemas are registered");
}
