//! Who owns a delivered file: numbers, or names of this machine.
//!
//! A name is looked up in `/etc/passwd` and `/etc/group` and nowhere else: the user that matters lives in a container,
//! whose names this machine does not know, so a number is the usual way to say it.
//!
//! Tests: below.

use std::path::Path;

/// Who owns a delivered file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub user: u32,
    /// The group's number; `None` leaves the group that the file would have without an owner given.
    pub group: Option<u32>,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => write!(f, "{}", self.user),
        }
    }
}

/// Reads `user` or `user:group`; the error says what is wrong and what to do.
pub(super) fn read(text: &str) -> Result<Owner, (String, String)> {
    read_with(text, &|kind| std::fs::read_to_string(kind.path()).unwrap_or_default())
}

#[derive(Clone, Copy)]
enum Kind {
    User,
    Group,
}

impl Kind {
    fn path(self) -> &'static Path {
        Path::new(match self {
            Self::User => "/etc/passwd",
            Self::Group => "/etc/group",
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

fn read_with(text: &str, table: &dyn Fn(Kind) -> String) -> Result<Owner, (String, String)> {
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let user = number(user, Kind::User, table)?;
    let group = group.map(|group| number(group, Kind::Group, table)).transpose()?;
    Ok(Owner { user, group })
}

fn number(text: &str, kind: Kind, table: &dyn Fn(Kind) -> String) -> Result<u32, (String, String)> {
    let example = || "write \"1000\", \"1000:1000\" or names that this machine knows".to_owned();
    if text.is_empty() {
        return Err((format!("names no {}", kind.word()), example()));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // The largest number means "leave it" where owners are changed.
        let number = text.parse::<u32>().ok().filter(|number| *number != u32::MAX);
        return number.ok_or_else(|| (format!("has a {} that is too large", kind.word()), example()));
    }
    let table = table(kind);
    let found = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == text).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| {
        let what = format!("names the {} \"{text}\", who is not in {}", kind.word(), kind.path().display());
        (what, "write the number: the names of a container are its own".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<Owner, (String, String)> {
        read_with(text, &|kind| {
            match kind {
                Kind::User => "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\nbroken\n",
                Kind::Group => "root:x:0:\nagents:x:4000:node\n",
            }
            .to_owned()
        })
    }

    #[test]
    fn numbers_and_names_are_read() {
        let owner = |user, group| Owner { user, group };
        assert_eq!(with("1000").unwrap(), owner(1000, None));
        assert_eq!(with("1000:4").unwrap(), owner(1000, Some(4)));
        assert_eq!(with("node").unwrap(), owner(1000, None));
        assert_eq!(with("node:agents").unwrap(), owner(1000, Some(4000)));
        assert_eq!(with("0:agents").unwrap().to_string(), "0:4000");
        assert_eq!(read("root:root").unwrap(), owner(0, Some(0)));
    }

    #[test]
    fn what_is_nobody_is_named() {
        for (text, what) in [
            ("", "names no user"),
            (":5", "names no user"),
            ("5:", "names no group"),
            ("nobody-here", "names the user \"nobody-here\", who is not in /etc/passwd"),
            ("node:node", "names the group \"node\", who is not in /etc/group"),
            ("broken", "names the user \"broken\""),
            ("4294967295", "has a user that is too large"),
            ("99999999999", "has a user that is too large"),
        ] {
            assert!(with(text).unwrap_err().0.contains(what), "{text}: {:?}", with(text));
        }
    }
}
