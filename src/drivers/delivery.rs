//! Credentials delivered into files that agents read.
//!
//! It must not follow what somebody planted in the way (`drivers::folder` sees to it), and no byte of a credential gets
//! anywhere but into a file that only its owner may open, unless the config says otherwise.
//!
//! ```text
//!   both temporary files written and synced ──► credential renamed ──► folder synced
//!        (until here nothing has changed)        (point of no return)      │
//!                                    folder synced ◄── sidecar renamed ◄───┘
//! ```
//!
//! The owner of the new file is the configured one, else that of the old file, or where there is none that of the folder; a
//! daemon that may not give files away refuses beforehand. It also refuses where another daemon's sidecar lies: two that
//! deliver to one agent would take turns. An empty file is no credential: people make one so that a mount has something
//! to hold.
//!
//! A file that is mounted singly into a container shows its new content only after a restart of the container,
//! because the mount holds the old file; a mounted folder shows it at once. `mounted.rs` tells them apart by what a look
//! at the container shows; what follows from it is decided by the machine's preflight.
//!
//! Tests: `tests/delivery_conformance.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;

mod mounted;
mod place;
mod shape;
mod sidecar;

pub use shape::Shape;
pub use sidecar::Sidecar;

use self::mounted::seen_through;
use self::place::Place;
use super::fingerprint::without_final_newline;
use super::folder::{SECRET_MODE, written_at};
use super::login::{self, NoLogin};
use crate::domain::{AgentName, Mount, Mounted};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::credentials::Login;
use crate::ports::delivery::{Consignment, Delivery, DeliveryError, Found, FoundCredential};

/// Where an agent's credential goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Into this file.
    File(FileTarget),
    /// Into its environment, when it is started: not our business.
    NotAFile,
}

/// A file and what it is to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// The file.
    pub path: PathBuf,
    /// What it looks like.
    pub shape: Shape,
    /// Who owns it; `None`: as the old one, else as the folder.
    pub owner: Option<Ownership>,
    /// Its mode.
    pub mode: u32,
}

/// Who owns a file, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The user.
    pub user: u32,
    /// The group; `None`: that of the old file, else of the folder.
    pub group: Option<u32>,
}

impl FileTarget {
    /// A file that holds the credential as it is, and that only its owner may open.
    #[must_use]
    pub fn raw(path: PathBuf) -> Self {
        Self { path, shape: Shape::Raw, owner: None, mode: SECRET_MODE }
    }
}

/// How often a login that is just being written is looked at again, and after how long.
const LOOKS: u32 = 20;
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A login in a file, as one look shows it.
enum Looked {
    None,
    Login(Login),
    /// Something that may be half of one.
    Half,
}

/// Delivers into files.
pub struct FileDelivery {
    places: Mutex<BTreeMap<AgentName, Option<Arc<Mutex<Place>>>>>,
    owner: String,
    clock: Arc<dyn Clock>,
}

impl FileDelivery {
    /// Delivers to these agents. `owner` names this daemon's state directory in every sidecar.
    #[must_use]
    pub fn new(targets: BTreeMap<AgentName, Target>, owner: String, clock: Arc<dyn Clock>) -> Self {
        let places = targets.into_iter().map(|(agent, target)| (agent, new_place(target))).collect();
        Self { places: Mutex::new(places), owner, clock }
    }

    /// From now on the agent's credential goes there; with `None` it is none of ours. What lies in the old place is left
    /// alone.
    pub fn place(&self, agent: &AgentName, target: Option<Target>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        match target {
            Some(target) => places.insert(agent.clone(), new_place(target)),
            None => places.remove(agent),
        };
    }

    /// What the sidecar beside an agent's credential says; `None` if there is none that can be read. One that
    /// names another owner than ours means that a second daemon delivers to this agent.
    pub async fn sidecar(&self, agent: &AgentName) -> Result<Option<Sidecar>, DeliveryError> {
        self.at(agent, Place::sidecar).await.map(Option::flatten)
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
        let place = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(agent).cloned();
        let Some(place) = place.ok_or_else(|| unfit("it is not in the config"))? else {
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

fn new_place(target: Target) -> Option<Arc<Mutex<Place>>> {
    match target {
        Target::File(file) => Some(Arc::new(Mutex::new(Place::new(file)))),
        Target::NotAFile => None,
    }
}

impl Delivery for FileDelivery {
    fn preflight<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let us = self.owner.clone();
            self.at(agent, move |place| place.check(&us)).await.map(|_| ())
        })
    }

    fn deliver<'a>(&'a self, consignment: Consignment<'a>) -> Pending<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let now = self.clock.now().wall;
            let sidecar = Sidecar {
                agent: consignment.agent.clone(),
                subscription: consignment.subscription.clone(),
                generation: consignment.generation,
                owner: self.owner.clone(),
                written_at: now,
            }
            .to_text();
            let Consignment { agent, subscription, generation, credential } = consignment;
            let (name, to, credential) = (agent.clone(), subscription.clone(), credential.clone());
            let write = move |place: &Place| {
                let consignment = Consignment { agent: &name, subscription: &to, generation, credential: &credential };
                let content = place.target().shape.render(&consignment, now).map_err(|why| place.unfit(why))?;
                place.replace(&content, &sidecar)
            };
            self.at(agent, write).await.map(|_| ())
        })
    }

    fn mounted<'a>(&'a self, agent: &'a AgentName, mounts: &'a [Mount]) -> Pending<'a, Result<Mounted, DeliveryError>> {
        Box::pin(async move {
            let mounts = mounts.to_vec();
            Ok(self.at(agent, move |place| Ok(seen_through(place.path(), &mounts))).await?.unwrap_or_default())
        })
    }

    fn login<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Option<Login>, DeliveryError>> {
        Box::pin(async move {
            for _ in 0..LOOKS {
                let (us, name) = (self.owner.clone(), agent.clone());
                match self.at(agent, move |place| look_for_login(place, &name, &us)).await?.unwrap_or(Looked::None) {
                    Looked::Login(login) => return Ok(Some(login)),
                    Looked::None => return Ok(None),
                    Looked::Half => self.clock.sleep(LOOK_AGAIN_AFTER).await,
                }
            }
            // Nobody goes on writing it: it is damaged, and worth nothing.
            Ok(None)
        })
    }

    fn found<'a>(&'a self, agent: &'a AgentName) -> Pending<'a, Result<Found, DeliveryError>> {
        Box::pin(async move {
            let (us, name) = (self.owner.clone(), agent.clone());
            let look = move |place: &Place| {
                let content = place.read()?;
                let found = content.and_then(|content| place.target().shape.read(&content.bytes));
                Ok(found.map_or(Found::Nothing, |(content, account)| {
                    let named = place.sidecar_of(&name, &us).map(|sidecar| sidecar.subscription);
                    Found::Credential(FoundCredential { content, account, named })
                }))
            };
            Ok(self.at(agent, look).await?.unwrap_or(Found::NotAFile))
        })
    }
}

/// Tools write their login in place, so a look may come in the middle of it.
fn look_for_login(place: &Place, agent: &AgentName, us: &str) -> Result<Looked, DeliveryError> {
    let Some(content) = place.read()? else { return Ok(Looked::None) };
    let bytes = &content.bytes;
    Ok(match (login::read(bytes), std::str::from_utf8(bytes)) {
        (Ok(_), Ok(text)) => {
            Looked::Login(Login { document: SecretString::from(text), written_at: written_at(&content.stat) })
        }
        (Err(NoLogin::Damaged | NoLogin::Implausible(_)), _) if bytes.trim_ascii_start().starts_with(b"{") => {
            Looked::Half
        }
        // An empty one that we have written to was emptied by somebody who is about to write.
        _ if without_final_newline(bytes).is_empty() && place.sidecar_of(agent, us).is_some() => Looked::Half,
        _ => Looked::None,
    })
}
