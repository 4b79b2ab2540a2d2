//! What policies say, in the operator's log.

use portcullis_core::LogLine;

/// Passes a policy's lines on, each at its own level, with the target `portcullis::policy`.
pub(crate) fn forward(policy: &str, lines: &[LogLine]) {
    for LogLine { level, text } in lines {
        match *level {
            "error" => tracing::error!(target: "portcullis::policy", policy, "{text}"),
            "warn" => tracing::warn!(target: "portcullis::policy", policy, "{text}"),
            "debug" => tracing::debug!(target: "portcullis::policy", policy, "{text}"),
            _ => tracing::info!(target: "portcullis::policy", policy, "{text}"),
        }
    }
}
