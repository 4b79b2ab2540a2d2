//! `wasi:random`: the same bytes in every call, so that a verdict can be repeated. Nothing secret may rest on them.

use wasmtime::component::Linker;
use wasmtime::{StoreContextMut, bail};

use super::interface;
use crate::host::CallState;

/// What one call may ask for, in bytes.
const MAXIMUM_BYTES: u64 = 64 * 1024;

/// SplitMix64 (Steele, Lea and Flood, 2014) from a fixed seed: well spread, and nothing more.
#[derive(Debug, Default)]
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > MAXIMUM_BYTES {
            bail!("asked for {length} random bytes at once, more than {MAXIMUM_BYTES}");
        }
        let length = usize::try_from(length)?;
        let words = (0..length.div_ceil(8)).map(|_| self.next().to_le_bytes());
        Ok(words.flatten().take(length).collect())
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    for (name, bytes, number) in [
        ("random/random", "get-random-bytes", "get-random-u64"),
        ("random/insecure", "get-insecure-random-bytes", "get-insecure-random-u64"),
    ] {
        let mut random = interface(linker, name)?;
        random.func_wrap(
            bytes,
            |mut store: StoreContextMut<'_, CallState>, (length,): (u64,)| {
                let state = store.data_mut();
                state.charge(length)?;
                Ok((state.random.bytes(length)?,))
            },
        )?;
        random.func_wrap(number, |mut store: StoreContextMut<'_, CallState>, ()| {
            Ok((store.data_mut().random.next(),))
        })?;
    }
    interface(linker, "random/insecure-seed")?.func_wrap(
        "insecure-seed",
        |mut store: StoreContextMut<'_, CallState>, ()| {
            let random = &mut store.data_mut().random;
            Ok(((random.next(), random.next()),))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// The first values of the reference implementation for the seed 0.
    #[test]
    fn the_bytes_are_those_of_splitmix64() {
        let mut random = Random::default();
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(random.next(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn bytes_come_in_the_length_asked_for_and_not_without_bound() {
        assert_eq!(Random::default().bytes(3).unwrap(), [0xaf, 0xcd, 0x1d]);
        assert!(Random::default().bytes(0).unwrap().is_empty());
        assert!(Random::default().bytes(64 * 1024 + 1).is_err());
    }
}
