//! The ids of messages, requests and calls, made from their numbers.

use std::fmt;

/// The platform's id of a message.
pub(super) struct MessageId(pub(super) u64);

/// The sender's id of a send.
pub(super) struct RequestId(pub(super) u64);

/// The platform's id of a call.
pub(super) struct CallId(pub(super) u64);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wamid.HBgNVG9sbGdhdGU{:016X}", self.0)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req-{:012}", self.0)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wacid.HBgNVG9sbGdhdGU{:016X}", self.0)
    }
}
