//! What the config says of a file: its format, its owner, its mode.

use switchman::drivers::delivery::{Ownership, Shape};

use super::*;

fn shapes() -> [(Shape, String); 3] {
    let names = BTreeMap::from([(SubscriptionName::new("max-b"), "CLAUDE_CODE_OAUTH_TOKEN")]);
    [
        (Shape::Raw, SECRET.to_owned()),
        (Shape::Dotenv(names), format!("CLAUDE_CODE_OAUTH_TOKEN={SECRET}\n")),
        (
            Shape::ClaudeCredentials,
            format!("{{\"claudeAiOauth\":{{\"accessToken\":\"{SECRET}\",\"refreshToken\":null,"),
        ),
    ]
}

#[tokio::test]
async fn every_format_is_found_again_as_the_credential_in_it() {
    for (shape, beginning) in shapes() {
        let folder = Folder::new();
        let delivery = delivery_of(FileTarget { shape, ..FileTarget::raw(folder.file()) }, "/state");
        assert_eq!(delivery.found(&agent()).await.unwrap(), Found::Nothing);
        delivery.preflight(&agent()).await.unwrap();
        deliver(&delivery, &agent(), SECRET, 1).await.unwrap();
        assert!(std::fs::read_to_string(folder.file()).unwrap().starts_with(&beginning));
        assert_eq!(delivery.found(&agent()).await.unwrap(), found_of(print_of(SECRET)));
        assert!(delivery.login(&agent()).await.unwrap().is_none());
        std::fs::write(folder.file(), "").unwrap();
        assert_eq!(delivery.found(&agent()).await.unwrap(), Found::Nothing);
    }
}

#[tokio::test]
async fn what_a_format_cannot_hold_changes_nothing() {
    for shape in [Shape::Dotenv(BTreeMap::new()), Shape::ClaudeCredentials] {
        let folder = Folder::new();
        let delivery = delivery_of(FileTarget { shape, ..FileTarget::raw(folder.file()) }, "/state");
        let error = deliver(&delivery, &agent(), "CANARY\nCANARY", 1).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Unfit { .. }) && !format!("{error:?}").contains("CANARY"), "{error}");
        assert!(folder.names().is_empty());
    }
}

#[tokio::test]
async fn the_mode_is_the_configured_one_whatever_it_was() {
    for mode_of_it in [0o600, 0o640, 0o444] {
        let folder = Folder::new();
        let delivery = delivery_of(FileTarget { mode: mode_of_it, ..FileTarget::raw(folder.file()) }, "/state");
        for generation in 1..3 {
            deliver(&delivery, &agent(), SECRET, generation).await.unwrap();
            assert_eq!((mode(&folder.file()), mode(&folder.sidecar())), (mode_of_it, 0o644));
        }
    }
}

#[tokio::test]
async fn the_configured_owner_goes_before_that_of_the_old_file_and_of_the_folder() {
    if !rustix::process::geteuid().is_root() {
        // Only root may give files away.
        return;
    }
    for (of_the_file, group, expected) in [(Some(4321), Some(7), 7), (Some(4321), None, 4321), (None, None, 1234)] {
        let folder = Folder::new();
        std::os::unix::fs::chown(&folder.inside, Some(1234), Some(1234)).unwrap();
        if let Some(owner) = of_the_file {
            std::fs::write(folder.file(), "old").unwrap();
            std::os::unix::fs::chown(folder.file(), Some(owner), Some(owner)).unwrap();
        }
        let owner = Some(Ownership { user: 1000, group });
        let delivery = delivery_of(FileTarget { owner, ..FileTarget::raw(folder.file()) }, "/state");
        delivery.preflight(&agent()).await.unwrap();
        deliver(&delivery, &agent(), SECRET, 1).await.unwrap();
        for path in [folder.file(), folder.sidecar()] {
            let found = std::fs::metadata(path).unwrap();
            assert_eq!((found.uid(), found.gid()), (1000, expected));
        }
    }
}
