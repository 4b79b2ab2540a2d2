//! A list of pins: read or refused, and its number of pins is at most that of its lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_pin_list::list::PinList;

fuzz_target!(|content: &[u8]| {
    if let Ok(list) = PinList::parse(content) {
        assert!(list.len() <= content.split(|&byte| byte == b'\n').count());
    }
});
