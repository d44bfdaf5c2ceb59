//! Message handlers written in C.
//!
//! All of it that is `unsafe` is the call of the C function, and the promises that whoever makes a
//! [`CMessageHandler`] gives for it.

use crate::message::Message;
use crate::protocol::Field;
use std::ffi::{c_char, c_int, c_void};
use std::fmt;

/// A text inside a message: `length` bytes at `bytes`, not terminated by a zero.
///
/// `bytes` is never null; of a field that the message does not have, `length` is 0.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct CText {
    /// The first byte.
    pub bytes: *const c_char,
    /// How many there are.
    pub length: usize,
}

impl CText {
    fn of(bytes: &[u8]) -> CText {
        CText {
            bytes: bytes.as_ptr().cast(),
            length: bytes.len(),
        }
    }
}

/// A message as a handler written in C sees it. Everything in it is valid during the call only.
///
/// Numbers that the message does not have are 0. The declaration in C stands in the guide,
/// chapter 12.
#[derive(Debug)]
#[repr(C)]
pub struct CMessage {
    /// The payload.
    pub data: CText,
    /// What the message is, by its full name, such as `publish` or `sow`.
    pub command: CText,
    /// The topic it was published to.
    pub topic: CText,
    /// The subscription it was delivered for.
    pub sub_id: CText,
    /// The comma list of subscriptions that the server sent it for.
    pub sub_ids: CText,
    /// The query that it belongs to.
    pub query_id: CText,
    /// The command that it answers.
    pub command_id: CText,
    /// Its position in the transaction log.
    pub bookmark: CText,
    /// The key of the record.
    pub sow_key: CText,
    /// How a command ended.
    pub status: CText,
    /// Why it ended so.
    pub reason: CText,
    /// When the server processed it.
    pub timestamp: CText,
    /// When its lease ends.
    pub lease_period: CText,
    /// Who published it.
    pub user_id: CText,
    /// The publisher's token.
    pub correlation_id: CText,
    /// Options, such as those of an acknowledgement.
    pub options: CText,
    /// The publisher's sequence number.
    pub sequence: u64,
    /// Records that matched.
    pub matches: u64,
    /// Records that were looked at.
    pub topic_matches: u64,
    /// Records that were returned.
    pub records_returned: u64,
    /// Records that were inserted.
    pub records_inserted: u64,
    /// Records that were updated.
    pub records_updated: u64,
    /// Records that were deleted.
    pub records_deleted: u64,
    /// The running number of the batch.
    pub group_sequence_number: u64,
    /// The type of an acknowledgement: received 1, parsed 2, processed 4, persisted 8,
    /// completed 16, stats 32.
    pub ack_type: c_int,
    /// 1 if it comes from a queue and wants to be acknowledged, else 0.
    pub has_lease: c_int,
}

impl CMessage {
    fn of(message: &Message) -> CMessage {
        let text = |text: &str| CText::of(text.as_bytes());
        let none = CText::of(b"");
        let mut seen = CMessage {
            data: CText::of(message.data()),
            command: text(message.command().name()),
            topic: text(message.topic()),
            sub_id: text(message.sub_id()),
            sub_ids: text(message.sub_ids()),
            query_id: text(message.query_id()),
            command_id: text(message.command_id()),
            bookmark: text(message.bookmark()),
            sow_key: text(message.sow_key()),
            status: none,
            reason: none,
            timestamp: none,
            lease_period: none,
            user_id: none,
            correlation_id: none,
            options: none,
            sequence: 0,
            matches: 0,
            topic_matches: 0,
            records_returned: 0,
            records_inserted: 0,
            records_updated: 0,
            records_deleted: 0,
            group_sequence_number: 0,
            ack_type: message.ack_type().bits().into(),
            has_lease: message.has_lease().into(),
        };
        // The others are found in one walk; their getters would walk once each.
        message.each_field(|field, text, number| match field {
            Field::Status => seen.status = CText::of(text),
            Field::Reason => seen.reason = CText::of(text),
            Field::Timestamp => seen.timestamp = CText::of(text),
            Field::LeasePeriod => seen.lease_period = CText::of(text),
            Field::UserId => seen.user_id = CText::of(text),
            Field::CorrelationId => seen.correlation_id = CText::of(text),
            Field::Options => seen.options = CText::of(text),
            Field::Sequence => seen.sequence = number,
            Field::Matches => seen.matches = number,
            Field::TopicMatches => seen.topic_matches = number,
            Field::RecordsReturned => seen.records_returned = number,
            Field::RecordsInserted => seen.records_inserted = number,
            Field::RecordsUpdated => seen.records_updated = number,
            Field::RecordsDeleted => seen.records_deleted = number,
            Field::GroupSequenceNumber => seen.group_sequence_number = number,
            _ => {}
        });
        seen
    }
}

/// A handler written in C.
///
/// It is given the message, which is valid during the call only, and the pointer that
/// [`CMessageHandler::new`] was given. It must return: neither a C++ exception nor a `longjmp` may
/// leave it, and a Rust function in its place ends the process if it panics.
pub type CMessageFunction = unsafe extern "C" fn(message: *const CMessage, user_data: *mut c_void);

/// A function with C linkage, and what it works on, as a message handler: guide §12.1.
///
/// [`into_handler`](CMessageHandler::into_handler) makes of it what every method takes that
/// expects a handler. The library is loaded, and the function found in it, by whichever means the
/// application prefers; a function that is linked in is declared in an `extern "C"` block.
///
/// ```
/// use amps_core::{CMessage, CMessageHandler, Client, Command};
/// use std::ffi::c_void;
///
/// // Stands for a function written in C.
/// extern "C" fn count(_message: *const CMessage, user_data: *mut c_void) {
///     // SAFETY: it is the counter below, which lives for ever.
///     let counter = unsafe { &*user_data.cast::<std::sync::atomic::AtomicU64>() };
///     counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
/// }
///
/// # fn run(client: &Client) -> amps_core::Result<()> {
/// static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
/// let counter = std::ptr::from_ref(&COUNTER).cast_mut().cast();
/// // SAFETY: the function takes messages and this counter, from any thread.
/// let handler = unsafe { CMessageHandler::new(count, counter) };
/// let command = Command::new("subscribe").set_topic("orders");
/// client.execute_async(command, handler.into_handler())?;
/// client.set_last_chance_message_handler(handler.into_handler());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct CMessageHandler {
    function: CMessageFunction,
    user_data: *mut c_void,
}

// SAFETY: whoever made it has promised in `new` that the function may be called with this pointer
// from any thread. Nothing else is done with the pointer.
#[allow(unsafe_code)]
unsafe impl Send for CMessageHandler {}

impl CMessageHandler {
    /// Binds a function to the pointer that it is called with.
    ///
    /// # Safety
    ///
    /// From now on, for as long as a handler made of this is registered with a client, or runs:
    ///
    /// - `function` can be called: its library stays loaded.
    /// - It keeps to what [`CMessageFunction`] says, and does not keep pointers into the message.
    /// - It may be called with `user_data` from any thread. One handler that was registered once
    ///   runs on one thread at a time; one that was registered several times runs on several at
    ///   once if that is with several clients, and around a reconnect also with one.
    ///
    /// A handler is let go when its subscription has ended or its client was dropped, after the
    /// last call of it; nothing tells of that. What lives as long as the process is always right.
    #[allow(unsafe_code)]
    pub unsafe fn new(function: CMessageFunction, user_data: *mut c_void) -> CMessageHandler {
        CMessageHandler {
            function,
            user_data,
        }
    }

    /// The handler to pass to [`Client::execute_async`](crate::Client::execute_async) and the
    /// like. It runs on the receive thread, without any Rust code of the application's.
    pub fn into_handler(self) -> impl FnMut(&Message) + Send + 'static {
        move |message: &Message| self.call(message)
    }

    #[allow(unsafe_code)]
    fn call(&self, message: &Message) {
        let seen = CMessage::of(message);
        // SAFETY: `seen` points into `message`, which outlives the call; that the function takes
        // this and `user_data` on any thread was promised in `new`.
        unsafe { (self.function)(&seen, self.user_data) }
    }
}

/// Its addresses.
impl fmt::Debug for CMessageHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CMessageHandler")
            .field("function", &(self.function as *const ()))
            .field("user_data", &self.user_data)
            .finish()
    }
}

#[cfg(test)]
#[allow(unsafe_code, clippy::unwrap_used, reason = "plays the part of C")]
mod tests {
    use super::*;
    use bytes::Bytes;
    use std::mem::{offset_of, size_of};

    /// What C code would read of a text.
    fn read(text: CText) -> String {
        assert!(!text.bytes.is_null());
        // SAFETY: within the call, `length` bytes stand there.
        let bytes = unsafe { std::slice::from_raw_parts(text.bytes.cast::<u8>(), text.length) };
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    extern "C" fn keep(message: *const CMessage, user_data: *mut c_void) {
        // SAFETY: as promised: a message, and the list that `shown` made.
        let (message, kept) = unsafe { (&*message, &mut *user_data.cast::<Vec<String>>()) };
        kept.extend(
            [
                message.data,
                message.command,
                message.topic,
                message.sub_id,
                message.sub_ids,
                message.query_id,
                message.command_id,
                message.bookmark,
                message.sow_key,
                message.status,
                message.reason,
                message.timestamp,
                message.lease_period,
                message.user_id,
                message.correlation_id,
                message.options,
            ]
            .map(read),
        );
        let numbers = [
            message.sequence,
            message.matches,
            message.topic_matches,
            message.records_returned,
            message.records_inserted,
            message.records_updated,
            message.records_deleted,
            message.group_sequence_number,
            message.ack_type as u64,
            message.has_lease as u64,
        ];
        kept.push(format!("{numbers:?}"));
    }

    /// What the function is shown of a frame, each message of a batch in turn.
    fn shown(frame: &str) -> Vec<String> {
        let mut kept = Vec::<String>::new();
        // SAFETY: it takes messages and this list, which outlives the handler.
        let handler = unsafe { CMessageHandler::new(keep, (&raw mut kept).cast()) };
        let mut handler = handler.into_handler();
        let mut bytes = (frame.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(frame.as_bytes());
        Message::each_in_chunk(Bytes::from(bytes), |message| handler(message)).unwrap();
        drop(handler);
        kept
    }

    #[test]
    fn every_field_reaches_c() {
        let frame = concat!(
            r#"{"c":"p","t":"T","sub_id":"S","sids":"S,R","query_id":"Q","cid":"C","bm":"1|2|","#,
            r#""k":"K","status":"success","reason":"because","ts":"20240315T093000Z","#,
            r#""lp":"20240315T093100Z","user_id":"ana","x":"token","o":"o1","s":1,"matches":2,"#,
            r#""topic_matches":3,"records_returned":4,"records_inserted":5,"records_updated":6,"#,
            r#""records_deleted":7,"gseq":8,"a":"stats"}the data"#
        );
        let expected = [
            "the data",
            "publish",
            "T",
            "S",
            "S,R",
            "Q",
            "C",
            "1|2|",
            "K",
            "success",
            "because",
            "20240315T093000Z",
            "20240315T093100Z",
            "ana",
            "token",
            "o1",
            "[1, 2, 3, 4, 5, 6, 7, 8, 32, 1]",
        ];
        assert_eq!(shown(frame), expected);
        // The same from a header with an escape in it, which is read in another way.
        let escaped = frame.replace("because", r"bec\u0061use");
        assert_eq!(shown(&escaped), expected);
    }

    #[test]
    fn what_a_message_does_not_have_is_empty_or_0() {
        let seen = shown(r#"{"c":"heartbeat"}"#);
        assert_eq!(seen[1], "heartbeat");
        assert!(seen[2..16].iter().all(String::is_empty), "{seen:?}");
        assert_eq!(seen[16], "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]");
    }

    #[test]
    fn a_record_of_a_batch_has_its_own_fields_and_those_of_the_batch() {
        let seen = shown(concat!(
            r#"{"c":"sow","t":"T","query_id":"Q","ts":"20240315T093000Z","gseq":3,"bs":2}"#,
            r#"{"k":"1","l":3}one{"k":"2","x":"second","l":3}two"#
        ));
        let [first, second] = [&seen[..17], &seen[17..]];
        assert_eq!([&*first[0], &*first[8], &*first[14]], ["one", "1", ""]);
        assert_eq!(
            [&*second[0], &*second[8], &*second[14]],
            ["two", "2", "second"]
        );
        for record in [first, second] {
            assert_eq!([&*record[1], &*record[11]], ["sow", "20240315T093000Z"]);
            assert_eq!(record[16], "[0, 0, 0, 0, 0, 0, 0, 3, 0, 0]");
        }
    }

    #[test]
    fn the_layout_is_that_of_the_declaration_in_c() {
        let text = size_of::<CText>();
        assert_eq!(text, 2 * size_of::<usize>());
        assert_eq!(offset_of!(CMessage, options), 15 * text);
        assert_eq!(offset_of!(CMessage, sequence), 16 * text);
        assert_eq!(offset_of!(CMessage, ack_type), 16 * text + 64);
        assert_eq!(
            size_of::<CMessage>(),
            16 * text + 64 + 2 * size_of::<c_int>()
        );
    }
}
