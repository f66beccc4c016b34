//! Containers that print what a test wants: a shell that takes commands from a FIFO.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StopContainerOptionsBuilder,
};
use switchman::drivers::docker::DockerHost;

use super::image::{LABEL, image};
use super::reader::PATIENCE;

/// Where the engine is that tests use.
pub(crate) fn usual_host() -> DockerHost {
    #[expect(clippy::disallowed_methods, reason = "a test is where its own process begins")]
    let given = std::env::var("DOCKER_HOST").ok();
    given.map_or_else(DockerHost::usual, |text| DockerHost::parse(&text).expect("DOCKER_HOST"))
}

fn connect(host: &DockerHost) -> Docker {
    match host {
        DockerHost::Unix(path) => Docker::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION),
        DockerHost::Http(address) => Docker::connect_with_http(address, 60, bollard::API_DEFAULT_VERSION),
    }
    .unwrap_or_else(|error| panic!("these tests need a Docker Engine at {host} (scripts/test starts one): {error}"))
}

/// What may differ between test containers.
#[derive(Clone, Default)]
pub(crate) struct Shape {
    pub(crate) driver: &'static str,
    pub(crate) options: &'static [(&'static str, &'static str)],
    pub(crate) has_terminal: bool,
}

/// One container, which goes when it is dropped.
pub(crate) struct Container {
    pub(crate) host: DockerHost,
    pub(crate) name: String,
    pub(crate) shape: Shape,
    client: Docker,
    folder: tempfile::TempDir,
    /// Both ends, so that neither side ever waits for the other to open it.
    commands: File,
}

impl Container {
    /// Made and started.
    pub(crate) async fn new(host: &DockerHost, shape: &Shape) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("switchman-test-log-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("commands");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let commands = File::options().read(true).write(true).open(&fifo).unwrap();
        let container =
            Self { host: host.clone(), name, client: connect(host), shape: shape.clone(), folder, commands };
        container.create().await;
        container.start().await;
        container
    }

    pub(crate) async fn create(&self) {
        // The shell of this machine, under the name that the image gives every program.
        let image = image(&self.client, Path::new("/bin/sh")).await;
        let options = self.shape.options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let body = ContainerCreateBody {
            image: Some(image),
            cmd: Some(
                ["/agent", "-c", r#"while read -r line; do eval "$line"; done </control/commands"#]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            labels: Some([(LABEL.to_owned(), "1".to_owned())].into()),
            network_disabled: Some(true),
            tty: Some(self.shape.has_terminal),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{}:/control", self.folder.path().display())]),
                network_mode: Some("none".to_owned()),
                log_config: Some(HostConfigLogConfig {
                    typ: Some(self.shape.driver.to_owned()),
                    config: Some(options.collect()),
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(&self.name).build();
        self.client.create_container(Some(options), body).await.expect("create a container");
    }

    pub(crate) async fn start(&self) {
        self.client.start_container(&self.name, None).await.expect("start a container");
    }

    /// Gives the shell one line of commands.
    pub(crate) fn run(&self, commands: &str) {
        assert!(commands.len() < 4096 && !commands.contains('\n'));
        (&self.commands).write_all(format!("{commands}\n").as_bytes()).unwrap();
    }

    /// The shell exits when it comes to that; resolves when the engine knows.
    pub(crate) async fn exit(&self) {
        self.run("exit 3");
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(5));
        let exited = async {
            loop {
                ticks.tick().await;
                let seen = self.client.inspect_container(&self.name, None).await.expect("look at a container");
                if seen.state.and_then(|state| state.running) == Some(false) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, exited).await.expect("the shell exits");
    }

    /// Ended by the engine, at once.
    pub(crate) async fn kill(&self) {
        let options = StopContainerOptionsBuilder::default().t(0).build();
        self.client.stop_container(&self.name, Some(options)).await.expect("stop a container");
    }

    pub(crate) async fn remove(&self) {
        remove(&self.client, &self.name).await.expect("remove a container");
    }
}

async fn remove(client: &Docker, name: &str) -> Result<(), bollard::errors::Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    client.remove_container(name, Some(options)).await
}

impl Drop for Container {
    /// Also when the test has failed.
    fn drop(&mut self) {
        let (client, name) = (self.client.clone(), self.name.clone());
        let clean_up = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let _removed_by_the_test = remove(&client, &name).await.is_err();
            });
        });
        clean_up.join().unwrap();
    }
}
