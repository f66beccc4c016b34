//! The workshop on a real engine: what is made works, and nothing but what is meant is removed.

use bollard::query_parameters::WaitContainerOptionsBuilder;
use futures_util::StreamExt;
use switchman::drivers::docker::DockerHost;
use switchman::drivers::docker::workshop::{Blueprint, Workshop, WorkshopError};

use crate::{clock, engine, host, named};

/// A name that no other test run uses.
fn unique(name: &str) -> String {
    format!("switchman-test-workshop-{}-{name}", std::process::id())
}

async fn workshop(purpose: &str, maker: &str) -> Workshop {
    Workshop::open(host(), purpose, maker, clock()).await.unwrap()
}

/// Removes it all also when the test has failed.
struct CleanUp(String);

impl Drop for CleanUp {
    fn drop(&mut self) {
        let purpose = std::mem::take(&mut self.0);
        let clean_up = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { workshop(&purpose, "clean-up").await.sweep(|_| true).await })
        });
        clean_up.join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn docker_the_image_runs_this_program_without_a_network_and_is_removed_with_its_containers() {
    let (name, folder) = (unique("runs"), tempfile::tempdir().unwrap());
    let _clean_up = CleanUp(name.clone());
    let workshop = workshop(&name, "me").await;
    workshop.make_image(&name, "1").await.unwrap();
    let blueprint = Blueprint {
        name: name.clone(),
        // This program is the test itself: it knows its own tests.
        arguments: vec!["--list".to_owned()],
        folders: vec![(folder.path().to_owned(), "/run/credential".to_owned())],
        user: "1000:1000".to_owned(),
    };
    workshop.start_container(&format!("{name}:1"), blueprint).await.unwrap();
    let wait = WaitContainerOptionsBuilder::default().condition("not-running").build();
    let ended = engine().wait_container(&name, Some(wait)).next().await.unwrap();
    assert_eq!(ended.unwrap().status_code, 0);
    let found = engine().inspect_container(&name, None).await.unwrap();
    let (config, host) = (found.config.unwrap(), found.host_config.unwrap());
    assert_eq!(config.user.as_deref(), Some("1000:1000"));
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    let mounts = found.mounts.unwrap();
    assert_eq!((mounts[0].destination.as_deref(), mounts[0].rw), (Some("/run/credential"), Some(false)));
    workshop.clear().await.unwrap();
    assert_eq!(named(&name).await, Vec::<String>::new());
    workshop.clear().await.unwrap();
}

#[tokio::test]
async fn docker_only_what_is_meant_is_removed() {
    let name = unique("meant");
    let _clean_up = (CleanUp(name.clone()), CleanUp(unique("stranger")));
    let (mine, other, gone) =
        (workshop(&name, "me").await, workshop(&name, "alive/1").await, workshop(&name, "gone/1").await);
    let stranger = workshop(&unique("stranger"), "gone/1").await;
    for (workshop, tag) in [(&mine, "me"), (&other, "alive"), (&gone, "gone"), (&stranger, "stranger")] {
        workshop.make_image(&name, tag).await.unwrap();
        let blueprint = Blueprint { name: format!("{name}-{tag}"), user: "0:0".to_owned(), ..Blueprint::default() };
        workshop
            .start_container(&format!("{name}:{tag}"), Blueprint { arguments: vec!["--list".to_owned()], ..blueprint })
            .await
            .unwrap();
    }
    let there = |tags: &[&str]| {
        let mut names: Vec<_> =
            tags.iter().flat_map(|tag| [format!("{name}-{tag}"), format!("{name}:{tag}")]).collect();
        names.sort();
        names
    };
    let found = async || {
        let mut names = named(&name).await;
        names.sort();
        names
    };
    assert_eq!(found().await, there(&["me", "alive", "gone", "stranger"]));
    mine.sweep(|maker| maker.starts_with("gone")).await.unwrap();
    assert_eq!(found().await, there(&["me", "alive", "stranger"]), "another purpose is none of ours");
    mine.clear().await.unwrap();
    assert_eq!(found().await, there(&["alive", "stranger"]));
}

#[tokio::test]
async fn docker_a_folder_that_the_engine_does_not_have_is_an_error() {
    let name = unique("nowhere");
    let _clean_up = CleanUp(name.clone());
    let workshop = workshop(&name, "me").await;
    workshop.make_image(&name, "1").await.unwrap();
    let folders = vec![("/nonexistent/folder".into(), "/run/credential".to_owned())];
    let blueprint = Blueprint { name: name.clone(), folders, ..Blueprint::default() };
    let failed = workshop.start_container(&format!("{name}:1"), blueprint).await.unwrap_err();
    assert!(failed.to_string().contains("/nonexistent/folder"), "{failed}");
    workshop.clear().await.unwrap();
    assert_eq!(named(&name).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_absent_engine_is_told_with_its_place() {
    let host = DockerHost::Unix("/nonexistent/docker.sock".to_owned());
    let absent = Workshop::open(host, "x", "me", clock()).await.err().unwrap();
    assert!(matches!(absent, WorkshopError::NoEngine { .. }));
    let text = absent.to_string();
    assert_eq!(
        text,
        "no Docker Engine answers at unix:///nonexistent/docker.sock: /nonexistent/docker.sock does not exist"
    );
}
