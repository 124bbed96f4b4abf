//! Holds what has happened against what a vector expects, at once or when all of it has.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Difference, Stage, midnight};
use crate::domain::billing::{Allowance, Charge, Price, Toll};
use crate::domain::conversation::ConversationKind;
use crate::domain::id::{ContactKey, NumberId, PortfolioId, WaId};
use crate::domain::ledger::Scope;
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::markets::Market;
use crate::domain::time::{Millis, Span, Timestamp};
use crate::domain::verdict::{Answer, Cited, Verdict};
use crate::domain::window::WindowAt;
use crate::engine::ledger::Booked;
use crate::scenario::parse::{Expect, Mistake, Outbound};

/// An expectation that can only be weighed at the end.
pub struct Later {
    step: usize,
    at: Range<usize>,
    expect: Expect,
    messages: Vec<String>,
}

impl Stage<'_> {
    /// Holds an expectation against what has happened, or puts it off until all has.
    pub fn weigh(
        &mut self,
        step: usize,
        at: &Range<usize>,
        expect: &Expect,
        told: usize,
        asked: Range<usize>,
        messages: &[String],
    ) -> Result<(), Mistake> {
        let found = match expect {
            Expect::Allow
            | Expect::Block(_)
            | Expect::Unknown(_)
            | Expect::Warning(_)
            | Expect::NoWarning(_)
            | Expect::InFlight(_)
            | Expect::Category(_)
            | Expect::Market(_) => {
                let verdicts = self.verdicts.get(asked).unwrap_or_default();
                if verdicts.is_empty() {
                    Some("nobody asked: only OUT and ASK have a verdict".to_owned())
                } else {
                    verdicts.iter().find_map(|verdict| verdict_differs(verdict, expect))
                }
            }
            Expect::Window(..) | Expect::WindowUntil(_) | Expect::NoWindow | Expect::Free(..) | Expect::NoFree => {
                self.window_differs(expect)?
            }
            Expect::TierFrom(first, when) => {
                let began = self.instant(*when)?;
                let known = self.engine.reference().volume_tiers(&self.scope()?);
                let from = known.iter().filter(|tier| tier.from == u64::from(*first)).map(|tier| tier.at).min();
                (from != Some(began)).then(|| format!("{known:?}"))
            }
            Expect::Bid(expected) if self.bid == Some(*expected) => None,
            Expect::Bid(_) => Some(self.bid.map_or("no bid".to_owned(), |bid| bid.to_string())),
            Expect::Key(name) => {
                let found = Some(self.key_of(name)?) == self.about;
                (!found).then(|| "the key that another name makes".to_owned())
            }
            Expect::Closes(reason) => {
                let found = self.closed.contains(&reason.as_str());
                (!found).then(|| format!("windows closed for {:?}", self.closed))
            }
            Expect::Notice(code) if self.notices.contains(&code.as_str()) => None,
            Expect::NoNotice if self.notices.is_empty() => None,
            Expect::Notice(_) | Expect::NoNotice => Some(format!("notices {:?}", self.notices)),
            Expect::Nothing => (told > 0).then(|| format!("{told} outputs were published")),
            Expect::Charge(..)
            | Expect::FreeLine(..)
            | Expect::Opens(..)
            | Expect::Unpriced(_)
            | Expect::NoLine
            | Expect::NoConversation(_)
            | Expect::Unit(_)
            | Expect::Charges(_)
            | Expect::Total(..)
            | Expect::Tier(..)
            | Expect::Outcome(_)
            | Expect::Agreement(_) => {
                let messages = messages.to_vec();
                self.later.push(Later { step, at: at.clone(), expect: expect.clone(), messages });
                None
            }
        };
        if let Some(found) = found {
            self.differ(step, at, &found);
        }
        Ok(())
    }

    fn differ(&mut self, step: usize, at: &Range<usize>, found: &str) {
        let mistake = Mistake { at: at.clone(), problem: format!("found {found}") };
        self.differences.push(Difference { step: Some(step), mistake });
    }

    /// Asks about free text, for the windows that the answer shows; the question changes nothing.
    fn window_differs(&mut self, expect: &Expect) -> Result<Option<String>, Mistake> {
        let before = self.told;
        let by = self.by.clone();
        self.ask(self.now, &Outbound { content: "svc".into(), times: 1, by, ..Outbound::default() }, None)?;
        self.told = before;
        let Some(verdict) = self.verdicts.pop() else {
            return Ok(Some("no answer".into()));
        };
        let windows = &verdict.windows;
        let service = match windows.service {
            WindowAt::Open(span) => Some(span),
            WindowAt::Closed(_) | WindowAt::Never => None,
        };
        let free = windows.free.map(|free| Span { start: free.opened_at, end: free.expires_at });
        let (name, open) = match expect {
            Expect::Free(..) | Expect::NoFree => ("fep", free),
            _ => ("csw", service),
        };
        let same = match expect {
            Expect::Window(from, to) | Expect::Free(from, to) => {
                open == Some(Span { start: self.instant(*from)?, end: self.instant(*to)? })
            }
            Expect::WindowUntil(to) => open.map(|span| span.end) == Some(self.instant(*to)?),
            _ => open.is_none(),
        };
        Ok((!same).then(|| match open {
            Some(span) => format!("{name}[{},{})", self.hours(span.start), self.hours(span.end)),
            None => format!("no {name}"),
        }))
    }

    /// The portfolio of the vector's accounts.
    fn scope(&self) -> Result<Scope, Mistake> {
        let portfolio = PortfolioId::parse("portfolio").map_err(|invalid| self.wrong(invalid.to_string()))?;
        Ok(Scope::Portfolio(portfolio))
    }

    /// The contact key that one of a person's names makes alone.
    fn key_of(&self, name: &str) -> Result<ContactKey, Mistake> {
        let number = NumberId::parse("P1").map_err(|invalid| self.wrong(invalid.to_string()))?;
        let name = WaId::parse(name).map_or_else(|_| name.to_owned(), |phone| phone.as_str().to_owned());
        Ok(self.key.contact(&number, &name, 0))
    }

    /// An instant as the text writes it.
    fn hours(&self, at: Timestamp) -> String {
        let Millis(length) = at.since(midnight(self.engine.zones(), self.vector.origin));
        let seconds = length.div_euclid(1000);
        let (hours, minutes, seconds) =
            (seconds.div_euclid(3600), seconds.rem_euclid(3600) / 60, seconds.rem_euclid(60));
        match (minutes, seconds) {
            (0, 0) => hours.to_string(),
            (minutes, 0) => format!("{hours}:{minutes:02}"),
            (minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
        }
    }

    /// Weighs what was put off.
    pub fn finish(mut self) -> Vec<Difference> {
        for later in std::mem::take(&mut self.later) {
            if let Some(found) = self.end_differs(&later) {
                self.differ(later.step, &later.at, &found);
            }
        }
        self.differences
    }

    fn end_differs(&self, later: &Later) -> Option<String> {
        let standing = |message: &String| self.lines.get(message).and_then(Option::as_ref);
        let ours = || self.lines.iter().filter(|(message, _)| !message.starts_with("given-"));
        let entries = || ours().filter_map(|(_, standing)| standing.as_ref());
        match &later.expect {
            Expect::Charges(count) => {
                let found = entries().filter(|(charge, _)| matches!(charge.line.toll, Toll::Charged(_))).count();
                (u32::try_from(found) != Ok(*count)).then(|| format!("{found} charges"))
            }
            Expect::Total(amount, currency) => {
                let mut totals: BTreeMap<Currency, Amount> = BTreeMap::new();
                let lines = entries().filter_map(|(_, booked)| booked.price.currency.zip(booked.price.amount));
                let discounts = self.discounts.iter().map(|discount| (discount.currency, discount.amount));
                for (unit, amount) in lines.chain(discounts) {
                    let total = totals.entry(unit).or_insert(Amount::ZERO);
                    *total = total.plus(amount).unwrap_or(*total);
                }
                let found = Currency::parse(currency).and_then(|currency| totals.get(&currency).copied());
                (found.is_none() || found != Amount::parse(amount)).then(|| format!("{totals:?}"))
            }
            Expect::Tier(number, month) => {
                let (charge, booked) = later
                    .messages
                    .last()
                    .and_then(standing)
                    .map_or((None, None), |(charge, booked)| (Some(charge), booked.tier));
                let found = charge.and_then(|charge| charge.line.date).map(|date| date.month().to_string());
                let same =
                    found.as_ref() == Some(month) && booked.is_some_and(|reached| reached.tier.number == *number);
                (!same).then(|| format!("{booked:?} of {found:?}"))
            }
            Expect::Opens(kind, from, to) => {
                let span = |when| self.instant(when).ok();
                let wanted = span(*from).zip(span(*to)).map(|(start, end)| Span { start, end });
                let opened = |(known, span): &(_, Span)| known_as(*known) == *kind && Some(*span) == wanted;
                (!self.conversations.iter().any(opened)).then(|| {
                    let told = |(known, span): &(_, Span)| {
                        format!("{}[{},{})", known_as(*known), self.hours(span.start), self.hours(span.end))
                    };
                    self.conversations.iter().map(told).collect::<Vec<_>>().join(" ")
                })
            }
            Expect::NoConversation(kind) => {
                let unwanted = |known: ConversationKind| kind.as_ref().is_none_or(|kind| known_as(known) == *kind);
                let opened = self.conversations.iter().find(|(known, _)| unwanted(*known));
                opened.map(|(known, span)| {
                    format!("{}[{},{})", known_as(*known), self.hours(span.start), self.hours(span.end))
                })
            }
            Expect::Outcome(outcome) => later.messages.iter().find_map(|message| {
                let outcomes = self.outcomes.get(message).map(Vec::as_slice).unwrap_or_default();
                (!outcomes.contains(&outcome.as_str())).then(|| format!("{outcomes:?}"))
            }),
            Expect::Agreement(agreement) => later.messages.iter().find_map(|message| {
                let found = self.agreements.get(message).map_or("no line", |agreement| agreement.name());
                (found != agreement).then(|| found.to_owned())
            }),
            expect => {
                let first = later.messages.iter().enumerate();
                first.into_iter().find_map(|(index, message)| line_differs(standing(message), expect, index))
            }
        }
    }
}

/// A kind of conversation as the text names it.
fn known_as(kind: ConversationKind) -> String {
    kind.category().name().to_owned()
}

/// What a verdict says other than expected.
fn verdict_differs(verdict: &Verdict, expect: &Expect) -> Option<String> {
    let reason = verdict.reasons.first().map(|cited| cited.reason);
    let is = |wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| {
            reason.is_some_and(|reason| {
                reason.code() == wanted || reason.platform_code().is_some_and(|code| code.to_string() == *wanted)
            })
        })
    };
    let template = verdict.template.as_ref().and_then(|view| view.category.as_ref());
    let in_flight = verdict.price.in_flight.or(verdict.limits.in_flight);
    let same = match expect {
        Expect::Allow => verdict.answer == Answer::Allowed,
        Expect::Block(wanted) => verdict.answer == Answer::Blocked && is(wanted),
        Expect::Unknown(wanted) => verdict.answer == Answer::Unknown && is(wanted),
        Expect::NoWarning(code) => {
            let unwanted = |cited: &Cited| code.as_ref().is_none_or(|code| cited.reason.code() == code);
            !verdict.warnings.iter().any(unwanted)
        }
        Expect::Warning(code) => verdict.warnings.iter().any(|cited| cited.reason.code() == code),
        Expect::InFlight(count) => in_flight == Some(*count),
        Expect::Category(category) => template.is_some_and(|known| known.name() == category),
        Expect::Market(market) => verdict.price.market.is_some_and(|known| known.name() == market),
        _ => true,
    };
    (!same).then(|| {
        let warnings: Vec<&str> = verdict.warnings.iter().map(|cited| cited.reason.code()).collect();
        let market = verdict.price.market.map_or("unknown", Market::name);
        let category = template.map_or("unknown", |category| category.name());
        let reason = reason.map_or("no reason", |reason| reason.code());
        format!(
            "{}: {reason}; warnings {warnings:?}; template's category {category}; market {market}; in flight \
             {in_flight:?}",
            verdict.answer.name()
        )
    })
}

/// What a message's line says other than expected; `index` is the message's place among those of its step.
fn line_differs(entry: Option<&(Charge, Booked)>, expect: &Expect, index: usize) -> Option<String> {
    let toll = entry.map(|(charge, _)| &charge.line.toll);
    let allowance = entry.and_then(|(charge, _)| charge.prediction.allowance);
    let same = match (expect, toll) {
        (Expect::NoLine, toll) => toll.is_none(),
        (Expect::Charge(wanted, amount), Some(Toll::Charged(category))) => {
            let amount_is =
                |amount: &String| entry.and_then(|(_, booked)| booked.price.amount) == Amount::parse(amount);
            category.name() == wanted && amount.as_ref().is_none_or(amount_is)
        }
        (Expect::FreeLine(wanted, category), Some(Toll::Free(reason, free))) => {
            reason.name() == wanted && category.as_ref().is_none_or(|category| free.name() == category)
        }
        (Expect::Unpriced(wanted), Some(Toll::Unknown(why))) => why.name() == wanted,
        // Of several messages the named unit is the last one's.
        (Expect::Unit(number), Some(_)) => {
            let unit = |Allowance { used_before, consumed, .. }: Allowance| consumed.then_some(used_before + 1);
            index > 0 || allowance.and_then(unit) == Some(*number)
        }
        _ => false,
    };
    (!same).then(|| match entry {
        None => "no line".to_owned(),
        Some((charge, Booked { price: Price { kind, amount, currency, source, .. }, .. })) => {
            let toll = &charge.line.toll;
            format!("{} {toll:?} {amount:?} {currency:?} ({source:?}); {allowance:?}", kind.name())
        }
    })
}
