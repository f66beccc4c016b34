//! What a daemon under test is given: subscriptions with their credential files, agents, and the config of it all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::program::agent_program;

/// The variable that process agents of the rig get their credential in.
const VARIABLE: &str = "CLAUDE_CODE_OAUTH_TOKEN";

/// Where a container sees the folder of its agent.
pub(crate) const CONTAINER_FOLDER: &str = "/agent-home";

/// Where an agent runs and how its credential gets there.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A child of the daemon; the credential is in its environment.
    Child,
    /// A child of the daemon; the credential is in a file.
    ChildWithFile,
    /// The container of this name; the credential is in a file of a folder that is mounted into it.
    Container(String),
}

#[derive(Debug, Clone)]
pub(crate) struct AgentSetup {
    pub(crate) name: String,
    pub(crate) place: Place,
    /// Lines of its section besides the usual ones.
    pub(crate) lines: String,
    /// Keys of the delivery of a container besides the file, each after a comma.
    pub(crate) delivery: String,
}

#[derive(Debug, Clone)]
pub(crate) struct SubscriptionSetup {
    pub(crate) name: String,
    /// The reference in the config, if it is not the file that the rig makes.
    pub(crate) reference: Option<String>,
}

/// A config to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    pub(crate) subscriptions: Vec<SubscriptionSetup>,
    pub(crate) agents: Vec<AgentSetup>,
    /// Lines of `[api]` besides the socket.
    pub(crate) api: String,
    /// Lines of `[switching]`.
    pub(crate) switching: String,
    /// Lines of `[docker]`.
    pub(crate) docker: String,
    /// Sections besides all these.
    pub(crate) sections: String,
}

impl Setup {
    /// These subscriptions, all of one provider, and these agents, all children of the daemon.
    pub(crate) fn new(subscriptions: &[&str], agents: &[&str]) -> Self {
        let subscription = |name: &&str| SubscriptionSetup { name: (*name).to_owned(), reference: None };
        let agent = |name: &&str| AgentSetup {
            name: (*name).to_owned(),
            place: Place::Child,
            lines: "stop_grace = \"1s\"\n".to_owned(),
            delivery: String::new(),
        };
        Self {
            subscriptions: subscriptions.iter().map(subscription).collect(),
            agents: agents.iter().map(agent).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn switching(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.switching);
        self
    }
}

/// The folder of one rig.
#[derive(Debug)]
pub(crate) struct Folder {
    root: tempfile::TempDir,
    number: u32,
}

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = tempfile::Builder::new().prefix("sm").tempdir().unwrap();
        Self { root, number: COUNT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("config.toml")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("daemon.sock")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("state/switchman.db")
    }

    /// What an agent keeps: its credential and its control.
    pub(crate) fn home(&self, agent: &str) -> PathBuf {
        self.path("homes").join(agent)
    }

    pub(crate) fn control(&self, agent: &str) -> PathBuf {
        self.home(agent).join("control")
    }

    pub(crate) fn credential_file(&self, subscription: &str) -> PathBuf {
        self.path("credentials").join(subscription)
    }

    /// The credential of a subscription: a text that is found nowhere else.
    pub(crate) fn credential(&self, subscription: &str) -> String {
        format!("canary-{}-{}-{subscription}-kept-secret", std::process::id(), self.number)
    }

    /// Writes the credentials, the folders and the config.
    pub(crate) fn lay_out(&self, setup: &Setup, webhook: &str) {
        std::fs::create_dir_all(self.path("credentials")).unwrap();
        for subscription in &setup.subscriptions {
            write_secret(&self.credential_file(&subscription.name), &self.credential(&subscription.name));
        }
        for agent in &setup.agents {
            std::fs::create_dir_all(self.home(&agent.name)).unwrap();
        }
        std::fs::write(self.config(), self.text(setup, webhook)).unwrap();
    }

    /// The config as a text.
    pub(crate) fn text(&self, setup: &Setup, webhook: &str) -> String {
        let mut text = format!(
            "state_dir = {}\n[api]\nsocket = {}\n{}\n[log]\nformat = \"json\"\n[switching]\n{}\n[docker]\n{}\n",
            quoted(&self.path("state")),
            quoted(&self.socket()),
            setup.api,
            setup.switching,
            setup.docker
        );
        for SubscriptionSetup { name, reference } in &setup.subscriptions {
            let file = || format!("{{ file = {} }}", quoted(&self.credential_file(name)));
            let reference = reference.clone().unwrap_or_else(file);
            writeln!(
                text,
                "[[subscription]]\nname = {name:?}\nprovider = \"anthropic\"\ntype = \"setup-token\"\n\
                 credential = {reference}\nagents_max = 100"
            )
            .unwrap();
        }
        for agent in &setup.agents {
            writeln!(text, "[[agent]]\nname = {:?}\ntool = \"claude-code\"\n{}", agent.name, agent.lines).unwrap();
            text.push_str(&self.place(agent));
        }
        text.push_str(&setup.sections);
        writeln!(text, "[[notify]]\nwebhook = {webhook:?}\nper_hour = 3600").unwrap();
        text
    }

    fn place(&self, agent: &AgentSetup) -> String {
        let file = self.home(&agent.name).join("credential");
        let child = |words: &[&str]| {
            let mut words: Vec<String> = words.iter().map(ToString::to_string).collect();
            words.insert(0, agent_program().display().to_string());
            words.extend(["--control".to_owned(), self.control(&agent.name).display().to_string()]);
            format!("process = {{ command = {words:?} }}\n")
        };
        match &agent.place {
            Place::Child => child(&["--credential-env", VARIABLE]) + &format!("delivery = {{ env = {VARIABLE:?} }}\n"),
            Place::ChildWithFile => {
                let path = file.display().to_string();
                child(&["--credential-file", &path]) + &format!("delivery = {{ file = {path:?} }}\n")
            }
            Place::Container(name) => {
                format!("container = {name:?}\ndelivery = {{ file = {}{} }}\n", quoted(&file), agent.delivery)
            }
        }
    }
}

/// A path as a text of the config.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

/// A file that only its owner may open.
pub(crate) fn write_secret(path: &Path, secret: &str) {
    std::fs::write(path, secret).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
