//! Lines for the operator's log. Never sent to the client.
//!
//! The host keeps the first 32 lines of a call and 1,024 bytes of each, and escapes control characters.

use crate::bindings::portcullis::policy::log::message;

/// Writes a line about something that keeps the policy from working.
pub fn error(text: &str) {
    message("error", text);
}

/// Writes a line about something that the operator should look at.
pub fn warn(text: &str) {
    message("warn", text);
}

/// Writes a line about something that happens rarely and is as it should be.
pub fn info(text: &str) {
    message("info", text);
}

/// Writes a line for whoever looks for a fault.
pub fn debug(text: &str) {
    message("debug", text);
}
