//! What people write: rate cards, scenarios, the configuration.

use std::path::{Path, PathBuf};

use tollgate::codec::rate_card::Import;
use tollgate::config::{self, Overrides};
use tollgate::domain::policy::Policy;
use tollgate::scenario as scenarios;
use tollgate::zones::Zones;

/// A file of rates or volume tiers, alone and beside the list that the example's tiers belong to.
pub fn rate_card(input: &[u8]) {
    let list = include_bytes!("../../examples/rate-cards/sample-usd-2026-10-01.csv");
    for beside in [false, true] {
        let mut import = Import::default();
        if beside {
            import.add("list", "list", list);
        }
        import.add("card", "card", input);
        match import.finish() {
            Ok(cards) => assert!(!cards.is_empty(), "a file that is taken has something in it"),
            Err(mistakes) => {
                assert!(!mistakes.is_empty(), "a file that is refused says why");
                let _ = mistakes.iter().map(ToString::to_string).collect::<String>();
            }
        }
    }
}

/// Scenarios: parsed, played, and their failures shown.
pub fn scenario(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // `*9999` says a thing ten thousand times, and so does `9999 used`: it takes its time and finds nothing new.
    let often = text.split('*').skip(1).any(|rest| rest.chars().take_while(char::is_ascii_digit).count() > 2);
    let used = text.split(" used").any(|before| {
        let digits = before.chars().rev().take_while(char::is_ascii_digit).count();
        (4..6).contains(&digits)
    });
    // A target reads no files but its own.
    if often || used || text.contains("candidate") {
        return;
    }
    scenarios::run(Path::new("scenario.txt"), text, &Policy::default(), false, &mut |_| {});
}

/// The configuration.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    // A target reads no files but its own: what a configuration could name one by is left out.
    if text.contains("_file")
        || text.contains("rate_cards")
        || text.contains("candidate")
        || text.contains("\\u")
        || text.contains("\\x")
    {
        return;
    }
    let zones = Zones::new();
    let parsed = config::parse(text, "config.toml".into(), PathBuf::from("."), &Overrides::default(), &zones);
    if let Err(mistakes) = parsed {
        assert!(!mistakes.is_empty(), "a configuration that is refused says why");
        let _ = mistakes.iter().map(ToString::to_string).collect::<String>();
    }
}
