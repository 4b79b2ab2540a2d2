//! WASI 0.2 for the runtimes of other languages, frozen: every call of a policy finds the same.
//!
//! An interpreter asks for a clock, randomness, an environment, files and standard streams before it runs a line of its
//! policy. It gets the handshake's time (0 before there is a handshake), bytes that follow from a fixed seed, nothing, no
//! files, and the policy's log. What can be waited for is there at once, so nothing blocks: while a host function ran, no
//! deadline could end it. There is no network. [`world`](crate::world) lists the interfaces; what they have beyond what
//! is here traps when it is called.

mod cli;
mod clocks;
mod filesystem;
mod io;
mod random;

use wasmtime::component::{Linker, LinkerInstance, ResourceType};

use crate::host::CallState;
use crate::world::WASI_VERSION;

pub(crate) use random::Random;

/// Gives a linker the interfaces.
pub(crate) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    cli::add_to_linker(linker)?;
    clocks::add_to_linker(linker)?;
    filesystem::add_to_linker(linker)?;
    io::add_to_linker(linker)?;
    random::add_to_linker(linker)
}

fn interface<'a>(
    linker: &'a mut Linker<CallState>,
    name: &str,
) -> wasmtime::Result<LinkerInstance<'a, CallState>> {
    linker.instance(&format!("wasi:{name}@{WASI_VERSION}"))
}

/// Defines a resource that is kept in the call's table.
fn resource<T: Send + 'static>(
    interface: &mut LinkerInstance<'_, CallState>,
    name: &str,
) -> wasmtime::Result<()> {
    interface
        .resource(name, ResourceType::host::<T>(), |mut store, id| store.data_mut().delete::<T>(id))
}
