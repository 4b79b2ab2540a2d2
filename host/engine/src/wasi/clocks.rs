//! `wasi:clocks`: both clocks stand still at the handshake's time, and every timer has gone off.

use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::interface;
use super::io::Pollable;
use crate::host::CallState;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut wall = interface(linker, "clocks/wall-clock")?;
    wall.func_wrap("now", |store, ()| {
        Ok((Datetime { seconds: seconds(store.data()), nanoseconds: 0 },))
    })?;
    wall.func_wrap("resolution", |_, ()| Ok((Datetime { seconds: 1, nanoseconds: 0 },)))?;

    let mut monotonic = interface(linker, "clocks/monotonic-clock")?;
    monotonic.func_wrap("now", |store, ()| {
        Ok((seconds(store.data()).saturating_mul(NANOSECONDS_PER_SECOND),))
    })?;
    monotonic.func_wrap("resolution", |_, ()| Ok((NANOSECONDS_PER_SECOND,)))?;
    for subscribe in ["subscribe-instant", "subscribe-duration"] {
        monotonic.func_wrap(subscribe, |mut store, (_when,): (u64,)| {
            Ok((store.data_mut().push(Pollable)?,))
        })?;
    }
    Ok(())
}

/// WASI's clocks do not go below 0.
fn seconds(state: &CallState) -> u64 {
    u64::try_from(state.time()).unwrap_or(0)
}
