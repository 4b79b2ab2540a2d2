//! How a bundle of anchors is read, and what of it is left.

#![allow(clippy::expect_used, reason = "in a test, a panic is the report")]

mod support;

use portcullis_guest::paths::anchors::{Anchors, AnchorsError};
use portcullis_guest::testing::ParsedCertificate;
use portcullis_pki::KeyUsage;

use support::{client, root};

fn parse(bundle: &str) -> Result<(Anchors, Vec<String>), AnchorsError> {
    Anchors::parse(bundle.as_bytes(), ParsedCertificate::parse)
}

#[test]
fn a_bundle_may_have_comments_and_windows_line_ends_and_repeat_itself() {
    let (one, two) = (root(|_| {}), root(|_| {}));
    let (one, two) = (one.certificate_pem(), two.certificate_pem());
    let bundle = format!("# Ours\n{one}\n   subject=CN = Root\n{two}{one}").replace('\n', "\r\n");
    let (anchors, skipped) = parse(&bundle).expect("anchors");
    assert_eq!((anchors.len(), skipped.len()), (2, 0));
}

#[test]
fn a_bad_entry_is_skipped_by_its_line_and_the_others_stand() {
    let (one, two) = (root(|_| {}), root(|_| {}));
    let whole = one.certificate_pem();
    let lines: Vec<&str> = whole.lines().collect();
    let cut = format!("{}\n", lines[..3].join("\n"));
    let garbled = whole.replacen(lines[2], &"AAAA".repeat(16), 1);
    let not_base64 = whole.replacen(&lines[1][..1], "!", 1);
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (bad, problem) in [
        (cut.as_str(), "it has no `-----END CERTIFICATE-----`"),
        (&garbled, ""),
        (&not_base64, "it is not base64"),
        (key, "it is `PRIVATE KEY`, not `CERTIFICATE`"),
    ] {
        let bundle = format!("\n{bad}{}", two.certificate_pem());
        let (anchors, skipped) = parse(&bundle).expect("anchors");
        assert_eq!(anchors.len(), 1);
        assert_eq!(skipped.len(), 1, "{skipped:?}");
        let line = &skipped[0];
        assert!(line.starts_with("the entry of line 2 is skipped: "), "{line}");
        assert!(line.contains(problem), "{line}");
    }
}

#[test]
fn what_is_not_the_certificate_of_a_ca_is_no_anchor() {
    let root = root(|_| {});
    let leaf = client(&root, |_| {});
    let no_signer = support::root(|profile| profile.key_usages = vec![KeyUsage::CrlSign]);
    let bundle = format!("{}{}", leaf.certificate_pem, no_signer.certificate_pem());
    let error = parse(&bundle).expect_err("no anchor");
    assert!(
        matches!(&error, AnchorsError::NothingLeft(skipped) if skipped.len() == 2),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("basic constraints do not say that it is a CA"), "{text}");
    assert!(text.contains("its key usage does not include keyCertSign"), "{text}");
}

#[test]
fn a_bundle_without_entries_is_an_error() {
    for text in ["", "no certificate here", "\u{30}\u{82}\u{1}"] {
        assert_eq!(parse(text).expect_err("no anchor"), AnchorsError::NotPem);
    }
}
