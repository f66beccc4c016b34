//! The agents of the demo as containers: an image of this program, a container for each agent, and nothing left of it.
//!
//! It must not touch what no demo has made: everything goes through a [`Workshop`], which labels what it makes.
//!
//! Tests: `tests/demo.rs`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FAILURES_MS, failed};
use crate::cli::Environment;
use crate::cli::output::to_stderr;
use crate::drivers::docker::DockerHost;
use crate::drivers::docker::workshop::{Blueprint, Workshop, WorkshopError};
use crate::drivers::process::Maker;
use crate::error::{Exit, Failure};

const PURPOSE: &str = "demo";
const IMAGE: &str = "switchman-demo";
/// Where an agent finds its credential's folder. The folder and not the file: a file that is replaced is
/// another file, and a mount of the old one would go on showing the old one.
const CREDENTIAL_FOLDER: &str = "/run/credential";
const PROVIDER_FOLDER: &str = "/run/provider";
/// The file in it.
pub(super) const CREDENTIAL: &str = "credential";

/// The containers of one run.
pub(super) struct Containers {
    workshop: Workshop,
    host: DockerHost,
    run: String,
}

impl Containers {
    /// Finds the engine, and removes what killed demos have left in it.
    pub(super) async fn open(environment: &Environment, run: &str, own: &Maker) -> Result<Self, Failure> {
        let given = (environment.variables)("DOCKER_HOST").filter(|text| !text.is_empty());
        let host = given.map_or_else(|| Ok(DockerHost::usual()), |text| DockerHost::parse(&text));
        let host = host.map_err(|why| Failure::new(Exit::Failed, "docker_host", format!("DOCKER_HOST: {why}")))?;
        let workshop = Workshop::open(host.clone(), PURPOSE, &own.to_string(), Arc::clone(&environment.clock)).await;
        let workshop = workshop.map_err(|why| match why {
            WorkshopError::NoEngine { .. } => {
                let what = format!("{why}; start one or name it in DOCKER_HOST (`switchman demo` works without)");
                Failure::new(Exit::Failed, "no_engine", what)
            }
            other => failed(other.to_string()),
        })?;
        let is_gone = |maker: &str| Maker::read(maker).is_some_and(|maker| own.saw_the_end_of(&maker));
        if let Err(why) = workshop.sweep(is_gone).await {
            to_stderr(&format!("switchman: something of an earlier demo stays: {why}\n"));
        }
        Ok(Self { workshop, host, run: run.to_owned() })
    }

    /// Where they are, as a config names it.
    pub(super) fn host(&self) -> String {
        self.host.to_string()
    }

    /// The container of an agent.
    pub(super) fn name(&self, agent: &str) -> String {
        format!("{IMAGE}-{}-{agent}", self.run)
    }

    /// Makes and starts one for each agent, given with the folder of its credential.
    pub(super) async fn start(&self, agents: &[(&str, PathBuf)], provider: &Path) -> Result<(), WorkshopError> {
        self.workshop.make_image(IMAGE, &self.run).await?;
        let image = format!("{IMAGE}:{}", self.run);
        for (agent, home) in agents {
            let credential = format!("{CREDENTIAL_FOLDER}/{CREDENTIAL}");
            let turns = FAILURES_MS.len().to_string();
            let words = ["demo-agent", PROVIDER_FOLDER, "--credential-file", &credential, "--turns-out", &turns];
            let blueprint = Blueprint {
                name: self.name(agent),
                arguments: words.map(str::to_owned).into(),
                folders: vec![
                    (home.clone(), CREDENTIAL_FOLDER.to_owned()),
                    (provider.to_owned(), PROVIDER_FOLDER.to_owned()),
                ],
                user: format!("{}:{}", rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            };
            self.workshop.start_container(&image, blueprint).await?;
        }
        Ok(())
    }

    /// Removes them and their image, also what is only half made.
    pub(super) async fn remove(&self) -> Result<(), WorkshopError> {
        self.workshop.clear().await
    }
}
