//! `wasi:filesystem`: no directory is open, and nothing else opens a file.

use wasmtime::component::{Linker, Resource};

use super::{interface, resource};
use crate::host::CallState;

/// Never made, so none of their methods is ever reached.
struct Descriptor;
struct DirectoryEntryStream;

pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut types = interface(linker, "filesystem/types")?;
    resource::<Descriptor>(&mut types, "descriptor")?;
    resource::<DirectoryEntryStream>(&mut types, "directory-entry-stream")?;
    interface(linker, "filesystem/preopens")?
        .func_wrap("get-directories", |_, ()| Ok((Vec::<(Resource<Descriptor>, String)>::new(),)))
}
