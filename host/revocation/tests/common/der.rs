//! Writing DER.

pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let mut out = vec![tag];
    match value.len() {
        length @ 0..=0x7f => out.push(u8::try_from(length).unwrap()),
        length => {
            let bytes = length.to_be_bytes();
            let bytes = &bytes[bytes.iter().position(|&byte| byte != 0).unwrap()..];
            out.push(0x80 | u8::try_from(bytes.len()).unwrap());
            out.extend_from_slice(bytes);
        }
    }
    out.extend(value);
    out
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

pub fn integer(content: &[u8]) -> Vec<u8> {
    tlv(2, &[content])
}

pub fn octets(content: &[u8]) -> Vec<u8> {
    tlv(4, &[content])
}

pub fn bits(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content])
}

pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = vec![u8::try_from(arcs[0] * 40 + arcs[1]).unwrap()];
    for arc in &arcs[2..] {
        let mut groups = vec![u8::try_from(arc & 0x7f).unwrap()];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(0x80 | u8::try_from(rest & 0x7f).unwrap());
            rest >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    tlv(6, &[&content])
}

/// A GeneralizedTime.
pub fn time(timestamp: i64) -> Vec<u8> {
    let time = time::OffsetDateTime::from_unix_timestamp(timestamp).unwrap();
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    tlv(0x18, &[text.as_bytes()])
}

/// An Extension.
pub fn extension(dotted: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(1, &[&[0xff]]) } else { Vec::new() };
    sequence(&[&oid(dotted), &critical, &octets(value)])
}

/// The AlgorithmIdentifier of ECDSA with SHA-256, with which all parties sign.
pub fn ecdsa_with_sha256() -> Vec<u8> {
    sequence(&[&oid("1.2.840.10045.4.3.2")])
}

/// A certificate's fields, whole, from the version on.
fn fields(certificate: &[u8]) -> Vec<&[u8]> {
    let mut left = content(content(certificate).0).0;
    let mut fields = Vec::new();
    while !left.is_empty() {
        let (_, rest) = content(left);
        fields.push(&left[..left.len() - rest.len()]);
        left = rest;
    }
    fields
}

pub fn subject(certificate: &[u8]) -> &[u8] {
    fields(certificate)[5]
}

/// The key's bits.
pub fn key(certificate: &[u8]) -> &[u8] {
    let (info, _) = content(fields(certificate)[6]);
    let (_, bits) = content(info);
    &content(bits).0[1..]
}

/// The serial number's content.
pub fn serial(certificate: &[u8]) -> &[u8] {
    content(fields(certificate)[1]).0
}

/// The content of the first element, and what follows it.
fn content(der: &[u8]) -> (&[u8], &[u8]) {
    let (length, header) = match der[1] {
        short @ 0..=0x7f => (usize::from(short), 2),
        long => {
            let count = usize::from(long & 0x7f);
            let bytes = &der[2..2 + count];
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), 2 + count)
        }
    };
    der[header..].split_at(length)
}
