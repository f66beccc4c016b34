//! The journal of a unit: written by a journal of our own where one can be made, and read by the real `journalctl`.
