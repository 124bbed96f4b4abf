//! What the platform has refused to a business number or its account, and may refuse again (rules.md 3.9).
//!
//! Few numbers have any of it at a time, and it is bounded. What lifts a refusal is a message that goes out although it is
//! like the one refused, or a fact; `rules/refusals.rs` says which codes tell anything.

use super::content::{Category, Content};
use super::id::AccountId;
use super::reference::Country;
use super::rules::refusals::{RefusalRow, Subject};
use super::time::Timestamp;

/// How many refusals are remembered of a number; those that happened first are forgotten first.
const KEPT: usize = 64;

/// A refusal that tells something of a number's next messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The platform's code; there is a row for it.
    pub code: i32,
    /// The account that sent, if that is known.
    pub account: Option<AccountId>,
    /// The country it was about, where it was about one.
    pub country: Option<Country>,
    /// The template it was about, where it was about one: name and language.
    pub template: Option<(Box<str>, Box<str>)>,
    /// When.
    pub at: Timestamp,
}

/// A message as far as refusals are concerned: one that was refused, is asked about, or has gone out.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    /// The account that sends it, if that is known.
    pub account: Option<&'a AccountId>,
    /// What it says, if that is known.
    pub content: Option<&'a Content>,
    /// Its category, if it has one.
    pub category: Option<&'a Category>,
    /// Whether it is charged.
    pub charged: bool,
    /// The country of whom it goes to, if that is known.
    pub country: Option<Country>,
}

impl Sending<'_> {
    fn template(&self) -> Option<(&str, &str)> {
        match self.content {
            Some(Content::Template(template)) => Some((&template.name, &template.language)),
            _ => None,
        }
    }
}

impl Refusal {
    /// The refusal of a message; `None` where the row needs to know more of the message than is known.
    #[must_use]
    pub fn of(row: &RefusalRow, code: i32, sending: &Sending<'_>, at: Timestamp) -> Option<Self> {
        let country = sending.country.filter(|_| row.subject.is_about_country());
        let named = sending.template().filter(|_| row.subject.is_about_template());
        let template = named.map(|(name, language)| (name.into(), language.into()));
        let is_whole = country.is_some() == row.subject.is_about_country()
            && template.is_some() == row.subject.is_about_template();
        let account = sending.account.filter(|_| row.subject != Subject::Number).cloned();
        is_whole.then_some(Self { code, account, country, template, at })
    }

    /// Whether it tells something of a message.
    #[must_use]
    pub fn concerns(&self, row: &RefusalRow, sending: &Sending<'_>) -> bool {
        let template = self.template.as_ref().map(|(name, language)| (&**name, &**language));
        self.account.as_ref().zip(sending.account).is_none_or(|(refused, sends)| refused == sends)
            && (self.country.is_none() || self.country == sending.country)
            && (template.is_none() || template == sending.template())
            && row.subject.is_like(sending)
    }

    /// Whether it is about the same as another one.
    fn is_like(&self, other: &Self) -> bool {
        (self.code, &self.account, self.country, &self.template)
            == (other.code, &other.account, other.country, &other.template)
    }
}

/// Takes note of a refusal; of several about the same the latest counts.
pub fn note(known: &mut Vec<Refusal>, refusal: Refusal) {
    if let Some(same) = known.iter_mut().find(|same| same.is_like(&refusal)) {
        same.at = same.at.max(refusal.at);
        return;
    }
    known.push(refusal);
    if known.len() > KEPT
        && let Some(first) = (0..known.len()).min_by_key(|index| known[*index].at)
    {
        known.remove(first);
    }
}

/// A message that was sent at an instant has gone out: what was refused before it, and is about such messages, is over.
pub fn lift(
    known: &mut Vec<Refusal>,
    row: impl Fn(i32) -> Option<&'static RefusalRow>,
    sent: &Sending<'_>,
    at: Timestamp,
) {
    known.retain(|refusal| refusal.at >= at || !row(refusal.code).is_some_and(|row| refusal.concerns(row, sent)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::refusals;
    use crate::domain::time::Millis;

    const SENDING: Sending<'static> =
        Sending { account: None, content: None, category: None, charged: true, country: None };

    fn at(hour: i64) -> Timestamp {
        Timestamp::EARLIEST + Millis::hours(hour)
    }

    fn refused(code: i32, sending: &Sending<'_>, hour: i64) -> Option<Refusal> {
        Refusal::of(refusals::row_of(code)?, code, sending, at(hour))
    }

    #[test]
    fn a_refusal_is_lifted_by_what_is_like_it_and_was_sent_later() {
        let mut known = Vec::new();
        for refusal in [refused(131_042, &SENDING, 5), refused(131_031, &SENDING, 5), refused(131_042, &SENDING, 3)] {
            note(&mut known, refusal.expect("the code tells something"));
        }
        assert_eq!(known.len(), 2, "of two about the same the later one counts");
        lift(&mut known, refusals::row_of, &SENDING, at(5));
        assert_eq!(known.len(), 2, "what was sent at that instant shows nothing");
        lift(&mut known, refusals::row_of, &Sending { charged: false, ..SENDING }, at(6));
        assert_eq!(
            known.iter().map(|refusal| refusal.code).collect::<Vec<_>>(),
            [131_042],
            "a free one is none paid for"
        );
        lift(&mut known, refusals::row_of, &SENDING, at(6));
        assert!(known.is_empty());
    }

    #[test]
    fn what_a_refusal_is_about_must_be_known() {
        assert!(refused(130_497, &SENDING, 0).is_none(), "a country that nobody names");
        let brazil = Sending { country: Country::parse("BR"), ..SENDING };
        assert!(refused(130_497, &brazil, 0).is_some());
        assert!(refused(131_061, &SENDING, 0).is_none(), "a template that nobody names");
    }

    #[test]
    fn so_many_are_kept_whatever_the_order_they_come_in() {
        let code = |hour: i64| Sending {
            country: Country::parse(&format!("{}A", char::from(b'A' + u8::try_from(hour % 26).unwrap_or(0)))),
            account: None,
            ..SENDING
        };
        let accounts: Vec<AccountId> =
            (0..5).map(|number| AccountId::parse(&format!("9{number}")).expect("an id")).collect();
        let all: Vec<Refusal> = (0..100)
            .filter_map(|hour| {
                let account = accounts.get(usize::try_from(hour / 26).unwrap_or(0));
                refused(130_497, &Sending { account, ..code(hour) }, hour)
            })
            .collect();
        let kept = |refusals: &mut dyn Iterator<Item = &Refusal>| {
            let mut known = Vec::new();
            refusals.for_each(|refusal| note(&mut known, refusal.clone()));
            known.sort_by_key(|refusal| refusal.at);
            known
        };
        let (forth, back) = (kept(&mut all.iter()), kept(&mut all.iter().rev()));
        assert_eq!((forth.len(), forth == back), (KEPT, true));
        assert_eq!(forth[0].at, at(36));
    }
}
