//! Certificates of clients that need no check, where the settings say so.

use portcullis_guest::paths::Facts;

use crate::settings::Settings;

const NO_REV_AVAIL: &str = "2.5.29.56";
const CRL_DISTRIBUTION_POINTS: &str = "2.5.29.31";
const FRESHEST_CRL: &str = "2.5.29.46";
const AUTHORITY_INFORMATION_ACCESS: &str = "1.3.6.1.5.5.7.1.1";

/// The access method id-ad-ocsp (RFC 5280, 4.2.2.1) with its DER header.
const OCSP: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];

const NULL: &[u8] = &[0x05, 0x00];

/// Why a leaf needs no check, as the attribute has it.
pub(crate) fn of<C: Facts>(leaf: &C, settings: &Settings) -> Option<&'static str> {
    if settings.exempt_validity_hours.is_some_and(|hours| is_valid_for_at_most(leaf, hours)) {
        return Some("exempt-validity");
    }
    (settings.honour_no_rev_avail && has_no_rev_avail(leaf)).then_some("no-rev-avail")
}

/// Both ends belong to the validity (RFC 5280, 4.1.2.5).
fn is_valid_for_at_most<C: Facts>(leaf: &C, hours: u32) -> bool {
    let seconds = leaf.not_after().saturating_sub(leaf.not_before()).saturating_add(1);
    seconds <= i64::from(hours) * 3600
}

/// Whether the CA says that it tells nobody about this certificate (RFC 9608).
///
/// It may not say so of a CA certificate, nor beside a place to ask: then the extension is not believed.
fn has_no_rev_avail<C: Facts>(leaf: &C) -> bool {
    let tells_of_ocsp = |value: Vec<u8>| value.windows(OCSP.len()).any(|bytes| bytes == OCSP);
    leaf.extension(NO_REV_AVAIL).as_deref() == Some(NULL)
        && !leaf.is_ca()
        && leaf.extension(CRL_DISTRIBUTION_POINTS).is_none()
        && leaf.extension(FRESHEST_CRL).is_none()
        && !leaf.extension(AUTHORITY_INFORMATION_ACCESS).is_some_and(tells_of_ocsp)
}
