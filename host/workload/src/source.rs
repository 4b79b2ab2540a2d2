//! The Workload API as one of the sources that a configuration is loaded from.
//!
//! `svid` is the certificate, the intermediates and the key; `own` the CAs of the SVID's own trust domain; `all` those of
//! the federated ones as well. All of it is PEM.

use std::path::{Path, PathBuf};

use portcullis_core::sha256;
use portcullis_source::{Content, ReadError, Signal, Source, Version, Watch, WatchError};
use tokio_util::task::AbortOnDropHandle;

use crate::api::WorkloadApi;
use crate::material::Material;

/// What it has now: what was taken back or has expired cannot be read.
impl Source for WorkloadApi {
    fn read(&self, name: &Path, maximum: u64) -> Result<Content, ReadError> {
        match self.material() {
            Some(material) => material.read(name, maximum),
            None => Err(ReadError::Unavailable(self.why_not())),
        }
    }

    fn version(&self, name: &Path) -> Version {
        self.material().map_or_else(|| Version::new("none"), |material| material.version(name))
    }

    fn watch(&self, _: &[PathBuf], signal: &Signal) -> Result<Watch, WatchError> {
        let (mut state, signal) = (self.subscribe(), signal.clone());
        let task = self.runtime().spawn(async move {
            // Ends with the conversation.
            while state.changed().await.is_ok() {
                signal.raise();
            }
        });
        Ok(Watch::new(AbortOnDropHandle::new(task)))
    }
}

/// What one message gave, for whoever looks once.
impl Source for Material {
    fn read(&self, name: &Path, maximum: u64) -> Result<Content, ReadError> {
        let text = self.text(name).ok_or_else(|| unknown(name))?;
        if text.len() as u64 > maximum {
            return Err(ReadError::Unavailable(format!("it has more than {maximum} bytes")));
        }
        Ok(Content { version: self.version(name), bytes: text.into_bytes() })
    }

    fn version(&self, name: &Path) -> Version {
        let digest = match name.to_str() {
            // The key belongs to the certificate.
            Some("svid") => *self.svid().certificate().sha256(),
            _ => sha256(self.text(name).unwrap_or_default().as_bytes()),
        };
        Version::new(format!("{digest:?}"))
    }

    fn watch(&self, _: &[PathBuf], _: &Signal) -> Result<Watch, WatchError> {
        Ok(Watch::new(()))
    }
}

impl Material {
    fn text(&self, name: &Path) -> Option<String> {
        match name.to_str()? {
            "svid" => Some(self.svid().pem()),
            "own" => Some(self.own_bundle()),
            "all" => Some(self.all_bundles()),
            _ => None,
        }
    }
}

fn unknown(name: &Path) -> ReadError {
    let name = name.display();
    ReadError::Unavailable(format!("`{name}` is none of `svid`, `own` and `all`"))
}
