//! A real engine: containers of the agent program, made without a registry and removed when the test ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
};
use futures_util::StreamExt;
use switchman::drivers::docker::DockerHost;

use super::image::{LABEL, image, image_of};
use super::program::agent_program;

/// Where the engine is that tests use.
pub(crate) fn host() -> DockerHost {
    #[expect(clippy::disallowed_methods, reason = "a test is where its own process begins")]
    let given = std::env::var("DOCKER_HOST").ok();
    given.map_or_else(DockerHost::usual, |text| DockerHost::parse(&text).expect("DOCKER_HOST"))
}

/// Containers of one test.
pub(crate) struct TestEngine {
    pub(crate) client: Docker,
    image: String,
    names: Vec<String>,
}

/// What may differ between test containers.
#[derive(Default)]
pub(crate) struct Shape {
    pub(crate) arguments: Vec<String>,
    pub(crate) binds: Vec<(PathBuf, &'static str)>,
    /// The health check says healthy while this path exists in the container.
    pub(crate) healthy_if: Option<&'static str>,
    pub(crate) stop_timeout_s: Option<i64>,
    /// Runs this shell script instead of the agent program.
    pub(crate) script: Option<&'static str>,
    /// The variables configured in it, as `NAME=value`.
    pub(crate) variables: Vec<String>,
    pub(crate) labels: Vec<(&'static str, String)>,
    /// A directory in memory is mounted there.
    pub(crate) tmpfs: Option<&'static str>,
    pub(crate) memory_bytes: Option<i64>,
    /// The log driver and its options, if not the engine's own.
    pub(crate) log: Option<(&'static str, &'static [(&'static str, &'static str)])>,
}

/// A name that no other test uses.
pub(crate) fn fresh_name(purpose: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("switchman-test-{}-{}-{purpose}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn connect(host: &DockerHost) -> Docker {
    let client = match host {
        DockerHost::Unix(path) => Docker::connect_with_unix(path, 60, bollard::API_DEFAULT_VERSION),
        DockerHost::Http(address) => Docker::connect_with_http(address, 60, bollard::API_DEFAULT_VERSION),
    };
    client.unwrap_or_else(|error| panic!("{}", no_engine(host, &error)))
}

fn no_engine(host: &DockerHost, error: &bollard::errors::Error) -> String {
    format!("these tests need a Docker Engine at {host} (scripts/test starts one): {error}")
}

impl TestEngine {
    /// On the engine that tests share.
    pub(crate) async fn new() -> Self {
        Self::at(&host()).await
    }

    /// On this engine.
    pub(crate) async fn at(host: &DockerHost) -> Self {
        let client = connect(host);
        if let Err(error) = client.ping().await {
            panic!("{}", no_engine(host, &error));
        }
        let image = image(&client, &agent_program()).await;
        Self { client, image, names: Vec::new() }
    }

    /// Makes a container under the name; it is not started.
    pub(crate) async fn create(&mut self, name: &str, shape: &Shape) {
        const SECOND_NS: i64 = 1_000_000_000;
        let bind = |(from, to): &(PathBuf, &'static str)| format!("{}:{to}", from.display());
        let healthcheck = shape.healthy_if.map(|path| HealthConfig {
            test: Some(["CMD", "/agent", "--exists", path].map(str::to_owned).to_vec()),
            interval: Some(SECOND_NS / 5),
            timeout: Some(5 * SECOND_NS),
            retries: Some(1),
            ..HealthConfig::default()
        });
        let (image, command) = if let Some(script) = shape.script {
            (self.shell_image().await, ["/bin/sh", "-c", script].map(str::to_owned).to_vec())
        } else {
            let command = std::iter::once("/agent".to_owned()).chain(shape.arguments.clone()).collect();
            (self.image.clone(), command)
        };
        let labels = shape.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let body = ContainerCreateBody {
            image: Some(image),
            cmd: Some(command),
            env: Some(shape.variables.clone()),
            labels: Some(labels.chain([(LABEL.to_owned(), "1".to_owned())]).collect()),
            network_disabled: Some(true),
            healthcheck,
            stop_timeout: shape.stop_timeout_s,
            host_config: Some(HostConfig {
                binds: Some(shape.binds.iter().map(bind).collect()),
                network_mode: Some("none".to_owned()),
                tmpfs: shape.tmpfs.map(|path| [(path.to_owned(), String::new())].into()),
                memory: shape.memory_bytes,
                log_config: shape.log.map(|(driver, options)| HostConfigLogConfig {
                    typ: Some(driver.to_owned()),
                    config: Some(
                        options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
                    ),
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        self.names.push(name.to_owned());
        self.client.create_container(Some(options), body).await.expect("create a container");
    }

    /// The shell of this machine and the one program that a script needs to wait.
    async fn shell_image(&self) -> String {
        let programs = ["/bin/sh", "/bin/sleep"].map(|path| (Path::new(path), path));
        image_of(&self.client, "switchman-test-shell", &programs).await
    }

    /// What the container has printed so far.
    pub(crate) async fn printed(&self, name: &str) -> String {
        let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
        let lines = self.client.logs(name, Some(options));
        lines.map(|line| line.expect("read what a container printed").to_string()).collect().await
    }

    pub(crate) async fn remove(&self, name: &str) {
        remove(&self.client, name).await.expect("remove a container");
    }

    pub(crate) async fn rename(&mut self, name: &str, to: &str) {
        self.names.push(to.to_owned());
        let options = RenameContainerOptionsBuilder::default().name(to).build();
        self.client.rename_container(name, options).await.expect("rename a container");
    }

    pub(crate) async fn pause(&self, name: &str) {
        self.client.pause_container(name).await.expect("pause a container");
    }

    /// Restarts it by hand, past the driver.
    pub(crate) async fn restart(&self, name: &str) {
        self.client.restart_container(name, None).await.expect("restart a container");
    }
}

async fn remove(client: &Docker, name: &str) -> Result<(), bollard::errors::Error> {
    let options = RemoveContainerOptionsBuilder::default().force(true).build();
    client.remove_container(name, Some(options)).await
}

impl Drop for TestEngine {
    /// Also when the test has failed.
    fn drop(&mut self) {
        let (client, names) = (self.client.clone(), std::mem::take(&mut self.names));
        let clean_up = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for name in names {
                    let _removed_by_the_test = remove(&client, &name).await.is_err();
                }
            });
        });
        clean_up.join().unwrap();
    }
}
