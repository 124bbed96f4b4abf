//! What a failure tells of the next message (rules.md 3.4, 3.5, 3.8, 3.9): whom or what it is about, and what shows that it
//! is over.
//!
//! A refusal warns, because only the platform knows whether it still holds. It blocks where the rule's own text says that
//! what it stands for does, and only for as long as the text lets us say.

use crate::domain::contact::RefusedFor;
use crate::domain::content::{Category, Content};
use crate::domain::refusal::Sending;
use crate::domain::time::{Date, Millis};

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The person.
    Person(RefusedFor),
    /// The account is locked: everything it sends.
    Account,
    /// The number is not registered, or not ready: everything it sends.
    Number,
    /// The sender's access is not what it must be: everything the account sends.
    Access,
    /// What is charged, for want of payment.
    Paid,
    /// Templates and Direct Send, for misuse of template categories.
    Classified,
    /// What goes to people in the same country.
    Country,
    /// Direct Send.
    DirectSend,
    /// Marketing templates through the Cloud API.
    Marketing,
    /// The same template, for what it is or in what state it is.
    Template,
    /// The same template, which has a max price.
    MaxPrice,
    /// The same template to people in the same country.
    MaxPriceInCountry,
}

impl Subject {
    /// Whether it is about a country.
    #[must_use]
    pub const fn is_about_country(self) -> bool {
        matches!(self, Self::Country | Self::MaxPriceInCountry)
    }

    /// What it is remembered of when it has gone out last, which `Account` stands for where it is everything.
    pub const PLACES: [Self; 5] = [Self::Account, Self::Paid, Self::Classified, Self::DirectSend, Self::Marketing];

    /// The place among [`Self::PLACES`].
    #[must_use]
    pub const fn place(self) -> Option<usize> {
        match self {
            Self::Account | Self::Number | Self::Access => Some(0),
            Self::Paid => Some(1),
            Self::Classified => Some(2),
            Self::DirectSend => Some(3),
            Self::Marketing => Some(4),
            Self::Person(_) | Self::Country | Self::Template | Self::MaxPrice | Self::MaxPriceInCountry => None,
        }
    }

    /// Whether it is about a template.
    #[must_use]
    pub const fn is_about_template(self) -> bool {
        matches!(self, Self::Template | Self::MaxPrice | Self::MaxPriceInCountry)
    }

    /// Whether a message is of the kind that it is about. One through the Marketing Messages API is none of the Cloud API's.
    #[must_use]
    pub fn is_like(self, sending: &Sending<'_>) -> bool {
        match self {
            Self::Person(_) => false,
            Self::Account
            | Self::Number
            | Self::Access
            | Self::Country
            | Self::Template
            | Self::MaxPrice
            | Self::MaxPriceInCountry => true,
            Self::Paid => sending.charged,
            Self::Classified => matches!(sending.content, Some(Content::Template(_) | Content::DirectSend(_))),
            Self::DirectSend => matches!(sending.content, Some(Content::DirectSend(_))),
            Self::Marketing => {
                matches!(sending.content, Some(Content::Template(_)))
                    && sending
                        .category
                        .is_some_and(|category| category.is_marketing() && !matches!(category, Category::MarketingLite))
            }
        }
    }

    /// What it is about, for a table of the rows.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Person(_) => "the person",
            Self::Account => "all that the account sends",
            Self::Number => "all that the number sends",
            Self::Access => "all that the account sends through the same access",
            Self::Paid => "what the account would pay for",
            Self::Classified => "templates and Direct Send of the account",
            Self::Country => "people in the same country, from the account",
            Self::DirectSend => "Direct Send of the account",
            Self::Marketing => "marketing templates of the account",
            Self::Template | Self::MaxPrice => "the template",
            Self::MaxPriceInCountry => "the template, to people in the same country",
        }
    }

    /// What shows that it is over, for a table of the rows.
    #[must_use]
    pub const fn over(self) -> &'static str {
        match self {
            Self::Person(
                RefusedFor::Undeliverable | RefusedFor::Blocked | RefusedFor::WindowClosed | RefusedFor::Itself,
            ) => "a later delivery to them, or anything they write",
            Self::Person(RefusedFor::NotAllowed | RefusedFor::Routed) => "a later delivery to them",
            Self::Account => "a later delivery, or a `standing` that is good",
            Self::Paid => "a later delivery that the platform charges, or the fact `payment_method`",
            Self::Classified => "a later delivery of such a message, or a fact `template_classification_limit`",
            Self::DirectSend => "a later delivery of such a message, or the fact `direct_send`",
            Self::Template => {
                "a later delivery of it, or any status of it since; nothing where it was known not to be approved"
            }
            Self::Number | Self::Access => "a later delivery",
            Self::Country | Self::Marketing | Self::MaxPrice | Self::MaxPriceInCountry => {
                "a later delivery of such a message"
            }
        }
    }
}

/// What one code, or a range of them, tells.
#[derive(Debug)]
pub struct RefusalRow {
    /// The code, or the first of them.
    pub code: i32,
    /// The last of them.
    pub last: i32,
    /// The first day, in the account's zone, from which on the code tells it.
    pub from: Date,
    /// What it is about.
    pub subject: Subject,
    /// For how long the next such message is blocked; beyond that, or where nothing says so, there is a warning.
    pub blocks: Option<Millis>,
    /// Where the rule was read.
    pub source: &'static str,
}

const fn row(code: i32, from: Date, subject: Subject, source: &'static str) -> RefusalRow {
    RefusalRow { code, last: code, from, subject, blocks: None, source }
}

/// The day of the first rules, for codes of which no first day is published.
const ALWAYS: Date = Date::new(2019, 6, 1);

/// The rows, ascending. That a limit for misuse of template categories blocks for a week after a refusal is the shortest
/// step of the platform's ladder (7 days, then 30), inferred: no message tells the end of the limit.
#[rustfmt::skip]
pub const REFUSALS: [RefusalRow; 34] = [
    row(     0, ALWAYS, Subject::Access, "ERR: AuthException"),
    row(     3, ALWAYS, Subject::Access, "ERR: capability"),
    row(    10, ALWAYS, Subject::Access, "ERR: permission"),
    row(    33, ALWAYS, Subject::Number, "ERR: number deleted"),
    row(   190, ALWAYS, Subject::Access, "ERR: token expired"),
    RefusalRow { last: 299, ..row(200, ALWAYS, Subject::Access, "ERR: permission") },
    row(   368, ALWAYS, Subject::Account, "ERR; seen on banned accounts (rules.md 3.8)"),
    row(   470, ALWAYS, Subject::Person(RefusedFor::WindowClosed), "ERR: on-premises form of 131047"),
    row(  1031, ALWAYS, Subject::Account, "ERR: on-premises form of 131031"),
    row(  2061, ALWAYS, Subject::Template, "ERR: on-premises form of 132015"),
    row(  2062, ALWAYS, Subject::Template, "ERR: on-premises form of 132016"),
    row(130403, ALWAYS, Subject::Person(RefusedFor::Blocked), "ERR (rules.md 3.5)"),
    row(130497, ALWAYS, Subject::Country, "ERR (rules.md 3.1: gate 2)"),
    row(131005, ALWAYS, Subject::Access, "ERR: access denied"),
    row(131021, ALWAYS, Subject::Person(RefusedFor::Itself), "ERR (rules.md 3.1: gate 2, not ourselves)"),
    row(131026, ALWAYS, Subject::Person(RefusedFor::Undeliverable), "ERR (rules.md 3.5)"),
    row(131030, ALWAYS, Subject::Person(RefusedFor::NotAllowed), "ERR (rules.md 3.1: gate 2, test numbers)"),
    row(131031, ALWAYS, Subject::Account, "ERR; seen on banned accounts (rules.md 3.8)"),
    row(131037, ALWAYS, Subject::Number, "ERR: display name approval needed"),
    row(131042, ALWAYS, Subject::Paid, "ERR: fix payment; one source reports a block of 72 hours (rules.md 3.9)"),
    row(131045, ALWAYS, Subject::Number, "ERR: registration or certificate"),
    row(131047, ALWAYS, Subject::Person(RefusedFor::WindowClosed), "CSW: known to happen in an open window (rules.md 2.1)"),
    row(131061, Date::new(2026, 5, 15), Subject::MaxPrice, "MAX: a max-price template through the Cloud API"),
    row(131063, ALWAYS, Subject::Marketing, "ERR: marketing is disabled on the Cloud API"),
    RefusalRow { blocks: Some(Millis::days(7)), ..row(131064, Date::new(2026, 4, 17), Subject::Classified, "CHG #389; vector C17; 7 days inferred from the misuse ladder (rules.md 3.8)") },
    row(131065, Date::new(2026, 5, 15), Subject::MaxPriceInCountry, "MAX: not available in the country"),
    row(131070, ALWAYS, Subject::Person(RefusedFor::Routed), "ERR: another responder has the thread, until it is handed over"),
    row(132001, ALWAYS, Subject::Template, "ERR: no such name or language, or not approved (rules.md 3.4)"),
    row(132007, ALWAYS, Subject::Template, "ERR: format or content violates a policy"),
    row(132015, ALWAYS, Subject::Template, "ERR: paused (rules.md 3.4)"),
    row(132016, ALWAYS, Subject::Template, "ERR: disabled (rules.md 3.4)"),
    row(132068, ALWAYS, Subject::Template, "ERR: its flow is blocked"),
    row(133010, ALWAYS, Subject::Number, "ERR: not registered"),
    row(139200, Date::new(2026, 7, 31), Subject::DirectSend, "DS: access is blocked (rules.md 3.3)"),
];

const _: () = {
    let mut at = 1;
    while at < REFUSALS.len() {
        assert!(REFUSALS[at - 1].last < REFUSALS[at].code, "codes stand in ascending order");
        at += 1;
    }
};

/// What a code tells; `None` for one that tells nothing of the next message.
#[must_use]
pub fn row_of(code: i32) -> Option<&'static RefusalRow> {
    let after = REFUSALS.partition_point(|row| row.code <= code);
    REFUSALS[..after].last().filter(|row| code <= row.last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::errors;

    #[test]
    fn every_code_that_tells_something_is_in_the_list_of_errors() {
        for row in &REFUSALS {
            for code in [row.code, row.last] {
                assert!(errors::error(code).is_some(), "{code}");
                assert_eq!(row_of(code).map(|row| row.code), Some(row.code));
            }
        }
        for (place, subject) in Subject::PLACES.iter().enumerate() {
            assert_eq!(subject.place(), Some(place));
        }
        assert!(row_of(300).is_none() && row_of(-1).is_none() && row_of(131_000).is_none());
    }
}
