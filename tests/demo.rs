//! `switchman demo` from the outside, and the workshop that makes its containers.
//!
//! The containers need a Docker Engine; `scripts/test` starts one where there is none. Other demos may run on it at
//! the same time, so a test looks only for what has the name of its own run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "demo/played.rs"]
mod played;
#[path = "demo/workshop.rs"]
mod workshop;

use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListImagesOptionsBuilder};
use switchman::drivers::docker::DockerHost;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::clock::Clock;

/// No fact that a test waits for takes longer than this on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// Where the engine is that tests use.
fn host() -> DockerHost {
    #[expect(clippy::disallowed_methods, reason = "a test is where its own process begins")]
    let given = std::env::var("DOCKER_HOST").ok();
    given.map_or_else(DockerHost::usual, |text| DockerHost::parse(&text).expect("DOCKER_HOST"))
}

fn engine() -> Docker {
    let client = match host() {
        DockerHost::Unix(path) => Docker::connect_with_unix(&path, 60, bollard::API_DEFAULT_VERSION),
        DockerHost::Http(address) => Docker::connect_with_http(&address, 60, bollard::API_DEFAULT_VERSION),
    };
    client.unwrap_or_else(|error| panic!("these tests need a Docker Engine at {}: {error}", host()))
}

/// The containers and images whose names begin so.
async fn named(beginning: &str) -> Vec<String> {
    let engine = engine();
    let containers = engine.list_containers(Some(ListContainersOptionsBuilder::default().all(true).build())).await;
    let images = engine.list_images(Some(ListImagesOptionsBuilder::default().build())).await;
    let containers = containers.unwrap().into_iter().flat_map(|found| found.names.unwrap_or_default());
    let images = images.unwrap().into_iter().flat_map(|found| found.repo_tags);
    let names = containers.map(|name| name.trim_start_matches('/').to_owned()).chain(images);
    names.filter(|name| name.starts_with(beginning)).collect()
}
