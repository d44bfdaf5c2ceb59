//! The bytes of a bookmark store's file: constants and encoding. `docs/store-format.md` describes
//! them under the same names.

use super::event::Event;
use super::position::{Padding, Position};

/// The first eight bytes of the file.
pub(super) const MAGIC: [u8; 8] = *b"AMPSBKMK";
/// The version that this crate writes, and the highest it reads.
pub(super) const VERSION: u32 = 1;
/// The file holds every change: what was received, discarded, persisted.
pub(super) const FLAVOUR_FULL: u32 = 1;
/// The file holds resume points only.
pub(super) const FLAVOUR_RING: u32 = 2;

/// Where the fields of the header are.
pub(super) const HEADER_VERSION: usize = 8;
pub(super) const HEADER_FLAVOUR: usize = 12;
pub(super) const HEADER_BOOT_ID: usize = 16;
pub(super) const HEADER_CRC: usize = 60;
/// The length of the header; the first record begins here.
pub(super) const HEADER_LENGTH: usize = 64;

/// Before the body of a record: its length and checksum, 4 bytes each, written at once.
pub(super) const RECORD_WORD: usize = 8;
/// Kind, flags, padding, subscription: the least that a body has.
pub(super) const BODY_FIXED: usize = 8;
pub(super) const BODY_FLAGS: usize = 1;
/// Of a bookmark with two numbers: to how many digits each is filled up with zeros, a byte each.
pub(super) const BODY_PADDING: usize = 2;
pub(super) const BODY_SUBSCRIPTION: usize = 4;
/// Records begin at multiples of this, so that their first word can be written at once.
pub(super) const RECORD_ALIGN: usize = 8;
/// No body is longer.
pub(super) const BODY_MAX: usize = 1 << 24;

pub(super) const KIND_CLIENT: u8 = 1;
pub(super) const KIND_SUBSCRIPTION: u8 = 2;
pub(super) const KIND_ENTERED: u8 = 3;
pub(super) const KIND_RECEIVED: u8 = 4;
pub(super) const KIND_RECEIVED_TEXT: u8 = 5;
pub(super) const KIND_DISCARDED: u8 = 6;
pub(super) const KIND_COMPLETED: u8 = 7;
pub(super) const KIND_PERSISTED: u8 = 8;
pub(super) const KIND_PURGED: u8 = 9;
pub(super) const KIND_PREFIX: u8 = 10;
pub(super) const KIND_PREFIX_TEXT: u8 = 11;
pub(super) const KIND_AHEAD: u8 = 12;

/// Flags of `KIND_ENTERED`.
pub(super) const FLAG_NOW: u8 = 1;
pub(super) const FLAG_ANEW: u8 = 2;
/// Flags of `KIND_PREFIX` and `KIND_PREFIX_TEXT`.
pub(super) const FLAG_KNOWN: u8 = 1;
pub(super) const FLAG_LISTED: u8 = 2;

/// The header of a file of this flavour, made during this run of the machine.
pub(super) fn header(flavour: u32, boot_id: [u8; 16]) -> [u8; HEADER_LENGTH] {
    let mut bytes = [0; HEADER_LENGTH];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[HEADER_VERSION..][..4].copy_from_slice(&VERSION.to_le_bytes());
    bytes[HEADER_FLAVOUR..][..4].copy_from_slice(&flavour.to_le_bytes());
    bytes[HEADER_BOOT_ID..][..16].copy_from_slice(&boot_id);
    let crc = crc32fast::hash(&bytes[..HEADER_CRC]);
    bytes[HEADER_CRC..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// How much room a record with this body takes.
pub(super) fn record_length(body: usize) -> usize {
    (RECORD_WORD + body).next_multiple_of(RECORD_ALIGN)
}

/// The checksum of a record: over its place in the file, so that an old record which turns up
/// elsewhere is no record; its length; its body.
pub(super) fn checksum(at: u64, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&at.to_le_bytes());
    crc.update(&(body.len() as u32).to_le_bytes());
    crc.update(body);
    crc.finalize()
}

/// One change of one subscription, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// Whose file it is.
    Client(&'a str),
    /// What a subscription is called, and the numbers it goes on with.
    Subscription {
        name: &'a str,
        first: u64,
        entered_at: u64,
    },
    /// What happened to it.
    Event(Event<'a>),
    /// It was purged.
    Purged,
}

/// Appends a record to `out`, which stands at `at` in the file.
pub(super) fn encode(out: &mut Vec<u8>, at: u64, subscription: u32, record: &Record<'_>) {
    let begin = out.len();
    out.extend([0; RECORD_WORD]);
    let (kind, flags) = kind_and_flags(record);
    out.extend([kind, flags, 0, 0]);
    out.extend(subscription.to_le_bytes());
    match *record {
        Record::Client(name) => out.extend(name.as_bytes()),
        Record::Subscription {
            name,
            first,
            entered_at,
        } => {
            out.extend(first.to_le_bytes());
            out.extend(entered_at.to_le_bytes());
            out.extend(name.as_bytes());
        }
        Record::Purged => {}
        Record::Event(event) => match event {
            Event::Entered { point, .. } | Event::Completed(point) | Event::Persisted(point) => {
                out.extend(point.as_bytes());
            }
            Event::Discarded(number) => out.extend(number.to_le_bytes()),
            Event::Received(position) | Event::Prefix { position, .. } | Event::Ahead(position) => {
                match position {
                    Position::Numbered {
                        publisher,
                        sequence,
                        padding,
                    } => {
                        let place = begin + RECORD_WORD + BODY_PADDING;
                        out[place..][..2].copy_from_slice(&[padding.publisher, padding.sequence]);
                        out.extend(publisher.to_le_bytes());
                        out.extend(sequence.to_le_bytes());
                        if let Event::Prefix { listed, .. } = event {
                            out.extend(listed.unwrap_or_default().to_le_bytes());
                        }
                    }
                    Position::Opaque(text) => out.extend(text.as_bytes()),
                    Position::Odd => {}
                }
            }
        },
    }
    let body = &out[begin + RECORD_WORD..];
    let (length, crc) = (body.len() as u32, checksum(at, body));
    out[begin..][..4].copy_from_slice(&length.to_le_bytes());
    out[begin + 4..][..4].copy_from_slice(&crc.to_le_bytes());
    let padded = begin + record_length(length as usize);
    out.resize(padded, 0);
}

fn kind_and_flags(record: &Record<'_>) -> (u8, u8) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    let numbered = |position: Position<'_>, usual: u8, text: u8| match position {
        Position::Numbered { .. } => usual,
        _ => text,
    };
    match *record {
        Record::Client(_) => (KIND_CLIENT, 0),
        Record::Subscription { .. } => (KIND_SUBSCRIPTION, 0),
        Record::Purged => (KIND_PURGED, 0),
        Record::Event(event) => match event {
            Event::Entered { now, anew, .. } => {
                (KIND_ENTERED, flag(now, FLAG_NOW) | flag(anew, FLAG_ANEW))
            }
            Event::Received(position) => (numbered(position, KIND_RECEIVED, KIND_RECEIVED_TEXT), 0),
            Event::Discarded(_) => (KIND_DISCARDED, 0),
            Event::Completed(_) => (KIND_COMPLETED, 0),
            Event::Persisted(_) => (KIND_PERSISTED, 0),
            Event::Prefix {
                position,
                known,
                listed,
            } => (
                numbered(position, KIND_PREFIX, KIND_PREFIX_TEXT),
                flag(known, FLAG_KNOWN) | flag(listed.is_some(), FLAG_LISTED),
            ),
            Event::Ahead(_) => (KIND_AHEAD, 0),
        },
    }
}

/// Reads the body of a record whose checksum is right; none if it means nothing.
pub(super) fn decode(body: &[u8]) -> Option<(u32, Record<'_>)> {
    let (fixed, rest) = body.split_at_checked(BODY_FIXED)?;
    let flags = fixed[BODY_FLAGS];
    let subscription = u32::from_le_bytes(fixed[BODY_SUBSCRIPTION..].try_into().ok()?);
    let text = || std::str::from_utf8(rest).ok();
    let numbers = |bytes: &[u8]| {
        let (publisher, sequence) = bytes.split_at_checked(8)?;
        Some(Position::Numbered {
            publisher: u64::from_le_bytes(publisher.try_into().ok()?),
            sequence: u64::from_le_bytes(sequence.try_into().ok()?),
            padding: Padding {
                publisher: fixed[BODY_PADDING],
                sequence: fixed[BODY_PADDING + 1],
            },
        })
    };
    let (known, listed) = (flags & FLAG_KNOWN != 0, flags & FLAG_LISTED != 0);
    let event = match fixed[0] {
        KIND_CLIENT => return Some((subscription, Record::Client(text()?))),
        KIND_SUBSCRIPTION => {
            let (first, rest) = rest.split_at_checked(8)?;
            let (entered_at, name) = rest.split_at_checked(8)?;
            let record = Record::Subscription {
                name: std::str::from_utf8(name).ok()?,
                first: u64::from_le_bytes(first.try_into().ok()?),
                entered_at: u64::from_le_bytes(entered_at.try_into().ok()?),
            };
            return Some((subscription, record));
        }
        KIND_PURGED => return Some((subscription, Record::Purged)),
        KIND_ENTERED => Event::Entered {
            point: text()?,
            now: flags & FLAG_NOW != 0,
            anew: flags & FLAG_ANEW != 0,
        },
        KIND_RECEIVED => Event::Received(numbers(rest)?),
        KIND_RECEIVED_TEXT => Event::Received(Position::parse(text()?)),
        KIND_DISCARDED => Event::Discarded(u64::from_le_bytes(rest.try_into().ok()?)),
        KIND_COMPLETED => Event::Completed(text()?),
        KIND_PERSISTED => Event::Persisted(text()?),
        KIND_PREFIX => {
            let (prefix, last) = rest.split_at_checked(16)?;
            let last = u64::from_le_bytes(last.try_into().ok()?);
            Event::Prefix {
                position: numbers(prefix)?,
                known,
                listed: listed.then_some(last),
            }
        }
        KIND_PREFIX_TEXT => Event::Prefix {
            position: Position::parse(text()?),
            known,
            listed: listed.then_some(0),
        },
        KIND_AHEAD => Event::Ahead(numbers(rest)?),
        _ => return None,
    };
    Some((subscription, Record::Event(event)))
}
