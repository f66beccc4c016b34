//! A provider that answers what it was told to, and remembers who asked.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use crate::domain::{ProbePlan, SubscriptionName};
use crate::ports::Pending;
use crate::ports::probe::{ProbeAnswer, ProbeError, Prober};

/// What one probe gets.
pub type Scripted = Result<ProbeAnswer, ProbeError>;

/// Answers by script.
#[derive(Debug, Default)]
pub struct FakeProber(Mutex<Script>);

#[derive(Debug, Default)]
struct Script {
    /// What comes next; the last one stays.
    answers: BTreeMap<SubscriptionName, VecDeque<Scripted>>,
    asked: Vec<(ProbePlan, String)>,
    is_silent: bool,
}

impl FakeProber {
    /// From now on probes of this subscription get these, one after the other, and the last one for ever.
    pub fn answers(&self, subscription: &str, answers: impl IntoIterator<Item = Scripted>) {
        let answers = answers.into_iter().collect();
        self.lock().answers.insert(subscription.into(), answers);
    }

    /// From now on no probe comes back, or they do again.
    pub fn is_silent(&self, is_silent: bool) {
        self.lock().is_silent = is_silent;
    }

    /// Every probe so far: its plan, and the credential that it came with.
    #[must_use]
    pub fn asked(&self) -> Vec<(ProbePlan, String)> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, plan: &ProbePlan, credential: &SecretString) -> Option<Scripted> {
        let mut script = self.lock();
        script.asked.push((plan.clone(), credential.expose_secret().to_owned()));
        if script.is_silent {
            return None;
        }
        let answers = script.answers.entry(plan.subscription.clone()).or_default();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Some(next.unwrap_or_else(|| Ok(ProbeAnswer { status: 200, ..ProbeAnswer::default() })))
    }
}

impl Prober for FakeProber {
    fn probe<'a>(&'a self, plan: &'a ProbePlan, credential: &'a SecretString) -> Pending<'a, Scripted> {
        match self.next(plan, credential) {
            Some(answer) => Box::pin(std::future::ready(answer)),
            None => Box::pin(std::future::pending()),
        }
    }
}
