//! One partition: loads what an event needs, folds it, keeps what changed, and commits state and position
//! together. Blocking; knows no Kafka, no files, no clock.
//!
//! The caller drives: [`Engine::advance`] fires the deadlines that a record's arrival has passed,
//! [`Engine::fold`] folds the record, and [`Engine::commit`] makes everything so far durable, with the
//! caller's own position in the same batch. What the caller publishes it must have made durable before.

mod earlier;
pub mod forecast;
mod home;
mod identity;
mod keep;
pub mod ledger;
mod look;
mod meta;
pub mod publish;
mod sent;
mod table;
mod timers;

use std::collections::BTreeSet;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::codec::ids;
use crate::codec::ids::DeploymentKey;
use crate::codec::reference::{Learned, Mistake};
use crate::codec::state::{self, AliasRow, ContactRow, NumberIndex, WriteFormat};
use crate::domain::contact::Contact;
use crate::domain::effect::{Effect, What};
use crate::domain::event::{About, Event, Happening, Status};
use crate::domain::fold::{self, Held};
use crate::domain::id::{AliasHash, ContactNumber, MessageKey, NumberId, Participant, WaId};
use crate::domain::identity::{Alias, Rank};
use crate::domain::ledger::Scope;
use crate::domain::ledger::usage::{Person, Snapshot, Usage};
use crate::domain::ledger::volume::HalfHour;
use crate::domain::message::{Message, Request};
use crate::domain::money::Currency;
use crate::domain::number::Number;
use crate::domain::policy::{Context, Policy};
use crate::domain::reference::{Account, Reference};
use crate::domain::rules::Rules;
use crate::domain::rules::cards::Cards;
use crate::domain::rules::limits;
use crate::domain::time::{Days, Millis, Timestamp, Zone};
use crate::store::{self, Store, keys};
use crate::zones::Zones;
use home::Homes;
use identity::{Who, Whose};
pub use keep::{derived_from, position_of, position_row};
use ledger::{Booked, Facts, Ledger, Posted, Posting};
use meta::Meta;
use sent::SentIndex;
use table::{Format, Table};
use timers::Timers;

/// How far ahead of its arrival an event may say it happened.
pub const FUTURE: Millis = Millis::minutes(10);

/// Everything that stays as it is while events are folded.
pub struct Setup {
    /// The deployment's choices.
    pub policy: Policy,
    /// The platform's rules.
    pub rules: Rules,
    /// The rate cards.
    pub cards: Cards,
    /// The deployment's secret.
    pub key: DeploymentKey,
    /// The time zone to take where no fact tells one.
    pub assume_zone: Option<Zone>,
    /// The currency to take where no fact tells one.
    pub assume_currency: Option<Currency>,
    /// About how many bytes the rows in memory may take.
    pub memory: usize,
    /// The format that rows are written in. All formats are read, so that a new version can be taken back until
    /// this is raised.
    pub write_format: WriteFormat,
}

/// An event with the keys of what it touches, worked out by whoever decodes it, so that the fold need not.
#[derive(Debug)]
pub struct Prepared {
    /// The event.
    pub event: Event,
    message: Option<MessageKey>,
    /// The message to a group, where `message` is one recipient's share of it.
    whole: Option<MessageKey>,
    /// By which name that recipient is known.
    recipient: Option<AliasHash>,
    request: Option<[u8; 16]>,
    /// Nothing where they are hardly ever asked for: a message that is known knows its contact.
    aliases: Option<Vec<Alias>>,
}

fn aliases_of(event: &Event, key: &DeploymentKey) -> Vec<Alias> {
    match &event.group {
        Some(group) => vec![key.alias(&event.number, Rank::Group, group.as_str())],
        None => event.names().map(|(rank, name)| key.alias(&event.number, rank, name)).collect(),
    }
}

impl Prepared {
    /// Works out the keys.
    #[must_use]
    pub fn new(event: Event, key: &DeploymentKey) -> Self {
        let number = &event.number;
        let (message, request) = match &event.happening {
            Happening::SendRequested(ask) => (None, Some(ids::request(number, &ask.request))),
            Happening::SendAccepted(accepted) => (
                Some(ids::message(number, &accepted.message, None)),
                accepted.request.as_ref().map(|request| ids::request(number, request)),
            ),
            Happening::Status(status) => match &status.about {
                About::Message(id) => (Some(ids::message(number, id, status.participant.as_ref())), None),
                About::Request(id) => (None, Some(ids::request(number, id))),
            },
            Happening::CallEnded(ended) => (Some(ids::message(number, &ended.call, None)), None),
            Happening::Inbound(_)
            | Happening::Echo
            | Happening::MarketingPreference(_)
            | Happening::Consent(_)
            | Happening::IdentityChanged(_)
            | Happening::ContactErased
            | Happening::NumberFact(_)
            | Happening::Unknown(_) => (None, None),
        };
        let (whole, recipient) = match &event.happening {
            Happening::Status(Status { about: About::Message(id), participant: Some(participant), .. }) => {
                (Some(ids::message(number, id, None)), Some(name_of(participant, number, key)))
            }
            _ => (None, None),
        };
        let about_known = matches!(event.happening, Happening::SendAccepted(_) | Happening::Status(_));
        let aliases = (!about_known).then(|| aliases_of(&event, key));
        Self { event, message, whole, recipient, request, aliases }
    }
}

/// The name of a recipient within a group, as it would be a contact's.
fn name_of(participant: &Participant, number: &NumberId, key: &DeploymentKey) -> AliasHash {
    let alias = match WaId::parse(participant.as_str()) {
        Ok(phone) => key.alias(number, Rank::Phone, phone.as_str()),
        Err(_) => key.alias(number, Rank::Scoped, participant.as_str()),
    };
    alias.hash
}

/// An effect and the number it belongs to.
#[derive(Debug)]
pub struct Output {
    /// The business phone number.
    pub number: Arc<NumberId>,
    /// What to publish.
    pub effect: Effect,
}

/// Why a record was not folded; it belongs in the dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It says it happened well after it arrived.
    InTheFuture,
    /// It happened longer ago than the horizon, and is about nothing that is remembered.
    TooLate,
}

impl Rejected {
    /// The stable code of dead letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InTheFuture => "in_the_future",
            Self::TooLate => "too_late",
        }
    }

    /// What is wrong and what to do.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::InTheFuture => {
                "it says it happened more than 10 minutes after it arrived; mend the sender's clock or the unit"
            }
            Self::TooLate => {
                "it happened longer ago than the lateness horizon, and is about no message that is remembered; \
                 set `admit_late` to fold it all the same"
            }
        }
    }
}

/// Whether time could be advanced all the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Advanced {
    /// All deadlines passed have fired.
    Done,
    /// More may be due than is in memory: commit, then call again.
    CommitFirst,
    /// More may be due than there is room for outputs: take them away, then call again.
    TakeOutputs,
}

/// A number with what is worked out of it. All numbers are in memory: a business has few.
struct NumberEntry {
    number: Number,
    id: Arc<NumberId>,
    changed: bool,
    homes: Homes,
}

/// What may be too old to rest a verdict on.
#[derive(Clone, Copy, Default)]
struct Stale {
    input: bool,
    reference: bool,
}

fn context_of<'a>(
    setup: &'a Setup,
    reference: &'a Reference,
    zones: &'a Zones,
    usage: &'a dyn Usage,
    stale: Stale,
    partition_time: Timestamp,
) -> Context<'a> {
    Context {
        policy: &setup.policy,
        rules: &setup.rules,
        cards: &setup.cards,
        reference,
        zones,
        partition_time,
        input_stale: stale.input,
        reference_stale: stale.reference,
        rows_hold_all: setup.write_format >= WriteFormat::Second,
        usage,
    }
}

/// What tells how much is used: what others have told of it, else the ledger of this partition, which is all there is
/// in a replay.
fn usage_of<'a>(told: Option<&'a Arc<Snapshot>>, ledger: &'a Ledger) -> &'a dyn Usage {
    match told {
        Some(told) => &**told,
        None => ledger,
    }
}

/// What is known of the message and the request of an event before it is folded.
#[derive(Default)]
struct Recalled {
    /// Whether either is remembered.
    is_known: bool,
    /// Whom they are about.
    contact: Option<ContactNumber>,
    /// Whom the request is about, where that was another contact when it was asked about.
    asked: Option<ContactNumber>,
    /// Under which instant the message is noted among those of its contact.
    noted_at: Option<Timestamp>,
}

/// One partition.
pub struct Engine<S> {
    setup: Arc<Setup>,
    zones: Zones,
    store: S,
    reference: Arc<Reference>,
    numbers: Vec<NumberEntry>,
    number_index: HashMap<NumberId, NumberIndex, foldhash::fast::RandomState>,
    contacts: Contacts,
    aliases: Table<AliasHash, AliasRow>,
    messages: Table<MessageKey, Message>,
    requests: Table<[u8; 16], Request>,
    timers: Timers,
    sent: SentIndex,
    meta: Meta,
    facts: Vec<Vec<u8>>,
    ledger: Ledger,
    /// What ledgers have told of limits and budgets; nothing where this one is the only one.
    usage: Option<Arc<Snapshot>>,
    /// How often what is used is told; nothing where it is told at the end alone.
    usage_every: Option<Millis>,
    /// What the ledger has to publish.
    posted: Vec<Posted>,
    stale: Stale,
    effects: Vec<Effect>,
    /// Deadlines that have fired since somebody asked.
    fired: u64,
    /// The deadline that fired last, or is being fired.
    firing: Option<Deadline>,
    /// Deadlines that are taken away instead of being fired, and those of which that has been done since somebody
    /// asked.
    spared: BTreeSet<Deadline>,
    taken_away: Vec<Deadline>,
    /// How many bytes a row of the last batch had.
    row_bytes: usize,
}

/// The contacts, and what has turned out to be another one.
type Contacts = Table<ContactNumber, ContactRow>;

/// A deadline: the instant, and whose it is.
pub type Deadline = (Timestamp, ContactNumber);

fn contact_format() -> Format<ContactNumber, ContactRow> {
    Format {
        kind: "contact",
        key: keys::contact,
        write: state::write_contact_row,
        read: state::read_contact_row,
        weight: 700,
    }
}

fn alias_format() -> Format<AliasHash, AliasRow> {
    Format { kind: "alias", key: keys::alias, write: state::write_alias, read: state::read_alias, weight: 64 }
}

fn message_format() -> Format<MessageKey, Message> {
    Format { kind: "message", key: keys::message, write: state::write_message, read: state::read_message, weight: 600 }
}

fn request_format() -> Format<[u8; 16], Request> {
    Format { kind: "request", key: keys::request, write: state::write_request, read: state::read_request, weight: 200 }
}

impl<S: Store> Engine<S> {
    /// Opens the partition that a store holds. Returns the caller's position as last committed, if there is
    /// one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn open(
        setup: Arc<Setup>,
        zones: Zones,
        reference: Arc<Reference>,
        store: S,
    ) -> Result<(Self, Option<Vec<u8>>), store::Error> {
        let meta = store.get(keys::meta())?.map(|record| Meta::read(&record)).transpose();
        let meta = meta.map_err(|error| store::Error::Row { kind: "position", error })?;
        let fresh = meta.is_none();
        let (meta, position) = meta.map_or((Meta::default(), None), |(meta, position)| (meta, Some(position)));
        // Of messages there are the most, and most of them are looked for again within days.
        let share = setup.memory / 20;
        let timers = if fresh { Timers::default() } else { Timers::open(&store)? };
        let mut engine = Self {
            contacts: Table::new(contact_format(), share * 6, fresh),
            aliases: Table::new(alias_format(), share, fresh),
            messages: Table::new(message_format(), share * 11, fresh),
            requests: Table::new(request_format(), share * 2, fresh),
            setup,
            zones,
            store,
            reference,
            numbers: Vec::new(),
            number_index: HashMap::default(),
            timers,
            sent: SentIndex::default(),
            meta,
            facts: Vec::new(),
            ledger: Ledger::default(),
            usage: None,
            usage_every: None,
            posted: Vec::new(),
            stale: Stale::default(),
            effects: Vec::new(),
            fired: 0,
            firing: None,
            spared: BTreeSet::new(),
            taken_away: Vec::new(),
            row_bytes: 0,
        };
        engine.load_numbers()?;
        engine.load_facts()?;
        if !fresh {
            engine.ledger = Ledger::open(&engine.store)?;
        }
        if let Some(now) = engine.meta.partition_time {
            engine.ledger.time_is(now);
        }
        Ok((engine, position))
    }

    fn load_numbers(&mut self) -> Result<(), store::Error> {
        let row = |kind| move |error| store::Error::Row { kind, error };
        for (_, record) in self.store.scan(&[keys::NUMBER], &[], usize::MAX)? {
            let (_, number) = state::read_number(&record).map_err(row("number"))?;
            self.add_number(number);
        }
        for (key, record) in self.store.scan(&[keys::NUMBER_MONTH], &[], usize::MAX)? {
            let used = state::read_month(&record).map_err(row("number-month"))?;
            let damaged = state::Error::Damaged("a key");
            let (index, month) = keys::parse_month(&key).ok_or(damaged).map_err(row("number-month"))?;
            if let Some(entry) = self.numbers.get_mut(index.0 as usize) {
                entry.number.months.insert(month, used);
            }
        }
        Ok(())
    }

    /// Learns again what earlier events told of accounts and templates.
    fn load_facts(&mut self) -> Result<(), store::Error> {
        for (_, record) in self.store.scan(&[keys::FACT], &[], usize::MAX)? {
            let fact = Learned::read(&record).map_err(|error| store::Error::Row { kind: "fact", error })?;
            // It was learned before, so it cannot be wrong now.
            let _ = self.learn(&fact);
        }
        Ok(())
    }

    fn add_number(&mut self, number: Number) -> NumberIndex {
        // There are fewer business phone numbers in the world than 32 bits can count.
        let index = NumberIndex(u32::try_from(self.numbers.len()).unwrap_or(u32::MAX));
        self.number_index.insert(number.id.clone(), index);
        let id = Arc::new(number.id.clone());
        self.numbers.push(NumberEntry { number, id, changed: false, homes: Homes::default() });
        index
    }

    /// The partition time: the greatest arrival seen.
    #[must_use]
    pub const fn partition_time(&self) -> Option<Timestamp> {
        self.meta.partition_time
    }

    /// What is known of accounts and templates.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Says whether inbound events may be missing that arrived before what is folded next.
    pub const fn input_may_be_stale(&mut self, stale: bool) {
        self.stale.input = stale;
    }

    /// Says whether what is known of accounts and templates may be too old to rest a verdict on.
    pub const fn reference_may_be_stale(&mut self, stale: bool) {
        self.stale.reference = stale;
    }

    /// From now on takes what is known of accounts and templates from here.
    pub fn refer_to(&mut self, reference: Arc<Reference>) {
        self.reference = reference;
    }

    /// From now on takes what is used of limits and budgets from here.
    pub fn use_usage(&mut self, usage: Arc<Snapshot>) {
        self.usage = Some(usage);
    }

    /// The earliest deadline, or an instant before which none is.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let (timer, ledger) = (self.timers.first(), self.ledger.next_due());
        let told = self.usage_every.and_then(|every| self.ledger.next_told(&self.reference, every));
        timer.into_iter().chain(ledger).chain(told).min()
    }

    /// The deadline that fires next, where time has passed it already.
    #[must_use]
    pub fn due(&self) -> Option<(Timestamp, ContactNumber)> {
        self.timers.due(self.meta.partition_time?)
    }

    /// How many deadlines have fired since this was last asked.
    pub const fn take_fired(&mut self) -> u64 {
        std::mem::replace(&mut self.fired, 0)
    }

    /// The deadline that fired last since the engine was opened. Where firing one panicked, it was this one.
    #[must_use]
    pub const fn last_fired(&self) -> Option<Deadline> {
        self.firing
    }

    /// From now on takes a deadline away instead of firing it, because firing it fails. The contact's next event sets
    /// its next one.
    pub fn spare(&mut self, deadline: Deadline) {
        self.spared.insert(deadline);
    }

    /// The deadlines that were taken away instead of being fired since this was last asked.
    pub fn take_spared(&mut self) -> Vec<Deadline> {
        std::mem::take(&mut self.taken_away)
    }

    /// The position row, with another position.
    #[must_use]
    pub fn position_row(&self, position: &[u8]) -> Vec<u8> {
        self.meta.write(position)
    }

    /// The store, as of the last commit.
    #[must_use]
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The store, for what only its owner does with it. Rows in memory do not follow what is written there.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The time zones.
    #[must_use]
    pub const fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The store, as of the last commit; nothing is folded any more.
    #[must_use]
    pub fn into_store(self) -> S {
        self.store
    }

    /// Moves time to a record's arrival and fires the deadlines it has passed, in order. Stops once `outputs`
    /// holds more than `room`, for the caller to take them away: a million windows may end at one record.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn advance(
        &mut self,
        arrived_at: Timestamp,
        room: usize,
        outputs: &mut Vec<Output>,
    ) -> Result<Advanced, store::Error> {
        let now = self.meta.partition_time.map_or(arrived_at, |known| known.max(arrived_at));
        self.meta.partition_time = Some(now);
        self.ledger.time_is(now);
        while let Some((due, contact)) = self.timers.next(now) {
            self.firing = Some((due, contact));
            if self.spared.contains(&(due, contact)) {
                self.take_away(due, contact)?;
            } else {
                self.fire(due, contact, outputs)?;
            }
            if self.wants_commit() {
                return Ok(Advanced::CommitFirst);
            }
            if outputs.len() > room {
                return Ok(Advanced::TakeOutputs);
            }
        }
        if self.timers.needs_refill(now) {
            return Ok(Advanced::CommitFirst);
        }
        self.publish_ledger(now)?;
        Ok(Advanced::Done)
    }

    /// From now on tells every so often what is used of limits, tiers and budgets.
    pub const fn tell_usage_every(&mut self, length: Millis) {
        self.usage_every = Some(length);
    }

    fn publish_ledger(&mut self, until: Timestamp) -> Result<(), store::Error> {
        let facts = Facts { setup: &self.setup, reference: &self.reference, zones: &self.zones };
        if self.ledger.next_due().is_some_and(|due| due <= until) {
            self.ledger.publish(facts, until, &mut self.posted, &self.store)?;
        }
        if self
            .usage_every
            .and_then(|every| self.ledger.next_told(&self.reference, every))
            .is_some_and(|due| due <= until)
        {
            self.ledger.tell(facts, until, &mut self.posted, &self.store)?;
        }
        Ok(())
    }

    /// Prices a line of the ledger, and counts it. What there is to notice then is posted at once.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn book(&mut self, posting: Posting<'_>) -> Result<Booked, store::Error> {
        let now = self.meta.partition_time.unwrap_or(posting.line.charged_at);
        let facts = Facts { setup: &self.setup, reference: &self.reference, zones: &self.zones };
        let booked = self.ledger.book(facts, posting, now, &self.store)?;
        // Without an instant to say it as of, it waits for the first one.
        if self.meta.partition_time.is_some() && self.ledger.has_arisen() {
            self.ledger.tell_arisen(facts, now, &mut self.posted, &self.store)?;
        }
        Ok(booked)
    }

    /// Books the line that an output tells, if it tells one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn book_output(&mut self, output: &Output) -> Result<Option<Booked>, store::Error> {
        let (number, account) = (&*output.number, &output.effect.account);
        let What::Charge(charge) = &output.effect.what else {
            return Ok(None);
        };
        let posting = Posting {
            scope: &Scope::of(account.portfolio.as_ref(), account.id.as_ref(), number),
            account: account.id.as_ref(),
            number,
            line: &charge.line,
            reverses: charge.reverses.is_some(),
            person: charge.person,
        };
        self.book(posting).map(Some)
    }

    /// Publishes what the ledger would publish at the end of the half-hour, and all that is used: there is no more input that
    /// could move time there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn close_ledger(&mut self) -> Result<(), store::Error> {
        let Some(now) = self.meta.partition_time else {
            return Ok(());
        };
        let facts = Facts { setup: &self.setup, reference: &self.reference, zones: &self.zones };
        self.ledger.publish(facts, HalfHour::of(now).end(), &mut self.posted, &self.store)?;
        self.ledger.tell_all(facts, now, &mut self.posted, &self.store)
    }

    /// Whether the ledger has something to publish.
    #[must_use]
    pub const fn has_posted(&self) -> bool {
        !self.posted.is_empty()
    }

    /// What the ledger has to publish since this was last asked.
    pub fn take_posted(&mut self) -> Vec<Posted> {
        std::mem::take(&mut self.posted)
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn take_away(&mut self, due: Timestamp, contact_number: ContactNumber) -> Result<(), store::Error> {
        let row = self.contacts.row(contact_number, &self.store)?.value.as_mut();
        if let Some(contact) = row.and_then(ContactRow::contact_mut).filter(|contact| contact.armed == Some(due)) {
            contact.armed = None;
            self.contacts.changed(contact_number);
            self.taken_away.push((due, contact_number));
        }
        Ok(())
    }

    fn fire(
        &mut self,
        due: Timestamp,
        contact_number: ContactNumber,
        outputs: &mut Vec<Output>,
    ) -> Result<(), store::Error> {
        let now = self.meta.partition_time.unwrap_or(due);
        let row = self.contacts.row(contact_number, &self.store)?;
        let Some(ContactRow::Here(index, contact)) = &mut row.value else {
            return Ok(());
        };
        // A timer may have been set anew since; then this one is an old copy of it.
        if contact.armed != Some(due) {
            return Ok(());
        }
        contact.armed = None;
        self.fired += 1;
        let Some(entry) = self.numbers.get_mut(index.0 as usize) else {
            return Ok(());
        };
        let account = entry.homes.account(&self.setup, &self.reference, &entry.number, None, due);
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        entry.changed = true;
        let dropped = fold::pass(&context, &mut entry.number, contact, &account, due, &mut self.effects);
        for key in dropped {
            let row = self.messages.row(key, &self.store)?;
            if let Some(message) = &mut row.value {
                let before = message.noted_at();
                fold::drop_message(&context, &mut entry.number, contact, &account, message, due, &mut self.effects);
                note(&mut self.sent, key, Some(message), before);
                self.messages.changed(key);
            }
        }
        arm(&mut self.timers, contact_number, contact, self.setup.policy.closing_lead);
        publish_into(outputs, &entry.id, &mut self.effects);
        self.contacts.changed(contact_number);
        Ok(())
    }

    /// Folds an event whose arrival [`Engine::advance`] has moved time to.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn fold(
        &mut self,
        prepared: &Prepared,
        arrived_at: Timestamp,
        outputs: &mut Vec<Output>,
    ) -> Result<Result<(), Rejected>, store::Error> {
        let Prepared { event, message, whole, request, .. } = prepared;
        let now = self.meta.partition_time.unwrap_or(arrived_at);
        if event.occurred_at > arrived_at + FUTURE {
            return Ok(Err(Rejected::InTheFuture));
        }
        let index = match self.number_index.get(&event.number) {
            Some(index) => *index,
            None => self.add_number(Number::new(event.number.clone())),
        };
        if self.is_of_erased_recipient(prepared)? {
            return Ok(Ok(()));
        }
        let known = self.recall(*message, *request, now)?;
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        if fold::admit(&context, event, known.is_known).is_err() {
            return self.come_too_late(prepared);
        }
        if event.happening == Happening::ContactErased {
            return self.erase(event, index, outputs).map(Ok);
        }
        let Whose { who, disturbed: united } = self.whose(prepared, &known, index)?;
        let contact_number = match who {
            Who::Contact(number) => Some(number),
            Who::Nobody => None,
            Who::Forgotten => return Ok(Ok(())),
        };
        // A copy, because a second row is changed with it; written back below.
        let mut whole_message = copy_of(&mut self.messages, *whole, &self.store)?;
        forget(&mut whole_message, now);
        let whole_noted_at = whole_message.as_ref().and_then(Message::noted_at);
        let message_row = match message {
            Some(key) => Some((*key, &mut self.messages.row(*key, &self.store)?.value)),
            None => None,
        };
        let request_row = match request {
            Some(key) => Some(&mut self.requests.row(*key, &self.store)?.value),
            None => None,
        };
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        let entry = &mut self.numbers[index.0 as usize];
        let (named, at) = (event.account.as_ref(), event.occurred_at);
        let account = entry.homes.account(&self.setup, &self.reference, &entry.number, named, at);
        let mut contact = match contact_number {
            Some(number) => {
                let row = self.contacts.row(number, &self.store)?.value.as_mut();
                row.and_then(ContactRow::contact_mut).map(|contact| (number, contact))
            }
            None => None,
        };
        if let Some((_, contact)) = &mut contact {
            know_better(contact, event, self.setup.policy.clear_identity);
        }
        let held = Held {
            number: &mut entry.number,
            contact: contact.as_mut().map(|(number, contact)| (*number, &mut **contact)),
            message: message_row,
            whole: whole.map(|key| (key, &mut whole_message)),
            request: request_row,
        };
        let then = fold::apply(&context, event, &account, held, &mut self.effects);
        entry.changed = true;
        if let Some(key) = whole {
            note(&mut self.sent, *key, whole_message.as_ref(), whole_noted_at);
            self.messages.row(*key, &self.store)?.value = whole_message;
            self.messages.changed(*key);
        }
        if let Some((number, contact)) = contact {
            arm(&mut self.timers, number, contact, self.setup.policy.closing_lead);
            self.contacts.changed(number);
        }
        self.note_sent(prepared, known.noted_at)?;
        let mut disturbed = then.disturbed;
        disturbed.extend(united);
        let own = message.filter(|_| then.own);
        if let (Some(since), Some(number)) = (then.look_back, contact_number) {
            disturbed.extend(self.look_back(event, &account, index, number, since)?);
        }
        if own.is_some() || !disturbed.is_empty() {
            self.settle(prepared, index, now, own, disturbed)?;
        }
        let entry = &self.numbers[index.0 as usize];
        let limits = [account.messaging_limit, account.portfolio_limit];
        if limits.into_iter().flatten().any(|limit| limit.people().is_some()) {
            name_people(&self.setup, event, &account, &self.zones, &mut self.effects);
        }
        publish_into(outputs, &entry.id, &mut self.effects);
        self.rows_changed(*message, *request).map(Ok)
    }

    /// What becomes of an event that comes too late. A dead letter would tell of somebody who was erased.
    fn come_too_late(&mut self, prepared: &Prepared) -> Result<Result<(), Rejected>, store::Error> {
        Ok(if self.is_forgotten(prepared)? { Ok(()) } else { Err(Rejected::TooLate) })
    }

    /// What is known of the message and the request of an event, once what is no longer kept of them is forgotten.
    fn recall(
        &mut self,
        message: Option<MessageKey>,
        request: Option<[u8; 16]>,
        now: Timestamp,
    ) -> Result<Recalled, store::Error> {
        let mut recalled = Recalled::default();
        if let Some(key) = message {
            let row = self.messages.row(key, &self.store)?;
            forget(&mut row.value, now);
            if let Some(message) = &row.value {
                (recalled.is_known, recalled.contact) = (true, message.contact);
                recalled.noted_at = message.contact.and_then(|_| message.noted_at());
            }
        }
        if let Some(key) = request {
            let row = self.requests.row(key, &self.store)?;
            row.value.take_if(|request| request.forgotten_at <= now);
            if let Some(request) = &row.value {
                recalled.is_known = true;
                let asked = request.asked.as_ref().map(|asked| asked.contact);
                recalled.contact = recalled.contact.or(asked);
                recalled.asked = asked.filter(|asked| recalled.contact != Some(*asked));
                // The message that the API made of it was seen first.
                if let (None, Some(key)) = (recalled.contact, request.message) {
                    let message = &self.messages.row(key, &self.store)?.value;
                    recalled.contact = message.as_ref().and_then(|message| message.contact);
                }
            }
        }
        Ok(recalled)
    }

    /// Notes to whom the message of an event went, if that is news.
    fn note_sent(&mut self, prepared: &Prepared, before: Option<Timestamp>) -> Result<(), store::Error> {
        let Some(key) = prepared.message else {
            return Ok(());
        };
        if let Some(message) = &mut self.messages.row(key, &self.store)?.value {
            if let Some(name) = prepared.recipient.filter(|_| !message.packed) {
                message.recipient = Some(ContactNumber::of_recipient(name));
            }
            note(&mut self.sent, key, Some(message), before);
        }
        Ok(())
    }

    /// Takes note of the rows of its message and its request that an event has changed.
    fn rows_changed(&mut self, message: Option<MessageKey>, request: Option<[u8; 16]>) -> Result<(), store::Error> {
        if let Some(key) = message {
            self.messages.changed(key);
        }
        if let Some(key) = request {
            // The first format has no room for a refusal alone: it is told again, under the same id, if it comes again.
            if self.setup.write_format < WriteFormat::Second {
                self.requests.row(key, &self.store)?.value.take_if(|request| request.asked.is_none());
            }
            self.requests.changed(key);
        }
        Ok(())
    }

    /// Learns a fact that the events themselves tell of an account or a template, and remembers it.
    ///
    /// # Errors
    /// If it cannot be what it says.
    pub fn learn_fact(&mut self, fact: &Learned<'_>) -> Result<(), Vec<Mistake>> {
        self.learn(fact)?;
        self.facts.push(fact.write());
        Ok(())
    }

    fn learn(&mut self, fact: &Learned<'_>) -> Result<(), Vec<Mistake>> {
        let zones = &self.zones;
        fact.learn(Arc::make_mut(&mut self.reference), &|name| zones.find(name))
    }
}

/// Forgets of a message what is no longer kept of it.
fn forget(slot: &mut Option<Message>, now: Timestamp) {
    let Some(message) = slot else {
        return;
    };
    if message.forgotten_at().is_some_and(|at| at <= now) {
        *slot = None;
    } else if !message.packed && message.packs_at().is_some_and(|at| at <= now) {
        message.pack();
    }
}

/// Notes to whom a message went, if that is news.
fn note(sent: &mut SentIndex, key: MessageKey, message: Option<&Message>, before: Option<Timestamp>) {
    let Some(message) = message else {
        return;
    };
    if let Some(noted_at) = message.noted_at().filter(|noted_at| before != Some(*noted_at)) {
        for contact in message.noted_to() {
            sent.add(contact, noted_at, key);
        }
    }
}

/// A copy of a message, if one is named and known.
fn copy_of(
    table: &mut Table<MessageKey, Message>,
    key: Option<MessageKey>,
    store: &impl Store,
) -> Result<Option<Message>, store::Error> {
    key.map_or(Ok(None), |key| Ok(table.row(key, store)?.value.clone()))
}

/// Learns from an event what it says of the person besides.
fn know_better(contact: &mut Contact, event: &Event, clear: bool) {
    let Some(identity) = event.contact.as_ref().filter(|_| event.group.is_none()) else {
        return;
    };
    if clear {
        let (has_phone, has_scoped) = (contact.is_known_by(Rank::Phone), contact.is_known_by(Rank::Scoped));
        let known = contact.clear.get_or_insert_default();
        if known.phone.is_none() && has_phone {
            known.phone.clone_from(&identity.phone);
        }
        if known.scoped.is_none() && has_scoped {
            known.scoped.clone_from(&identity.scoped);
        }
    }
}

/// Sets a contact's timer for its next deadline. A timer that is set for an earlier instant stays: when it
/// fires, nothing is due, and it is set anew, which costs less than moving it at every message.
fn arm(timers: &mut Timers, number: ContactNumber, contact: &mut Contact, lead: Option<Millis>) {
    let Some(deadline) = contact.deadline(lead) else {
        return;
    };
    match contact.armed {
        Some(armed) if armed <= deadline => return,
        Some(armed) => timers.clear(armed, number),
        None => {}
    }
    timers.set(deadline, number);
    contact.armed = Some(deadline);
}

/// Says on lines of messages that went out outside a service window who was reached, as the whole portfolio knows them: a
/// hash of the best name that the event gives them.
fn name_people(setup: &Setup, event: &Event, account: &Account, zones: &Zones, effects: &mut [Effect]) {
    let Some(identity) = event.contact.as_ref().filter(|_| event.group.is_none()) else {
        return;
    };
    for effect in effects {
        if let What::Charge(charge) = &mut effect.what
            && matches!(&event.happening, Happening::Status(Status { about: About::Message(id), .. }) if *id == charge.message)
            && charge.reverses.is_none()
            && !charge.service_window
            && charge.participant.is_none()
        {
            let days = Days::of(zones, account.zone, charge.line.charged_at);
            let of_portfolio = limits::is_of_portfolio(setup.rules.card_date(days.first));
            let scope = Scope::of(account.portfolio.as_ref(), account.id.as_ref(), &event.number);
            let key = setup.key.person(scope.id(), identity.canonical());
            charge.person = Some(Person { key, of_portfolio });
        }
    }
}

fn publish_into(outputs: &mut Vec<Output>, number: &Arc<NumberId>, effects: &mut Vec<Effect>) {
    outputs.extend(effects.drain(..).map(|effect| Output { number: Arc::clone(number), effect }));
}
