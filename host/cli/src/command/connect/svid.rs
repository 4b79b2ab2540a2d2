//! The client's identity as a SPIFFE agent gives it.

use std::sync::{Arc, Mutex, PoisonError};

use portcullis_connect::{ClientIdentity, IdentitySource, NoIdentity};
use portcullis_workload::{Svid, WorkloadApi};

/// The SVID of the moment. Each renewed one is another generation.
pub(super) struct SvidSource {
    api: WorkloadApi,
    last: Mutex<Option<Arc<ClientIdentity>>>,
}

impl SvidSource {
    pub(super) fn new(api: WorkloadApi) -> Self {
        Self { api, last: Mutex::default() }
    }
}

impl IdentitySource for SvidSource {
    fn current(&self) -> Result<Arc<ClientIdentity>, NoIdentity> {
        let Some(material) = self.api.material() else {
            return Err(NoIdentity(self.api.why_not()));
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| is_of(last, material.svid())) {
            return Ok(Arc::clone(last));
        }
        let generation = last.as_ref().map_or(0, |last| last.generation() + 1);
        let identity = ClientIdentity::new(generation, Arc::clone(material.svid().key()))
            .map_err(|error| NoIdentity(error.to_string()))?;
        Ok(Arc::clone(last.insert(Arc::new(identity))))
    }
}

fn is_of(identity: &ClientIdentity, svid: &Svid) -> bool {
    identity.certificate().sha256() == svid.certificate().sha256()
}
