//! The effective config as TOML, with defaults and without secrets.
//!
//! It is itself a valid config. What may be secret is replaced by `…`: the values of variables and the path
//! of a webhook.

use std::fmt::Write as _;
use std::time::Duration;

use super::agent::{Agent, Target};
use super::delivery::{Delivery, FileDelivery};
use super::subscription::Subscription;
use super::{Config, secret, size};
use crate::domain::{Apply, CredentialRef, Reload, duration};

impl Config {
    /// The effective config as TOML, with defaults and without secrets.
    #[must_use]
    pub fn resolved(&self) -> String {
        let mut out = Lines(String::new());
        out.text("state_dir", &self.state_dir.display().to_string());
        out.header("[api]");
        out.text("socket", &self.api.socket.display().to_string());
        out.text("socket_mode", &format!("{:04o}", self.api.socket_mode));
        out.header("[log]");
        out.text("format", self.log.format.as_str());
        out.text("filter", &self.log.filter);
        out.header("[history]");
        out.duration("keep", self.history.keep);
        out.text("size_max", &size::format(self.history.size_max));
        out.header("[docker]");
        out.text("host", &self.docker.host);
        out.duration("timeout", self.docker.timeout);
        out.header("[switching]");
        let switching = &self.switching;
        out.plain("enabled", &switching.enabled.to_string());
        out.text("strategy", switching.strategy.as_str());
        out.duration("cooldown", switching.cooldown);
        let max = &switching.cooldown_max;
        let max = [("five_hour", max.five_hour), ("weekly", max.weekly), ("other", max.other)];
        let max: Vec<_> =
            max.iter().map(|(key, value)| format!("{key} = {}", quoted(&duration::format(*value)))).collect();
        out.plain("cooldown_max", &format!("{{ {} }}", max.join(", ")));
        out.duration("wait_out", switching.wait_out);
        out.duration("settle", switching.settle);
        let per = quoted(&duration::format(switching.budget.per));
        out.plain("budget", &format!("{{ switches = {}, per = {per} }}", switching.budget.switches));
        out.plain("restarts_in_parallel", &switching.restarts_in_parallel.to_string());
        out.duration("splay", switching.splay);
        out.duration("jitter", switching.jitter);
        out.duration("ready_timeout", switching.ready_timeout);
        for subscription in &self.subscriptions {
            out.subscription(subscription);
        }
        for agent in &self.agents {
            out.agent(agent);
        }
        for notify in &self.notify {
            out.header("[[notify]]");
            out.text("webhook", &notify.webhook.to_string());
            let events: Vec<_> = notify.events.iter().map(|event| quoted(event.as_str())).collect();
            out.plain("events", &format!("[{}]", events.join(", ")));
        }
        out.0
    }
}

struct Lines(String);

impl Lines {
    fn header(&mut self, header: &str) {
        let _ = writeln!(self.0, "\n{header}");
    }

    fn plain(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.plain(key, &quoted(value));
    }

    fn duration(&mut self, key: &str, value: Duration) {
        self.text(key, &duration::format(value));
    }

    fn subscription(&mut self, subscription: &Subscription) {
        self.header("[[subscription]]");
        self.text("name", subscription.name.as_str());
        self.text("provider", subscription.provider.as_str());
        self.text("type", subscription.kind.as_str());
        let reference = match &subscription.credential {
            CredentialRef::File(path) => format!("file = {}", quoted(&path.display().to_string())),
            CredentialRef::Env(name) => format!("env = {}", quoted(name)),
            CredentialRef::Systemd(name) => format!("systemd = {}", quoted(name)),
            CredentialRef::Command(argv) => format!("command = {}", list(argv)),
        };
        self.plain("credential", &format!("{{ {reference} }}"));
        self.plain("agents_max", &subscription.agents_max.to_string());
        self.text("quota_identity", subscription.quota.as_str());
    }

    fn agent(&mut self, agent: &Agent) {
        self.header("[[agent]]");
        self.text("name", agent.name.as_str());
        self.text("tool", agent.tool.as_str());
        match &agent.target {
            Target::Container { name } => self.text("container", name),
            Target::Process { command, dir, env } => {
                let mut parts = vec![format!("command = {}", list(command))];
                parts.extend(dir.iter().map(|dir| format!("dir = {}", quoted(&dir.display().to_string()))));
                if !env.is_empty() {
                    let env: Vec<_> = env.iter().map(|(name, _)| format!("{name} = \"…\"")).collect();
                    parts.push(format!("env = {{ {} }}", env.join(", ")));
                }
                self.plain("process", &format!("{{ {} }}", parts.join(", ")));
            }
        }
        let subscriptions: Vec<_> = agent.subscriptions.iter().map(|name| name.as_str().to_owned()).collect();
        self.plain("subscriptions", &list(&subscriptions));
        let delivery = match &agent.delivery {
            Delivery::File(file) => file_delivery(file),
            Delivery::Env(name) => format!("env = {}", quoted(name)),
        };
        self.plain("delivery", &format!("{{ {delivery} }}"));
        self.duration("drain", agent.drain);
        if let Some(grace) = agent.stop_grace {
            self.duration("stop_grace", grace);
        }
    }
}

fn file_delivery(file: &FileDelivery) -> String {
    let mut parts = vec![
        format!("file = {}", quoted(&file.path.display().to_string())),
        format!("format = {}", quoted(file.format.as_str())),
    ];
    parts.extend(file.owner.map(|owner| format!("owner = {}", quoted(&owner.to_string()))));
    parts.push(format!("mode = \"{:04o}\"", file.mode));
    let apply = match &file.apply {
        Apply::Restart => quoted("restart"),
        Apply::Written => quoted("written"),
        Apply::Reload(Reload::Signal(name)) => format!("{{ signal = {} }}", quoted(name)),
        Apply::Reload(Reload::Exec(argv)) => format!("{{ exec = {} }}", list(argv)),
        Apply::Reload(Reload::Http(url)) => format!("{{ http = {} }}", quoted(&secret::mask(url))),
    };
    parts.push(format!("apply = {apply}"));
    parts.join(", ")
}

fn list(items: &[String]) -> String {
    // Arguments of commands are in here.
    let items: Vec<_> = items.iter().map(|item| quoted(&secret::mask(item))).collect();
    format!("[{}]", items.join(", "))
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            _ if char.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(char));
            }
            _ => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}
