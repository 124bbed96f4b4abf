//! Conversations: what the platform charged for from 2022-02-01 to 2025-06-30 (rules.md 1.3 to 1.5).
//!
//! A delivered message opens a conversation or joins one that is open. Which of the two depends on all
//! deliveries before it, so the deliveries are kept, in their order, and the conversations are worked out
//! from them: whatever the order in which reports arrive, the same deliveries give the same conversations.

use super::content::Category;
use super::entry_point::EntryPoint;
use super::id::MessageKey;
use super::rules::eras::CONVERSATION;
use super::time::{Millis, Span, Timestamp};

/// How far back deliveries are kept: reports arrive up to seven days late, and a conversation is a day long.
const REMEMBERED: Millis = Millis::days(9);

/// The kinds of conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ConversationKind {
    /// Begun by the business (until 2023-05-31).
    BusinessInitiated,
    /// Begun by the business's answer to a person (until 2023-05-31).
    UserInitiated,
    /// Opened by a marketing template.
    Marketing,
    /// Opened by a marketing template sent through the Marketing Messages API.
    MarketingLite,
    /// Opened by a utility template.
    Utility,
    /// Opened by an authentication template.
    Authentication,
    /// Opened by a message that is no template.
    Service,
}

impl ConversationKind {
    /// All kinds, in the order of their numbers in stored records.
    const ALL: [Self; 7] = [
        Self::BusinessInitiated,
        Self::UserInitiated,
        Self::Marketing,
        Self::MarketingLite,
        Self::Utility,
        Self::Authentication,
        Self::Service,
    ];

    /// The kind that a template of a category, or the platform's name for a conversation, means.
    #[must_use]
    pub const fn of(category: &Category) -> Option<Self> {
        match category {
            Category::BusinessInitiated => Some(Self::BusinessInitiated),
            Category::UserInitiated => Some(Self::UserInitiated),
            Category::Marketing => Some(Self::Marketing),
            Category::MarketingLite => Some(Self::MarketingLite),
            Category::Utility => Some(Self::Utility),
            // At which rate a passcode is charged makes no conversation of its own.
            Category::Authentication | Category::AuthenticationInternational => Some(Self::Authentication),
            Category::Service => Some(Self::Service),
            Category::Notification
            | Category::ReferralConversion
            | Category::GeneralPurposeAi
            | Category::Tokens
            | Category::Call
            | Category::GroupMarketing
            | Category::GroupUtility
            | Category::GroupService
            | Category::Unknown(_) => None,
        }
    }

    /// Whether it is told from others by who began it.
    #[must_use]
    pub const fn is_by_initiator(self) -> bool {
        matches!(self, Self::BusinessInitiated | Self::UserInitiated)
    }

    /// The category a conversation is charged in.
    #[must_use]
    pub const fn category(self) -> Category {
        match self {
            Self::BusinessInitiated => Category::BusinessInitiated,
            Self::UserInitiated => Category::UserInitiated,
            Self::Marketing => Category::Marketing,
            Self::MarketingLite => Category::MarketingLite,
            Self::Utility => Category::Utility,
            Self::Authentication => Category::Authentication,
            Self::Service => Category::Service,
        }
    }

    /// The name of its window on outputs and in ids.
    #[must_use]
    pub const fn window(self) -> &'static str {
        match self {
            Self::BusinessInitiated => "conversation/business_initiated",
            Self::UserInitiated => "conversation/user_initiated",
            Self::Marketing => "conversation/marketing",
            Self::MarketingLite => "conversation/marketing_lite",
            Self::Utility => "conversation/utility",
            Self::Authentication => "conversation/authentication",
            Self::Service => "conversation/service",
        }
    }

    /// The kind by its number, as stored records keep it.
    #[must_use]
    pub fn from_index(index: u8) -> Option<Self> {
        Self::ALL.get(usize::from(index)).copied()
    }
}

/// What a message asks of the conversations it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// The kind it joins, and opens if none is open.
    pub kind: ConversationKind,
    /// Whether it joins a conversation of any kind.
    pub any: bool,
    /// Whether it opens one. A utility template does not after 2025-06-30, but joins one that is still open.
    pub opens: bool,
}

/// What a delivered message is to the conversations of its contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It opened one.
    Opened(ConversationKind),
    /// It belongs to one that was open.
    Joined(ConversationKind),
}

impl Role {
    /// The conversation's kind.
    #[must_use]
    pub const fn kind(self) -> ConversationKind {
        match self {
            Self::Opened(kind) | Self::Joined(kind) => kind,
        }
    }
}

/// A delivered message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When it was delivered.
    pub at: Timestamp,
    /// Which message.
    pub message: MessageKey,
    /// What it asks.
    pub wants: Wants,
    /// What it is; nothing in an entry point's window, and where nothing is open for it to join.
    pub role: Option<Role>,
}

/// A conversation as announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its kind.
    pub kind: ConversationKind,
    /// From when to when it is open.
    pub span: Span,
    /// How many edges have been announced.
    pub revision: u32,
    /// Whether its end has been announced.
    pub closed: bool,
    /// Whether it has been announced never to have been.
    pub withdrawn: bool,
}

/// What changed in what is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// It opened.
    Opened(Announced),
    /// Its end is another than announced.
    EndMoved(Announced),
    /// It has ended: its time ran out, or an entry point took its place.
    Closed(Announced),
    /// It never was: another conversation was open, as a late report shows.
    Withdrawn(Announced),
}

/// The conversations of one contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversations {
    /// Deliveries, ascending by instant and message.
    deliveries: Vec<Delivery>,
    /// Conversations as announced, ascending by start and kind.
    announced: Vec<Announced>,
}

impl Conversations {
    /// Conversations as a stored record describes them.
    #[must_use]
    pub const fn restore(deliveries: Vec<Delivery>, announced: Vec<Announced>) -> Self {
        Self { deliveries, announced }
    }

    /// The deliveries.
    #[must_use]
    pub fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// The conversations as announced.
    #[must_use]
    pub fn announced(&self) -> &[Announced] {
        &self.announced
    }

    /// Whether nothing is remembered, as of every contact since conversations are not charged any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deliveries.is_empty() && self.announced.is_empty()
    }

    /// The conversations that are announced to be open were announced of another contact: they are to be announced anew.
    /// Returns them as they were, and how many edges of one have been announced at most when their ends have been.
    pub fn announce_anew(&mut self) -> (Vec<Announced>, u32) {
        let (open, over): (Vec<_>, Vec<_>) =
            self.announced.drain(..).partition(|known| !known.closed && !known.withdrawn);
        self.announced = over;
        let edges = open.iter().map(|known| known.revision + 1).max().unwrap_or_default();
        (open, edges)
    }

    /// Takes in the conversations of a contact that turns out to be the same. What each message is has to be worked out
    /// again.
    pub fn absorb(&mut self, other: Self) {
        self.deliveries.extend(other.deliveries);
        self.deliveries.sort_by_key(|delivery| (delivery.at, delivery.message));
        for over in other.announced {
            let known = |known: &Announced| (known.span.start, known.kind) == (over.span.start, over.kind);
            if !self.announced.iter().any(known) {
                self.announced.push(over);
            }
        }
        self.announced.sort_by_key(|known| (known.span.start, known.kind));
    }

    /// What a message is.
    #[must_use]
    pub fn role(&self, message: MessageKey) -> Option<Role> {
        self.deliveries.iter().find(|delivery| delivery.message == message)?.role
    }

    /// Takes note of a delivery, or that it is none of these any more (`wants` is nothing), and works out again what
    /// each message is. Returns the other messages that are something else now.
    pub fn note(
        &mut self,
        at: Timestamp,
        message: MessageKey,
        wants: Option<Wants>,
        entry: &EntryPoint,
        partition_time: Timestamp,
    ) -> Vec<MessageKey> {
        let former = self.deliveries.iter().position(|delivery| delivery.message == message);
        let role = former.and_then(|index| self.deliveries.remove(index).role);
        if let Some(wants) = wants {
            let place = self.deliveries.partition_point(|known| (known.at, known.message) < (at, message));
            self.deliveries.insert(place, Delivery { at, message, wants, role });
        }
        let mut changed = self.assign(entry);
        changed.retain(|other| *other != message);
        self.deliveries.retain(|known| known.at >= partition_time - REMEMBERED || known.message == message);
        changed
    }

    /// Works out again what each message is, because the entry point's windows have changed. Returns the messages that
    /// are something else now.
    pub fn assign(&mut self, entry: &EntryPoint) -> Vec<MessageKey> {
        let mut changed = Vec::new();
        for index in 0..self.deliveries.len() {
            let (before, rest) = self.deliveries.split_at_mut(index);
            let Some(delivery) = rest.first_mut() else {
                break;
            };
            let covered = entry.covers(delivery.at, delivery.message);
            let role = place(before, delivery.at, delivery.wants, covered, entry);
            if delivery.role != role {
                delivery.role = role;
                changed.push(delivery.message);
            }
        }
        changed
    }

    /// What a message would be that is delivered at an instant and is not among the deliveries, or is to be taken for
    /// another.
    #[must_use]
    pub fn would_be(
        &self,
        at: Timestamp,
        message: Option<MessageKey>,
        wants: Wants,
        entry: &EntryPoint,
    ) -> Option<Role> {
        let end = self.deliveries.partition_point(|known| match message {
            Some(message) => (known.at, known.message) < (at, message),
            None => known.at <= at,
        });
        let covered = message.map_or(entry.at(at).is_some(), |message| entry.covers(at, message));
        place(&self.deliveries[..end], at, wants, covered, entry)
    }

    /// Whether a conversation was open at an instant before a message was delivered. An entry point that opens at that
    /// very instant does not count: whether it does is what is asked.
    #[must_use]
    pub fn is_open_before(&self, at: Timestamp, message: MessageKey, entry: &EntryPoint) -> bool {
        let end = self.deliveries.partition_point(|known| (known.at, known.message) < (at, message));
        self.deliveries[..end].iter().any(|delivery| {
            let open = delivery.at <= at && at < delivery.at + CONVERSATION;
            let cut = entry.starts().any(|cut| delivery.at < cut && cut < at);
            matches!(delivery.role, Some(Role::Opened(_))) && open && !cut
        })
    }

    /// The conversations as they are, ascending by start and kind.
    fn conversations<'a>(&'a self, entry: &'a EntryPoint) -> impl Iterator<Item = (ConversationKind, Span)> + 'a {
        self.deliveries.iter().filter_map(|delivery| match delivery.role? {
            Role::Opened(kind) => Some((kind, span_of(delivery.at, entry))),
            Role::Joined(_) => None,
        })
    }

    /// Brings what is announced in line with what is, and tells the edges, in order.
    pub fn announce(&mut self, entry: &EntryPoint, now: Timestamp, partition_time: Timestamp) -> Vec<Edge> {
        let mut edges = Vec::new();
        let present: Vec<(ConversationKind, Span)> = self.conversations(entry).collect();
        self.announced.retain(|known| known.span.start >= partition_time - REMEMBERED);
        for known in &mut self.announced {
            let found = present.iter().find(|(kind, span)| (*kind, span.start) == (known.kind, known.span.start));
            let edge = match (found, known.withdrawn) {
                (None, false) => {
                    known.withdrawn = true;
                    Edge::Withdrawn(*known)
                }
                (Some((_, span)), true) => {
                    (known.span, known.closed, known.withdrawn) = (*span, false, false);
                    Edge::Opened(*known)
                }
                (Some((_, span)), false) if span.end != known.span.end => {
                    // One that was announced to have ended may be open again.
                    (known.span, known.closed) = (*span, known.closed && span.end <= now);
                    Edge::EndMoved(*known)
                }
                (None, true) | (Some(_), false) => continue,
            };
            edges.push(edge);
            known.revision += 1;
        }
        for (kind, span) in present {
            let known = self.announced.iter().any(|known| (known.kind, known.span.start) == (kind, span.start));
            if known || span.start < partition_time - REMEMBERED {
                continue;
            }
            let opened = Announced { kind, span, revision: 0, closed: false, withdrawn: false };
            edges.push(Edge::Opened(opened));
            let place = self.announced.partition_point(|known| (known.span.start, known.kind) < (span.start, kind));
            self.announced.insert(place, Announced { revision: 1, ..opened });
        }
        let over = |known: &&mut Announced| !known.closed && !known.withdrawn && known.span.end <= now;
        for known in self.announced.iter_mut().filter(over) {
            known.closed = true;
            edges.push(Edge::Closed(*known));
            known.revision += 1;
        }
        edges
    }

    /// When the next conversation ends whose end has not been announced.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.announced.iter().filter(|known| !known.closed && !known.withdrawn).map(|known| known.span.end).min()
    }
}

/// The span of a conversation that opened at an instant: an entry point that opens within it ends it (CBP).
fn span_of(start: Timestamp, entry: &EntryPoint) -> Span {
    let end = start + CONVERSATION;
    let cut = entry.starts().filter(|cut| start < *cut && *cut < end).min();
    Span { start, end: cut.unwrap_or(end) }
}

/// The conversations open at an instant, the latest first.
fn open_at<'a>(
    deliveries: &'a [Delivery],
    at: Timestamp,
    entry: &'a EntryPoint,
) -> impl Iterator<Item = ConversationKind> + 'a {
    deliveries.iter().rev().filter_map(move |delivery| match delivery.role? {
        Role::Opened(kind) if span_of(delivery.at, entry).contains(at) => Some(kind),
        Role::Opened(_) | Role::Joined(_) => None,
    })
}

/// What a message delivered at an instant is, behind the deliveries before it; `covered` says that it lies in an entry
/// point's window.
fn place(before: &[Delivery], at: Timestamp, wants: Wants, covered: bool, entry: &EntryPoint) -> Option<Role> {
    if covered {
        return None;
    }
    match open_at(before, at, entry).find(|kind| wants.any || *kind == wants.kind) {
        Some(kind) => Some(Role::Joined(kind)),
        None => wants.opens.then_some(Role::Opened(wants.kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_690_848_000_000).expect("in range") + Millis::hours(hours)
    }

    fn message(name: u8) -> MessageKey {
        MessageKey([name; 16])
    }

    fn template(kind: ConversationKind) -> Wants {
        Wants { kind, any: false, opens: true }
    }

    const TEXT: Wants = Wants { kind: ConversationKind::Service, any: true, opens: true };

    /// The deliveries of a day, in one order; what each is must not depend on it.
    const DAY: [(i64, u8, Wants); 5] = [
        (0, 1, TEXT),
        (2, 2, Wants { kind: ConversationKind::Utility, any: false, opens: true }),
        (3, 3, TEXT),
        (24, 4, TEXT),
        (27, 5, TEXT),
    ];

    fn told(order: &[usize]) -> Vec<Option<Role>> {
        let (mut conversations, entry) = (Conversations::default(), EntryPoint::default());
        for index in order {
            let (hours, name, wants) = DAY[*index];
            conversations.note(at(hours), message(name), Some(wants), &entry, at(0));
        }
        DAY.iter().map(|(_, name, _)| conversations.role(message(*name))).collect()
    }

    #[test]
    fn text_joins_the_conversation_opened_last_and_opens_one_where_none_is() {
        let expected = [
            Some(Role::Opened(ConversationKind::Service)),
            Some(Role::Opened(ConversationKind::Utility)),
            Some(Role::Joined(ConversationKind::Utility)),
            Some(Role::Joined(ConversationKind::Utility)),
            Some(Role::Opened(ConversationKind::Service)),
        ];
        assert_eq!(told(&[0, 1, 2, 3, 4]), expected);
    }

    #[test]
    fn the_order_of_reports_changes_nothing() {
        let in_order = told(&[0, 1, 2, 3, 4]);
        for order in [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 0, 3, 2, 4], [3, 4, 0, 2, 1]] {
            assert_eq!(told(&order), in_order, "{order:?}");
        }
    }

    #[test]
    fn a_late_delivery_says_which_messages_are_something_else_now() {
        let (mut conversations, entry) = (Conversations::default(), EntryPoint::default());
        let marketing = template(ConversationKind::Marketing);
        assert!(conversations.note(at(5), message(2), Some(marketing), &entry, at(5)).is_empty());
        assert_eq!(conversations.note(at(0), message(1), Some(marketing), &entry, at(5)), [message(2)]);
        assert_eq!(conversations.role(message(2)), Some(Role::Joined(ConversationKind::Marketing)));
        assert_eq!(conversations.note(at(0), message(1), None, &entry, at(5)), [message(2)]);
        assert_eq!(conversations.role(message(2)), Some(Role::Opened(ConversationKind::Marketing)));
    }

    #[test]
    fn what_is_announced_follows_what_is() {
        let (mut conversations, entry) = (Conversations::default(), EntryPoint::default());
        let marketing = template(ConversationKind::Marketing);
        conversations.note(at(5), message(2), Some(marketing), &entry, at(5));
        let edges = conversations.announce(&entry, at(5), at(5));
        assert!(matches!(edges[..], [Edge::Opened(opened)] if opened.span == Span::from(at(5), CONVERSATION)));
        assert_eq!(conversations.deadline(), Some(at(29)));
        conversations.note(at(0), message(1), Some(marketing), &entry, at(6));
        let edges = conversations.announce(&entry, at(6), at(6));
        assert!(matches!(edges[..], [Edge::Withdrawn(was), Edge::Opened(is)]
            if was.span.start == at(5) && is.span.start == at(0)));
        let edges = conversations.announce(&entry, at(24), at(24));
        assert!(matches!(edges[..], [Edge::Closed(closed)] if closed.span.end == at(24)));
        assert!(conversations.announce(&entry, at(25), at(25)).is_empty());
    }
}
