//! What is remembered of one contact: windows, consent, and what is still on its way to them.
//!
//! Everything here is changed by `fold` alone, and asked by `verdict` and `billing`.

use super::conversation::Conversations;
use super::entry_point::EntryPoint;
use super::id::{AliasHash, ContactKey, MessageKey, ScopedUserId, WaId};
use super::identity::{Alias, Chain, Rank};
use super::pair::Burst;
use super::rules::markets::Origin;
use super::time::{Millis, Timestamp};
use super::window::ServiceWindow;

/// One contact of one business phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Its name on outputs, made of the best of its aliases.
    pub key: ContactKey,
    /// What kind of alias that is.
    pub rank: Rank,
    /// All its aliases; nothing while it has only ever had the one that its key is made of.
    pub chain: Option<Box<Chain>>,
    /// How many edges of one window have been announced at most under keys that it is not called by now. Edges are numbered on
    /// from there, because it may be called again what it was called once.
    pub edges_before: u32,
    /// Where it is now, as far as the market map needs to know.
    pub origin: Origin,
    /// Whether it is a group: any participant's message opens the window for the whole group (GRP).
    pub is_group: bool,
    /// Its personal ids, kept only where the deployment publishes them.
    pub clear: Option<Clear>,
    /// The customer service window.
    pub window: ServiceWindow,
    /// The free entry point.
    pub entry: EntryPoint,
    /// The conversations that were charged until 2025-06-30.
    pub conversations: Conversations,
    /// What the contact has agreed to, or refused.
    pub consent: Consent,
    /// The last template sent while no service window was open.
    pub last_template_outside: Option<Timestamp>,
    /// When the platform last held marketing back because the person has had enough of it (131049).
    pub capped_at: Option<Timestamp>,
    /// When it last held marketing back for an experiment (130472).
    pub held_out_at: Option<Timestamp>,
    /// What the platform has refused to deliver to them, the latest of each kind, until something shows that it is over.
    pub refusals: Vec<Refusal>,
    /// The last messages to the person, as far as the pair's rate depends on them.
    pub burst: Option<Burst>,
    /// When the last message was sent, as far as is known: what happened after it disturbs none.
    pub last_sent: Option<Timestamp>,
    /// Messages on their way, with the end of their time to live.
    pub pending: Vec<(Timestamp, MessageKey)>,
    /// The instant this contact's timer is set for.
    pub armed: Option<Timestamp>,
}

/// The platform has refused to deliver something, for a reason that may hold for the next message too (rules.md 3.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub why: RefusedFor,
    /// When.
    pub at: Timestamp,
}

/// Why the platform refuses to deliver to a person. Stored under these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedFor {
    /// They cannot be reached: not on `WhatsApp`, an old client, have blocked the business (131026).
    Undeliverable = 0,
    /// The business has blocked them (130403).
    Blocked = 1,
    /// The platform says that the service window is closed (131047).
    WindowClosed = 2,
    /// The number is a test number, and they are not on its list (131030).
    NotAllowed = 3,
    /// Another responder has the thread with them (131070).
    Routed = 4,
    /// They are the number itself (131021).
    Itself = 5,
}

impl RefusedFor {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Undeliverable, Self::Blocked, Self::WindowClosed, Self::NotAllowed, Self::Routed, Self::Itself];

    /// Whether it is over once the person has written: who writes can be reached, and is somebody else than the number. That
    /// they may be written to by a test number, or that the thread is handed over, does not follow.
    #[must_use]
    pub const fn is_over_by_writing(self) -> bool {
        match self {
            Self::Undeliverable | Self::Blocked | Self::WindowClosed | Self::Itself => true,
            Self::NotAllowed | Self::Routed => false,
        }
    }
}

/// Personal ids, published only under `identity = clear`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clear {
    /// The phone number.
    pub phone: Option<WaId>,
    /// The business-scoped id.
    pub scoped: Option<ScopedUserId>,
}

/// What a contact has agreed to, or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// To be written to at all, as the business recorded it.
    pub all: Option<Choice>,
    /// To be sent marketing.
    pub marketing: Option<Choice>,
}

/// One choice, the latest made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Agreed, or refused.
    pub given: bool,
    /// When.
    pub at: Timestamp,
    /// Where it was learned.
    pub source: ConsentSource,
}

/// Where a choice was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentSource {
    /// `WhatsApp`'s own settings.
    Preference,
    /// The platform refused a message for it (error 131050).
    PlatformError,
    /// The business says so, in its own word.
    Business(Box<str>),
}

impl ConsentSource {
    /// The name on outputs.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Preference => "user_preferences",
            Self::PlatformError => "platform_error",
            Self::Business(word) => word,
        }
    }
}

impl Contact {
    /// A contact nothing is known of but who it is.
    #[must_use]
    pub fn new(key: ContactKey, rank: Rank, origin: Origin) -> Self {
        Self {
            key,
            rank,
            chain: None,
            edges_before: 0,
            origin,
            is_group: rank == Rank::Group,
            clear: None,
            window: ServiceWindow::default(),
            entry: EntryPoint::default(),
            conversations: Conversations::default(),
            consent: Consent::default(),
            last_template_outside: None,
            capped_at: None,
            held_out_at: None,
            refusals: Vec::new(),
            burst: None,
            last_sent: None,
            pending: Vec::new(),
            armed: None,
        }
    }

    /// Takes note of a refusal.
    pub fn refuse(&mut self, why: RefusedFor, at: Timestamp) {
        let known = self.refusals.iter().find(|known| known.why == why).map(|known| known.at);
        self.refusals.retain(|known| known.why != why);
        self.refusals.push(Refusal { why, at: known.max(Some(at)).unwrap_or(at) });
    }

    /// A delivery at an instant shows that what was refused before it can be delivered again.
    pub fn is_reached(&mut self, at: Timestamp) {
        self.refusals.retain(|known| known.at > at);
    }

    /// The person wrote at an instant, which shows that of some of it.
    pub fn has_written(&mut self, at: Timestamp) {
        self.refusals.retain(|known| known.at > at || !known.why.is_over_by_writing());
    }

    /// The aliases of a person.
    #[must_use]
    pub fn names(&self) -> Vec<Alias> {
        match &self.chain {
            Some(chain) => chain.present().map(|join| join.alias).collect(),
            None => vec![Alias { rank: self.rank, hash: AliasHash(self.key.0) }],
        }
    }

    /// Where it was at an instant.
    #[must_use]
    pub fn origin_at(&self, at: Timestamp) -> Origin {
        let then = self.chain.as_ref().map(|chain| chain.origin_at(at));
        then.filter(|origin| *origin != Origin::Unknown).unwrap_or(self.origin)
    }

    /// Whether it is known by an alias of a kind.
    #[must_use]
    pub fn is_known_by(&self, rank: Rank) -> bool {
        self.chain.as_ref().map_or(self.rank == rank, |chain| chain.has_rank(rank))
    }

    /// Whether the phone number may be somebody else's than it was, so that it cannot be told whose windows these are.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.unsettled.is_some())
    }

    /// When something about this contact is due even if nothing happens. `lead` is how long before its end a
    /// window is announced to be closing.
    #[must_use]
    pub fn deadline(&self, lead: Option<Millis>) -> Option<Timestamp> {
        let due = |end: Timestamp, alerted_for: Option<Timestamp>| match lead {
            Some(lead) if alerted_for != Some(end) => end - lead,
            _ => end,
        };
        let window = self.window.present().map(|present| due(present.expires_at, present.alerted_for));
        let eligible = self.entry.eligible.as_ref().map(|click| due(click.deadline, click.alerted_for));
        let free = self.entry.open.as_ref().map(|open| due(open.span.end, open.alerted_for));
        let pending = self.pending.iter().map(|(due, _)| *due).min();
        let (conversation, forgotten) = (self.conversations.deadline(), self.entry.forgotten_at());
        [window, eligible, free, conversation, forgotten, pending].into_iter().flatten().min()
    }
}

impl Clear {
    /// Takes in the ids of a contact that turns out to be the same. Of two scoped ids the smaller one is published, so that
    /// it does not depend on the order in which they were learned.
    pub fn absorb(&mut self, other: Self) {
        self.phone = self.phone.take().or(other.phone);
        self.scoped = match (self.scoped.take(), other.scoped) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }
}

impl Consent {
    /// Takes in the choices of a contact that turns out to be the same.
    pub fn absorb(&mut self, other: Self) {
        for (known, choice) in [(&mut self.all, other.all), (&mut self.marketing, other.marketing)] {
            if let Some(choice) = choice {
                Self::choose(known, choice);
            }
        }
    }

    /// What of it is a refusal.
    #[must_use]
    pub fn refused(&self) -> Self {
        let refused = |choice: &Option<Choice>| choice.clone().filter(|choice| !choice.given);
        Self { all: refused(&self.all), marketing: refused(&self.marketing) }
    }

    /// What of it holds for whoever has the phone number next: that marketing is not wanted there.
    #[must_use]
    pub fn inherited(&self) -> Option<Choice> {
        let Self { all, marketing } = self.refused();
        marketing.or(all)
    }

    /// Takes note of a choice; a later one is never undone by an earlier one.
    pub fn choose(known: &mut Option<Choice>, choice: Choice) -> bool {
        // Of two made at one instant the refusal counts, whichever was heard of first.
        let newer = known.as_ref().is_none_or(|known| (known.at, !known.given) < (choice.at, !choice.given));
        let changed = newer && known.as_ref().is_none_or(|known| known.given != choice.given);
        if newer {
            *known = Some(choice);
        }
        changed
    }
}
