//! A client's certificate: whatever it holds, it is parsed or refused, and what is parsed can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::Certificate;

fuzz_target!(|der: &[u8]| {
    if let Ok(certificate) = Certificate::from_der(der.to_vec()) {
        assert_eq!(certificate.der(), der);
        // A name in a log stays on its line.
        assert!(!certificate.subject().contains('\n'));
        assert!(!certificate.issuer().contains('\n'));
    }
});
