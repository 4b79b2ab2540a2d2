//! Many clients at once, each with a certificate and a connection of its own, on which a stream is open that does not end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_pki::{Authority, Issued, RevocationList, RevocationReason, Revoked};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, broadcast, mpsc};
use tokio_rustls::TlsConnector;

use crate::pki::now;

/// Long enough for any machine: who waits so long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Clients that connect at the same time.
const CONNECTING: usize = 8;
/// The first event of a stream.
const HELLO: &str = "hello";
/// To whoever calls.
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"done"}],"isError":false}}"#;

/// A server that answers calls at once, and has a stream without end for everybody else.
pub struct Streams {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    events: broadcast::Sender<String>,
    runtime: Runtime,
}

/// Clients, each with a stream. They leave when this is dropped.
pub struct Crowd {
    news: mpsc::UnboundedReceiver<News>,
    present: BTreeSet<usize>,
    runtime: Runtime,
}

/// What became of a client.
#[derive(Debug)]
enum News {
    Ended(usize, Instant),
    Heard(usize, String),
}

/// The serial number of a client's certificate, by the client's own number: one of up to 65,536.
#[must_use]
pub fn serial(client: usize) -> Vec<u8> {
    let byte = |of: usize| u8::try_from(of % 256).expect("a byte");
    vec![1, byte(client / 256), byte(client)]
}

/// A CRL of this number with the certificates of these clients, as PEM.
#[must_use]
pub fn crl(authority: &Authority, number: u64, clients: Range<usize>) -> String {
    let revoked = clients.map(|client| Revoked {
        serial_number: serial(client),
        at: now() - 1,
        reason: RevocationReason::Unspecified,
    });
    let list = RevocationList {
        number,
        this_update: now() - 1,
        next_update: now() + 24 * 60 * 60,
        revoked: revoked.collect(),
    };
    authority.revocation_list(&list).expect("a CRL").pem
}

impl Default for Streams {
    fn default() -> Self {
        Self::start()
    }
}

impl Streams {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (events, open) = (broadcast::Sender::new(16), Arc::new(AtomicUsize::new(0)));
        let (sender, count) = (events.clone(), Arc::clone(&open));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (events, open) = (sender.subscribe(), Arc::clone(&count));
                tokio::spawn(async move {
                    // Who asks may leave at any time.
                    let _ = serve(stream, events, &open).await;
                });
            }
        });
        Self { address, open, events, runtime }
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// How many streams are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Says something on all of them.
    pub fn say(&self, text: &str) {
        self.events.send(text.to_owned()).expect("somebody who listens");
    }

    /// Waits until so many streams are open.
    pub fn wait_until_open(&self, count: usize) {
        self.runtime.block_on(async {
            let start = Instant::now();
            while self.open() != count {
                assert!(start.elapsed() < PATIENCE, "{} streams, not {count}", self.open());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
}

async fn serve(
    mut stream: TcpStream,
    events: broadcast::Receiver<String>,
    open: &AtomicUsize,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.split();
    let mut reading = BufReader::new(reading);
    while let Some(length) = read_head(&mut reading).await? {
        let Some(length) = length else {
            open.fetch_add(1, Ordering::SeqCst);
            let end = tell(reading, writing, events).await;
            open.fetch_sub(1, Ordering::SeqCst);
            return end;
        };
        reading.read_exact(&mut vec![0; length]).await?;
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        );
        writing.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// The length of a request's body, if it has one; nothing at the end.
async fn read_head(
    reading: &mut (impl tokio::io::AsyncBufRead + Unpin),
) -> std::io::Result<Option<Option<usize>>> {
    let mut length = None;
    loop {
        let mut line = String::new();
        if reading.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            return Ok(Some(length.filter(|&length| length > 0)));
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok();
        }
    }
}

/// Says what there is to say until the other side leaves.
async fn tell(
    mut reading: impl tokio::io::AsyncRead + Unpin,
    mut writing: impl tokio::io::AsyncWrite + Unpin,
    mut events: broadcast::Receiver<String>,
) -> std::io::Result<()> {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    writing.write_all(format!("{head}{}", chunk(HELLO)).as_bytes()).await?;
    let mut byte = [0];
    loop {
        tokio::select! {
            _ = reading.read(&mut byte) => return Ok(()),
            event = events.recv() => match event {
                Ok(event) => writing.write_all(chunk(&event).as_bytes()).await?,
                Err(_) => return Ok(()),
            },
        }
    }
}

fn chunk(event: &str) -> String {
    let event = format!("data: {event}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

impl Crowd {
    /// Has these clients connect to a gate whose certificate descends from `ca`, and open a stream at this path. Waits until
    /// all have theirs.
    #[must_use]
    pub fn gather(gate: SocketAddr, ca: &Path, clients: &[Issued], path: &str) -> Self {
        let (runtime, (sender, news)) = (runtime(), mpsc::unbounded_channel());
        let places = Arc::new(Semaphore::new(CONNECTING));
        for (number, client) in clients.iter().enumerate() {
            let (config, path) = (config(ca, client), path.to_owned());
            let (places, news) = (Arc::clone(&places), sender.clone());
            runtime.spawn(async move {
                let place = places.acquire_owned().await.expect("it stays open");
                let hears = listen(gate, config, &path, number, &news);
                hears.await.unwrap_or_else(|error| panic!("client {number}: {error}"));
                drop(place);
            });
        }
        let mut crowd = Self { news, present: (0..clients.len()).collect(), runtime };
        crowd.all_hear(HELLO);
        crowd
    }

    /// Those who have not left.
    #[must_use]
    pub fn present(&self) -> &BTreeSet<usize> {
        &self.present
    }

    /// Waits until so many have been closed: who, and when the last one was.
    pub fn next_to_leave(&mut self, count: usize) -> (BTreeSet<usize>, Instant) {
        let (mut gone, mut last) = (BTreeSet::new(), Instant::now());
        while gone.len() < count {
            if let News::Ended(client, at) = self.next(&format!("{} of {count} left", gone.len())) {
                gone.insert(client);
                last = at;
            }
        }
        self.present = &self.present - &gone;
        (gone, last)
    }

    /// Waits until everybody who is there has heard this, and asserts that nobody leaves meanwhile.
    pub fn all_hear(&mut self, text: &str) {
        let mut waiting = self.present.clone();
        while !waiting.is_empty() {
            match self.next(&format!("{} have not heard {text}", waiting.len())) {
                News::Ended(client, _) => panic!("client {client} was closed"),
                News::Heard(client, heard) if heard == text => waiting.remove(&client),
                News::Heard(..) => false,
            };
        }
    }

    fn next(&mut self, what: &str) -> News {
        let news = async { tokio::time::timeout(PATIENCE, self.news.recv()).await };
        let news = self.runtime.block_on(news);
        news.unwrap_or_else(|_| panic!("nothing more happens: {what}")).expect("clients")
    }
}

/// Opens the stream; from then on, tells of what it hears, in a task of its own.
async fn listen(
    gate: SocketAddr,
    config: ClientConfig,
    path: &str,
    number: usize,
    news: &mpsc::UnboundedSender<News>,
) -> std::io::Result<()> {
    let tcp = TcpStream::connect(gate).await?;
    let name = ServerName::from(gate.ip());
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: gate\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let head = read_to(&mut stream, "\r\n\r\n").await?;
    assert!(head.starts_with("HTTP/1.1 200"), "client {number}: {head}");
    let news = news.clone();
    tokio::spawn(async move {
        while let Ok(event) = read_to(&mut stream, "\n\n").await {
            let text = event.split("data: ").nth(1).unwrap_or_default().trim();
            // Nobody waits any more when the test is over.
            let _ = news.send(News::Heard(number, text.to_owned()));
        }
        let _ = news.send(News::Ended(number, Instant::now()));
    });
    Ok(())
}

fn config(ca: &Path, client: &Issued) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("a PEM file")).expect("a root");
    let chain = CertificateDer::pem_slice_iter(client.chain_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_slice(client.key_pem.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .expect("a certificate and its key")
}

/// Text up to and with `end`; what comes with it after that is not expected.
async fn read_to(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    end: &str,
) -> std::io::Result<String> {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(end.as_bytes()) {
        stream.read_exact(&mut byte).await?;
        text.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}
