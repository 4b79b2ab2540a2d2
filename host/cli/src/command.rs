//! What each command does.

pub(crate) mod ca;
pub(crate) mod check;
pub(crate) mod connect;
pub(crate) mod explain;
pub(crate) mod policy;
pub(crate) mod renew;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod test;
