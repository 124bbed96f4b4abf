//! The businesses: numbers, accounts, templates, and the dated facts about them.
//!
//! The same tables say what is true and are written out as reference records, so both sides know the same.

use std::collections::BTreeMap;

use super::answer::Category;
use super::calendar::{Calendar, DAY, Date, HOUR, LocalDays};
use super::countries::{BRAZIL, Currency, GERMANY, INDIA};
use super::people::Person;
use super::{References, Settings};
use crate::codec::records;

/// A business phone number.
pub(super) struct Number {
    pub(super) id: String,
    pub(super) account: usize,
    /// Whether the platform's statuses carry its `pricing`, always or never.
    pub(super) priced: bool,
}

/// An account, and the instants at which the rules change on its clocks.
pub(super) struct Account {
    pub(super) id: String,
    pub(super) plan: &'static Plan,
    pub(super) days: LocalDays,
    /// When replies begin to cost money: 2026-10-01 (era E5).
    pub(super) replies_cost_from: i64,
    /// When an answer to a click is due inside the window instead of within 24 hours: 2026-09-28 (rule F2).
    pub(super) answer_in_window_from: i64,
    /// While the account may not start conversations.
    pub(super) restricted: Option<(i64, i64)>,
    pub(super) templates: [Template; TEMPLATES],
}

/// What an account is like.
pub(super) struct Plan {
    zone: &'static str,
    pub(super) currency: Currency,
    pub(super) pays: bool,
    pub(super) direct_send: bool,
    portfolio: u32,
    /// Where most of its customers live, and how many of a hundred.
    home: Option<(usize, u64)>,
    /// Restricted for two days from this hundredth of the run on.
    restricted_at: Option<i64>,
}

#[rustfmt::skip]
const PLANS: [Plan; 5] = [
    Plan { zone: "America/Sao_Paulo", currency: Currency::Usd, pays: true, direct_send: true, portfolio: 1,
           home: Some((BRAZIL, 60)), restricted_at: None },
    Plan { zone: "Asia/Kolkata", currency: Currency::Inr, pays: true, direct_send: false, portfolio: 1,
           home: Some((INDIA, 90)), restricted_at: None },
    Plan { zone: "Europe/Berlin", currency: Currency::Usd, pays: true, direct_send: true, portfolio: 2,
           home: Some((GERMANY, 50)), restricted_at: None },
    Plan { zone: "UTC", currency: Currency::Usd, pays: false, direct_send: true, portfolio: 2,
           home: None, restricted_at: None },
    Plan { zone: "America/New_York", currency: Currency::Usd, pays: true, direct_send: false, portfolio: 3,
           home: None, restricted_at: Some(30) },
];

/// What a template is at an instant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Approved,
    NotApproved,
    Paused,
    Disabled,
}

/// A template of one account. Its times are counted from the start of the run.
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) language: &'static str,
    category: Category,
    /// From when on it is marketing instead, because the platform moved it.
    becomes_marketing: Option<i64>,
    signals: Vec<Signal>,
}

/// What the platform said of a template's status, and for how long that holds by itself.
struct Signal {
    from: i64,
    state: State,
    status: &'static str,
    title: Option<&'static str>,
    lifted_after: Option<i64>,
}

/// How many templates every account has. A sender may also name one that does not exist: see [`MISSING`].
pub(super) const TEMPLATES: usize = 13;
/// The place of a template that no account has.
pub(super) const MISSING: usize = TEMPLATES;
/// The place of a template that exists, named in a language it does not exist in.
pub(super) const WRONG_LANGUAGE: usize = TEMPLATES + 1;
/// The templates before this place are approved throughout, and of one category.
pub(super) const STEADY: usize = 5;
/// The place of one of those, a utility template.
pub(super) const ORDER_UPDATE: usize = 2;

impl Template {
    pub(super) fn category(&self, at: i64) -> Category {
        if self.becomes_marketing.is_some_and(|from| from <= at) { Category::Marketing } else { self.category }
    }

    pub(super) fn state(&self, at: i64) -> State {
        let Some(signal) = self.signals.iter().rev().find(|signal| signal.from <= at) else {
            return State::NotApproved;
        };
        match signal.lifted_after {
            Some(length) if signal.from + length <= at => State::Approved,
            _ => signal.state,
        }
    }
}

/// The businesses of one run.
pub(super) struct World {
    pub(super) numbers: Vec<Number>,
    pub(super) accounts: Vec<Account>,
}

impl World {
    pub(super) fn new(settings: &Settings, calendar: &dyn Calendar) -> Self {
        let account = |(place, plan)| Account::new(settings, calendar, place, plan);
        let accounts: Vec<Account> = (0..).zip(&PLANS).map(account).collect();
        let number = |place: u16| {
            let account = usize::from(place) % accounts.len();
            // Without a payment method everything turns on our own count, so there the platform is silent.
            let priced = place.is_multiple_of(2) && accounts[account].plan.pays;
            Number { id: format!("10{:013}", 7_310_000_000_u64 + u64::from(place) * 97), account, priced }
        };
        Self { numbers: (0..settings.numbers).map(number).collect(), accounts }
    }

    /// The place of the number that contact `index` is a contact of.
    pub(super) fn place(&self, index: u32) -> usize {
        index as usize % self.numbers.len()
    }

    pub(super) fn number(&self, index: u32) -> &Number {
        &self.numbers[self.place(index)]
    }

    pub(super) fn account(&self, index: u32) -> &Account {
        &self.accounts[self.number(index).account]
    }

    /// The person behind contact `index`.
    pub(super) fn person(&self, index: u32) -> Person {
        let numbers = self.numbers.len();
        Person::new(self.place(index), numbers, index / numbers as u32, self.account(index).plan.home)
    }

    /// All that is known of the businesses, from before the first event.
    pub(super) fn references(&self, settings: &Settings) -> References {
        let facts = Facts { since: settings.start - 400 * DAY };
        let accounts = self.accounts.iter().map(|account| facts.account(account));
        let numbers = self
            .numbers
            .iter()
            .map(|number| entity("number", &number.id, vec![facts.fact("account", &self.accounts[number.account].id)]));
        let templates = self
            .accounts
            .iter()
            .flat_map(|account| account.templates.iter().map(|template| facts.template(account, template)));
        References { accounts: accounts.chain(numbers).collect(), templates: templates.collect() }
    }
}

impl Account {
    fn new(settings: &Settings, calendar: &dyn Calendar, place: i64, plan: &'static Plan) -> Self {
        let long_ago = settings.start - 400 * DAY;
        // Whole hours, each account's one later than the last one's.
        let during = |hundredth: i64| {
            settings.start + i64::from(settings.days) * DAY / 100 * hundredth / HOUR * HOUR + place * HOUR
        };
        let days = LocalDays::new(
            calendar,
            plan.zone,
            settings.start - DAY,
            settings.start + i64::from(settings.days + 1) * DAY,
        );
        Self {
            id: format!("20{:013}", 4_550_000_000 + place * 31),
            plan,
            replies_cost_from: days.first_instant((2026, 10, 1)),
            answer_in_window_from: days.first_instant((2026, 9, 28)),
            days,
            restricted: plan.restricted_at.map(|hundredth| (during(hundredth), during(hundredth) + 2 * DAY)),
            templates: templates(long_ago, during),
        }
    }

    /// The local day of an instant.
    pub(super) fn date(&self, at: i64) -> Date {
        self.days.date(at)
    }

    pub(super) fn restricted(&self, at: i64) -> bool {
        self.restricted.is_some_and(|(from, until)| from <= at && at < until)
    }

    pub(super) const fn replies_cost(&self, at: i64) -> bool {
        self.replies_cost_from <= at
    }
}

/// The templates of an account: steady ones first, as [`STEADY`] says.
fn templates(long_ago: i64, during: impl Fn(i64) -> i64) -> [Template; TEMPLATES] {
    use Category::{Authentication, Marketing, Utility};
    let said = |from, state, status| Signal { from, state, status, title: None, lifted_after: None };
    let approved = |from| said(from, State::Approved, "APPROVED");
    let paused = |from, title, lifted_after| Signal {
        from,
        state: State::Paused,
        status: "PAUSED",
        title: Some(title),
        lifted_after,
    };
    let template =
        |name, language, category, signals| Template { name, language, category, becomes_marketing: None, signals };
    let steady = |name, language, category| template(name, language, category, vec![approved(long_ago)]);
    let never = |name, category, state, status| {
        template(name, "en_US", category, vec![approved(long_ago), said(long_ago + DAY, state, status)])
    };
    [
        steady("summer_sale", "en_US", Marketing),
        steady("loyalty_news", "pt_BR", Marketing),
        steady("order_update", "en_US", Utility),
        steady("delivery_window", "de", Utility),
        steady("login_code", "en_US", Authentication),
        // Paused for poor quality: the platform lifts a first pause after 3 hours and a second after 6, and
        // says nothing. A pause by pacing it does not lift.
        template(
            "flash_offer",
            "en_US",
            Marketing,
            vec![
                approved(long_ago),
                paused(during(8), "FIRST_PAUSE", Some(3 * HOUR)),
                paused(during(20), "SECOND_PAUSE", Some(6 * HOUR)),
            ],
        ),
        template(
            "winback",
            "pt_BR",
            Marketing,
            vec![approved(long_ago), paused(during(15), "RATE_LIMITING_PAUSE", None), approved(during(45))],
        ),
        Template { becomes_marketing: Some(during(50)), ..steady("invoice_ready", "en_US", Utility) },
        never("new_menu", Utility, State::NotApproved, "PENDING"),
        never("old_terms", Utility, State::NotApproved, "REJECTED"),
        never("spring_event", Marketing, State::NotApproved, "ARCHIVED"),
        never("survey", Utility, State::NotApproved, "IN_APPEAL"),
        never("flash_lottery", Marketing, State::Disabled, "DISABLED"),
    ]
}

/// Writes facts, most of them true since one day long ago.
struct Facts {
    since: i64,
}

type Fact = records::Fact<'static>;

impl Facts {
    fn fact(&self, name: &'static str, value: impl Into<String>) -> Fact {
        dated(name, value, self.since)
    }

    fn account(&self, account: &Account) -> records::Account<'static> {
        let plan = account.plan;
        let mut facts = vec![
            self.fact("portfolio", format!("30{:013}", plan.portfolio)),
            self.fact("time_zone", plan.zone),
            self.fact("currency", plan.currency.code()),
            self.fact("payment_method", plan.pays.to_string()),
            self.fact("direct_send", plan.direct_send.to_string()),
            self.fact("templates_complete", "true"),
        ];
        if let Some((from, until)) = account.restricted {
            let restriction = dated("restriction", "RESTRICTED_BIZ_INITIATED_MESSAGING", from);
            facts.push(Fact { until: Some(until), ..restriction });
        }
        entity("account", &account.id, facts)
    }

    fn template(&self, account: &Account, template: &Template) -> records::TemplateHistory<'static> {
        let mut facts = vec![self.fact("category", template.category.word().to_ascii_uppercase())];
        if let Some(from) = template.becomes_marketing {
            facts.push(dated("category", "MARKETING", from));
        }
        facts.extend(template.signals.iter().map(|signal| {
            let title = signal.title.map(|title| ("title".into(), title.into()));
            Fact { attributes: BTreeMap::from_iter(title), ..dated("status", signal.status, signal.from) }
        }));
        records::TemplateHistory {
            account_id: account.id.clone().into(),
            name: template.name.into(),
            language: template.language.into(),
            template_id: None,
            facts,
        }
    }
}

fn entity(entity_type: &'static str, id: &str, facts: Vec<Fact>) -> records::Account<'static> {
    records::Account { entity_type: entity_type.into(), entity_id: id.to_owned().into(), facts }
}

/// A fact, known from the moment it became true.
fn dated(name: &'static str, value: impl Into<String>, from: i64) -> Fact {
    Fact {
        name: name.into(),
        value: Some(value.into().into()),
        from,
        learned_at: from,
        source: Some("operator".into()),
        ..Fact::default()
    }
}
