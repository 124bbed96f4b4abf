//! The platform's lists of rates and of volume tiers, as CSV and as workbooks: what is read, and what is said of mistakes.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

mod running;

use running::{repository, tollgate};
use rust_xlsxwriter::Workbook;
use tollgate::codec::rate_card::Import;
use tollgate::domain::money::{Amount, Currency};
use tollgate::domain::rules::cards::{Card, Cards, Column};
use tollgate::domain::rules::markets::Market;
use tollgate::domain::rules::tiers::{Tiered, VolumeTiers};
use tollgate::domain::time::Date;

/// As the platform prints it: a title padded with commas, and a header that breaks a name in two.
const LIST: &str = "\
\"Cost per message in USD on the WhatsApp Business Platform, effective October 1, 2026\",,,,,,
Market,Currency,Marketing,Utility,Authentication,\"Authentication-
International\",Service,Meta Business Agent
Brazil,$US,0.0625,0.0068,0.0068,n/a,0.0068,n/a
India,$US,0.0118,0.0014,0.0014,0.0304,0.0014,n/a
Rest of Africa,$US,0.0225,0.0040,0.0040,n/a,0.0040,n/a
";

const TIERS: &str = include_str!("../examples/rate-cards/sample-usd-2026-10-01-tiers.csv");

/// Reads files by their names and contents; mistakes as they are shown.
fn read(files: &[(&str, &[u8])]) -> Result<Cards, String> {
    let mut import = Import::default();
    for (name, bytes) in files {
        import.add(name, name, bytes);
    }
    import
        .finish()
        .map_err(|mistakes| mistakes.iter().fold(String::new(), |text, mistake| text + &format!("{mistake}\n")))
}

fn usd(cards: &Cards) -> &Card {
    let usd = Currency::parse("USD").expect("a currency");
    cards.in_force(usd, Date::new(2026, 10, 1)).expect("a card")
}

fn market(name: &str) -> Market {
    Market::named(name).expect("a market")
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).expect("an amount")
}

/// A cell of a workbook.
enum Cell {
    Text(&'static str),
    Number(f64),
}
use Cell::{Number, Text};

/// A workbook of sheets, each of rows from the first.
fn workbook(sheets: &[(&str, &[&[Cell]])]) -> Vec<u8> {
    let mut workbook = Workbook::new();
    for (name, rows) in sheets {
        let sheet = workbook.add_worksheet().set_name(*name).expect("a name for a sheet");
        for (row, cells) in (0..).zip(*rows) {
            for (column, cell) in (0..).zip(*cells) {
                let written = match cell {
                    Text(text) => sheet.write_string(row, column, *text),
                    Number(number) => sheet.write_number(row, column, *number),
                };
                written.expect("a cell");
            }
        }
    }
    workbook.save_to_buffer().expect("a workbook")
}

const TITLE: &[Cell] = &[Text("Cost per message in USD on the WhatsApp Business Platform, effective October 1, 2026")];
const HEADER: &[Cell] = &[
    Text("Market"),
    Text("Currency"),
    Text("Marketing"),
    Text("Utility"),
    Text("Authentication"),
    Text("Authentication-\nInternational"),
    Text("Service"),
    Text("Meta Business Agent"),
];
const TIERS_TITLE: &[Cell] = &[Text("Volume tiers in USD, effective October 1, 2026")];
const TIERS_HEADER: &[Cell] =
    &[Text("Market"), Text("Currency"), Text("Category"), Text("From"), Text("To"), Text("Rate")];

#[test]
fn the_platforms_own_layout_is_read() {
    let cards = read(&[("list.csv", LIST.as_bytes())]).expect("a card");
    let card = usd(&cards);
    assert_eq!(card.from, Date::new(2026, 10, 1));
    let rate = |name: &str, column| card.rate(market(name), column);
    assert_eq!(rate("Brazil", Column::Marketing), Some(amount("0.0625")));
    assert_eq!(rate("Brazil", Column::AuthenticationInternational), None);
    assert_eq!(rate("India", Column::AuthenticationInternational), Some(amount("0.0304")));
    assert_eq!(rate("Germany", Column::Service), None);
}

#[test]
fn a_workbook_says_the_same_as_a_text() {
    let list: &[&[Cell]] = &[
        TITLE,
        &[],
        HEADER,
        &[
            Text("Brazil"),
            Text("$US"),
            Number(0.0625),
            Number(0.0068),
            Number(0.0068),
            Text("n/a"),
            Number(0.0068),
            Text("n/a"),
        ],
        &[Text("India"), Text("$US"), Number(0.0118), Number(0.0014), Number(0.0014), Number(0.0304), Number(0.0014)],
        &[
            Text("Rest of Africa"),
            Text("$US"),
            Number(0.0225),
            Number(0.004),
            Number(0.004),
            Text("n/a"),
            Number(0.004),
        ],
    ];
    let africa =
        |from, to, rate| [Text("Rest of Africa"), Text("USD"), Text("Utility"), Number(from), to, Number(rate)];
    let tiers = [
        africa(0.0, Number(100_000.0), 0.004),
        africa(100_001.0, Number(1_000_000.0), 0.0038),
        africa(1_000_001.0, Number(4_500_000.0), 0.0036),
        africa(4_500_001.0, Number(40_000_000.0), 0.0034),
        africa(40_000_001.0, Number(80_000_000.0), 0.0032),
        africa(80_000_001.0, Text("n"), 0.003),
    ];
    let mut tier_sheet: Vec<&[Cell]> = vec![TIERS_TITLE, TIERS_HEADER];
    tier_sheet.extend(tiers.iter().map(|row| &row[..]));
    let notes: &[&[Cell]] = &[&[Text("Rates are subject to change.")]];
    // The name says nothing: the platform calls its workbook a csv.
    let bytes = workbook(&[("Notes", notes), ("List rates", list), ("Volume tiers", &tier_sheet)]);
    let from_workbook = read(&[("rates.csv", &bytes)]).expect("cards");
    let from_texts = read(&[("tiers.csv", TIERS.as_bytes()), ("rates.csv", LIST.as_bytes())]).expect("cards");
    assert_eq!(usd(&from_workbook), usd(&from_texts));
}

#[test]
fn tiers_are_found_by_market_category_and_count() {
    let cards = read(&[("list.csv", LIST.as_bytes()), ("tiers.csv", TIERS.as_bytes())]).expect("cards");
    let tiers = usd(&cards).tiers(market("Rest of Africa"), Tiered::Utility).expect("tiers");
    for (nth, number, written, price) in [
        (1, 1, "0:100000", "0.0040"),
        (100_000, 1, "0:100000", "0.0040"),
        (100_001, 2, "100001:1000000", "0.0038"),
        (80_000_000, 5, "40000001:80000000", "0.0032"),
        (80_000_001, 6, "80000001:MAX", "0.0030"),
    ] {
        let tier = tiers.of(nth);
        assert_eq!((tier.number, tier.to_string().as_str(), tier.price), (number, written, amount(price)), "{nth}");
    }
    assert_eq!(tiers.total(0..1_000_000), Some(amount("3820.00")), "100,000 at 0.0040 and 900,000 at 0.0038");
    assert_eq!(usd(&cards).tiers(market("Rest of Africa"), Tiered::Authentication), None);
}

/// Every rate of at most six decimals up to 1, and some large ones, as the float nearest to it: each comes back exactly.
#[test]
fn a_rate_in_a_workbook_is_exact() {
    let millionths = (0..1_000_000).step_by(997).chain([1, 999_999, 78_491_700, 2_280_123_456, 123_456_789_012]);
    let texts: Vec<String> = millionths.map(|rate: i64| Amount::from_millionths(rate).to_string()).collect();
    let mut workbook = Workbook::new();
    let sheet = workbook.add_worksheet();
    sheet.write_string(0, 0, "effective 2026-10-01").expect("a cell");
    for (column, name) in (0..).zip(["Market", "Currency", "Category", "From", "To", "Rate"]) {
        sheet.write_string(1, column, name).expect("a cell");
    }
    // Each rate is a tier of its own, so that one sheet holds all of them.
    for (at, text) in (0_u32..).zip(&texts) {
        let row = at + 2;
        for (column, name) in [(0, "Brazil"), (1, "USD"), (2, "Utility")] {
            sheet.write_string(row, column, name).expect("a cell");
        }
        sheet.write_number(row, 3, at + 1).expect("a cell");
        if row < texts.len() as u32 + 1 {
            sheet.write_number(row, 4, at + 1).expect("a cell");
        }
        sheet.write_number(row, 5, text.parse::<f64>().expect("a number")).expect("a cell");
    }
    let bytes = workbook.save_to_buffer().expect("a workbook");
    let list = "x, effective 2026-10-01\nMarket,Currency,Utility\nBrazil,USD,0\n";
    let cards = read(&[("list", list.as_bytes()), ("tiers", &bytes)]).expect("cards");
    let tiers: &VolumeTiers = usd(&cards).tiers(market("Brazil"), Tiered::Utility).expect("tiers");
    let read: Vec<String> = tiers.all().iter().map(|tier| tier.price.to_string()).collect();
    assert_eq!(read, texts);
}

#[test]
fn a_rate_that_has_been_calculated_with_is_refused() {
    // 0.1 + 0.2 is not 0.3: the cell shows 0.3 and holds something else.
    let list: &[&[Cell]] = &[TITLE, HEADER, &[Text("Brazil"), Text("USD"), Number(0.1 + 0.2), Number(0.000_000_1)]];
    assert_eq!(
        read(&[("rates.xlsx", &workbook(&[("List rates", list)]))]).expect_err("mistakes"),
        "rates.xlsx, sheet `List rates`, cell C3: `0.30000000000000004` is no rate; digits with at most six decimals are, or `n/a`\n\
         rates.xlsx, sheet `List rates`, cell D3: `0.0000001` is no rate; digits with at most six decimals are, or `n/a`\n"
    );
}

#[test]
fn all_mistakes_of_all_files_are_told_together_with_their_places() {
    let list = LIST.replace("0.0625", "6 cents").replace("India,$US", "Atlantis,US")
        + "Chile,CLP,1,1,1,n/a,1,n/a\nBrazil,$US,0.1,n/a,n/a,n/a,-1,n/a\n";
    let tiers = TIERS.replace("\"100,001\"", "\"100,002\"").replace(",n,", ",\"100,000,000\",")
        + "Brazil,USD,Marketing,0,n,0.01\nIndia,USD,Utility,zero,many,free\n";
    let sheet: &[&[Cell]] =
        &[TITLE, HEADER, &[Text("Brazil"), Text("EUR"), Number(-0.0625)], &[Text("Nowhere"), Text("EUR"), Number(0.1)]];
    let files: [(&str, &[u8]); 6] = [
        ("list.csv", list.as_bytes()),
        ("tiers.csv", tiers.as_bytes()),
        ("euro.xlsx", &workbook(&[("List rates", sheet)])),
        ("page.csv", b"<!DOCTYPE html>"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("empty.csv", b""),
    ];
    assert_eq!(
        read(&files).expect_err("mistakes"),
        "list.csv, line 4, column 3: `6 cents` is no rate; digits with at most six decimals are, or `n/a`\n\
         list.csv, line 5, column 1: `Atlantis` is no market of the platform's list\n\
         list.csv, line 5, column 2: `US` is no currency; three capital letters are, such as `USD`\n\
         list.csv, line 7, column 2: the card is in USD, and this row in CLP; give each currency a file\n\
         list.csv, line 8, column 7: `-1` is no rate; digits with at most six decimals are, or `n/a`\n\
         tiers.csv, line 9, column 3: `Marketing` has no volume tiers; Utility, Authentication, \
         Authentication-International and Call have\n\
         tiers.csv, line 10, column 4: `zero` is no number of messages; a whole number is, such as `100,001`\n\
         tiers.csv, line 10, column 5: `many` is no number of messages; a whole number is, such as `1,000,000`, or `n` \
         for an open end\n\
         tiers.csv, line 10, column 6: `free` is no rate; digits with at most six decimals are, or `n/a`\n\
         tiers.csv, line 3: Rest of Africa, utility: message 100001 is in no tier\n\
         tiers.csv, line 3: Rest of Africa, utility: messages beyond 100000000 are in no tier; leave the end of the last \
         one open\n\
         euro.xlsx, sheet `List rates`, cell C3: `-0.0625` is no rate; digits with at most six decimals are, or `n/a`\n\
         euro.xlsx, sheet `List rates`, cell A4: `Nowhere` is no market of the platform's list\n\
         page.csv: it is a page of the web and no list: its link has expired, or leads elsewhere\n\
         old.xls: it is a workbook of the old kind; save it as `.xlsx` or CSV\n\
         empty.csv: no row names the columns: a list of rates has `Market,Currency,Marketing,Utility,Authentication,…`, \
         a list of volume tiers `Market,Currency,Category,From,To,Rate`\n"
    );
}

#[test]
fn tiers_belong_to_the_list_of_their_currency_and_day() {
    let problem = |list: &str, tiers: &str| {
        read(&[("tiers.csv", tiers.as_bytes()), ("list.csv", list.as_bytes())]).expect_err("mistakes")
    };
    assert_eq!(
        problem(LIST, &TIERS.replace("October", "November")),
        "tiers.csv, line 3: no list of rates is for USD from 2026-11-01, and tiers begin at its rates; add the list of the \
         same day\n"
    );
    assert_eq!(
        problem(LIST, &TIERS.replace(",0.0040", ",0.0041")),
        "tiers.csv, line 3: Rest of Africa, utility: its first tier is 0.0041, and the card's list rate is 0.004; they are \
         the same on the platform's lists\n"
    );
    assert_eq!(
        problem(&LIST.replace("Rest of Africa", "Other"), TIERS),
        "tiers.csv, line 3: Rest of Africa, utility: the card has no list rate for it\n"
    );
    let twice =
        read(&[("a", LIST.as_bytes()), ("b", TIERS.as_bytes()), ("c", TIERS.as_bytes()), ("d", LIST.as_bytes())]);
    assert_eq!(
        twice.expect_err("mistakes"),
        "d, line 2: another card is for USD from 2026-10-01 too; keep one\n\
         c, line 3: Rest of Africa, utility: the card has tiers for it already\n"
    );
    // Where a list is broken, nothing is said of the tiers that would have been on it.
    assert_eq!(
        problem(&LIST.replace("0.0625", "?"), TIERS),
        "list.csv, line 4, column 3: `?` is no rate; digits with at most six decimals are, or `n/a`\n"
    );
}

#[test]
fn what_is_missing_above_the_rows_is_told() {
    let problem = |text: &str| read(&[("x.csv", text.as_bytes())]).expect_err("mistakes");
    assert_eq!(
        problem("Cost per message\nMarket,Money,Utility,Utility\nBrazil,USD,1,2\n"),
        "x.csv, line 2: no title above the columns says from when it holds; it reads like `…, effective October 1, 2026`\n\
         x.csv, line 2, column 4: `Utility` names a column that stands in column C already\n\
         x.csv, line 2: there is no column `Currency`\n"
    );
    assert_eq!(
        problem("x, effective 2026-10-01\nMarket,From,To\n"),
        "x.csv, line 2: there is no column `Currency`; a list of volume tiers has `Market,Currency,Category,From,To,Rate`\n\
         x.csv, line 2: there is no column `Category`; a list of volume tiers has `Market,Currency,Category,From,To,Rate`\n\
         x.csv, line 2: there is no column `Rate`; a list of volume tiers has `Market,Currency,Category,From,To,Rate`\n"
    );
    assert_eq!(problem("x, effective 2026-10-01\nMarket,Currency,Utility\n"), "x.csv, line 1: the card has no rates\n");
    assert_eq!(
        read(&[("x.csv", b"effective 2026-10-01\nMarket,\xff\n")]).expect_err("mistakes"),
        "x.csv, line 2: it is not CSV in UTF-8\n"
    );
    assert!(problem("Brazil,USD,1\n").contains("no row names the columns"));
}

#[test]
fn a_title_may_write_its_date_in_any_of_the_usual_ways() {
    for title in [
        "\"effective October 1, 2026\"",
        "effective 1 Oct 2026",
        "effective from 2026-10-01 on",
        "\"Effective Oct 1st, 2026\"",
        "Effective:,2026-10-01",
    ] {
        let text = format!("\u{feff}{title}\nMarket,Currency,Utility\nBrazil,USD,1\n");
        let cards = read(&[("x", text.as_bytes())]).expect(title);
        assert_eq!(usd(&cards).from, Date::new(2026, 10, 1), "{title}");
    }
}

#[test]
fn check_reports_all_mistakes_of_all_files_and_lists_the_cards() {
    let folder = tempfile::tempdir().expect("a folder");
    let check = |cards: &[&str]| {
        let config = folder.path().join("tollgate.toml");
        let text =
            format!("[deployment]\nkey = \"sample key that protects nobody\"\n[prices]\nrate_cards = {cards:?}\n");
        std::fs::write(&config, text).expect("written");
        let output = tollgate().args(["check", "--config"]).arg(&config).output().expect("the binary runs");
        let shown = |bytes: Vec<u8>| {
            let place = format!("{}/", folder.path().display());
            String::from_utf8(bytes).expect("a text").replace(&place, "")
        };
        (output.status.code(), shown(output.stdout), shown(output.stderr))
    };
    let example = |name: &str| repository(&format!("examples/rate-cards/{name}"));
    let (usd, tiers) = (example("sample-usd-2026-10-01.csv"), example("sample-usd-2026-10-01-tiers.csv"));
    let inr = example("sample-inr-2026-10-01.csv");
    let (code, shown, _) = check(&[&tiers, &usd, &inr]);
    assert_eq!(code, Some(0));
    assert_eq!(
        shown,
        "The configuration of `tollgate` is usable.\n\
         Rate card INR from 2026-10-01: 1 market, no volume tiers (sample-inr-2026-10-01.csv)\n\
         Rate card USD from 2026-10-01: 9 markets, volume tiers of 1 market (sample-usd-2026-10-01.csv)\n"
    );
    std::fs::write(folder.path().join("a.csv"), LIST.replace("0.0625", "six")).expect("written");
    std::fs::write(folder.path().join("b.csv"), TIERS.replace("Utility", "Utilities")).expect("written");
    let (code, _, errors) = check(&["a.csv", "b.csv", "c.csv"]);
    assert_eq!(code, Some(2));
    for place in [
        "a.csv, line 4, column 3: `six`",
        "b.csv, line 3, column 3: `Utilities`",
        "b.csv, line 8",
        "c.csv: the rate card cannot be read",
    ] {
        assert!(errors.contains(place), "{place} in\n{errors}");
    }
}
