//! A client's connection after the handshake.

use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::TlsStream;

/// A client's connection after the handshake.
///
/// When the gate closes it, the client gets `close_notify`, as far as its socket takes that at once: the one alert that the
/// TLS library can send by then (RFC 8446, 6.1).
#[derive(Debug)]
pub struct ClientStream {
    tls: TlsStream,
    cut: CancellationToken,
}

impl ClientStream {
    /// `cut` is cancelled when the gate closes the connection.
    pub(crate) fn new(tls: TlsStream, cut: CancellationToken) -> Self {
        Self { tls, cut }
    }

    /// Has the runtime that calls this watch the socket, and not the one that accepted it.
    pub(crate) fn register_here(&mut self) -> io::Result<()> {
        let (tcp, _) = self.tls.get_mut();
        let socket = tcp.as_fd().try_clone_to_owned()?;
        *tcp = TcpStream::from_std(socket.into())?;
        Ok(())
    }
}

impl Drop for ClientStream {
    fn drop(&mut self) {
        if self.cut.is_cancelled() {
            let (tcp, tls) = self.tls.get_mut();
            tls.send_close_notify();
            while tls.wants_write() && tls.write_tls(&mut AtOnce(tcp)).is_ok_and(|sent| sent > 0) {}
        }
    }
}

/// Takes what fits into the socket's buffer, and waits for nothing.
struct AtOnce<'a>(&'a TcpStream);

impl io::Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }
}
