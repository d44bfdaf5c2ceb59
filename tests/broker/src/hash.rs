//! A 64-bit hash that never changes: record keys and the names in bookmarks are made of it and
//! outlive the process.

/// FNV-1a over parts, each closed by a byte that no UTF-8 text holds, then mixed so that short
/// inputs use all bits.
pub(crate) fn stable_hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        for &byte in part.iter().chain(&[0xFF]) {
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
            13_410_559_584_155_183_943
        );
    }

    #[test]
    fn where_one_part_ends_makes_a_difference() {
        assert_ne!(
            stable_hash([&b"ab"[..], b"c"]),
            stable_hash([&b"a"[..], b"bc"])
        );
    }
}
