//! Cutting input into messages.

/// Cuts a stream of bytes at a delimiter; empty pieces, such as blank lines, are no messages.
#[derive(Debug)]
pub(crate) struct Splitter {
    delimiter: u8,
    /// The start of a message whose end has not come.
    rest: Vec<u8>,
}

impl Splitter {
    pub(crate) fn new(delimiter: u8) -> Splitter {
        Splitter {
            delimiter,
            rest: Vec::new(),
        }
    }

    /// Takes more input and hands out each message that it completes.
    pub(crate) fn push<E>(
        &mut self,
        mut input: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr::memchr(self.delimiter, input) {
            let (piece, after) = (&input[..end], &input[end + 1..]);
            if self.rest.is_empty() {
                if !piece.is_empty() {
                    each(piece)?;
                }
            } else {
                self.rest.extend_from_slice(piece);
                each(&self.rest)?;
                self.rest.clear();
            }
            input = after;
        }
        self.rest.extend_from_slice(input);
        Ok(())
    }

    /// The message that no delimiter ended, at the end of the input.
    pub(crate) fn finish(self) -> Option<Vec<u8>> {
        (!self.rest.is_empty()).then_some(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn split(delimiter: u8, chunks: &[&str]) -> Vec<String> {
        let mut messages = Vec::new();
        let mut splitter = Splitter::new(delimiter);
        for chunk in chunks {
            let each = |message: &[u8]| {
                messages.push(String::from_utf8_lossy(message).into_owned());
                Ok::<(), Infallible>(())
            };
            splitter.push(chunk.as_bytes(), each).unwrap();
        }
        let last = splitter.finish();
        messages.extend(last.map(|last| String::from_utf8(last).unwrap()));
        messages
    }

    #[test]
    fn messages_are_whole_wherever_the_input_is_cut() {
        let text = "{\"a\":1}\n\n{\"b\":2}\n{\"c\":3}";
        let expected = ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"];
        for at in 0..=text.len() {
            let (head, tail) = text.split_at(at);
            assert_eq!(split(b'\n', &[head, tail]), expected, "cut at {at}");
        }
    }

    #[test]
    fn a_delimiter_at_the_end_makes_no_empty_message() {
        assert_eq!(split(b'\n', &["a\n"]), ["a"]);
        assert_eq!(split(b'\n', &["\n\n"]), [""; 0]);
        assert_eq!(split(b'\n', &[]), [""; 0]);
    }

    #[test]
    fn another_delimiter_leaves_lines_alone() {
        assert_eq!(split(1, &["a\nb\u{1}c"]), ["a\nb", "c"]);
    }
}
