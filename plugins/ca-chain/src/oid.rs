//! Object identifiers.

/// The DER content of a dotted OID, without tag and length; none for text that is no OID.
pub(crate) fn encode(dotted: &str) -> Option<Vec<u8>> {
    let arcs: Vec<u32> = dotted.split('.').map(parse_arc).collect::<Option<_>>()?;
    let (&[first, second], rest) = arcs.split_first_chunk()?;
    if first > 2 || (first < 2 && second > 39) {
        return None;
    }
    let mut content = Vec::new();
    push(&mut content, u64::from(first) * 40 + u64::from(second));
    for &arc in rest {
        push(&mut content, u64::from(arc));
    }
    Some(content)
}

/// `parse` alone would take `+1` and `01`.
fn parse_arc(text: &str) -> Option<u32> {
    let arc: u32 = text.parse().ok()?;
    (arc.to_string() == text).then_some(arc)
}

/// Seven bits a byte, the most significant first, the top bit set in all but the last (X.690, 8.19).
fn push(content: &mut Vec<u8>, arc: u64) {
    let groups = (64 - arc.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let bits = (arc >> (7 * group)) as u8 & 0x7f;
        content.push(if group == 0 { bits } else { bits | 0x80 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dotted_oid_is_encoded_as_der_has_it() {
        assert_eq!(encode("1.3.6.1.5.5.7.3.2").as_deref(), Some(&[43, 6, 1, 5, 5, 7, 3, 2][..]));
        assert_eq!(encode("2.999.0").as_deref(), Some(&[0x88, 0x37, 0][..]));
        assert_eq!(encode("1.2.840").as_deref(), Some(&[42, 0x86, 0x48][..]));
    }

    #[test]
    fn text_that_is_no_oid_is_refused() {
        for text in
            ["", "1", "3.1", "1.40", "1..2", "1.2.", "1.+2", "1.02", "1.2.4294967296", "a.b"]
        {
            assert_eq!(encode(text), None, "{text}");
        }
    }
}
