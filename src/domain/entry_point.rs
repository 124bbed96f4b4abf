//! The free entry point: a person who comes through an advertisement makes everything free for some days,
//! if the business answers in time.
//!
//! It has two stages (rules.md 2.2). A click makes the contact *eligible* until a deadline. The first answer
//! within it *opens* the window, at the instant the answer was sent; if that answer fails, it was none. The
//! click alone proves nothing (the platform does not tell a desktop from a phone), so the window is
//! provisional until the platform prices a message in it.

use super::id::{EventId, MessageKey};
use super::rules::eras::{AnswerWithin, EntryPointRule};
use super::time::{Millis, Span, Timestamp};
use super::window::WindowAt;

/// How far back closed windows are kept: statuses arrive up to seven days late.
const REMEMBERED: Millis = Millis::days(8);

/// How many answers sent before the first delivery are remembered. Each may turn out to be the one that
/// opened the window; more than this many in the seconds before a delivery does not happen.
const ANSWERS: usize = 16;

/// The platform rounds a window's end up to the minute: an end that much later than ours is ours
/// (rules.md 2.3, 10 #37).
const ROUNDING: Millis = Millis::seconds(60);

/// The free entry point of one contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPoint {
    /// The click that waits for an answer.
    pub eligible: Option<Eligibility>,
    /// The window that is open, as announced.
    pub open: Option<FreeWindow>,
    /// The windows that are closed, ascending.
    pub past: Vec<Span>,
    /// The latest click, waiting or not: one that is not later is known, however often it is told again.
    pub last_click: Option<Timestamp>,
}

/// A click that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eligibility {
    /// When the person came through the advertisement.
    pub clicked_at: Timestamp,
    /// The event that says so.
    pub event: EventId,
    /// The first instant at which an answer is too late, by the rule of the day of the click.
    pub deadline: Timestamp,
    /// How many edges have been announced.
    pub revision: u32,
    /// The deadline that the alert was given for.
    pub alerted_for: Option<Timestamp>,
}

/// Where the end of a free window was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpirySource {
    /// From the length in the rules.
    Rule,
    /// From the platform's own timestamp, which wins.
    Platform,
}

impl ExpirySource {
    /// The name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Platform => "platform",
        }
    }
}

/// A free window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreeWindow {
    /// From the answer to the end.
    pub span: Span,
    /// Where the end was learned.
    pub expiry: ExpirySource,
    /// Whether the platform has priced a message in it as free.
    pub confirmed: bool,
    /// The click that was answered; none if the platform told of the window by itself.
    pub click: Option<Eligibility>,
    /// Answers not yet delivered, in order of sending; empty once the opening one is delivered.
    pub answers: Vec<(Timestamp, MessageKey)>,
    /// How many edges have been announced.
    pub revision: u32,
    /// The expiry that the closing alert was given for.
    pub alerted_for: Option<Timestamp>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A click waits for an answer.
    Eligible,
    /// A click was answered.
    Answered(Eligibility),
    /// The click may be answered for longer than announced.
    DeadlineMoved,
    /// A newer click took the place of one that was waiting.
    Superseded(Eligibility),
    /// A click was not answered in time.
    Lapsed(Eligibility),
    /// The window opened.
    Opened,
    /// The end of the open window is another than announced.
    EndMoved,
    /// The window is gone: it was none, because its answer failed or the platform charged a message in it.
    Withdrawn(FreeWindow, Withdrawal),
    /// The window's end has passed.
    Closed(FreeWindow),
}

/// Why a window that was announced was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// The answer that opened it was not delivered.
    AnswerFailed,
    /// The platform priced a message in it as not free.
    Refuted,
}

impl EntryPoint {
    /// Whether nothing is known, so that the contact's record need not mention it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.eligible.is_none() && self.open.is_none() && self.past.is_empty() && self.last_click.is_none()
    }

    /// Takes note of a click. `deadline` is the first instant at which an answer is too late.
    pub fn clicked(&mut self, at: Timestamp, event: EventId, deadline: Timestamp, changes: &mut Vec<Changed>) {
        if self.last_click.is_some_and(|known| known >= at) {
            return;
        }
        self.last_click = Some(at);
        if let Some(earlier) = self.eligible.take() {
            changes.push(Changed::Superseded(earlier));
        }
        self.eligible = Some(Eligibility { clicked_at: at, event, deadline, revision: 0, alerted_for: None });
        changes.push(Changed::Eligible);
    }

    /// Whether a message sent at an instant would answer a waiting click in time, by the rule of that instant.
    #[must_use]
    pub fn would_open(&self, sent_at: Timestamp, rule: &EntryPointRule, window: WindowAt) -> bool {
        self.eligible.as_ref().is_some_and(|click| is_in_time(click, sent_at, rule, window))
    }

    /// Takes note of an answer: a message of the business, with the rule and the service window of the instant at
    /// which it was sent. `start` is the instant at which it opens the window: until 2025-06-30 that of its delivery,
    /// since then that of its sending (rules.md 1.11).
    pub fn answered(
        &mut self,
        message: MessageKey,
        (sent_at, start): (Timestamp, Timestamp),
        rule: &EntryPointRule,
        window: WindowAt,
        changes: &mut Vec<Changed>,
    ) {
        if let Some(open) = &mut self.open
            && start < open.span.end
        {
            open.note_answer(message, start);
            // A click answered while everything is free anyway is used up (rules.md 2.2, 10 #44).
            if let Some(click) = self.eligible.take_if(|click| click.clicked_at <= sent_at) {
                changes.push(Changed::Answered(click));
            }
            return;
        }
        let Some(click) = self.eligible.take_if(|click| is_in_time(click, sent_at, rule, window)) else {
            return;
        };
        self.close(changes);
        changes.push(Changed::Answered(click.clone()));
        self.open = Some(FreeWindow {
            span: Span::from(start, rule.length),
            expiry: ExpirySource::Rule,
            confirmed: false,
            click: Some(click),
            answers: vec![(start, message)],
            revision: 0,
            alerted_for: None,
        });
        changes.push(Changed::Opened);
    }

    /// Takes note of an answer that opens nothing, because it belongs to a conversation that was open: the click is used
    /// up (rules.md 1.3).
    pub fn use_up(&mut self, sent_at: Timestamp, changes: &mut Vec<Changed>) {
        if let Some(click) = self.eligible.take_if(|click| click.clicked_at <= sent_at) {
            changes.push(Changed::Answered(click));
        }
    }

    /// When the windows that are remembered began.
    pub fn starts(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.past.iter().chain(self.open.as_ref().map(|open| &open.span)).map(|span| span.start)
    }

    /// Takes note that a message was delivered: if it is among the answers, no later one opened the window,
    /// and if it is the first of them the question is settled.
    pub fn delivered(&mut self, message: MessageKey) {
        if let Some(open) = &mut self.open
            && let Some(index) = open.answers.iter().position(|(_, answer)| *answer == message)
        {
            open.answers.truncate(if index == 0 { 0 } else { index + 1 });
        }
    }

    /// Moves the deadline of a waiting click, because the service window it may be answered in is open longer.
    pub fn extend_deadline(&mut self, deadline: Timestamp, changes: &mut Vec<Changed>) {
        if let Some(click) = self.eligible.as_mut().filter(|click| click.deadline < deadline) {
            click.deadline = deadline;
            changes.push(Changed::DeadlineMoved);
        }
    }

    /// Takes note that a message failed: an answer that fails is no answer (rules.md 2.2).
    pub fn failed(&mut self, message: MessageKey, length: Millis, changes: &mut Vec<Changed>) {
        let Some(open) = &mut self.open else {
            return;
        };
        let Some(index) = open.answers.iter().position(|(_, answer)| *answer == message) else {
            return;
        };
        open.answers.remove(index);
        if index > 0 || open.confirmed {
            return;
        }
        let next = open.answers.first().copied();
        let Some(withdrawn) = self.open.take() else {
            return;
        };
        changes.push(Changed::Withdrawn(withdrawn.clone(), Withdrawal::AnswerFailed));
        match next {
            Some((sent_at, _)) => {
                self.open = Some(FreeWindow {
                    span: Span::from(sent_at, length),
                    revision: 0,
                    alerted_for: None,
                    expiry: ExpirySource::Rule,
                    ..withdrawn
                });
                changes.push(Changed::Opened);
            }
            None => {
                // The click waits again, unless a newer one has taken its place.
                if let Some(click) = withdrawn.click
                    && self.eligible.is_none()
                {
                    self.eligible = Some(Eligibility { revision: click.revision + 1, ..click });
                    changes.push(Changed::Eligible);
                }
            }
        }
    }

    /// Takes note of what the platform charged for a message sent at an instant: `free` if it was free for
    /// the entry point's sake, with the end of the window if it says.
    pub fn priced(
        &mut self,
        sent_at: Timestamp,
        free: bool,
        ends: Option<Timestamp>,
        length: Millis,
        changes: &mut Vec<Changed>,
    ) {
        let inside = self.open.as_ref().is_some_and(|open| open.span.contains(sent_at));
        match (&mut self.open, free) {
            (Some(open), true) if inside => {
                open.confirmed = true;
                if let Some(ends) = ends.filter(|ends| *ends > sent_at) {
                    let ours = open.span.end;
                    let agrees = ends >= ours && ends <= ours + ROUNDING;
                    let newer = open.expiry == ExpirySource::Rule || ends > ours;
                    if !agrees && newer {
                        open.span.end = ends;
                        changes.push(Changed::EndMoved);
                    }
                    open.expiry = ExpirySource::Platform;
                }
            }
            (Some(open), false) if inside && !open.confirmed => {
                if let Some(refuted) = self.open.take() {
                    changes.push(Changed::Withdrawn(refuted, Withdrawal::Refuted));
                }
            }
            // The platform tells of a window nothing announced: the entry point of a Facebook page's button
            // leaves no mark on the inbound message.
            (open, true) if open.as_ref().is_none_or(|open| sent_at >= open.span.end) => {
                if self.past.iter().any(|span| span.contains(sent_at)) {
                    return;
                }
                self.close(changes);
                if let Some(click) = self.eligible.take_if(|click| click.clicked_at <= sent_at) {
                    changes.push(Changed::Answered(click));
                }
                let end = ends.filter(|ends| *ends > sent_at);
                self.open = Some(FreeWindow {
                    span: Span { start: sent_at, end: end.unwrap_or(sent_at + length) },
                    expiry: if end.is_some() { ExpirySource::Platform } else { ExpirySource::Rule },
                    confirmed: true,
                    click: None,
                    answers: Vec::new(),
                    revision: 0,
                    alerted_for: None,
                });
                changes.push(Changed::Opened);
            }
            _ => {}
        }
    }

    /// The free window an instant lies in, and whether the platform has confirmed it.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<(Span, bool)> {
        if let Some(open) = self.open.as_ref().filter(|open| open.span.contains(at)) {
            return Some((open.span, open.confirmed));
        }
        self.past.iter().rev().find(|span| span.contains(at)).map(|span| (*span, true))
    }

    /// Closes what has run out by an instant.
    pub fn pass(&mut self, at: Timestamp, changes: &mut Vec<Changed>) {
        if self.open.as_ref().is_some_and(|open| open.span.end <= at) {
            self.close(changes);
        }
        if let Some(lapsed) = self.eligible.take_if(|click| click.deadline <= at) {
            changes.push(Changed::Lapsed(lapsed));
        }
        self.past.retain(|span| span.end >= at - REMEMBERED);
        self.last_click = self.last_click.filter(|click| *click >= at - REMEMBERED);
    }

    fn close(&mut self, changes: &mut Vec<Changed>) {
        if let Some(closed) = self.open.take() {
            self.past.push(closed.span);
            changes.push(Changed::Closed(closed));
        }
    }
}

/// Whether an answer sent at an instant comes in time for a click.
fn is_in_time(click: &Eligibility, sent_at: Timestamp, rule: &EntryPointRule, window: WindowAt) -> bool {
    let before_deadline = match rule.answer {
        AnswerWithin::Length(length) => sent_at < click.clicked_at + length,
        AnswerWithin::ServiceWindow => matches!(window, WindowAt::Open(_)),
    };
    click.clicked_at <= sent_at && before_deadline
}

impl FreeWindow {
    /// Remembers an answer sent before the opening one was delivered: if that fails, this one opened it.
    fn note_answer(&mut self, message: MessageKey, sent_at: Timestamp) {
        let undecided = !self.answers.is_empty() && self.answers.len() < ANSWERS;
        if undecided && !self.answers.iter().any(|(_, answer)| *answer == message) {
            let place = self.answers.partition_point(|(sent, _)| *sent <= sent_at);
            // An answer found to have been sent before the announced one does not move the start.
            self.answers.insert(place.max(1), (sent_at, message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::eras::entry_point;
    use crate::domain::time::Date;

    const LENGTH: Millis = Millis::hours(72);

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_754_006_400_000).expect("in range") + Millis::hours(hours)
    }

    fn message(name: u8) -> MessageKey {
        MessageKey([name; 16])
    }

    fn clicked_at_zero() -> (EntryPoint, Vec<Changed>) {
        let (mut entry, mut changes) = (EntryPoint::default(), Vec::new());
        entry.clicked(at(0), EventId([1; 16]), at(24), &mut changes);
        changes.clear();
        (entry, changes)
    }

    fn answer(entry: &mut EntryPoint, hours: i64, name: u8, changes: &mut Vec<Changed>) {
        let instants = (at(hours), at(hours));
        entry.answered(message(name), instants, entry_point(Date::new(2025, 8, 1)), WindowAt::Never, changes);
    }

    #[test]
    fn the_window_runs_from_the_answer() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 5, 1, &mut changes);
        assert_eq!(entry.at(at(5)).map(|(span, _)| span), Some(Span { start: at(5), end: at(77) }));
        assert_eq!(entry.at(at(77)), None);
    }

    #[test]
    fn an_answer_at_the_deadline_is_too_late() {
        let (mut entry, mut changes) = clicked_at_zero();
        let rule = entry_point(Date::new(2025, 8, 1));
        assert!(!entry.would_open(at(24), rule, WindowAt::Never));
        entry.answered(message(1), (at(24), at(24)), rule, WindowAt::Never, &mut changes);
        assert!(entry.open.is_none() && changes.is_empty());
        assert!(entry.would_open(at(24) - Millis(1), rule, WindowAt::Never));
        let just_before = at(24) - Millis(1);
        entry.answered(message(1), (just_before, just_before), rule, WindowAt::Never, &mut changes);
        assert!(entry.open.is_some());
    }

    #[test]
    fn an_answer_that_fails_is_none_and_a_delivered_one_takes_its_place() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 1, 1, &mut changes);
        answer(&mut entry, 2, 2, &mut changes);
        answer(&mut entry, 3, 3, &mut changes);
        entry.delivered(message(2));
        entry.failed(message(1), LENGTH, &mut changes);
        assert_eq!(entry.open.as_ref().map(|open| open.span.start), Some(at(2)));
        assert_eq!(
            entry.open.as_ref().map(|open| open.answers.len()),
            Some(1),
            "what came after the delivered one is out"
        );
    }

    #[test]
    fn an_answer_sent_before_the_first_failed_takes_its_place() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 1, 1, &mut changes);
        answer(&mut entry, 2, 2, &mut changes);
        entry.failed(message(1), LENGTH, &mut changes);
        assert_eq!(entry.open.as_ref().map(|open| open.span), Some(Span { start: at(2), end: at(74) }));
    }

    #[test]
    fn the_only_answer_failing_leaves_the_click_waiting() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 1, 1, &mut changes);
        entry.failed(message(1), LENGTH, &mut changes);
        assert!(entry.open.is_none() && entry.eligible.is_some());
        answer(&mut entry, 2, 2, &mut changes);
        assert_eq!(entry.open.as_ref().map(|open| open.span), Some(Span { start: at(2), end: at(74) }));
    }

    #[test]
    fn the_platforms_end_wins_but_not_by_its_rounding() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 5, 1, &mut changes);
        changes.clear();
        entry.priced(at(5), true, Some(at(77) + Millis::seconds(7)), LENGTH, &mut changes);
        assert_eq!((entry.open.as_ref().map(|open| open.span.end), changes.len()), (Some(at(77)), 0));
        entry.priced(at(6), true, Some(at(173)), LENGTH, &mut changes);
        assert_eq!(entry.open.as_ref().map(|open| open.span.end), Some(at(173)));
        assert_eq!(changes, [Changed::EndMoved]);
    }

    #[test]
    fn a_charge_refutes_a_window_that_was_not_confirmed() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 5, 1, &mut changes);
        entry.priced(at(5), false, None, LENGTH, &mut changes);
        assert!(entry.open.is_none());
        assert!(matches!(changes.last(), Some(Changed::Withdrawn(_, Withdrawal::Refuted))));
    }

    #[test]
    fn a_charge_does_not_refute_a_confirmed_window() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 5, 1, &mut changes);
        entry.priced(at(5), true, None, LENGTH, &mut changes);
        entry.priced(at(6), false, None, LENGTH, &mut changes);
        assert!(entry.at(at(6)).is_some_and(|(_, confirmed)| confirmed));
    }

    #[test]
    fn a_click_told_again_after_its_window_is_no_new_click() {
        let (mut entry, mut changes) = clicked_at_zero();
        answer(&mut entry, 1, 1, &mut changes);
        entry.delivered(message(1));
        entry.pass(at(73), &mut changes);
        changes.clear();
        entry.clicked(at(0), EventId([1; 16]), at(24), &mut changes);
        assert!(entry.eligible.is_none() && changes.is_empty());
    }

    #[test]
    fn the_platform_can_tell_of_a_window_nobody_saw_open() {
        let (mut entry, mut changes) = (EntryPoint::default(), Vec::new());
        entry.priced(at(1), true, None, LENGTH, &mut changes);
        assert_eq!(entry.at(at(1)).map(|(span, _)| span.end), Some(at(73)));
    }
}
