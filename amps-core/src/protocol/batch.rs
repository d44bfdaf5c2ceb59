//! The records of a `sow` frame.
//!
//! One outer header, then for each record a small header and exactly `l` bytes, back to back.

use super::header::Header;
use super::scan::{ParseError, Span};
use super::shape::Shape;
use std::fmt;

/// One record: its header on top of the outer one, and where its payload is.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// What the record says, and where it is silent, the outer header.
    pub header: Header,
    /// Where the payload is.
    pub data: Span,
}

/// Walks the records of a `sow` frame.
///
/// `bs` is not trusted: the records end where the frame ends.
pub struct Records<'a> {
    frame: &'a [u8],
    outer: Header,
    at: usize,
}

impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records(at {} of {} bytes)", self.at, self.frame.len())
    }
}

impl<'a> Records<'a> {
    /// Starts after the outer header of `frame`.
    pub fn new(frame: &'a [u8], outer: Header) -> Records<'a> {
        let mut outer = outer;
        // These would describe the first record (protocol.md 4.3); each record says its own.
        outer.sow_key = Span::default();
        outer.message_length = None;
        Records {
            frame,
            at: outer.span.end(),
            outer,
        }
    }

    /// The next record, or `None` at the end of the frame.
    ///
    /// # Errors
    ///
    /// [`ParseError`] if no header with a length stands there, or the payload overruns the frame.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record>, ParseError> {
        let mut header = Header::EMPTY;
        let data = self.next_into(&mut header, &mut Shape::default())?;
        Ok(data.map(|data| Record { header, data }))
    }

    /// As [`Records::next_record`], with the header in a place of the caller's, read the quicker the
    /// more it is like the one before.
    #[inline]
    pub(crate) fn next_into(
        &mut self,
        header: &mut Header,
        shape: &mut Shape,
    ) -> Result<Option<Span>, ParseError> {
        if self.at >= self.frame.len() {
            return Ok(None);
        }
        *header = self.outer;
        shape.read(self.frame, self.at, self.frame.len(), header)?;
        header.command = self.outer.command;
        let start = header.span.end();
        let Some(length) = header.message_length else {
            return Err(ParseError::NoRecordLength(self.at));
        };
        let left = self.frame.len() - start;
        let Some(end) = usize::try_from(length)
            .ok()
            .filter(|&length| length <= left)
            .map(|length| start + length)
        else {
            return Err(ParseError::RecordTooLong {
                at: start,
                length,
                left,
            });
        };
        self.at = end;
        Ok(Some(Span::new(start, end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type KeyAndData = (Vec<u8>, Vec<u8>);

    fn records(frame: &[u8]) -> Result<Vec<KeyAndData>, ParseError> {
        let outer = Header::parse(frame, 0)?;
        let mut records = Records::new(frame, outer);
        let mut found = Vec::new();
        while let Some(record) = records.next_record()? {
            found.push((
                record.header.sow_key.of(frame).to_vec(),
                record.data.of(frame).to_vec(),
            ));
        }
        Ok(found)
    }

    #[test]
    fn a_record_starts_from_the_outer_header_and_not_from_the_record_before() {
        let frame = br#"{"c":"sow","t":"orders","k":"outer","bs":9}{"k":"1","l":2}{}{"l":0}"#;
        assert_eq!(
            records(frame).unwrap(),
            [
                (b"1".to_vec(), b"{}".to_vec()),
                (b"".to_vec(), b"".to_vec())
            ]
        );
    }

    #[test]
    fn a_record_keeps_the_command_of_its_frame() {
        let frame = br#"{"c":"sow","query_id":"7"}{"c":"p","l":1}x"#;
        let outer = Header::parse(frame, 0).unwrap();
        let record = Records::new(frame, outer).next_record().unwrap().unwrap();
        assert_eq!(record.header.command, outer.command);
        assert_eq!(record.header.query_id.of(frame), b"7");
    }

    #[test]
    fn a_record_without_a_length_or_longer_than_its_frame_is_an_error() {
        assert_eq!(
            records(br#"{"c":"sow"}{"k":"1"}x"#),
            Err(ParseError::NoRecordLength(11))
        );
        assert_eq!(
            records(br#"{"c":"sow"}{"l":3}xy"#),
            Err(ParseError::RecordTooLong {
                at: 18,
                length: 3,
                left: 2
            })
        );
        assert_eq!(
            records(br#"{"c":"sow"}{"l":18446744073709551615}xy"#),
            Err(ParseError::RecordTooLong {
                at: 37,
                length: u64::MAX,
                left: 2
            })
        );
        assert_eq!(records(br#"{"c":"sow"}xy"#), Err(ParseError::NoHeader(11)));
    }
}
