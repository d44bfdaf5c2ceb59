//! The stand-in for an AMPS server as a program.

#![forbid(unsafe_code)]

use amps_broker::{Broker, BrokerError, Builder, ServerTls};
use clap::Parser;
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;

/// A stand-in for an AMPS server, for tests, examples and trying things out.
///
/// It speaks the `amps` protocol over TCP, TLS and Unix sockets and keeps everything in memory, and
/// with --journal also in a file. In production you connect to AMPS. Set RUST_LOG=info (or debug,
/// to see why commands are refused) for a log.
#[derive(Parser)]
#[command(version, after_help = CONFIG_HELP)]
struct Arguments {
    /// Where to listen, such as 127.0.0.1:9007; port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:9007", value_name = "HOST:PORT")]
    listen: String,

    /// Where to listen for TLS, too.
    #[arg(long, value_name = "HOST:PORT", requires = "tls_cert")]
    tls_listen: Option<String>,

    /// The broker's certificate: a PEM chain, its own first. Turns TLS on.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key to it, in PEM form.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Lets in by TLS only clients with a certificate of the authorities in this PEM bundle.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,

    /// A Unix socket to listen on, too.
    #[cfg(unix)]
    #[arg(long, value_name = "FILE")]
    unix_socket: Option<PathBuf>,

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
      { \"name\": \"orders\", \"key\": [\"/id\"], \"logged\": true },
      { \"name\": \"positions\", \"key\": [\"/id\"], \"history\": \"1h\" },
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
    let broker = builder(arguments)?.start()?;
    let mut uris = vec![broker.uri("json")];
    if broker.tls_address().is_some() {
        uris.push(broker.tls_uri("json"));
    }
    if broker.unix_socket().is_some() {
        uris.push(broker.unix_uri("json"));
    }
    let mut said = String::new();
    for uri in uris {
        said.push_str(&format!("amps-broker listens on {uri}\n"));
    }
    // Nobody has to read this: a closed pipe is no reason to end.
    let _ = writeln!(io::stdout(), "{said}press Ctrl-C to end it");
    interrupted.recv()?;
    broker.stop();
    Ok(())
}

fn builder(arguments: Arguments) -> Result<Builder, BrokerError> {
    let mut builder = Broker::builder();
    if let Some(file) = arguments.config {
        builder = builder.config_file(file)?;
    }
    if let Some(file) = arguments.journal {
        builder = builder.journal(file);
    }
    builder = builder.listen(arguments.listen);
    if let (Some(certificate), Some(key)) = (arguments.tls_cert, arguments.tls_key) {
        let (certificate, key) = (read(&certificate)?, read(&key)?);
        let tls = match arguments.tls_client_ca {
            None => ServerTls::new(certificate, key)?,
            Some(bundle) => ServerTls::with_client_certificates(certificate, key, read(&bundle)?)?,
        };
        builder = builder.tls(tls);
    }
    if let Some(address) = arguments.tls_listen {
        builder = builder.tls_listen(address);
    }
    #[cfg(unix)]
    if let Some(path) = arguments.unix_socket {
        builder = builder.unix_socket(path);
    }
    Ok(builder)
}

fn read(file: &Path) -> Result<Vec<u8>, BrokerError> {
    let failed = |error| BrokerError::Setting(format!("{}: {error}", file.display()));
    std::fs::read(file).map_err(failed)
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
