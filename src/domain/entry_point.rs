//! The free entry point: a person who comes through an advertisement makes everything free for some days,
//! if the business answers in time.
//!
//! It has two stages (rules.md 2.2). A click makes the contact *eligible* until a deadline. The first answer
//! within it *opens* the window; if that answer fails, it was none. The click alone proves nothing (the
//! platform does not tell a desktop from a phone), so the window is provisional until the platform prices a
//! message in it.
//!
//! What happened is remembered: the clicks, and the messages sent since the first of them. Which windows
//! there were is worked out from that again at every change, so that it does not depend on the order in which
//! events arrive; what has been announced is then brought in line with it.

use super::id::{EventId, MessageKey};
use super::policy::Context;
use super::reference::Account;
use super::rules::eras::{AnswerWithin, EntryPointRule};
use super::time::{Days, Millis, Span, Timestamp};
use super::window::{ServiceWindow, WindowAt, next_edge, with_former};

/// How far back closed windows are kept: statuses arrive up to seven days late.
const REMEMBERED: Millis = Millis::days(8);

/// How much longer a click is kept: an answer to it may be due for so long.
const ANSWERABLE: Millis = Millis::days(2);

/// The platform rounds a window's end up to the minute: an end that much later than ours is ours
/// (rules.md 2.3, 10 #37).
const ROUNDING: Millis = Millis::seconds(60);

/// The free entry point of one contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryPoint {
    /// The click that waits for an answer, as announced.
    pub eligible: Option<Eligibility>,
    /// The window that is open, as announced.
    pub open: Option<FreeWindow>,
    /// The windows that are closed, ascending.
    pub past: Vec<Span>,
    /// The clicks that are remembered, ascending.
    pub clicks: Vec<Click>,
    /// The messages sent since the first of them, and since the first window that is remembered; ascending by the
    /// instant at which each would open a window, then by message.
    pub sends: Vec<Sent>,
    /// Which message opened each window, by the window's start.
    pub openers: Vec<(Timestamp, MessageKey)>,
    /// Since when all messages are among these.
    pub since: Option<Timestamp>,
    /// Of the windows that were announced and are not open any more: when the last of them began, and how many edges of one
    /// have been announced at most. None that begins no later may take up a number again.
    pub former: Option<(Timestamp, u32)>,
}

/// A person came through an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    /// When.
    pub at: Timestamp,
    /// The event that says so.
    pub event: EventId,
    /// How many edges of its waiting have been announced.
    pub edges: u32,
}

/// A message of the business, as far as it answers a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The instant at which it opens the window: until 2025-06-30 that of its delivery, since then that of its sending
    /// (rules.md 1.11).
    pub start: Timestamp,
    /// When it was sent: by then it must answer.
    pub sent_at: Timestamp,
    /// Which message.
    pub message: MessageKey,
    /// Whether it belongs to a conversation that was open, so that it opens nothing (rules.md 1.3).
    pub joins: bool,
    /// What the platform has charged for it, if it has said so.
    pub word: Option<Word>,
    /// Whether it lies in a window.
    pub covered: bool,
}

/// What the platform has charged for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Whether it is free for the entry point's sake.
    pub free: bool,
    /// When the window ends, if it says.
    pub ends: Option<Timestamp>,
}

/// A click that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eligibility {
    /// When the person came through the advertisement.
    pub clicked_at: Timestamp,
    /// The event that says so.
    pub event: EventId,
    /// The first instant at which an answer is too late.
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
    pub click: Option<Click>,
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
    /// The click may be answered for longer than announced, or for less.
    DeadlineMoved,
    /// A newer click took the place of one that was waiting.
    Superseded(Eligibility),
    /// A click was not answered in time.
    Lapsed(Eligibility),
    /// The window opened.
    Opened,
    /// The end of the open window is another than announced.
    EndMoved,
    /// The same click was answered at another instant than announced, which is named.
    StartMoved(Timestamp),
    /// The window is gone: it was none.
    Withdrawn(FreeWindow, Withdrawal),
    /// The window's end has passed.
    Closed(FreeWindow),
}

/// Why a window that was announced was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    /// The answer that opened it was not delivered, or another one was sent before it.
    AnswerFailed,
    /// The platform priced a message in it as not free.
    Refuted,
}

/// What the rules and the service window say of an instant.
pub trait Look {
    /// The entry point rule of a day.
    fn rule(&self, at: Timestamp) -> &'static EntryPointRule;
    /// By when an answer sent at an instant must come.
    fn answer(&self, at: Timestamp) -> AnswerWithin {
        self.rule(at).answer
    }
    /// How long a window that an answer sent at an instant opens can last, if the person's messages prolong it.
    fn up_to(&self, _at: Timestamp) -> Option<Millis> {
        None
    }
    /// The service window.
    fn window(&self, at: Timestamp) -> WindowAt;
}

/// What rules and service window say of an instant.
pub struct Looks<'a, 'c> {
    /// The rules, among others.
    pub context: &'a Context<'c>,
    /// The account, in whose zone days are counted.
    pub account: &'a Account,
    /// The contact's service window.
    pub window: &'a ServiceWindow,
    /// Since when the number is used from the phone app.
    pub cut: Option<Timestamp>,
}

impl Look for Looks<'_, '_> {
    fn rule(&self, at: Timestamp) -> &'static EntryPointRule {
        self.context.rules.entry_point(Days::of(self.context.zones, self.account.zone, at))
    }

    fn answer(&self, at: Timestamp) -> AnswerWithin {
        self.context.rules.answer_within(self.rule(at))
    }

    fn up_to(&self, at: Timestamp) -> Option<Millis> {
        self.context.rules.entry_point_up_to(self.rule(at))
    }

    fn window(&self, at: Timestamp) -> WindowAt {
        self.window.at(at, self.cut)
    }
}

/// The windows there were, and the click that waits.
struct Course {
    windows: Vec<FreeWindow>,
    openers: Vec<(Timestamp, MessageKey)>,
    /// The clicks that were answered.
    answered: Vec<Timestamp>,
    waiting: Option<Click>,
    /// Whether the platform refuted a window, by its start.
    refuted: Vec<Timestamp>,
}

impl EntryPoint {
    /// Whether nothing is remembered, so that the contact's record need not mention it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.eligible.is_none() && self.open.is_none() && self.past.is_empty() && !self.follows()
    }

    /// Whether messages are to be noted: there is something that they may answer, or a window they may lie in.
    #[must_use]
    pub fn follows(&self) -> bool {
        !self.clicks.is_empty() || !self.sends.is_empty()
    }

    /// The first instant that matters: of a click, or of a message that the platform says lay in a window.
    fn first(&self) -> Option<Timestamp> {
        let free = |sent: &&Sent| sent.word.is_some_and(|word| word.free);
        let told = self.sends.iter().find(free).map(|sent| sent.start);
        [self.clicks.first().map(|click| click.at), told].into_iter().flatten().min()
    }

    /// Since when messages are to be looked at that are not among those noted, if there may be any.
    #[must_use]
    pub fn wants_to_look_back(&self) -> Option<Timestamp> {
        self.first().filter(|first| self.since.is_none_or(|since| *first < since))
    }

    /// Takes note that they have been.
    pub fn has_looked_back(&mut self) {
        self.since = self.first();
    }

    /// What was announced was announced of another contact: it is to be announced anew. Returns how many edges of one window
    /// have been announced at most when the ends of those that are open have been.
    pub fn announce_anew(&mut self) -> u32 {
        let waiting = self.eligible.take().map(|known| known.revision + 1);
        let open = self.open.take().map(|open| open.revision + 1);
        let former = self.former.take().map(|(_, edges)| edges);
        let clicks = self.clicks.iter_mut().map(|click| std::mem::take(&mut click.edges)).max();
        [waiting, open, former, clicks].into_iter().flatten().max().unwrap_or_default()
    }

    /// Takes in what happened to a contact that turns out to be the same, and of which nothing stays announced. All messages
    /// to both are to be looked at then.
    pub fn absorb(&mut self, other: Self) {
        for click in other.clicks {
            self.note_click(click.at, click.event);
        }
        for sent in other.sends {
            self.note_sent(sent);
        }
        self.past.extend(other.past);
        self.past.sort_by_key(|span| (span.start, span.end));
        self.past.dedup();
        self.openers.extend(other.openers);
        self.openers.sort_unstable();
        self.since = None;
    }

    /// Takes note of a click; `false` if it is known, however often it is told.
    pub fn note_click(&mut self, at: Timestamp, event: EventId) -> bool {
        let place = self.clicks.partition_point(|known| (known.at, known.event.0) < (at, event.0));
        let is_new = self.clicks.get(place).is_none_or(|known| (known.at, known.event) != (at, event));
        if is_new {
            let edges = self.clicks.iter().find(|known| known.at == at).map_or(0, |known| known.edges);
            self.clicks.insert(place, Click { at, event, edges });
        }
        is_new
    }

    /// Takes note of a message, in the place of what was known of it; `false` if that was the same.
    pub fn note_sent(&mut self, sent: Sent) -> bool {
        let former = self.sends.iter().position(|known| known.message == sent.message);
        let covered = former.is_some_and(|index| self.sends[index].covered);
        let sent = Sent { covered, ..sent };
        if let Some(index) = former {
            if self.sends[index] == sent {
                return false;
            }
            self.sends.remove(index);
        }
        let place = self.sends.partition_point(|known| (known.start, known.message) < (sent.start, sent.message));
        self.sends.insert(place, sent);
        true
    }

    /// Forgets a message: it failed, and an answer that fails is no answer (rules.md 2.2).
    pub fn forget_sent(&mut self, message: MessageKey) -> Option<Sent> {
        let index = self.sends.iter().position(|known| known.message == message)?;
        Some(self.sends.remove(index))
    }

    /// Works the windows out again, brings what is announced in line with them, and forgets what is too old to matter.
    /// Returns the messages that lie in a window now and did not before, or the other way round.
    pub fn work_out(
        &mut self,
        look: &impl Look,
        now: Timestamp,
        partition_time: Timestamp,
        changes: &mut Vec<Changed>,
    ) -> Vec<MessageKey> {
        let course = self.course(look);
        self.announce(&course, look, now, changes);
        let mut disturbed = Vec::new();
        for sent in &mut self.sends {
            let covered = course.windows.iter().any(|window| window.span.contains(sent.start));
            if std::mem::replace(&mut sent.covered, covered) != covered {
                disturbed.push(sent.message);
            }
        }
        self.openers.clone_from(&course.openers);
        self.forget(&course, partition_time);
        disturbed
    }

    /// What happened, in the order of time.
    fn course(&self, look: &impl Look) -> Course {
        let mut course = Course {
            windows: Vec::new(),
            openers: Vec::new(),
            answered: Vec::new(),
            waiting: None,
            refuted: Vec::new(),
        };
        let mut clicks = self.clicks.iter().copied().peekable();
        // Whether the platform has said of the last window what it is.
        let mut settled = false;
        for sent in &self.sends {
            while let Some(click) = clicks.next_if(|click| click.at <= sent.start) {
                course.waiting = Some(click);
            }
            let free = sent.word.map(|word| word.free);
            if let Some(open) = course.windows.last_mut().filter(|open| sent.start < open.span.end) {
                if free == Some(false) && !settled {
                    let start = open.span.start;
                    course.windows.pop();
                    course.openers.pop();
                    course.refuted.push(start);
                } else {
                    settled |= free.is_some();
                    if let Some(Word { free: true, ends }) = sent.word {
                        open.confirm(sent.start, ends);
                    }
                }
                // A click answered while everything is free anyway is used up (rules.md 2.2, 10 #44).
                course.answer(sent.sent_at);
                continue;
            }
            let in_time = course.waiting.filter(|click| is_in_time(click, sent, look));
            let opens = in_time.is_some() && !sent.joins;
            if !opens && free != Some(true) {
                // Where a message joins a conversation that was open, the click is used up (rules.md 1.3).
                if sent.joins && in_time.is_some() {
                    course.answer(sent.sent_at);
                }
                continue;
            }
            // The platform may tell of a window nothing announced: the entry point of a page's button leaves no mark on
            // the inbound message.
            let click = in_time.filter(|_| opens);
            course.answer(sent.sent_at);
            if free == Some(false) {
                course.refuted.push(sent.start);
                continue;
            }
            let mut window = FreeWindow {
                span: free_span(sent, look),
                expiry: ExpirySource::Rule,
                confirmed: false,
                click,
                revision: 0,
                alerted_for: None,
            };
            settled = free == Some(true);
            if let Some(Word { free: true, ends }) = sent.word {
                window.confirm(sent.start, ends);
            }
            course.openers.push((sent.start, sent.message));
            course.windows.push(window);
        }
        if let Some(click) = clicks.last() {
            course.waiting = Some(click);
        }
        course
    }

    /// Brings what is announced in line with what happened, as of an instant.
    fn announce(&mut self, course: &Course, look: &impl Look, now: Timestamp, changes: &mut Vec<Changed>) {
        let (present, past) = match course.windows.split_last() {
            Some((last, before)) if now < last.span.end => (Some(last), before),
            _ => (None, &course.windows[..]),
        };
        self.past = past.iter().map(|window| window.span).collect();
        let mut moved = None;
        if let (Some(open), Some(window)) = (&mut self.open, present)
            && open.span.start != window.span.start
            && open.click.map(|click| click.event) == window.click.map(|click| click.event)
            && open.click.is_some()
        {
            moved = Some(std::mem::replace(&mut open.span, window.span).start);
        }
        if let (Some(open), Some(former)) = (&mut self.open, moved) {
            open.revision = open.revision.max(next_edge(self.former, open.span.start));
            self.former = Some(with_former(self.former, former, open.revision));
        }
        if let Some(open) = self.open.take_if(|open| present.is_none_or(|it| it.span.start != open.span.start)) {
            self.former = Some(with_former(self.former, open.span.start, open.revision + 1));
            if self.past.iter().any(|span| span.start == open.span.start) {
                changes.push(Changed::Closed(open));
            } else {
                let refuted = course.refuted.contains(&open.span.start);
                let why = if refuted { Withdrawal::Refuted } else { Withdrawal::AnswerFailed };
                changes.push(Changed::Withdrawn(open, why));
            }
        }
        let waiting = course.waiting.map(|click| (click, deadline(&click, look))).filter(|(_, end)| now < *end);
        let gone = |known: &mut Eligibility| waiting.is_none_or(|(click, _)| click.event != known.event);
        let former = self.eligible.take_if(gone);
        // Several clicks of one instant are one waiting, as far as outputs tell them apart.
        let alike = former.as_ref().map(|known| (known.clicked_at, known.revision + 1));
        if let Some(known) = former {
            changes.push(match course.waiting {
                _ if course.answered.contains(&known.clicked_at) => Changed::Answered(known),
                Some(newer) if newer.at > known.clicked_at => Changed::Superseded(known),
                _ => Changed::Lapsed(known),
            });
        }
        if let Some(window) = present {
            if let Some(open) = &mut self.open {
                (open.expiry, open.confirmed) = (window.expiry, window.confirmed);
                open.click = open.click.or(window.click);
                changes.extend(moved.map(Changed::StartMoved));
                if open.span.end != window.span.end {
                    open.span.end = window.span.end;
                    changes.push(Changed::EndMoved);
                }
            } else {
                let revision = next_edge(self.former, window.span.start);
                // A click that was never announced to wait was answered all the same.
                self.open = Some(FreeWindow { revision, ..window.clone() });
                changes.push(Changed::Opened);
            }
        }
        if let Some((click, deadline)) = waiting {
            if let Some(known) = &mut self.eligible {
                if known.deadline != deadline {
                    known.deadline = deadline;
                    changes.push(Changed::DeadlineMoved);
                }
            } else {
                let alike = alike.filter(|(at, _)| *at == click.at).map_or(0, |(_, edges)| edges);
                let revision = click.edges.max(alike);
                self.eligible = Some(Eligibility {
                    clicked_at: click.at,
                    event: click.event,
                    deadline,
                    revision,
                    alerted_for: None,
                });
                changes.push(Changed::Eligible);
            }
        }
    }

    /// Remembers how many edges of the waiting of an instant's clicks have been announced, so that none has another's number.
    pub fn count_edges(&mut self, clicked_at: Timestamp, edges: u32) {
        for click in self.clicks.iter_mut().filter(|click| click.at == clicked_at) {
            click.edges = click.edges.max(edges);
        }
    }

    /// Forgets what is too old to matter: windows that ended before anything that may still come, and all before them.
    fn forget(&mut self, course: &Course, partition_time: Timestamp) {
        let old = partition_time - REMEMBERED;
        self.past.retain(|span| span.end >= old);
        let first = self.past.first().or(self.open.as_ref().map(|open| &open.span)).map(|span| span.start);
        self.openers.retain(|(start, _)| first.is_some_and(|first| first <= *start));
        let kept = course.windows.iter().filter(|window| window.span.end >= old);
        let since = kept.map(|window| window.click.map_or(window.span.start, |click| click.at)).min();
        let since = since.map_or(old - ANSWERABLE, |since| since.min(old - ANSWERABLE));
        self.clicks.retain(|click| click.at >= since);
        let first_click = self.clicks.first().map(|click| click.at);
        let first = [first_click, first].into_iter().flatten().min();
        self.sends.retain(|sent| first.is_some_and(|first| first <= sent.start));
        self.since = first.and_then(|first| self.since.max(Some(first)));
        self.former = self.former.filter(|(start, _)| *start >= old);
    }

    /// When nothing of it matters any more, so that it can be forgotten even if nothing happens.
    #[must_use]
    pub fn forgotten_at(&self) -> Option<Timestamp> {
        if !self.follows() {
            return None;
        }
        let window = self.open.as_ref().map(|open| open.span).or(self.past.last().copied()).map(|span| span.end);
        let click = self.clicks.last().map(|click| click.at + ANSWERABLE);
        let last = window.max(click).or(self.sends.last().map(|sent| sent.start));
        last.map(|last| last + REMEMBERED + Millis(1))
    }

    /// Whether a message sent at an instant would answer a waiting click in time.
    #[must_use]
    pub fn would_open(&self, sent_at: Timestamp, look: &impl Look) -> bool {
        self.eligible.as_ref().is_some_and(|click| {
            let click = Click { at: click.clicked_at, event: click.event, edges: 0 };
            answers_in_time(&click, sent_at, look)
        })
    }

    /// When the windows that are remembered began.
    pub fn starts(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.past.iter().chain(self.open.as_ref().map(|open| &open.span)).map(|span| span.start)
    }

    /// Whether a message delivered at an instant lies in a window. Of several delivered when it began, those do that come
    /// after the one that opened it, in the order of their keys.
    #[must_use]
    pub fn covers(&self, at: Timestamp, message: MessageKey) -> bool {
        let Some((span, _)) = self.at(at) else {
            return false;
        };
        let opener = self.openers.iter().find(|(start, _)| *start == span.start).map(|(_, opener)| *opener);
        span.start < at || opener.is_none_or(|opener| opener <= message)
    }

    /// The free window an instant lies in, and whether the platform has confirmed it.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<(Span, bool)> {
        if let Some(open) = self.open.as_ref().filter(|open| open.span.contains(at)) {
            return Some((open.span, open.confirmed));
        }
        self.past.iter().rev().find(|span| span.contains(at)).map(|span| (*span, true))
    }
}

impl Course {
    /// A message sent at an instant answers the click that waits.
    fn answer(&mut self, sent_at: Timestamp) {
        if let Some(click) = self.waiting.take_if(|click| click.at <= sent_at) {
            self.answered.push(click.at);
        }
    }
}

/// The window that a message opens. Where the person's messages prolong it, it lasts as long as the service window does
/// that is open at its end, and so on up to the longest it can be.
fn free_span(sent: &Sent, look: &impl Look) -> Span {
    let mut span = Span::from(sent.start, look.rule(sent.sent_at).length);
    let Some(longest) = look.up_to(sent.sent_at).map(|length| sent.start + length) else {
        return span;
    };
    // A stretch of the service window holds every message that came before it ran out.
    while let WindowAt::Open(stretch) = look.window(span.end - Millis(1))
        && span.end < stretch.end.min(longest)
    {
        span.end = stretch.end.min(longest);
    }
    span
}

/// Whether a message answers a click in time.
fn is_in_time(click: &Click, sent: &Sent, look: &impl Look) -> bool {
    answers_in_time(click, sent.sent_at, look)
}

/// Whether an answer sent at an instant comes in time for a click.
fn answers_in_time(click: &Click, sent_at: Timestamp, look: &impl Look) -> bool {
    let end = match look.answer(sent_at) {
        AnswerWithin::Length(length) => click.at + length,
        AnswerWithin::ServiceWindow => deadline(click, look),
    };
    click.at <= sent_at && sent_at < end
}

/// The first instant at which an answer to a click is too late: a day after it, or the end of the service window it
/// lies in where that is what counts.
fn deadline(click: &Click, look: &impl Look) -> Timestamp {
    let day = click.at + Millis::hours(24);
    match look.window(click.at) {
        WindowAt::Open(span) if look.answer(span.end - Millis(1)) == AnswerWithin::ServiceWindow => day.max(span.end),
        _ => day,
    }
}

impl FreeWindow {
    /// The platform has priced a message in it as free, and perhaps said when it ends.
    fn confirm(&mut self, at: Timestamp, ends: Option<Timestamp>) {
        self.confirmed = true;
        let Some(ends) = ends.filter(|ends| *ends > at) else {
            return;
        };
        let ours = self.span.end;
        let agrees = ends >= ours && ends <= ours + ROUNDING;
        // Of several ends that it has named the latest counts (rules.md 10 #4).
        let newer = self.expiry == ExpirySource::Rule || ends > ours;
        if !agrees && newer {
            self.span.end = ends;
        }
        self.expiry = ExpirySource::Platform;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::eras::entry_point;
    use crate::domain::time::Date;

    /// The rules of August 2025: an answer within a day, free for three.
    struct August;

    impl Look for August {
        fn rule(&self, _: Timestamp) -> &'static EntryPointRule {
            entry_point(Date::new(2025, 8, 1))
        }

        fn window(&self, _: Timestamp) -> WindowAt {
            WindowAt::Never
        }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_754_006_400_000).expect("in range") + Millis::hours(hours)
    }

    fn message(name: u8) -> MessageKey {
        MessageKey([name; 16])
    }

    fn sent(hours: i64, name: u8) -> Sent {
        let start = at(hours);
        Sent { start, sent_at: start, message: message(name), joins: false, word: None, covered: false }
    }

    fn priced(hours: i64, name: u8, free: bool, ends: Option<Timestamp>) -> Sent {
        Sent { word: Some(Word { free, ends }), ..sent(hours, name) }
    }

    /// What is announced after a click at hour 0 and some messages, as of an hour.
    fn told(sends: &[Sent], hour: i64) -> (EntryPoint, Vec<Changed>) {
        let (mut entry, mut changes) = (EntryPoint::default(), Vec::new());
        entry.note_click(at(0), EventId([1; 16]));
        entry.work_out(&August, at(0), at(0), &mut changes);
        assert_eq!(changes, [Changed::Eligible]);
        changes.clear();
        for sent in sends {
            entry.note_sent(*sent);
        }
        entry.work_out(&August, at(hour), at(hour), &mut changes);
        (entry, changes)
    }

    fn span(entry: &EntryPoint) -> Option<(i64, i64)> {
        let hours = |it: Timestamp| it.since(at(0)).0 / 3_600_000;
        entry.open.as_ref().map(|open| (hours(open.span.start), hours(open.span.end)))
    }

    #[test]
    fn the_window_runs_from_the_answer() {
        let (entry, changes) = told(&[sent(5, 1)], 5);
        assert_eq!(span(&entry), Some((5, 77)));
        assert!(matches!(changes[..], [Changed::Answered(_), Changed::Opened]));
        assert_eq!(entry.at(at(77)), None);
    }

    #[test]
    fn an_answer_at_the_deadline_is_too_late() {
        let (mut entry, _) = told(&[], 1);
        assert!(!entry.would_open(at(24), &August));
        assert!(entry.would_open(at(24) - Millis(1), &August));
        entry.note_sent(sent(24, 1));
        let mut changes = Vec::new();
        entry.work_out(&August, at(24), at(24), &mut changes);
        assert!(matches!(changes[..], [Changed::Lapsed(_)]) && entry.open.is_none());
    }

    #[test]
    fn an_answer_that_fails_is_none_and_the_next_one_takes_its_place() {
        let (mut entry, _) = told(&[sent(1, 1), sent(2, 2), sent(3, 3)], 3);
        assert_eq!(span(&entry), Some((1, 73)));
        let mut changes = Vec::new();
        entry.forget_sent(message(1));
        let disturbed = entry.work_out(&August, at(4), at(4), &mut changes);
        assert_eq!((span(&entry), disturbed), (Some((2, 74)), Vec::new()));
        assert_eq!(changes, [Changed::StartMoved(at(1))], "the same click, answered later");
    }

    #[test]
    fn the_only_answer_failing_leaves_the_click_waiting() {
        let (mut entry, _) = told(&[sent(1, 1)], 1);
        let mut changes = Vec::new();
        entry.forget_sent(message(1));
        entry.work_out(&August, at(2), at(2), &mut changes);
        assert!(matches!(changes[..], [Changed::Withdrawn(..), Changed::Eligible]));
        entry.note_sent(sent(2, 2));
        entry.work_out(&August, at(2), at(2), &mut changes);
        assert_eq!(span(&entry), Some((2, 74)));
    }

    #[test]
    fn a_window_that_is_taken_back_and_opens_again_numbers_its_edges_on() {
        let (mut entry, mut changes) = (told(&[], 1).0, Vec::new());
        let mut numbers = Vec::new();
        for answer in [sent(1, 1), sent(2, 2), sent(1, 1), sent(2, 2)] {
            entry.note_sent(answer);
            entry.work_out(&August, at(2), at(2), &mut changes);
            numbers.extend(entry.open.as_ref().map(|open| open.revision));
            entry.forget_sent(answer.message);
            entry.work_out(&August, at(2), at(2), &mut changes);
        }
        assert_eq!(numbers, [0, 0, 1, 2], "by the instant at which it began and its number an edge has its id");
    }

    #[test]
    fn the_platforms_end_wins_but_not_by_its_rounding() {
        let rounded = at(77) + Millis::seconds(7);
        let (mut entry, changes) = told(&[priced(5, 1, true, Some(rounded))], 5);
        assert_eq!((span(&entry), changes.len()), (Some((5, 77)), 2));
        entry.note_sent(priced(6, 2, true, Some(at(173))));
        let mut changes = Vec::new();
        entry.work_out(&August, at(6), at(6), &mut changes);
        assert_eq!((span(&entry), changes), (Some((5, 173)), vec![Changed::EndMoved]));
    }

    #[test]
    fn the_first_price_settles_what_the_window_is() {
        let (mut entry, _) = told(&[sent(5, 1)], 5);
        let mut changes = Vec::new();
        entry.note_sent(priced(5, 1, false, None));
        assert_eq!(entry.work_out(&August, at(5), at(5), &mut changes), [message(1)]);
        assert!(matches!(changes[..], [Changed::Withdrawn(_, Withdrawal::Refuted)]) && entry.open.is_none());
        let (entry, _) = told(&[priced(5, 1, true, None), priced(6, 2, false, None)], 6);
        assert!(entry.at(at(6)).is_some_and(|(_, confirmed)| confirmed), "a later charge refutes nothing");
    }

    #[test]
    fn a_click_told_again_after_its_window_is_no_new_click() {
        let (mut entry, _) = told(&[sent(1, 1)], 1);
        let mut changes = Vec::new();
        entry.work_out(&August, at(73), at(73), &mut changes);
        assert!(matches!(changes[..], [Changed::Closed(_)]));
        entry.note_click(at(0), EventId([1; 16]));
        changes.clear();
        entry.work_out(&August, at(73), at(73), &mut changes);
        assert!(entry.eligible.is_none() && changes.is_empty());
    }

    #[test]
    fn the_platform_can_tell_of_a_window_nobody_saw_open() {
        let (mut entry, mut changes) = (EntryPoint::default(), Vec::new());
        entry.note_sent(priced(1, 1, true, None));
        entry.work_out(&August, at(1), at(1), &mut changes);
        assert_eq!((span(&entry), changes), (Some((1, 73)), vec![Changed::Opened]));
    }

    #[test]
    fn what_is_over_is_forgotten_in_time() {
        for sends in [&[sent(1, 1)][..], &[]] {
            let (mut entry, _) = told(sends, 1);
            let mut changes = Vec::new();
            let due = entry.forgotten_at().expect("something is remembered");
            entry.work_out(&August, due - Millis(1), due - Millis(1), &mut changes);
            assert!(!entry.is_empty());
            entry.work_out(&August, due, due, &mut changes);
            assert!(entry.is_empty() && entry.forgotten_at().is_none());
        }
    }
}
