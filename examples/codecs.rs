//! Builds and reads the three formats that AMPS adds to JSON: FIX, NVFIX and composite messages.
//!
//! Needs no server: `cargo run --example codecs`.

use std::error::Error;

use amps::codecs::Decimal;
use amps::{
    CodecError, CompositeMessageBuilder, CompositeMessageParser, FixBuilder, FixShredder,
    NvfixBuilder, NvfixShredder,
};

fn main() -> Result<(), Box<dyn Error>> {
    fix()?;
    nvfix()?;
    composite()?;
    Ok(())
}

fn fix() -> Result<(), Box<dyn Error>> {
    println!("FIX: fields found by number");

    // One builder for all messages: `clear` keeps its buffer.
    let mut order = FixBuilder::with_capacity(128);
    for (id, quantity, price) in [("A-1", 100, "101.25"), ("A-2", 7500, "101.250")] {
        order.clear();
        order
            .append(35, "D")?
            .append(11, id)?
            .append(55, "ROL")?
            .append_integer(38, quantity)?
            .append_decimal(44, price.parse::<Decimal>()?)?;
        println!("  built    {}", order.as_bytes().escape_ascii());
    }

    let read = FixShredder::new(order.as_bytes());
    for field in read.fields() {
        println!("  field    {:>3} = {}", field.tag(), field.value());
    }
    let quantity = read.get(38).ok_or("no quantity")?.as_integer()?;
    let price = read.get(44).ok_or("no price")?.as_decimal()?;
    println!("  typed    {quantity} at {price}");
    assert_eq!(quantity, 7500);
    assert_eq!(price, Decimal::new(10125, 2)?);
    assert_eq!(price.to_string(), "101.250", "every digit is kept");

    // A damaged field is skipped, unless one asks to be told.
    let damaged = FixShredder::new("55=ROL\x01qty=100\x0144=101.25\x01");
    assert_eq!(damaged.fields().count(), 2);
    for error in damaged.strict_fields().filter_map(Result::err) {
        println!("  strict   {error}");
    }
    assert_eq!(damaged.strict_fields().filter(Result::is_err).count(), 1);
    Ok(())
}

fn nvfix() -> Result<(), Box<dyn Error>> {
    println!("NVFIX: fields found by name");

    let mut order = NvfixBuilder::with_separator(b'|')?;
    order
        .append("symbol", "ROL")?
        .append("party", "alice")?
        .append("party", "bob")?
        .append("when", "px=101.25")?;
    println!("  built    {}", order.as_bytes().escape_ascii());

    // What cannot be written is refused, and the message stays as it was.
    if let Err(error) = order.append("note", "now|later") {
        println!("  refused  {error}");
    }
    assert_eq!(
        order.as_bytes(),
        b"symbol=ROL|party=alice|party=bob|when=px=101.25|"
    );

    let read = NvfixShredder::with_separator(&order, b'|')?;
    for (name, value) in read.to_map() {
        println!("  map      {name:<6} = {value}");
    }
    assert_eq!(
        read.to_map().len(),
        3,
        "a map has the last of repeated fields"
    );
    assert_eq!(read.fields().count(), 4, "the iterator has all of them");
    assert_eq!(read.get("party").ok_or("no party")?, "bob");
    Ok(())
}

fn composite() -> Result<(), Box<dyn Error>> {
    println!("Composite: parts found by position");

    // A JSON part, a part left empty, and binary numbers.
    let levels = [101.25_f64, 101.5, 101.75];
    let binary: Vec<u8> = levels
        .iter()
        .flat_map(|level| level.to_le_bytes())
        .collect();
    let mut quote = CompositeMessageBuilder::new();
    quote
        .append(r#"{"symbol":"ROL"}"#)?
        .append("")?
        .append(&binary)?;

    let parts = CompositeMessageParser::parse(quote.data())?;
    println!(
        "  parts    {}, of {} bytes in all",
        parts.len(),
        quote.len()
    );
    let json = std::str::from_utf8(parts.get(0).ok_or("no JSON part")?)?;
    let (numbers, _) = parts.get(2).ok_or("no binary part")?.as_chunks::<8>();
    let read: Vec<f64> = numbers
        .iter()
        .map(|level| f64::from_le_bytes(*level))
        .collect();
    println!("  part 0   {json}");
    println!("  part 2   {read:?}");
    assert_eq!(
        parts.get(1),
        Some(b"".as_slice()),
        "an empty part keeps its place"
    );
    assert_eq!(read, levels);

    // Of a message that is cut off, the parts before the cut can be read.
    let cut = &quote.data()[..quote.len() - 1];
    let part = CompositeMessageParser::new(cut);
    if let Err(error) = part.check() {
        println!("  cut off  {error}");
    }
    assert_eq!(
        part.check(),
        Err(CodecError::TruncatedPart {
            part: 2,
            length: 24,
            available: 23
        })
    );
    assert_eq!(part.get(0), parts.get(0));
    Ok(())
}
