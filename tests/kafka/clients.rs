//! The example clients, in Python and in Java, against Tollgate itself: they ask and are answered, and the bill they
//! add up is the one that `tollgate replay` tells of the same events.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tollgate::codec::records;
use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, Process, shared_broker, tollgate, wall};
use crate::oracle;
use crate::produce::{Loader, messages};
use crate::registry_server::RegistryServer;

/// The only number of the generated stream, one who wrote to it, and one who never did.
const NUMBER: &str = "100007310000000";
const WROTE: &str = "5511000000000";
const NEVER_WROTE: &str = "5511000000001";

const LIMIT: Duration = Duration::from_mins(3);

#[test]
fn clients_are_answered_and_add_up_the_bill_of_a_replay_in_single_objects() {
    check(Plan { name: "clients", ..Plan::default() }, None);
}

#[test]
fn clients_are_answered_and_add_up_the_bill_of_a_replay_behind_a_registry() {
    let registry = RegistryServer::start();
    check(Plan { name: "registered", registry: Some(registry.url()), ..Plan::default() }, Some(&registry));
}

#[test]
fn the_clients_own_tests_pass() {
    // Those in Java are part of their build.
    let mut command = Clients::installed().python();
    succeeded(
        "the Python clients' tests",
        command.args(["-m", "unittest"]).env("TOLLGATE", env!("CARGO_BIN_EXE_tollgate")),
    );
}

fn check(plan: Plan, registry: Option<&RegistryServer>) {
    let clients = Clients::installed();
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, plan);
    let month = Month::generate(&deployment);
    let mut loader = Loader::of(&deployment);
    month.load(&deployment, &mut loader);
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);

    // The month is over, and somebody writes now.
    messages(NUMBER, 0..1, wall(), |event| loader.event(&records::Event { account_id: None, ..event.clone() }));
    loader.finish();
    for program in [Program::Python, Program::Java] {
        let ask = |person: &str| clients.ask(program, &deployment, registry, person);
        let yes = ask(WROTE);
        assert_eq!((&yes.0, yes.1["reason"].as_str()), (&0, Some("service_window_open")), "{program:?}");
        let no = ask(NEVER_WROTE);
        assert_eq!((&no.0, no.1["reason"].as_str()), (&10, Some("service_window_never_opened")), "{program:?}");
        let bill = clients.bill(program, &deployment, registry);
        assert_eq!(bill["reversals"], month.summary["reversals"], "{program:?}");
        assert_eq!(of_clients(&bill), of_replay(&month.summary), "{program:?}");
    }
    assert!(month.summary["reversals"].as_u64() > Some(5), "there is something to net");
    processes.into_iter().for_each(Process::terminate);
    println!("clients: {:?}", oracle::check(&deployment));
}

/// A month of one number's events with corrections that came late, and what a replay says of it.
struct Month {
    directory: TempDir,
    late: PathBuf,
    summary: Value,
}

impl Month {
    fn generate(deployment: &Deployment) -> Self {
        let directory = tempfile::Builder::new().prefix("tollgate-month-").tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        let late = root().join("examples/clients/testdata/late.ndjson");
        let config = deployment.config_file("replay");
        let mut generate = tollgate(&config);
        generate.args(["loadgen", "--events", "20000", "--contacts", "50", "--numbers", "1", "--start", "2026-10-01"]);
        succeeded("the generator", generate.args(["--days", "31", "--out"]).arg(at("month.ndjson")));
        let mut replay = tollgate(&config);
        replay.arg("replay").args([at("month.ndjson"), late.clone()]);
        replay.arg("--accounts").arg(at("month.accounts.ndjson")).arg("--templates").arg(at("month.templates.ndjson"));
        replay.arg("--config").arg(&config).arg("--out").arg(at("out")).args(["--summary", "json"]);
        let summary = succeeded("the replay", &mut replay);
        let summary = serde_json::from_slice(&summary.stdout).expect("a summary");
        Self { directory, late, summary }
    }

    /// Sends all of it in the order in which it arrived.
    fn load(&self, deployment: &Deployment, loader: &mut Loader) {
        let text = |path: &Path| std::fs::read_to_string(path).expect("a file of the generator's");
        let file = |name: &str| text(&self.directory.path().join(name));
        for line in file("month.accounts.ndjson").lines() {
            loader.account(&deployment.topic(Topic::Accounts), &serde_json::from_str(line).expect("an account"));
        }
        for line in file("month.templates.ndjson").lines() {
            loader.template(&deployment.topic(Topic::Templates), &serde_json::from_str(line).expect("a template"));
        }
        loader.finish();
        let (month, late) = (file("month.ndjson"), text(&self.late));
        let read = |line| serde_json::from_str::<records::Event<'_>>(line).expect("an event");
        let mut events: Vec<_> = month.lines().chain(late.lines()).map(read).collect();
        events.sort_by_key(|event| event.received_at);
        for event in &events {
            loader.event(event);
        }
        loader.finish();
    }
}

/// How many messages a market and a category have, how many of them are free and how many without a price, and the
/// amount in billionths.
type Rows = BTreeMap<(String, String), [i128; 4]>;

fn add(rows: &mut Rows, row: &Value, counts: [i128; 3]) {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let sums = rows.entry((text("market"), text("category"))).or_default();
    let amount = billionths(row["amount"].as_str().unwrap_or("0"));
    for (sum, more) in sums.iter_mut().zip(counts.into_iter().chain([amount])) {
        *sum += more;
    }
}

fn of_clients(bill: &Value) -> Rows {
    let mut rows = Rows::new();
    for row in bill["rows"].as_array().expect("rows") {
        let count = |name: &str| i128::from(row[name].as_i64().expect("a count"));
        add(&mut rows, row, ["quantity", "free", "unknown"].map(count));
    }
    rows
}

fn of_replay(summary: &Value) -> Rows {
    let mut rows = Rows::new();
    for row in summary["bill"].as_array().expect("rows") {
        let (kind, count) = (row["entry_type"].as_str(), i128::from(row["messages"].as_i64().expect("a count")));
        let if_it_is = |wanted: &str| if kind == Some(wanted) { count } else { 0 };
        add(&mut rows, row, [count, if_it_is("FREE"), if_it_is("UNKNOWN")]);
    }
    rows
}

/// A decimal number in billionths, which is more than any price needs.
fn billionths(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<9}").parse().expect("a decimal number")
}

/// The language of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Python,
    Java,
}

/// The clients, with everything that they need.
struct Clients {
    python: PathBuf,
}

impl Clients {
    /// Brings what the clients need, once. What cannot be brought fails the test, and says why.
    fn installed() -> &'static Self {
        static CLIENTS: OnceLock<Clients> = OnceLock::new();
        CLIENTS.get_or_init(|| {
            let needs = root().join("deploy/needs.sh");
            succeeded("deploy/needs.sh", Command::new(needs).args(["python", "java", "maven"]));
            let environment = root().join("target/clients");
            let python = environment.join("bin/python");
            if !python.exists() {
                succeeded("python3 -m venv", Command::new("python3").args(["-m", "venv"]).arg(&environment));
            }
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(sources("python/requirements.txt"));
            succeeded("pip", &mut pip);
            let mut maven = Command::new("mvn");
            succeeded(
                "Maven",
                maven.args(["--batch-mode", "--quiet", "package", "--file"]).arg(sources("java/pom.xml")),
            );
            Self { python }
        })
    }

    fn python(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(sources("python"));
        command
    }

    /// A client that has been told where everything is.
    fn start(
        &self,
        (program, name): (Program, &str),
        deployment: &Deployment,
        registry: Option<&RegistryServer>,
    ) -> Command {
        let mut command = if program == Program::Python {
            let mut command = self.python();
            command.arg(format!("{}.py", name.to_lowercase()));
            command
        } else {
            let mut command = Command::new("java");
            command.current_dir(sources("java")).args(["-cp", "target/classes:target/lib/*"]);
            command.arg(format!("tollgate.clients.{name}"));
            command
        };
        command.args(["--json", "--bootstrap", deployment.bootstrap()]);
        if let Some(registry) = registry {
            command.args(["--registry", &registry.url()]);
        }
        command
    }

    /// Asks whether the number may send free-form text to a person: the exit code, and the verdict.
    fn ask(
        &self,
        program: Program,
        deployment: &Deployment,
        registry: Option<&RegistryServer>,
        person: &str,
    ) -> (i32, Value) {
        let mut command = self.start((program, "Ask"), deployment, registry);
        command.args(["--number", NUMBER, "--to", person, "--timeout", "60"]);
        command.args([
            "--events",
            &deployment.topic(Topic::Input(0)),
            "--verdicts",
            &deployment.topic(Topic::Verdicts),
        ]);
        let output = command.output().expect("it can be run");
        let verdict = serde_json::from_slice(&output.stdout);
        let verdict = verdict.unwrap_or_else(|_| panic!("{program:?} prints a verdict, not:\n{}", told(&output)));
        (output.status.code().expect("it ends by itself"), verdict)
    }

    /// Adds up the ledger.
    fn bill(&self, program: Program, deployment: &Deployment, registry: Option<&RegistryServer>) -> Value {
        let mut command = self.start((program, "Bill"), deployment, registry);
        command.args(["--until-end", "--billing", &deployment.topic(Topic::Billing)]);
        serde_json::from_slice(&succeeded("the bill", &mut command).stdout).expect("a bill")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(path: &str) -> PathBuf {
    root().join("examples/clients").join(path)
}

/// Runs a command to its end. If it fails, all it said is the reason for which the test fails.
fn succeeded(what: &str, command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{what} cannot be run: {error}"));
    assert!(output.status.success(), "{what} failed ({}):\n{}", output.status, told(&output));
    output
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).join("\n")
}
