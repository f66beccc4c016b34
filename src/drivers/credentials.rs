//! Reads credentials from files, variables, systemd and commands, afresh every time.
//!
//! It must not keep, log or quote a credential: an error says where it should have come from and what was
//! wrong with it, never what was read. Buffers of ours are wiped when they are dropped.
//!
//! Invariants: a read ends (a FIFO is not waited for, a command has ten seconds) · what is handed out of a static
//! credential is one line of text, without its line end, and so is what the fingerprint is of · a login is the document
//! as it is, and only a newer one of the same account ever takes its place.
//!
//! Tests: below, with canaries; plausibility in `domain::credential`.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

mod kept;

use super::fingerprint::fingerprint;
use crate::domain::credential::{implausible, is_exposed, without_line_end};
use crate::domain::{CredentialRef, SubscriptionName, SubscriptionType};
use crate::ports::Pending;
use crate::ports::clock::Clock;
use crate::ports::credentials::{Credential, CredentialError, CredentialSource, Login, TakenBack};

/// How long a command may take to print a credential.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// One byte more than the largest credential with its line end: enough to see that there is more.
const READ_MAX: usize = CredentialRef::BYTES_MAX + 3;

/// The daemon's environment.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Reads the credentials that a config refers to.
pub struct Credentials {
    references: RwLock<References>,
    env: Environment,
    systemd: Option<PathBuf>,
    clock: Arc<dyn Clock>,
    /// One login is put back at a time: what is compared must be what is replaced.
    putting_back: Arc<Mutex<()>>,
}

/// Where the credential of each subscription comes from.
type References = BTreeMap<SubscriptionName, Reference>;

#[derive(Clone, PartialEq, Eq)]
struct Reference {
    from: CredentialRef,
    kind: SubscriptionType,
    /// The subscription is in the config no more. An agent may still have a login of it, which belongs back there.
    is_retired: bool,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("subscriptions", &self.lock().keys()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// `systemd` is the directory that systemd put the service's credentials into, `$CREDENTIALS_DIRECTORY`.
    #[must_use]
    pub fn new(
        references: impl IntoIterator<Item = (SubscriptionName, CredentialRef, SubscriptionType)>,
        env: Environment,
        systemd: Option<PathBuf>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { references: RwLock::new(named(references)), env, systemd, clock, putting_back: Arc::default() }
    }

    /// From now on credentials come from here. A login of a subscription that has gone is still put back where it was
    /// kept, as long as there is such a file. Gives the subscriptions whose credential comes from somewhere else.
    pub fn refer_to(
        &self,
        references: impl IntoIterator<Item = (SubscriptionName, CredentialRef, SubscriptionType)>,
    ) -> Vec<SubscriptionName> {
        let new = named(references);
        let mut all = self.references.write().unwrap_or_else(PoisonError::into_inner);
        let differs = |name: &&SubscriptionName| all.get(*name).is_some_and(|old| Some(old) != new.get(*name));
        let changed = new.keys().filter(differs).cloned().collect();
        for (name, reference) in all.iter_mut() {
            if let Some(new) = new.get(name) {
                reference.clone_from(new);
            } else {
                reference.is_retired = true;
            }
        }
        all.extend(new);
        changed
    }

    fn lock(&self) -> std::sync::RwLockReadGuard<'_, References> {
        self.references.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a subscription's credential comes from, or came from.
    fn reference(&self, subscription: &SubscriptionName) -> Result<Reference, CredentialError> {
        let known = self.lock().get(subscription).cloned();
        known.ok_or_else(|| CredentialError::NoSuchSubscription(subscription.clone()))
    }

    async fn content(&self, reference: &CredentialRef) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match reference {
            CredentialRef::File(path) => read_file(path.clone(), Mode::OwnerOnly).await,
            CredentialRef::Systemd(name) => {
                let Some(directory) = &self.systemd else {
                    let why = "systemd handed no credentials to this process (CREDENTIALS_DIRECTORY is not set)";
                    return Err(Failure::Unreadable(why.to_owned()));
                };
                // systemd protects the directory, and marks access by others in the mode where it grants the
                // service access by an ACL.
                read_file(directory.join(name), Mode::Any).await
            }
            CredentialRef::Env(name) => match (self.env)(name) {
                Some(value) => Ok(Zeroizing::new(value.into_bytes())),
                None => Err(Failure::Unreadable("it is not set".to_owned())),
            },
            CredentialRef::Command(argv) => run(argv, self.clock.as_ref()).await,
        }
    }
}

fn named(references: impl IntoIterator<Item = (SubscriptionName, CredentialRef, SubscriptionType)>) -> References {
    references.into_iter().map(|(name, from, kind)| (name, Reference { from, kind, is_retired: false })).collect()
}

impl Credentials {
    async fn login(&self, reference: &CredentialRef, name: &SubscriptionName) -> Result<Credential, Failure> {
        let CredentialRef::File(path) = reference else {
            return Err(Failure::Implausible(
                "a login is kept in a file, into which renewed ones are put back".to_owned(),
            ));
        };
        let (path, name) = (path.clone(), name.clone());
        match tokio::task::spawn_blocking(move || kept::read(&path, &name)).await {
            Ok(read) => read,
            Err(_) => Err(Failure::Unreadable("reading it was broken off".to_owned())),
        }
    }
}

impl CredentialSource for Credentials {
    fn read<'a>(&'a self, subscription: &'a SubscriptionName) -> Pending<'a, Result<Credential, CredentialError>> {
        Box::pin(async move {
            // Also one that has gone: whoever is just being started on it is started on it (G6).
            let Reference { from: reference, kind, .. } = self.reference(subscription)?;
            let read = match kind {
                SubscriptionType::Login => self.login(&reference, subscription).await,
                SubscriptionType::SetupToken | SubscriptionType::ApiKey => {
                    self.content(&reference).await.and_then(|content| plausible(&content, kind))
                }
            };
            read.map_err(|failure| {
                let (subscription, place) = (subscription.clone(), reference.to_string());
                match failure {
                    Failure::Unreadable(why) => CredentialError::Unreadable { subscription, place, why },
                    Failure::Implausible(why) => CredentialError::Implausible { subscription, place, why },
                }
            })
        })
    }

    fn take_back<'a>(
        &'a self,
        subscription: &'a SubscriptionName,
        login: &'a Login,
    ) -> Pending<'a, Result<TakenBack, CredentialError>> {
        Box::pin(async move {
            let Reference { from: reference, kind, is_retired } = self.reference(subscription)?;
            let (CredentialRef::File(path), SubscriptionType::Login) = (&reference, kind) else {
                // Only people change a static credential.
                return Ok(TakenBack::NotNewer);
            };
            // Whoever took both the subscription and its file away wants neither kept.
            if is_retired && std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                return Ok(TakenBack::NotNewer);
            }
            let (path, login, putting_back) = (path.clone(), login.clone(), Arc::clone(&self.putting_back));
            let put = tokio::task::spawn_blocking(move || {
                let _one_at_a_time = putting_back.lock().unwrap_or_else(PoisonError::into_inner);
                kept::put_back(&path, &login)
            });
            put.await.unwrap_or_else(|_| Err("the work on it was cut off".to_owned())).map_err(|why| {
                let (subscription, place) = (subscription.clone(), reference.to_string());
                CredentialError::NotPutBack { subscription, place, why }
            })
        })
    }
}

/// Why there is no credential.
#[derive(Debug)]
enum Failure {
    Unreadable(String),
    Implausible(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    OwnerOnly,
    Any,
}

fn plausible(content: &[u8], kind: SubscriptionType) -> Result<Credential, Failure> {
    let content = without_line_end(content);
    if let Some(why) = implausible(content) {
        return Err(Failure::Implausible(why.to_owned()));
    }
    let Ok(text) = std::str::from_utf8(content) else {
        return Err(Failure::Implausible("it is not UTF-8 text".to_owned()));
    };
    Ok(Credential::of_static(SecretString::from(text), fingerprint(content), kind))
}

async fn read_file(path: PathBuf, mode: Mode) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match tokio::task::spawn_blocking(move || read_file_now(&path, mode)).await {
        Ok(read) => read,
        Err(_) => Err(Failure::Unreadable("reading it was broken off".to_owned())),
    }
}

fn read_file_now(path: &Path, mode: Mode) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |err: std::io::Error| Failure::Unreadable(err.to_string());
    // Opening a FIFO must not wait for a writer that never comes.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Failure::Implausible("it is not a file".to_owned()));
    }
    if mode == Mode::OwnerOnly && is_exposed(metadata.mode()) {
        let mode = metadata.mode() & 0o7777;
        let why = format!("others may open it (mode {mode:04o}): chmod 600 {}", path.display());
        return Err(Failure::Implausible(why));
    }
    // Never grown, so no copy of the content is left behind in memory.
    let mut content = Zeroizing::new(Vec::with_capacity(READ_MAX));
    file.take(u64::try_from(READ_MAX).unwrap_or(u64::MAX)).read_to_end(&mut content).map_err(unreadable)?;
    Ok(content)
}

/// Runs a command and takes what it prints. Its standard error goes nowhere: it may hold anything.
async fn run(argv: &[String], clock: &dyn Clock) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Failure::Unreadable("it names no program".to_owned()));
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A group of its own, so that what the command started ends with it.
    command.kill_on_drop(true).process_group(0);
    let mut child = command.spawn().map_err(|err| Failure::Unreadable(format!("it cannot be started: {err}")))?;
    let output = async {
        let mut content = Zeroizing::new(Vec::with_capacity(READ_MAX));
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(u64::try_from(READ_MAX).unwrap_or(u64::MAX));
            let read = stdout.read_to_end(&mut content).await;
            read.map_err(|err| Failure::Unreadable(format!("its output cannot be read: {err}")))?;
        }
        if content.len() > CredentialRef::BYTES_MAX + 2 {
            return Err(Failure::Implausible("it is larger than 64 KiB".to_owned()));
        }
        let status = child.wait().await.map_err(|err| Failure::Unreadable(err.to_string()))?;
        if !status.success() {
            return Err(Failure::Unreadable(format!("it failed: {status}")));
        }
        Ok(content)
    };
    let read = tokio::select! {
        biased;
        read = output => read,
        () = clock.sleep(COMMAND_TIMEOUT) => {
            let secs = COMMAND_TIMEOUT.as_secs();
            Err(Failure::Unreadable(format!("it did not finish within {secs} s")))
        }
    };
    // Once it has been waited for, it has no id any more: the number may belong to somebody else.
    if let Some(group) = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
        // Already gone is as good.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    read
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::domain::{Moment, Steady, Wall};

    const CANARY: &str = "sk-CANARY-5f2d";

    /// A clock whose sleeps end when the test says so, or never.
    #[derive(Default)]
    struct TestClock {
        over: Mutex<Option<tokio::sync::oneshot::Receiver<()>>>,
    }

    impl Clock for TestClock {
        fn now(&self) -> Moment {
            Moment { wall: Wall(0), steady: Steady(0) }
        }
        fn sleep(&self, duration: Duration) -> Pending<'_, ()> {
            assert_eq!(duration, COMMAND_TIMEOUT);
            let over = self.over.lock().unwrap().take();
            Box::pin(async move {
                match over {
                    Some(over) => over.await.unwrap(),
                    None => std::future::pending().await,
                }
            })
        }
    }

    fn credentials(reference: CredentialRef, systemd: Option<PathBuf>, clock: TestClock) -> Credentials {
        let env: Environment = Arc::new(|key| match key {
            "SET" => Some(CANARY.to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        });
        Credentials::new(
            [(SubscriptionName::new("a"), reference, SubscriptionType::SetupToken)],
            env,
            systemd,
            Arc::new(clock),
        )
    }

    async fn read(reference: CredentialRef) -> Result<Credential, CredentialError> {
        credentials(reference, None, TestClock::default()).read(&SubscriptionName::new("a")).await
    }

    /// The complaint about a credential that cannot be had; it holds no canary.
    async fn refused(reference: CredentialRef) -> String {
        let err = read(reference).await.unwrap_err();
        let shown = format!("{err} {err:?}");
        assert!(!shown.contains("CANARY"), "{shown}");
        err.to_string()
    }

    fn file(dir: &tempfile::TempDir, name: &str, content: &[u8], mode: u32) -> CredentialRef {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        CredentialRef::File(path)
    }

    fn sh(script: &str) -> CredentialRef {
        CredentialRef::Command(vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()])
    }

    #[tokio::test]
    async fn every_form_gives_the_same_credential() {
        let dir = tempfile::tempdir().unwrap();
        let line = format!("{CANARY}\n");
        let forms = [
            file(&dir, "a", line.as_bytes(), 0o600),
            CredentialRef::Env("SET".to_owned()),
            sh(&format!("echo {CANARY}; echo CANARY >&2")),
        ];
        let mut all = Vec::new();
        for form in forms {
            all.push(read(form).await.unwrap());
        }
        file(&dir, "max-a", line.as_bytes(), 0o440);
        let handed =
            credentials(CredentialRef::Systemd("max-a".into()), Some(dir.path().to_owned()), TestClock::default());
        all.push(handed.read(&SubscriptionName::new("a")).await.unwrap());
        for credential in &all {
            assert_eq!(credential.secret.expose_secret(), CANARY);
            assert_eq!(credential.fingerprint, fingerprint(CANARY.as_bytes()));
            assert!(!format!("{credential:?}{handed:?}").contains("CANARY"));
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_credential_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![b'x'; CredentialRef::BYTES_MAX + 1];
        let cases: [(&str, &[u8], u32, &str); 7] = [
            ("exposed", b"CANARY", 0o644, "others may open it (mode 0644): chmod 600 "),
            ("grouped", b"CANARY", 0o640, "others may open it (mode 0640)"),
            ("empty", b"\n", 0o600, "it is empty"),
            ("lines", b"CANARY\nCANARY\n", 0o600, "it has more than one line"),
            ("nul", b"CANARY\0", 0o600, "it contains a control character"),
            ("bytes", b"CANARY\xff", 0o600, "it is not UTF-8 text"),
            ("long", &long, 0o600, "it is larger than 64 KiB"),
        ];
        for (name, content, mode, why) in cases {
            let said = refused(file(&dir, name, content, mode)).await;
            assert!(said.contains("\"a\" is not usable: file /") && said.contains(why), "{name}: {said}");
        }
        let said = refused(CredentialRef::File(dir.path().to_owned())).await;
        assert!(said.contains("it is not a file"), "{said}");
        let said = refused(CredentialRef::File(dir.path().join("missing"))).await;
        assert!(said.contains("is not readable") && said.contains("No such file"), "{said}");
    }

    #[tokio::test]
    async fn a_fifo_is_not_waited_for_and_a_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        assert!(refused(CredentialRef::File(fifo)).await.contains("it is not a file"));
        file(&dir, "real", CANARY.as_bytes(), 0o600);
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        assert!(read(CredentialRef::File(dir.path().join("link"))).await.is_ok());
    }

    #[tokio::test]
    async fn variables_and_systemd_say_what_is_missing() {
        assert!(refused(CredentialRef::Env("UNSET".into())).await.contains("variable UNSET: it is not set"));
        assert!(refused(CredentialRef::Env("EMPTY".into())).await.contains("it is empty"));
        assert!(refused(CredentialRef::Systemd("x".into())).await.contains("CREDENTIALS_DIRECTORY is not set"));
        let stranger = SubscriptionName::new("b");
        let err = credentials(CredentialRef::Env("SET".into()), None, TestClock::default())
            .read(&stranger)
            .await
            .unwrap_err();
        assert!(matches!(err, CredentialError::NoSuchSubscription(name) if name == stranger));
    }

    #[tokio::test]
    async fn what_a_changed_config_refers_to_is_read_from_there_and_a_login_that_has_gone_is_still_put_back() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let login = |refresh: &str, day: u32| {
            let tokens = format!(r#"{{"refresh_token": "CANARY-{refresh}", "account_id": "one"}}"#);
            format!(r#"{{"tokens": {tokens}, "last_refresh": "2026-01-{day:02}T00:00:00Z"}}"#)
        };
        let kept = root.join("kept");
        std::fs::write(&kept, login("1", 1)).unwrap();
        std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (a, b) = (SubscriptionName::new("a"), SubscriptionName::new("b"));
        let of_a = |kind| (a.clone(), CredentialRef::Env("SET".to_owned()), kind);
        let of_b = || (b.clone(), CredentialRef::File(kept.clone()), SubscriptionType::Login);
        let credentials = credentials(CredentialRef::Env("EMPTY".to_owned()), None, TestClock::default());
        assert!(credentials.read(&a).await.is_err());
        assert_eq!(credentials.refer_to([of_a(SubscriptionType::SetupToken), of_b()]), std::slice::from_ref(&a));
        assert!(credentials.read(&a).await.is_ok() && credentials.read(&b).await.is_ok());
        assert!(credentials.refer_to([of_a(SubscriptionType::SetupToken), of_b()]).is_empty());

        // Gone, and an agent has a newer one: it would be the only one.
        assert!(credentials.refer_to([of_a(SubscriptionType::SetupToken)]).is_empty());
        let agents = Login { document: SecretString::from(login("2", 2)), written_at: Wall(1_800_000_000_000) };
        assert_eq!(credentials.take_back(&b, &agents).await.unwrap(), TakenBack::Newer);
        assert!(std::fs::read_to_string(&kept).unwrap().contains("CANARY-2"));
        // With its file it is gone for good, and holds up nobody.
        std::fs::remove_file(&kept).unwrap();
        assert_eq!(credentials.take_back(&b, &agents).await.unwrap(), TakenBack::NotNewer);
        // Back in the config it has to be there.
        assert_eq!(credentials.refer_to([of_a(SubscriptionType::SetupToken), of_b()]), std::slice::from_ref(&b));
        assert!(credentials.take_back(&b, &agents).await.is_err());
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_apart_and_not_quoted() {
        assert!(refused(sh("echo CANARY; echo CANARY >&2; exit 3")).await.ends_with("it failed: exit status: 3"));
        assert!(refused(sh("true")).await.contains("it is empty"));
        assert!(refused(sh("head -c 70000 /dev/zero")).await.contains("it is larger than 64 KiB"));
        let absent = CredentialRef::Command(vec!["/nonexistent/program".to_owned(), "CANARY".into()]);
        assert!(refused(absent).await.contains("it cannot be started: No such file"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("alive");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        let script = format!("exec 3>'{}'; sh -c 'echo started >&3; kill -STOP $$' & wait", fifo.display());
        let (started, over) = tokio::sync::oneshot::channel();
        let (gone, all_gone) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut reader = std::fs::File::open(fifo).unwrap();
            reader.read_exact(&mut [0; 8]).unwrap();
            started.send(()).unwrap();
            // Ends when nobody holds the writing end any more: neither the command nor what it started.
            reader.read_to_end(&mut Vec::new()).unwrap();
            gone.send(()).unwrap();
        });
        let clock = TestClock { over: Mutex::new(Some(over)) };
        let err = credentials(sh(&script), None, clock).read(&SubscriptionName::new("a")).await.unwrap_err();
        assert!(err.to_string().ends_with("command sh: it did not finish within 10 s"), "{err}");
        tokio::time::timeout(Duration::from_secs(30), all_gone).await.unwrap().unwrap();
    }
}
