//! The platform's rules as dated rows with their sources, and the way to look them up.
//!
//! A row is found by the event's own day in the account's zone, never by today's. A new price or a new
//! window length is a row and a few scenario lines; there is no `if year >= 2026` anywhere.

pub mod ai_providers;
pub mod candidate;
pub mod cards;
pub(crate) mod categories;
pub mod countries;
pub mod currencies;
pub mod eras;
pub mod errors;
pub mod international;
pub mod limits;
pub mod markets;
pub mod openers;
pub mod refusals;
pub mod restrictions;
pub mod templates;
pub mod tiers;

use self::refusals::RefusalRow;
use eras::{
    AnswerWithin, Charges, EntryPointRule, Era, FreeConversations, LAST_CONVERSATIONS, MessageTerms, ServicePrice,
};
use international::InternationalRow;
use markets::{Market, MarketRow, Origin};

use super::reference::Country;
use super::time::{Date, Days, Millis, Month, Timestamp};

/// The rows as one deployment looks them up.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The eras, in ascending order of their first days.
    pub eras: &'static [Era],
    /// The rules of free entry points, in ascending order of their first days.
    pub entry_points: &'static [EntryPointRule],
    /// Rows of the market map beyond those that ship, in ascending order of day within each dial.
    pub moved: &'static [MarketRow],
    /// The countries with an international rate for passcodes, in ascending order of its first days.
    pub international: &'static [InternationalRow],
    /// The day whose rows are used whatever the event's day is: "what would October's rules have cost me?"
    pub as_of: Option<Date>,
    /// Whether a utility template in an open service window is free, where the deployment differs from the
    /// rows (rules.md 10 #2).
    pub utility_in_window_free: Option<bool>,
    /// By when a click must be answered, where the deployment differs from the rows (rules.md 10 #5).
    pub entry_point_answer: Option<AnswerWithin>,
    /// Whether each message of the person's prolongs a free entry point, as far as the row lets it (rules.md 10 #4).
    pub entry_point_extends: bool,
    /// Countries that the platform does not list, and the market that the deployment takes them for while it does not
    /// (rules.md 10 #27, #43).
    pub unlisted: Vec<(Country, Market)>,
}

/// The era of an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EraAt {
    /// This one.
    Era(&'static Era),
    /// None: it is before the first.
    BeforeFirst,
    /// It depends on the account's time zone, which is unknown.
    ZoneUnknown,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            eras: &eras::ERAS,
            entry_points: &eras::ENTRY_POINTS,
            moved: &[],
            international: &international::INTERNATIONAL,
            as_of: None,
            utility_in_window_free: None,
            entry_point_answer: None,
            entry_point_extends: false,
            unlisted: Vec::new(),
        }
    }
}

impl Rules {
    /// The era of a day; `None` before the first.
    fn era_of(&self, date: Date) -> Option<&'static Era> {
        let date = self.pin(date);
        self.eras.iter().rev().find(|era| era.from <= date)
    }

    /// Whether what happens on a day is judged by another era than its own, so that what the platform says of its price
    /// does not answer what is asked.
    #[must_use]
    pub fn rehearses(&self, days: Days) -> bool {
        self.as_of.is_some_and(|as_of| {
            let begins = |date: Date| self.eras.iter().rev().find(|era| era.from <= date).map(|era| era.from);
            begins(as_of) != begins(days.first) || begins(as_of) != begins(days.last)
        })
    }

    fn pin(&self, date: Date) -> Date {
        self.as_of.unwrap_or(date)
    }

    /// The era of an instant by the days it may fall on.
    #[must_use]
    pub fn era(&self, days: Days) -> EraAt {
        match (self.era_of(days.first), self.era_of(days.last)) {
            (Some(first), Some(last)) if first == last => EraAt::Era(first),
            (None, None) => EraAt::BeforeFirst,
            _ => EraAt::ZoneUnknown,
        }
    }

    /// Whether a utility template in an open service window is free by the terms of an era.
    #[must_use]
    pub fn utility_in_window_free(&self, terms: &MessageTerms) -> bool {
        self.utility_in_window_free.unwrap_or(terms.utility_in_window_free)
    }

    /// Whether something that depends on the day holds; `None` where that depends on an unknown time zone.
    fn holds(&self, days: Days, holds: impl Fn(Date) -> bool) -> Option<bool> {
        let first = holds(self.pin(days.first));
        (first == holds(self.pin(days.last))).then_some(first)
    }

    /// Whether answers of a provider of artificial intelligence to a country are charged; `None` where that depends on
    /// an unknown time zone.
    #[must_use]
    pub fn charges_ai_provider(&self, country: &str, days: Days) -> Option<bool> {
        self.holds(days, |date| ai_providers::charged(country, date))
    }

    /// Whether a country has an international rate for passcodes; `None` where that depends on an unknown time zone.
    #[must_use]
    pub fn has_international_rate(&self, country: &str, days: Days) -> Option<bool> {
        self.holds(days, |date| international::has_rate(self.international, country, date))
    }

    /// Whether there are free entry points at all; of a day that depends on an unknown zone the older rule holds.
    #[must_use]
    pub fn has_entry_points(&self, days: Days) -> bool {
        eras::ENTRY_POINTS[0].from <= self.pin(days.first)
    }

    /// How many deliveries, or conversations, are free in a month, by the era of its first day.
    #[must_use]
    pub fn allowance(&self, month: Month) -> Option<u32> {
        match &self.era_of(month.first_day())?.charges {
            Charges::Messages(MessageTerms { service: ServicePrice::FreeUpTo(limit), .. }) => Some(*limit),
            Charges::Conversations(terms) => match terms.free {
                FreeConversations::UpTo { limit, .. } | FreeConversations::ServiceUpTo(limit) => Some(limit),
                FreeConversations::Service => None,
            },
            Charges::Notifications | Charges::Messages(_) => None,
        }
    }

    /// Whether of the service messages of a day, charged one by one, so many a month are free.
    #[must_use]
    pub fn has_free_service_messages(&self, days: Days) -> bool {
        match self.era(days) {
            EraAt::Era(era) => era.messages().is_some_and(|terms| matches!(terms.service, ServicePrice::FreeUpTo(_))),
            EraAt::BeforeFirst | EraAt::ZoneUnknown => false,
        }
    }

    /// Whether a conversation of an era before can still be open on a day of another era (rules.md 1.5).
    #[must_use]
    pub fn may_span(&self, era: &Era, days: Days) -> bool {
        // Eras begin on the first day of a month, so that its second one has the next number.
        self.as_of.is_none()
            && days.first.ordinal() <= era.from.ordinal() + 1
            && self
                .eras
                .iter()
                .rev()
                .find(|row| row.from.before(era.from))
                .is_some_and(|before| before.conversations().is_some())
    }

    /// Whether a message delivered at an instant can belong to a conversation, wherever its account is: a quick look,
    /// for the many messages that cannot.
    #[must_use]
    pub fn may_be_in_conversation(&self, delivered_at: Timestamp) -> bool {
        self.pin(Date::utc(delivered_at)).ordinal() <= LAST_CONVERSATIONS.ordinal() + 2
    }

    /// Whether the platform's own agent is charged for; `None` where that depends on an unknown time zone.
    #[must_use]
    pub fn charges_agent(&self, days: Days) -> Option<bool> {
        self.holds(days, eras::charges_agent)
    }

    /// The entry point rule of an instant. On a day that depends on an unknown zone the older rule holds:
    /// permission never depends on it, and the price is unknown anyway.
    #[must_use]
    pub fn entry_point(&self, days: Days) -> &'static EntryPointRule {
        eras::entry_point_of(self.entry_points, self.pin(days.first))
    }

    /// By when a click must be answered, by a rule.
    #[must_use]
    pub fn answer_within(&self, rule: &EntryPointRule) -> AnswerWithin {
        self.entry_point_answer.unwrap_or(rule.answer)
    }

    /// How long an entry point can last if the person goes on writing, by a rule; `None` where that does not prolong it.
    #[must_use]
    pub const fn entry_point_up_to(&self, rule: &EntryPointRule) -> Option<Millis> {
        if self.entry_point_extends { rule.up_to } else { None }
    }

    /// The market of a recipient on a day; `None` where the recipient's country is unknown.
    #[must_use]
    pub fn market(&self, origin: Origin, date: Date) -> Option<Market> {
        let listed = markets::market(origin, self.pin(date), self.moved)?;
        if listed != Market::OTHER || self.unlisted.is_empty() {
            return Some(listed);
        }
        let country = origin.country().and_then(Country::parse);
        let taken_for = self.unlisted.iter().find(|(known, _)| Some(*known) == country);
        Some(taken_for.map_or(listed, |(_, market)| *market))
    }

    /// What an error code tells of the next message, of a failure on a day; of one that depends on an unknown zone by the
    /// older rule.
    #[must_use]
    pub fn refusal(&self, code: i32, days: Days) -> Option<&'static RefusalRow> {
        refusals::row_of(code).filter(|row| row.from <= self.pin(days.first))
    }

    /// Whether marketing is never held back for a person having had enough of it, from numbers or to people in a country; of
    /// a day that depends on an unknown zone by the older rule.
    #[must_use]
    pub fn never_caps_marketing(&self, country: &str, days: Days) -> bool {
        countries::is_never_capped(country, self.pin(days.first))
    }

    /// Whether marketing is delivered to a country; `None` where that depends on an unknown time zone.
    #[must_use]
    pub fn delivers_marketing(&self, country: &str, days: Days) -> Option<bool> {
        self.holds(days, |date| countries::delivers_marketing(country, date))
    }

    /// The day whose rate card counts.
    #[must_use]
    pub fn card_date(&self, date: Date) -> Date {
        self.pin(date)
    }
}
