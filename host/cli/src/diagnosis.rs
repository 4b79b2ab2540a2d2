//! A mistake of the operator's.

pub(crate) use portcullis_config::Mistake;
