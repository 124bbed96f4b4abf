//! The ledger of the portfolios whose charges come to this partition: prices lines, counts them towards volume tiers, and
//! publishes what the tiers take off.
//!
//! It is a part of the engine of the partition, so that its rows are committed with the rest, by the same gate. A replay
//! has one partition, and books a line as soon as it is written; on Kafka lines come by `tollgate.charges`.

mod people;
mod tell;

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::Setup;
use crate::codec::ids;
use crate::codec::state::{self, ledger as rows};
use crate::domain::billing::{self, Line, Price, Toll};
use crate::domain::id::{AccountId, NumberId};
use crate::domain::ledger::Scope;
use crate::domain::ledger::notices::{self, Notice, Notices, Stands};
use crate::domain::ledger::reach::{COUNTED, PersonKey};
use crate::domain::ledger::spend::{Item, Spend};
use crate::domain::ledger::usage::{AsOf, Person, Usage};
use crate::domain::ledger::volume::{Counter, CounterId, Discount, HalfHour, Reached, Share, Switches};
use crate::domain::money::Amount;
use crate::domain::reference::{Account, Reference};
use crate::domain::rules::EraAt;
use crate::domain::rules::limits::{self, MessagingLimit};
use crate::domain::rules::tiers::Tiered;
use crate::domain::time::{Date, Days, Millis, Month, Span, Timestamp, Zone};
use crate::store::{self, Batch, Store, keys};
use crate::zones::Zones;
use people::People;
pub use tell::{Measure, SpentBy, Standing, TierUsed, Used};

/// How long a count is kept after its last message: longer than anything may be late.
const KEPT: Millis = Millis::days(75);

/// So many counts are in memory with their half-hours before some are put away.
const LOADED: usize = 256;

/// What booking looks up.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// What stays as it is.
    pub setup: &'a Setup,
    /// What is known of accounts.
    pub reference: &'a Reference,
    /// The time zones.
    pub zones: &'a Zones,
}

impl Facts<'_> {
    /// The zone of an account, if it is known or assumed.
    fn zone(&self, account: Option<&AccountId>, at: Timestamp) -> Option<Zone> {
        let known = account.and_then(|account| self.reference.account(account, at).0.zone);
        known.or(self.setup.assume_zone)
    }

    /// From when to when a month lasts in a zone.
    fn span(&self, zone: Zone, month: Month) -> Option<Span> {
        let first = |date| self.zones.first_instant(zone, date);
        Some(Span { start: first(month.first_day())?, end: first(month.end())? })
    }
}

/// A line to be booked.
#[derive(Clone, Copy, Debug)]
pub struct Posting<'a> {
    /// Whose it is.
    pub scope: &'a Scope,
    /// The account that is charged.
    pub account: Option<&'a AccountId>,
    /// The number that sent.
    pub number: &'a NumberId,
    /// The line.
    pub line: &'a Line,
    /// Whether it takes an earlier one back.
    pub reverses: bool,
    /// Who was reached, where that counts towards a messaging limit.
    pub person: Option<Person>,
}

/// What booking a line has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booked {
    /// Its price at list.
    pub price: Price,
    /// The volume tier it came into by the counts of that moment, for information.
    pub tier: Option<Reached>,
}

/// What the ledger publishes of its own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// A line of discount.
    Discount(Box<PostedDiscount>),
    /// A row of the table of what is used.
    Used(Box<Used>),
}

/// A line of discount, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedDiscount {
    /// When: the end of the half-hour in which it changed.
    pub at: Timestamp,
    /// What is known of the account by then.
    pub account: Account,
    /// What is taken off.
    pub discount: Discount,
}

/// The ledger of a partition.
#[derive(Default)]
pub struct Ledger {
    counters: BTreeMap<CounterId, Entry>,
    due: BTreeSet<(Timestamp, CounterId)>,
    spend: HashMap<NumberId, Numbered, foldhash::fast::RandomState>,
    /// Whose spend is not in the store yet.
    spent: Vec<NumberId>,
    /// Who was reached outside service windows, by the hash of the scope.
    reach: BTreeMap<[u8; 16], People>,
    /// How far time has come.
    now: Option<Timestamp>,
    /// Of whom something has changed since it was last told; after a restart everybody, because nobody remembers.
    untold: BTreeSet<Scope>,
    told_at: Option<Timestamp>,
    /// The limits that were told last.
    limits: BTreeMap<Scope, Option<MessagingLimit>>,
    /// The facts by which they were.
    told_by: Option<u64>,
    /// When the first month ends of which a notice stands.
    notices_end: Option<Timestamp>,
    arisen: Vec<Arisen>,
}

/// A notice that has arisen and is not told yet, and its number, if it is of one.
type Arisen = (Scope, Option<NumberId>, Notice);

/// A count, and what of it is not in the store yet.
struct Entry {
    key: [u8; 16],
    counter: Counter,
    /// Whether the half-hours are in memory.
    loaded: bool,
    switches: Switches,
    /// The facts from which the switches were taken.
    version: Option<u64>,
    /// When it is looked at next: to publish what has changed, or to be forgotten.
    due: Option<Timestamp>,
    changed: bool,
    half_hours: BTreeSet<HalfHour>,
    /// To be deleted with the next batch.
    gone: bool,
}

struct Numbered {
    spend: Spend,
    notices: Notices,
    changed: bool,
}

fn row(kind: &'static str) -> impl Fn(state::Error) -> store::Error {
    move |error| store::Error::Row { kind, error }
}

fn scope_key(scope: &Scope) -> [u8; 16] {
    ids::hash(&[scope.kind().as_bytes(), scope.id().as_bytes()])
}

impl Usage for Ledger {
    fn people(&self, scope: &Scope, at: Timestamp) -> Option<AsOf<u64>> {
        let count = self.reach.get(&scope_key(scope)).map_or(0, |people| people.reach.count(at));
        Some(AsOf { count, as_of: self.now? })
    }

    fn spend(&self, number: &NumberId) -> Option<AsOf<&Spend>> {
        Some(AsOf { count: &self.spend.get(number)?.spend, as_of: self.now? })
    }
}

fn key_of(id: &CounterId) -> [u8; 16] {
    let (scope, month) = (&id.scope, id.month.to_string());
    ids::hash(&[
        scope.kind().as_bytes(),
        scope.id().as_bytes(),
        id.market.name().as_bytes(),
        id.accrual.name().as_bytes(),
        month.as_bytes(),
    ])
}

impl Entry {
    fn new(id: &CounterId, loaded: bool) -> Self {
        Self {
            key: key_of(id),
            counter: Counter::default(),
            loaded,
            switches: Switches::default(),
            version: None,
            due: None,
            changed: false,
            half_hours: BTreeSet::new(),
            gone: false,
        }
    }

    /// Brings the half-hours into memory, and the switches up to date.
    fn prepare(&mut self, id: &CounterId, reference: &Reference, store: &impl Store) -> Result<(), store::Error> {
        if !self.loaded {
            let prefix = keys::half_hours(self.key);
            for (key, record) in store.scan(&prefix, &[], usize::MAX)? {
                let damaged = state::Error::Damaged("a key");
                let number = keys::parse_half_hour(&key).ok_or(damaged).map_err(row("half-hour"))?;
                for (share, messages) in rows::read_half_hour(&record).map_err(row("half-hour"))? {
                    self.counter.add(HalfHour(number), share, messages);
                }
            }
            self.loaded = true;
        }
        if self.version != Some(reference.version()) {
            self.version = Some(reference.version());
            self.switches = Switches::of(reference.volume_tiers(&id.scope), id);
        }
        Ok(())
    }
}

impl Ledger {
    /// The ledger that a store holds.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(store: &impl Store) -> Result<Self, store::Error> {
        let mut ledger = Self::default();
        for (_, record) in store.scan(&[keys::COUNTER], &[], usize::MAX)? {
            let rows::CounterRow { id, due, published } = rows::read_counter(&record).map_err(row("count"))?;
            let mut entry = Entry::new(&id, false);
            (entry.due, entry.counter.published) = (due, published);
            ledger.due.extend(due.map(|due| (due, id.clone())));
            ledger.counters.insert(id, entry);
        }
        for (_, record) in store.scan(&[keys::SPEND], &[], usize::MAX)? {
            let (number, spend, notices) = rows::read_spend(&record).map_err(row("spend"))?;
            ledger.notices_end = ledger.notices_end.into_iter().chain(notices.next_end()).min();
            ledger.spend.insert(number, Numbered { spend, notices, changed: false });
        }
        for (_, record) in store.scan(&[keys::NOTICES], &[], usize::MAX)? {
            let (scope, notices) = rows::read_notices(&record).map_err(row("notice"))?;
            let people = ledger.reach.entry(scope_key(&scope)).or_insert_with(|| People::of(scope));
            people.notices = notices;
        }
        for (key, record) in store.scan(&[keys::REACHED], &[], usize::MAX)? {
            let (scope, at) = rows::read_reached(&record).map_err(row("person"))?;
            let damaged = || row("person")(state::Error::Damaged("a key"));
            let (key, person) = keys::parse_reached(&key).ok_or_else(damaged)?;
            ledger.reach.entry(key).or_insert_with(|| People::of(scope)).reach.add(PersonKey(person), at);
        }
        ledger.untold = ledger.known();
        Ok(ledger)
    }

    /// Time has come so far.
    pub fn time_is(&mut self, now: Timestamp) {
        self.now = self.now.max(Some(now));
    }

    /// Takes note of somebody who was reached, and of what that makes of the limit.
    fn reach(&mut self, facts: &Facts<'_>, posting: &Posting<'_>, person: Person, now: Timestamp) {
        let own = limits::own(posting.number);
        let scope = if person.of_portfolio { posting.scope } else { &own };
        let people = self.reach.entry(scope_key(scope)).or_insert_with(|| People::of(scope.clone()));
        let limit = people.limit(facts, posting.account, now);
        people.forget(now);
        let at = posting.line.charged_at;
        if now < at + COUNTED && people.reach.add(person.key, at) {
            people.changed.insert(person.key, at);
            people.gone.remove(&person.key);
        }
        let Some(limit) = limit else {
            return;
        };
        for notice in notices::of_limit(&facts.setup.policy, limit, people.reach.len()) {
            if !people.notices.has(&notice) {
                people.notices.arise(notice.clone(), Stands { since: at, until: None });
                people.noticed = true;
                self.arisen.push((people.scope.clone(), None, notice));
            }
        }
    }

    /// Forgets who does not count any more. That there are fewer now is told, also where nobody is left.
    fn forget_people(&mut self, now: Timestamp) {
        for people in self.reach.values_mut() {
            if people.forget(now) {
                self.untold.insert(people.scope.clone());
            }
        }
    }

    /// Prices a line and books it. `now` is how far time has come.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn book(
        &mut self,
        facts: Facts<'_>,
        posting: Posting<'_>,
        now: Timestamp,
        store: &impl Store,
    ) -> Result<Booked, store::Error> {
        let Posting { line, reverses, .. } = posting;
        let setup = facts.setup;
        let price = billing::price(line, reverses, &setup.rules, &setup.cards);
        let mut tier = None;
        if let Some(person) = posting.person {
            self.reach(&facts, &posting, person, now);
        }
        if !self.untold.contains(posting.scope) {
            self.untold.insert(posting.scope.clone());
        }
        if let Some(month) = line.consumed {
            self.take_free(&facts, &posting, month, now);
        }
        if let (Toll::Charged(category), Some(date)) = (&line.toll, line.date) {
            if let (Some(amount), Some(currency)) = (price.amount, price.currency) {
                let item = Item { month: date.month(), category: category.clone(), currency };
                self.spend(&facts, &posting, (item, amount), now);
            }
            if let Some(of) = Tiered::of(category).filter(|_| line.cost.is_none() && setup.cards.have_tiers()) {
                tier = self.count(&facts, &posting, (of, date, &price), now, store)?;
            }
        }
        Ok(Booked { price, tier })
    }

    /// Adds a line to what its number was charged for or has used.
    fn add_up<T>(&mut self, posting: &Posting<'_>, add: impl FnOnce(&mut Spend) -> T) -> T {
        let known = match self.spend.get_mut(posting.number) {
            Some(known) => known,
            None => self.spend.entry(posting.number.clone()).or_insert_with(|| Numbered {
                spend: Spend::new(posting.scope.clone()),
                notices: Notices::new(),
                changed: false,
            }),
        };
        if known.spend.scope != *posting.scope {
            known.spend.scope = posting.scope.clone();
        }
        if known.spend.account.as_ref() != posting.account {
            known.spend.account = posting.account.cloned();
        }
        if !std::mem::replace(&mut known.changed, true) {
            self.spent.push(posting.number.clone());
        }
        add(&mut known.spend)
    }

    /// Adds up what a number was charged for, and takes notice of what that makes of its budgets.
    fn spend(&mut self, facts: &Facts<'_>, posting: &Posting<'_>, (item, amount): (Item, Amount), now: Timestamp) {
        let (policy, month) = (&facts.setup.policy, item.month);
        let messages = if posting.reverses { -1 } else { 1 };
        if policy.budgets.is_empty() {
            self.add_up(posting, |spend| spend.add(item, messages, amount));
            return;
        }
        let hold = self.add_up(posting, |spend| {
            spend.add(item.clone(), messages, amount);
            notices::of_budgets(policy, posting.number, spend, &item)
        });
        self.arise(facts, posting, hold, (month, now));
    }

    /// Counts a free delivery, and takes notice of what that makes of the month's.
    fn take_free(&mut self, facts: &Facts<'_>, posting: &Posting<'_>, month: Month, now: Timestamp) {
        let used = self.add_up(posting, |spend| spend.take_free(month, if posting.reverses { -1 } else { 1 }));
        let limit = facts.setup.rules.allowance(month);
        self.arise(facts, posting, notices::of_allowance(&facts.setup.policy, month, used, limit), (month, now));
    }

    /// Takes notice of what is none yet, unless its month has passed.
    fn arise(
        &mut self,
        facts: &Facts<'_>,
        posting: &Posting<'_>,
        hold: impl IntoIterator<Item = Notice>,
        (month, now): (Month, Timestamp),
    ) {
        for notice in hold {
            let Some(numbered) = self.spend.get_mut(posting.number).filter(|known| !known.notices.has(&notice)) else {
                continue;
            };
            let span = facts.zone(posting.account, now).and_then(|zone| facts.span(zone, month));
            let Some(until) = span.map(|span| span.end).filter(|end| now < *end) else {
                continue;
            };
            numbered.notices.arise(notice.clone(), Stands { since: posting.line.charged_at, until: Some(until) });
            self.notices_end = Some(self.notices_end.map_or(until, |known| known.min(until)));
            self.arisen.push((posting.scope.clone(), Some(posting.number.clone()), notice));
        }
    }

    /// Counts a charged message towards its tier. Returns the tier it is in.
    fn count(
        &mut self,
        facts: &Facts<'_>,
        posting: &Posting<'_>,
        (of, date, price): (Tiered, Date, &Price),
        now: Timestamp,
        store: &impl Store,
    ) -> Result<Option<Reached>, store::Error> {
        let Posting { scope, account, line, reverses, .. } = *posting;
        let Facts { setup, reference, .. } = *facts;
        // Calls have been charged so in every era.
        let by_message = of == Tiered::Call
            || match setup.rules.era(Days { first: date, last: date }) {
                EraAt::Era(era) => era.messages().is_some(),
                EraAt::BeforeFirst | EraAt::ZoneUnknown => false,
            };
        let Some(market) = price.market.filter(|_| by_message) else {
            return Ok(None);
        };
        let day = setup.rules.card_date(date);
        let card = price.currency.and_then(|currency| setup.cards.in_force(currency, day));
        let id = CounterId { scope: scope.clone(), market, accrual: of.accrual(), month: date.month() };
        let entry = self.counters.entry(id.clone()).or_insert_with(|| Entry::new(&id, true));
        entry.prepare(&id, reference, store)?;
        let tiers = card.and_then(|card| card.tiers(market, of)).filter(|_| !reverses);
        let tier = tiers.map(|tiers| entry.counter.reached(tiers, &entry.switches));
        let card = card.map(|card| (card.currency, card.from));
        let share = Share { account: account.cloned(), of, card, units: line.units };
        let half_hour = HalfHour::of(line.charged_at);
        entry.counter.add(half_hour, share, if reverses { -1 } else { 1 });
        entry.half_hours.insert(half_hour);
        (entry.changed, entry.gone) = (true, false);
        let due = HalfHour::of(now).end();
        if entry.due.is_none_or(|known| due < known) {
            if let Some(known) = entry.due.replace(due) {
                self.due.remove(&(known, id.clone()));
            }
            self.due.insert((due, id));
        }
        Ok(tier)
    }

    /// When something is due next.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Publishes what has changed in half-hours that have passed at an instant; at the end of all input, all that has.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn publish(
        &mut self,
        Facts { setup, reference, .. }: Facts<'_>,
        until: Timestamp,
        posted: &mut Vec<Posted>,
        store: &impl Store,
    ) -> Result<(), store::Error> {
        while let Some((at, id)) = self.due.first().filter(|(due, _)| *due <= until).cloned() {
            self.due.remove(&(at, id.clone()));
            let Some(entry) = self.counters.get_mut(&id) else {
                continue;
            };
            entry.prepare(&id, reference, store)?;
            let day = setup.rules.card_date(id.month.first_day());
            let lines = entry.counter.publish(&id, (&setup.cards, day), &entry.switches);
            entry.changed = true;
            if !lines.is_empty() {
                // What tiers take off is a part of what was spent.
                self.untold.insert(id.scope.clone());
            }
            let forgotten_at = entry.counter.last().map(|last| last.end() + KEPT);
            entry.gone = lines.is_empty() && forgotten_at.is_none_or(|forgotten_at| forgotten_at <= at);
            entry.due = forgotten_at.filter(|_| !entry.gone).map(|forgotten_at| forgotten_at.max(at + Millis(1)));
            self.due.extend(entry.due.map(|due| (due, id)));
            posted.extend(lines.into_iter().map(|discount| {
                let known = discount.account.as_ref().map(|account| reference.account(account, at).0);
                let account = known.unwrap_or_else(|| Account::unknown(None));
                Posted::Discount(Box::new(PostedDiscount { at, account, discount }))
            }));
        }
        Ok(())
    }

    /// Adds what has changed to a batch.
    pub fn write(&mut self, now: Option<Timestamp>, batch: &mut Batch) {
        let mut gone = Vec::new();
        for (id, entry) in self.counters.iter_mut().filter(|(_, entry)| entry.changed) {
            entry.changed = false;
            if entry.gone {
                for half_hour in entry.counter.half_hours() {
                    batch.delete(&keys::half_hour(entry.key, half_hour.0));
                }
                batch.delete(&keys::counter(entry.key));
                gone.push(id.clone());
                continue;
            }
            let published = entry.counter.published.clone();
            let head = rows::CounterRow { id: id.clone(), due: entry.due, published };
            batch.write(&keys::counter(entry.key), |record| rows::write_counter(&head, record));
            for half_hour in std::mem::take(&mut entry.half_hours) {
                let key = keys::half_hour(entry.key, half_hour.0);
                batch.write(&key, |record| rows::write_half_hour(&entry.counter.shares(half_hour), record));
            }
        }
        for id in gone {
            self.counters.remove(&id);
        }
        if let Some(now) = now {
            self.forget_people(now);
        }
        for (key, people) in &mut self.reach {
            for person in std::mem::take(&mut people.gone) {
                batch.delete(&keys::reached(*key, person.0));
            }
            if std::mem::take(&mut people.noticed) {
                let key = keys::notices(*key);
                if people.notices.is_empty() {
                    batch.delete(&key);
                } else {
                    batch.write(&key, |record| rows::write_notices(&people.scope, &people.notices, record));
                }
            }
            for (person, at) in std::mem::take(&mut people.changed) {
                batch.write(&keys::reached(*key, person.0), |row| rows::write_reached(&people.scope, at, row));
            }
        }
        let old = now.map(|now| Date::utc(now - KEPT).month());
        for number in std::mem::take(&mut self.spent) {
            if let Some(account) = self.spend.get_mut(&number) {
                account.changed = false;
                if let Some(old) = old {
                    account.spend.forget_before(old);
                }
                let key = keys::spend(ids::hash(&[number.as_str().as_bytes()]));
                batch.write(&key, |record| rows::write_spend(&number, &account.spend, &account.notices, record));
            }
        }
    }

    /// Puts half-hours away that are not needed soon, where many are in memory. All of them are in the store.
    pub fn trim(&mut self) {
        let loaded = self.counters.values().filter(|entry| entry.loaded).count();
        if loaded <= LOADED {
            return;
        }
        for entry in self.counters.values_mut().filter(|entry| entry.loaded && !entry.changed) {
            entry.counter.put_away();
            entry.loaded = false;
        }
    }
}
