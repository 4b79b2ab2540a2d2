//! A new authority.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_core::{Clock, Timestamp};
use portcullis_pki::{
    Authority, KeyType, KeyUsage, NameConstraint, PathLength, Profile, Validity, write_private,
    write_public,
};
use tempfile::Builder;

use crate::ask::SKEW_SECONDS;
use crate::ca::{ANCHOR, CERTIFICATE, CHAIN, Ca, INDEX, KEY};
use crate::error::Error;
use crate::index::{Index, Terms};
use crate::name;

/// What a new authority is.
#[derive(Clone, Debug)]
pub struct Options {
    /// The common name.
    pub name: String,
    /// The kind of its key: not P-521, with which it would sign no OCSP answers.
    pub key: KeyType,
    /// How long its certificate is valid, in seconds.
    pub lifetime: i64,
    /// How many authorities may stand below one another under this one.
    pub path_length: u8,
    /// The host names, addresses and mail addresses that it may certify (RFC 5280, 4.2.1.10). Each constrains its own
    /// kind of name only.
    pub permitted: Vec<NameConstraint>,
    /// The SPIFFE trust domain to whose IDs it keeps. Held to as certificates are issued and not by a name constraint:
    /// rustls, for one, refuses every URI below an authority whose URIs are constrained.
    pub trust_domain: Option<String>,
    /// The longest lifetime of a certificate, in seconds.
    pub maximum_lifetime: i64,
    /// How long a CRL is in force, in seconds.
    pub crl_lifetime: i64,
    /// Where peers find the CRL; named in every certificate.
    pub crl_url: Option<String>,
    /// Where peers find the OCSP responder; named in every certificate.
    pub ocsp_url: Option<String>,
}

impl Ca {
    /// Makes an authority in a directory that is not there yet, or is empty: below `parent`, or a root.
    ///
    /// The directory is complete when it appears, and its owner's alone.
    ///
    /// # Errors
    /// [`Error::Exists`] where the directory is not empty, [`Error::PathLength`] and others of the parent's, and names
    /// and lifetimes that no certificate has.
    pub fn init(
        directory: &Path,
        options: &Options,
        parent: Option<&Self>,
        clock: Clock,
    ) -> Result<Self, Error> {
        if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::Exists(directory.to_owned()));
        }
        let profile = profile(options, clock.now())?;
        let (authority, anchor_pem) = match parent {
            Some(parent) => (parent.certify_authority(&profile, options)?, parent.anchor_pem()?),
            None => {
                let authority = Authority::root(&profile)?;
                let anchor_pem = authority.certificate_pem();
                (authority, anchor_pem)
            }
        };
        let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|error| Error::io(parent, error))?;
        let beside = Builder::new()
            .prefix(".portcullis-ca-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|error| Error::io(parent, error))?;
        fill(beside.path(), &authority, &anchor_pem, options)?;
        Self::open(beside.path(), clock.clone())?.refresh_crl()?;
        fs::rename(beside.path(), directory).map_err(|error| Error::io(directory, error))?;
        // It is where it belongs now.
        let _: PathBuf = beside.keep();
        Self::open(directory, clock)
    }
}

fn profile(options: &Options, now: Timestamp) -> Result<Profile, Error> {
    name::check_common_name(&options.name)?;
    let validity = Validity {
        not_before: now.saturating_sub(SKEW_SECONDS),
        not_after: now.saturating_add(options.lifetime),
    };
    let mut profile = Profile::authority(&options.name, validity);
    // For OCSP answers, which the authority signs itself.
    profile.key_usages.push(KeyUsage::DigitalSignature);
    profile.key = options.key;
    profile.ca = Some(PathLength::AtMost(options.path_length));
    profile.permitted_names.clone_from(&options.permitted);
    Ok(profile)
}

fn fill(
    directory: &Path,
    authority: &Authority,
    anchor_pem: &str,
    options: &Options,
) -> Result<(), Error> {
    let terms = Terms {
        maximum_lifetime: options.maximum_lifetime,
        crl_lifetime: options.crl_lifetime,
        crl_url: options.crl_url.clone(),
        ocsp_url: options.ocsp_url.clone(),
        trust_domain: options.trust_domain.clone(),
    };
    let key_pem = authority.key_pem().unwrap_or_default();
    write_private(&directory.join(KEY), &key_pem)?;
    write_public(&directory.join(CERTIFICATE), &authority.certificate_pem())?;
    write_public(&directory.join(ANCHOR), anchor_pem)?;
    if !authority.chain_pem().is_empty() {
        write_public(&directory.join(CHAIN), authority.chain_pem())?;
    }
    Index::create(&directory.join(INDEX), &terms).map(drop)
}
