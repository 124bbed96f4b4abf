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

/// For how many accounts of a number it is remembered what has gone out last.
const ACCOUNTS: usize = 8;

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

/// What has gone out last from a number for one account, so that a refusal that is told late is known to be over. It is not
/// kept by country or template: of those a late refusal warns until the next such message goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoneOut {
    /// The account, if that is known.
    pub account: Option<AccountId>,
    /// When the last message of each kind was sent, by [`Subject::place`].
    pub sent_at: [Option<Timestamp>; Subject::PLACES.len()],
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

/// Takes note of a refusal, unless something like it has gone out since; of several about the same the latest counts.
pub fn note(known: &mut Vec<Refusal>, gone_out: &[GoneOut], row: &RefusalRow, refusal: Refusal) {
    let is_over = |gone: &GoneOut| {
        let sent_at = row.subject.place().and_then(|place| gone.sent_at[place]);
        refusal.account.as_ref().zip(gone.account.as_ref()).is_none_or(|(refused, sends)| refused == sends)
            && sent_at.is_some_and(|sent_at| refusal.at < sent_at)
    };
    if gone_out.iter().any(is_over) {
        return;
    }
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

/// Takes note that a message that was sent at an instant has gone out.
pub fn remember(gone_out: &mut Vec<GoneOut>, sent: &Sending<'_>, at: Timestamp) {
    let place = gone_out.iter().position(|gone| gone.account.as_ref() == sent.account);
    let place = place.unwrap_or_else(|| {
        if gone_out.len() == ACCOUNTS
            && let Some(first) = (0..ACCOUNTS).min_by_key(|place| gone_out[*place].sent_at[0])
        {
            gone_out.swap_remove(first);
        }
        gone_out.push(GoneOut { account: sent.account.cloned(), sent_at: [None; Subject::PLACES.len()] });
        gone_out.len() - 1
    });
    for (known, subject) in gone_out[place].sent_at.iter_mut().zip(Subject::PLACES) {
        if *known < Some(at) && subject.is_like(sent) {
            *known = Some(at);
        }
    }
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
            let refusal = refusal.expect("the code tells something");
            let row = refusals::row_of(refusal.code).expect("a row");
            note(&mut known, &[], row, refusal);
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
    fn what_is_told_late_is_over_where_something_like_it_has_gone_out_since() {
        let account = |digits: &str| AccountId::parse(digits).expect("an id");
        let (ours, theirs) = (account("91"), account("92"));
        let kept = |gone_out: &[GoneOut], code: i32, hour: i64| {
            let refusal =
                refused(code, &Sending { account: Some(&ours), ..SENDING }, hour).expect("it tells something");
            let mut known = Vec::new();
            note(&mut known, gone_out, refusals::row_of(code).expect("a row"), refusal);
            known.len()
        };
        let mut gone_out = Vec::new();
        remember(&mut gone_out, &Sending { account: Some(&theirs), ..SENDING }, at(9));
        remember(&mut gone_out, &Sending { account: Some(&ours), ..SENDING }, at(6));
        remember(&mut gone_out, &Sending { account: Some(&ours), charged: false, ..SENDING }, at(8));
        remember(&mut gone_out, &Sending { account: Some(&ours), charged: false, ..SENDING }, at(7));
        assert_eq!([kept(&gone_out, 131_031, 7), kept(&gone_out, 131_031, 8)], [0, 1], "the last one decides");
        assert_eq!([kept(&gone_out, 131_042, 5), kept(&gone_out, 131_042, 6)], [0, 1], "of those that are paid for");
        assert_eq!([kept(&gone_out, 133_010, 8), kept(&gone_out, 133_010, 9)], [0, 1], "a number is every account's");
        assert_eq!(kept(&gone_out, 131_064, 0), 1, "no template has gone out");
        for number in 0..20 {
            let other = account(&format!("8{number}"));
            remember(&mut gone_out, &Sending { account: Some(&other), ..SENDING }, at(10 + number));
        }
        assert_eq!((gone_out.len(), kept(&gone_out, 131_031, 7)), (ACCOUNTS, 1), "so many accounts are kept");
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
            let row = refusals::row_of(130_497).expect("a row");
            refusals.for_each(|refusal| note(&mut known, &[], row, refusal.clone()));
            known.sort_by_key(|refusal| refusal.at);
            known
        };
        let (forth, back) = (kept(&mut all.iter()), kept(&mut all.iter().rev()));
        assert_eq!((forth.len(), forth == back), (KEPT, true));
        assert_eq!(forth[0].at, at(36));
    }
}
