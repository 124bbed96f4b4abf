//! The ledger's side: lines of `wa.billing` from files, net, in the platform's buckets and dimensions.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{BID, Bucket, Dimensions, Ours, Scope};
use super::export::{Export, Has};
use crate::codec::records::BillingEntry;
use crate::codec::text::Text;
use crate::domain::money::{Amount, Currency};
use crate::domain::time::Timestamp;
use crate::zones::Zones;

/// What the ledger has of one account.
#[derive(Default)]
pub struct Side {
    /// Its messages.
    pub cells: BTreeMap<(Bucket, Dimensions), Ours>,
    /// Its volume discounts, in millionths.
    pub discounts: BTreeMap<Scope, i128>,
    /// Its business phone numbers.
    pub numbers: BTreeSet<String>,
    /// The accounts of its lines; more than one where the export does not say which it is about.
    pub accounts: BTreeSet<String>,
    /// Its portfolio.
    pub portfolio: Option<String>,
    /// Its currency, which is the latest line's.
    pub currency: Option<Currency>,
}

/// Lines that are compared with nothing, by why.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Outside the span of the export.
    pub outside: u64,
    /// Of an account that no export is about.
    pub other_account: u64,
    /// What the platform's pricing analytics do not count: reactions, conversations, tokens.
    pub not_counted: u64,
}

/// Gathers lines.
pub struct Ledger<'e> {
    exports: &'e BTreeMap<Option<String>, Export>,
    zones: &'e Zones,
    /// What was gathered, by the exports' accounts.
    pub sides: BTreeMap<Option<String>, Side>,
    /// What was not.
    pub left_out: LeftOut,
}

/// Why a line cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl<'e> Ledger<'e> {
    /// A ledger without lines, to be compared with exports.
    #[must_use]
    pub fn new(exports: &'e BTreeMap<Option<String>, Export>, zones: &'e Zones) -> Self {
        Self { exports, zones, sides: BTreeMap::new(), left_out: LeftOut::default() }
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If it is none that Tollgate writes.
    pub fn add(&mut self, line: &BillingEntry<'_>) -> Result<(), Malformed> {
        let named = line.account_id.as_ref().map(|id| id.as_str().to_owned());
        let Some((account, export)) = self.exports.get_key_value(&named).or_else(|| self.exports.get_key_value(&None))
        else {
            self.left_out.other_account += 1;
            return Ok(());
        };
        let at = Timestamp::from_millis(line.occurred_at).ok_or(Malformed("`occurred_at` is no instant"))?;
        let amount = match line.amount.as_ref().map(Text::as_str) {
            None => None,
            Some(text) => Some(i128::from(Amount::parse(text).ok_or(Malformed("`amount` is no amount"))?.millionths())),
        };
        let is_discount = is_of_a_scope(line);
        // A discount is dated when the half-hour that it is about has passed.
        let is_after = line.entry_type.as_str() == "DISCOUNT";
        let counted_at = Timestamp::from_millis(line.occurred_at - i64::from(is_after)).unwrap_or(at);
        if !is_discount && !is_counted(line) {
            self.left_out.not_counted += 1;
            return Ok(());
        }
        let Some(bucket) = export.bucket(counted_at, line, self.zones) else {
            self.left_out.outside += 1;
            return Ok(());
        };
        let side = self.sides.entry(account.clone()).or_default();
        if let Some(named) = named
            && !side.accounts.contains(&named)
        {
            side.accounts.insert(named);
        }
        if side.portfolio.is_none() {
            side.portfolio = owned(line.portfolio_id.as_ref());
        }
        let currency = line.currency.as_ref().and_then(|currency| Currency::parse(currency.as_str()));
        side.currency = currency.or(side.currency);
        if is_discount {
            let scope = Scope {
                market: owned(line.market.as_ref()).filter(|_| export.has.country),
                category: owned(line.category.as_ref()).filter(|_| export.has.category),
                period: owned(line.billing_period.as_ref()),
            };
            *side.discounts.entry(scope).or_default() += amount.unwrap_or_default();
            return Ok(());
        }
        if let Some(number) = &line.phone_number_id
            && !side.numbers.contains(number.as_str())
        {
            side.numbers.insert(number.as_str().to_owned());
        }
        let ours = side.cells.entry((bucket, dimensions(line, export))).or_default();
        ours.count += line.quantity;
        match amount {
            Some(amount) => ours.amount += amount,
            None => ours.unpriced += line.quantity,
        }
        if line.price_source.as_str() == "platform" {
            ours.bids += line.quantity;
        }
        if let Some(currency) = currency.filter(|_| amount.is_some_and(|amount| amount != 0)) {
            ours.currencies.insert(currency);
        }
        if ours.market.is_none() {
            ours.market = owned(line.market.as_ref());
        }
        if ours.period.is_none() {
            ours.period = owned(line.billing_period.as_ref());
        }
        Ok(())
    }
}

fn owned(text: Option<&Text<'_>>) -> Option<String> {
    text.map(|text| text.as_str().to_owned())
}

/// Whether a line is of a market and a month and of no message: a volume discount, or what a reconciliation found
/// that one should have been.
fn is_of_a_scope(line: &BillingEntry<'_>) -> bool {
    match line.entry_type.as_str() {
        "DISCOUNT" => true,
        super::ADJUSTMENT => line.rule.as_str() == "tier" && line.pricing_type.is_none() && line.quantity == 0,
        _ => false,
    }
}

/// Whether the platform's pricing analytics count what a line is about.
fn is_counted(line: &BillingEntry<'_>) -> bool {
    let free = line.free_reason.as_ref().map_or("", Text::as_str);
    line.unit.as_str() == "message" && !matches!(free, "reaction" | "in_conversation")
}

/// A line's dimensions, in the words of the platform's analytics: its own type and category where it has named them.
pub fn dimensions(line: &BillingEntry<'_>, export: &Export) -> Dimensions {
    let platform = line.platform.as_ref();
    let pricing_type = line.pricing_type.as_ref().or(platform.and_then(|platform| platform.r#type.as_ref()));
    let category = line.category.as_ref().or(platform.and_then(|platform| platform.category.as_ref()));
    let was_bid_for = export.has_bids && line.price_source.as_str() == "platform";
    let category = match category.map(Text::as_str) {
        Some("marketing_lite") if was_bid_for => Some(BID.to_owned()),
        category => category.map(str::to_owned),
    };
    let Has { phone, country, category: has_category, pricing_type: has_type } = export.has;
    Dimensions {
        number: owned(line.phone_number_id.as_ref()).filter(|_| phone),
        country: owned(line.country.as_ref()).filter(|_| country),
        category: category.filter(|_| has_category),
        pricing_type: owned(pricing_type).filter(|_| has_type),
    }
}
