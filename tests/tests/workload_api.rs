//! What a SPIFFE agent gives, against the real binary: the Workload API is that of PyPI's `spiffe` over a Unix socket.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use portcullis_engine::{Certificate, Clock};
use portcullis_pki::{Authority, Issued, Validity};
use portcullis_tests::agent::{Agent, Given, socket, svid};
use portcullis_tests::client::{CLIENTS, Tls, assert_refused, s_client};
use portcullis_tests::connect::{Connected, newest};
use portcullis_tests::gate::{Gate, Setup, binary, components};
use portcullis_tests::pki::{self, Identity};
use portcullis_tests::raw::{Dialer, Raw};
use portcullis_workload::{Address, Choice, WorkloadApi};
use serde_json::{Value, json};

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(60);
const ALICE: &str = "spiffe://example.org/alice";
const GATE: &str = "spiffe://example.org/gate";
const CONNECTED: &str = "portcullis_workload_api_connected ";

/// A gate for the SVIDs of `example.org`, which it has in files.
fn gate_for(authority: &Authority) -> Gate {
    let setup = Setup::new();
    let bundle = format!("spiffe://example.org\n{}", authority.certificate_pem());
    setup.write("bundles.pem", bundle);
    let sections = "[policies.spiffe-id]\nassets = { bundles = \"bundles.pem\" }\n";
    setup.start(r#"["spiffe-id"]"#, sections)
}

/// A gate that has its certificate and whom it trusts from an agent, which is not there when it starts.
struct House {
    authority: Authority,
    gate: Gate,
    agent: Agent,
}

impl House {
    fn new(given: impl FnOnce(&Authority) -> Given) -> Self {
        let (setup, authority) = (Setup::new(), pki::root("example.org"));
        std::fs::write(setup.ca(), authority.certificate_pem()).unwrap();
        let socket = socket(setup.directory());
        let config = format!(
            "chain = [\"spiffe-id\"]\n\
             [listen]\naddress = \"127.0.0.1:0\"\ncertificate = {{ workload-api = \"svid\" }}\n\
             [workload-api]\naddress = \"unix:{}\"\n\
             [policies.spiffe-id]\nassets = {{ bundles = {{ workload-api = \"all\" }} }}\n\
             [metrics]\naddress = \"127.0.0.1:0\"\n",
            socket.display()
        );
        setup.write("portcullis.toml", config);
        let starting = std::thread::spawn(move || setup.launch(&components()));
        await_attempt(&socket);
        let mut agent = Agent::start(&socket);
        agent.give(&given(&authority));
        let gate = starting.join().unwrap();
        // It would say `refused` without the header that clients of the Workload API have to send.
        assert_eq!(agent.next(), "stream");
        Self { authority, gate, agent }
    }

    fn client(&self, authority: &Authority, id: &str) -> Identity {
        let name = id.rsplit('/').next().unwrap();
        Identity::write(self.gate.setup().directory(), name, &svid(authority, id, pki::valid()))
    }

    /// A connection that is inside and stays open.
    fn enter(&self, identity: &Identity) -> Raw {
        let mut raw = Dialer::new(&self.gate, identity).connect();
        raw.say("GET / HTTP/1.1\r\nhost: gate\r\n\r\n");
        raw.read_to("HTTP/1.1 404");
        assert_eq!(self.gate.next_audit()["verdict"], "accepted");
        raw
    }

    fn lets_in(&self, identity: &Identity) -> bool {
        let alert = s_client(&self.gate, Tls::V1_3, Some(identity));
        let audit = self.gate.next_audit();
        assert_eq!(alert.is_none(), audit["verdict"] == "accepted", "{audit}");
        alert.is_none()
    }

    #[track_caller]
    fn assert_reloaded(&self, changed: &str) {
        let line = self.gate.next_reload();
        assert_eq!(line["changed"], changed, "{line}");
    }

    fn metric(&self, name: &str) -> i64 {
        let page = self.gate.scraped();
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}: {page}")).trim().parse().unwrap()
    }
}

fn gate_svid(authority: &Authority) -> Issued {
    svid(authority, GATE, pki::valid())
}

/// `portcullis connect` with what an agent gives.
fn connect(gate: &Gate, agent: &Path, options: &[&str]) -> Connected {
    let url = format!("https://{}/portcullis/mcp", gate.address());
    let (binary, agent) = (binary().display().to_string(), format!("unix:{}", agent.display()));
    let command = [&[&binary, "connect", &url, "--workload-api", &agent], options].concat();
    Connected::start(&command.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

fn who_am_i() -> Value {
    newest(json!({ "name": "whoami", "arguments": {} }))
}

/// What `whoami` says.
fn who(answer: &Value) -> Value {
    let text = answer["result"]["content"][0]["text"].as_str();
    serde_json::from_str(text.unwrap_or_else(|| panic!("{answer}"))).unwrap()
}

fn serial(issued: &Issued) -> String {
    let certificate = Certificate::from_der(issued.certificate_der.clone()).unwrap();
    certificate.serial_number().to_owned()
}

/// Waits until somebody has tried to reach the agent at this socket, where there is none yet.
fn await_attempt(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    drop(listener.accept().unwrap());
    drop(listener);
    std::fs::remove_file(socket).unwrap();
}

/// Asks until the answer is the one that is waited for. Each question takes its time.
fn until<T: PartialEq + std::fmt::Debug>(wanted: &T, mut ask: impl FnMut() -> T) {
    let begin = std::time::Instant::now();
    loop {
        let answer = ask();
        if answer == *wanted {
            return;
        }
        assert!(begin.elapsed().as_secs() < 60, "{answer:?}, not {wanted:?}");
    }
}

#[test]
fn connect_presents_what_an_agent_gives_that_comes_later_renews_it_and_goes_away() {
    let authority = pki::root("example.org");
    let gate = gate_for(&authority);
    let socket = socket(gate.setup().directory());
    let ca = gate.setup().ca().display().to_string();
    let mut client = connect(&gate, &socket, &["--ca", &ca, "--connect-timeout-ms", "60000"]);
    client.say(&portcullis_tests::connect::request(1, "tools/call", &who_am_i()));
    await_attempt(&socket);

    let mut agent = Agent::start(&socket);
    let first = svid(&authority, ALICE, pki::valid());
    agent.give(&Given::default().svid(&first, &[&authority]));
    // It would say `refused` without the header that clients of the Workload API have to send.
    assert_eq!(agent.next(), "stream");
    let answer = who(&client.next());
    assert_eq!(answer["principal"], ALICE, "{answer}");
    assert_eq!(answer["certificate"]["serial_number"], serial(&first), "{answer}");

    let second = svid(&authority, ALICE, pki::valid());
    agent.give(&Given::default().svid(&second, &[&authority]));
    let mut id = 1;
    let mut presented = || {
        id += 1;
        let answer = who(&client.call(id, "tools/call", &who_am_i()));
        answer["certificate"]["serial_number"].as_str().unwrap().to_owned()
    };
    until(&serial(&second), &mut presented);

    agent.kill();
    assert_eq!(presented(), serial(&second));

    let mut agent = Agent::start(&socket);
    agent.deny();
    let mut client = connect(&gate, &socket, &["--ca", &ca, "--connect-timeout-ms", "100"]);
    let answer = client.call(1, "tools/call", &who_am_i());
    assert_eq!(answer["error"]["data"]["reason"], "no-identity", "{answer}");
}

#[test]
fn a_gate_takes_its_certificate_and_every_trust_domain_from_an_agent_that_comes_later() {
    let partner = pki::root("partner.example");
    let house = House::new(|authority| {
        let given = Given::default().svid(&gate_svid(authority), &[authority]);
        given.federated("partner.example", &[&partner])
    });
    assert!(house.lets_in(&house.client(&house.authority, ALICE)));
    assert!(house.lets_in(&house.client(&partner, "spiffe://partner.example/bob")));
    let stranger = house.client(&pki::root("else"), "spiffe://elsewhere.example/carol");
    let expected = ("unknown-trust-domain", "unknown_ca");
    let _ = assert_refused(CLIENTS[0], &house.gate, Some(&stranger), expected);
    assert_eq!(house.metric(CONNECTED), 1);
    // It is warned of the end of each trust domain's CA.
    let trusted = "portcullis_certificate_remaining_seconds{kind=\"trusted-certificate\"";
    let page = house.gate.scraped();
    assert_eq!(page.lines().filter(|line| line.starts_with(trusted)).count(), 2, "{page}");

    // This agent gives the same to everybody. The gate's own SVID is as good a client as any.
    let socket = socket(house.gate.setup().directory());
    let mut client = connect(&house.gate, &socket, &["--gate-id", GATE]);
    let answer = who(&client.call(1, "tools/call", &who_am_i()));
    assert_eq!(answer["principal"], GATE, "{answer}");
    let mut client = connect(&house.gate, &socket, &["--gate-id", ALICE]);
    let answer = client.call(1, "tools/call", &who_am_i());
    assert_eq!(answer["error"]["data"]["reason"], "untrusted", "{answer}");
}

#[test]
fn rotations_are_for_the_next_handshake_and_what_an_agent_gave_outlives_it() {
    let mut house =
        House::new(|authority| Given::default().svid(&gate_svid(authority), &[authority]));
    let alice = house.client(&house.authority, ALICE);
    let mut stays = house.enter(&alice);
    let authority = &house.authority;
    for _ in 0..3 {
        let next = gate_svid(authority);
        house.agent.give(&Given::default().svid(&next, &[authority]));
        house.assert_reloaded("the server's certificate");
        assert_eq!(house.enter(&alice).server_certificate(), next.certificate_der);
    }
    // A message of no use: what came before stays.
    let (bad, other) = (gate_svid(authority), gate_svid(authority));
    let bad = Given::default().svid_with(&bad, &other.key_pem, &[authority]);
    house.agent.give(&bad);
    let of_no_use = "portcullis_workload_api_messages_total{outcome=\"unusable\"} ";
    until(&1, || house.metric(of_no_use));
    assert!(house.lets_in(&alice));

    house.agent.kill();
    let gone = "the Workload API is gone: what it gave last is used for so long";
    let _ = house.gate.next_line(|line| line["message"] == gone);
    assert_eq!(house.metric(CONNECTED), 0);
    assert!(house.metric("portcullis_workload_api_svid_remaining_seconds ") > 3600);
    assert_eq!(s_client(&house.gate, Tls::V1_3, Some(&alice)), None);

    let mut agent = Agent::start(&socket(house.gate.setup().directory()));
    let next = gate_svid(&house.authority);
    agent.give(&Given::default().svid(&next, &[&house.authority]));
    let mut again = 0;
    let _ = house.gate.next_line(|line| {
        again += u32::from(line["message"] == gone);
        line["message"] == "the Workload API answers"
    });
    assert_eq!(again, 0, "it is said once");
    house.assert_reloaded("the server's certificate");
    let mut raw = Dialer::new(&house.gate, &alice).connect();
    raw.say("GET / HTTP/1.1\r\nhost: gate\r\n\r\n");
    raw.read_to("HTTP/1.1 404");
    assert_eq!(raw.server_certificate(), next.certificate_der);
    // Nobody was cut off meanwhile.
    stays.say("GET / HTTP/1.1\r\nhost: gate\r\n\r\n");
    stays.read_to("HTTP/1.1 404");
}

#[test]
fn whom_a_bundle_no_longer_vouches_for_is_locked_out_and_so_is_everybody_when_all_is_taken_back() {
    let partner = pki::root("partner.example");
    let mut house = House::new(|authority| {
        let given = Given::default().svid(&gate_svid(authority), &[authority]);
        given.federated("partner.example", &[&partner])
    });
    let alice = house.client(&house.authority, ALICE);
    let bob = house.client(&partner, "spiffe://partner.example/bob");
    let (mut alice_inside, mut bob_inside) = (house.enter(&alice), house.enter(&bob));

    let own = Given::default().svid(&gate_svid(&house.authority), &[&house.authority]);
    house.agent.give(&own);
    let closed = house.gate.next_closed();
    assert_eq!(closed["code"], "unknown-trust-domain", "{closed}");
    bob_inside.read_to_end();
    let expected = ("unknown-trust-domain", "unknown_ca");
    let _ = assert_refused(CLIENTS[0], &house.gate, Some(&bob), expected);
    assert!(house.lets_in(&alice));

    house.agent.deny();
    let closed = house.gate.next_closed();
    assert_eq!(closed["code"], "policy-failed", "{closed}");
    alice_inside.read_to_end();
    let expected = ("policy-failed", "access_denied");
    let _ = assert_refused(CLIENTS[0], &house.gate, Some(&alice), expected);

    house.agent.give(&own);
    until(&true, || house.lets_in(&alice));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_svid_stands_for_is_not_used_beyond_its_end_and_the_agent_is_asked_anew() {
    let authority = pki::root("example.org");
    let (mut agent, port) = Agent::start_at_a_port();
    let soon = Validity { not_after: pki::now() + 2, ..pki::valid() };
    agent.give(&Given::default().svid(&svid(&authority, GATE, soon), &[&authority]));
    let address = Address::parse(&format!("tcp:127.0.0.1:{port}")).unwrap();
    let api = WorkloadApi::start(address, Choice::First, Clock::system());
    assert!(api.ready(PATIENCE).await.unwrap().own_bundle().contains("BEGIN CERTIFICATE"));
    assert_eq!(agent.next(), "stream");
    let mut state = api.subscribe();
    let expired = state.wait_for(|state| state.material.is_none());
    let expired = tokio::time::timeout(PATIENCE, expired).await.unwrap().unwrap();
    assert_eq!(expired.problem.as_deref(), Some("the SVID expired, and no other came"));
    drop(expired);
    assert_eq!(agent.next(), "stream");
    let next = svid(&authority, GATE, pki::valid());
    agent.give(&Given::default().svid(&next, &[&authority]));
    let material = api.ready(PATIENCE).await.unwrap();
    assert_eq!(material.svid().certificate().der(), next.certificate_der);
}

#[test]
fn mistakes_about_the_workload_api_are_shown_where_they_are() {
    let setup = Setup::new();
    let mistake = |listen: &str, sections: &str| {
        let config = format!(
            "chain = [\"spiffe-id\"]\n[listen]\naddress = \"127.0.0.1:0\"\n{listen}\n{sections}"
        );
        setup.write("portcullis.toml", config);
        let output = std::process::Command::new(binary())
            .args(["check", "--format", "json", "--config"])
            .arg(setup.path("portcullis.toml"))
            .env_remove("SPIFFE_ENDPOINT_SOCKET")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let (line, key) = (&report["error"]["line"], &report["error"]["key"]);
        (line.as_u64(), key.as_str().unwrap_or_default().to_owned())
    };
    let (svid, file) =
        ("certificate = { workload-api = \"svid\" }", "certificate = \"server.pem\"");
    let at = |line: u64, key: &str| (Some(line), key.to_owned());
    assert_eq!(mistake(svid, "").1, "workload-api.address");
    let nowhere = "[workload-api]\naddress = \"/run/agent.sock\"";
    assert_eq!(mistake(svid, nowhere), at(6, "workload-api.address"));
    let elsewhere = "[workload-api]\naddress = \"tcp:192.0.2.1:8081\"";
    assert_eq!(mistake(svid, elsewhere), at(6, "workload-api.address"));
    let unused = "[workload-api]\naddress = \"unix:/run/agent.sock\"";
    assert_eq!(mistake(file, unused).1, "workload-api");
    let stale = format!("{unused}\n[reload]\nautomatic = false");
    assert_eq!(mistake(svid, &stale), at(7, "reload.automatic"));
    let no_id = format!("{unused}\nspiffe-id = \"gate\"");
    assert_eq!(mistake(svid, &no_id), at(7, "workload-api.spiffe-id"));
    let both = format!("{unused}\nspiffe-id = \"spiffe://a/b\"\nhint = \"c\"");
    assert_eq!(mistake(svid, &both), at(8, "workload-api.hint"));
    let none = format!(
        "[workload-api]\naddress = \"unix:{}\"\nstart-timeout-ms = 1",
        setup.path("none.sock").display()
    );
    assert_eq!(mistake(svid, &none), at(5, "workload-api"));
    assert_eq!(mistake("certificate = { workload-api = \"all\" }", "").0, Some(4));
}
