//! What was found, for people as tables and for machines as a JSON object per line.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

use super::compare::Dimensions;
use super::{AccountResult, Reconciled, amount};
use crate::codec::text::Text;
use crate::domain::money::Currency;
use crate::domain::time::{Date, Timestamp};

/// How many differences the table shows; all of them are in the file.
const SHOWN: usize = 50;

/// One difference, or one letter that came too late, as the file has it.
#[derive(Serialize)]
struct Row<'a> {
    record: &'static str,
    reference: &'a str,
    account_id: &'a str,
    start: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    market: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_period: Option<&'a str>,
    cause: &'a str,
    quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ours: Option<Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    theirs: Option<Figures>,
    /// How many of a missing webhook's messages are among the dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    too_late: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    letter: Option<Place<'a>>,
}

#[derive(Serialize)]
struct Figures {
    count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unpriced: Option<i64>,
}

#[derive(Serialize)]
struct Place<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

fn written(millionths: i128) -> String {
    amount(millionths).to_string()
}

impl Reconciled {
    /// Writes every difference, and every letter that came too late, as a JSON object per line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for account in &self.accounts {
            for (difference, late) in account.differences.iter().zip(&account.late) {
                let Dimensions { number, country, category, pricing_type } = &difference.dimensions;
                let sides = &difference.sides;
                let row = Row {
                    record: "difference",
                    reference: &self.reference,
                    account_id: &account.id,
                    start: difference.bucket.start.millis(),
                    end: Some(difference.bucket.end.millis()),
                    phone_number_id: number.as_deref(),
                    country: country.as_deref(),
                    category: category.as_deref(),
                    pricing_type: pricing_type.as_deref(),
                    tier: difference.tier.as_deref(),
                    market: difference.market.as_deref(),
                    billing_period: difference.period.as_deref(),
                    cause: difference.cause.name(),
                    quantity: difference.quantity,
                    amount: difference.amount.map(written),
                    currency: account.currency.as_ref().map(Currency::as_str),
                    ours: Some(Figures {
                        count: sides.our_count,
                        amount: Some(written(sides.our_amount)),
                        unpriced: Some(sides.our_unpriced).filter(|unpriced| *unpriced != 0),
                    }),
                    theirs: Some(Figures {
                        count: sides.their_count,
                        amount: sides.their_cost.map(written),
                        unpriced: None,
                    }),
                    too_late: Some(*late).filter(|late| *late != 0),
                    letter: None,
                };
                write_line(&row, out)?;
            }
        }
        for late in &self.late {
            let line = late.entry();
            let text = |text: &'_ Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
            let (account, number, country) = (text(&line.account_id), text(&line.phone_number_id), text(&line.country));
            let (category, kind) = (text(&line.category), text(&line.pricing_type));
            let (market, period, currency) = (text(&line.market), text(&line.billing_period), text(&line.currency));
            let row = Row {
                record: "too_late",
                reference: &self.reference,
                account_id: account.as_deref().unwrap_or_default(),
                start: line.occurred_at,
                end: None,
                phone_number_id: number.as_deref(),
                country: country.as_deref(),
                category: category.as_deref(),
                pricing_type: kind.as_deref(),
                tier: None,
                market: market.as_deref(),
                billing_period: period.as_deref(),
                cause: "too_late",
                quantity: line.quantity,
                amount: text(&line.amount),
                currency: currency.as_deref(),
                ours: None,
                theirs: None,
                too_late: None,
                letter: Some(Place {
                    topic: &late.place.topic,
                    partition: late.place.partition,
                    offset: late.place.offset,
                }),
            };
            write_line(&row, out)?;
        }
        Ok(())
    }
}

fn write_line(row: &Row<'_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

/// A table with the last columns to the right, where numbers are.
fn table(header: &[&str], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for column in header.len() - numbers..header.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// An instant for people: day and minute, UTC.
fn minute(at: Timestamp) -> String {
    let minutes = at.millis().div_euclid(60_000).rem_euclid(1440);
    format!("{} {:02}:{:02}", Date::utc(at), minutes / 60, minutes % 60)
}

fn or_none(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

fn signed(number: i128, text: &str) -> String {
    if number > 0 { format!("+{text}") } else { text.to_owned() }
}

impl fmt::Display for Reconciled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Reconciliation {}", self.reference)?;
        for account in &self.accounts {
            account.show(f)?;
        }
        self.show_late(f)?;
        let left_out = &self.left_out;
        for (count, what) in [
            (left_out.outside, "lines lie outside the span of the export (--start and --end name the one asked for)"),
            (left_out.other_account, "lines are of accounts that no export is about"),
            (
                left_out.not_counted,
                "lines are of what pricing analytics do not count: reactions, conversations, tokens",
            ),
            (self.rounded, "of the platform's costs had more than six decimals and were rounded"),
            (
                self.late_untold,
                "dead letters came too late; --config and a payload tell what they would have cost, of the first 64 MiB",
            ),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        Ok(())
    }
}

impl Reconciled {
    fn show_late(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.late.is_empty() {
            return Ok(());
        }
        writeln!(f, "\nCame too late and are not in the ledger; `tollgate redrive` gives them back")?;
        let mut rows = table(&["at (UTC)", "number", "country", "category", "type", "amount", "letter"], 2);
        for late in self.late.iter().take(SHOWN) {
            let line = late.entry();
            let text = |text: &Option<Text<'_>>| text.as_ref().map_or("-", Text::as_str).to_owned();
            let currency = line.currency.as_ref().map_or("", Text::as_str);
            rows.add_row(vec![
                late.at().map(minute).unwrap_or_default(),
                text(&line.phone_number_id),
                text(&line.country),
                text(&line.category),
                text(&line.pricing_type),
                format!("{} {currency}", text(&line.amount)).trim_end().to_owned(),
                format!("{}/{}/{}", late.place.topic, late.place.partition, late.place.offset),
            ]);
        }
        writeln!(f, "{rows}")?;
        if self.late.len() > SHOWN {
            writeln!(f, "and {} more, which --out has", self.late.len() - SHOWN)?;
        }
        Ok(())
    }
}

impl AccountResult {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, span, ours, theirs, .. } = self;
        let currency = self.currency.as_ref().map_or("", Currency::as_str);
        let name = if id.is_empty() { "(not named)" } else { id };
        writeln!(f, "\nAccount {name}, {} to {} UTC", minute(span.start), minute(span.end))?;
        let mut totals = table(&["", "messages", "amount"], 2);
        totals.add_row(vec!["ledger".to_owned(), ours.0.to_string(), format!("{} {currency}", written(ours.1))]);
        let cost = theirs.1.map_or_else(|| "hidden".to_owned(), |cost| format!("{} {currency}", written(cost)));
        totals.add_row(vec!["platform".to_owned(), theirs.0.to_string(), cost]);
        writeln!(f, "{totals}")?;
        if self.differences.is_empty() {
            return writeln!(f, "No difference.");
        }
        let mut causes: BTreeMap<_, (usize, i64, i128)> = BTreeMap::new();
        for difference in &self.differences {
            let cause = causes.entry(difference.cause).or_default();
            cause.0 += 1;
            cause.1 += difference.quantity;
            cause.2 += difference.amount.unwrap_or_default();
        }
        let mut summary = table(&["cause", "differences", "messages", "amount"], 3);
        for (cause, (count, quantity, sum)) in causes {
            let sum = if self.cost_hidden { "hidden".to_owned() } else { signed(sum, &written(sum)) };
            let quantity = signed(quantity.into(), &quantity.to_string());
            summary.add_row(vec![cause.name().to_owned(), count.to_string(), quantity, sum]);
        }
        writeln!(f, "\n{summary}")?;
        let header =
            ["from (UTC)", "to", "number", "country", "category", "type", "tier", "cause", "messages", "amount"];
        let mut rows = table(&header, 2);
        for (difference, late) in self.differences.iter().zip(&self.late).take(SHOWN) {
            let Dimensions { number, country, category, pricing_type } = &difference.dimensions;
            let amount = difference.amount.map_or_else(|| "-".to_owned(), |sum| signed(sum, &written(sum)));
            let mut cause = difference.cause.name().to_owned();
            if *late > 0 {
                cause = format!("{cause} ({late} too late)");
            }
            rows.add_row(vec![
                minute(difference.bucket.start),
                minute(difference.bucket.end),
                or_none(number.as_deref()).to_owned(),
                or_none(country.as_deref().or(difference.market.as_deref())).to_owned(),
                or_none(category.as_deref()).to_owned(),
                or_none(pricing_type.as_deref()).to_owned(),
                or_none(difference.tier.as_deref()).to_owned(),
                cause,
                signed(difference.quantity.into(), &difference.quantity.to_string()),
                amount,
            ]);
        }
        writeln!(f, "\n{rows}")?;
        if self.differences.len() > SHOWN {
            writeln!(f, "and {} more, which --out has", self.differences.len() - SHOWN)?;
        }
        Ok(())
    }
}
