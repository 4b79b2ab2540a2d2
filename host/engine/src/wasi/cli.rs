//! `wasi:cli`: an empty environment, standard streams that end in the log, no terminal, and an exit that fails the call.

use wasmtime::bail;
use wasmtime::component::{Linker, Resource};

use super::io::{InputStream, OutputStream};
use super::{interface, resource};
use crate::host::CallState;
use crate::log::Output;

/// Never made: there is no terminal.
struct TerminalInput;
struct TerminalOutput;

pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    environment(linker)?;
    exit(linker)?;
    streams(linker)?;
    terminals(linker)
}

fn environment(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut environment = interface(linker, "cli/environment")?;
    environment.func_wrap("get-environment", |_, ()| Ok((Vec::<(String, String)>::new(),)))?;
    environment.func_wrap("get-arguments", |_, ()| Ok((Vec::<String>::new(),)))?;
    environment.func_wrap("initial-cwd", |_, ()| Ok((None::<String>,)))
}

fn exit(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut exit = interface(linker, "cli/exit")?;
    exit.func_wrap("exit", |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
        let status = if status.is_ok() { "success" } else { "failure" };
        bail!("the policy exited ({status}) instead of answering")
    })?;
    exit.func_wrap("exit-with-code", |_, (code,): (u8,)| -> wasmtime::Result<()> {
        bail!("the policy exited ({code}) instead of answering")
    })
}

fn streams(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    interface(linker, "cli/stdin")?
        .func_wrap("get-stdin", |mut store, ()| Ok((store.data_mut().push(InputStream)?,)))?;
    interface(linker, "cli/stdout")?.func_wrap("get-stdout", |mut store, ()| {
        Ok((store.data_mut().push(OutputStream(Output::Stdout))?,))
    })?;
    interface(linker, "cli/stderr")?.func_wrap("get-stderr", |mut store, ()| {
        Ok((store.data_mut().push(OutputStream(Output::Stderr))?,))
    })
}

fn terminals(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    resource::<TerminalInput>(&mut interface(linker, "cli/terminal-input")?, "terminal-input")?;
    resource::<TerminalOutput>(&mut interface(linker, "cli/terminal-output")?, "terminal-output")?;
    interface(linker, "cli/terminal-stdin")?
        .func_wrap("get-terminal-stdin", |_, ()| Ok((None::<Resource<TerminalInput>>,)))?;
    interface(linker, "cli/terminal-stdout")?
        .func_wrap("get-terminal-stdout", |_, ()| Ok((None::<Resource<TerminalOutput>>,)))?;
    interface(linker, "cli/terminal-stderr")?
        .func_wrap("get-terminal-stderr", |_, ()| Ok((None::<Resource<TerminalOutput>>,)))
}
