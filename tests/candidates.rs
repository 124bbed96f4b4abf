//! Candidate rows from a file: what is read, what is refused, and what a rehearsal's outputs say. What the rows do is in
//! `tests/scenarios/candidate-2027-01-01.txt`.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod running;

use running::{Replay, records, repository};
use serde_json::Value;
use tollgate::codec::rate_card::Import;
use tollgate::config::candidate;
use tollgate::domain::rules::Rules;
use tollgate::domain::rules::cards::Cards;

/// The sample card, and every mistake of a file of candidate rows on it.
fn mistakes(text: &str) -> String {
    let mut import = Import::default();
    for name in ["sample-usd-2026-10-01.csv", "sample-usd-2026-10-01-tiers.csv"] {
        let bytes = std::fs::read(repository(&format!("examples/rate-cards/{name}"))).expect("a sample");
        import.add(name, name, &bytes);
    }
    let mut cards: Cards = import.finish().expect("the samples are whole");
    let read = candidate::parse(text, "next.toml".into(), "next.toml");
    match read.and_then(|file| file.apply(Rules::default(), &mut cards)) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.iter().fold(String::new(), |text, mistake| text + &format!("{mistake}\n")),
    }
}

#[test]
fn every_mistake_of_a_row_is_told_with_its_line() {
    let text = r#"source = "a test"
[[era]]
name = "E6"
from = "January"
free_service = "none"

[[entry_point]]
name = "F3"
from = "2027-01-01"
length = "long"

[[market]]
name = " "
from = "2027-01-01"
calling_codes = []

[[international]]
from = "2027-01-01"
countries = ["Kenya"]

[[rate]]
from = "2027-01-01"
currency = "Dollar"
market = "Atlantis"
category = "telepathy"
rate = "0.00000001"

[[rate]]
from = "2027-01-01"
currency = "USD"
market = "Brazil"
category = "marketing"
rate = "0.01"
tiers = [{ from = 0, to = 10, rate = "0.01" }]

[[rate]]
from = "2027-01-01"
currency = "USD"
market = "Brazil"
category = "utility"
rate = "0.01"
tiers = [{ from = 0, to = 10, rate = "0.01" }, { from = 12, rate = "0.005" }]
"#;
    assert_eq!(
        mistakes(text),
        "next.toml, line 2: `January` is no date; write `2027-01-01`\n\
         next.toml, line 2: `none` is no number of free messages; a whole number a month is, or `all`\n\
         next.toml, line 7: `long` is no length of time; write `72h` or `7d`\n\
         next.toml, line 12: `` cannot be a market's name\n\
         next.toml, line 12: no calling code moves to it; name some, such as `calling_codes = [254]`\n\
         next.toml, line 17: countries are named by two capital letters, such as `countries = [\"KE\"]`\n\
         next.toml, line 21: `Dollar` is no currency; three capital letters are, such as `USD`\n\
         next.toml, line 21: `Atlantis` is no market; the platform's are, and those of the rows above\n\
         next.toml, line 21: `telepathy` has no rate; marketing, utility, authentication and service have\n\
         next.toml, line 21: `0.00000001` is no rate; digits with at most six decimals are\n\
         next.toml, line 28: `marketing` has no volume tiers\n\
         next.toml, line 36: message 11 is in no tier\n"
    );
}

#[test]
fn a_row_that_has_no_place_behind_those_that_ship_is_refused() {
    let text = r#"source = "a test"
[[era]]
name = "E4b"
from = "2026-08-01"
[[era]]
name = "E6"
from = "2027-01-15"
[[market]]
name = "Brazil"
from = "2027-01-01"
calling_codes = [55]
[[rate]]
from = "2027-01-01"
currency = "EUR"
market = "Brazil"
category = "marketing"
rate = "0.01"
[[rate]]
from = "2026-10-01"
currency = "USD"
market = "Brazil"
category = "marketing"
rate = "0.01"
[[rate]]
from = "2027-01-01"
currency = "USD"
market = "Rest of Africa"
category = "utility"
rate = "0.0036"
"#;
    assert_eq!(
        mistakes(text),
        "next.toml, line 18: the rate card sample-usd-2026-10-01.csv begins on 2026-10-01 too; change it there\n\
         next.toml, line 12: no rate card of EUR is in force on 2027-01-01; load the one that it changes\n\
         next.toml, line 24: sample-usd-2026-10-01.csv (candidate next.toml) has volume tiers for it, which begin at its \
         rate; give the new ones in `tiers`\n\
         next.toml, line 2: rows stand in ascending order, behind those that ship: this one has to begin after 2026-10-01\n\
         next.toml, line 5: an era begins on the first day of a month, because what is free is counted by the month\n\
         next.toml, line 8: it changes nothing: the calling code is in this market already\n"
    );
}

#[test]
fn what_is_no_row_is_refused_with_its_line() {
    assert!(
        mistakes("source = \"x\"\n[[era]]\nname = \"E6\"\nfrom = \"2027-01-01\"\nprice = 1\n")
            .contains("line 5: unknown field `price`")
    );
    assert!(mistakes("[[era]]\nname = \"E6\"\nfrom = \"2027-01-01\"\n").contains("missing field `source`"));
}

/// The example day at the rules of the made-up 2027-01-01: every line names the candidate, and each differs from the bill of
/// `tests/bill.rs` in what the rows say and nothing else.
#[test]
fn a_rehearsal_names_the_candidate_as_its_source() {
    let folder = tempfile::tempdir().expect("a folder");
    let day = Replay::of_the_example_day(folder.path().join("out"));
    let rehearsal =
        day.with("--rules-as-of", "2027-01-01").with("--candidate", "tests/scenarios/candidate-2027-01-01.toml");
    rehearsal.run();
    let lines: Vec<[String; 4]> = records(&rehearsal.outputs(), "billing")
        .iter()
        .map(|line: &Value| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            [text("message_id"), text("amount"), text("rule"), text("rate_card")]
        })
        .collect();
    let (rule, card) =
        ("E6 (candidate candidate-2027-01-01.toml)", "sample-usd-2026-10-01.csv (candidate candidate-2027-01-01.toml)");
    let expected = [
        ["wamid.DAY001", "0.07", rule, card],
        ["wamid.DAY003", "0.00", rule, "-"],
        // In the open window, and free again.
        ["wamid.DAY004", "0.00", rule, "-"],
        ["wamid.DAY021", "0.00", rule, "-"],
        ["wamid.DAY031", "0.00", rule, "-"],
        ["wamid.DAY005", "0.0068", rule, card],
        ["wamid.DAY022", "0.00", rule, "-"],
    ];
    assert_eq!(lines, expected);
}

/// Rows whose day has not come change no byte of the outputs.
#[test]
fn a_candidate_changes_nothing_before_its_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let day = Replay::of_the_example_day(folder.path().join("day"));
    let candidate = day.beside("candidate", false).with("--candidate", "tests/scenarios/candidate-2027-01-01.toml");
    day.run();
    candidate.run();
    running::assert_same(&day.outputs(), &candidate.outputs(), "with a candidate of next year");
}

#[test]
fn check_reports_a_candidate_beside_everything_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("next.toml");
    std::fs::write(&file, "source = \"x\"\n[[era]]\nname = \"E6\"\nfrom = \"soon\"\n").expect("written");
    let mut check = running::tollgate();
    check.current_dir(repository("")).args(["check", "--config", "examples/demo.toml", "--rules-as-of", "later"]);
    let output = check.arg("--candidate").arg(&file).output().expect("the binary runs");
    let errors = String::from_utf8(output.stderr).expect("a text");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors.contains("`later` is no date") && errors.contains("next.toml, line 2: `soon` is no date"),
        "{errors}"
    );
}
