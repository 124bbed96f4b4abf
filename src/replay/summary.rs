//! What a replay found, counted: first what was missing, then the verdicts, then the bill.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};

use crate::domain::billing::{Agreement, Charge, EntryKind, NoPrice, Price, PriceSource, Toll, Unpriced};
use crate::domain::effect::{Effect, Outcome, WindowEdge};
use crate::domain::ledger::spend::forecast;
use crate::domain::ledger::volume::Discount;
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::markets::Market;
use crate::domain::time::Month;
use crate::domain::verdict::{Reason, Verdict};
use crate::engine::ledger::{SpentBy, Used};
use crate::engine::publish::used_key;

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Records read.
    pub records: u64,
    /// Events folded.
    pub events: u64,
    /// Facts learned about accounts and templates.
    pub facts: u64,
    /// What could not be folded, by code.
    pub dead_letters: BTreeMap<String, u64>,
    /// Events of kinds this version does not know, by raw name.
    pub unknown_events: BTreeMap<String, u64>,
    /// What was missing or assumed, and for how many ledger lines or verdicts.
    pub missing: BTreeMap<String, u64>,
    /// Verdicts by answer and reason.
    pub verdicts: Vec<VerdictRow>,
    /// Ledger lines, net of reversals.
    pub bill: Vec<BillRow>,
    /// Lines and outcomes on which the platform disagrees with us, by what about.
    pub disagreements: BTreeMap<String, u64>,
    /// Reversals written.
    pub reversals: u64,
    /// Window edges by type and transition.
    pub windows: BTreeMap<String, u64>,
    /// Outcomes by kind.
    pub outcomes: BTreeMap<String, u64>,
    /// What has become little, or was used up, by code: how often.
    pub notices: BTreeMap<String, u64>,
    /// What the months that have not ended would come to, by scope.
    pub forecasts: BTreeMap<String, Vec<ForecastRow>>,
}

/// What a month would come to in a currency, at the pace so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastRow {
    /// The month, in the account's zone.
    pub month: String,
    /// The currency.
    pub currency: String,
    /// How much, as a decimal, at list price.
    pub amount: String,
}

/// Verdicts with one answer and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerdictRow {
    /// The answer.
    pub verdict: String,
    /// The reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// Ledger lines of one kind, category, market and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillRow {
    /// `CHARGE`, `FREE`, `UNKNOWN` or `DISCOUNT`.
    pub entry_type: String,
    /// The category, if known.
    pub category: String,
    /// The market, if known.
    pub market: String,
    /// Why it is free, or why it is unknown.
    pub reason: String,
    /// The currency, if known.
    pub currency: String,
    /// How many messages.
    pub messages: i64,
    /// How much, as a decimal; nothing where it is unknown.
    pub amount: Option<String>,
}

/// The kind of line that volume tiers make.
const DISCOUNT: &str = "DISCOUNT";

/// A ledger line's place in the bill.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BillKey {
    entry_type: &'static str,
    category: String,
    market: &'static str,
    reason: &'static str,
    currency: String,
}

/// Counts while a replay runs.
#[derive(Debug, Default)]
pub struct Counts {
    summary: Summary,
    verdicts: BTreeMap<(&'static str, &'static str), u64>,
    bill: BTreeMap<BillKey, (i64, Option<Amount>)>,
}

fn count(map: &mut BTreeMap<String, u64>, name: &str) {
    match map.get_mut(name) {
        Some(known) => *known += 1,
        None => {
            map.insert(name.to_owned(), 1);
        }
    }
}

impl Counts {
    /// Goes on from what a former run had counted.
    #[must_use]
    pub fn resume(summary: Summary) -> Self {
        let mut counts = Self { summary, ..Self::default() };
        for row in std::mem::take(&mut counts.summary.verdicts) {
            let answer = ["allowed", "blocked", "unknown"].into_iter().find(|answer| *answer == row.verdict);
            let reason = Reason::ALL.iter().map(|reason| reason.code()).find(|code| *code == row.reason);
            if let (Some(answer), Some(reason)) = (answer, reason) {
                counts.verdicts.insert((answer, reason), row.count);
            }
        }
        for row in std::mem::take(&mut counts.summary.bill) {
            let kinds = [EntryKind::Charge.name(), EntryKind::Free.name(), EntryKind::Unknown.name(), DISCOUNT];
            let key = BillKey {
                entry_type: kinds.into_iter().find(|kind| *kind == row.entry_type).unwrap_or("UNKNOWN"),
                category: row.category,
                market: Market::named(&row.market).map_or("", Market::name),
                reason: REASONS.iter().find(|reason| **reason == row.reason).copied().unwrap_or_default(),
                currency: row.currency,
            };
            let amount = row.amount.as_deref().and_then(Amount::parse);
            counts.bill.insert(key, (row.messages, amount));
        }
        counts
    }

    /// What has been counted so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        let row = |((verdict, reason), count): (&(&str, &str), &u64)| VerdictRow {
            verdict: (*verdict).into(),
            reason: (*reason).into(),
            count: *count,
        };
        summary.verdicts = self.verdicts.iter().map(row).collect();
        let standing = self.bill.iter().filter(|(key, (messages, amount))| {
            *messages != 0 || (key.entry_type == DISCOUNT && *amount != Some(Amount::ZERO))
        });
        summary.bill = standing
            .map(|(key, (messages, amount))| BillRow {
                entry_type: key.entry_type.into(),
                category: key.category.clone(),
                market: key.market.into(),
                reason: key.reason.into(),
                currency: key.currency.clone(),
                messages: *messages,
                amount: amount.map(|amount| amount.to_string()),
            })
            .collect();
        summary
    }

    /// Counts records, events and facts read.
    pub const fn read(&mut self, records: u64, events: u64, facts: u64) {
        self.summary.records += records;
        self.summary.events += events;
        self.summary.facts += facts;
    }

    /// Counts an event of a kind this version does not know.
    pub fn unknown_event(&mut self, name: &str) {
        // Names come from outside; a bound on how many are told apart keeps the summary readable.
        let known = &mut self.summary.unknown_events;
        let name = if known.len() < 100 || known.contains_key(name) { name } else { "others" };
        count(known, name);
    }

    /// Counts a dead letter.
    pub fn dead_letter(&mut self, code: &str) {
        count(&mut self.summary.dead_letters, code);
    }

    /// Counts an answer to an ask that could not be understood.
    pub fn malformed(&mut self) {
        *self.verdicts.entry(("unknown", Reason::Malformed.code())).or_default() += 1;
    }

    /// Counts a verdict.
    pub fn verdict(&mut self, effect: &Effect, verdict: &Verdict) {
        let reason = verdict.reasons.first().map_or("", |cited| cited.reason.code());
        *self.verdicts.entry((verdict.answer.name(), reason)).or_default() += 1;
        if reason == Reason::TemplateUnknown.code() {
            count(&mut self.summary.missing, "verdicts without a record of the template (--templates)");
        }
        if effect.account.id.is_none() {
            count(&mut self.summary.missing, "verdicts without a known account (--accounts)");
        }
    }

    /// Counts a ledger line.
    pub fn entry(&mut self, effect: &Effect, charge: &Charge, entry: &Price) {
        let quantity = if charge.reverses.is_some() { -1 } else { 1 };
        let (kind, reason) = match (&charge.line.toll, &entry.source) {
            (Toll::Free(reason, _), _) => (EntryKind::Free, reason.name()),
            (Toll::Unknown(why), _) => (EntryKind::Unknown, Unpriced::name(why)),
            (Toll::Charged(_), PriceSource::Missing(missing)) => (EntryKind::Unknown, missing.name()),
            (Toll::Charged(_), _) => (EntryKind::Charge, ""),
        };
        // What is free is free in every currency.
        let currency = entry.currency.filter(|_| kind != EntryKind::Free);
        let key = BillKey {
            entry_type: kind.name(),
            category: charge.line.toll.category().unwrap_or_default().to_owned(),
            market: entry.market.map_or("", Market::name),
            reason,
            currency: currency.map(|currency| currency.as_str().to_owned()).unwrap_or_default(),
        };
        let (messages, total) = self.bill.entry(key).or_insert((0, entry.amount.map(|_| Amount::ZERO)));
        *messages += quantity;
        // A sum that does not fit is no sum: it shows as unknown, not as something wrong.
        *total = total.zip(entry.amount).and_then(|(total, amount)| total.plus(amount));
        if charge.reverses.is_some() {
            self.summary.reversals += 1;
            return;
        }
        if charge.agreement == Agreement::Conflict {
            let expected = charge.prediction.toll.category().unwrap_or("unknown");
            let told = charge.line.toll.category().unwrap_or("unknown");
            let name = |toll: &Toll| match toll {
                Toll::Charged(_) => "charged",
                Toll::Free(..) => "free",
                Toll::Unknown(_) => "unknown",
            };
            let (ours, theirs) = (name(&charge.prediction.toll), name(&charge.line.toll));
            let what = format!("price: we say {ours} {expected}, the platform {theirs} {told}");
            count(&mut self.summary.disagreements, &what);
        }
        self.missing(effect, charge, entry);
    }

    fn missing(&mut self, effect: &Effect, charge: &Charge, entry: &Price) {
        let missing = &mut self.summary.missing;
        if effect.account.zone_assumed {
            count(missing, "messages billed in the assumed time zone");
        }
        if effect.account.currency_assumed {
            count(missing, "messages billed in the assumed currency");
        }
        let text = match (&entry.source, &charge.line.toll) {
            (PriceSource::Missing(NoPrice::TimeZoneUnknown), _) | (_, Toll::Unknown(Unpriced::TimeZoneUnknown)) => {
                "messages without a price: time zone unknown (--accounts or --assume-zone)"
            }
            (PriceSource::Missing(NoPrice::CurrencyUnknown), _) => {
                "messages without a price: currency unknown (--accounts or --assume-currency)"
            }
            (PriceSource::Missing(NoPrice::NoRateCard), _) => {
                "messages without a price: no rate card for currency and day (--rate-card)"
            }
            (PriceSource::Missing(NoPrice::MarketUnknown), _) => {
                "messages without a price: recipient's country unknown"
            }
            (PriceSource::Missing(NoPrice::NoRate), _) => {
                "messages without a price: the card has no rate for market and category"
            }
            (_, Toll::Unknown(Unpriced::TemplateUnknown)) => "messages without a price: template unknown (--templates)",
            _ => return,
        };
        count(missing, text);
    }

    /// Counts a discount.
    pub fn discount(&mut self, discount: &Discount) {
        let key = BillKey {
            entry_type: DISCOUNT,
            category: discount.counter.accrual.name().to_owned(),
            market: discount.counter.market.name(),
            reason: "",
            currency: discount.currency.as_str().to_owned(),
        };
        let (_, total) = self.bill.entry(key).or_insert((0, Some(Amount::ZERO)));
        *total = total.and_then(|total| total.plus(discount.amount));
    }

    /// Counts the notices that have arisen, and takes down what the present month would come to.
    pub fn used(&mut self, used: &Used) {
        for standing in used.notices.iter().filter(|standing| standing.is_new) {
            count(&mut self.summary.notices, standing.notice.code());
        }
        let mut sums: BTreeMap<(Month, Currency), Option<Amount>> = BTreeMap::new();
        for SpentBy { spend, month, .. } in &used.spend {
            let Some((present, span)) = month else {
                continue;
            };
            for (item, spent) in spend.items.iter().filter(|(item, _)| item.month == *present) {
                let Some(amount) = spent.amount.and_then(|amount| forecast(amount, *span, used.as_of)) else {
                    continue;
                };
                let sum = sums.entry((item.month, item.currency)).or_insert(Some(Amount::ZERO));
                *sum = sum.and_then(|sum| sum.plus(amount));
            }
        }
        let row = |((month, currency), amount): ((Month, Currency), Option<Amount>)| {
            let (month, currency) = (month.to_string(), currency.as_str().to_owned());
            amount.map(|amount| ForecastRow { month, currency, amount: amount.to_string() })
        };
        let (scope, rows) = (used_key(&used.scope), sums.into_iter().filter_map(row).collect::<Vec<_>>());
        if rows.is_empty() {
            self.summary.forecasts.remove(&scope);
        } else {
            self.summary.forecasts.insert(scope, rows);
        }
    }

    /// Counts an edge of a window.
    pub fn window(&mut self, edge: &WindowEdge) {
        count(&mut self.summary.windows, &format!("{} {}", edge.window.name(), edge.transition.name()));
    }

    /// Counts an outcome.
    pub fn outcome(&mut self, outcome: &Outcome) {
        count(&mut self.summary.outcomes, outcome.result.name());
        if outcome.disagrees {
            count(&mut self.summary.disagreements, &format!("outcome: {}", outcome.result.name()));
        }
    }
}

/// The reasons a row of the bill can have.
const REASONS: [&str; 22] = [
    "",
    "free_entry_point",
    "free_customer_service",
    "free_group_customer_service",
    "reaction",
    "paid_exempt",
    "in_conversation",
    "free_tier",
    "before_first_era",
    "time_zone_unknown",
    "content_unknown",
    "template_unknown",
    "category_unknown",
    "pricing_type_unknown",
    "currency_unknown",
    "no_rate_card",
    "market_unknown",
    "no_rate",
    "tokens_unknown",
    "session_message",
    "agent_message",
    "unknown",
];

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, number) in &self.missing {
            writeln!(f, "Missing: {number} {what}")?;
        }
        if !self.missing.is_empty() {
            writeln!(f)?;
        }
        writeln!(f, "{} records, {} events, {} facts", self.records, self.events, self.facts)?;
        let list = |f: &mut fmt::Formatter<'_>, title: &str, rows: &BTreeMap<String, u64>| {
            if rows.is_empty() {
                return Ok(());
            }
            let rows: Vec<String> = rows.iter().map(|(name, number)| format!("{name} {number}")).collect();
            writeln!(f, "{title}: {}", rows.join(", "))
        };
        list(f, "Dead letters", &self.dead_letters)?;
        list(f, "Events of unknown kind", &self.unknown_events)?;
        list(f, "Windows", &self.windows)?;
        list(f, "Outcomes", &self.outcomes)?;
        list(f, "Notices", &self.notices)?;
        if !self.verdicts.is_empty() {
            let mut table = table(["Verdict", "Reason", "Asks"], &[2]);
            for row in &self.verdicts {
                table.add_row([row.verdict.clone(), row.reason.clone(), row.count.to_string()]);
            }
            writeln!(f, "\n{table}")?;
        }
        if !self.bill.is_empty() {
            let head = ["Line", "Category", "Market", "Why", "Messages", "Amount"];
            let mut table = table(head, &[4, 5]);
            for row in &self.bill {
                let amount = match (&row.amount, row.entry_type.as_str()) {
                    (Some(amount), "CHARGE" | DISCOUNT) => format!("{amount} {}", row.currency),
                    (Some(_), _) => String::new(),
                    (None, _) => format!("unknown {}", row.currency).trim_end().to_owned(),
                };
                table.add_row([
                    row.entry_type.clone(),
                    row.category.clone(),
                    row.market.clone(),
                    row.reason.clone(),
                    row.messages.to_string(),
                    amount,
                ]);
            }
            writeln!(f, "\n{table}")?;
            for (currency, total) in self.totals() {
                writeln!(f, "To pay at list price: {total} {currency}")?;
                if let Some(off) = self.discounts().get(&currency) {
                    writeln!(f, "Volume tiers: {off} {currency}")?;
                    if let Some(rest) = total.plus(*off) {
                        writeln!(f, "To pay: {rest} {currency}")?;
                    }
                }
            }
            for (month, currency, total) in self.forecast() {
                writeln!(
                    f,
                    "At this pace {month} would come to {total} {currency} at list price: arithmetic, no promise"
                )?;
            }
            if self.reversals > 0 {
                writeln!(f, "Lines taken back and written anew: {}", self.reversals)?;
            }
        }
        if self.disagreements.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nDisagreements with the platform:")?;
        for (what, number) in &self.disagreements {
            writeln!(f, "  {number} {what}")?;
        }
        Ok(())
    }
}

impl Summary {
    /// What there is to pay at list price, by currency.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<String, Amount> {
        self.sums(EntryKind::Charge.name())
    }

    /// What the volume tiers take off, by currency: less than nothing.
    #[must_use]
    pub fn discounts(&self) -> BTreeMap<String, Amount> {
        self.sums(DISCOUNT)
    }

    /// What the last month would come to if it goes on as it has begun, by currency; nothing where it has ended, or only
    /// begun.
    #[must_use]
    pub fn forecast(&self) -> Vec<(String, String, Amount)> {
        let rows = || self.forecasts.values().flatten();
        let last = rows().map(|row| &row.month).max();
        let mut totals: BTreeMap<&str, Amount> = BTreeMap::new();
        for row in rows().filter(|row| Some(&row.month) == last) {
            let total = totals.entry(&row.currency).or_insert(Amount::ZERO);
            *total = Amount::parse(&row.amount).and_then(|amount| total.plus(amount)).unwrap_or(*total);
        }
        let told = |(currency, total): (&str, Amount)| (last.cloned().unwrap_or_default(), currency.to_owned(), total);
        totals.into_iter().map(told).collect()
    }

    fn sums(&self, entry_type: &str) -> BTreeMap<String, Amount> {
        let mut totals = BTreeMap::new();
        for row in self.bill.iter().filter(|row| row.entry_type == entry_type) {
            if let Some(amount) = row.amount.as_deref().and_then(Amount::parse) {
                let total = totals.entry(row.currency.clone()).or_insert(Amount::ZERO);
                *total = total.plus(amount).unwrap_or(*total);
            }
        }
        totals
    }
}

/// A table for people, with these columns pushed to the right.
pub(crate) fn table<const N: usize>(head: [&str; N], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled).set_header(head);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
