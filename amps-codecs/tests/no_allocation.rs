//! Steady-state building and reading leaves the allocator alone.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::hint::black_box;

use allocation_counter::measure;
use amps_codecs::{
    CodecError, CompositeMessageBuilder, CompositeMessageParser, Decimal, FixBuilder, FixShredder,
    NvfixBuilder, NvfixShredder,
};

fn allocations(work: impl FnOnce() -> Result<(), CodecError>) -> u64 {
    let mut outcome = Ok(());
    let counted = measure(|| outcome = work());
    outcome.unwrap();
    counted.count_total
}

/// Twenty fields: texts short and long, integers and decimals.
fn build_fix(order: &mut FixBuilder) -> Result<(), CodecError> {
    for tag in 1..=14 {
        order.append(tag, &"twenty fields make an order"[..2 * tag as usize - 1])?;
    }
    order
        .append_integer(34, u64::MAX)?
        .append_integer(38, -7500)?;
    order.append_decimal(44, Decimal::new(10125, 2)?)?;
    order.append_decimal(99, Decimal::try_from(-0.30000000000000004)?)?;
    order.append(58, [b'x'; 300])?.append(100_000, "")?;
    Ok(())
}

fn build_nvfix(order: &mut NvfixBuilder) -> Result<(), CodecError> {
    let names = "abcdefghijklmnopqrst";
    for at in 0..18 {
        order.append(&names[..=at], &names[at..])?;
    }
    order
        .append_integer("qty", 7500)?
        .append_decimal("px", Decimal::new(10125, 2)?)?;
    Ok(())
}

#[test]
fn building_twenty_fields_into_a_reused_fix_builder_does_not_allocate() {
    let mut order = FixBuilder::new();
    build_fix(&mut order).unwrap();
    let first = order.as_bytes().to_vec();
    assert_eq!(FixShredder::new(&first).fields().count(), 20);
    let count = allocations(|| {
        order.clear();
        build_fix(&mut order)
    });
    assert_eq!(count, 0);
    assert_eq!(order.as_bytes(), first);
}

#[test]
fn building_into_a_fix_builder_made_for_the_length_does_not_allocate() {
    let mut order = FixBuilder::new();
    build_fix(&mut order).unwrap();
    let mut sized = FixBuilder::with_capacity(order.len());
    assert_eq!(allocations(|| build_fix(&mut sized)), 0);
    let mut reserved = FixBuilder::with_separator(b'|').unwrap();
    reserved.reserve(order.len());
    assert_eq!(allocations(|| build_fix(&mut reserved)), 0);
}

#[test]
fn building_twenty_fields_into_a_reused_nvfix_builder_does_not_allocate() {
    let mut order = NvfixBuilder::new();
    build_nvfix(&mut order).unwrap();
    let mut sized = NvfixBuilder::with_capacity(order.len());
    assert_eq!(allocations(|| build_nvfix(&mut sized)), 0);
    let count = allocations(|| {
        order.clear();
        build_nvfix(&mut order)
    });
    assert_eq!(count, 0);
}

#[test]
fn iterating_getting_and_reading_values_does_not_allocate() {
    let (mut fix, mut nvfix) = (FixBuilder::new(), NvfixBuilder::new());
    build_fix(&mut fix).unwrap();
    build_nvfix(&mut nvfix).unwrap();
    let count = allocations(|| {
        let message = FixShredder::new(&fix);
        assert_eq!(message.fields().map(black_box).count(), 20);
        for field in message.strict_fields() {
            black_box(field?.value().as_text()?);
        }
        black_box(message.get(38).unwrap().as_integer()?);
        black_box(message.get(44).unwrap().as_decimal()?.to_f64());

        let message = NvfixShredder::new(&nvfix);
        assert_eq!(message.fields().map(black_box).count(), 20);
        for field in message.strict_fields() {
            black_box(field?.name());
        }
        black_box(message.get("qty").unwrap().as_integer()?);
        Ok(())
    });
    assert_eq!(count, 0);
}

#[test]
fn composite_messages_are_built_and_read_without_allocating() {
    let mut builder = CompositeMessageBuilder::with_capacity(4 + 9 + 4 + 64);
    let count = allocations(|| {
        builder.append(r#"{"id":42}"#)?.append([7; 64])?;
        let parts = CompositeMessageParser::parse(&builder)?;
        assert_eq!(parts.get(1), Some([7; 64].as_slice()));
        assert_eq!(parts.iter().map(black_box).count(), 2);
        Ok(())
    });
    assert_eq!(count, 0);
}
