//! Times on the command line and in reports.

pub(crate) use portcullis_config::time::{format, parse};
