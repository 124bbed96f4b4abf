//! Asks for schemas on a thread of its own: a registry that hangs must not hold up a worker, which has other
//! partitions and a transaction open.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::worker::Schemas;

/// How soon what cannot be had is asked for again.
const AGAIN: Duration = Duration::from_secs(2);

/// How long it is believed that there is no schema of an id. Whoever registers one and writes with it at once may be
/// faster than the registry's copies; and a stream of records with such an id must not ask for each of them.
const BELIEVED: Duration = Duration::from_secs(30);

/// What is known of an id.
enum Known {
    /// It is being asked for; why it could not be had before, if it was.
    Asked(Option<String>),
    /// The schema.
    Schema(String),
    /// There was none when it was asked for.
    Nothing(Instant),
}

/// What the thread and whoever asks share.
type Told = Arc<Mutex<BTreeMap<u32, Known>>>;

fn lock(told: &Told) -> MutexGuard<'_, BTreeMap<u32, Known>> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> Instant {
    #[allow(
        clippy::disallowed_methods,
        reason = "decides when a registry is asked again, and nothing that is published"
    )]
    Instant::now()
}

/// Asks on a thread of this name, and tells at once what is known so far. The thread ends when nobody asks any more.
///
/// # Errors
/// If there can be no thread.
pub fn aside(name: String, ask: Schemas) -> std::io::Result<Schemas> {
    let told = Told::default();
    let (sender, asked) = channel();
    let theirs = Arc::clone(&told);
    thread::Builder::new().name(name).spawn(move || work(ask, &asked, &theirs))?;
    Ok(Box::new(move |id| look(id, &told, &sender)))
}

/// What is known of an id. What is not, or not any more, is asked for.
fn look(id: u32, told: &Told, asked: &Sender<u32>) -> Result<Option<String>, String> {
    let mut told = lock(told);
    match told.get(&id) {
        Some(Known::Schema(text)) => return Ok(Some(text.clone())),
        Some(Known::Nothing(since)) if since.elapsed() < BELIEVED => return Ok(None),
        Some(Known::Asked(why)) => return Err(why.clone().unwrap_or_else(|| "the registry is being asked".to_owned())),
        Some(Known::Nothing(_)) | None => {}
    }
    // Ids may be anything where the records are nonsense; what is not believed any more is of no use.
    told.retain(|_, known| !matches!(known, Known::Nothing(since) if since.elapsed() >= BELIEVED));
    told.insert(id, Known::Asked(None));
    asked.send(id).map_err(|_| "the thread that asks the registry is gone; report this".to_owned())?;
    Err("the registry is being asked".to_owned())
}

/// Asks for one id after the other, and again for those that could not be had, until nobody asks any more.
fn work(mut ask: Schemas, asked: &Receiver<u32>, told: &Told) {
    let mut open = Vec::new();
    loop {
        let next = if open.is_empty() {
            asked.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            asked.recv_timeout(AGAIN)
        };
        match next {
            // What is new is not kept waiting by what could not be had.
            Ok(id) => open.extend(answer(id, &mut ask, told)),
            Err(RecvTimeoutError::Timeout) => {
                open = std::mem::take(&mut open).into_iter().filter_map(|id| answer(id, &mut ask, told)).collect();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Asks for an id, and notes the answer. The id, where there is none.
fn answer(id: u32, ask: &mut Schemas, told: &Told) -> Option<u32> {
    let answer = ask(id);
    let (known, again) = match answer {
        Ok(Some(text)) => (Known::Schema(text), None),
        Ok(None) => (Known::Nothing(now()), None),
        Err(why) => (Known::Asked(Some(why)), Some(id)),
    };
    lock(told).insert(id, known);
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until there is an answer.
    fn wait(schemas: &mut Schemas, id: u32) -> Option<String> {
        let began = now();
        loop {
            match schemas(id) {
                Ok(answer) => return answer,
                Err(why) => assert!(began.elapsed() < Duration::from_secs(30), "{why}"),
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_registry_that_hangs_holds_up_nobody_who_asks() {
        let (answers, hangs) = channel::<Option<String>>();
        let ask: Schemas = Box::new(move |_| hangs.recv().map_err(|_| "gone".to_owned()));
        let mut schemas = aside("hangs".to_owned(), ask).expect("a thread");
        let began = now();
        for _ in 0..100 {
            assert_eq!(schemas(7), Err("the registry is being asked".to_owned()));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "every answer comes at once");
        answers.send(Some("\"int\"".to_owned())).expect("it waits for this");
        assert_eq!(wait(&mut schemas, 7), Some("\"int\"".to_owned()));
        answers.send(None).expect("it waits for this");
        assert_eq!(wait(&mut schemas, 8), None);
        assert_eq!(schemas(8), Ok(None), "it is not asked for again at once");
        assert_eq!(schemas(7), Ok(Some("\"int\"".to_owned())));
    }

    #[test]
    fn what_cannot_be_had_is_asked_for_again_and_says_why_meanwhile() {
        let mut asked = 0;
        let ask: Schemas = Box::new(move |_| {
            asked += 1;
            if asked == 1 { Err("it is down".to_owned()) } else { Ok(None) }
        });
        let mut schemas = aside("down".to_owned(), ask).expect("a thread");
        let mut why = schemas(1).expect_err("not yet");
        while why == "the registry is being asked" {
            thread::sleep(Duration::from_millis(1));
            why = schemas(1).expect_err("it is down");
        }
        assert_eq!(why, "it is down");
        assert_eq!(wait(&mut schemas, 1), None);
    }
}
