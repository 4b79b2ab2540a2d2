//! One exchange with the authority.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use portcullis_core::{Certificate, Clock, pem, printable, sha256};
use portcullis_est as est;
use portcullis_pki::{KeyPair, KeyType};

use super::error::{RenewalError, RenewalSetUpError};
use crate::identity::ClientIdentity;
use crate::upstream::{Upstream, whole};

/// From the request to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How much of the authority's reason is shown.
const MAXIMUM_REASON_BYTES: usize = 300;

/// A certificate chain and its key, PEM. Not to be shown.
pub(super) struct Renewed {
    pub(super) chain_pem: String,
    pub(super) key_pem: String,
}

/// Where requests go, from the authority's URL.
pub(super) fn url(authority: &str) -> Result<Uri, RenewalSetUpError> {
    let wrong = || RenewalSetUpError::Url(authority.to_owned());
    let parsed: Uri = authority.parse().map_err(|_| wrong())?;
    let path = parsed.path().trim_end_matches('/');
    let below =
        path.strip_prefix(est::PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !(path.is_empty() || below) || parsed.query().is_some() {
        return Err(wrong());
    }
    let base = if path.is_empty() { est::PATH } else { path };
    let mut parts = parsed.clone().into_parts();
    parts.path_and_query = format!("{base}/{}", est::SIMPLE_REENROLL).parse().ok();
    Uri::from_parts(parts).map_err(|_| wrong())
}

/// Makes a key of the kind that there was, and has it certified.
pub(super) async fn enroll(
    authority: &Upstream,
    url: &Uri,
    identity: &ClientIdentity,
    clock: &Clock,
) -> Result<Renewed, RenewalError> {
    let before = identity.certificate();
    let (key, request) = request(before.clone()).await?;
    let exchange = async {
        let mut message = Request::new(whole(Bytes::from(est::encode(&request))));
        *message.method_mut() = Method::POST;
        *message.uri_mut() = url.clone();
        message.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(est::REQUEST_TYPE));
        read(authority.exchange(message).await?).await
    };
    let answer = tokio::time::timeout(TIMEOUT, exchange)
        .await
        .map_err(|_| RenewalError::Timeout(TIMEOUT.as_secs()))??;
    let leaf = certificate(&answer, before, &key, clock)?;
    // What stands above it is as it was: the issuer is the same.
    let above = identity.key().cert.iter().skip(1).map(|above| pem("CERTIFICATE", above));
    let chain_pem = std::iter::once(pem("CERTIFICATE", &leaf)).chain(above).collect();
    Ok(Renewed { chain_pem, key_pem: key.to_pem() })
}

/// RSA keys take their time.
async fn request(before: Certificate) -> Result<(KeyPair, Vec<u8>), RenewalError> {
    let made = tokio::task::spawn_blocking(move || {
        let kind = before.public_key();
        let key = KeyPair::generate(KeyType::like(&kind.algorithm, kind.bits))
            .map_err(|error| error.to_string())?;
        let request = est::request(&before, &key).map_err(|error| error.to_string())?;
        Ok((key, request))
    });
    made.await.unwrap_or_else(|error| Err(error.to_string())).map_err(RenewalError::Request)
}

/// The answer's body; a refusal is an error.
async fn read(response: Response<Incoming>) -> Result<Bytes, RenewalError> {
    let status = response.status();
    let body = Limited::new(response.into_body(), est::MAXIMUM_BODY_BYTES).collect().await;
    let body = body.map_err(|error| RenewalError::Broken(error.to_string()))?.to_bytes();
    if status.as_u16() == 200 {
        return Ok(body);
    }
    let reason = printable(String::from_utf8_lossy(&body).trim(), MAXIMUM_REASON_BYTES);
    let reason = if reason.is_empty() { "no reason is given".to_owned() } else { reason };
    Err(RenewalError::Status { status: status.as_u16(), reason })
}

/// The certificate that was asked for: for the key, with the names and from the issuer of the one before, and valid.
fn certificate(
    answer: &[u8],
    before: &Certificate,
    key: &KeyPair,
    clock: &Clock,
) -> Result<Vec<u8>, RenewalError> {
    let useless = |problem: &str| RenewalError::Answer(problem.to_owned());
    let message = est::decode(answer).map_err(|error| useless(&error.to_string()))?;
    let certificates = est::certificates(&message).map_err(|error| useless(&error.to_string()))?;
    let wanted = sha256(&key.public_key_der());
    let leaf = certificates
        .into_iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .find(|known| known.public_key().spki_sha256 == wanted)
        .ok_or_else(|| useless("no certificate in it is for the new key"))?;
    let names = |der| est::Names::of_certificate(der).map_err(|error| useless(&error.to_string()));
    if names(leaf.der())? != names(before.der())? {
        return Err(useless("the new certificate has other names"));
    }
    if leaf.issuer() != before.issuer() {
        return Err(useless(&format!(
            "the new certificate is from another authority, `{}`, and what stands above that is not known",
            leaf.issuer()
        )));
    }
    if !(leaf.not_before()..=leaf.not_after()).contains(&clock.now()) {
        return Err(RenewalError::not_valid(leaf.not_before(), leaf.not_after()));
    }
    Ok(leaf.der().to_vec())
}

#[cfg(test)]
mod tests {
    use portcullis_pki::{AltName, Authority, Profile, PublicKey, Validity};

    use super::*;

    const NOW: i64 = 1_795_000_000;

    #[test]
    fn an_authority_is_named_by_its_host_or_by_a_path_of_est() {
        let path = |text| url(text).map(|url| url.to_string()).ok();
        let at = "https://ca:8890/.well-known/est/simplereenroll".to_owned();
        for text in ["https://ca:8890", "https://ca:8890/", "https://ca:8890/.well-known/est/"] {
            assert_eq!(path(text), Some(at.clone()), "{text}");
        }
        let labelled = "https://ca/.well-known/est/clients";
        assert_eq!(path(labelled), Some(format!("{labelled}/simplereenroll")));
        for text in ["https://ca/renew", "https://ca/.well-known/estate", "https://ca?a", "", "a b"]
        {
            assert_eq!(path(text), None, "{text}");
        }
    }

    fn validity(not_before: i64) -> Validity {
        Validity { not_before, not_after: not_before + 1000 }
    }

    /// What an authority of this name answers for a key.
    fn answer(authority: &str, profile: &Profile, key: &KeyPair) -> String {
        let root = Authority::root(&Profile::authority(authority, validity(NOW))).unwrap();
        let key = PublicKey::from_der(&key.public_key_der()).unwrap();
        let certified = root.certify(profile, &key).unwrap();
        let message = est::certs_only(&[root.certificate_der(), &certified.certificate_der]);
        est::encode(&message.unwrap())
    }

    #[test]
    fn only_a_valid_certificate_for_the_key_with_the_names_from_the_issuer_is_taken() {
        let keys = [(); 2].map(|()| KeyPair::generate(KeyType::P256).unwrap());
        let alice = |not_before| Profile::client("alice", validity(not_before));
        let mut named = alice(NOW);
        named.alt_names = vec![AltName::Dns("more.example.org".to_owned())];
        let before = {
            let root = Authority::root(&Profile::authority("Test", validity(NOW))).unwrap();
            let der = root.issue(&alice(NOW - 500)).unwrap().certificate_der;
            Certificate::from_der(der).unwrap()
        };
        let take = |text: &str| certificate(text.as_bytes(), &before, &keys[0], &Clock::fixed(NOW));
        let good = answer("Test", &alice(NOW), &keys[0]);
        let taken = take(&good).unwrap();
        assert_eq!(Certificate::from_der(taken).unwrap().subject(), "CN=alice");
        for bad in [
            answer("Test", &alice(NOW), &keys[1]),
            answer("Test", &Profile::client("bob", validity(NOW)), &keys[0]),
            answer("Test", &named, &keys[0]),
            answer("Other", &alice(NOW), &keys[0]),
            answer("Test", &alice(NOW + 1), &keys[0]),
            answer("Test", &alice(NOW - 1001), &keys[0]),
            "not Base64!".to_owned(),
            est::encode(b"no PKCS #7"),
        ] {
            assert!(matches!(take(&bad), Err(RenewalError::Answer(_))), "{bad}");
        }
    }
}
