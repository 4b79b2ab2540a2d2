//! What a policy may use.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// What one call of a policy may use. Beyond it the call is cut and counts as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyLimits {
    /// How long `evaluate` may take. Default: 100 ms.
    pub deadline: Duration,
    /// How long `describe` and `configure` may take, each, at load. Default: 10 s.
    pub configure_deadline: Duration,
    /// Linear memory in bytes, over all memories of the component. Default: 64 MiB, which is also the most that an
    /// engine gives unless [`EngineOptions::maximum_memory_bytes`](crate::EngineOptions) says otherwise.
    pub memory_bytes: usize,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_millis(100),
            configure_deadline: Duration::from_secs(10),
            memory_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Counts a store's memory against its limit, over all memories: wasmtime's own limits count each alone.
#[derive(Debug)]
pub(crate) struct MemoryMeter {
    limit: usize,
    used: usize,
    denied: bool,
}

impl MemoryMeter {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: 0, denied: false }
    }

    /// Memories only grow, so what is used at the end is the most that was used.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Whether growth was denied, which a guest mostly answers with a trap of its own.
    pub(crate) fn denied(&self) -> bool {
        self.denied
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.denied = true;
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.denied = true;
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAXIMUM_TABLE_ELEMENTS)
    }

    fn instances(&self) -> usize {
        MAXIMUM_CORE_INSTANCES as usize
    }

    fn memories(&self) -> usize {
        MAXIMUM_MEMORIES as usize
    }

    fn tables(&self) -> usize {
        MAXIMUM_TABLES as usize
    }
}

/// What a component may consist of. A Python interpreter has up to 38 core instances.
pub(crate) const MAXIMUM_CORE_INSTANCES: u32 = 60;
pub(crate) const MAXIMUM_MEMORIES: u32 = 8;
pub(crate) const MAXIMUM_TABLES: u32 = 40;
/// The largest table, in elements: a Python interpreter's needs some 30,000.
pub(crate) const MAXIMUM_TABLE_ELEMENTS: usize = 40_000;
