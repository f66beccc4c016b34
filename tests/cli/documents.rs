//! Documents as the API writes them. Times are told relative to now, half a unit away from where their text changes.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// This many seconds from now, or before it.
pub(crate) fn at(seconds: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "the binary counts from the real present")]
    let now = Timestamp::now();
    format!("{:.3}", now + SignedDuration::from_secs(seconds))
}

/// 1 h 59 min and a half from now.
pub(crate) fn later() -> String {
    at(7_170)
}

/// 2 h 3 min and a half ago.
pub(crate) fn earlier() -> String {
    at(-7_410)
}

pub(crate) fn switch(outcome: &str) -> Value {
    let is_over = outcome != "under_way";
    json!({
        "id": "reviewer-s3", "agent": "reviewer", "kind": "switch", "from": "max-a", "to": "max-b", "generation": 4,
        "cause": {"by": "failure", "kind": "rate_limit", "failure": "reviewer-f7", "reason": null},
        "outcome": outcome, "reason": (outcome == "failed").then_some("the engine does not answer"),
        "started_at": "2026-11-21T10:00:00.000Z", "finished_at": is_over.then_some("2026-11-21T10:00:02.300Z"),
        "drain_ms": 10, "apply_ms": 290, "ready_ms": 2000, "turns_cut_off": 0, "restarts": 1
    })
}

pub(crate) fn turn(state: &str) -> Value {
    json!({
        "id": "reviewer-t7", "agent": "reviewer", "session": ["x", "y"], "class": "interactive", "holder": "front end",
        "subscription": "max-b", "generation": 4, "started_at": earlier(), "lease_s": 60, "state": state,
        "cancel_requested": null, "failure_reported": false, "expires_at": later(), "ended_at": null, "switch": null,
        "reason": null
    })
}

pub(crate) fn agent(name: &str) -> Value {
    let mut last = switch("ready");
    last["finished_at"] = json!(earlier());
    json!({
        "name": name, "tool": "claude-code", "phase": "serving", "reason": null, "paused": false, "paused_until": null,
        "pinned": null, "assignment": {"subscription": "max-b", "generation": 4, "since": earlier()}, "pending": null,
        "runtime": {"kind": "docker", "id": "4f0c", "state": "running", "started_at": "2026-11-21T10:00:01Z"},
        "turns": {"active": [], "queued": 0}, "budget": {"used": 1, "of": 6, "refills_at": null}, "wake_at": null,
        "earliest_reset": null, "last_switch": last
    })
}

pub(crate) fn changed(mut document: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().expect("members") {
        document[name] = value.clone();
    }
    document
}

pub(crate) fn agents() -> Value {
    let exhausted = json!({
        "phase": "exhausted", "reason": "exhausted", "wake_at": later(), "earliest_reset": later(), "last_switch": null
    });
    let moving = json!({
        "phase": "applying", "pending": {"subscription": "max-c", "generation": 5},
        "last_switch": changed(switch("under_way"), &json!({"started_at": earlier()}))
    });
    let parked = json!({
        "phase": "parked", "reason": "apply_failed", "paused": true, "paused_until": later(), "pinned": "max-a",
        "assignment": null, "last_switch": null,
        "runtime": {"kind": "process", "id": null, "state": "missing", "started_at": null}
    });
    json!({"agents": [
        changed(agent("coder"), &moving), changed(agent("idle"), &exhausted), agent("reviewer"),
        changed(agent("writer"), &parked)
    ]})
}

pub(crate) fn cooldown(kind: &str, until: Option<&str>) -> Value {
    json!({
        "kind": kind, "scope": "five_hour", "model": null, "source": "reporter", "failure": "reviewer-f7",
        "since": earlier(), "until": until
    })
}

pub(crate) fn subscription(name: &str) -> Value {
    json!({
        "name": name, "provider": "anthropic", "type": "setup-token", "priority": 1, "metered": false, "reserve": false,
        "quota_identity": name,
        "agents": [], "agents_max": 8, "eligible": true, "reason": null, "cooldown": null, "cooling_for": {},
        "suspect": false, "quarantined": null,
        "credential": {"readable": true, "fingerprint": "sha256:12", "at": earlier()},
        "failures": {"recent": 0, "last_at": null}, "readings": [], "nearest_wall": null
    })
}

pub(crate) fn reading(members: &Value) -> Value {
    let plain = json!({
        "window": "weekly", "model": null, "utilisation": 72.5, "serves": true, "reset_at": later(), "at": earlier(),
        "source": "reporter", "agent": null
    });
    changed(plain, members)
}

pub(crate) fn subscriptions() -> Value {
    let limit = json!({
        "eligible": false, "reason": "cooling after rate_limit (by reporter)",
        "cooldown": cooldown("rate_limit", Some(&later()))
    });
    let used = json!({"agents": ["reviewer", "idle"], "suspect": true, "quota_identity": "org-1",
        "nearest_wall": reading(&json!({})),
        "cooling_for": {"idle": cooldown("rate_limit", Some(&later()))}});
    let banned = json!({
        "eligible": false, "reason": "quarantined after banned (by operator)",
        "cooldown": cooldown("banned", None), "quarantined": cooldown("banned", None)
    });
    let unreadable = json!({
        "eligible": false, "reason": "credential not readable: no such file",
        "credential": {"readable": false, "fingerprint": null, "at": earlier()}
    });
    json!({"subscriptions": [
        changed(subscription("max-a"), &limit), changed(subscription("max-b"), &used),
        changed(subscription("max-c"), &banned), changed(subscription("max-d"), &unreadable),
        changed(subscription("max-e"), &json!({"metered": true, "reserve": true,
            "nearest_wall": reading(&json!({"model": "opus", "window": "model", "utilisation": 3.0, "agent": "idle"}))}))
    ]})
}

pub(crate) fn explanation() -> Value {
    let candidate = |name: &str, members: Value| {
        let plain = json!({
            "subscription": name, "verdict": "eligible", "reason": null, "until": null, "source": null,
            "suspect": false, "agents": 1, "agents_max": 8, "credential_read_at": "2026-11-21T09:56:00.000Z",
            "cooling_since": null, "reading": null, "priority": 1, "metered": false, "reserve": false
        });
        changed(plain, &members)
    };
    json!({
        "agent": "reviewer", "phase": "serving", "current": "max-a", "would_pick": "max-b", "earliest_reset": null,
        "strategy": "headroom",
        "gates": {
            "switching": true, "paused": true, "paused_until": "2026-11-21T10:05:00.000Z", "pinned": "max-a",
            "braked_until": "2026-11-21T11:00:00.000Z", "parked": null, "exhausted_since": null, "obstacle": null
        },
        "subscriptions": [
            candidate("max-b", json!({
                "reading": reading(&json!({"at": "2026-11-21T09:55:00.000Z", "reset_at": null}))
            })),
            candidate("max-c", json!({"suspect": true, "metered": true, "reserve": true})),
            candidate("max-a", json!({
                "verdict": "cooling", "reason": "cooling after rate_limit (by reporter)", "source": "reporter",
                "until": "2026-11-21T12:00:00.000Z", "cooling_since": "2026-11-21T09:57:00.000Z"
            })),
            candidate("max-d", json!({
                "verdict": "not_allowed", "reason": "not allowed for this agent", "agents_max": null,
                "credential_read_at": null
            }))
        ],
        "at": "2026-11-21T10:00:00.000Z"
    })
}

pub(crate) fn answer(outcome: &str) -> Value {
    json!({
        "outcome": outcome, "duplicate": false, "failure": "reviewer-f7", "kind": "rate_limit", "agent": "reviewer",
        "subscription": "max-a", "generation": 3,
        "switch": {"id": "reviewer-s3", "from": "max-a", "to": "max-b", "generation": 4, "outcome": "under_way"},
        "retry_after_s": null, "earliest_reset": null, "reason": null
    })
}

pub(crate) fn problem(status: u16, code: &str, detail: &str) -> Value {
    json!({"type": format!("urn:switchman:{code}"), "title": code, "status": status, "detail": detail, "code": code})
}

/// The document as `--json` prints it.
pub(crate) fn versioned(document: &Value) -> Value {
    changed(document.clone(), &json!({"schema_version": 1}))
}
