//! A real engine: containers of the agent program, made without a registry and removed when the test ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder,
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use switchman::drivers::docker::DockerHost;

use super::program::agent_program;

/// Everything the tests make carries this label.
pub(crate) const LABEL: &str = "switchman.test";

/// Where the engine is that tests use.
pub(crate) fn host() -> DockerHost {
    #[expect(clippy::disallowed_methods, reason = "a test is where its own process begins")]
    let given = std::env::var("DOCKER_HOST").ok();
    given.map_or_else(DockerHost::usual, |text| DockerHost::parse(&text).expect("DOCKER_HOST"))
}

/// Containers of one test.
pub(crate) struct TestEngine {
    client: Docker,
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
}

/// A name that no other test uses.
pub(crate) fn fresh_name(purpose: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("switchman-test-{}-{}-{purpose}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn connect() -> Docker {
    let client = match host() {
        DockerHost::Unix(path) => Docker::connect_with_unix(&path, 60, bollard::API_DEFAULT_VERSION),
        DockerHost::Http(address) => Docker::connect_with_http(&address, 60, bollard::API_DEFAULT_VERSION),
    };
    client.unwrap_or_else(|error| panic!("{}", no_engine(&error)))
}

fn no_engine(error: &bollard::errors::Error) -> String {
    format!("these tests need a Docker Engine at {} (scripts/test starts one): {error}", host())
}

impl TestEngine {
    pub(crate) async fn new() -> Self {
        let client = connect();
        if let Err(error) = client.ping().await {
            panic!("{}", no_engine(&error));
        }
        let image = image(&client).await;
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
        let body = ContainerCreateBody {
            image: Some(self.image.clone()),
            cmd: Some(std::iter::once("/agent".to_owned()).chain(shape.arguments.clone()).collect()),
            labels: Some([(LABEL.to_owned(), "1".to_owned())].into()),
            network_disabled: Some(true),
            healthcheck,
            stop_timeout: shape.stop_timeout_s,
            host_config: Some(HostConfig {
                binds: Some(shape.binds.iter().map(bind).collect()),
                network_mode: Some("none".to_owned()),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        self.names.push(name.to_owned());
        self.client.create_container(Some(options), body).await.expect("create a container");
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

/// An image that holds the agent program and what it is linked with, and nothing else. Its name tells the
/// content, so it is made once per build of the program.
async fn image(client: &Docker) -> String {
    let program = agent_program();
    let content = std::fs::read(&program).unwrap();
    let digest: String =
        Sha256::digest(&content).iter().take(6).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let name = format!("switchman-test-agent:{digest}");
    // Tests run side by side; one imports and the others find it done.
    let lock = std::fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("image.lock")).unwrap();
    lock.lock().unwrap();
    if client.inspect_image(&name).await.is_ok() {
        return name;
    }
    let mut archive = Vec::new();
    add_file(&mut archive, Path::new("/agent"), &content);
    for library in libraries(&program) {
        add_file(&mut archive, &library, &std::fs::read(&library).unwrap());
    }
    archive.extend([0; 1024]);
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo("switchman-test-agent")
        .tag(&digest)
        .changes(vec![format!("LABEL {LABEL}=1")])
        .build();
    let mut steps = client.create_image(Some(options), Some(bollard::body_full(archive.into())), None);
    while let Some(step) = steps.next().await {
        step.expect("import the test image");
    }
    name
}

/// What the dynamic linker loads; nothing for a static program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = std::process::Command::new("ldd").arg(program).output().expect("run ldd");
    String::from_utf8_lossy(&listed.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .collect()
}

/// One executable file in the format of tar (ustar).
fn add_file(archive: &mut Vec<u8>, path: &Path, content: &[u8]) {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: String| (&mut header[at..]).write_all(text.as_bytes()).unwrap();
    put(0, path.to_str().unwrap().trim_start_matches('/').to_owned());
    put(100, "0000755\0".to_owned());
    put(108, "0000000\0".to_owned());
    put(116, "0000000\0".to_owned());
    put(124, format!("{:011o}\0", content.len()));
    put(136, "00000000000\0".to_owned());
    put(148, " ".repeat(8));
    put(156, "0".to_owned());
    put(257, "ustar\0".to_owned());
    put(263, "00".to_owned());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(header);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
