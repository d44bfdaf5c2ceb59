//! Messages that are read one after the other, against each of them read by itself: what came
//! before a header must make no difference. Also used by the fuzz target `frames`.

use amps_core::protocol::{Header, ParseError, Records, frames_in};
use amps_core::{CommandType, Message};

/// Everything that was read, and what ended it.
type Read = (Vec<String>, Option<ParseError>);

/// Fails if a chunk of frames is not read as its messages are, one by one.
pub(crate) fn assert_read_alike(chunk: &[u8]) {
    assert_eq!(
        together(chunk),
        apart(chunk),
        "{}",
        String::from_utf8_lossy(chunk)
    );
}

/// By one reader, which knows what came before.
fn together(chunk: &[u8]) -> Read {
    let mut found = Vec::new();
    let read = Message::each_in_chunk(chunk.to_vec().into(), |message| found.push(told(message)));
    (found, read.err())
}

/// Each by a reader of its own.
fn apart(chunk: &[u8]) -> Read {
    let mut found = Vec::new();
    let read = frames_in(chunk).try_for_each(|body| {
        let frame = &chunk[..body.end];
        let outer = Header::parse(frame, body.start)?;
        if outer.command != CommandType::Sow {
            found.push(alone(&chunk[body]));
            return Ok(());
        }
        let mut records = Records::new(frame, outer);
        while let Some(record) = records.next_record()? {
            let parts = [outer.span, record.header.span, record.data];
            found.push(alone(&parts.map(|span| span.of(frame)).concat()));
        }
        Ok(())
    });
    (found, read.err())
}

fn alone(body: &[u8]) -> String {
    let chunk = [&(body.len() as u32).to_be_bytes(), body].concat();
    let mut found = Vec::new();
    let read = Message::each_in_chunk(chunk.into(), |message| found.push(told(message)));
    assert_eq!((read, found.len()), (Ok(()), 1));
    found.remove(0)
}

/// What a message says, by every way that it can be asked.
fn told(message: &Message) -> String {
    let routed = [
        message.topic(),
        message.command_id(),
        message.sub_id(),
        message.sub_ids(),
        message.query_id(),
        message.bookmark(),
        message.sow_key(),
    ];
    let flags = (
        message.command(),
        message.ack_type(),
        message.has_lease(),
        message.to_result().is_ok(),
        message.message_length(),
    );
    format!(
        "{routed:?} {flags:?} {:?} {message:?} {:?}",
        message.data(),
        message.detach()
    )
}
