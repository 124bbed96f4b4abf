//! A campaign list: a table of recipients as a spreadsheet or a CRM writes it, or questions as `wa.forecasts` has them.
//!
//! All mistakes are told together, each with its line, and none repeats what the line says: it holds phone numbers.

use std::path::Path;

use crate::codec::forecast::{parse, person, said};
use crate::codec::{frame, records};
use crate::config::Mistake;
use crate::domain::content::Content;
use crate::domain::forecast::{Candidate, Question};
use crate::domain::id::{AccountId, Identity, NumberId, RequestId};
use crate::domain::time::Timestamp;

/// How many mistakes of a list are told.
const MOST: usize = 50;

/// What the command line says of a list.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The business phone number that would send.
    pub number: Option<NumberId>,
    /// The account that would send.
    pub account: Option<AccountId>,
    /// What might be said.
    pub candidates: Vec<Content>,
    /// The instant to answer for.
    pub at: Option<Timestamp>,
    /// When it is asked.
    pub asked_at: Timestamp,
    /// Whether every recipient's answer is wanted.
    pub per_recipient: bool,
}

/// A question of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The question.
    pub question: Question,
    /// The line of each recipient; in a record of questions all have its own.
    pub lines: Vec<u64>,
    /// Whether the list gives it its id.
    pub is_named: bool,
}

/// A list as it was read.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// Its questions.
    pub questions: Vec<Listed>,
    /// The columns that say nothing of use.
    pub unused: Vec<String>,
}

/// Reads a list.
///
/// # Errors
/// All mistakes in it.
pub fn read(path: &Path, terms: &Terms) -> Result<List, Vec<Mistake>> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path);
    let bytes = bytes.map_err(|error| vec![Mistake::new(&place, format!("it cannot be read: {error}"))])?;
    understand(&place, &bytes, terms)
}

fn understand(place: &str, bytes: &[u8], terms: &Terms) -> Result<List, Vec<Mistake>> {
    let mut reading = Reading { place, terms, mistakes: Vec::new(), more: 0 };
    let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let list = if is_json { reading.questions(bytes) } else { reading.table(bytes) };
    if reading.more > 0 {
        reading.mistakes.push(Mistake::new(place, format!("and {} mistakes more", reading.more)));
    }
    if reading.mistakes.is_empty() { Ok(list) } else { Err(reading.mistakes) }
}

struct Reading<'a> {
    place: &'a str,
    terms: &'a Terms,
    mistakes: Vec<Mistake>,
    /// Mistakes that are only counted.
    more: usize,
}

/// A mistake that has been told.
struct Told;

/// What a column says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Phone,
    User,
    Parent,
    Kind,
    Template,
    Language,
    Category,
}

impl Column {
    fn of(name: &str) -> Option<Self> {
        Some(match name.trim().to_ascii_lowercase().as_str() {
            "wa_id" | "phone" | "phone_number" => Self::Phone,
            "user_id" => Self::User,
            "parent_user_id" => Self::Parent,
            "kind" => Self::Kind,
            "template" => Self::Template,
            "language" => Self::Language,
            "category" => Self::Category,
            _ => return None,
        })
    }
}

impl Reading<'_> {
    fn wrong(&mut self, line: u64, problem: impl Into<String>) {
        if self.mistakes.len() < MOST {
            self.mistakes.push(Mistake::new(format!("{}, line {line}", self.place), problem));
        } else {
            self.more += 1;
        }
    }

    /// Questions as JSON, one on each line.
    fn questions(&mut self, bytes: &[u8]) -> List {
        let mut list = List::default();
        let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
        for (line, text) in lines.filter(|(_, text)| !text.trim_ascii().is_empty()) {
            let record = match frame::from_json::<records::ForecastRequested<'_>>(text) {
                Ok(record) => record,
                Err(error) => {
                    self.wrong(line, error.to_string());
                    continue;
                }
            };
            match parse(&record) {
                Ok(question) => {
                    let per_recipient = question.per_recipient || self.terms.per_recipient;
                    let evaluate_for = self.terms.at.or(question.evaluate_for);
                    let question = Question { evaluate_for, per_recipient, ..question };
                    let lines = vec![line; question.recipients.len()];
                    list.questions.push(Listed { question, lines, is_named: true });
                }
                Err(mistakes) => mistakes.as_slice().iter().for_each(|mistake| self.wrong(line, mistake)),
            }
        }
        list
    }

    /// A table, whose first line names the columns.
    fn table(&mut self, bytes: &[u8]) -> List {
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let separates = |delimiter: &u8| first.contains(delimiter);
        let delimiter = [b'\t', b';'].into_iter().find(separates).filter(|_| !separates(&b','));
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter.unwrap_or(b',')).trim(csv::Trim::All).from_reader(bytes);
        let Ok(head) = reader.headers().cloned() else {
            self.wrong(1, "it is no text in UTF-8");
            return List::default();
        };
        let columns: Vec<Option<Column>> = head.iter().map(Column::of).collect();
        for (index, column) in columns.iter().enumerate() {
            if column.is_some() && columns.get(..index).is_some_and(|before| before.contains(column)) {
                self.wrong(1, format!("column {} says what another one says", index + 1));
            }
        }
        let names_people = [Column::Phone, Column::User, Column::Parent];
        if !columns.iter().flatten().any(|column| names_people.contains(column)) {
            self.wrong(1, "no column is called `wa_id`, `phone` or `user_id`: the first line names the columns");
            return List::default();
        }
        let number = self.terms.number.clone();
        if number.is_none() {
            self.mistakes.push(Mistake::new("--number", "say which business phone number would send, by its id"));
        }
        let (mut lines, mut recipients, mut contents) = (Vec::new(), Vec::new(), Vec::new());
        for row in reader.records() {
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    self.wrong(error.position().map_or(0, csv::Position::line), flaw(&error));
                    continue;
                }
            };
            let line = row.position().map_or(0, csv::Position::line);
            let cell = |wanted: Column| {
                let place = columns.iter().position(|column| *column == Some(wanted))?;
                row.get(place).filter(|cell| !cell.is_empty())
            };
            if let (Some(identity), Ok(content)) = (self.recipient(line, &cell), self.content(line, &cell)) {
                lines.push(line);
                recipients.push(identity);
                contents.push(content);
            }
        }
        let candidates = self.candidates(&lines, contents);
        let unused = head.iter().zip(&columns).filter(|(_, column)| column.is_none());
        let unused = unused.map(|(name, _)| name.to_owned()).collect();
        let (Some(number), Ok(request)) = (number, RequestId::parse("list")) else {
            return List::default();
        };
        let question = Question {
            request,
            number,
            account: self.terms.account.clone(),
            asked_at: self.terms.asked_at,
            evaluate_for: self.terms.at,
            recipients,
            candidates,
            per_recipient: self.terms.per_recipient,
        };
        List { questions: vec![Listed { question, lines, is_named: false }], unused }
    }

    fn recipient<'r>(&mut self, line: u64, cell: &impl Fn(Column) -> Option<&'r str>) -> Option<Identity> {
        let text = |column| cell(column).map(|text| text.to_owned().into());
        let named = records::Person {
            wa_id: cell(Column::Phone).map(|phone| digits(phone).into()),
            user_id: text(Column::User),
            parent_user_id: text(Column::Parent),
        };
        match person(&named) {
            Ok(Some(identity)) => return Some(identity),
            Ok(None) => self.wrong(line, "it names nobody: no phone number and no user id"),
            Err(invalid) => self.wrong(line, invalid.to_string()),
        }
        None
    }

    /// What a line says is to be sent: nothing of its own, where it says none of it.
    fn content<'r>(&mut self, line: u64, cell: &impl Fn(Column) -> Option<&'r str>) -> Result<Option<Content>, Told> {
        let (kind, name) = (cell(Column::Kind), cell(Column::Template));
        let (language, category) = (cell(Column::Language), cell(Column::Category));
        if kind.is_none() && name.is_none() {
            if category.is_some() || language.is_some() {
                self.wrong(line, "it has a category or a language, and neither a template nor a kind");
                return Err(Told);
            }
            return Ok(None);
        }
        let text = |text: &str| text.to_owned().into();
        if name.is_some() && language.is_none() {
            self.wrong(line, "a template needs its language, such as `en_US`");
            return Err(Told);
        }
        let template = name.zip(language).map(|(name, language)| records::Template {
            name: text(name),
            language: text(language),
            category: category.map(text),
        });
        let content = records::Content {
            kind: text(kind.unwrap_or("template")),
            category: category.filter(|_| template.is_none()).map(text),
            template,
            ..records::Content::default()
        };
        match said(&content) {
            Ok(content) => Ok(Some(content)),
            Err(invalid) => {
                self.wrong(line, invalid.to_string());
                Err(Told)
            }
        }
    }

    /// The candidates of a table: what its lines say, else what the command line says.
    fn candidates(&mut self, lines: &[u64], contents: Vec<Option<Content>>) -> Vec<Candidate> {
        let options = &self.terms.candidates;
        if contents.iter().all(Option::is_none) {
            if options.is_empty() {
                let problem = "say what would be sent: --template NAME/LANGUAGE, --freeform, or a column `template`";
                self.mistakes.push(Mistake::new(self.place, problem));
            }
            return options.iter().cloned().map(Candidate::Same).collect();
        }
        if options.len() > 1 {
            let problem = "the lines say themselves what is sent: give at most one for those that do not";
            self.mistakes.push(Mistake::new("--template, --freeform, --direct-send", problem));
        }
        let other = options.first().cloned();
        let mut filled = Vec::with_capacity(contents.len());
        for (line, content) in lines.iter().zip(contents) {
            match content.or_else(|| other.clone()) {
                Some(content) => filled.push(content),
                None => self.wrong(*line, "it does not say what is sent, and neither does --template or --freeform"),
            }
        }
        vec![Candidate::Each(filled)]
    }
}

/// The digits of a phone number as people write it.
fn digits(phone: &str) -> String {
    phone.chars().filter(|letter| !matches!(letter, '+' | ' ' | '-' | '(' | ')' | '.' | '/' | '\u{a0}')).collect()
}

/// What is wrong with a row, without any of it.
fn flaw(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "it is no text in UTF-8".into(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("it has {len} columns, and the first line names {expected_len}")
        }
        _ => "it cannot be read as a row of a table".into(),
    }
}
