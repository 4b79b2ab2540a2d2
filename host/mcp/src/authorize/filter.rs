//! Rewrites answers that list things, whether they come as one message or on a stream of events (HTML, 9.2).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Frame;

use super::list::{Unreadable, shown};
use super::{Grants, Rules};
use crate::caller::Caller;
use crate::message::Id;
use crate::reply::{self, Body, BodyError};

/// A list, or an event of a stream that is looked through, in bytes. What is longer is not passed on.
const MAXIMUM_BYTES: usize = 16 * 1024 * 1024;

/// Whose list it is.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    pub(crate) rules: Arc<Rules>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) server: String,
}

impl Reader {
    fn grants(&self) -> Grants<'_> {
        self.rules.grants(&self.caller, &self.server)
    }
}

/// An answer that shows its reader only what that one may use. `id` is the request's. An answer that cannot be read is an
/// error instead: nobody could tell what it shows.
pub(crate) async fn filter(
    response: Response<Body>,
    reader: Reader,
    id: Option<&Id>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if parts.status == StatusCode::ACCEPTED || parts.status == StatusCode::NO_CONTENT {
        return Response::from_parts(parts, body);
    }
    parts.headers.remove(CONTENT_LENGTH);
    match media_type(&parts.headers).as_str() {
        "text/event-stream" if !is_encoded(&parts.headers) => {
            Response::from_parts(parts, Events::new(body, reader).boxed())
        }
        "application/json" if !is_encoded(&parts.headers) => {
            let Some(whole) = whole(body).await else {
                return unreadable(id);
            };
            match shown(&whole, &reader.grants()) {
                Ok(list) => Response::from_parts(parts, full(list.unwrap_or(whole))),
                Err(Unreadable) => unreadable(id),
            }
        }
        // What an error says in another form is no list.
        _ if !parts.status.is_success() => Response::from_parts(parts, body),
        _ => unreadable(id),
    }
}

/// None if it breaks off or is too long.
async fn whole(mut body: Body) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if whole.len() + data.len() > MAXIMUM_BYTES {
            return None;
        }
        whole.extend_from_slice(&data);
    }
    Some(whole.freeze())
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| value != "identity")
}

fn unreadable(id: Option<&Id>) -> Response<Body> {
    let text = "the server's list cannot be read";
    reply::failure(StatusCode::BAD_GATEWAY, id, text, "server-unreadable")
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// A stream of events, each passed on when it is complete. Those that list nothing pass as they are.
struct Events {
    body: Body,
    reader: Reader,
    received: BytesMut,
    lines: Lines,
    ended: bool,
}

/// Finds the ends of events. A line ends with CR, LF, or both.
#[derive(Debug)]
struct Lines {
    /// What was looked at already, in bytes.
    looked: usize,
    line_is_empty: bool,
    after_return: bool,
}

impl Events {
    fn new(body: Body, reader: Reader) -> Self {
        let lines = Lines { looked: 0, line_is_empty: true, after_return: false };
        Self { body, reader, received: BytesMut::new(), lines, ended: false }
    }

    fn next(&mut self) -> Option<Bytes> {
        if let Some(end) = self.lines.end_of_event(&self.received) {
            return Some(self.received.split_to(end).freeze());
        }
        // Readers may take what is left at the end for an event.
        (self.ended && !self.received.is_empty()).then(|| self.received.split().freeze())
    }
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(event) = this.next() {
                let event = shown_event(&event, &this.reader.grants());
                if event.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(Frame::data(event))));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            if this.received.len() > MAXIMUM_BYTES {
                this.ended = true;
                this.received.clear();
                return Poll::Ready(Some(Err("an event is too long to be looked through".into())));
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        this.received.extend_from_slice(&data);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => this.ended = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Lines {
    /// Where the first event ends, if it is complete. The caller takes it away.
    fn end_of_event(&mut self, received: &[u8]) -> Option<usize> {
        while let Some(byte) = received.get(self.looked) {
            self.looked += 1;
            let continues = std::mem::take(&mut self.after_return) && *byte == b'\n';
            match byte {
                _ if continues => {}
                b'\n' | b'\r' => {
                    self.after_return = *byte == b'\r';
                    if self.line_is_empty {
                        return Some(std::mem::take(&mut self.looked));
                    }
                    self.line_is_empty = true;
                }
                _ => self.line_is_empty = false,
            }
        }
        None
    }
}

/// An event as it may be seen; empty if it cannot be read.
fn shown_event(event: &Bytes, grants: &Grants<'_>) -> Bytes {
    let mut data: Vec<&[u8]> = Vec::new();
    let mut others: Vec<&[u8]> = Vec::new();
    for line in event.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        match line.strip_prefix(b"data") {
            Some([]) => data.push(b""),
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => data.push(value),
            _ => others.push(line),
        }
    }
    let joined = data.join(&b'\n');
    if joined.iter().all(u8::is_ascii_whitespace) {
        return event.clone();
    }
    match shown(&joined, grants) {
        Ok(None) => event.clone(),
        Ok(Some(message)) => {
            let mut written = BytesMut::new();
            for line in others {
                written.extend_from_slice(line);
                written.extend_from_slice(b"\n");
            }
            written.extend_from_slice(b"data: ");
            // What was a line break between two lines of data is white space between tokens.
            written.extend(message.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }));
            written.extend_from_slice(b"\n\n");
            written.freeze()
        }
        Err(Unreadable) => {
            tracing::warn!(
                "an event was left out: it is no message, so nobody can tell what it shows"
            );
            Bytes::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::authorize::Rule;

    fn reader() -> Reader {
        let rule = Rule {
            principals: Some(vec!["alice".to_owned()]),
            servers: vec!["s".to_owned()],
            tools: Some(vec!["get_*".to_owned()]),
            resources: Some(vec!["file:///public/**".to_owned()]),
            prompts: Some(vec!["p".to_owned()]),
            ..Rule::default()
        };
        let caller = Caller::of_principal(Some("alice"));
        let rules = Arc::new(Rules::new(&[rule], &["s"]).unwrap());
        Reader { rules, caller: Arc::new(caller), server: "s".to_owned() }
    }

    struct Parts(VecDeque<Vec<u8>>);

    impl hyper::body::Body for Parts {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Ready(self.0.pop_front().map(|part| Ok(Frame::data(part.into()))))
        }
    }

    fn response(content_type: &str, parts: Vec<Vec<u8>>) -> Response<Body> {
        let body = Parts(parts.into()).boxed();
        Response::builder().header(CONTENT_TYPE, content_type).body(body).unwrap()
    }

    async fn filtered(content_type: &str, parts: Vec<Vec<u8>>) -> (StatusCode, String) {
        let response = filter(response(content_type, parts), reader(), None).await;
        let (status, body) = (response.status(), response.into_body().collect().await);
        let body = body.unwrap().to_bytes().to_vec();
        (status, String::from_utf8(body).unwrap())
    }

    const TOOLS: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get_a","n":1.0e5},{"name":"set_a"},{"name":"get_b"}],"nextCursor":"x"}}"#;
    const SHOWN: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"get_a","n":1.0e5},{"name":"get_b"}],"nextCursor":"x"}}"#;

    #[tokio::test]
    async fn a_list_shows_what_its_reader_may_use() {
        let json = "application/json; charset=utf-8";
        assert_eq!(filtered(json, vec![TOOLS.into()]).await, (StatusCode::OK, SHOWN.to_owned()));
        for (list, shown) in [
            (
                json!({"resources": [{"uri": "file:///public/a"}, {"uri": "file:///secret"}, {"uri": "file:///public/../b"}]}),
                json!({"resources": [{"uri": "file:///public/a"}]}),
            ),
            (
                json!({"resourceTemplates": [{"uriTemplate": "file:///public/{a}"}, {"uriTemplate": "file:///{+a}"}]}),
                json!({"resourceTemplates": [{"uriTemplate": "file:///public/{a}"}]}),
            ),
            (
                json!({"prompts": [{"name": "p"}, {"name": "q"}]}),
                json!({"prompts": [{"name": "p"}]}),
            ),
            (json!({"tools": [{"title": "get_a"}, {"name": 1}]}), json!({"tools": []})),
        ] {
            let text = json!({"jsonrpc": "2.0", "id": 1, "result": list}).to_string();
            let (_, body) = filtered(json, vec![text.into()]).await;
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(body["result"], shown);
        }
    }

    #[tokio::test]
    async fn a_tool_with_two_names_is_shown_when_both_may_be_used_and_every_list_counts() {
        let text = r#"{"id":1,"result":{"tools":[{"name":"get_a","name":"set_a"}],"t\u006fols":[{"n\u0061me":"set_b"}]},"result":{"tools":[{"name":"set_c"}]}}"#;
        let (_, body) = filtered("application/json", vec![text.into()]).await;
        assert_eq!(body, r#"{"id":1,"result":{"tools":[],"tools":[]},"result":{"tools":[]}}"#);
    }

    #[tokio::test]
    async fn what_lists_nothing_passes_byte_for_byte() {
        let other = " {\"jsonrpc\": \"2.0\", \"id\": 1, \"error\": {\"code\": 1.0, \"message\": \"tools\"} }";
        assert_eq!(filtered("application/json", vec![other.into()]).await.1, other);
        let stream = format!(
            ": hello\r\n\r\nid: 7\r\ndata: \r\n\r\nevent: message\ndata: {other}\n\ndata:{{}}\r\r"
        );
        assert_eq!(filtered("text/event-stream", vec![stream.clone().into()]).await.1, stream);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_not_shown() {
        let gateway = |body: (StatusCode, String)| body.0 == StatusCode::BAD_GATEWAY;
        assert!(gateway(filtered("application/json", vec!["{".into()]).await));
        assert!(gateway(filtered("application/json", vec!["[]".into()]).await));
        assert!(gateway(filtered("text/plain", vec![TOOLS.into()]).await));
        let mut zipped = response("application/json", vec![TOOLS.into()]);
        zipped.headers_mut().insert(CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(filter(zipped, reader(), None).await.status(), StatusCode::BAD_GATEWAY);
        let stream = b"data: {\n\ndata: [1]\n\n: kept\n\n".to_vec();
        assert_eq!(filtered("text/event-stream", vec![stream]).await.1, ": kept\n\n");
        let long = vec![b'x'; MAXIMUM_BYTES + 1];
        let ends = filter(response("text/event-stream", vec![long]), reader(), None).await;
        assert!(ends.into_body().collect().await.is_err());
    }

    proptest! {
        /// The server may cut its stream anywhere, break lines in any of three ways, and a message between any tokens.
        #[test]
        fn a_list_on_a_stream_is_filtered_however_it_is_cut(
            size in 1..80usize, line in prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], several in any::<bool>(),
        ) {
            let data = if several { TOOLS.replace(",\"", &format!(",{line}data: \"")) } else { TOOLS.to_owned() };
            let stream = format!("id: 1{line}data: {data}{line}{line}: end{line}{line}");
            let parts = stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (_, body) = runtime.block_on(filtered("text/event-stream", parts));
            let (list, rest) = body.split_once("\n\n").expect("an event");
            let list = list.strip_prefix("id: 1\ndata: ").expect("its id and data");
            let [list, expected] = [list, SHOWN].map(|text| serde_json::from_str::<Value>(text).expect("JSON"));
            prop_assert_eq!(list, expected);
            // An LF may be left of the line that ended the event.
            prop_assert_eq!(rest.trim_start(), format!(": end{line}{line}"));
        }

        /// A server may write anything. What it lists stays hidden, and nothing panics.
        #[test]
        fn no_bytes_of_a_server_show_what_is_hidden(
            before in "(data|id|event|:|\\{|\\}|\\[|\"|,| |\r|\n){0,12}", after in "(data|:|\\}|\"|,| |\r|\n){0,12}",
            size in 1..40usize,
        ) {
            let stream = format!("{before}data: {TOOLS}{after}");
            let parts = stream.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (_, body) = runtime.block_on(filtered("text/event-stream", parts));
            // As readers find messages: the data of an event, joined.
            for event in body.replace("\r\n", "\n").replace('\r', "\n").split("\n\n") {
                let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
                let data = data.collect::<Vec<_>>().join("\n");
                if let Ok(message) = serde_json::from_str::<Value>(&data) {
                    prop_assert!(!message.to_string().contains("set_a"), "{}", stream);
                }
            }
        }
    }
}
