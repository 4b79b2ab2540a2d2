//! What can be wrong with a certificate once it is made, for fixtures.

/// The signature algorithms of [`TestKey`](crate::TestKey)s, as object identifiers in DER; what stands in their place as one
/// that nobody verifies here; and what stands there as one that contradicts.
const ALGORITHMS: [(&[u8], u8, u8); 4] = [
    // ecdsa-with-SHA256: ecdsa-with-SHA224, ecdsa-with-SHA384.
    (&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], 0x01, 0x03),
    // ecdsa-with-SHA384: ecdsa-with-SHA224, ecdsa-with-SHA256.
    (&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], 0x01, 0x02),
    // sha256WithRSAEncryption: sha1WithRSAEncryption, sha384WithRSAEncryption.
    (&[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], 0x05, 0x0c),
    // Ed25519: Ed448, Ed448.
    (&[0x06, 0x03, 0x2b, 0x65, 0x70], 0x71, 0x71),
];

/// One way in which the bytes of a certificate are not what its issuer should have made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Another algorithm outside of what is signed than inside (RFC 5280, 4.1.1.2).
    ContradictorySignatureAlgorithm,
    /// One byte follows the certificate.
    TrailingData,
    /// The last byte is missing.
    Truncated,
    /// Signed with an algorithm that no policy verifies.
    UnsupportedSignatureAlgorithm,
    /// A signature that does not verify.
    WrongSignature,
}

impl Flaw {
    /// Spoils a certificate.
    pub fn spoil(self, der: &mut Vec<u8>) {
        match self {
            Self::ContradictorySignatureAlgorithm => {
                if let Some((at, _, other)) = algorithm(der, last) {
                    der[at] = other;
                }
            }
            Self::TrailingData => der.push(0),
            Self::Truncated => drop(der.pop()),
            Self::UnsupportedSignatureAlgorithm => {
                for find in [first, last] {
                    if let Some((at, unsupported, _)) = algorithm(der, find) {
                        der[at] = unsupported;
                    }
                }
            }
            Self::WrongSignature => {
                if let Some(byte) = der.last_mut() {
                    *byte ^= 1;
                }
            }
        }
    }
}

/// Where the last byte of the signature algorithm is, with what may take its place. `find` tells the one inside of what
/// is signed, the first, from the one outside, the last.
fn algorithm(der: &[u8], find: fn(&[u8], &[u8]) -> Option<usize>) -> Option<(usize, u8, u8)> {
    ALGORITHMS.iter().find_map(|&(oid, unsupported, other)| {
        find(der, oid).map(|start| (start + oid.len() - 1, unsupported, other))
    })
}

fn first(der: &[u8], oid: &[u8]) -> Option<usize> {
    der.windows(oid.len()).position(|bytes| bytes == oid)
}

fn last(der: &[u8], oid: &[u8]) -> Option<usize> {
    der.windows(oid.len()).rposition(|bytes| bytes == oid)
}
