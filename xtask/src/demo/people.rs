//! The private CA and everyone who has a certificate, or a wrong one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use portcullis_pki::{
    AltName, Authority, Profile, PublicKey, Validity, write_private, write_public,
};

const HOUR: i64 = 60 * 60;

/// Files of a demo: certificates, keys, anchors and pins.
pub(crate) struct People {
    folder: PathBuf,
}

impl People {
    /// Makes all of them, valid for a day from now.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let people = Self { folder: folder.to_owned() };
        let now = now()?;
        let day = Validity { not_before: now - HOUR, not_after: now + 24 * HOUR };
        let over = Validity { not_before: now - 25 * HOUR, not_after: now - HOUR };

        let servers = Authority::root(&Profile::authority("Demo servers", day))?;
        write_public(&people.path("server-ca.pem"), &servers.certificate_pem())?;
        let names = vec![
            AltName::Dns("localhost".to_owned()),
            AltName::Ip(std::net::Ipv4Addr::LOCALHOST.into()),
        ];
        people.issue(&servers, "server", &Profile::server("gate", names, day))?;

        let clients = Authority::root(&Profile::authority("Demo clients", day))?;
        write_public(&people.path(people.anchors()), &clients.certificate_pem())?;
        let strangers = Authority::root(&Profile::authority("Somebody else's clients", day))?;
        let mut pins = String::from("# SHA-256 of each client's certificate\n");
        for (authority, name, profile) in [
            (&clients, "agent", Profile::client("agent-1", day)),
            (&clients, "expired", Profile::client("agent-2", over)),
            (&strangers, "stranger", Profile::client("agent-3", day)),
        ] {
            let pin = people.issue(authority, name, &profile)?;
            pins.push_str(&format!("cert-sha256 {pin} label=\"{name}\"\n"));
        }
        people.issue(&clients, "unpinned", &Profile::client("agent-4", day))?;
        people.issue_weak(&clients, "weak", &Profile::client("agent-5", day))?;
        write_public(&people.path(people.pins()), &pins)?;
        Ok(people)
    }

    /// The file of the certificates that clients must descend from.
    pub(crate) fn anchors(&self) -> &'static str {
        "clients-ca.pem"
    }

    /// The file of the pins.
    pub(crate) fn pins(&self) -> &'static str {
        "pins.txt"
    }

    /// A file of the demo.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A client's certificate chain and key.
    pub(crate) fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }

    /// Returns the certificate's pin.
    fn issue(&self, authority: &Authority, name: &str, profile: &Profile) -> Result<String> {
        let issued = authority.issue(profile)?;
        let (path, key) = self.files(name);
        write_public(&path, &issued.chain_pem)?;
        write_private(&key, &issued.key_pem)?;
        // "sha256 Fingerprint=AB:CD:…", as an operator would get it.
        let mut fingerprint = Command::new("openssl");
        fingerprint.args(["x509", "-noout", "-fingerprint", "-sha256", "-in"]).arg(&path);
        let printed = openssl(&mut fingerprint)?;
        let (_, pin) = printed.trim().split_once('=').context("openssl printed no fingerprint")?;
        Ok(pin.to_owned())
    }

    /// For an RSA key of 1,024 bits, which nothing but openssl makes any more.
    fn issue_weak(&self, authority: &Authority, name: &str, profile: &Profile) -> Result<()> {
        let (chain, key) = self.files(name);
        openssl(Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("1024"))?;
        let public = openssl(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key))?;
        let certified = authority.certify(profile, &PublicKey::from_pem(&public)?)?;
        write_public(&chain, &certified.chain_pem)?;
        Ok(())
    }
}

fn openssl(command: &mut Command) -> Result<String> {
    let output = command.output().context("cannot run openssl; please install it")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[expect(clippy::disallowed_methods, reason = "the demo's clients live by the system's clock")]
fn now() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?)
}
