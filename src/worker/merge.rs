//! Several input topics of one partition, merged by the instant at which the log took their records.
//!
//! A record is passed on when no earlier one can come any more from the other topics: each of them has one
//! waiting that was taken later, or has been seen at its end after this one was taken. A topic that stays behind
//! for too long is passed over; that is counted, and verdicts that rest on what it may still bring say so.
//!
//! After a long rest one topic may be far ahead of the other. Of it no more is read than a share of memory holds, until
//! the other has caught up.

use std::collections::VecDeque;
use std::time::Duration;

use crate::stream::{Head, NextOffset, Records};

/// How long a topic may stay behind before it is passed over.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a record that waits takes besides its key and value, about.
const FRAME: usize = 200;

/// The records of one partition's inputs that wait for each other.
#[derive(Default)]
pub struct Merge {
    inputs: Vec<Input>,
}

/// One input of a partition.
#[derive(Default)]
struct Input {
    waiting: VecDeque<Waiting>,
    /// How many bytes wait.
    bytes: usize,
    /// The next offset to come.
    next: Option<NextOffset>,
    /// Everything that the log took up to this instant has come.
    seen_to: i64,
    /// When something last came.
    heard: Duration,
    /// Whether no more of it is read for now.
    held: bool,
}

/// What is to be done about reading an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// It is read, or not, as it should be.
    Same,
    /// Too much of it waits: it is to be read no more for now.
    Sated,
    /// Most of what waited is folded: it is to be read again, from here.
    Again(NextOffset),
}

/// A record that waits.
struct Waiting {
    record: Records,
    since: Duration,
    bytes: usize,
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

    /// Takes in a record of an input. What was on its way of an input that is not read for now will come again.
    pub fn push(&mut self, input: usize, head: &Head, records: &Records, now: Duration) {
        let Some(input) = self.inputs.get_mut(input).filter(|input| !input.held) else {
            return;
        };
        let mut record = Records::default();
        let (key, value) = (records.key(head), records.value(head));
        record.push(head.slot, head.offset, head.appended_at, key, value);
        let bytes = FRAME + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        input.bytes += bytes;
        input.next = Some(NextOffset::after(head.offset));
        input.seen_to = input.seen_to.max(head.appended_at);
        input.heard = now;
        input.waiting.push_back(Waiting { record, since: now, bytes });
    }

    /// Whether an input should be read as it is, where so many bytes of it may wait.
    pub fn appetite(&self, input: usize, room: usize) -> Appetite {
        match self.inputs.get(input) {
            Some(input) if !input.held && input.bytes >= room => Appetite::Sated,
            Some(Input { held: true, bytes, next: Some(next), .. }) if *bytes <= room / 2 => Appetite::Again(*next),
            _ => Appetite::Same,
        }
    }

    /// From now on an input is not read, or is read again.
    pub fn hold(&mut self, input: usize, held: bool) {
        if let Some(input) = self.inputs.get_mut(input) {
            input.held = held;
        }
    }

    /// An input is known to have nothing behind a position. If that is where it was read to, nothing that the log took
    /// before now is still to come of it. Read to is what has come, or where reading has come to the end: markers and
    /// aborted records have offsets, and never come.
    pub fn ended(&mut self, input: usize, end: NextOffset, reached: Option<NextOffset>) {
        let newest = self.newest();
        if let Some(input) = self.inputs.get_mut(input)
            && input.next.max(reached).is_some_and(|read| read >= end)
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

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.inputs.iter().all(|input| input.waiting.is_empty())
    }

    /// Takes the record that is next, if it is certain which that is, or somebody has waited long enough.
    pub fn pop(&mut self, now: Duration) -> Option<Next> {
        let first = |input: &Input| input.waiting.front()?.record.heads().first().map(|head| head.appended_at);
        let candidates = self.inputs.iter().enumerate();
        let (taken_at, index) = candidates.filter_map(|(index, input)| Some((first(input)?, index))).min()?;
        // Those that may still bring something earlier, and when one of them last brought anything: a record that has
        // waited for long, as those of an input that is far ahead do, passes over nobody who is catching up.
        let behind = self.inputs.iter().filter(|input| input.waiting.is_empty() && input.seen_to < taken_at);
        let heard = behind.map(|input| input.heard).max();
        let input = self.inputs.get_mut(index)?;
        let since = input.waiting.front()?.since;
        if heard.is_some_and(|heard| now.saturating_sub(since.max(heard)) < PATIENCE) {
            return None;
        }
        let waiting = input.waiting.pop_front()?;
        input.bytes -= waiting.bytes;
        Some(Next { record: waiting.record, passed: heard.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Partition, Slot, Topic};

    fn push(merge: &mut Merge, input: u8, offset: i64, appended_at: i64) {
        push_later(merge, input, offset, appended_at, 0);
    }

    fn push_later(merge: &mut Merge, input: u8, offset: i64, appended_at: i64, seconds: u64) {
        let slot = Slot { topic: Topic::Input(input), partition: Partition(0) };
        let mut records = Records::default();
        records.push(slot, offset, appended_at, None, None);
        let [head] = records.heads() else { panic!("one record") };
        merge.push(usize::from(input), head, &records, Duration::from_secs(seconds));
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
        merge.ended(1, NextOffset::after(0), None);
        assert_eq!(pop(&mut merge, 0), None, "there is a record before that end that has not come");
        merge.ended(1, NextOffset::START, None);
        assert_eq!(pop(&mut merge, 0), Some((10, false)));
    }

    #[test]
    fn an_input_that_ends_in_a_marker_keeps_nobody_waiting() {
        let mut merge = Merge::new(&[NextOffset::START; 2]);
        push(&mut merge, 0, 0, 10);
        push(&mut merge, 1, 0, 5);
        assert_eq!(pop(&mut merge, 0), Some((5, false)));
        // Offset 1 is the marker of the transaction that wrote offset 0: it has an offset, and never comes.
        let behind_the_marker = NextOffset::after(1);
        merge.ended(1, behind_the_marker, None);
        assert_eq!(pop(&mut merge, 0), None, "it may be a record");
        merge.ended(1, behind_the_marker, Some(behind_the_marker));
        assert_eq!(pop(&mut merge, 0), Some((10, false)));
        // What is read is still told by what has come.
        assert_eq!(merge.next_offset(1), Some(NextOffset::after(0)));
    }

    #[test]
    fn an_input_that_is_catching_up_is_not_passed_over_however_long_the_other_has_waited() {
        let mut merge = Merge::new(&[NextOffset::START; 2]);
        push(&mut merge, 0, 0, 1_000);
        for second in 1..10 {
            push_later(&mut merge, 1, second, second, second.unsigned_abs());
            assert_eq!(pop(&mut merge, second.unsigned_abs()), Some((second, false)));
            assert_eq!(pop(&mut merge, second.unsigned_abs() + 1), None, "it brought something a second ago");
        }
        assert_eq!(pop(&mut merge, 11), Some((1_000, true)));
    }

    #[test]
    fn an_input_of_which_too_much_waits_is_read_again_when_half_of_it_is_folded() {
        let mut merge = Merge::new(&[NextOffset::START; 2]);
        let room = 4 * FRAME;
        for offset in 0..4 {
            assert_eq!(merge.appetite(0, room), Appetite::Same);
            push(&mut merge, 0, offset, 10 + offset);
        }
        assert_eq!(merge.appetite(0, room), Appetite::Sated);
        merge.hold(0, true);
        assert_eq!(merge.appetite(0, room), Appetite::Same);
        // What was on its way comes again, from where it is read again.
        push(&mut merge, 0, 4, 14);
        push(&mut merge, 1, 0, 100);
        assert_eq!(pop(&mut merge, 0), Some((10, false)));
        assert_eq!(merge.appetite(0, room), Appetite::Same);
        assert_eq!(pop(&mut merge, 0), Some((11, false)));
        assert_eq!(merge.appetite(0, room), Appetite::Again(NextOffset::after(3)));
        merge.hold(0, false);
        push(&mut merge, 0, 4, 14);
        for taken_at in 12..=14 {
            assert_eq!(pop(&mut merge, 0), Some((taken_at, false)));
        }
    }

    #[test]
    fn an_input_that_stays_behind_is_passed_over_in_the_end() {
        let mut merge = Merge::new(&[NextOffset::START; 2]);
        push(&mut merge, 0, 0, 10);
        assert_eq!(pop(&mut merge, 1), None);
        assert_eq!(pop(&mut merge, 2), Some((10, true)));
    }
}
