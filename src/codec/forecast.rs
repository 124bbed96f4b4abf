//! A record of `wa.forecasts` to a question of the domain: every field parsed once, all mistakes together.

use super::event::{Invalid, content, id, identity, instant, optional};
use super::records;
use crate::codec::text::Text;
use crate::domain::content::{Category, Content};
use crate::domain::forecast::{Candidate, MOST_CANDIDATES, MOST_RECIPIENTS, Question};
use crate::domain::id::{AccountId, Identity, NumberId, RequestId};
use crate::domain::time::Timestamp;

/// How many mistakes of one record are told.
const TOLD: usize = 20;

/// Why a record is no question: each mistake with its place. None repeats the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    fn take<T>(&mut self, place: &str, parsed: Result<T, Invalid>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.0.push(format!("{place}{invalid}"));
                None
            }
        }
    }

    /// The mistakes, in the order of the record.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = self.0.get(..TOLD).unwrap_or(&self.0);
        f.write_str(&told.join("; "))?;
        match self.0.len() - told.len() {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Parses a record.
///
/// # Errors
/// All that keeps it from being a question.
pub fn parse(record: &records::ForecastRequested<'_>) -> Result<Question, Mistakes> {
    let mut wrong = Mistakes::default();
    let request = wrong.take("", id("request_id", &record.request_id, RequestId::parse));
    let number = wrong.take("", id("phone_number_id", &record.phone_number_id, NumberId::parse));
    let account = wrong.take("", optional("account_id", record.account_id.as_ref(), AccountId::parse));
    let asked_at = wrong.take("", instant("occurred_at", record.occurred_at));
    let evaluate_for = record.evaluate_for.map(|at| instant("evaluate_for", at)).transpose();
    let evaluate_for = wrong.take("", evaluate_for);
    if record.recipients.len() > MOST_RECIPIENTS {
        wrong.0.push(format!("it names more than {MOST_RECIPIENTS} recipients; ask in several questions"));
    }
    if record.candidates.is_empty() || record.candidates.len() > MOST_CANDIDATES {
        wrong.0.push(format!("it must name between one and {MOST_CANDIDATES} candidates"));
    }
    let mut recipients = Vec::with_capacity(record.recipients.len());
    for (index, person) in record.recipients.iter().enumerate() {
        match wrong.take(&format!("recipient {index}: "), self::person(person)) {
            Some(None) => wrong.0.push(format!("recipient {index}: it has no id")),
            Some(Some(identity)) => recipients.push(identity),
            None => {}
        }
    }
    let mut candidates = Vec::with_capacity(record.candidates.len());
    for (index, said) in record.candidates.iter().enumerate() {
        candidates.extend(wrong.take(&format!("candidate {index}: "), self::said(said)));
    }
    match (request, number, account, asked_at, evaluate_for) {
        (Some(request), Some(number), Some(account), Some(asked_at), Some(evaluate_for)) if wrong.0.is_empty() => {
            Ok(Question {
                request,
                number,
                account,
                asked_at,
                evaluate_for,
                recipients,
                candidates: candidates.into_iter().map(Candidate::Same).collect(),
                per_recipient: record.per_recipient,
            })
        }
        _ => Err(wrong),
    }
}

/// A person as a list names them; `None` where it gives no id.
///
/// # Errors
/// Which id is none.
pub fn person(person: &records::Person<'_>) -> Result<Option<Identity>, Invalid> {
    identity(person, "contact")
}

/// What a message says, as a list puts it.
///
/// # Errors
/// Which field keeps it from saying anything.
pub fn said(said: &records::Content<'_>) -> Result<Content, Invalid> {
    content(said, "content.kind")
}

/// The records of a question: one for every [`MOST_RECIPIENTS`] recipients and for every content of a list that says
/// itself what is sent. `request` names each of them by its place.
pub fn write(question: &Question, request: impl Fn(usize) -> String) -> Vec<records::ForecastRequested<'static>> {
    let text = |text: &str| Text::copied(text);
    let mut same: Vec<(Vec<records::Content<'static>>, Vec<records::Person<'static>>)> = Vec::new();
    for (place, identity) in question.recipients.iter().enumerate() {
        let said: Vec<_> =
            question.candidates.iter().filter_map(|candidate| candidate.to(place)).map(written).collect();
        let person = records::Person {
            wa_id: identity.phone.as_ref().map(|id| text(id.as_str())),
            user_id: identity.scoped.as_ref().map(|id| text(id.as_str())),
            parent_user_id: identity.parent.as_ref().map(|id| text(id.as_str())),
        };
        match same.iter_mut().find(|(known, people)| *known == said && people.len() < MOST_RECIPIENTS) {
            Some((_, people)) => people.push(person),
            None => same.push((said, vec![person])),
        }
    }
    let record = |(place, (candidates, recipients))| records::ForecastRequested {
        request_id: request(place).into(),
        phone_number_id: text(question.number.as_str()),
        account_id: question.account.as_ref().map(|id| text(id.as_str())),
        occurred_at: question.asked_at.millis(),
        received_at: None,
        evaluate_for: question.evaluate_for.map(Timestamp::millis),
        recipients,
        candidates,
        per_recipient: question.per_recipient,
    };
    same.into_iter().enumerate().map(record).collect()
}

fn written(said: &Content) -> records::Content<'static> {
    let text = |text: &str| Text::copied(text);
    let named = |category: &Category| text(category.name());
    records::Content {
        kind: said.name().into(),
        message_type: None,
        category: match said {
            Content::DirectSend(category) => Some(named(category)),
            Content::Template(_) | Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => None,
        },
        template: match said {
            Content::Template(template) => Some(records::Template {
                name: text(&template.name),
                language: text(&template.language),
                category: template.category.as_ref().map(named),
            }),
            Content::DirectSend(_) | Content::Freeform | Content::Reaction | Content::Agent | Content::Call(_) => None,
        },
    }
}

/// A question that cannot be understood, and yet deserves an answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Malformed {
    /// The business phone number.
    pub number: String,
    /// The asker's id.
    pub request: String,
    /// When it was asked, if that can be read.
    pub at: Option<i64>,
    /// How many recipients it names.
    pub recipients: usize,
}

/// How long a number or an id may be that an answer repeats, in bytes, as of other asks.
const LONGEST: usize = 4_096;

impl Malformed {
    /// Of a record that is what the schema says and still no question.
    #[must_use]
    pub fn of_record(record: &records::ForecastRequested<'_>) -> Option<Self> {
        Self::readable(Self {
            number: record.phone_number_id.as_str().to_owned(),
            request: record.request_id.as_str().to_owned(),
            at: Some(record.occurred_at),
            recipients: record.recipients.len(),
        })
    }

    /// Of JSON that is not what the schema says.
    #[must_use]
    pub fn of_json(bytes: &[u8]) -> Option<Self> {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let recipients = value.get("recipients").and_then(serde_json::Value::as_array);
        Self::readable(Self {
            number: text("phone_number_id")?,
            request: text("request_id")?,
            at: value.get("occurred_at").and_then(serde_json::Value::as_i64),
            recipients: recipients.map_or(0, Vec::len),
        })
    }

    fn readable(question: Self) -> Option<Self> {
        let some = |text: &str| (1..=LONGEST).contains(&text.len());
        Some(question).filter(|question| some(&question.number) && some(&question.request))
    }
}

impl std::fmt::Debug for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Malformed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_written_as_it_is_read_and_a_list_that_says_what_is_sent_as_several() {
        let person = |number: usize| records::Person {
            wa_id: Some(format!("5511955{number:06}").into()),
            ..records::Person::default()
        };
        let record = records::ForecastRequested {
            request_id: "sale-0".into(),
            phone_number_id: "1".into(),
            occurred_at: 1_791_288_000_000,
            evaluate_for: Some(1_791_288_000_001),
            recipients: (0..3).map(person).collect(),
            candidates: vec![
                written(&Content::DirectSend(Category::Utility)),
                records::Content { kind: "freeform".into(), ..records::Content::default() },
            ],
            per_recipient: true,
            ..records::ForecastRequested::default()
        };
        let question = parse(&record).expect("a question");
        assert!(write(&question, |place| format!("sale-{place}")) == [record]);
        let own = vec![Content::Freeform, Content::Reaction, Content::Freeform];
        let question = Question { candidates: vec![Candidate::Each(own)], ..question };
        let written = write(&question, |place| place.to_string());
        let said: Vec<_> = written.iter().map(|it| (it.request_id.as_str(), it.recipients.len())).collect();
        assert_eq!(said, [("0", 2), ("1", 1)]);
    }

    #[test]
    fn all_mistakes_are_told_together_and_none_repeats_what_it_is_about() {
        let person =
            |phone: &str| records::Person { wa_id: Some(phone.to_owned().into()), ..records::Person::default() };
        let record = records::ForecastRequested {
            request_id: "spring sale".into(),
            phone_number_id: "1".into(),
            occurred_at: 5,
            recipients: vec![person("5511955501234"), person("+5511955501234"), records::Person::default()],
            candidates: vec![records::Content { kind: "template".into(), ..records::Content::default() }],
            ..records::ForecastRequested::default()
        };
        let told = parse(&record).expect_err("it is no question");
        assert_eq!(told.as_slice().len(), 5, "{told}");
        assert!(told.to_string().contains("recipient 1: `contact.wa_id` is no id"), "{told}");
        assert!(!told.to_string().contains("5501234"), "{told}");
    }

    #[test]
    fn of_many_mistakes_the_first_are_told() {
        let record = records::ForecastRequested {
            recipients: vec![records::Person::default(); 100],
            ..records::ForecastRequested::default()
        };
        let told = parse(&record).expect_err("it is no question");
        assert!(told.to_string().ends_with("and 84 more"), "{told}");
    }
}
