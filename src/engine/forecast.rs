//! Campaign questions: every message of a list judged against the present rows, none of which changes.

use super::home::Homes;
use super::{Engine, Stale, context_of};
use crate::domain::contact::Contact;
use crate::domain::event::Ask;
use crate::domain::forecast::{Campaign, Group, Question};
use crate::domain::id::{ContactKey, Identity, NumberId};
use crate::domain::identity::Rank;
use crate::domain::money::Currency;
use crate::domain::number::Number;
use crate::domain::rules::markets::Origin;
use crate::domain::time::Timestamp;
use crate::domain::verdict::Verdict;
use crate::store::{self, Store};

/// The answer for one recipient and one candidate.
pub struct Judged<'a> {
    /// The recipient's place in the question, from 0.
    pub recipient: usize,
    /// The candidate's.
    pub candidate: usize,
    /// The recipient as outputs name it.
    pub contact: ContactKey,
    /// The answer.
    pub verdict: &'a Verdict,
    /// The account's currency, if known.
    pub currency: Option<Currency>,
}

impl Judged<'_> {
    /// The group it is counted in.
    #[must_use]
    pub fn group(&self) -> Group {
        Group::of(self.candidate, self.verdict, self.currency)
    }
}

/// What an answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The greatest arrival that was folded.
    pub partition_time: Option<Timestamp>,
    /// The greatest `learned_at` of the reference facts known.
    pub reference_watermark: Option<Timestamp>,
    /// The instant that was answered for.
    pub evaluated_for: Timestamp,
    /// Whether any event of the number was ever folded. Without one a window that looks closed may be open.
    pub number_known: bool,
}

impl<S: Store> Engine<S> {
    /// Judges every message of a campaign, candidate by candidate, and hands each out as it is judged.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn forecast(&self, question: &Question, mut tell: impl FnMut(&Judged<'_>)) -> Result<Standing, store::Error> {
        let asked_at = question.asked_at;
        let is_known = self.number_index.contains_key(&question.number);
        let number = self.number(&question.number);
        let named = question.account.as_ref();
        let account = Homes::default().account(&self.setup, &self.reference, &number, named, asked_at);
        let stale = Stale { input: self.stale.input || !is_known, ..self.stale };
        let now = self.meta.partition_time.unwrap_or(asked_at);
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            super::usage_of(self.usage.as_ref(), &self.ledger),
            stale,
            now,
        );
        let standing = Standing {
            partition_time: self.meta.partition_time,
            reference_watermark: self.reference.watermark(),
            evaluated_for: question.evaluate_for.unwrap_or(asked_at),
            number_known: is_known,
        };
        let mut campaigns: Vec<Campaign<'_>> =
            question.candidates.iter().map(|_| Campaign::new(context, &account, number.clone())).collect();
        for (recipient, identity) in question.recipients.iter().enumerate() {
            let contact = self.recipient(&question.number, identity)?;
            for (candidate, (campaign, said)) in campaigns.iter_mut().zip(&question.candidates).enumerate() {
                let Some(content) = said.to(recipient) else {
                    continue;
                };
                let ask = Ask {
                    request: question.request.clone(),
                    content: content.clone(),
                    evaluate_for: question.evaluate_for,
                    time_to_live: None,
                };
                let verdict = campaign.judge(&contact, identity.phone.as_ref(), &ask, asked_at);
                let (contact, currency) = (contact.key, account.currency);
                tell(&Judged { recipient, candidate, contact, verdict: &verdict, currency });
            }
        }
        Ok(standing)
    }

    /// A copy of what is remembered of a number.
    pub(super) fn number(&self, id: &NumberId) -> Number {
        let entry = self.number_index.get(id).and_then(|index| self.numbers.get(index.0 as usize));
        entry.map_or_else(|| Number::new(id.clone()), |entry| entry.number.clone())
    }

    /// A person as an ask would find them; somebody never heard of is a contact nothing is known of.
    fn recipient(&self, number: &NumberId, identity: &Identity) -> Result<Contact, store::Error> {
        let mut aliases = self.setup.key.aliases(number, identity).peekable();
        let first = aliases.peek().copied();
        for alias in aliases {
            if let Some(found) = self.named(alias.hash)?
                && let Some(contact) = self.contact(found)?
            {
                return Ok(contact);
            }
        }
        let origin = match (&identity.phone, identity.scoped.as_ref(), identity.parent.as_ref()) {
            (Some(phone), ..) => Origin::of_phone(phone.as_str()),
            (None, Some(scoped), _) => Origin::of_scoped_id(scoped.as_str()),
            (None, None, Some(parent)) => Origin::of_scoped_id(parent.as_str()),
            (None, None, None) => Origin::Unknown,
        };
        let rank = first.map_or(Rank::Phone, |alias| alias.rank);
        let key = self.setup.key.contact(number, identity.canonical(), 0);
        Ok(Contact::new(key, rank, origin))
    }
}
