//! A message handler with C linkage: a function pointer and the pointer that it works on.
//!
//! `cargo run --example c_handler` starts a broker of its own; `AMPS_URI` names a server instead.
//! The function stands here in Rust, so that the example needs no C compiler; it does only what
//! one in C would do, with what it is given. Chapter 12 of the guide has the declarations for C,
//! and says how to link a library with such a function.

#![allow(
    unsafe_code,
    reason = "plays the part of C, and promises what C cannot"
)]

use amps::{CMessage, CMessageHandler, CText, Client, Command};
use amps_broker::Broker;
use std::error::Error;
use std::ffi::c_void;
use std::sync::Mutex;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

/// What the handler works on.
struct Volumes {
    messages: u32,
    bytes: usize,
    last_topic: String,
}

/// What the application and the handler share: C would have a structure with a lock in it.
static VOLUMES: Mutex<Volumes> = Mutex::new(Volumes {
    messages: 0,
    bytes: 0,
    last_topic: String::new(),
});

/// The text as bytes.
///
/// # Safety
///
/// The message that it is of must still be there.
unsafe fn bytes_of<'a>(text: CText) -> &'a [u8] {
    // SAFETY: a text has `length` bytes, for as long as its message is there.
    unsafe { std::slice::from_raw_parts(text.bytes.cast(), text.length) }
}

/// The handler. A panic must not leave it, so there is none in it.
extern "C" fn add_up(message: *const CMessage, user_data: *mut c_void) {
    // SAFETY: the client calls it with a message, and with the pointer from `main`.
    let (message, volumes) = unsafe { (&*message, &*user_data.cast::<Mutex<Volumes>>()) };
    let Ok(mut volumes) = volumes.lock() else {
        return;
    };
    // SAFETY: the message is there until this returns, and the topic is copied.
    let topic = unsafe { bytes_of(message.topic) };
    volumes.messages += 1;
    volumes.bytes += message.data.length;
    volumes.last_topic = String::from_utf8_lossy(topic).into_owned();
}

fn main() -> Result<(), Box<dyn Error>> {
    let (_broker, uri) = match std::env::var("AMPS_URI") {
        Ok(uri) => (None, uri),
        Err(_) => {
            let broker = Broker::builder().start()?;
            let uri = broker.uri("json");
            (Some(broker), uri)
        }
    };
    let client = Client::new("c-handler");
    client.connect(&uri)?;
    client.logon()?;

    let user_data = std::ptr::from_ref(&VOLUMES).cast_mut().cast();
    // SAFETY: the function takes any message, and this pointer from any thread; both stay for as
    // long as the process.
    let handler = unsafe { CMessageHandler::new(add_up, user_data) };
    let command = Command::new("subscribe").set_topic("volumes");
    client.execute_async(command, handler.into_handler())?;
    // It goes wherever a handler goes.
    client.set_last_chance_message_handler(handler.into_handler());

    for _ in 0..100 {
        client.publish("volumes", r#"{"qty":100}"#)?;
    }
    client.publish_flush(TIMEOUT)?;
    // What was published before the flush has been sent to us, but not all of it may be handled:
    // after `disconnect` no handler runs any more, so wait for the last one.
    let deadline = std::time::Instant::now() + TIMEOUT;
    while VOLUMES.lock().is_ok_and(|volumes| volumes.messages < 100) {
        if std::time::Instant::now() > deadline {
            return Err("not every message was handled".into());
        }
        std::thread::yield_now();
    }
    client.disconnect()?;

    let volumes = VOLUMES.lock().map_err(|_| "the handler panicked")?;
    println!(
        "handled {} messages with {} bytes, the last on the topic {}",
        volumes.messages, volumes.bytes, volumes.last_topic
    );
    assert_eq!(volumes.messages, 100);
    assert_eq!(volumes.bytes, 100 * r#"{"qty":100}"#.len());
    assert_eq!(volumes.last_topic, "volumes");
    Ok(())
}
