//! What every delivery promises, held against the one in memory and the one into files; then what somebody may
//! have planted where a file is to be written, and what a crash leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, mkfifoat};
use secrecy::SecretString;
use switchman::domain::{AgentName, Disposition, Fingerprint, Generation, SubscriptionName, SubscriptionType};
use switchman::drivers::delivery::{FileDelivery, FileTarget, Target};
use switchman::drivers::fake::runtime::{FakeWorld, Place};
use switchman::drivers::fingerprint::fingerprint;
use switchman::drivers::system_clock::SystemClock;
use switchman::ports::credentials::Credential;
use switchman::ports::delivery::{Consignment, Delivery, DeliveryError, Found, FoundCredential};

#[path = "delivery_conformance/formats.rs"]
mod formats;
#[path = "delivery_conformance/logins.rs"]
mod logins;
#[path = "delivery_conformance/planted.rs"]
mod planted;

const SECRET: &str = "not-a-real-credential";

fn agent() -> AgentName {
    AgentName::new("reviewer")
}

fn print_of(content: &str) -> Fingerprint {
    fingerprint(content.as_bytes())
}

fn found_of(content: Fingerprint) -> Found {
    let named = Some(SubscriptionName::new("max-b"));
    Found::Credential(FoundCredential { named, ..FoundCredential::of_static(content) })
}

async fn deliver(
    delivery: &dyn Delivery,
    agent: &AgentName,
    secret: &str,
    generation: u64,
) -> Result<(), DeliveryError> {
    let credential = Credential::of_static(SecretString::from(secret), print_of(secret), SubscriptionType::SetupToken);
    let consignment = Consignment {
        agent,
        subscription: &SubscriptionName::new("max-b"),
        generation: Generation(generation),
        credential: &credential,
    };
    delivery.deliver(consignment).await
}

async fn what_was_delivered_is_found(delivery: &dyn Delivery) {
    assert_eq!(delivery.found(&agent()).await.unwrap(), Found::Nothing);
    for (generation, secret) in [(1, SECRET), (2, "another\n")] {
        delivery.preflight(&agent()).await.unwrap();
        deliver(delivery, &agent(), secret, generation).await.unwrap();
        assert_eq!(delivery.found(&agent()).await.unwrap(), found_of(print_of(secret)));
    }
}

async fn an_agent_without_a_file_takes_a_delivery_and_shows_nothing(delivery: &dyn Delivery) {
    let agent = AgentName::new("by-environment");
    delivery.preflight(&agent).await.unwrap();
    deliver(delivery, &agent, SECRET, 1).await.unwrap();
    assert_eq!(delivery.found(&agent).await.unwrap(), Found::NotAFile);
    assert!(delivery.login(&agent).await.unwrap().is_none());
}

async fn an_agent_that_nobody_configured_is_unfit(delivery: &dyn Delivery) {
    let nobody = AgentName::new("nobody");
    for error in [
        delivery.preflight(&nobody).await.unwrap_err(),
        deliver(delivery, &nobody, SECRET, 1).await.unwrap_err(),
        delivery.found(&nobody).await.map(|_| ()).unwrap_err(),
        delivery.login(&nobody).await.map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(error.disposition(), Disposition::Permanent);
        assert!(error.to_string().contains("nobody"), "{error}");
    }
}

#[tokio::test]
async fn the_fake_keeps_the_promises() {
    let world = FakeWorld::new();
    world.add(&agent(), Place::File);
    world.add(&AgentName::new("by-environment"), Place::Environment);
    logins::what_was_delivered_and_renewed_is_found(&world, &|text| world.put_file(&agent(), text)).await;
    let world = FakeWorld::new();
    world.add(&agent(), Place::File);
    world.add(&AgentName::new("by-environment"), Place::Environment);
    what_was_delivered_is_found(&world).await;
    an_agent_without_a_file_takes_a_delivery_and_shows_nothing(&world).await;
    an_agent_that_nobody_configured_is_unfit(&world).await;
}

#[tokio::test]
async fn files_keep_the_promises() {
    let place = Folder::new();
    let tool_writes = |text: &str| std::fs::write(place.file(), text).unwrap();
    logins::what_was_delivered_and_renewed_is_found(&place.delivery("/state"), &tool_writes).await;
    let place = Folder::new();
    let delivery = place.delivery("/state");
    what_was_delivered_is_found(&delivery).await;
    an_agent_without_a_file_takes_a_delivery_and_shows_nothing(&delivery).await;
    an_agent_that_nobody_configured_is_unfit(&delivery).await;
}

/// A folder with the agent's file, and one outside that nothing may reach.
struct Folder {
    _all: tempfile::TempDir,
    inside: PathBuf,
    outside: PathBuf,
}

impl Folder {
    fn new() -> Self {
        let all = tempfile::tempdir().unwrap();
        let path = all.path().canonicalize().unwrap();
        let (inside, outside) = (path.join("inside"), path.join("outside"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("precious"), "precious").unwrap();
        Self { _all: all, inside, outside }
    }

    fn file(&self) -> PathBuf {
        self.inside.join("credential")
    }

    fn sidecar(&self) -> PathBuf {
        self.inside.join("credential.switchman.json")
    }

    fn temporaries(&self) -> [PathBuf; 2] {
        [".credential.switchman-new", ".credential.switchman.json.switchman-new"].map(|name| self.inside.join(name))
    }

    fn delivery(&self, owner: &str) -> FileDelivery {
        delivery_to(self.file(), owner)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.inside)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn assert_the_outside_is_untouched(&self) {
        assert_eq!(std::fs::read_dir(&self.outside).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(self.outside.join("precious")).unwrap(), "precious");
    }
}

fn delivery_to(file: PathBuf, owner: &str) -> FileDelivery {
    delivery_of(FileTarget::raw(file), owner)
}

fn delivery_of(file: FileTarget, owner: &str) -> FileDelivery {
    let targets = BTreeMap::from([(agent(), Target::File(file)), (AgentName::new("by-environment"), Target::NotAFile)]);
    FileDelivery::new(targets, owner.to_owned(), Arc::new(SystemClock::new()))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn only_its_owner_reads_the_credential_and_everybody_reads_the_sidecar() {
    let folder = Folder::new();
    std::fs::write(folder.file(), "old").unwrap();
    std::fs::set_permissions(folder.file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    deliver(&folder.delivery("/state"), &agent(), SECRET, 7).await.unwrap();
    assert_eq!(std::fs::read_to_string(folder.file()).unwrap(), SECRET);
    assert_eq!((mode(&folder.file()), mode(&folder.sidecar())), (0o600, 0o644));
    assert_eq!(folder.names(), ["credential", "credential.switchman.json"]);
    let sidecar: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.sidecar()).unwrap()).unwrap();
    for (member, value) in [
        ("schema_version", 1.into()),
        ("agent", "reviewer".into()),
        ("subscription", "max-b".into()),
        ("generation", 7.into()),
        ("owner", serde_json::Value::from("/state")),
    ] {
        assert_eq!(sidecar[member], value, "{member}");
    }
    assert!(!sidecar.to_string().contains(SECRET));
}

#[tokio::test]
async fn the_owner_of_the_old_file_or_of_the_folder_owns_the_new_one() {
    if !rustix::process::geteuid().is_root() {
        // Only root may give files away, so there is nothing to show; the refusal of others is shown by the mode.
        return;
    }
    for (of_the_file, of_the_folder, expected) in [(Some(4321), 1234, 4321), (None, 1234, 1234)] {
        let folder = Folder::new();
        std::os::unix::fs::chown(&folder.inside, Some(of_the_folder), Some(of_the_folder)).unwrap();
        if let Some(owner) = of_the_file {
            std::fs::write(folder.file(), "old").unwrap();
            std::os::unix::fs::chown(folder.file(), Some(owner), Some(owner)).unwrap();
        }
        let delivery = folder.delivery("/state");
        delivery.preflight(&agent()).await.unwrap();
        deliver(&delivery, &agent(), SECRET, 1).await.unwrap();
        let found = std::fs::metadata(folder.file()).unwrap();
        assert_eq!((found.uid(), found.gid()), (expected, expected));
        assert_eq!(mode(&folder.file()), 0o600);
    }
}

/// Somebody puts something where a file of ours is to be.
type Plant = fn(&Folder, &Path);

const PLANTS: [(&str, Plant); 5] = [
    ("symbolic link", |folder, at| symlink(folder.outside.join("precious"), at).unwrap()),
    ("symbolic link", |folder, at| symlink(folder.outside.join("new"), at).unwrap()),
    ("hard link", |folder, at| std::fs::hard_link(folder.outside.join("precious"), at).unwrap()),
    ("FIFO", |_, at| mkfifoat(CWD, at, Mode::from_raw_mode(0o600)).unwrap()),
    ("is a folder", |_, at| std::fs::create_dir(at).unwrap()),
];

#[tokio::test]
async fn whatever_is_planted_in_the_way_is_refused_and_left_as_it_is() {
    for (word, plant) in PLANTS {
        let where_to: [fn(&Folder) -> PathBuf; 4] =
            [Folder::file, Folder::sidecar, |f| f.temporaries()[0].clone(), |f| f.temporaries()[1].clone()];
        for at in where_to {
            let folder = Folder::new();
            let at = at(&folder);
            plant(&folder, &at);
            let before = folder.names();
            let delivery = folder.delivery("/state");
            let planned = delivery.preflight(&agent()).await.unwrap_err();
            let done = deliver(&delivery, &agent(), SECRET, 1).await.unwrap_err();
            for error in [planned, done] {
                assert!(matches!(error, DeliveryError::Unfit { .. }), "{}: {error}", at.display());
                assert!(error.to_string().contains(word), "{}: {error}", at.display());
                assert!(!error.to_string().contains(SECRET));
            }
            assert_eq!(folder.names(), before, "{}", at.display());
            folder.assert_the_outside_is_untouched();
        }
    }
}

#[tokio::test]
async fn a_link_in_the_files_place_is_not_read_through() {
    for (word, plant) in PLANTS {
        let folder = Folder::new();
        plant(&folder, &folder.file());
        let error = folder.delivery("/state").found(&agent()).await.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn a_folder_that_is_a_link_or_no_folder_or_not_there_is_refused() {
    let folder = Folder::new();
    symlink(&folder.outside, folder.inside.join("link")).unwrap();
    std::fs::write(folder.inside.join("plain"), "").unwrap();
    for (path, word) in [
        (folder.inside.join("link/credential"), "symbolic link"),
        (folder.inside.join("plain/credential"), "no folder"),
        (folder.inside.join("absent/credential"), "create it"),
        (PathBuf::from("relative"), "absolute"),
        (PathBuf::from("/"), "names no file"),
    ] {
        let delivery = delivery_to(path, "/state");
        for error in [
            delivery.preflight(&agent()).await.unwrap_err(),
            deliver(&delivery, &agent(), SECRET, 1).await.unwrap_err(),
            delivery.found(&agent()).await.map(|_| ()).unwrap_err(),
            delivery.login(&agent()).await.map(|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error, DeliveryError::Unfit { .. }) && error.to_string().contains(word), "{error}");
        }
    }
    folder.assert_the_outside_is_untouched();
}

#[tokio::test]
async fn what_a_crash_before_the_rename_left_is_removed_and_the_old_credential_stood() {
    let folder = Folder::new();
    let delivery = folder.delivery("/state");
    deliver(&delivery, &agent(), "old", 1).await.unwrap();
    for temporary in folder.temporaries() {
        std::fs::write(temporary, "half a creden").unwrap();
    }
    assert_eq!(delivery.found(&agent()).await.unwrap(), found_of(print_of("old")));
    delivery.preflight(&agent()).await.unwrap();
    deliver(&delivery, &agent(), SECRET, 2).await.unwrap();
    assert_eq!(delivery.found(&agent()).await.unwrap(), found_of(print_of(SECRET)));
    assert_eq!(folder.names(), ["credential", "credential.switchman.json"]);
}

#[tokio::test]
async fn a_crash_between_the_renames_leaves_the_new_credential_and_the_old_number() {
    let folder = Folder::new();
    let delivery = folder.delivery("/state");
    deliver(&delivery, &agent(), "old", 1).await.unwrap();
    let old_sidecar = std::fs::read(folder.sidecar()).unwrap();
    deliver(&delivery, &agent(), SECRET, 2).await.unwrap();
    std::fs::write(folder.sidecar(), old_sidecar).unwrap();
    assert_eq!(delivery.found(&agent()).await.unwrap(), found_of(print_of(SECRET)));
    assert_eq!(delivery.sidecar(&agent()).await.unwrap().unwrap().generation, Generation(1));
    deliver(&delivery, &agent(), SECRET, 2).await.unwrap();
    assert_eq!(delivery.sidecar(&agent()).await.unwrap().unwrap().generation, Generation(2));
}

#[tokio::test]
async fn an_empty_file_is_no_credential_and_a_huge_one_neither() {
    let folder = Folder::new();
    let delivery = folder.delivery("/state");
    for empty in ["", "\n"] {
        std::fs::write(folder.file(), empty).unwrap();
        assert_eq!(delivery.found(&agent()).await.unwrap(), Found::Nothing);
    }
    std::fs::write(folder.file(), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(delivery.found(&agent()).await, Err(DeliveryError::Unfit { .. })));
}

#[tokio::test]
async fn a_second_daemon_that_delivers_to_the_same_agent_is_noticed() {
    let folder = Folder::new();
    let (ours, theirs) = (folder.delivery("/state/ours"), folder.delivery("/state/theirs"));
    assert_eq!(ours.other_owner(&agent()).await.unwrap(), None);
    deliver(&ours, &agent(), SECRET, 1).await.unwrap();
    assert_eq!(ours.other_owner(&agent()).await.unwrap(), None);
    ours.preflight(&agent()).await.unwrap();
    deliver(&theirs, &agent(), SECRET, 1).await.unwrap();
    assert_eq!(ours.other_owner(&agent()).await.unwrap().as_deref(), Some("/state/theirs"));
    // It is refused, with whom it belongs to and what to do; and it is not taken for ours.
    let error = ours.preflight(&agent()).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Permanent);
    let what_to_do = format!("/state/theirs; stop that one, or if it is gone remove {}", folder.sidecar().display());
    assert!(error.to_string().contains(&what_to_do), "{error}");
    let of_nobody = Found::Credential(FoundCredential::of_static(print_of(SECRET)));
    assert_eq!(ours.found(&agent()).await.unwrap(), of_nobody);
    std::fs::remove_file(folder.sidecar()).unwrap();
    ours.preflight(&agent()).await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_the_old_or_the_new_credential_and_nothing_between() {
    let folder = Folder::new();
    let delivery = folder.delivery("/state");
    let long = |byte: char| byte.to_string().repeat(100_000);
    deliver(&delivery, &agent(), &long('a'), 1).await.unwrap();
    let file = folder.file();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let reading = tokio::task::spawn_blocking(move || {
        let mut reads = 0_u32;
        while stopped.try_recv().is_err() || reads == 0 {
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(text.len(), 100_000);
            assert!(text.bytes().all(|byte| byte == text.as_bytes()[0]), "a mixture was read");
            reads += 1;
        }
    });
    for generation in 2..20 {
        let byte = if generation % 2 == 0 { 'b' } else { 'a' };
        deliver(&delivery, &agent(), &long(byte), generation).await.unwrap();
    }
    stop.send(()).unwrap();
    reading.await.unwrap();
}
