//! Rules of which something is reached in a short run: volume tiers of few messages on the sample cards, limits, budgets, and
//! facts that go with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tollgate::codec::records::{Account, Fact};
use tollgate::loadgen::References;

/// The sample cards.
const CARDS: [&str; 2] = ["sample-usd-2026-10-01.csv", "sample-inr-2026-10-01.csv"];

/// What each tier costs less than the one before, in hundredths of its list rate.
const LESS: i64 = 15;

/// The rate cards of the examples.
pub fn cards() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rate-cards");
    CARDS.iter().map(|card| directory.join(card)).collect()
}

/// Writes a list of volume tiers for each of those cards: of all rates for utility, authentication and its international rate.
/// `begins` is where the second tier and those behind it begin.
pub fn write_tiers(directory: &Path, begins: &[u64]) -> Vec<PathBuf> {
    let list = |card: PathBuf| {
        let text = std::fs::read_to_string(&card).expect("a sample card");
        let mut list =
            "\"Volume tiers, effective October 1, 2026\"\nMarket,Currency,Category,From,To,Rate\n".to_owned();
        // Behind the header, which is two lines long.
        for row in text.lines().skip(3) {
            let cells: Vec<&str> = row.split(',').collect();
            for (category, column) in [("Utility", 3), ("Authentication", 4), ("Authentication-International", 5)] {
                let Some(rate) = cells[column].replace('.', "").parse::<i64>().ok() else {
                    continue;
                };
                let bounds = begins.iter().map(|next| (next - 1).to_string()).chain(["n".to_owned()]);
                for (tier, (from, to)) in (0..).zip([&1].into_iter().chain(begins).zip(bounds)) {
                    // Cards have four decimals, and the list six.
                    let rate = rate * 100 - rate * LESS * tier;
                    let price = format!("{}.{:06}", rate / 1_000_000, rate % 1_000_000);
                    writeln!(list, "{},{},{category},{from},{to},{price}", cells[0], cells[1]).expect("text");
                }
            }
        }
        let name = card.file_stem().expect("a name").to_string_lossy().into_owned();
        let path = directory.join(format!("{name}-tiers.csv"));
        std::fs::write(&path, list).expect("a list is written");
        path
    };
    cards().into_iter().map(list).collect()
}

/// A tier that the platform has announced.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    pub market: &'static str,
    pub month: &'static str,
    /// Its first message.
    pub begins: u64,
    /// When it began, in milliseconds since the epoch.
    pub at: i64,
}

/// Facts for the generator's accounts: all have a messaging limit, those of the first portfolio `limits[0]` and the others
/// `limits[1]`. Passcodes of all cost the international rate from an instant in seconds on. The first account of each portfolio
/// is told of switches: utility messages of a market come into the tier that begins with some message of a month.
pub fn add_facts(references: &mut References, limits: [u64; 2], international_from: i64, switches: &[Switch]) {
    let accounts: Vec<&mut Account<'static>> =
        references.accounts.iter_mut().filter(|record| record.entity_type.as_str() == "account").collect();
    for (place, account) in accounts.into_iter().enumerate() {
        // What is known from the beginning is known together.
        let since = account.facts.first().map_or(0, |fact| fact.from);
        let fact = |name: &'static str, value: String| Fact {
            name: name.into(),
            value: Some(value.into()),
            from: since,
            learned_at: since,
            source: Some("operator".into()),
            ..Fact::default()
        };
        account.facts.push(fact("messaging_limit", limits[usize::from(place > 1)].to_string()));
        account.facts.push(fact("primary_location", "US".to_owned()));
        account.facts.push(fact("authentication_international_from", international_from.to_string()));
        if place % 2 == 0 {
            for Switch { market, month, begins, at } in switches {
                let attributes = [
                    ("region", (*market).to_owned()),
                    ("pricing_category", "UTILITY".to_owned()),
                    ("effective_month", (*month).to_owned()),
                    ("tier_update_time", (at / 1_000).to_string()),
                ];
                let attributes: BTreeMap<_, _> =
                    attributes.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
                account.facts.push(Fact { attributes, ..fact("volume_tier", format!("{begins}:")) });
            }
        }
    }
}
