//! The file in which a login is kept, read and renewed.
//!
//! It must not replace a newer login by an older one, nor one account's by another's, and at no moment may the file hold
//! anything but one whole document: the new one is written beside it, synced and renamed over it.
//!
//! The file keeps the time at which the tool wrote its login, not the time at which it was put back: what the tool writes
//! while it is being put back is later than the one and earlier than the other.
//!
//! Tests: below, and `tests/delivery_conformance.rs` with histories of refreshes, switches and crashes.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::Failure;
use crate::domain::credential::is_exposed;
use crate::domain::{CredentialRef, SubscriptionName, SubscriptionType};
use crate::drivers::folder::{self, Content, SECRET_MODE, Trouble, owner, written_at};
use crate::drivers::login;
use crate::ports::credentials::{Credential, Login, TakenBack};

/// A login with its line end. A larger file is none.
const BYTES_MAX: u64 = CredentialRef::BYTES_MAX as u64 + 2;

/// Reads a login. A blocking call.
pub(super) fn read(path: &Path, subscription: &SubscriptionName) -> Result<Credential, Failure> {
    let unreadable = |trouble: Trouble| Failure::Unreadable(trouble.why);
    let (folder, file) = folder::open(path).map_err(unreadable)?;
    let Some(Content { bytes, stat }) = folder.read(&file, BYTES_MAX).map_err(unreadable)? else {
        return Err(Failure::Unreadable("there is no such file; log in, and put there what the tool wrote".to_owned()));
    };
    if is_exposed(stat.st_mode) {
        let mode = stat.st_mode & 0o7777;
        let why = format!("others may open it (mode {mode:04o}): chmod 600 {}", path.display());
        return Err(Failure::Implausible(why));
    }
    let facts = login::read(&bytes).map_err(|why| Failure::Implausible(why.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::Implausible("it is not UTF-8 text".to_owned()))?;
    Ok(Credential {
        secret: SecretString::from(text),
        fingerprint: login::known_by(&facts, subscription),
        content: facts.content,
        kind: SubscriptionType::Login,
    })
}

/// Puts an agent's login in place of the one that is kept, if it is newer. The error says what to mend. A blocking call.
pub(super) fn put_back(path: &Path, login: &Login) -> Result<TakenBack, String> {
    let document = login.document.expose_secret().as_bytes();
    // Damaged, empty or not to be renewed: whatever is kept is better.
    let Ok(agents) = login::read(document) else { return Ok(TakenBack::NotNewer) };
    let told = |trouble: Trouble| trouble.why;
    let (folder, file) = folder::open(path).map_err(told)?;
    let Some(Content { bytes, stat }) = folder.read(&file, BYTES_MAX).map_err(told)? else {
        return Err("there is no such file; put the login there that the agent has".to_owned());
    };
    let kept = login::read(&bytes).map_err(|why| format!("{why}; put the login there that the agent has"))?;
    match login::compare((&agents, login.written_at), (&kept, written_at(&stat))) {
        TakenBack::Newer => {}
        other @ (TakenBack::Same | TakenBack::NotNewer) => return Ok(other),
    }
    let to = |trouble: Trouble| format!("{}; switchman must be able to write there", trouble.why);
    folder.check_writable().map_err(to)?;
    let (user, group) = owner(&stat);
    let new =
        folder.write(&file, document, SECRET_MODE, Some((user, Some(group))), Some(login.written_at)).map_err(to)?;
    let is_the_one = |now: rustix::fs::Stat| {
        let mark = |stat: &rustix::fs::Stat| (stat.st_ino, stat.st_mtime, stat.st_mtime_nsec, stat.st_size);
        mark(&now) == mark(&stat)
    };
    if !folder.regular(&file).map_err(told)?.is_some_and(is_the_one) {
        return Err("somebody changed it at this very moment".to_owned());
    }
    let placed = folder.rename(new, &file).map_err(told)?;
    folder.sync().and_then(|()| folder.check_placed(placed, &file)).map_err(told)?;
    Ok(TakenBack::Newer)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;
    use crate::domain::Wall;

    fn document(account: &str, refresh: &str, day: u32) -> String {
        format!(
            "{{\n  \"tokens\": {{\"refresh_token\": \"CANARY-{refresh}\", \"account_id\": \"{account}\"}},\n  \
             \"last_refresh\": \"2026-01-{day:02}T00:00:00Z\"\n}}\n"
        )
    }

    fn login(text: &str) -> Login {
        Login { document: SecretString::from(text), written_at: Wall(1_700_000_000_123) }
    }

    /// A folder with a login that is kept in it.
    fn kept(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("login");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        (dir, path)
    }

    fn refused(path: &Path) -> String {
        let said = match read(path, &SubscriptionName::new("a")).unwrap_err() {
            Failure::Unreadable(why) | Failure::Implausible(why) => why,
        };
        assert!(!said.contains("CANARY"), "{said}");
        said
    }

    #[test]
    fn a_login_of_several_lines_is_read_and_known_by_its_account() {
        let (_dir, path) = kept(&document("a", "1", 1));
        let name = SubscriptionName::new("a");
        let first = read(&path, &name).unwrap();
        assert_eq!(first.secret.expose_secret(), document("a", "1", 1));
        assert_eq!(put_back(&path, &login(&document("a", "2", 2))), Ok(TakenBack::Newer));
        let second = read(&path, &name).unwrap();
        assert_eq!((&first.fingerprint, first.kind), (&second.fingerprint, SubscriptionType::Login));
        assert_ne!(first.content, second.content);
        assert!(!format!("{first:?}").contains("CANARY"));
    }

    #[test]
    fn what_is_put_back_is_whole_keeps_its_owner_and_the_time_the_tool_wrote_it() {
        let (dir, path) = kept(&document("a", "1", 1));
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(4321), Some(4321)).unwrap();
        }
        let before = std::fs::metadata(&path).unwrap();
        // A crash before the rename left this.
        std::fs::write(dir.path().join(".login.switchman-new"), "half a docu").unwrap();
        let newer = login(&document("a", "2", 2));
        assert_eq!(put_back(&path, &newer), Ok(TakenBack::Newer));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), newer.document.expose_secret());
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (before.uid(), before.gid(), 0o600));
        assert_eq!((found.mtime(), found.mtime_nsec()), (1_700_000_000, 123_000_000));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // Again is once.
        assert_eq!(put_back(&path, &newer), Ok(TakenBack::Same));
    }

    #[test]
    fn nothing_worse_takes_the_place_of_what_is_kept() {
        let now = document("a", "5", 5);
        let (_dir, path) = kept(&now);
        for other in [
            document("a", "4", 4),
            document("b", "6", 6),
            String::new(),
            "{\"tokens\":{\"refresh_token\":\"CANARY".to_owned(),
            document("a", "6", 6).replace("CANARY-6", ""),
            "{\"refresh_token\":\"CANARY\",\"expiry_date\":99999999999999}".to_owned(),
        ] {
            assert_eq!(put_back(&path, &login(&other)), Ok(TakenBack::NotNewer), "{other}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), now);
        }
    }

    #[test]
    fn a_place_that_cannot_take_it_is_told_with_what_to_mend_and_without_the_secret() {
        let newer = login(&document("a", "2", 2));
        let (dir, path) = kept(&document("a", "1", 1));
        let said = |path: &Path| {
            let said = put_back(path, &newer).unwrap_err();
            assert!(!said.contains("CANARY"), "{said}");
            said
        };
        symlink(&path, dir.path().join("link")).unwrap();
        assert!(said(&path.with_file_name("link")).contains("symbolic link"));
        assert!(said(&path.with_file_name("missing")).contains("there is no such file; put the login there"));
        assert!(said(&path.join("below")).contains("is no folder"));
        std::fs::write(path.with_file_name("torn"), "{\"tokens\":{\"CANARY").unwrap();
        assert!(said(&path.with_file_name("torn")).contains("it is no JSON document; put the login there"));
        let in_the_way = path.with_file_name(".login.switchman-new");
        std::fs::create_dir(&in_the_way).unwrap();
        assert!(
            said(&path).contains("is a folder; remove it, switchman does not; switchman must be able to write there")
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), document("a", "1", 1));
    }

    #[test]
    fn a_file_that_is_no_login_is_refused_with_the_reason() {
        let (dir, path) = kept("sk-ant-CANARY");
        assert_eq!(refused(&path), "it is no JSON document");
        std::fs::write(&path, "{\"token\":\"CANARY\"}").unwrap();
        assert_eq!(refused(&path), "it holds no refresh token");
        std::fs::write(&path, "").unwrap();
        assert_eq!(refused(&path), "it is empty");
        std::fs::write(&path, vec![b' '; 70_000]).unwrap();
        assert!(refused(&path).contains("is larger than"));
        std::fs::write(&path, document("a", "1", 1)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refused(&path).contains("others may open it (mode 0640): chmod 600 "));
        assert!(refused(&path.with_file_name("missing")).contains("there is no such file; log in"));
        symlink(&path, dir.path().join("link")).unwrap();
        assert!(refused(&path.with_file_name("link")).contains("symbolic link"));
    }
}
