//! The effective config as TOML, with defaults and without secrets.
//!
//! It is itself a valid config. What may be secret is replaced by `…`: the values of variables and the path
//! of a webhook.

use std::fmt::Write as _;
use std::time::Duration;

use super::agent::{Agent, Shared, Target, is_pattern};
use super::delivery::{Delivery, DeliveryText, FileDelivery};
use super::docker::Discover;
use super::notify::{Notify, NotifyTarget};
use super::rules::{Condition, Does, Meaning, Pattern, ResetFrom, Rule, Value, When};
use super::subscription::Subscription;
use super::turns::Turns;
use super::{Config, secret, size};
use crate::domain::{Apply, CredentialRef, Fence, Model, ProbePlan, Reload, duration};
use crate::machine::policy::Terms;

impl Config {
    /// The effective config as TOML, with defaults and without secrets.
    #[must_use]
    pub fn resolved(&self) -> String {
        let mut out = Lines(String::new());
        out.text("state_dir", &self.state_dir.display().to_string());
        out.header("[api]");
        out.text("socket", &self.api.socket.display().to_string());
        out.text("socket_mode", &format!("{:04o}", self.api.socket_mode));
        out.plain("agent_sockets", &self.api.agent_sockets.to_string());
        out.header("[log]");
        out.text("format", self.log.format.as_str());
        out.text("filter", &self.log.filter);
        out.header("[history]");
        out.duration("keep", self.history.keep);
        out.text("size_max", &size::format(self.history.size_max));
        out.header("[docker]");
        out.text("host", &self.docker.host);
        out.duration("timeout", self.docker.timeout);
        out.plain("discover", &discover(self.docker.discover.as_ref()));
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
        out.duration("ramp", switching.ramp);
        out.duration("reading_max_age", switching.reading_max_age);
        if let Some(proactive) = &switching.proactive {
            let dwell = quoted(&duration::format(proactive.dwell));
            out.plain("proactive", &format!("{{ dwell = {dwell}, better_by = {} }}", proactive.better_by));
        }
        out.text("failback", switching.failback.as_str());
        if let Some(metered) = &switching.metered {
            let per = quoted(&duration::format(metered.per));
            out.plain("metered", &format!("{{ switches = {}, per = {per} }}", metered.switches));
        }
        out.duration("jitter", switching.jitter);
        out.duration("ready_timeout", switching.ready_timeout);
        // Each agent says everything itself; for those found by their labels nothing else is known.
        let defaults = self.defaults.as_ref().filter(|_| self.docker.discover.is_some());
        if let Some(defaults) = defaults {
            out.header("[agent_defaults]");
            out.defaults(defaults);
        }
        for subscription in &self.subscriptions {
            out.subscription(subscription);
        }
        for agent in self.agents.iter().chain(&self.patterns) {
            out.agent(agent, defaults.is_some());
        }
        for notify in &self.notify {
            out.notify(notify);
        }
        for rule in &self.rules {
            out.rule(rule);
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
        self.plain("credential", &reference(&subscription.credential));
        self.plain("agents_max", &subscription.agents_max.to_string());
        self.text("quota_identity", subscription.quota.as_str());
        self.terms(&subscription.terms);
        if let Some(ProbePlan { every, model, endpoint, .. }) = &subscription.probe {
            let (every, model, endpoint) =
                (quoted(&duration::format(*every)), quoted(model.as_str()), quoted(&secret::mask(endpoint)));
            self.plain("probe", &format!("{{ every = {every}, model = {model}, endpoint = {endpoint} }}"));
        }
    }

    fn terms(&mut self, terms: &Terms) {
        self.plain("priority", &terms.priority.to_string());
        self.plain("metered", &terms.is_metered.to_string());
        self.plain("reserve", &terms.is_reserve.to_string());
        if !terms.ceilings.is_empty() {
            let ceilings = terms.ceilings.iter().map(|(window, most)| format!("{window} = {}", most.0 / 10));
            self.plain("max_utilization", &format!("{{ {} }}", ceilings.collect::<Vec<_>>().join(", ")));
        }
        if !terms.models.is_empty() {
            self.plain("models", &models(&terms.models));
        }
    }

    fn notify(&mut self, notify: &Notify) {
        self.header("[[notify]]");
        match &notify.target {
            NotifyTarget::Webhook { address, template } => {
                self.text("webhook", &address.to_string());
                if let Some(template) = template {
                    self.text("template", &secret::mask(&template.to_string()));
                    self.text("content", template.content.as_str());
                }
            }
            NotifyTarget::Ntfy { address, token } => {
                self.text("ntfy", &address.to_string());
                if let Some(token) = token {
                    self.plain("token", &reference(token));
                }
            }
            NotifyTarget::Command(argv) => self.plain("command", &list(argv)),
        }
        let events: Vec<_> = notify.events.iter().map(|event| quoted(event.as_str())).collect();
        self.plain("events", &format!("[{}]", events.join(", ")));
        self.text("severity", notify.severity.as_str());
        self.plain("per_hour", &notify.per_hour.to_string());
    }

    fn rule(&mut self, rule: &Rule) {
        self.header("[[rule]]");
        self.text("id", &rule.id);
        match &rule.does {
            Does::Silence => self.plain("off", "true"),
            Does::Find(find) => {
                if !rule.tools.is_empty() {
                    let tools: Vec<_> = rule.tools.iter().map(|tool| tool.as_str().to_owned()).collect();
                    self.plain("tool", &list(&tools));
                }
                self.plain("when", &when(&find.when));
                match &find.means {
                    None => self.text("kind", "none"),
                    Some(meaning) => self.meaning(meaning),
                }
            }
        }
        for (key, text) in [("source", &rule.source), ("note", &rule.note)] {
            if let Some(text) = text {
                self.text(key, &secret::mask(text));
            }
        }
    }

    fn meaning(&mut self, meaning: &Meaning) {
        self.text("kind", meaning.kind.as_str());
        self.text("scope", meaning.window.as_str());
        if let Some(model) = &meaning.model {
            self.text("model", model.as_str());
        }
        match &meaning.reset {
            Some(ResetFrom::Json { path, unit }) => {
                let path = quoted(&path.join("."));
                self.plain("reset", &format!("{{ json = {path}, unit = {} }}", quoted(unit.as_str())));
            }
            Some(ResetFrom::Group(group)) => self.plain("reset", &format!("{{ group = {} }}", quoted(group))),
            Some(ResetFrom::Headers) => self.text("reset", "headers"),
            None => {}
        }
        self.text("trust", meaning.trust.as_str());
    }

    fn defaults(&mut self, defaults: &Shared) {
        let Shared { tool, subscriptions, models, delivery, drain, stop_grace, text, turns, monitor_only } =
            defaults.clone();
        if let Some(tool) = tool.good() {
            self.text("tool", tool.as_str());
        }
        if let Some(subscriptions) = subscriptions.good() {
            let names: Vec<_> = subscriptions.into_iter().map(|name| name.value).collect();
            self.plain("subscriptions", &list(&names));
        }
        if let Some(models) = models.good() {
            self.plain("models", &self::models(&models));
        }
        if let Some(DeliveryText::File { path, format, owner, mode, apply }) = delivery.good() {
            let file = FileDelivery { path: path.value.into(), format, owner, mode, apply };
            self.plain("delivery", &format!("{{ {} }}", file_delivery(&file)));
        }
        if let Some(drain) = drain.good() {
            self.duration("drain", drain);
        }
        if let Some(grace) = stop_grace.good() {
            self.duration("stop_grace", grace);
        }
        if let Some(text) = text.good() {
            self.text("text", text.as_str());
        }
        self.plain("turns", &self::turns(&turns.resolved()));
        if let Some(flag) = monitor_only.good() {
            self.plain("monitor_only", &flag.to_string());
        }
    }

    fn agent(&mut self, agent: &Agent, has_defaults: bool) {
        self.header("[[agent]]");
        if !matches!(&agent.target, Target::Container { name } if is_pattern(name)) {
            self.text("name", agent.name.as_str());
        }
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
        if !agent.models.is_empty() {
            self.plain("models", &models(&agent.models));
        }
        let delivery = match &agent.delivery {
            Delivery::File(file) => Some(file_delivery(file)),
            Delivery::Env(name) => Some(format!("env = {}", quoted(name))),
            Delivery::Nothing => None,
        };
        if let Some(delivery) = delivery {
            self.plain("delivery", &format!("{{ {delivery} }}"));
        }
        if agent.is_monitor_only || has_defaults {
            self.plain("monitor_only", &agent.is_monitor_only.to_string());
        }
        self.duration("drain", agent.drain);
        if let Some(grace) = agent.stop_grace {
            self.duration("stop_grace", grace);
        }
        self.text("text", agent.text.as_str());
        self.plain("turns", &turns(&agent.turns));
    }
}

fn reference(to: &CredentialRef) -> String {
    match to {
        CredentialRef::File(path) => format!("{{ file = {} }}", quoted(&path.display().to_string())),
        CredentialRef::Env(name) => format!("{{ env = {} }}", quoted(name)),
        CredentialRef::Systemd(name) => format!("{{ systemd = {} }}", quoted(name)),
        CredentialRef::Command(argv) => format!("{{ command = {} }}", list(argv)),
    }
}

fn discover(discover: Option<&Discover>) -> String {
    match discover {
        None => "false".to_owned(),
        Some(Discover { delivery_below }) if delivery_below.is_empty() => "true".to_owned(),
        Some(Discover { delivery_below }) => {
            let folders: Vec<_> = delivery_below.iter().map(|folder| folder.display().to_string()).collect();
            format!("{{ delivery_below = {} }}", list(&folders))
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

fn turns(turns: &Turns) -> String {
    let fence = match &turns.fence {
        Fence::Restart => quoted("restart"),
        Fence::Exec(argv) => format!("{{ exec = {} }}", list(argv)),
        Fence::None => quoted("none"),
    };
    format!(
        "{{ sessions_max = {}, lease = {}, cancel_ack = {}, fence = {fence} }}",
        turns.sessions_max,
        quoted(&duration::format(turns.lease)),
        quoted(&duration::format(turns.cancel_ack))
    )
}

fn list(items: &[String]) -> String {
    // Arguments of commands are in here.
    let items: Vec<_> = items.iter().map(|item| quoted(&secret::mask(item))).collect();
    format!("[{}]", items.join(", "))
}

fn when(when: &When) -> String {
    let pattern = |pattern: &Pattern| quoted(&secret::mask(pattern.text()));
    match when {
        When::Line(line) => format!("{{ line = {} }}", pattern(line)),
        When::Http { status, says } => {
            let status: Vec<_> = status.iter().map(u16::to_string).collect();
            let says = says.as_ref().map(|says| format!(", says = {}", pattern(says))).unwrap_or_default();
            format!("{{ status = [{}]{says} }}", status.join(", "))
        }
        When::Json(conditions) => {
            let condition = |Condition { path, is }: &Condition| {
                let is = match is {
                    Value::Exactly(serde_json::Value::String(text)) => quoted(&secret::mask(text)),
                    Value::Exactly(exactly) => exactly.to_string(),
                    Value::Matches(regex) => format!("{{ regex = {} }}", pattern(regex)),
                };
                format!("{} = {is}", quoted(&path.join(".")))
            };
            let conditions: Vec<_> = conditions.iter().map(condition).collect();
            format!("{{ json = {{ {} }} }}", conditions.join(", "))
        }
    }
}

fn models(models: &[Model]) -> String {
    let models: Vec<_> = models.iter().map(|model| quoted(model.as_str())).collect();
    format!("[{}]", models.join(", "))
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
