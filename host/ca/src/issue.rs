//! Issuing and renewing. What is handed out is in the index first.

use std::fmt;

use data_encoding::HEXLOWER;
use portcullis_core::{Certificate, Timestamp};
use portcullis_pki::{AltName, Authority, KeyType, PathLength, Profile, PublicKey, oid};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::BasicConstraints;

use crate::ask::{Ask, Usage};
use crate::ca::{Ca, parse_serial};
use crate::check::check;
use crate::error::Error;
use crate::index::Record;
use crate::init::Options;
use crate::locations;
use crate::request::Request;

const BASIC_CONSTRAINTS: &str = "2.5.29.19";

/// A certificate to hand out.
#[derive(Clone)]
pub struct Issued {
    /// The certificate as the index has it.
    pub record: Record,
    /// What a TLS peer sends: the certificate and the authorities up to the root, without it. PEM, leaf first.
    pub chain_pem: String,
    /// The private key, PKCS #8 in PEM: a secret. None where its owner has made it.
    pub key_pem: Option<String>,
}

/// Without the private key.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("chain_pem", &self.chain_pem)
            .field("key_pem", &self.key_pem.as_ref().map(|_| "redacted"))
            .finish_non_exhaustive()
    }
}

impl Ca {
    /// Makes a key and certifies it.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Lifetime`], [`Error::Check`], [`Error::Expired`], and what is wrong with the index.
    pub fn issue(&self, ask: &Ask) -> Result<Issued, Error> {
        self.issue_after(ask, None)
    }

    fn issue_after(&self, ask: &Ask, before: Option<&Record>) -> Result<Issued, Error> {
        let (profile, now) = self.profile(ask)?;
        let issued = self.authority.issue(&profile)?;
        let record = self.record(ask, issued.certificate_der, false, now, before)?;
        Ok(Issued { record, chain_pem: issued.chain_pem, key_pem: Some(issued.key_pem) })
    }

    /// Certifies the key of a request. Nothing but the key is taken from it.
    ///
    /// # Errors
    /// As [`Ca::issue`].
    pub fn certify(&self, ask: &Ask, request: &Request) -> Result<Issued, Error> {
        self.certify_key(ask, request.key(), None)
    }

    pub(crate) fn certify_key(
        &self,
        ask: &Ask,
        key: &PublicKey,
        before: Option<&Record>,
    ) -> Result<Issued, Error> {
        let (profile, now) = self.profile(ask)?;
        let certified = self.authority.certify(&profile, key)?;
        let record = self.record(ask, certified.certificate_der, true, now, before)?;
        Ok(Issued { record, chain_pem: certified.chain_pem, key_pem: None })
    }

    /// Issues a certificate anew: with the same names and for the same use, for as long as before if nothing else is
    /// said, with a new key unless its owner has made the old one.
    ///
    /// # Errors
    /// [`Error::Revoked`] of a certificate that was revoked, [`Error::NotRenewable`] of an authority's, and as
    /// [`Ca::issue`].
    pub fn renew(&self, record: &Record, lifetime: Option<i64>) -> Result<Issued, Error> {
        let mut ask = renewable(record)?;
        ask.lifetime = lifetime.unwrap_or(ask.lifetime);
        if record.from_request {
            return self.certify_key(&ask, &public_key(&record.der)?, Some(record));
        }
        self.issue_after(&ask, Some(record))
    }

    /// The longest lifetime that a certificate can have now, in seconds.
    #[must_use]
    pub fn longest_lifetime(&self) -> i64 {
        let left = self.certificate.not_after().saturating_sub(self.clock.now());
        left.min(self.terms.maximum_lifetime)
    }

    /// Certifies an authority below this one.
    pub(crate) fn certify_authority(
        &self,
        profile: &Profile,
        options: &Options,
    ) -> Result<Authority, Error> {
        let now = self.valid_now()?;
        self.within_validity(profile, now)?;
        let room = self.path_length()?.is_none_or(|length| length > options.path_length);
        if !room || matches!(profile.ca, None | Some(PathLength::Unlimited)) {
            return Err(Error::PathLength(self.directory.clone()));
        }
        let mut profile = profile.clone();
        profile.extensions = locations::extensions(&self.terms)?;
        let authority = self.authority.intermediate(&profile)?;
        let record = new_record(&options.name, authority.certificate_der().to_vec(), false)?;
        self.index.change(|change| change.insert(&record))?;
        Ok(authority)
    }

    /// How many authorities may stand below this one; none when any number may.
    fn path_length(&self) -> Result<Option<u8>, Error> {
        let value = self.certificate.extension(BASIC_CONSTRAINTS).unwrap_or_default();
        let constraints = BasicConstraints::from_der(value)
            .map_err(|error| Error::Encoding(error.to_string()))?;
        Ok(constraints.path_len_constraint)
    }

    fn profile(&self, ask: &Ask) -> Result<(Profile, Timestamp), Error> {
        let now = self.valid_now()?;
        let allowed = self.terms.maximum_lifetime;
        if !(1..=allowed).contains(&ask.lifetime) {
            return Err(Error::Lifetime { asked: ask.lifetime, allowed });
        }
        let mut profile = ask.profile(now, self.terms.trust_domain.as_deref())?;
        self.within_validity(&profile, now)?;
        profile.extensions = locations::extensions(&self.terms)?;
        Ok((profile, now))
    }

    /// No certificate outlives the authority's.
    fn within_validity(&self, profile: &Profile, now: Timestamp) -> Result<(), Error> {
        let last = self.certificate.not_after();
        match profile.validity.not_after <= last {
            true => Ok(()),
            false => Err(Error::Lifetime {
                asked: profile.validity.not_after.saturating_sub(now),
                allowed: last.saturating_sub(now),
            }),
        }
    }

    /// Checks a certificate and puts it into the index, in line with the one that it was renewed from: not if that was
    /// revoked meanwhile.
    fn record(
        &self,
        ask: &Ask,
        der: Vec<u8>,
        from_request: bool,
        now: Timestamp,
        before: Option<&Record>,
    ) -> Result<Record, Error> {
        check(&der, self.authority.certificate_der(), ask.usage, now)?;
        let mut record = new_record(&ask.name, der, from_request)?;
        self.index.change(|change| {
            if let Some(before) = before {
                let known = change.find(&before.serial)?;
                if known.is_none_or(|known| known.revocation.is_some()) {
                    return Err(Error::Revoked(HEXLOWER.encode(&before.serial)));
                }
                record.line.clone_from(&before.line);
            }
            change.insert(&record)
        })?;
        Ok(record)
    }
}

fn new_record(name: &str, der: Vec<u8>, from_request: bool) -> Result<Record, Error> {
    let certificate = Certificate::from_der(der)?;
    let serial = parse_serial(certificate.serial_number()).unwrap_or_default();
    Ok(Record {
        line: serial.clone(),
        serial,
        name: name.to_owned(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        from_request,
        revocation: None,
        der: certificate.der().to_vec(),
    })
}

/// What a certificate was once asked to be, to be asked again.
pub(crate) fn renewable(record: &Record) -> Result<Ask, Error> {
    let serial = || HEXLOWER.encode(&record.serial);
    if record.revocation.is_some() {
        return Err(Error::Revoked(serial()));
    }
    let certificate = Certificate::from_der(record.der.clone())?;
    let ask = as_before(record, &certificate).filter(|_| !certificate.is_ca());
    ask.ok_or_else(|| Error::NotRenewable(serial()))
}

/// Nothing for one that is not of this crate's making.
fn as_before(record: &Record, certificate: &Certificate) -> Option<Ask> {
    let alt_names = certificate.subject_alt_names().iter().map(|name| {
        Some(match name.kind {
            "dns" => AltName::Dns(name.text.clone()),
            "email" => AltName::Email(name.text.clone()),
            "ip" => AltName::Ip(name.text.parse().ok()?),
            "uri" => AltName::Uri(name.text.clone()),
            _ => return None,
        })
    });
    let for_servers =
        certificate.extended_key_usages().iter().any(|usage| usage == oid::SERVER_AUTH);
    let key = certificate.public_key();
    let key = KeyType::like(&key.algorithm, key.bits);
    let before = record.not_after.checked_sub(record.not_before)? - crate::ask::SKEW_SECONDS;
    Some(Ask {
        name: record.name.clone(),
        alt_names: alt_names.collect::<Option<_>>()?,
        usage: if for_servers { Usage::Server } else { Usage::Client },
        lifetime: before,
        key,
    })
}

fn public_key(certificate: &[u8]) -> Result<PublicKey, Error> {
    let encoding = |error: x509_cert::der::Error| Error::Encoding(error.to_string());
    let certificate = x509_cert::Certificate::from_der(certificate).map_err(encoding)?;
    let der = certificate.tbs_certificate.subject_public_key_info.to_der().map_err(encoding)?;
    Ok(PublicKey::from_der(&der)?)
}
