//! Tasks that look at the world and tell the actors: the runtime's events, and the credentials' sources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::handle::Switchman;
use super::intake::Hints;
use super::pool::{PoolHandle, PoolMsg};
use super::recognition::Known;
use crate::classify::{Context, Evidence};
use crate::domain::{AgentName, FailureKind, Origin, Report, Reporter, Steady, SubscriptionName, Wall};
use crate::machine::agent::AgentState;
use crate::machine::policy::RuntimeKind;
use crate::ports::clock::Clock;
use crate::ports::credentials::CredentialSource;
use crate::ports::runtime::{Ended, Runtime, RuntimeEvent};
use crate::telemetry::events;

/// How often the sources of credentials are looked at.
const READ_EVERY: Duration = Duration::from_secs(10);

/// Follows the runtime's events until the daemon stops. An event is a hint: the agent looks for itself.
pub(super) async fn runtime_events(switchman: Switchman, runtime: Arc<dyn Runtime>) {
    let mut lost_at: Option<Steady> = None;
    loop {
        match runtime.next_event().await {
            RuntimeEvent::Changed(agent) => switchman.runtime_changed(&agent),
            RuntimeEvent::Ended(ended) => {
                ended_by_itself(&switchman, &ended);
                switchman.runtime_changed(&ended.agent);
            }
            RuntimeEvent::Health { agent, is_healthy } => {
                switchman.telemetry().emit(events::AgentHealthChanged { agent: &agent, is_healthy });
                switchman.runtime_changed(&agent);
            }
            RuntimeEvent::EngineLost(why) => {
                lost_at.get_or_insert_with(|| switchman.now().steady);
                switchman.telemetry().emit(events::EngineLost { reason: &why });
                switchman.0.engine.send_replace(Some(why));
            }
            RuntimeEvent::EngineBack => {
                if switchman.0.engine.send_replace(None).is_some() {
                    let now = switchman.now().steady.0;
                    let down_ms = lost_at.take().map(|at| Duration::from_millis(now.saturating_sub(at.0)));
                    switchman.telemetry().emit(events::EngineBack { down_ms });
                }
                for agent in switchman.agents() {
                    if agent.policy.runtime == RuntimeKind::Container {
                        switchman.runtime_changed(&agent.state.name);
                    }
                }
            }
        }
    }
}

/// Whether it is the end of another container that had the same name before: its ends are told again to whoever has the
/// name now.
fn is_of_another(state: &AgentState, ended: &Ended) -> bool {
    let Some(seen) = state.sighting.as_ref().and_then(|sighting| sighting.instance.as_ref()) else { return false };
    let began_at = seen.started_at.parse().ok().map(|at: jiff::Timestamp| Wall(at.as_millisecond()));
    seen.id != ended.id && began_at.zip(ended.at).is_some_and(|(began_at, ended_at)| ended_at <= began_at)
}

/// A life that ended while nothing was being done to the agent is told, and is evidence if it was killed: whatever its
/// last words were, they are not its subscription's fault (C3).
fn ended_by_itself(switchman: &Switchman, ended: &Ended) {
    let Some(agent) = switchman.agent(ended.agent.as_str()) else { return };
    // The end of a life that a switch has ended is told late, and again after a start of the daemon.
    let last = agent.state.last.as_ref().and_then(|last| last.end.as_ref());
    let was_ours = last.zip(ended.at).is_some_and(|(last, at)| at <= last.finished_at);
    if was_ours || agent.state.phase.is_switching() || is_of_another(&agent.state, ended) {
        return;
    }
    let Ended { agent: name, exit_code, was_oom, at, .. } = ended;
    switchman.telemetry().emit(events::AgentEnded { agent: name, exit_code: *exit_code, was_oom: *was_oom });
    let evidence = Evidence { exit_code: *exit_code, oom: *was_oom, ..Evidence::default() };
    let verdict = switchman.classifier().evidence(&evidence, &Context::new(Some(agent.policy.tool), agent.now.wall));
    let was_killed = verdict.kind == FailureKind::Killed;
    // An end whose code nobody knows may be a kill, and one that somebody asked for is none of the agent's doing.
    let is_no_sign = was_killed || ended.was_told || exit_code.is_none();
    if let Some(seat) = switchman.0.seat(name.as_str()) {
        seat.hint(Hints { ended: vec![(at.unwrap_or(agent.now.wall), is_no_sign)], ..Hints::default() });
    }
    if !was_killed {
        return;
    }
    let report = Report {
        id: None,
        kind: verdict.kind,
        subscription: None,
        generation: None,
        turn: None,
        model: None,
        window: verdict.window,
        reset_at: None,
        trust: verdict.trust,
        is_hearsay: false,
        observed_at: *at,
        origin: Origin::Untold,
        read_to: None,
        reporter: Reporter::Agent,
        sender: "runtime".to_owned(),
        reason: Some(verdict.reason),
    };
    let (switchman, name) = (switchman.clone(), name.clone());
    // Its answer waits for a commit, and the next event must not.
    tokio::spawn(async move {
        if let Err(error) = switchman.report(name.as_str(), report, 0).await {
            tracing::debug!(agent = %name, %error, "an end that was not recorded");
        }
    });
}

/// Reads every credential once, and tells the pool.
pub(super) async fn read_credentials(
    subscriptions: &[SubscriptionName],
    source: &dyn CredentialSource,
    pool: &PoolHandle,
) {
    let reads = subscriptions.iter().map(|subscription| async move { (subscription, source.read(subscription).await) });
    for (subscription, read) in futures_util::future::join_all(reads).await {
        let state = read.map_err(|error| error.to_string()).map(|credential| Known {
            subscription: subscription.clone(),
            fingerprint: credential.fingerprint,
            content: credential.content,
            kind: credential.kind,
        });
        let fact = PoolMsg::Credential { subscription: subscription.clone(), state };
        if !pool.tell(fact) {
            tracing::debug!("a credential's state for a pool that has ended");
        }
    }
}

/// Looks at the credentials again and again, until the daemon stops.
pub(super) async fn credentials(
    mut names: watch::Receiver<Vec<SubscriptionName>>,
    source: Arc<dyn CredentialSource>,
    pool: PoolHandle,
    clock: Arc<dyn Clock>,
) {
    loop {
        tokio::select! {
            () = clock.sleep(READ_EVERY) => {}
            // They are read again when they were changed; if nobody can change them any more, the daemon ends.
            changed = names.changed() => if changed.is_err() { return },
        }
        let subscriptions = names.borrow_and_update().clone();
        read_credentials(&subscriptions, &*source, &pool).await;
    }
}

/// How often an actor may fail before its agent is parked: so many times in so long.
const CRASHES_MAX: usize = 5;
const CRASHES_IN: Duration = Duration::from_secs(60);

/// Counts the crashes of each actor: the restart intensity.
#[derive(Debug, Default)]
pub(super) struct Intensity(BTreeMap<Option<AgentName>, Vec<Steady>>);

impl Intensity {
    /// Takes note of a crash; says how many there were of late, and whether that is too many.
    pub(super) fn note(&mut self, agent: Option<AgentName>, now: Steady) -> (usize, bool) {
        let crashes = self.0.entry(agent).or_default();
        crashes.retain(|at| at.plus(CRASHES_IN) > now);
        crashes.push(now);
        (crashes.len(), crashes.len() > CRASHES_MAX)
    }
}
