//! All fields of a message at once.

use super::Message;
use crate::protocol::{Field, FieldKind, Scanner, parse_u64};

impl Message {
    /// Every field of the header in one walk, as text or as a number; a field that comes twice
    /// counts the second time. A record of a batch inherits those of its batch.
    pub(crate) fn each_field<'m>(&'m self, mut each: impl FnMut(Field, &'m [u8], u64)) {
        if let Some(decoded) = &self.parts.decoded {
            for &field in Field::ALL {
                let text = decoded.text(field).unwrap_or_default();
                each(field, text.as_bytes(), decoded.number(field).unwrap_or(0));
            }
            return;
        }
        for header in [self.parts.outer, self.parts.header.span] {
            // A header that is not there ends at once; others were read before without an error.
            let Ok(mut scanner) = Scanner::new(&self.frame()[..header.end()], header.start())
            else {
                continue;
            };
            while let Ok(Some(raw)) = scanner.next_field() {
                if let Some(field) = Field::from_key(raw.key) {
                    let value = raw.value.of(self.frame());
                    let number = match field.kind() {
                        FieldKind::Number => parse_u64(value).unwrap_or(0),
                        FieldKind::Text => 0,
                    };
                    each(field, value, number);
                }
            }
        }
    }
}
