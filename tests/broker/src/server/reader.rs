//! The thread that reads from one connection and carries out what it reads.

use super::Shared;
use super::connection::Connection;
use super::threads::STACK;
use crate::session::{Flow, Session};
use amps_core::protocol::FrameBuffer;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long a client may take to read its last frames and to close its side.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tidies up when the thread ends, also when it ends by a panic in a hook.
struct Leaving<'a> {
    shared: &'a Shared,
    connection: &'a Connection,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let id = self.connection.id();
        self.shared.turn(|engine| engine.forget(id));
        // A client that only closed its sending side still gets what it asked for.
        self.connection.finish();
        if self.writer.is_some() {
            self.connection.wait_written(PATIENCE);
        }
        self.connection.close("connection closed");
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.shared.threads.finished(id);
    }
}

/// The body of the thread. The writer thread lives inside: it is joined before this one ends.
pub(super) fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let mut leaving = Leaving {
        shared,
        connection,
        writer: None,
    };
    let (writing, replaying) = (connection.clone(), shared.clone());
    match thread::Builder::new()
        .name(format!("broker-write-{}", connection.id()))
        .stack_size(STACK)
        .spawn(move || writing.write_all(|| replaying.refill(writing.id())))
    {
        Ok(writer) => leaving.writer = Some(writer),
        Err(error) => {
            connection.close(&format!("no thread for it: {error}"));
            return;
        }
    }
    let mut frames = FrameBuffer::default();
    let mut session = Session::new(connection.clone());
    loop {
        match connection.read(frames.space()) {
            Ok(0) | Err(_) => return,
            Ok(count) => frames.advance(count),
        }
        match session.process(shared, &mut frames) {
            Flow::Continue => {}
            Flow::Finish => {
                connection.finish();
                connection.linger(PATIENCE);
                return;
            }
        }
    }
}
