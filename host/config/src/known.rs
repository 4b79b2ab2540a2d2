//! Policies that need not be loaded again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_engine::{Chain, Engine, LoadError, Policy, PolicySource};

/// As many as are kept while no chain is made of them.
const MAXIMUM: usize = 64;

/// Policies from one load to the next: what is the same is not compiled again, even if the load before came to nothing.
#[derive(Debug, Default)]
pub struct KnownPolicies(Mutex<Vec<Arc<Policy>>>);

impl KnownPolicies {
    pub(crate) fn find(&self, engine: &Engine, source: &PolicySource) -> Option<Arc<Policy>> {
        self.all().iter().find(|policy| policy.is_made_from(engine, source)).cloned()
    }

    pub(crate) fn load(
        &self,
        engine: &Engine,
        source: PolicySource,
    ) -> Result<Arc<Policy>, LoadError> {
        let policy = Arc::new(Policy::load(engine, source)?);
        let mut all = self.all();
        if all.len() >= MAXIMUM {
            all.remove(0);
        }
        all.push(Arc::clone(&policy));
        Ok(policy)
    }

    /// Forgets those that are not in the chain.
    pub fn keep_those_of(&self, chain: &Chain) {
        let members = || chain.members().map(|member| &member.policy);
        self.all().retain(|known| members().any(|policy| Arc::ptr_eq(policy, known)));
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Policy>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
