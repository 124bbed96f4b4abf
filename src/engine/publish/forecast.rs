//! The answer to a campaign question as records, in parts that each fit into a topic.

use super::{ENGINE_VERSION, Publisher, amount, currency, event, small};
use crate::codec::ids::{self, hex};
use crate::codec::records;
use crate::codec::text::Text;
use crate::domain::forecast::{Group, Totals, Why, unit};
use crate::domain::money::Amount;
use crate::domain::rules::markets::Market;
use crate::domain::time::Timestamp;
use crate::domain::verdict::{Answer, Reason};
use crate::engine::forecast::{Judged, Standing};

/// How many recipients' answers one part holds at most, counted once for every candidate: some 300 KB.
const PART: usize = 1_000;

/// An answer, as it grows.
pub struct Parts {
    /// How many recipients a part holds; all, where only the totals are wanted.
    each: Option<usize>,
    parts: Vec<Part>,
}

#[derive(Default)]
struct Part {
    totals: Totals,
    recipients: Vec<records::ForecastRecipient<'static>>,
}

/// What an answer is about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The business phone number.
    pub number: &'a str,
    /// The asker's id.
    pub request: &'a str,
    /// When it was asked, in milliseconds.
    pub at: i64,
    /// The offset that the number's input had been folded to, or how many records of files had been.
    pub folded: Option<i64>,
}

impl Parts {
    /// An answer to a question with so many candidates.
    #[must_use]
    pub fn new(candidates: usize, per_recipient: bool) -> Self {
        Self { each: per_recipient.then(|| (PART / candidates.max(1)).max(1)), parts: vec![Part::default()] }
    }

    /// Adds the answer for a recipient and a candidate. Recipients come in their order.
    pub fn add(&mut self, judged: &Judged<'_>) {
        let place = self.each.map_or(0, |each| judged.recipient / each);
        if self.parts.len() <= place {
            self.parts.resize_with(place + 1, Part::default);
        }
        if let Some(part) = self.parts.get_mut(place) {
            part.totals.add(judged.group());
            if self.each.is_some() {
                part.recipients.push(recipient(judged));
            }
        }
    }
}

/// The answer for one recipient and one candidate.
#[must_use]
pub fn recipient(judged: &Judged<'_>) -> records::ForecastRecipient<'static> {
    let verdict = judged.verdict;
    let unit = unit(verdict.answer, &verdict.price, judged.currency);
    let reasons = verdict.reasons.iter().map(|cited| records::Reason {
        code: cited.reason.code().into(),
        platform_code: cited.reason.platform_code(),
        evidence: cited.evidence.map(event).into_iter().collect(),
        fact: cited.fact.as_deref().map(Text::copied),
    });
    records::ForecastRecipient {
        recipient: place(judged.recipient),
        candidate: place(judged.candidate),
        contact_key: hex(judged.contact.0),
        verdict: verdict.answer.name().into(),
        reasons: reasons.collect(),
        amount: unit.map(|(price, _)| amount(price)),
        currency: unit.and_then(|(_, unit)| unit).map(currency),
    }
}

fn total(group: &Group, count: u64, sum: Option<Amount>) -> records::ForecastTotal<'_> {
    let (free, unknown) = match group.why {
        Some(Why::Free(name)) => (Some(name), None),
        Some(Why::Unknown(name)) => (None, Some(name)),
        None => (None, None),
    };
    records::ForecastTotal {
        candidate: place(group.candidate),
        verdict: group.answer.name().into(),
        reason: group.reason.code().into(),
        market: group.market.map(Market::name).map(Text::from),
        category: group.category.as_deref().map(Text::from),
        pricing_type: group.pricing_type.map(Text::from),
        recipients: i64::try_from(count).unwrap_or(i64::MAX),
        amount: sum.map(amount),
        currency: group.unit.and_then(|(_, unit)| unit).map(currency),
        unit_price: group.unit.map(|(price, _)| amount(price)),
        free_reason: free.map(Text::from),
        unknown_reason: unknown.map(Text::from),
    }
}

fn place(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

impl Publisher {
    /// The records of an answer, one for each part.
    pub fn forecast<'a>(
        &'a self,
        asked: Asked<'a>,
        standing: Standing,
        parts: &'a Parts,
    ) -> impl Iterator<Item = records::ForecastAnswer<'a>> {
        let chunks = small(u32::try_from(parts.parts.len()).unwrap_or(u32::MAX));
        (0..).zip(&parts.parts).map(move |(chunk, part)| records::ForecastAnswer {
            partition_time: standing.partition_time.map(Timestamp::millis),
            reference_watermark: standing.reference_watermark.map(Timestamp::millis),
            evaluated_for: Some(standing.evaluated_for.millis()),
            totals: part.totals.iter().map(|(group, count, sum)| total(group, count, sum)).collect(),
            recipients: part.recipients.clone(),
            ..self.forecast_part(asked, chunk, chunks)
        })
    }

    /// The answer to a question about so many recipients that could not be understood.
    #[must_use]
    pub fn malformed_forecast<'a>(&'a self, asked: Asked<'a>, recipients: usize) -> records::ForecastAnswer<'a> {
        records::ForecastAnswer {
            totals: vec![records::ForecastTotal {
                verdict: Answer::Unknown.name().into(),
                reason: Reason::Malformed.code().into(),
                recipients: i64::try_from(recipients).unwrap_or(i64::MAX),
                ..records::ForecastTotal::default()
            }],
            ..self.forecast_part(asked, 0, 1)
        }
    }

    fn forecast_part<'a>(&'a self, asked: Asked<'a>, chunk: i32, chunks: i32) -> records::ForecastAnswer<'a> {
        records::ForecastAnswer {
            envelope: records::Envelope {
                id: hex(ids::forecast_answer(asked.number, asked.request, chunk)),
                source: self.source.as_str().into(),
                r#type: "tollgate.forecast.answer.v1".into(),
                time: asked.at,
                engine_version: ENGINE_VERSION.into(),
                ..records::Envelope::default()
            },
            phone_number_id: asked.number.into(),
            request_id: asked.request.into(),
            chunk,
            chunks,
            answered_at_offset: asked.folded,
            ..records::ForecastAnswer::default()
        }
    }
}
