//! What lies in an agent's file, in memory.
//!
//! Tests: with the world it belongs to.

use crate::domain::{Fingerprint, Generation, SubscriptionName, Wall};
use crate::drivers::fingerprint::fingerprint;
use crate::drivers::login;
use crate::ports::delivery::Account;

/// A credential in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivered {
    pub(super) fingerprint: Fingerprint,
    pub(super) account: Account,
    pub(super) login: Option<(String, Wall)>,
    pub(super) assignment: Option<(SubscriptionName, Generation)>,
}

impl Delivered {
    pub(super) fn new(content: &str, written_at: Wall, assignment: Option<(SubscriptionName, Generation)>) -> Self {
        let login = login::read(content.as_bytes()).ok();
        Self {
            fingerprint: fingerprint(content.as_bytes()),
            login: login.is_some().then(|| (content.to_owned(), written_at)),
            account: login.map_or(Account::NotALogin, |login| login.account),
            assignment,
        }
    }
}
