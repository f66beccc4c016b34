//! Containers of the agent program, removed at the end whatever happens.
//!
//! Each takes its commands from the FIFO `control` in its directory.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::stream::iter;
use futures_util::{FutureExt as _, StreamExt as _};
use rustix::fs::{CWD, FileType, Mode};

use super::image;

/// Containers that are made, or removed, at the same time.
const PARALLEL: usize = 8;

/// Containers of one engine, all of them running on subscription `a`.
pub(crate) struct Containers {
    /// Their names, which are those of the agents as well.
    pub(crate) names: Vec<String>,
    work: PathBuf,
}

/// Makes so many, measures, and removes them also if that fails.
pub(crate) async fn with_containers(client: &Docker, count: usize, measure: impl AsyncFnOnce(&Containers)) {
    client.ping().await.expect("an engine that answers (DOCKER_HOST, else the usual socket)");
    let work = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let names = (0..count).map(|number| format!("switchman-bench-{}-{number}", std::process::id())).collect();
    let containers = Containers { names, work: work.path().to_owned() };
    let measured = AssertUnwindSafe(async {
        containers.create(client).await;
        measure(&containers).await;
    });
    let measured = measured.catch_unwind().await;
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    let removed = containers.names.iter().map(|name| client.remove_container(name, Some(options.clone())));
    let left =
        iter(removed).buffer_unordered(PARALLEL).filter(|removed| std::future::ready(removed.is_err())).count().await;
    if let Err(panic) = measured {
        std::panic::resume_unwind(panic);
    }
    assert_eq!(left, 0, "containers could not be removed");
}

/// What a source of this subscription holds.
pub(crate) fn credential(subscription: &str) -> String {
    format!("bench-{subscription}\n")
}

impl Containers {
    /// A directory for whoever measures.
    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    async fn create(&self, client: &Docker) {
        let program = std::env::current_exe().expect("the path of this program");
        let program = program.parent().and_then(Path::parent).expect("a target directory").join("examples/agent");
        assert!(program.exists(), "{} is not there; run: cargo build --release --example agent", program.display());
        let image = image::image(client, &program).await;
        let creating = self.names.iter().map(|name| self.create_one(client, &image, name));
        iter(creating).buffer_unordered(PARALLEL).collect::<()>().await;
    }

    async fn create_one(&self, client: &Docker, image: &str, name: &str) {
        let dir = self.work.join(name);
        let made = std::fs::create_dir(&dir).and_then(|()| std::fs::write(dir.join("token"), credential("a")));
        made.expect("a credential");
        let control = dir.join("control");
        rustix::fs::mknodat(CWD, &control, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a FIFO");
        let command = ["/agent", "--credential-file", "/credentials/token", "--control", "/credentials/control"];
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(command.map(str::to_owned).to_vec()),
            labels: Some([(image::LABEL.to_owned(), "1".to_owned())].into()),
            network_disabled: Some(true),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{}:/credentials", dir.display())]),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        client.create_container(Some(options), body).await.expect("a container");
        client.start_container(name, None).await.expect("it starts");
    }
}

/// A file that nobody else may read.
pub(crate) fn secret(path: &Path, content: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content.as_bytes())).expect("a credential");
}
