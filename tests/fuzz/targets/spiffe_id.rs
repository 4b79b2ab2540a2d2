//! A SPIFFE ID or a pattern: read or refused, and what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_spiffe_id::id::SpiffeId;
use portcullis_spiffe_id::pattern::Pattern;

fuzz_target!(|text: &str| {
    let id = SpiffeId::parse(text);
    if let Ok(id) = &id {
        assert_eq!(id.to_string(), text);
        assert!(id.segments().all(|segment| !segment.is_empty()));
    }
    if let Ok(pattern) = Pattern::parse(text) {
        assert_eq!(pattern.text(), text);
        // A pattern without wildcards is an ID, and matches only itself.
        if !text.contains('*') {
            assert!(id.is_ok_and(|id| pattern.matches(&id)));
        }
    }
});
