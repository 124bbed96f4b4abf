//! Messages that an event is not about, and of which it tells something all the same.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Engine, Prepared, arm, context_of, copy_of, forget, identity, note, usage_of};
use crate::codec::state::{ContactRow, NumberIndex};
use crate::domain::event::{Event, Happening};
use crate::domain::fold::{self, Disturbed, News};
use crate::domain::id::{ContactNumber, MessageKey};
use crate::domain::message::{NOTED_EARLY, TIME_TO_LIVE};
use crate::domain::reference::Account;
use crate::domain::time::{Millis, Timestamp};
use crate::store::{self, Store};

/// How far back messages are looked at again.
const LOOKED_BACK: Millis = Millis::days(15);

impl<S: Store> Engine<S> {
    /// Looks again at the messages that went to a contact since an instant. Returns those whose lines may be wrong now.
    pub(super) fn look_back(
        &mut self,
        event: &Event,
        account: &Arc<Account>,
        index: NumberIndex,
        contact_number: ContactNumber,
        since: Timestamp,
    ) -> Result<Vec<MessageKey>, store::Error> {
        // Where conversations are charged a message counts when it is delivered, which may be days after it was sent.
        let late = if self.setup.rules.may_be_in_conversation(since) { TIME_TO_LIVE } else { Millis::ZERO };
        let now = self.meta.partition_time.unwrap_or(event.occurred_at);
        let since = (since - late).max(now - LOOKED_BACK);
        let Some(row) = &self.contacts.row(contact_number, &self.store)?.value else {
            return Ok(Vec::new());
        };
        let noted_since = since - NOTED_EARLY;
        let mut keys = self.sent.since(contact_number, noted_since, &self.store)?;
        if let Some(chain) = row.contact().and_then(|contact| contact.chain.as_deref()) {
            for absorbed in &chain.absorbed {
                keys.extend(self.sent.since(*absorbed, noted_since, &self.store)?);
            }
        }
        let mut earlier = Vec::new();
        for key in keys {
            let row = self.messages.row(key, &self.store)?;
            forget(&mut row.value, now);
            let message = row.value.as_ref().filter(|message| message.known_at().is_some_and(|at| at >= since));
            earlier.extend(message.map(|message| (key, message.clone())));
        }
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        let Some(ContactRow::Here(_, contact)) = &mut self.contacts.row(contact_number, &self.store)?.value else {
            return Ok(Vec::new());
        };
        let number = &mut self.numbers[index.0 as usize].number;
        Ok(fold::look_back(&context, event, account, number, contact, &earlier, &mut self.effects))
    }

    /// Brings the lines of messages in line with what is known: the event's own, and those it has disturbed.
    pub(super) fn settle(
        &mut self,
        prepared: &Prepared,
        index: NumberIndex,
        now: Timestamp,
        own: Option<MessageKey>,
        disturbed: Vec<MessageKey>,
    ) -> Result<(), store::Error> {
        let event = &prepared.event;
        let news = self.news(prepared, &disturbed)?;
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        let entry = &mut self.numbers[index.0 as usize];
        let mut waiting = VecDeque::from(disturbed);
        let mut next = own;
        while let Some(key) = next.take().or_else(|| waiting.pop_front()) {
            let row = self.messages.row(key, &self.store)?;
            forget(&mut row.value, now);
            let Some(message) = &mut row.value else {
                continue;
            };
            let Some(to) = message.contact else {
                continue;
            };
            let Some(contact_number) = identity::here(&mut self.contacts, to, &self.store)? else {
                continue;
            };
            let row = self.contacts.row(contact_number, &self.store)?.value.as_mut();
            let Some(contact) = row.and_then(ContactRow::contact_mut) else {
                continue;
            };
            let at = message.charge_instant().unwrap_or(event.occurred_at);
            let named = message.account.as_ref();
            let account = entry.homes.account(&self.setup, &self.reference, &entry.number, named, at);
            let disturbed = Disturbed { key, message, account: &account, news: news.as_ref() };
            let before = disturbed.message.noted_at();
            let more = fold::settle(&context, event, &mut entry.number, contact, disturbed, &mut self.effects);
            waiting.extend(more);
            // What it answers to may only be known now.
            note(&mut self.sent, key, self.messages.row(key, &self.store)?.value.as_ref(), before);
            arm(&mut self.timers, contact_number, contact, self.setup.policy.closing_lead);
            self.messages.changed(key);
            self.contacts.changed(contact_number);
        }
        Ok(())
    }

    /// What an event tells of messages that it is not about: an acceptance of every share of a message to a group, an
    /// ask of the message that it was seen to become before.
    fn news(&mut self, prepared: &Prepared, disturbed: &[MessageKey]) -> Result<Option<News>, store::Error> {
        if let (Happening::SendRequested(ask), Some(key), false) =
            (&prepared.event.happening, prepared.request, disturbed.is_empty())
        {
            let request = &self.requests.row(key, &self.store)?.value;
            let asked = request.as_ref().and_then(|request| request.asked.clone());
            return Ok(asked.map(|asked| News::Asked(ask.request.clone(), asked)));
        }
        let others = prepared.message.filter(|_| !disturbed.is_empty());
        let whole = copy_of(&mut self.messages, others, &self.store)?;
        Ok(whole.filter(|whole| !whole.shares.is_empty()).map(|whole| News::Whole(Box::new(whole))))
    }
}
