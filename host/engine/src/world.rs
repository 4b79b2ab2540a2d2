//! What a component must be to be a policy: what it imports and exports, and what becomes of each import.

use std::borrow::Cow;

use wasmtime::component::{Component, Linker, LinkerInstance, ResourceType, types::ComponentItem};

use crate::bindings::PolicyWorldPre;
use crate::engine::Engine;
use crate::error::LoadError;
use crate::host::CallState;

/// The package of the contract.
pub(crate) const PACKAGE: &str = "portcullis:policy";
/// The contract's version: components built for 1.x and nothing newer load.
pub const CONTRACT_VERSION: &str = "1.0.0";
const INTERFACES: [&str; 5] = ["certificates", "crypto", "handshakes", "log", "revocation"];
const EXPORTS: [&str; 3] = ["configure", "describe", "evaluate"];
/// The version under which WASI is linked, for all of 0.2.
pub(crate) const WASI_VERSION: &str = "0.2.0";
/// The interfaces of WASI 0.2 that are linked, frozen, for the runtimes of other languages.
const FROZEN_WASI: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];
/// The largest component, in bytes.
pub(crate) const MAXIMUM_COMPONENT_BYTES: usize = 64 * 1024 * 1024;

/// What becomes of an import.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "gets", rename_all = "kebab-case")]
pub enum ImportStatus {
    /// An interface of the contract.
    Contract,
    /// An interface of WASI 0.2 that looks the same to every call: the handshake's time, a fixed seed, nothing else.
    FrozenWasi,
    /// No policy gets it, and the component does not load.
    Refused {
        /// Why, and the way out.
        why: Cow<'static, str>,
    },
}

/// Tells apart what is no component, or too large for one.
pub(crate) fn check_bytes(policy: &str, bytes: &[u8]) -> Result<(), LoadError> {
    let policy = policy.to_owned();
    if bytes.len() > MAXIMUM_COMPONENT_BYTES {
        return Err(LoadError::ComponentTooLarge { policy, bytes: bytes.len() });
    }
    // The preamble's last two bytes tell a component (layer 1) from a core module (layer 0).
    let what = match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => return Ok(()),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => {
            "this is a core WebAssembly module (`wasm-tools component new` makes a component of one)"
        }
        None => "the file has less than 8 bytes",
        Some(_) => "this is not WebAssembly",
    };
    Err(LoadError::NotAComponent { policy, what })
}

/// Compiles a component that passed [`check_bytes`].
pub(crate) fn compile(engine: &Engine, policy: &str, bytes: &[u8]) -> Result<Component, LoadError> {
    let policy = policy.to_owned();
    engine.compile_for_loading(bytes).map_err(|source| {
        // The one feature that tool chains use unless they are told not to.
        if format!("{source:#}").contains("component model async") {
            LoadError::Async { policy }
        } else {
            LoadError::Invalid { policy, source }
        }
    })
}

/// Whether a policy gets all that the component imports, and whether it exports what a policy must.
pub(crate) fn check(policy: &str, component: &Component) -> Result<(), LoadError> {
    let policy = || policy.to_owned();
    for import in imports(component) {
        if let ImportStatus::Refused { why } = status(&import) {
            return Err(if import.starts_with(PACKAGE) {
                LoadError::OtherContract { policy: policy(), import }
            } else {
                LoadError::UnknownImport { policy: policy(), import, why }
            });
        }
    }
    match EXPORTS.iter().find(|export| component.get_export_index(None, **export).is_none()) {
        Some(export) => {
            Err(LoadError::MissingExport { policy: policy(), export: (*export).to_owned() })
        }
        None => Ok(()),
    }
}

/// The names of what it imports. The world's `use` of a type shows as an import too, of that type, and is none.
pub(crate) fn imports(component: &Component) -> Vec<String> {
    component
        .component_type()
        .imports(component.engine())
        .filter(|(_, item)| !matches!(item.ty, ComponentItem::Type(_) | ComponentItem::Resource(_)))
        .map(|(import, _)| import.to_owned())
        .collect()
}

/// What becomes of the import with this name.
pub(crate) fn status(import: &str) -> ImportStatus {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    let why: Cow<'static, str> = match interface.split_once('/') {
        Some((PACKAGE, known)) if INTERFACES.contains(&known) && is_release(version, "1.") => {
            return ImportStatus::Contract;
        }
        Some((PACKAGE, _)) => format!("this host has {PACKAGE}@{CONTRACT_VERSION}").into(),
        _ if FROZEN_WASI.contains(&interface) && is_release(version, "0.2.") => {
            return ImportStatus::FrozenWasi;
        }
        _ if FROZEN_WASI.contains(&interface) => "of WASI this host has 0.2".into(),
        Some(("wasi:sockets" | "wasi:http", _)) => {
            "a policy has no network; leave it out with `--stub-wasi` (componentize-py) or with `-d http fetch-event` \
             (componentize-js)"
                .into()
        }
        _ => "a policy gets the contract's interfaces, and of WASI 0.2 cli, clocks, filesystem, io and random, frozen"
            .into(),
    };
    ImportStatus::Refused { why }
}

/// Whether this is a version of such a line, and no pre-release, which matches nothing but itself.
fn is_release(version: &str, line: &str) -> bool {
    let rest = version.strip_prefix(line).unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(|byte| byte == b'.' || byte.is_ascii_digit())
}

/// Links a component. What is missing of the imports with such a status traps when it is called.
pub(crate) fn link(
    policy: &str,
    linker: &Linker<CallState>,
    component: &Component,
    trapping: fn(&ImportStatus) -> bool,
) -> Result<PolicyWorldPre<CallState>, LoadError> {
    with_traps(linker, component, trapping)
        .and_then(|linker| linker.instantiate_pre(component))
        .and_then(PolicyWorldPre::new)
        .map_err(|source| LoadError::WrongType { policy: policy.to_owned(), source })
}

/// What a policy that loads is linked with: of a frozen interface, what has no meaning here traps, a file's methods for
/// instance.
pub(crate) fn is_frozen(status: &ImportStatus) -> bool {
    *status == ImportStatus::FrozenWasi
}

/// A copy of `linker` in which what is missing of the component's imports with such a status traps when it is called.
fn with_traps(
    linker: &Linker<CallState>,
    component: &Component,
    trapping: fn(&ImportStatus) -> bool,
) -> wasmtime::Result<Linker<CallState>> {
    let mut linker = linker.clone();
    let mut resources = Vec::new();
    for (import, item) in component.component_type().imports(component.engine()) {
        let status = status(import);
        let traps = trapping(&status);
        let ComponentItem::ComponentInstance(interface) = item.ty else {
            if traps && matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                trap(&mut linker.root(), import, import.to_owned());
            }
            continue;
        };
        for (name, item) in interface.exports(component.engine()) {
            let resource = match item.ty {
                ComponentItem::Resource(resource) => Some(resource),
                ComponentItem::ComponentFunc(_) => None,
                _ => continue,
            };
            // Where an interface uses a resource of another, that shows as one of its own.
            let used = resource.is_some_and(|resource| resources.contains(&resource));
            resources.extend(resource);
            if !traps || used {
                continue;
            }
            let mut interface = linker.instance(&linked_name(import, &status))?;
            match resource {
                Some(_) => define_resource(&mut interface, name),
                None => trap(&mut interface, name, format!("{import}#{name}")),
            }
        }
    }
    Ok(linker)
}

/// The name under which an interface stands in the linker: WASI's minor versions are one.
fn linked_name(import: &str, status: &ImportStatus) -> String {
    match (status, import.split_once('@')) {
        (ImportStatus::FrozenWasi, Some((interface, _))) => format!("{interface}@{WASI_VERSION}"),
        _ => import.to_owned(),
    }
}

/// What is linked already stays as it is: defining it again is an error, and the only one that there can be.
fn trap(interface: &mut LinkerInstance<'_, CallState>, name: &str, function: String) {
    let _ = interface.func_new(name, move |_, _, _, _| {
        wasmtime::bail!("called `{function}`, which does nothing for a policy")
    });
}

/// As [`trap`]: nothing makes such a resource, so nothing is to be dropped.
fn define_resource(interface: &mut LinkerInstance<'_, CallState>, name: &str) {
    let _ = interface.resource(name, ResourceType::host::<()>(), |_, _| Ok(()));
}

#[cfg(test)]
mod tests {
    use super::{ImportStatus, status};

    #[test]
    fn the_contract_s_interfaces_are_those_of_its_first_version() {
        assert_eq!(status("portcullis:policy/log@1.0.0"), ImportStatus::Contract);
        assert_eq!(status("portcullis:policy/log@1.7.0"), ImportStatus::Contract);
        for other in [
            "portcullis:policy/log@2.0.0",
            "portcullis:policy/log@1.0.0-rc",
            "portcullis:policy/log",
            "portcullis:policy/fax@1.0.0",
        ] {
            assert!(matches!(status(other), ImportStatus::Refused { .. }), "{other}");
        }
    }

    #[test]
    fn of_wasi_there_is_what_can_be_frozen_and_no_network() {
        assert_eq!(status("wasi:clocks/wall-clock@0.2.0"), ImportStatus::FrozenWasi);
        assert_eq!(status("wasi:io/streams@0.2.9"), ImportStatus::FrozenWasi);
        for other in [
            "wasi:clocks/wall-clock@0.3.0",
            "wasi:clocks/wall-clock@0.2",
            "wasi:clocks/wall-clock@0.2.0-rc-2023-11-10",
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/outgoing-handler@0.2.0",
            "wasi:keyvalue/store@0.2.0",
            "wasi:clocks",
            "",
        ] {
            assert!(matches!(status(other), ImportStatus::Refused { .. }), "{other}");
        }
    }
}
