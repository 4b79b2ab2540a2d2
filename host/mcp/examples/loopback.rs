//! The MCP side alone, over plain HTTP on 127.0.0.1, to try clients with. There is no gate here: everybody is let in,
//! and everybody is the same caller.
//!
//! ```text
//! cargo run -p portcullis-mcp --example loopback -- 8900 time=mcp-server-time "files=npx -y @modelcontextprotocol/server-filesystem /tmp"
//! ```

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use portcullis_mcp::{
    Caller, CertificateFacts, HttpServer, McpService, Options, PolicyFacts, StdioServer,
    UpstreamTls,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rmcp=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().ok_or("usage: loopback PORT [NAME=COMMAND]...")?.parse()?;
    let mut servers = Vec::new();
    for argument in arguments {
        let (name, command) = argument.split_once('=').ok_or("a server is NAME=COMMAND")?;
        servers.push(if command.starts_with("http") {
            HttpServer::new(name, command.parse()?, UpstreamTls::new(None, None)?).into()
        } else {
            StdioServer::new(name, command.split(' ').map(str::to_owned).collect()).into()
        });
    }
    let service = McpService::new(Options::default(), servers)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    for path in service.paths() {
        println!("http://{}{path}", listener.local_addr()?);
    }

    let shutdown = CancellationToken::new();
    let caller = Arc::new(example_caller());
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = tokio::signal::ctrl_c() => break,
        };
        let (service, caller, shutdown) = (service.clone(), Arc::clone(&caller), shutdown.clone());
        tokio::spawn(async move { service.serve_connection(stream, caller, shutdown).await });
    }
    shutdown.cancel();
    service.close().await;
    Ok(())
}

fn example_caller() -> Caller {
    Caller {
        connection: 0,
        principal: Some("example".to_owned()),
        attributes: vec![("tls".to_owned(), "none".to_owned())],
        certificate: CertificateFacts {
            subject: "CN=example".to_owned(),
            issuer: "CN=nobody".to_owned(),
            serial_number: "00".to_owned(),
            sha256: [0; 32],
            subject_alt_names: vec![("dns".to_owned(), "example.invalid".to_owned())],
            not_before: 0,
            not_after: 0,
        },
        certificates: Vec::new(),
        policies: vec![PolicyFacts {
            policy: "everybody".to_owned(),
            shadow: false,
            outcome: "accepted",
            code: None,
            elapsed_us: 0,
            memory_bytes: 0,
        }],
    }
}
