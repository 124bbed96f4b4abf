//! What the platform's template events mean for sending (rules.md 3.4). Some events are states, some put an
//! earlier state back, and some change nothing; a pause ends by itself unless pacing made it.

use crate::domain::time::Millis;

/// Whether a template can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateState {
    /// It can.
    Approved,
    /// It cannot, until the pause ends.
    Paused(Pause),
    /// It never can again unless reinstated.
    Disabled,
    /// It cannot: pending, rejected, in appeal, archived, deleted. The name is the platform's.
    NotApproved(Box<str>),
}

/// When a pause ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// By itself, so long after it began.
    For(Millis),
    /// When somebody unpauses it: made by pacing, or of a kind this version does not know.
    UntilUnpaused,
}

/// What an event does to the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateSignal {
    /// The template is in this state from now on.
    Becomes(TemplateState),
    /// The template is in the state it had before it was archived.
    Unarchived,
    /// Nothing: a warning, a lock on editing, or a limit of the account's.
    Unchanged,
}

/// What an event means for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The template can be sent.
    Approved,
    /// It is paused.
    Paused,
    /// It cannot be sent again unless reinstated.
    Disabled,
    /// It is in a state, by the event's name, in which it cannot be sent.
    NotApproved,
    /// It is what it was before it was archived.
    Unarchived,
    /// Nothing.
    Unchanged,
}

/// An event with a meaning of its own.
#[derive(Debug)]
pub struct EventRow {
    /// The platform's name for it.
    pub event: &'static str,
    /// What it means.
    pub meaning: Meaning,
    /// Where the rule was read.
    pub source: &'static str,
}

const fn row(event: &'static str, meaning: Meaning, source: &'static str) -> EventRow {
    EventRow { event, meaning, source }
}

/// The rows.
#[rustfmt::skip]
pub const EVENTS: [EventRow; 16] = [
    row("APPROVED",         Meaning::Approved,    "TSU"),
    row("REINSTATED",       Meaning::Approved,    "TSU: no longer flagged or disabled"),
    row("PAUSED",           Meaning::Paused,      "TSU; PAUSE"),
    row("DISABLED",         Meaning::Disabled,    "TSU; PAUSE: the third time"),
    row("PENDING",          Meaning::NotApproved, "TSU; QUAL"),
    row("REJECTED",         Meaning::NotApproved, "TSU; QUAL"),
    row("IN_APPEAL",        Meaning::NotApproved, "TSU; QUAL"),
    row("ARCHIVED",         Meaning::NotApproved, "TSU; QUAL"),
    row("PENDING_DELETION", Meaning::NotApproved, "TSU; QUAL"),
    row("DELETED",          Meaning::NotApproved, "TSU; QUAL"),
    row("UNARCHIVED",       Meaning::Unarchived,  "TSU: the status before"),
    row("FLAGGED",          Meaning::Unchanged,   "TSU: a warning (inferred)"),
    row("LOCKED",           Meaning::Unchanged,   "TSU: cannot be edited (inferred)"),
    row("UNLOCKED",         Meaning::Unchanged,   "TSU (inferred)"),
    row("UNFLAGGED",        Meaning::Unchanged,   "TSU (inferred)"),
    row("LIMIT_EXCEEDED",   Meaning::Unchanged,   "TSU: the account's limit of templates (inferred)"),
];

/// How long a pause lasts by its title.
#[derive(Debug)]
pub struct PauseRow {
    /// The title.
    pub title: &'static str,
    /// When it ends.
    pub pause: Pause,
    /// Where the rule was read.
    pub source: &'static str,
}

/// The rows. A pause with another title lasts until somebody ends it.
#[rustfmt::skip]
pub const PAUSES: [PauseRow; 3] = [
    PauseRow { title: "FIRST_PAUSE",         pause: Pause::For(Millis::hours(3)), source: "PAUSE: 3 hours the first time" },
    PauseRow { title: "SECOND_PAUSE",        pause: Pause::For(Millis::hours(6)), source: "PAUSE: 6 hours the second time" },
    PauseRow { title: "RATE_LIMITING_PAUSE", pause: Pause::UntilUnpaused,         source: "PACE; PAUSE: by hand (rules.md 10 #42)" },
];

/// What an event does, by the platform's name for it and the title of its `other_info`.
///
/// An event this version does not know changes nothing: the platform adds warnings more often than states,
/// and a state that forbids sending shows itself by its error code.
#[must_use]
pub fn signal(event: &str, title: Option<&str>) -> TemplateSignal {
    let meaning = EVENTS.iter().find(|row| row.event == event).map(|row| row.meaning);
    match meaning {
        Some(Meaning::Approved) => TemplateSignal::Becomes(TemplateState::Approved),
        Some(Meaning::Paused) => {
            let known = PAUSES.iter().find(|row| Some(row.title) == title).map(|row| row.pause);
            TemplateSignal::Becomes(TemplateState::Paused(known.unwrap_or(Pause::UntilUnpaused)))
        }
        Some(Meaning::Disabled) => TemplateSignal::Becomes(TemplateState::Disabled),
        Some(Meaning::NotApproved) => TemplateSignal::Becomes(TemplateState::NotApproved(event.into())),
        Some(Meaning::Unarchived) => TemplateSignal::Unarchived,
        Some(Meaning::Unchanged) | None => TemplateSignal::Unchanged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_by_pacing_does_not_end_by_itself() {
        let paused = |title| signal("PAUSED", Some(title));
        assert_eq!(paused("FIRST_PAUSE"), TemplateSignal::Becomes(TemplateState::Paused(Pause::For(Millis::hours(3)))));
        assert_eq!(paused("RATE_LIMITING_PAUSE"), TemplateSignal::Becomes(TemplateState::Paused(Pause::UntilUnpaused)));
    }

    #[test]
    fn warnings_change_nothing() {
        for event in ["FLAGGED", "LOCKED", "LIMIT_EXCEEDED", "SOMETHING_NEW"] {
            assert_eq!(signal(event, None), TemplateSignal::Unchanged, "{event}");
        }
    }
}
