//! Sends on their way: accepted by the platform, and not delivered, failed or an hour old. Until then each may still take
//! one of the month's free deliveries, or reach one person more.
//!
//! They are counted by the minute of their acceptance, so that what is remembered of a number is bounded by the minutes of
//! an hour, however much it sends. Which count a message stands in is remembered with the message.

use super::time::{Millis, Timestamp};

/// How long a send counts that nothing is heard of: an hour, by whole minutes.
pub const COUNTED: Millis = Millis::minutes(MINUTES);

const MINUTES: i64 = 60;

/// What a send on its way may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uses {
    /// One of the month's free deliveries.
    Allowance,
    /// The messaging limit, because it goes to a person outside a service window.
    MessagingLimit,
}

/// The sends of one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minute {
    /// The minute, since the epoch.
    pub number: i64,
    /// Those on their way that may take a free delivery.
    pub allowance: u32,
    /// Those on their way that may reach somebody outside a service window.
    pub messaging_limit: u32,
}

impl Minute {
    const fn of(&self, uses: Uses) -> u32 {
        match uses {
            Uses::Allowance => self.allowance,
            Uses::MessagingLimit => self.messaging_limit,
        }
    }

    const fn of_mut(&mut self, uses: Uses) -> &mut u32 {
        match uses {
            Uses::Allowance => &mut self.allowance,
            Uses::MessagingLimit => &mut self.messaging_limit,
        }
    }
}

/// The sends of a number that are on their way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// In order; none is an hour older than the last.
    minutes: Vec<Minute>,
}

const fn minute(at: Timestamp) -> i64 {
    at.millis().div_euclid(60_000)
}

impl InFlight {
    /// Nothing is on its way.
    #[must_use]
    pub const fn new() -> Self {
        Self { minutes: Vec::new() }
    }

    /// The counts of these minutes; nothing if they are not in order, span more than an hour, or are none of our time.
    #[must_use]
    pub fn of_minutes(minutes: Vec<Minute>) -> Option<Self> {
        let ours = |known: &Minute| (minute(Timestamp::EARLIEST)..=minute(Timestamp::LATEST)).contains(&known.number);
        let in_order = minutes.is_sorted_by(|one, next| one.number < next.number);
        let within = |(first, last): (&Minute, &Minute)| last.number - first.number < MINUTES;
        let holds = minutes.iter().all(ours) && in_order && minutes.first().zip(minutes.last()).is_none_or(within);
        holds.then_some(Self { minutes })
    }

    /// The counts by minute, in order.
    #[must_use]
    pub fn minutes(&self) -> &[Minute] {
        &self.minutes
    }

    /// A send was accepted. One accepted an hour before another that is known of is counted no more.
    pub fn depart(&mut self, uses: Uses, accepted_at: Timestamp) {
        let number = minute(accepted_at);
        let last = self.minutes.last().map(|last| last.number);
        if last.is_some_and(|last| number <= last - MINUTES) {
            return;
        }
        if last.is_none_or(|last| last < number) {
            self.minutes.push(Minute { number, allowance: 0, messaging_limit: 0 });
            let old = self.minutes.partition_point(|known| known.number <= number - MINUTES);
            self.minutes.drain(..old);
        }
        let place = self.minutes.binary_search_by_key(&number, |known| known.number);
        let place = place.unwrap_or_else(|place| {
            self.minutes.insert(place, Minute { number, allowance: 0, messaging_limit: 0 });
            place
        });
        let count = self.minutes[place].of_mut(uses);
        *count = count.saturating_add(1);
    }

    /// A send that departed under this instant is on its way no more.
    pub fn land(&mut self, uses: Uses, accepted_at: Timestamp) {
        let number = minute(accepted_at);
        if let Ok(place) = self.minutes.binary_search_by_key(&number, |known| known.number) {
            let count = self.minutes[place].of_mut(uses);
            *count = count.saturating_sub(1);
            // The last minute stays: it says which ones are an hour old.
            let gone = self.minutes[place].allowance == 0 && self.minutes[place].messaging_limit == 0;
            if gone && place + 1 < self.minutes.len() {
                self.minutes.remove(place);
            }
        }
    }

    /// How many sends were accepted within the hour before an instant, or after it, and are on their way as far as is
    /// known.
    #[must_use]
    pub fn count(&self, uses: Uses, at: Timestamp) -> u32 {
        let since = minute(at) - MINUTES;
        let young = self.minutes.iter().rev().take_while(|known| since < known.number);
        young.fold(0, |sum, known| sum.saturating_add(known.of(uses)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::EARLIEST + Millis::minutes(minutes)
    }

    #[test]
    fn a_send_counts_until_it_lands_or_is_an_hour_old() {
        let mut number = InFlight::new();
        number.depart(Uses::Allowance, at(0));
        number.depart(Uses::Allowance, at(0));
        number.depart(Uses::MessagingLimit, at(1));
        let counts =
            |number: &InFlight, now| [Uses::Allowance, Uses::MessagingLimit].map(|of| number.count(of, at(now)));
        assert_eq!(counts(&number, 1), [2, 1]);
        number.land(Uses::Allowance, at(0));
        assert_eq!([counts(&number, 59), counts(&number, 60), counts(&number, 61)], [[1, 1], [0, 1], [0, 0]]);
        assert_eq!(number.minutes().len(), 2, "nobody has sent since");
        number.depart(Uses::Allowance, at(200));
        assert_eq!(number.minutes().len(), 1);
    }

    #[test]
    fn what_is_too_old_to_be_counted_takes_nothing_away() {
        let mut number = InFlight::new();
        number.depart(Uses::Allowance, at(100));
        number.depart(Uses::Allowance, at(40));
        number.land(Uses::Allowance, at(40));
        number.land(Uses::Allowance, at(99));
        assert_eq!(number.count(Uses::Allowance, at(100)), 1);
        number.land(Uses::Allowance, at(100));
        assert_eq!((number.count(Uses::Allowance, at(100)), number.minutes().len()), (0, 1));
        number.depart(Uses::Allowance, at(40));
        assert_eq!(number.count(Uses::Allowance, at(50)), 0, "an hour before another that is known of");
    }

    #[test]
    fn a_row_that_cannot_be_is_none() {
        let of = |numbers: &[i64]| {
            let first = minute(Timestamp::EARLIEST);
            let minutes = numbers.iter().map(|number| first.saturating_add(*number));
            InFlight::of_minutes(minutes.map(|number| Minute { number, allowance: 1, messaging_limit: 0 }).collect())
        };
        assert!(of(&[]).is_some() && of(&[0, 59]).is_some());
        for numbers in [&[0, 60][..], &[1, 0], &[1, 1], &[-1], &[0, i64::MAX], &[i64::MIN, 0]] {
            assert_eq!(of(numbers), None, "{numbers:?}");
        }
    }

    /// One send, in a list of all of them.
    struct Send {
        accepted: i64,
        uses: Uses,
        /// Whether another one had been accepted an hour later before this one was heard of.
        too_late: bool,
        landed: bool,
    }

    /// Against a list of every send, as slow as that is.
    #[test]
    fn counts_are_those_of_a_list_of_every_send() {
        let mut number = InFlight::new();
        let (mut all, mut newest): (Vec<Send>, i64) = (Vec::new(), 0);
        let mut seed = 42_u64;
        let mut draw = |below: i64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            i64::try_from(seed >> 33).unwrap_or(0) % below
        };
        for step in 0..4_000_i64 {
            if draw(3) < 2 {
                // Most are heard of at once, some late, a few by a clock that is ahead.
                let accepted = 100 + step / 4 - draw(2) * draw(2) * draw(80) + i64::from(draw(50) == 0) * 5;
                let uses = if draw(2) == 0 { Uses::Allowance } else { Uses::MessagingLimit };
                number.depart(uses, at(accepted));
                all.push(Send { accepted, uses, too_late: accepted <= newest - MINUTES, landed: false });
                newest = newest.max(accepted);
            } else if !all.is_empty() {
                let index = usize::try_from(draw(i64::try_from(all.len()).unwrap_or(1))).unwrap_or(0);
                // Whoever keeps the messages lands each once, whether it was counted or not.
                if !std::mem::replace(&mut all[index].landed, true) {
                    number.land(all[index].uses, at(all[index].accepted));
                }
            }
            for uses in [Uses::Allowance, Uses::MessagingLimit] {
                let on_its_way = |send: &&Send| {
                    send.uses == uses && !send.landed && !send.too_late && newest < send.accepted + MINUTES
                };
                let expected = all.iter().filter(on_its_way).count();
                assert_eq!(usize::try_from(number.count(uses, at(newest))), Ok(expected), "step {step}");
            }
            assert!(number.minutes().len() <= 60, "an hour is all that is remembered");
            assert_eq!(InFlight::of_minutes(number.minutes().to_vec()), Some(number.clone()), "it is what is stored");
        }
    }
}
