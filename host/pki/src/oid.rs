//! Object identifiers as dotted text, and the ones that client certificates need.

use crate::error::Error;

/// commonName (X.520).
pub const COMMON_NAME: &str = "2.5.4.3";
/// countryName (X.520).
pub const COUNTRY: &str = "2.5.4.6";
/// organizationName (X.520).
pub const ORGANIZATION: &str = "2.5.4.10";
/// organizationalUnitName (X.520).
pub const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";
/// anyExtendedKeyUsage (RFC 5280, 4.2.1.12).
pub const ANY_EXTENDED_KEY_USAGE: &str = "2.5.29.37.0";
/// id-kp-clientAuth (RFC 5280, 4.2.1.12).
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
/// id-kp-codeSigning (RFC 5280, 4.2.1.12).
pub const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
/// id-kp-serverAuth (RFC 5280, 4.2.1.12).
pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";

/// The arcs of a dotted object identifier (X.660): at least two, and the first two within their ranges.
pub(crate) fn arcs(dotted: &str) -> Result<Vec<u64>, Error> {
    let malformed = || Error::ObjectIdentifier(dotted.to_owned());
    let arcs: Vec<u64> = dotted
        .split('.')
        .map(|arc| arc.parse().map_err(|_| malformed()))
        .collect::<Result<_, _>>()?;
    match arcs[..] {
        [0 | 1, 0..40, ..] | [2, 0..=0xffff_ffff, ..] => Ok(arcs),
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_identifier_is_split_and_a_malformed_one_is_refused() {
        assert_eq!(arcs(CLIENT_AUTH).unwrap(), [1, 3, 6, 1, 5, 5, 7, 3, 2]);
        for malformed in ["", "1", "1.40", "3.1", "1.x", "1..2", "1.-2"] {
            assert!(matches!(arcs(malformed), Err(Error::ObjectIdentifier(_))), "{malformed}");
        }
    }
}
