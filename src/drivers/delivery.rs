//! Credentials delivered into files that agents read.
//!
//! It must not follow what somebody planted in the way: every step is made relative to a handle of the folder,
//! on names, and a name that is a symbolic link, a FIFO, a folder or one of several hard links is refused. No
//! byte of a credential gets anywhere but into a file of mode 0600.
//!
//! ```text
//!   both temporary files written and synced ──► credential renamed ──► folder synced
//!        (until here nothing has changed)        (point of no return)      │
//!                                    folder synced ◄── sidecar renamed ◄───┘
//! ```
//!
//! The owner of the new file is the owner of the old one, or where there is none the owner of the folder; a
//! daemon that may not give files away refuses beforehand. An empty file is no credential: people make one so
//! that a mount has something to hold.
//!
//! A file that is mounted singly into a container shows its new content only after a restart of the container,
//! because the mount holds the old file; a mounted folder shows it at once. To tell these apart is not done here.
//!
//! Tests: `tests/delivery_conformance.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::ExposeSecret;

mod place;
mod sidecar;

pub use sidecar::Sidecar;

use self::place::Place;
use super::fingerprint::{fingerprint, without_final_newline};
use crate::domain::{AgentName, Mount, Mounted};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::credentials::Login;
use crate::ports::delivery::{Consignment, Delivery, DeliveryError, Found, FoundCredential};

/// Where an agent's credential goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Into this file.
    File(PathBuf),
    /// Into its environment, when it is started: not our business.
    NotAFile,
}

/// Delivers into files.
pub struct FileDelivery {
    places: BTreeMap<AgentName, Option<Arc<Mutex<Place>>>>,
    owner: String,
    clock: Arc<dyn Clock>,
}

impl FileDelivery {
    /// Delivers to these agents. `owner` names this daemon's state directory in every sidecar.
    #[must_use]
    pub fn new(targets: BTreeMap<AgentName, Target>, owner: String, clock: Arc<dyn Clock>) -> Self {
        let place = |target| match target {
            Target::File(path) => Some(Arc::new(Mutex::new(Place::new(path)))),
            Target::NotAFile => None,
        };
        Self { places: targets.into_iter().map(|(agent, target)| (agent, place(target))).collect(), owner, clock }
    }

    /// What the sidecar beside an agent's credential says; `None` if there is none that can be read. One that
    /// names another owner than ours means that a second daemon delivers to this agent.
    pub async fn sidecar(&self, agent: &AgentName) -> Result<Option<Sidecar>, DeliveryError> {
        self.at(agent, |place| Ok(place.read_sidecar()?.and_then(|text| Sidecar::read(&text))))
            .await
            .map(Option::flatten)
    }

    /// The owner in the sidecar, if it is not we.
    pub async fn other_owner(&self, agent: &AgentName) -> Result<Option<String>, DeliveryError> {
        let sidecar = self.sidecar(agent).await?;
        Ok(sidecar.map(|sidecar| sidecar.owner).filter(|owner| *owner != self.owner))
    }

    /// Does file work off the async threads, one at a time per agent. `None` for an agent without a file.
    async fn at<T: Send + 'static>(
        &self,
        agent: &AgentName,
        work: impl FnOnce(&Place) -> Result<T, DeliveryError> + Send + 'static,
    ) -> Result<Option<T>, DeliveryError> {
        let unfit = |why: &str| DeliveryError::Unfit { path: format!("agent \"{agent}\""), why: why.to_owned() };
        let Some(place) = self.places.get(agent).ok_or_else(|| unfit("it is not in the config"))?.clone() else {
            return Ok(None);
        };
        let done = tokio::task::spawn_blocking(move || {
            let place = place.lock().unwrap_or_else(PoisonError::into_inner);
            work(&place)
        });
        match done.await {
            Ok(result) => result.map(Some),
            Err(_) => Err(DeliveryError::Failed {
                path: format!("the file of agent \"{agent}\""),
                why: "the work on it was cut off".to_owned(),
            }),
        }
    }
}

impl Delivery for FileDelivery {
    fn preflight<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<(), DeliveryError>> {
        Box::pin(async move { self.at(agent, Place::check).await.map(|_| ()) })
    }

    fn deliver<'a>(&'a self, consignment: Consignment<'a>) -> Pending<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let secret = consignment.credential.secret.clone();
            let sidecar = Sidecar {
                agent: consignment.agent.clone(),
                subscription: consignment.subscription.clone(),
                generation: consignment.generation,
                owner: self.owner.clone(),
                written_at: self.clock.now().wall,
            }
            .to_text();
            let write = move |place: &Place| place.replace(secret.expose_secret().as_bytes(), &sidecar);
            self.at(consignment.agent, write).await.map(|_| ())
        })
    }

    fn mounted<'a>(&'a self, agent: &'a AgentName, mounts: &'a [Mount]) -> Pending<'a, Result<Mounted, DeliveryError>> {
        Box::pin(async move {
            let mounts = mounts.to_vec();
            Ok(self.at(agent, move |place| place.mounted(&mounts)).await?.unwrap_or_default())
        })
    }

    fn login<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<Login>, DeliveryError>> {
        Box::pin(async move { self.at(agent, |_| Ok(None)).await.map(Option::flatten) })
    }

    fn found<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Found, DeliveryError>> {
        Box::pin(async move {
            let look = |place: &Place| {
                Ok(match place.read()? {
                    Some(content) if !without_final_newline(&content).is_empty() => {
                        Found::Credential(FoundCredential::of_static(fingerprint(&content)))
                    }
                    Some(_) | None => Found::Nothing,
                })
            };
            Ok(self.at(agent, look).await?.unwrap_or(Found::NotAFile))
        })
    }
}
