//! Every observable event: its name, level, members, when it is emitted, and what it counts.
//!
//! Names are dotted and in the past tense; they and the members are part of the contract and stand in
//! `docs/events.md`, which a test holds against this file. The text above an event is its "when".
//!
//! Tests: `tests/telemetry.rs`.

use std::time::Duration;

use super::event::{EventSpec, events};
use super::metrics::{Metrics, Step};
use crate::domain::{
    AgentName, CauseBy, CooldownSource, Disposition, FailureId, FailureKind, Fingerprint, Generation, IntentId,
    IntentOutcome, Lost, Model, Outcome, ParkReason, Plan, ProbeOutcome, ReadingSource, RuntimeState, SessionName,
    Sign, SubscriptionName, TurnClass, TurnEnd, TurnId, Utilisation, Wall, Window,
};

events! {
    /// The daemon has started, holds its state directory and takes reports.
    INFO "daemon.ready" DaemonReady<'a> {
        version: &'a str, state_dir: &'a str, socket: &'a str, agents: usize, subscriptions: usize,
        start_ms: Duration,
    }
    /// The daemon was asked to stop; `reason` is the signal, `deadline_ms` the time it gives itself.
    INFO "daemon.stopping" DaemonStopping<'a> { reason: &'a str, deadline_ms: Duration, }
    /// The daemon runs, but something that it needs is missing; `/readyz` says the same.
    WARN "daemon.degraded" DaemonDegraded<'a> { reason: &'a str, }
    /// The config has errors and is not used; `count` is how many, `reason` the first one. What ran before goes on. Told
    /// once, however often the same is read; each error follows as `config.problem`.
    ERROR "config.rejected" ConfigRejected<'a> { file: &'a str, count: usize, reason: &'a str, }
    /// One thing that is wrong with the config, where, and how to mend it. No secret is in it.
    WARN "config.problem" ConfigProblem<'a> {
        severity: &'a str, file: &'a str, line: Option<usize>, column: Option<usize>, reason: &'a str,
        hint: Option<&'a str>,
    }
    /// The config has changed and holds from now on. Lists of names, separated by spaces. `moved` are agents that run
    /// somewhere else than before; `needs_restart` are keys that changed and cannot be taken over while the daemon runs.
    INFO "daemon.reloaded" DaemonReloaded<'a> {
        file: &'a str, cause: &'a str, agents_added: Option<&'a str>, agents_changed: Option<&'a str>, agents_moved: Option<&'a str>,
        agents_removed: Option<&'a str>, subscriptions_added: Option<&'a str>, subscriptions_changed: Option<&'a str>,
        subscriptions_removed: Option<&'a str>, needs_restart: Option<&'a str>, total_ms: Duration,
    }

    /// A failure was recorded that may have consequences; `outcome` says which. One line per recorded failure;
    /// identical later reports are only counted.
    INFO "failure.recorded" FailureRecorded<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, outcome: Outcome,
        subscription: Option<&'a SubscriptionName>, generation: Option<Generation>, switch: Option<&'a IntentId>,
        scope: Option<Window>, reset_at: Option<Wall>, sender: &'a str, count: u64, reason: Option<&'a str>,
    }
    counts |e, m| m.failures_counted(e.kind, e.outcome, e.count);
    /// A failure was recorded that is about an older generation: booked on the subscription it ran on, without
    /// any other consequence.
    INFO "failure.stale" FailureStale<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, subscription: Option<&'a SubscriptionName>,
        generation: Option<Generation>, sender: &'a str, count: u64, reason: Option<&'a str>,
    }
    counts |e, m| m.failures_counted(e.kind, Outcome::Stale, e.count);
    /// A failure was recorded that is about the generation being applied: judged when the switch completes.
    INFO "failure.held" FailureHeld<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, subscription: Option<&'a SubscriptionName>,
        generation: Option<Generation>, switch: Option<&'a IntentId>, sender: &'a str, count: u64,
        reason: Option<&'a str>,
    }
    counts |e, m| m.failures_counted(e.kind, Outcome::Held, e.count);
    /// A failure was recorded that names no generation and arrived soon after a switch: judged again when the
    /// settle time ends.
    INFO "failure.ambiguous" FailureAmbiguous<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, subscription: Option<&'a SubscriptionName>,
        generation: Option<Generation>, sender: &'a str, count: u64, reason: Option<&'a str>,
    }
    counts |e, m| m.failures_counted(e.kind, Outcome::Ambiguous, e.count);
    /// A line of text was recorded that would move the agent if something agreed with it; judged when something does,
    /// within two minutes.
    INFO "failure.uncorroborated" FailureUncorroborated<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, subscription: Option<&'a SubscriptionName>,
        generation: Option<Generation>, sender: &'a str, count: u64, reason: Option<&'a str>,
    }
    counts |e, m| m.failures_counted(e.kind, Outcome::Uncorroborated, e.count);
    /// Something agrees with a line of text, which is judged now. `by` is `exit` (the agent's process ended by itself
    /// after it), `turn` (a turn failed), `report` (it was reported in another way), `agent` (another agent says the same of
    /// the subscription) or `config` (the config trusts the agent's text since).
    INFO "failure.corroborated" FailureCorroborated<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, by: Sign,
    }
    counts |e, m| m.corroborated(e.kind, e.by);
    /// A failure was recorded that moves nobody: its kind never does, or it is only text that is repeated or not believed
    /// (`reason`).
    INFO "failure.ignored" FailureIgnored<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, subscription: Option<&'a SubscriptionName>,
        generation: Option<Generation>, sender: &'a str, count: u64, reason: Option<&'a str>,
    }
    counts |e, m| m.failures_counted(e.kind, Outcome::Ignored, e.count);
    /// A failure was recorded that nothing is understood of; takes the place of `failure.ignored`. Or a line of the agent's
    /// output looks like a limit and no rule knows its wording (`text`, cut and with what may be a secret masked): once for
    /// each wording and agent, at most 20 of an agent in an hour (the metric counts each), without a `failure`.
    WARN "failure.unclassified" FailureUnclassified<'a> {
        agent: &'a AgentName, failure: Option<&'a FailureId>, kind: FailureKind,
        subscription: Option<&'a SubscriptionName>, generation: Option<Generation>, sender: &'a str, count: u64,
        reason: Option<&'a str>, text: Option<&'a str>,
    }
    counts |e, m| match e.failure {
        Some(_) => m.failures_counted(e.kind, Outcome::Ignored, e.count),
        None => m.unclassified_line(),
    };
    /// Reports were refused because the intake of the agent is full. At most one line per agent and second;
    /// `count` is how many were refused since the line before. The metric counts each.
    WARN "failure.shed" FailureShed<'a> { agent: &'a AgentName, kind: FailureKind, count: u64, }
    /// A failure whose judgement waited (held, ambiguous, or text that was uncorroborated) has been judged. It was counted
    /// when it arrived.
    INFO "failure.judged" FailureJudged<'a> {
        agent: &'a AgentName, failure: &'a FailureId, kind: FailureKind, outcome: Outcome,
        subscription: Option<&'a SubscriptionName>, generation: Option<Generation>, reason: Option<&'a str>,
    }

    /// A switch (or a recovery) was decided and its intent is on disk. `decide_ms` runs from the arrival of what
    /// caused it.
    INFO "switch.started" SwitchStarted<'a> {
        agent: &'a AgentName, switch: &'a IntentId, plan: Plan, from: Option<&'a SubscriptionName>,
        to: &'a SubscriptionName, generation: Generation, cause: CauseBy, kind: Option<FailureKind>,
        failure: Option<&'a FailureId>, decide_ms: Option<Duration>, reason: Option<&'a str>,
    }
    counts |e, m| m.switch_step(Step::Decide, e.decide_ms);
    /// Nothing holds the switch up any more: turns have ended or have had time enough to, the preflight has passed;
    /// `turns` are still under way, and a restart cuts them off.
    INFO "switch.drained" SwitchDrained<'a> {
        agent: &'a AgentName, switch: &'a IntentId, generation: Generation, drain_ms: Duration, turns: usize,
    }
    counts |e, m| m.switch_step(Step::Drain, Some(e.drain_ms));
    /// The new credential is delivered and the agent was started again with it (or was not running).
    INFO "switch.applied" SwitchApplied<'a> {
        agent: &'a AgentName, switch: &'a IntentId, subscription: &'a SubscriptionName, generation: Generation,
        apply_ms: Duration, restarts: u32,
    }
    counts |e, m| m.switch_step(Step::Apply, Some(e.apply_ms));
    /// A switch ended with its generation current; `outcome` says how the agent is. `ready_ms` runs from the
    /// start of the agent, `total_ms` from the decision, `recovery_ms` from the observed failure.
    INFO "switch.completed" SwitchCompleted<'a> {
        agent: &'a AgentName, switch: &'a IntentId, plan: Plan, from: Option<&'a SubscriptionName>,
        to: &'a SubscriptionName, subscription: &'a SubscriptionName, generation: Generation, cause: CauseBy,
        kind: Option<FailureKind>, outcome: IntentOutcome, ready_ms: Option<Duration>, total_ms: Duration,
        recovery_ms: Option<Duration>, restarts: u32, turns_cut_off: u32, reason: Option<&'a str>,
    }
    counts |e, m| {
        m.switch_ended(e.plan, e.cause, e.outcome);
        m.switch_step(Step::Ready, e.ready_ms);
        m.switch_step(Step::Total, Some(e.total_ms));
        m.recovered(e.recovery_ms);
    };
    /// A switch could not be done; nothing was delivered or there is no container.
    ERROR "switch.failed" SwitchFailed<'a> {
        agent: &'a AgentName, switch: &'a IntentId, plan: Plan, from: Option<&'a SubscriptionName>,
        to: &'a SubscriptionName, generation: Generation, cause: CauseBy, kind: Option<FailureKind>,
        outcome: IntentOutcome, total_ms: Duration, restarts: u32, turns_cut_off: u32, reason: Option<&'a str>,
    }
    counts |e, m| m.switch_ended(e.plan, e.cause, e.outcome);
    /// A switch was undone; the agent is as it was.
    WARN "switch.rolled_back" SwitchRolledBack<'a> {
        agent: &'a AgentName, switch: &'a IntentId, plan: Plan, from: Option<&'a SubscriptionName>,
        to: &'a SubscriptionName, generation: Generation, cause: CauseBy, kind: Option<FailureKind>,
        outcome: IntentOutcome, total_ms: Duration, restarts: u32, turns_cut_off: u32, reason: Option<&'a str>,
    }
    counts |e, m| m.switch_ended(e.plan, e.cause, e.outcome);
    /// A switch was given up before anything was delivered.
    INFO "switch.cancelled" SwitchCancelled<'a> {
        agent: &'a AgentName, switch: &'a IntentId, plan: Plan, from: Option<&'a SubscriptionName>,
        to: &'a SubscriptionName, generation: Generation, cause: CauseBy, kind: Option<FailureKind>,
        outcome: IntentOutcome, total_ms: Duration, restarts: u32, turns_cut_off: u32, reason: Option<&'a str>,
    }
    counts |e, m| m.switch_ended(e.plan, e.cause, e.outcome);
    /// A switch that an earlier life of the daemon left open was found at start and is being finished or undone;
    /// `reason` says what was found. Its end follows as an event of its own.
    WARN "switch.recovered" SwitchRecovered<'a> {
        agent: &'a AgentName, switch: &'a IntentId, plan: Plan, from: Option<&'a SubscriptionName>,
        to: &'a SubscriptionName, generation: Generation, reason: Option<&'a str>,
    }

    /// A turn was granted; `wait_ms` runs from when it was asked for.
    INFO "turn.begun" TurnBegun<'a> {
        agent: &'a AgentName, turn: &'a TurnId, session: &'a SessionName, class: TurnClass, holder: &'a str,
        subscription: &'a SubscriptionName, generation: Generation, wait_ms: Duration,
    }
    counts |e, m| m.turn_begun(e.class, e.wait_ms);
    /// A turn was not granted; `reason` says why.
    INFO "turn.refused" TurnRefused<'a> {
        agent: &'a AgentName, session: &'a SessionName, holder: &'a str, reason: &'a str,
    }
    /// Somebody asked the holder of a turn to stop.
    INFO "turn.cancel_requested" TurnCancelRequested<'a> {
        agent: &'a AgentName, turn: &'a TurnId, session: &'a SessionName, holder: &'a str, sender: &'a str,
    }
    /// The holder of a turn gave no heartbeat for a lease, did not stop when it was asked to, or is not waited for any
    /// more (`reason`): its work has to be ended before the session can go on.
    WARN "turn.lost" TurnLost<'a> {
        agent: &'a AgentName, turn: &'a TurnId, session: &'a SessionName, holder: &'a str, reason: Lost,
    }
    /// A turn was ended by its holder: `end` is `complete`, `failed`, `cancelled`, or `lapsed` if it was never taken.
    INFO "turn.completed" TurnCompleted<'a> {
        agent: &'a AgentName, turn: &'a TurnId, session: &'a SessionName, class: TurnClass, holder: &'a str,
        generation: Generation, end: TurnEnd, held_ms: Duration, reason: Option<&'a str>,
    }
    counts |e, m| m.turn_ended(e.class, e.end);
    /// The work of a turn was ended under its holder, by the switch or fence `switch` if it was one.
    WARN "turn.cut_off" TurnCutOff<'a> {
        agent: &'a AgentName, turn: &'a TurnId, session: &'a SessionName, class: TurnClass, holder: &'a str,
        generation: Generation, switch: Option<&'a IntentId>, held_ms: Duration, reason: Option<&'a str>,
    }
    counts |e, m| m.turn_ended(e.class, TurnEnd::CutOff);
    /// A fence was decided and its intent is on disk: the work of `turn` is going to be ended.
    WARN "turn.fenced" TurnFenced<'a> {
        agent: &'a AgentName, switch: &'a IntentId, turn: Option<&'a TurnId>, generation: Generation,
        cause: CauseBy, reason: Option<&'a str>,
    }
    /// A fence has ended; `outcome` says how.
    INFO "fence.completed" FenceCompleted<'a> {
        agent: &'a AgentName, switch: &'a IntentId, turn: Option<&'a TurnId>, generation: Generation,
        cause: CauseBy, outcome: IntentOutcome, total_ms: Duration, restarts: u32, turns_cut_off: u32,
        reason: Option<&'a str>,
    }
    counts |e, m| m.switch_ended(Plan::Fence, e.cause, e.outcome);
    /// No turn begins in a session any more.
    INFO "session.closed" SessionClosed<'a> { agent: &'a AgentName, session: &'a SessionName, }

    /// A container's health check says something else than before.
    INFO "agent.health_changed" AgentHealthChanged<'a> { agent: &'a AgentName, is_healthy: bool, }
    /// The agent's container or process has ended while nothing was being done to it.
    WARN "agent.ended" AgentEnded<'a> { agent: &'a AgentName, exit_code: Option<i32>, was_oom: bool, }

    /// Lines of a container's log were lost before they could be read (rotated away, for example), after `since`. The
    /// agent is looked at instead.
    WARN "log.gap" LogGap<'a> { agent: &'a AgentName, source: &'a str, since: Option<Wall>, }
    counts |_e, m| m.log_gap();
    /// The log of a container, or another source of an agent, cannot be read: its log driver keeps none, for example, or
    /// the daemon may not open it. Failures must be reported in another way.
    WARN "log.unreadable" LogUnreadable<'a> { agent: &'a AgentName, source: &'a str, reason: &'a str, }

    /// An agent was seen running for the first time with a credential that is known: taken over as it is.
    INFO "agent.adopted" AgentAdopted<'a> {
        agent: &'a AgentName, subscription: &'a SubscriptionName, generation: Generation, instance: Option<&'a str>,
    }
    /// A container has become an agent, by its labels or by a pattern of the config (`source`); at the start of the daemon
    /// each that is one is told.
    INFO "agent.discovered" AgentDiscovered<'a> { agent: &'a AgentName, container: &'a str, source: &'a str, }
    /// The container of an agent that was discovered is gone, or is none any more. What is known of the agent is kept,
    /// should it come back.
    INFO "agent.gone" AgentGone<'a> { agent: &'a AgentName, container: &'a str, }
    /// Something is wrong with a container that would be an agent: it is none (`is_left_out`), or its labels say
    /// something else than the config, which holds. Told once until it is mended; `status` shows it as long.
    WARN "container.refused" ContainerRefused<'a> {
        container: &'a str, label: Option<&'a str>, reason: &'a str, hint: Option<&'a str>, is_left_out: bool,
    }
    /// Containers cannot be listed, for `reason`. Nobody becomes an agent, and nobody is one no more, until they can.
    WARN "discovery.failed" DiscoveryFailed<'a> { reason: &'a str, }
    /// An agent has no assignment; `reason` is `unknown_credential` if it runs on one that is none of ours.
    WARN "agent.unassigned" AgentUnassigned<'a> { agent: &'a AgentName, reason: &'a str, }
    /// The file of an agent was last written by a daemon with another state directory, `owner`: that one may still run, or
    /// it may be this one before its state directory was lost.
    WARN "agent.other_owner" AgentOtherOwner<'a> { agent: &'a AgentName, owner: &'a str, }
    /// An agent has nobody to move to; `until` is the earliest reset, if one is known.
    WARN "agent.exhausted" AgentExhausted<'a> {
        agent: &'a AgentName, subscription: Option<&'a SubscriptionName>, generation: Option<Generation>,
        kind: Option<FailureKind>, failure: Option<&'a FailureId>, until: Option<Wall>, reason: Option<&'a str>,
    }
    /// An agent has used up its switches; `count` of them, until the budget refills at `until`.
    WARN "agent.braked" AgentBraked<'a> { agent: &'a AgentName, count: u32, until: Option<Wall>, }
    /// An agent that waited goes on, on the subscription it has or by a switch that follows.
    INFO "agent.woken" AgentWoken<'a> {
        agent: &'a AgentName, subscription: Option<&'a SubscriptionName>, generation: Option<Generation>,
        reason: Option<&'a str>,
    }
    /// An agent waits for a person (`unpark`).
    ERROR "agent.parked" AgentParked<'a> { agent: &'a AgentName, reason: ParkReason, switch: Option<&'a IntentId>, }
    /// A person freed a parked agent.
    INFO "agent.unparked" AgentUnparked<'a> { agent: &'a AgentName, sender: &'a str, }
    /// An agent is observed and recorded, but not acted on; until `until`, if it ends by itself.
    INFO "agent.paused" AgentPaused<'a> { agent: &'a AgentName, until: Option<Wall>, sender: &'a str, }
    /// A pause ended: by a person, or by itself (`reason` `elapsed`).
    INFO "agent.resumed" AgentResumed<'a> { agent: &'a AgentName, sender: Option<&'a str>, reason: Option<&'a str>, }
    /// A person pinned an agent to a subscription.
    INFO "agent.pinned" AgentPinned<'a> {
        agent: &'a AgentName, subscription: &'a SubscriptionName, sender: &'a str,
    }
    /// A pin was taken away: by a person, or because the config does not allow what it was to (`sender` is `config`).
    INFO "agent.unpinned" AgentUnpinned<'a> { agent: &'a AgentName, sender: &'a str, }
    /// An actor of the daemon failed and is started again from what is on disk, or its agent parked. `actor` is
    /// the sort of actor, `count` how often it failed of late.
    ERROR "agent.crashed" AgentCrashed<'a> {
        actor: &'a str, agent: Option<&'a AgentName>, count: u64, reason: &'a str,
    }
    counts |e, m| m.actor_crashed(e.actor);
    /// The container or process of an agent was seen in another state than before.
    INFO "agent.runtime_changed" AgentRuntimeChanged<'a> {
        agent: &'a AgentName, from: RuntimeState, to: RuntimeState, instance: Option<&'a str>,
        started_at: Option<&'a str>,
    }
    /// A line that a process agent wrote; `stream` is `stdout` or `stderr`. Control characters are escaped, long
    /// lines cut.
    INFO "agent.output" AgentOutput<'a> { agent: &'a AgentName, stream: &'a str, text: &'a str, }

    /// A subscription is not to be used until `until`: for everyone, or for `agent` alone (`reach`).
    WARN "subscription.cooling" SubscriptionCooling<'a> {
        subscription: &'a SubscriptionName, agent: Option<&'a AgentName>, reach: &'a str, kind: FailureKind,
        scope: Window, model: Option<&'a Model>, source: CooldownSource, until: Option<Wall>,
        failure: Option<&'a FailureId>,
    }
    /// One agent's own word speaks against a subscription: it is picked last by all others until `until`.
    INFO "subscription.suspect" SubscriptionSuspect<'a> {
        subscription: &'a SubscriptionName, agent: &'a AgentName, kind: FailureKind, until: Option<Wall>,
        failure: Option<&'a FailureId>,
    }
    /// Several accounts were banned within an hour: nothing is switched by itself until an operator lets it go on.
    ERROR "switching.halted" SwitchingHalted<'a> { subscriptions: &'a str, reason: &'a str, }
    /// Automatic switching goes on after a halt.
    INFO "switching.resumed" SwitchingResumed<'a> { reason: &'a str, }
    /// A cooldown or quarantine ended; `reason` says how, `agent` is there if it held for that agent alone.
    INFO "subscription.available" SubscriptionAvailable<'a> {
        subscription: &'a SubscriptionName, agent: Option<&'a AgentName>, reason: Option<&'a str>,
    }
    /// Somebody read how far a window of a subscription is used up; `utilisation` is in percent.
    DEBUG "subscription.reading" SubscriptionReading<'a> {
        subscription: &'a SubscriptionName, agent: Option<&'a AgentName>, scope: Window, model: Option<&'a Model>,
        utilisation: Option<Utilisation>, serves: bool, reset_at: Option<Wall>, source: ReadingSource,
    }
    /// The provider refused a subscription, as somebody trusted read: no agent is moved to it until `until`.
    INFO "subscription.refused" SubscriptionRefused<'a> {
        subscription: &'a SubscriptionName, scope: Window, reset_at: Option<Wall>, until: Option<Wall>,
    }
    /// A provider has answered how a subscription stands, for the first time or another way than before; `outcome` is
    /// `served` or `exhausted`. What it said of each window is a `subscription.reading`.
    INFO "probe.answered" ProbeAnswered<'a> { subscription: &'a SubscriptionName, outcome: ProbeOutcome, status: u16, }
    /// A provider did not let a subscription's credential in, or says that credit or entitlement is missing. Told once until
    /// it answers another way. Nobody is moved for it.
    WARN "probe.refused" ProbeRefused<'a> {
        subscription: &'a SubscriptionName, kind: FailureKind, status: u16, reason: &'a str,
    }
    /// A provider could not be asked, or its answer says nothing about the subscription. Told once until it answers another
    /// way. It counts for nothing.
    WARN "probe.failed" ProbeFailed<'a> {
        subscription: &'a SubscriptionName, disposition: Disposition, reason: &'a str,
    }
    /// A subscription is not to be used until its credential changes or a person acts.
    ERROR "subscription.quarantined" SubscriptionQuarantined<'a> {
        subscription: &'a SubscriptionName, agent: Option<&'a AgentName>, reach: &'a str, kind: FailureKind,
        source: CooldownSource, failure: Option<&'a FailureId>,
    }

    /// The credential of a subscription cannot be read: nobody is moved to it until it can.
    ERROR "credential.unreadable" CredentialUnreadable<'a> { subscription: &'a SubscriptionName, reason: &'a str, }
    /// The credential of a subscription is another one than before.
    INFO "credential.changed" CredentialChanged<'a> {
        subscription: &'a SubscriptionName, fingerprint: &'a Fingerprint,
    }

    /// A notification was handed over.
    INFO "notification.sent" NotificationSent<'a> {
        notification: &'a str, target: &'a str, topic: &'a str, agent: Option<&'a AgentName>, count: u32,
    }
    counts |e, m| m.notified(e.target, "sent");
    /// A notification was not sent by itself. `outcome` is `gathered` (told in a summary when there is room again),
    /// `waits` (the trouble came back within ten minutes: told later if it is still there) or `merged` (the target knows
    /// already, or what it says ended before it was told).
    DEBUG "notification.held_back" NotificationHeldBack<'a> {
        notification: &'a str, target: &'a str, topic: &'a str, agent: Option<&'a AgentName>, outcome: &'a str,
    }
    counts |e, m| m.notified(e.target, e.outcome);
    /// A notification was not taken. `outcome` is `retried` (again after `wait_ms`), `refused` (the target will
    /// never take it) or `given_up` (too old); `count` is how often it was tried.
    WARN "notification.failed" NotificationFailed<'a> {
        notification: &'a str, target: &'a str, topic: &'a str, agent: Option<&'a AgentName>,
        outcome: &'a str, count: u32, wait_ms: Option<Duration>, reason: &'a str,
    }
    counts |e, m| m.notified(e.target, e.outcome);

    /// The store did not do what it was asked; nothing was acted on.
    ERROR "store.failed" StoreFailed<'a> {
        call: &'a str, agent: Option<&'a AgentName>, disposition: Disposition, reason: &'a str,
    }
    counts |e, m| m.store_failed(e.call, e.disposition);
    /// A step of a switch did not work and is tried again after `wait_ms`.
    WARN "effect.retried" EffectRetried<'a> {
        agent: &'a AgentName, switch: Option<&'a IntentId>, effect: &'a str, count: u32, wait_ms: Duration,
        disposition: Disposition, reason: &'a str,
    }
    /// The container engine stopped answering.
    WARN "engine.lost" EngineLost<'a> { reason: &'a str, }
    /// The container engine answers again; all its agents are looked at.
    INFO "engine.back" EngineBack { down_ms: Option<Duration>, }
    /// A call of the API was refused; `code` is that of the problem document.
    INFO "api.refused" ApiRefused<'a> {
        code: &'a str, status: u16, method: &'a str, path: &'a str, agent: Option<&'a str>, sender: &'a str,
        reason: &'a str,
    }
    counts |e, m| m.api_refused(e.code);
}
