//! Integers as text on the stack, and back.

use crate::error::NumberError;

/// Room for the longest number: a sign, the 39 digits of an `i128`, a point and a leading zero.
const ROOM: usize = 42;

/// A number as text, in a buffer on the stack, filled from its end.
pub(crate) struct Digits {
    text: [u8; ROOM],
    start: usize,
}

impl Digits {
    pub(crate) fn of(number: i128) -> Digits {
        let mut digits = Digits {
            text: [0; ROOM],
            start: ROOM,
        };
        digits.push_unsigned(number.unsigned_abs());
        if number < 0 {
            digits.push(b'-');
        }
        digits
    }

    /// The mantissa with a point before its last `scale` digits; `scale` is at most 38.
    pub(crate) fn of_scaled(mantissa: i128, scale: u8) -> Digits {
        let mut digits = Digits {
            text: [0; ROOM],
            start: ROOM,
        };
        let mut whole = mantissa.unsigned_abs();
        if scale > 0 {
            for _ in 0..scale {
                digits.push(b'0' + last_digit(&mut whole));
            }
            digits.push(b'.');
        }
        digits.push_unsigned(whole);
        if mantissa < 0 {
            digits.push(b'-');
        }
        digits
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[self.start..]
    }

    pub(crate) fn as_text(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default() // Digits are ASCII.
    }

    fn push(&mut self, byte: u8) {
        self.start -= 1;
        self.text[self.start] = byte;
    }

    fn push_unsigned(&mut self, mut number: u128) {
        loop {
            self.push(b'0' + last_digit(&mut number));
            if number == 0 {
                break;
            }
        }
    }
}

/// Takes the last decimal digit off a number.
fn last_digit(number: &mut u128) -> u8 {
    // Dividing 128 bits calls a library routine, and nearly every number fits 64.
    if let Ok(small) = u64::try_from(*number) {
        *number = u128::from(small / 10);
        (small % 10) as u8
    } else {
        let digit = (*number % 10) as u8;
        *number /= 10;
        digit
    }
}

/// Reads an optional minus sign and digits, nothing else.
pub(crate) fn parse_integer(text: &[u8]) -> Result<i64, NumberError> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return Err(NumberError::NoDigits);
    }
    // Counted downwards, because the smallest i64 has no positive counterpart.
    let mut number: Option<i64> = Some(0);
    for (at, &byte) in digits.iter().enumerate() {
        if !byte.is_ascii_digit() {
            return Err(NumberError::UnexpectedByte {
                byte,
                offset: at + usize::from(negative),
            });
        }
        let digit = i64::from(byte - b'0');
        number = number.and_then(|n| n.checked_mul(10)?.checked_sub(digit));
    }
    let number = number.ok_or(NumberError::OutOfRange)?;
    if negative {
        Ok(number)
    } else {
        number.checked_neg().ok_or(NumberError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_numbers_fit_the_stack_buffer() {
        assert_eq!(
            Digits::of(i128::MIN).as_bytes(),
            i128::MIN.to_string().as_bytes()
        );
        let text = Digits::of_scaled(i128::MIN, 38);
        assert_eq!(
            text.as_bytes(),
            b"-1.70141183460469231731687303715884105728"
        );
        assert_eq!(Digits::of_scaled(-1, 38).as_bytes().len(), 41);
    }

    #[test]
    fn an_integer_is_a_minus_sign_and_digits_and_nothing_else() {
        assert_eq!(parse_integer(b"0"), Ok(0));
        assert_eq!(parse_integer(b"-007"), Ok(-7));
        assert_eq!(parse_integer(b""), Err(NumberError::NoDigits));
        assert_eq!(parse_integer(b"-"), Err(NumberError::NoDigits));
        let unexpected = |byte, offset| Err(NumberError::UnexpectedByte { byte, offset });
        assert_eq!(parse_integer(b"+7"), unexpected(b'+', 0));
        assert_eq!(parse_integer(b"7 "), unexpected(b' ', 1));
        assert_eq!(parse_integer(b"-7.0"), unexpected(b'.', 2));
    }

    #[test]
    fn an_integer_that_does_not_fit_is_an_error_and_does_not_wrap() {
        assert_eq!(parse_integer(i64::MAX.to_string().as_bytes()), Ok(i64::MAX));
        assert_eq!(parse_integer(i64::MIN.to_string().as_bytes()), Ok(i64::MIN));
        assert_eq!(
            parse_integer(b"9223372036854775808"),
            Err(NumberError::OutOfRange)
        );
        assert_eq!(
            parse_integer(b"-9223372036854775809"),
            Err(NumberError::OutOfRange)
        );
        assert_eq!(parse_integer(&[b'9'; 400]), Err(NumberError::OutOfRange));
    }
}
