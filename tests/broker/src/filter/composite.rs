//! Splits composite payloads: each part is a 4-byte big-endian length and that many bytes.

use thiserror::Error;

/// A length that goes past the end of the payload, or is itself cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a part of the composite message is longer than the message")]
pub struct BrokenPart;

/// The parts of a payload; ends after the first broken one.
pub fn parts(payload: &[u8]) -> impl Iterator<Item = Result<&[u8], BrokenPart>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let part = split(rest);
        rest = part.map_or(&[], |(_, after)| after);
        Some(part.map(|(part, _)| part).ok_or(BrokenPart))
    })
}

fn split(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = payload.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Appends a part.
///
/// # Errors
/// When the part is longer than its length field can say (4 GiB); nothing is appended then.
pub fn push_part(payload: &mut Vec<u8>, part: &[u8]) -> Result<(), BrokenPart> {
    let length = u32::try_from(part.len()).map_err(|_| BrokenPart)?;
    payload.extend_from_slice(&length.to_be_bytes());
    payload.extend_from_slice(part);
    Ok(())
}
