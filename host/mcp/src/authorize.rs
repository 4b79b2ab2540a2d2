//! Who may call what.
//!
//! Rules only allow. Without any rule everybody who came in may call everything; as soon as there is one, whatever none
//! allows is refused. A rule that a client and a server match allows the client:
//!
//! - the server's lifecycle and lists: `initialize`, `ping`, `server/discover`, `notifications/*`, answers to the server's
//!   own requests, the GET stream, the end of a session, `subscriptions/listen` for changes of lists, and the list
//!   methods, whose answers show what the client may use;
//! - the tools, prompts and resources that it lists, and completions for these;
//! - other methods that it lists, such as `logging/setLevel` and `tasks/*`;
//! - everything on that server, if it lists none of them.

mod filter;
mod list;
mod pattern;
mod rule;

pub(crate) use filter::{Reader, filter};
pub use pattern::PatternError;
pub(crate) use rule::{Grants, Rules};
pub use rule::{OneOrMore, Rule, RuleError, RuleProblem};
