//! What the platform has refused before, and may refuse again: to the number or its account (rules.md 3.9), and whether the
//! message goes to the number itself.

use super::{Gates, Known, Reason};
use crate::domain::billing::{self, Toll};
use crate::domain::contact::RefusedFor;
use crate::domain::content::{Category, Content};
use crate::domain::policy::Context;
use crate::domain::reference::{Country, Topic};
use crate::domain::refusal::{Refusal, Sending};
use crate::domain::rules::refusals::{self, Subject};
use crate::domain::time::Timestamp;

/// Gate 2: nobody writes to the number that sends. A fact tells which phone number it is, or the platform has refused it.
pub fn own_gate(gates: &mut Gates, context: &Context<'_>, known: Known<'_>, at: Timestamp) {
    let own = known.phone.is_some_and(|phone| context.reference.phone_of(&known.number.id, at) == Some(phone));
    let refused = || known.contact.refusals.iter().any(|known| known.why == RefusedFor::Itself && known.at <= at);
    if own || refused() {
        gates.because(Reason::RecipientIsSender);
    }
}

/// What failed for a reason that is the account's or the number's. Returns when such messages are not blocked any more.
pub fn refused_gate(
    gates: &mut Gates,
    context: &Context<'_>,
    known: Known<'_>,
    (content, category, toll): (&Content, Option<&Category>, &Toll),
    at: Timestamp,
) -> Option<Timestamp> {
    if known.number.refusals.is_empty() || !context.rows_hold_all {
        return None;
    }
    let sending = Sending {
        account: known.account.id.as_ref(),
        content: Some(content),
        category,
        charged: billing::is_paid(toll),
        country: known.contact.origin.country().and_then(Country::parse),
    };
    let mut waits_until = None;
    for refusal in known.number.refusals.iter().filter(|refusal| refusal.at <= at) {
        let Some(row) = refusals::row_of(refusal.code).filter(|row| refusal.concerns(row, &sending)) else {
            continue;
        };
        if is_over(context, known, refusal, row.subject, at) {
            continue;
        }
        let blocked_until = row.blocks.map(|length| refusal.at + length).filter(|until| at < *until);
        waits_until = waits_until.max(blocked_until);
        let reason = match row.subject {
            // Those are remembered with the person.
            Subject::Person(_) => continue,
            Subject::Account => Reason::AccountLocked,
            Subject::Number => Reason::NumberNotReady,
            Subject::Access => Reason::AccessRefused,
            Subject::Paid => Reason::PaymentRefused,
            Subject::Classified if blocked_until.is_some() => Reason::TemplateClassificationLimit,
            Subject::Classified => Reason::TemplateClassificationLimitUnsure,
            Subject::Country => Reason::CountryRestricted,
            Subject::DirectSend => Reason::DirectSendRefused,
            Subject::Marketing => Reason::MarketingRefused,
            Subject::Template => Reason::TemplateRefused,
            Subject::MaxPrice | Subject::MaxPriceInCountry => Reason::MaxPriceRefused,
        };
        gates.cite(reason, &refusal.code.to_string());
    }
    waits_until
}

/// Whether a fact has told since a refusal that what it stands for is over, or how it stands.
fn is_over(context: &Context<'_>, known: Known<'_>, refusal: &Refusal, subject: Subject, at: Timestamp) -> bool {
    let account = refusal.account.as_ref().or(known.account.id.as_ref());
    let topic = match subject {
        Subject::Account => Topic::Standing,
        Subject::Paid => Topic::PaymentMethod,
        Subject::Classified => Topic::ClassificationLimit,
        Subject::DirectSend => Topic::DirectSend,
        Subject::Template => {
            let known = account.zip(refusal.template.as_ref());
            return known.is_some_and(|(account, template)| {
                context.reference.accounts_for_refusal(account, template, refusal.at, at)
            });
        }
        Subject::Person(_)
        | Subject::Number
        | Subject::Access
        | Subject::Country
        | Subject::Marketing
        | Subject::MaxPrice
        | Subject::MaxPriceInCountry => return false,
    };
    account.is_some_and(|account| context.reference.tells_since(account, topic, refusal.at, at))
}
