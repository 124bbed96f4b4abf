//! Invented histories of a business number: what people write, what is sent to them, and what the platform reports of it.
//! The tests of disorder share them.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use tollgate::codec::records;
use tollgate::domain::time::Timestamp;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// Instants with an edge in the days after them: the end of a month, or of an era.
pub const STARTS: [i64; 6] = [
    1_659_096_000_000, // 2022-07-29: one conversation at a time
    1_693_310_400_000, // 2023-08-29: a conversation for each category
    1_751_112_000_000, // 2025-06-28: conversations, then messages
    1_756_468_800_000, // 2025-08-29: messages
    1_790_683_200_000, // 2026-09-29: answers free, then answers charged
    1_793_275_200_000, // 2026-10-29: a month of the free thousand, then the next
];

/// What the platform may say of a message that failed: nothing, or what tells something of the next one.
const FAILURES: [Option<i32>; 8] =
    [None, Some(131_000), Some(131_026), Some(131_031), Some(131_042), Some(131_063), Some(131_064), Some(133_010)];

/// The people.
pub const PHONES: [&str; 3] = ["12025550143", "5511912345678", "5521987654321"];

/// A small generator of numbers: the same seed, the same history.
pub struct Draw(pub u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("small")
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// What is known of the account that all histories are of.
pub fn account() -> records::Account<'static> {
    records::Account {
        entity_type: "account".into(),
        entity_id: "A".into(),
        facts: vec![fact("time_zone", "America/Sao_Paulo"), fact("currency", "USD"), fact("portfolio", "P")],
    }
}

/// What is known of its templates.
pub fn templates() -> [records::TemplateHistory<'static>; 3] {
    [("M", "MARKETING"), ("U", "UTILITY"), ("A", "AUTHENTICATION")].map(|(name, category)| records::TemplateHistory {
        account_id: "A".into(),
        name: name.into(),
        language: "en".into(),
        template_id: None,
        facts: vec![fact("status", "APPROVED"), fact("category", category)],
    })
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

/// Draws a history of at most so many events of a number, with instants that meet.
pub fn history(draw: &mut Draw, number: &str, start: i64, most: usize) -> Vec<records::Event<'static>> {
    // Few instants, so that many meet; edges of a day among them.
    let step = draw.pick(&[MINUTE, 11 * HOUR / 2, 12 * HOUR]);
    let span = (5 * 24 * HOUR / step).min(60);
    let mut events: Vec<records::Event<'static>> = Vec::new();
    let mut messages = 0;
    // Utility templates alone, often enough for volume tiers to be reached.
    let one_kind = draw.one_in(4);
    while events.len() < most {
        let at = start + step * i64::try_from(draw.below(usize::try_from(span).expect("small"))).expect("small");
        let phone = if most > 10 { draw.pick(&PHONES) } else { PHONES[0] };
        if draw.one_in(3) {
            events.push(inbound(draw, phone, at, events.len()));
        } else {
            messages += 1;
            send(draw, (phone, at), messages, step, one_kind, &mut events);
        }
    }
    events.truncate(most);
    for event in &mut events {
        event.phone_number_id = number.to_owned().into();
    }
    events
}

/// An event of a kind about a person.
pub fn base(kind: &'static str, phone: &'static str, at: i64) -> records::Event<'static> {
    records::Event {
        kind: kind.into(),
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
    (phone, at): (&'static str, i64),
    name: usize,
    step: i64,
    one_kind: bool,
    events: &mut Vec<records::Event<'static>>,
) {
    let kind = |kind: &'static str| records::Content { kind: kind.into(), ..records::Content::default() };
    let content = match if one_kind { 4 } else { draw.below(6) } {
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
    let failure = draw.pick(&FAILURES);
    for (index, (stage, when)) in stages.iter().enumerate() {
        // Rarely the platform says it twice, and once that it is free and once that it is not.
        let again = pricing.clone().filter(|_| draw.one_in(4)).map(|word| charged_or_not(draw, word));
        let mut event = base("status", phone, *when);
        event.status = Some(Box::new(records::Status {
            message_id: Some(message.clone().into()),
            status: (*stage).into(),
            pricing: pricing.clone().filter(|_| index == priced_on).or(again).filter(|_| *stage != "failed"),
            errors: failure
                .filter(|_| *stage == "failed")
                .map(|code| records::PlatformError { code, title: None })
                .into_iter()
                .collect(),
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

/// The same word on a price, or one of another type.
fn charged_or_not(draw: &mut Draw, word: records::Pricing<'static>) -> records::Pricing<'static> {
    let kind = draw.pick(&["regular", "free_customer_service", "free_entry_point"]);
    records::Pricing { r#type: word.r#type.is_some().then(|| kind.into()), ..word }
}

/// So many things in a random order.
pub fn shuffled(draw: &mut Draw, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for place in (1..count).rev() {
        order.swap(place, draw.below(place + 1));
    }
    order
}
