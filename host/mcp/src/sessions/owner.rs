//! Whose a session is.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::caller::Caller;

/// The client that opened a session.
///
/// That is whoever comes with the same certificate; and whoever comes with a certificate renewed: another one in which
/// the same issuer says the same names, and for which the policies give the same principal. Either alone would not do:
/// a principal may stand for many clients, and the names in a certificate count only where a policy made a name of them.
/// A client that the policies give no principal is known by its certificate alone.
#[derive(Debug)]
pub(crate) struct Owner {
    /// SHA-256 of the one that it came with last.
    certificate: Mutex<[u8; 32]>,
    name: Option<Name>,
}

/// What stays as it is when a certificate is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    principal: String,
    issuer: String,
    subject: String,
    subject_alt_names: Vec<(String, String)>,
}

impl Owner {
    /// This client.
    pub(crate) fn of(client: &Caller) -> Self {
        let certificate = &client.certificate;
        let name = client.principal.as_ref().map(|principal| Name {
            principal: principal.clone(),
            issuer: certificate.issuer.clone(),
            subject: certificate.subject.clone(),
            subject_alt_names: certificate.subject_alt_names.clone(),
        });
        Self { certificate: Mutex::new(certificate.sha256), name }
    }

    /// Whether both are one client.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name.is_some() && self.name == other.name || {
            let certificate = *self.certificate();
            certificate == *other.certificate()
        }
    }

    /// Whether it is this client.
    pub(crate) fn is(&self, client: &Caller) -> bool {
        let (facts, mut certificate) = (&client.certificate, self.certificate());
        if *certificate == facts.sha256 {
            return true;
        }
        let is_renewed = self.name.as_ref().is_some_and(|name| {
            client.principal.as_ref() == Some(&name.principal)
                && facts.issuer == name.issuer
                && facts.subject == name.subject
                && facts.subject_alt_names == name.subject_alt_names
        });
        if is_renewed {
            *certificate = facts.sha256;
        }
        is_renewed
    }

    /// Whether it came with the certificate of this SHA-256, and not with one renewed from it since.
    pub(crate) fn came_last_with(&self, certificate: &[u8; 32]) -> bool {
        *self.certificate() == *certificate
    }

    fn certificate(&self) -> MutexGuard<'_, [u8; 32]> {
        // Nothing that can panic runs under the lock.
        self.certificate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(principal: Option<&str>, change: impl FnOnce(&mut Caller)) -> Caller {
        let mut caller = Caller::of_principal(principal);
        let id = "spiffe://example.org/alice".to_owned();
        caller.certificate.subject_alt_names = vec![("uri".to_owned(), id)];
        change(&mut caller);
        caller
    }

    fn renewed(caller: &mut Caller) {
        caller.certificate.sha256 = [0xcd; 32];
        caller.certificate.serial_number = "0b".to_owned();
        caller.certificate.not_after += 1000;
        caller.connection = 2;
    }

    #[test]
    fn a_session_stays_its_clients_own_when_the_certificate_is_renewed() {
        let owner = Owner::of(&client(Some("alice"), |_| {}));
        assert!(owner.is(&client(Some("alice"), |_| {})));
        assert!(owner.is(&client(Some("alice"), renewed)));
        assert!(owner.is_same(&Owner::of(&client(Some("alice"), renewed))));
    }

    #[test]
    fn once_a_renewed_certificate_was_there_the_one_before_stands_for_nothing() {
        let owner = Owner::of(&client(Some("alice"), |_| {}));
        assert!(owner.came_last_with(&[0xab; 32]));
        assert!(!owner.is(&client(Some("mallory"), renewed)));
        assert!(owner.came_last_with(&[0xab; 32]));
        assert!(owner.is(&client(Some("alice"), renewed)));
        assert!(!owner.came_last_with(&[0xab; 32]) && owner.came_last_with(&[0xcd; 32]));
    }

    #[test]
    fn neither_the_principal_nor_the_names_alone_make_somebody_the_owner() {
        let owner = Owner::of(&client(Some("agents"), |_| {}));
        let other = |principal, change: fn(&mut Caller)| {
            client(principal, |caller| {
                renewed(caller);
                change(caller);
            })
        };
        for thief in [
            other(Some("others"), |_| {}),
            other(None, |_| {}),
            other(Some("agents"), |caller| caller.certificate.subject = "CN=bob".to_owned()),
            other(Some("agents"), |caller| caller.certificate.issuer = "CN=other".to_owned()),
            other(Some("agents"), |caller| caller.certificate.subject_alt_names.clear()),
        ] {
            assert!(!owner.is(&thief) && !owner.is_same(&Owner::of(&thief)), "{thief:?}");
        }
    }

    #[test]
    fn a_client_without_a_principal_is_its_certificate() {
        let owner = Owner::of(&client(None, |_| {}));
        assert!(owner.is(&client(None, |_| {})));
        let renewed = client(None, renewed);
        assert!(!owner.is(&renewed) && !owner.is_same(&Owner::of(&renewed)));
    }
}
