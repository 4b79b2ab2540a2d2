//! A TOML file, for the places and the paths in it.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_source::{FileSystem, Readings, Source as _};
use serde::de::DeserializeOwned;
use toml::Spanned;

use crate::mistake::Mistake;

/// A TOML file that was read.
#[derive(Clone, Debug)]
pub struct Document {
    path: PathBuf,
    text: String,
    readings: Arc<Readings>,
}

impl Document {
    /// Reads a file of at most `maximum` bytes.
    ///
    /// # Errors
    /// When it cannot be read, is larger, or is not text.
    pub fn read(path: &Path, maximum: u64) -> Result<Self, Mistake> {
        Self::read_with(path, maximum, Arc::default())
    }

    /// As [`Document::read`], with `readings` for the file itself and for all that it names.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read_with(path: &Path, maximum: u64, readings: Arc<Readings>) -> Result<Self, Mistake> {
        let bytes = readings
            .read_file(path, maximum)
            .map_err(|error| Mistake::file(path, &error.to_string()))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Mistake::file(path, "the file is not UTF-8 text"))?;
        Ok(Self { path: path.to_owned(), text, readings })
    }

    /// A text as if it had been read from `path`.
    #[must_use]
    pub fn new(path: PathBuf, text: String) -> Self {
        Self { path, text, readings: Arc::default() }
    }

    /// What it says.
    ///
    /// # Errors
    /// When it is not TOML, or not what is expected.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Mistake> {
        toml::from_str(&self.text).map_err(|error| Mistake::toml(&self.path, &self.text, &error))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads what it names, and remembers what was read.
    #[must_use]
    pub fn readings(&self) -> &Readings {
        &self.readings
    }

    /// A path that stands in it: relative to the file.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A mistake at a place of the file.
    #[must_use]
    pub fn mistake<T>(&self, at: &Spanned<T>, key: &str, problem: &str) -> Mistake {
        self.mistake_at(at.span(), key, problem)
    }

    /// A mistake at these bytes of the file.
    #[must_use]
    pub fn mistake_at(&self, span: Range<usize>, key: &str, problem: &str) -> Mistake {
        Mistake::at(&self.path, &self.text, span, key, problem)
    }

    /// A mistake in the section or key that this text begins, or in the file as a whole.
    #[must_use]
    pub fn mistake_in(&self, header: &str, key: &str, problem: &str) -> Mistake {
        match self.text.find(header) {
            Some(start) => {
                Mistake::at(&self.path, &self.text, start..start + header.len(), key, problem)
            }
            None => Mistake::file(&self.path, problem).key(key),
        }
    }

    /// Reads a file that it names.
    ///
    /// # Errors
    /// When that cannot be read, or has more than `maximum` bytes.
    pub fn read_named(
        &self,
        named: &Spanned<PathBuf>,
        key: &str,
        maximum: u64,
    ) -> Result<Vec<u8>, Mistake> {
        self.read_at(named, named.get_ref(), key, maximum)
    }

    /// As [`Document::read_named`], where the path is a part of what stands at the place.
    ///
    /// # Errors
    /// As [`Document::read_named`].
    pub fn read_at<T>(
        &self,
        at: &Spanned<T>,
        path: &Path,
        key: &str,
        maximum: u64,
    ) -> Result<Vec<u8>, Mistake> {
        let path = self.resolve(path);
        self.readings.read_file(&path, maximum).map_err(|error| {
            self.mistake(at, key, &format!("`{}`: {error}", path.display()))
                .hint("paths are relative to the file that they stand in")
        })
    }
}

/// Reads a file of at most `maximum` bytes.
///
/// # Errors
/// What is wrong, without the path.
pub fn read_bounded(path: &Path, maximum: u64) -> Result<Vec<u8>, String> {
    FileSystem.read(path, maximum).map(|content| content.bytes).map_err(|error| error.to_string())
}
