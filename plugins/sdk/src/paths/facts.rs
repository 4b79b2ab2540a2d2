//! What is asked about a certificate.

use crate::{Certificate, NameAttribute, PublicKey, SubjectAltName, Timestamp};

macro_rules! facts {
    ($($(#[$doc:meta])* $question:ident($($argument:ident: $type:ty)?) -> $answer:ty;)*) => {
        /// A certificate as the host parsed it.
        ///
        /// A trait, so that a rule also runs on the machine at hand, where there is no host. Every call costs a visit to
        /// the host: a rule asks each question once, and only of certificates that the verdict depends on.
        pub trait Facts {
            $($(#[$doc])* fn $question(&self $(, $argument: $type)?) -> $answer;)*
        }

        impl Facts for Certificate {
            $(
                fn $question(&self $(, $argument: $type)?) -> $answer {
                    Certificate::$question(self $(, $argument)?)
                }
            )*
        }
    };
}

facts! {
    /// The DER encoding.
    der() -> Vec<u8>;
    /// Dotted OIDs; empty when the extension is absent.
    extended_key_usages() -> Vec<String>;
    /// The DER value of the extension with this dotted OID.
    extension(oid: &str) -> Option<Vec<u8>>;
    /// Whether basic constraints say that this is a CA certificate.
    is_ca() -> bool;
    /// By their RFC 5280 names; none when the extension is absent.
    key_usages() -> Option<Vec<String>>;
    /// The last second of the validity.
    not_after() -> Timestamp;
    /// The first second of the validity.
    not_before() -> Timestamp;
    /// The public key.
    public_key() -> PublicKey;
    /// SHA-256 of the DER encoding.
    sha256() -> Vec<u8>;
    /// The subject as RFC 4514 text, for people.
    subject() -> String;
    /// The subject alternative names.
    subject_alt_names() -> Vec<SubjectAltName>;
    /// The attributes of the subject.
    subject_names() -> Vec<NameAttribute>;
}
