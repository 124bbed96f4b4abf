//! What the business asks before it sends, and whether it then does.

use std::io;

use super::answer::{Answer, Reason, Verdict};
use super::arrival::What;
use super::calendar::HOUR;
use super::names::RequestId;
use super::people::Click;
use super::rules::{Content, FREE_REPLIES};
use super::traffic::Traffic;
use super::world::{MISSING, STEADY, TEMPLATES, WRONG_LANGUAGE};

/// The types of free-form messages.
pub(super) const FREEFORM_TYPES: [&str; 5] = ["text", "interactive", "image", "document", "audio"];

/// The platform takes one message of a number to a person in so many milliseconds (rules.md 3.7), and nobody here writes
/// faster: so no ask meets that limit.
const PAIR_RATE: i64 = 6_000;

impl Traffic<'_> {
    /// The business asks, sends, or both; or something else sends from its number.
    pub(super) fn business_writes(&mut self, index: u32, now: i64) -> io::Result<()> {
        if now < self.contacts[index as usize].sent_at + PAIR_RATE {
            return Ok(());
        }
        let elsewhere = self.random.per_mille(20);
        if elsewhere && self.world.number(index).priced && self.contacts[index as usize].click != Click::Waits {
            return self.send_unseen(index, now);
        }
        let content = self.choose_content(index, now);
        if self.random.per_mille(120) {
            // Nobody is asked, and nobody risks the account for it.
            let restricted = self.world.account(index).restricted(now);
            return if restricted { Ok(()) } else { self.send(index, now, content, None) };
        }
        let ahead = self.random.per_mille(70).then(|| 60_000 + self.random.millis(30 * HOUR));
        let at = self.moment_before(index, now);
        let scheduled = ahead.map(|ahead| at + ahead).filter(|later| self.holds_until(index, content, at, *later));
        let (request, reason) = self.ask(index, content, at, scheduled, now)?;
        let sends = scheduled.is_none()
            && match reason.verdict() {
                Verdict::Allowed => self.random.per_mille(920),
                // Some send all the same, and the platform says why not. Nobody risks a restricted account.
                Verdict::Blocked => reason != Reason::AccountRestricted && self.random.per_mille(150),
            };
        if sends { self.send(index, now, content, Some(request)) } else { Ok(()) }
    }

    fn choose_content(&mut self, index: u32, now: i64) -> Content {
        let roll = self.random.below(100);
        let window_open = self.contacts[index as usize].window_open(now);
        let (freeform, template, direct) = if window_open { (70, 88, 96) } else { (16, 80, 97) };
        if roll < freeform && self.reply_is_clear(index, now) {
            Content::Freeform(self.random.below(FREEFORM_TYPES.len() as u64) as u8)
        } else if roll < template {
            self.choose_template()
        } else if roll < direct {
            Content::DirectSend
        } else {
            Content::Reaction
        }
    }

    fn choose_template(&mut self) -> Content {
        let place = match self.random.below(100) {
            0..72 => self.random.below(STEADY as u64) as usize,
            72..98 => STEADY + self.random.below((TEMPLATES - STEADY) as u64) as usize,
            98 => MISSING,
            _ => WRONG_LANGUAGE,
        };
        let names_category = place < STEADY && self.random.per_mille(500);
        Content::Template(place as u8, names_category)
    }

    /// Whether nobody can doubt what a reply would cost now. A number without a payment method is refused
    /// replies beyond the free ones, and whether those under way count is not settled: so while they would
    /// make the difference, it sends none.
    fn reply_is_clear(&self, index: u32, now: i64) -> bool {
        let account = self.world.account(index);
        let counter = &self.counters[self.world.place(index)];
        let delivered = counter.replies.of(account.date(now));
        account.plan.pays || delivered >= FREE_REPLIES || delivered + counter.reserved < FREE_REPLIES
    }

    /// Whether all but the windows is the same then as now, so that no doubt arises which instant a fact is
    /// looked up at.
    fn holds_until(&self, index: u32, content: Content, now: i64, later: i64) -> bool {
        let account = self.world.account(index);
        let counter = &self.counters[self.world.place(index)];
        let view = |at| {
            let template = match content {
                Content::Template(place, _) => account.templates.get(usize::from(place)),
                Content::Freeform(_) | Content::Reaction | Content::DirectSend => None,
            };
            let named = template.map(|template| (template.category(at), template.state(at)));
            let delivered = counter.replies.of(account.date(at));
            let charged = self.situation(index).would_be_charged(content, at, delivered);
            (account.restricted(at), named, account.plan.pays || charged)
        };
        view(now) == view(later)
    }

    /// Asks at `at`, about `scheduled` if that is later. The ask arrives `now`.
    fn ask(
        &mut self,
        index: u32,
        content: Content,
        at: i64,
        scheduled: Option<i64>,
        now: i64,
    ) -> io::Result<(u64, Reason)> {
        let later = scheduled.unwrap_or(at);
        let delivered = self.counters[self.world.place(index)].replies.of(self.world.account(index).date(later));
        let reason = self.situation(index).verdict(content, at, later, delivered);
        let request = self.name();
        let ids = self.ids_chosen(index);
        self.plan_as(index, ids, What::Asked { request, content, evaluate_for: scheduled }, at, now);
        self.note(index, at, now);
        self.answer(&Answer::Verdict {
            phone_number_id: self.world.number(index).id.clone(),
            request_id: RequestId(request).to_string(),
            verdict: reason.verdict(),
            reason,
        })?;
        Ok((request, reason))
    }
}
