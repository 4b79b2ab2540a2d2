//! An HTTP server on the loopback that answers as it is told, or not at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use data_encoding::BASE64;

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
}

impl Request {
    /// The OCSP request, by GET or POST.
    pub fn ocsp(&self) -> Vec<u8> {
        if self.method == "POST" {
            return self.body.clone();
        }
        let encoded = self.path.rsplit('/').next().unwrap();
        let base64 = encoded.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
        BASE64.decode(base64.as_bytes()).unwrap()
    }
}

/// What the server does.
pub enum Reply {
    /// 200 and this body.
    Body(Vec<u8>),
    /// This status, with this header line.
    Status(u16, &'static str),
    /// Accepts and says nothing until the server ends.
    Silence,
    /// Half of this body, and then nothing until the server ends.
    Half(Vec<u8>),
    /// This many bytes, of unannounced length.
    Flood(usize),
    /// Not HTTP.
    Garbage,
}

/// Ends with the test.
pub struct Server {
    address: String,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(reply: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted, reply) = (Arc::clone(&stop), Arc::clone(&requests), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (reply, counted) = (Arc::clone(&reply), Arc::clone(&counted));
                // A client that has gone is no concern of the server's.
                std::thread::spawn(move || {
                    stream.and_then(|stream| serve(stream, &counted, &*reply))
                });
            }
        });
        Self { address, stop, requests }
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

fn serve(
    stream: TcpStream,
    requests: &AtomicUsize,
    reply: &dyn Fn(&Request) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let mut request = Request { method: method.into(), path: path.into(), body: Vec::new() };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if let Some(length) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            request.body.resize(length.trim().parse().unwrap(), 0);
        }
        if header.trim().is_empty() {
            break;
        }
    }
    reader.read_exact(&mut request.body)?;
    requests.fetch_add(1, Ordering::SeqCst);
    send(stream, &mut reader, reply(&request))
}

fn send(
    mut stream: TcpStream,
    reader: &mut dyn std::io::Read,
    reply: Reply,
) -> std::io::Result<()> {
    match reply {
        Reply::Body(body) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(&body)
        }
        Reply::Status(status, header) => {
            write!(stream, "HTTP/1.1 {status} Because\r\n{header}\r\nContent-Length: 0\r\n\r\n")
        }
        Reply::Silence => wait_for_the_end(reader),
        Reply::Half(body) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(&body[..body.len() / 2])?;
            wait_for_the_end(reader)
        }
        Reply::Flood(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
            (0..bytes / 1024).try_for_each(|_| stream.write_all(&[0x30; 1024]))
        }
        Reply::Garbage => stream.write_all(b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
    }
}

/// Until the client gives up.
fn wait_for_the_end(reader: &mut dyn std::io::Read) -> std::io::Result<()> {
    reader.read_to_end(&mut Vec::new()).map(|_| ())
}
