//! Every call, in the order of `docs/api.md`.

use utoipa::PartialSchema as _;
use utoipa::openapi::{HttpMethod, Object};

use super::{Call, JSON, number};
use crate::api::health::{Health, Readiness};
use crate::api::problem::Code;
use crate::api::v1::time::Time;
use crate::api::v1::wire::{
    AboutTurn, Agent, AgentList, Beaten, BeginTurn, BegunTurn, CancelTurn, ClosedSession, CompleteTurn, CompletedTurn,
    CooldownRequest, Explanation, FailureList, FailureReport, NotifyTest, NotifyTested, PauseRequest, PinRequest,
    ReadingRequest, ReportAnswer, Subscription, SubscriptionList, Switch, SwitchList, SwitchRequest, Turn, TurnList,
};
use crate::telemetry::metrics;

/// What any command to an agent can meet.
const COMMAND: &[Code] = &[Code::StoreUnavailable, Code::Busy];

fn get(path: &'static str, id: &'static str, summary: &'static str) -> Call {
    Call::new(HttpMethod::Get, path, id, summary)
}

fn post(path: &'static str, id: &'static str, summary: &'static str) -> Call {
    Call::new(HttpMethod::Post, path, id, summary)
}

fn put(path: &'static str, id: &'static str, summary: &'static str) -> Call {
    Call::new(HttpMethod::Put, path, id, summary)
}

fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Call {
    Call::new(HttpMethod::Delete, path, id, summary)
}

pub(super) fn all() -> Vec<Call> {
    let mut calls = daemon();
    calls.extend(agents());
    calls.extend(turns());
    calls.extend(commands());
    calls.extend(subscriptions());
    calls.extend(history());
    calls
}

fn daemon() -> Vec<Call> {
    vec![
        get("/healthz", "health", "Whether the daemon lives; asks nobody").answers::<Health>(200, "It can answer."),
        get("/readyz", "readiness", "Whether the daemon does its work; asks nobody")
            .answers::<Readiness>(200, "It does; `degraded` says what is missing all the same.")
            .answers::<Readiness>(503, "It stops."),
        get("/metrics", "metrics", "What the daemon counts: docs/metrics.md")
            .answers_with(metrics::CONTENT_TYPE, "OpenMetrics text.", String::schema())
            .refused(&[Code::PoolUnavailable]),
        get("/openapi.json", "description", "This document").answers_with(JSON, "OpenAPI 3.1.", Object::new()),
    ]
}

fn agents() -> Vec<Call> {
    vec![
        get("/v1/agents", "list_agents", "All agents, by name").answers::<AgentList>(200, "All of them."),
        get("/v1/agents/{agent}", "agent", "An agent as it stands").answers::<Agent>(200, "The agent."),
        get("/v1/agents/{agent}/explain", "explain", "Which subscription an agent would get, and why not the others")
            .answers::<Explanation>(200, "Every subscription with its verdict.")
            .refused(&[Code::PoolUnavailable]),
        post("/v1/agents/{agent}/failures", "report_failure", "Reports a failure of an agent")
            .waits()
            .body::<FailureReport>()
            .answers::<ReportAnswer>(200, "Recorded; `outcome` says what came of it.")
            .answers::<ReportAnswer>(202, "`switching`: it started a switch. `held`: judged when the switch completes.")
            .refused(&[Code::NotThisAgent, Code::TurnNotFound, Code::SubscriptionNotFound, Code::GenerationUnknown])
            .refused(&[Code::GenerationMismatch, Code::IdReused, Code::Shed, Code::StoreUnavailable]),
    ]
}

/// What whoever asks about a turn by its id can meet.
const TURN: &[Code] = &[
    Code::NotThisAgent,
    Code::TurnNotFound,
    Code::TurnAlreadyComplete,
    Code::TurnCutOff,
    Code::StoreUnavailable,
    Code::Busy,
];

fn turns() -> Vec<Call> {
    vec![
        post("/v1/agents/{agent}/turns", "begin_turn", "Begins a turn, waiting for it if that is asked for")
            .body::<BeginTurn>()
            .answers::<BegunTurn>(201, "The turn is the caller's; it is taken with the first heartbeat.")
            .refused(&[Code::NotThisAgent, Code::TurnInProgress, Code::WaitExpired, Code::SessionsFull])
            .refused(&[Code::OutOfStep, Code::SessionComplete, Code::AgentSwitching, Code::TurnAlreadyComplete])
            .refused(&[Code::TurnCutOff, Code::KeyReused, Code::QueueFull, Code::AgentExhausted, Code::AgentParked])
            .refused(&[Code::AgentPaused, Code::AgentBraked, Code::AgentNotRunning, Code::AgentUnassigned])
            .refused(&[Code::StoreUnavailable, Code::Busy, Code::Stopping]),
        paged(get("/v1/turns", "list_turns", "Turns under way and who waits for one; or those that have ended"))
            .asked("ended", "Turns that have ended, newest first and in pages.", bool::schema())
            .answers::<TurnList>(200, "Of each agent at one moment; or one page."),
        get("/v1/turns/{id}", "turn", "A turn, under way or ended")
            .answers::<Turn>(200, "The turn.")
            .refused(&[Code::TurnNotFound, Code::StoreUnavailable]),
        post("/v1/turns/{id}/heartbeat", "beat_turn", "Its holder is alive; the first time it takes the turn")
            .proved()
            .asked("wait", "Seconds to wait for a request to stop, at most half a lease.", number(0, Some(600)))
            .answers::<Beaten>(200, "The lease goes on.")
            .refused(TURN),
        post("/v1/turns/{id}/complete", "complete_turn", "Its holder is done")
            .proved()
            .body::<CompleteTurn>()
            .answers::<CompletedTurn>(200, "It has ended, and what failed is recorded.")
            .refused(TURN)
            .refused(&[Code::SubscriptionNotFound, Code::GenerationUnknown, Code::GenerationMismatch])
            .refused(&[Code::IdReused, Code::Shed]),
        post("/v1/turns/{id}/cancel", "cancel_turn", "Asks its holder to stop")
            .body::<CancelTurn>()
            .answers::<AboutTurn>(202, "The holder is asked.")
            .refused(TURN),
        post("/v1/turns/{id}/cancelled", "acknowledge_cancel", "Its holder has stopped, as it was asked to")
            .proved()
            .answers::<AboutTurn>(200, "It has ended.")
            .refused(&[Code::NoCancelRequested])
            .refused(TURN),
        post("/v1/turns/{id}/fence", "fence_turn", "Has its work ended, whatever its holder says")
            .answers::<AboutTurn>(202, "Its work will be ended.")
            .refused(&[Code::AgentMonitorOnly])
            .refused(TURN),
        post("/v1/agents/{agent}/sessions/{session}/close", "close_session", "No turn begins in a session any more")
            .answers::<ClosedSession>(200, "It is closed; a turn under way in it goes on.")
            .refused(&[Code::NotThisAgent, Code::StoreUnavailable, Code::Busy]),
    ]
}

fn commands() -> Vec<Call> {
    let is_as_it_is = "The agent as it is then.";
    vec![
        post("/v1/agents/{agent}/switch", "switch_agent", "Moves an agent to another subscription")
            .waits()
            .body::<SwitchRequest>()
            .answers::<Switch>(200, "The switch, which has ended within `wait`; the explanation for a dry run.")
            .or_answers::<Explanation>(200)
            .answers::<Switch>(202, "The switch that begins.")
            .refused(&[Code::SwitchNotFound, Code::SwitchInProgress, Code::Pinned, Code::SubscriptionNotFound])
            .refused(&[Code::AgentMonitorOnly])
            .refused(&[Code::SubscriptionNotEligible, Code::PoolUnavailable])
            .refused(COMMAND),
        delete("/v1/agents/{agent}/switch", "cancel_switch", "Gives up a switch whose credential is not delivered yet")
            .answers::<Switch>(200, "The switch that was given up.")
            .refused(&[Code::SwitchNotFound, Code::NoSwitch, Code::TooLate])
            .refused(COMMAND),
        post("/v1/agents/{agent}/pause", "pause", "Observes and records failures of an agent, and does not act")
            .body::<PauseRequest>()
            .answers::<Agent>(200, is_as_it_is)
            .refused(COMMAND),
        post("/v1/agents/{agent}/resume", "resume", "Ends the pause of an agent")
            .answers::<Agent>(200, is_as_it_is)
            .refused(COMMAND),
        post("/v1/agents/{agent}/unpark", "unpark", "Frees an agent that waits for a person")
            .answers::<Agent>(200, is_as_it_is)
            .refused(&[Code::NotParked])
            .refused(COMMAND),
        put("/v1/agents/{agent}/pin", "pin", "Keeps an agent on a subscription; another one than its own is a switch")
            .body::<PinRequest>()
            .answers::<Agent>(200, is_as_it_is)
            .refused(&[Code::SwitchInProgress, Code::SubscriptionNotFound, Code::SubscriptionNotEligible])
            .refused(&[Code::PoolUnavailable, Code::AgentMonitorOnly])
            .refused(COMMAND),
        delete("/v1/agents/{agent}/pin", "unpin", "Lets an agent move again")
            .answers::<Agent>(200, is_as_it_is)
            .refused(COMMAND),
        post("/v1/resume", "resume_all", "Ends every pause, and the halt after several bans")
            .answers::<AgentList>(200, "All agents as they are then.")
            .refused(&[Code::AgentNotFound])
            .refused(COMMAND),
        post("/v1/notify/test", "test_notifications", "Sends a test message to the targets of notifications")
            .body::<NotifyTest>()
            .answers::<NotifyTested>(200, "What came back from each, once all have answered or were given up."),
    ]
}

fn subscriptions() -> Vec<Call> {
    let path = "/v1/subscriptions/{subscription}/cooldown";
    let unavailable = &[Code::StoreUnavailable, Code::PoolUnavailable];
    vec![
        get("/v1/subscriptions", "list_subscriptions", "All subscriptions, by name")
            .answers::<SubscriptionList>(200, "All of them.")
            .refused(&[Code::PoolUnavailable]),
        put(path, "cool", "Puts a subscription out of use for a time, at most 366 days")
            .body::<CooldownRequest>()
            .answers::<Subscription>(200, "The subscription as it is then.")
            .refused_as(404, Code::SubscriptionNotFound)
            .refused(unavailable),
        delete(path, "clear_cooldown", "Lifts every cooldown and quarantine of a subscription")
            .answers::<Subscription>(200, "The subscription as it is then.")
            .refused_as(404, Code::SubscriptionNotFound)
            .refused(unavailable),
        post("/v1/subscriptions/{subscription}/readings", "take_reading", "Takes in what was read of a window")
            .body::<ReadingRequest>()
            .answers::<Subscription>(200, "The subscription as it is then.")
            .refused(&[Code::NotThisAgent])
            .refused_as(404, Code::SubscriptionNotFound)
            .refused(unavailable),
    ]
}

fn history() -> Vec<Call> {
    vec![
        paged(get("/v1/switches", "list_switches", "What was done to agents, newest first"))
            .answers::<SwitchList>(200, "One page."),
        get("/v1/switches/{id}", "switch", "One switch")
            .answers::<Switch>(200, "The switch.")
            .refused(&[Code::SwitchNotFound, Code::StoreUnavailable]),
        paged(get("/v1/failures", "list_failures", "What failed, newest first"))
            .answers::<FailureList>(200, "One page."),
    ]
}

/// One page of a history.
fn paged(call: Call) -> Call {
    call.asked("agent", "Of this agent alone.", String::schema())
        .asked("since", "Not older than this.", Time::schema())
        .asked("limit", "Rows on the page; 50 if absent.", number(1, Some(500)))
        .asked("before", "The `next` of the page before.", i64::schema())
        .refused(&[Code::AgentNotFound, Code::StoreUnavailable])
}
