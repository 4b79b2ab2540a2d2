//! `wasi:io`: input that is at its end, output that goes to the log, and nothing to wait for.

use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource};
use wasmtime::{StoreContextMut, bail};

use super::{interface, resource};
use crate::host::CallState;
use crate::log::Output;

/// What one write may hand over.
const MAXIMUM_WRITE_BYTES: u64 = 64 * 1024;

/// Something to wait for, which is always there.
pub(super) struct Pollable;
/// Standard input.
pub(super) struct InputStream;
/// Standard output or standard error.
pub(super) struct OutputStream(pub(super) Output);
/// Never made: reading ends and writing succeeds.
struct IoError;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

type Interface<'a> = LinkerInstance<'a, CallState>;
type Store<'a> = StoreContextMut<'a, CallState>;

pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    resource::<IoError>(&mut interface(linker, "io/error")?, "error")?;
    poll(&mut interface(linker, "io/poll")?)?;
    let mut streams = interface(linker, "io/streams")?;
    input(&mut streams)?;
    output(&mut streams)
}

fn poll(poll: &mut Interface<'_>) -> wasmtime::Result<()> {
    resource::<Pollable>(poll, "pollable")?;
    poll.func_wrap("[method]pollable.ready", |_, (_this,): (Resource<Pollable>,)| Ok((true,)))?;
    poll.func_wrap("[method]pollable.block", |_, (_this,): (Resource<Pollable>,)| Ok(()))?;
    poll.func_wrap("poll", |_, (all,): (Vec<Resource<Pollable>>,)| {
        if all.is_empty() {
            bail!("polled nothing, which would wait for ever");
        }
        Ok(((0..u32::try_from(all.len())?).collect::<Vec<u32>>(),))
    })
}

fn input(streams: &mut Interface<'_>) -> wasmtime::Result<()> {
    resource::<InputStream>(streams, "input-stream")?;
    type This = (Resource<InputStream>, u64);
    for read in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        streams.func_wrap(read, |_, (_this, _length): This| {
            Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
        })?;
    }
    for skip in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        streams.func_wrap(skip, |_, (_this, _length): This| {
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?;
    }
    subscribe::<InputStream>(streams, "[method]input-stream.subscribe")
}

fn output(streams: &mut Interface<'_>) -> wasmtime::Result<()> {
    resource::<OutputStream>(streams, "output-stream")?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |_, (_this,): (Resource<OutputStream>,)| Ok((Ok::<_, StreamError>(MAXIMUM_WRITE_BYTES),)),
    )?;
    for write in ["[method]output-stream.write", "[method]output-stream.blocking-write-and-flush"] {
        streams.func_wrap(
            write,
            |mut store: Store<'_>, (this, bytes): (Resource<OutputStream>, Vec<u8>)| {
                let state = store.data_mut();
                let output = state.get(&this)?.0;
                state.charge(bytes.len() as u64)?;
                state.log.write(output, &bytes);
                Ok((Ok::<_, StreamError>(()),))
            },
        )?;
    }
    for flush in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        streams.func_wrap(flush, |_, (_this,): (Resource<OutputStream>,)| {
            Ok((Ok::<_, StreamError>(()),))
        })?;
    }
    subscribe::<OutputStream>(streams, "[method]output-stream.subscribe")
}

fn subscribe<T: 'static>(streams: &mut Interface<'_>, name: &str) -> wasmtime::Result<()> {
    streams.func_wrap(name, |mut store: Store<'_>, (_this,): (Resource<T>,)| {
        Ok((store.data_mut().push(Pollable)?,))
    })
}
