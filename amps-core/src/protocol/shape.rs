//! The quickest way through a header: it is laid out like the one before.
//!
//! The messages of a subscription resemble each other: the same fields in the same order, and most
//! values as long as in the message before. So the layout of a header is kept, and the next one is
//! compared with it, several words at a time. Where every byte between the values is the same, and no value has a
//! quote, an escape or a byte above 0x7F, each value is where it was before. This needs no look at
//! one field after the other, where each step waits for the one before it.

use super::field::Field;
use super::header::Header;
use super::scan::{HIGH, ParseError, Scanner, Span, ends_of_plain_text};
use super::text::parse_u64;
use crate::command_type::CommandType;

/// The bytes of a word.
const WORD: usize = 8;

/// The longest header that is remembered, in words.
const LONGEST: usize = 32;

/// The layout of a header that was read.
pub(crate) struct Shape {
    /// How long the header is; 0 while none is known.
    length: usize,
    /// Where everything is, counted from its brace.
    header: Header,
    /// The digits of `l`, which may be others than before.
    digits: Span,
    /// The header itself.
    text: Words,
    /// All bits of each byte that must be the same.
    fixed: Words,
    /// The highest bit of each byte that must be plain text.
    plain: Words,
    /// How long the last header was that did not fit.
    last_length: usize,
}

/// One array for each kind of word, so that vectors of several are compared at once.
type Words = [u64; LONGEST];

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            length: 0,
            header: Header::EMPTY,
            digits: Span::EMPTY,
            text: [0; LONGEST],
            fixed: [0; LONGEST],
            plain: [0; LONGEST],
            last_length: 0,
        }
    }
}

impl Shape {
    /// As [`Header::read`], by the layout of the header before if that fits. Words may reach
    /// beyond `end`, where the frame ends: what stands there makes no difference.
    #[inline]
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        header: &mut Header,
    ) -> Result<(), ParseError> {
        if self.fits(bytes, start, end) && self.lay_over(bytes, start, header) {
            return Ok(());
        }
        self.read_another(bytes, start, end, header)
    }

    /// A header that is not like the one before.
    #[cold]
    fn read_another(
        &mut self,
        bytes: &[u8],
        start: usize,
        end: usize,
        header: &mut Header,
    ) -> Result<(), ParseError> {
        header.read(bytes.get(..end).unwrap_or(bytes), start)?;
        // One header that is different is no reason to forget the others.
        let length = header.span.end() - start;
        if std::mem::replace(&mut self.last_length, length) == length
            && let Some(shape) = Shape::of(&bytes[start..start + length])
        {
            *self = shape;
        }
        Ok(())
    }

    /// True if this header is laid out like that one. If a value follows a quote, it may be false
    /// all the same: then the header is read in the other way, to the same end.
    #[inline]
    fn fits(&self, bytes: &[u8], start: usize, end: usize) -> bool {
        let count = self.length.div_ceil(WORD);
        let (Some(bytes), Some(text), Some(fixed), Some(plain)) = (
            bytes.get(start..start + count * WORD),
            self.text.get(..count),
            self.fixed.get(..count),
            self.plain.get(..count),
        ) else {
            return false;
        };
        let (words, _) = bytes.as_chunks::<WORD>();
        // No way out in between: that would cost more than it saves.
        let mut differences = 0;
        for at in 0..count.min(words.len()) {
            let word = u64::from_le_bytes(words[at]);
            differences |= (word ^ text[at]) & fixed[at];
            differences |= ends_of_plain_text(word) & plain[at];
        }
        count > 0 && differences == 0 && start + self.length <= end
    }

    /// Puts what the header at `start` says over what `header` says already; false if the length
    /// in it is no number.
    #[inline]
    fn lay_over(&self, bytes: &[u8], start: usize, header: &mut Header) -> bool {
        let known = &self.header;
        if !self.digits.is_empty() {
            header.message_length = parse_u64(self.digits.moved_by(start).of(bytes));
            if header.message_length.is_none() {
                return false;
            }
        }
        let lay = |span: Span, over: &mut Span| {
            if !span.is_empty() {
                *over = span.moved_by(start);
            }
        };
        lay(known.topic, &mut header.topic);
        lay(known.command_id, &mut header.command_id);
        lay(known.sub_id, &mut header.sub_id);
        lay(known.sub_ids, &mut header.sub_ids);
        lay(known.query_id, &mut header.query_id);
        lay(known.bookmark, &mut header.bookmark);
        lay(known.sow_key, &mut header.sow_key);
        header.span = Span::new(start, start + self.length);
        if known.command != CommandType::Unknown {
            header.command = known.command;
        }
        header.has_lease |= known.has_lease;
        true
    }

    /// The layout of this header, if all of it is of a kind that stays the same.
    #[cold]
    fn of(text: &[u8]) -> Option<Shape> {
        let everywhere = [0xFF; LONGEST * WORD];
        let mut shape = Shape {
            length: text.len(),
            header: Header::parse(text, 0).ok()?,
            digits: Span::EMPTY,
            text: words(text),
            fixed: words(everywhere.get(..text.len())?),
            plain: [0; LONGEST],
            last_length: text.len(),
        };
        let mut scanner = Scanner::new(text, 0).ok()?;
        while let Some(field) = scanner.next_field().ok()? {
            // A header that is laid over another one says that this is empty there.
            if field.value.is_empty() {
                return None;
            }
            let is_quoted = text.get(field.value.end()) == Some(&b'"');
            match Field::from_key(field.key) {
                // What these say is not where something stands, so they must be the same.
                Some(Field::Command) if shape.header.command != CommandType::Unknown => {}
                Some(Field::Command | Field::AckType | Field::Status) => return None,
                Some(Field::MessageLength) if is_quoted || !shape.digits.is_empty() => return None,
                Some(Field::MessageLength) => {
                    shape.digits = field.value;
                    shape.make_plain(field.value);
                }
                _ if is_quoted => shape.make_plain(field.value),
                _ => {}
            }
        }
        (!scanner.special).then_some(shape)
    }

    fn make_plain(&mut self, span: Span) {
        for at in span.start()..span.end() {
            let byte = 0xFF << (at % WORD * 8);
            self.fixed[at / WORD] &= !byte;
            self.plain[at / WORD] |= byte & HIGH;
        }
    }
}

/// The words of `text`, which goes on with zeros.
fn words(text: &[u8]) -> Words {
    std::array::from_fn(|at| {
        let mut bytes = [0; WORD];
        let text = text.iter().skip(at * WORD);
        bytes
            .iter_mut()
            .zip(text)
            .for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(bytes)
    })
}

#[cfg(test)]
mod tests;
