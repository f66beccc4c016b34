//! Failure reports: the busiest way in.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sha2::{Digest as _, Sha256};

use super::wire::{Evidence, FailureReport, ReportAnswer};
use super::{Named, json};
use crate::actor::handle::AgentStatus;
use crate::api::App;
use crate::api::body::{self, Members};
use crate::api::peer::Peer;
use crate::api::problem::{Code, Refusal};
use crate::api::query::Query;
use crate::classify::{self, Context};
use crate::domain::{
    AgentName, Answer, FailureKind, Generation, IntentId, IntentOutcome, IntentRecord, Model, Origin, Outcome, Report,
    ReportId, Reporter, Trust, TurnId, Wall, Window,
};
use crate::machine::policy::TextPolicy;

/// The members of a report, which may stand inside another document, and those of that document.
macro_rules! members_of_a_report {
    ($prefix:literal $(, $other:expr)*) => {
        &[
            (concat!($prefix, "id"), "a text of 1 to 200 bytes"),
            (concat!($prefix, "kind"), "one of rate_limit, auth, billing, entitlement, banned, overload, network, killed, request, unknown"),
            (concat!($prefix, "evidence"), "an object"),
            (concat!($prefix, "evidence.status"), "an HTTP status, 100 to 599"),
            (concat!($prefix, "evidence.headers"), "an object of strings, each name once"),
            (concat!($prefix, "evidence.body"), "a text"),
            (concat!($prefix, "evidence.text"), "a text"),
            (concat!($prefix, "evidence.exit_code"), "a whole number"),
            (concat!($prefix, "evidence.signal"), "a signal's name or number"),
            (concat!($prefix, "evidence.oom"), "true or false"),
            (concat!($prefix, "subscription"), "the name of a subscription"),
            (concat!($prefix, "generation"), "a whole number from 1"),
            (concat!($prefix, "turn"), "the id of a turn"),
            (concat!($prefix, "model"), "a name of at most 100 letters, digits and . _ : / @ -"),
            (concat!($prefix, "scope"), "one of five_hour, weekly, model, requests, unknown"),
            (concat!($prefix, "reset_at"), "a time such as \"2026-11-18T11:06:40Z\", from yesterday to 40 days from now"),
            (concat!($prefix, "retry_after_s"), "a number of seconds, from 0 to 40 days"),
            (concat!($prefix, "observed_at"), "a time such as \"2026-11-18T11:06:40Z\""),
            (concat!($prefix, "reporter"), "one of trusted, agent"),
            $($other,)*
        ]
    };
}
pub(super) use members_of_a_report;

const REPORT: Members = members_of_a_report!("");

/// The longest id, in bytes.
const ID_MAX: usize = 200;

/// The longest name of a model, in bytes.
const MODEL_MAX: usize = 100;

/// A reset further back is not one.
const RESET_PAST: Duration = Duration::from_secs(24 * 3600);

/// A reset further ahead is not one.
const RESET_AHEAD: Duration = Duration::from_secs(40 * 24 * 3600);

pub(in crate::api) async fn report(
    State(app): State<Arc<App>>,
    Named(agent): Named,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let wait = Query::of(&parts.uri, &["wait"])?.wait()?;
    let body = app.bodies.read(body).await?;
    let status = app.agent(&agent)?;
    let agent = &status.state.name;
    let reporter = app.reporter(agent, &peer)?;
    let document: FailureReport = body::parse(&body, REPORT)?;
    let turn = document.turn.as_deref().map(|id| turn_of(id, agent)).transpose()?;
    let mut report = app.read(&status, document, reporter, &peer)?;
    let about = app.switchman.about_a_turn(&mut report, turn.as_ref()).await;
    about.map_err(|error| app.not_about_that(error))?;
    let digest = if report.id.is_some() { digest(&body) } else { 0 };
    drop(body);
    let mut answer = app.switchman.report(agent.as_str(), report, digest).await?;
    if !wait.is_zero() && answer.outcome == Outcome::Switching {
        app.wait_for_switch(&mut answer, wait).await;
    }
    let status = match answer.outcome {
        Outcome::Switching | Outcome::Held => StatusCode::ACCEPTED,
        Outcome::Shed => StatusCode::TOO_MANY_REQUESTS,
        Outcome::Switched
        | Outcome::SwitchFailed
        | Outcome::Repeat
        | Outcome::Stale
        | Outcome::Ambiguous
        | Outcome::Uncorroborated
        | Outcome::Waiting
        | Outcome::Recorded
        | Outcome::Ignored
        | Outcome::Exhausted
        | Outcome::Braked => StatusCode::OK,
    };
    Ok(json(status, &ReportAnswer::from(&answer)))
}

/// The turn that a report names, of the agent that it is about.
fn turn_of(id: &str, agent: &AgentName) -> Result<TurnId, Refusal> {
    let unknown = || Refusal::new(Code::TurnNotFound, "no such turn of this agent was ever begun").at("turn");
    TurnId::parse(id).filter(|id| &id.agent == agent).ok_or_else(unknown)
}

/// Identifies a body, for requests with a key of their own.
pub(super) fn digest(body: &[u8]) -> u64 {
    let hash = Sha256::digest(body);
    hash.iter().take(8).fold(0, |digest, byte| (digest << 8) | u64::from(*byte))
}

impl App {
    /// The agent that a peer belongs to, if it does: such a one speaks for that agent only, and is not trusted.
    pub(super) fn agent_of(&self, peer: &Peer) -> Option<AgentName> {
        peer.agent.clone().or_else(|| self.switchman.agent_of_group(|| peer.process_group()))
    }

    /// Whose word it is at most: a process of an agent speaks for that agent only, and is not trusted.
    pub(super) fn reporter(&self, agent: &AgentName, peer: &Peer) -> Result<Reporter, Refusal> {
        match self.agent_of(peer) {
            None => Ok(Reporter::Trusted),
            Some(own) if &own == agent => Ok(Reporter::Agent),
            Some(own) => {
                let detail = format!("a process of agent \"{own}\" may report and hold turns for that agent only");
                Err(Refusal::new(Code::NotThisAgent, detail))
            }
        }
    }

    /// From the document to the report: checked, classified, and with the sender's name on it. The turn that it names
    /// is the caller's business.
    pub(super) fn read(
        &self,
        status: &AgentStatus,
        document: FailureReport,
        at_most: Reporter,
        peer: &Peer,
    ) -> Result<Report, Refusal> {
        let now = status.now.wall;
        let subscription = document.subscription.as_deref();
        let subscription = subscription.map(|name| self.subscription(name, "subscription")).transpose()?;
        let observed_at = document.observed_at.map(Wall::from);
        // Nobody can have seen it later than now, whatever the sender's clock says.
        let seen_at = observed_at.map_or(now, |at| at.min(now));
        let exit_code = document.evidence.as_ref().and_then(|evidence| evidence.exit_code);
        let verdict = document
            .evidence
            .map(|evidence| {
                evidence_of(evidence).map(|seen| {
                    self.switchman
                        .classifier()
                        .evidence(&seen, &Context::new(Some(self.tool(&status.state.name)), seen_at))
                })
            })
            .transpose()?;
        let given = document.kind.map(|kind| kind.0);
        let kind = match (given, &verdict) {
            (Some(kind), _) => kind,
            (None, Some(verdict)) => verdict.kind,
            (None, None) => {
                return Err(Refusal::member("kind", "`kind` is missing, and there is no `evidence` either"));
            }
        };
        let reason = verdict.as_ref().map(|verdict| why(given, verdict));
        // What the evidence says of the limit counts only if it speaks of the same failure.
        let verdict = verdict.filter(|verdict| verdict.kind == kind);
        let stated = reset(document.reset_at.map(Wall::from), document.retry_after_s, seen_at, now)?;
        let found = verdict.as_ref();
        Ok(Report {
            id: document.id.map(id_of).transpose()?,
            kind,
            subscription,
            generation: generation(document.generation)?,
            turn: None,
            model: document.model.map(model_of).transpose()?.or_else(|| found?.model.clone()),
            window: document.scope.map_or_else(|| found.map_or(Window::Unknown, |found| found.window), |scope| scope.0),
            reset_at: stated.or_else(|| found?.reset_at),
            trust: trust(given, found, at_most, exit_code, status.policy.text),
            is_hearsay: given.is_none() && found.is_some_and(|found| found.is_hearsay),
            observed_at,
            origin: Origin::Untold,
            read_to: None,
            reporter: match document.reporter {
                Some(reporter) if at_most == Reporter::Trusted => reporter.0,
                Some(_) | None => at_most,
            },
            sender: peer.sender.clone(),
            reason,
        })
    }

    /// The end of a switch, if it comes in time and before the daemon stops.
    pub(super) async fn ended(&self, agent: &str, id: &IntentId, wait: Duration) -> Option<IntentRecord> {
        tokio::select! {
            ended = self.switchman.ended(agent, id, wait) => ended,
            () = self.stopping() => None,
        }
    }

    async fn wait_for_switch(&self, answer: &mut Answer, wait: Duration) {
        let Some(switch) = &mut answer.switch else { return };
        let ended = self.ended(answer.agent.as_str(), &switch.id, wait).await;
        let Some(end) = ended.and_then(|record| record.end) else { return };
        switch.outcome = end.outcome;
        answer.outcome = match end.outcome {
            IntentOutcome::Ready => Outcome::Switched,
            IntentOutcome::UnderWay => Outcome::Switching,
            IntentOutcome::NotReady
            | IntentOutcome::NotRunning
            | IntentOutcome::NoContainer
            | IntentOutcome::RolledBack
            | IntentOutcome::Failed
            | IntentOutcome::Cancelled => Outcome::SwitchFailed,
        };
        answer.reason = end.reason.or(answer.reason.take());
    }
}

/// How far a report is believed. Whoever says of what kind a failure is says so in so many words. Somebody trusted who passes
/// text on has seen the failure; an agent's own word of it counts once its process has ended, for a kill says something
/// else. A turn that it names is the decision's business.
fn trust(
    given: Option<FailureKind>,
    found: Option<&classify::Verdict>,
    at_most: Reporter,
    exit_code: Option<i32>,
    text: TextPolicy,
) -> Trust {
    let is_text = given.is_none() && found.is_some_and(|found| found.trust == Trust::Text);
    let has_second_sign = at_most == Reporter::Trusted || exit_code.is_some() && text != TextPolicy::Off;
    if is_text && !has_second_sign { Trust::Text } else { Trust::Structured }
}

/// Why the failure is of its kind, in the classifier's words: it shows nothing of the evidence.
fn why(given: Option<FailureKind>, verdict: &classify::Verdict) -> String {
    match given {
        Some(given) if given != verdict.kind => {
            format!("reported as {given}; the evidence says {}: {} ({})", verdict.kind, verdict.reason, verdict.rule)
        }
        Some(_) | None => format!("{} ({})", verdict.reason, verdict.rule),
    }
}

fn evidence_of(evidence: Evidence) -> Result<classify::Evidence, Refusal> {
    let Evidence { status, headers, body, text, exit_code, signal, oom } = evidence;
    if status.is_some_and(|status| !(100..=599).contains(&status)) {
        return Err(invalid("evidence.status"));
    }
    if signal.as_deref().is_some_and(|signal| !is_signal(signal)) {
        return Err(invalid("evidence.signal"));
    }
    let (headers, oom) = (headers.into_iter().collect(), oom.unwrap_or(false));
    Ok(classify::Evidence { status, headers, body, text, exit_code, signal, oom })
}

/// Whether it is a signal: its name is repeated in the answer, so it must not be anything else.
fn is_signal(text: &str) -> bool {
    const NAMES: &[&str] = &[
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM",
        "PROF", "WINCH", "IO", "POLL", "PWR", "SYS", "RTMIN", "RTMAX",
    ];
    let name = text.trim().to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    name.is_empty() || NAMES.contains(&name) || name.parse::<u8>().is_ok_and(|number| number <= 64)
}

/// When the limit ends, as it is stated; of two statements the later one.
fn reset(at: Option<Wall>, after_s: Option<f64>, seen_at: Wall, now: Wall) -> Result<Option<Wall>, Refusal> {
    let plausible = now.minus(RESET_PAST)..=now.plus(RESET_AHEAD);
    if at.is_some_and(|at| !plausible.contains(&at)) {
        return Err(invalid("reset_at"));
    }
    let after = after_s.map(|seconds| Duration::try_from_secs_f64(seconds).map(|after| seen_at.plus(after)));
    let after = after.transpose().map_err(|_| invalid("retry_after_s"))?;
    // However long ago it was said: more than that was never meant.
    if after_s.is_some_and(|seconds| seconds > RESET_AHEAD.as_secs_f64()) {
        return Err(invalid("retry_after_s"));
    }
    if after.is_some_and(|at| at > *plausible.end()) {
        return Err(invalid("retry_after_s"));
    }
    Ok(at.max(after))
}

fn generation(number: Option<u64>) -> Result<Option<Generation>, Refusal> {
    // The store keeps signed numbers; no generation is ever that large.
    match number {
        Some(number) if i64::try_from(number).is_err() => Err(invalid("generation")),
        number => Ok(number.map(Generation)),
    }
}

fn id_of(id: String) -> Result<ReportId, Refusal> {
    if id.is_empty() || id.len() > ID_MAX { Err(invalid("id")) } else { Ok(id.into()) }
}

pub(super) fn model_of(model: String) -> Result<Model, Refusal> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@-".contains(&byte);
    let is_name = !model.is_empty() && model.len() <= MODEL_MAX && model.bytes().all(is_plain);
    if is_name { Ok(model.into()) } else { Err(invalid("model")) }
}

/// A value that has the right type and cannot be right.
fn invalid(member: &str) -> Refusal {
    let form = REPORT.iter().find(|(name, _)| *name == member).map_or("valid", |(_, form)| form);
    Refusal::member(member, format!("`{member}` must be {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_an_agents_own_is_text_unless_its_process_has_ended_and_everybody_else_has_seen_the_failure() {
        let said = |trust| classify::Verdict {
            kind: FailureKind::RateLimit,
            window: Window::Unknown,
            model: None,
            reset_at: None,
            trust,
            is_hearsay: false,
            rule: "text.limit".into(),
            reason: "a limit".to_owned(),
        };
        let (text, record) = (said(Trust::Text), said(Trust::Structured));
        let (own, main, limit) = (Reporter::Agent, Reporter::Trusted, Some(FailureKind::RateLimit));
        let (with, off) = (TextPolicy::Corroborated, TextPolicy::Off);
        for (given, found, at_most, exit_code, policy, expected) in [
            (None, Some(&text), own, None, with, Trust::Text),
            (None, Some(&text), own, Some(1), with, Trust::Structured),
            (None, Some(&text), own, Some(1), off, Trust::Text),
            (None, Some(&text), main, None, off, Trust::Structured),
            (None, Some(&record), own, None, off, Trust::Structured),
            (limit, Some(&text), own, None, off, Trust::Structured),
            (limit, None, own, None, with, Trust::Structured),
        ] {
            let case = format!("{given:?} {found:?} {at_most} {exit_code:?} {policy}");
            assert_eq!(trust(given, found, at_most, exit_code, policy), expected, "{case}");
        }
    }
}
