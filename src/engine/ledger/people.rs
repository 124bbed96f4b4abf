//! The people whom a portfolio or a number has reached outside service windows, beside its messaging limit.

use std::collections::{BTreeMap, BTreeSet};

use super::Facts;
use crate::domain::id::AccountId;
use crate::domain::ledger::Scope;
use crate::domain::ledger::notices::Notices;
use crate::domain::ledger::reach::{PersonKey, Reach};
use crate::domain::rules::limits::MessagingLimit;
use crate::domain::time::{Millis, Timestamp};

/// The people whom a scope has reached, and what of that is not in the store yet.
pub(super) struct People {
    pub scope: Scope,
    pub reach: Reach,
    /// Whom the store does not know yet, or by another instant.
    pub changed: BTreeMap<PersonKey, Timestamp>,
    /// Whom it still knows.
    pub gone: BTreeSet<PersonKey>,
    /// The limit of a portfolio, as last looked up: by which facts, and in which minute.
    pub limit: Option<(u64, i64, Option<u32>)>,
    /// What there is to notice of the limit.
    pub notices: Notices,
    /// Whether that is not in the store yet.
    pub noticed: bool,
}

impl People {
    pub const fn of(scope: Scope) -> Self {
        Self {
            scope,
            reach: Reach::new(),
            changed: BTreeMap::new(),
            gone: BTreeSet::new(),
            limit: None,
            notices: Notices::new(),
            noticed: false,
        }
    }

    /// Forgets who does not count any more, and what was to be noticed while they did. Tells whether there was anybody.
    pub fn forget(&mut self, now: Timestamp) -> bool {
        let gone = self.reach.forget(now);
        for person in &gone {
            self.changed.remove(person);
        }
        let any = !gone.is_empty();
        self.gone.extend(gone);
        if any && !self.notices.is_empty() {
            self.noticed |= self.notices.keep_reached(self.reach.len());
        }
        any
    }

    /// How many people may be reached, if that is limited and known. That of a portfolio is looked up anew every minute, because
    /// that takes a look at all accounts; what a number's is depends on the account that sends.
    pub fn limit(&mut self, facts: &Facts<'_>, account: Option<&AccountId>, now: Timestamp) -> Option<u32> {
        const MINUTE: i64 = Millis::minutes(1).0;
        if let Scope::Number(_) = self.scope {
            let limit = account.and_then(|account| facts.reference.account(account, now).0.messaging_limit);
            return limit.and_then(MessagingLimit::people);
        }
        let minute = now.millis().div_euclid(MINUTE);
        let version = facts.reference.version();
        if let Some((_, _, limit)) = self.limit.filter(|known| (known.0, known.1) == (version, minute)) {
            return limit;
        }
        let at = Timestamp::from_millis(minute * MINUTE).unwrap_or(now);
        let limit = facts.reference.messaging_limit(&self.scope, at).and_then(MessagingLimit::people);
        self.limit = Some((version, minute, limit));
        limit
    }
}
