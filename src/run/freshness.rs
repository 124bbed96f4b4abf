//! Whether the reference topics are followed closely: a verdict that rests on old facts is no answer.

use std::time::Duration;

use crate::stream::Failure;

/// How often it is asked where the topics end.
const LOOK: Duration = Duration::from_secs(5);

/// When the topics were last seen to be read to their end.
pub struct Freshness {
    /// How long ago that may be.
    limit: Duration,
    at_end: Duration,
    looked: Duration,
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

impl Freshness {
    /// All is read, as of now.
    pub const fn new(limit: Duration, now: Duration) -> Self {
        Self { limit, at_end: now, looked: now, stale: false }
    }

    /// Looks, once in a while, whether everything is read. `is_read` asks the brokers.
    pub fn look(&mut self, now: Duration, is_read: impl FnOnce() -> Result<bool, Failure>) -> Option<Change> {
        if now.saturating_sub(self.looked) < LOOK {
            return None;
        }
        self.looked = now;
        let why = match is_read() {
            Ok(true) => {
                self.at_end = now;
                return std::mem::take(&mut self.stale).then_some(Change::Fresh);
            }
            Ok(false) => "they are not read to their end".to_owned(),
            Err(failure) => failure.to_string(),
        };
        let late = now.saturating_sub(self.at_end) > self.limit;
        (late && !std::mem::replace(&mut self.stale, late)).then_some(Change::Stale(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_followed_is_stale_after_a_while_and_fresh_once_it_is_read() {
        let seconds = Duration::from_secs;
        let mut freshness = Freshness::new(seconds(60), seconds(0));
        assert_eq!(freshness.look(seconds(1), || panic!("not so often")), None);
        assert_eq!(freshness.look(seconds(10), || Ok(true)), None);
        assert_eq!(freshness.look(seconds(69), || Ok(false)), None, "it may be catching up");
        let gone = || Err(Failure::Busy("no broker".to_owned()));
        assert_eq!(freshness.look(seconds(75), gone), Some(Change::Stale("no broker".to_owned())));
        assert_eq!(freshness.look(seconds(90), gone), None, "it is told once");
        assert_eq!(freshness.look(seconds(100), || Ok(false)), None);
        assert_eq!(freshness.look(seconds(110), || Ok(true)), Some(Change::Fresh));
        assert_eq!(freshness.look(seconds(120), || Ok(false)), None);
    }
}
