//! Addresses that somebody posts to: enough of a look to tell a typing error now rather than at the first post.
//!
//! Tests: below and in `notify`.

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not begin with one of the schemes.
    Scheme,
    /// It holds a user name or password.
    Userinfo,
    /// Host, port or a character cannot be.
    Unusable,
}

/// Where scheme and host end.
pub(super) fn authority_end(url: &str) -> usize {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at)
}

/// Looks at an address; `schemes` are written with their `://`.
pub(super) fn check(url: &str, schemes: &[&str]) -> Result<(), Fault> {
    let lower = url.to_ascii_lowercase();
    if !schemes.iter().any(|scheme| lower.starts_with(scheme)) {
        return Err(Fault::Scheme);
    }
    let authority = &url[url.find("://").map_or(0, |at| at + 3)..authority_end(url)];
    if authority.contains('@') {
        return Err(Fault::Userinfo);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    let is_odd = url.chars().any(|char| char.is_whitespace() || char.is_control());
    if is_host && is_port && !is_odd { Ok(()) } else { Err(Fault::Unusable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_apart() {
        let schemes = &["http://"];
        assert_eq!(check("HTTP://127.0.0.1:8080/reload?x=1", schemes), Ok(()));
        assert_eq!(check("https://h/", schemes), Err(Fault::Scheme));
        assert_eq!(check("http://u:p@h/", schemes), Err(Fault::Userinfo));
        for url in ["http://", "http://h:0/", "http://a b/", "http://h/\n"] {
            assert_eq!(check(url, schemes), Err(Fault::Unusable), "{url:?}");
        }
    }
}
