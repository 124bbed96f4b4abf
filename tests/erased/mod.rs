//! Somebody who is to be forgotten: what happens to them, and every form in which what is kept could tell of them.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;
use tollgate::codec::ids;
use tollgate::codec::records::{
    Content, Event, Message, Person, Preference, SendAccepted, SendRequested, Status, Template,
};

/// The number they write to.
pub const NUMBER: &str = "106540352242922";
/// Their phone number.
pub const PHONE: &str = "12025550150";
/// Their scoped id.
pub const SCOPED: &str = "US.13491208655302741918";
/// Its parent.
pub const PARENT: &str = "US.ENT.98765432109876543";
/// What the ids of messages to them and from them begin with: the platform encodes the phone number.
pub const ENCODED: &str = "wamid.HBgLMTIwMjU1NTAxNTAVAgASGBQz";

/// All their names.
pub fn names() -> Person<'static> {
    Person { wa_id: Some(PHONE.into()), user_id: Some(SCOPED.into()), parent_user_id: Some(PARENT.into()) }
}

/// The id of a message of theirs.
pub fn message_id(name: usize) -> String {
    format!("{ENCODED}QTY{name:06}AA==")
}

/// Something that happens to somebody.
pub fn of(kind: &'static str, person: Person<'static>, at: i64) -> Event<'static> {
    Event {
        kind: kind.into(),
        phone_number_id: NUMBER.into(),
        occurred_at: at,
        received_at: Some(at),
        provenance: "live".into(),
        contact: Some(person),
        ..Event::default()
    }
}

/// They write.
pub fn inbound(at: i64, name: usize) -> Event<'static> {
    let message = Message { message_id: message_id(name).into(), r#type: "text".into(), ..Message::default() };
    Event { message: Some(Box::new(message)), ..of("message", names(), at) }
}

/// They want no marketing.
pub fn stop(at: i64) -> Event<'static> {
    let preference = Preference { category: "marketing_messages".into(), value: "stop".into() };
    Event { preference: Some(Box::new(preference)), ..of("preference", names(), at) }
}

/// A person is to be forgotten.
pub fn erased(person: Person<'static>, at: i64) -> Event<'static> {
    of("contact_erased", person, at)
}

/// Somebody asks whether a message may go to them.
pub fn asked(at: i64, name: usize, content: Content<'static>) -> Event<'static> {
    let asked = SendRequested { request_id: request_id(name).into(), content, ..SendRequested::default() };
    Event { send_requested: Some(Box::new(asked)), ..of("send_requested", names(), at) }
}

/// What a CRM may call an ask.
pub fn request_id(name: usize) -> String {
    format!("ask-{PHONE}-{name}")
}

/// Text of an agent's.
pub fn freeform() -> Content<'static> {
    Content { kind: "freeform".into(), ..Content::default() }
}

/// A template that is marketing.
pub fn marketing() -> Content<'static> {
    let template = Template { name: "spring".into(), language: "en".into(), category: Some("marketing".into()) };
    Content { kind: "template".into(), template: Some(template), ..Content::default() }
}

/// The API takes the message that was asked about.
pub fn accepted(at: i64, name: usize) -> Event<'static> {
    let accepted = SendAccepted {
        request_id: Some(request_id(name).into()),
        message_id: message_id(name).into(),
        ..SendAccepted::default()
    };
    Event { send_accepted: Some(Box::new(accepted)), ..of("send_accepted", names(), at) }
}

/// The platform reports on it.
pub fn status(at: i64, name: usize, status: &'static str) -> Event<'static> {
    let status = Status { message_id: Some(message_id(name).into()), status: status.into(), ..Status::default() };
    Event { status: Some(Box::new(status)), ..of("status", names(), at) }
}

/// The platform reports on a message to a group: whom of the group it is about.
pub fn share(at: i64, name: usize, recipient: Person<'static>, status: &'static str) -> Event<'static> {
    let status = Status {
        message_id: Some(group_message_id(name).into()),
        status: status.into(),
        participant: Some(recipient),
        ..Status::default()
    };
    Event { status: Some(Box::new(status)), ..of_group("status", at) }
}

/// The API takes a message to the group.
pub fn accepted_for_group(at: i64, name: usize) -> Event<'static> {
    let accepted = SendAccepted {
        message_id: group_message_id(name).into(),
        content: Some(freeform()),
        ..SendAccepted::default()
    };
    Event { send_accepted: Some(Box::new(accepted)), ..of_group("send_accepted", at) }
}

fn of_group(kind: &'static str, at: i64) -> Event<'static> {
    Event { contact: None, group_id: Some("HBgLMTMxMDU1NTAxOTkVAgASGBQz".into()), ..of(kind, Person::default(), at) }
}

fn group_message_id(name: usize) -> String {
    format!("wamid.HBgLMTMxMDU1NTAxOTkVAgARGBI{name:06}AA==")
}

/// Looks for any form of their names: as text, in hexadecimal digits, in base64 wherever it begins, as a number, or as a
/// hash that everybody can compute.
pub struct Forms(Vec<(String, Vec<u8>)>);

impl Forms {
    /// Of all their names.
    pub fn new() -> Self {
        let mut forms = vec![("an id of the platform's".to_owned(), ENCODED.as_bytes().to_vec())];
        for name in [PHONE, SCOPED, PARENT] {
            let hex = name.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
            forms.push((format!("{name} in hexadecimal capitals"), hex.to_uppercase().into_bytes()));
            forms.push((format!("{name} in hexadecimal"), hex.into_bytes()));
            for before in 0..3 {
                // Of the first and the last letter only some bits are the name's.
                let text = STANDARD_NO_PAD.encode([&[0; 3][..before], name.as_bytes()].concat());
                let own = (before * 8).div_ceil(6)..(before + name.len()) * 8 / 6;
                forms.push((format!("{name} in base64 after {before}"), text.as_bytes()[own].to_vec()));
            }
            forms.push((format!("the hash of {name}"), ids::hash(&[name.as_bytes()]).to_vec()));
            forms.push((name.to_owned(), name.as_bytes().to_vec()));
        }
        if let Ok(number) = PHONE.parse::<u64>() {
            // Its five bytes that are not zero.
            forms.push((format!("{PHONE} as a number"), number.to_be_bytes()[3..].to_vec()));
            forms.push((format!("{PHONE} as a number, backwards"), number.to_le_bytes()[..5].to_vec()));
        }
        Self(forms)
    }

    /// The first form that is in some bytes.
    pub fn in_bytes(&self, bytes: &[u8]) -> Option<&str> {
        self.0.iter().find(|(_, form)| memmem::find(bytes, form).is_some()).map(|(name, _)| name.as_str())
    }
}

/// The first form of their names in the bytes of any file of a directory, and which file that is. A file that goes away
/// meanwhile may be there by another name, and counts as if it told of them.
pub fn in_files(directory: &Path, forms: &Forms) -> Option<String> {
    let files = std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files = files.filter(|file| file.is_file());
    files.find_map(|file| {
        let form = match std::fs::read(&file) {
            Ok(bytes) => forms.in_bytes(&bytes)?.to_owned(),
            Err(error) => error.to_string(),
        };
        Some(format!("{form}, in {}", file.display()))
    })
}
