//! Rows for those who only look: nothing here changes any, or takes one into memory.

use std::borrow::Cow;

use super::home::Homes;
use super::{Engine, Prepared, aliases_of, context_of};
use crate::codec::state::{AliasRow, ContactRow};
use crate::domain::contact::Contact;
use crate::domain::event::Happening;
use crate::domain::id::{AliasHash, ContactKey, ContactNumber, MessageKey};
use crate::domain::message::{Message, Request};
use crate::domain::verdict::{self, Cited, Known};
use crate::store::{self, Store};

impl<S: Store> Engine<S> {
    /// The contact that an event is about, as far as it is known now: the one its message or its request went to, else
    /// the one that has one of its names.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn whom(&self, prepared: &Prepared) -> Result<Option<ContactNumber>, store::Error> {
        if let Some(contact) = self.message_of(prepared)?.and_then(|message| message.contact) {
            return Ok(Some(contact));
        }
        if let Some(asked) = self.request_of(prepared)?.and_then(|request| request.asked) {
            return Ok(Some(asked.contact));
        }
        for alias in aliases_of(&prepared.event, &self.setup.key) {
            if let Some(contact) = self.named(alias.hash)? {
                return Ok(Some(contact));
            }
        }
        Ok(None)
    }

    /// The contact that has a name; nothing where nobody has it, or who had it was erased.
    pub(super) fn named(&self, alias: AliasHash) -> Result<Option<ContactNumber>, store::Error> {
        Ok(match self.aliases.peek(alias, &self.store)?.as_deref() {
            Some(AliasRow::Of(contact)) => Some(*contact),
            Some(AliasRow::Suppressed(_)) | None => None,
        })
    }

    /// The name on outputs of the contact that an event is about.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn key_of(&self, prepared: &Prepared) -> Result<Option<ContactKey>, store::Error> {
        let Some(number) = self.whom(prepared)? else {
            return Ok(None);
        };
        Ok(self.contact(number)?.map(|contact| contact.key))
    }

    /// A contact, or the one that it has turned out to be.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn contact(&self, number: ContactNumber) -> Result<Option<Contact>, store::Error> {
        let mut number = number;
        loop {
            match self.contacts.peek(number, &self.store)?.map(Cow::into_owned) {
                Some(ContactRow::Here(_, contact)) => return Ok(Some(contact)),
                Some(ContactRow::Moved(to)) => number = to,
                None => return Ok(None),
            }
        }
    }

    /// A message.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn message(&self, key: MessageKey) -> Result<Option<Message>, store::Error> {
        Ok(self.messages.peek(key, &self.store)?.map(Cow::into_owned))
    }

    /// The message that an event is about.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn message_of(&self, prepared: &Prepared) -> Result<Option<Message>, store::Error> {
        prepared.message.map_or(Ok(None), |key| self.message(key))
    }

    /// The request that an event names.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn request_of(&self, prepared: &Prepared) -> Result<Option<Request>, store::Error> {
        let Some(key) = prepared.request else {
            return Ok(None);
        };
        Ok(self.requests.peek(key, &self.store)?.map(Cow::into_owned))
    }

    /// Every reason that holds of an ask as of now, in order of precedence, those that do not decide among them. Nothing,
    /// where the event is no ask.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn considered(&self, prepared: &Prepared) -> Result<Vec<Cited>, store::Error> {
        let event = &prepared.event;
        let (Happening::SendRequested(ask), Some(now)) = (&event.happening, self.meta.partition_time) else {
            return Ok(Vec::new());
        };
        let contact = match self.whom(prepared)? {
            Some(number) => self.contact(number)?,
            None => None,
        };
        let first = aliases_of(event, &self.setup.key).first().copied();
        let Some(contact) = contact.or_else(|| first.map(|alias| self.unheard(event, alias))) else {
            return Ok(Vec::new());
        };
        let number = self.number(&event.number);
        let (named, at) = (event.account.as_ref(), event.occurred_at);
        let account = Homes::default().account(&self.setup, &self.reference, &number, named, at);
        let context = context_of(
            &self.setup,
            &self.reference,
            &self.zones,
            super::usage_of(self.usage.as_ref(), &self.ledger),
            self.stale,
            now,
        );
        let phone = event.contact.as_ref().and_then(|named| named.phone.as_ref());
        let known = Known { number: &number, contact: &contact, phone, account: &account };
        Ok(verdict::considered(&context, known, ask, at))
    }
}
