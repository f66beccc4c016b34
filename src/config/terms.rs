//! What the terms of subscriptions, the agents that may use them and `[switching]` say about each other: an account that
//! is never picked, a key that changes nothing, an agent that could never move.
//!
//! It must not judge a moment: what a provider says and what is cooling are the pool's business.
//!
//! Tests: `tests::terms`.

use super::agent::{self, Agent};
use super::problem::Findings;
use super::reader::Field;
use super::subscription::{self, Subscription};
use super::switching::{Failback, Switching, SwitchingAt};
use crate::domain::Model;
use crate::machine::policy::Strategy;
use crate::machine::pool::serves;

/// Complains about keys of subscriptions that change nothing, and about subscriptions that nobody would ever get.
/// `agents` are all of the config, or `None` where some could not be read.
pub(super) fn of_subscriptions(
    drafts: &[subscription::Draft],
    agents: Option<&[Agent]>,
    switching: &Switching,
    at: &SwitchingAt,
    findings: &Findings,
) {
    for draft in drafts {
        let Some(subscription) = &draft.subscription else { continue };
        let name = &subscription.name;
        if let Some(at) = draft.terms_at.priority.as_ref().filter(|_| switching.strategy != Strategy::Priority) {
            let what = format!(
                "`priority` of subscription \"{name}\" changes nothing: the strategy is \"{}\"",
                switching.strategy
            );
            findings.warning(at, what, "write strategy = \"priority\" in [switching], or remove it");
        }
        if let Some(at) = draft.terms_at.metered.as_ref().filter(|_| subscription.terms.is_metered)
            && switching.metered.is_none()
        {
            let what = format!("subscription \"{name}\" is metered, and only operators move agents onto it");
            let hint = "allow some moves with metered = { switches = 4, per = \"1d\" } in [switching], if you want any";
            findings.warning(at, what, hint);
        }
        if let (Some(at), Some(agents)) = (&draft.terms_at.models, agents)
            && !subscription.terms.models.is_empty()
            && !agents.is_empty()
            && !agents.iter().any(|agent| agent.subscriptions.contains(name) && is_for(subscription, &agent.models))
        {
            let what = format!(
                "subscription \"{name}\" is kept for {}, and no agent that may use it needs just that",
                listed(&subscription.terms.models)
            );
            findings.warning(at, what, "give the agents that it is meant for the same `models`");
        }
    }
    let prefers = |one: &&Subscription, other: &&Subscription| class(switching, one) < class(switching, other);
    let whole: Vec<&Subscription> = drafts.iter().filter_map(|draft| draft.subscription.as_ref()).collect();
    if let Some(at) = at.failback.as_ref().filter(|_| switching.failback == Failback::Idle)
        && whole.len() == drafts.len()
        && !whole.iter().any(|one| whole.iter().any(|other| prefers(one, other)))
    {
        let what = "`failback` never moves anybody: no subscription is preferred to another";
        let hint = "use strategy = \"priority\" with different `priority`, or mark some as `reserve` or `metered`";
        findings.warning(at, what, hint);
    }
}

/// On which terms it is preferred, whatever is known of its windows.
fn class(switching: &Switching, one: &Subscription) -> (bool, bool, u32) {
    let tier = if switching.strategy == Strategy::Priority { one.terms.priority } else { 0 };
    (one.terms.is_metered, one.terms.is_reserve, tier)
}

/// Complains about what an agent may use and would never get, and about one that could never move.
pub(super) fn of_agent(draft: &agent::Draft, allowed: &[&Subscription], switching: &Switching, findings: &Findings) {
    if allowed.is_empty() {
        return;
    }
    let explicit = match &draft.subscriptions {
        Field::Good(list) => Some(list),
        Field::Absent | Field::Bad => None,
    };
    let at = explicit.map_or(&draft.at, |list| &list.at);
    let title = &draft.title;
    let needs = match draft.models.as_slice() {
        [] => "it names no `models`".to_owned(),
        models => format!("it needs {}", listed(models)),
    };
    let (usable, kept): (Vec<&Subscription>, Vec<&Subscription>) =
        allowed.iter().copied().partition(|one| is_for(one, &draft.models));
    if usable.is_empty() {
        let what = format!("{title} has no subscription: all that it may use are kept for other models, and {needs}");
        findings.error(at, what, "give the agent the `models` that it needs, or remove those of a subscription");
        return;
    }
    // Of all that fit by their provider some are kept for others: that is what keeping is for.
    for text in explicit.into_iter().flat_map(|list| &list.value) {
        if let Some(one) = kept.iter().find(|one| one.name.as_str() == text.value) {
            let what = format!(
                "{title} names the subscription \"{}\", which is kept for {} and never picked for it: {needs}",
                one.name,
                listed(&one.terms.models)
            );
            findings.warning(&text.at, what, "give the agent the same `models`, or leave the subscription out");
        }
    }
    if switching.metered.is_none() && usable.iter().all(|one| one.terms.is_metered) {
        let what = format!("{title} may use metered subscriptions only, and no automatic move onto one is allowed");
        findings.warning(at, what, "allow another subscription, or some moves with `metered` in [switching]");
    } else if usable.len() > 1 && usable.iter().all(|one| one.terms.is_reserve) {
        let what = format!("{title} may use subscriptions in reserve only: among them `reserve` changes nothing");
        findings.warning(at, what, "allow one that is not in reserve");
    }
}

fn is_for(subscription: &Subscription, needed: &[Model]) -> bool {
    serves(&subscription.terms.models, needed)
}

fn listed(models: &[Model]) -> String {
    models.iter().map(Model::as_str).collect::<Vec<_>>().join(", ")
}
