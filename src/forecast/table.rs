//! An answer for people: where it stands, one table for each candidate, and what is to pay.

use std::collections::BTreeMap;
use std::fmt;

use crate::domain::content::{Category, Content};
use crate::domain::forecast::{Candidate, Group, Question, Totals, Why};
use crate::domain::money::{Amount, Currency};
use crate::domain::rules::markets::Market;
use crate::domain::verdict::Answer;
use crate::engine::forecast::Standing;
use crate::replay;
use crate::zones::instant;

/// An answer to print.
pub struct Table<'a> {
    /// What was asked.
    pub question: &'a Question,
    /// What the answer rests on.
    pub standing: Standing,
    /// How many records had been folded.
    pub records: u64,
    /// The answer.
    pub totals: &'a Totals,
}

/// What is said to a list, in a few words.
fn name(candidate: &Candidate) -> String {
    match candidate {
        Candidate::Each(_) => "as the list says".into(),
        Candidate::Same(Content::Template(template)) => {
            let category = template.category.as_ref().map_or_else(String::new, |named| format!("/{}", named.name()));
            format!("template {}/{}{category}", template.name, template.language)
        }
        Candidate::Same(Content::DirectSend(category)) => format!("direct_send {}", Category::name(category)),
        Candidate::Same(content) => content.name().into(),
    }
}

fn money(amount: Option<Amount>, currency: Option<Currency>) -> String {
    let currency = currency.map_or_else(String::new, |currency| format!(" {}", currency.as_str()));
    amount.map_or_else(String::new, |amount| format!("{amount}{currency}"))
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { question, standing, records, totals } = self;
        let number = question.number.as_str();
        write!(f, "Number {number}, answered for {}, after {records} records", instant(standing.evaluated_for))?;
        match standing.partition_time {
            Some(at) => writeln!(f, ", the last of which arrived {}", instant(at))?,
            None => writeln!(f)?,
        }
        if !standing.number_known {
            writeln!(f, "No event of this number was folded: a window that looks closed may be open.")?;
        }
        for (index, candidate) in question.candidates.iter().enumerate() {
            let groups: Vec<_> = totals.iter().filter(|(group, ..)| group.candidate == index).collect();
            writeln!(f, "\n{}, {} recipients:", name(candidate), question.recipients.len())?;
            let head = ["Verdict", "Reason", "Market", "Category", "Why", "Messages", "Each", "Amount"];
            let mut table = replay::table(head, &[5, 6, 7]);
            for (group, count, sum) in &groups {
                table.add_row(row(group, *count, *sum));
            }
            writeln!(f, "{table}")?;
            bottom_line(f, &groups)?;
        }
        Ok(())
    }
}

fn row(group: &Group, count: u64, sum: Option<Amount>) -> [String; 8] {
    let unit = group.unit.map(|(amount, _)| amount);
    let currency = group.unit.and_then(|(_, currency)| currency);
    let sent = group.answer != Answer::Blocked;
    let why = match group.why {
        Some(Why::Free(name) | Why::Unknown(name)) if sent => name,
        Some(_) | None => "",
    };
    let amount = match (group.why, sent) {
        (Some(Why::Unknown(_)), true) => "unknown".to_owned(),
        _ => money(sum, currency),
    };
    [
        group.answer.name().into(),
        group.reason.code().into(),
        group.market.map_or("", Market::name).into(),
        group.category.as_deref().unwrap_or("").into(),
        why.into(),
        count.to_string(),
        money(unit, None),
        amount,
    ]
}

/// What is to pay, in each currency, for what would be sent, and how many messages that leaves out.
fn bottom_line(f: &mut fmt::Formatter<'_>, groups: &[(&Group, u64, Option<Amount>)]) -> fmt::Result {
    let mut sums: BTreeMap<Currency, Option<Amount>> = BTreeMap::new();
    let (mut unpriced, mut unsure, mut blocked) = (0, 0, 0);
    for (group, count, sum) in groups {
        match (group.answer, group.unit) {
            (Answer::Blocked, _) => blocked += count,
            (Answer::Unknown, _) => unsure += count,
            (Answer::Allowed, Some((_, Some(currency)))) => {
                let total = sums.entry(currency).or_insert(Some(Amount::ZERO));
                *total = total.zip(*sum).and_then(|(total, sum)| total.plus(sum));
            }
            (Answer::Allowed, Some((_, None))) => {}
            (Answer::Allowed, None) => unpriced += count,
        }
    }
    for (currency, sum) in sums {
        let sum = sum.map_or_else(|| "unknown: it does not fit".to_owned(), |sum| sum.to_string());
        writeln!(f, "To pay at list price: {sum} {}", currency.as_str())?;
    }
    for (count, what) in [
        (unpriced, "messages would be sent, and their price is unknown"),
        (unsure, "messages of which it cannot be told whether they may be sent are in no sum"),
        (blocked, "messages would be refused"),
    ] {
        if count > 0 {
            writeln!(f, "{count} {what}")?;
        }
    }
    Ok(())
}
