//! What holds for every message: what was built is read back, and no bytes whatever make a reader
//! panic.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;

use amps_codecs::{
    CodecError, CompositeMessageBuilder, CompositeMessageParser, Decimal, FixBuilder, FixShredder,
    NvfixBuilder, NvfixShredder,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Any byte that can separate fields.
fn separator() -> impl Strategy<Value = u8> {
    any::<u8>().prop_filter("part of every field", |byte| {
        *byte != b'=' && !byte.is_ascii_digit()
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..100)
}

/// Bytes in which the marks of a tag=value message are frequent.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    vec(
        prop_oneof![Just(b'='), Just(1), b'0'..=b'9', any::<u8>()],
        0..100,
    )
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (any::<i128>(), 0..=Decimal::MAX_SCALE)
        .prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap())
}

proptest! {
    #[test]
    fn fix_fields_come_back_as_they_were_appended(
        separator in separator(),
        fields in vec((any::<u32>(), bytes()), 0..30),
    ) {
        let mut builder = FixBuilder::with_separator(separator).unwrap();
        let mut kept = Vec::new();
        for (tag, value) in fields {
            let before = builder.as_bytes().to_vec();
            if builder.append(tag, &value).is_ok() {
                kept.push((tag, value));
            } else {
                prop_assert!(value.contains(&separator));
                prop_assert_eq!(builder.as_bytes(), before);
            }
        }
        prop_assert_eq!(builder.len(), builder.as_bytes().len());
        prop_assert_eq!(builder.is_empty(), kept.is_empty());

        let message = FixShredder::with_separator(&builder, separator).unwrap();
        let read: Vec<_> =
            message.fields().map(|f| (f.tag(), f.value().as_bytes().to_vec())).collect();
        prop_assert_eq!(&read, &kept);
        prop_assert!(message.strict_fields().all(|field| field.is_ok()));

        let map: BTreeMap<_, _> = kept.into_iter().collect();
        prop_assert_eq!(message.to_map().len(), map.len());
        for (tag, value) in map {
            prop_assert_eq!(message.get(tag).unwrap().as_bytes(), value);
        }
    }

    #[test]
    fn nvfix_fields_come_back_as_they_were_appended(
        separator in separator(),
        fields in vec((bytes(), bytes()), 0..30),
    ) {
        let mut builder = NvfixBuilder::with_separator(separator).unwrap();
        let mut kept = Vec::new();
        for (mut name, value) in fields {
            // Random names hardly ever lack both marks, so most are mended and some are not.
            if value.len() % 4 != 0 {
                name.retain(|byte| *byte != b'=' && *byte != separator);
            }
            let before = builder.as_bytes().to_vec();
            match builder.append(&name, &value) {
                Ok(_) => kept.push((name, value)),
                Err(error) => {
                    prop_assert_eq!(builder.as_bytes(), before);
                    let reason = match error {
                        CodecError::EmptyName => name.is_empty(),
                        CodecError::BadName { offset, .. } => {
                            name[offset] == b'=' || name[offset] == separator
                        }
                        CodecError::SeparatorInValue { offset, .. } => value[offset] == separator,
                        _ => false,
                    };
                    prop_assert!(reason, "{error}");
                }
            }
        }
        prop_assert_eq!(builder.len(), builder.as_bytes().len());

        let message = NvfixShredder::with_separator(&builder, separator).unwrap();
        let read: Vec<_> = message
            .fields()
            .map(|f| (f.name_bytes().to_vec(), f.value().as_bytes().to_vec()))
            .collect();
        prop_assert_eq!(&read, &kept);
        prop_assert!(message.strict_fields().all(|field| field.is_ok()));
        let map: BTreeMap<_, _> = kept.into_iter().collect();
        for (name, value) in map {
            prop_assert_eq!(message.get(name).unwrap().as_bytes(), value);
        }
    }

    #[test]
    fn numbers_come_back_as_they_were_appended(
        integer in any::<i64>(),
        large in any::<i128>(),
        decimal in decimal(),
    ) {
        let mut builder = FixBuilder::new();
        builder.append_integer(1, integer).unwrap();
        builder.append_integer(2, large).unwrap();
        builder.append_decimal(3, decimal).unwrap();
        let message = FixShredder::new(&builder);
        prop_assert_eq!(message.get(1).unwrap().as_integer().unwrap(), integer);
        prop_assert_eq!(message.get(1).unwrap().as_decimal().unwrap(), Decimal::from(integer));
        prop_assert_eq!(message.get(2).unwrap().as_text().unwrap(), large.to_string());
        let read = message.get(3).unwrap().as_decimal().unwrap();
        prop_assert_eq!(
            (read.mantissa(), read.scale()),
            (decimal.mantissa(), decimal.scale()),
        );
        prop_assert_eq!(message.get(3).unwrap().as_text().unwrap(), decimal.to_string());
    }

    #[test]
    fn a_float_that_becomes_a_decimal_comes_back_as_the_same_float(
        float in prop_oneof![any::<f64>(), -1e9..1e9, (-1e9..1e9).prop_map(|x: f64| x.round() / 1e4)],
    ) {
        if let Ok(decimal) = Decimal::try_from(float) {
            prop_assert_eq!(decimal.to_f64(), float);
        } else {
            prop_assert!(!float.is_finite() || float.abs() > 1e38 || float.abs() < 1e-20);
        }
    }

    #[test]
    fn decimals_are_ordered_as_numbers(a in decimal(), b in decimal(), zeros in 0..3_u8) {
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        let (af, bf) = (a.to_f64(), b.to_f64());
        if af != bf {
            prop_assert_eq!(a < b, af < bf);
        }
        let factor = 10_i128.pow(u32::from(zeros));
        if let Some(mantissa) = a.mantissa().checked_mul(factor)
            && let Ok(longer) = Decimal::new(mantissa, a.scale() + zeros)
        {
            prop_assert_eq!(longer, a);
        }
    }

    #[test]
    fn composite_parts_come_back_as_they_were_appended(parts in vec(bytes(), 0..20)) {
        let mut builder = CompositeMessageBuilder::new();
        for part in &parts {
            builder.append(part).unwrap();
        }
        let read = CompositeMessageParser::parse(&builder).unwrap();
        prop_assert_eq!(read.len(), parts.len());
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), parts.iter().collect::<Vec<_>>());
        for (at, part) in parts.iter().enumerate() {
            prop_assert_eq!(read.get(at), Some(part.as_slice()));
        }
        prop_assert_eq!(read.get(parts.len()), None);
    }

    #[test]
    fn a_cut_composite_message_keeps_the_parts_before_the_cut(
        parts in vec(bytes(), 1..10),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut builder = CompositeMessageBuilder::new();
        let mut ends = vec![0];
        for part in &parts {
            builder.append(part).unwrap();
            ends.push(builder.len());
        }
        let cut = cut.index(builder.len());
        let read = CompositeMessageParser::new(&builder.data()[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        prop_assert_eq!(read.len(), whole);
        prop_assert_eq!(read.check().is_ok(), ends.contains(&cut));
        prop_assert!(read.iter().eq(parts[..whole].iter()));
    }

    #[test]
    fn no_bytes_make_a_shredder_panic(
        message in prop_oneof![bytes(), nearly_a_message()],
        separator in any::<u8>(),
    ) {
        if let Ok(fix) = FixShredder::with_separator(&message, separator) {
            let forwards: Vec<_> = fix.fields().collect();
            let mut backwards: Vec<_> = fix.fields().rev().collect();
            backwards.reverse();
            prop_assert_eq!(&forwards, &backwards);
            let strict: Vec<_> = fix.strict_fields().filter_map(Result::ok).collect();
            prop_assert_eq!(&forwards, &strict);
            for field in forwards {
                let value = field.value();
                let _ = (value.as_text(), value.as_integer(), value.as_decimal());
            }
        }
        if let Ok(nvfix) = NvfixShredder::with_separator(&message, separator) {
            let forwards: Vec<_> = nvfix.fields().collect();
            let mut backwards: Vec<_> = nvfix.fields().rev().collect();
            backwards.reverse();
            prop_assert_eq!(&forwards, &backwards);
            let strict: Vec<_> = nvfix.strict_fields().filter_map(Result::ok).collect();
            prop_assert_eq!(&forwards, &strict);
            prop_assert!(nvfix.to_map().len() <= forwards.len());
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(message in bytes()) {
        let parser = CompositeMessageParser::new(&message);
        prop_assert_eq!(parser.iter().count(), parser.len());
        prop_assert_eq!(parser.check().is_ok(), CompositeMessageParser::parse(&message).is_ok());
        let read: usize = parser.iter().map(|part| part.len() + 4).sum();
        prop_assert!(read <= message.len());
        prop_assert_eq!(read == message.len(), parser.check().is_ok());
    }
}
