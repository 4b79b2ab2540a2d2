//! The MCP conformance suite finds the same through the gate as without it.

use portcullis_pki::Profile;
use portcullis_tests::conformance::{Differences, run};
use portcullis_tests::gate::Setup;
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::stunnel::Stunnel;
use portcullis_tests::upstream::Server;

const REVISION: &str = "2025-11-25";

/// The suite has no client certificate, so stunnel presents one for it. A server that is a command cannot be asked without
/// the gate; it has to do as well as the same server over HTTP.
#[test]
fn the_suite_finds_the_same_through_the_gate_as_without_it() {
    let differences = Differences::read();
    let mut faults = Vec::new();
    for (name, server) in [("everything", Server::Everything), ("python", Server::Python)] {
        let listening = server.listen();
        let authority = pki::root("Test clients");
        let setup = Setup::new();
        setup.write("clients-ca.pem", authority.certificate_pem());
        let client = authority.issue(&Profile::client("suite", pki::valid())).unwrap();
        let identity = Identity::write(setup.directory(), "suite", &client);
        let sections = format!(
            "[policies.ca-chain]\nassets = {{ anchors = \"clients-ca.pem\" }}\n\
             [servers.http]\nurl = \"{}\"\n[servers.stdio]\ncommand = {}\nmaximum-sessions-per-client = 100\n",
            listening.url(),
            server.command(),
        );
        let gate = setup.start(r#"["ca-chain"]"#, &sections);
        let stunnel = Stunnel::before(&gate, &identity);
        let direct = run(&listening.url(), REVISION, &gate.setup().path("direct"));
        assert!(direct.len() > 60, "the suite did not run: {direct:?}");
        for way in ["http", "stdio"] {
            let url = format!("http://{}/{way}/mcp", stunnel.address());
            let through = run(&url, REVISION, &gate.setup().path(way));
            faults.extend(differences.faults(&format!("{name} over {way}"), &direct, &through));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
