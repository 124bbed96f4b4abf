//! Contacts that turn out to be one, that are called otherwise, or that are to be forgotten.

use std::sync::Arc;

use super::tell::{closed_click, closed_free, conversation_edge, service_edge};
use super::{Contact, Context, Event, Fold, Moved, Number};
use crate::domain::effect::{CloseReason, Effect, Transition, What, WindowEdge};
use crate::domain::id::ContactKey;
use crate::domain::identity::Rank;
use crate::domain::pair::Burst;
use crate::domain::reference::Account;
use crate::domain::rules::markets::Origin;

/// What a contact is called, as its names have it.
#[derive(Clone, Copy, Debug)]
pub struct Called {
    /// Its key.
    pub key: ContactKey,
    /// What kind of name that is made of.
    pub rank: Rank,
    /// Where it is.
    pub origin: Origin,
}

/// Makes one contact of several, or calls one otherwise. What was announced under a key that is gone is closed under it,
/// and announced under the new one. What happened to each happened to all: where there are several, all messages to them
/// are to be given to [`super::look_back`] then.
#[must_use]
pub fn unite(
    context: &Context<'_>,
    event: &Event,
    account: &Arc<Account>,
    number: &mut Number,
    (first, others): (Contact, Vec<Contact>),
    called: Called,
    effects: &mut Vec<Effect>,
) -> Contact {
    let mut fold = Fold::new(context, event.id, event.occurred_at, account, number, effects);
    let is_merge = !others.is_empty();
    let (mut base, mut rest) = (first, others);
    // Who has the key already keeps what was announced under it.
    if base.key != called.key
        && let Some(keeper) = rest.iter_mut().find(|other| other.key == called.key)
    {
        std::mem::swap(&mut base, keeper);
    }
    let renamed = base.key != called.key;
    for contact in rest.iter_mut().chain(renamed.then_some(&mut base)) {
        fold.retire(contact, CloseReason::IdentityMerged);
    }
    (base.key, base.rank, base.origin) = (called.key, called.rank, called.origin);
    let mut news = Vec::new();
    for other in rest {
        news.push(base.absorb(other));
    }
    if renamed {
        fold.tell_service(&mut base, Transition::Opened);
    } else {
        for moved in news {
            fold.tell_moved(&mut base, moved);
        }
    }
    if !is_merge {
        fold.work_out(&mut base, context.partition_time);
        fold.tell_conversations(&mut base, context.partition_time);
    }
    fold.moved = true;
    fold.tell_state(&base);
    base
}

/// Closes everything that was announced of a contact that is to be forgotten.
pub fn erase(
    context: &Context<'_>,
    event: &Event,
    account: &Arc<Account>,
    number: &mut Number,
    contact: &mut Contact,
    effects: &mut Vec<Effect>,
) {
    // What says that somebody is to be forgotten does not say who they are.
    contact.clear = None;
    let mut fold = Fold::new(context, event.id, event.occurred_at, account, number, effects);
    if !fold.retire(contact, CloseReason::Erased) {
        fold.tell(Some(contact), What::State(None));
    }
}

impl Fold<'_, '_> {
    /// Closes what was announced under a contact's key, because it is not called so any more, and takes its row out of the
    /// table of windows; `false` if there was none.
    fn retire(&mut self, contact: &mut Contact, reason: CloseReason) -> bool {
        let mut edges = Vec::new();
        if let Some(present) = contact.window.present() {
            let at = self.at.max(present.opened_at);
            let edge = service_edge(Self::service_kind(contact), present, Transition::Closed, None);
            edges.push((at, WindowEdge { closed_at: Some(at), reason: Some(reason), ..edge }));
        }
        if let Some(click) = &contact.entry.eligible {
            let at = self.at.max(click.clicked_at);
            edges.push((at, closed_click(click, at, reason)));
        }
        if let Some(open) = &contact.entry.open {
            let at = self.at.max(open.span.start);
            edges.push((at, closed_free(open, at, reason)));
        }
        let refused = contact.consent.refused();
        let was_shown = !edges.is_empty() || refused.all.is_some() || refused.marketing.is_some();
        let (open, edges_of_conversations) = contact.conversations.announce_anew();
        for open in open {
            let at = self.at.max(open.span.start);
            edges.push((at, conversation_edge(&open, Transition::Closed, Some((at, reason)))));
        }
        for (at, edge) in edges {
            self.tell_edge(contact, at, edge);
        }
        let told = contact.window.announce_anew().max(contact.entry.announce_anew()).max(edges_of_conversations);
        contact.edges_before = contact.edges_before.saturating_add(told);
        if was_shown {
            self.tell(Some(contact), What::State(None));
        }
        was_shown
    }

    /// Announces what became of the present window.
    pub(super) fn tell_moved(&mut self, contact: &mut Contact, moved: Moved) {
        match moved {
            Moved::Nothing => {}
            Moved::Opened => self.tell_service(contact, Transition::Opened),
            Moved::Refreshed => self.tell_service(contact, Transition::Refreshed),
            Moved::Corrected(former) => self.tell_corrected(contact, former),
            Moved::Reopened(old) => {
                self.tell_closed(contact, &old);
                self.tell_service(contact, Transition::Opened);
            }
        }
    }
}

impl Contact {
    /// Takes in what happened to a contact that turns out to be the same, and of which nothing stays announced. Says what
    /// that does to the present window.
    fn absorb(&mut self, other: Self) -> Moved {
        let Self {
            key: _,
            rank: _,
            chain: _,
            edges_before,
            origin: _,
            is_group: _,
            clear,
            window,
            entry,
            conversations,
            consent,
            last_template_outside,
            capped_at,
            held_out_at,
            burst,
            refusals,
            last_sent,
            pending,
            armed: _,
        } = other;
        if let Some(clear) = clear {
            self.clear.get_or_insert_default().absorb(clear);
        }
        self.edges_before = self.edges_before.max(edges_before);
        self.entry.absorb(entry);
        self.conversations.absorb(conversations);
        self.consent.absorb(consent);
        self.last_template_outside = self.last_template_outside.max(last_template_outside);
        self.capped_at = self.capped_at.max(capped_at);
        self.held_out_at = self.held_out_at.max(held_out_at);
        // Of two bursts the later one is what holds the next message back.
        self.burst = [self.burst, burst].into_iter().flatten().max_by_key(Burst::paid_off);
        for refusal in refusals {
            self.refuse(refusal.why, refusal.at);
        }
        self.last_sent = self.last_sent.max(last_sent);
        self.pending.extend(pending);
        self.window.absorb(window)
    }
}
