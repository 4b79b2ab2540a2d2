//! How a file is laid out. All numbers are little-endian.
//!
//! ```text
//! file   = magic (8 bytes) , version (u32) , frame of the head , frame of a record *
//! frame  = length (u32) , CRC-32 of the content (u32) , CRC-32 of these eight bytes (u32) , content
//! ```
//!
//! The length has a checksum of its own, so that a record whose content is damaged can be stepped over. What looks like
//! a frame is nowhere searched for: the content of a record comes from clients.

/// What every file begins with: a name, and line ends that a transfer as text would change.
pub(crate) const MAGIC: [u8; 8] = *b"PCREC\r\n\x1a";
/// The format that is written, and the only one yet to be read.
pub(crate) const VERSION: u32 = 1;
/// Of the part before the content.
pub(crate) const PREFIX_BYTES: usize = 12;

/// The beginning of a file, its head in a frame.
pub(crate) fn head(content: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    append(&mut bytes, content);
    bytes
}

/// Appends a frame. The content is no longer than a record may be, which is less than a `u32` counts.
pub(crate) fn append(bytes: &mut Vec<u8>, content: &[u8]) {
    let start = bytes.len();
    bytes.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    let checksum = crc32fast::hash(&bytes[start..]);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(content);
}

/// What stands before a frame's content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    pub(crate) length: u32,
    pub(crate) checksum: u32,
}

impl Prefix {
    /// None when it is not what was written.
    pub(crate) fn read(bytes: [u8; PREFIX_BYTES]) -> Option<Self> {
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        let checksum = crc32fast::hash(&[a, b, c, d, e, f, g, h]);
        (checksum == u32::from_le_bytes(rest)).then(|| Self {
            length: u32::from_le_bytes([a, b, c, d]),
            checksum: u32::from_le_bytes([e, f, g, h]),
        })
    }
}
