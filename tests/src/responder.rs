//! An OCSP responder over HTTP on the loopback, which answers as it is told, badly, or not at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use data_encoding::BASE64;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// This body, as an answer is sent.
    Body(Vec<u8>),
    /// So many bytes, of a length that is not announced.
    Flood(usize),
    /// Bytes that are no HTTP.
    Noise,
    /// Nothing, for as long as the other side waits.
    Silence,
}

/// A responder. Ends when dropped.
pub struct Responder {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Responder {
    /// Starts it. `reply` gets the OCSP request, and may take its time: each request has its own thread.
    #[must_use]
    pub fn start(reply: impl Fn(&[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (requests, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let responder =
            Self { address, requests: Arc::clone(&requests), ended: Arc::clone(&ended) };
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (reply, requests) = (Arc::clone(&reply), Arc::clone(&requests));
                std::thread::spawn(move || {
                    // Who asks may leave at any time, and mostly does so with those who answer badly.
                    let _ = stream.and_then(|stream| serve(&stream, &requests, &*reply));
                });
            }
        });
        responder
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many requests have come.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // One more connection, so that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    mut stream: &TcpStream,
    requests: &AtomicUsize,
    reply: &dyn Fn(&[u8]) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let request = read(&mut reader)?;
    requests.fetch_add(1, Ordering::SeqCst);
    match reply(&request) {
        Reply::Body(body) => {
            let length = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
            stream.write_all(&body)
        }
        Reply::Flood(bytes) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            (0..bytes.div_ceil(1024)).try_for_each(|_| stream.write_all(&[0x30; 1024]))
        }
        Reply::Noise => stream.write_all(b"\x15\x03\x03 this is no HTTP\r\n\r\n"),
        Reply::Silence => reader.read_to_end(&mut Vec::new()).map(drop),
    }
}

/// The OCSP request: the end of the path of a GET, the body of a POST (RFC 6960, appendix A.1).
fn read(reader: &mut BufReader<&TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = first.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    Ok(path.map_or(body, |path| {
        let encoded = path.trim_start_matches('/');
        let base64 = encoded.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        BASE64.decode(base64.as_bytes()).expect("base64")
    }))
}
