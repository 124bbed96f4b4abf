//! Events sent at a fixed rate, whatever becomes of them: an event's time is when it was due to be sent, so a sender or a
//! system that falls behind is seen in the figures.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::events::{Record, Sender};
use crate::ladder::now;

/// Events that are ready to be sent, so that making them takes nothing from those that are measured.
#[derive(Default)]
pub struct Ready {
    bytes: Vec<u8>,
    events: Vec<Piece>,
}

struct Piece {
    partition: u32,
    key: u32,
    /// Where its bytes end; they begin where those before end.
    end: usize,
}

impl Ready {
    /// Adds an event.
    pub fn push(&mut self, record: &Record<'_>) {
        self.bytes.extend_from_slice(record.key);
        self.bytes.extend_from_slice(record.value);
        self.events.push(Piece { partition: record.partition, key: record.key.len() as u32, end: self.bytes.len() });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    fn send(&self, sender: &Sender, topic: &str, index: usize) {
        let piece = &self.events[index];
        let start = index.checked_sub(1).map_or(0, |before| self.events[before].end);
        let (key, value) = self.bytes[start..piece.end].split_at(piece.key as usize);
        sender.send(topic, piece.partition, key, value);
    }
}

/// A stretch of events that was sent at one rate.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Which events.
    pub events: Range<usize>,
    /// Events a second.
    pub rate: u64,
    start: Instant,
    /// How late the sender itself was at worst.
    pub late: Duration,
}

impl Sent {
    /// When an event was due to be sent.
    pub fn due(&self, index: usize) -> Instant {
        self.start + Duration::from_secs_f64((index - self.events.start) as f64 / self.rate as f64)
    }
}

/// Sends events at a rate, a few each millisecond, for as long as it is told to go on.
pub fn send(
    sender: &Sender,
    topic: &str,
    ready: &Ready,
    events: Range<usize>,
    rate: u64,
    go_on: impl Fn() -> bool,
) -> Sent {
    let mut sent = Sent { events: events.clone(), rate, start: now(), late: Duration::ZERO };
    let mut next = events.start;
    while next < events.end && go_on() {
        let at = now();
        let due = (at - sent.start).as_secs_f64() * rate as f64;
        let until = events.end.min(events.start + due as usize + 1);
        if next < until {
            sent.late = sent.late.max(at.saturating_duration_since(sent.due(next)));
        }
        while next < until {
            ready.send(sender, topic, next);
            next += 1;
        }
        sender.serve();
        std::thread::sleep(Duration::from_millis(1));
    }
    sender.flush();
    sent.events.end = next;
    sent
}
