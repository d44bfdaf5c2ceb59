//! Exact decimal numbers.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use super::digits::Digits;
use crate::error::NumberError;

/// An exact decimal number, such as a price or a quantity.
///
/// It is an integer and the number of its digits that stand after the point: `Decimal::new(10125, 2)`
/// is 101.25. Nothing is ever rounded: text or an `f64` with more digits than fit is an error.
/// The number of decimals is kept (101.250 is written with three), but two decimals are equal when
/// they are the same number (101.250 equals 101.25).
///
/// It carries numbers in and out of messages and does not calculate. Hand
/// [`mantissa`](Decimal::mantissa) and [`scale`](Decimal::scale) to the arithmetic you use.
///
/// # Example
///
/// ```
/// use amps_codecs::Decimal;
///
/// let price: Decimal = "101.250".parse()?;
/// assert_eq!((price.mantissa(), price.scale()), (101_250, 3));
/// assert_eq!(price.to_string(), "101.250");
/// assert_eq!(price, Decimal::new(10125, 2)?);
/// assert!(price < Decimal::from(102));
/// # Ok::<(), amps_codecs::NumberError>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

impl Decimal {
    /// The most digits a decimal can have after the point.
    pub const MAX_SCALE: u8 = 38;

    /// Makes the number whose digits are those of `mantissa`, `scale` of them after the point.
    ///
    /// # Errors
    ///
    /// [`NumberError::OutOfRange`] when `scale` is more than [`MAX_SCALE`](Decimal::MAX_SCALE).
    pub const fn new(mantissa: i128, scale: u8) -> Result<Decimal, NumberError> {
        if scale > Decimal::MAX_SCALE {
            return Err(NumberError::OutOfRange);
        }
        Ok(Decimal { mantissa, scale })
    }

    /// The number without its point: 10125 for 101.25.
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// How many digits stand after the point: 2 for 101.25.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The `f64` nearest to this number: the one conversion that can lose digits.
    ///
    /// ```
    /// # use amps_codecs::Decimal;
    /// assert_eq!(Decimal::new(10125, 2)?.to_f64(), 101.25);
    /// # Ok::<(), amps_codecs::NumberError>(())
    /// ```
    pub fn to_f64(self) -> f64 {
        // Through the text, because dividing the mantissa as an f64 would round twice.
        self.digits().as_text().parse().unwrap_or(f64::NAN) // Digits and a point always parse.
    }

    /// The number as it is written in a message.
    pub(crate) fn digits(self) -> Digits {
        Digits::of_scaled(self.mantissa, self.scale)
    }

    /// Reads an optional minus sign, digits and at most one point, nothing else.
    pub(crate) fn parse(text: &[u8]) -> Result<Decimal, NumberError> {
        let (negative, digits) = match text {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let mut magnitude: Option<u128> = Some(0);
        let mut count = 0_usize;
        let mut point = None;
        for (at, &byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    count += 1;
                    let digit = u128::from(byte - b'0');
                    magnitude = magnitude.and_then(|m| m.checked_mul(10)?.checked_add(digit));
                }
                b'.' if point.is_none() => point = Some(count),
                _ => {
                    let offset = at + usize::from(negative);
                    return Err(NumberError::UnexpectedByte { byte, offset });
                }
            }
        }
        if count == 0 {
            return Err(NumberError::NoDigits);
        }
        let magnitude = magnitude.ok_or(NumberError::OutOfRange)?;
        let signed = if negative {
            0_i128.checked_sub_unsigned(magnitude)
        } else {
            0_i128.checked_add_unsigned(magnitude)
        };
        let mantissa = signed.ok_or(NumberError::OutOfRange)?;
        let scale = u8::try_from(point.map_or(0, |point| count - point))
            .map_err(|_| NumberError::OutOfRange)?;
        Decimal::new(mantissa, scale)
    }

    /// The same number without zeros at the end of its decimals.
    fn normalized(self) -> Decimal {
        let Decimal {
            mut mantissa,
            mut scale,
        } = self;
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Decimal { mantissa, scale }
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        // Whole parts first, then the decimals brought to the same length. Bringing the whole
        // numbers to the same length could overflow; decimals alone stay below 10^38, which fits.
        let split = |decimal: &Decimal| {
            let one = 10_i128.pow(u32::from(decimal.scale));
            let missing = u32::from(Decimal::MAX_SCALE - decimal.scale);
            (
                decimal.mantissa / one,
                decimal.mantissa % one * 10_i128.pow(missing),
            )
        };
        split(self).cmp(&split(other))
    }
}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Decimal { mantissa, scale } = self.normalized();
        (mantissa, scale).hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        f.pad_integral(
            self.mantissa >= 0,
            "",
            digits.as_text().trim_start_matches('-'),
        )
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decimal({self})")
    }
}

/// Reads `101.25`, `-3`, `.5` or `5.`: a minus sign, digits, a point. No exponent, no plus sign.
impl FromStr for Decimal {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Decimal, NumberError> {
        Decimal::parse(text.as_bytes())
    }
}

/// Takes the shortest decimal that reads back as the same `f64`: 0.1 becomes 0.1.
///
/// # Errors
///
/// [`NumberError::NotFinite`] for infinities and NaN, [`NumberError::OutOfRange`] when that decimal
/// has more digits than fit.
impl TryFrom<f64> for Decimal {
    type Error = NumberError;

    fn try_from(number: f64) -> Result<Decimal, NumberError> {
        if !number.is_finite() {
            return Err(NumberError::NotFinite);
        }
        // std writes an f64 exactly so: the shortest digits that read back, without an exponent.
        let mut written = FloatText {
            text: [0; FloatText::ROOM],
            len: 0,
        };
        write!(written, "{number}").map_err(|_| NumberError::OutOfRange)?;
        Decimal::parse(&written.text[..written.len])
    }
}

macro_rules! from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Decimal {
            fn from(number: $integer) -> Decimal {
                Decimal { mantissa: i128::from(number), scale: 0 }
            }
        }
    )*};
}

from_integer!(i8 i16 i32 i64 i128 u8 u16 u32 u64);

/// What `write!` makes of an `f64`, on the stack.
struct FloatText {
    text: [u8; FloatText::ROOM],
    len: usize,
}

impl FloatText {
    /// Longer text has more digits than a decimal holds.
    const ROOM: usize = 48;
}

impl fmt::Write for FloatText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.text.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn text_is_kept_digit_for_digit() {
        for text in [
            "0",
            "0.00",
            "101.250",
            "-0.5",
            "12345678901234567890.123456789012345678",
        ] {
            assert_eq!(decimal(text).to_string(), text);
        }
        assert_eq!(decimal(".5").to_string(), "0.5");
        assert_eq!(decimal("5.").to_string(), "5");
        assert_eq!(decimal("-007.10").to_string(), "-7.10");
    }

    #[test]
    fn a_number_with_too_many_digits_is_refused_and_not_rounded() {
        let longest = format!("0.{}1", "0".repeat(37));
        assert_eq!(decimal(&longest).scale(), 38);
        let longer = format!("0.{}1", "0".repeat(38));
        assert_eq!(longer.parse::<Decimal>(), Err(NumberError::OutOfRange));
        assert_eq!(decimal(&i128::MIN.to_string()).mantissa(), i128::MIN);
        assert_eq!(
            "9".repeat(39).parse::<Decimal>(),
            Err(NumberError::OutOfRange)
        );
        assert_eq!(
            "1".repeat(400).parse::<Decimal>(),
            Err(NumberError::OutOfRange)
        );
        let zeros = format!("1.{}", "0".repeat(300));
        assert_eq!(zeros.parse::<Decimal>(), Err(NumberError::OutOfRange));
        assert_eq!(Decimal::new(1, 39), Err(NumberError::OutOfRange));
    }

    #[test]
    fn only_digits_a_minus_sign_and_one_point_are_a_decimal() {
        for text in ["", "-", ".", "-."] {
            assert_eq!(
                text.parse::<Decimal>(),
                Err(NumberError::NoDigits),
                "{text}"
            );
        }
        for (text, byte, offset) in [
            ("+1", b'+', 0),
            ("1e5", b'e', 1),
            ("-1.2.3", b'.', 4),
            ("1,5", b',', 1),
            ("--1", b'-', 1),
        ] {
            let unexpected = NumberError::UnexpectedByte { byte, offset };
            assert_eq!(text.parse::<Decimal>(), Err(unexpected), "{text}");
        }
    }

    #[test]
    fn equal_numbers_are_equal_whatever_their_scale() {
        assert_eq!(decimal("101.25"), decimal("101.2500"));
        assert_eq!(decimal("-0.0"), decimal("0"));
        let prices = HashSet::from([decimal("1.5"), decimal("1.50"), decimal("1.500")]);
        assert_eq!(prices.len(), 1);
    }

    #[test]
    fn comparing_the_largest_with_the_smallest_does_not_overflow() {
        let mut numbers = [
            Decimal::from(i128::MAX),
            Decimal::new(1, 38).unwrap(),
            Decimal::from(i128::MIN),
            decimal("-0.2"),
            decimal("-1.1"),
            Decimal::new(i128::MAX, 38).unwrap(),
            Decimal::default(),
        ];
        numbers.sort();
        let sorted = numbers.map(Decimal::to_f64);
        assert!(sorted.is_sorted(), "{sorted:?}");
    }

    #[test]
    fn a_float_becomes_the_shortest_decimal_that_reads_back() {
        let of = |number: f64| Decimal::try_from(number).map(|d| d.to_string());
        assert_eq!(of(0.1).unwrap(), "0.1");
        assert_eq!(of(0.1 + 0.2).unwrap(), "0.30000000000000004");
        assert_eq!(of(-101.25).unwrap(), "-101.25");
        assert_eq!(of(1e21).unwrap(), "1000000000000000000000");
        assert_eq!(of(f64::NAN), Err(NumberError::NotFinite));
        assert_eq!(of(f64::NEG_INFINITY), Err(NumberError::NotFinite));
        assert_eq!(of(1e300), Err(NumberError::OutOfRange));
        assert_eq!(of(f64::MIN_POSITIVE), Err(NumberError::OutOfRange));
    }

    #[test]
    fn a_decimal_is_padded_like_any_number() {
        assert_eq!(format!("[{:>8}]", decimal("-1.5")), "[    -1.5]");
        assert_eq!(format!("[{:08}]", decimal("-1.5")), "[-00001.5]");
        assert_eq!(format!("{:?}", decimal("1.50")), "Decimal(1.50)");
    }
}
