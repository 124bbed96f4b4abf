//! Runs that go well, and runs that are cut off once or twice.

use std::time::Duration;

use crate::cluster::{Deployment, Plan, shared_broker};
use crate::oracle;
use crate::produce::{Loader, traffic};
use crate::reading::Positions;

/// How long a run of a test may take.
const LIMIT: Duration = Duration::from_mins(2);

#[test]
fn one_worker_drains_its_input_exactly_once() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "drained", json: true, ..Plan::default() });
    let settings = traffic(1, 20_000, 600);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    loader.stream(&settings, |_| ());
    // What nobody meant is no reason to stop, and is in the dead letters once.
    for (partition, value) in [(0, &b"{"[..]), (1, b""), (2, b"\xC3\x01nonsense"), (3, b"{\"kind\":7}")] {
        loader.raw(partition, b"a key", value);
    }
    loader.finish();
    let mut processes = [deployment.start("a")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(crate::cluster::Process::terminate);
    let figures = oracle::check(&deployment);
    assert_eq!(figures.records, 20_004);
    assert!(figures.outputs > 10_000 && figures.stored > 1_000, "{figures:?}");
}
