//! What somebody wants explained, looked for while everything is folded: whom it is about, and which message or ask.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::codec::ids::{self, hex};
use crate::domain::effect::What;
use crate::domain::event::{About, Event, Happening};
use crate::domain::id::{ContactKey, Identity, MessageId, NumberId, ParentUserId, RequestId, ScopedUserId, WaId};
use crate::domain::time::Timestamp;
use crate::engine::ledger::{Posted, PostedDiscount};
use crate::engine::publish::{Problem, Publisher, Record};
use crate::engine::{Engine, Output, Prepared, Rejected};
use crate::replay::refold::{Origin, Rows, Watch};
use crate::store;

/// Somebody of whom something is to be explained: a contact of a business phone number.
pub type Subject = (NumberId, ContactKey);

/// What of somebody is to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// Everything.
    pub whole: bool,
    /// These messages.
    pub messages: Vec<MessageId>,
    /// These asks.
    pub requests: Vec<RequestId>,
}

impl Focus {
    fn message(&mut self, id: &MessageId) {
        if !self.messages.contains(id) {
            self.messages.push(id.clone());
        }
    }

    fn request(&mut self, id: &RequestId) {
        if !self.requests.contains(id) {
            self.requests.push(id.clone());
        }
    }
}

/// A search under way.
pub struct Finder {
    /// What was typed: a phone number, a user id, or any id that occurs in inputs or outputs.
    text: String,
    /// The same as the phone number it may be.
    phone: String,
    /// The same as a hash that it may be.
    hash: Option<[u8; 16]>,
    /// The only number that is looked at.
    number: Option<NumberId>,
    publisher: Rc<Publisher>,
    /// What was found.
    pub found: BTreeMap<Subject, Focus>,
    /// The line of discount that was found.
    pub discount: Option<PostedDiscount>,
    /// When the first record arrived, and the last.
    pub span: Option<(Timestamp, Timestamp)>,
    /// How many records or parts of them could not be folded.
    pub letters: u64,
}

impl Finder {
    /// A search for what somebody typed.
    #[must_use]
    pub fn new(text: &str, number: Option<NumberId>, publisher: Rc<Publisher>) -> Self {
        let text = text.trim().to_owned();
        let phone = text.trim_start_matches('+').to_owned();
        let hash = ids::from_hex(&text);
        Self { text, phone, hash, number, publisher, found: BTreeMap::new(), discount: None, span: None, letters: 0 }
    }

    fn is_named_by(&self, identity: &Identity) -> bool {
        identity.phone.as_ref().map(WaId::as_str) == Some(&self.phone)
            || identity.scoped.as_ref().map(ScopedUserId::as_str) == Some(&self.text)
            || identity.parent.as_ref().map(ParentUserId::as_str) == Some(&self.text)
    }

    fn is_wanted(&self, number: &NumberId) -> bool {
        self.number.as_ref().is_none_or(|wanted| wanted == number)
    }

    /// What of an event's contact is meant by what was typed, if anything is.
    fn meant_by(&self, event: &Event) -> Option<Focus> {
        let mut focus = Focus::default();
        let is_id = |id: &str| id == self.text;
        let inbound = || ids::event(event.number.as_str(), "message", &[&self.text], None);
        if self.hash == Some(event.id.0) || event.contact.as_ref().is_some_and(|identity| self.is_named_by(identity)) {
            focus.whole = true;
        }
        match &event.happening {
            Happening::SendRequested(ask) => {
                let verdict = || ids::verdict(event.number.as_str(), ask.request.as_str(), Some(event.occurred_at));
                if is_id(ask.request.as_str()) || self.hash.is_some_and(|hash| hash == verdict()) {
                    focus.request(&ask.request);
                }
            }
            Happening::SendAccepted(accepted) => {
                if is_id(accepted.message.as_str()) {
                    focus.message(&accepted.message);
                }
                // Whoever asks about a request wants to hear of its message too.
                if let Some(request) = accepted.request.as_ref().filter(|request| is_id(request.as_str())) {
                    focus.request(request);
                    focus.message(&accepted.message);
                }
            }
            Happening::Status(status) => match &status.about {
                About::Message(id) if is_id(id.as_str()) => focus.message(id),
                About::Request(id) if is_id(id.as_str()) => focus.request(id),
                About::Message(_) | About::Request(_) => {}
            },
            Happening::CallEnded(ended) => {
                if is_id(ended.call.as_str()) {
                    focus.message(&ended.call);
                }
            }
            Happening::Inbound(_) | Happening::Echo => focus.whole |= event.id == inbound(),
            Happening::MarketingPreference(_)
            | Happening::Consent(_)
            | Happening::IdentityChanged(_)
            | Happening::ContactErased
            | Happening::NumberFact(_)
            | Happening::Unknown(_) => {}
        }
        (focus != Focus::default()).then_some(focus)
    }

    fn add(&mut self, subject: Subject, focus: &Focus) {
        let known = self.found.entry(subject).or_default();
        known.whole |= focus.whole;
        focus.messages.iter().for_each(|id| known.message(id));
        focus.requests.iter().for_each(|id| known.request(id));
    }

    /// Looks whether a hash is the id of an output, or the key of a contact.
    fn look_at(&mut self, outputs: &[Output]) {
        let Some(hash) = self.hash else {
            return;
        };
        for output in outputs {
            let Some(contact) = output.effect.contact.as_ref().filter(|_| self.is_wanted(&output.number)) else {
                continue;
            };
            let mut focus = Focus { whole: contact.key.0 == hash, ..Focus::default() };
            if id_of(&self.publisher, output).is_some_and(|id| id == self.text) {
                match &output.effect.what {
                    What::Verdict(verdict) => focus.request(&verdict.request),
                    What::Charge(charge) => focus.message(&charge.message),
                    What::Outcome(outcome) => match (&outcome.message, &outcome.request) {
                        (Some(message), _) => focus.message(message),
                        (None, Some(request)) => focus.request(request),
                        (None, None) => {}
                    },
                    What::Window(_) | What::State(_) => focus.whole = true,
                }
            }
            if focus != Focus::default() {
                let subject = ((*output.number).clone(), contact.key);
                self.add(subject, &focus);
            }
        }
    }
}

/// The id that an output is published under.
fn id_of(publisher: &Publisher, output: &Output) -> Option<String> {
    let price = match &output.effect.what {
        What::Charge(charge) => Some(publisher.at_list(&charge.line, charge.reverses.is_some())),
        What::Verdict(_) | What::Window(_) | What::State(_) | What::Outcome(_) => None,
    };
    let id = match publisher.record(output, price.as_ref()) {
        Record::Verdict(record) => record.envelope.id,
        Record::Charge(_, record) | Record::Billing(record) => record.envelope.id,
        Record::Window(record) => record.envelope.id,
        Record::Outcome(record) => record.envelope.id,
        Record::Usage(record) => record.envelope.id,
        Record::DeadLetter(record) => record.envelope.id,
        Record::State(_) => return None,
    };
    Some(id.as_str().to_owned())
}

impl Watch for Finder {
    fn passed(&mut self, outputs: &[Output]) {
        self.look_at(outputs);
    }

    fn after(
        &mut self,
        engine: &Engine<Rows>,
        event: &Prepared,
        origin: &Origin,
        _: Result<(), Rejected>,
        outputs: &[Output],
    ) -> Result<(), store::Error> {
        let (first, last) = self.span.unwrap_or((origin.arrived_at, origin.arrived_at));
        self.span = Some((first.min(origin.arrived_at), last.max(origin.arrived_at)));
        if !self.is_wanted(&event.event.number) {
            return Ok(());
        }
        if let Some(focus) = self.meant_by(&event.event)
            && let Some(key) = engine.key_of(event)?
        {
            self.add((event.event.number.clone(), key), &focus);
        }
        if self.hash.is_some() {
            self.look_at(outputs);
            // Not everything that is folded tells of its contact.
            if let Some(key) = engine.key_of(event)?.filter(|key| hex(key.0).as_str() == self.text) {
                self.add((event.event.number.clone(), key), &Focus { whole: true, ..Focus::default() });
            }
        }
        Ok(())
    }

    fn posted(&mut self, posted: &[Posted]) {
        for posted in posted {
            if let (Posted::Discount(discount), true) = (posted, self.hash.is_some())
                && self.publisher.discount(discount).envelope.id.as_str() == self.text
            {
                self.discount = Some((**discount).clone());
            }
        }
    }

    fn letter(&mut self, _: &Origin, _: &Problem) {
        self.letters += 1;
    }
}
