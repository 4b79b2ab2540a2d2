//! Reading a recording, whatever has become of it.

use std::io::{self, Read};

use crate::error::{Damage, ReadError};
use crate::frame::{MAGIC, PREFIX_BYTES, Prefix, VERSION};
use crate::wire::{self, FileHeader, MAXIMUM_RECORD_BYTES, Record};

/// Reads a file's records one after the other, in bounded memory.
///
/// Damage is an item like any other: everything before it was given, and where the place of the next record is known,
/// everything behind it will be. Wrap a file in a [`BufReader`](io::BufReader).
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// Of the next byte.
    offset: u64,
    header: Option<FileHeader>,
    /// To be given before the first record.
    damaged_head: Option<Damage>,
    ended: bool,
}

/// A record that has passed its checksum, still encoded: decoding may be done elsewhere.
#[derive(Clone, Debug)]
pub struct RawRecord {
    /// Where it begins in its file.
    pub offset: u64,
    content: Vec<u8>,
}

impl RawRecord {
    /// The record.
    ///
    /// # Errors
    ///
    /// When it was not written by this format's writer.
    pub fn decode(&self) -> Result<Record, ReadError> {
        wire::decode(&self.content)
            .map_err(|damage| ReadError::Damaged { offset: self.offset, damage })
    }
}

impl<R: Read> Reader<R> {
    /// Reads the head. One that is damaged is the first item, and the records behind it are read.
    ///
    /// # Errors
    ///
    /// When it is no recording, or one of another version, or there is nothing behind a damaged head.
    pub fn new(source: R) -> Result<Self, ReadError> {
        let mut reader = Self { source, offset: 0, header: None, damaged_head: None, ended: false };
        let mut magic = [0; MAGIC.len()];
        let mut version = [0; 4];
        if reader.fill(&mut magic)? < magic.len() || magic != MAGIC {
            return Err(ReadError::NotARecording);
        }
        if reader.fill(&mut version)? < version.len() {
            return Err(ReadError::Head(Damage::Torn));
        }
        match u32::from_le_bytes(version) {
            VERSION => {}
            other => return Err(ReadError::Version(other)),
        }
        let content = reader.frame()?.unwrap_or(Err(Damage::Torn));
        match content.and_then(|content| wire::decode(&content)) {
            Ok(header) => reader.header = Some(header),
            Err(damage @ (Damage::Checksum | Damage::Malformed(_))) => {
                reader.damaged_head = Some(damage);
            }
            Err(damage) => return Err(ReadError::Head(damage)),
        }
        Ok(reader)
    }

    /// What the file's head says; none when that is damaged.
    pub fn header(&self) -> Option<&FileHeader> {
        self.header.as_ref()
    }

    /// How many bytes were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.offset
    }

    /// As much as there is, up to the end of the buffer.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// The content of the next frame; none at the end of the file.
    fn frame(&mut self) -> io::Result<Option<Result<Vec<u8>, Damage>>> {
        let mut bytes = [0; PREFIX_BYTES];
        match self.fill(&mut bytes)? {
            0 => return Ok(None),
            PREFIX_BYTES => {}
            _ => return Ok(Some(Err(Damage::Torn))),
        }
        let Some(prefix) = Prefix::read(bytes) else { return Ok(Some(Err(Damage::Length))) };
        if prefix.length as usize > MAXIMUM_RECORD_BYTES {
            return Ok(Some(Err(Damage::TooLarge(prefix.length))));
        }
        // Grows with what is there, not with what is claimed.
        let mut content = Vec::new();
        self.source.by_ref().take(u64::from(prefix.length)).read_to_end(&mut content)?;
        self.offset += content.len() as u64;
        Ok(Some(if content.len() < prefix.length as usize {
            Err(Damage::Torn)
        } else if crc32fast::hash(&content) == prefix.checksum {
            Ok(content)
        } else {
            Err(Damage::Checksum)
        }))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<RawRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(damage) = self.damaged_head.take() {
            return Some(Err(ReadError::Head(damage)));
        }
        if self.ended {
            return None;
        }
        let offset = self.offset;
        match self.frame() {
            Ok(None) => {
                self.ended = true;
                None
            }
            Ok(Some(Ok(content))) => Some(Ok(RawRecord { offset, content })),
            Ok(Some(Err(damage))) => {
                self.ended = damage != Damage::Checksum;
                Some(Err(ReadError::Damaged { offset, damage }))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(ReadError::Io(error)))
            }
        }
    }
}
