//! The bill of fifty portfolios in three time zones over the end of a month, to the last decimal.
//!
//! Traffic is made by a rule of its own, told in disorder, late and twice, replayed, and the ledger's net lines are
//! summed by portfolio, number, local month, market, category and currency. What they must come to is computed beside it
//! from what was made, with another library's decimals, its own use of time zones and none of the product's rules: what is delivered is
//! charged at the card's rate of its market, of the answers of a number the first thousand of a local month are free, and
//! the more of a market and category a portfolio is charged for in a local month, the less the further ones cost.
//!
//! `CHARGES` says how many messages are charged; `make charges` takes a million.

#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod running;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use running::repository;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tollgate::codec::avro::{self, Blocks, ContainerWriter, Plan};
use tollgate::codec::records::{
    BillingEntry, Content, Event, Message, Person, Pricing, SendAccepted, Status, Template,
};
use tollgate::codec::schema;
use tollgate::codec::text::Text;
use tollgate::config::{self, Overrides};
use tollgate::replay::{self, Format, Options};
use tollgate::zones::Zones;

const PORTFOLIOS: usize = 50;
/// Two numbers to a portfolio, each with an account, a zone and a currency of its own.
const NUMBERS: usize = 2 * PORTFOLIOS;
const ZONES: [(&str, &str); 3] =
    [("America/Sao_Paulo", "USD"), ("Asia/Kolkata", "INR"), ("America/Los_Angeles", "USD")];
/// How many answers of a number are free in a month.
const FREE: usize = 1000;

/// How numbers of a market begin, how many digits follow, and what the card calls it. Mexico is on neither sample card.
const MARKETS: [(&str, usize, &str); 10] = [
    ("5511", 9, "Brazil"),
    ("9198", 8, "India"),
    ("6281", 8, "Indonesia"),
    ("4915", 8, "Germany"),
    ("4479", 8, "United Kingdom"),
    ("2126", 8, "Morocco"),
    ("1202", 7, "North America"),
    ("2519", 8, "Rest of Africa"),
    ("2439", 7, "Other"),
    ("5255", 8, "Mexico"),
];

const CARDS: [(&str, &str); 2] = [
    ("USD", "examples/rate-cards/sample-usd-2026-10-01.csv"),
    ("INR", "examples/rate-cards/sample-inr-2026-10-01.csv"),
];

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 2026-10-29 00:00 UTC.
const START: i64 = 1_793_232_000_000;

/// A small generator of numbers: the same place, the same number.
fn draw(index: usize, what: u64) -> u64 {
    let mut mixed = (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ what.wrapping_mul(0xd1b5_4a32_d192_ed03);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn below(index: usize, what: u64, bound: u64) -> i64 {
    i64::try_from(draw(index, what) % bound).expect("small")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Marketing,
    Utility,
    Authentication,
    Service,
}

impl Kind {
    const fn category(self) -> &'static str {
        match self {
            Self::Marketing => "marketing",
            Self::Utility => "utility",
            Self::Authentication => "authentication",
            Self::Service => "service",
        }
    }

    /// Its column on the card.
    const fn column(self) -> usize {
        match self {
            Self::Marketing => 2,
            Self::Utility => 3,
            Self::Authentication => 4,
            Self::Service => 6,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Delivered,
    /// Nobody told that it was delivered, and it was read.
    Read,
    Failed,
}

/// A message of the business.
struct Sent {
    number: usize,
    market: usize,
    contact: u64,
    kind: Kind,
    end: End,
    /// When the platform took it.
    begun_at: i64,
    /// When it was delivered, read or failed.
    ended_at: i64,
}

fn sent(index: usize) -> Sent {
    let kind = match below(index, 1, 100) {
        0..30 => Kind::Marketing,
        30..55 => Kind::Utility,
        55..65 => Kind::Authentication,
        _ => Kind::Service,
    };
    // A few numbers answer so much that the month's free thousand runs out, in each zone.
    let few = kind == Kind::Service && below(index, 2, 3) != 0;
    let number = usize::try_from(below(index, 3, if few { 3 } else { NUMBERS as u64 })).expect("small");
    let begun_at = match below(index, 4, 10) {
        0..6 => START + below(index, 5, 60 * HOUR.unsigned_abs()),
        // The day in which the month ends in all three zones.
        6..9 => START + 60 * HOUR + below(index, 5, DAY.unsigned_abs()),
        _ => START + 84 * HOUR + below(index, 5, 36 * HOUR.unsigned_abs()),
    };
    Sent {
        number,
        // The card in rupees has India alone.
        market: match ZONES[number % 3].1 {
            "INR" if below(index, 11, 10) != 0 => 1,
            _ => usize::try_from(below(index, 6, MARKETS.len() as u64)).expect("small"),
        },
        contact: draw(index, 7) % 2_000,
        kind,
        end: match below(index, 8, 100) {
            0..4 => End::Read,
            4..9 => End::Failed,
            _ => End::Delivered,
        },
        begun_at,
        ended_at: begun_at + 200 + below(index, 9, 3 * MINUTE.unsigned_abs()),
    }
}

fn message_id(index: usize) -> String {
    // Not in the order of time: the free thousand go by the instant, and by the id only where that is the same.
    format!("wamid.{:016x}{index:08}", draw(index, 10))
}

fn number_id(number: usize) -> String {
    format!("{}", 700_000_000_000_000 + number)
}

fn account_id(number: usize) -> String {
    format!("{}", 600_000_000_000_000 + number)
}

fn portfolio_id(number: usize) -> String {
    format!("{}", 500_000_000_000_000 + number / 2)
}

/// What is told of a message.
#[derive(Clone, Copy)]
enum Told {
    /// The person wrote, which opens the window.
    Inbound,
    Accepted,
    Ended,
}

/// When what of which message is told, by when.
fn told(count: usize) -> Vec<(i64, u32, Told)> {
    let mut all = Vec::with_capacity(count * 5 / 2);
    for index in 0..count {
        let message = sent(index);
        let place = u32::try_from(index).expect("small");
        let late = |what| match below(index, what, 100) {
            0..90 => below(index, what + 1, 5_000),
            90..98 => below(index, what + 1, HOUR.unsigned_abs()),
            _ => below(index, what + 1, 5 * DAY.unsigned_abs()),
        };
        if message.kind == Kind::Service {
            all.push((message.begun_at - 30 * MINUTE + below(index, 20, 5_000), place, Told::Inbound));
        }
        for (what, at, told) in [(30, message.begun_at, Told::Accepted), (40, message.ended_at, Told::Ended)] {
            let first = at + late(what);
            all.push((first, place, told));
            if below(index, what + 2, 100) < 3 {
                all.push((first + below(index, what + 3, DAY.unsigned_abs()), place, told));
            }
        }
    }
    all.sort_by_key(|(at, place, _)| (*at, *place));
    all
}

fn event(received_at: i64, index: usize, told: Told) -> Event<'static> {
    let message = sent(index);
    let (prefix, digits, _) = MARKETS[message.market];
    let id: Text<'static> = message_id(index).into();
    let mut event = Event {
        phone_number_id: number_id(message.number).into(),
        account_id: Some(account_id(message.number).into()),
        received_at: Some(received_at),
        provenance: "live".into(),
        contact: Some(Person {
            wa_id: Some(format!("{prefix}{:0digits$}", message.contact).into()),
            ..Person::default()
        }),
        ..Event::default()
    };
    match told {
        Told::Inbound => {
            event.kind = "message".into();
            event.occurred_at = message.begun_at - 30 * MINUTE;
            let id = format!("wamid.IN{index}").into();
            event.message = Some(Box::new(Message { message_id: id, r#type: "text".into(), ..Message::default() }));
        }
        Told::Accepted => {
            event.kind = "send_accepted".into();
            event.occurred_at = message.begun_at;
            let content = match message.kind {
                Kind::Service => {
                    Content { kind: "freeform".into(), message_type: Some("text".into()), ..Content::default() }
                }
                kind => Content {
                    kind: "template".into(),
                    template: Some(Template {
                        name: kind.category().into(),
                        language: "en".into(),
                        category: Some(kind.category().into()),
                    }),
                    ..Content::default()
                },
            };
            event.send_accepted =
                Some(Box::new(SendAccepted { message_id: id, content: Some(content), ..SendAccepted::default() }));
        }
        Told::Ended => {
            event.kind = "status".into();
            event.occurred_at = message.ended_at;
            let status = match message.end {
                End::Delivered => "delivered",
                End::Read => "read",
                End::Failed => "failed",
            };
            // Of marketing and passcodes the platform tells type and category; the rest is our own computation.
            let priced = matches!(message.kind, Kind::Marketing | Kind::Authentication) && message.end != End::Failed;
            let pricing = priced.then(|| Pricing {
                billable: Some(true),
                pricing_model: Some("PMP".into()),
                r#type: Some("regular".into()),
                category: Some(message.kind.category().into()),
                ..Pricing::default()
            });
            event.status =
                Some(Box::new(Status { message_id: Some(id), status: status.into(), pricing, ..Status::default() }));
        }
    }
    event
}

fn write_events(path: &Path, count: usize) -> usize {
    let mut file = BufWriter::new(File::create(path).expect("made"));
    let (mut writer, mut header) = (ContainerWriter::new([7; 16]), Vec::new());
    writer.header(schema::EVENT.text, &mut header);
    file.write_all(&header).expect("written");
    let told = told(count);
    for (received_at, place, told) in &told {
        writer.add(&event(*received_at, *place as usize, *told), &mut file).expect("written");
    }
    writer.flush(&mut file).expect("written");
    file.flush().expect("written");
    told.len()
}

fn write_accounts(path: &Path) {
    let fact = |name: &str, value: &str| {
        json!({"name": name, "value": value, "from": 1_756_684_800_000_i64, "learned_at": 1_756_684_800_000_i64,
            "source": "operator"})
    };
    let mut lines = String::new();
    for number in 0..NUMBERS {
        let (zone, currency) = ZONES[number % 3];
        let facts = [
            fact("portfolio", &portfolio_id(number)),
            fact("time_zone", zone),
            fact("currency", currency),
            fact("payment_method", "true"),
        ];
        for record in [
            json!({"entity_type": "number", "entity_id": number_id(number),
                "facts": [fact("account", &account_id(number))]}),
            json!({"entity_type": "account", "entity_id": account_id(number), "facts": facts}),
        ] {
            writeln!(lines, "{record}").expect("text");
        }
    }
    std::fs::write(path, lines).expect("written");
}

/// Portfolio, number, local month, market, category, currency.
type Key = (String, String, String, String, String, String);

/// Messages charged, free and of unknown price, and what there is to pay.
#[derive(Debug, Default, PartialEq, Eq)]
struct Total {
    charged: i64,
    free: i64,
    unknown: i64,
    amount: Decimal,
}

/// The first message of the second tier and of the third.
const TIERS: [u64; 2] = [4, 9];

/// What each message of a tier costs less than at list.
fn less(nth: u64) -> Decimal {
    let tier = TIERS.iter().filter(|first| **first <= nth).count();
    Decimal::new(3, 4) * Decimal::from(tier)
}

/// Whether the lists that are written have tiers for a rate: the sample tiers have one of their own, which nobody reaches.
fn has_tiers(market: &str, currency: &str, column: usize) -> bool {
    (column == 3 || column == 4) && (market, currency, column) != ("Rest of Africa", "USD", 3)
}

/// Lists of volume tiers of all rates for utility and authentication.
fn write_tiers(directory: &Path) -> Vec<PathBuf> {
    let rates = rates();
    let mut lists: BTreeMap<&String, String> = BTreeMap::new();
    for ((market, currency, column), rate) in &rates {
        if !has_tiers(market, currency, *column) {
            continue;
        }
        let category = if *column == 3 { "Utility" } else { "Authentication" };
        let list = lists.entry(currency).or_insert_with(|| {
            format!(
                "\"Volume tiers in {currency}, effective October 1, 2026\"\nMarket,Currency,Category,From,To,Rate\n"
            )
        });
        let [second, third] = TIERS;
        for (from, to) in [(1, (second - 1).to_string()), (second, (third - 1).to_string()), (third, "n".into())] {
            writeln!(list, "{market},{currency},{category},{from},{to},{}", rate - less(from)).expect("text");
        }
    }
    let write = |(currency, list): (&String, String)| {
        let path = directory.join(format!("tiers-{currency}.csv"));
        std::fs::write(&path, list).expect("written");
        path
    };
    lists.into_iter().map(write).collect()
}

/// Portfolio, account, market, category, local month: what the volume tiers take off.
type Discounts = BTreeMap<(String, String, String, String, String), Decimal>;

/// The answers of a number in a month: when each was delivered, its id and its place.
type Answers = Vec<(i64, String, usize)>;

/// The rates of the cards, by market, currency and column.
fn rates() -> BTreeMap<(String, String, usize), Decimal> {
    let mut rates: BTreeMap<(String, String, usize), Decimal> = BTreeMap::new();
    for (currency, path) in CARDS {
        let card = std::fs::read_to_string(repository(path)).expect("a card");
        for line in card.lines() {
            let cells: Vec<&str> = line.split(',').collect();
            for column in (2..cells.len()).filter(|_| cells.len() == 7 && cells[1] == currency) {
                if let Ok(rate) = cells[column].parse() {
                    rates.insert((cells[0].to_owned(), currency.to_owned(), column), rate);
                }
            }
        }
    }
    rates
}

/// What the volume tiers must take off: the messages of a portfolio, market, category and month in the order of the
/// half-hour of their delivery, and within one of the accounts, each less by its own tier.
fn expected_discounts(count: usize) -> Discounts {
    let rates = rates();
    let zones = ZONES.map(|(zone, _)| TimeZone::get(zone).expect("a zone"));
    let mut counted: BTreeMap<_, Vec<(i64, String, usize)>> = BTreeMap::new();
    for message in (0..count).map(sent).filter(|message| message.end != End::Failed) {
        if !matches!(message.kind, Kind::Utility | Kind::Authentication) {
            continue;
        }
        let instant = jiff::Timestamp::from_millisecond(message.ended_at).expect("an instant");
        let month = zones[message.number % 3].to_datetime(instant).strftime("%Y-%m").to_string();
        let key = (portfolio_id(message.number), message.market, message.kind.column(), month);
        let place = (message.ended_at / (30 * MINUTE), account_id(message.number), message.number);
        counted.entry(key).or_default().push(place);
    }
    let mut discounts = Discounts::new();
    for ((portfolio, market, column, month), mut messages) in counted {
        messages.sort();
        let (market, category) = (MARKETS[market].2, if column == 3 { "utility" } else { "authentication" });
        for (nth, (_, account, number)) in (1..).zip(messages) {
            let currency = ZONES[number % 3].1.to_owned();
            let listed = has_tiers(market, &currency, column);
            if listed && rates.contains_key(&(market.to_owned(), currency, column)) {
                let key = (portfolio.clone(), account, market.to_owned(), category.to_owned(), month.clone());
                *discounts.entry(key).or_default() -= less(nth);
            }
        }
    }
    discounts.retain(|_, off| !off.is_zero());
    discounts
}

/// What the bill must come to at list price.
fn expected(count: usize) -> BTreeMap<Key, Total> {
    let rates = rates();
    let zones = ZONES.map(|(zone, _)| TimeZone::get(zone).expect("a zone"));
    let month = |number: usize, at: i64| {
        let instant = jiff::Timestamp::from_millisecond(at).expect("an instant");
        zones[number % 3].to_datetime(instant).strftime("%Y-%m").to_string()
    };
    let mut answers: BTreeMap<(usize, String), Answers> = BTreeMap::new();
    let mut totals: BTreeMap<Key, Total> = BTreeMap::new();
    let mut add = |message: &Sent, free: bool| {
        let (market, currency) = (MARKETS[message.market].2, ZONES[message.number % 3].1);
        let rate = rates.get(&(market.to_owned(), currency.to_owned(), message.kind.column()));
        let key = (
            portfolio_id(message.number),
            number_id(message.number),
            month(message.number, message.ended_at),
            market.to_owned(),
            message.kind.category().to_owned(),
            currency.to_owned(),
        );
        let total = totals.entry(key).or_default();
        match rate {
            _ if free => total.free += 1,
            Some(rate) => (total.charged, total.amount) = (total.charged + 1, total.amount + rate),
            None => total.unknown += 1,
        }
    };
    for index in 0..count {
        let message = sent(index);
        match (message.end, message.kind) {
            (End::Failed, _) => {}
            (_, Kind::Service) => {
                let month = (message.number, month(message.number, message.ended_at));
                answers.entry(month).or_default().push((message.ended_at, message_id(index), index));
            }
            _ => add(&message, false),
        }
    }
    for mut of_month in answers.into_values() {
        of_month.sort();
        for (rank, (_, _, index)) in of_month.into_iter().enumerate() {
            add(&sent(index), rank < FREE);
        }
    }
    totals
}

/// The ledger's net lines.
fn billed(path: &Path) -> (BTreeMap<Key, Total>, Discounts, [u64; 3]) {
    let mut blocks = Blocks::open(std::io::BufReader::new(File::open(path).expect("an output"))).expect("a container");
    let plan = Plan::parse(&blocks.header().schema).expect("a schema");
    let mut totals: BTreeMap<Key, Total> = BTreeMap::new();
    let mut discounts = Discounts::new();
    let (mut block, mut lines, mut reversals, mut of_tiers) = (Vec::new(), 0, 0, 0);
    // A reversal takes back a line of its own kind, which it tells by what it says of the price.
    while let Some(records) = blocks.next_block(&mut block).expect("a whole block") {
        let mut rest = &block[..];
        for _ in 0..records {
            let line: BillingEntry<'_> = avro::from_bytes(&plan, &mut rest).expect("a line");
            let text = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned()).unwrap_or_default();
            if line.entry_type.as_str() == "DISCOUNT" {
                let amount: Decimal = text(&line.amount).parse().expect("a decimal");
                let (portfolio, account) = (text(&line.portfolio_id), text(&line.account_id));
                let (market, category) = (text(&line.market), text(&line.category));
                let key = (portfolio, account, market, category, text(&line.billing_period));
                *discounts.entry(key).or_default() += amount;
                of_tiers += 1;
                continue;
            }
            let number: usize = text(&line.phone_number_id)[3..].parse().expect("a number of ours");
            let key = (
                text(&line.portfolio_id),
                text(&line.phone_number_id),
                text(&line.billing_period),
                text(&line.market),
                text(&line.category),
                // Where there is no price there is no currency; the account has one all the same.
                line.currency.as_ref().map_or(ZONES[number % 3].1, Text::as_str).to_owned(),
            );
            let total = totals.entry(key).or_default();
            let sort = line.entry_type.as_str();
            assert!(["CHARGE", "FREE", "UNKNOWN", "REVERSAL"].contains(&sort), "{sort} is no line of these cards");
            let counted = match (line.price_source.as_str(), &line.amount) {
                ("free", _) => &mut total.free,
                (_, None) => &mut total.unknown,
                (_, Some(_)) => &mut total.charged,
            };
            *counted += line.quantity;
            if let Some(amount) = &line.amount {
                total.amount += amount.as_str().parse::<Decimal>().expect("a decimal");
            }
            lines += 1;
            reversals += u64::from(sort == "REVERSAL");
        }
    }
    totals.retain(|_, total| *total != Total::default());
    discounts.retain(|_, off| !off.is_zero());
    (totals, discounts, [lines, reversals, of_tiers])
}

#[expect(clippy::disallowed_methods, reason = "how long it takes is told, and decides nothing")]
fn measured<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (run(), start.elapsed())
}

#[test]
fn the_bill_of_fifty_portfolios_is_right_to_the_last_decimal() {
    let charges: usize = std::env::var("CHARGES").map_or(20_000, |text| text.parse().expect("CHARGES is a number"));
    // Of a hundred messages five fail; of the rest a good many are free, and some have no rate.
    let count = charges * 8 / 5;
    let directory = tempfile::tempdir().expect("a directory");
    let (events, accounts) = (directory.path().join("events.avro"), directory.path().join("accounts.ndjson"));
    let made = write_events(&events, count);
    write_accounts(&accounts);
    let zones = Zones::new();
    let demo = repository("examples/demo.toml");
    let overrides = Overrides { rate_cards: write_tiers(directory.path()), ..Overrides::default() };
    let config = config::load(Some(Path::new(&demo)), &overrides, &zones).expect("usable");
    let out = directory.path().join("out");
    let options = Options {
        files: vec![events],
        accounts: vec![accounts],
        out: Some(out.clone()),
        format: Format::Avro,
        ..Options::default()
    };
    let prepared = options.prepare(&zones).expect("usable");
    let (ended, took) = measured(|| replay::run(config, &options, prepared, zones));
    let Ok(summary) = ended else { panic!("the replay comes to its end") };
    assert_eq!(summary.dead_letters, BTreeMap::new());

    let (expected, expected_off) = (expected(count), expected_discounts(count));
    let (billed, off, [lines, reversals, of_tiers]) = billed(&out.join("billing.avro"));
    let differ: Vec<String> = expected
        .keys()
        .chain(billed.keys().filter(|key| !expected.contains_key(key)))
        .filter(|key| expected.get(key) != billed.get(key))
        .map(|key| format!("{key:?}: expected {:?}, billed {:?}", expected.get(key), billed.get(key)))
        .collect();
    assert!(differ.is_empty(), "{} totals differ, such as {}", differ.len(), differ[0]);

    let differ: Vec<String> = expected_off
        .keys()
        .chain(off.keys().filter(|key| !expected_off.contains_key(key)))
        .filter(|key| expected_off.get(key) != off.get(key))
        .map(|key| format!("{key:?}: expected {:?}, billed {:?}", expected_off.get(key), off.get(key)))
        .collect();
    assert!(differ.is_empty(), "{} discounts differ, such as {}", differ.len(), differ[0]);
    assert!(of_tiers > 0, "no tier was reached");

    // The bill is of what it is meant to be of.
    let sum = |of: fn(&Total) -> i64| expected.values().map(of).sum::<i64>();
    let charged = sum(|total| total.charged);
    assert!(charged >= i64::try_from(charges).expect("small"), "{charged} charges");
    let distinct = |of: fn(&Key) -> &String| expected.keys().map(of).collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!((distinct(|key| &key.0), distinct(|key| &key.1), distinct(|key| &key.2)), (PORTFOLIOS, NUMBERS, 2));
    assert!(reversals > 0, "nothing came late enough to be corrected");
    for number in 0..3 {
        let used = |month: &str| {
            let of = expected.iter().filter(|(key, _)| key.1 == number_id(number) && key.2 == month);
            of.map(|(_, total)| total.free).sum::<i64>()
        };
        assert_eq!(used("2026-10"), 1000, "the free thousand of number {number} runs out");
    }
    let money: Value = ["USD", "INR"]
        .map(|unit| {
            let amounts = expected.iter().filter(|(key, _)| key.5 == unit).map(|(_, total)| total.amount);
            (unit.to_owned(), json!(amounts.sum::<Decimal>().to_string()))
        })
        .into_iter()
        .collect();
    println!(
        "{made} events, replayed in {took:.1?}: {lines} lines, {reversals} of them reversals; {charged} charges, {} more \
         without a rate, {} free; {} totals are equal; {money}; {} discounts in {of_tiers} lines are equal, {} in all",
        sum(|total| total.unknown),
        sum(|total| total.free),
        expected.len(),
        off.len(),
        off.values().sum::<Decimal>()
    );
}
