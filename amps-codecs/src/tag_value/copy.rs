//! Copying a name or a value and searching it on the way.
//!
//! Most of them have a few bytes, for which a call of `memcpy` and one of `memchr` cost more than the
//! work. So short ones are moved as two words that may overlap, `7500.25` as `7500` and `0.25`,
//! and the words are searched while they are at hand. That halves the time to build an order.

use memchr::memchr;

/// Copies `bytes` to the front of `out`, and says whether they are free of the unwanted ones.
///
/// `out` is as long as `bytes` or longer. When the answer is no, what it holds is of no use.
#[inline(always)]
pub(crate) fn copy_without<const N: usize>(
    out: &mut [u8],
    bytes: &[u8],
    unwanted: [u8; N],
) -> bool {
    let len = bytes.len();
    if len == 0 {
        true
    } else if len < 4 {
        // The first, the middle and the last of one to three bytes are all of them.
        let (first, middle, last) = (bytes[0], bytes[len / 2], bytes[len - 1]);
        out[0] = first;
        out[len / 2] = middle;
        out[len - 1] = last;
        let found = |byte| (first == byte) | (middle == byte) | (last == byte);
        !unwanted.into_iter().any(found)
    } else if let (8..=16, Some(head), Some(tail)) = (len, bytes.first_chunk(), bytes.last_chunk())
    {
        out[..8].copy_from_slice(head);
        out[len - 8..len].copy_from_slice(tail);
        let (head, tail) = (u64::from_ne_bytes(*head), u64::from_ne_bytes(*tail));
        !unwanted
            .into_iter()
            .any(|byte| holds(head, byte) | holds(tail, byte))
    } else if let (4..8, Some(head), Some(tail)) = (len, bytes.first_chunk(), bytes.last_chunk()) {
        out[..4].copy_from_slice(head);
        out[len - 4..len].copy_from_slice(tail);
        let (head, tail) = (u32::from_ne_bytes(*head), u32::from_ne_bytes(*tail));
        let both = u64::from(head) << 32 | u64::from(tail);
        !unwanted.into_iter().any(|byte| holds(both, byte))
    } else {
        copy_long_without(&mut out[..len], bytes, unwanted)
    }
}

/// [`copy_without`] for more than 16 bytes.
#[inline(never)]
fn copy_long_without<const N: usize>(out: &mut [u8], bytes: &[u8], unwanted: [u8; N]) -> bool {
    if bytes.len() > 64 {
        out.copy_from_slice(bytes);
        return unwanted
            .into_iter()
            .all(|byte| memchr(byte, bytes).is_none());
    }
    let mut found = false;
    let mut copy = |to: Option<&mut [u8; 16]>, from: Option<&[u8; 16]>| {
        if let (Some(to), Some(from)) = (to, from) {
            *to = *from;
            // Without a branch in it, this becomes one comparison of 16 bytes.
            for byte in unwanted {
                found |= from
                    .iter()
                    .fold(false, |found, &other| found | (other == byte));
            }
        }
    };
    for (to, from) in out.chunks_exact_mut(16).zip(bytes.chunks_exact(16)) {
        copy(to.first_chunk_mut(), from.first_chunk());
    }
    copy(out.last_chunk_mut(), bytes.last_chunk());
    !found
}

/// Whether the byte is among the eight of a word.
#[inline]
fn holds(word: u64, byte: u8) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Where the byte stands, the difference is a zero byte, and only there does subtracting one
    // (with the borrow of lower such bytes) set a top bit that was clear.
    let difference = word ^ (ONES * u64::from(byte));
    difference.wrapping_sub(ONES) & !difference & (ONES << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_copied_and_searched_to_the_last() {
        for len in 0..=150 {
            let bytes: Vec<u8> = (0..len).map(|at| b'a' + at % 26).collect();
            let mut out = [0; 160];
            assert!(copy_without(&mut out, &bytes, [b'|', b'=']));
            assert_eq!(out[..bytes.len()], bytes);
            assert!(out[bytes.len()..].iter().all(|&byte| byte == 0), "{len}");
            for at in 0..bytes.len() {
                for unwanted in [b'|', b'='] {
                    let mut spoilt = bytes.clone();
                    spoilt[at] = unwanted;
                    assert!(
                        !copy_without(&mut out, &spoilt, [b'|', b'=']),
                        "byte {at} of {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_byte_is_told_from_its_neighbours() {
        for byte in 0..=255_u8 {
            for len in [1, 3, 5, 12, 40, 100] {
                let mut out = [0; 100];
                let near = [byte.wrapping_add(1), byte.wrapping_sub(1), byte ^ 0x80];
                let bytes: Vec<u8> = near.into_iter().cycle().take(len).collect();
                assert!(copy_without(&mut out, &bytes, [byte]), "{byte} in {len}");
                assert!(
                    !copy_without(&mut out, &bytes, [near[0]]),
                    "{byte} in {len}"
                );
            }
        }
    }
}
