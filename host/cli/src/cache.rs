//! The compile cache: which directory it is.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use portcullis_config::Mistake;
use portcullis_engine::{CompileCache, with_causes};

use crate::config::{CacheMode, ConfigFile};

/// Names the directory of commands whose configuration names none. `off` is none.
const VARIABLE: &str = "PORTCULLIS_CACHE";

/// The cache of a configuration; none where it is switched off.
pub(crate) fn configured(file: &ConfigFile) -> Result<Option<CompileCache>, Mistake> {
    let section = &file.config.engine;
    let maximum = section.cache_maximum_bytes.unwrap_or(CompileCache::DEFAULT_MAXIMUM_BYTES);
    match &section.cache_directory {
        _ if section.cache == CacheMode::Off => Ok(None),
        None => Ok(of_user_with(maximum)),
        Some(named) => {
            let path = file.resolve(named.get_ref());
            let cache = CompileCache::open(&path, maximum);
            cache.map(Some).map_err(|error| {
                file.mistake(named, "engine.cache-directory", &with_causes(&error))
            })
        }
    }
}

/// The cache of whoever runs this; none where it is switched off or cannot be used, which costs nothing but time.
pub(crate) fn of_user() -> Option<CompileCache> {
    of_user_with(CompileCache::DEFAULT_MAXIMUM_BYTES)
}

fn of_user_with(maximum_bytes: u64) -> Option<CompileCache> {
    let path = directory(|name| env::var_os(name))?;
    let cache = CompileCache::open(&path, maximum_bytes);
    cache
        .inspect_err(|error| {
            tracing::warn!("policies are compiled at every start: {}", with_causes(error));
        })
        .ok()
}

/// `PORTCULLIS_CACHE`, or the user's directory for caches by the XDG Base Directory Specification, 0.8.
fn directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(named) = variable(VARIABLE).filter(|named| !named.is_empty()) {
        return (named != "off").then(|| PathBuf::from(named));
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Some(caches?.join("portcullis"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Option<String> {
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let path = directory(|name| value(name).map(|(_, value)| value.into()));
        path.map(|path| path.display().to_string())
    }

    #[test]
    fn the_directory_is_the_user_s_unless_one_is_named() {
        let home = ("HOME", "/home/alice");
        assert_eq!(found(&[home]).unwrap(), "/home/alice/.cache/portcullis");
        let caches = ("XDG_CACHE_HOME", "/var/cache/alice");
        assert_eq!(found(&[home, caches]).unwrap(), "/var/cache/alice/portcullis");
        assert_eq!(found(&[home, caches, (VARIABLE, "here")]).unwrap(), "here");
        assert_eq!(found(&[home, (VARIABLE, "off")]), None);
        // What the specification says of a relative one: it is no directory.
        assert_eq!(
            found(&[("XDG_CACHE_HOME", "caches"), home]).unwrap(),
            "/home/alice/.cache/portcullis"
        );
        assert_eq!(found(&[]), None);
    }
}
