//! The host's side of the contract: what a policy can call.

use std::sync::Arc;

use portcullis_core::{
    Attribute, Certificate, Handshake, NotConfigured, Revocation, RevocationCheck, Timestamp,
};
use wasmtime::Trap;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};

use crate::bindings::{PolicyWorld, certificates, crypto, handshakes, log, revocation};
use crate::crypto::{Question, verify_signature};
use crate::limits::MemoryMeter;
use crate::log::{CallLog, MAXIMUM_LINE_BYTES};
use crate::signatures::Signatures;
use crate::wasi::{self, Random};

/// What host functions cost where work is counted, in fuel: about nanoseconds of a core of 2026, and one more for each
/// byte that they are given.
const CALL: u64 = 1_000;
const PARSING: u64 = 10_000;
const SIGNATURE: u64 = 50_000;
/// Handles that one call may hold at a time.
const MAXIMUM_RESOURCES: usize = 4096;
/// Answers about revocation that are recorded of one call.
const MAXIMUM_REVOCATION_CHECKS: usize = 64;

/// A certificate that a policy holds.
#[expect(unreachable_pub, reason = "the bindings re-export it within this crate")]
pub struct CertificateResource(Arc<Certificate>);

/// The handshake that a policy holds.
#[expect(unreachable_pub, reason = "the bindings re-export it within this crate")]
pub struct HandshakeResource {
    handshake: Arc<Handshake>,
    attributes: Vec<Attribute>,
}

/// What belongs to one call of one policy, and dies with it.
pub(crate) struct CallState {
    pub(crate) memory: MemoryMeter,
    pub(crate) log: CallLog,
    pub(crate) random: Random,
    /// The work that host functions may do for the call, in fuel; no bound where deadlines are kept by time.
    pub(crate) host_fuel: Option<u64>,
    pub(crate) revocation_checks: Vec<RevocationCheck>,
    resources: ResourceTable,
    revocation: Arc<dyn Revocation>,
    /// Whoever remembers signatures; none before there is a handshake.
    signatures: Option<Arc<Signatures>>,
    time: Timestamp,
}

impl CallState {
    /// For `describe` and `configure`: there is no handshake, and revocation is unknown.
    pub(crate) fn new(memory_bytes: usize) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MAXIMUM_RESOURCES);
        Self {
            memory: MemoryMeter::new(memory_bytes),
            log: CallLog::default(),
            random: Random::default(),
            host_fuel: None,
            revocation_checks: Vec::new(),
            resources,
            revocation: Arc::new(NotConfigured),
            signatures: None,
            time: 0,
        }
    }

    /// For `evaluate`: the handshake, owned by the guest from now on.
    pub(crate) fn give_handshake(
        &mut self,
        handshake: &Arc<Handshake>,
        attributes: &[Attribute],
        revocation: &Arc<dyn Revocation>,
        signatures: &Arc<Signatures>,
    ) -> wasmtime::Result<Resource<HandshakeResource>> {
        self.revocation = Arc::clone(revocation);
        self.signatures = Some(Arc::clone(signatures));
        self.time = handshake.time;
        // Whether `configure` ran before in this instance or not, an evaluation begins with the same.
        self.random = Random::default();
        self.log = CallLog::default();
        self.revocation_checks.clear();
        let (handshake, attributes) = (Arc::clone(handshake), attributes.to_vec());
        self.push(HandshakeResource { handshake, attributes })
    }

    /// The time to judge at; 0 before there is a handshake.
    pub(crate) fn time(&self) -> Timestamp {
        self.time
    }

    /// Counts a host function's work: wasmtime counts the guest's only.
    pub(crate) fn charge(&mut self, fuel: u64) -> wasmtime::Result<()> {
        if let Some(left) = &mut self.host_fuel {
            *left = left.checked_sub(fuel).ok_or(Trap::OutOfFuel)?;
        }
        Ok(())
    }

    /// Keeps something that the guest holds from now on.
    pub(crate) fn push<T: Send + 'static>(&mut self, entry: T) -> wasmtime::Result<Resource<T>> {
        self.charge(CALL)?;
        Ok(self.resources.push(entry)?)
    }

    /// Something that the guest holds.
    pub(crate) fn get<T: 'static>(&mut self, resource: &Resource<T>) -> wasmtime::Result<&T> {
        self.charge(CALL)?;
        Ok(self.resources.get(resource)?)
    }

    /// Forgets something that the guest dropped.
    pub(crate) fn delete<T: 'static>(&mut self, id: u32) -> wasmtime::Result<()> {
        self.resources.delete(Resource::<T>::new_own(id))?;
        Ok(())
    }

    fn certificate(
        &mut self,
        resource: &Resource<CertificateResource>,
    ) -> wasmtime::Result<&Arc<Certificate>> {
        Ok(&self.get(resource)?.0)
    }
}

/// Gives a linker everything that a policy may import, and nothing else.
pub(crate) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    PolicyWorld::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    wasi::add_to_linker(linker)
}

type Certificates = Resource<CertificateResource>;

impl certificates::Host for CallState {}

impl certificates::HostCertificate for CallState {
    fn parse(&mut self, der: Vec<u8>) -> wasmtime::Result<Result<Certificates, String>> {
        self.charge(PARSING + der.len() as u64)?;
        match Certificate::from_der(der) {
            Ok(certificate) => Ok(Ok(self.push(CertificateResource(Arc::new(certificate)))?)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn der(&mut self, this: Certificates) -> wasmtime::Result<Vec<u8>> {
        Ok(self.certificate(&this)?.der().to_vec())
    }

    fn sha256(&mut self, this: Certificates) -> wasmtime::Result<Vec<u8>> {
        Ok(self.certificate(&this)?.sha256().to_vec())
    }

    fn serial_number(&mut self, this: Certificates) -> wasmtime::Result<String> {
        Ok(self.certificate(&this)?.serial_number().to_owned())
    }

    fn subject(&mut self, this: Certificates) -> wasmtime::Result<String> {
        Ok(self.certificate(&this)?.subject())
    }

    fn issuer(&mut self, this: Certificates) -> wasmtime::Result<String> {
        Ok(self.certificate(&this)?.issuer())
    }

    fn subject_names(
        &mut self,
        this: Certificates,
    ) -> wasmtime::Result<Vec<certificates::NameAttribute>> {
        Ok(self.certificate(&this)?.subject_names().map(name_attribute).collect())
    }

    fn issuer_names(
        &mut self,
        this: Certificates,
    ) -> wasmtime::Result<Vec<certificates::NameAttribute>> {
        Ok(self.certificate(&this)?.issuer_names().map(name_attribute).collect())
    }

    fn not_before(&mut self, this: Certificates) -> wasmtime::Result<i64> {
        Ok(self.certificate(&this)?.not_before())
    }

    fn not_after(&mut self, this: Certificates) -> wasmtime::Result<i64> {
        Ok(self.certificate(&this)?.not_after())
    }

    fn subject_alt_names(
        &mut self,
        this: Certificates,
    ) -> wasmtime::Result<Vec<certificates::SubjectAltName>> {
        Ok(self
            .certificate(&this)?
            .subject_alt_names()
            .iter()
            .map(|name| certificates::SubjectAltName {
                kind: name.kind.to_owned(),
                text: name.text.clone(),
                value: name.value.clone(),
            })
            .collect())
    }

    fn public_key(&mut self, this: Certificates) -> wasmtime::Result<certificates::PublicKey> {
        let key = self.certificate(&this)?.public_key();
        Ok(certificates::PublicKey {
            algorithm: key.algorithm.clone(),
            bits: key.bits,
            spki_sha256: key.spki_sha256.to_vec(),
        })
    }

    fn signature_algorithm(&mut self, this: Certificates) -> wasmtime::Result<String> {
        Ok(self.certificate(&this)?.signature_algorithm().to_owned())
    }

    fn key_usages(&mut self, this: Certificates) -> wasmtime::Result<Option<Vec<String>>> {
        let usages = self.certificate(&this)?.key_usages();
        Ok(usages.map(|usages| usages.iter().map(|&usage| usage.to_owned()).collect()))
    }

    fn extended_key_usages(&mut self, this: Certificates) -> wasmtime::Result<Vec<String>> {
        Ok(self.certificate(&this)?.extended_key_usages().to_vec())
    }

    fn is_ca(&mut self, this: Certificates) -> wasmtime::Result<bool> {
        Ok(self.certificate(&this)?.is_ca())
    }

    fn extension(&mut self, this: Certificates, oid: String) -> wasmtime::Result<Option<Vec<u8>>> {
        Ok(self.certificate(&this)?.extension(&oid).map(<[u8]>::to_vec))
    }

    fn drop(&mut self, this: Certificates) -> wasmtime::Result<()> {
        self.resources.delete(this)?;
        Ok(())
    }
}

fn name_attribute(attribute: &portcullis_core::NameAttribute) -> certificates::NameAttribute {
    certificates::NameAttribute { oid: attribute.oid.clone(), text: attribute.text.clone() }
}

impl crypto::Host for CallState {
    fn verify_signature(
        &mut self,
        public_key_algorithm: Vec<u8>,
        signature_algorithm: Vec<u8>,
        public_key: Vec<u8>,
        message: Vec<u8>,
        signature: Vec<u8>,
    ) -> wasmtime::Result<bool> {
        self.charge(SIGNATURE + (message.len() + public_key.len() + signature.len()) as u64)?;
        let question = Question {
            public_key_algorithm: &public_key_algorithm,
            signature_algorithm: &signature_algorithm,
            public_key: &public_key,
            message: &message,
            signature: &signature,
        };
        Ok(match &self.signatures {
            Some(signatures) => signatures.verify(&question),
            None => verify_signature(&question),
        })
    }
}

impl revocation::Host for CallState {
    fn check(
        &mut self,
        subject: Certificates,
        issuer: Certificates,
        source: String,
    ) -> wasmtime::Result<revocation::Answer> {
        self.charge(PARSING)?;
        let subject = Arc::clone(self.certificate(&subject)?);
        let issuer = Arc::clone(self.certificate(&issuer)?);
        let answer = self.revocation.check(&subject, &issuer, &source, self.time);
        let told = revocation::Answer {
            status: answer.status.as_str().to_owned(),
            source: answer.source.clone(),
            detail: answer.detail.clone(),
            revoked_at: answer.revoked_at,
            this_update: answer.this_update,
            next_update: answer.next_update,
        };
        if self.revocation_checks.len() < MAXIMUM_REVOCATION_CHECKS {
            let source = portcullis_core::printable(&source, MAXIMUM_LINE_BYTES);
            self.revocation_checks.push(RevocationCheck { subject, issuer, source, answer });
        }
        Ok(told)
    }
}

impl log::Host for CallState {
    fn message(&mut self, level: String, text: String) -> wasmtime::Result<()> {
        let level = match level.as_str() {
            "error" => "error",
            "warn" => "warn",
            "debug" => "debug",
            _ => "info",
        };
        self.charge(CALL + text.len() as u64)?;
        self.log.message(level, &text);
        Ok(())
    }
}

impl handshakes::Host for CallState {}

impl handshakes::HostHandshake for CallState {
    fn chain(&mut self, this: Resource<HandshakeResource>) -> wasmtime::Result<Vec<Certificates>> {
        let handshake = Arc::clone(&self.get(&this)?.handshake);
        handshake
            .chain
            .iter()
            .map(|certificate| self.push(CertificateResource(Arc::clone(certificate))))
            .collect()
    }

    fn time(&mut self, this: Resource<HandshakeResource>) -> wasmtime::Result<i64> {
        Ok(self.get(&this)?.handshake.time)
    }

    fn peer_address(&mut self, this: Resource<HandshakeResource>) -> wasmtime::Result<String> {
        Ok(self.get(&this)?.handshake.peer_address.to_string())
    }

    fn server_name(
        &mut self,
        this: Resource<HandshakeResource>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.get(&this)?.handshake.server_name.clone())
    }

    fn attributes(
        &mut self,
        this: Resource<HandshakeResource>,
    ) -> wasmtime::Result<Vec<handshakes::Attribute>> {
        let attributes = &self.get(&this)?.attributes;
        Ok(attributes
            .iter()
            .map(|attribute| handshakes::Attribute {
                name: attribute.name.clone(),
                value: attribute.value.clone(),
            })
            .collect())
    }

    fn drop(&mut self, this: Resource<HandshakeResource>) -> wasmtime::Result<()> {
        self.resources.delete(this)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signatures::tests::signed;

    #[test]
    fn a_signature_that_is_known_costs_as_much_fuel_as_the_first_time() {
        let mut state = CallState::new(0);
        state.signatures = Some(Arc::default());
        let fuel = 10 * SIGNATURE;
        let mut cost = |[key_algorithm, algorithm, key, message, signature]: [Vec<u8>; 5]| {
            state.host_fuel = Some(fuel);
            let verifies = crypto::Host::verify_signature(
                &mut state,
                key_algorithm,
                algorithm,
                key,
                message,
                signature,
            );
            assert!(verifies.unwrap());
            fuel - state.host_fuel.unwrap()
        };
        let question = signed();
        let first = cost(question.clone());
        assert!(first > SIGNATURE);
        assert_eq!(cost(question), first);
    }
}
