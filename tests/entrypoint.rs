//! `examples/entrypoint.sh` under the shells of this machine: a credential file is data, whatever is in it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const SHADOWING: [&str; 3] = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

/// `sh` is everywhere; the others where they are installed. `scripts/test` installs busybox.
fn shells() -> Vec<Vec<&'static str>> {
    let known = [&["sh"][..], &["dash"], &["busybox", "sh"], &["bash", "--posix"]];
    let is_there = |words: &&&[&str]| {
        let (program, arguments) = words.split_first().unwrap();
        let ran = Command::new(program).args(arguments).args(["-c", ":"]).output();
        ran.is_ok_and(|output| output.status.success())
    };
    let found: Vec<_> = known.iter().filter(is_there).map(|words| words.to_vec()).collect();
    assert!(found.contains(&vec!["sh"]));
    found
}

/// A container, as far as the script can see: a folder with the credential, and an environment.
struct Container {
    folder: TempDir,
}

impl Container {
    fn with(content: &[u8]) -> Self {
        let container = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(container.file(), content).unwrap();
        container
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("credential")
    }

    /// Runs the script; the command prints its environment.
    fn run(&self, shell: &[&str]) -> Output {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/entrypoint.sh");
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]).args([script, "env", "-0"]).current_dir(&self.folder).stdin(Stdio::null());
        command.env("SWITCHMAN_CREDENTIAL_FILE", self.file()).envs(SHADOWING.map(|name| (name, "from-the-image")));
        command.env("HOME", self.folder.path()).output().unwrap()
    }

    /// What the command finds in its environment.
    fn environment(&self, shell: &[&str]) -> BTreeMap<String, String> {
        let output = self.run(shell);
        assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stderr, b"", "{shell:?}");
        self.has_nothing_but_the_file();
        let text = String::from_utf8(output.stdout).unwrap();
        let entries = text.split_terminator('\0').map(|entry| entry.split_once('=').unwrap());
        entries.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Why the script refuses.
    fn refusal(&self, shell: &[&str]) -> String {
        let output = self.run(shell);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(78), &b""[..]), "{shell:?}: {output:?}");
        self.has_nothing_but_the_file();
        String::from_utf8(output.stderr).unwrap()
    }

    fn has_nothing_but_the_file(&self) {
        let names: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.is_empty() || names == ["credential"], "something was run: {names:?}");
    }
}

#[test]
fn values_arrive_as_they_are_and_nothing_of_them_is_run() {
    let hostile = [
        ("A_TOKEN", "$(touch x)"),
        ("B_TOKEN", "`touch x`"),
        ("C_TOKEN", "\"; touch x; \""),
        ("D_TOKEN", "'; touch x; '"),
        ("E_TOKEN", "a=b==c"),
        ("F_TOKEN", " two  spaces and\ta tab "),
        ("G_TOKEN", "a\\nb\\"),
        ("H_TOKEN", "* ? [a-z] ~ $HOME ${HOME} & | > x < x"),
        ("I_TOKEN", "# no comment"),
        ("J_TOKEN", "schön-✓"),
        ("K_TOKEN", "-n"),
    ];
    for end in ["\n", "\r\n"] {
        let mut content = format!("# a comment; touch x{end}{end}");
        for (name, value) in hostile {
            content += &[name, "=", value, end].concat();
        }
        content.push_str("LAST_TOKEN=no-line-end");
        let container = Container::with(content.as_bytes());
        for shell in shells() {
            let environment = container.environment(&shell);
            for (name, value) in hostile.into_iter().chain([("LAST_TOKEN", "no-line-end")]) {
                assert_eq!(environment.get(name).map(String::as_str), Some(value), "{shell:?} {name}");
            }
        }
    }
}

#[test]
fn what_would_win_over_the_file_is_taken_away() {
    for set in SHADOWING {
        let container = Container::with(format!("{set}=from-the-file\n").as_bytes());
        for shell in shells() {
            let environment = container.environment(&shell);
            for name in SHADOWING {
                let expected = (name == set).then_some("from-the-file");
                assert_eq!(environment.get(name).map(String::as_str), expected, "{shell:?}: {name}, {set} is set");
            }
        }
    }
}

#[test]
fn a_file_without_a_credential_is_refused_with_a_reason_and_never_shown() {
    for (content, reason) in [
        (&b""[..], "holds no credential"),
        (b"# only a comment\n\n\r\n", "holds no credential"),
        (b"GOOD_TOKEN=x\nsecret-without-a-name\n", "line 2 of"),
        (b"CLAUDE_CODE_OAUTH_TOKEN=\n", "sets CLAUDE_CODE_OAUTH_TOKEN to nothing"),
        (b"=secret\n", "the name of a variable"),
        (b"1A=secret\n", "the name of a variable"),
        (b"A B=secret\n", "the name of a variable"),
        (b"$(touch x)=secret\n", "the name of a variable"),
        (b"export A_TOKEN=secret\n", "the name of a variable"),
        (b"number=secret\n", "the name of a variable"),
        (b"PATH=secret\n", "sets PATH, which is no credential"),
        (b"LD_PRELOAD=secret\n", "sets LD_PRELOAD, which is no credential"),
    ] {
        let container = Container::with(content);
        for shell in shells() {
            let told = container.refusal(&shell);
            assert!(told.starts_with("entrypoint: ") && told.contains(reason), "{shell:?}: {told}");
            assert!(!told.contains("secret") && told.lines().count() == 1, "{shell:?}: {told}");
        }
    }
}

#[test]
fn a_missing_file_is_refused_with_its_path() {
    let container = Container::with(b"A_TOKEN=x\n");
    fs::remove_file(container.file()).unwrap();
    for shell in shells() {
        let told = container.refusal(&shell);
        assert!(told.contains(container.file().to_str().unwrap()) && told.contains("does not exist"), "{told}");
    }
}

#[test]
fn without_a_command_it_says_so() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/entrypoint.sh");
    let output = Command::new(script).output().expect("it may be executed");
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(output.stderr, b"entrypoint: no command was given\n");
}
