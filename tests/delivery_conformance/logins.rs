//! Logins: what a tool renews is found, taken back and never lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use switchman::domain::{CredentialRef, Moment, Steady, Wall};
use switchman::drivers::credentials::Credentials;
use switchman::drivers::login;
use switchman::ports::Pending;
use switchman::ports::clock::Clock;
use switchman::ports::credentials::{CredentialSource, Login, TakenBack};
use switchman::ports::delivery::Account;

use super::*;

fn codex(refresh: u64) -> String {
    let tokens = json!({"refresh_token": format!("r{refresh}"), "account_id": "acc"});
    json!({"tokens": tokens, "last_refresh": format!("2026-01-01T00:00:{:02}Z", refresh % 60)}).to_string()
}

pub(super) async fn what_was_delivered_and_renewed_is_found(delivery: &dyn Delivery, tool_writes: &dyn Fn(&str)) {
    deliver(delivery, &agent(), SECRET, 1).await.unwrap();
    assert!(delivery.login(&agent()).await.unwrap().is_none());
    deliver(delivery, &agent(), &codex(1), 2).await.unwrap();
    let mut accounts = Vec::new();
    let mut written_at = Wall(i64::MIN);
    for refresh in [1, 2] {
        if refresh > 1 {
            tool_writes(&codex(refresh));
        }
        let Found::Credential(found) = delivery.found(&agent()).await.unwrap() else { panic!("nothing found") };
        assert_eq!(found.content, print_of(&codex(refresh)));
        assert_eq!(found.named, Some(SubscriptionName::new("max-b")));
        accounts.push(found.account);
        let login = delivery.login(&agent()).await.unwrap().unwrap();
        assert_eq!(login.document.expose_secret(), codex(refresh));
        assert!(login.written_at >= written_at);
        written_at = login.written_at;
    }
    assert!(matches!(&accounts[0], Account::Of(_)) && accounts[0] == accounts[1], "{accounts:?}");
    tool_writes(SECRET);
    assert!(delivery.login(&agent()).await.unwrap().is_none());
    let Found::Credential(found) = delivery.found(&agent()).await.unwrap() else { panic!("nothing found") };
    assert_eq!((found.content, found.account), (print_of(SECRET), Account::NotALogin));
}

/// A clock that does something instead of sleeping.
#[derive(Default)]
struct Busy {
    sleeps: AtomicU64,
    on_the_third: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Clock for Busy {
    fn now(&self) -> Moment {
        Moment { wall: Wall(0), steady: Steady(0) }
    }
    fn sleep(&self, _: Duration) -> Pending<'_, ()> {
        if self.sleeps.fetch_add(1, Ordering::Relaxed) == 2
            && let Some(act) = self.on_the_third.lock().unwrap().take()
        {
            act();
        }
        Box::pin(std::future::ready(()))
    }
}

fn delivery_with(folder: &Folder, clock: Arc<Busy>) -> FileDelivery {
    let targets = BTreeMap::from([(agent(), Target::File(FileTarget::raw(folder.file())))]);
    FileDelivery::new(targets, "/state".to_owned(), clock)
}

#[tokio::test]
async fn a_login_that_is_just_being_written_is_waited_for() {
    for half in ["", "\n", "{\"tokens\":{\"refresh_token\":\"r1", "{\"tokens\":\"\u{fc}"] {
        let folder = Folder::new();
        let clock = Arc::new(Busy::default());
        let delivery = delivery_with(&folder, Arc::clone(&clock));
        deliver(&delivery, &agent(), &codex(1), 1).await.unwrap();
        // Cut in the middle of a character, as a write in place may be.
        let half = half.as_bytes();
        std::fs::write(folder.file(), half.strip_suffix(&[0xbc]).unwrap_or(half)).unwrap();
        let file = folder.file();
        *clock.on_the_third.lock().unwrap() = Some(Box::new(move || std::fs::write(file, codex(2)).unwrap()));
        let login = delivery.login(&agent()).await.unwrap().unwrap();
        assert_eq!(login.document.expose_secret(), codex(2));
        assert_eq!(clock.sleeps.load(Ordering::Relaxed), 3);
    }
}

#[tokio::test]
async fn what_stays_damaged_is_no_login_and_what_never_was_one_is_not_waited_for() {
    let folder = Folder::new();
    let clock = Arc::new(Busy::default());
    let delivery = delivery_with(&folder, Arc::clone(&clock));
    for nothing in ["", SECRET, "{}", "{\"claudeAiOauth\":{\"accessToken\":\"t\"}}"] {
        std::fs::write(folder.file(), nothing).unwrap();
        assert!(delivery.login(&agent()).await.unwrap().is_none());
        assert_eq!(clock.sleeps.load(Ordering::Relaxed), 0, "{nothing}");
    }
    std::fs::write(folder.file(), "{\"refresh_token\":").unwrap();
    assert!(delivery.login(&agent()).await.unwrap().is_none());
    assert!(clock.sleeps.load(Ordering::Relaxed) > 10);
}

/// What a tool writes, by its way to say how fresh it is; `coarse` ones say the same several times over.
#[derive(Debug, Clone, Copy)]
enum Writer {
    Codex,
    Claude,
    Gemini,
    Other,
}

fn document(writer: Writer, refresh: u64, coarse: bool) -> String {
    let token = format!("r{refresh}");
    let fresh_at = if coarse { refresh / 3 } else { refresh };
    let document: Value = match writer {
        Writer::Codex => json!({"tokens": {"refresh_token": token, "account_id": "acc"},
            "last_refresh": format!("2026-01-01T{:02}:{:02}:00Z", fresh_at / 60, fresh_at % 60)}),
        Writer::Claude => json!({"claudeAiOauth": {"refreshToken": token, "accessToken": "a", "expiresAt": fresh_at}}),
        Writer::Gemini => json!({"refresh_token": token, "expiry_date": fresh_at}),
        Writer::Other => json!({"anthropic": {"type": "oauth", "refresh": token}}),
    };
    serde_json::to_string_pretty(&document).unwrap()
}

/// The number of the refresh token in a file, if it holds a whole login.
fn token_in(path: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    login::read(text.as_bytes()).ok()?;
    text.split('"').find_map(|word| word.strip_prefix('r')?.parse().ok())
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The tool uses its refresh token, once, and writes the next one.
    Refresh,
    /// A switch, to the login or away from it, that is killed before step `killed_at` if there is such a step.
    Switch { to_login: bool, killed_at: u8 },
    /// A login that was read some time ago is taken back once more.
    TakeBackAgain(prop::sample::Index),
    /// Something is in the way of putting it back, until it is removed.
    Block(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Refresh),
        4 => (any::<bool>(), 0..8_u8).prop_map(|(to_login, killed_at)| Step::Switch { to_login, killed_at }),
        2 => any::<prop::sample::Index>().prop_map(Step::TakeBackAgain),
        1 => any::<bool>().prop_map(Step::Block),
    ];
    proptest::collection::vec(step, 1..24)
}

struct History {
    folder: Folder,
    source: PathBuf,
    delivery: FileDelivery,
    credentials: Credentials,
    writer: Writer,
    coarse: bool,
    newest: u64,
    now: u64,
    read_once: Vec<Login>,
}

impl History {
    fn new(writer: Writer, coarse: bool) -> Self {
        let folder = Folder::new();
        let kept = folder.inside.with_file_name("kept");
        std::fs::create_dir(&kept).unwrap();
        let source = kept.join("login");
        let references = [
            (Self::login(), CredentialRef::File(source.clone()), SubscriptionType::Login),
            (SubscriptionName::new("token"), CredentialRef::Env("TOKEN".to_owned()), SubscriptionType::SetupToken),
        ];
        let env = Arc::new(|_: &str| Some(SECRET.to_owned()));
        let clock = Arc::new(Busy::default());
        let credentials = Credentials::new(references, env, None, Arc::<Busy>::clone(&clock));
        let delivery = delivery_with(&folder, clock);
        let mut new = Self {
            folder,
            source: source.clone(),
            delivery,
            credentials,
            writer,
            coarse,
            newest: 1,
            now: 0,
            read_once: Vec::new(),
        };
        new.write(&source);
        std::fs::set_permissions(&source, std::fs::Permissions::from_mode(0o600)).unwrap();
        new
    }

    fn login() -> SubscriptionName {
        SubscriptionName::new("login")
    }

    /// Writes the newest login as tools do: in place.
    fn write(&mut self, path: &Path) {
        std::fs::write(path, document(self.writer, self.newest, self.coarse)).unwrap();
        self.touch(path);
    }

    /// Whatever is written is written a millisecond after the one before.
    fn touch(&mut self, path: &Path) {
        self.now += 1;
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(self.now);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
    }

    /// What a kill in the middle of writing leaves behind.
    fn leave_halves(&self) {
        let [credential, sidecar] = self.folder.temporaries();
        for half in [credential, sidecar, self.source.with_file_name(".login.switchman-new")] {
            let _in_the_way_already = std::fs::write(half, "{\"half\":").is_err();
        }
    }

    async fn switch(&mut self, to: &SubscriptionName, killed_at: u8) {
        let killed = |at: u8, history: &Self| {
            if killed_at == at {
                history.leave_halves();
            }
            killed_at == at
        };
        if killed(0, self) {
            return;
        }
        if let Some(login) = self.delivery.login(&agent()).await.unwrap() {
            self.read_once.push(login.clone());
            if killed(1, self) || self.credentials.take_back(&Self::login(), &login).await.is_err() {
                return;
            }
        }
        if killed(2, self) {
            return;
        }
        let Ok(credential) = self.credentials.read(to).await else { panic!("the source is damaged") };
        if killed(3, self) {
            return;
        }
        let consignment =
            Consignment { agent: &agent(), subscription: to, generation: Generation(1), credential: &credential };
        self.delivery.deliver(consignment).await.unwrap();
        self.touch(&self.folder.file());
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Refresh => {
                if let Some(token) = token_in(&self.folder.file()) {
                    assert_eq!(token, self.newest, "the agent was given an old copy");
                    self.newest += 1;
                    self.write(&self.folder.file());
                }
            }
            Step::Switch { to_login, killed_at } => {
                let to = if to_login { Self::login() } else { SubscriptionName::new("token") };
                self.switch(&to, killed_at).await;
            }
            Step::TakeBackAgain(which) => {
                if !self.read_once.is_empty() {
                    let login = which.get(&self.read_once).clone();
                    let _blocked = self.credentials.take_back(&Self::login(), &login).await.is_err();
                }
            }
            Step::Block(is_blocked) => {
                let at = self.source.with_file_name(".login.switchman-new");
                let _ = std::fs::remove_dir(&at).is_ok() || std::fs::remove_file(&at).is_ok();
                if is_blocked {
                    std::fs::create_dir(at).unwrap();
                }
            }
        }
        let (kept, given) = (token_in(&self.source), token_in(&self.folder.file()));
        assert!(kept.is_some(), "the source is damaged after {step:?}");
        assert!(kept.max(given) == Some(self.newest), "{} is lost after {step:?}: {kept:?} {given:?}", self.newest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_newest_refresh_token_always_survives(
        writer in prop::sample::select(vec![Writer::Codex, Writer::Claude, Writer::Gemini, Writer::Other]),
        coarse in any::<bool>(),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut history = History::new(writer, coarse);
            for step in steps {
                history.step(step).await;
            }
        });
    }
}

#[tokio::test]
async fn what_is_renewed_while_it_is_put_back_is_still_the_newer_one() {
    let mut history = History::new(Writer::Other, false);
    history.step(Step::Switch { to_login: true, killed_at: 9 }).await;
    history.step(Step::Refresh).await;
    let login = history.delivery.login(&agent()).await.unwrap().unwrap();
    // The tool goes on before the source is written.
    history.step(Step::Refresh).await;
    let put = history.credentials.take_back(&History::login(), &login).await.unwrap();
    assert_eq!((put, token_in(&history.source)), (TakenBack::Newer, Some(2)));
    history.step(Step::Switch { to_login: false, killed_at: 9 }).await;
    assert_eq!(token_in(&history.source), Some(3));
}

#[tokio::test]
async fn a_static_credential_is_never_replaced_by_what_an_agent_has() {
    let history = History::new(Writer::Codex, false);
    let login = Login { document: SecretString::from(codex(9)), written_at: Wall(i64::MAX) };
    let put = history.credentials.take_back(&SubscriptionName::new("token"), &login).await;
    assert_eq!(put.unwrap(), TakenBack::NotNewer);
    let error = history.credentials.take_back(&SubscriptionName::new("nobody"), &login).await.unwrap_err();
    assert!(error.to_string().contains("nobody"));
}

#[tokio::test]
async fn a_login_that_cannot_be_put_back_is_told_without_the_secret() {
    let history = History::new(Writer::Codex, false);
    std::fs::remove_file(&history.source).unwrap();
    let login = Login { document: SecretString::from(codex(9).replace("r9", "CANARY")), written_at: Wall(0) };
    let error = history.credentials.take_back(&History::login(), &login).await.unwrap_err();
    assert!(error.to_string().contains("cannot be put back: file /") && error.to_string().contains("no such file"));
    let error = format!("{error} {error:?} {:?}", history.credentials.read(&History::login()).await.unwrap_err());
    assert!(!error.contains("CANARY"), "{error}");
}
