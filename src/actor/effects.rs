//! Carries out what a decision asks of the world, and says what came of it.
//!
//! One effect per agent at a time. Nothing is chosen here and nothing tried again: an error goes back with what it
//! means, and the machine decides. What is added is order (a credential is read before it is written) and the cap
//! on restarts that run at the same time.

use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::watch;

use super::pace::Pace;

use super::pool::{PoolHandle, PoolMsg};
use super::recognition::{Known, recognise};
use crate::domain::{
    AgentName, Delivered, Disposition, Facts, Fingerprint, Generation, Mounted, Sighting, SubscriptionName,
};
use crate::machine::agent::{About, Action, EffectOutcome, Obstacle, Readiness, Start};
use crate::machine::pool::AgentView;
use crate::ports::credentials::{Credential, CredentialError, CredentialSource};
use crate::ports::delivery::{Consignment, Delivery, DeliveryError, Found};
use crate::ports::runtime::{self, ReloadOrder, Runtime, RuntimeError, StartOrder};

/// What effects are carried out with.
#[derive(Clone)]
pub(super) struct World {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) delivery: Arc<dyn Delivery>,
    pub(super) credentials: Arc<dyn CredentialSource>,
    pub(super) pool: PoolHandle,
    /// Restarts that may run at the same time.
    pub(super) restarts: Arc<Pace>,
    pub(super) known: watch::Receiver<Vec<Known>>,
}

impl World {
    /// Carries out one action; always comes back with its outcome.
    pub(super) async fn perform(&self, agent: &AgentName, action: Action) -> EffectOutcome {
        match action {
            Action::Look { has } => EffectOutcome::Seen(self.look(agent, has.as_ref()).await),
            Action::Preflight { view, to, .. } => EffectOutcome::Preflight(self.preflight(agent, *view, &to).await),
            Action::Deliver { from, to, generation, .. } => {
                EffectOutcome::Delivered(self.deliver(agent, &from, &to, generation).await)
            }
            Action::Restart(start) => EffectOutcome::Restarted(self.start(agent, &start, true).await),
            Action::Start(start) => EffectOutcome::Restarted(self.start(agent, &start, false).await),
            Action::Reload { life, by, call_timeout, .. } => {
                let done = self.runtime.reload(ReloadOrder { agent, life: &life, by: &by, call_timeout }).await;
                EffectOutcome::Reloaded(done.map_err(|error| of_runtime(&error)))
            }
            Action::AwaitReady { timeout, .. } => {
                let readiness = self.runtime.await_ready(agent, timeout).await;
                EffectOutcome::Ready(readiness.map(of_readiness).map_err(|error| of_runtime(&error)))
            }
        }
    }

    /// What an effect comes to whose task died: it may have been done.
    pub(super) fn lost(action: &Action) -> EffectOutcome {
        let obstacle = Obstacle {
            disposition: Disposition::InDoubt,
            about: About::Runtime,
            text: "the task that carried it out has failed".to_owned(),
        };
        match action {
            Action::Look { .. } => EffectOutcome::Seen(Err(obstacle)),
            Action::Preflight { .. } => EffectOutcome::Preflight(Err(obstacle)),
            Action::Deliver { .. } => EffectOutcome::Delivered(Err(obstacle)),
            Action::Restart(_) | Action::Start(_) => EffectOutcome::Restarted(Err(obstacle)),
            Action::Reload { .. } => EffectOutcome::Reloaded(Err(obstacle)),
            Action::AwaitReady { .. } => EffectOutcome::Ready(Err(obstacle)),
        }
    }

    async fn look(&self, agent: &AgentName, has: Option<&SubscriptionName>) -> Result<Sighting, Obstacle> {
        let seen = self.runtime.look(agent).await.map_err(|error| of_runtime(&error))?;
        let found = self.delivery.found(agent).await.map_err(|error| of_delivery(&error))?;
        let mounted = match &seen.surroundings {
            Some(around) => self.delivery.mounted(agent, &around.mounts).await.map_err(|error| of_delivery(&error))?,
            None => Mounted::Unknown,
        };
        let (delivered, offered) = {
            let known = self.known.borrow();
            let delivered = recognise(&found, &known, has.map(std::slice::from_ref).unwrap_or_default());
            let has = has.or(match &delivered {
                Delivered::Subscription(delivered) => Some(delivered),
                Delivered::Nothing | Delivered::Unrecognised | Delivered::Hidden => None,
            });
            let offered = known.iter().find(|known| Some(&known.subscription) == has);
            let offered = offered.map(|known| known.fingerprint.clone());
            (delivered, offered)
        };
        let unfit = self.delivery.preflight(agent).await.err();
        let unfit = unfit.filter(|error| error.disposition() == Disposition::Permanent).map(|error| error.to_string());
        let facts = Facts { offered, surroundings: seen.surroundings, mounted, unfit };
        Ok(Sighting { state: seen.state, instance: seen.instance, delivered, facts })
    }

    /// What is overwritten may hold the only refresh token of a login that is still good: it goes back to its source
    /// first, and only then is read what is to be delivered, for that may be the same login (G13).
    async fn deliver(
        &self,
        agent: &AgentName,
        from: &[SubscriptionName],
        to: &SubscriptionName,
        generation: Generation,
    ) -> Result<Fingerprint, Obstacle> {
        self.take_back(agent, from).await?;
        let credential = self.read(to).await?;
        self.publish(to, &credential).await;
        let consignment = Consignment { agent, subscription: to, generation, credential: &credential };
        self.delivery.deliver(consignment).await.map_err(|error| of_delivery(&error))?;
        Ok(credential.fingerprint)
    }

    /// What was read for a delivery is what the source has now: whoever compares the two later must not find an older
    /// reading, and the others who run on it hear of it.
    async fn publish(&self, subscription: &SubscriptionName, credential: &Credential) {
        let known = Known {
            subscription: subscription.clone(),
            fingerprint: credential.fingerprint.clone(),
            content: credential.content.clone(),
            kind: credential.kind,
        };
        let is_told = self.pool.tell(PoolMsg::Credential { subscription: subscription.clone(), state: Ok(known) });
        // The pool takes its messages in order: once this is answered, the one before is known to everybody.
        if !is_told || self.pool.ask(PoolMsg::Subscriptions).await.is_err() {
            tracing::debug!(%subscription, "a credential's state for a pool that does not answer");
        }
    }

    async fn take_back(&self, agent: &AgentName, from: &[SubscriptionName]) -> Result<(), Obstacle> {
        let Some(login) = self.delivery.login(agent).await.map_err(|error| of_delivery(&error))? else {
            return Ok(());
        };
        let found = self.delivery.found(agent).await.map_err(|error| of_delivery(&error))?;
        let whose = recognise(&found, &self.known.borrow(), from);
        let whose = match (whose, from.first()) {
            (Delivered::Subscription(whose), _) => whose,
            // Its source could never be read: whether the login is of that one only the source can tell.
            (_, Some(on)) if !self.is_known(on) => on.clone(),
            (Delivered::Nothing | Delivered::Unrecognised | Delivered::Hidden, _) => return Ok(()),
        };
        // An agent has a say about the logins that it was given, and no others.
        if !from.is_empty() && !from.contains(&whose) {
            return Ok(());
        }
        // Given up before anything is overwritten: without its source the login would be lost.
        let taken = match self.credentials.take_back(&whose, &login).await {
            Ok(taken) => taken,
            // It was taken out of the config while no daemon ran: there is nowhere to take its login back to.
            Err(CredentialError::NoSuchSubscription(_)) => return Ok(()),
            Err(error) => return Err(Obstacle { about: About::Agent, ..of_credential(&error) }),
        };
        tracing::debug!(%agent, subscription = %whose, ?taken, "a login before it is overwritten");
        Ok(())
    }

    fn is_known(&self, subscription: &SubscriptionName) -> bool {
        self.known.borrow().iter().any(|known| known.subscription == *subscription)
    }

    async fn preflight(&self, agent: &AgentName, view: AgentView, to: &SubscriptionName) -> Result<Sighting, Obstacle> {
        let lost = self.pool.ask(|reply| PoolMsg::Confirm { view: Box::new(view), reply }).await;
        match lost {
            Ok(None) => {}
            Ok(Some(why)) => return Err(permanent(About::Target, format!("{to} was lost: {why}"))),
            Err(unavailable) => {
                return Err(Obstacle {
                    disposition: Disposition::Transient,
                    about: About::Runtime,
                    text: unavailable.to_string(),
                });
            }
        }
        self.read(to).await?;
        self.delivery.preflight(agent).await.map_err(|error| of_delivery(&error))?;
        self.look(agent, None).await
    }

    async fn start(&self, agent: &AgentName, start: &Start, is_restart: bool) -> Result<(), Obstacle> {
        let credential = self.credential_for(agent, &start.to).await?;
        let secret: Option<&SecretString> = credential.as_ref().map(|credential| &credential.secret);
        let order = StartOrder {
            agent,
            before: start.before.as_ref(),
            grace: start.grace,
            call_timeout: start.call_timeout,
            subscription: &start.to,
            generation: start.generation,
            credential: secret,
        };
        let _place = self.restarts.place().await;
        let done = if is_restart { self.runtime.restart(order).await } else { self.runtime.start(order).await };
        done.map_err(|error| of_runtime(&error))
    }

    /// What a start brings along. Where the credential lies in a file it is in place by now, and a source that has
    /// gone since must not keep the agent from being started on it (G6).
    async fn credential_for(&self, agent: &AgentName, to: &SubscriptionName) -> Result<Option<Credential>, Obstacle> {
        let obstacle = match self.read(to).await {
            Ok(credential) => return Ok(Some(credential)),
            Err(obstacle) => obstacle,
        };
        match self.delivery.found(agent).await {
            Ok(Found::Credential(_)) => Ok(None),
            Ok(Found::Nothing | Found::NotAFile) | Err(_) => Err(obstacle),
        }
    }

    async fn read(&self, subscription: &SubscriptionName) -> Result<Credential, Obstacle> {
        self.credentials.read(subscription).await.map_err(|error| of_credential(&error))
    }
}

fn permanent(about: About, text: String) -> Obstacle {
    Obstacle { disposition: Disposition::Permanent, about, text }
}

fn of_credential(error: &CredentialError) -> Obstacle {
    Obstacle { disposition: error.disposition(), about: About::Target, text: error.to_string() }
}

fn of_delivery(error: &DeliveryError) -> Obstacle {
    Obstacle { disposition: error.disposition(), about: About::Agent, text: error.to_string() }
}

fn of_runtime(error: &RuntimeError) -> Obstacle {
    Obstacle { disposition: error.disposition(), about: About::Runtime, text: error.to_string() }
}

fn of_readiness(readiness: runtime::Readiness) -> Readiness {
    match readiness {
        runtime::Readiness::Ready => Readiness::Ready,
        runtime::Readiness::NotReady => Readiness::NotReady,
        runtime::Readiness::NotRunning | runtime::Readiness::Missing => Readiness::NotRunning,
    }
}
