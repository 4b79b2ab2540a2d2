//! How the binary ends.

use std::process::ExitCode;

/// What a command amounts to. A usage, configuration or I/O error is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or accepted.
    Success,
    /// A policy rejected, or would reject who came in; or the gate refused to the last.
    Rejected,
    /// A case of a suite failed.
    CaseFailed,
    /// There is an answer, and not to all that was asked.
    Incomplete,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::SUCCESS,
            Exit::Rejected | Exit::CaseFailed => Self::from(1),
            Exit::Incomplete => Self::from(2),
        }
    }
}
