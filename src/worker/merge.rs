//! Several input topics of one partition, merged by the instant at which the log took their records.
//!
//! A record is passed on when no earlier one can come any more from the other topics: each of them has one
//! waiting that was taken later, or has been seen at its end after this one was taken. A topic that stays behind
//! for too long is passed over; that is counted, and verdicts that rest on what it may still bring say so.

use std::collections::VecDeque;
use std::time::Duration;

use crate::stream::{Head, NextOffset, Records};

/// How long a topic may stay behind before it is passed over.
const PATIENCE: Duration = Duration::from_secs(2);

/// The records of one partition's inputs that wait for each other.
#[derive(Default)]
pub struct Merge {
    inputs: Vec<Input>,
}

/// One input of a partition.
#[derive(Default)]
struct Input {
    waiting: VecDeque<Waiting>,
    /// The next offset to come.
    next: Option<NextOffset>,
    /// Everything that the log took up to this instant has come.
    seen_to: i64,
}

/// A record that waits.
struct Waiting {
    record: Records,
    since: Duration,
}

/// The record that is next.
pub struct Next {
    /// The record, alone.
    pub record: Records,
    /// Whether an input was passed over for it.
    pub passed: bool,
}

impl Merge {
    /// With nothing waiting, and the inputs at these positions.
    pub fn new(positions: &[NextOffset]) -> Self {
        let input = |next: &NextOffset| Input { next: Some(*next), ..Input::default() };
        Self { inputs: positions.iter().map(input).collect() }
    }

    /// The next offset of an input to come.
    pub fn next_offset(&self, input: usize) -> Option<NextOffset> {
        self.inputs.get(input)?.next
    }

    /// Takes in a record of an input.
    pub fn push(&mut self, input: usize, head: &Head, records: &Records, now: Duration) {
        let Some(input) = self.inputs.get_mut(input) else {
            return;
        };
        let mut record = Records::default();
        record.push(head.slot, head.offset, head.appended_at, records.key(head), records.value(head));
        input.next = Some(NextOffset::after(head.offset));
        input.seen_to = input.seen_to.max(head.appended_at);
        input.waiting.push_back(Waiting { record, since: now });
    }

    /// An input is known to have nothing before a position. If that is where it was read to, nothing that the
    /// log took before now is still to come of it.
    pub fn ended(&mut self, input: usize, end: NextOffset) {
        let newest = self.newest();
        if let Some(input) = self.inputs.get_mut(input)
            && input.next.is_some_and(|next| next >= end)
        {
            input.seen_to = input.seen_to.max(newest);
        }
    }

    /// When the newest of all records that wait was taken by the log.
    fn newest(&self) -> i64 {
        let last = self.inputs.iter().filter_map(|input| input.waiting.back());
        last.filter_map(|waiting| waiting.record.heads().first()).map(|head| head.appended_at).max().unwrap_or(i64::MIN)
    }

    /// The inputs that keep others waiting: their ends are worth asking for.
    pub fn behind(&self) -> Vec<usize> {
        if self.inputs.iter().all(|input| input.waiting.is_empty()) {
            return Vec::new();
        }
        (0..self.inputs.len()).filter(|input| self.inputs[*input].waiting.is_empty()).collect()
    }

    /// Takes the record that is next, if it is certain which that is, or somebody has waited long enough.
    pub fn pop(&mut self, now: Duration) -> Option<Next> {
        let first = |input: &Input| input.waiting.front()?.record.heads().first().map(|head| head.appended_at);
        let candidates = self.inputs.iter().enumerate();
        let (taken_at, index) = candidates.filter_map(|(index, input)| Some((first(input)?, index))).min()?;
        let certain = self.inputs.iter().all(|input| !input.waiting.is_empty() || input.seen_to >= taken_at);
        let input = self.inputs.get_mut(index)?;
        let waited = now.saturating_sub(input.waiting.front()?.since) >= PATIENCE;
        if !certain && !waited {
            return None;
        }
        input.waiting.pop_front().map(|waiting| Next { record: waiting.record, passed: !certain })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Partition, Slot, Topic};

    fn push(merge: &mut Merge, input: u8, offset: i64, appended_at: i64) {
        let slot = Slot { topic: Topic::Input(input), partition: Partition(0) };
        let mut records = Records::default();
        records.push(slot, offset, appended_at, None, None);
        let [head] = records.heads() else { panic!("one record") };
        merge.push(usize::from(input), head, &records, Duration::ZERO);
    }

    fn pop(merge: &mut Merge, seconds: u64) -> Option<(i64, bool)> {
        let next = merge.pop(Duration::from_secs(seconds))?;
        Some((next.record.heads()[0].appended_at, next.passed))
    }

    #[test]
    fn records_come_out_in_the_order_in_which_the_log_took_them() {
        let mut merge = Merge::new(&[NextOffset::START; 2]);
        push(&mut merge, 0, 0, 10);
        push(&mut merge, 0, 1, 30);
        push(&mut merge, 1, 0, 20);
        assert_eq!(pop(&mut merge, 0), Some((10, false)));
        assert_eq!(pop(&mut merge, 0), Some((20, false)));
        assert_eq!(pop(&mut merge, 0), None, "the second input may still bring something taken at 25");
        assert_eq!(merge.behind(), [1]);
    }

    #[test]
    fn an_input_at_its_end_keeps_nobody_waiting() {
        let mut merge = Merge::new(&[NextOffset::START; 2]);
        push(&mut merge, 0, 0, 10);
        merge.ended(1, NextOffset::after(0));
        assert_eq!(pop(&mut merge, 0), None, "there is a record before that end that has not come");
        merge.ended(1, NextOffset::START);
        assert_eq!(pop(&mut merge, 0), Some((10, false)));
    }

    #[test]
    fn an_input_that_stays_behind_is_passed_over_in_the_end() {
        let mut merge = Merge::new(&[NextOffset::START; 2]);
        push(&mut merge, 0, 0, 10);
        assert_eq!(pop(&mut merge, 1), None);
        assert_eq!(pop(&mut merge, 2), Some((10, true)));
    }
}
