//! The stand-in for an AMPS server as a program.

#![forbid(unsafe_code)]

use amps_broker::{Broker, BrokerError};
use clap::Parser;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

/// A stand-in for an AMPS server, for tests, examples and trying things out.
///
/// It speaks the `amps` protocol over TCP and keeps everything in memory, and with --journal also
/// in a file. In production you connect to AMPS. Set RUST_LOG=info (or debug, to see why commands are refused) for a log.
#[derive(Parser)]
#[command(version, after_help = CONFIG_HELP)]
struct Arguments {
    /// Where to listen, such as 127.0.0.1:9007; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:9007", value_name = "HOST:PORT")]
    listen: String,

    /// A JSON file with the topics and settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// A file that keeps the transaction log and the records of topics from one run to the next.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

const CONFIG_HELP: &str = "\
Configuration file (every entry may be left out):
  {
    \"message_types\": [\"json\", \"binary\"],
    \"composite_types\": { \"order-with-scan\": \"composite-local(json,binary)\" },
    \"ack_conflation\": \"1s\",
    \"server_version\": \"5.3.5.0\",
    \"unique_client_names\": false,
    \"output_limit\": 268435456,
    \"heartbeat_tolerance\": 3,
    \"logged_topics\": [\"orders\", \"^trades/\"],
    \"topics\": [
      { \"name\": \"orders\", \"key\": [\"/id\"] },
      { \"name\": \"quotes\", \"key\": [\"/symbol\"], \"expiration\": \"30s\" },
      { \"name\": \"blobs\", \"message_type\": \"binary\", \"explicit_keys\": true }
    ],
    \"queues\": [
      { \"name\": \"jobs\", \"topics\": [\"orders\"], \"lease_period\": \"30s\", \"max_backlog\": 10 }
    ]
  }
Topics that are not listed can be published and subscribed to; they keep nothing.";

/// A wrong configuration.
const BAD_CONFIG: u8 = 2;

fn main() -> ExitCode {
    env_logger::init();
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("amps-broker: {}", with_sources(&*error));
            match error.downcast_ref() {
                Some(
                    BrokerError::ConfigFile { .. }
                    | BrokerError::Topic { .. }
                    | BrokerError::Setting(_),
                ) => ExitCode::from(BAD_CONFIG),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    // First of all, so that no interrupt finds the broker running and the handler missing.
    let (interrupt, interrupted) = mpsc::channel();
    ctrlc::set_handler(move || {
        // Fails if we are ending anyway.
        let _ = interrupt.send(());
    })?;
    let mut builder = Broker::builder();
    if let Some(file) = arguments.config {
        builder = builder.config_file(file)?;
    }
    if let Some(file) = arguments.journal {
        builder = builder.journal(file);
    }
    let broker = builder.listen(arguments.listen).start()?;
    // Nobody has to read this: a closed pipe is no reason to end.
    let _ = writeln!(
        io::stdout(),
        "amps-broker listens on {}\npress Ctrl-C to end it",
        broker.uri("json")
    );
    interrupted.recv()?;
    broker.stop();
    Ok(())
}

/// An error and its causes on one line.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
