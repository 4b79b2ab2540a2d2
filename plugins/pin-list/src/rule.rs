//! The decision.

use data_encoding::HEXLOWER;
use portcullis_guest::{Acceptance, Attribute, Rejection, Timestamp, timestamp_text};

use crate::line::Pin;
use crate::list::PinList;
use crate::settings::{Principal, Settings};

/// The leaf has no pin.
pub const NOT_PINNED: &str = "not-pinned";
/// The leaf's pin no longer holds.
pub const PIN_EXPIRED: &str = "pin-expired";

/// Every code that [`judge`] gives.
pub const CODES: &[&str] = &[NOT_PINNED, PIN_EXPIRED];

/// What is judged.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// SHA-256 of the public key.
    pub spki_sha256: Vec<u8>,
    /// SHA-256 of the certificate.
    pub sha256: Vec<u8>,
}

/// Accepts a leaf whose key or certificate has a pin that holds at `time`.
///
/// # Errors
/// Why the client may not come in.
pub fn judge(
    settings: &Settings,
    pins: &PinList,
    leaf: &Leaf,
    time: Timestamp,
) -> Result<Acceptance, Rejection> {
    // A key may be pinned, and one certificate of it too: either will do.
    let by_key = pins.subject_public_key(&leaf.spki_sha256);
    let by_certificate = pins.certificate(&leaf.sha256);
    let found: Vec<&Pin> = by_key.into_iter().chain(by_certificate).collect();

    if let Some(pin) = found.iter().find(|pin| pin.expires.is_none_or(|expires| time < expires)) {
        return Ok(accept(*settings, pin));
    }
    match found.iter().filter_map(|pin| pin.expires).max() {
        Some(expires) => Err(Rejection::new(
            PIN_EXPIRED,
            format!("the client's pin expired at {}", timestamp_text(expires)),
        )),
        None => Err(Rejection::new(
            NOT_PINNED,
            format!(
                "the list has neither `spki-sha256 {}` nor `cert-sha256 {}`",
                HEXLOWER.encode(&leaf.spki_sha256),
                HEXLOWER.encode(&leaf.sha256),
            ),
        )),
    }
}

fn accept(settings: Settings, pin: &Pin) -> Acceptance {
    let digest = format!("{} {}", pin.kind.word(), HEXLOWER.encode(&pin.digest));
    let mut attributes = vec![Attribute::new("pin-list.pin", digest)];
    let label = pin.label.as_deref();
    attributes.extend(label.map(|label| Attribute::new("pin-list.label", label)));

    let principal = match settings.principal {
        Principal::Label => label.map(str::to_owned),
        Principal::None => None,
    };
    Acceptance { principal, attributes, valid_until: pin.expires }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = 1_795_521_600; // 2026-11-24T12:00:00Z

    fn leaf() -> Leaf {
        Leaf { spki_sha256: vec![0x11; 32], sha256: vec![0x22; 32] }
    }

    fn judged(settings: Settings, list: &str) -> Result<Acceptance, Rejection> {
        let list = list
            .replace("KEY", &format!("spki-sha256 {}", "11".repeat(32)))
            .replace("CERTIFICATE", &format!("cert-sha256 {}", "22".repeat(32)));
        let pins = PinList::parse(list.as_bytes()).expect("a list");
        judge(&settings, &pins, &leaf(), NOON)
    }

    fn code(judgement: Result<Acceptance, Rejection>) -> String {
        judgement.expect_err("a rejection").code
    }

    #[test]
    fn a_pinned_key_or_certificate_is_accepted_and_names_nobody() {
        for (list, word) in [("KEY", "spki-sha256 11"), ("CERTIFICATE label=ci", "cert-sha256 22")]
        {
            let acceptance = judged(Settings::default(), list).expect("accepted");
            assert_eq!(acceptance.principal, None);
            assert_eq!(acceptance.valid_until, None);
            assert!(acceptance.attributes[0].value.starts_with(word));
        }
    }

    #[test]
    fn a_leaf_without_a_pin_is_refused_with_the_digests_that_a_pin_of_it_would_have() {
        let rejection = judged(Settings::default(), "").expect_err("refused");
        assert_eq!(rejection.code, NOT_PINNED);
        assert!(rejection.detail.contains(&format!("spki-sha256 {}", "11".repeat(32))));
        assert!(rejection.detail.contains(&format!("cert-sha256 {}", "22".repeat(32))));
    }

    #[test]
    fn a_digest_of_the_other_kind_is_no_pin() {
        let swapped = format!("cert-sha256 {}\nspki-sha256 {}", "11".repeat(32), "22".repeat(32));
        assert_eq!(code(judged(Settings::default(), &swapped)), NOT_PINNED);
    }

    #[test]
    fn a_pin_holds_until_the_second_before_its_expiry() {
        let held = judged(Settings::default(), "KEY expires=2026-11-24T12:00:01Z").expect("held");
        assert_eq!(held.valid_until, Some(NOON + 1));
        let over = judged(Settings::default(), "KEY expires=2026-11-24T12:00:00Z");
        assert_eq!(code(over), PIN_EXPIRED);
        judged(Settings::default(), "KEY expires=2026-11-24").expect("a date holds to its end");
    }

    #[test]
    fn an_expired_pin_of_the_key_does_not_hide_a_pin_of_the_certificate() {
        let list = "KEY expires=2020-01-01 label=old\nCERTIFICATE label=new";
        let acceptance = judged(Settings { principal: Principal::Label }, list).expect("accepted");
        assert_eq!(acceptance.principal.as_deref(), Some("new"));
    }

    #[test]
    fn the_label_is_the_principal_only_when_the_settings_say_so() {
        let named = judged(Settings { principal: Principal::Label }, "KEY label=\"build farm\"");
        assert_eq!(named.expect("accepted").principal.as_deref(), Some("build farm"));
        let unnamed = judged(Settings::default(), "KEY label=\"build farm\"").expect("accepted");
        assert_eq!(unnamed.principal, None);
        assert_eq!(unnamed.attributes[1], Attribute::new("pin-list.label", "build farm"));
    }
}
