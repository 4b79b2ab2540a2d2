//! Suites of cases that a chain of policies must pass, run offline.
//!
//! [`Suite`] is one file: it makes its certificates, describes its chains and has its cases. [`run`] loads the chains and asks
//! them about the cases, and [`Coverage`] tells what no case brought about. Who has a chain already asks it with
//! [`Case::run`]. The README beside this crate has the format.
#![deny(missing_docs)]

mod asset;
mod case;
mod certificates;
mod chains;
mod coverage;
mod description;
mod discover;
mod expectation;
mod format;
mod moment;
mod report;
mod run;
mod suite;
mod update;

pub use case::{Case, Outcome};
pub use coverage::{Coverage, PolicyCoverage};
pub use discover::find_suites;
pub use expectation::{Difference, Expectation};
pub use report::{junit, text};
pub use run::{Run, run};
pub use suite::Suite;
pub use update::updated;
