//! When alerts are given, and to whom.

use portcullis_core::WarnBefore;

use crate::hook::Hook;

/// When alerts are given, and to whom.
#[derive(Debug)]
pub struct AlertOptions {
    /// How long before the end. Default: 24 hours, or a third of the lifetime if that is shorter.
    pub warn_before: WarnBefore,
    /// After how many seconds the same is said again. Default: 24 hours.
    pub repeat_seconds: i64,
    /// Whether clients' certificates are watched too. Default: yes.
    pub clients: bool,
    /// Whom to tell besides the log. Default: nobody.
    pub hooks: Vec<Hook>,
}

impl Default for AlertOptions {
    fn default() -> Self {
        Self {
            warn_before: WarnBefore::default(),
            repeat_seconds: 24 * 60 * 60,
            clients: true,
            hooks: Vec::new(),
        }
    }
}
