//! What goes over the wire for what a client says, against a gate that does what the test says.
#![allow(clippy::panic, clippy::unwrap_used, reason = "this is how a test fails")]

mod common;

use std::collections::BTreeSet;

use portcullis_connect::stdio::Options;
use serde_json::{Value, json};

use self::common::{Manners, gate_and_client, gate_with_manners_and_client, soon};

const BOTH: [&str; 2] = ["h2", "http/1.1"];

fn newest() -> Value {
    json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" })
}

#[tokio::test]
async fn a_request_of_2026_has_headers_that_repeat_it_and_passes_byte_for_byte() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let line = r#"{ "jsonrpc":"2.0", "id":"\u0061","method":"tools/call","params":{"name":"caf\u00e9", "n":1.0e5,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    client.say_line(line).await;
    let arrival = gate.next().await;
    assert_eq!(arrival.bytes, line);
    for (name, value) in [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?Y2Fmw6k=?="),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ] {
        assert_eq!(arrival.header(name), Some(value), "{name}");
    }
    assert_eq!(arrival.session(), None);
    arrival.answer(
        200,
        "application/json; charset=utf-8",
        "{\r\n \"jsonrpc\": \"2.0\",\n\t\"id\": \"a\", \"result\": {\"n\": 1.0E+2, \"n\": \"\\n\"}}",
    );
    assert_eq!(
        client.next_line().await,
        "{   \"jsonrpc\": \"2.0\", \t\"id\": \"a\", \"result\": {\"n\": 1.0E+2, \"n\": \"\\n\"}}"
    );
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_session_is_kept_used_and_deleted() {
    for http in BOTH {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) =
            gate_with_manners_and_client(&manners, Options::default()).await;
        let listening = client.initialize(&mut gate, "one").await;
        client.request(1, "tools/list", json!({})).await;
        let arrival = gate.next().await;
        assert_eq!(arrival.session(), Some("one"));
        assert_eq!(arrival.header("mcp-protocol-version"), Some("2025-11-25"));
        assert_eq!(arrival.header("mcp-method"), None);
        arrival.result(&json!({ "tools": [] }));
        assert_eq!(client.next().await["id"], 1);
        listening.message(&json!({ "jsonrpc": "2.0", "method": "notifications/x" })).await;
        assert_eq!(client.next().await["method"], "notifications/x");
        client.close();
        let end = gate.next_of("DELETE").await;
        assert_eq!(end.session(), Some("one"));
        end.answer(204, "text/plain", "");
        assert!(client.rest().await.is_empty());
    }
}

#[tokio::test]
async fn what_is_under_way_at_the_end_of_the_input_is_still_answered() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let _listening = client.initialize(&mut gate, "one").await;
    client.request(1, "tools/list", json!({})).await;
    client.request(2, "subscriptions/listen", json!({ "_meta": newest() })).await;
    let mut arrivals = [gate.next().await, gate.next().await];
    arrivals.sort_by_key(|arrival| arrival.body["id"].as_u64());
    let [list, subscription] = arrivals;
    client.close();
    // It would never end.
    subscription.gone().await;
    list.result(&json!({}));
    assert_eq!(client.next().await["id"], 1);
    gate.next_of("DELETE").await.answer(204, "text/plain", "");
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_cancelled_request_of_2026_closes_its_stream_and_nothing_else_is_sent() {
    for http in BOTH {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) =
            gate_with_manners_and_client(&manners, Options::default()).await;
        client.request(1, "tools/call", json!({ "name": "slow", "_meta": newest() })).await;
        let stream = gate.next().await.stream();
        client.request(2, "tools/call", json!({ "name": "slower", "_meta": newest() })).await;
        let waiting = gate.next().await;
        client.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
        stream.gone().await;
        client.notify("notifications/cancelled", json!({ "requestId": 2 })).await;
        waiting.gone().await;
        // The id is free again, and the server has heard of no notification.
        client.request(1, "tools/list", json!({ "_meta": newest() })).await;
        let arrival = gate.next().await;
        assert_eq!(arrival.body["method"], "tools/list");
        arrival.result(&json!({}));
        assert_eq!(client.next().await["id"], 1);
        assert!(client.rest().await.is_empty());
    }
}

#[tokio::test]
async fn a_cancelled_request_of_a_session_is_told_to_the_server_and_gets_no_answer() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let _listening = client.initialize(&mut gate, "one").await;
    client.request(1, "tools/call", json!({ "name": "slow" })).await;
    let stream = gate.next().await.stream();
    client.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    let told = gate.next().await;
    assert_eq!(told.body["params"]["requestId"], 1);
    assert_eq!(told.session(), Some("one"));
    // The id is free, and what a server still says about it is nobody's business.
    stream.gone().await;
    drop(stream);
    told.accept();
    client.request(1, "tools/list", json!({})).await;
    gate.next_of("tools/list").await.result(&json!({}));
    assert_eq!(client.next().await["result"], json!({}));
    client.shutdown.cancel();
    gate.next_of("DELETE").await.answer(204, "text/plain", "");
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn a_stream_that_breaks_before_the_answer_is_asked_for_its_rest() {
    for http in BOTH {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) =
            gate_with_manners_and_client(&manners, Options::default()).await;
        let _listening = client.initialize(&mut gate, "one").await;
        client.request(1, "tools/call", json!({ "name": "slow" })).await;
        let stream = gate.next().await.stream();
        stream
            .write("retry: 1\nid: 7\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"method\":\"p\"}\n\n")
            .await;
        assert_eq!(client.next_line().await, "{\"jsonrpc\":\"2.0\", \"method\":\"p\"}");
        drop(stream);
        let rest = gate.next().await;
        assert_eq!(rest.header("last-event-id"), Some("7"));
        assert_eq!(rest.session(), Some("one"));
        // And once more, before anything new came.
        drop(rest.stream());
        let rest = gate.next().await;
        assert_eq!(rest.header("last-event-id"), Some("7"));
        rest.stream().write("id: 8\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n").await;
        assert_eq!(client.next().await["id"], 1);
    }
}

#[tokio::test]
async fn a_stream_that_cannot_be_resumed_ends_in_an_error() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    client.request(1, "tools/call", json!({ "name": "slow", "_meta": newest() })).await;
    let stream = gate.next().await.stream();
    stream.write("id: 7\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"p\"}\n\n").await;
    drop(stream);
    assert_eq!(client.next().await["method"], "p");
    assert_eq!(client.next().await["error"]["data"]["reason"], "no-answer");
}

#[tokio::test]
async fn what_the_server_says_by_itself_goes_on_after_its_stream_broke() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let listening = client.initialize(&mut gate, "one").await;
    listening.write("retry: 1\nid: a\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"p\"}\n\n").await;
    drop(listening);
    let again = gate.next().await;
    assert_eq!(again.header("last-event-id"), Some("a"));
    again.stream().write("data: {\"jsonrpc\":\"2.0\",\"method\":\"q\"}\n\n").await;
    assert_eq!(client.next().await["method"], "p");
    assert_eq!(client.next().await["method"], "q");
}

#[tokio::test]
async fn a_session_that_is_gone_is_opened_again_once_and_no_request_is_lost() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let listening = client.initialize(&mut gate, "one").await;
    client.request(1, "tools/call", json!({ "name": "under way" })).await;
    let under_way = gate.next().await.stream();
    for id in [2, 3, 4] {
        client.request(id, "tools/list", json!({})).await;
    }
    for _ in 0..3 {
        let arrival = gate.next().await;
        assert_eq!(arrival.session(), Some("one"));
        arrival.answer(404, "text/plain", "no such session");
    }
    let initialize = gate.next().await;
    assert_eq!(initialize.body["method"], "initialize");
    assert_eq!(initialize.body["id"], 0);
    assert_eq!(initialize.session(), None);
    initialize.open("two");
    let initialized = gate.next().await;
    assert_eq!(initialized.body["method"], "notifications/initialized");
    assert_eq!(initialized.session(), Some("two"));
    initialized.accept();
    listening.gone().await;
    let mut again = BTreeSet::new();
    let mut listening = None;
    while again.len() < 3 || listening.is_none() {
        let arrival = gate.next().await;
        assert_eq!(arrival.session(), Some("two"));
        if arrival.method == http::Method::GET {
            listening = Some(arrival.stream());
            continue;
        }
        again.insert(arrival.body["id"].as_u64().unwrap());
        arrival.result(&json!({}));
    }
    let mut answered = BTreeSet::new();
    for _ in 0..3 {
        answered.insert(client.next().await["id"].as_u64().unwrap());
    }
    assert_eq!(answered, again);
    // What the old session still works on is answered as well, and then it is not needed any more.
    under_way.message(&json!({ "jsonrpc": "2.0", "id": 1, "result": {} })).await;
    assert_eq!(client.next().await["id"], 1);
    let end = gate.next_of("DELETE").await;
    assert_eq!(end.session(), Some("one"));
}

#[tokio::test]
async fn a_session_is_opened_again_to_the_end_even_if_the_request_that_found_it_gone_is_cancelled()
{
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let _listening = client.initialize(&mut gate, "one").await;
    client.request(1, "tools/list", json!({})).await;
    gate.next().await.answer(404, "text/plain", "no such session");
    let initialize = gate.next_of("initialize").await;
    client.notify("notifications/cancelled", json!({ "requestId": 1 })).await;
    gate.next_of("notifications/cancelled").await.answer(404, "text/plain", "no such session");
    initialize.open("two");
    let initialized = gate.next_of("notifications/initialized").await;
    assert_eq!(initialized.session(), Some("two"));
    initialized.accept();
    assert_eq!(gate.next_of("GET").await.session(), Some("two"));
    client.request(2, "tools/list", json!({})).await;
    gate.next_of("tools/list").await.result(&json!({}));
    assert_eq!(client.next().await["id"], 2);
}

#[tokio::test]
async fn an_answer_goes_back_to_the_session_that_asked() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let _listening = client.initialize(&mut gate, "one").await;
    client.request(1, "tools/call", json!({ "name": "curious" })).await;
    let stream = gate.next().await.stream();
    stream.message(&json!({ "jsonrpc": "2.0", "id": 0, "method": "elicitation/create" })).await;
    assert_eq!(client.next().await["method"], "elicitation/create");
    client.request(2, "tools/list", json!({})).await;
    gate.next().await.answer(404, "text/plain", "no such session");
    gate.next_of("initialize").await.open("two");
    gate.next_of("notifications/initialized").await.accept();
    gate.next_of("tools/list").await.result(&json!({}));
    assert_eq!(client.next().await["id"], 2);
    let answer = json!({ "jsonrpc": "2.0", "id": 0, "result": { "action": "accept" } });
    client.say(&answer).await;
    // A second answer to the same question, and one to none, go nowhere.
    client.say(&answer).await;
    client.say(&json!({ "jsonrpc": "2.0", "id": 9, "result": {} })).await;
    client.notify("notifications/roots/list_changed", json!({})).await;
    let arrival = loop {
        let arrival = gate.next().await;
        if arrival.method == http::Method::POST {
            break arrival;
        }
    };
    assert_eq!(arrival.body, answer);
    assert_eq!(arrival.session(), Some("one"));
    arrival.accept();
    assert_eq!(gate.next().await.body["method"], "notifications/roots/list_changed");
}

#[tokio::test]
async fn an_answer_that_is_none_is_reported_as_an_error_of_the_request() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let cases = [
        (202, "application/json", "", "no-mcp", None),
        (200, "text/html", "<html>", "no-mcp", None),
        (200, "application/json", "oh no", "no-mcp", None),
        (200, "application/json", r#"{"jsonrpc":"2.0","id":99,"result":{}}"#, "no-mcp", None),
        (200, "application/json", r#"{"jsonrpc":"2.0","method":"x"}"#, "no-mcp", None),
        (307, "text/plain", "", "redirect", Some(307)),
        (404, "text/plain", "nothing here", "status", Some(404)),
        (503, "application/json", "[]", "status", Some(503)),
    ];
    for (status, content_type, body, reason, told) in cases {
        client.request(1, "tools/list", json!({ "_meta": newest() })).await;
        gate.next().await.answer(status, content_type, body);
        let answer = client.next().await;
        assert_eq!(answer["id"], 1);
        assert_eq!(answer["error"]["data"]["reason"], reason, "{status} {body}: {answer}");
        assert_eq!(answer["error"]["data"]["status"].as_u64(), told, "{answer}");
    }
}

#[tokio::test]
async fn the_servers_own_error_is_passed_on_whatever_its_status() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    for status in [200, 400, 404] {
        client.request(1, "tools/list", json!({ "_meta": newest() })).await;
        let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"mismatch"}}"#;
        gate.next().await.answer(status, "application/json", error);
        let answer = client.next().await;
        assert_eq!(
            answer,
            json!({ "jsonrpc": "2.0", "id": 1,
                                   "error": { "code": -32020, "message": "mismatch" } })
        );
    }
}

#[tokio::test]
async fn an_argument_that_a_tool_wants_in_a_header_is_there() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    client.request(1, "tools/list", json!({ "_meta": newest() })).await;
    let schema = json!({ "properties": { "region": { "x-mcp-header": "Region" } } });
    gate.next().await.result(&json!({ "tools": [{ "name": "t", "inputSchema": schema }] }));
    assert_eq!(client.next().await["id"], 1);
    let call = json!({ "name": "t", "arguments": { "region": "eu" }, "_meta": newest() });
    client.request(2, "tools/call", call).await;
    assert_eq!(gate.next().await.header("mcp-param-region"), Some("eu"));
}

#[tokio::test]
async fn a_question_is_answered_however_many_requests_wait_for_it() {
    for http in BOTH {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) =
            gate_with_manners_and_client(&manners, Options::default()).await;
        let _listening = client.initialize(&mut gate, "one").await;
        for id in 1..=200 {
            client.request(id, "tools/call", json!({ "name": "curious" })).await;
        }
        let first = gate.next().await;
        let id = first.body["id"].clone();
        let stream = first.stream();
        let mut others = Vec::new();
        for _ in 0..31 {
            others.push(gate.next().await);
        }
        stream.message(&json!({ "jsonrpc": "2.0", "id": "q", "method": "roots/list" })).await;
        assert_eq!(client.next().await["method"], "roots/list");
        client.say(&json!({ "jsonrpc": "2.0", "id": "q", "result": {} })).await;
        let arrival = gate.next().await;
        assert_eq!(arrival.body["id"], "q");
        arrival.accept();
        stream.message(&json!({ "jsonrpc": "2.0", "id": id, "result": {} })).await;
        assert_eq!(client.next().await["id"], id);
        // Its turn is another's now.
        assert_eq!(gate.next().await.body["method"], "tools/call");
    }
}

#[tokio::test]
async fn bounds_are_kept_and_what_is_beyond_them_is_refused() {
    let mut options = Options::default();
    options.maximum_message_bytes = 1000;
    options.maximum_waiting = 2;
    let (mut gate, mut client) = gate_and_client(options).await;
    client.say_line(&"x".repeat(2000)).await;
    assert_eq!(client.next().await["error"]["data"]["reason"], "too-long");
    let listing = || json!({ "_meta": newest() });
    client.request(1, "tools/list", listing()).await;
    let first = gate.next().await;
    client.request(1, "tools/list", listing()).await;
    assert_eq!(client.next().await["error"]["data"]["reason"], "id-in-use");
    client.request(2, "tools/list", listing()).await;
    let second = gate.next().await;
    client.request(3, "tools/list", listing()).await;
    assert_eq!(client.next().await["error"]["data"]["reason"], "too-many");
    first.answer(200, "application/json", format!("\"{}\"", "x".repeat(2000)));
    assert_eq!(client.next().await["error"]["data"]["reason"], "too-long");
    second.stream().write(&format!("data: {}\n\n", "x".repeat(2000))).await;
    assert_eq!(client.next().await["error"]["data"]["reason"], "no-answer");
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_server() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    client.request(1, "tools/call", json!({ "name": "talkative", "_meta": newest() })).await;
    let stream = gate.next().await.stream();
    let text = "x".repeat(64 * 1024);
    let event = format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{text}\"}}\n\n");
    let mut sent = 0;
    // Until there has been no room for a while: the flow control of HTTP/2 takes so much, the bridge no more.
    let mut without_room = 0;
    while without_room < 50 {
        if stream.try_write(&event) {
            (sent, without_room) = (sent + 1, 0);
        } else {
            without_room += 1;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(sent < 2000, "there is no end to it");
    }
    for _ in 0..sent {
        assert_eq!(client.next().await["method"], text);
    }
}

#[tokio::test]
async fn a_client_that_is_gone_ends_everything() {
    let mut options = Options::default();
    options.drain_timeout = std::time::Duration::from_millis(10);
    let (mut gate, mut client) = gate_and_client(options).await;
    client.request(1, "tools/call", json!({ "name": "slow", "_meta": newest() })).await;
    let stream = gate.next().await.stream();
    let served = client.vanish();
    stream.gone().await;
    soon(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_for_new_requests_and_what_is_under_way_goes_on() {
    for http in BOTH {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) =
            gate_with_manners_and_client(&manners, Options::default()).await;
        client.request(1, "tools/call", json!({ "name": "slow", "_meta": newest() })).await;
        let arrival = gate.next().await;
        let first = arrival.serial.clone();
        let stream = arrival.stream();
        let second = client.identity.renew();
        assert_ne!(first, second);
        for id in [2, 3] {
            client.request(id, "tools/list", json!({ "_meta": newest() })).await;
            let arrival = gate.next().await;
            assert_eq!(arrival.serial, second);
            arrival.result(&json!({}));
            assert_eq!(client.next().await["id"], id);
        }
        stream.message(&json!({ "jsonrpc": "2.0", "id": 1, "result": {} })).await;
        assert_eq!(client.next().await["id"], 1);
    }
}

#[tokio::test]
async fn a_message_waits_for_a_certificate_as_it_waits_for_the_gate() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    client.identity.take_away();
    client.request(1, "tools/list", json!({ "_meta": newest() })).await;
    client.identity.missed().await;
    let serial = client.identity.renew();
    let arrival = gate.next().await;
    assert_eq!(arrival.serial, serial);
    arrival.result(&json!({}));
    assert_eq!(client.next().await["id"], 1);
}

#[tokio::test]
async fn what_may_have_been_carried_out_is_not_sent_again() {
    for http in BOTH {
        let manners = Manners { http, ..Manners::default() };
        let (mut gate, mut client) =
            gate_with_manners_and_client(&manners, Options::default()).await;
        client.request(1, "tools/call", json!({ "name": "pay", "_meta": newest() })).await;
        drop(gate.next().await);
        let answer = client.next().await;
        assert_eq!(answer["error"]["data"]["reason"], "broken", "{answer}");
        client.request(2, "tools/list", json!({ "_meta": newest() })).await;
        assert_eq!(gate.next().await.body["method"], "tools/list");
    }
}

#[tokio::test]
async fn an_answer_of_50_megabytes_passes_as_a_body_and_as_an_event() {
    let (mut gate, mut client) = gate_and_client(Options::default()).await;
    let text = "x".repeat(50 * 1024 * 1024);
    let answer = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{text}"}}"#);
    client.request(1, "tools/call", json!({ "name": "large", "_meta": newest() })).await;
    gate.next().await.answer(200, "application/json", answer(1));
    assert!(client.next_line().await == answer(1), "it is not the same");
    client.request(2, "tools/call", json!({ "name": "large", "_meta": newest() })).await;
    gate.next().await.stream().write(&format!("data: {}\n\n", answer(2))).await;
    assert!(client.next_line().await == answer(2), "it is not the same");
}

/// In TLS 1.3 the alert comes when the client believes that it is connected, and this gate closes the connection
/// without reading what the client has sent by then.
#[tokio::test]
async fn the_alert_of_a_refusal_is_seen_however_the_connection_ends() {
    for http in BOTH {
        for tls in [&rustls::version::TLS13, &rustls::version::TLS12] {
            let manners = Manners { http, tls, knows_the_client: false };
            let (_gate, mut client) =
                gate_with_manners_and_client(&manners, Options::default()).await;
            for id in 0..20 {
                client.request(id, "tools/list", json!({ "_meta": newest() })).await;
                let data = client.next().await["error"]["data"].clone();
                assert_eq!(data["reason"], "refused", "{manners:?}: {data}");
                assert_eq!(data["alert"], "unknown_ca", "{manners:?}: {data}");
            }
        }
    }
}
