//! What librdkafka does with what it is told, where that is not plain from its documentation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tollgate::kafka::{Kafka, Names};
use tollgate::run;
use tollgate::stream::{Found, Log, NextOffset, Partition, Records, Slot, Topic};

use crate::cluster::{Deployment, Plan, now, shared_broker};
use crate::produce::Loader;

/// How long anything here may take.
const LIMIT: Duration = Duration::from_mins(1);

/// A member of the deployment's group.
fn member(deployment: &Deployment, instance: &str) -> Kafka {
    let mut stream = deployment.config().stream;
    instance.clone_into(&mut stream.instance);
    let settings = run::connection(&stream, "0");
    Kafka::connect(settings, Arc::new(Names::new(stream.topics))).expect("settings that can be used")
}

/// Polls members until one of them finds what is looked for. Whoever gives up partitions lets the group go on.
fn until<T>(members: &mut [Kafka], mut found: impl FnMut(usize, &Found, &Records) -> Option<T>) -> T {
    let end = now() + LIMIT;
    let mut records = Records::default();
    loop {
        for (index, member) in members.iter_mut().enumerate() {
            records.clear();
            let event = member.poll(Duration::from_millis(20), &mut records).expect("nothing goes wrong here");
            if matches!(event, Found::Revoked(_) | Found::Lost(_)) {
                member.unassign().expect("the broker answers");
            }
            if let Some(found) = found(index, &event, &records) {
                return found;
            }
        }
        assert!(now() <= end, "nothing of what is waited for has come");
    }
}

#[test]
fn what_was_not_ready_in_one_assignment_is_read_in_the_next() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "edge", partitions: 2, ..Plan::default() });
    let mut loader = Loader::of(&deployment);
    for partition in [0, 1] {
        loader.raw(partition, b"a key", b"a record");
    }
    loader.finish();
    let mut members = vec![member(&deployment, "a")];
    let all = until(&mut members, |_, event, _| match event {
        Found::Assigned(slots) => Some(slots.clone()),
        _ => None,
    });
    assert_eq!(all.len(), 4, "two partitions of events and two of charges");
    // Nothing is ready for so long that the assignment is answered all the same: it is taken, and not read.
    let end = now() + LIMIT;
    while members[0].assign(&[]).is_err() {
        assert!(now() <= end, "the group waits for its answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    members.push(member(&deployment, "b"));
    let mut assigned = BTreeSet::new();
    until(&mut members, |index, event, _| {
        // The first may get all of it once more before the second has joined.
        if let Found::Assigned(slots) = event
            && slots.len() == 2
        {
            assigned.insert(index);
        }
        (assigned.len() == 2).then_some(())
    });
    for (index, member) in members.iter_mut().enumerate() {
        let partition = Partition(u32::try_from(index).expect("few members"));
        let slots = [Topic::Input(0), Topic::Charges].map(|topic| (Slot { topic, partition }, NextOffset::START));
        member.assign(&slots).expect("all of it is ready");
    }
    let mut read = BTreeSet::new();
    until(&mut members, |_, _, records| {
        read.extend(records.heads().iter().map(|head| head.slot));
        (read.len() == 2).then_some(())
    });
}

#[test]
fn the_end_of_a_partition_is_what_is_committed_and_waits_for_no_fetch() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "ends", partitions: 2, ..Plan::default() });
    let mut members = vec![member(&deployment, "a")];
    let all = until(&mut members, |_, event, _| match event {
        Found::Assigned(slots) => Some(slots.clone()),
        _ => None,
    });
    let mut member = members.remove(0);
    let end = now() + LIMIT;
    while member.recycle().is_err() {
        assert!(now() <= end, "a producer can be made");
    }
    // Nothing is there to be read, so that every fetch waits for as long as it may.
    member.assign(&all.iter().map(|slot| (*slot, NextOffset::START)).collect::<Vec<_>>()).expect("all is ready");
    let slot = Slot { topic: Topic::Contacts, partition: Partition(0) };
    member.begin().expect("a transaction");
    member.produce(slot, Some(b"a key"), Some(b"a row")).expect("there is room");
    member.drain().expect("it reaches the log");
    let (began, mut records) = (now(), Records::default());
    for _ in 0..20 {
        assert_eq!(member.end(slot), Ok(NextOffset::START), "nothing is committed yet");
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "20 answers take {took:?}; behind fetches it would be half a second each");
    member.commit().expect("it is committed");
    let behind = NextOffset::at(2).expect("a position");
    while member.end(slot) != Ok(behind) {
        assert!(now() <= end, "the record and its marker can be seen");
        member.poll(Duration::from_millis(20), &mut records).expect("nothing goes wrong here");
    }
}

#[test]
fn of_two_members_with_one_name_the_older_gives_way_and_says_so() {
    let broker = shared_broker();
    let deployment = Deployment::create(&broker, Plan { name: "twins", partitions: 2, ..Plan::default() });
    let is_assigned = |_, event: &Found, _: &Records| matches!(event, Found::Assigned(_)).then_some(());
    let mut older = vec![member(&deployment, "a")];
    until(&mut older, is_assigned);
    let mut older = older.remove(0);
    older.assign(&[]).unwrap_or_default();
    let mut newer = member(&deployment, "a");
    let (mut records, mut times_lost) = (Records::default(), 0);
    let end = now() + LIMIT;
    // Each drives the other out; who is driven out once may be wrong about that, and joins again.
    let why = loop {
        assert!(now() <= end, "one of them gives way");
        let event = newer.poll(Duration::from_millis(20), &mut records).expect("the newer one goes on");
        times_lost += u32::from(matches!(event, Found::Lost(_)));
        if matches!(event, Found::Revoked(_) | Found::Lost(_)) {
            newer.unassign().expect("the broker answers");
        }
        match older.poll(Duration::from_millis(20), &mut records) {
            Ok(Found::Revoked(_) | Found::Lost(_)) => older.unassign().expect("the broker answers"),
            Ok(_) => {}
            Err(why) => break why.to_string(),
        }
    };
    assert!(why.contains("give every process a name of its own"), "{why}");
    assert_eq!(times_lost, 1);
}
