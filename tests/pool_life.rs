//! The life of a pool: how one of several subscriptions is preferred, how a fleet comes back after a cooldown, what is an
//! agent's own trouble, when everything halts, and that what is explained is what is done.

#[path = "pool_life/claims.rs"]
mod claims;
#[path = "pool_life/explained.rs"]
mod explained;
#[path = "pool_life/readings.rs"]
mod readings;
#[path = "pool_life/reopening.rs"]
mod reopening;
#[path = "pool_life/standing.rs"]
mod standing;
#[path = "pool_life/strategies.rs"]
mod strategies;
#[path = "pool_life/troubles.rs"]
mod troubles;
#[path = "pool_life/words.rs"]
mod words;
