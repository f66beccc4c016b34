//! What sections say about each other: names used twice, names that nobody has, places shared by two.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::ops::Range;

use super::agent::{self, Agent, Origin, Target};
use super::delivery::{Delivery, FileDelivery};
use super::problem::Findings;
use super::reader::{Field, Placed};
use super::subscription::{self, PROVIDERS, Subscription};
use super::switching::Switching;
use super::{carried, keys, terms};
use crate::domain::{AgentName, SubscriptionName, Tool};

/// Turns line breaks into line numbers, for "already in line 12".
pub(super) type LineOf<'a> = &'a dyn Fn(usize) -> usize;

/// Remembers where each value stood first and complains about the second place.
struct Once<K>(BTreeMap<K, Range<usize>>);

impl<K: Ord + Hash> Once<K> {
    fn take(&mut self, key: K, at: &Range<usize>) -> Option<Range<usize>> {
        if let Some(first) = self.0.get(&key) {
            return Some(first.clone());
        }
        self.0.insert(key, at.clone());
        None
    }
}

/// The subscriptions that are whole; complains about names used twice.
pub(super) fn subscriptions(
    drafts: &[subscription::Draft],
    findings: &Findings,
    line: LineOf<'_>,
) -> Vec<Subscription> {
    let mut names = Once(BTreeMap::new());
    for name in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if let Some(first) = names.take(&name.value, &name.at) {
            let what = format!("subscription \"{}\" is already defined in line {}", name.value, line(first.start));
            findings.error(&name.at, what, "give one of them another name");
        }
    }
    drafts.iter().filter_map(|draft| draft.subscription.clone()).collect()
}

/// The agents that are whole; complains about names and places used twice and about subscriptions that do
/// not fit.
pub(super) fn agents(
    drafts: Vec<agent::Draft>,
    subscriptions: &[subscription::Draft],
    switching: &Switching,
    findings: &Findings,
    line: LineOf<'_>,
) -> Vec<Agent> {
    let mut names = Once(BTreeMap::new());
    let mut containers = Once(BTreeMap::new());
    let mut files = Once(BTreeMap::new());
    let mut agents = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some(name) = &draft.name
            && let Some(first) = names.take(name.value.clone(), &name.at)
        {
            let what = format!("agent \"{}\" is already defined in line {}", name.value, line(first.start));
            findings.error(&name.at, what, "give one of them another name");
        }
        if let Some(Placed { value: Target::Container { name }, at }) = &draft.target
            && let Some(first) = containers.take(name.clone(), at)
        {
            let what = format!("container \"{name}\" already belongs to the agent in line {}", line(first.start));
            findings.error(at, what, "a container has one agent");
        }
        if let Some(Placed { value: Delivery::File(FileDelivery { path, .. }), at }) = &draft.delivery {
            // A file in the defaults without {name} stands in one place and collides all the same.
            let own = if at.start >= draft.at.start { at } else { &draft.at };
            if let Some(first) = files.take(path.clone(), own) {
                let what = format!(
                    "{} is delivered to {}, as the agent in line {} already is",
                    draft.title,
                    path.display(),
                    line(first.start)
                );
                findings.error(own, what, "each agent needs a file of its own; {name} in the path helps");
            }
        }
        agents.extend(whole(draft, subscriptions, switching, findings));
    }
    agents
}

/// The templates that are whole: what they stand for is known when the containers are.
pub(super) fn patterns(
    drafts: Vec<agent::Draft>,
    subscriptions: &[subscription::Draft],
    switching: &Switching,
    findings: &Findings,
    line: LineOf<'_>,
) -> Vec<Agent> {
    let mut names = Once(BTreeMap::new());
    let mut patterns = Vec::with_capacity(drafts.len());
    for draft in drafts {
        if let Some(name) = &draft.name
            && let Some(first) = names.take(name.value.clone(), &name.at)
        {
            let what =
                format!("container \"{}\" already belongs to the agent in line {}", name.value, line(first.start));
            findings.error(&name.at, what, "a pattern stands in one [[agent]]");
        }
        patterns.extend(whole(draft, subscriptions, switching, findings));
    }
    patterns
}

/// One agent, if everything it needs could be read; complains about subscriptions that do not fit.
pub(super) fn whole(
    draft: agent::Draft,
    subscriptions: &[subscription::Draft],
    switching: &Switching,
    findings: &Findings,
) -> Option<Agent> {
    let known: Vec<&Subscription> = subscriptions.iter().filter_map(|draft| draft.subscription.as_ref()).collect();
    let allowed = allowed(&draft, subscriptions, findings);
    let usable: Vec<&Subscription> = known.iter().filter(|one| allowed.contains(&one.name)).copied().collect();
    carried::check(&draft, &usable, &known, findings);
    terms::of_agent(&draft, &usable, switching, findings);
    let agent::Draft { name, tool, target, models, delivery, drain, stop_grace, text, turns, is_monitor_only, .. } =
        draft;
    let (name, tool, target, delivery) = (name?, tool?, target?, delivery?);
    Some(Agent {
        name: AgentName::new(name.value),
        tool,
        target: target.value,
        subscriptions: allowed,
        models,
        delivery: delivery.value,
        delivery_at: delivery.at,
        drain,
        stop_grace,
        text,
        turns,
        is_monitor_only,
        origin: Origin::Config,
    })
}

/// The subscriptions an agent may use, in the order that the config gives them.
fn allowed(draft: &agent::Draft, subscriptions: &[subscription::Draft], findings: &Findings) -> Vec<SubscriptionName> {
    match &draft.subscriptions {
        Field::Bad => Vec::new(),
        Field::Good(list) => listed(draft, list, subscriptions, findings),
        Field::Absent => {
            let Some(tool) = draft.tool else { return Vec::new() };
            let Some(provider) = tool.provider() else {
                let what = format!("{} has no `subscriptions`, and {tool} has no provider of its own", draft.title);
                findings.error(&draft.at, what, "add subscriptions = [\"NAME\"]");
                return Vec::new();
            };
            let of_provider = |draft: &&subscription::Draft| draft.provider.as_deref() == Some(provider);
            let names: Vec<_> = subscriptions
                .iter()
                .filter(of_provider)
                .filter_map(|draft| draft.name.as_ref())
                .map(|name| SubscriptionName::new(name.value.as_str()))
                .collect();
            // One whose provider could not be read might have been it.
            if names.is_empty() && subscriptions.iter().all(|draft| draft.provider.is_some() && draft.name.is_some()) {
                let what = format!("{} has no subscription: none is of provider \"{provider}\"", draft.title);
                findings.error(&draft.at, what, format!("add a [[subscription]] with provider = \"{provider}\""));
            }
            names
        }
    }
}

fn listed(
    draft: &agent::Draft,
    list: &Placed<Vec<Placed<String>>>,
    subscriptions: &[subscription::Draft],
    findings: &Findings,
) -> Vec<SubscriptionName> {
    if list.value.is_empty() {
        let what = format!("{} has no subscription: its list is empty", draft.title);
        findings.error(&list.at, what, "leave `subscriptions` out to allow all of the tool's provider");
    }
    let known: Vec<_> = subscriptions.iter().filter_map(|d| d.name.as_ref()).map(|name| name.value.as_str()).collect();
    let mut seen = BTreeSet::new();
    let mut names = Vec::with_capacity(list.value.len());
    for text in &list.value {
        let found = subscriptions.iter().find(|d| d.name.as_ref().is_some_and(|name| name.value == text.value));
        let Some(found) = found else {
            let hint = match keys::nearest(&text.value, &known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None if known.is_empty() => "the config defines no subscription".to_owned(),
                None => format!("defined are {}", known.join(", ")),
            };
            findings.error(
                &text.at,
                format!("{} names the unknown subscription \"{}\"", draft.title, text.value),
                hint,
            );
            continue;
        };
        if !seen.insert(text.value.as_str()) {
            let what = format!("{} names the subscription \"{}\" twice", draft.title, text.value);
            findings.error(&text.at, what, "remove one of them");
            continue;
        }
        if let (Some(tool), Some(provider)) = (draft.tool, found.provider.as_deref())
            && !fits(tool, provider)
        {
            let what =
                format!("subscription \"{}\" is of provider \"{provider}\", which {tool} cannot use", text.value);
            let hint = format!("{tool} runs on provider \"{}\"", tool.provider().unwrap_or("any"));
            findings.error(&text.at, what, hint);
            continue;
        }
        names.push(SubscriptionName::new(text.value.as_str()));
    }
    names
}

/// Whether a tool can run on a provider. A provider of the user's own may speak the tool's language; one
/// that belongs to another tool does not.
fn fits(tool: Tool, provider: &str) -> bool {
    tool.provider().is_none_or(|own| own == provider || !PROVIDERS.contains(&provider))
}
