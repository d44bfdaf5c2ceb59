//! `spark sow_delete`.

use crate::cli::SowDelete;
use crate::failure::Failure;
use crate::input::Input;
use crate::interrupt::Interrupt;
use crate::publisher::counted;
use crate::{say, session};
use amps::{AckType, Client, Command, Message};
use std::time::Duration;

/// Deletes, and says how many records.
pub(crate) fn run(args: &SowDelete, interrupt: &Interrupt) -> Result<(), Failure> {
    let target = args.server.target()?;
    let by_message = match (&args.filter, &args.keys) {
        (None, None) => Some(Input::open(&args.messages)?),
        _ => None,
    };
    let session = session::open("sow_delete", &target, &args.server, interrupt)?;
    let command = Command::new("sow_delete")
        .set_topic(&args.topic.topic)
        .set_timeout(args.server.patience())
        .add_ack_type(AckType::STATS);
    let mut deleted = 0;
    let mut delete = |command: Command| {
        deleted += records_deleted(&session.client, command)?;
        Ok(())
    };
    let outcome = match by_message {
        None => delete(
            command
                .set_filter(args.filter.as_deref().unwrap_or_default())
                .set_sow_keys(args.keys.as_deref().unwrap_or_default()),
        ),
        Some(input) => input.for_each(interrupt, |message| {
            delete(command.clone().set_data(message))
        }),
    };
    // Also if it failed half-way.
    let said = match outcome.is_ok() || deleted > 0 {
        true => say(&format!("{} deleted", counted(deleted, "record"))),
        false => Ok(()),
    };
    outcome.and(said)
}

/// Executes one delete and waits for its statistics.
fn records_deleted(client: &Client, command: Command) -> Result<u64, Failure> {
    let timeout = command.timeout();
    let mut stream = client.execute(command)?;
    let stats: Option<Message> = match timeout {
        Duration::ZERO => stream.next(),
        limit => stream.next_timeout(limit)?,
    };
    let Some(stats) = stats else {
        return Err(Failure::Other(
            "the connection was lost before the server said what it deleted".to_string(),
        ));
    };
    stats.to_result()?;
    stats.records_deleted().ok_or_else(|| {
        Failure::Other("the server did not say how many records it deleted".to_string())
    })
}
