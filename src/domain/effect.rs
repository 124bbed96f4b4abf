//! What the world must be told: the fold's outputs as values, before anyone gives them ids or bytes.

use std::sync::Arc;

use super::billing::{Agreement, Charge};
use super::contact::{Choice, Clear};
use super::conversation::ConversationKind;
use super::entry_point::ExpirySource;
use super::id::{ContactKey, EventId, MessageId, Participant, RequestId};
use super::reference::Account;
use super::time::{Millis, Timestamp};
use super::verdict::{FreeView, Verdict};

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// When it happened: the event's time, or the deadline that passed.
    pub at: Timestamp,
    /// The input event that caused it; `None` where time alone did.
    pub cause: Option<EventId>,
    /// Whom it is about.
    pub contact: Option<Named>,
    /// What is known of the account it belongs to.
    pub account: Arc<Account>,
    /// What it is.
    pub what: What,
}

/// A contact as outputs name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its key.
    pub key: ContactKey,
    /// Its personal ids, where the deployment publishes them.
    pub clear: Option<Clear>,
}

/// The kinds of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An answer to an ask.
    Verdict(Box<Verdict>),
    /// A line of the ledger, not yet priced.
    Charge(Box<Charge>),
    /// An edge of a window.
    Window(Box<WindowEdge>),
    /// The contact's row in the table of windows, after a change; `None` when there is nothing to show.
    State(Option<Box<ContactState>>),
    /// What became of a send.
    Outcome(Box<Outcome>),
}

/// The kinds of window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The customer service window of one person.
    Service,
    /// The customer service window of a group.
    GroupService,
    /// A click waiting for an answer.
    Eligibility,
    /// The free entry point.
    FreeEntryPoint,
    /// A conversation.
    Conversation(ConversationKind),
}

impl WindowKind {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Conversation(_) => "conversation",
            _ => self.id(),
        }
    }

    /// The name in ids: two conversations of one contact may begin at one instant.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Service => "service_window",
            Self::GroupService => "group_service_window",
            Self::Eligibility => "free_entry_point_eligibility",
            Self::FreeEntryPoint => "free_entry_point",
            Self::Conversation(kind) => kind.window(),
        }
    }
}

/// What happened to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// It opened.
    Opened,
    /// It is open for longer.
    Refreshed,
    /// It is about to close.
    Closing,
    /// It closed.
    Closed,
    /// What was announced of it was not so.
    Corrected,
}

impl Transition {
    /// The name on outputs and in ids.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Refreshed => "refreshed",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Corrected => "corrected",
        }
    }
}

/// Why a window closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Its time ran out.
    Expired,
    /// The number began to be used from the phone app.
    Coexistence,
    /// The click was answered.
    Answered,
    /// A newer click or window took its place.
    Superseded,
    /// The answer that opened it failed.
    AnswerFailed,
    /// The platform charged a message in it.
    Refuted,
    /// It never was: a late report shows that another conversation was open.
    Withdrawn,
    /// The contact has another key now, under which it is open.
    IdentityMerged,
    /// The contact was erased.
    Erased,
}

impl CloseReason {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Coexistence => "coexistence",
            Self::Answered => "answered",
            Self::Superseded => "superseded",
            Self::AnswerFailed => "answer_failed",
            Self::Refuted => "refuted",
            Self::Withdrawn => "withdrawn",
            Self::IdentityMerged => "identity_merged",
            Self::Erased => "erased",
        }
    }
}

/// An edge of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowEdge {
    /// Which window.
    pub window: WindowKind,
    /// What happened to it.
    pub transition: Transition,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it was last refreshed, if it can be.
    pub refreshed_at: Option<Timestamp>,
    /// The first instant at which it is closed.
    pub expires_at: Timestamp,
    /// When it closed, if it has.
    pub closed_at: Option<Timestamp>,
    /// Where its end was learned.
    pub expiry: ExpirySource,
    /// Why it closed, if it has.
    pub reason: Option<CloseReason>,
    /// The event that opened it, if one did.
    pub opened_by: Option<EventId>,
    /// What that event was.
    pub opened_by_kind: Option<&'static str>,
    /// Inbound events so far.
    pub inbound_count: Option<u32>,
    /// Messages sent so far.
    pub outbound_count: Option<u32>,
    /// When the business first answered.
    pub first_response_at: Option<Timestamp>,
    /// The edge's number among the window's edges.
    pub revision: u32,
    /// How long before the end it is announced to be closing.
    pub lead: Option<Millis>,
    /// When it was announced to have opened, where it opened at another instant or is open again.
    pub corrects: Option<Timestamp>,
}

/// A contact's row in the table of windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactState {
    /// Whether the contact is a group.
    pub is_group: bool,
    /// The service window, if open.
    pub service: Option<ServiceState>,
    /// Until when a click may be answered.
    pub eligible_until: Option<Timestamp>,
    /// The free entry point window, if open.
    pub free: Option<FreeView>,
    /// What the contact refuses, if anything.
    pub opted_out: Option<Choice>,
    /// Whether the refusal is about marketing alone.
    pub marketing_only: bool,
}

/// An open service window in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it was last refreshed.
    pub refreshed_at: Timestamp,
    /// The first instant at which it is closed.
    pub expires_at: Timestamp,
}

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The message, once it has an id.
    pub message: Option<MessageId>,
    /// The recipient within a group.
    pub participant: Option<Participant>,
    /// The send it answers to.
    pub request: Option<RequestId>,
    /// What became of it.
    pub result: SendResult,
    /// The number of this outcome among the send's outcomes of its kind.
    pub revision: u32,
    /// Whether the platform contradicts our verdict.
    pub disagrees: bool,
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// The API took it; perhaps to hold it back first.
    Accepted {
        /// Whether it is held back.
        held: bool,
    },
    /// The phone has it.
    Delivered,
    /// It failed, with the platform's code if it gave one.
    Failed {
        /// The code.
        code: Option<i32>,
    },
    /// Its time to live ran out; the platform promises no report of that.
    Dropped,
    /// Nothing new of the send itself: our computation and the platform's word now compare like this.
    Agreement(Agreement),
}

impl SendResult {
    /// The name on outputs and in ids.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted { .. } => "accepted",
            Self::Delivered => "delivered",
            Self::Failed { .. } => "failed",
            Self::Dropped => "dropped",
            Self::Agreement(_) => "agreement",
        }
    }
}
