//! Makes an image of the running program and containers of it, for a show, and removes them again.
//!
//! It is no part of the daemon and must not touch anything that a workshop has not made: everything made here
//! carries two labels, what it is for and who made it, and only what carries both is removed.
//!
//! | removed | when |
//! |---|---|
//! | what this maker made | by [`Workshop::clear`] |
//! | what another maker made | by [`Workshop::sweep`], if the caller knows that this maker is gone |
//!
//! A call that is given up goes on in the engine. So no call is given up before its deadline, and what is to be
//! removed is found by its labels and not by what we remember to have made.
//!
//! Tests: `tests/demo/workshop.rs`, on a real engine.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::TryStreamExt;

mod archive;

use super::calls::in_words;
use super::client::{DockerHost, Engine};
use crate::ports::clock::Clock;

/// What a thing was made for.
const PURPOSE: &str = "switchman.workshop";
/// Who made it.
const MAKER: &str = "switchman.workshop.maker";

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// An image of a debug build is some 80 MB.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(120);
/// A removal that is under way elsewhere is waited for.
const CLEAR_WITHIN: Duration = Duration::from_secs(20);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Why something could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorkshopError {
    /// There is no engine.
    #[error("no Docker Engine answers at {host}: {why}")]
    NoEngine {
        /// Where it was looked for.
        host: String,
        /// What was found there.
        why: String,
    },
    /// The program cannot be put into an image.
    #[error("failed to read the program for the image: {0}")]
    Program(std::io::Error),
    /// The engine refused a call, or failed at it.
    #[error("failed to {call}: {why}")]
    Failed {
        /// What was asked for.
        call: &'static str,
        /// What the engine says.
        why: String,
    },
    /// Something of ours is still there.
    #[error("failed to remove {0}")]
    Stays(String),
}

/// A container to be made of the program.
#[derive(Debug, Clone, Default)]
pub struct Blueprint {
    /// Its name.
    pub name: String,
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// Folders of this machine, where they are in the container, read-only.
    pub folders: Vec<(PathBuf, String)>,
    /// Whom it runs as, `uid:gid`.
    pub user: String,
}

/// A place to make containers in.
pub struct Workshop {
    client: Docker,
    purpose: String,
    maker: String,
    is_rootless: bool,
    clock: Arc<dyn Clock>,
}

impl Workshop {
    /// Looks whether the engine is there. What is made will be labelled with the purpose and the maker.
    ///
    /// # Errors
    /// If no engine answers.
    pub async fn open(
        host: DockerHost,
        purpose: &str,
        maker: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, WorkshopError> {
        let absent = |why: String| WorkshopError::NoEngine { host: host.to_string(), why };
        let engine = Engine::new(host.clone());
        // The error of a missing socket names the host again.
        let client = match (engine.client(), &host) {
            (Ok(client), _) => client.clone(),
            (Err(_), DockerHost::Unix(path)) => return Err(absent(format!("{path} does not exist"))),
            (Err(error), DockerHost::Http(_)) => return Err(absent(error.to_string())),
        };
        let info = match tokio::time::timeout(CALL_TIMEOUT, client.info()).await {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => return Err(absent(in_words(&error))),
            Err(_) => return Err(absent(format!("no answer within {} s", CALL_TIMEOUT.as_secs()))),
        };
        let options = info.security_options.unwrap_or_default();
        let is_rootless = options.iter().any(|option| option.contains("name=rootless"));
        Ok(Self { client, purpose: purpose.to_owned(), maker: maker.to_owned(), is_rootless, clock })
    }

    /// Makes the image `name:tag`: the running program with the libraries it is linked with, and nothing else.
    ///
    /// # Errors
    /// If the program cannot be read, or the engine does not take it.
    pub async fn make_image(&self, name: &str, tag: &str) -> Result<(), WorkshopError> {
        let read = tokio::task::spawn_blocking(archive::of_this_program).await;
        let archive = read.map_err(std::io::Error::other).and_then(|read| read).map_err(WorkshopError::Program)?;
        let labels = [(PURPOSE, &self.purpose), (MAKER, &self.maker)];
        let mut changes: Vec<_> = labels.map(|(label, value)| format!("LABEL {label}=\"{value}\"")).into();
        changes.push(format!("ENTRYPOINT [\"{}\"]", archive::PROGRAM));
        if !archive.library_path.is_empty() {
            changes.push(format!("ENV LD_LIBRARY_PATH=\"{}\"", archive.library_path));
        }
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(name).tag(tag).changes(changes).build();
        let body = bollard::body_full(archive.bytes.into());
        let steps = self.client.create_image(Some(options), Some(body), None);
        call("import the image", IMPORT_TIMEOUT, steps.try_for_each(|_| std::future::ready(Ok(())))).await
    }

    /// Makes a container of the image and starts it. It has no network.
    ///
    /// # Errors
    /// If the engine refuses one of both.
    pub async fn start_container(&self, image: &str, blueprint: Blueprint) -> Result<(), WorkshopError> {
        let mount = |(source, target): (PathBuf, String)| Mount {
            source: Some(source.to_string_lossy().into_owned()),
            target: Some(target),
            // Unlike a bind by `-v`, it is an error if the folder is not there: the engine is on another machine.
            typ: Some(MountType::BIND),
            read_only: Some(true),
            ..Mount::default()
        };
        let labels = [(PURPOSE, &self.purpose), (MAKER, &self.maker)];
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(blueprint.arguments),
            labels: Some(labels.map(|(label, value)| (label.to_owned(), value.clone())).into()),
            // Where the engine is not root, root of the container is the user of the engine, and so the owner of the files.
            user: (!self.is_rootless).then_some(blueprint.user),
            network_disabled: Some(true),
            host_config: Some(HostConfig {
                mounts: Some(blueprint.folders.into_iter().map(mount).collect()),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&blueprint.name).build();
        let made = call("create a container", CALL_TIMEOUT, self.client.create_container(Some(options), body)).await?;
        call("start a container", CALL_TIMEOUT, self.client.start_container(&made.id, None)).await
    }

    /// Removes everything that this maker made.
    ///
    /// # Errors
    /// If something is still there after a while: it is named.
    pub async fn clear(&self) -> Result<(), WorkshopError> {
        self.clear_of(&self.maker).await
    }

    /// Removes what was made for the same purpose by makers that are gone.
    ///
    /// # Errors
    /// As [`Workshop::clear`].
    pub async fn sweep(&self, is_gone: impl Fn(&str) -> bool) -> Result<(), WorkshopError> {
        let makers: BTreeSet<_> = self.things(None).await?.into_iter().map(|thing| thing.maker).collect();
        for maker in makers.iter().filter(|maker| **maker != self.maker && is_gone(maker)) {
            self.clear_of(maker).await?;
        }
        Ok(())
    }

    async fn clear_of(&self, maker: &str) -> Result<(), WorkshopError> {
        let due = self.clock.now().due_after(CLEAR_WITHIN);
        loop {
            let there = self.things(Some(maker)).await?;
            if there.is_empty() {
                return Ok(());
            }
            for thing in &there {
                self.remove(thing).await?;
            }
            if due.is_past(self.clock.now()) {
                let names: Vec<_> = there.into_iter().map(|thing| thing.name).collect();
                return Err(WorkshopError::Stays(names.join(", ")));
            }
            // What is being removed stays in the list until it is gone.
            if !self.things(Some(maker)).await?.is_empty() {
                self.clock.sleep(LOOK_AGAIN_AFTER).await;
            }
        }
    }

    /// Containers before images: an image that is in use stays.
    async fn things(&self, maker: Option<&str>) -> Result<Vec<Thing>, WorkshopError> {
        let mut labels = vec![format!("{PURPOSE}={}", self.purpose)];
        labels.extend(maker.map(|maker| format!("{MAKER}={maker}")));
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers = call("list the containers", CALL_TIMEOUT, self.client.list_containers(Some(options))).await?;
        let containers = containers.into_iter().filter_map(|found| {
            let (id, maker) = (found.id?, found.labels?.remove(MAKER)?);
            let name = found.names.unwrap_or_default().into_iter().next();
            Some(Thing { is_image: false, name: name.unwrap_or_else(|| id.clone()), id, maker })
        });
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = call("list the images", CALL_TIMEOUT, self.client.list_images(Some(options))).await?;
        let images = images.into_iter().filter_map(|mut found| {
            let maker = found.labels.remove(MAKER)?;
            let name = found.repo_tags.into_iter().next();
            Some(Thing { is_image: true, name: name.unwrap_or_else(|| found.id.clone()), id: found.id, maker })
        });
        Ok(containers.chain(images).collect())
    }

    async fn remove(&self, thing: &Thing) -> Result<(), WorkshopError> {
        let removed = if thing.is_image {
            let options = RemoveImageOptionsBuilder::default().force(true).build();
            let work = self.client.remove_image(&thing.id, Some(options), None);
            tokio::time::timeout(CALL_TIMEOUT, work).await.map(|done| done.map(drop))
        } else {
            let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
            tokio::time::timeout(CALL_TIMEOUT, self.client.remove_container(&thing.id, Some(options))).await
        };
        match removed {
            // It is gone, or somebody else is removing it, or the engine may have done it all the same: the next look tells.
            Ok(Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409 | 500.., .. })) | Err(_) => {
                Ok(())
            }
            Ok(Err(error)) => Err(WorkshopError::Failed {
                call: "remove what was made",
                why: format!("{}: {}", thing.name, in_words(&error)),
            }),
        }
    }
}

struct Thing {
    is_image: bool,
    id: String,
    name: String,
    maker: String,
}

async fn call<T>(
    name: &'static str,
    deadline: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, WorkshopError> {
    let why = match tokio::time::timeout(deadline, work).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => in_words(&error),
        Err(_) => format!("no answer within {} s", deadline.as_secs()),
    };
    Err(WorkshopError::Failed { call: name, why })
}
