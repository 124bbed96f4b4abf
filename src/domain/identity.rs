//! By which names a contact is known, and how each was learned.
//!
//! A person has a phone number, a business-scoped id, a parent id, or several of them, and all of them change. The names
//! that were ever seen together are one person (rules.md 6.5); the [`Chain`] says when, and by which event, each joined the
//! others. Which name the contact's key is made of depends on the set of them alone.

use std::collections::BTreeSet;

use super::id::{AliasHash, ContactKey, ContactNumber, EventId};
use super::rules::markets::Origin;
use super::time::Timestamp;

/// How many names of a kind a contact has at most. Whoever writes one id to all events makes one person of everybody else's.
const MOST: usize = 16;

/// The kinds of name, the best first: of those that are known the best one names the contact on outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rank {
    /// A phone number.
    #[default]
    Phone,
    /// A business-scoped id.
    Scoped,
    /// The parent of several scoped ids.
    Parent,
    /// A group's id, which is the only name that a group has.
    Group,
}

impl Rank {
    /// The rank by its number, as stored records keep it.
    #[must_use]
    pub const fn from_index(index: u8) -> Option<Self> {
        match index {
            0 => Some(Self::Phone),
            1 => Some(Self::Scoped),
            2 => Some(Self::Parent),
            3 => Some(Self::Group),
            _ => None,
        }
    }

    /// Whether it names a person and nobody else, ever: a phone number is given to others.
    const fn is_for_life(self) -> bool {
        matches!(self, Self::Scoped | Self::Parent)
    }
}

/// One name of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// What kind it is.
    pub rank: Rank,
    /// The name, hashed.
    pub hash: AliasHash,
}

/// How a name joined the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum How {
    /// An event gave it together with another.
    Together,
    /// The platform announced it as the name before a change.
    Former,
    /// The platform announced it as the name after a change.
    Latter,
}

impl How {
    /// The way by its number, as stored records keep it.
    #[must_use]
    pub const fn from_index(index: u8) -> Option<Self> {
        match index {
            0 => Some(Self::Together),
            1 => Some(Self::Former),
            2 => Some(Self::Latter),
            _ => None,
        }
    }
}

/// A name that joined others, or that others joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Join {
    /// The name.
    pub alias: Alias,
    /// Where somebody is who has this name.
    pub origin: Origin,
    /// What the name stands for since a contact of it was erased.
    pub again: Option<Again>,
    /// When the event happened that told of it.
    pub at: Timestamp,
    /// That event.
    pub event: EventId,
    /// How it did.
    pub how: How,
    /// From when on the name is somebody else's.
    pub left: Option<Timestamp>,
}

/// A name of a contact that was erased is in use again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// How often a contact of this name has been erased.
    pub generation: u32,
    /// When that was asked for last.
    pub since: Timestamp,
    /// What outputs call a contact by this name since.
    pub key: ContactKey,
}

impl Join {
    /// What outputs would call a contact that has this name alone.
    #[must_use]
    pub fn key(&self) -> ContactKey {
        self.again.map_or(ContactKey(self.alias.hash.0), |again| again.key)
    }
}

/// What is known of a contact with more than one name, or of one that was erased before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// The names, in the order in which they joined.
    pub joins: Vec<Join>,
    /// The contacts that turned out to be this one: messages still point to them.
    pub absorbed: Vec<ContactNumber>,
    /// Since when the phone number may be somebody else's than it was, until the person writes again.
    pub unsettled: Option<Timestamp>,
}

impl Chain {
    /// The names that are the contact's now.
    pub fn present(&self) -> impl Iterator<Item = &Join> {
        self.joins.iter().filter(|join| join.left.is_none())
    }

    /// The name that the contact is called by: the best kind, and of several the one with the smallest hash, whatever the
    /// order in which they were learned.
    #[must_use]
    pub fn canonical(&self) -> Option<&Join> {
        self.present().min_by_key(|join| join.alias)
    }

    /// Where the person was at an instant, by the names that they had then: that of the last phone number that had been
    /// announced, or of the one that the next announcement was about, or of the best name.
    #[must_use]
    pub fn origin_at(&self, at: Timestamp) -> Origin {
        let had = || self.joins.iter().filter(|join| join.left.is_none_or(|left| at < left));
        let announced = |how| had().filter(move |join| join.alias.rank == Rank::Phone && join.how == how);
        let latter = announced(How::Latter).filter(|join| join.at <= at).max_by_key(|join| (join.at, join.alias));
        let former = || announced(How::Former).filter(|join| at < join.at).min_by_key(|join| (join.at, join.alias));
        let join = latter.or_else(former).or_else(|| had().min_by_key(|join| join.alias));
        join.map_or(Origin::Unknown, |join| join.origin)
    }

    /// Whether the names do not all say the same of where the person is.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        let mut countries = self.joins.iter().map(|join| join.origin.country());
        countries.next().is_some_and(|first| countries.any(|other| other != first))
    }

    /// Whether the contact has a name of a kind.
    #[must_use]
    pub fn has_rank(&self, rank: Rank) -> bool {
        self.present().any(|join| join.alias.rank == rank)
    }

    /// A name that is the contact's now.
    #[must_use]
    pub fn find(&self, alias: Alias) -> Option<&Join> {
        self.present().find(|join| join.alias == alias)
    }

    /// Whether there is room for another name of a kind.
    #[must_use]
    pub fn has_room(&self, rank: Rank) -> bool {
        self.present().filter(|join| join.alias.rank == rank).count() < MOST
    }

    /// Whether there is room for all names of another contact.
    #[must_use]
    pub fn has_room_for(&self, other: &Self) -> bool {
        let count = |chain: &Self, rank| chain.present().filter(|join| join.alias.rank == rank).count();
        [Rank::Phone, Rank::Scoped, Rank::Parent].into_iter().all(|rank| count(self, rank) + count(other, rank) <= MOST)
    }

    /// Adds a name, unless it is there. One that had left is back.
    pub fn join(&mut self, join: Join) {
        match self.joins.iter_mut().find(|known| known.alias == join.alias) {
            Some(known) if known.left.is_none() => {}
            Some(known) => *known = join,
            None => self.joins.push(join),
        }
    }

    /// Takes in the names of a contact that turned out to be this one.
    pub fn absorb(&mut self, other: Self, number: ContactNumber) {
        // A number that passed from one to the other has not changed hands.
        let passed =
            |from: &Self, to: &Self| from.joins.iter().any(|join| join.left.is_some() && to.find(join.alias).is_some());
        let unsettled = self.unsettled.max(other.unsettled);
        self.unsettled = unsettled.filter(|_| !passed(self, &other) && !passed(&other, self));
        let Self { joins, absorbed, unsettled: _ } = other;
        for join in joins {
            match self.joins.iter().position(|known| known.alias == join.alias) {
                Some(index) if join.left.is_none() => self.joins[index] = join,
                Some(_) => {}
                None => self.joins.push(join),
            }
        }
        self.absorbed.push(number);
        self.absorbed.extend(absorbed);
    }

    /// The platform announced a change from some names to others, whatever else has told of them.
    pub fn announce(&mut self, former: &[Alias], latter: &[Alias], at: Timestamp, event: EventId) {
        for join in self.joins.iter_mut().filter(|join| join.left.is_none() && join.how == How::Together) {
            let how = match join.alias {
                alias if former.contains(&alias) => How::Former,
                alias if latter.contains(&alias) => How::Latter,
                _ => continue,
            };
            (join.how, join.at, join.event) = (how, at, event);
        }
    }

    /// A phone number is somebody else's from an instant on.
    pub fn leave(&mut self, alias: Alias, at: Timestamp) {
        if let Some(join) = self.joins.iter_mut().find(|join| join.alias == alias) {
            join.left = Some(at);
        }
    }

    /// Whether an event that gives a phone number of this contact's together with other names speaks of somebody else: the
    /// contact had another id of the same kind at that time, and no id for life is common to both. Between two changes that
    /// the platform has announced a person has the same ids: with a new number comes a new scoped id (rules.md 6.5).
    #[must_use]
    pub fn contradicts(&self, named: &[Alias], at: Timestamp) -> bool {
        let ids = || self.present().filter(|join| join.alias.rank.is_for_life());
        let of_event = self.changes_before(at, How::Latter);
        let is_other = |join: &Join| {
            named.iter().any(|alias| alias.rank == join.alias.rank)
                && self.changes_before(join.at, join.how) == of_event
        };
        !ids().any(|join| named.contains(&join.alias)) && ids().any(is_other)
    }

    /// How many changes that were announced had happened when a name was seen.
    fn changes_before(&self, at: Timestamp, how: How) -> usize {
        let changes = self.joins.iter().filter(|join| join.how != How::Together).map(|join| join.at);
        let before = changes.filter(|change| if how == How::Former { *change < at } else { *change <= at });
        before.collect::<BTreeSet<_>>().len()
    }
}

/// What is left of a contact that was erased, by each of its names: the name itself cannot be told from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// How often a contact of this name has been erased.
    pub generation: u32,
    /// When the erasure was asked for: what happened before it brings nobody back.
    pub at: Timestamp,
    /// What the person refused: to be written to at all, and marketing. It still holds.
    pub refused: super::contact::Consent,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Millis;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_790_812_800_000).expect("in range") + Millis::hours(hours)
    }

    fn alias(rank: Rank, name: u8) -> Alias {
        Alias { rank, hash: AliasHash([name; 16]) }
    }

    fn join(rank: Rank, name: u8, hours: i64, how: How) -> Join {
        let event = EventId([name; 16]);
        let origin = Origin::Dial(u16::from(name));
        Join { alias: alias(rank, name), origin, again: None, at: at(hours), event, how, left: None }
    }

    fn chain(joins: &[Join]) -> Chain {
        let mut chain = Chain::default();
        for join in joins {
            chain.join(*join);
        }
        chain
    }

    #[test]
    fn the_name_of_a_contact_depends_on_no_order() {
        let joins = [
            join(Rank::Parent, 1, 0, How::Together),
            join(Rank::Phone, 9, 1, How::Together),
            join(Rank::Scoped, 2, 2, How::Together),
            join(Rank::Phone, 7, 3, How::Latter),
        ];
        let mut backwards = joins;
        backwards.reverse();
        for joins in [joins, backwards] {
            assert_eq!(chain(&joins).canonical().map(|join| join.alias), Some(alias(Rank::Phone, 7)));
        }
        let mut left = chain(&joins);
        left.leave(alias(Rank::Phone, 7), at(4));
        left.leave(alias(Rank::Phone, 9), at(4));
        assert_eq!(left.canonical().map(Join::key), Some(ContactKey([2; 16])));
    }

    #[test]
    fn where_somebody_was_is_told_by_the_number_they_had_then() {
        let joins = [
            join(Rank::Scoped, 34, 0, How::Together),
            join(Rank::Phone, 55, 10, How::Former),
            join(Rank::Phone, 44, 10, How::Latter),
            join(Rank::Phone, 49, 20, How::Latter),
        ];
        let mut backwards = joins;
        backwards.reverse();
        for joins in [joins, backwards] {
            let mut chain = chain(&joins);
            let found = [0, 9, 10, 19, 20].map(|hours| chain.origin_at(at(hours)));
            assert_eq!(found, [55, 55, 44, 44, 49].map(Origin::Dial));
            chain.leave(alias(Rank::Phone, 49), at(30));
            assert_eq!([29, 30].map(|hours| chain.origin_at(at(hours))), [49, 44].map(Origin::Dial));
        }
        assert_eq!(chain(&joins[..1]).origin_at(at(0)), Origin::Dial(34));
    }

    #[test]
    fn a_number_with_another_id_is_somebody_else_unless_the_platform_announced_it() {
        let (phone, ours, other) = (alias(Rank::Phone, 1), alias(Rank::Scoped, 2), alias(Rank::Scoped, 3));
        let together = [join(Rank::Phone, 1, 0, How::Together), join(Rank::Scoped, 2, 0, How::Together)];
        assert!(chain(&together).contradicts(&[phone, other], at(9)));
        assert!(!chain(&together).contradicts(&[phone, ours], at(9)));
        assert!(!chain(&together).contradicts(&[phone], at(9)), "a number alone says nothing");
        let later = [join(Rank::Scoped, 2, 0, How::Together), join(Rank::Phone, 1, 5, How::Together)];
        assert!(chain(&later).contradicts(&[phone, other], at(9)));
        let mut announced = chain(&[join(Rank::Scoped, 2, 0, How::Together), join(Rank::Phone, 1, 5, How::Latter)]);
        assert!(!announced.contradicts(&[phone, other], at(5)));
        assert!(announced.contradicts(&[phone, other], at(4)), "before the change the ids were those of before");
        announced.join(join(Rank::Scoped, 3, 6, How::Together));
        assert!(announced.contradicts(&[phone, alias(Rank::Scoped, 4)], at(9)), "one new id comes with a new number");
    }

    #[test]
    fn a_contact_has_so_many_names_and_no_more() {
        let mut chain = Chain::default();
        for name in 0..16 {
            assert!(chain.has_room(Rank::Phone));
            chain.join(join(Rank::Phone, name, 0, How::Together));
        }
        assert!(!chain.has_room(Rank::Phone) && chain.has_room(Rank::Scoped));
        assert!(!chain.has_room_for(&chain.clone()));
    }
}
