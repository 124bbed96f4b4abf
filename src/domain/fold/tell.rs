//! What the world is told of a fold: edges of windows, what a contact's windows are, outcomes of sends.

use std::sync::Arc;

use super::{Fold, NO_EVENT};
use crate::domain::billing::Agreement;
use crate::domain::contact::{Choice, Contact};
use crate::domain::conversation::{Announced, Edge};
use crate::domain::effect::{
    CloseReason, ContactState, Effect, Named, Outcome, SendResult, ServiceState, Transition, What, WindowEdge,
    WindowKind,
};
use crate::domain::entry_point::{Changed, Eligibility, ExpirySource, FreeWindow, Withdrawal};
use crate::domain::message::Message;
use crate::domain::rules::eras::CONVERSATION;
use crate::domain::time::{Millis, Span, Timestamp};
use crate::domain::verdict::FreeView;
use crate::domain::window::{Present, end_with_cut};

impl Fold<'_, '_> {
    pub(super) fn tell(&mut self, contact: Option<&Contact>, what: What) {
        self.tell_at(contact, self.at, what);
    }

    pub(super) fn tell_at(&mut self, contact: Option<&Contact>, at: Timestamp, what: What) {
        self.effects.push(Effect {
            at,
            cause: (self.event != NO_EVENT).then_some(self.event),
            contact: contact.map(|contact| Named { key: contact.key, clear: contact.clear.clone() }),
            account: Arc::clone(self.account),
            what,
        });
    }

    /// Tells an edge of a window of the contact, which has its number from the window alone.
    pub(super) fn tell_edge(&mut self, contact: &Contact, at: Timestamp, mut edge: WindowEdge) {
        edge.revision = contact.edges_before.saturating_add(edge.revision);
        self.tell_at(Some(contact), at, What::Window(Box::new(edge)));
    }

    pub(super) fn tell_outcome(
        &mut self,
        contact: Option<&Contact>,
        message: &Message,
        result: SendResult,
        disagrees: bool,
    ) {
        let outcome = Outcome {
            message: message.id.clone(),
            participant: message.participant.clone(),
            request: message.request.clone(),
            result,
            revision: 0,
            disagrees,
        };
        self.tell(contact, What::Outcome(Box::new(outcome)));
    }

    /// A change of agreement alone makes no new line; it is told as an outcome.
    pub(super) fn tell_agreement(&mut self, contact: &Contact, message: &mut Message, agreement: Agreement) {
        if message.agreement == Some(agreement) {
            return;
        }
        message.agreement = Some(agreement);
        let outcome = Outcome {
            message: message.id.clone(),
            participant: message.participant.clone(),
            request: message.request.clone(),
            result: SendResult::Agreement(agreement),
            revision: message.told.agreements,
            disagrees: agreement == Agreement::Conflict,
        };
        message.told.agreements += 1;
        self.tell(Some(contact), What::Outcome(Box::new(outcome)));
    }

    pub(super) fn service_kind(contact: &Contact) -> WindowKind {
        if contact.is_group { WindowKind::GroupService } else { WindowKind::Service }
    }

    /// Announces an edge of the present service window.
    pub(super) fn tell_service(&mut self, contact: &mut Contact, transition: Transition) {
        let kind = Self::service_kind(contact);
        let lead = self.context.policy.closing_lead.filter(|_| transition == Transition::Closing);
        let Some(present) = contact.window.present_mut() else {
            return;
        };
        let edge = service_edge(kind, present, transition, lead);
        present.revision += 1;
        self.moved = true;
        self.tell_edge(contact, self.at, edge);
    }

    /// Announces that the window began at another instant than announced, or is open again that was announced to be
    /// closed.
    pub(super) fn tell_corrected(&mut self, contact: &mut Contact, former: Timestamp) {
        let kind = Self::service_kind(contact);
        let Some(present) = contact.window.present_mut() else {
            return;
        };
        let edge = WindowEdge { corrects: Some(former), ..service_edge(kind, present, Transition::Corrected, None) };
        present.revision += 1;
        self.moved = true;
        self.tell_edge(contact, self.at, edge);
    }

    /// Announces that a service window has closed, at its end.
    pub(super) fn tell_closed(&mut self, contact: &Contact, present: &Present) {
        let stretch = Span { start: present.opened_at, end: present.expires_at };
        let closed_at = end_with_cut(stretch, self.number.coexistence_since);
        let reason = if closed_at < present.expires_at { CloseReason::Coexistence } else { CloseReason::Expired };
        let edge = WindowEdge {
            closed_at: Some(closed_at),
            reason: Some(reason),
            ..service_edge(Self::service_kind(contact), present, Transition::Closed, None)
        };
        self.moved = true;
        self.tell_edge(contact, closed_at, edge);
    }

    /// Announces what is about to close: once for every expiry.
    pub(super) fn alert(&mut self, contact: &mut Contact) {
        let Some(lead) = self.context.policy.closing_lead else {
            return;
        };
        let (now, coming) = (self.at, |end: Timestamp, alerted_for: Option<Timestamp>, now: Timestamp| {
            end - lead <= now && now < end && alerted_for != Some(end)
        });
        if contact.window.present().is_some_and(|window| coming(window.expires_at, window.alerted_for, now)) {
            if let Some(window) = contact.window.present_mut() {
                window.alerted_for = Some(window.expires_at);
            }
            self.tell_service(contact, Transition::Closing);
        }
        if let Some(click) =
            contact.entry.eligible.as_mut().filter(|click| coming(click.deadline, click.alerted_for, now))
        {
            click.alerted_for = Some(click.deadline);
            let edge = eligibility_edge(click, Transition::Closing);
            click.revision += 1;
            let (clicked_at, edges) = (click.clicked_at, click.revision);
            contact.entry.count_edges(clicked_at, edges);
            self.tell_edge(contact, self.at, WindowEdge { lead: Some(lead), ..edge });
        }
        if let Some(open) = contact.entry.open.as_mut().filter(|open| coming(open.span.end, open.alerted_for, now)) {
            open.alerted_for = Some(open.span.end);
            let edge = free_edge(open, Transition::Closing);
            open.revision += 1;
            self.tell_edge(contact, self.at, WindowEdge { lead: Some(lead), ..edge });
        }
    }

    /// Announces what happened to the conversations, and the ends that have passed by an instant.
    pub(super) fn tell_conversations(&mut self, contact: &mut Contact, now: Timestamp) {
        if contact.conversations.is_empty() {
            return;
        }
        for edge in contact.conversations.announce(&contact.entry, now, self.context.partition_time) {
            let (at, edge) = match edge {
                Edge::Opened(it) => (it.span.start, conversation_edge(&it, Transition::Opened, None)),
                Edge::EndMoved(it) => (self.at, conversation_edge(&it, Transition::Corrected, None)),
                Edge::Closed(it) => {
                    let cut = it.span.end < it.span.start + CONVERSATION;
                    let reason = if cut { CloseReason::Superseded } else { CloseReason::Expired };
                    (it.span.end, conversation_edge(&it, Transition::Closed, Some((it.span.end, reason))))
                }
                Edge::Withdrawn(it) => {
                    let closed = Some((self.at, CloseReason::Withdrawn));
                    (self.at, conversation_edge(&it, Transition::Closed, closed))
                }
            };
            self.tell_edge(contact, at, edge);
        }
    }

    /// Announces what happened to the free entry point, in order.
    pub(super) fn tell_entry(&mut self, contact: &mut Contact, changes: Vec<Changed>) {
        for change in changes {
            if let Changed::Answered(click) | Changed::Superseded(click) | Changed::Lapsed(click) = &change {
                contact.entry.count_edges(click.clicked_at, click.revision + 1);
            }
            let (at, edge) = match change {
                Changed::Eligible => (self.at, Self::eligible_edge(contact, Transition::Opened)),
                Changed::DeadlineMoved => (self.at, Self::eligible_edge(contact, Transition::Refreshed)),
                Changed::Opened => (self.at, Self::open_edge(contact, Transition::Opened)),
                Changed::EndMoved => (self.at, Self::open_edge(contact, Transition::Corrected)),
                Changed::StartMoved(former) => {
                    let edge = Self::open_edge(contact, Transition::Corrected);
                    (self.at, edge.map(|edge| WindowEdge { corrects: Some(former), ..edge }))
                }
                Changed::Answered(click) => (self.at, Some(closed_click(&click, self.at, CloseReason::Answered))),
                Changed::Superseded(click) => (self.at, Some(closed_click(&click, self.at, CloseReason::Superseded))),
                Changed::Lapsed(click) => {
                    (click.deadline, Some(closed_click(&click, click.deadline, CloseReason::Expired)))
                }
                Changed::Closed(open) => (open.span.end, Some(closed_free(&open, open.span.end, CloseReason::Expired))),
                Changed::Withdrawn(open, why) => {
                    let reason = match why {
                        Withdrawal::AnswerFailed => CloseReason::AnswerFailed,
                        Withdrawal::Refuted => CloseReason::Refuted,
                    };
                    (self.at, Some(closed_free(&open, self.at, reason)))
                }
            };
            if let Some(edge) = edge {
                self.moved = true;
                self.tell_edge(contact, at, edge);
            }
        }
    }

    fn eligible_edge(contact: &mut Contact, transition: Transition) -> Option<WindowEdge> {
        let click = contact.entry.eligible.as_mut()?;
        let edge = eligibility_edge(click, transition);
        click.revision += 1;
        let (clicked_at, edges) = (click.clicked_at, click.revision);
        contact.entry.count_edges(clicked_at, edges);
        Some(edge)
    }

    fn open_edge(contact: &mut Contact, transition: Transition) -> Option<WindowEdge> {
        let open = contact.entry.open.as_mut()?;
        let edge = free_edge(open, transition);
        open.revision += 1;
        Some(edge)
    }

    /// Publishes the contact's row in the table of windows, if it changed.
    pub(super) fn tell_state(&mut self, contact: &Contact) {
        if !std::mem::take(&mut self.moved) {
            return;
        }
        let service = contact.window.present().map(|present| ServiceState {
            opened_at: present.opened_at,
            refreshed_at: present.refreshed_at,
            expires_at: present.expires_at,
        });
        let eligible_until = contact.entry.eligible.as_ref().map(|click| click.deadline);
        let free = contact.entry.open.as_ref().map(|open| FreeView {
            opened_at: open.span.start,
            expires_at: open.span.end,
            expiry: open.expiry,
            confirmed: open.confirmed,
        });
        let refused = |choice: &Option<Choice>| choice.clone().filter(|choice| !choice.given);
        let all = refused(&contact.consent.all);
        let marketing_only = all.is_none();
        let opted_out = all.or_else(|| refused(&contact.consent.marketing));
        let empty = service.is_none() && eligible_until.is_none() && free.is_none() && opted_out.is_none();
        let state =
            ContactState { is_group: contact.is_group, service, eligible_until, free, opted_out, marketing_only };
        self.tell(Some(contact), What::State((!empty).then(|| Box::new(state))));
    }
}

pub(super) fn conversation_edge(
    it: &Announced,
    transition: Transition,
    closed: Option<(Timestamp, CloseReason)>,
) -> WindowEdge {
    WindowEdge {
        window: WindowKind::Conversation(it.kind),
        transition,
        opened_at: it.span.start,
        refreshed_at: None,
        expires_at: it.span.end,
        closed_at: closed.map(|(at, _)| at),
        expiry: ExpirySource::Rule,
        reason: closed.map(|(_, reason)| reason),
        opened_by: None,
        opened_by_kind: None,
        inbound_count: None,
        outbound_count: None,
        first_response_at: None,
        revision: it.revision,
        lead: None,
        corrects: None,
    }
}

pub(super) fn service_edge(
    kind: WindowKind,
    present: &Present,
    transition: Transition,
    lead: Option<Millis>,
) -> WindowEdge {
    WindowEdge {
        window: kind,
        transition,
        opened_at: present.opened_at,
        refreshed_at: Some(present.refreshed_at),
        expires_at: present.expires_at,
        closed_at: None,
        expiry: ExpirySource::Rule,
        reason: None,
        opened_by: Some(present.opened_by),
        opened_by_kind: Some(present.opened_by_kind.name()),
        inbound_count: Some(present.inbound_count),
        outbound_count: Some(present.outbound_count),
        first_response_at: present.first_response_at,
        revision: present.revision,
        lead,
        corrects: None,
    }
}

fn eligibility_edge(click: &Eligibility, transition: Transition) -> WindowEdge {
    WindowEdge {
        window: WindowKind::Eligibility,
        transition,
        opened_at: click.clicked_at,
        refreshed_at: None,
        expires_at: click.deadline,
        closed_at: None,
        expiry: ExpirySource::Rule,
        reason: None,
        opened_by: Some(click.event),
        opened_by_kind: Some("referral"),
        inbound_count: None,
        outbound_count: None,
        first_response_at: None,
        revision: click.revision,
        lead: None,
        corrects: None,
    }
}

pub(super) fn closed_click(click: &Eligibility, at: Timestamp, reason: CloseReason) -> WindowEdge {
    WindowEdge { closed_at: Some(at), reason: Some(reason), ..eligibility_edge(click, Transition::Closed) }
}

fn free_edge(open: &FreeWindow, transition: Transition) -> WindowEdge {
    WindowEdge {
        window: WindowKind::FreeEntryPoint,
        transition,
        opened_at: open.span.start,
        refreshed_at: None,
        expires_at: open.span.end,
        closed_at: None,
        expiry: open.expiry,
        reason: None,
        opened_by: open.click.as_ref().map(|click| click.event),
        opened_by_kind: open.click.as_ref().map(|_| "referral"),
        inbound_count: None,
        outbound_count: None,
        first_response_at: None,
        revision: open.revision,
        lead: None,
        corrects: None,
    }
}

pub(super) fn closed_free(open: &FreeWindow, at: Timestamp, reason: CloseReason) -> WindowEdge {
    WindowEdge { closed_at: Some(at), reason: Some(reason), ..free_edge(open, Transition::Closed) }
}
