//! `tollgate forecast --kafka`: sends questions to whoever runs the stream processor, and hands out the answers as they
//! come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{check_topics, connect_registry, connection, schemas};
use crate::codec::frame::{self, Framer, Framing, Writers};
use crate::codec::{records, schema};
use crate::config::{Config, Mistake};
use crate::kafka::asker::{self, Asked};
use crate::kafka::{ChangelogReader, Names, ends};
use crate::stream::{Partition, Reader, Records, Topic};

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(200);

fn wrong(place: &str) -> impl Fn(&dyn std::fmt::Display) -> Vec<Mistake> {
    move |why| vec![Mistake::new(place, why.to_string())]
}

/// Sends questions and waits for their answers, each in as many parts as it has. `tell` gets them as they come.
///
/// # Errors
/// What keeps them from being sent, and which are not answered in time.
#[allow(clippy::disallowed_methods, reason = "somebody waits")]
pub fn ask(
    config: &Config,
    questions: &[records::ForecastRequested<'_>],
    wait: Duration,
    mut tell: impl FnMut(&records::ForecastAnswer<'_>) -> std::io::Result<()>,
) -> Result<(), Vec<Mistake>> {
    let stream = &config.stream;
    let names = Arc::new(Names::new(stream.topics.clone()));
    if names.name(Topic::Forecasts).is_empty() {
        let problem = "no topic of questions is named; set `forecasts`, here and where `tollgate run` is to answer";
        return Err(vec![Mistake::new("kafka.topics", problem)]);
    }
    let partitions = check_topics(stream, &names)?;
    let registry = stream.registry.as_ref().map(connect_registry).transpose()?.map(Arc::new);
    let mut known = schemas(registry);
    let settings = connection(stream, "forecast");
    // From here on the answers come, and not one before it.
    let found = ends(&settings, &names, &[Topic::ForecastAnswers]).map_err(|why| wrong("the answers")(&why))?;
    let from: Vec<_> = found.iter().map(|(slot, _, end)| (*slot, *end)).collect();
    let mut reader = ChangelogReader::open(&settings, &names, &from).map_err(|why| wrong("the answers")(&why))?;
    let framer = Framer::new(schema::FORECAST_REQUESTED, Framing::SingleObject);
    let framer = framer.map_err(|why| wrong("a question")(&why))?;
    let mut asked = Vec::new();
    for question in questions {
        let key = question.phone_number_id.as_str().to_owned();
        let mut value = Vec::new();
        framer.write(question, &mut value).map_err(|why| wrong("a question")(&why))?;
        let partition = Partition(stream.partitioner.partition(key.as_bytes(), partitions));
        asked.push(Asked { partition, key, value });
    }
    asker::send(&settings, names.name(Topic::Forecasts), &asked, wait).map_err(|why| wrong("the questions")(&why))?;
    let mut waiting: BTreeMap<String, Option<i32>> =
        questions.iter().map(|question| (question.request_id.as_str().to_owned(), None)).collect();
    let mut writers = Writers::of(schema::FORECAST_ANSWER).map_err(|why| wrong("an answer")(&why))?;
    let (began, mut came) = (Instant::now(), Records::default());
    while !waiting.is_empty() {
        if began.elapsed() > wait {
            let problem = format!(
                "{} of {} questions are not answered after {} s; is `tollgate run` there, with `kafka.topics.forecasts` \
                 set, and has it come to the end of its input?",
                waiting.len(),
                questions.len(),
                wait.as_secs()
            );
            return Err(vec![Mistake::new("forecast", problem)]);
        }
        came.clear();
        reader.poll(POLL, &mut came).map_err(|why| wrong("the answers")(&why))?;
        for head in came.heads() {
            let value = came.value(head).unwrap_or_default();
            if let Err(frame::Error::UnknownId(id)) = writers.read::<records::ForecastAnswer<'_>>(value)
                && let Ok(Some(text)) = known(id)
            {
                writers.add_registered(id, &text).map_err(|why| wrong("an answer")(&why))?;
            }
            // Answers to others' questions are theirs to understand.
            let Ok(answer) = writers.read::<records::ForecastAnswer<'_>>(value) else {
                continue;
            };
            let request = answer.request_id.as_str();
            let Some(left) = waiting.get_mut(request) else {
                continue;
            };
            tell(&answer).map_err(|why| wrong("the answers")(&why))?;
            let still = left.unwrap_or(answer.chunks) - 1;
            *left = Some(still);
            if still <= 0 {
                waiting.remove(request);
            }
        }
    }
    Ok(())
}
