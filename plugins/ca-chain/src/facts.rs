//! What the rule asks about a certificate.

use portcullis_guest::{Certificate, NameAttribute, PublicKey, SubjectAltName, Timestamp};

/// A certificate as the host parsed it.
///
/// A trait, so that the rule also runs on the machine at hand, where there is no host. Every call costs a visit to the
/// host: the rule asks each question once, and only of certificates that the verdict depends on.
pub trait Facts {
    /// The DER encoding.
    fn der(&self) -> Vec<u8>;
    /// Dotted OIDs; empty when the extension is absent.
    fn extended_key_usages(&self) -> Vec<String>;
    /// Whether basic constraints say that this is a CA certificate.
    fn is_ca(&self) -> bool;
    /// By their RFC 5280 names; none when the extension is absent.
    fn key_usages(&self) -> Option<Vec<String>>;
    /// The last second of the validity.
    fn not_after(&self) -> Timestamp;
    /// The first second of the validity.
    fn not_before(&self) -> Timestamp;
    /// The public key.
    fn public_key(&self) -> PublicKey;
    /// SHA-256 of the DER encoding.
    fn sha256(&self) -> Vec<u8>;
    /// The subject as RFC 4514 text, for people.
    fn subject(&self) -> String;
    /// The subject alternative names.
    fn subject_alt_names(&self) -> Vec<SubjectAltName>;
    /// The attributes of the subject.
    fn subject_names(&self) -> Vec<NameAttribute>;
}

macro_rules! ask_the_host {
    ($($question:ident: $answer:ty;)*) => {
        impl Facts for Certificate {
            $(
                fn $question(&self) -> $answer {
                    Certificate::$question(self)
                }
            )*
        }
    };
}

ask_the_host! {
    der: Vec<u8>;
    extended_key_usages: Vec<String>;
    is_ca: bool;
    key_usages: Option<Vec<String>>;
    not_after: Timestamp;
    not_before: Timestamp;
    public_key: PublicKey;
    sha256: Vec<u8>;
    subject: String;
    subject_alt_names: Vec<SubjectAltName>;
    subject_names: Vec<NameAttribute>;
}
