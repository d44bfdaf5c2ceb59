//! Reads a file back: what its records say, where they end, and what to do about damage.

use super::format::{
    BODY_FIXED, BODY_MAX, FLAVOUR_FULL, FLAVOUR_RING, HEADER_BOOT_ID, HEADER_CRC, HEADER_FLAVOUR,
    HEADER_LENGTH, HEADER_VERSION, MAGIC, RECORD_ALIGN, RECORD_WORD, Record, VERSION, checksum,
    decode, record_length,
};

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) at: usize,
    pub(super) what: String,
}

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Nothing yet: the file is empty, or was allocated and not written.
    Absent,
    /// The run of the machine during which it was written.
    Written([u8; 16]),
}

/// Reads the header of a file that must be of this flavour.
pub(super) fn read_header(bytes: &[u8], flavour: u32) -> Result<Header, String> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Header::Absent);
    }
    let Some(header) = bytes.get(..HEADER_LENGTH) else {
        return Err("it is too short for a bookmark store, or was cut in its header".to_string());
    };
    if header[..8] != MAGIC {
        return Err("it is not a bookmark store".to_string());
    }
    let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|place| header[at + place]));
    let version = number(HEADER_VERSION);
    if version > VERSION {
        return Err(format!(
            "it is of version {version}, and this library reads up to version {VERSION}"
        ));
    }
    if number(HEADER_CRC) != crc32fast::hash(&header[..HEADER_CRC]) {
        return Err("its header is damaged".to_string());
    }
    match number(HEADER_FLAVOUR) {
        found if found == flavour => {}
        FLAVOUR_FULL => return Err("it holds a full log, not a ring".to_string()),
        FLAVOUR_RING => return Err("it holds a ring, not a full log".to_string()),
        _ => return Err("it is another kind of bookmark store".to_string()),
    }
    let mut boot_id = [0; 16];
    boot_id.copy_from_slice(&header[HEADER_BOOT_ID..][..16]);
    Ok(Header::Written(boot_id))
}

/// Where the records end, and what follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The end of the last good record.
    pub(super) at: usize,
    pub(super) rest: Rest,
}

/// What follows the last good record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing but zeros.
    Nothing,
    /// A record that was being written: nothing good comes after it.
    Torn,
    /// Damage, after which good records come, or a record that means nothing.
    Damaged(Damage),
}

/// Shows all records from the first on; `show` returns why a record cannot be.
pub(super) fn read_records(
    bytes: &[u8],
    show: &mut dyn FnMut(u32, &Record<'_>) -> Result<(), &'static str>,
) -> End {
    let mut at = HEADER_LENGTH.min(bytes.len());
    while let Some(body) = record_at(bytes, at) {
        let understood = decode(body)
            .ok_or("its kind or its content is unknown")
            .and_then(|(subscription, record)| show(subscription, &record));
        if let Err(why) = understood {
            let what = format!("the record at {at} makes no sense: {why}");
            let rest = Rest::Damaged(Damage { at, what });
            return End { at, rest };
        }
        at += record_length(body.len());
    }
    let rest = &bytes[at..];
    let rest = if rest.iter().all(|byte| *byte == 0) {
        Rest::Nothing
    } else {
        match next_record(bytes, at + RECORD_ALIGN) {
            None => Rest::Torn,
            Some(good) => Rest::Damaged(Damage {
                at,
                what: format!(
                    "it is damaged at {at}; {} bytes further good records follow",
                    good - at
                ),
            }),
        }
    };
    End { at, rest }
}

/// The body of the record here, if there is a good one.
fn record_at(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let word = bytes.get(at..at.checked_add(RECORD_WORD)?)?;
    let length = u32::from_le_bytes(word[..4].try_into().ok()?) as usize;
    if !(BODY_FIXED..=BODY_MAX).contains(&length) {
        return None;
    }
    // The padding belongs to it: a file never ends inside.
    let whole = bytes.get(at..at.checked_add(record_length(length))?)?;
    let body = &whole[RECORD_WORD..][..length];
    let crc = u32::from_le_bytes(word[4..].try_into().ok()?);
    (crc == checksum(at as u64, body)).then_some(body)
}

/// The next place at which a good record is.
fn next_record(bytes: &[u8], from: usize) -> Option<usize> {
    (from..bytes.len())
        .step_by(RECORD_ALIGN)
        .find(|&at| record_at(bytes, at).is_some())
}
