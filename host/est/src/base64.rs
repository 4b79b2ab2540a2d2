//! Bodies are Base64, in lines or in one (RFC 7030, 4; RFC 8951, 3).

use data_encoding::BASE64;

/// A body that is not Base64.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not Base64")]
pub struct NotBase64;

/// In one line: some clients (strongSwan 5.9) do not read the end of several.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// White space is left out wherever it stands.
///
/// # Errors
/// What is left is not Base64.
pub fn decode(text: &[u8]) -> Result<Vec<u8>, NotBase64> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64.decode(&text).map_err(|_| NotBase64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_may_be_of_any_length_and_what_is_no_base64_is_refused() {
        for text in ["AAEC\r\nAw==\r\n", "AAECAw==", "A A E C\n\tA w = =\n\n"] {
            assert_eq!(decode(text.as_bytes()), Ok(vec![0, 1, 2, 3]), "{text}");
        }
        for text in ["AAE", "AAECAw", "-----BEGIN", "AAEC\u{e4}", "AAECAx=="] {
            assert_eq!(decode(text.as_bytes()), Err(NotBase64), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decode(encode(&bytes).as_bytes()), Ok(bytes));
        }
    }
}
