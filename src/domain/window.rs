//! The customer service window: for 24 hours after each thing a person says, the business may say anything.
//!
//! Two things are remembered. The *stretches* in which the window was open answer questions about any
//! instant, late or early, and do not depend on the order in which inbound events arrived. The *present*
//! window is what has been announced: when it opened, until when it is open, and how busy it was.

use super::id::EventId;
use super::rules::eras::SERVICE_WINDOW;
use super::rules::openers::InboundKind;
use super::time::{Millis, Span, Timestamp};

/// How far back stretches are kept: webhooks arrive up to seven days late, and a stretch is a day long.
pub const REMEMBERED: Millis = Millis::days(8);

/// How many inbound events of the present window are remembered, to count a repeat once. A repeat comes
/// within minutes; one that comes after so many others is counted twice, and counts nothing but the count.
const SEEN: usize = 16;

/// The service window of one contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceWindow {
    /// When the window was open, ascending and disjoint. The last one is kept however old it is.
    stretches: Vec<Span>,
    /// The window as announced, if one is open.
    present: Option<Present>,
    /// Of those that were announced and are not open any more: when the last of them opened, and how many edges of one have been
    /// announced at most.
    former: Option<(Timestamp, u32)>,
}

/// The window that is open now, as announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// The first inbound event of the window.
    pub opened_at: Timestamp,
    /// The last one.
    pub refreshed_at: Timestamp,
    /// The first instant at which it is closed.
    pub expires_at: Timestamp,
    /// The event that opened it.
    pub opened_by: EventId,
    /// What that event was.
    pub opened_by_kind: InboundKind,
    /// How many inbound events it has seen.
    pub inbound_count: u32,
    /// How many messages the business has sent in it.
    pub outbound_count: u32,
    /// When the business first answered.
    pub first_response_at: Option<Timestamp>,
    /// How many edges have been announced.
    pub revision: u32,
    /// The expiry that the closing alert was given for, so that one expiry alerts once.
    pub alerted_for: Option<Timestamp>,
    /// The inbound events counted last.
    pub seen: Vec<EventId>,
}

/// What an inbound event did to the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Nothing to announce: a repeat, or older than what is known.
    Nothing,
    /// The window opened.
    Opened,
    /// The window is open for longer.
    Refreshed,
    /// The window opened at another instant than announced, which is named, or is open again, as a late event shows.
    Corrected(Timestamp),
    /// The window that was announced had run out before this event; a new one opened.
    Reopened(Present),
}

/// The window at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowAt {
    /// Open until the end of the span.
    Open(Span),
    /// Closed since an instant.
    Closed(Timestamp),
    /// Never opened, as far as is known.
    Never,
}

impl ServiceWindow {
    /// A window as a stored record describes it.
    #[must_use]
    pub const fn restore(stretches: Vec<Span>, present: Option<Present>, former: Option<(Timestamp, u32)>) -> Self {
        Self { stretches, present, former }
    }

    /// The window before the present one: when it opened, and how many edges of it have been announced.
    #[must_use]
    pub const fn former(&self) -> Option<(Timestamp, u32)> {
        self.former
    }

    /// When the window was open, ascending and disjoint.
    #[must_use]
    pub fn stretches(&self) -> &[Span] {
        &self.stretches
    }

    /// When the person last wrote what opens the window.
    #[must_use]
    pub fn written_at(&self) -> Option<Timestamp> {
        self.stretches.last().map(|stretch| stretch.end - SERVICE_WINDOW)
    }

    /// The window as announced.
    #[must_use]
    pub const fn present(&self) -> Option<&Present> {
        self.present.as_ref()
    }

    /// The window as announced, to count what happens in it.
    pub const fn present_mut(&mut self) -> Option<&mut Present> {
        self.present.as_mut()
    }

    /// Takes note of an inbound event that opens or refreshes the window. Keeps the latest end, so neither a
    /// repeat nor a latecomer shortens it. Stretches that ended before `keep_from` are forgotten.
    pub fn inbound(&mut self, at: Timestamp, event: EventId, kind: InboundKind, keep_from: Timestamp) -> Moved {
        let span = Span::from(at, SERVICE_WINDOW);
        let announced_end = self.stretches.last().map(|last| last.end);
        self.remember(span, keep_from);
        let Some(present) = &mut self.present else {
            // A latecomer inside a window that has come and gone is history, not news.
            if announced_end.is_some_and(|end| span.end <= end) {
                return Moved::Nothing;
            }
            let mut present = Present::opened(span, event, kind);
            let began = self.stretches.last().map_or(span.start, |stretch| stretch.start);
            present.opened_at = began;
            // What was announced to be closed was not: this event came in it.
            let former = self.former.filter(|(opened_at, _)| *opened_at >= began);
            present.revision = next_edge(self.former, began);
            self.present = Some(present);
            return former.map_or(Moved::Opened, |(opened_at, _)| Moved::Corrected(opened_at));
        };
        if present.seen.contains(&event) {
            return Moved::Nothing;
        }
        if at >= present.expires_at {
            self.former = Some(with_former(self.former, present.opened_at, present.revision + 1));
            return Moved::Reopened(std::mem::replace(present, Present::opened(span, event, kind)));
        }
        present.count_inbound(event);
        if span.end <= present.expires_at {
            let began = self.stretches.last().map_or(present.opened_at, |stretch| stretch.start);
            if began >= present.opened_at {
                return Moved::Nothing;
            }
            // Where the number began to be used from the phone app in between, the stretch is cut; that is looked up.
            let former = std::mem::replace(&mut present.opened_at, began);
            present.revision = present.revision.max(next_edge(self.former, began));
            (present.opened_by, present.opened_by_kind) = (event, kind);
            return Moved::Corrected(former);
        }
        present.refreshed_at = at;
        present.expires_at = span.end;
        Moved::Refreshed
    }

    /// What was announced was announced of another contact: the present window is to be announced anew. Returns how many edges
    /// of one have been announced at most when its end has been.
    pub fn announce_anew(&mut self) -> u32 {
        let former = self.former.take().map_or(0, |(_, edges)| edges);
        let Some(present) = &mut self.present else {
            return former;
        };
        present.alerted_for = None;
        former.max(std::mem::take(&mut present.revision) + 1)
    }

    /// Takes in the window of a contact that turns out to be the same, and of which nothing stays announced. Says what
    /// that does to the present window.
    pub fn absorb(&mut self, other: Self) -> Moved {
        let Self { stretches, present: theirs, former: _ } = other;
        for span in stretches {
            self.remember(span, Timestamp::EARLIEST);
        }
        let began = self.stretches.last().map(|stretch| stretch.start);
        let Some(present) = &mut self.present else {
            let Some(mut theirs) = theirs else {
                return Moved::Nothing;
            };
            theirs.opened_at = began.map_or(theirs.opened_at, |began| began.min(theirs.opened_at));
            let former = self.former.filter(|(opened_at, _)| *opened_at >= theirs.opened_at);
            theirs.revision = next_edge(self.former, theirs.opened_at);
            self.present = Some(theirs);
            return former.map_or(Moved::Opened, |(opened_at, _)| Moved::Corrected(opened_at));
        };
        let (opened_at, expires_at) = (present.opened_at, present.expires_at);
        if let Some(theirs) = theirs {
            present.take_in(theirs);
        }
        present.opened_at = began.map_or(present.opened_at, |began| began.min(present.opened_at));
        if present.opened_at < opened_at {
            present.revision = present.revision.max(next_edge(self.former, present.opened_at));
            Moved::Corrected(opened_at)
        } else if present.expires_at > expires_at {
            Moved::Refreshed
        } else {
            Moved::Nothing
        }
    }

    /// Forgets the present window, because its end has passed.
    pub fn close(&mut self) -> Option<Present> {
        let closed = self.present.take();
        if let Some(present) = &closed {
            self.former = Some(with_former(self.former, present.opened_at, present.revision + 1));
        }
        closed
    }

    /// The window at an instant. Inbound events before `cut` count for nothing from `cut` on: that is when
    /// the number began to be used from the phone app (rules.md 2.1, coexistence).
    #[must_use]
    pub fn at(&self, at: Timestamp, cut: Option<Timestamp>) -> WindowAt {
        let next = self.stretches.partition_point(|span| span.start <= at);
        let Some(span) = next.checked_sub(1).and_then(|index| self.stretches.get(index)) else {
            return WindowAt::Never;
        };
        let end = end_with_cut(*span, cut);
        if at < end { WindowAt::Open(Span { start: span.start, end }) } else { WindowAt::Closed(end) }
    }

    /// Adds a stretch, joined with those it touches.
    fn remember(&mut self, span: Span, keep_from: Timestamp) {
        let first = self.stretches.partition_point(|known| known.end < span.start);
        let after = self.stretches.partition_point(|known| known.start <= span.end);
        let joined = self.stretches[first..after]
            .iter()
            .fold(span, |joined, known| Span { start: joined.start.min(known.start), end: joined.end.max(known.end) });
        self.stretches.splice(first..after, [joined]);
        let forgotten = self.stretches.partition_point(|known| known.end < keep_from);
        let forgotten = forgotten.min(self.stretches.len() - 1);
        self.stretches.drain(..forgotten);
    }
}

/// The number of the first edge of a window that begins at an instant: of the windows that were announced and are not open any
/// more `former` has the last beginning, and how many edges of one were announced at most.
pub(super) fn next_edge(former: Option<(Timestamp, u32)>, start: Timestamp) -> u32 {
    former.filter(|(last, _)| start <= *last).map_or(0, |(_, edges)| edges)
}

/// With a window more that is not open any more.
pub(super) fn with_former(former: Option<(Timestamp, u32)>, start: Timestamp, edges: u32) -> (Timestamp, u32) {
    let (last, most) = former.unwrap_or((start, edges));
    (last.max(start), most.max(edges))
}

/// Where a stretch ends when inbound events before `cut` count for nothing from `cut` on.
#[must_use]
pub fn end_with_cut(span: Span, cut: Option<Timestamp>) -> Timestamp {
    match cut {
        Some(cut) if cut > span.start && span.end - SERVICE_WINDOW < cut => span.end.min(cut),
        _ => span.end,
    }
}

impl Present {
    fn opened(span: Span, event: EventId, kind: InboundKind) -> Self {
        Self {
            opened_at: span.start,
            refreshed_at: span.start,
            expires_at: span.end,
            opened_by: event,
            opened_by_kind: kind,
            inbound_count: 1,
            outbound_count: 0,
            first_response_at: None,
            revision: 0,
            alerted_for: None,
            seen: vec![event],
        }
    }

    /// Takes in what another window of the same person has counted.
    fn take_in(&mut self, other: Self) {
        if other.opened_at < self.opened_at {
            (self.opened_at, self.opened_by, self.opened_by_kind) =
                (other.opened_at, other.opened_by, other.opened_by_kind);
        }
        self.refreshed_at = self.refreshed_at.max(other.refreshed_at);
        self.expires_at = self.expires_at.max(other.expires_at);
        self.inbound_count = self.inbound_count.saturating_add(other.inbound_count);
        self.outbound_count = self.outbound_count.saturating_add(other.outbound_count);
        let answered = [self.first_response_at, other.first_response_at];
        self.first_response_at = answered.into_iter().flatten().min();
        self.seen.extend(other.seen);
        self.seen.drain(..self.seen.len().saturating_sub(SEEN));
    }

    fn count_inbound(&mut self, event: EventId) {
        self.inbound_count += 1;
        if self.seen.len() == SEEN {
            self.seen.remove(0);
        }
        self.seen.push(event);
    }

    /// Counts a message of the business sent at an instant inside the window.
    pub fn count_outbound(&mut self, sent_at: Timestamp) {
        if sent_at >= self.opened_at && sent_at < self.expires_at {
            self.outbound_count += 1;
            self.first_response_at = Some(self.first_response_at.map_or(sent_at, |first| first.min(sent_at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_790_812_800_000).expect("in range") + Millis::hours(hours)
    }

    fn inbound(window: &mut ServiceWindow, hours: i64) -> Moved {
        let event = EventId([u8::try_from(hours).expect("small"); 16]);
        window.inbound(at(hours), event, InboundKind::Message, at(hours) - REMEMBERED)
    }

    #[test]
    fn the_window_is_open_for_24_hours_and_not_a_millisecond_more() {
        let mut window = ServiceWindow::default();
        assert_eq!(inbound(&mut window, 2), Moved::Opened);
        assert_eq!(window.at(at(2) - Millis(1), None), WindowAt::Never);
        assert!(matches!(window.at(at(26) - Millis(1), None), WindowAt::Open(_)));
        assert_eq!(window.at(at(26), None), WindowAt::Closed(at(26)));
    }

    #[test]
    fn a_latecomer_never_shortens_the_window() {
        let mut window = ServiceWindow::default();
        inbound(&mut window, 10);
        assert_eq!(inbound(&mut window, 5), Moved::Corrected(at(10)));
        assert_eq!(window.present().map(|present| (present.opened_at, present.expires_at)), Some((at(5), at(34))));
        assert_eq!(inbound(&mut window, 7), Moved::Nothing);
        assert!(matches!(window.at(at(33), None), WindowAt::Open(span) if span.end == at(34)));
        assert!(matches!(window.at(at(6), None), WindowAt::Open(_)), "the past is known better than before");
    }

    #[test]
    fn the_same_event_twice_is_one_event() {
        let mut window = ServiceWindow::default();
        inbound(&mut window, 1);
        inbound(&mut window, 2);
        assert_eq!(inbound(&mut window, 1), Moved::Nothing);
        assert_eq!(window.present().map(|present| present.inbound_count), Some(2));
    }

    #[test]
    fn what_arrives_after_the_end_opens_a_window_of_its_own() {
        let mut window = ServiceWindow::default();
        inbound(&mut window, 0);
        assert!(matches!(inbound(&mut window, 24), Moved::Reopened(old) if old.expires_at == at(24)));
        assert!(matches!(window.at(at(24), None), WindowAt::Open(_)));
    }

    #[test]
    fn a_latecomer_inside_a_window_that_is_gone_is_no_news() {
        let mut window = ServiceWindow::default();
        inbound(&mut window, 10);
        window.close();
        assert_eq!(inbound(&mut window, 5), Moved::Nothing);
        assert_eq!(inbound(&mut window, 40), Moved::Opened);
    }

    #[test]
    fn a_window_that_a_latecomer_keeps_open_is_the_one_that_was_closed() {
        let mut window = ServiceWindow::default();
        inbound(&mut window, 10);
        let closed = window.close().expect("it was open");
        assert_eq!(inbound(&mut window, 20), Moved::Corrected(at(10)));
        let present = window.present().expect("it is open again");
        assert_eq!((present.opened_at, present.expires_at), (at(10), at(44)));
        assert!(present.revision > closed.revision, "no edge of it has the number of another");
    }

    #[test]
    fn what_came_before_coexistence_opens_nothing_after_it() {
        let mut window = ServiceWindow::default();
        inbound(&mut window, 0);
        let cut = Some(at(1));
        assert!(matches!(window.at(at(1) - Millis(1), cut), WindowAt::Open(_)));
        assert_eq!(window.at(at(1), cut), WindowAt::Closed(at(1)));
        inbound(&mut window, 2);
        assert!(matches!(window.at(at(3), cut), WindowAt::Open(span) if span.end == at(26)));
    }
}
