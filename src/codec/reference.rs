//! Facts by name, as the reference topics and webhooks carry them, to facts of the domain.
//!
//! Names are an open set. One the rules do not use yet is no mistake: it stays in the topic, and nothing
//! here depends on it.

use super::records;
use super::state;
use super::text::Text;
use super::webhook::NewFact;
use crate::domain::content::{Category, Template};
use crate::domain::id::{AccountId, NumberId, PortfolioId, WaId};
use crate::domain::ledger::volume::Announced;
use crate::domain::money::Currency;
use crate::domain::reference::{AccountFact, Country, Dated, International, Reference, TemplateFact};
use crate::domain::rules::limits::MessagingLimit;
use crate::domain::rules::markets::Market;
use crate::domain::rules::restrictions;
use crate::domain::rules::templates::signal;
use crate::domain::rules::tiers::Tiered;
use crate::domain::time::{Month, Timestamp, Zone};

/// Finds a time zone by its IANA name.
pub type FindZone<'z> = &'z dyn Fn(&str) -> Option<Zone>;

/// What is wrong with a reference record or a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake(pub String);

fn mistake<T>(what: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake(what.into()))
}

/// A fact, before its name is looked at.
#[derive(Clone, Copy, Debug)]
pub struct RawFact<'f> {
    /// Its name.
    pub name: &'f str,
    /// Its value.
    pub value: Option<&'f str>,
    /// The title of a template event.
    pub title: Option<&'f str>,
    /// The countries with a start of their own, of an eligibility for the international rate: `ID=1717200000,…`.
    pub exceptions: Option<&'f str>,
    /// The first instant after it, if it ends, in milliseconds.
    pub until: Option<i64>,
    /// What a volume tier is a tier of.
    pub tier: TierOf<'f>,
    /// The messaging limit that is told along.
    pub limit: Option<&'f str>,
}

/// What a volume tier is a tier of, in the platform's words.
#[derive(Clone, Copy, Debug, Default)]
pub struct TierOf<'f> {
    /// The market.
    pub region: Option<&'f str>,
    /// The category.
    pub category: Option<&'f str>,
    /// The month.
    pub month: Option<&'f str>,
    /// When it began, in seconds since the epoch.
    pub began: Option<&'f str>,
}

impl RawFact<'_> {
    fn required(&self) -> Result<&str, Mistake> {
        self.value.map_or_else(|| mistake(format!("fact `{}` has no value", self.name)), Ok)
    }

    fn boolean(&self) -> Result<bool, Mistake> {
        match self.required()? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => mistake(format!("fact `{}` is neither `true` nor `false`", self.name)),
        }
    }

    fn country(&self) -> Result<Country, Mistake> {
        Country::parse(self.required()?)
            .map_or_else(|| mistake(format!("fact `{}` is not a country's two capital letters", self.name)), Ok)
    }

    /// The eligibility for the international rate, as the platform tells it: seconds since the epoch.
    fn international(&self) -> Result<International, Mistake> {
        let instant = |text: &str| text.parse().ok().and_then(Timestamp::from_seconds);
        let start = instant(self.required()?);
        let listed = self.exceptions.unwrap_or_default().split(',').filter(|pair| !pair.is_empty());
        let exceptions = listed.map(|pair| {
            let (country, start) = pair.split_once('=')?;
            Country::parse(country).zip(instant(start))
        });
        match (start, exceptions.collect::<Option<Vec<_>>>()) {
            (Some(start), Some(exceptions)) => Ok(International { start, exceptions }),
            (None, _) => mistake(format!("fact `{}` is no instant in seconds since the epoch", self.name)),
            (_, None) => mistake(format!(
                "`exception_countries` of fact `{}` does not read `ID=1717200000,IN=1719792000`",
                self.name
            )),
        }
    }

    /// A tier that the platform has announced: `25000001:50000000` of a market, category and month. One of a market or
    /// category that this version does not know decides nothing.
    fn volume_tier(&self) -> Result<Option<Announced>, Mistake> {
        let tier = self.required()?;
        let missing =
            |attribute: &str| Mistake(format!("fact `{}` names no `{attribute}`, or none that can be read", self.name));
        let from = tier.split_once(':').and_then(|(from, _)| from.parse().ok());
        let from = from.ok_or_else(|| Mistake(format!("`{tier}` is no tier, such as `25000001:50000000`")))?;
        let month = self.tier.month.and_then(Month::parse).ok_or_else(|| missing("effective_month"))?;
        let began = self.tier.began.and_then(|seconds| seconds.parse().ok()).and_then(Timestamp::from_seconds);
        let at = began.ok_or_else(|| missing("tier_update_time"))?;
        let market = Market::named(self.tier.region.ok_or_else(|| missing("region"))?);
        let category = Category::parse(self.tier.category.ok_or_else(|| missing("pricing_category"))?);
        Ok(market.zip(Tiered::of(&category)).map(|(market, of)| Announced {
            market,
            accrual: of.accrual(),
            month,
            from,
            at,
        }))
    }

    fn until(&self) -> Result<Option<Timestamp>, Mistake> {
        let until = |millis| {
            Timestamp::from_millis(millis)
                .map_or_else(|| mistake(format!("`until` of fact `{}` is no instant in milliseconds", self.name)), Ok)
        };
        self.until.map(until).transpose()
    }
}

/// A fact about an account; `None` for one the rules do not use.
///
/// # Errors
/// If its value is not one it can have.
pub fn account_fact(fact: RawFact<'_>, zone: FindZone<'_>) -> Result<Option<AccountFact>, Mistake> {
    Ok(Some(match fact.name {
        "portfolio" => match PortfolioId::parse(fact.required()?) {
            Ok(portfolio) => AccountFact::Portfolio(portfolio),
            Err(invalid) => return mistake(format!("fact `portfolio` is no id: {invalid}")),
        },
        "time_zone" => {
            if let Some(zone) = zone(fact.required()?) {
                AccountFact::Zone(zone)
            } else {
                let name = fact.required()?;
                return mistake(format!("`{name}` is no time zone of the IANA database, such as `America/Sao_Paulo`"));
            }
        }
        "currency" => match Currency::parse(fact.required()?) {
            Some(currency) => AccountFact::Currency(currency),
            None => return mistake("fact `currency` is not three capital letters, such as `USD`"),
        },
        "payment_method" => AccountFact::PaymentMethod(fact.boolean()?),
        "exempt" => AccountFact::Exempt(fact.boolean()?),
        "direct_send" => AccountFact::DirectSend(fact.boolean()?),
        "templates_complete" => AccountFact::TemplatesComplete(fact.boolean()?),
        "billing_subject" => AccountFact::BillingSubject(fact.required()?.into()),
        "payer" => AccountFact::Payer(fact.required()?.into()),
        "partner_served" => AccountFact::PartnerServed(fact.boolean()?),
        "ai_provider" => AccountFact::AiProvider(fact.boolean()?),
        "inr_eligible" | "brl_eligible" => {
            let (eligible, currency) = (fact.boolean()?, if fact.name == "inr_eligible" { "INR" } else { "BRL" });
            AccountFact::MustPayIn(Currency::parse(currency).filter(|_| eligible))
        }
        "throughput" => match fact.required()?.parse() {
            Ok(messages) => AccountFact::Throughput(messages),
            Err(_) => return mistake("fact `throughput` is no number of messages a second"),
        },
        "template_classification_limit" => {
            // `false` lifts the limit, and so does its end; anything else is the platform's word for it.
            let until = if fact.required()? == "false" { Some(Timestamp::EARLIEST) } else { fact.until()? };
            AccountFact::Restriction { name: restrictions::MISUSE.into(), until }
        }
        "country" => AccountFact::Country(fact.country()?),
        "primary_location" => AccountFact::PrimaryLocation(fact.country()?),
        "authentication_international_from" => AccountFact::International(fact.international()?),
        // Webhooks tell the limit among other things (rules.md 3.6).
        "capability" | "phone_number_quality" => match fact.limit {
            Some(limit) => AccountFact::MessagingLimit(MessagingLimit::parse(limit)),
            None => return Ok(None),
        },
        "messaging_limit" => AccountFact::MessagingLimit(MessagingLimit::parse(fact.required()?)),
        "volume_tier" => match fact.volume_tier()? {
            Some(announced) => AccountFact::VolumeTier(announced),
            None => return Ok(None),
        },
        "standing" => match restrictions::standing(fact.required()?) {
            Some(standing) => AccountFact::Standing(standing),
            // A ban state this version does not know is kept in the topic, and decides nothing.
            None => return Ok(None),
        },
        "restriction" => AccountFact::Restriction { name: fact.required()?.into(), until: fact.until()? },
        _ => return Ok(None),
    }))
}

/// A fact about a template; `None` for one the rules do not use.
///
/// # Errors
/// If its value is not one it can have.
pub fn template_fact(fact: RawFact<'_>) -> Result<Option<TemplateFact>, Mistake> {
    Ok(Some(match fact.name {
        "status" => TemplateFact::Signal(signal(fact.required()?, fact.title)),
        "category" => TemplateFact::Category(Category::parse(fact.required()?)),
        // A notice never makes a template one of authentication (rules.md 4.3).
        "category_announced" => match Category::parse(fact.required()?) {
            Category::Authentication => return Ok(None),
            category => TemplateFact::CategoryAnnounced(category),
        },
        _ => return Ok(None),
    }))
}

fn dated<T>(fact: &records::Fact<'_>, value: T) -> Result<Dated<T>, Mistake> {
    let instant = |name: &str, millis| {
        Timestamp::from_millis(millis).map_or_else(
            || mistake(format!("`{name}` of fact `{}` is no instant in milliseconds", fact.name.as_str())),
            Ok,
        )
    };
    Ok(Dated { from: instant("from", fact.from)?, learned_at: instant("learned_at", fact.learned_at)?, value })
}

/// A phone number as the platform displays it: `+1 416-555-0143`.
fn phone(fact: &records::Fact<'_>) -> Result<WaId, Mistake> {
    let digits: String =
        fact.value.as_ref().map_or("", Text::as_str).chars().filter(|it| !" +-().".contains(*it)).collect();
    WaId::parse(&digits)
        .map_err(|_| Mistake("fact `display_phone_number` is no phone number with its country's code".into()))
}

fn raw<'f>(fact: &'f records::Fact<'_>) -> RawFact<'f> {
    let attribute =
        |wanted| fact.attributes.iter().find(|(name, _)| name.as_str() == wanted).map(|(_, text)| text.as_str());
    RawFact {
        name: fact.name.as_str(),
        value: fact.value.as_ref().map(Text::as_str),
        title: attribute("title"),
        exceptions: attribute("exception_countries"),
        until: fact.until,
        tier: TierOf {
            region: attribute("region"),
            category: attribute("pricing_category"),
            month: attribute("effective_month"),
            began: attribute("tier_update_time"),
        },
        limit: attribute("max_daily_conversations_per_business"),
    }
}

/// Learns all that a record of `wa.accounts` tells.
///
/// # Errors
/// Every mistake in it; the facts without one are learned all the same.
pub fn learn_account(
    reference: &mut Reference,
    record: &records::Account<'_>,
    zone: FindZone<'_>,
) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    match record.entity_type.as_str() {
        "number" => match NumberId::parse(record.entity_id.as_str()) {
            Ok(number) => {
                for fact in &record.facts {
                    if fact.name.as_str() == "display_phone_number" {
                        match phone(fact).and_then(|phone| dated(fact, phone)) {
                            Ok(fact) => reference.learn_phone(&number, fact),
                            Err(mistake) => mistakes.push(mistake),
                        }
                        continue;
                    }
                    if fact.name.as_str() != "account" {
                        // What is true of an account would be lost here without a word.
                        if matches!(account_fact(raw(fact), zone), Ok(Some(_))) {
                            let name = fact.name.as_str();
                            mistakes.push(Mistake(format!("`{name}` is a fact about an account, not about a number")));
                        }
                        continue;
                    }
                    let account = fact.value.as_ref().map_or("", Text::as_str);
                    let learned = AccountId::parse(account)
                        .map_err(|invalid| Mistake(format!("fact `account` is no id: {invalid}")))
                        .and_then(|account| dated(fact, account));
                    match learned {
                        Ok(fact) => reference.learn_number(&number, fact),
                        Err(mistake) => mistakes.push(mistake),
                    }
                }
            }
            Err(invalid) => mistakes.push(Mistake(format!("`entity_id` is no id: {invalid}"))),
        },
        "account" => match AccountId::parse(record.entity_id.as_str()) {
            Ok(account) => {
                for fact in &record.facts {
                    match account_fact(raw(fact), zone)
                        .and_then(|value| value.map(|value| dated(fact, value)).transpose())
                    {
                        Ok(Some(fact)) => reference.learn_account(&account, fact),
                        Ok(None) => {}
                        Err(mistake) => mistakes.push(mistake),
                    }
                }
            }
            Err(invalid) => mistakes.push(Mistake(format!("`entity_id` is no id: {invalid}"))),
        },
        // Other entities may come; nothing is known of them here.
        _ => {}
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// Learns all that a record of `wa.templates` tells.
///
/// # Errors
/// Every mistake in it; the facts without one are learned all the same.
pub fn learn_template(reference: &mut Reference, record: &records::TemplateHistory<'_>) -> Result<(), Vec<Mistake>> {
    let account = match AccountId::parse(record.account_id.as_str()) {
        Ok(account) => account,
        Err(invalid) => return Err(vec![Mistake(format!("`account_id` is no id: {invalid}"))]),
    };
    let template =
        Template { name: record.name.as_str().into(), language: record.language.as_str().into(), category: None };
    let mut mistakes = Vec::new();
    for fact in &record.facts {
        match template_fact(raw(fact)).and_then(|value| value.map(|value| dated(fact, value)).transpose()) {
            Ok(Some(fact)) => reference.learn_template(&account, &template, fact),
            Ok(None) => {}
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// A fact that the events themselves told, as the record of a reference topic it would be.
#[derive(Clone, Debug, PartialEq)]
pub enum Learned<'a> {
    /// About an account.
    Account(records::Account<'a>),
    /// About a template.
    Template(records::TemplateHistory<'a>),
}

impl<'a> Learned<'a> {
    /// A fact from a webhook, learned at an instant in milliseconds.
    #[must_use]
    pub fn new(fact: NewFact<'a>, learned_at: i64) -> Self {
        let NewFact { account, template, name, value, from, until, attributes } = fact;
        let attributes = attributes.into_iter().map(|(name, value)| (Text::from(name), value)).collect();
        let source = Some("webhook".into());
        let facts = vec![records::Fact { name, value, from, until, learned_at, source, event_id: None, attributes }];
        match template {
            Some((name, language)) => Self::Template(records::TemplateHistory {
                account_id: account,
                name,
                language,
                template_id: None,
                facts,
            }),
            None => Self::Account(records::Account { entity_type: "account".into(), entity_id: account, facts }),
        }
    }

    /// Learns it.
    ///
    /// # Errors
    /// If it cannot be what it says.
    pub fn learn(&self, reference: &mut Reference, zone: FindZone<'_>) -> Result<(), Vec<Mistake>> {
        match self {
            Self::Account(record) => learn_account(reference, record, zone),
            Self::Template(record) => learn_template(reference, record),
        }
    }

    /// Writes it for the store: what it is, and the record as JSON, of which there are few.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let (kind, record) = match self {
            Self::Account(record) => (b'a', serde_json::to_vec(record)),
            Self::Template(record) => (b't', serde_json::to_vec(record)),
        };
        // A record of texts and numbers always has a JSON form.
        let mut bytes = record.unwrap_or_default();
        bytes.insert(0, kind);
        bytes
    }

    /// Reads it back.
    ///
    /// # Errors
    /// If the record is damaged.
    pub fn read(bytes: &'a [u8]) -> Result<Self, state::Error> {
        let damaged = state::Error::Damaged("a learned fact");
        match bytes.split_first() {
            Some((b'a', record)) => serde_json::from_slice(record).map(Self::Account).map_err(|_| damaged),
            Some((b't', record)) => serde_json::from_slice(record).map(Self::Template).map_err(|_| damaged),
            _ => Err(damaged),
        }
    }
}
