//! Asks providers how subscriptions stand, as often as the config says.
//!
//! One task per subscription that is probed. What comes back is judged by `classify::probed`; windows become readings of
//! the provider's own word, which the pool takes in like any other.
//!
//! ```text
//!   wait ──► worth asking? ──► credential ──► ask ──► judge ──► readings ──► pool
//!    ▲          │ no: out of use, halted, known                 └──────────► event, if it is another than before; metric
//!    └──────────┴──────────────────────────────────────────────────────────┘
//! ```
//!
//! Two probes of one subscription are never nearer to each other than a minute: not at a start, not after a reload, not
//! when all of them fail. A failed probe counts for nothing. It must not move anybody, quarantine anything, or keep the
//! credential longer than the call takes.
//!
//! Tests: `tests/shell/probes.rs`, `tests/probes.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::handle::Switchman;
use crate::classify::{Context, Evidence, Probed, Verdict, WindowReading, probed};
use crate::domain::duration::spread;
use crate::domain::{
    Disposition, Due, PROBE_EVERY_MIN, ProbeOutcome, ProbePlan, Reach, Reading, ReadingSource, Steady,
    SubscriptionName, Teller, Wall, Window,
};
use crate::ports::credentials::CredentialSource;
use crate::ports::probe::{ProbeAnswer, ProbeError, Prober, SecretBody};
use crate::telemetry::events;

/// No sleep is longer: after a suspend or a step of the clock the rest is computed anew (F6).
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// Probes come so much later than they might, as a part of their pause, so that those of many do not come at once.
const JITTER_PART: u32 = 10;

/// Whom providers are asked about, and by whom.
#[derive(Clone, Default)]
pub struct Probing {
    /// How each is asked.
    pub plans: Vec<ProbePlan>,
    /// Who asks; nobody is asked without.
    pub prober: Option<Arc<dyn Prober>>,
}

/// When each subscription was last asked about, also by tasks that have ended since.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<BTreeMap<SubscriptionName, (Steady, u64)>>);

impl Attempts {
    /// Takes note of an attempt.
    fn note(&self, subscription: &SubscriptionName, now: Steady) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = all.entry(subscription.clone()).or_insert((now, 0));
        *attempt = (now, attempt.1.wrapping_add(1));
    }

    /// The last one, and how many there were.
    fn last(&self, subscription: &SubscriptionName) -> Option<(Steady, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(subscription).copied()
    }
}

/// Asks about one subscription.
pub(super) struct Asking {
    pub(super) switchman: Switchman,
    pub(super) prober: Arc<dyn Prober>,
    pub(super) credentials: Arc<dyn CredentialSource>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) plan: ProbePlan,
    pub(super) stop: watch::Receiver<bool>,
}

/// What came of asking.
enum Came {
    Answered(ProbeOutcome, u16),
    Refused(Verdict, u16),
    Failed(Disposition, String),
}

/// What people were told last: the same is not told again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told(ProbeOutcome, Option<u16>);

impl Asking {
    /// Asks again and again, until it is told to stop.
    pub(super) async fn run(mut self) {
        let mut told: Option<Told> = None;
        // Nobody knows when an earlier life of the daemon has asked: that it is a minute ago is certain after a minute.
        let (last, _) = self.attempts.last(&self.plan.subscription).unwrap_or((self.switchman.now().steady, 0));
        let mut next = last.plus(PROBE_EVERY_MIN.saturating_add(self.jitter()));
        loop {
            if self.wait_until(next).await {
                return;
            }
            let asked_at = self.switchman.now();
            if !self.is_worth_asking(asked_at.wall).await {
                next = asked_at.steady.plus(PROBE_EVERY_MIN);
                continue;
            }
            self.attempts.note(&self.plan.subscription, asked_at.steady);
            next = asked_at.steady.plus(self.plan.every.saturating_add(self.jitter()));
            let mut stop = self.stop.clone();
            let came = tokio::select! {
                came = self.ask(asked_at.wall) => came,
                () = stopped(&mut stop) => return,
            };
            self.tell(&came, &mut told);
        }
    }

    /// How much later than it might the next probe comes.
    fn jitter(&self) -> Duration {
        let count = self.attempts.last(&self.plan.subscription).map_or(0, |(_, count)| count);
        spread(self.plan.subscription.as_str(), count, self.plan.every / JITTER_PART)
    }

    /// Waits for this moment; true if it is told to stop.
    async fn wait_until(&mut self, at: Steady) -> bool {
        let clock = self.switchman.clock();
        loop {
            let left = Due::After(at).remaining(clock.now());
            if left.is_zero() {
                return *self.stop.borrow();
            }
            tokio::select! {
                () = clock.sleep(left.min(SLEEP_MAX)) => {}
                () = stopped(&mut self.stop) => return true,
            }
        }
    }

    /// Whether an answer could tell anything: not of one that is out of use until somebody acts (E1: never of one that is
    /// banned), not while accounts are being banned (E6), and not what somebody trusted has just read.
    async fn is_worth_asking(&self, now: Wall) -> bool {
        if self.switchman.halt().is_some() {
            return false;
        }
        let Ok(all) = self.switchman.subscriptions().await else { return false };
        let Some(status) = all.into_iter().find(|status| status.policy.name == self.plan.subscription) else {
            return false;
        };
        let is_out_of_use = status.rows.iter().any(|row| row.is_quarantine() && row.key.reach == Reach::All);
        let is_known = |window: Window| {
            status.readings.iter().any(|reading| {
                let age_max = self.plan.every;
                let is_recent = reading.at <= now && reading.at.plus(age_max) > now;
                reading.source() == ReadingSource::Reporter && reading.window == window && is_recent
            })
        };
        let is_all_known = is_known(Window::Unknown) || is_known(Window::FiveHour) && is_known(Window::Weekly);
        !is_out_of_use && !is_all_known
    }

    async fn ask(&self, asked_at: Wall) -> Came {
        let credential = match self.credentials.read(&self.plan.subscription).await {
            Ok(credential) => credential,
            Err(error) => return Came::Failed(error.disposition(), error.to_string()),
        };
        let answer = self.prober.probe(&self.plan, &credential.secret).await;
        drop(credential);
        let ProbeAnswer { status, headers, body } = match answer {
            Ok(answer) => answer,
            Err(ProbeError { why, disposition }) => return Came::Failed(disposition, why),
        };
        let body = body.as_ref().map(SecretBody::expose).map(ToOwned::to_owned);
        let evidence = Evidence { status: Some(status), headers, body, ..Evidence::default() };
        let context = Context::new(None, asked_at);
        match probed(&self.switchman.classifier(), &evidence, &context) {
            Probed::Served(windows) => self.take(windows, asked_at, ProbeOutcome::Served, status).await,
            Probed::Exhausted(windows) => self.take(windows, asked_at, ProbeOutcome::Exhausted, status).await,
            Probed::Refused(verdict) => Came::Refused(verdict, status),
            Probed::Nothing(why, is_transient) => {
                let disposition = if is_transient { Disposition::Transient } else { Disposition::Permanent };
                Came::Failed(disposition, why)
            }
        }
    }

    /// Hands the windows to the pool: read when they were asked for, for what was met since is not known to the answer.
    async fn take(&self, windows: Vec<WindowReading>, at: Wall, outcome: ProbeOutcome, status: u16) -> Came {
        for WindowReading { window, model, utilisation, serves, reset_at } in windows {
            // The subscription may have gone, or be another one, while the provider thought about it.
            if *self.stop.borrow() {
                break;
            }
            let (subscription, told_by) = (self.plan.subscription.clone(), Teller::Probe);
            let reading = Reading { subscription, window, model, utilisation, serves, reset_at, at, told_by };
            if let Err(error) = self.switchman.read(reading).await {
                return Came::Failed(Disposition::Transient, format!("the answer could not be taken in: {error}"));
            }
        }
        Came::Answered(outcome, status)
    }

    /// Counts it, and says it if it is news.
    fn tell(&self, came: &Came, told: &mut Option<Told>) {
        let (telemetry, subscription) = (self.switchman.telemetry(), &self.plan.subscription);
        let news = match came {
            Came::Answered(outcome, _) => Told(*outcome, None),
            Came::Refused(_, status) => Told(ProbeOutcome::Refused, Some(*status)),
            Came::Failed(..) => Told(ProbeOutcome::Failed, None),
        };
        telemetry.metrics().probed(subscription, news.0);
        if told.as_ref() == Some(&news) {
            return;
        }
        *told = Some(news);
        match came {
            Came::Answered(outcome, status) => {
                telemetry.emit(events::ProbeAnswered { subscription, outcome: *outcome, status: *status });
            }
            Came::Refused(verdict, status) => telemetry.emit(events::ProbeRefused {
                subscription,
                kind: verdict.kind,
                status: *status,
                reason: &verdict.reason,
            }),
            Came::Failed(disposition, reason) => {
                telemetry.emit(events::ProbeFailed { subscription, disposition: *disposition, reason });
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever could say so is gone: then the daemon stops as well.
    let _told = stop.wait_for(|stop| *stop).await.is_ok();
}
