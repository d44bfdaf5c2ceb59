//! Why spark ends early, and with which exit code.

use amps::Error;
use std::error::Error as _;
use std::fmt;
use std::io;

/// What stands between the user and the result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that cannot be; nothing was done.
    Usage(String),
    /// The library or the server said no.
    Amps(Error),
    /// Anything else that went wrong after the start.
    Other(String),
    /// Nobody reads the output any more: the end, but no failure.
    ClosedPipe,
}

impl Failure {
    /// What writing to standard output may bring.
    pub(crate) fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
            _ => Failure::Other(format!("cannot write the output: {error}")),
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::ClosedPipe => 0,
            Failure::Amps(error) if !is_usage(error) => 1,
            Failure::Other(_) => 1,
            Failure::Amps(_) | Failure::Usage(_) => 2,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Amps(error)
    }
}

/// One line, whatever the server put into its reason.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Failure::Usage(text) | Failure::Other(text) => text.clone(),
            Failure::Amps(error) => described(error),
            Failure::ClosedPipe => "nobody reads the output".to_string(),
        };
        f.write_str(&text.replace(|c: char| c.is_control(), " "))
    }
}

/// An error with what is underneath it, and what to do about it.
pub(crate) fn described(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // An error often quotes the one underneath it.
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    if let Some(advice) = advice(error) {
        text.push_str("; ");
        text.push_str(advice);
    }
    text
}

/// True for errors of the connection string: nothing was opened.
fn is_usage(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidUri(_)
            | Error::TransportType(_)
            | Error::MessageType(_)
            | Error::InvalidTransportOptions(_)
    )
}

fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::InvalidUri(_) => "write -server as host:port, user:password@host:port or a full URI",
        Error::ConnectionRefused(_) => "check -server, and whether the server is up",
        Error::TimedOut(_) => "check the server, or give it longer with -timeout",
        Error::Authentication(_) => "check the user and password in -server",
        Error::MessageTypeNotFound(_) => "check -type: the server does not offer it there",
        Error::BadFilter(_) => "check -filter",
        Error::BadRegexTopic(_) => "check -topic",
        Error::InvalidTopic(_) => "check -topic, and whether the server keeps what this needs",
        Error::InvalidOptions(_) => "check -options, -backlog and -delta",
        Error::InvalidBookmark(_) => "check -bookmark, and whether the topic is logged",
        Error::InvalidOrderBy(_) => "check -orderby",
        Error::NotEntitled(_) => "ask for the permission, or check the user in -server",
        _ => return None,
    })
}
