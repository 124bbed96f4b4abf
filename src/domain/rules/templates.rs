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

/// The events with a meaning of their own. Source: TSU.
enum Meaning {
    Approved,
    Paused,
    Disabled,
    NotApproved,
    Unarchived,
    Unchanged,
}

#[rustfmt::skip]
const EVENTS: [(&str, Meaning); 16] = [
    ("APPROVED",         Meaning::Approved),
    ("REINSTATED",       Meaning::Approved),
    ("PAUSED",           Meaning::Paused),
    ("DISABLED",         Meaning::Disabled),
    ("PENDING",          Meaning::NotApproved),
    ("REJECTED",         Meaning::NotApproved),
    ("IN_APPEAL",        Meaning::NotApproved),
    ("ARCHIVED",         Meaning::NotApproved),
    ("PENDING_DELETION", Meaning::NotApproved),
    ("DELETED",          Meaning::NotApproved),
    ("UNARCHIVED",       Meaning::Unarchived),
    ("FLAGGED",          Meaning::Unchanged),
    ("LOCKED",           Meaning::Unchanged),
    ("UNLOCKED",         Meaning::Unchanged),
    ("UNFLAGGED",        Meaning::Unchanged),
    ("LIMIT_EXCEEDED",   Meaning::Unchanged),
];

/// How long a pause lasts by its title. Source: PAUSE (3 h, then 6 h); PACE (pacing: by hand).
#[rustfmt::skip]
const PAUSES: [(&str, Pause); 3] = [
    ("FIRST_PAUSE",         Pause::For(Millis::hours(3))),
    ("SECOND_PAUSE",        Pause::For(Millis::hours(6))),
    ("RATE_LIMITING_PAUSE", Pause::UntilUnpaused),
];

/// What an event does, by the platform's name for it and the title of its `other_info`.
///
/// An event this version does not know changes nothing: the platform adds warnings more often than states,
/// and a state that forbids sending shows itself by its error code.
#[must_use]
pub fn signal(event: &str, title: Option<&str>) -> TemplateSignal {
    let meaning = EVENTS.iter().find(|(name, _)| *name == event).map(|(_, meaning)| meaning);
    match meaning {
        Some(Meaning::Approved) => TemplateSignal::Becomes(TemplateState::Approved),
        Some(Meaning::Paused) => {
            let known = PAUSES.iter().find(|(name, _)| Some(*name) == title).map(|(_, pause)| *pause);
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
