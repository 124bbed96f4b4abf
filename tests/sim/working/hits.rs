//! The steps of a transaction as `src/worker.rs` numbers them, and how often something went wrong at each.

use std::collections::BTreeMap;
use std::fmt;

use crate::faults::{Fault, Hits, Moment};

/// What may go wrong at a step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Crash,
    Stop,
    Delay,
    RequestLost,
    ResponseLost,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Crash, Self::Stop, Self::Delay, Self::RequestLost, Self::ResponseLost];

    const fn of(fault: Fault) -> Option<Self> {
        match fault {
            Fault::CrashBefore | Fault::CrashDuring | Fault::CrashAfter => Some(Self::Crash),
            Fault::Stopped => Some(Self::Stop),
            Fault::Delayed => Some(Self::Delay),
            Fault::RequestLost => Some(Self::RequestLost),
            Fault::ResponseLost => Some(Self::ResponseLost),
            _ => None,
        }
    }

    /// Whether it can happen at a step: what is lost on the way must be under way.
    const fn can_happen(self, step: u8) -> bool {
        match self {
            Self::Crash => true,
            // Whoever stands still there does so before the next call, as at the step that follows.
            Self::Stop => step != 9,
            Self::Delay | Self::RequestLost => matches!(step, 4 | 6 | 7),
            Self::ResponseLost => matches!(step, 4 | 6 | 8),
        }
    }
}

/// How often each kind of fault was met at each step.
#[derive(Default)]
pub struct Table(BTreeMap<(u8, Kind), u64>);

impl Table {
    pub fn add(&mut self, hits: &Hits) {
        for (fault, moment, fresh, count) in hits.moments() {
            if let Some(kind) = Kind::of(fault) {
                *self.0.entry((step(fault, moment, fresh), kind)).or_default() += count;
            }
        }
    }

    /// Where something was met less often than it must have been.
    pub fn rare(&self, least: u64) -> Vec<(u8, Kind)> {
        let every = (1..=12).flat_map(|step| Kind::ALL.map(|kind| (step, kind)));
        every
            .filter(|(step, kind)| kind.can_happen(*step) && self.0.get(&(*step, *kind)).is_none_or(|n| *n < least))
            .collect()
    }
}

/// The step at which a fault met a process; 0 outside of transactions.
#[allow(clippy::match_same_arms, reason = "in the order in which a transaction goes")]
const fn step(fault: Fault, moment: Moment, fresh: bool) -> u8 {
    let before = matches!(fault, Fault::CrashBefore) || matches!(fault, Fault::Stopped) && fresh;
    let after = matches!(fault, Fault::CrashAfter);
    match moment {
        Moment::Reading => 1,
        Moment::Beginning => 2,
        Moment::Folding if before || after => 3,
        Moment::Folding => 4,
        Moment::Draining if before => 4,
        Moment::Draining if after => 5,
        Moment::Draining => 4,
        Moment::Sending if before => 5,
        Moment::Sending => 6,
        Moment::Committing if before => 6,
        Moment::Committing if after => 9,
        Moment::Committing => 7,
        Moment::Decided if after => 9,
        Moment::Decided => 8,
        Moment::Committed => 10,
        Moment::StoringAtOnce if before => 10,
        Moment::StoringAtOnce | Moment::Storing if after => 12,
        Moment::StoringAtOnce | Moment::Storing => 11,
        Moment::Stored => 12,
        Moment::Elsewhere => 0,
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6}", "step")?;
        for kind in Kind::ALL {
            write!(f, "{:>13}", format!("{kind:?}"))?;
        }
        for step in 1..=12 {
            write!(f, "\nS{step:<5}")?;
            for kind in Kind::ALL {
                let count = self.0.get(&(step, kind)).copied().unwrap_or(0);
                write!(f, "{:>13}", if kind.can_happen(step) { count.to_string() } else { "-".to_owned() })?;
            }
        }
        Ok(())
    }
}
