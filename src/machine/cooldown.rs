//! How long a failure keeps a subscription out of use, and for whom (rules E1, E3, E7, C7).

use std::time::Duration;

use super::policy::Policy;
use crate::domain::{
    AgentName, Cooldown, CooldownKey, CooldownSource, FailureId, FailureKind, JUST_PAST, Reach, Report, Reporter,
    SubscriptionName, Wall, Window,
};

/// How long a subscription whose window has just reopened is left alone before it is tried again.
const REOPENING: Duration = Duration::from_secs(60);

/// The end of the cooldown that a failure causes; `None` is a quarantine, which no time ends.
#[must_use]
pub fn until(kind: FailureKind, window: Window, reset_at: Option<Wall>, now: Wall, policy: &Policy) -> Option<Wall> {
    match kind {
        FailureKind::Auth | FailureKind::Banned => None,
        FailureKind::Billing | FailureKind::Entitlement => Some(now.plus(policy.cooldown_max.other)),
        FailureKind::RateLimit
        | FailureKind::Overload
        | FailureKind::Network
        | FailureKind::Killed
        | FailureKind::Request
        | FailureKind::Unknown => Some(match reset_at {
            Some(reset) if reset > now => reset.min(now.plus(policy.cooldown_max(window))),
            Some(reset) if now.since(reset) <= JUST_PAST => now.plus(REOPENING),
            // A limit on requests or tokens per minute is over in a minute, whether it says so or not.
            None if window == Window::Requests => now.plus(REOPENING),
            Some(_) | None => now.plus(policy.cooldown),
        }),
    }
}

/// The cooldown that a report about `subscription` causes.
#[must_use]
pub fn from_report(
    agent: &AgentName,
    subscription: &SubscriptionName,
    report: &Report,
    failure: FailureId,
    now: Wall,
    policy: &Policy,
) -> Cooldown {
    let is_about_credential = matches!(report.kind, FailureKind::Auth | FailureKind::Banned);
    let (reach, source) = match report.reporter {
        Reporter::Trusted => (Reach::All, CooldownSource::Reporter),
        Reporter::Agent => (Reach::Agent(agent.clone()), CooldownSource::Agent),
    };
    Cooldown {
        key: CooldownKey {
            reach,
            quota: policy.quota(subscription),
            credential: is_about_credential.then(|| subscription.clone()),
            window: report.window,
            model: report.model.clone(),
        },
        subscription: subscription.clone(),
        kind: report.kind,
        source,
        since: now,
        until: until(report.kind, report.window, report.reset_at, now, policy),
        failure: Some(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::agent::testing::policy;

    const NOW: Wall = Wall(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_stated_reset_is_believed_up_to_the_clamp_of_its_window() {
        let policy = policy();
        let end = |window, hours: u64| {
            until(FailureKind::RateLimit, window, Some(NOW.plus(HOUR * u32::try_from(hours).unwrap())), NOW, &policy)
        };
        assert_eq!(end(Window::FiveHour, 3), Some(NOW.plus(HOUR * 3)));
        assert_eq!(end(Window::FiveHour, 156), Some(NOW.plus(policy.cooldown_max.five_hour)));
        assert_eq!(end(Window::Weekly, 18 * 24), Some(NOW.plus(policy.cooldown_max.weekly)));
    }

    #[test]
    fn no_reset_or_an_old_one_means_the_configured_cooldown_and_a_recent_one_a_minute() {
        let policy = policy();
        let end = |reset| until(FailureKind::RateLimit, Window::Unknown, reset, NOW, &policy);
        assert_eq!(end(None), Some(NOW.plus(policy.cooldown)));
        assert_eq!(end(Some(NOW.minus(HOUR))), Some(NOW.plus(policy.cooldown)));
        assert_eq!(end(Some(NOW.minus(Duration::from_secs(30)))), Some(NOW.plus(REOPENING)));
    }

    #[test]
    fn only_a_refused_login_and_a_ban_have_no_end() {
        let policy = policy();
        for kind in FailureKind::ALL {
            let has_end = until(*kind, Window::Unknown, None, NOW, &policy).is_some();
            assert_eq!(has_end, !matches!(kind, FailureKind::Auth | FailureKind::Banned), "{kind}");
        }
    }
}
