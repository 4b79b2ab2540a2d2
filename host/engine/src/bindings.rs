//! The contract of `wit/`, as wasmtime's bindings. Nothing else is generated.

mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "policy",
        with: {
            "portcullis:policy/certificates.certificate": crate::host::CertificateResource,
            "portcullis:policy/handshakes.handshake": crate::host::HandshakeResource,
        },
        imports: { default: trappable },
    });
}

pub(crate) use generated::portcullis::policy::{certificates, crypto, handshakes, log, revocation};
pub(crate) use generated::{Policy as PolicyWorld, PolicyPre as PolicyWorldPre};
