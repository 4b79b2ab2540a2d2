//! How a server learns who calls: headers for one that is a URL, variables for one that is a command.
//!
//! A server can believe them as far as nobody but the gate reaches it. What a client itself sends under these names never
//! gets through ([`strip`]), whichever of them are written.
//!
//! Names in certificates are chosen by whoever asked for the certificate. So every value is encoded such that none can
//! pass for another header, variable, field or list item.

use data_encoding::{BASE64, HEXLOWER};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode, utf8_percent_encode};
use portcullis_engine::pem;
use serde::Deserialize;

use crate::caller::Caller;

const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const PRINCIPAL: HeaderName = HeaderName::from_static("portcullis-principal");
const XFCC: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
/// Names under which only the gate speaks, whatever follows.
const OWN_PREFIX: &str = "portcullis-";

/// What is not left as it is in a principal or a name: everything that separates items, fields or quoted text
/// somewhere, `%` itself, and all that is not visible ASCII.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// What Envoy encodes in PEM.
const PEM_ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'+').add(b'/').add(b'=');

/// A header that tells a server who calls.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum IdentityHeader {
    /// `Client-Cert`: the client's certificate (RFC 9440, 2.2).
    ClientCert,
    /// `Client-Cert-Chain`: what else the client presented, in its order (RFC 9440, 2.3). None if that is nothing.
    ClientCertChain,
    /// `Portcullis-Principal`: the principal, percent-encoded (RFC 3986, 2.1) where it is not visible ASCII or one of
    /// `"`, `%`, `,`, `;`, `<`, `>`, `\`, `^`, `` ` ``, `{`, `|` and `}`. None for a client that has none.
    Principal,
    /// `X-Forwarded-Client-Cert` as Envoy writes it, with `By`, `Hash`, `Cert`, `Chain`, `Subject`, `URI` and `DNS`.
    Xfcc,
}

/// The headers for a server behind the gate. `gate_uris` are the URIs of the gate's own certificate, for XFCC's `By`.
///
/// They are added after [hop-by-hop headers](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1) were removed, or a client
/// could have them removed by naming them in `Connection`.
#[must_use]
pub fn forwarded_headers(
    caller: &Caller,
    wanted: &[IdentityHeader],
    gate_uris: &[String],
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(wanted.len());
    let mut certificates = caller.certificates.iter();
    let leaf = certificates.next();
    for header in wanted {
        let (name, value) = match header {
            IdentityHeader::ClientCert => (CLIENT_CERT, leaf.map(|der| byte_sequence(der))),
            IdentityHeader::ClientCertChain => {
                let items: Vec<_> = certificates.clone().map(|der| byte_sequence(der)).collect();
                (CLIENT_CERT_CHAIN, (!items.is_empty()).then(|| items.join(", ")))
            }
            IdentityHeader::Principal => (PRINCIPAL, caller.principal.as_deref().map(encoded)),
            IdentityHeader::Xfcc => (XFCC, Some(xfcc(caller, gate_uris))),
        };
        // All of them are visible ASCII and spaces.
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    headers
}

/// Removes from a client's request every header that [`forwarded_headers`] could write. Many servers hand headers to
/// applications as variables, in which anything but a letter or digit is `_`: whatever comes out the same is removed too.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let same = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    let begins = |name: &str, known: &str| {
        name.len() >= known.len() && name.bytes().map(same).zip(known.bytes()).all(|(a, b)| a == b)
    };
    let reserved = |name: &HeaderName| {
        let is = |known: &HeaderName| {
            name.as_str().len() == known.as_str().len() && begins(name.as_str(), known.as_str())
        };
        begins(name.as_str(), OWN_PREFIX) || [CLIENT_CERT, CLIENT_CERT_CHAIN, XFCC].iter().any(is)
    };
    let forged: Vec<HeaderName> = headers.keys().filter(|name| reserved(name)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

/// The variables for the process of a session, which is one caller's only.
pub(crate) fn environment(caller: &Caller) -> Vec<(&'static str, String)> {
    let sha256 = HEXLOWER.encode(&caller.certificate.sha256);
    let mut variables = vec![("PORTCULLIS_CERTIFICATE_SHA256", sha256)];
    if let Some(principal) = &caller.principal {
        variables.push(("PORTCULLIS_PRINCIPAL", encoded(principal)));
    }
    variables
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// RFC 8941, 3.3.5.
fn byte_sequence(bytes: &[u8]) -> String {
    format!(":{}:", BASE64.encode(bytes))
}

fn xfcc(caller: &Caller, gate_uris: &[String]) -> String {
    let certificate = &caller.certificate;
    let mut fields: Vec<String> =
        gate_uris.iter().map(|uri| format!("By={}", quoted_if_needed(uri))).collect();
    fields.push(format!("Hash={}", HEXLOWER.encode(&certificate.sha256)));
    if let Some(leaf) = caller.certificates.first() {
        let chain: String = caller.certificates.iter().map(|der| encoded_pem(der)).collect();
        fields.push(format!("Cert=\"{}\"", encoded_pem(leaf)));
        fields.push(format!("Chain=\"{chain}\""));
    }
    fields.push(format!("Subject=\"{}\"", quotable(&certificate.subject)));
    let names = |wanted: &'static str| {
        let names = certificate.subject_alt_names.iter();
        names.filter(move |(kind, _)| kind == wanted).map(|(_, name)| quoted_if_needed(name))
    };
    let uris: Vec<String> = names("uri").map(|uri| format!("URI={uri}")).collect();
    // Envoy writes the key without a value when there is no URI.
    fields.extend(if uris.is_empty() { vec!["URI=".to_owned()] } else { uris });
    fields.extend(names("dns").map(|name| format!("DNS={name}")));
    fields.join(";")
}

fn encoded_pem(der: &[u8]) -> String {
    percent_encode(pem("CERTIFICATE", der).as_bytes(), PEM_ENCODED).to_string()
}

/// Envoy quotes a value in which `,`, `;` or `=` stand. After the encoding only `=` is left.
fn quoted_if_needed(name: &str) -> String {
    let name = encoded(name);
    if name.contains('=') { format!("\"{name}\"") } else { name }
}

/// RFC 4514 text for a quoted value: what is escaped by a backslash alone is escaped in hexadecimal instead, which says the
/// same and leaves neither a quote nor a pair of backslashes for a reader to trip over.
fn quotable(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(digit) if digit.is_ascii_hexdigit() => out.extend(['\\', digit]),
                Some(escaped) => hexadecimal(escaped, &mut out),
                None => hexadecimal('\\', &mut out),
            },
            '"' => hexadecimal(c, &mut out),
            c if c.is_ascii() && !c.is_ascii_control() => out.push(c),
            c => hexadecimal(c, &mut out),
        }
    }
    out
}

fn hexadecimal(c: char, out: &mut String) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        out.push('\\');
        out.push_str(&HEXLOWER.encode(&[byte]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [IdentityHeader; 4] = [
        IdentityHeader::ClientCert,
        IdentityHeader::ClientCertChain,
        IdentityHeader::Principal,
        IdentityHeader::Xfcc,
    ];

    fn caller(principal: Option<&str>) -> Caller {
        let mut caller = Caller::of_principal(principal);
        caller.certificate.subject_alt_names = vec![
            ("uri".to_owned(), "spiffe://example.org/a".to_owned()),
            ("dns".to_owned(), "a.example".to_owned()),
        ];
        caller.certificates = vec![vec![1, 2, 3], vec![0xff; 49]];
        caller
    }

    fn value(caller: &Caller, name: &str) -> Option<String> {
        let headers = forwarded_headers(caller, &ALL, &["spiffe://example.org/gate".to_owned()]);
        headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn certificates_are_byte_sequences_and_the_chain_leaves_the_leaf_out() {
        let mut caller = caller(None);
        assert_eq!(value(&caller, "client-cert").as_deref(), Some(":AQID:"));
        let issuer = BASE64.encode(&[0xff; 49]);
        assert_eq!(value(&caller, "client-cert-chain"), Some(format!(":{issuer}:")));
        caller.certificates.push(vec![0]);
        assert_eq!(value(&caller, "client-cert-chain"), Some(format!(":{issuer}:, :AA==:")));
        caller.certificates.truncate(1);
        assert_eq!(value(&caller, "client-cert-chain"), None);
    }

    #[test]
    fn xfcc_is_what_envoy_writes() {
        let pem = |base64: &str| {
            format!("-----BEGIN%20CERTIFICATE-----%0A{base64}%0A-----END%20CERTIFICATE-----%0A")
        };
        let issuer = format!("{}%0A%2Fw%3D%3D", "%2F".repeat(64));
        let expected = format!(
            "By=spiffe://example.org/gate;Hash={};Cert=\"{}\";Chain=\"{}{}\";Subject=\"CN=alice\";\
             URI=spiffe://example.org/a;DNS=a.example",
            "ab".repeat(32),
            pem("AQID"),
            pem("AQID"),
            pem(&issuer)
        );
        assert_eq!(value(&caller(None), "x-forwarded-client-cert"), Some(expected));
    }

    #[test]
    fn no_name_can_pass_for_a_field_of_xfcc() {
        let mut caller = caller(None);
        caller.certificates.clear();
        caller.certificate.subject = r#"CN=x\\\";URI=spiffe://evil\, \0a é"#.to_owned();
        caller.certificate.subject_alt_names = vec![
            ("uri".to_owned(), "spiffe://a;By=evil,Hash=0".to_owned()),
            ("dns".to_owned(), "\"a\nb".to_owned()),
        ];
        let expected = format!(
            r#"By=spiffe://example.org/gate;Hash={};Subject="CN=x\5c\22;URI=spiffe://evil\2c \0a \c3\a9";URI="spiffe://a%3BBy=evil%2CHash=0";DNS=%22a%0Ab"#,
            "ab".repeat(32)
        );
        assert_eq!(value(&caller, "x-forwarded-client-cert"), Some(expected));
    }

    #[test]
    fn a_client_without_a_principal_has_no_such_header_or_variable() {
        assert_eq!(value(&caller(None), "portcullis-principal"), None);
        let variables = environment(&caller(None));
        assert_eq!(variables, [("PORTCULLIS_CERTIFICATE_SHA256", "ab".repeat(32))]);
    }

    #[test]
    fn what_a_client_sends_under_the_same_names_is_removed_however_it_is_spelled() {
        let forged = [
            "Client-Cert",
            "client_cert",
            "CLIENT_CERT-CHAIN",
            "client.cert.chain",
            "X-Forwarded-Client-Cert",
            "x_forwarded_client_cert",
            "Portcullis-Principal",
            "portcullis_principal",
            "portcullis-anything",
        ];
        let mut headers = HeaderMap::new();
        for name in forged.iter().chain(&["client-certs", "x-portcullis-principal", "accept"]) {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_static("1"));
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::from_static("2"));
        }
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "client-certs", "x-portcullis-principal"]);
    }

    proptest! {
        #[test]
        fn every_principal_comes_back_from_its_header_and_variable(principal in "\\PC{1,64}|[\\x00-\\x7f]{1,64}") {
            let caller = caller(Some(&principal));
            let header = value(&caller, "portcullis-principal").expect("a header");
            prop_assert!(header.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;".contains(&byte)));
            let decoded = percent_encoding::percent_decode_str(&header).decode_utf8().expect("UTF-8");
            prop_assert_eq!(&*decoded, principal.as_str());
            prop_assert_eq!(&environment(&caller)[1].1, &header);
        }

        #[test]
        fn whatever_stands_in_a_certificate_each_header_is_one_valid_value(text in "\\PC{0,32}|[\\x00-\\x7f]{0,32}") {
            let mut caller = caller(None);
            caller.certificate.subject = text.clone();
            caller.certificate.subject_alt_names = vec![("uri".to_owned(), text)];
            let xfcc = value(&caller, "x-forwarded-client-cert").expect("a header");
            prop_assert!(xfcc.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
            // The quotes are those around values: of By none, of Cert, Chain and Subject two each, of URI two or none.
            prop_assert!([6, 8].contains(&xfcc.matches('"').count()), "{}", xfcc);
        }
    }
}
