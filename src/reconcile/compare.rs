//! The ledger beside the platform's figures: what differs, and why.
//!
//! The way it is told why is written out in `docs/reconcile.md`. Two things hold whatever the figures: every difference
//! in count and every difference in cost gets exactly one cause, and the differences of an account add up to the
//! difference of the totals.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::money::{Amount, Currency};
use crate::domain::time::Timestamp;

/// A span of time that the platform counted by: the first instant, and the first one behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// The first instant in it.
    pub start: Timestamp,
    /// The first instant behind it.
    pub end: Timestamp,
}

/// What both sides are grouped by. One that the export does not have is absent everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dimensions {
    /// The business phone number, by its id.
    pub number: Option<String>,
    /// The recipient's country.
    pub country: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// The pricing type.
    pub pricing_type: Option<String>,
}

/// The ledger's side of a cell, net of reversals.
#[derive(Clone, Debug, Default)]
pub struct Ours {
    /// How many messages.
    pub count: i64,
    /// What they cost at list price, or by the platform's word where it named the price.
    pub amount: i128,
    /// How many of them the platform named a price for, as it does under a max price.
    pub bids: i64,
    /// How many have no price.
    pub unpriced: i64,
    /// The currencies of the amounts.
    pub currencies: BTreeSet<Currency>,
    /// The market.
    pub market: Option<String>,
    /// The month, as the ledger cuts it.
    pub period: Option<String>,
}

/// The platform's side of a cell, by volume tier.
#[derive(Clone, Debug, Default)]
pub struct Theirs {
    /// The figures of each tier; of none where the export has no tiers or the messages take part in none.
    pub tiers: BTreeMap<Option<String>, (i64, Option<Amount>)>,
}

impl Theirs {
    fn volume(&self) -> i64 {
        self.tiers.values().map(|(volume, _)| volume).sum()
    }

    fn cost(&self) -> Option<i128> {
        self.tiers.values().map(|(_, cost)| cost.map(|cost| i128::from(cost.millionths()))).sum()
    }
}

/// One combination of a bucket and dimensions.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// The ledger's side.
    pub ours: Ours,
    /// The platform's side.
    pub theirs: Theirs,
}

/// What a volume discount belongs to, as far as the export can tell it apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    /// The market.
    pub market: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// The month.
    pub period: Option<String>,
}

impl Scope {
    /// The scope that a cell's discount belongs to.
    fn of(dimensions: &Dimensions, market: Option<&String>, period: Option<&String>) -> Self {
        Self {
            market: market.filter(|_| dimensions.country.is_some()).cloned(),
            category: dimensions.category.clone(),
            period: period.cloned(),
        }
    }
}

/// Both sides of one account.
#[derive(Debug, Default)]
pub struct Account {
    /// Every cell that either side has.
    pub cells: BTreeMap<(Bucket, Dimensions), Cell>,
    /// The ledger's volume discounts, in millionths; negative.
    pub discounts: BTreeMap<Scope, i128>,
    /// From where to where the export goes.
    pub span: Option<Bucket>,
    /// Whether the platform hides what was paid, as it does from those who pay through a partner.
    pub cost_hidden: bool,
    /// The currency, where the ledger has one.
    pub currency: Option<Currency>,
    /// The portfolio, where the ledger has one.
    pub portfolio: Option<String>,
}

/// Why two figures differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The platform counts messages that the ledger does not have.
    MissingWebhook,
    /// The ledger has messages that the platform does not count.
    Count,
    /// The same messages, in the next span of time.
    ZoneBoundary,
    /// The same messages, in another country, category or type.
    Classification,
    /// The same count, at another volume tier or discount.
    Tier,
    /// The same count, and the price was bid for.
    BidPrice,
    /// The same count, at another unit price.
    Rate,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 7] = [
        Self::MissingWebhook,
        Self::Count,
        Self::ZoneBoundary,
        Self::Classification,
        Self::Tier,
        Self::BidPrice,
        Self::Rate,
    ];

    /// Its name on outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingWebhook => "missing_webhook",
            Self::Count => "count",
            Self::ZoneBoundary => "zone_boundary",
            Self::Classification => "classification",
            Self::Tier => "tier",
            Self::BidPrice => "bid_price",
            Self::Rate => "rate",
        }
    }
}

/// One difference. Counts and amounts are the platform's less ours, so that adding them to the ledger makes it the
/// platform's.
#[derive(Clone, Debug)]
pub struct Difference {
    /// When.
    pub bucket: Bucket,
    /// Of what.
    pub dimensions: Dimensions,
    /// The market, where the ledger knows it.
    pub market: Option<String>,
    /// The month, where the ledger knows it.
    pub period: Option<String>,
    /// The volume tier, where the platform names one.
    pub tier: Option<String>,
    /// Why.
    pub cause: Cause,
    /// How many messages more.
    pub quantity: i64,
    /// How many millionths more. Absent where it cannot be told, because the platform hides it or currencies differ.
    pub amount: Option<i128>,
    /// Both sides of the cell that it is a part of.
    pub sides: Sides,
}

/// What both sides say of a cell as a whole.
#[derive(Clone, Debug, Default)]
pub struct Sides {
    /// How many messages the ledger has.
    pub our_count: i64,
    /// What the ledger says they cost.
    pub our_amount: i128,
    /// How many messages of them have no price.
    pub our_unpriced: i64,
    /// How many messages the platform counts.
    pub their_count: i64,
    /// What the platform says they cost.
    pub their_cost: Option<i128>,
}

/// Categories that have volume tiers.
const TIERED: [&str; 3] = ["utility", "authentication", "authentication_international"];

/// The category of what was bid for under a max price.
pub const BID: &str = "marketing_lite_dynamic";

impl Account {
    /// All differences, by bucket and dimensions.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        let mut open: BTreeMap<&(Bucket, Dimensions), i64> = self
            .cells
            .iter()
            .map(|(key, cell)| (key, cell.theirs.volume() - cell.ours.count))
            .filter(|(_, more)| *more != 0)
            .collect();
        let mut causes: BTreeMap<&(Bucket, Dimensions), BTreeMap<Cause, i64>> = BTreeMap::new();
        let mut settle = |key, cause, count: i64| *causes.entry(key).or_default().entry(cause).or_default() += count;
        for (early, late) in boundaries(&open) {
            for key in [early, late] {
                settle(key, Cause::ZoneBoundary, open.remove(key).unwrap_or_default());
            }
        }
        for alike in [Alike::Country, Alike::CategoryAndType, Alike::NumberAlone] {
            for (more, fewer, count) in moved(&open, alike) {
                for (key, count) in [(more, count), (fewer, -count)] {
                    settle(key, Cause::Classification, count);
                    *open.entry(key).or_default() -= count;
                }
            }
        }
        for (key, more) in open {
            match more.signum() {
                1 => settle(key, Cause::MissingWebhook, more),
                -1 => settle(key, Cause::Count, more),
                _ => {}
            }
        }
        let mut differences = Vec::new();
        for (key, cell) in &self.cells {
            self.of_cell(key, cell, causes.get(key).unwrap_or(&BTreeMap::new()), &mut differences);
        }
        self.set_off(&mut differences);
        differences.sort_by(|a, b| {
            (a.bucket, &a.dimensions, a.cause, &a.tier).cmp(&(b.bucket, &b.dimensions, b.cause, &b.tier))
        });
        differences
    }

    /// The differences of one cell: of counts by their causes, and of the price of what both have.
    fn of_cell(
        &self,
        key: &(Bucket, Dimensions),
        cell: &Cell,
        counts: &BTreeMap<Cause, i64>,
        differences: &mut Vec<Difference>,
    ) {
        let Cell { ours, theirs } = cell;
        let comparable = !self.cost_hidden && ours.currencies.len() <= 1;
        let cost = theirs.cost().filter(|_| comparable);
        let sides = Sides {
            our_count: ours.count,
            our_amount: ours.amount,
            our_unpriced: ours.unpriced,
            their_count: theirs.volume(),
            their_cost: cost,
        };
        let row = |cause, quantity, amount, tier| Difference {
            bucket: key.0,
            dimensions: key.1.clone(),
            market: ours.market.clone(),
            period: ours.period.clone(),
            tier,
            cause,
            quantity,
            amount,
            sides: sides.clone(),
        };
        let Some(cost) = cost else {
            differences.extend(counts.iter().map(|(cause, count)| row(*cause, *count, None, None)));
            return;
        };
        let mut rest = cost - ours.amount;
        let more = i128::from(theirs.volume() - ours.count);
        let unit = unit_price(ours);
        let mut left = more;
        for (cause, count) in counts {
            let count_wide = i128::from(*count);
            let amount = if ours.count <= 0 || theirs.volume() <= 0 {
                // Only one side has messages: what they cost is the whole difference, and the last takes what is left.
                let share = if left == count_wide { rest } else { rest * count_wide / left };
                left -= count_wide;
                share
            } else {
                unit.map_or_else(|| ours.amount * count_wide / i128::from(ours.count), |unit| unit * count_wide)
            };
            rest -= amount;
            differences.push(row(*cause, *count, Some(amount), None));
        }
        if rest == 0 {
            return;
        }
        let category = key.1.category.as_deref();
        if ours.bids != 0 || category == Some(BID) {
            differences.push(row(Cause::BidPrice, 0, Some(rest), joined(theirs)));
            return;
        }
        let scope = Scope::of(&key.1, ours.market.as_ref(), ours.period.as_ref());
        let is_tiered = category.is_none_or(|category| TIERED.contains(&category));
        let beyond_first = theirs.tiers.keys().flatten().any(|tier| is_beyond_first(tier));
        if !is_tiered || !(beyond_first || self.discounts.contains_key(&scope)) || rest > 0 {
            differences.push(row(Cause::Rate, 0, Some(rest), joined(theirs)));
            return;
        }
        if let Some(unit) = unit.filter(|_| beyond_first) {
            for (tier, (volume, tier_cost)) in &theirs.tiers {
                let Some(tier) = tier.as_ref().filter(|tier| is_beyond_first(tier)) else { continue };
                let at_list = unit * i128::from(*volume);
                let less = tier_cost.map_or(0, |cost| i128::from(cost.millionths())) - at_list;
                // A tier costs less than list. What is more than that is another rate.
                if less < 0 {
                    differences.push(row(Cause::Tier, 0, Some(less), Some(tier.clone())));
                    rest -= less;
                }
            }
            if rest != 0 {
                differences.push(row(Cause::Rate, 0, Some(rest), joined(theirs)));
            }
        } else {
            differences.push(row(Cause::Tier, 0, Some(rest), joined(theirs)));
        }
    }

    /// Sets the ledger's volume discounts off against what the platform charged below list: what they cover is no
    /// difference, and what is left is one of the whole scope.
    fn set_off(&self, differences: &mut Vec<Difference>) {
        for (scope, discount) in &self.discounts {
            let (mut below_list, mut span) = (0, self.span);
            let mut covered = Vec::new();
            differences.retain(|row| {
                let of = Scope::of(&row.dimensions, row.market.as_ref(), row.period.as_ref());
                let is_covered = row.cause == Cause::Tier && of == *scope;
                if is_covered {
                    below_list += row.amount.unwrap_or_default();
                    covered.push(row.bucket);
                }
                !is_covered
            });
            if let (Some(start), Some(end)) =
                (covered.iter().map(|bucket| bucket.start).min(), covered.iter().map(|bucket| bucket.end).max())
            {
                span = Some(Bucket { start, end });
            }
            if let Some(bucket) = span.filter(|_| below_list != *discount && !self.cost_hidden) {
                differences.push(Difference {
                    bucket,
                    dimensions: Dimensions { category: scope.category.clone(), ..Dimensions::default() },
                    market: scope.market.clone(),
                    period: scope.period.clone(),
                    tier: None,
                    cause: Cause::Tier,
                    quantity: 0,
                    amount: Some(below_list - discount),
                    sides: Sides { our_amount: *discount, their_cost: Some(below_list), ..Sides::default() },
                });
            }
        }
    }
}

/// What one message costs in a cell, where all cost the same.
fn unit_price(ours: &Ours) -> Option<i128> {
    let count = i128::from(ours.count);
    (count > 0 && ours.unpriced == 0 && ours.amount % count == 0).then(|| ours.amount / count)
}

/// Whether a tier, written `lower:upper`, is not the first: that one begins at 0 and costs the list price.
fn is_beyond_first(tier: &str) -> bool {
    tier.split_once(':').and_then(|(lower, _)| lower.parse::<u64>().ok()).is_some_and(|lower| lower > 1)
}

fn joined(theirs: &Theirs) -> Option<String> {
    let tiers: Vec<&str> = theirs.tiers.keys().flatten().map(String::as_str).collect();
    (!tiers.is_empty()).then(|| tiers.join(" "))
}

type Key = (Bucket, Dimensions);

/// Cells of one bucket and number, and how many messages the platform has more in each.
type Group<'k> = Vec<(&'k Key, i64)>;

/// Pairs of adjacent buckets of the same dimensions in which one side's surplus is the other's lack.
fn boundaries<'k>(open: &BTreeMap<&'k Key, i64>) -> Vec<(&'k Key, &'k Key)> {
    let mut by_dimensions: BTreeMap<&Dimensions, Vec<(&'k Key, i64)>> = BTreeMap::new();
    for (key, more) in open {
        by_dimensions.entry(&key.1).or_default().push((key, *more));
    }
    let mut pairs = Vec::new();
    for keys in by_dimensions.into_values() {
        let mut keys = keys.into_iter().peekable();
        while let Some((early, more)) = keys.next() {
            let adjacent = |(late, fewer): &(&Key, i64)| late.0.start == early.0.end && *fewer == -more;
            if let Some((late, _)) = keys.next_if(adjacent) {
                pairs.push((early, late));
            }
        }
    }
    pairs
}

/// What two cells of one bucket and number have in common besides.
#[derive(Clone, Copy)]
enum Alike {
    Country,
    CategoryAndType,
    NumberAlone,
}

impl Alike {
    fn are(self, a: &Dimensions, b: &Dimensions) -> bool {
        match self {
            Self::Country => a.country == b.country,
            Self::CategoryAndType => (&a.category, &a.pricing_type) == (&b.category, &b.pricing_type),
            Self::NumberAlone => true,
        }
    }
}

/// Messages that one side has in one cell and the other in another one of the same bucket and number.
fn moved<'k>(open: &BTreeMap<&'k Key, i64>, alike: Alike) -> Vec<(&'k Key, &'k Key, i64)> {
    let mut groups: BTreeMap<(Bucket, Option<&str>), Group<'k>> = BTreeMap::new();
    for (key, more) in open {
        groups.entry((key.0, key.1.number.as_deref())).or_default().push((key, *more));
    }
    let mut found = Vec::new();
    for mut group in groups.into_values() {
        for more in 0..group.len() {
            for fewer in 0..group.len() {
                let count = group[more].1.min(-group[fewer].1);
                if count > 0 && alike.are(&group[more].0.1, &group[fewer].0.1) {
                    group[more].1 -= count;
                    group[fewer].1 += count;
                    found.push((group[more].0, group[fewer].0, count));
                }
            }
        }
    }
    found
}
