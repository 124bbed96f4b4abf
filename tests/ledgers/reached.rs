//! What of the ledger's rules a suite has reached: where it is nothing, nothing of them was compared.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use tollgate::codec::records::{BillingEntry, Verdict};

/// What must be reached.
const ALL: [&str; 10] = [
    "discount lines",
    "lines in a tier by count",
    "lines in an announced tier",
    "international passcodes",
    "rows of wa.usage",
    "messaging_limit",
    "messaging_limit_unsure",
    "budget_exceeded",
    "budget_overrun",
    "budget_low",
];

/// How often each was reached.
#[derive(Clone, Default)]
pub struct Reached(BTreeMap<&'static str, u64>);

impl Reached {
    fn count(&mut self, what: &str) {
        self.add(what, 1);
    }

    fn add(&mut self, what: &str, count: u64) {
        if let Some(known) = ALL.into_iter().find(|known| *known == what) {
            *self.0.entry(known).or_default() += count;
        }
    }

    /// A line of the ledger.
    pub fn line(&mut self, line: &BillingEntry<'_>) {
        match (line.entry_type.as_str(), line.tier.as_ref().filter(|tier| tier.from > 1)) {
            ("DISCOUNT", _) => self.count("discount lines"),
            (_, Some(tier)) if tier.basis.as_str() == "platform" => self.count("lines in an announced tier"),
            (_, Some(_)) => self.count("lines in a tier by count"),
            (_, None) => {}
        }
        if line.category.as_ref().is_some_and(|category| category.as_str() == "authentication_international") {
            self.count("international passcodes");
        }
    }

    /// A verdict.
    pub fn verdict(&mut self, verdict: &Verdict<'_>) {
        for reason in verdict.reasons.iter().chain(&verdict.warnings) {
            self.count(reason.code.as_str());
        }
    }

    /// Rows of what is used.
    pub fn rows(&mut self, count: u64) {
        self.add("rows of wa.usage", count);
    }

    /// What was reached less often than it must have been.
    pub fn rare(&self, least: u64) -> Vec<&'static str> {
        ALL.into_iter().filter(|what| self.0.get(what).is_none_or(|count| *count < least)).collect()
    }
}

impl AddAssign<&Self> for Reached {
    fn add_assign(&mut self, other: &Self) {
        other.0.iter().for_each(|(what, count)| self.add(what, *count));
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, what) in ALL.into_iter().enumerate() {
            let between = if place == 0 { "" } else { ", " };
            write!(f, "{between}{what} {}", self.0.get(what).copied().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
