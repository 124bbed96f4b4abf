//! Which inbound events open or refresh the service window (rules.md 2.1). The platform does not enumerate
//! them; each row says on what it rests, and a deployment may turn a row round by its name.

/// What an inbound event was, as finely as the window rule needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InboundKind {
    /// Text, media, location, contacts, order and any type this version does not know.
    Message,
    /// A reply to a list, a button message or a flow.
    Interactive,
    /// A tap on a template's quick reply.
    Button,
    /// A reaction.
    Reaction,
    /// A reaction taken back.
    ReactionRemoved,
    /// An old message changed.
    Edit,
    /// An old message deleted.
    Revoke,
    /// A message whose content the API cannot show.
    Unsupported,
    /// An edit that is delivered as unsupported.
    UnsupportedEdit,
    /// The first message to a number used from the phone app too, "currently unavailable".
    Unavailable,
    /// A notice of the platform's, not of the person's.
    System,
    /// The person opened the chat and has not written.
    RequestWelcome,
    /// The answer to a request to be called.
    CallPermissionReply,
    /// The person called, answered or not.
    CallFromPerson,
    /// A call of the business began to ring.
    CallToPerson,
    /// The person accepted a call of the business.
    CallAccepted,
    /// A call rang, was declined or ended.
    CallOther,
}

/// One row of the table.
#[derive(Debug)]
pub struct Opener {
    /// What arrives.
    pub kind: InboundKind,
    /// The row's name in settings and on outputs.
    pub name: &'static str,
    /// Whether it opens or refreshes the window.
    pub opens: bool,
    /// What the row rests on.
    pub source: &'static str,
}

const fn row(kind: InboundKind, name: &'static str, opens: bool, source: &'static str) -> Opener {
    Opener { kind, name, opens, source }
}

/// The table, in the order of [`InboundKind`].
#[rustfmt::skip]
pub const OPENERS: [Opener; 17] = [
    row(InboundKind::Message,             "message",               true,  "CSW: a user messages the business; an unknown type is a message all the same"),
    row(InboundKind::Interactive,         "interactive",           true,  "a user message with wamid and contact (inferred)"),
    row(InboundKind::Button,              "button",                true,  "a reply to a template (inferred; CAT treats it as opening)"),
    row(InboundKind::Reaction,            "reaction",              true,  "arrives as a message; no statement found (rules.md 10 #8)"),
    row(InboundKind::ReactionRemoved,     "reaction_removed",      false, "takes back, says nothing (inferred)"),
    row(InboundKind::Edit,                "edit",                  false, "change of an old message (inferred)"),
    row(InboundKind::Revoke,              "revoke",                false, "change of an old message (inferred)"),
    row(InboundKind::Unsupported,         "unsupported",           true,  "131051: a user message the API cannot show (inferred)"),
    row(InboundKind::UnsupportedEdit,     "unsupported_edit",      false, "as edit; delivered so since 2026-06-11 (rules.md 10 #34)"),
    row(InboundKind::Unavailable,         "unavailable",           true,  "131060: IN-unsupported names a user's first message as trigger; low confidence"),
    row(InboundKind::System,              "system",                false, "no user message; no contacts array (inferred)"),
    row(InboundKind::RequestWelcome,      "request_welcome",       false, "opened the chat without writing (inferred; removed 2026-03-27, CHG #385)"),
    row(InboundKind::CallPermissionReply, "call_permission_reply", true,  "as interactive message (inferred)"),
    row(InboundKind::CallFromPerson,      "call",                  true,  "CALL: a user's call counts whether or not it is accepted"),
    row(InboundKind::CallToPerson,        "call_to_person",        false, "CALL: comes before the user answers"),
    row(InboundKind::CallAccepted,        "call_accepted",         true,  "CALL: a business call counts when the user accepts it"),
    row(InboundKind::CallOther,           "call_other",            false, "CALL: ringing, declined; ended (inferred)"),
];

const _: () = {
    let mut at = 0;
    while at < OPENERS.len() {
        assert!(OPENERS[at].kind as usize == at, "rows stand in the order of InboundKind");
        at += 1;
    }
};

impl InboundKind {
    /// The kind of a message by the platform's `type`, its sub-type (`interactive.type`,
    /// `unsupported.type`) and whether an error code 131060 came with it or a reaction lost its emoji.
    #[must_use]
    pub fn of_message(kind: &str, sub_kind: Option<&str>, unavailable: bool, reaction_removed: bool) -> Self {
        match (kind, sub_kind) {
            ("reaction", _) if reaction_removed => Self::ReactionRemoved,
            ("reaction", _) => Self::Reaction,
            ("button", _) => Self::Button,
            ("interactive", Some("call_permission_reply")) => Self::CallPermissionReply,
            ("interactive", _) => Self::Interactive,
            ("edit", _) => Self::Edit,
            ("revoke", _) => Self::Revoke,
            // The sub-type before the code: an edit arrives with the code of any unsupported message.
            ("unsupported" | "unknown", Some("edit")) => Self::UnsupportedEdit,
            ("unsupported" | "unknown", _) if unavailable => Self::Unavailable,
            ("unsupported" | "unknown", _) => Self::Unsupported,
            ("system", _) => Self::System,
            ("request_welcome", _) => Self::RequestWelcome,
            _ => Self::Message,
        }
    }

    /// The kind of a call event by the platform's event or status, and whether the person called.
    #[must_use]
    pub fn of_call(event: &str, from_person: bool) -> Self {
        match event {
            "connect" | "call_created" if from_person => Self::CallFromPerson,
            "connect" | "call_created" => Self::CallToPerson,
            "accepted" => Self::CallAccepted,
            _ => Self::CallOther,
        }
    }

    /// The row's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        OPENERS[self as usize].name
    }

    /// The kind by its row's number, as stored records keep it.
    #[must_use]
    pub fn from_index(index: u8) -> Option<Self> {
        OPENERS.get(usize::from(index)).map(|row| row.kind)
    }
}

/// The table as a deployment uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenerTable([bool; OPENERS.len()]);

impl Default for OpenerTable {
    fn default() -> Self {
        Self(std::array::from_fn(|index| OPENERS[index].opens))
    }
}

impl OpenerTable {
    /// Whether an inbound event opens or refreshes the service window.
    #[must_use]
    pub const fn opens(&self, kind: InboundKind) -> bool {
        self.0[kind as usize]
    }

    /// Turns a row by its name; `false` if there is no such row.
    pub fn set(&mut self, name: &str, opens: bool) -> bool {
        let index = OPENERS.iter().position(|row| row.name == name);
        if let Some(index) = index {
            self.0[index] = opens;
        }
        index.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_delivered_as_unsupported_is_an_edit() {
        assert_eq!(InboundKind::of_message("unsupported", Some("edit"), false, false), InboundKind::UnsupportedEdit);
        assert_eq!(
            InboundKind::of_message("unsupported", Some("poll_creation"), false, false),
            InboundKind::Unsupported
        );
        assert_eq!(InboundKind::of_message("unsupported", None, true, false), InboundKind::Unavailable);
    }

    #[test]
    fn a_type_nobody_has_heard_of_is_a_message() {
        let kind = InboundKind::of_message("hologram", None, false, false);
        assert!(OpenerTable::default().opens(kind));
    }

    #[test]
    fn a_row_can_be_turned_by_name() {
        let mut table = OpenerTable::default();
        assert!(table.set("reaction", false));
        assert!(!table.opens(InboundKind::Reaction));
        assert!(!table.set("telepathy", true));
    }
}
