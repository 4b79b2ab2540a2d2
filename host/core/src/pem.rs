//! PEM (RFC 7468).

use data_encoding::BASE64;

/// DER as PEM, in lines of 64 characters. `label` is `CERTIFICATE`, for instance.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in BASE64.encode(der).as_bytes().chunks(64) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}
