//! How a message arrives: its statuses, where the platform says the price, and the line that remains.

use std::io;

use super::answer::{Category, FreeReason};
use super::arrival::{Pricing, PricingType, Report, Stage, What};
use super::calendar::HOUR;
use super::rules::{Content, Cost, Price};
use super::sends::Sending;
use super::traffic::Traffic;

/// When the statuses of a message arrive. Those that are not reported have an instant all the same.
struct Arrivals {
    sent: i64,
    delivered: i64,
    read: i64,
}

/// Which statuses carry the platform's word on the price.
#[derive(Default)]
struct Priced {
    sent: Option<Pricing>,
    delivered: Option<Pricing>,
    read: Option<Pricing>,
}

impl Traffic<'_> {
    /// Plans the acceptance of a message and its statuses as far as it gets.
    pub(super) fn carry(&mut self, sending: &Sending) -> io::Result<()> {
        let (index, reach) = (sending.index, sending.reach);
        let priced = self.world.number(index).priced && sending.content != Content::Reaction;
        let decided = reach.decided_at().and_then(|at| Some((at, self.price(sending, at)?)));
        let cost = match decided {
            Some((at, price)) if priced => Some(self.platform_cost(sending, at, price)),
            Some((_, Price::Settled(cost))) => Some(cost),
            Some((_, Price::Counted)) | None => None,
        };
        let counts = (decided.is_some() && cost.is_none()).then_some(sending.message);
        let prices = if priced { self.place_prices(sending, cost) } else { Priced::default() };
        let arrivals = self.arrivals(sending);
        let decided_arrives = if reach.delivered_at.is_some() { arrivals.delivered } else { arrivals.read };
        if sending.seen {
            let late = self.accepts_late(sending, priced, decided_arrives);
            self.accept(sending, if late { decided_arrives } else { sending.accepted_at });
        }
        let entry_ends = (priced && sending.entry_open).then(|| self.contacts[index as usize].entry_ends());
        let sent = Report { pricing: prices.sent, entry_ends, ..sending.report(Stage::Sent) };
        let delivered = Report { pricing: prices.delivered, ..sending.report(Stage::Delivered) };
        let read = Report { pricing: prices.read, ..sending.report(Stage::Read) };
        let planned = [
            (sending.reports_sent.then_some(sending.sent_at), arrivals.sent, sent),
            (reach.delivered_at, arrivals.delivered, delivered),
            (reach.read_at, arrivals.read, read),
        ];
        for (at, received_at, report) in planned {
            let Some(at) = at else { continue };
            let decides =
                report.stage != Stage::Sent && (report.stage == Stage::Delivered || reach.delivered_at.is_none());
            let settled =
                Report { counts: counts.filter(|_| decides), releases: decides && sending.reserves, ..report };
            self.plan_as(index, sending.ids, What::Reported(settled), at, received_at);
        }
        if let (true, Some(at)) = (sending.prompt, reach.decided_at()) {
            // The next thing happens when what it opened is known.
            self.note(index, at, decided_arrives);
        }
        match (decided, cost) {
            (Some((at, _)), Some(cost)) => self.answer_message(index, sending.message, at, cost),
            // A reaction is never reported as delivered; its line is written when it is sent.
            _ if sending.content == Content::Reaction => {
                let cost = Cost::Free(FreeReason::Reaction, Category::Service);
                self.answer_message(index, sending.message, sending.sent_at, cost)
            }
            _ => Ok(()),
        }
    }

    /// What the platform takes, by its own count.
    fn platform_cost(&mut self, sending: &Sending, at: i64, price: Price) -> Cost {
        match price {
            Price::Counted => {
                let date = self.world.account(sending.index).date(at);
                let place = self.world.place(sending.index);
                Cost::of_reply(self.counters[place].replies.count(date))
            }
            // Now and then it finds a message less useful than its template says, and its word counts.
            Price::Settled(Cost::Charged(Category::Utility))
                if matches!(sending.content, Content::Template(..)) && self.random.per_mille(5) =>
            {
                Cost::Charged(Category::Marketing)
            }
            Price::Settled(cost) => cost,
        }
    }

    /// Puts the price on `sent`, on one of `delivered` and `read`, or on both.
    fn place_prices(&mut self, sending: &Sending, cost: Option<Cost>) -> Priced {
        // Of a message it knows nothing else of, the product needs the price where it is decided.
        let roll = if sending.seen { self.random.below(4) } else { 2 };
        let early = match self.price(sending, sending.sent_at) {
            Some(Price::Settled(cost)) => pricing(cost),
            Some(Price::Counted) | None => None,
        };
        let (Some(at), Some(cost)) = (sending.reach.decided_at(), cost) else {
            // Nobody is charged for what does not arrive, whatever was said when it was sent.
            return Priced { sent: early.filter(|_| roll < 2), ..Priced::default() };
        };
        let last = pricing(cost);
        let account = self.world.account(sending.index);
        // Rules that change on the way make the platform say one thing first and another then.
        let changes = account.replies_cost(sending.sent_at) != account.replies_cost(at);
        let first = if changes { early } else { last };
        let certain = first == last;
        let (on_sent, on_delivery) = match roll {
            0 if sending.reports_sent && certain => (first, None),
            1 => (first, last),
            _ => (None, last),
        };
        let read_only =
            sending.reach.delivered_at.is_none() || (roll == 3 && sending.reach.read_at.is_some() && !sending.prompt);
        if read_only {
            Priced { sent: on_sent, delivered: None, read: on_delivery }
        } else {
            Priced { sent: on_sent, delivered: on_delivery, read: None }
        }
    }

    fn arrivals(&mut self, sending: &Sending) -> Arrivals {
        let delivered_at = sending.reach.delivered_at.unwrap_or(sending.sent_at);
        let read_at = sending.reach.read_at.unwrap_or(delivered_at);
        if sending.prompt {
            let sent = sending.sent_at + 200 + self.random.millis(500);
            let delivered = (delivered_at + 200 + self.random.millis(500)).max(sent + 1);
            let read = (read_at + 200 + self.random.millis(500)).max(delivered + 1);
            return Arrivals { sent, delivered, read };
        }
        let delivered = delivered_at + self.delay();
        let read = read_at + self.delay();
        // A reading that arrives before the delivery would be counted, and then counted again.
        let read = if sending.reach.delivered_at.is_some() { read.max(delivered + 1) } else { read };
        let decided = if sending.reach.delivered_at.is_some() { delivered } else { read };
        let sent = sending.sent_at + self.delay();
        // Where a window ends between acceptance and `sent`, the price would first be taken for another one.
        let contact = &self.contacts[sending.index as usize];
        let windows = |at| (contact.window_open(at), contact.entry_open(at));
        let doubtful = windows(sending.accepted_at) != windows(sending.sent_at);
        Arrivals { sent: if doubtful { sent.min(decided - 1) } else { sent }, delivered, read }
    }

    /// Whether the acceptance arrives only after the delivery, so that the message is known only then.
    fn accepts_late(&mut self, sending: &Sending, priced: bool, delivered_arrives: i64) -> bool {
        let disorder = self.settings.late_per_mille > 0 && self.random.per_mille(30);
        let soon = delivered_arrives < sending.accepted_at + HOUR.min(self.settings.longest_delay / 2);
        // Replies that the product counts itself, in order of arrival, have one order only if they are known.
        let counted_by_product = matches!(sending.content, Content::Freeform(_)) && !priced;
        disorder && soon && !sending.prompt && !counted_by_product && sending.reach.delivered_at.is_some()
    }
}

/// The platform's words for a cost; none for a reaction.
const fn pricing(cost: Cost) -> Option<Pricing> {
    let (kind, category) = match cost {
        Cost::Charged(category) => (PricingType::Regular, category),
        Cost::Free(FreeReason::FreeCustomerService, category) => (PricingType::FreeCustomerService, category),
        Cost::Free(FreeReason::FreeEntryPoint, category) => (PricingType::FreeEntryPoint, category),
        Cost::Free(FreeReason::Reaction, _) => return None,
    };
    Some(Pricing { kind, category })
}
