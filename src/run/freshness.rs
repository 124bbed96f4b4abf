//! Whether the reference topics are followed closely: a verdict that rests on old facts is no answer.

use std::time::Duration;

use crate::stream::Failure;

/// How often it is asked where the topics end.
const LOOK: Duration = Duration::from_secs(5);

/// The same, while there was no answer or what is known is too old: verdicts wait for it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why what is known is too old, where the brokers answer.
const NOT_READ: &str = "they are not read to where they ended then";

/// As of when everything that the topics held is read. They may grow all the time, so that nobody ever stands at their end.
pub struct Freshness<E> {
    /// How long ago that may be.
    limit: Duration,
    read_as_of: Duration,
    looked: Duration,
    /// Ends that the topics had once, and when: not all before them is read yet.
    awaited: Option<(Duration, E)>,
    /// Why nobody said where they end, when it was asked last.
    trouble: Option<String>,
    stale: bool,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// What is known may be too old from now on. Why.
    Stale(String),
    /// It is fresh again.
    Fresh,
}

impl<E> Freshness<E> {
    /// All is read, as of now.
    pub const fn new(limit: Duration, now: Duration) -> Self {
        Self { limit, read_as_of: now, looked: now, awaited: None, trouble: None, stale: false }
    }

    /// Notices how much is read, and looks once in a while at what there is. `ends` asks the brokers, and `is_read` whether all
    /// before some ends is read.
    pub fn look(
        &mut self,
        now: Duration,
        ends: impl FnOnce() -> Result<E, Failure>,
        is_read: impl Fn(&E) -> bool,
    ) -> Option<Change> {
        if let Some((then, _)) = self.awaited.take_if(|(_, ends)| is_read(ends)) {
            self.read_as_of = then;
        }
        if now.saturating_sub(self.looked) >= if self.stale || self.trouble.is_some() { LOOK_AGAIN } else { LOOK } {
            self.looked = now;
            self.trouble = match ends() {
                Ok(ends) if is_read(&ends) => {
                    (self.read_as_of, self.awaited) = (now, None);
                    None
                }
                Ok(ends) => {
                    self.awaited.get_or_insert((now, ends));
                    None
                }
                Err(failure) => Some(failure.to_string()),
            };
        }
        let late = now.saturating_sub(self.read_as_of) > self.limit;
        let was_late = std::mem::replace(&mut self.stale, late);
        match (was_late, late) {
            (false, true) => {
                let why = self.trouble.clone();
                Some(Change::Stale(why.unwrap_or_else(|| NOT_READ.to_owned())))
            }
            (true, false) => Some(Change::Fresh),
            (false, false) | (true, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_cannot_be_followed_is_stale_after_a_while_and_fresh_once_it_is_read() {
        let mut freshness = Freshness::new(seconds(60), seconds(0));
        let mut look = |now, end: Result<i64, &str>, read| {
            let end = end.map_err(|why| Failure::Busy(why.to_owned()));
            freshness.look(seconds(now), || end, |end| *end <= read)
        };
        assert_eq!(look(1, Err("nobody asks so often"), 0), None);
        assert_eq!(look(10, Ok(7), 7), None);
        assert_eq!(look(69, Ok(8), 7), None, "it may be catching up");
        assert_eq!(look(71, Err("nobody asks so often"), 7), Some(Change::Stale(NOT_READ.to_owned())));
        assert_eq!(look(90, Err("no broker"), 7), None, "it is told once");
        assert_eq!(look(130, Ok(9), 7), None, "what was there at 69 s is not read yet");
        assert_eq!(look(131, Ok(10), 10), Some(Change::Fresh));
        assert_eq!(look(135, Err("nobody asks so often"), 10), None);
        assert_eq!(look(140, Err("no broker"), 10), None);
        assert_eq!(look(141, Ok(10), 10), None, "it is asked again soon");
        assert_eq!(look(200, Err("no broker"), 10), None);
        assert_eq!(look(202, Err("no broker"), 10), Some(Change::Stale("no broker".to_owned())));
    }

    #[test]
    fn topics_that_grow_all_the_time_are_fresh_as_of_the_end_that_was_reached() {
        let mut freshness = Freshness::new(seconds(60), seconds(0));
        // Ten records come every second, and what is read is what was there so long ago.
        let mut look = |now, behind| {
            let (end, read) = (now * 10, (now - behind) * 10);
            freshness.look(seconds(now), || Ok(end), |end| *end <= read)
        };
        for now in 10..1_000 {
            assert_eq!(look(now, 2), None, "after {now} s");
        }
        let stale: Vec<_> = (1_000..1_200).filter_map(|now| Some((now, look(now, now - 998)?))).collect();
        assert!(matches!(stale[..], [(1_056, Change::Stale(_))]), "{stale:?}");
        assert_eq!(look(1_300, 200), None, "what is read is as of long ago");
        assert_eq!(look(1_301, 2), None, "what was there at 1,300 s is not read yet");
        assert_eq!(look(1_302, 2), Some(Change::Fresh));
    }
}
