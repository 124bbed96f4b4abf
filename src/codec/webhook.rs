//! The platform's webhook bodies, read into our own records: total and loss-free.
//!
//! Any JSON is read to its end. What is understood becomes an event of `wa.events` or a fact about an
//! account or a template; what is not becomes an event of kind `unknown` with its raw name, or is refused
//! with the part of the body it stands in and the reason. No message body is kept, no name, no caption.

use std::fmt::Write as _;

mod facts;
mod shape;

use super::records::{self, Event};
use super::text::Text;
pub use facts::NewFact;
use shape::{Body, Change, Contact, Item, Lax, Many, Maybe, Metadata, Value};

/// What a part of a body became.
#[derive(Debug)]
pub enum Part<'a> {
    /// An event.
    Event(Box<Event<'a>>),
    /// A fact about an account or a template.
    Fact(NewFact<'a>),
    /// Nothing: it could not be read.
    Refused(Refusal),
}

/// Why a part of a body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where it stands: `entry[0].changes[1].value.messages[2]`; empty for the whole body.
    pub part: String,
    /// The stable code of dead letters.
    pub code: &'static str,
    /// What is wrong, without any of the content.
    pub detail: &'static str,
}

/// What the reader is told.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Words that, as a whole message or button, withdraw consent. Compared without case.
    pub opt_out_keywords: Vec<String>,
    /// Words that give it.
    pub opt_in_keywords: Vec<String>,
}

/// Why a body is none.
#[derive(Debug)]
pub struct NotJson {
    /// The line within the body, from 1.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A body that has been parsed.
pub struct Parsed<'a>(Body<'a>);

impl<'a> Parsed<'a> {
    /// Parses a body.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn new(body: &'a [u8]) -> Result<Self, NotJson> {
        let parsed: Maybe<Body<'a>> =
            serde_json::from_slice(body).map_err(|error| NotJson { line: error.line(), column: error.column() })?;
        Ok(Self(parsed.0.unwrap_or_default()))
    }

    /// Whether it says it is a webhook's body, well-formed or not.
    #[must_use]
    pub fn is_webhook(&self) -> bool {
        self.0.object.as_str().is_some() || self.0.entry.0.is_some()
    }

    /// When whoever kept the body received it, if they wrote that beside it, in milliseconds.
    #[must_use]
    pub fn received_at(&self) -> Option<i64> {
        self.0.received_at.integer()
    }

    /// Reads the parts in order. `fallback` is the time given to what carries none, in milliseconds: the
    /// arrival of the body, or the latest time known before it. An `admit_late` beside the body's fields is meant for all
    /// events in it.
    #[must_use]
    pub fn parts(&self, settings: &Settings, fallback: Option<i64>) -> Vec<Part<'a>> {
        let mut reader = Reader { settings, fallback, path: String::new(), parts: Vec::new() };
        reader.body(&self.0);
        if self.0.admit_late.boolean() == Some(true) {
            for part in &mut reader.parts {
                if let Part::Event(event) = part {
                    event.admit_late = true;
                }
            }
        }
        reader.parts
    }
}

struct Reader<'s, 'a> {
    settings: &'s Settings,
    fallback: Option<i64>,
    /// Where the part being read stands.
    path: String,
    parts: Vec<Part<'a>>,
}

impl<'a> Reader<'_, 'a> {
    fn refuse(&mut self, code: &'static str, detail: &'static str) {
        self.parts.push(Part::Refused(Refusal { part: self.path.clone(), code, detail }));
    }

    /// Reads something that stands at a place below the present one.
    fn below(&mut self, place: &str, index: usize, read: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.path, "{place}[{index}]");
        read(self);
        self.path.truncate(length);
    }

    fn body(&mut self, body: &Body<'a>) {
        if body.object.as_str() != Some("whatsapp_business_account") {
            return self.refuse("unknown_shape", "`object` is not `whatsapp_business_account`");
        }
        let Some(entries) = &body.entry.0 else {
            return self.refuse("unknown_shape", "`entry` is not an array");
        };
        if entries.is_empty() {
            return self.refuse("unknown_shape", "`entry` is empty");
        }
        for (index, entry) in entries.iter().enumerate() {
            self.below("entry", index, |reader| {
                let changes =
                    entry.0.as_ref().and_then(|entry| entry.changes.0.as_ref().map(|changes| (entry, changes)));
                let Some((entry, changes)) = changes else {
                    return reader.refuse("unknown_shape", "`changes` is not an array");
                };
                let time = entry.time.integer().and_then(|seconds| seconds.checked_mul(1000));
                for (index, change) in changes.iter().enumerate() {
                    reader.below("changes", index, |reader| match &change.0 {
                        Some(change) => reader.change(&entry.id, time, change),
                        None => reader.refuse("unknown_shape", "it is not an object"),
                    });
                }
            });
        }
    }

    fn change(&mut self, account: &Lax<'a>, time: Option<i64>, change: &Change<'a>) {
        let Some(field) = change.field.text() else {
            return self.refuse("missing_field", "`field` is missing");
        };
        let Some(value) = &change.value.0 else {
            return self.refuse("unknown_shape", "`value` is not an object");
        };
        let metadata = value.metadata.0.as_ref();
        let Some(number) = metadata.and_then(|metadata| metadata.phone_number_id.text()) else {
            if value.is_about_a_number() {
                return self.refuse("missing_field", "`metadata.phone_number_id` is missing");
            }
            return self.facts(account, time, field.as_str(), value);
        };
        let before = self.parts.len();
        let about = About { number, account: account.text(), metadata, value, field: &field, time };
        self.messages(&about, &value.messages, if field.as_str() == "history" { "history_import" } else { "live" });
        self.each("value.statuses", &value.statuses, |reader, item| reader.status(&about, item));
        self.each("value.calls", &value.calls, |reader, item| reader.call(&about, item));
        self.each("value.user_preferences", &value.user_preferences, |reader, item| reader.preference(&about, item));
        self.each("value.user_id_update", &value.user_id_update, |reader, item| reader.user_id_update(&about, item));
        self.each("value.message_echoes", &value.message_echoes, |reader, item| {
            reader.message(&about, item, "phone_app_echo");
        });
        for chunk in value.history.items().flatten() {
            for thread in chunk.threads.items().flatten() {
                self.messages(&about, &thread.messages, "history_import");
            }
            self.each("value.history.errors", &chunk.errors, |reader, item| reader.unknown(&about, item));
        }
        for (place, items) in [
            ("value.errors", &value.errors),
            ("value.groups", &value.groups),
            ("value.automatic_events", &value.automatic_events),
            ("value.state_sync", &value.state_sync),
        ] {
            self.each(place, items, |reader, item| reader.unknown(&about, item));
        }
        if self.parts.len() == before {
            // Nothing in it has a name we know: the field's own name is what there is to keep.
            self.unknown(&about, &Item::default());
        }
    }

    fn messages(&mut self, about: &About<'_, 'a>, items: &Many<Item<'a>>, provenance: &'static str) {
        self.each("value.messages", items, |reader, item| reader.message(about, item, provenance));
    }

    fn each(&mut self, place: &str, items: &Many<Item<'a>>, mut read: impl FnMut(&mut Self, &Item<'a>)) {
        if items.is_wrong() {
            return self.below(place, 0, |reader| reader.refuse("unknown_shape", "it is not an array"));
        }
        for (index, item) in items.items().enumerate() {
            self.below(place, index, |reader| match item {
                Some(item) => read(reader, item),
                None => reader.refuse("unknown_shape", "it is not an object"),
            });
        }
    }

    /// The instant of an item, in milliseconds: its own, which must be one if it is there, else the change's.
    fn instant(&mut self, about: &About<'_, 'a>, timestamp: &Lax<'a>, required: bool) -> Option<i64> {
        let own = timestamp.integer().and_then(|seconds| seconds.checked_mul(1000));
        match (timestamp, own) {
            (_, Some(millis)) => return Some(millis),
            (Lax::Absent, None) if !required => {}
            (Lax::Absent, None) => {
                self.refuse("missing_field", "`timestamp` is missing");
                return None;
            }
            (_, None) => {
                self.refuse("invalid_field", "`timestamp` is not a number of seconds");
                return None;
            }
        }
        let known = about.time.or(self.fallback);
        if known.is_none() {
            self.refuse("undated", "nothing says when it happened; give the body a `received_at` in milliseconds");
        }
        known
    }

    fn event(&mut self, event: Event<'a>) {
        self.parts.push(Part::Event(Box::new(event)));
    }

    fn message(&mut self, about: &About<'_, 'a>, item: &Item<'a>, provenance: &'static str) {
        let Some(occurred_at) = self.instant(about, &item.timestamp, true) else {
            return;
        };
        let Some(message_id) = item.id.text() else {
            return self.refuse("missing_field", "`id` is missing");
        };
        let Some(kind) = item.r#type.text() else {
            return self.refuse("missing_field", "`type` is missing");
        };
        let business = about.metadata.and_then(|metadata| metadata.display_phone_number.text());
        let outbound = provenance == "phone_app_echo" || (item.from.text().is_some() && item.from.text() == business);
        let provenance = if outbound && provenance == "live" { "phone_app_echo" } else { provenance };
        let contact = if outbound {
            records::Person { wa_id: item.to.text(), user_id: item.to_user_id.text(), parent_user_id: None }
        } else {
            about.sender(item)
        };
        let is_somebody = contact.wa_id.is_some() || contact.user_id.is_some() || contact.parent_user_id.is_some();
        if !is_somebody && item.group_id.text().is_none() {
            return self.refuse(
                "missing_field",
                "nothing says who it is from: `from`, `from_user_id` and `contacts` are missing",
            );
        }
        let mut event = about.event("message", occurred_at);
        event.provenance = provenance.into();
        event.contact = is_somebody.then_some(contact);
        event.group_id = item.group_id.text();
        if kind.as_str() == "system" {
            let system = item.system.0.as_ref();
            event.kind = "identity_change".into();
            event.identity_change = Some(Box::new(records::IdentityChange {
                message_id: Some(message_id),
                r#type: system.and_then(|system| system.r#type.text()).unwrap_or_else(|| "unstated".into()),
                new_wa_id: system.and_then(|system| system.wa_id.text()),
                new_user_id: system.and_then(|system| system.user_id.text()),
                new_parent_user_id: system.and_then(|system| system.parent_user_id.text()),
            }));
            return self.event(event);
        }
        let consent = self.keyword(item).filter(|_| provenance == "live").map(|state| {
            let mut consent = event.clone();
            consent.kind = "consent".into();
            consent.consent = Some(Box::new(records::Consent {
                scope: "marketing".into(),
                state: state.into(),
                source: Some("keyword".into()),
            }));
            consent
        });
        event.message = Some(Box::new(records::Message {
            message_id,
            subtype: item.subtype(kind.as_str()),
            reaction_removed: kind.as_str() == "reaction" && item.reaction_removed(),
            r#type: kind,
            context_message_id: item.about_message(),
            client_platform: None,
            referral: item.referral.0.as_ref().map(|referral| records::Referral {
                source_type: referral.source_type.text(),
                source_id: referral.source_id.text(),
                source_url: referral.source_url.text(),
                ctwa_clid: referral.ctwa_clid.text(),
            }),
            error_codes: item.error_codes(),
        }));
        self.event(event);
        if let Some(consent) = consent {
            self.event(consent);
        }
    }

    /// Whether the whole of what the person wrote or tapped is one of the deployment's keywords.
    fn keyword(&self, item: &Item<'a>) -> Option<&'static str> {
        let said = item.said()?.trim();
        let is_one_of = |words: &[String]| words.iter().any(|word| word.to_lowercase() == said.to_lowercase());
        if is_one_of(&self.settings.opt_out_keywords) {
            Some("withdrawn")
        } else if is_one_of(&self.settings.opt_in_keywords) {
            Some("given")
        } else {
            None
        }
    }

    fn status(&mut self, about: &About<'_, 'a>, item: &Item<'a>) {
        let Some(occurred_at) = self.instant(about, &item.timestamp, true) else {
            return;
        };
        let Some(id) = item.id.text() else {
            return self.refuse("missing_field", "`id` is missing");
        };
        let Some(status) = item.status.text() else {
            return self.refuse("missing_field", "`status` is missing");
        };
        let in_group = item.recipient_type.as_str() == Some("group");
        let recipient = about.recipient(item, in_group);
        if item.r#type.as_str() == Some("call") {
            let mut event = about.event("call", occurred_at);
            event.contact = recipient;
            event.call = Some(Box::new(records::Call {
                call_id: id,
                event: status.as_str().to_ascii_lowercase().into(),
                direction: Some("business_initiated".into()),
                ..records::Call::default()
            }));
            return self.event(event);
        }
        let mut event = about.event("status", occurred_at);
        event.contact = recipient;
        event.group_id = if in_group { item.recipient_id.text() } else { None };
        let conversation = item.conversation.0.as_ref();
        let pricing = item.pricing.0.as_ref().or_else(|| conversation.and_then(|known| known.pricing.0.as_ref()));
        event.status = Some(Box::new(records::Status {
            message_id: Some(id),
            request_id: None,
            status,
            recipient_type: item.recipient_type.text(),
            participant: in_group.then(|| item.participant()).flatten(),
            pricing: pricing.map(shape::Pricing::record),
            conversation: conversation.map(|conversation| records::Conversation {
                id: conversation.id.text(),
                origin: conversation.origin.0.as_ref().and_then(|origin| origin.r#type.text()),
                expires_at: conversation.expiration_timestamp.integer().and_then(|seconds| seconds.checked_mul(1000)),
            }),
            errors: item.errors(),
            callback_data: item.biz_opaque_callback_data.text(),
        }));
        self.event(event);
    }

    fn call(&mut self, about: &About<'_, 'a>, item: &Item<'a>) {
        let Some(occurred_at) = self.instant(about, &item.timestamp, true) else {
            return;
        };
        let (Some(call_id), Some(call)) = (item.id.text(), item.event.text()) else {
            return self.refuse("missing_field", "`id` or `event` is missing");
        };
        let direction = item.direction.text().map(|direction| Text::from(direction.as_str().to_ascii_lowercase()));
        let outbound = direction.as_ref().is_some_and(|direction| direction.as_str() == "business_initiated");
        let mut event = about.event("call", occurred_at);
        let person = if outbound {
            let parent_user_id = item.to_parent_user_id.text();
            records::Person { wa_id: item.to.text(), user_id: item.to_user_id.text(), parent_user_id }
        } else {
            about.sender(item)
        };
        event.contact = Some(person);
        let times = item.start_time.integer().zip(item.end_time.integer());
        let status = item.status.text().map(|status| Text::from(status.as_str().to_ascii_lowercase()));
        let duration_seconds =
            item.duration.integer().or_else(|| times.and_then(|(start, end)| end.checked_sub(start)));
        event.call = Some(Box::new(records::Call { call_id, event: call, direction, status, duration_seconds }));
        self.event(event);
    }

    fn preference(&mut self, about: &About<'_, 'a>, item: &Item<'a>) {
        let Some(occurred_at) = self.instant(about, &item.timestamp, true) else {
            return;
        };
        let (Some(category), Some(value)) = (item.category.text(), item.value.text()) else {
            return self.refuse("missing_field", "`category` or `value` is missing");
        };
        let mut event = about.event("preference", occurred_at);
        event.contact = Some(about.person(item.wa_id.text(), item.user_id.as_text(), item.parent_user_id.as_text()));
        event.preference = Some(Box::new(records::Preference { category, value }));
        self.event(event);
    }

    /// The change of a scoped id as a field of its own, as documented from March to June 2026.
    fn user_id_update(&mut self, about: &About<'_, 'a>, item: &Item<'a>) {
        let Some(occurred_at) = self.instant(about, &item.timestamp, true) else {
            return;
        };
        let (previous, current) = item.user_id.change();
        let (previous_parent, current_parent) = item.parent_user_id.change();
        let mut event = about.event("identity_change", occurred_at);
        event.contact = Some(about.person(item.wa_id.text(), previous, previous_parent));
        event.identity_change = Some(Box::new(records::IdentityChange {
            message_id: None,
            r#type: "user_changed_user_id".into(),
            new_wa_id: None,
            new_user_id: current,
            new_parent_user_id: current_parent,
        }));
        self.event(event);
    }

    /// An item of a kind nothing here depends on: its name is kept, and when it happened.
    fn unknown(&mut self, about: &About<'_, 'a>, item: &Item<'a>) {
        let Some(occurred_at) = self.instant(about, &item.timestamp, false) else {
            return;
        };
        let name = item.r#type.text().or_else(|| item.event_name.text()).or_else(|| item.event.text());
        let field = about.field.as_str();
        let code = item.code.integer().and_then(|code| i32::try_from(code).ok());
        let mut event = about.event("unknown", occurred_at);
        event.group_id = item.group_id.text();
        event.unknown = Some(Box::new(records::Unknown {
            name: match (name, code) {
                (Some(name), _) => format!("{field}/{}", name.as_str()).into(),
                (None, Some(_)) => format!("{field}/error").into(),
                (None, None) => field.to_owned().into(),
            },
            error_codes: code.into_iter().chain(item.error_codes()).collect(),
        }));
        self.event(event);
    }
}

/// What all items of a change have in common.
struct About<'v, 'a> {
    number: Text<'a>,
    account: Option<Text<'a>>,
    metadata: Option<&'v Metadata<'a>>,
    value: &'v Value<'a>,
    field: &'v Text<'a>,
    time: Option<i64>,
}

impl<'a> About<'_, 'a> {
    fn event(&self, kind: &'static str, occurred_at: i64) -> Event<'a> {
        Event {
            kind: kind.into(),
            phone_number_id: self.number.clone(),
            account_id: self.account.clone(),
            occurred_at,
            provenance: "live".into(),
            ..Event::default()
        }
    }

    /// The entry of `contacts` about a person: the one that shares an id, or the only one where no id is given.
    fn contact(&self, wa_id: Option<&Text<'a>>, user_id: Option<&Text<'a>>) -> Option<&Contact<'a>> {
        let mut contacts = self.value.contacts.items().flatten();
        let same = |theirs: &Lax<'a>, ours: Option<&Text<'a>>| ours.is_some() && theirs.text().as_ref() == ours;
        if wa_id.is_some() || user_id.is_some() {
            return contacts.find(|contact| same(&contact.wa_id, wa_id) || same(&contact.user_id, user_id));
        }
        let only = contacts.next()?;
        contacts.next().is_none().then_some(only)
    }

    /// A person, by the ids of an item and those that `contacts` adds to them.
    fn person(
        &self,
        wa_id: Option<Text<'a>>,
        user_id: Option<Text<'a>>,
        parent_user_id: Option<Text<'a>>,
    ) -> records::Person<'a> {
        let contact = self.contact(wa_id.as_ref(), user_id.as_ref());
        records::Person {
            wa_id: wa_id.or_else(|| contact.and_then(|contact| contact.wa_id.text())),
            user_id: user_id.or_else(|| contact.and_then(|contact| contact.user_id.text())),
            parent_user_id: parent_user_id.or_else(|| contact.and_then(|contact| contact.parent_user_id.text())),
        }
    }

    fn sender(&self, item: &Item<'a>) -> records::Person<'a> {
        self.person(item.from.text(), item.from_user_id.text(), item.from_parent_user_id.text())
    }

    /// Whom a status is about. A group's own id is no person, and neither is what is no phone number.
    fn recipient(&self, item: &Item<'a>, in_group: bool) -> Option<records::Person<'a>> {
        if in_group {
            return None;
        }
        let (phone, scoped) = match item.recipient_id.text() {
            Some(id) if id.as_str().bytes().all(|byte| byte.is_ascii_digit()) => (Some(id), None),
            other => (None, other),
        };
        let scoped = item.recipient_user_id.text().or(scoped);
        let person = self.person(phone, scoped, item.recipient_parent_user_id.text());
        (person.wa_id.is_some() || person.user_id.is_some() || person.parent_user_id.is_some()).then_some(person)
    }
}
