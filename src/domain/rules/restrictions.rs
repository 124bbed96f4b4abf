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

/// A restriction.
#[derive(Debug)]
pub struct RestrictionRow {
    /// The platform's name for it.
    pub name: &'static str,
    /// What it forbids.
    pub forbids: Forbids,
    /// Where the rule was read.
    pub source: &'static str,
}

const fn row(name: &'static str, forbids: Forbids, source: &'static str) -> RestrictionRow {
    RestrictionRow { name, forbids, source }
}

/// The rows. Restrictions on calls, on adding numbers and on *creating* utility templates forbid no message;
/// one this version does not know is listed as a warning, not guessed at.
#[rustfmt::skip]
pub const RESTRICTIONS: [RestrictionRow; 10] = [
    row("RESTRICTED_BIZ_INITIATED_MESSAGING",       Forbids { templates: true, ..NOTHING }, "AU; POL (rules.md 3.8)"),
    row("RESTRICTED_CUSTOMER_INITIATED_MESSAGING",  Forbids { freeform: true, ..NOTHING }, "AU; that templates are unaffected is inferred (rules.md 3.8)"),
    row("RESTRICTED_DIRECT_SEND_UTILITY_TEMPLATES", Forbids { direct_send_utility: true, ..NOTHING }, "AU; DS (rules.md 3.3, 3.8)"),
    row("RESTRICTED_UTILITY_TEMPLATES",             NOTHING, "AU: forbids creating them (rules.md 3.8)"),
    row("RESTRICTED_ADD_PHONE_NUMBER_ACTION",       NOTHING, "AU (rules.md 3.8)"),
    row("RESTRICTED_BUSINESS_INITIATED_CALLING",    NOTHING, "AU: forbids calls (rules.md 3.8)"),
    row("RESTRICTED_USER_INITIATED_CALLING",        NOTHING, "AU: forbids calls (rules.md 3.8)"),
    row("RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN", NOTHING, "AU: forbids calls (rules.md 3.8)"),
    row("RESTRICTED_BIZ_INITIATED_CALLING",         NOTHING, "AU: forbids calls (rules.md 3.8)"),
    row(MISUSE,                                     Forbids { templates: true, ..NOTHING }, "CHG #389: 131064 (rules.md 3.8)"),
];

/// What a restriction forbids, by the platform's name; `None` if this version does not know it.
#[must_use]
pub fn forbids(restriction: &str) -> Option<Forbids> {
    RESTRICTIONS.iter().find(|row| row.name == restriction).map(|row| row.forbids)
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

/// An account event or ban state that changes the standing.
#[derive(Debug)]
pub struct StandingRow {
    /// The platform's name for it.
    pub name: &'static str,
    /// How the account stands then.
    pub standing: Standing,
    /// Where the rule was read.
    pub source: &'static str,
}

const fn stands(name: &'static str, standing: Standing, source: &'static str) -> StandingRow {
    StandingRow { name, standing, source }
}

/// The rows. `ACCOUNT_DELETED` and `ACCOUNT_OFFBOARDED` end the account's sending as a ban does; `ACCOUNT_RECONNECTED` takes
/// the second back.
#[rustfmt::skip]
pub const STANDINGS: [StandingRow; 6] = [
    stands("DISABLE",              Standing::Disabled,            "AU; POL (rules.md 3.8)"),
    stands("SCHEDULE_FOR_DISABLE", Standing::ScheduledForDisable, "AU; that it only warns is inferred (rules.md 3.8)"),
    stands("REINSTATE",            Standing::Good,                "AU (rules.md 3.8)"),
    stands("ACCOUNT_DELETED",      Standing::Disabled,            "AU (inferred)"),
    stands("ACCOUNT_OFFBOARDED",   Standing::Disabled,            "AU (inferred)"),
    stands("ACCOUNT_RECONNECTED",  Standing::Good,                "AU (inferred)"),
];

/// The standing after an account event or in a ban state; `None` if it does not change the standing.
#[must_use]
pub fn standing(name: &str) -> Option<Standing> {
    STANDINGS.iter().find(|row| row.name == name).map(|row| row.standing)
}
