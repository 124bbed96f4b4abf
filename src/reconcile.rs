//! `tollgate reconcile`: the ledger beside the platform's pricing analytics, with the cause of every difference.

pub mod compare;
mod export;
mod late;
mod ledger;
mod post;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::codec::records::BillingEntry;
use crate::codec::{analytics, ids};
use crate::config::{Config, Mistake};
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Timestamp;
use crate::replay;
use crate::replay::inputs::{self, Files, RawRecord, Supply};
use crate::zones::Zones;
use compare::{Account, Bucket, Cause, Cell, Difference, Dimensions};
use export::Export;
use late::Late;
use ledger::{Ledger, LeftOut, Side};
pub use post::{Adjustments, adjustments, write};

/// What a line is called that makes the ledger the platform's.
const ADJUSTMENT: &str = "ADJUSTMENT";

/// What to compare.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Exports of `pricing_analytics`.
    pub analytics: Vec<PathBuf>,
    /// Answers of `phone_numbers`: which business phone number has which id.
    pub numbers: Vec<PathBuf>,
    /// The account that exports are about which do not say.
    pub account: Option<String>,
    /// The first instant that was asked for, in seconds, where it is not the first that was answered.
    pub start: Option<i64>,
    /// The first instant that was asked for no more.
    pub end: Option<i64>,
    /// What the reconciliation is called; made from its figures otherwise.
    pub reference: Option<String>,
}

/// Our side.
pub struct Ours<'s> {
    /// Lines of `wa.billing`.
    pub billing: &'s mut dyn Supply,
    /// Records of `wa.dead-letters`.
    pub dead_letters: &'s mut dyn Supply,
    /// Records of `wa.accounts`, for the price of what came too late.
    pub accounts: &'s mut dyn Supply,
}

/// What was found.
pub struct Reconciled {
    /// What the reconciliation is called.
    pub reference: String,
    /// Account by account.
    pub accounts: Vec<AccountResult>,
    /// What came too late, and is in no ledger.
    late: Vec<Late>,
    /// Of how many letters that came too late it cannot be told what they would have cost.
    late_untold: u64,
    left_out: LeftOut,
    /// How many of the platform's costs were rounded to a millionth.
    rounded: u64,
    /// The ids of ADJUSTMENT lines that the ledger has.
    posted: BTreeSet<[u8; 16]>,
}

/// One account, compared.
pub struct AccountResult {
    /// Its id; empty where neither side tells it.
    pub id: String,
    /// The portfolio.
    pub portfolio: Option<String>,
    /// The currency.
    pub currency: Option<Currency>,
    /// From where to where.
    pub span: Bucket,
    /// Whether the platform hides what was paid.
    pub cost_hidden: bool,
    /// What differs.
    pub differences: Vec<Difference>,
    /// How many of a difference's messages are among the dead letters, by the difference's place.
    pub late: Vec<i64>,
    /// Messages and millionths of the ledger.
    pub ours: (i64, i128),
    /// Messages and millionths of the platform; no millionths where it hides them.
    pub theirs: (i64, Option<i128>),
}

impl Reconciled {
    /// Whether both sides tell the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.accounts.iter().all(|account| account.differences.is_empty())
    }

    /// Takes note of what a ledger has of the lines that make it the platform's, where another one was compared.
    ///
    /// # Errors
    /// What of it cannot be read.
    pub fn note_posted(&mut self, ledger: &mut dyn Supply) -> Result<(), Vec<Mistake>> {
        let mut mistakes = Vec::new();
        if let Some(start) = self.accounts.iter().map(|account| account.span.start).min() {
            ledger.since(start).map_err(|mistake| vec![mistake])?;
        }
        ledger.each(&mut mistakes, &mut |record| {
            let line: BillingEntry<'_> = record.read().map_err(|problem| vec![problem])?;
            self.posted.extend(adjustment(&line));
            Ok(())
        });
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }
}

/// Compares. `config` prices what came too late, where there is any.
///
/// # Errors
/// All that cannot be used, together.
pub fn run(
    options: &Options,
    ours: &mut Ours<'_>,
    config: Option<Config>,
    zones: &Zones,
) -> Result<Reconciled, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let documents = read_documents(&options.analytics, &mut mistakes);
    let phones = read_numbers(&options.numbers, &mut mistakes);
    let asked = (instant("--start", options.start, &mut mistakes), instant("--end", options.end, &mut mistakes));
    let letters = late::read(ours.dead_letters, &mut mistakes);
    let rounded = documents.iter().map(|document| document.rounded).sum();
    let exports = export::gather(documents, options.account.as_deref(), asked).unwrap_or_else(|contradiction| {
        mistakes.push(Mistake::new("--analytics", contradiction.0));
        BTreeMap::new()
    });
    if exports.is_empty() && mistakes.is_empty() {
        mistakes.push(Mistake::new("--analytics", "there is no data point in it"));
    }
    // Only what may be used is worth the pass over the ledger.
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let untold = letters.len() as u64;
    let (late, late_untold) = match config {
        Some(config) if !letters.is_empty() => {
            let mut wrong = Vec::new();
            let reference = replay::learn(ours.accounts, &mut Files::default(), zones, &mut wrong);
            if !wrong.is_empty() {
                return Err(wrong);
            }
            late::lines(&letters, config, reference, Zones::new()).map_err(|mistake| vec![mistake])?
        }
        _ => (Vec::new(), untold),
    };
    // A line that a letter has by now was written after what the letter is about.
    let starts = exports.values().filter_map(|export| export.span).map(|span| span.start);
    if let Some(start) = starts.chain(late.iter().filter_map(Late::at)).min() {
        ours.billing.since(start).map_err(|mistake| vec![mistake])?;
    }
    let waiting: BTreeSet<_> = late.iter().map(Late::message).collect();
    let mut given_back = BTreeSet::new();
    let mut ledger = Ledger::new(&exports, zones);
    let mut posted = BTreeSet::new();
    ours.billing.each(&mut mistakes, &mut |record| {
        let line: BillingEntry<'_> = record.read().map_err(|problem| vec![problem])?;
        // Whoever posts at the same time as somebody else writes the same lines once more.
        if adjustment(&line).is_some_and(|id| !posted.insert(id)) {
            return Ok(());
        }
        if !waiting.is_empty() {
            let message = late::message(&line);
            if waiting.contains(&message) {
                given_back.insert(message);
            }
        }
        ledger.add(&line).map_err(|ledger::Malformed(why)| vec![why.to_owned()])
    });
    let Ledger { mut sides, left_out, .. } = ledger;
    let late: Vec<Late> = late.into_iter().filter(|late| !given_back.contains(&late.message())).collect();
    let mut accounts = Vec::new();
    for (account, export) in &exports {
        let side = sides.remove(account).unwrap_or_default();
        match compare(account.as_deref(), export, side, &phones) {
            Ok((compared, account)) => accounts.push(result(account, &compared, export, &late, zones)),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let reference = options.reference.clone().unwrap_or_else(|| reference(&accounts));
    Ok(Reconciled { reference, accounts, late, late_untold, left_out, rounded, posted })
}

/// The id of a line, if it is one that makes the ledger the platform's.
fn adjustment(line: &BillingEntry<'_>) -> Option<[u8; 16]> {
    if line.entry_type.as_str() == ADJUSTMENT { ids::from_hex(line.envelope.id.as_str()) } else { None }
}

fn instant(option: &str, seconds: Option<i64>, mistakes: &mut Vec<Mistake>) -> Option<Timestamp> {
    let seconds = seconds?;
    let instant = Timestamp::from_seconds(seconds);
    if instant.is_none() {
        mistakes
            .push(Mistake::new(option, "it is no instant of 2009 to 2099 in seconds, as the platform's request has"));
    }
    instant
}

fn read_documents(paths: &[PathBuf], mistakes: &mut Vec<Mistake>) -> Vec<analytics::Document> {
    let mut documents = Vec::new();
    for path in paths {
        inputs::each(path, mistakes, |record| {
            let RawRecord { bytes, flaw: None, plan: None, .. } = *record else {
                return Err(vec!["it is no JSON object".to_owned()]);
            };
            documents.push(analytics::parse(bytes).map_err(|unusable| vec![unusable.to_string()])?);
            Ok(())
        });
    }
    documents
}

fn read_numbers(paths: &[PathBuf], mistakes: &mut Vec<Mistake>) -> BTreeMap<String, String> {
    let mut phones = BTreeMap::new();
    for path in paths {
        inputs::each(path, mistakes, |record| {
            let numbers = analytics::numbers(record.bytes).map_err(|unusable| vec![unusable.to_string()])?;
            phones.extend(numbers.into_iter().map(|(id, phone)| (phone, id)));
            Ok(())
        });
    }
    phones
}

/// The files of the ledger and of dead letters: those given, and those of a replay's directory.
///
/// # Errors
/// Which directories have none.
pub fn files(paths: &[PathBuf], letters: &[PathBuf]) -> Result<(Files, Files), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let (mut billing, mut dead_letters) = (Vec::new(), Vec::new());
    let both = |directory: &Path, name: &str| {
        ["ndjson", "avro"]
            .map(|extension| directory.join(format!("{name}.{extension}")))
            .into_iter()
            .filter(|path| path.is_file())
    };
    for path in paths {
        if !path.is_dir() {
            billing.push(path.clone());
            continue;
        }
        let before = billing.len();
        billing.extend(both(path, "billing"));
        dead_letters.extend(both(path, "dead-letters"));
        if billing.len() == before {
            let why = "it holds neither billing.ndjson nor billing.avro, which `tollgate replay --out` writes";
            mistakes.push(Mistake::new(path.display().to_string(), why));
        }
    }
    dead_letters.extend(letters.iter().cloned());
    if mistakes.is_empty() { Ok((Files(billing), Files(dead_letters))) } else { Err(mistakes) }
}

/// Puts both sides of an account into cells, once it is clear which number is which.
fn compare(
    account: Option<&str>,
    export: &Export,
    side: Side,
    phones: &BTreeMap<String, String>,
) -> Result<(Account, String), Mistake> {
    let Side { cells, discounts, numbers, accounts, portfolio, currency } = side;
    let id = match (account, accounts.first(), accounts.len()) {
        (Some(account), _, _) => account.to_owned(),
        (None, _, 2..) => {
            let why = "the export does not say which account it is about, and the ledger has several; give --account";
            return Err(Mistake::new("--analytics", why));
        }
        (None, only, _) => only.cloned().unwrap_or_default(),
    };
    let asked: BTreeSet<&String> = export.points.values().filter_map(|point| point.phone.as_ref()).collect();
    let mut known: BTreeMap<&str, &str> = BTreeMap::new();
    let mut unknown = Vec::new();
    for phone in asked {
        match (phones.get(phone), numbers.get(phone)) {
            (Some(id), _) | (None, Some(id)) => {
                known.insert(phone, id);
            }
            (None, None) => unknown.push(phone),
        }
    }
    let ours: Vec<&String> = numbers.iter().collect();
    match (&unknown[..], &ours[..]) {
        ([], _) => {}
        // Each side has one number, so they are the same.
        ([phone], [id]) if known.is_empty() => {
            known.insert(phone, id);
        }
        _ => {
            let why = format!(
                "{} phone numbers of the export have no id; give --numbers the platform's answer to \
                 `GET /{id}/phone_numbers`",
                unknown.len()
            );
            return Err(Mistake::new("--analytics", why));
        }
    }
    let mut compared = Account {
        discounts,
        span: export.span,
        cost_hidden: export.points.values().all(|point| point.cost.is_none()),
        currency,
        portfolio,
        ..Account::default()
    };
    for (key, ours) in cells {
        compared.cells.insert(key, Cell { ours, ..Cell::default() });
    }
    for point in export.points.values() {
        let dimensions = Dimensions {
            number: point.phone.as_ref().and_then(|phone| known.get(phone.as_str())).map(|id| (*id).to_owned()),
            country: point.country.clone(),
            category: point.category.clone(),
            pricing_type: point.pricing_type.clone(),
        };
        let cell = compared.cells.entry((Bucket { start: point.start, end: point.end }, dimensions)).or_default();
        cell.theirs.tiers.insert(point.tier.clone(), (point.volume, point.cost));
    }
    Ok((compared, id))
}

fn result(id: String, account: &Account, export: &Export, late: &[Late], zones: &Zones) -> AccountResult {
    let differences = account.differences();
    let mut waiting: BTreeMap<(Bucket, Dimensions), i64> = BTreeMap::new();
    for late in late {
        let line = late.entry();
        let is_ours = id.is_empty() || line.account_id.as_ref().is_some_and(|account| account.as_str() == id);
        if let Some(bucket) = late.at().filter(|_| is_ours).and_then(|at| export.bucket(at, &line, zones)) {
            *waiting.entry((bucket, ledger::dimensions(&line, export))).or_default() += 1;
        }
    }
    let late = differences
        .iter()
        .map(|difference| match difference.cause {
            Cause::MissingWebhook => {
                let waiting = waiting.get(&(difference.bucket, difference.dimensions.clone()));
                waiting.copied().unwrap_or_default().min(difference.quantity)
            }
            _ => 0,
        })
        .collect();
    let cells = account.cells.values();
    let discounts: i128 = account.discounts.values().sum();
    let ours = cells.clone().map(|cell| (cell.ours.count, cell.ours.amount));
    let ours = ours.fold((0, discounts), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
    let theirs = cells.flat_map(|cell| cell.theirs.tiers.values());
    let cost = |cost: Option<Amount>| cost.map_or(0, |cost| i128::from(cost.millionths()));
    let theirs = theirs.fold((0, 0), |sum, (volume, spent)| (sum.0 + volume, sum.1 + cost(*spent)));
    AccountResult {
        id,
        portfolio: account.portfolio.clone(),
        currency: account.currency,
        // An export has data points, or it would not be there.
        span: account.span.unwrap_or(Bucket { start: Timestamp::EARLIEST, end: Timestamp::EARLIEST }),
        cost_hidden: account.cost_hidden,
        differences,
        late,
        ours,
        theirs: (theirs.0, Some(theirs.1).filter(|_| !account.cost_hidden)),
    }
}

/// A name by content: the same figures on both sides give the same one, and others another one.
fn reference(accounts: &[AccountResult]) -> String {
    let mut fields: Vec<String> = Vec::new();
    for account in accounts {
        let AccountResult { id, span, ours, theirs, .. } = account;
        fields.push(format!("{id} {} {} {ours:?} {theirs:?}", span.start.millis(), span.end.millis()));
        for difference in &account.differences {
            fields.extend(difference.names());
            fields.push(format!("{} {:?} {:?}", difference.quantity, difference.amount, difference.sides));
        }
    }
    let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
    ids::hex(ids::hash(&fields)).as_str().to_owned()
}

impl Difference {
    /// What makes it this difference and no other, as text.
    fn names(&self) -> [String; 9] {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let Dimensions { number, country, category, pricing_type } = &self.dimensions;
        [
            self.bucket.start.millis().to_string(),
            self.bucket.end.millis().to_string(),
            text(number),
            text(country),
            text(category),
            text(pricing_type),
            text(&self.tier),
            text(&self.market),
            self.cause.name().to_owned(),
        ]
    }
}

/// Millionths as an amount; the greatest there is where they are more than that.
fn amount(millionths: i128) -> Amount {
    Amount::from_millionths(i64::try_from(millionths).unwrap_or(if millionths < 0 { i64::MIN } else { i64::MAX }))
}
