//! The order in which reports arrive changes no line, no window, nothing of what is used and nothing that was refused:
//! histories of a few events in all orders, longer ones in random orders, with neighbours swapped, and with every event told
//! twice.
//!
//! `DISORDER` says how many short histories are tried, and five times as many long ones; `make disorder` tries 2,000.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod histories;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records;
use tollgate::codec::reference::Learned;
use tollgate::codec::state::{self, WriteFormat};
use tollgate::domain::billing::Toll;
use tollgate::domain::content::Category;
use tollgate::domain::effect::What;
use tollgate::domain::id::{AccountId, MessageId, RequestId};
use tollgate::domain::in_flight::Uses;
use tollgate::domain::ledger::volume::CounterId;
use tollgate::domain::message::Message;
use tollgate::domain::money::{Amount, Currency};
use tollgate::domain::policy::{Budget, Over, Policy};
use tollgate::domain::reference::Reference;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::cards::{Card, Cards};
use tollgate::domain::rules::eras::{Charges, ERAS, Era, FreeConversations, MessageTerms, ServicePrice};
use tollgate::domain::rules::markets::Market;
use tollgate::domain::rules::tiers::{TierRow, Tiered, VolumeTiers};
use tollgate::domain::time::{Date, Timestamp};
use tollgate::engine::ledger::{Posted, Used};
use tollgate::engine::{Advanced, Engine, Output, Prepared, Setup};
use tollgate::store::{Memory, Store, keys};
use tollgate::zones::Zones;

use histories::{Draw, PHONES, STARTS, shuffled};

/// How many deliveries, and conversations, are free in a month of these rules: so few that the line is crossed.
const FREE: u32 = 3;

/// The world that all histories are of: rules with few free deliveries, an account, templates.
struct World {
    setup: Arc<Setup>,
    reference: Arc<Reference>,
    key: DeploymentKey,
}

/// The eras with so few free deliveries that the line between free and charged is crossed.
fn rules() -> Rules {
    let few = |era: &Era| {
        let charges = match &era.charges {
            Charges::Messages(MessageTerms { service: ServicePrice::FreeUpTo(_), utility_in_window_free, .. }) => {
                Charges::Messages(MessageTerms {
                    service: ServicePrice::FreeUpTo(FREE),
                    utility_in_window_free: *utility_in_window_free,
                    exempt_service_until: None,
                })
            }
            Charges::Messages(MessageTerms { utility_in_window_free, .. }) => Charges::Messages(MessageTerms {
                service: ServicePrice::Free,
                utility_in_window_free: *utility_in_window_free,
                exempt_service_until: None,
            }),
            Charges::Notifications => Charges::Notifications,
            Charges::Conversations(terms) => {
                let free = match terms.free {
                    FreeConversations::UpTo {
                        business_initiated_until, business_initiated_until_with_partner, ..
                    } => FreeConversations::UpTo {
                        limit: FREE,
                        business_initiated_until,
                        business_initiated_until_with_partner,
                    },
                    FreeConversations::ServiceUpTo(_) => FreeConversations::ServiceUpTo(FREE),
                    FreeConversations::Service => FreeConversations::Service,
                };
                Charges::Conversations(tollgate::domain::rules::eras::ConversationTerms {
                    told_apart_by: terms.told_apart_by,
                    free,
                })
            }
        };
        Era { from: era.from, name: era.name, charges, source: era.source }
    };
    Rules { eras: ERAS.iter().map(few).collect::<Vec<_>>().leak(), ..Rules::default() }
}

/// A card of all time whose tiers begin with the third and the fifth message of a month.
fn cards() -> Cards {
    let usd = Currency::parse("USD").expect("a currency");
    let mut card = Card::new("a card", usd, Date::new(2019, 6, 1));
    for market in Market::all() {
        for (of, [list, second, third]) in [
            (Tiered::Utility, [100, 70, 30]),
            (Tiered::Authentication, [90, 60, 20]),
            (Tiered::AuthenticationInternational, [500, 400, 300]),
        ] {
            let row = |from, to, price| TierRow { from, to, price: Amount::from_millionths(price) };
            let tiers = [row(1, Some(2), list), row(3, Some(4), second), row(5, None, third)];
            card.set(market, of.column(), Amount::from_millionths(list));
            let tiers = VolumeTiers::new(&tiers).expect("tiers");
            card.set_tiers(market, of, tiers).expect("they begin at the list rate");
        }
    }
    let mut cards = Cards::default();
    cards.add(card);
    cards
}

/// Bounds that histories reach: for two of three free deliveries, and for what a few templates cost.
fn policy() -> Policy {
    let budget = |category: Option<Category>, [low, amount]: [i64; 2]| Budget {
        number: None,
        category,
        amount: Amount::from_millionths(amount),
        low: Amount::from_millionths(low),
        currency: Currency::parse("USD").expect("a currency"),
        over: Over::Warn,
    };
    let budgets = vec![budget(None, [150, 500]), budget(Some(Category::Authentication), [90, 90])];
    Policy { budgets, allowance_low: Some(FREE - 1), ..Policy::default() }
}

impl World {
    fn new() -> Self {
        let key = DeploymentKey::new(b"histories name invented people only").expect("long enough");
        let zones = Zones::new();
        let mut reference = Reference::default();
        let account = Learned::Account(histories::account());
        account.learn(&mut reference, &|name| zones.find(name)).expect("facts");
        for template in histories::templates() {
            Learned::Template(template).learn(&mut reference, &|name| zones.find(name)).expect("facts");
        }
        let setup = Arc::new(Setup {
            policy: policy(),
            rules: rules(),
            cards: cards(),
            key: key.clone(),
            assume_zone: None,
            assume_currency: None,
            memory: 1 << 20,
            write_format: WriteFormat::default(),
        });
        Self { setup, reference: Arc::new(reference), key }
    }

    /// Folds a history in an order, and tells all that may not depend on the order: which line stands for each message,
    /// what the volume tiers take off, what is used, the windows of each contact, and what is refused to the number.
    fn tell(&self, history: &[Prepared], order: &[usize]) -> String {
        let (mut engine, _) =
            Engine::open(Arc::clone(&self.setup), Zones::new(), Arc::clone(&self.reference), Memory::default())
                .expect("memory never fails");
        let (mut outputs, mut off, mut used) = (Vec::new(), BTreeMap::new(), String::new());
        let mut arrives = Timestamp::EARLIEST;
        for index in order {
            let prepared = &history[*index];
            arrives = arrives.max(prepared.event.occurred_at);
            advance(&mut engine, arrives, &mut outputs);
            let before = outputs.len();
            engine.fold(prepared, arrives, &mut outputs).expect("memory never fails").expect("it is folded");
            for output in &outputs[before..] {
                engine.book_output(output).expect("memory never fails");
            }
            take_off(&mut engine, &mut off, &mut used);
        }
        advance(&mut engine, arrives, &mut outputs);
        engine.close_ledger().expect("memory never fails");
        take_off(&mut engine, &mut off, &mut used);
        engine.commit(&[]).expect("memory never fails");
        off.retain(|_, off| *off != Amount::ZERO);
        hold_in_flight(engine.store());
        hold_each_once(&outputs);
        format!(
            "{}{off:?}\n{used}{}{}",
            lines(outputs, &self.setup.rules),
            windows(engine.store()),
            refusals(engine.store())
        )
    }
}

fn advance(engine: &mut Engine<Memory>, at: Timestamp, outputs: &mut Vec<Output>) {
    while engine.advance(at, usize::MAX, outputs).expect("memory never fails") != Advanced::Done {
        engine.commit(&[]).expect("memory never fails");
    }
}

/// Books a line of the ledger, if that is one.
/// Adds up the discounts that were published, and tells what was used when that was last told. All histories are of one
/// portfolio.
fn take_off(
    engine: &mut Engine<Memory>,
    off: &mut BTreeMap<(CounterId, Option<AccountId>), Amount>,
    last: &mut String,
) {
    for posted in engine.take_posted() {
        match posted {
            Posted::Discount(posted) => {
                let discount = posted.discount;
                let sum = off.entry((discount.counter, discount.account)).or_insert(Amount::ZERO);
                *sum = sum.plus(discount.amount).expect("it fits");
            }
            Posted::Used(used) => *last = tell_used(&used),
        }
    }
}

/// What is used, but for the instant that a notice arose at, which is the booking's. It says nothing where that is nothing:
/// in one order a line was taken back that another order never has.
fn tell_used(used: &Used) -> String {
    let Used { as_of, tiers, spend, off, notices, .. } = used;
    let spend: Vec<_> = spend.iter().map(|it| (&it.number, &it.spend.items, &it.spend.free, it.month)).collect();
    let spend: Vec<_> = spend.iter().filter(|(_, items, free, _)| !items.is_empty() || !free.is_empty()).collect();
    let notices: Vec<_> = notices.iter().map(|it| (&it.number, &it.notice, it.reached)).collect();
    if tiers.is_empty() && spend.is_empty() && off.is_empty() && notices.is_empty() {
        return String::new();
    }
    format!("{as_of:?}: {tiers:?} {spend:?} {off:?} {notices:?}\n")
}

/// Holds that what a number counts as on its way are the messages that are.
fn hold_in_flight(store: &Memory) {
    let rows = |kind| store.scan(&[kind], &[], usize::MAX).expect("memory never fails").into_iter().map(|(_, row)| row);
    let messages: Vec<_> = rows(keys::MESSAGE).map(|row| state::read_message(&row).expect("a row of ours")).collect();
    for number in rows(keys::NUMBER) {
        let (_, number) = state::read_number(&number).expect("a row of ours");
        let minute = |at: Timestamp| at.millis().div_euclid(60_000);
        let last = number.in_flight.minutes().last().map_or(minute(Timestamp::EARLIEST), |last| last.number);
        for uses in [Uses::Allowance, Uses::MessagingLimit] {
            let on_its_way = |message: &&Message| {
                let young = message.accepted_at.is_some_and(|at| last - 60 < minute(at));
                message.in_flight == Some(uses) && young
            };
            let found = messages.iter().filter(on_its_way).count();
            let now = Timestamp::from_millis(last * 60_000).unwrap_or(Timestamp::EARLIEST);
            assert_eq!(usize::try_from(number.in_flight.count(uses, now)), Ok(found), "{uses:?}");
        }
    }
    let arrived = |message: &&Message| message.charge_instant().is_some() || message.failed.is_some();
    let on_its_way = messages.iter().filter(arrived).filter(|message| message.in_flight.is_some());
    assert_eq!(on_its_way.count(), 0, "what has arrived, or failed, is on its way no more");
}

/// Every edge of a window and every outcome is told once: what outputs take for its id says what it is.
fn hold_each_once(outputs: &[Output]) {
    let (mut edges, mut outcomes) = (BTreeSet::new(), HashSet::new());
    for Output { number, effect } in outputs {
        match &effect.what {
            What::Window(edge) => {
                let of = effect.contact.as_ref().map(|contact| contact.key);
                let id = (number.as_str(), of, edge.window.id(), edge.opened_at, edge.transition.name(), edge.revision);
                assert!(edges.insert(id), "told twice: {edge:?}");
            }
            What::Outcome(outcome) => {
                let message = outcome.message.as_ref().map(MessageId::as_str);
                let about = message.or(outcome.request.as_ref().map(RequestId::as_str));
                let id =
                    (number.as_str(), about, outcome.participant.as_ref(), outcome.result.name(), outcome.revision);
                assert!(outcomes.insert(id), "told twice: {outcome:?}");
            }
            What::Verdict(_) | What::Charge(_) | What::State(_) => {}
        }
    }
}

/// The line that stands for each message; each line before it was taken back, and none twice.
fn lines(outputs: Vec<Output>, rules: &Rules) -> String {
    let mut standing = BTreeMap::new();
    let mut numbers: BTreeMap<_, u32> = BTreeMap::new();
    for output in outputs {
        let What::Charge(charge) = output.effect.what else {
            continue;
        };
        let about = (charge.message.as_str().to_owned(), charge.participant.clone());
        let number = numbers.entry(about.clone()).or_default();
        assert_eq!(charge.revision, *number, "the lines of a message are numbered one by one");
        *number += 1;
        let line = &charge.line;
        // Where nothing is charged the market is for information.
        let charged = line.date.filter(|_| matches!(line.toll, Toll::Charged(_)));
        let market = charged.and_then(|date| rules.market(line.origin, date)).map(Market::name);
        let month = line.date.map(Date::month);
        let said = format!("{:?} at {:?} in {month:?}, {market:?}", line.toll, line.charged_at);
        if charge.reverses.is_some() {
            assert_eq!(standing.remove(&about), Some(said), "what is taken back is what stood");
        } else {
            assert_eq!(standing.insert(about, said), None, "one line stands at a time");
        }
    }
    let mut told = String::new();
    for ((message, _), said) in standing {
        let _ = writeln!(told, "{message}: {said}");
    }
    told
}

/// The windows and conversations of each contact.
fn windows(store: &Memory) -> String {
    let rows = store.scan(&[keys::CONTACT], &[], usize::MAX).expect("memory never fails");
    let mut contacts = BTreeMap::new();
    for (_, row) in rows {
        let row = state::read_contact_row(&row).expect("a row of ours");
        let Some(contact) = row.contact() else {
            continue;
        };
        let present = contact.window.present().map(|present| (present.opened_at, present.expires_at));
        let open = contact.entry.open.as_ref().map(|open| (open.span, open.confirmed, open.expiry));
        let waiting = contact.entry.eligible.as_ref().map(|click| (click.clicked_at, click.deadline));
        let roles: Vec<_> = contact.conversations.deliveries().iter().map(|it| (it.message, it.role)).collect();
        let open_conversations: Vec<_> = contact
            .conversations
            .announced()
            .iter()
            .filter(|it| !it.withdrawn)
            .map(|it| (it.kind, it.span, it.closed))
            .collect();
        let told = format!(
            "{:?}: {:?} {present:?} entry {open:?} {:?} {waiting:?} {roles:?} {open_conversations:?}\n",
            contact.key,
            contact.window.stretches(),
            contact.entry.past,
        );
        contacts.insert(contact.key, told);
    }
    contacts.into_values().collect()
}

/// What the platform has refused to each number, and may refuse again.
fn refusals(store: &Memory) -> String {
    let rows = store.scan(&[keys::NUMBER], &[], usize::MAX).expect("memory never fails");
    let mut told = String::new();
    for (_, row) in rows {
        let (_, mut number) = state::read_number(&row).expect("a row of ours");
        number.refusals.sort_by_key(|refusal| (refusal.at, refusal.code));
        let _ = writeln!(told, "{:?}: {:?}", number.id, number.refusals);
    }
    told
}

/// Every order of so many things.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        all = all
            .into_iter()
            .flat_map(|order: Vec<usize>| {
                (0..=order.len()).map(move |place| {
                    let mut longer = order.clone();
                    longer.insert(place, next);
                    longer
                })
            })
            .collect();
    }
    all
}

/// How long after its start a person's names change in a history that names people by several.
const CHANGED_AFTER: i64 = 60 * 3_600_000;

/// Draws a history of at most so many events.
fn history(world: &World, draw: &mut Draw, most: usize) -> Vec<Prepared> {
    let start = draw.pick(&STARTS);
    let parse = |record: &records::Event<'static>| {
        let event = event::parse(record, &world.key).expect("an event").event.expect("it is for us");
        Prepared::new(event, &world.key)
    };
    let mut events = histories::history(draw, "P1", start, most);
    if draw.one_in(2) {
        name_people(draw, start + CHANGED_AFTER, &mut events);
    }
    events.iter().map(parse).collect()
}

/// Has events name people by some of the names that they had at the time: a number, an id and its parent, and one person
/// from an instant on by another number and another id, which the platform announces.
fn name_people(draw: &mut Draw, change: i64, events: &mut [records::Event<'static>]) {
    // An id may say another country than the number.
    let country = |phone: &str| if phone == PHONES[1] { "BR" } else { "US" };
    let names = |phone: &str, changed: bool| records::Person {
        wa_id: Some(if changed { format!("4930{}", &phone[..7]) } else { phone.to_owned() }.into()),
        user_id: Some(format!("{}.{phone}{}", country(phone), u8::from(changed)).into()),
        parent_user_id: Some(format!("{}.ENT.{phone}", country(phone)).into()),
    };
    for event in &mut *events {
        let Some(phone) = event.contact.as_ref().and_then(|contact| contact.wa_id.as_ref()) else {
            continue;
        };
        let changes = phone.as_str() == PHONES[0];
        let all = names(phone.as_str(), changes && event.occurred_at >= change);
        // Of a message that is known only kinds of name are looked at that its contact does not have, so that of two names
        // of a kind the second may be overlooked: reports on messages name who has two by what does not change.
        let is_report = event.status.is_some() || event.send_accepted.is_some();
        let kept = if changes && is_report { 4 } else { 1 + draw.below(7) };
        event.contact = Some(records::Person {
            wa_id: all.wa_id.filter(|_| kept & 1 != 0),
            user_id: all.user_id.filter(|_| kept & 2 != 0),
            parent_user_id: all.parent_user_id.filter(|_| kept & 4 != 0),
        });
    }
    // The last one announces the change, by the ids: a number that was seen with both before they are known to be one
    // person's is taken for a recycled one, and two numbers alone do not undo that (decision 14).
    if let Some(event) = events.last_mut() {
        let phone = PHONES[0];
        let (before, after) = (names(phone, false), names(phone, true));
        let with_numbers = draw.one_in(2);
        *event = records::Event {
            contact: Some(records::Person {
                user_id: before.user_id,
                wa_id: before.wa_id.filter(|_| with_numbers),
                parent_user_id: None,
            }),
            identity_change: Some(Box::new(records::IdentityChange {
                r#type: "user_changed_number".into(),
                new_wa_id: after.wa_id.filter(|_| with_numbers),
                new_user_id: after.user_id,
                ..records::IdentityChange::default()
            })),
            phone_number_id: event.phone_number_id.clone(),
            ..histories::base("identity_change", phone, change)
        };
    }
}

fn show(history: &[Prepared], order: &[usize]) -> String {
    order.iter().fold(String::new(), |mut told, index| {
        let event = &history[*index].event;
        // The people are invented.
        let names: Vec<_> = event.names().map(|(_, name)| name).collect();
        let _ = writeln!(told, "  {:?} {} {:?}", event.occurred_at, names.join(" "), event.happening);
        told
    })
}

fn check(world: &World, seed: u64, history: &[Prepared], expected: &str, order: &[usize]) {
    let found = world.tell(history, order);
    assert!(
        found == expected,
        "seed {seed}: in the order\n{}found\n{found}instead of\n{expected}which is what they tell in the order\n{}",
        show(history, order),
        show(history, &in_time(history)),
    );
}

/// The order in which the events happened.
fn in_time(history: &[Prepared]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..history.len()).collect();
    order.sort_by_key(|index| history[*index].event.occurred_at);
    order
}

fn volume() -> u64 {
    std::env::var("DISORDER").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

#[test]
fn a_short_history_tells_the_same_in_every_order() {
    let world = World::new();
    for seed in 0..volume() {
        let mut draw = Draw(seed);
        let count = 2 + draw.below(5);
        let history = history(&world, &mut draw, count);
        let expected = world.tell(&history, &in_time(&history));
        for order in permutations(history.len()) {
            check(&world, seed, &history, &expected, &order);
        }
    }
}

#[test]
fn a_long_history_tells_the_same_shuffled_swapped_and_repeated() {
    let world = World::new();
    for seed in 0..volume() * 5 {
        let mut draw = Draw(seed.wrapping_mul(31).wrapping_add(7));
        let count = 10 + draw.below(31);
        let history = history(&world, &mut draw, count);
        let order = in_time(&history);
        let expected = world.tell(&history, &order);
        for _ in 0..100 {
            check(&world, seed, &history, &expected, &shuffled(&mut draw, history.len()));
        }
        for place in 1..order.len() {
            let mut swapped = order.clone();
            swapped.swap(place - 1, place);
            check(&world, seed, &history, &expected, &swapped);
        }
        for place in 0..order.len() {
            let mut repeated = order.clone();
            let later = place + 1 + draw.below(order.len() - place);
            repeated.insert(later, order[place]);
            check(&world, seed, &history, &expected, &repeated);
        }
    }
}

#[test]
fn who_is_called_again_what_they_were_called_once_has_no_edge_twice() {
    let world = World::new();
    let says = |hour: i64, user_id: &'static str| {
        let event = records::Event {
            contact: Some(records::Person {
                wa_id: Some(PHONES[0].into()),
                user_id: Some(user_id.into()),
                ..records::Person::default()
            }),
            phone_number_id: "P1".into(),
            message: Some(Box::new(records::Message {
                message_id: format!("in-{hour}-{user_id}").into(),
                r#type: "text".into(),
                ..records::Message::default()
            })),
            ..histories::base("message", PHONES[0], STARTS[3] + hour * 3_600_000)
        };
        Prepared::new(event::parse(&event, &world.key).expect("an event").event.expect("it is for us"), &world.key)
    };
    // The number is another person's in between. Whose it was first is called by it again, in the same window.
    let told = world.tell(&[says(0, "US.1"), says(1, "US.2"), says(2, "US.1")], &[0, 1, 2]);
    assert_eq!(told.matches("ContactKey").count(), 2, "two people have windows:\n{told}");
    // Or both have written at one instant.
    for order in [[0, 1], [1, 0]] {
        world.tell(&[says(0, "US.1"), says(0, "US.2")], &order);
    }
}
