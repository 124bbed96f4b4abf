//! What is known of accounts and templates, where their records are framed by a registry that is not there at first.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use tollgate::codec::frame::Framing;
use tollgate::codec::{records, schema};
use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, Process, now, shared_broker};
use crate::produce::{Loader, known, traffic};
use crate::reading::{Isolation, Positions, scan};
use crate::registry_server::{Mood, RegistryServer};

const LIMIT: Duration = Duration::from_mins(2);

/// Lines of the ledger by what they are, and those without a price by what is not known.
fn bill(deployment: &Deployment) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    let (topic, all) = (deployment.topic(Topic::Billing), 0..deployment.plan.partitions);
    scan(deployment.bootstrap(), &topic, all, Isolation::Committed, |read| {
        let line: records::BillingEntry<'_> =
            serde_json::from_slice(read.value.expect("a line is never deleted")).expect("a line");
        let what = line.unknown_reason.as_ref().unwrap_or(&line.entry_type);
        *lines.entry(what.as_str().to_owned()).or_default() += 1;
    });
    lines
}

#[test]
fn nothing_is_folded_before_the_registry_tells_how_to_read_accounts_and_templates() {
    let broker = shared_broker();
    let registry = RegistryServer::start();
    let plan = Plan { name: "references", json: true, registry: Some(registry.url()), ..Plan::default() };
    let deployment = Deployment::create(&broker, plan);
    let framing =
        |topic: Topic, text| Framing::Registry(registry.register(&format!("{}-value", deployment.topic(topic)), text));
    let accounts = framing(Topic::Accounts, schema::ACCOUNT.text);
    let templates = framing(Topic::Templates, schema::TEMPLATE_HISTORY.text);
    registry.set_mood(Mood::Silent);

    let settings = traffic(9, 6_000, 300);
    let mut loader = Loader::of(&deployment);
    loader.frame_references(accounts, templates);
    loader.references(&deployment, &settings);
    loader.stream(&settings, |_| ());
    loader.finish();
    let mut processes = [deployment.start("a")];
    let end = now() + LIMIT;
    while processes[0].said().matches("the reference topics wait for a schema").count() < 3 {
        assert!(now() < end, "the registry is asked again and again\n{}", processes[0].said());
        processes[0].assert_runs();
        thread::sleep(Duration::from_millis(100));
    }
    let positions = Positions::of(deployment.bootstrap(), deployment.plan.name);
    let committed = positions.committed(&deployment.topic(Topic::Input(0)), deployment.plan.partitions);
    assert!(committed.expect("the group's positions").values().all(Option::is_none), "nothing is folded meanwhile");

    registry.set_mood(Mood::Well);
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    let bill = bill(&deployment);
    assert!(bill.get("CHARGE") > Some(&100), "messages have prices: {bill:?}");
    for of_accounts in ["time_zone_unknown", "currency_unknown"] {
        assert_eq!(bill.get(of_accounts), None, "what accounts tell is known: {bill:?}");
    }
    let asked = registry.requests();
    let schemas = asked.iter().filter(|request| request.starts_with("GET /schemas/ids/")).count();
    assert_eq!(schemas, 2, "each schema is asked for until it is told, and not again: {asked:?}");
}

/// What ledgers tell of what is used comes all the time, so that nobody who follows it is ever at its end for long.
#[test]
fn what_grows_all_the_time_is_no_reason_to_doubt_what_is_known() {
    let broker = shared_broker();
    let settings = "reference_patience = \"7s\"\n";
    let deployment = Deployment::create(&broker, Plan { name: "growing", settings, ..Plan::default() });
    let traffic = traffic(9, 100, 10);
    let known = known(&traffic);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &traffic);
    let mut process = deployment.start("a");
    let (began, topic) = (now(), deployment.topic(Topic::Accounts));
    while began.elapsed() < Duration::from_secs(20) {
        known.accounts.iter().for_each(|account| loader.account(&topic, account));
        loader.finish();
        process.assert_runs();
    }
    let said = process.said();
    assert!(said.contains("reference topics read to their end"), "{said}");
    assert!(!said.contains("verdicts that rest on the reference topics are unknown"), "{said}");
    process.terminate();
}
