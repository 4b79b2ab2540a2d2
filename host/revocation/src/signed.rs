//! Signatures: the three parts that CRLs, OCSP responses and certificates have in common.

use webpki::ALL_VERIFICATION_ALGS;

use crate::der::{DerError, Reader, SEQUENCE};

/// Something that was signed, and the signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    /// What was signed: a SEQUENCE with its header.
    pub(crate) message: &'a [u8],
    /// The content of the AlgorithmIdentifier.
    pub(crate) algorithm: &'a [u8],
    /// The signature.
    pub(crate) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads the three parts that stand next in `reader`.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, DerError> {
        Ok(Self {
            message: reader.element(SEQUENCE)?.whole,
            algorithm: reader.value(SEQUENCE)?,
            signature: reader.bit_string()?,
        })
    }

    /// Whether the key has signed. False, too, for an algorithm that nobody should use any more.
    pub(crate) fn verifies_with(&self, key: PublicKey<'_>) -> bool {
        ALL_VERIFICATION_ALGS
            .iter()
            .filter(|algorithm| {
                algorithm.public_key_alg_id().as_ref() == key.algorithm
                    && algorithm.signature_alg_id().as_ref() == self.algorithm
            })
            .any(|algorithm| {
                algorithm.verify_signature(key.bits, self.message, self.signature).is_ok()
            })
    }
}

/// The two parts of a SubjectPublicKeyInfo.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublicKey<'a> {
    /// The content of the AlgorithmIdentifier.
    pub(crate) algorithm: &'a [u8],
    /// The key.
    pub(crate) bits: &'a [u8],
}

impl<'a> PublicKey<'a> {
    /// Reads the content of a SubjectPublicKeyInfo.
    pub(crate) fn read(mut reader: Reader<'a>) -> Result<Self, DerError> {
        let key = Self { algorithm: reader.value(SEQUENCE)?, bits: reader.bit_string()? };
        reader.end()?;
        Ok(key)
    }
}
