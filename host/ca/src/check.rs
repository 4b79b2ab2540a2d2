//! Whether peers would accept what was just signed.

use std::time::Duration;

use portcullis_core::Timestamp;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use crate::ask::Usage;
use crate::error::Error;

/// Verifies a certificate as a TLS peer that trusts the authority does: signature, name constraints, usage, time. So
/// what this authority may not issue is not issued, and not only refused by others.
pub(crate) fn check(
    certificate: &[u8],
    authority: &[u8],
    usage: Usage,
    now: Timestamp,
) -> Result<(), Error> {
    let refused = |error: webpki::Error| Error::Check(error.to_string());
    let (certificate, authority) =
        (CertificateDer::from(certificate), CertificateDer::from(authority));
    let anchor = webpki::anchor_from_trusted_cert(&authority).map_err(refused)?;
    let usage = match usage {
        Usage::Client => KeyUsage::client_auth(),
        Usage::Server => KeyUsage::server_auth(),
    };
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.try_into().unwrap_or(0)));
    let end_entity = EndEntityCert::try_from(&certificate).map_err(refused)?;
    end_entity
        .verify_for_usage(ALL_VERIFICATION_ALGS, &[anchor], &[], time, usage, None, None)
        .map(drop)
        .map_err(refused)
}
