use data_encoding::HEXUPPER;
use portcullis_guest::timestamp_text;
use proptest::prelude::*;

use super::*;

const DIGEST: Digest = [0xab; 32];

fn hex() -> String {
    "ab".repeat(32)
}

fn pin(line: &str) -> Pin {
    parse(line).expect("a good line").expect("a pin")
}

fn fault(line: &str) -> LineError {
    parse(line).expect_err("a fault")
}

#[test]
fn blank_lines_and_comments_hold_no_pin() {
    for line in ["", "   \t", "# spki-sha256", "  # indented", "#"] {
        assert_eq!(parse(line), Ok(None), "{line:?}");
    }
}

#[test]
fn a_digest_is_taken_in_every_form_that_tools_print() {
    let colons: Vec<String> = DIGEST.iter().map(|byte| format!("{byte:02X}")).collect();
    for digest in [hex(), HEXUPPER.encode(&DIGEST), colons.join(":"), BASE64.encode(&DIGEST)] {
        assert_eq!(pin(&format!("spki-sha256 {digest}")).digest, DIGEST, "{digest}");
    }
}

#[test]
fn the_first_word_says_what_the_digest_is_of() {
    assert_eq!(pin(&format!("spki-sha256 {}", hex())).kind, PinKind::SubjectPublicKey);
    assert_eq!(pin(&format!("\tcert-sha256   {}  ", hex())).kind, PinKind::Certificate);
    assert_eq!(fault(&hex()), LineError::Kind(hex()));
}

#[test]
fn options_follow_in_any_order_and_a_comment_ends_the_line() {
    let line = format!(r#"cert-sha256 {} label="build farm #2" expires=2027-01-31 # Ann"#, hex());
    let pin = pin(&line);
    assert_eq!(pin.label.as_deref(), Some("build farm #2"));
    assert_eq!(pin.expires.map(timestamp_text).as_deref(), Some("2027-02-01T00:00:00Z"));
}

#[test]
fn a_time_expires_at_that_second_whatever_its_offset() {
    let expires = |text: &str| pin(&format!("cert-sha256 {} expires={text}", hex())).expires;
    let noon = expires("2027-01-31T12:00:00Z");
    assert_eq!(noon.map(timestamp_text).as_deref(), Some("2027-01-31T12:00:00Z"));
    assert_eq!(expires("2027-01-31T14:00:00+02:00"), noon);
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_the_word_that_is_wrong() {
    let short = "ab".repeat(31);
    assert_eq!(fault(&format!("spki-sha256 {short}")), LineError::Digest(short));
    let colons = format!("{}:", "ab".repeat(47));
    assert_eq!(fault(&format!("spki-sha256 {colons}")), LineError::Digest(colons));
    assert_eq!(fault("spki-sha256"), LineError::NoDigest("spki-sha256"));

    let after_digest = |rest: &str| fault(&format!("spki-sha256 {} {rest}", hex()));
    assert_eq!(after_digest("expires=2027-02-30"), LineError::Expires("2027-02-30".into()));
    assert_eq!(after_digest("expires=soon"), LineError::Expires("soon".into()));
    assert_eq!(after_digest("label="), LineError::Label(String::new()));
    assert_eq!(after_digest("label=a label=b"), LineError::Repeated("label".into()));
    assert_eq!(after_digest("label=\"a"), LineError::UnclosedQuote);
    assert_eq!(after_digest("lable=a"), LineError::UnknownOption("lable=a".into()));
    assert_eq!(after_digest("alice"), LineError::UnknownOption("alice".into()));
    assert_eq!(fault(&"#".repeat(1025)), LineError::TooLong(1025));
}

/// A pin as a line, for the round trip.
fn write(pin: &Pin) -> String {
    let mut line = format!("{} {}", pin.kind.word(), HEXUPPER.encode(&pin.digest));
    if let Some(expires) = pin.expires {
        line.push_str(&format!(" expires={}", timestamp_text(expires)));
    }
    if let Some(label) = &pin.label {
        line.push_str(&format!(" label=\"{label}\""));
    }
    line
}

prop_compose! {
    fn any_pin()(
        certificate in any::<bool>(),
        digest in any::<Digest>(),
        expires in proptest::option::of(0..253_402_300_800_i64),
        label in proptest::option::of("[^\"\\p{Cc}]{1,100}"),
    ) -> Pin {
        let kind = if certificate { PinKind::Certificate } else { PinKind::SubjectPublicKey };
        Pin { kind, digest, expires, label: label.map(Into::into) }
    }
}

proptest! {
    #[test]
    fn a_pin_that_is_written_and_read_is_the_same(pin in any_pin()) {
        prop_assert_eq!(parse(&write(&pin)), Ok(Some(pin)));
    }

    #[test]
    fn no_line_makes_the_parser_panic(line in any::<String>()) {
        let _ = parse(&line);
    }

    #[test]
    fn no_line_that_begins_well_makes_the_parser_panic(rest in "[ -~\u{e4}=\"#]{0,100}") {
        let _ = parse(&format!("spki-sha256 {} {rest}", hex()));
        let _ = parse(&format!("cert-sha256 {rest}"));
        let _ = parse(&format!("spki-sha256 {} expires={rest}", hex()));
    }
}
