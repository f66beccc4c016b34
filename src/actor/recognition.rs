//! Whose credential lies in an agent's file.
//!
//! By its content, if it is the one that a source has; else, of a login, by its account: the tool renews its tokens, so
//! the content differs from the source's most of the time. A login that does not say whose it is is taken for that of the
//! subscription that the agent is on, or else that the sidecar beside it names.
//!
//! Tests: below.

use crate::domain::{Delivered, Fingerprint, SubscriptionName, SubscriptionType};
use crate::ports::delivery::{Account, Found, FoundCredential};

/// A credential as its source has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Whose it is.
    pub(super) subscription: SubscriptionName,
    /// What it is known by.
    pub(super) fingerprint: Fingerprint,
    /// Of its content.
    pub(super) content: Fingerprint,
    /// What sort it is.
    pub(super) kind: SubscriptionType,
}

/// Whose credential was found in the file of an agent that is or was on these subscriptions, the newest first. What the
/// store says of the agent beats the sidecar, which lies in the agent's own folder: the sidecar counts only for an agent
/// of which nothing is known yet.
pub(super) fn recognise(found: &Found, known: &[Known], on: &[SubscriptionName]) -> Delivered {
    match found {
        Found::Nothing => Delivered::Nothing,
        Found::NotAFile => Delivered::Hidden,
        Found::Credential(found) => {
            let is_login = |name: &&SubscriptionName| {
                known.iter().any(|known| known.kind == SubscriptionType::Login && known.subscription == **name)
            };
            let named = if on.is_empty() { found.named.as_ref() } else { on.iter().find(is_login) };
            let by_itself = known.iter().find(|known| is_of(found, known));
            let known = by_itself.or_else(|| known.iter().find(|known| is_named(found, named, known)));
            known.map_or(Delivered::Unrecognised, |known| Delivered::Subscription(known.subscription.clone()))
        }
    }
}

fn is_of(found: &FoundCredential, known: &Known) -> bool {
    let is_account = match &found.account {
        Account::Of(account) => known.kind == SubscriptionType::Login && *account == known.fingerprint,
        Account::NotALogin | Account::Unnamed => false,
    };
    found.content == known.content || is_account
}

fn is_named(found: &FoundCredential, named: Option<&SubscriptionName>, known: &Known) -> bool {
    let says_nothing = match found.account {
        Account::Unnamed => true,
        Account::NotALogin | Account::Of(_) => false,
    };
    says_nothing && known.kind == SubscriptionType::Login && named == Some(&known.subscription)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Fingerprint {
        Fingerprint(text.to_owned())
    }

    fn known(subscription: &str, kind: SubscriptionType) -> Known {
        let (fingerprint, content) = (print(&format!("of {subscription}")), print(&format!("in {subscription}")));
        Known { subscription: subscription.into(), fingerprint, content, kind }
    }

    fn found(content: &str, account: Account, named: Option<&str>) -> Found {
        Found::Credential(FoundCredential { content: print(content), account, named: named.map(Into::into) })
    }

    #[test]
    fn a_credential_is_known_by_its_content_a_login_by_its_account_and_an_unnamed_login_by_its_sidecar() {
        let all = [known("static", SubscriptionType::SetupToken), known("login", SubscriptionType::Login)];
        let is = |name: &str| Delivered::Subscription(name.into());
        let cases = [
            (found("in static", Account::NotALogin, None), is("static")),
            (found("in login", Account::Unnamed, None), is("login")),
            (found("renewed", Account::Of(print("of login")), None), is("login")),
            (found("renewed", Account::Unnamed, Some("login")), is("login")),
            // Another account's login is not this one's, whatever the sidecar says.
            (found("renewed", Account::Of(print("of another")), Some("login")), Delivered::Unrecognised),
            // A sidecar does not make a credential out of any text.
            (found("renewed", Account::NotALogin, Some("static")), Delivered::Unrecognised),
            (found("renewed", Account::Unnamed, Some("static")), Delivered::Unrecognised),
            (found("renewed", Account::Unnamed, None), Delivered::Unrecognised),
            (found("of static", Account::Of(print("of static")), None), Delivered::Unrecognised),
            (Found::Nothing, Delivered::Nothing),
            (Found::NotAFile, Delivered::Hidden),
        ];
        for (found, expected) in cases {
            assert_eq!(recognise(&found, &all, &[]), expected, "{found:?}");
        }
    }

    #[test]
    fn what_the_store_says_of_the_agent_beats_the_sidecar() {
        let all = [
            known("static", SubscriptionType::SetupToken),
            known("login", SubscriptionType::Login),
            known("second", SubscriptionType::Login),
        ];
        let is = |name: &str| Delivered::Subscription(name.into());
        let cases: [(Found, &[&str], Delivered); 9] = [
            (found("renewed", Account::Unnamed, None), &["login"], is("login")),
            (found("renewed", Account::Unnamed, Some("second")), &["login"], is("login")),
            (found("renewed", Account::Unnamed, Some("second")), &["static"], Delivered::Unrecognised),
            (found("renewed", Account::Unnamed, Some("static")), &["static", "second"], is("second")),
            (found("renewed", Account::Unnamed, Some("second")), &[], is("second")),
            // The document itself knows better.
            (found("in second", Account::Unnamed, None), &["login"], is("second")),
            (found("renewed", Account::Of(print("of second")), None), &["login"], is("second")),
            (found("renewed", Account::NotALogin, None), &["login"], Delivered::Unrecognised),
            (Found::Nothing, &["login"], Delivered::Nothing),
        ];
        for (found, on, expected) in cases {
            let on: Vec<SubscriptionName> = on.iter().map(|name| (*name).into()).collect();
            assert_eq!(recognise(&found, &all, &on), expected, "{found:?} on {on:?}");
        }
    }
}
