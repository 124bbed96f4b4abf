//! The order in which reports arrive changes no line and no window: histories of a few events in all orders, longer ones
//! in random orders, with neighbours swapped, and with every event told twice.
//!
//! `DISORDER` says how many short histories are tried, and five times as many long ones; `make disorder` tries 2,000.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use tollgate::codec::event;
use tollgate::codec::ids::DeploymentKey;
use tollgate::codec::records;
use tollgate::codec::reference::Learned;
use tollgate::codec::state::{self, WriteFormat};
use tollgate::domain::effect::What;
use tollgate::domain::policy::Policy;
use tollgate::domain::reference::Reference;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::cards::Cards;
use tollgate::domain::rules::eras::{Charges, ERAS, Era, FreeConversations, MessageTerms, ServicePrice};
use tollgate::domain::time::{Date, Timestamp};
use tollgate::engine::{Advanced, Engine, Output, Prepared, Setup};
use tollgate::store::{Memory, Store, keys};
use tollgate::zones::Zones;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// How many deliveries, and conversations, are free in a month of these rules: so few that the line is crossed.
const FREE: u32 = 3;

/// Instants with an edge in the days after them: the end of a month, or of an era.
const STARTS: [i64; 6] = [
    1_659_096_000_000, // 2022-07-29: one conversation at a time
    1_693_310_400_000, // 2023-08-29: a conversation for each category
    1_751_112_000_000, // 2025-06-28: conversations, then messages
    1_756_468_800_000, // 2025-08-29: messages
    1_790_683_200_000, // 2026-09-29: answers free, then answers charged
    1_793_275_200_000, // 2026-10-29: a month of the free thousand, then the next
];

const PHONES: [&str; 3] = ["12025550143", "5511912345678", "919812345678"];

/// A small generator of numbers: the same seed, the same history.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("small")
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

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

fn fact(name: &'static str, value: &'static str) -> records::Fact<'static> {
    let long_ago = Timestamp::EARLIEST.millis();
    records::Fact {
        name: name.into(),
        value: Some(value.into()),
        from: long_ago,
        learned_at: long_ago,
        ..records::Fact::default()
    }
}

impl World {
    fn new() -> Self {
        let key = DeploymentKey::new(b"histories name invented people only").expect("long enough");
        let zones = Zones::new();
        let mut reference = Reference::default();
        let account = Learned::Account(records::Account {
            entity_type: "account".into(),
            entity_id: "A".into(),
            facts: vec![fact("time_zone", "America/Sao_Paulo"), fact("currency", "USD")],
        });
        account.learn(&mut reference, &|name| zones.find(name)).expect("facts");
        for (name, category) in [("M", "MARKETING"), ("U", "UTILITY"), ("A", "AUTHENTICATION")] {
            let template = Learned::Template(records::TemplateHistory {
                account_id: "A".into(),
                name: name.into(),
                language: "en".into(),
                template_id: None,
                facts: vec![fact("status", "APPROVED"), fact("category", category)],
            });
            template.learn(&mut reference, &|name| zones.find(name)).expect("facts");
        }
        let setup = Arc::new(Setup {
            policy: Policy::default(),
            rules: rules(),
            cards: Cards::default(),
            key: key.clone(),
            assume_zone: None,
            assume_currency: None,
            memory: 1 << 20,
            write_format: WriteFormat::default(),
        });
        Self { setup, reference: Arc::new(reference), key }
    }

    /// Folds a history in an order, and tells all that may not depend on the order: which line stands for each message,
    /// and the windows of each contact.
    fn tell(&self, history: &[Prepared], order: &[usize]) -> String {
        let (mut engine, _) =
            Engine::open(Arc::clone(&self.setup), Zones::new(), Arc::clone(&self.reference), Memory::default())
                .expect("memory never fails");
        let mut outputs = Vec::new();
        let mut arrives = Timestamp::EARLIEST;
        for index in order {
            let prepared = &history[*index];
            arrives = arrives.max(prepared.event.occurred_at);
            advance(&mut engine, arrives, &mut outputs);
            engine.fold(prepared, arrives, &mut outputs).expect("memory never fails").expect("it is folded");
        }
        advance(&mut engine, arrives, &mut outputs);
        engine.commit(&[]).expect("memory never fails");
        lines(outputs) + &windows(engine.store())
    }
}

fn advance(engine: &mut Engine<Memory>, at: Timestamp, outputs: &mut Vec<Output>) {
    while engine.advance(at, usize::MAX, outputs).expect("memory never fails") != Advanced::Done {
        engine.commit(&[]).expect("memory never fails");
    }
}

/// The line that stands for each message; each line before it was taken back, and none twice.
fn lines(outputs: Vec<Output>) -> String {
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
        let said = format!("{:?} at {:?} in {:?}", line.toll, line.charged_at, line.date.map(Date::month));
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

/// Draws a history of at most so many events, with instants that meet.
fn history(world: &World, draw: &mut Draw, most: usize) -> Vec<Prepared> {
    let start = draw.pick(&STARTS);
    // Few instants, so that many meet; edges of a day among them.
    let step = draw.pick(&[MINUTE, 11 * HOUR / 2, 12 * HOUR]);
    let span = (5 * 24 * HOUR / step).min(60);
    let mut events: Vec<records::Event<'static>> = Vec::new();
    let mut messages = 0;
    while events.len() < most {
        let at = start + step * i64::try_from(draw.below(usize::try_from(span).expect("small"))).expect("small");
        let phone = if most > 10 { draw.pick(&PHONES) } else { PHONES[0] };
        if draw.one_in(3) {
            events.push(inbound(draw, phone, at, events.len()));
        } else {
            messages += 1;
            send(draw, phone, at, messages, step, &mut events);
        }
    }
    events.truncate(most);
    if draw.one_in(2) {
        name_people(draw, start + step * span / 2, &mut events);
    }
    let parse = |record: &records::Event<'static>| {
        let event = event::parse(record, &world.key).expect("an event").event.expect("it is for us");
        Prepared::new(event, &world.key)
    };
    events.iter().map(parse).collect()
}

/// Has events name people by some of the names that they had at the time: a number, an id and its parent, and one person
/// from an instant on by another number and another id, which the platform announces.
fn name_people(draw: &mut Draw, change: i64, events: &mut [records::Event<'static>]) {
    let names = |phone: &str, changed: bool| records::Person {
        wa_id: Some(if changed { format!("1310{}", &phone[..7]) } else { phone.to_owned() }.into()),
        user_id: Some(format!("US.{phone}{}", u8::from(changed)).into()),
        parent_user_id: Some(format!("US.ENT.{phone}").into()),
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
    // person's is taken for a recycled one, and two numbers alone do not undo that (decision 13).
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
            ..base("identity_change", phone, change)
        };
    }
}

fn base(kind: &'static str, phone: &'static str, at: i64) -> records::Event<'static> {
    records::Event {
        kind: kind.into(),
        phone_number_id: "P1".into(),
        account_id: Some("A".into()),
        occurred_at: at,
        provenance: "live".into(),
        contact: Some(records::Person { wa_id: Some(phone.into()), ..records::Person::default() }),
        ..records::Event::default()
    }
}

fn inbound(draw: &mut Draw, phone: &'static str, at: i64, index: usize) -> records::Event<'static> {
    let mut event = base("message", phone, at);
    event.message = Some(Box::new(records::Message {
        message_id: format!("in-{index}").into(),
        r#type: "text".into(),
        referral: draw.one_in(2).then(|| records::Referral {
            source_type: Some("ad".into()),
            ctwa_clid: Some("click".into()),
            ..records::Referral::default()
        }),
        ..records::Message::default()
    }));
    event
}

/// A message with some of the reports on it: perhaps asked about, accepted, sent, delivered, read or failed, and perhaps
/// priced by the platform.
fn send(
    draw: &mut Draw,
    phone: &'static str,
    at: i64,
    name: usize,
    step: i64,
    events: &mut Vec<records::Event<'static>>,
) {
    let kind = |kind: &'static str| records::Content { kind: kind.into(), ..records::Content::default() };
    let content = match draw.below(6) {
        0 | 1 => kind("freeform"),
        2 => kind("reaction"),
        other => records::Content {
            template: Some(records::Template {
                name: ["M", "U", "A"][other - 3].into(),
                language: "en".into(),
                category: None,
            }),
            ..kind("template")
        },
    };
    let request = format!("ask-{name}");
    let message = format!("wamid-{name}");
    let asked = draw.one_in(3);
    if asked {
        let mut event = base("send_requested", phone, at);
        event.send_requested = Some(Box::new(records::SendRequested {
            request_id: request.clone().into(),
            content: content.clone(),
            ..records::SendRequested::default()
        }));
        events.push(event);
    }
    let mut accepted = base("send_accepted", phone, at);
    accepted.send_accepted = Some(Box::new(records::SendAccepted {
        request_id: asked.then(|| request.into()),
        message_id: message.clone().into(),
        content: (!asked).then_some(content),
        ..records::SendAccepted::default()
    }));
    events.push(accepted);
    let delivered = at + step * i64::try_from(draw.below(3)).expect("small");
    let read = delivered + step * i64::try_from(draw.below(2)).expect("small");
    let stages: &[(&'static str, i64)] = match draw.below(6) {
        0 => &[("sent", at), ("failed", delivered)],
        1 => &[("sent", at), ("read", read)],
        2 => &[("delivered", delivered), ("read", read)],
        _ => &[("sent", at), ("delivered", delivered)],
    };
    let pricing = price(draw, at);
    let priced_on = draw.below(stages.len());
    for (index, (stage, when)) in stages.iter().enumerate() {
        let mut event = base("status", phone, *when);
        event.status = Some(Box::new(records::Status {
            message_id: Some(message.clone().into()),
            status: (*stage).into(),
            pricing: pricing.clone().filter(|_| index == priced_on && *stage != "failed"),
            ..records::Status::default()
        }));
        events.push(event);
    }
}

/// The platform's word on a message's price, if it gives one.
fn price(draw: &mut Draw, at: i64) -> Option<records::Pricing<'static>> {
    if draw.one_in(2) {
        return None;
    }
    let (model, kind, category) = if at < STARTS[3] {
        ("CBP", None, draw.pick(&["marketing", "utility", "service", "referral_conversion"]))
    } else {
        let (kind, category) = draw.pick(&[
            ("regular", "marketing"),
            ("regular", "service"),
            ("free_customer_service", "service"),
            ("free_entry_point", "referral_conversion"),
        ]);
        ("PMP", Some(kind), category)
    };
    Some(records::Pricing {
        pricing_model: Some(model.into()),
        r#type: kind.map(Into::into),
        category: Some(category.into()),
        ..records::Pricing::default()
    })
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

fn shuffled(draw: &mut Draw, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for place in (1..count).rev() {
        order.swap(place, draw.below(place + 1));
    }
    order
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
