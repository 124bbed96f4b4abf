//! Runs that go well, and runs that are cut off once or twice.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tollgate::stream::Topic;

use crate::cluster::{Deployment, Plan, Process, data, now, shared_broker};
use crate::oracle;
use crate::produce::{Loader, traffic};
use crate::segments::transactions;

/// How long a run of a test may take.
const LIMIT: Duration = Duration::from_mins(5);

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
    processes.into_iter().for_each(Process::terminate);
    let figures = oracle::check(&deployment);
    assert_eq!(figures.records, 20_004);
    assert!(figures.outputs > 10_000 && figures.stored > 1_000, "{figures:?}");
}

/// Whether a process has made or read a store.
fn has_had_a_partition(deployment: &Deployment, instance: &str) -> bool {
    let is_store = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("partition-");
    std::fs::read_dir(deployment.state(instance)).is_ok_and(|entries| entries.flatten().any(is_store))
}

#[test]
fn two_processes_share_the_partitions() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "shared", ..Plan::default() });
    let settings = traffic(2, 20_000, 600);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    let mut processes = [deployment.start("a"), deployment.start("b")];
    loader.stream(&settings, |sent| {
        // Some of it arrives after both have partitions.
        if sent == 10_000 {
            deployment.wait_until_drained(&mut processes, LIMIT);
            let end = now() + LIMIT;
            while !["a", "b"].into_iter().all(|instance| has_had_a_partition(&deployment, instance)) {
                processes.iter_mut().for_each(Process::assert_runs);
                assert!(now() <= end, "both get partitions");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    });
    loader.finish();
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    assert_eq!(oracle::check(&deployment).records, 20_000);
}

#[test]
fn a_new_format_of_state_can_be_taken_back() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "upgraded", ..Plan::default() });
    let settings = traffic(4, 24_000, 600);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    deployment.write_format(1);
    let mut processes = Some([deployment.start("a"), deployment.start("b")]);
    loader.stream(&settings, |sent| {
        // One after the other, as members are upgraded: in between, one reads what the other has written.
        let rolls = [(4_000, 0, 2), (8_000, 1, 2), (12_000, 0, 1), (16_000, 1, 1), (20_000, 1, 2)];
        if let Some((_, index, format)) = rolls.into_iter().find(|(at, ..)| *at == sent) {
            let mut running = processes.take().expect("two processes");
            deployment.wait_until_drained(&mut running, LIMIT);
            deployment.write_format(format);
            let mut running: Vec<Process> = running.into();
            let process = running.remove(index);
            let instance = process.instance;
            process.terminate();
            running.insert(index, deployment.start(instance));
            processes = running.try_into().ok();
        }
    });
    loader.finish();
    let mut processes = processes.expect("two processes");
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    assert_eq!(oracle::check(&deployment).records, 24_000);
}

#[test]
fn a_worker_that_is_killed_again_and_again_loses_and_repeats_nothing() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "killed", ..Plan::default() });
    let settings = traffic(3, 60_000, 1_500);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    let mut process = Some(deployment.start("a"));
    loader.stream(&settings, |sent| {
        if sent % 12_000 == 0 {
            // Long enough for it to be in the middle of what was sent.
            std::thread::sleep(Duration::from_millis(1_500));
            process.take().expect("a process").kill();
            process = Some(deployment.start("a"));
        }
    });
    loader.finish();
    let mut processes = [process.take().expect("a process")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    assert_eq!(oracle::check(&deployment).records, 60_000);
}

#[test]
fn a_worker_that_is_asked_to_end_in_the_middle_leaves_nothing_open() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "asked", ..Plan::default() });
    let settings = traffic(4, 30_000, 900);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    let mut process = Some(deployment.start("a"));
    loader.stream(&settings, |sent| {
        if sent % 10_000 == 0 {
            std::thread::sleep(Duration::from_millis(1_500));
            process.take().expect("a process").terminate();
            for topic in Topic::WRITTEN {
                // The end of a transaction is decided when it is answered, and reaches its partitions after that.
                let look = || {
                    let found = transactions(&data(&broker), &deployment.topic(topic), deployment.plan.partitions);
                    (found.open_records, found.cut_off().len())
                };
                let waited = (0..300).find(|_| {
                    std::thread::sleep(Duration::from_millis(100));
                    look() == (0, 0)
                });
                assert!(waited.is_some(), "{topic:?}: records open and cut off: {:?}; everything is committed", look());
            }
            process = Some(deployment.start("a"));
        }
    });
    loader.finish();
    let mut processes = [process.take().expect("a process")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    assert_eq!(oracle::check(&deployment).aborted, 0);
}

#[test]
fn a_state_that_was_lost_is_built_anew_from_the_changelogs() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "lost", ..Plan::default() });
    let settings = traffic(5, 20_000, 600);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    let mut process = Some(deployment.start("a"));
    loader.stream(&settings, |sent| {
        if sent == 12_000 {
            let mut processes = [process.take().expect("a process")];
            deployment.wait_until_drained(&mut processes, LIMIT);
            let [running] = processes;
            running.kill();
            std::fs::remove_dir_all(deployment.state("a")).expect("the state is there to be lost");
            process = Some(deployment.start("a"));
        }
    });
    loader.finish();
    let mut processes = [process.take().expect("a process")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    assert_eq!(oracle::check(&deployment).records, 20_000);
}

/// A small file system in memory, mounted over a directory.
struct Small<'d>(&'d Path);

impl<'d> Small<'d> {
    fn over(directory: &'d Path, size: &str) -> Self {
        std::fs::create_dir_all(directory).expect("a directory");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(directory).status();
        assert!(mounted.is_ok_and(|status| status.success()), "who runs this may mount file systems");
        Self(directory)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
#[ignore = "needs the right to mount a file system: `make disk-full`"]
fn a_full_disk_keeps_nobody_waiting_and_is_written_again_once_there_is_room() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "full", ..Plan::default() });
    let settings = traffic(7, 400_000, 40_000);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    let state = deployment.state("a");
    let _small = Small::over(&state, "size=96m");
    let ballast = state.join("ballast");
    let mut process = Some(deployment.start("a"));
    loader.stream(&settings, |sent| {
        let running = process.as_mut().expect("a process");
        if sent == 40_000 {
            deployment.wait_until_drained(std::slice::from_mut(running), LIMIT);
            // As much as fits.
            let mut file = std::fs::File::create(&ballast).expect("a file");
            while file.write_all(&[0; 4_096]).is_ok() {}
        }
        if sent == 360_000 {
            running.wait_for("the disk is full", |process| process.told().contains("the disk is full").then_some(()));
            deployment.wait_until_drained(std::slice::from_mut(running), LIMIT);
            std::fs::remove_file(&ballast).expect("the ballast");
            running
                .wait_for("there is room", |process| process.told().contains("the disk has room again").then_some(()));
        }
    });
    loader.finish();
    let mut processes = [process.take().expect("a process")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    processes.into_iter().for_each(Process::terminate);
    assert_eq!(oracle::check(&deployment).records, 400_000);
}

/// Changes bytes in the middle of all files of rows in a directory. Tells how many files those are.
fn damage(directory: &Path) -> usize {
    let files = std::fs::read_dir(directory).expect("a store").flatten().map(|entry| entry.path());
    let tables: Vec<_> = files.filter(|file| file.extension().is_some_and(|kind| kind == "sst")).collect();
    for table in &tables {
        let mut bytes = std::fs::read(table).expect("a file");
        let length = bytes.len();
        bytes[length / 4..length / 2].iter_mut().step_by(512).for_each(|byte| *byte ^= 0x55);
        std::fs::write(table, bytes).expect("it is written");
    }
    tables.len()
}

#[test]
fn a_store_that_is_damaged_is_put_aside_and_built_anew_while_the_others_go_on() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "damaged", ..Plan::default() });
    let settings = traffic(6, 24_000, 600);
    let mut loader = Loader::of(&deployment);
    loader.references(&deployment, &settings);
    let mut process = Some(deployment.start("a"));
    let store = deployment.state("a").join("partition-1");
    loader.stream(&settings, |sent| {
        if [8_000, 16_000].contains(&sent) {
            let mut processes = [process.take().expect("a process")];
            deployment.wait_until_drained(&mut processes, LIMIT);
            processes.into_iter().for_each(Process::terminate);
            // What was only in its log by the first time is in files of rows by the second.
            if sent == 16_000 {
                assert!(damage(&store) > 0, "it has files of rows");
            }
            process = Some(deployment.start("a"));
        }
    });
    loader.finish();
    let mut processes = [process.take().expect("a process")];
    deployment.wait_until_drained(&mut processes, LIMIT);
    let [process] = processes;
    assert!(store.with_extension("aside").exists(), "it was found out:\n{}", process.said());
    assert!(!store.with_file_name("partition-0.aside").exists(), "the others were left alone");
    process.terminate();
    assert_eq!(oracle::check(&deployment).records, 24_000);
}
