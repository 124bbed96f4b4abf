//! A broadcast's windows, which all close at one record: more than one transaction can hold.

use std::time::Duration;

use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, now, shared_broker};
use crate::oracle;
use crate::produce::{Loader, messages, traffic};
use crate::reading::Positions;

/// How many windows close at once where `DEADLINES` does not say.
const WINDOWS: u64 = 40_000;

/// When people wrote, and when the record comes that their windows have closed before.
const WROTE: i64 = 1_791_200_000_000;
const LATER: i64 = WROTE + 3 * 24 * 60 * 60 * 1_000;

#[test]
fn windows_that_close_at_one_record_do_so_once_however_often_the_worker_is_killed_between_them() {
    let windows = std::env::var("DEADLINES").map_or(WINDOWS, |text| text.parse().expect("DEADLINES is a number"));
    let limit = Duration::from_secs(300 + windows / 1_000);
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "deadlines", partitions: 1, ..Plan::default() });
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &traffic(6, 1, 1));
    messages("107310000000001", 0..windows, WROTE, |event| loader.event(event));
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, limit);

    let positions = Positions::of(deployment.bootstrap(), deployment.plan.name);
    let (input, edges) = (deployment.topic(Topic::Input(0)), deployment.topic(Topic::Windows));
    let all_records = Positions::of_all_records(deployment.bootstrap());
    let closed = || positions.end(&edges, 0).expect("the end of a partition");
    let written = || all_records.end(&edges, 0).expect("the end of a partition");
    let mut before = closed();
    messages("107310000000001", windows..windows + 1, LATER, |event| loader.event(event));
    loader.finish();
    let last = i64::try_from(windows).expect("few windows");
    let [mut process] = processes;
    for kill in 1..=2 {
        let end = now() + limit;
        // Some have closed, and others are in a transaction that is open.
        while closed() == before || written() == closed() {
            process.assert_runs();
            assert!(now() < end, "windows close\n{}", process.said());
            std::thread::sleep(Duration::from_millis(1));
        }
        process.kill();
        before = closed();
        let stands = positions.committed(&input, 1).expect("the group's position")[&0];
        assert_eq!(stands, Some(last), "kill {kill} comes while windows are closing");
        process = deployment.start("a");
    }
    let mut processes = [process];
    deployment.wait_until_drained(&mut processes, limit);
    let [process] = processes;
    process.terminate();
    let figures = oracle::check(&deployment);
    assert_eq!(figures.records, windows + 1);
    assert!(figures.between_deadlines >= 2, "{figures:?}");
    assert!(figures.aborted > 0, "kills cut transactions off: {figures:?}");
    println!("{windows} windows: {figures:?}");
}
