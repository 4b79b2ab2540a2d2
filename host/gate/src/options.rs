//! How a gate listens and what it bounds.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::error::GateError;

/// How a gate listens and what it bounds.
#[derive(Clone, Debug)]
pub struct GateOptions {
    /// Where to listen; port 0 takes any free one. Default: `127.0.0.1:8443`.
    pub address: SocketAddr,
    /// The application protocols offered (ALPN, RFC 7301), the preferred one first; none turns
    /// ALPN off. Default: `h2`, `http/1.1`.
    pub alpn: Vec<String>,
    /// How many connections may be open, those in handshake included. A client beyond is audited
    /// and closed at once. Default: 4096.
    pub maximum_connections: u32,
    /// How many handshakes may be under way. A client beyond waits for a place, within its
    /// handshake timeout. Default: 512.
    pub maximum_handshakes: u32,
    /// From a client's arrival to the end of its handshake. Default: 10 s.
    pub handshake_timeout: Duration,
    /// How long a shutdown waits for the connections that are being served. Default: 30 s.
    pub shutdown_timeout: Duration,
    /// How long a connection is silent until the client is asked whether it is still there (TCP keep-alive, RFC 9293,
    /// 3.8.4); one that does not answer for as long again is gone. None does not ask. Default: 60 s.
    pub keep_alive: Option<Duration>,
    /// Whether a client may resume a session. Default: off.
    pub resumption: Resumption,
    /// How long a client may stay whose verdict may be another one now: one that could not be judged again within it is
    /// closed. Default: 10 s.
    pub rejudge_timeout: Duration,
    /// How much of the machine's processors judging clients again may take, in percent, 1 to 100, and of one processor at
    /// most. Those whom a change certainly concerns do not wait for it, and for the others it is no bound any more once
    /// half of `rejudge_timeout` is over. Default: 10.
    pub rejudge_cpu_percent: u32,
}

/// Whether a client may resume a session (RFC 8446, 2.2; RFC 5246, 7.3).
///
/// Whoever resumes does not present the certificate again, and TLS itself does not look at it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resumption {
    /// Every handshake is a full one: no tickets, nothing stored.
    #[default]
    Off,
    /// Sessions are kept in memory, a bounded number of them. After a resumed handshake the judge
    /// is asked again about the stored certificates, before a byte is served.
    Rejudged,
}

impl Default for GateOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
            maximum_connections: 4096,
            maximum_handshakes: 512,
            handshake_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            keep_alive: Some(Duration::from_secs(60)),
            resumption: Resumption::Off,
            rejudge_timeout: Duration::from_secs(10),
            rejudge_cpu_percent: 10,
        }
    }
}

impl GateOptions {
    /// A gate with a bound of zero would start and let nobody in.
    pub(crate) fn check(&self) -> Result<(), GateError> {
        let bounds = [
            ("maximum-connections", self.maximum_connections == 0),
            ("maximum-handshakes", self.maximum_handshakes == 0),
            ("handshake-timeout", self.handshake_timeout.is_zero()),
            ("rejudge-timeout", self.rejudge_timeout.is_zero()),
        ];
        if let Some((option, _)) = bounds.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(GateError::Zero { option });
        }
        if !(1..=100).contains(&self.rejudge_cpu_percent) {
            return Err(GateError::Percent {
                option: "rejudge-cpu-percent",
                value: self.rejudge_cpu_percent,
            });
        }
        match self.alpn.iter().find(|name| name.is_empty() || name.len() > 255) {
            Some(name) => Err(GateError::Alpn { name: name.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold() {
        assert!(GateOptions::default().check().is_ok());
    }

    #[test]
    fn a_bound_of_zero_is_named() {
        let options = GateOptions { maximum_handshakes: 0, ..GateOptions::default() };
        let error = options.check().expect_err("zero is refused").to_string();
        assert_eq!(error, "`maximum-handshakes` is 0, which lets nobody in: give at least 1");
    }

    #[test]
    fn a_percentage_of_nothing_or_of_more_than_all_is_refused() {
        for rejudge_cpu_percent in [0, 101] {
            let options = GateOptions { rejudge_cpu_percent, ..GateOptions::default() };
            assert!(matches!(options.check(), Err(GateError::Percent { .. })));
        }
    }

    #[test]
    fn an_empty_protocol_name_is_refused() {
        let options = GateOptions { alpn: vec![String::new()], ..GateOptions::default() };
        assert!(matches!(options.check(), Err(GateError::Alpn { .. })));
    }
}
