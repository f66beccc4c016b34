//! How many files the process may open: a connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lets the process open so many files, as far as the system allows it. How many it may open then.
///
/// The limit that counts is low by default for the sake of old programs, which cannot deal with many; this one can.
pub(super) fn raise_limit(wanted: usize) -> usize {
    let wanted = wanted as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let target = maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let reached = match current {
        Some(current) if current < target => {
            match setrlimit(Resource::Nofile, Rlimit { current: Some(target), maximum }) {
                Ok(()) => target,
                Err(error) => {
                    tracing::warn!(%error, "the limit of open files could not be raised");
                    current
                }
            }
        }
        Some(current) => current,
        None => u64::MAX,
    };
    usize::try_from(reached).unwrap_or(usize::MAX)
}
