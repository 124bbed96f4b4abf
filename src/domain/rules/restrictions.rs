//! What the platform's account restrictions and bans forbid (rules.md 3.8).

/// What a restriction forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forbids {
    /// Templates, and Direct Send with them.
    pub templates: bool,
    /// Free-form messages inside the service window.
    pub freeform: bool,
    /// Direct Send of category utility.
    pub direct_send_utility: bool,
}

/// The limit for misuse of template categories, which is refused with a code of its own (131064; CHG #389).
pub const MISUSE: &str = "TEMPLATE_CLASSIFICATION_LIMIT";

const NOTHING: Forbids = Forbids { templates: false, freeform: false, direct_send_utility: false };

/// The rows. Restrictions on calls, on adding numbers and on *creating* utility templates forbid no message;
/// one this version does not know is listed as a warning, not guessed at.
#[rustfmt::skip]
const RESTRICTIONS: [(&str, Forbids); 10] = [
    ("RESTRICTED_BIZ_INITIATED_MESSAGING",       Forbids { templates: true, ..NOTHING }),
    ("RESTRICTED_CUSTOMER_INITIATED_MESSAGING",  Forbids { freeform: true, ..NOTHING }),
    ("RESTRICTED_DIRECT_SEND_UTILITY_TEMPLATES", Forbids { direct_send_utility: true, ..NOTHING }),
    ("RESTRICTED_UTILITY_TEMPLATES",             NOTHING),
    ("RESTRICTED_ADD_PHONE_NUMBER_ACTION",       NOTHING),
    ("RESTRICTED_BUSINESS_INITIATED_CALLING",    NOTHING),
    ("RESTRICTED_USER_INITIATED_CALLING",        NOTHING),
    ("RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN", NOTHING),
    ("RESTRICTED_BIZ_INITIATED_CALLING",         NOTHING),
    (MISUSE,                                     Forbids { templates: true, ..NOTHING }),
];

/// What a restriction forbids, by the platform's name; `None` if this version does not know it.
#[must_use]
pub fn forbids(restriction: &str) -> Option<Forbids> {
    RESTRICTIONS.iter().find(|(name, _)| *name == restriction).map(|(_, forbids)| *forbids)
}

/// How an account stands with the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it should be.
    Good,
    /// To be disabled at a date: everything is allowed, with a warning.
    ScheduledForDisable,
    /// Disabled, deleted or disconnected: nothing can be sent.
    Disabled,
}

/// The account events and ban states that change the standing. `ACCOUNT_DELETED` and `ACCOUNT_OFFBOARDED`
/// end the account's sending as a ban does (inferred); `ACCOUNT_RECONNECTED` takes the second back.
#[rustfmt::skip]
const STANDINGS: [(&str, Standing); 6] = [
    ("DISABLE",              Standing::Disabled),
    ("SCHEDULE_FOR_DISABLE", Standing::ScheduledForDisable),
    ("REINSTATE",            Standing::Good),
    ("ACCOUNT_DELETED",      Standing::Disabled),
    ("ACCOUNT_OFFBOARDED",   Standing::Disabled),
    ("ACCOUNT_RECONNECTED",  Standing::Good),
];

/// The standing after an account event or in a ban state; `None` if it does not change the standing.
#[must_use]
pub fn standing(name: &str) -> Option<Standing> {
    STANDINGS.iter().find(|(known, _)| *known == name).map(|(_, standing)| *standing)
}
