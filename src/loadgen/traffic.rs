//! The run: one activity after another, and every event when it arrives.
//!
//! An activity is planned whole, with all that will follow from it: a message's statuses, their delays and
//! repeats. So the generator knows what became of a message without keeping it. Only which replies are among a
//! month's free ones is settled later, because one that is heard of late may take another's place. An ask arrives at the moment at
//! which it is planned, when all that arrives before it has arrived.

use std::collections::BTreeMap;
use std::io;

use super::answer::{Amount, Answer, EntryType, Tally, UnknownReason};
use super::arrival::{Arrival, Report, UnderWay, What};
use super::calendar::{Calendar, DAY, Date};
use super::names::MessageId;
use super::people::{Contact, Ids};
use super::random::{Popularity, Random};
use super::record::Scribe;
use super::rules::{Cost, FREE_REPLIES, Situation};
use super::world::World;
use super::{References, Settings};

/// No activity plans more events than this: an ask, an acceptance and three statuses, each twice.
const MOST_AT_ONCE: u64 = 10;
/// How long after the last activity the stream goes on, so that what is quick can finish.
const TAIL: i64 = 120_000;

/// Where events go.
pub(super) type Out<'o> = &'o mut dyn FnMut(&crate::codec::records::Event<'_>) -> io::Result<()>;
/// Where answers go.
pub(super) type Answers<'o> = &'o mut dyn FnMut(&Answer) -> io::Result<()>;

/// What a number has delivered outside templates, month by month.
#[derive(Default)]
pub(super) struct Replies(Vec<((i16, u8), u32)>);

impl Replies {
    pub(super) fn of(&self, (year, month, _): Date) -> u32 {
        self.0.iter().rev().find(|(period, _)| *period == (year, month)).map_or(0, |(_, count)| *count)
    }

    /// Counts one, and says how many there were before.
    pub(super) fn count(&mut self, date: Date) -> u32 {
        let before = self.of(date);
        match self.0.iter_mut().find(|(period, _)| *period == (date.0, date.1)) {
            Some((_, count)) => *count += 1,
            None => self.0.push(((date.0, date.1), 1)),
        }
        before
    }
}

/// What a number has used of its free replies.
#[derive(Default)]
pub(super) struct Counter {
    /// Those that have arrived; where the platform prices, those that it has planned to deliver.
    pub(super) replies: Replies,
    /// Those under way on a number without a payment method.
    pub(super) reserved: u32,
    /// Where the product counts, the first of each month by when they were delivered, and by name, with whom they went
    /// to: the free ones, as far as has arrived.
    free: BTreeMap<(i16, u8), BTreeMap<(i64, u64), u32>>,
}

/// A run.
pub(super) struct Traffic<'o> {
    pub(super) settings: &'o Settings,
    pub(super) world: World,
    pub(super) contacts: Vec<Contact>,
    pub(super) counters: Vec<Counter>,
    pub(super) random: Random,
    pub(super) under_way: UnderWay,
    /// No event occurs or arrives after this.
    pub(super) end: i64,
    /// The last number given to a message, request or call.
    last_name: u64,
    popularity: Popularity,
    scribe: Scribe,
    tally: Tally,
    arrived: u64,
    partition_time: i64,
    out: Out<'o>,
    answers: Answers<'o>,
}

impl<'o> Traffic<'o> {
    pub(super) fn new(settings: &'o Settings, calendar: &dyn Calendar, out: Out<'o>, answers: Answers<'o>) -> Self {
        let world = World::new(settings, calendar);
        // Without aliases every event gives all ids of its person, as if they had always been known.
        let stranger = Contact { linked: !settings.aliases, ..Contact::NEW };
        Self {
            counters: world.numbers.iter().map(|_| Counter::default()).collect(),
            contacts: vec![stranger; settings.contacts as usize],
            random: Random::new(settings.seed),
            under_way: UnderWay::default(),
            end: settings.start + i64::from(settings.days) * DAY + TAIL,
            last_name: 0,
            popularity: Popularity::new(settings.contacts),
            scribe: Scribe::new(settings.seed),
            tally: Tally::default(),
            arrived: 0,
            partition_time: 0,
            settings,
            world,
            out,
            answers,
        }
    }

    /// Runs to the end.
    pub(super) fn run(mut self) -> io::Result<References> {
        let span = i128::from(self.settings.days) * i128::from(DAY);
        let events = self.settings.events;
        while self.under_way.planned < events {
            let elapsed = span * i128::from(self.under_way.planned) / i128::from(events);
            let now = self.settings.start + elapsed as i64;
            self.let_arrive(now)?;
            if self.under_way.planned + MOST_AT_ONCE <= events {
                self.act(now)?;
            } else {
                self.heartbeat(now);
            }
        }
        self.let_arrive(self.end)?;
        self.settle_free()?;
        self.close()?;
        Ok(self.world.references(self.settings))
    }

    /// One contact does something, or somebody does something to it.
    fn act(&mut self, now: i64) -> io::Result<()> {
        let planned = self.under_way.planned;
        for _ in 0..4 {
            let contact = self.popularity.draw(&mut self.random);
            if self.contacts[contact as usize].busy_until <= now {
                self.act_on(contact, now)?;
                break;
            }
        }
        // Nobody was free, or nothing came of it. Time passes all the same.
        if self.under_way.planned == planned {
            self.heartbeat(now);
        }
        Ok(())
    }

    fn act_on(&mut self, contact: u32, now: i64) -> io::Result<()> {
        let roll = self.random.below(1000);
        let known = &self.contacts[contact as usize];
        let changes_at = self.world.account(contact).answer_in_window_from;
        // After a missed click the person keeps silent, so that the window closes; and if it does not close
        // before the rule changes, so does the business.
        let missed = known.click_missed(now, changes_at);
        let may_open_window = roll < 496;
        let hushed = missed && (may_open_window || known.window_ends() > changes_at);
        // The business acts only on what has arrived. The person does not wait, unless the window would have
        // closed before it arrives.
        let (in_the_know, in_time) = (known.held_until <= now, known.held_until < known.window_ends());
        match roll {
            _ if hushed || !in_the_know && (missed || !in_time) => {}
            _ if !in_the_know => self.person_writes(contact, now),
            0..475 => self.person_writes(contact, now),
            475..490 => self.person_calls(contact, now),
            490..496 => self.business_calls(contact, now),
            496..506 => self.person_chooses(contact, now),
            506..516 => self.person_consents(contact, now),
            516..519 => self.person_moves(contact, now),
            519..531 => self.business_writes_by_hand(contact, now),
            531..539 => self.history_comes(contact, now),
            539..549 => self.heartbeat(now),
            549..554 => self.plan(contact, What::Unknown, now, now),
            554..555 => self.plan(contact, What::Throughput, now, now),
            _ => return self.business_writes(contact, now),
        }
        Ok(())
    }

    /// A new number for a message, request or call.
    pub(super) const fn name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }

    pub(super) fn situation(&self, contact: u32) -> Situation<'_> {
        let american = self.world.person(contact).country.iso == "US";
        Situation { account: self.world.account(contact), contact: &self.contacts[contact as usize], american }
    }

    /// How long an event is under way.
    pub(super) fn delay(&mut self) -> i64 {
        if self.random.per_mille(self.settings.late_per_mille) {
            self.long_delay()
        } else {
            200 + self.random.millis(1800)
        }
    }

    /// Anything up to the longest delay, every order of magnitude as likely as the next.
    fn long_delay(&mut self) -> i64 {
        let scale = self.random.below(12);
        self.random.millis(self.settings.longest_delay >> scale)
    }

    /// Plans an event in which the contact goes by all its ids.
    pub(super) fn plan(&mut self, contact: u32, what: What, occurred_at: i64, received_at: i64) {
        let ids = self.contacts[contact as usize].ids(&self.world.person(contact));
        self.plan_as(contact, ids, what, occurred_at, received_at);
    }

    /// Plans an event, and perhaps a repeat.
    pub(super) fn plan_as(&mut self, contact: u32, ids: Ids, what: What, occurred_at: i64, received_at: i64) {
        // Nothing arrives before what has arrived: an event stamped with the second may lie a little back.
        let received_at = received_at.max(self.partition_time);
        let first = self.under_way.plan(contact, ids, what, occurred_at, received_at.min(self.end));
        if self.random.per_mille(self.settings.repeats_per_mille) {
            let again = (received_at + 1 + self.long_delay()).min(occurred_at + self.settings.longest_delay);
            if received_at < again && again <= self.end {
                self.under_way.repeat(first, again);
            }
        }
    }

    fn heartbeat(&mut self, now: i64) {
        let nobody = Ids { phone: false, user: false, moved: false };
        self.under_way.plan(0, nobody, What::Heartbeat, now, now);
    }

    fn let_arrive(&mut self, now: i64) -> io::Result<()> {
        while let Some(arrival) = self.under_way.arrived(now) {
            if let What::Reported(report) = &arrival.what {
                self.settle(&arrival, report)?;
            }
            self.arrived += 1;
            self.partition_time = arrival.received_at;
            (self.out)(&self.scribe.write(&arrival, &self.world))?;
        }
        Ok(())
    }

    /// What only the order of arrival decides.
    fn settle(&mut self, arrival: &Arrival, report: &Report) -> io::Result<()> {
        let counter = &mut self.counters[self.world.place(arrival.contact)];
        if report.releases {
            counter.reserved -= 1;
        }
        if let Some(message) = report.counts {
            let date = self.world.account(arrival.contact).date(arrival.occurred_at);
            counter.replies.count(date);
            let free = counter.free.entry((date.0, date.1)).or_default();
            free.insert((arrival.occurred_at, message), arrival.contact);
            // The last one is beyond the free ones now, and stays there: whatever comes can only take a place before it.
            if free.len() > FREE_REPLIES as usize
                && let Some(((at, message), contact)) = free.pop_last()
            {
                self.answer_message(contact, message, at, Cost::of_reply(FREE_REPLIES))?;
            }
        }
        Ok(())
    }

    /// Tells which replies were the free ones of their months.
    fn settle_free(&mut self) -> io::Result<()> {
        let months: Vec<_> = self.counters.iter_mut().map(|counter| std::mem::take(&mut counter.free)).collect();
        for ((at, message), contact) in months.into_iter().flat_map(BTreeMap::into_values).flatten() {
            self.answer_message(contact, message, at, Cost::of_reply(0))?;
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        self.tally.add(answer);
        (self.answers)(answer)
    }

    /// The line of a message that was charged or not at `at`.
    pub(super) fn answer_message(&mut self, contact: u32, message: u64, at: i64, cost: Cost) -> io::Result<()> {
        let account = self.world.account(contact);
        let (year, month, day) = account.date(at);
        let currency = account.plan.currency;
        let (entry_type, category, free_reason, unknown_reason, amount) = match cost {
            Cost::Free(reason, category) => (EntryType::Free, category, Some(reason), None, Some(Amount(0))),
            // The sample cards came into force on the day replies began to cost.
            Cost::Charged(category) if !account.replies_cost(at) => {
                (EntryType::Unknown, category, None, Some(UnknownReason::NoRateCard), None)
            }
            Cost::Charged(category) => match self.world.person(contact).country.market.price(currency, category) {
                Some(amount) => (EntryType::Charge, category, None, None, Some(amount)),
                None => (EntryType::Unknown, category, None, Some(UnknownReason::NoRate), None),
            },
        };
        let answer = Answer::Message {
            phone_number_id: self.world.number(contact).id.clone(),
            message_id: MessageId(message).to_string(),
            entry_type,
            category,
            free_reason,
            unknown_reason,
            billing_period: format!("{year:04}-{month:02}"),
            occurred_at: at,
            local_date: format!("{year:04}-{month:02}-{day:02}"),
            amount,
            currency: amount.map(|_| currency.code()),
        };
        self.answer(&answer)
    }

    /// What is open when nothing more comes, and the totals.
    fn close(&mut self) -> io::Result<()> {
        for index in 0..self.settings.contacts {
            let contact = self.contacts[index as usize];
            if contact.window_open(self.partition_time) {
                let person = self.world.person(index);
                let ids = contact.ids(&person);
                let text = |known: bool, write: &dyn Fn(&mut String)| {
                    known.then(|| {
                        let mut text = String::new();
                        write(&mut text);
                        text
                    })
                };
                let answer = Answer::Window {
                    phone_number_id: self.world.number(index).id.clone(),
                    wa_id: text(ids.phone, &|text| person.write_phone(ids.moved, text)),
                    user_id: text(ids.user, &|text| person.write_user(ids.moved, text)),
                    former_wa_id: text(ids.phone && ids.moved, &|text| person.write_phone(false, text)),
                    former_user_id: text(ids.user && ids.moved, &|text| person.write_user(false, text)),
                    expires_at: contact.window_ends(),
                };
                self.answer(&answer)?;
            }
        }
        for total in self.tally.totals(self.arrived, self.partition_time) {
            (self.answers)(&total)?;
        }
        Ok(())
    }
}
