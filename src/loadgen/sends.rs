//! What the business sends, and what the platform makes of it.
//!
//! The generator plays the platform. On numbers that it prices it counts the month's free replies itself,
//! when it takes the message; on the others the product must count, in the order in which deliveries arrive.

use std::io;

use super::answer::Category;
use super::arrival::{About, Report, Stage, What};
use super::people::{Click, Contact, Ids, Marketing};
use super::rules::{self, Content, Cost, FREE_REPLIES, Price};
use super::traffic::Traffic;
use super::world::ORDER_UPDATE;

/// A message on its way.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is true or not of a message whatever the others are")]
pub(super) struct Sending {
    pub(super) index: u32,
    pub(super) ids: Ids,
    pub(super) content: Content,
    /// The ask, if there was one.
    pub(super) request: Option<u64>,
    pub(super) message: u64,
    pub(super) accepted_at: i64,
    pub(super) sent_at: i64,
    /// Whether a `sent` status will be reported.
    pub(super) reports_sent: bool,
    /// Whether its statuses come at once and in order, because it answers a click.
    pub(super) prompt: bool,
    /// Whether it keeps a place among the month's replies until it is delivered or fails.
    pub(super) reserves: bool,
    /// Whether we hear of its acceptance, and not only of what became of it.
    pub(super) seen: bool,
    /// Whether the platform holds it back while it judges the template.
    pub(super) held: bool,
    /// Whether a free entry point was open when it was sent.
    pub(super) entry_open: bool,
    pub(super) reach: Reach,
}

/// Whether and when a message reaches the person.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    pub(super) delivered_at: Option<i64>,
    pub(super) read_at: Option<i64>,
}

impl Reach {
    const NOWHERE: Self = Self { delivered_at: None, read_at: None };

    /// The charge instant: delivery, else the first reading.
    pub(super) fn decided_at(&self) -> Option<i64> {
        self.delivered_at.or(self.read_at)
    }
}

impl Sending {
    /// The instant whose windows count: of `sent`, of acceptance where nothing says `sent`.
    pub(super) const fn decisive(&self) -> i64 {
        if self.reports_sent { self.sent_at } else { self.accepted_at }
    }

    pub(super) const fn report(&self, stage: Stage) -> Report {
        let about = About::Message(self.message);
        Report { stage, about, pricing: None, entry_ends: None, names_contact: true, counts: None, releases: false }
    }
}

impl Traffic<'_> {
    /// Sends, with the ask if there was one.
    pub(super) fn send(&mut self, index: u32, now: i64, content: Content, request: Option<u64>) -> io::Result<()> {
        let contact = self.contacts[index as usize];
        let accepted_at = now + 40 + self.random.millis(400);
        let sent_at = (accepted_at + 999) / 1000 * 1000 + self.random.seconds(3);
        // The first answer to a click always arrives, so that what it opens is settled at once; and it is not
        // sent at all where the instant that counts would make a difference.
        let answers = contact.click == Click::Waits && contact.window_open(now);
        let due = self.world.account(index).answer_in_window_from;
        let opens = answers && contact.click_answerable(sent_at, due);
        let doubtful = [now, accepted_at].iter().any(|at| answers && contact.click_answerable(*at, due) != opens);
        if doubtful || (answers && content == Content::Reaction) {
            return Ok(());
        }
        let mut sending = Sending { request, ..self.prepare(index, content, accepted_at, sent_at, answers) };
        let opening = Contact { entry_from: sending.decisive(), ..contact };
        let entered = if opens { opening } else { contact };
        sending.entry_open = entered.entry_open(sending.decisive());
        let refusal = self.refusal(&sending);
        if answers && refusal.is_some() {
            return Ok(());
        }
        sending.message = self.name();
        if let Some(code) = refusal {
            self.refuse(&sending, code);
            return Ok(());
        }
        // One that is held and then fails would say something about its template.
        sending.held = !answers && self.is_marketing(&sending) && self.random.per_mille(20);
        let remembered = &mut self.contacts[index as usize];
        remembered.entry_from = entered.entry_from;
        if answers {
            remembered.click = if opens { Click::Gone } else { Click::AnsweredLate };
        }
        remembered.last_message = sending.message;
        self.carry(&sending)
    }

    /// Another system sends from the same number: only the platform's statuses tell of it.
    pub(super) fn send_unseen(&mut self, index: u32, now: i64) -> io::Result<()> {
        let contact = self.contacts[index as usize];
        let sent_at = (now + 999) / 1000 * 1000;
        let template = Content::Template(ORDER_UPDATE as u8, false);
        let content = if contact.window_open(sent_at) { Content::Freeform(0) } else { template };
        let mut sending = Sending { seen: false, ..self.prepare(index, content, sent_at, sent_at, false) };
        sending.entry_open = contact.entry_open(sent_at);
        sending.message = self.name();
        self.note(index, sent_at, now);
        self.contacts[index as usize].sent_at = sent_at;
        self.carry(&sending)
    }

    fn prepare(&mut self, index: u32, content: Content, accepted_at: i64, sent_at: i64, prompt: bool) -> Sending {
        let priced = self.world.number(index).priced;
        let reports_sent = content == Content::Reaction || (prompt && priced) || self.random.per_mille(950);
        let reserves = !self.world.account(index).plan.pays && matches!(content, Content::Freeform(_));
        let ids = self.ids_chosen(index);
        let (request, message, entry_open, reach) = (None, 0, false, Reach::NOWHERE);
        let sending = Sending {
            index,
            ids,
            content,
            request,
            message,
            accepted_at,
            sent_at,
            reports_sent,
            prompt,
            reserves,
            seen: true,
            held: false,
            entry_open,
            reach,
        };
        Sending { reach: self.reach(&sending), ..sending }
    }

    /// Whether and when the message would reach the person.
    fn reach(&mut self, sending: &Sending) -> Reach {
        let roll = self.random.below(100);
        let delivered_at = sending.sent_at + if sending.prompt { self.random.seconds(10) } else { self.transit() };
        let thinking = if roll.is_multiple_of(4) { 2 * 86_400 } else { 60 };
        let read_at = delivered_at + self.random.seconds(thinking);
        // A number that must not go over its free replies cannot leave one open for ever.
        let certain = sending.prompt || sending.reserves;
        let (delivered, read) = match roll {
            _ if sending.content == Content::Reaction => (false, false),
            0..5 if !certain => (false, false),
            0..11 if !sending.prompt => (false, true),
            11..48 => (true, false),
            _ => (true, true),
        };
        // What would happen after the end of the stream is not told in it.
        let told = |happens: bool, at: i64| (happens && at <= self.end).then_some(at);
        Reach { delivered_at: told(delivered, delivered_at), read_at: told(read, read_at) }
    }

    /// How long a message is on its way: mostly seconds, but phones are switched off for days.
    fn transit(&mut self) -> i64 {
        match self.random.below(100) {
            0 => self.random.seconds(3 * 86_400),
            1..5 => self.random.seconds(8 * 3600),
            5..15 => self.random.seconds(600),
            _ => self.random.seconds(5),
        }
    }

    /// What the message costs if it is charged or not at `at`; nothing for a template nobody has.
    pub(super) fn price(&self, sending: &Sending, at: i64) -> Option<Price> {
        let account = self.world.account(sending.index);
        let category = rules::category(sending.content, account, sending.decisive())?;
        let window_open = self.contacts[sending.index as usize].window_open(sending.decisive());
        Some(rules::price(sending.content, category, sending.entry_open, window_open, account.replies_cost(at)))
    }

    /// Why the platform does not deliver the message.
    fn refusal(&mut self, sending: &Sending) -> Option<i32> {
        let index = sending.index;
        let refused = self.situation(index).refusal(sending.content, sending.sent_at);
        let refused = refused.or_else(|| self.unpaid(sending).then_some(131_042));
        if refused.is_some() || sending.prompt || sending.content == Content::Reaction || !self.random.per_mille(25) {
            return refused;
        }
        // Bad luck: what only the platform can know.
        let codes: &[i32] = if self.is_marketing(sending) { &[131_026, 131_049, 130_472] } else { &[131_026, 131_000] };
        Some(*self.random.pick(codes))
    }

    fn is_marketing(&self, sending: &Sending) -> bool {
        let account = self.world.account(sending.index);
        rules::category(sending.content, account, sending.sent_at) == Some(Category::Marketing)
    }

    /// Whether the message would cost money that nobody pays.
    fn unpaid(&self, sending: &Sending) -> bool {
        let account = self.world.account(sending.index);
        let at = sending.reach.decided_at().unwrap_or(sending.sent_at);
        let charged = match self.price(sending, at) {
            Some(Price::Settled(cost)) => matches!(cost, Cost::Charged(_)),
            Some(Price::Counted) => {
                let counter = &self.counters[self.world.place(sending.index)];
                counter.replies.of(account.date(at)) + counter.reserved >= FREE_REPLIES
            }
            None => false,
        };
        charged && !account.plan.pays
    }

    /// The message fails, or is refused at once.
    fn refuse(&mut self, sending: &Sending, code: i32) {
        let index = sending.index;
        if let (Some(request), 100 | 132_001, true) = (sending.request, code, self.random.per_mille(500)) {
            let report = Report { about: About::Request(request), ..sending.report(Stage::Failed(code)) };
            let received_at = sending.accepted_at + self.random.millis(30);
            self.plan_as(index, sending.ids, What::Reported(report), sending.accepted_at, received_at);
            self.note(index, sending.accepted_at, received_at);
            return;
        }
        self.accept(sending, sending.accepted_at);
        // Of a reaction nothing comes after `sent`, so one that fails was never sent.
        let went_out = sending.reports_sent && sending.content != Content::Reaction;
        if went_out && self.random.per_mille(300) {
            let received_at = sending.sent_at + self.delay();
            let report = What::Reported(sending.report(Stage::Sent));
            self.plan_as(index, sending.ids, report, sending.sent_at, received_at);
        }
        let failed_at = sending.sent_at + self.random.seconds(3);
        let names_contact = self.random.per_mille(800);
        let failed = Report { names_contact, releases: sending.reserves, ..sending.report(Stage::Failed(code)) };
        // This is how the business learns that the person has stopped, so nothing may overtake it.
        let teaches = code == 131_050;
        let received_at = failed_at + if teaches { 300 + self.random.millis(700) } else { self.delay() };
        self.plan_as(index, sending.ids, What::Reported(failed), failed_at, received_at);
        if teaches {
            self.note(index, failed_at, received_at);
            self.contacts[index as usize].marketing = Marketing::Stopped;
        }
    }

    /// The acceptance, which arrives just after `after`.
    pub(super) fn accept(&mut self, sending: &Sending, after: i64) {
        let index = sending.index;
        let received_at = after + 1 + self.random.millis(30);
        let (request, message) = (sending.request, sending.message);
        let repeats_content = request.is_none() || self.random.per_mille(500);
        let content = repeats_content.then_some(sending.content);
        let what = What::Accepted { request, message, content, held: sending.held };
        self.plan_as(index, sending.ids, what, sending.accepted_at, received_at);
        self.note(index, sending.sent_at, received_at);
        self.contacts[index as usize].sent_at = sending.sent_at;
        let place = self.world.place(index);
        self.counters[place].reserved += u32::from(sending.reserves);
    }
}
