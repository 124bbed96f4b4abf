//! Whose an event is: contacts are found by their names, are one where their names are seen together, and are forgotten
//! where somebody asks for that.
//!
//! Nearly every event names somebody whom all its names point to, or nobody knows. All else is rare, and done in
//! [`Engine::identify`]: whatever the order in which names were seen together, the same names end up as one contact
//! (decision 14).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Contacts, Engine, Output, Prepared, Recalled, aliases_of, arm, context_of, forget, name_of, publish_into};
use crate::codec::ids;
use crate::codec::state::{AliasRow, ContactRow, NumberIndex};
use crate::domain::contact::{Choice, Consent, ConsentSource, Contact};
use crate::domain::event::{ConsentGiven, ConsentScope, Event, Happening, Preference};
use crate::domain::fold::{self, Called};
use crate::domain::id::{AliasHash, ContactKey, ContactNumber, Identity, MessageId, MessageKey};
use crate::domain::identity::{Again, Alias, Chain, How, Join, Rank, Suppressed};
use crate::domain::reference::Account;
use crate::domain::rules::markets::Origin;
use crate::domain::time::Timestamp;
use crate::store::{self, Store};

/// Whose an event is, and what that disturbs.
pub(super) struct Whose {
    pub who: Who,
    /// Messages whose lines may be wrong, because two contacts turned out to be one.
    pub disturbed: Vec<MessageKey>,
}

/// Whose an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// It names nobody.
    Nobody,
    /// This contact's.
    Contact(ContactNumber),
    /// It is about somebody who was erased, and changes nothing.
    Forgotten,
}

impl From<Who> for Whose {
    fn from(who: Who) -> Self {
        Self { who, disturbed: Vec::new() }
    }
}

/// What an event's names point to, before anything is changed.
#[derive(Default)]
struct Named {
    /// The contacts that are one, for these names.
    contacts: BTreeSet<ContactNumber>,
    /// The names that are to be theirs, and are not.
    names: Vec<Alias>,
    /// Of these, the ones that a contact had before it was erased.
    back: Vec<(Alias, Suppressed)>,
    /// Whose number it was that is theirs from now on.
    taken: Vec<(ContactNumber, Alias)>,
    /// Who has a number by now that was theirs, as a late event tells.
    passed_on: Vec<ContactNumber>,
    /// Whether a name is of somebody who was erased, and stays so.
    is_forgotten: bool,
}

impl<S: Store> Engine<S> {
    fn contact_of(&mut self, number: ContactNumber) -> Result<Option<&Contact>, store::Error> {
        Ok(self.contacts.row(number, &self.store)?.value.as_ref().and_then(ContactRow::contact))
    }

    fn keep_contact(&mut self, number: ContactNumber, row: Option<ContactRow>) -> Result<(), store::Error> {
        self.contacts.row(number, &self.store)?.value = row;
        self.contacts.changed(number);
        Ok(())
    }

    fn keep_alias(&mut self, alias: AliasHash, row: AliasRow) -> Result<(), store::Error> {
        self.aliases.row(alias, &self.store)?.value = Some(row);
        self.aliases.changed(alias);
        Ok(())
    }

    /// Whose an event is; `known` is what is known of the message and the request that it is about.
    pub(super) fn whose(
        &mut self,
        prepared: &Prepared,
        known: &Recalled,
        index: NumberIndex,
    ) -> Result<Whose, store::Error> {
        let event = &prepared.event;
        let (mut base, mut asked) = (None, None);
        if let Some(mut number) = known.contact {
            // An event that gives a kind of name which the contact does not have is hardly ever seen; all others need no
            // look at the names.
            let identity = event.contact.as_ref().filter(|_| event.group.is_none());
            let is_news = loop {
                match &self.contacts.row(number, &self.store)?.value {
                    Some(ContactRow::Here(_, contact)) => {
                        let mut names = identity.into_iter().flat_map(Identity::names);
                        break !contact.is_group && names.any(|(rank, _)| !contact.is_known_by(rank));
                    }
                    Some(ContactRow::Moved(to)) => number = *to,
                    None => return Ok(Who::Forgotten.into()),
                }
            };
            if let Some(other) = known.asked {
                asked = here(&mut self.contacts, other, &self.store)?.filter(|other| *other != number);
            }
            if !is_news && asked.is_none() && prepared.aliases.is_none() {
                return Ok(Who::Contact(number).into());
            }
            base = Some(number);
        }
        let key = &self.setup.key;
        let aliases = prepared.aliases.as_deref().map_or_else(|| Cow::Owned(aliases_of(event, key)), Cow::Borrowed);
        let (mut found, mut all_known) = (base, true);
        for alias in &*aliases {
            match self.aliases.row(alias.hash, &self.store)?.value {
                Some(AliasRow::Of(contact)) if found.is_none_or(|found| found == contact) => found = Some(contact),
                Some(AliasRow::Of(_) | AliasRow::Suppressed(_)) => {
                    return self.identify(event, &aliases, [base, asked], index);
                }
                None => all_known = false,
            }
        }
        match (found, &*aliases) {
            (None, []) => Ok(Who::Nobody.into()),
            (Some(contact), _) if all_known && asked.is_none() && !event.is_announcement() => {
                Ok(Who::Contact(contact).into())
            }
            (None, [alias]) => {
                let (number, contact) = self.new_contact(event, *alias);
                self.keep_alias(alias.hash, AliasRow::Of(number))?;
                self.contacts.row(number, &self.store)?.value = Some(ContactRow::Here(index, contact));
                Ok(Who::Contact(number).into())
            }
            _ => self.identify(event, &aliases, [base, asked], index),
        }
    }

    /// A contact that is known by one name.
    fn new_contact(&mut self, event: &Event, alias: Alias) -> (ContactNumber, Contact) {
        let number = ContactNumber(self.meta.next_contact);
        self.meta.next_contact += 1;
        (number, self.unheard(event, alias))
    }

    /// A contact that nothing is known of but a name.
    pub(super) fn unheard(&self, event: &Event, alias: Alias) -> Contact {
        let key = match &event.group {
            Some(group) => self.setup.key.contact(&event.number, group.as_str(), 0),
            None => ContactKey(alias.hash.0),
        };
        Contact::new(key, alias.rank, self.origin(event, alias))
    }

    /// A name of an event's, as it was given.
    fn name<'e>(&self, event: &'e Event, alias: Alias) -> Option<&'e str> {
        let mut names = event.names().filter(|(rank, _)| *rank == alias.rank);
        let is_it = |name: &&str| self.setup.key.alias(&event.number, alias.rank, name) == alias;
        // An event that announces nothing gives one name of a kind.
        if event.is_announcement() {
            names.map(|(_, name)| name).find(is_it)
        } else {
            names.next().map(|(_, name)| name)
        }
    }

    /// Where a person is, by one of the names that an event gives (rules.md 6.5).
    fn origin(&self, event: &Event, alias: Alias) -> Origin {
        let name = self.name(event, alias).filter(|_| event.group.is_none()).unwrap_or_default();
        match alias.rank {
            Rank::Phone => Origin::of_phone(name),
            Rank::Scoped | Rank::Parent => Origin::of_scoped_id(name),
            Rank::Group => Origin::Unknown,
        }
    }

    /// Makes one contact of all that an event's names and its message point to, and gives it the names that are new.
    fn identify(
        &mut self,
        event: &Event,
        aliases: &[Alias],
        base: [Option<ContactNumber>; 2],
        index: NumberIndex,
    ) -> Result<Whose, store::Error> {
        let named = self.gather(event, aliases, base)?;
        if named.contacts.is_empty() && (named.is_forgotten || named.names.is_empty()) {
            self.refuse(event, aliases)?;
            return Ok(Who::Forgotten.into());
        }
        let entry = &mut self.numbers[index.0 as usize];
        entry.changed = true;
        let (account, at) = (event.account.as_ref(), event.occurred_at);
        let account = entry.homes.account(&self.setup, &self.reference, &entry.number, account, at);
        let mut inherited = Vec::new();
        for (holder, phone) in &named.taken {
            inherited.extend(self.take_number(event, &account, index, *holder, *phone)?);
        }
        let mut contacts = Vec::new();
        for number in &named.contacts {
            if let Some(contact) = self.contact_of(*number)? {
                let mut contact = contact.clone();
                let chain = contact.chain.take().map_or_else(|| alone(&contact, event), |chain| *chain);
                contacts.push((*number, contact, chain));
            }
        }
        let is_new = contacts.is_empty();
        if is_new {
            let Some(alias) = named.names.first() else {
                return Ok(Who::Nobody.into());
            };
            let (number, contact) = self.new_contact(event, *alias);
            contacts.push((number, contact, Chain::default()));
        }
        let mut contacts = contacts.into_iter();
        let Some((number, mut contact, mut chain)) = contacts.next() else {
            return Ok(Who::Nobody.into());
        };
        for (_, edges_before) in &inherited {
            contact.edges_before = contact.edges_before.max(*edges_before);
        }
        let mut others = Vec::new();
        for (other_number, other, names) in contacts {
            // Where there is no room they stay two: a name is given by mistake, again and again.
            if chain.has_room_for(&names) {
                for join in names.present() {
                    self.keep_alias(join.alias.hash, AliasRow::Of(number))?;
                }
                chain.absorb(names, other_number);
                if let Some(armed) = other.armed {
                    self.timers.clear(armed, other_number);
                }
                self.keep_contact(other_number, Some(ContactRow::Moved(number)))?;
                others.push(other);
            }
        }
        let refused = self.give_names(event, aliases, &named, number, &mut chain)?;
        let is_merge = !others.is_empty();
        let (has_moved, armed) = (!is_new && chain.has_moved(), contact.armed);
        let mut contact = self.call(event, &account, index, (contact, others), &chain, is_new);
        contact.consent.absorb(refused);
        for choice in inherited.into_iter().filter_map(|(choice, _)| choice) {
            Consent::choose(&mut contact.consent.marketing, choice);
        }
        self.pass_on(&contact, &named.passed_on)?;
        // The only name of a contact is the one that its key is made of.
        let is_plain = chain.joins.len() == 1 && chain.joins.iter().all(|join| join.again.is_none());
        contact.chain = (!is_plain).then(|| Box::new(chain));
        // Whoever's announcements go on, the timer is that of this number.
        contact.armed = armed;
        self.keep_contact(number, Some(ContactRow::Here(index, contact)))?;
        // What was sent to either was sent to both, and may have been sent elsewhere than was known.
        let since = (is_merge || has_moved).then_some(Timestamp::EARLIEST);
        let disturbed = since.map(|since| self.look_back(event, &account, index, number, since)).transpose()?;
        let mut disturbed = disturbed.unwrap_or_default();
        for (holder, _) in named.taken {
            let chain = self.contact_of(holder)?.and_then(|contact| contact.chain.as_ref());
            if chain.is_some_and(|chain| chain.has_moved()) {
                disturbed.extend(self.look_back(event, &account, index, holder, event.occurred_at)?);
            }
        }
        if let Some(contact) = self.contacts.row(number, &self.store)?.value.as_mut().and_then(ContactRow::contact_mut)
        {
            arm(&mut self.timers, number, contact, self.setup.policy.closing_lead);
        }
        Ok(Whose { who: Who::Contact(number), disturbed })
    }

    /// Finds out whom an event's names point to, and which names are to be theirs.
    fn gather(
        &mut self,
        event: &Event,
        aliases: &[Alias],
        base: [Option<ContactNumber>; 2],
    ) -> Result<Named, store::Error> {
        let mut named = Named { contacts: base.into_iter().flatten().collect(), ..Named::default() };
        let mut phones = Vec::new();
        for (place, alias) in aliases.iter().enumerate() {
            match &self.aliases.row(alias.hash, &self.store)?.value {
                None => named.names.push(*alias),
                Some(AliasRow::Suppressed(suppressed)) if brings_back(event, suppressed) => {
                    named.names.push(*alias);
                    named.back.push((*alias, (**suppressed).clone()));
                }
                Some(AliasRow::Suppressed(_)) => named.is_forgotten = true,
                // A number may be another person's by now. Whether it is depends on the other names.
                Some(AliasRow::Of(holder)) if alias.rank == Rank::Phone => phones.push((place, *alias, *holder)),
                Some(AliasRow::Of(holder)) => {
                    named.contacts.insert(*holder);
                }
            }
        }
        let before = event.contact.as_ref().map_or(0, |identity| identity.names().count());
        for (place, phone, holder) in phones {
            if named.contacts.contains(&holder) {
                continue;
            }
            // Who an announced number belongs to from now on has all the names that the change is told by.
            let is_announced = place >= before;
            let mut others = if is_announced { aliases.to_vec() } else { aliases[..before].to_vec() };
            for number in named.contacts.iter().filter(|_| is_announced) {
                let row = &self.contacts.row(*number, &self.store)?.value;
                others.extend(row.as_ref().and_then(ContactRow::contact).into_iter().flat_map(Contact::names));
            }
            let chain = self.contact_of(holder)?.and_then(|contact| contact.chain.as_deref());
            let other =
                chain.filter(|chain| chain.contradicts(&others, event.occurred_at)).and_then(|chain| chain.find(phone));
            match other {
                // An id that came with the number after the change came with the change.
                Some(join) if is_announced && join.at >= event.occurred_at => {
                    named.contacts.insert(holder);
                }
                Some(join) if (join.at, join.event) < (event.occurred_at, event.id) => {
                    named.taken.push((holder, phone));
                    named.names.push(phone);
                }
                Some(_) => named.passed_on.push(holder),
                None => {
                    named.contacts.insert(holder);
                }
            }
        }
        Ok(named)
    }

    /// Takes a phone number from the person who had it, because it is somebody else's. Returns what holds for whoever has
    /// it next: that marketing is not wanted at it, and from where on edges are numbered under its key.
    fn take_number(
        &mut self,
        event: &Event,
        account: &Arc<Account>,
        index: NumberIndex,
        holder: ContactNumber,
        phone: Alias,
    ) -> Result<Option<(Option<Choice>, u32)>, store::Error> {
        let Some(contact) = self.contact_of(holder)? else {
            return Ok(None);
        };
        let mut contact = contact.clone();
        let Some(mut chain) = contact.chain.take() else {
            return Ok(None);
        };
        chain.leave(phone, event.occurred_at);
        let inherited = contact.consent.inherited();
        let mut contact = self.call(event, account, index, (contact, Vec::new()), &chain, false);
        if let Some(clear) = &mut contact.clear {
            clear.phone = None;
        }
        contact.chain = Some(chain);
        let edges_before = contact.edges_before;
        self.keep_contact(holder, Some(ContactRow::Here(index, contact)))?;
        Ok(Some((inherited, edges_before)))
    }

    /// Gives a contact the names that it does not have. Returns what it refused under them before it was erased.
    fn give_names(
        &mut self,
        event: &Event,
        aliases: &[Alias],
        named: &Named,
        number: ContactNumber,
        chain: &mut Chain,
    ) -> Result<Consent, store::Error> {
        let (before, after) = aliases.split_at(event.contact.as_ref().map_or(0, |identity| identity.names().count()));
        let mut refused = Consent::default();
        for alias in named.names.iter().copied() {
            if chain.find(alias).is_some() || !chain.has_room(alias.rank) {
                continue;
            }
            let mut again = None;
            if let Some((_, suppressed)) = named.back.iter().find(|(back, _)| *back == alias) {
                let name = self.name(event, alias).unwrap_or_default();
                let key = self.setup.key.contact(&event.number, name, suppressed.generation);
                again = Some(Again { generation: suppressed.generation, since: suppressed.at, key });
                refused.absorb(suppressed.refused.clone());
            }
            let (origin, at, event) = (self.origin(event, alias), event.occurred_at, event.id);
            chain.join(Join { alias, origin, again, at, event, how: How::Together, left: None });
            self.keep_alias(alias.hash, AliasRow::Of(number))?;
        }
        if event.is_announcement() {
            chain.announce(before, after, event.occurred_at, event.id);
        } else if !named.taken.is_empty() {
            chain.unsettled = chain.unsettled.max(Some(event.occurred_at));
        }
        Ok(refused)
    }

    /// Makes one contact of several, under the name that their names give it. One that is new has announced nothing.
    fn call(
        &mut self,
        event: &Event,
        account: &Arc<Account>,
        index: NumberIndex,
        (mut contact, others): (Contact, Vec<Contact>),
        chain: &Chain,
        is_new: bool,
    ) -> Contact {
        let Some(canonical) = chain.canonical() else {
            return contact;
        };
        let (rank, key) = (canonical.alias.rank, canonical.key());
        let origin = Some(chain.origin_at(Timestamp::LATEST)).filter(|origin| *origin != Origin::Unknown);
        let origin = origin.unwrap_or(contact.origin);
        if is_new || (others.is_empty() && key == contact.key) {
            (contact.key, contact.rank, contact.origin) = (key, rank, origin);
            return contact;
        }
        let now = self.meta.partition_time.unwrap_or(event.occurred_at);
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            super::usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        let number = &mut self.numbers[index.0 as usize].number;
        let called = Called { key, rank, origin };
        fold::unite(&context, event, account, number, (contact, others), called, &mut self.effects)
    }

    /// That marketing is not wanted at a number holds for whoever has it next.
    fn pass_on(&mut self, from: &Contact, to: &[ContactNumber]) -> Result<(), store::Error> {
        let Some(choice) = from.consent.inherited() else {
            return Ok(());
        };
        for holder in to {
            let row = self.contacts.row(*holder, &self.store)?.value.as_mut();
            if let Some(contact) = row.and_then(ContactRow::contact_mut) {
                Consent::choose(&mut contact.consent.marketing, choice.clone());
                self.contacts.changed(*holder);
            }
        }
        Ok(())
    }

    /// Takes note that somebody who was erased refused, as is heard of after.
    fn refuse(&mut self, event: &Event, aliases: &[Alias]) -> Result<(), store::Error> {
        let Some(refused) = refusal(event) else {
            return Ok(());
        };
        for alias in aliases {
            if let Some(AliasRow::Suppressed(suppressed)) = &mut self.aliases.row(alias.hash, &self.store)?.value {
                suppressed.refused.absorb(refused.clone());
                self.aliases.changed(alias.hash);
            }
        }
        Ok(())
    }

    /// Forgets a person: the contacts that an event's names point to, with all their names and what of their messages says
    /// whose they are. What stays is that each name was erased, and what was refused under it.
    pub(super) fn erase(
        &mut self,
        event: &Event,
        index: NumberIndex,
        outputs: &mut Vec<Output>,
    ) -> Result<(), store::Error> {
        let aliases: Vec<Alias> =
            event.contact.iter().flat_map(|identity| self.setup.key.aliases(&event.number, identity)).collect();
        let (mut contacts, mut recipients) = (BTreeSet::new(), Vec::new());
        for alias in &aliases {
            match &mut self.aliases.row(alias.hash, &self.store)?.value {
                Some(AliasRow::Of(contact)) => {
                    contacts.insert(*contact);
                }
                Some(AliasRow::Suppressed(suppressed)) => {
                    // Somebody who was erased may have been a recipient within a group since.
                    if event.occurred_at > suppressed.at {
                        suppressed.at = event.occurred_at;
                        recipients.push(ContactNumber::of_recipient(alias.hash));
                    }
                }
                none @ None => {
                    recipients.push(ContactNumber::of_recipient(alias.hash));
                    let refused = Consent::default();
                    let suppressed = Suppressed { generation: 1, at: event.occurred_at, refused };
                    *none = Some(AliasRow::Suppressed(Box::new(suppressed)));
                }
            }
            self.aliases.changed(alias.hash);
        }
        if !recipients.is_empty() {
            self.erase_messages(index, &recipients, std::iter::empty())?;
        }
        for number in contacts {
            self.erase_contact(event, index, number)?;
        }
        let entry = &mut self.numbers[index.0 as usize];
        entry.changed = true;
        publish_into(outputs, &entry.id, &mut self.effects);
        Ok(())
    }

    fn erase_contact(&mut self, event: &Event, index: NumberIndex, number: ContactNumber) -> Result<(), store::Error> {
        let Some(contact) = self.contact_of(number)? else {
            return Ok(());
        };
        let mut contact = contact.clone();
        let chain = contact.chain.take().map_or_else(|| alone(&contact, event), |chain| *chain);
        // An order to forget that is told again is no other one.
        if chain.present().any(|join| join.again.is_some_and(|again| again.since >= event.occurred_at)) {
            return Ok(());
        }
        let numbers: Vec<ContactNumber> = chain.absorbed.iter().copied().chain([number]).collect();
        let recipients = chain.present().map(|join| ContactNumber::of_recipient(join.alias.hash));
        let noted: Vec<ContactNumber> = numbers.iter().copied().chain(recipients).collect();
        self.erase_messages(index, &noted, contact.pending.iter().map(|(_, key)| *key))?;
        let entry = &mut self.numbers[index.0 as usize];
        let (account, at) = (event.account.as_ref(), event.occurred_at);
        let account = entry.homes.account(&self.setup, &self.reference, &entry.number, account, at);
        let now = self.meta.partition_time.unwrap_or(at);
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            super::usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        fold::erase(&context, event, &account, &mut entry.number, &mut contact, &mut self.effects);
        for join in chain.present() {
            let generation = join.again.map_or(0, |again| again.generation).saturating_add(1);
            let suppressed = Suppressed { generation, at, refused: contact.consent.refused() };
            self.keep_alias(join.alias.hash, AliasRow::Suppressed(Box::new(suppressed)))?;
        }
        if let Some(armed) = contact.armed {
            self.timers.clear(armed, number);
        }
        for number in numbers {
            self.keep_contact(number, None)?;
        }
        Ok(())
    }

    /// Whether an event is about somebody who was erased, and brings nobody back.
    pub(super) fn is_forgotten(&mut self, prepared: &Prepared) -> Result<bool, store::Error> {
        let event = &prepared.event;
        let key = &self.setup.key;
        let aliases = prepared.aliases.as_deref().map_or_else(|| Cow::Owned(aliases_of(event, key)), Cow::Borrowed);
        let mut is_forgotten = false;
        for alias in &*aliases {
            match &self.aliases.row(alias.hash, &self.store)?.value {
                Some(AliasRow::Suppressed(suppressed)) => is_forgotten |= !brings_back(event, suppressed),
                Some(AliasRow::Of(_)) => return Ok(false),
                None => {}
            }
        }
        Ok(is_forgotten)
    }

    /// Whether an event reports on what a recipient within a group got before they were erased. Only a message that went to
    /// the group since tells that they are there.
    pub(super) fn is_of_erased_recipient(&mut self, prepared: &Prepared) -> Result<bool, store::Error> {
        let (Some(name), Some(whole)) = (prepared.recipient, prepared.whole) else {
            return Ok(false);
        };
        let Some(AliasRow::Suppressed(suppressed)) = &self.aliases.row(name, &self.store)?.value else {
            return Ok(false);
        };
        let message = self.messages.peek(whole, &self.store)?;
        let sent_at = message.and_then(|message| message.known_at());
        Ok(sent_at.is_none_or(|sent_at| sent_at <= suppressed.at))
    }

    /// Cuts the messages to somebody who is forgotten to their decisions: their ids tell a phone number, and so do the names
    /// of recipients within groups. Of one that is not held any more the changelog is told that it is gone, in case that
    /// holds it still. `numbers` are those under which messages are noted, `pending` the messages on their way.
    fn erase_messages(
        &mut self,
        index: NumberIndex,
        numbers: &[ContactNumber],
        pending: impl Iterator<Item = MessageKey>,
    ) -> Result<(), store::Error> {
        let now = self.meta.partition_time.unwrap_or(Timestamp::EARLIEST);
        let mut keys: BTreeSet<MessageKey> = pending.collect();
        for number in numbers {
            keys.extend(self.sent.since(*number, Timestamp::EARLIEST, &self.store)?);
        }
        // In the order of a month's deliveries they go on by names that tell nothing, and so do those whose rows have gone by
        // age: whose they were is not known any more.
        let mut called = BTreeMap::new();
        let number = &self.numbers[index.0 as usize].number;
        for rank in number.ranked() {
            let key = rank.message;
            let row = self.messages.peek(key, &self.store)?;
            let message = row.filter(|message| message.forgotten_at().is_none_or(|at| at > now));
            let name = rank.participant.as_ref().map(|name| name_of(name, &number.id, &self.setup.key));
            let contact = message.as_ref().and_then(|message| message.contact);
            let is_theirs =
                contact.into_iter().chain(name.map(ContactNumber::of_recipient)).any(|to| numbers.contains(&to));
            if is_theirs {
                keys.insert(key);
            }
            if (is_theirs || message.is_none())
                && let Ok(id) = MessageId::parse(ids::hex(key.0).as_str())
            {
                called.insert(key, id);
            }
        }
        self.numbers[index.0 as usize].number.call_messages(&called);
        for key in keys {
            let row = self.messages.row(key, &self.store)?;
            forget(&mut row.value, now);
            if let Some(message) = row.value.as_mut().filter(|message| !message.packed) {
                message.pack();
            }
            self.messages.changed(key);
        }
        Ok(())
    }
}

/// What a contact has turned out to be; nothing where it was erased.
pub(super) fn here(
    contacts: &mut Contacts,
    mut number: ContactNumber,
    store: &impl Store,
) -> Result<Option<ContactNumber>, store::Error> {
    loop {
        match contacts.row(number, store)?.value {
            Some(ContactRow::Here(..)) => return Ok(Some(number)),
            Some(ContactRow::Moved(to)) => number = to,
            None => return Ok(None),
        }
    }
}

/// The names of a contact that has only had one, which is the one that its key is made of. That it goes with others is told
/// by an event now.
fn alone(contact: &Contact, event: &Event) -> Chain {
    let joins = contact.names().into_iter().map(|alias| Join {
        alias,
        origin: contact.origin,
        again: None,
        at: event.occurred_at,
        event: event.id,
        how: How::Together,
        left: None,
    });
    Chain { joins: joins.collect(), ..Chain::default() }
}

/// Whether an event is of somebody who is there again after they were erased: it happened after that, and is not about
/// what was before.
fn brings_back(event: &Event, suppressed: &Suppressed) -> bool {
    let is_about_before = matches!(event.happening, Happening::Status(_) | Happening::IdentityChanged(_));
    !is_about_before && event.occurred_at > suppressed.at
}

/// What an event refuses, if anything.
fn refusal(event: &Event) -> Option<Consent> {
    let refused = |source| Some(Choice { given: false, at: event.occurred_at, source });
    match &event.happening {
        Happening::MarketingPreference(Preference::Stop) => {
            Some(Consent { all: None, marketing: refused(ConsentSource::Preference) })
        }
        Happening::Consent(ConsentGiven { scope, given: false, source }) => {
            let choice = refused(ConsentSource::Business(source.as_str().into()));
            Some(match scope {
                ConsentScope::All => Consent { all: choice, marketing: None },
                ConsentScope::Marketing => Consent { all: None, marketing: choice },
            })
        }
        _ => None,
    }
}
