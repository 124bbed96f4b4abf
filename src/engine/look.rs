//! Rows for those who only look: nothing here changes any, or takes one into memory.

use std::borrow::Cow;

use super::home::Homes;
use super::{Engine, Prepared, aliases_of, context_of};
use crate::domain::contact::Contact;
use crate::domain::event::Happening;
use crate::domain::id::{ContactKey, ContactNumber, MessageKey};
use crate::domain::message::{Message, Request};
use crate::domain::verdict::{self, Cited, Known};
use crate::store::{self, Store};

impl<S: Store> Engine<S> {
    /// The contact that an event is about, as far as it is known now: the one its message or its request went to, else
    /// the one that has one of its names.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn whose(&self, prepared: &Prepared) -> Result<Option<ContactNumber>, store::Error> {
        if let Some(contact) = self.message_of(prepared)?.and_then(|message| message.contact) {
            return Ok(Some(contact));
        }
        if let Some(asked) = self.request_of(prepared)?.and_then(|request| request.asked) {
            return Ok(Some(asked.contact));
        }
        let aliases = aliases_of(&prepared.event, &self.setup.key);
        for alias in aliases {
            if let Some(contact) = self.aliases.peek(alias, &self.store)? {
                return Ok(Some(*contact));
            }
        }
        Ok(None)
    }

    /// The name on outputs of the contact that an event is about.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn key_of(&self, prepared: &Prepared) -> Result<Option<ContactKey>, store::Error> {
        let Some(number) = self.whose(prepared)? else {
            return Ok(None);
        };
        Ok(self.contacts.peek(number, &self.store)?.map(|row| row.1.key))
    }

    /// A contact.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn contact(&self, number: ContactNumber) -> Result<Option<Contact>, store::Error> {
        Ok(self.contacts.peek(number, &self.store)?.map(|row| row.into_owned().1))
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
        let contact = match self.whose(prepared)? {
            Some(number) => self.contact(number)?,
            None => None,
        };
        let contact = contact.unwrap_or_else(|| super::new_contact(&self.setup, event));
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
        Ok(verdict::considered(&context, Known { number: &number, contact: &contact, account: &account }, ask, at))
    }
}
