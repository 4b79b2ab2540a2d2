//! An OCSP response: parsed or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_revocation::parse_ocsp_response;

fuzz_target!(|der: &[u8]| {
    let _ = parse_ocsp_response(der);
});
