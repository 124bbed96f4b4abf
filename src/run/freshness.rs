//! Whether the reference topics are followed closely: a verdict that rests on old facts is no answer.

use std::time::Duration;

use crate::stream::Failure;

/// How often it is asked where the topics end.
const LOOK: Duration = Duration::from_secs(5);

/// As of when everything that the topics held is read. They may grow all the time, so that nobody ever stands at their end.
pub struct Freshness<E> {
    /// How long ago that may be.
    limit: Duration,
    read_as_of: Duration,
    looked: Duration,
    /// Ends that the topics had once, and when: not all before them is read yet.
    awaited: Option<(Duration, E)>,
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
        Self { limit, read_as_of: now, looked: now, awaited: None, stale: false }
    }

    /// Looks, once in a while, how much is read. `ends` asks the brokers, and `is_read` whether all before some ends is read.
    pub fn look(
        &mut self,
        now: Duration,
        ends: impl FnOnce() -> Result<E, Failure>,
        is_read: impl Fn(&E) -> bool,
    ) -> Option<Change> {
        if now.saturating_sub(self.looked) < LOOK {
            return None;
        }
        self.looked = now;
        let why = match ends() {
            Ok(ends) => {
                if let Some((then, _)) = self.awaited.take_if(|(_, ends)| is_read(ends)) {
                    self.read_as_of = then;
                }
                if is_read(&ends) {
                    (self.read_as_of, self.awaited) = (now, None);
                } else {
                    self.awaited.get_or_insert((now, ends));
                }
                "they are not read to where they ended then".to_owned()
            }
            Err(failure) => failure.to_string(),
        };
        let late = now.saturating_sub(self.read_as_of) > self.limit;
        let was_late = std::mem::replace(&mut self.stale, late);
        match (was_late, late) {
            (false, true) => Some(Change::Stale(why)),
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
        assert_eq!(look(75, Err("no broker"), 7), Some(Change::Stale("no broker".to_owned())));
        assert_eq!(look(90, Err("no broker"), 7), None, "it is told once");
        assert_eq!(look(130, Ok(9), 7), None);
        assert_eq!(look(140, Ok(10), 10), Some(Change::Fresh));
        assert_eq!(look(150, Ok(11), 10), None);
    }

    #[test]
    fn topics_that_grow_all_the_time_are_fresh_as_of_the_end_that_was_reached() {
        let mut freshness = Freshness::new(seconds(60), seconds(0));
        // Ten records come every second, and what is read is what was there so long ago.
        let mut look = |now, behind| {
            let (end, read) = (now * 10, (now - behind) * 10);
            freshness.look(seconds(now), || Ok(end), |end| *end <= read)
        };
        for now in (10..1_000).step_by(5) {
            assert_eq!(look(now, 2), None, "after {now} s");
        }
        let stale: Vec<_> = (1_000..1_200).step_by(5).filter_map(|now| Some((now, look(now, now - 998)?))).collect();
        assert!(matches!(stale[..], [(1_060, Change::Stale(_))]), "{stale:?}");
        assert_eq!(look(1_300, 2), None, "what is read is as of long ago");
        assert_eq!(look(1_305, 2), Some(Change::Fresh));
    }
}
