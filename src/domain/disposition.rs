//! What an error of the outside world means for a decision.

use super::words::words;

words! {
    /// What to expect of the same call, made again.
    pub enum Disposition ("disposition") {
        /// Nothing was done, and it may work later.
        Transient = "transient",
        /// Nothing was done, and it will not work until something changes.
        Permanent = "permanent",
        /// It may have been done: look before doing it again.
        InDoubt = "in_doubt",
    }
}
