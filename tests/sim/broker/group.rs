//! The group coordinator: the classic protocol with static members, eager rebalances and the range assignor,
//! and the committed offsets with those that wait for their transaction.

use std::collections::BTreeMap;

use tollgate::stream::{Committed, Partition, Slot, Topic};

use super::Code;
use super::partition::{Ending, Producer};
use crate::time::Micros;

/// The name of one membership. The same process gets another one each time it starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(u64);

/// Where answers to a member go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    pub process: usize,
    /// Which of the process's lives asked to join.
    pub life: u32,
    /// And for which time.
    pub attempt: u32,
}

/// One member.
struct Member {
    /// Its static name.
    identity: usize,
    home: Home,
    joined: bool,
    last_beat: Micros,
    slots: Vec<Slot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Stable,
    /// Members are asked to give up what they have and to join again, until this time.
    Joining {
        until: Micros,
    },
}

/// What a member has got, to be sent to it.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub home: Home,
    pub member: MemberId,
    pub generation: i32,
    pub slots: Vec<Slot>,
}

/// What a heartbeat is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulse {
    Fine,
    /// Give up what you have, and join again.
    Rebalance,
    /// You are no member.
    Unknown,
    /// Somebody else has your name.
    Fenced,
}

/// What came of somebody joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    Fine,
    /// It took the place of an older life of the same machine.
    Replaced,
    Fenced,
}

/// How long members may be silent, and how long they may take to join again.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    pub session: Micros,
    pub rebalance: Micros,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    committed: Committed,
    /// When it was sent, in the order of the offsets topic: an older one never replaces a newer one.
    written: u64,
}

/// Somebody committed what they should not have. The protocol permits it; a worker must not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misdeed {
    /// The slot was not the member's.
    NotAssigned { identity: usize, slot: Slot },
    /// The position is behind what was committed before.
    Backwards { slot: Slot, from: i64, to: i64 },
}

/// The group.
pub struct Group {
    topics: Vec<Topic>,
    partitions: u32,
    patience: Patience,
    generation: i32,
    phase: Phase,
    members: BTreeMap<MemberId, Member>,
    names: u64,
    offsets: BTreeMap<Slot, Entry>,
    pending: BTreeMap<u64, BTreeMap<Slot, Entry>>,
    written: u64,
    assignments: Vec<Assignment>,
    misdeeds: Vec<Misdeed>,
    takes_anything: bool,
}

impl Group {
    pub fn new(topics: &[Topic], partitions: u32, patience: Patience) -> Self {
        Self {
            topics: topics.to_vec(),
            partitions,
            patience,
            generation: 0,
            phase: Phase::Stable,
            members: BTreeMap::new(),
            names: 0,
            offsets: BTreeMap::new(),
            pending: BTreeMap::new(),
            written: 0,
            assignments: Vec::new(),
            misdeeds: Vec::new(),
            takes_anything: false,
        }
    }

    /// The topics that its members read.
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Assignments made since this was last asked.
    pub fn assignments(&mut self) -> Vec<Assignment> {
        std::mem::take(&mut self.assignments)
    }

    /// From now on takes positions from whoever sends them, as no broker may.
    pub fn takes_anything(&mut self) {
        self.takes_anything = true;
    }

    /// Commits that no worker may make, although the group takes them.
    pub fn misdeeds(&self) -> &[Misdeed] {
        &self.misdeeds
    }

    /// The committed position of a slot.
    pub fn committed(&self, slot: Slot) -> Option<i64> {
        self.told(slot).map(|committed| committed.next.offset())
    }

    /// The committed position of a slot, with what was noted beside it.
    pub fn told(&self, slot: Slot) -> Option<Committed> {
        self.offsets.get(&slot).map(|entry| entry.committed)
    }

    /// Whether no transaction is about to change a position, and no member about to move.
    pub fn at_rest(&self) -> bool {
        self.pending.is_empty() && self.phase == Phase::Stable
    }

    /// Asks all members to join again.
    pub fn rebalance(&mut self, now: Micros) {
        if self.phase == Phase::Stable {
            self.phase = Phase::Joining { until: now + self.patience.rebalance };
            for member in self.members.values_mut() {
                member.joined = false;
            }
        }
    }

    /// A process joins: anew, or as the member it was.
    pub fn join(&mut self, now: Micros, identity: usize, home: Home, member: Option<MemberId>) -> Joined {
        let present = self.members.iter().find(|(_, other)| other.identity == identity).map(|(id, _)| *id);
        match (present, member) {
            (Some(present), Some(own)) if present == own => {
                // Whoever joins out of turn makes everybody join.
                self.rebalance(now);
                if let Some(member) = self.members.get_mut(&own) {
                    (member.joined, member.last_beat, member.home) = (true, now, home);
                }
                self.complete(now, false);
                Joined::Fine
            }
            (Some(_), Some(_)) => Joined::Fenced,
            (Some(present), None) => {
                let Some(mut old) = self.members.remove(&present) else { return Joined::Fenced };
                let id = self.name();
                (old.home, old.last_beat, old.joined) = (home, now, true);
                let slots = old.slots.clone();
                self.members.insert(id, old);
                if self.phase == Phase::Stable {
                    self.assignments.push(Assignment { home, member: id, generation: self.generation, slots });
                } else {
                    self.complete(now, false);
                }
                Joined::Replaced
            }
            (None, _) => {
                self.rebalance(now);
                let id = self.name();
                self.members.insert(id, Member { identity, home, joined: true, last_beat: now, slots: Vec::new() });
                self.complete(now, false);
                Joined::Fine
            }
        }
    }

    fn name(&mut self) -> MemberId {
        self.names += 1;
        MemberId(self.names)
    }

    /// Ends a rebalance when everybody has joined, or without those who have not.
    fn complete(&mut self, now: Micros, without_the_late: bool) {
        if self.phase == Phase::Stable {
            return;
        }
        if without_the_late {
            self.members.retain(|_, member| member.joined);
        } else if !self.members.values().all(|member| member.joined) {
            return;
        }
        self.phase = Phase::Stable;
        self.generation += 1;
        let mut order: Vec<MemberId> = self.members.keys().copied().collect();
        order.sort_by_key(|id| self.members[id].identity);
        let (count, generation) = (order.len() as u32, self.generation);
        for (place, id) in order.into_iter().enumerate() {
            let slots: Vec<Slot> =
                self.topics.iter().flat_map(|topic| range(*topic, self.partitions, count, place as u32)).collect();
            let Some(member) = self.members.get_mut(&id) else { continue };
            (member.last_beat, member.slots) = (now, slots.clone());
            self.assignments.push(Assignment { home: member.home, member: id, generation, slots });
        }
    }

    /// A member says that it lives.
    pub fn beat(&mut self, now: Micros, identity: usize, id: MemberId, generation: i32) -> Pulse {
        let Some(member) = self.members.get_mut(&id) else {
            let replaced = self.members.values().any(|member| member.identity == identity);
            return if replaced { Pulse::Fenced } else { Pulse::Unknown };
        };
        member.last_beat = now;
        if self.phase == Phase::Stable && generation == self.generation { Pulse::Fine } else { Pulse::Rebalance }
    }

    /// Throws out the silent, and those who take too long to join again. How many of each.
    pub fn tick(&mut self, now: Micros) -> (usize, usize) {
        let before = self.members.len();
        let session = self.patience.session;
        let awaited = matches!(self.phase, Phase::Joining { .. });
        self.members.retain(|_, member| (awaited && member.joined) || member.last_beat + session > now);
        let silent = before - self.members.len();
        if silent > 0 {
            self.rebalance(now);
            self.complete(now, false);
        }
        let mut late = 0;
        if let Phase::Joining { until } = self.phase
            && now >= until
        {
            let before = self.members.len();
            self.complete(now, true);
            late = before - self.members.len();
        }
        (silent, late)
    }

    /// Takes offsets that count once their transaction commits.
    pub fn commit_pending(
        &mut self,
        identity: usize,
        member: Option<MemberId>,
        generation: i32,
        producer: Producer,
        positions: &[(Slot, Committed)],
    ) -> Result<(), Code> {
        let known = member.and_then(|id| self.members.get(&id));
        let known = known.or(self.members.values().next().filter(|_| self.takes_anything));
        let Some(known) = known else {
            let replaced = self.members.values().any(|member| member.identity == identity);
            return Err(if replaced { Code::FencedInstance } else { Code::UnknownMember });
        };
        if generation != self.generation && !self.takes_anything {
            return Err(Code::IllegalGeneration);
        }
        for (slot, _) in positions.iter().filter(|(slot, _)| !known.slots.contains(slot)) {
            self.misdeeds.push(Misdeed::NotAssigned { identity, slot: *slot });
        }
        let pending = self.pending.entry(producer.id).or_default();
        for (slot, committed) in positions {
            self.written += 1;
            pending.insert(*slot, Entry { committed: *committed, written: self.written });
        }
        Ok(())
    }

    /// The transaction of the pending offsets has ended.
    pub fn mark(&mut self, producer: Producer, ending: Ending) {
        let pending = self.pending.remove(&producer.id).unwrap_or_default();
        if ending == Ending::Abort {
            return;
        }
        for (slot, new) in pending {
            match self.offsets.get(&slot) {
                Some(old) if old.written > new.written => {}
                old => {
                    let offset = |entry: &Entry| entry.committed.next.offset();
                    if let Some(from) = old.map(offset).filter(|from| *from > offset(&new)) {
                        self.misdeeds.push(Misdeed::Backwards { slot, from, to: offset(&new) });
                    }
                    self.offsets.insert(slot, new);
                }
            }
        }
    }

    /// The committed positions, where no transaction is about to change them.
    pub fn stable_offsets(&self, slots: &[Slot]) -> Result<Vec<Option<Committed>>, Code> {
        if slots.iter().any(|slot| self.pending.values().any(|pending| pending.contains_key(slot))) {
            return Err(Code::Unstable);
        }
        Ok(slots.iter().map(|slot| self.told(*slot)).collect())
    }
}

/// What the member of a place gets of a topic: neighbouring partitions, the first members one more.
fn range(topic: Topic, partitions: u32, members: u32, place: u32) -> impl Iterator<Item = Slot> {
    let (each, more) = (partitions / members, partitions % members);
    let start = each * place + place.min(more);
    let count = each + u32::from(place < more);
    (start..start + count).map(move |partition| Slot { topic, partition: Partition(partition) })
}
