//! Figures, as Markdown.

use std::fmt::Write as _;

/// Some runs' figures for one thing.
#[derive(Clone, Debug, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// Adds a run's figure.
    pub fn add(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// The one in the middle; of an even number the greater of the two.
    pub fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The median, and in brackets the least and the greatest.
    pub fn text(&self, digits: usize) -> String {
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(most)) if self.0.len() > 1 => {
                format!("{} ({} to {})", number(self.median(), digits), number(*least, digits), number(*most, digits))
            }
            (Some(only), _) => number(*only, digits),
            _ => "–".to_owned(),
        }
    }
}

/// A number with so many digits behind the point, and its thousands apart.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), String::new()), |(a, b)| (a, format!(".{b}")));
    let mut apart = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && digit.is_ascii_digit() && !apart.ends_with('-') {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart + &rest
}

/// A table: its columns' names, and its rows.
pub fn print(title: &str, columns: &[&str], rows: &[Vec<String>]) {
    let mut text = format!("\n### {title}\n\n| {} |\n|---|", columns.join(" | "));
    text.push_str(&"---:|".repeat(columns.len() - 1));
    for row in rows {
        let _ = write!(text, "\n| {} |", row.join(" | "));
    }
    println!("{text}");
}

/// How busy the machine has been in the last minutes.
pub fn load_average() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
