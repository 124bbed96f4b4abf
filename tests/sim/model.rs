//! The cluster by itself: what Kafka's documents say of markers, epochs, generations and pending offsets.

use tollgate::stream::{Committed, NextOffset, Partition, Slot, Topic};

use crate::broker::group::{Group, Home, MemberId, Misdeed, Patience, Pulse};
use crate::broker::partition::{Ending, Pair, PartitionLog, Producer};
use crate::broker::transactions::{Decision, Target, Transactions};
use crate::broker::{Broker, Code, Request, Response};
use crate::disk::Disk;
use crate::time::SECOND;

const PATIENCE: Patience = Patience { session: 6 * SECOND, rebalance: 5 * SECOND };
const SLOT: Slot = Slot { topic: Topic::Verdicts, partition: Partition(0) };
const INPUT: Slot = Slot { topic: Topic::Input(0), partition: Partition(0) };

fn at(offset: i64) -> Committed {
    NextOffset::at(offset).expect("an offset").into()
}

fn pair(value: &str) -> Pair {
    (None, Some(value.as_bytes().to_vec()))
}

fn visible(log: &PartitionLog) -> Vec<(i64, String)> {
    let text = |value: &Option<Vec<u8>>| String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
    log.visible().map(|(record, (_, value))| (record.offset, text(value))).collect()
}

/// Writes every marker that has been decided on.
fn settle(broker: &mut Broker) {
    for decision in broker.transactions.decisions() {
        if let Decision::Mark { identity, number, producer, target, ending, .. } = decision {
            broker.mark(0, identity, number, producer, target, ending);
        }
    }
}

fn init(broker: &mut Broker) -> Producer {
    loop {
        if let Response::Producer(producer) = broker.serve(0, &Request::InitProducer { identity: 0 }) {
            return producer;
        }
        settle(broker);
    }
}

fn add(broker: &mut Broker, producer: Producer, target: Target) -> Response {
    broker.serve(0, &Request::AddTargets { identity: 0, producer, targets: [target].into() })
}

fn produce(broker: &mut Broker, producer: Producer, sequence: u32, value: &str) -> Response {
    let pairs = [pair(value)].into();
    broker.serve(0, &Request::Produce { identity: 0, producer, slot: SLOT, sequence, pairs })
}

fn end(broker: &mut Broker, producer: Producer, ending: Ending) -> Response {
    broker.serve(0, &Request::EndTransaction { identity: 0, producer, ending })
}

fn join(
    group: &mut Group,
    now: u64,
    identity: usize,
    member: Option<MemberId>,
) -> Vec<(usize, MemberId, i32, Vec<Slot>)> {
    group.join(now, identity, Home { process: identity, life: 0, attempt: 0 }, member);
    group
        .assignments()
        .into_iter()
        .map(|given| (given.home.process, given.member, given.generation, given.slots))
        .collect()
}

#[test]
fn markers_take_offsets_and_an_open_transaction_hides_what_follows() {
    let (one, two) = (Producer { id: 1, epoch: 0 }, Producer { id: 2, epoch: 0 });
    let mut log = PartitionLog::default();
    assert_eq!(log.produce(5, one, 0, &[pair("a")]), Ok(true));
    assert_eq!(log.produce(3, two, 0, &[pair("b")]), Ok(true));
    log.mark(6, two, Ending::Commit);
    log.append(7, pair("c"));
    assert_eq!((log.stable(), log.end(), visible(&log)), (0, 4, Vec::new()));
    log.mark(8, one, Ending::Abort);
    assert_eq!((log.stable(), visible(&log)), (5, vec![(1, "b".to_owned()), (3, "c".to_owned())]));
    assert_eq!(log.records().iter().map(|record| record.appended_at).collect::<Vec<_>>(), [5, 5, 6, 7, 8]);
}

#[test]
fn a_batch_that_is_sent_again_is_not_added_again() {
    let producer = Producer { id: 1, epoch: 3 };
    let mut log = PartitionLog::default();
    assert_eq!(log.produce(0, producer, 0, &[pair("a"), pair("b")]), Ok(true));
    assert_eq!(log.produce(0, producer, 0, &[pair("a"), pair("b")]), Ok(false));
    assert_eq!(log.produce(0, producer, 3, &[pair("d")]), Err(Code::OutOfOrder));
    assert_eq!(log.produce(0, Producer { id: 1, epoch: 2 }, 0, &[pair("z")]), Err(Code::Fenced));
    assert_eq!(log.end(), 2);
}

#[test]
fn what_retention_dropped_is_gone() {
    let mut log = PartitionLog::default();
    (0..4).for_each(|_| log.append(0, pair("a")));
    log.drop_below(3);
    assert_eq!((log.start(), log.end(), log.from(0).len()), (3, 4, 1));
}

#[test]
fn a_new_producer_waits_until_its_predecessor_has_ended_and_fences_it() {
    let mut broker = Broker::new(1, 1, &[Topic::Input(0)], PATIENCE);
    let first = init(&mut broker);
    assert_eq!(add(&mut broker, first, Target::Slot(SLOT)), Response::Done);
    assert_eq!(produce(&mut broker, first, 0, "a"), Response::Done);
    let ask = Request::InitProducer { identity: 0 };
    assert_eq!(broker.serve(0, &ask), Response::Refused(Code::Concurrent));
    assert_eq!(broker.serve(0, &ask), Response::Refused(Code::Concurrent), "the marker is not written yet");
    assert_eq!(end(&mut broker, first, Ending::Commit), Response::Refused(Code::Fenced));
    let second = init(&mut broker);
    assert!(second.epoch > first.epoch);
    assert_eq!(produce(&mut broker, first, 1, "b"), Response::Refused(Code::Fenced));
    assert_eq!(visible(broker.log(SLOT)), []);
}

#[test]
fn an_end_that_comes_late_ends_the_next_transaction_of_the_same_epoch() {
    let mut broker = Broker::new(1, 1, &[Topic::Input(0)], PATIENCE);
    let producer = init(&mut broker);
    add(&mut broker, producer, Target::Slot(SLOT));
    produce(&mut broker, producer, 0, "a");
    // The first one is under way; the client sends it again.
    assert_eq!(end(&mut broker, producer, Ending::Commit), Response::Done);
    settle(&mut broker);
    add(&mut broker, producer, Target::Slot(SLOT));
    produce(&mut broker, producer, 1, "half");
    assert_eq!(end(&mut broker, producer, Ending::Commit), Response::Done, "the first one arrives");
    settle(&mut broker);
    assert_eq!(visible(broker.log(SLOT)), [(0, "a".to_owned()), (2, "half".to_owned())]);
    assert_eq!(produce(&mut broker, producer, 2, "other half"), Response::Refused(Code::InvalidState));
}

#[test]
fn a_transaction_that_times_out_is_aborted_and_its_producer_fenced() {
    let mut transactions = Transactions::default();
    let producer = transactions.init(0).expect("a producer");
    transactions.add(0, producer, &[Target::Slot(SLOT)]).expect("a transaction");
    assert!(!transactions.time_out(0, 0), "another transaction");
    assert!(transactions.time_out(0, 1));
    assert_eq!(transactions.end(0, producer, Ending::Commit), Err(Code::Fenced));
    assert!(!transactions.at_rest());
    transactions.marked(0, 1, Target::Slot(SLOT));
    assert!(transactions.at_rest());
}

#[test]
fn partitions_of_the_same_number_go_to_the_same_member_one_at_a_time() {
    let topics = [Topic::Input(0), Topic::Input(1), Topic::Charges];
    let mut group = Group::new(&topics, 5, PATIENCE);
    let [(_, first, 1, all)] = &join(&mut group, 0, 0, None)[..] else { panic!("one member has everything") };
    assert_eq!(all.len(), 15);
    assert_eq!(join(&mut group, 0, 1, None), [], "the first one has not given up its slots");
    assert_eq!(group.beat(0, 0, *first, 1), Pulse::Rebalance);
    let given = join(&mut group, 0, 0, Some(*first));
    assert_eq!(given.len(), 2);
    let mut seen = Vec::new();
    for (_, _, generation, slots) in &given {
        assert_eq!(*generation, 2);
        for topic in topics {
            let of = |topic| slots.iter().filter(move |slot| slot.topic == topic).map(|slot| slot.partition);
            assert!(of(topic).eq(of(Topic::Input(0))), "partitions of a number stay together");
        }
        seen.extend(slots);
    }
    seen.sort();
    assert_eq!((seen.len(), seen.first()), (15, Some(&INPUT)));
}

#[test]
fn a_machine_that_starts_again_takes_its_own_place_at_once() {
    let mut group = Group::new(&[Topic::Input(0)], 2, PATIENCE);
    let old = join(&mut group, 0, 0, None)[0].1;
    let again = join(&mut group, 0, 0, None);
    assert_eq!((again.len(), again[0].2, again[0].3.len()), (1, 1, 2), "the same generation, the same slots");
    assert_eq!(group.beat(0, 0, old, 1), Pulse::Fenced);
    let producer = Producer { id: 0, epoch: 0 };
    assert_eq!(group.commit_pending(0, Some(old), 1, producer, &[(INPUT, at(1))]), Err(Code::FencedInstance));
}

#[test]
fn who_is_silent_or_late_is_thrown_out_and_its_positions_are_refused() {
    let mut group = Group::new(&[Topic::Input(0)], 2, PATIENCE);
    let silent = join(&mut group, 0, 0, None)[0].1;
    assert_eq!(group.tick(7 * SECOND), (1, 0));
    let late = join(&mut group, 7 * SECOND, 1, None)[0].1;
    assert_eq!(group.beat(7 * SECOND, 0, silent, 1), Pulse::Unknown);
    join(&mut group, 8 * SECOND, 2, None);
    group.beat(12 * SECOND, 1, late, 2);
    assert_eq!(group.tick(13 * SECOND), (0, 1));
    let producer = Producer { id: 0, epoch: 0 };
    for member in [silent, late] {
        assert_eq!(group.commit_pending(9, Some(member), 2, producer, &[(INPUT, at(1))]), Err(Code::UnknownMember));
    }
}

#[test]
fn positions_are_pending_until_their_transaction_ends() {
    let mut group = Group::new(&[Topic::Input(0)], 1, PATIENCE);
    let member = join(&mut group, 0, 0, None)[0].1;
    let producer = Producer { id: 0, epoch: 0 };
    assert_eq!(group.commit_pending(0, Some(member), 0, producer, &[(INPUT, at(1))]), Err(Code::IllegalGeneration));
    assert_eq!(group.commit_pending(0, Some(member), 1, producer, &[(INPUT, at(5))]), Ok(()));
    assert_eq!(group.stable_offsets(&[INPUT]), Err(Code::Unstable));
    group.mark(producer, Ending::Abort);
    assert_eq!(group.stable_offsets(&[INPUT]), Ok(vec![None]));
    for next in [5, 4] {
        assert_eq!(group.commit_pending(0, Some(member), 1, producer, &[(INPUT, at(next))]), Ok(()));
        group.mark(producer, Ending::Commit);
    }
    assert_eq!(group.committed(INPUT), Some(4));
    assert_eq!(group.misdeeds(), [Misdeed::Backwards { slot: INPUT, from: 5, to: 4 }]);
}

#[test]
fn a_crash_takes_the_last_batches_of_a_disk_and_each_of_them_whole() {
    let mut disk = Disk::default();
    for n in 0..4_u8 {
        disk.commit(vec![(vec![n], Some(vec![n])), (b"position".to_vec(), Some(vec![n]))]);
    }
    assert_eq!(disk.unsynced(), 4);
    disk.crash(2);
    assert_eq!(disk.rows().keys().map(Vec::as_slice).collect::<Vec<_>>(), [&[0][..], &[1], b"position"]);
    assert_eq!(disk.rows().get(&b"position"[..]), Some(&vec![1]));
}
