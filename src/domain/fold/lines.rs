//! The ledger of a message: brought in line with what is known of it.

use super::Fold;
use crate::domain::billing::{self, Agreement, Allowance, Charge, Circumstances, Line, Prediction, Toll, Trigger};
use crate::domain::contact::Contact;
use crate::domain::content::{Category, Content};
use crate::domain::effect::What;
use crate::domain::id::MessageKey;
use crate::domain::message::{Message, SentIn};
use crate::domain::number::Rank;
use crate::domain::policy::DecidedAt;
use crate::domain::rules::markets::Origin;
use crate::domain::time::{Month, Timestamp};
use crate::domain::window::{self, WindowAt};

impl Fold<'_, '_> {
    /// Brings the message's ledger in line with what is known of it: nothing, a first line, or a reversal
    /// and a new line.
    pub(super) fn settle(&mut self, contact: &Contact, key: MessageKey, message: &mut Message) {
        let sent_in = self.sent_in(contact, message);
        let reaction = matches!(message.content, Some(Content::Reaction));
        let charged_at = if reaction { message.sent_at.or(message.charge_instant()) } else { message.charge_instant() };
        let Some((charged_at, id)) = charged_at.and_then(|at| Some((at, message.id.clone()?))) else {
            return;
        };
        let sent_at = message.send_instant().unwrap_or(charged_at);
        let service_window = match (self.context.policy.window_decided_at, sent_in) {
            (DecidedAt::Sent, Some(sent_in)) => sent_in.service_window,
            (DecidedAt::Sent, None) | (DecidedAt::Delivered, _) => {
                matches!(contact.window.at(charged_at, self.number.coexistence_since), WindowAt::Open(_))
            }
        };
        let days = self.days(charged_at);
        let by_conversation = self.charges_conversations(charged_at);
        let free_entry_point = if by_conversation {
            contact.entry.covers(charged_at, key)
        } else {
            sent_in.map_or_else(|| contact.entry.at(sent_at).is_some(), |sent_in| sent_in.entry_point)
        };
        let rank = || Rank { at: charged_at, id: id.clone(), participant: message.participant.clone(), message: key };
        // A message does not stand in its own way: the delivery it has taken is not used up for it.
        let taken = message.line.as_ref().and_then(|line| line.consumed).filter(|_| message.ranked.is_none());
        let (months, ranked) = (&self.number.months, message.ranked);
        let used = |month: Month| {
            let used = months.get(&month).map_or(0, |used| used.used_before(rank, ranked == Some(month)));
            used.saturating_sub(u32::from(taken == Some(month)))
        };
        let rules = self.context.rules;
        let rehearsed = rules.rehearses(days);
        let by_word = rehearsed.then(|| by_word(message)).flatten();
        let template_category =
            self.category_at(message, sent_at).or_else(|| by_word.as_ref().map(|(_, category)| category.clone()));
        let expected = Some(charged_at).filter(|at| self.context.rules.may_be_in_conversation(*at));
        let expected = expected.and_then(|charged_at| self.wants(contact, message, charged_at));
        let origin = recipient(contact, message, charged_at);
        let circumstances = Circumstances {
            content: message.content.as_ref().or(by_word.as_ref().map(|(content, _)| content)),
            template_category: template_category.as_ref(),
            in_group: contact.is_group,
            service_window,
            free_entry_point,
            role: expected
                .and_then(|wants| contact.conversations.would_be(charged_at, Some(key), wants, &contact.entry)),
            charged_at,
            days,
            origin,
            account: self.account,
        };
        let prediction = billing::predict(rules, circumstances, used);
        // Which of the conversations of a month are free the platform does not say: those are ours to count.
        let by_platform =
            !rehearsed && message.priced.as_ref().is_some_and(|priced| !priced.pricing.is_of_conversation());
        let platform = message.priced.as_ref().map(|priced| {
            let known = Circumstances { role: contact.conversations.role(key), ..circumstances };
            billing::confirmed(rules, &priced.pricing, &known, used)
        });
        let agreement = Agreement::of(&prediction.toll, platform.as_ref().map(|(toll, _)| toll));
        let (toll, allowance) = decided(&prediction, platform, rehearsed);
        let ranks = allowance.filter(|_| !by_platform).map(|allowance| (allowance.month, rank()));
        self.count(message, key, allowance, ranks);
        let line = Line {
            revision: message.lines,
            toll,
            charged_at,
            date: self.account.zone.and_then(|_| days.certain()),
            currency: self.account.currency,
            origin,
            cost: message.priced.as_ref().and_then(|priced| priced.pricing.cost),
            units: units(message.content.as_ref()),
            consumed: allowance.filter(|allowance| allowance.consumed).map(|allowance| allowance.month),
        };
        let word = message.priced.as_ref().map(|priced| priced.pricing.category()).filter(|_| by_platform);
        self.lift_refusals(message, &line, word.as_ref());
        let billed = !matches!(line.toll, Toll::Free(reason, _) if !reason.is_billed());
        if billed && message.line.as_ref().is_some_and(|standing| standing.says_the_same(&line, rules)) {
            self.tell_agreement(contact, message, agreement);
            return;
        }
        let charge = Charge {
            message: id,
            participant: message.participant.clone(),
            request: message.request.clone(),
            content: message.content.as_ref().map(Content::name),
            revision: line.revision,
            reverses: None,
            line,
            trigger: Trigger::of(message),
            prediction: Prediction { allowance, ..prediction },
            agreement,
            pricing: message.priced.as_ref().map(|priced| priced.pricing.clone()),
            service_window,
            free_entry_point,
            status: self.event,
            person: None,
        };
        self.take_back(contact, message, &charge);
        if billed {
            message.agreement = Some(agreement);
            self.write(contact, message, charge);
        }
    }

    /// The windows that a message was sent in: looked up while they are remembered, and as last looked up from then on.
    fn sent_in(&self, contact: &Contact, message: &mut Message) -> Option<SentIn> {
        let sent_at = message.send_instant()?;
        if message.sent_in.is_none() || sent_at >= self.context.partition_time - window::REMEMBERED {
            let window = contact.window.at(sent_at, self.number.coexistence_since);
            message.sent_in = Some(SentIn {
                service_window: matches!(window, WindowAt::Open(_)),
                entry_point: contact.entry.at(sent_at).is_some(),
            });
        }
        message.sent_in
    }

    /// Writes a reversal of the line that stands, if one does, for the reasons that a charge tells.
    fn take_back(&mut self, contact: &Contact, message: &mut Message, charge: &Charge) {
        let Some(standing) = message.line.take() else {
            return;
        };
        let reversal =
            Charge { revision: message.lines, reverses: Some(standing.revision), line: standing, ..charge.clone() };
        message.lines += 1;
        self.tell(Some(contact), What::Charge(Box::new(reversal)));
    }

    /// Writes a charge.
    fn write(&mut self, contact: &Contact, message: &mut Message, mut charge: Charge) {
        charge.revision = message.lines;
        charge.line.revision = message.lines;
        message.lines += 1;
        message.line = Some(charge.line.clone());
        self.tell(Some(contact), What::Charge(Box::new(charge)));
    }

    /// Counts a message in its month, in the place of what was counted of it before: in the order of those that the
    /// platform has said nothing of, or among those that it calls free.
    fn count(
        &mut self,
        message: &mut Message,
        key: MessageKey,
        allowance: Option<Allowance>,
        ranks: Option<(Month, Rank)>,
    ) {
        let former = message.ranked.take();
        let taken = message.line.as_ref().and_then(|line| line.consumed).filter(|_| former.is_none());
        let confirmed = allowance.filter(|allowance| ranks.is_none() && allowance.consumed);
        let takes = confirmed.map(|allowance| allowance.month);
        if former.is_none() && ranks.is_none() && taken == takes {
            return;
        }
        if let Some(used) = taken.and_then(|month| self.number.months.get_mut(&month)) {
            used.confirm(false);
        }
        if let Some(month) = takes {
            self.number.months.entry(month).or_default().confirm(true);
        }
        let stays = ranks.as_ref().map(|(month, _)| *month);
        let stood = former.and_then(|_| Some((message.line.as_ref()?.charged_at, message.id.clone()?)));
        let stood = stood.map(|(at, id)| Rank { at, id, participant: message.participant.clone(), message: key });
        if let Some(used) =
            former.filter(|month| stays != Some(*month)).and_then(|month| self.number.months.get_mut(&month))
        {
            used.unrank(key, stood.as_ref());
        }
        let limit = allowance.map(|allowance| allowance.limit);
        if let (Some((month, rank)), Some(limit)) = (ranks, limit) {
            let moves = former == Some(month);
            let moved = self.number.months.entry(month).or_default().rank(rank, moves, stood.as_ref(), limit);
            self.disturbed.extend(moved);
        }
        message.ranked = stays;
        // Others may be free now, or not any more.
        for month in [taken, takes, former].into_iter().flatten().filter(|month| stays != Some(*month)) {
            let limit = self.context.rules.allowance(month).or(limit);
            if let (Some(used), Some(limit)) = (self.number.months.get_mut(&month), limit) {
                self.disturbed.extend(used.balance(limit));
            }
        }
    }

    /// The category of a message's template at the time of use, which decides its price (rules.md 4.2): the
    /// platform's record, else the sender's word.
    pub(super) fn category_at(&self, message: &Message, at: Timestamp) -> Option<Category> {
        let Some(Content::Template(template)) = &message.content else {
            return None;
        };
        let account = message.account.as_ref().or(self.account.id.as_ref());
        let view = account.and_then(|account| self.context.reference.template(account, template, at));
        view.and_then(|view| view.category).or_else(|| template.category.clone())
    }
}

/// Where the recipient of a message was at an instant: in a group, each for itself.
pub(super) fn recipient(contact: &Contact, message: &Message, at: Timestamp) -> Origin {
    match &message.participant {
        Some(participant) if contact.is_group => match Origin::of_phone(participant.as_str()) {
            Origin::Unknown => Origin::of_scoped_id(participant.as_str()),
            phone => phone,
        },
        _ => contact.origin_at(at),
    }
}

/// How many units of what a message is charged by it takes.
const fn units(content: Option<&Content>) -> u32 {
    match content {
        Some(Content::Call(Some(pulses))) => *pulses,
        _ => 1,
    }
}

/// What the platform's word on the price tells of a message itself: its category, and what it must have been. In a
/// rehearsal that holds, where nothing else tells it; the price does not, which is of the rules of its day.
fn by_word(message: &Message) -> Option<(Content, Category)> {
    let category = message.priced.as_ref()?.pricing.category();
    Some((Content::by_category(&category)?, category))
}

/// What a message costs: what the platform says if it has said it, unless other rules than those of its day are rehearsed.
fn decided(
    prediction: &Prediction,
    platform: Option<(Toll, Option<Allowance>)>,
    rehearsed: bool,
) -> (Toll, Option<Allowance>) {
    match (&prediction.toll, platform) {
        // A free entry point is free by all rules that know one, whatever the message was.
        (Toll::Unknown(_), Some(platform @ (Toll::Free(billing::FreeReason::FreeEntryPoint, _), _))) => platform,
        // A reaction costs nothing whatever else is said of it (rules.md 1.11).
        (Toll::Free(billing::FreeReason::Reaction, _), _) | (_, None) => {
            (prediction.toll.clone(), prediction.allowance)
        }
        (_, Some(_)) if rehearsed => (prediction.toll.clone(), prediction.allowance),
        (_, Some(platform)) => platform,
    }
}
