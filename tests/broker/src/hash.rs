//! A 64-bit hash that never changes: record keys and the names in bookmarks are made of it and
//! outlive the process.

/// FNV-1a over parts, each behind its length, as any byte may be in it; then mixed so that short
/// inputs use all bits.
pub(crate) fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        let length = (part.len() as u64).to_le_bytes();
        for &byte in length.iter().chain(part) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_it_was_when_it_was_first_written_down() {
        assert_eq!(
            stable_hash([&b"orders"[..], b"1"]),
            10_701_011_024_129_757_579
        );
    }

    #[test]
    fn where_one_part_ends_makes_a_difference() {
        assert_ne!(
            stable_hash([&b"ab"[..], b"c"]),
            stable_hash([&b"a"[..], b"bc"])
        );
        // Values of tags are any bytes.
        assert_ne!(
            stable_hash([&b"a\xFFb"[..], b"c"]),
            stable_hash([&b"a"[..], b"b\xFFc"])
        );
    }
}
