//! A file of trust bundles, PEM or JWKS: read or refused, and never an empty set of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_guest::testing::ParsedCertificate;
use portcullis_spiffe_id::bundles::Bundles;
use portcullis_spiffe_id::id::TrustDomain;

fuzz_target!(|content: &[u8]| {
    let domain = TrustDomain::parse("example.org").ok();
    let _ = Bundles::parse(content, domain.as_ref(), ParsedCertificate::parse);
    let _ = Bundles::parse(content, None, ParsedCertificate::parse);
});
