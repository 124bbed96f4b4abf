//! How fast one business number may write to one person: a message in six seconds, and a burst now and then that borrows
//! from the seconds after it (131056, PAIR; rules.md 3.7).
//!
//! Messages that the platform has taken count, and nothing else: what was asked and never sent takes nothing, and no ask
//! has to write a row for it.

use super::time::{Millis, Timestamp};

/// How long one message takes up, and how long a burst may last.
const STEP: Millis = Millis::seconds(6);
/// How many messages a burst may have.
const BURST: u32 = 45;

/// The last burst of messages to one person; one message alone is a burst of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// When its first message was sent.
    pub first: Timestamp,
    /// How many messages it has had.
    pub count: u32,
}

impl Burst {
    /// When the next message after the burst is free to go.
    #[must_use]
    pub fn paid_off(&self) -> Timestamp {
        self.first + Millis(STEP.0 * i64::from(self.count))
    }

    /// Whether a message sent at an instant is part of the burst, should there be room.
    fn takes(&self, at: Timestamp) -> bool {
        self.first <= at && at < self.first + STEP
    }

    /// Until when a message at an instant would have to wait; `None` if it may go.
    #[must_use]
    pub fn holds_back(&self, at: Timestamp) -> Option<Timestamp> {
        let room = self.takes(at) && self.count < BURST;
        (self.first <= at && at < self.paid_off() && !room).then(|| self.paid_off())
    }

    /// Counts a message sent at an instant. What the platform took although it should not have counts for nothing.
    pub fn count(known: &mut Option<Self>, at: Timestamp) {
        let alone = Self { first: at, count: 1 };
        *known = Some(match *known {
            Some(burst) if burst.takes(at) => Self { count: (burst.count + 1).min(BURST), ..burst },
            // Heard of late, it began the burst.
            Some(burst) if alone.takes(burst.first) => Self { first: at, count: (burst.count + 1).min(BURST) },
            Some(burst) if at < burst.paid_off() => burst,
            Some(_) | None => alone,
        });
    }

    /// Takes a message back that was counted: the platform has refused it for the rate.
    pub fn take_back(known: &mut Option<Self>, at: Timestamp) {
        if let Some(burst) = known.as_mut().filter(|burst| burst.takes(at)) {
            burst.count -= 1;
        }
        *known = known.filter(|burst| burst.count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::EARLIEST + Millis::days(1) + Millis::seconds(seconds)
    }

    fn burst(sent: &[i64]) -> Option<Burst> {
        let mut known = None;
        for seconds in sent {
            Burst::count(&mut known, at(*seconds));
        }
        known
    }

    fn waits(sent: &[i64], seconds: i64) -> Option<i64> {
        let until = burst(sent)?.holds_back(at(seconds))?;
        Some(until.since(at(0)).0 / 1_000)
    }

    #[test]
    fn a_burst_is_paid_off_six_seconds_a_message() {
        let twenty = [0; 20];
        assert_eq!(waits(&twenty, 5), None, "the burst has room");
        assert_eq!(waits(&twenty, 6), Some(120));
        assert_eq!(waits(&twenty, 119), Some(120));
        assert_eq!(waits(&twenty, 120), None);
        assert_eq!(waits(&[0], 6), None, "one in six seconds is what the rate is");
        assert_eq!(waits(&[0, 3], 6), Some(12));
    }

    #[test]
    fn a_burst_has_45_messages_and_no_more() {
        assert_eq!(waits(&[0; 44], 0), None);
        assert_eq!(waits(&[0; 45], 0), Some(270));
        assert_eq!(waits(&[0; 60], 0), Some(270), "what should not have been taken does not count");
    }

    #[test]
    fn what_comes_after_it_is_the_next_one() {
        assert_eq!(burst(&[0, 0, 12]), Some(Burst { first: at(12), count: 1 }));
        assert_eq!(burst(&[0, 0, 8]), Some(Burst { first: at(0), count: 2 }));
    }

    #[test]
    fn a_message_heard_of_late_finds_its_burst() {
        assert_eq!(burst(&[4, 0]), Some(Burst { first: at(0), count: 2 }));
        assert_eq!(burst(&[60, 0]), Some(Burst { first: at(60), count: 1 }));
    }

    #[test]
    fn what_the_platform_refused_for_the_rate_is_taken_back() {
        let mut known = burst(&[0, 1]);
        Burst::take_back(&mut known, at(1));
        assert_eq!(known, burst(&[0]));
        Burst::take_back(&mut known, at(0));
        assert_eq!(known, None);
    }
}
