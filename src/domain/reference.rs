//! What is known of accounts, numbers and templates: dated facts that come from outside the event stream.
//!
//! A fact has the instant it holds from and the instant it was learned. It is looked up at an event's time
//! among the facts learned so far; one that is learned late changes nothing that was published before.

use std::collections::{BTreeSet, HashMap};

use super::content::{Category, Template};
use super::id::{AccountId, NumberId, PortfolioId, WaId};
use super::ledger::Scope;
use super::ledger::volume::Announced;
use super::money::Currency;
use super::rules::limits::{self, MessagingLimit};
use super::rules::restrictions::{self, Standing};
use super::rules::templates::{Pause, TemplateSignal, TemplateState};
use super::time::{Date, Millis, Span, Timestamp, Zone};

/// A value that holds from an instant on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated<T> {
    /// The first instant it holds.
    pub from: Timestamp,
    /// When we learned it.
    pub learned_at: Timestamp,
    /// The value.
    pub value: T,
}

/// The values a thing has had, in order of the instant they hold from; of two with one instant the one
/// learned later counts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct History<T>(Vec<Dated<T>>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> History<T> {
    /// Adds a fact; one that is there already is not added again.
    fn add(&mut self, fact: Dated<T>) -> bool {
        if self.0.contains(&fact) {
            return false;
        }
        let at = self.0.partition_point(|known| (known.from, known.learned_at) <= (fact.from, fact.learned_at));
        self.0.insert(at, fact);
        true
    }

    /// The value in force at an instant. Narrows `valid` to the stretch in which it stays so.
    fn at(&self, at: Timestamp, valid: &mut Span) -> Option<&T> {
        let next = self.0.partition_point(|known| known.from <= at);
        if let Some(later) = self.0.get(next) {
            valid.end = valid.end.min(later.from);
        }
        let current = self.0.get(next.checked_sub(1)?)?;
        valid.start = valid.start.max(current.from);
        Some(&current.value)
    }
}

/// A fact about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountFact {
    /// The portfolio that owns it.
    Portfolio(PortfolioId),
    /// Its time zone: months and rate days are counted in it.
    Zone(Zone),
    /// The currency it is billed in.
    Currency(Currency),
    /// Whether a payment method is on file.
    PaymentMethod(bool),
    /// Whether the platform exempts it from paying for service messages (rules.md 1.7).
    Exempt(bool),
    /// Whether it may use Direct Send (rules.md 3.3).
    DirectSend(bool),
    /// Whether the list of its templates that we hold is the whole list.
    TemplatesComplete(bool),
    /// Whom the deployment bills for its messages.
    BillingSubject(Box<str>),
    /// Who pays the platform: the account, or a partner's credit line.
    Payer(Box<str>),
    /// Whether a partner serves it (CHG #115).
    PartnerServed(bool),
    /// Whether it is a provider of general-purpose artificial intelligence by the platform's terms (rules.md 1.8).
    AiProvider(bool),
    /// The country of its business phone numbers.
    Country(Country),
    /// Where the business is, as the platform has verified it.
    PrimaryLocation(Country),
    /// The currency it is eligible for and must pay in, once the platform requires that (PRICE); nothing if it is not
    /// eligible any more.
    MustPayIn(Option<Currency>),
    /// How many messages each of its numbers may send in a second (THR).
    Throughput(u32),
    /// It is eligible for the international rate of passcodes.
    International(International),
    /// How many people its portfolio, or before 2025-10-07 each of its numbers, may write to in 24 hours (rules.md 3.6).
    MessagingLimit(MessagingLimit),
    /// Its portfolio has come into a volume tier (rules.md 1.6).
    VolumeTier(Announced),
    /// How it stands with the platform.
    Standing(Standing),
    /// A restriction, by the platform's name, and when it ends if it says.
    Restriction {
        /// The platform's name.
        name: Box<str>,
        /// The first instant after it.
        until: Option<Timestamp>,
    },
}

/// What a fact may tell of something that the platform has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// How the account stands.
    Standing,
    /// A payment method.
    PaymentMethod,
    /// Direct Send.
    DirectSend,
    /// The limit for misuse of template categories.
    ClassificationLimit,
}

/// A fact about a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateFact {
    /// An event of the platform's about its state.
    Signal(TemplateSignal),
    /// The category it is charged in.
    Category(Category),
    /// The category it is announced to have from the fact's instant on. Provisional until the platform
    /// shows which category the template has after it (rules.md 4.3).
    CategoryAnnounced(Category),
}

#[derive(Clone, Debug, Default)]
struct AccountHistory {
    portfolio: History<PortfolioId>,
    zone: History<Zone>,
    currency: History<Currency>,
    payment_method: History<bool>,
    exempt: History<bool>,
    direct_send: History<bool>,
    templates_complete: History<bool>,
    billing_subject: History<Box<str>>,
    payer: History<Box<str>>,
    partner_served: History<bool>,
    ai_provider: History<bool>,
    country: History<Country>,
    primary_location: History<Country>,
    must_pay_in: History<Option<Currency>>,
    throughput: History<u32>,
    international: History<International>,
    messaging_limit: History<MessagingLimit>,
    volume_tiers: History<Announced>,
    standing: History<Standing>,
    restrictions: History<(Box<str>, Option<Timestamp>)>,
}

#[derive(Clone, Debug, Default)]
struct TemplateHistory {
    signals: History<TemplateSignal>,
    categories: History<Category>,
    announced: History<Category>,
}

/// A template's history in each of its languages.
type Languages = HashMap<Box<str>, TemplateHistory>;

/// A restriction in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restriction {
    /// The platform's name.
    pub name: Box<str>,
    /// The first instant after it, if it says.
    pub until: Option<Timestamp>,
}

/// What is known of the sending account at an instant: perhaps nothing, not even which one it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Account {
    /// Its id.
    pub id: Option<AccountId>,
    /// The portfolio that owns it.
    pub portfolio: Option<PortfolioId>,
    /// Its time zone.
    pub zone: Option<Zone>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Whether a payment method is on file.
    pub payment_method: Option<bool>,
    /// Whether it is exempt from paying for service messages.
    pub exempt: bool,
    /// Whether it may use Direct Send.
    pub direct_send: Option<bool>,
    /// Whether the list of its templates is whole.
    pub templates_complete: bool,
    /// Whom the deployment bills.
    pub billing_subject: Option<Box<str>>,
    /// Who pays the platform.
    pub payer: Option<Box<str>>,
    /// Whether a partner serves it.
    pub partner_served: bool,
    /// Whether it is a provider of general-purpose artificial intelligence.
    pub ai_provider: bool,
    /// The country of its business phone numbers, if known.
    pub country: Option<Country>,
    /// Where the business is; a location that is not verified is nowhere.
    pub primary_location: Option<Country>,
    /// The currency it must pay in, once the platform requires that.
    pub must_pay_in: Option<Currency>,
    /// How many messages each of its numbers may send in a second, if known.
    pub throughput: Option<u32>,
    /// How many people may be written to in 24 hours, if the account's own facts tell.
    pub messaging_limit: Option<MessagingLimit>,
    /// The same for its portfolio: the highest that the portfolio's accounts tell; its own where its portfolio is not known.
    pub portfolio_limit: Option<MessagingLimit>,
    /// From when on passcodes may be charged at the international rate, if ever.
    pub international: Option<International>,
    /// How it stands.
    pub standing: Standing,
    /// The restrictions in force.
    pub restrictions: Vec<Restriction>,
    /// Whether the time zone is the operator's assumption, because no fact tells.
    pub zone_assumed: bool,
    /// Whether the currency is.
    pub currency_assumed: bool,
}

impl Account {
    /// How many people may be written to in 24 hours by the rules of a day: by each number, or by the whole portfolio.
    #[must_use]
    pub fn limit_on(&self, date: Date) -> Option<MessagingLimit> {
        if limits::is_of_portfolio(date) { self.portfolio_limit } else { self.messaging_limit }
    }

    /// An account of which nothing is known.
    #[must_use]
    pub const fn unknown(id: Option<AccountId>) -> Self {
        Self {
            id,
            portfolio: None,
            zone: None,
            currency: None,
            payment_method: None,
            exempt: false,
            direct_send: None,
            templates_complete: false,
            billing_subject: None,
            payer: None,
            partner_served: false,
            ai_provider: false,
            country: None,
            primary_location: None,
            must_pay_in: None,
            throughput: None,
            messaging_limit: None,
            portfolio_limit: None,
            international: None,
            standing: Standing::Good,
            restrictions: Vec::new(),
            zone_assumed: false,
            currency_assumed: false,
        }
    }

    /// Whether a passcode delivered at an instant to a country is charged at the international rate, where that
    /// country has one: the business is eligible by then and at home elsewhere (rules.md 1.6).
    #[must_use]
    pub fn pays_international(&self, country: Country, delivered_at: Timestamp) -> bool {
        let start = self.international.as_ref().map(|international| {
            let own = international.exceptions.iter().find(|(named, _)| *named == country);
            own.map_or(international.start, |(_, start)| *start)
        });
        self.primary_location != Some(country) && start.is_some_and(|start| start <= delivered_at)
    }
}

/// From when on passcodes may be charged at the international rate (rules.md 1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct International {
    /// The first instant, of delivery.
    pub start: Timestamp,
    /// Countries with a first instant of their own.
    pub exceptions: Vec<(Country, Timestamp)>,
}

/// A country by its two letters (ISO 3166-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads two capital letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Two capital letters are a text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// What is known of a template at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateView {
    /// Whether it can be sent.
    pub state: Option<TemplateState>,
    /// The category it is charged in.
    pub category: Option<Category>,
    /// The category it will have, where a change is announced for later.
    pub announced: Option<(Category, Timestamp)>,
}

/// All that is known, of everybody.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    numbers: HashMap<NumberId, History<AccountId>>,
    phones: HashMap<NumberId, History<WaId>>,
    accounts: HashMap<AccountId, AccountHistory>,
    /// The accounts that a portfolio owns or has owned.
    owned: HashMap<PortfolioId, BTreeSet<AccountId>>,
    templates: HashMap<AccountId, HashMap<Box<str>, Languages>>,
    watermark: Option<Timestamp>,
    version: u64,
}

impl Reference {
    /// The greatest `learned_at` of the facts held: how fresh an answer is. A little later where facts came later than
    /// others that were learned after them.
    #[must_use]
    pub const fn watermark(&self) -> Option<Timestamp> {
        self.watermark
    }

    /// A number that grows with every fact learned.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Moves the watermark just behind another one, unless it is already. What is learned late changes what is known and
    /// not the greatest `learned_at`, and one watermark must not stand for two states.
    pub fn move_behind(&mut self, watermark: Timestamp) {
        if self.watermark.is_none_or(|known| known <= watermark) {
            self.watermark = Some(watermark + Millis(1));
        }
    }

    fn learned(&mut self, at: Timestamp) {
        self.watermark = self.watermark.max(Some(at));
        self.version += 1;
    }

    /// Learns which account a number sends from.
    pub fn learn_number(&mut self, number: &NumberId, fact: Dated<AccountId>) {
        let learned_at = fact.learned_at;
        if self.numbers.entry(number.clone()).or_default().add(fact) {
            self.learned(learned_at);
        }
    }

    /// Learns which phone number a number is.
    pub fn learn_phone(&mut self, number: &NumberId, fact: Dated<WaId>) {
        let learned_at = fact.learned_at;
        if self.phones.entry(number.clone()).or_default().add(fact) {
            self.learned(learned_at);
        }
    }

    /// Learns a fact about an account.
    pub fn learn_account(&mut self, account: &AccountId, fact: Dated<AccountFact>) {
        let Dated { from, learned_at, value } = fact;
        let known = self.accounts.entry(account.clone()).or_default();
        macro_rules! add {
            ($history:ident, $value:expr) => {
                known.$history.add(Dated { from, learned_at, value: $value })
            };
        }
        let new = match value {
            AccountFact::Portfolio(portfolio) => {
                self.owned.entry(portfolio.clone()).or_default().insert(account.clone());
                add!(portfolio, portfolio)
            }
            AccountFact::Zone(zone) => add!(zone, zone),
            AccountFact::Currency(currency) => add!(currency, currency),
            AccountFact::PaymentMethod(there) => add!(payment_method, there),
            AccountFact::Exempt(exempt) => add!(exempt, exempt),
            AccountFact::DirectSend(enabled) => add!(direct_send, enabled),
            AccountFact::TemplatesComplete(complete) => add!(templates_complete, complete),
            AccountFact::BillingSubject(subject) => add!(billing_subject, subject),
            AccountFact::Payer(payer) => add!(payer, payer),
            AccountFact::PartnerServed(served) => add!(partner_served, served),
            AccountFact::AiProvider(provider) => add!(ai_provider, provider),
            AccountFact::Country(country) => add!(country, country),
            AccountFact::PrimaryLocation(country) => add!(primary_location, country),
            AccountFact::MustPayIn(currency) => add!(must_pay_in, currency),
            AccountFact::Throughput(messages) => add!(throughput, messages),
            AccountFact::International(international) => add!(international, international),
            AccountFact::MessagingLimit(limit) => add!(messaging_limit, limit),
            AccountFact::VolumeTier(announced) => add!(volume_tiers, announced),
            AccountFact::Standing(standing) => add!(standing, standing),
            AccountFact::Restriction { name, until } => add!(restrictions, (name, until)),
        };
        if new {
            self.learned(learned_at);
        }
    }

    /// Learns a fact about a template.
    pub fn learn_template(&mut self, account: &AccountId, template: &Template, fact: Dated<TemplateFact>) {
        let Dated { from, learned_at, value } = fact;
        let named = self.templates.entry(account.clone()).or_default().entry(template.name.clone()).or_default();
        let known = named.entry(template.language.clone()).or_default();
        let new = match value {
            TemplateFact::Signal(signal) => known.signals.add(Dated { from, learned_at, value: signal }),
            TemplateFact::Category(category) => known.categories.add(Dated { from, learned_at, value: category }),
            TemplateFact::CategoryAnnounced(category) => {
                known.announced.add(Dated { from, learned_at, value: category })
            }
        };
        if new {
            self.learned(learned_at);
        }
    }

    /// The account a number sends from at an instant, and the stretch in which it stays so.
    #[must_use]
    pub fn account_of(&self, number: &NumberId, at: Timestamp) -> (Option<&AccountId>, Span) {
        let mut valid = ALWAYS;
        let account = self.numbers.get(number).and_then(|history| history.at(at, &mut valid));
        (account, valid)
    }

    /// The phone number that a number is, at an instant.
    #[must_use]
    pub fn phone_of(&self, number: &NumberId, at: Timestamp) -> Option<&WaId> {
        self.phones.get(number)?.at(at, &mut ALWAYS.clone())
    }

    /// Whether a fact tells between two instants that what was refused at the first of them is over; of the limit for misuse
    /// of template categories, whether one tells of that at all, because facts decide it then.
    #[must_use]
    pub fn tells_since(&self, account: &AccountId, topic: Topic, refused_at: Timestamp, at: Timestamp) -> bool {
        fn told<T>(known: &History<T>, (after, at): (Timestamp, Timestamp), is_it: impl Fn(&T) -> bool) -> bool {
            known.0.iter().any(|fact| after < fact.from && fact.from <= at && is_it(&fact.value))
        }
        let (Some(known), between) = (self.accounts.get(account), (refused_at, at)) else {
            return false;
        };
        match topic {
            Topic::Standing => told(&known.standing, between, |standing| *standing == Standing::Good),
            Topic::PaymentMethod => told(&known.payment_method, between, |there| *there),
            Topic::DirectSend => told(&known.direct_send, between, |enabled| *enabled),
            Topic::ClassificationLimit => {
                told(&known.restrictions, between, |(name, _)| &**name == restrictions::MISUSE)
            }
        }
    }

    /// What is known of an account at an instant, and the stretch of time in which it stays so as long as no
    /// fact is learned.
    #[must_use]
    pub fn account(&self, id: &AccountId, at: Timestamp) -> (Account, Span) {
        let mut valid = ALWAYS;
        let unknown = Account::unknown(Some(id.clone()));
        let Some(known) = self.accounts.get(id) else {
            return (unknown, valid);
        };
        let portfolio = known.portfolio.at(at, &mut valid).cloned();
        let portfolio_limit = match &portfolio {
            Some(portfolio) => self.highest_limit(&Scope::Portfolio(portfolio.clone()), at, &mut valid),
            None => known.messaging_limit.at(at, &mut valid).copied(),
        };
        let account = Account {
            portfolio,
            zone: known.zone.at(at, &mut valid).copied(),
            currency: known.currency.at(at, &mut valid).copied(),
            payment_method: known.payment_method.at(at, &mut valid).copied(),
            exempt: known.exempt.at(at, &mut valid).copied().unwrap_or(false),
            direct_send: known.direct_send.at(at, &mut valid).copied(),
            templates_complete: known.templates_complete.at(at, &mut valid).copied().unwrap_or(false),
            billing_subject: known.billing_subject.at(at, &mut valid).cloned(),
            payer: known.payer.at(at, &mut valid).cloned(),
            partner_served: known.partner_served.at(at, &mut valid).copied().unwrap_or(false),
            ai_provider: known.ai_provider.at(at, &mut valid).copied().unwrap_or(false),
            country: known.country.at(at, &mut valid).copied(),
            primary_location: known.primary_location.at(at, &mut valid).copied(),
            must_pay_in: known.must_pay_in.at(at, &mut valid).copied().flatten(),
            throughput: known.throughput.at(at, &mut valid).copied(),
            messaging_limit: known.messaging_limit.at(at, &mut valid).copied(),
            portfolio_limit,
            international: known.international.at(at, &mut valid).cloned(),
            standing: known.standing.at(at, &mut valid).copied().unwrap_or(Standing::Good),
            restrictions: restrictions_at(&known.restrictions, at, &mut valid),
            ..unknown
        };
        (account, valid)
    }

    /// What is known of an account, or of each account that a portfolio owns or has owned, in the order of their ids.
    fn of<'a: 's, 's>(&'a self, scope: &'s Scope) -> impl Iterator<Item = &'a AccountHistory> + 's {
        let owned = match scope {
            Scope::Portfolio(portfolio) => self.owned.get(portfolio),
            Scope::Account(_) | Scope::Number(_) => None,
        };
        let itself = match scope {
            Scope::Account(account) => Some(account),
            Scope::Portfolio(_) | Scope::Number(_) => None,
        };
        owned.into_iter().flatten().chain(itself).filter_map(|account| self.accounts.get(account))
    }

    /// The messaging limit of a portfolio or account, where one is known; of several that its accounts tell the highest
    /// (rules.md 3.6).
    #[must_use]
    pub fn messaging_limit(&self, scope: &Scope, at: Timestamp) -> Option<MessagingLimit> {
        self.highest_limit(scope, at, &mut ALWAYS.clone())
    }

    fn highest_limit(&self, scope: &Scope, at: Timestamp, valid: &mut Span) -> Option<MessagingLimit> {
        let limit = |known: &AccountHistory| {
            let belongs = match scope {
                Scope::Portfolio(portfolio) => known.portfolio.at(at, valid) == Some(portfolio),
                Scope::Account(_) | Scope::Number(_) => true,
            };
            known.messaging_limit.at(at, valid).copied().filter(|_| belongs)
        };
        self.of(scope).filter_map(limit).max_by_key(|limit| match limit {
            MessagingLimit::NotSet => 0,
            MessagingLimit::People(people) => u64::from(*people) + 1,
            MessagingLimit::Unlimited => u64::MAX,
        })
    }

    /// The volume tiers that the platform has announced to the accounts of a scope.
    #[must_use]
    pub fn volume_tiers(&self, scope: &Scope) -> Vec<&Announced> {
        let facts = self.of(scope).flat_map(|known| &known.volume_tiers.0);
        let mut announced: Vec<&Announced> = facts.map(|fact| &fact.value).collect();
        announced.sort_by_key(|tier| (tier.at, tier.from));
        announced
    }

    /// What is known of a template at an instant; `None` if nothing is.
    #[must_use]
    pub fn template(&self, account: &AccountId, template: &Template, at: Timestamp) -> Option<TemplateView> {
        let known = self.templates.get(account)?.get(&template.name)?.get(&template.language)?;
        let coming = known.categories.0.iter().chain(&known.announced.0).filter(|fact| fact.from > at);
        let announced = coming.min_by_key(|fact| fact.from).map(|fact| (fact.value.clone(), fact.from));
        Some(TemplateView { state: state_at(&known.signals, at), category: known.category_at(at), announced })
    }
}

impl Reference {
    /// Whether what is known of a template, by name and language, tells more than that it was refused at an instant: it was
    /// known not to be approved then, or its status has been told since.
    #[must_use]
    pub fn accounts_for_refusal(
        &self,
        account: &AccountId,
        (name, language): &(Box<str>, Box<str>),
        refused_at: Timestamp,
        at: Timestamp,
    ) -> bool {
        let known = self.templates.get(account).and_then(|named| named.get(name));
        let Some(known) = known.and_then(|languages| languages.get(language)) else {
            return false;
        };
        let told = |fact: &Dated<TemplateSignal>| {
            refused_at < fact.from && fact.from <= at && fact.value != TemplateSignal::Unchanged
        };
        state_at(&known.signals, refused_at).is_some_and(|state| state != TemplateState::Approved)
            || known.signals.0.iter().any(told)
    }

    /// Whether a template that pacing paused is still paused: nothing the platform has said since makes it
    /// sendable again.
    #[must_use]
    pub fn paused_by_pacing(&self, account: &AccountId, template: &Template, since: Timestamp, at: Timestamp) -> bool {
        let known = self.templates.get(account).and_then(|named| named.get(&template.name));
        let Some(known) = known.and_then(|languages| languages.get(&template.language)) else {
            return true;
        };
        !known.signals.0.iter().any(|fact| {
            fact.from > since
                && fact.from <= at
                && matches!(fact.value, TemplateSignal::Becomes(TemplateState::Approved))
        })
    }
}

/// All the time there is.
pub const ALWAYS: Span = Span { start: Timestamp::EARLIEST, end: Timestamp::LATEST };

impl TemplateHistory {
    /// The category at an instant: the one last seen, or one announced for later than that was seen. An
    /// announcement is void if the first category seen after its instant is another one: an approved review
    /// cancels it, and no webhook says so (rules.md 4.3).
    fn category_at(&self, at: Timestamp) -> Option<Category> {
        let mut valid = ALWAYS;
        let seen = self.categories.at(at, &mut valid);
        let announced = self.announced.0.iter().rev().find(|fact| {
            let after = self.categories.0.iter().find(|seen| seen.from >= fact.from);
            fact.from <= at && after.is_none_or(|seen| seen.value == fact.value)
        });
        match announced {
            Some(announced) if announced.from > valid.start => Some(announced.value.clone()),
            _ => seen.cloned(),
        }
    }
}

/// The restrictions in force: of each name the latest, unless it has ended.
fn restrictions_at(
    known: &History<(Box<str>, Option<Timestamp>)>,
    at: Timestamp,
    valid: &mut Span,
) -> Vec<Restriction> {
    let mut in_force: Vec<Restriction> = Vec::new();
    for fact in &known.0 {
        if fact.from > at {
            valid.end = valid.end.min(fact.from);
            break;
        }
        valid.start = valid.start.max(fact.from);
        let (name, until) = &fact.value;
        in_force.retain(|restriction| restriction.name != *name);
        match until {
            Some(until) if *until <= at => valid.start = valid.start.max(*until),
            _ => {
                if let Some(until) = until {
                    valid.end = valid.end.min(*until);
                }
                in_force.push(Restriction { name: name.clone(), until: *until });
            }
        }
    }
    in_force
}

/// A template's state: the events up to an instant, told in order. An event may put back what an earlier
/// one took away, so the last one alone does not tell.
fn state_at(signals: &History<TemplateSignal>, at: Timestamp) -> Option<TemplateState> {
    let mut state: Option<TemplateState> = None;
    // The state and, if it was a pause, when that began: it goes on in the archive.
    let mut before_archive: Option<(TemplateState, Option<Timestamp>)> = None;
    let mut paused_at = None;
    for fact in signals.0.iter().take_while(|fact| fact.from <= at) {
        match &fact.value {
            TemplateSignal::Becomes(next) => {
                if is_archived(Some(next)) && !is_archived(state.as_ref()) {
                    before_archive = state.take().map(|state| (state, paused_at));
                }
                paused_at = matches!(next, TemplateState::Paused(_)).then_some(fact.from);
                state = Some(next.clone());
            }
            TemplateSignal::Unarchived => {
                if is_archived(state.as_ref()) {
                    let before = before_archive.take().unwrap_or((TemplateState::Approved, None));
                    (state, paused_at) = (Some(before.0), before.1);
                }
            }
            TemplateSignal::Unchanged => {}
        }
    }
    match (&state, paused_at) {
        (Some(TemplateState::Paused(Pause::For(length))), Some(since)) if at >= since + *length => {
            Some(TemplateState::Approved)
        }
        _ => state,
    }
}

fn is_archived(state: Option<&TemplateState>) -> bool {
    matches!(state, Some(TemplateState::NotApproved(name)) if &**name == "ARCHIVED")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::templates::signal;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(1_790_812_800_000).expect("in range") + Millis::hours(hour)
    }

    fn fact<T>(from: i64, learned_at: i64, value: T) -> Dated<T> {
        Dated { from: at(from), learned_at: at(learned_at), value }
    }

    fn template() -> Template {
        Template { name: "welcome".into(), language: "en".into(), category: None }
    }

    #[test]
    fn of_two_facts_from_one_instant_the_one_learned_later_counts() {
        let mut history = History::default();
        assert!(history.add(fact(0, 5, "late")));
        assert!(history.add(fact(0, 1, "early")));
        assert!(!history.add(fact(0, 1, "early")));
        let mut valid = ALWAYS;
        assert_eq!(history.at(at(3), &mut valid), Some(&"late"));
        assert_eq!(valid.start, at(0));
        assert_eq!(history.at(at(-1), &mut valid), None);
    }

    #[test]
    fn a_restriction_ends_when_it_says_and_holds_open_ended_when_it_does_not() {
        let id = AccountId::parse("900").expect("an id");
        let mut reference = Reference::default();
        for (from, name, until) in [(0, "A", Some(at(10))), (5, "B", None)] {
            let value = AccountFact::Restriction { name: name.into(), until };
            reference.learn_account(&id, fact(from, from, value));
        }
        let names = |hour| {
            let (account, valid) = reference.account(&id, at(hour));
            assert!(valid.contains(at(hour)), "the answer holds at the instant asked for");
            account.restrictions.iter().map(|restriction| restriction.name.to_string()).collect::<Vec<_>>().join(",")
        };
        assert_eq!(names(0), "A");
        assert_eq!(names(5), "A,B");
        assert_eq!(names(10), "B");
    }

    #[test]
    fn an_unarchived_template_is_what_it_was_before() {
        let mut signals = History::default();
        for (hour, event) in [(0, "APPROVED"), (1, "ARCHIVED"), (2, "FLAGGED"), (3, "UNARCHIVED")] {
            signals.add(fact(hour, hour, signal(event, None)));
        }
        assert_eq!(state_at(&signals, at(2)), Some(TemplateState::NotApproved("ARCHIVED".into())));
        assert_eq!(state_at(&signals, at(3)), Some(TemplateState::Approved));
    }

    #[test]
    fn a_quality_pause_ends_by_itself_to_the_millisecond() {
        let mut signals = History::default();
        signals.add(fact(0, 0, signal("PAUSED", Some("FIRST_PAUSE"))));
        assert!(matches!(state_at(&signals, at(3) - Millis(1)), Some(TemplateState::Paused(_))));
        assert_eq!(state_at(&signals, at(3)), Some(TemplateState::Approved));
    }

    #[test]
    fn an_announced_category_holds_from_its_day_and_is_told_before() {
        let id = AccountId::parse("900").expect("an id");
        let mut reference = Reference::default();
        reference.learn_template(&id, &template(), fact(0, 0, TemplateFact::Category(Category::Utility)));
        reference.learn_template(&id, &template(), fact(24, 1, TemplateFact::CategoryAnnounced(Category::Marketing)));
        let view = |reference: &Reference, hour| reference.template(&id, &template(), at(hour)).expect("known");
        assert_eq!(view(&reference, 23).category, Some(Category::Utility));
        assert_eq!(view(&reference, 23).announced, Some((Category::Marketing, at(24))));
        assert_eq!(view(&reference, 24).category, Some(Category::Marketing));
        let german = Template { language: "de".into(), ..template() };
        assert!(reference.template(&id, &german, at(24)).is_none());
        // The platform shows the old category after all: the change never came.
        reference.learn_template(&id, &template(), fact(30, 30, TemplateFact::Category(Category::Utility)));
        assert_eq!(view(&reference, 25).category, Some(Category::Utility));
    }

    #[test]
    fn a_portfolio_has_the_highest_limit_of_its_accounts_and_an_account_its_own_before() {
        let portfolio = PortfolioId::parse("P").expect("an id");
        let [known, silent, apart] = ["900", "901", "902"].map(|id| AccountId::parse(id).expect("an id"));
        let mut reference = Reference::default();
        for account in [&known, &silent] {
            reference.learn_account(account, fact(0, 0, AccountFact::Portfolio(portfolio.clone())));
        }
        let (few, many) = (MessagingLimit::People(250), MessagingLimit::People(2_000));
        reference.learn_account(&known, fact(0, 0, AccountFact::MessagingLimit(few)));
        reference.learn_account(&known, fact(24, 0, AccountFact::MessagingLimit(many)));
        reference.learn_account(&apart, fact(0, 0, AccountFact::MessagingLimit(few)));
        let limit = |account: &AccountId, hour, date| reference.account(account, at(hour)).0.limit_on(date);
        let [before, after] = [Date::new(2025, 10, 6), Date::new(2025, 10, 7)];
        assert_eq!([limit(&known, 1, before), limit(&silent, 1, before)], [Some(few), None]);
        assert_eq!([&known, &silent, &apart].map(|account| limit(account, 1, after)), [Some(few); 3]);
        assert_eq!(limit(&silent, 24, after), Some(many));
        let (_, valid) = reference.account(&silent, at(1));
        assert!(valid.contains(at(1)) && !valid.contains(at(24)), "it holds until the other account's changes");
    }
}
