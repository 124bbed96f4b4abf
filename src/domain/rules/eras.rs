//! The dated rows of price and of windows. Rows are appended, never edited: a replay bills an old message
//! by its old row. `from` is a date in the account's own time zone, whose midnight the platform uses.

use crate::domain::time::{Date, Millis};

/// A pricing era (rules.md 1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Era {
    /// The first day, in the account's zone, of the charge instant.
    pub from: Date,
    /// The row's name on outputs.
    pub name: &'static str,
    /// What is charged.
    pub charges: Charges,
    /// Where the rule was read.
    pub source: &'static str,
}

/// What an era charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charges {
    /// Each delivered template; a message that is none has no line (rules.md 1.2).
    Notifications,
    /// Each conversation that a delivered message opens (rules.md 1.3, 1.4).
    Conversations(ConversationTerms),
    /// Each delivered message (rules.md 1.6, 1.7).
    Messages(MessageTerms),
}

/// How conversations are opened and charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationTerms {
    /// What tells one conversation from another.
    pub told_apart_by: ToldApartBy,
    /// Which of them are free.
    pub free: FreeConversations,
}

/// What tells one conversation of a contact from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToldApartBy {
    /// Who began it. One is open at a time, and takes every message.
    Initiator,
    /// Its category. Several are open side by side; a template joins the one of its category.
    Category,
}

/// Which conversations are free besides those of an entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeConversations {
    /// So many a month; those that the business began are among them until a day, which is a later one for
    /// accounts that a partner serves (CHG #115).
    UpTo {
        /// How many a month.
        limit: u32,
        /// The first day on which those that the business began are charged.
        business_initiated_until: Date,
        /// The same, for accounts that a partner serves.
        business_initiated_until_with_partner: Date,
    },
    /// So many service conversations a month.
    ServiceUpTo(u32),
    /// All service conversations.
    Service,
}

/// How messages are charged one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageTerms {
    /// What a message that is no template costs.
    pub service: ServicePrice,
    /// Whether a utility template in an open service window is free.
    pub utility_in_window_free: bool,
    /// Whether eligible governments and non-profits pay for service messages beyond the allowance.
    pub exempt_service_until: Option<Date>,
}

/// What a message that is no template costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServicePrice {
    /// Nothing, ever.
    Free,
    /// Nothing for so many deliveries per business phone number and calendar month, then the market's rate.
    FreeUpTo(u32),
}

/// How long a conversation is open from the delivery that opened it: it does not slide (CBP22, CBP).
pub const CONVERSATION: Millis = Millis::hours(24);

/// The eras. Days before the first row are not priced: their lines are unknown, and say so.
#[rustfmt::skip]
pub const ERAS: [Era; 6] = [
    Era { from: Date::new(2019,  6, 1), name: "E0", charges: Charges::Notifications,
          source: "SEED1; CHG #42 (rules.md 1.2)" },
    Era { from: Date::new(2022,  2, 1), name: "E1", charges: Charges::Conversations(ConversationTerms {
              told_apart_by: ToldApartBy::Initiator,
              free: FreeConversations::UpTo { limit: 1_000, business_initiated_until: Date::new(2023, 4, 4), business_initiated_until_with_partner: Date::new(2023, 6, 1) } }),
          source: "CBP22; CHG #42, #115, #117 (rules.md 1.3)" },
    Era { from: Date::new(2023,  6, 1), name: "E2", charges: Charges::Conversations(ConversationTerms {
              told_apart_by: ToldApartBy::Category, free: FreeConversations::ServiceUpTo(1_000) }),
          source: "CBP; CBP23; CHG #107 (rules.md 1.4)" },
    Era { from: Date::new(2024, 11, 1), name: "E3", charges: Charges::Conversations(ConversationTerms {
              told_apart_by: ToldApartBy::Category, free: FreeConversations::Service }),
          source: "CBP; PRICE; CHG #236 (rules.md 1.4)" },
    Era { from: Date::new(2025,  7, 1), name: "E4", charges: Charges::Messages(MessageTerms {
              service: ServicePrice::Free, utility_in_window_free: true, exempt_service_until: None }),
          source: "PRICE; ST; CHG #315, #316 (rules.md 1.6)" },
    Era { from: Date::new(2026, 10, 1), name: "E5", charges: Charges::Messages(MessageTerms {
              service: ServicePrice::FreeUpTo(1_000), utility_in_window_free: false, exempt_service_until: Some(Date::new(2028, 1, 1)) }),
          source: "NTM; PRICE-SEP; PRICE-OCT; ST 2026-09-14 (rules.md 1.7)" },
];

/// Whether messages of the platform's own agent are charged, by their tokens.
#[derive(Debug)]
pub struct AgentRule {
    /// The first day, in the account's zone.
    pub from: Date,
    /// Whether they are.
    pub charged: bool,
    /// Where the rule was read.
    pub source: &'static str,
}

/// The rows. Days before the first row have its rule.
#[rustfmt::skip]
pub const AGENTS: [AgentRule; 2] = [
    AgentRule { from: Date::new(2026, 7, 1), charged: false, source: "PRICE: the category exists; NTM: free until 2026-07-31 (rules.md 1.1)" },
    AgentRule { from: Date::new(2026, 8, 1), charged: true,  source: "NTM (rules.md 1.7)" },
];

const _: () = assert!(AGENTS[0].from.before(AGENTS[1].from), "rows stand in ascending order of date");

/// Whether messages of the platform's own agent are charged on a day.
#[must_use]
pub fn charges_agent(date: Date) -> bool {
    AGENTS.iter().rev().find(|rule| rule.from <= date).unwrap_or(&AGENTS[0]).charged
}

/// Where the length of [`SERVICE_WINDOW`] was read.
pub const SERVICE_WINDOW_SOURCE: &str = "CSW; PRICE: a window of hour 2 closes at hour 26 (rules.md 2.1)";

impl Era {
    /// How conversations are charged, if they are.
    #[must_use]
    pub const fn conversations(&self) -> Option<&ConversationTerms> {
        match &self.charges {
            Charges::Conversations(terms) => Some(terms),
            Charges::Notifications | Charges::Messages(_) => None,
        }
    }

    /// How messages are charged one by one, if they are.
    #[must_use]
    pub const fn messages(&self) -> Option<&MessageTerms> {
        match &self.charges {
            Charges::Messages(terms) => Some(terms),
            Charges::Notifications | Charges::Conversations(_) => None,
        }
    }
}

const _: () = {
    let mut at = 1;
    while at < ERAS.len() {
        assert!(ERAS[at - 1].from.before(ERAS[at].from), "eras stand in ascending order of date");
        at += 1;
    }
};

/// The first day of the era after the last that charges conversations.
pub const LAST_CONVERSATIONS: Date = {
    let (mut at, mut last) = (1, ERAS[0].from);
    while at < ERAS.len() {
        if ERAS[at - 1].conversations().is_some() {
            last = ERAS[at].from;
        }
        at += 1;
    }
    last
};

/// The era of a day; `None` before the first.
#[must_use]
pub fn era(date: Date) -> Option<&'static Era> {
    ERAS.iter().rev().find(|era| era.from <= date)
}

/// How long the service window stays open after each inbound event: 24 hours, half-open, in all eras
/// (CSW; PRICE's example closes at hour 26 a window of hour 2).
pub const SERVICE_WINDOW: Millis = Millis::hours(24);

/// A free entry point's length and its deadline for the answer (rules.md 1.1, 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPointRule {
    /// The first day, in the account's zone, of the answer.
    pub from: Date,
    /// The row's name on outputs.
    pub name: &'static str,
    /// How long everything is free from the answer on, unless the platform's timestamp says otherwise.
    pub length: Millis,
    /// How long it can last where each message of the person's prolongs it, for those who believe that (rules.md 10 #4).
    pub up_to: Option<Millis>,
    /// By when the business must answer.
    pub answer: AnswerWithin,
    /// Where the rule was read.
    pub source: &'static str,
}

/// By when the business must answer a click for the entry point to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerWithin {
    /// So long after the click, half-open.
    Length(Millis),
    /// While the service window is open.
    ServiceWindow,
}

/// The rows. F2's length is not published: 72 hours, provisional, until the platform's timestamp is seen.
#[rustfmt::skip]
pub const ENTRY_POINTS: [EntryPointRule; 3] = [
    EntryPointRule { from: Date::new(2022, 2,  1), name: "F0", length: Millis::hours(24), up_to: None, answer: AnswerWithin::Length(Millis::hours(24)),
                     source: "CBP22: the first conversation, 24 h" },
    EntryPointRule { from: Date::new(2023, 3,  1), name: "F1", length: Millis::hours(72), up_to: None, answer: AnswerWithin::Length(Millis::hours(24)),
                     source: "CBP; PRICE" },
    EntryPointRule { from: Date::new(2026, 9, 28), name: "F2", length: Millis::hours(72), up_to: Some(Millis::days(7)), answer: AnswerWithin::ServiceWindow,
                     source: "PRICE-SEP; PRICE-OCT: up to 7 days, within the service window (rules.md 10 #4, #5)" },
];

const _: () = {
    let mut at = 1;
    while at < ENTRY_POINTS.len() {
        assert!(ENTRY_POINTS[at - 1].from.before(ENTRY_POINTS[at].from), "rows stand in ascending order of date");
        at += 1;
    }
};

/// The entry point rule of a day. Days before the first row have the first row's rule.
#[must_use]
pub fn entry_point(date: Date) -> &'static EntryPointRule {
    entry_point_of(&ENTRY_POINTS, date)
}

/// The entry point rule of a day among rows of which the first are those that ship.
pub(crate) fn entry_point_of(rows: &'static [EntryPointRule], date: Date) -> &'static EntryPointRule {
    rows.iter().rev().find(|rule| rule.from <= date).unwrap_or(&ENTRY_POINTS[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_era_begins_on_its_day() {
        assert_eq!(era(Date::new(2019, 5, 31)), None);
        assert_eq!(era(Date::new(2022, 1, 31)).map(|era| era.name), Some("E0"));
        assert_eq!(era(Date::new(2022, 2, 1)).map(|era| era.name), Some("E1"));
        assert_eq!(era(Date::new(2023, 6, 1)).map(|era| era.name), Some("E2"));
        assert_eq!(era(Date::new(2024, 11, 1)).map(|era| era.name), Some("E3"));
        assert_eq!(era(Date::new(2025, 6, 30)).map(|era| era.name), Some("E3"));
        assert_eq!(era(Date::new(2025, 7, 1)).map(|era| era.name), Some("E4"));
        assert_eq!(era(Date::new(2026, 9, 30)).map(|era| era.name), Some("E4"));
        assert_eq!(era(Date::new(2026, 10, 1)).map(|era| era.name), Some("E5"));
    }

    #[test]
    fn each_entry_point_rule_begins_on_its_day() {
        assert_eq!(entry_point(Date::new(2023, 2, 28)).name, "F0");
        assert_eq!(entry_point(Date::new(2023, 3, 1)).name, "F1");
        assert_eq!(entry_point(Date::new(2026, 9, 28)).name, "F2");
        assert_eq!(entry_point(Date::new(2018, 1, 1)).name, "F0");
    }
}
