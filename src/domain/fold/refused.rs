//! What a failure tells of the next message, and what a success takes back of it (rules.md 3.9; decision 15).

use super::Fold;
use crate::domain::billing::Line;
use crate::domain::contact::Contact;
use crate::domain::content::{Category, Content};
use crate::domain::id::AccountId;
use crate::domain::message::Message;
use crate::domain::reference::Country;
use crate::domain::refusal::{self, Refusal, Sending};
use crate::domain::rules::markets::Origin;
use crate::domain::rules::refusals::{self, Subject};

impl Fold<'_, '_> {
    /// Takes note of what a failure tells of the next message. Of a group it tells nothing: what could not be delivered to
    /// one of its people may be to the others.
    pub(super) fn take_refusal(
        &mut self,
        contact: Option<&mut Contact>,
        code: Option<i32>,
        (content, account, origin): (Option<&Content>, Option<&AccountId>, Origin),
    ) {
        let row = code.and_then(|code| self.context.rules.refusal(code, self.days(self.at)).map(|row| (code, row)));
        let Some((code, row)) = row else {
            return;
        };
        if let Subject::Person(why) = row.subject {
            if let Some(contact) = contact.filter(|contact| !contact.is_group) {
                let is_over = why.is_over_by_writing() && contact.window.written_at() >= Some(self.at);
                if !is_over {
                    contact.refuse(why, self.at);
                }
            }
            return;
        }
        let account = account.or(self.account.id.as_ref());
        let country = origin.country().and_then(Country::parse);
        let sending = Sending { account, content, category: None, charged: false, country };
        if let Some(refusal) = Refusal::of(row, code, &sending, self.at) {
            refusal::note(&mut self.number.refusals, &self.number.gone_out, row, refusal);
        }
    }

    /// A message has gone out: what was refused before it was sent may be over. When it was sent must be known, and what it
    /// said; and what it was charged as takes the platform's word. So nothing is lifted that a later report would not lift.
    pub(super) fn lift_refusals(&mut self, message: &Message, line: &Line, word: Option<&Category>) {
        let Some(sent_at) = message.send_instant() else {
            return;
        };
        let mut sent = Sending {
            account: message.account.as_ref().or(self.account.id.as_ref()),
            content: message.content.as_ref(),
            category: word,
            charged: message.was_charged && message.content.is_some(),
            country: None,
        };
        refusal::remember(&mut self.number.gone_out, &sent, sent_at);
        if !self.number.refusals.is_empty() {
            sent.country = line.origin.country().and_then(Country::parse);
            refusal::lift(&mut self.number.refusals, refusals::row_of, &sent, sent_at);
        }
    }
}
