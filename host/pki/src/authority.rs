//! The issuer of certificates.

use std::fmt;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CidrSubnet, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    NameConstraints, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::Error;
use crate::issued::{Certified, Issued};
use crate::key::PublicKey;
use crate::oid;
use crate::profile::{AltName, NameConstraint, PathLength, Profile, Validity};
use crate::revocation_list::{RevocationList, SignedRevocationList};
use crate::signature::Signature;
use crate::test_key::TestKey;

/// Enough that no serial number comes twice, and that nobody guesses the next (RFC 5280, 4.1.2.2 allows 20).
const SERIAL_BYTES: usize = 16;

/// A certification authority: a certificate and the key that signs with it.
pub struct Authority {
    certificate_der: Vec<u8>,
    certificate_pem: String,
    /// PEM of this authority and those above it, without the root.
    chain_pem: String,
    issuer: Issuer<'static, Signer>,
}

impl Authority {
    /// Makes an authority that certifies itself.
    ///
    /// The profile is taken as it is: [`Profile::authority`] gives one that may sign.
    ///
    /// # Errors
    /// Any [`Error`] but [`Error::Write`]: a name, a date or an identifier of the profile that cannot be written.
    pub fn root(profile: &Profile) -> Result<Self, Error> {
        Self::self_signed(profile, Signer::Generated(profile.key.generate()?))
    }

    /// As [`Authority::root`], with a key for fixtures. The profile's key type plays no part.
    ///
    /// # Errors
    /// As [`Authority::root`], and where the key does not sign.
    pub fn root_with(profile: &Profile, key: TestKey) -> Result<Self, Error> {
        Self::self_signed(profile, Signer::Test(key))
    }

    fn self_signed(profile: &Profile, key: Signer) -> Result<Self, Error> {
        let params = parameters(profile)?;
        let certificate = params.self_signed(&key).map_err(Error::Signing)?;
        Ok(Self::new(&certificate, String::new(), Issuer::new(params, key)))
    }

    /// Takes up an authority that was made before.
    ///
    /// `certificate_pem` is its certificate; `chain_pem` that one and those above it without the root, and so empty for a
    /// root; `key_pem` its private key, unencrypted.
    ///
    /// # Errors
    /// [`Error::Certificate`], [`Error::PrivateKey`] and [`Error::KeyMismatch`].
    pub fn load(certificate_pem: &str, chain_pem: &str, key_pem: &str) -> Result<Self, Error> {
        let malformed = |problem: String| Error::Certificate(problem);
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| malformed(format!("{error:?}")))?;
        let (_, parsed) =
            X509Certificate::from_der(&der).map_err(|error| malformed(error.to_string()))?;
        let key = KeyPair::from_pem(key_pem).map_err(Error::PrivateKey)?;
        if key.subject_public_key_info() != parsed.public_key().raw {
            return Err(Error::KeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&der, Signer::Generated(key))
            .map_err(|error| malformed(error.to_string()))?;
        Ok(Self {
            certificate_der: der.to_vec(),
            certificate_pem: certificate_pem.to_owned(),
            chain_pem: chain_pem.to_owned(),
            issuer,
        })
    }

    fn new(certificate: &Certificate, chain_pem: String, issuer: Issuer<'static, Signer>) -> Self {
        Self {
            certificate_der: certificate.der().to_vec(),
            certificate_pem: certificate.pem(),
            chain_pem,
            issuer,
        }
    }

    /// Makes an authority that this one certifies.
    ///
    /// # Errors
    /// As [`Authority::root`].
    pub fn intermediate(&self, profile: &Profile) -> Result<Self, Error> {
        self.certified_authority(profile, Signer::Generated(profile.key.generate()?))
    }

    /// As [`Authority::intermediate`], with a key for fixtures. The profile's key type plays no part.
    ///
    /// # Errors
    /// As [`Authority::root`], and where the key of this authority does not sign.
    pub fn intermediate_with(&self, profile: &Profile, key: TestKey) -> Result<Self, Error> {
        self.certified_authority(profile, Signer::Test(key))
    }

    fn certified_authority(&self, profile: &Profile, key: Signer) -> Result<Self, Error> {
        let params = parameters(profile)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(Error::Signing)?;
        let chain_pem = certificate.pem() + &self.chain_pem;
        Ok(Self::new(&certificate, chain_pem, Issuer::new(params, key)))
    }

    /// Makes a key and certifies it.
    ///
    /// # Errors
    /// As [`Authority::root`].
    pub fn issue(&self, profile: &Profile) -> Result<Issued, Error> {
        let key = profile.key.generate()?;
        let certificate =
            parameters(profile)?.signed_by(&key, &self.issuer).map_err(Error::Signing)?;
        let Certified { certificate_der, certificate_pem, chain_pem } =
            self.certified(&certificate);
        Ok(Issued { certificate_der, certificate_pem, chain_pem, key_pem: key.serialize_pem() })
    }

    /// Certifies a key that its owner keeps. The profile's key type plays no part.
    ///
    /// # Errors
    /// As [`Authority::root`].
    pub fn certify(&self, profile: &Profile, key: &PublicKey) -> Result<Certified, Error> {
        let certificate =
            parameters(profile)?.signed_by(&key.0, &self.issuer).map_err(Error::Signing)?;
        Ok(self.certified(&certificate))
    }

    /// The certificate: what who trusts this authority has as an anchor.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// The certificate in PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.certificate_pem.clone()
    }

    /// This authority and those above it without the root, PEM: what stands below a leaf in its chain. Empty for a root.
    #[must_use]
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The private key, PKCS #8 in PEM: a secret. None for a key for fixtures.
    #[must_use]
    pub fn key_pem(&self) -> Option<String> {
        match self.issuer.key() {
            Signer::Generated(key) => Some(key.serialize_pem()),
            Signer::Test(_) => None,
        }
    }

    /// Signs bytes that are no certificate: an OCSP answer, for instance.
    ///
    /// # Errors
    /// [`Error::Signing`], also where the key is of a type whose signatures are not named here.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, Error> {
        Signature::make(self.issuer.key(), message)
    }

    /// Makes a CRL (RFC 5280, 5) that covers all that this authority issues.
    ///
    /// # Errors
    /// [`Error::Validity`] if the next update is not after this one, and [`Error::Signing`].
    pub fn revocation_list(&self, list: &RevocationList) -> Result<SignedRevocationList, Error> {
        let signed = list.parameters()?.signed_by(&self.issuer).map_err(Error::Signing)?;
        let pem = signed.pem().map_err(Error::Signing)?;
        Ok(SignedRevocationList { der: signed.der().to_vec(), pem })
    }

    fn certified(&self, certificate: &Certificate) -> Certified {
        Certified {
            certificate_der: certificate.der().to_vec(),
            certificate_pem: certificate.pem(),
            chain_pem: certificate.pem() + &self.chain_pem,
        }
    }
}

/// Without the key.
impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate_pem)
            .field("key", &"redacted")
            .finish_non_exhaustive()
    }
}

/// What an authority signs with.
enum Signer {
    Generated(KeyPair),
    Test(TestKey),
}

impl PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::Generated(key) => key.der_bytes(),
            Self::Test(key) => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::Generated(key) => key.algorithm(),
            Self::Test(key) => key.algorithm(),
        }
    }
}

impl SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::Generated(key) => key.sign(message),
            Self::Test(key) => key.sign(message),
        }
    }
}

/// The profile in the encoder's terms. The key identifiers of subject and issuer are always there
/// (RFC 5280, 4.2.1.1 and 4.2.1.2).
fn parameters(profile: &Profile) -> Result<CertificateParams, Error> {
    let (not_before, not_after) = times(profile.validity)?;
    let mut params = CertificateParams::default();
    params.not_before = not_before;
    params.not_after = not_after;
    params.serial_number = Some(serial_number(profile)?);
    params.distinguished_name = subject(&profile.subject)?;
    params.subject_alt_names = profile.alt_names.iter().map(alt_name).collect::<Result<_, _>>()?;
    params.key_usages = profile.key_usages.clone();
    params.extended_key_usages = profile
        .extended_key_usages
        .iter()
        .map(|dotted| oid::arcs(dotted).map(ExtendedKeyUsagePurpose::Other))
        .collect::<Result<_, _>>()?;
    params.is_ca = match profile.ca {
        _ if profile.without_basic_constraints => IsCa::NoCa,
        None => IsCa::ExplicitNoCa,
        Some(PathLength::Unlimited) => IsCa::Ca(BasicConstraints::Unconstrained),
        Some(PathLength::AtMost(length)) => IsCa::Ca(BasicConstraints::Constrained(length)),
    };
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: subtrees(&profile.permitted_names)?,
        excluded_subtrees: subtrees(&profile.excluded_names)?,
    });
    params.use_authority_key_identifier_extension = true;
    for extension in &profile.extensions {
        let oid = oid::arcs(&extension.oid)?;
        let mut custom = CustomExtension::from_oid_content(&oid, extension.value.clone());
        custom.set_criticality(extension.critical);
        params.custom_extensions.push(custom);
    }
    Ok(params)
}

fn times(validity: Validity) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
    let Validity { not_before, not_after } = validity;
    let time =
        |seconds| OffsetDateTime::from_unix_timestamp(seconds).ok().filter(|time| time.year() >= 0);
    match (time(not_before), time(not_after)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(Error::Validity { not_before, not_after }),
    }
}

fn serial_number(profile: &Profile) -> Result<SerialNumber, Error> {
    let bytes = match &profile.serial_number {
        Some(bytes) => bytes.clone(),
        None => {
            let mut bytes = [0; SERIAL_BYTES + 1];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Randomness)?;
            // A first byte of 1 to 127 keeps the number positive and its length the same.
            bytes[0] = (bytes[0] & 0x7f).max(1);
            bytes.to_vec()
        }
    };
    if bytes.len() > 20 || bytes.iter().all(|&byte| byte == 0) {
        return Err(Error::SerialNumber(bytes.len()));
    }
    Ok(SerialNumber::from_slice(&bytes))
}

fn subject(attributes: &[(String, String)]) -> Result<DistinguishedName, Error> {
    let mut name = DistinguishedName::new();
    for (dotted, value) in attributes {
        let kind = DnType::from_oid(&oid::arcs(dotted)?);
        if name.get(&kind).is_some() {
            return Err(Error::RepeatedAttribute(dotted.clone()));
        }
        name.push(kind, value.as_str());
    }
    Ok(name)
}

fn alt_name(name: &AltName) -> Result<SanType, Error> {
    let ia5 = |text: &String| {
        rcgen::string::Ia5String::try_from(text.as_str()).map_err(|_| Error::NotAscii(text.clone()))
    };
    Ok(match name {
        AltName::Dns(name) => SanType::DnsName(ia5(name)?),
        AltName::Email(address) => SanType::Rfc822Name(ia5(address)?),
        AltName::Ip(address) => SanType::IpAddress(*address),
        AltName::Uri(uri) => SanType::URI(ia5(uri)?),
    })
}

fn subtrees(constraints: &[NameConstraint]) -> Result<Vec<GeneralSubtree>, Error> {
    let ascii = |text: &String| {
        text.is_ascii().then(|| text.clone()).ok_or_else(|| Error::NotAscii(text.clone()))
    };
    constraints
        .iter()
        .map(|constraint| {
            Ok(match constraint {
                NameConstraint::Dns(domain) => GeneralSubtree::DnsName(ascii(domain)?),
                NameConstraint::Email(address) => GeneralSubtree::Rfc822Name(ascii(address)?),
                &NameConstraint::Ip { address, prefix } => {
                    let longest = if address.is_ipv4() { 32 } else { 128 };
                    if prefix > longest {
                        return Err(Error::Prefix { prefix, longest });
                    }
                    GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, prefix))
                }
            })
        })
        .collect()
}
