//! CRLs of growing size: time to load, memory, and time to look one certificate up, against rustls-webpki. `cargo xtask
//! bench revocation` runs it.
//!
//! Certificates are looked up in random order, so that caches help as little as in the field. The two take turns.

use std::hint::black_box;
use std::time::Instant;

use portcullis_revocation::parse_crl;
use portcullis_tests::bench::{Bench, Figures, Spread, Table, grouped};
use webpki::{CertRevocationList, OwnedCertRevocationList};

const SIZES: [usize; 6] = [10, 100, 2_000, 10_000, 100_000, 1_000_000];
const LOOKUPS: usize = 200_000;

fn main() {
    let bench = Bench::from_arguments();
    let mut load = Table::new(
        "loading a CRL",
        &["ms", "bytes an entry", "rustls-webpki ms", "rustls-webpki bytes an entry"],
    );
    let mut look_up =
        Table::new("looking a certificate up", &["listed ns", "absent ns", "rustls-webpki ns"]);
    let mut figures = Figures::new("revocation");
    for size in SIZES {
        measure(&bench, size, &mut load, &mut look_up);
    }
    figures.table(load);
    figures.table(look_up);
    bench.finish(&figures);
}

fn measure(bench: &Bench, size: usize, load: &mut Table, look_up: &mut Table) {
    let mut random = Random(size as u64);
    let serials: Vec<[u8; 16]> = (0..size).map(|_| random.serial()).collect();
    let der = crl(&serials);
    let name = format!("{} entries, {:.1} MB", grouped(&size.to_string()), der.len() as f64 / 1e6);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..if size > 500_000 { bench.of(5, 3) } else { bench.of(15, 5) } {
        ours.push(time(|| parse_crl(&der).is_ok()) * 1e3);
        theirs.push(time(|| OwnedCertRevocationList::from_der(&der).is_ok()) * 1e3);
    }

    let Ok(index) = parse_crl(&der) else { return println!("the CRL was not read") };
    let before = resident_bytes();
    let Ok(peer) = OwnedCertRevocationList::from_der(&der) else {
        return println!("webpki refused");
    };
    let peer_memory = resident_bytes().saturating_sub(before);
    let peer = CertRevocationList::from(peer);
    let each = |bytes: usize| Spread::once(bytes as f64 / size as f64);
    // Of a small CRL the system tells nothing that is exact enough.
    let peer_memory = (size >= 2_000).then(|| each(peer_memory)).flatten();
    let memory = each(index.memory_bytes());
    load.row(&name, [Spread::of(ours), memory, Spread::of(theirs), peer_memory]);

    let (mut found, mut missed, mut peer_found) = (Vec::new(), Vec::new(), Vec::new());
    let each = |seconds: f64| seconds * 1e9 / LOOKUPS as f64;
    for _ in 0..bench.of(5, 2) {
        let listed: Vec<[u8; 16]> =
            (0..LOOKUPS).map(|_| serials[random.below(serials.len())]).collect();
        let absent: Vec<[u8; 16]> = (0..LOOKUPS).map(|_| random.serial()).collect();
        found.push(each(time(|| listed.iter().all(|serial| index.find(serial).is_some()))));
        missed.push(each(time(|| absent.iter().any(|serial| index.find(serial).is_some()))));
        let by_peer = |serial: &[u8; 16]| matches!(peer.find_serial(serial), Ok(Some(_)));
        peer_found.push(each(time(|| listed.iter().all(by_peer))));
    }
    look_up.row(&name, [Spread::of(found), Spread::of(missed), Spread::of(peer_found)]);
}

/// In seconds.
fn time<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}

/// What the process has in memory, or 0 where that cannot be told.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}

/// SplitMix64: the same numbers at every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }

    /// Positive, and with no byte too many.
    fn serial(&mut self) -> [u8; 16] {
        let mut serial = [0; 16];
        serial[..8].copy_from_slice(&self.next().to_be_bytes());
        serial[8..].copy_from_slice(&self.next().to_be_bytes());
        serial[0] = serial[0] & 0x7f | 0x40;
        serial
    }
}

/// A CRL that lists these with a reason each; the signature is not looked at.
fn crl(serials: &[[u8; 16]]) -> Vec<u8> {
    let algorithm = tlv(0x30, &tlv(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]));
    let common_name = tlv(0x30, &[tlv(6, &[0x55, 4, 3]), tlv(0x0c, b"CA")].concat());
    let reason = tlv(0x30, &[tlv(6, &[0x55, 0x1d, 21]), tlv(4, &tlv(0x0a, &[1]))].concat());
    let rest = [tlv(0x17, b"260101000000Z"), tlv(0x30, &reason)].concat();
    let mut entries = Vec::with_capacity(serials.len() * 52);
    for serial in serials {
        entries.extend(tlv(0x30, &[tlv(2, serial), rest.clone()].concat()));
    }
    let number = tlv(0x30, &[tlv(6, &[0x55, 0x1d, 20]), tlv(4, &tlv(2, &[1]))].concat());
    let message = [
        tlv(2, &[1]),
        algorithm.clone(),
        tlv(0x30, &tlv(0x31, &common_name)),
        tlv(0x17, b"260102000000Z"),
        tlv(0x17, b"260103000000Z"),
        tlv(0x30, &entries),
        tlv(0xa0, &tlv(0x30, &number)),
    ];
    tlv(0x30, &[tlv(0x30, &message.concat()), algorithm, tlv(3, &[0, 1])].concat())
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(value.len()) {
        Ok(short @ 0..=0x7f) => out.push(short),
        _ => {
            let length = value.len().to_be_bytes();
            let start = length.iter().position(|&byte| byte != 0).unwrap_or(7);
            out.push(0x80 | u8::try_from(length.len() - start).unwrap_or(1));
            out.extend_from_slice(&length[start..]);
        }
    }
    out.extend_from_slice(value);
    out
}
