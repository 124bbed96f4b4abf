//! The account that a business phone number sends from: found out once, and taken again for as long as it stays true.

use std::sync::Arc;

use super::Setup;
use crate::domain::id::AccountId;
use crate::domain::number::Number;
use crate::domain::reference::{Account, Reference};
use crate::domain::time::{Span, Timestamp};

/// The accounts of a number, as last worked out: for events that name none, and for those that name one.
#[derive(Default)]
pub struct Homes([Option<Home>; 2]);

struct Home {
    /// The account the event named, if it named one.
    named: Option<AccountId>,
    /// The account events had last come through.
    last: Option<AccountId>,
    version: u64,
    valid: Span,
    account: Arc<Account>,
}

impl Homes {
    /// What is known of the account a number sends from: the one an event names, else the one the reference
    /// facts name, else the one events last came through.
    pub fn account(
        &mut self,
        setup: &Setup,
        reference: &Reference,
        number: &Number,
        named: Option<&AccountId>,
        at: Timestamp,
    ) -> Arc<Account> {
        let place = &mut self.0[usize::from(named.is_some())];
        if let Some(home) = place
            && home.version == reference.version()
            && home.named.as_ref() == named
            && home.last == number.last_account
            && home.valid.contains(at)
        {
            return Arc::clone(&home.account);
        }
        let (by_fact, mut valid) = reference.account_of(&number.id, at);
        let id = named.or(by_fact).or(number.last_account.as_ref());
        let mut account = match id {
            Some(id) => {
                let (account, stays) = reference.account(id, at);
                valid = Span { start: valid.start.max(stays.start), end: valid.end.min(stays.end) };
                account
            }
            None => Account::unknown(None),
        };
        if account.zone.is_none() && setup.assume_zone.is_some() {
            account.zone = setup.assume_zone;
            account.zone_assumed = true;
        }
        if account.currency.is_none() && setup.assume_currency.is_some() {
            account.currency = setup.assume_currency;
            account.currency_assumed = true;
        }
        let account = Arc::new(account);
        *place = Some(Home {
            named: named.cloned(),
            last: number.last_account.clone(),
            version: reference.version(),
            valid,
            account: Arc::clone(&account),
        });
        account
    }
}
