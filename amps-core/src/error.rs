//! The one error type, and what every error tells.

use crate::reason;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

/// What the operations of this library return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was attempted, on what, what the server answered, and what caused it.
///
/// Every [`Error`] carries one. Passwords never appear in it.
#[derive(Debug)]
pub struct ErrorContext {
    attempted: Cow<'static, str>,
    subject: String,
    reason: String,
    sequence: Option<u64>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ErrorContext {
    /// Names the attempt, such as `"subscribe to"`, and what it was made on, such as a topic.
    pub fn new(attempted: impl Into<Cow<'static, str>>, subject: impl Into<String>) -> Self {
        ErrorContext {
            attempted: attempted.into(),
            subject: subject.into(),
            reason: String::new(),
            sequence: None,
            source: None,
        }
    }

    /// Adds what the server answered, or why the client refused.
    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }

    /// Adds the error underneath; it becomes [`source`](StdError::source) of the error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds the sequence number of the message that the error is about.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// What was attempted, as words that lead up to the subject: `subscribe to`.
    pub fn attempted(&self) -> &str {
        &self.attempted
    }

    /// On what: a topic, a URI, a file.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What the server answered, or why the client refused; empty if there is nothing to add.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The sequence number of the stored message that the error is about.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}

impl fmt::Display for ErrorContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attempted)?;
        if !self.subject.is_empty() {
            write!(f, " {}", self.subject)?;
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// Which of the questions of [`Error`] a variant answers with yes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Connection,
    Command,
    Both,
    Other,
}

// thiserror cannot flatten the context into `source()` and still put the label of the variant in
// front of its text, so the two impls are written here, once for all rows.
macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident, $label:literal, $group:ident;)*) => {
        /// Why an operation failed.
        ///
        /// One variant for each exception of the C++ and Python clients (guide, Appendix A), each
        /// with a context that says what was attempted, on what, and what the server answered.
        /// The client stays usable after every one of them; those for which
        /// [`is_connection_error`](Error::is_connection_error) holds mean that the connection at
        /// hand is gone or was never made.
        ///
        /// ```
        /// use amps_core::{Client, Error};
        ///
        /// let client = Client::new("viewer");
        /// let error = client.connect("tcp://localhost/amps/json").unwrap_err();
        /// assert!(matches!(error, Error::InvalidUri(_)));
        /// assert_eq!(
        ///     error.to_string(),
        ///     "invalid URI: connect to tcp://localhost/amps/json: the port is missing"
        /// );
        /// ```
        #[derive(Debug)]
        #[non_exhaustive]
        pub enum Error {
            $($(#[$doc])* $variant(Box<ErrorContext>),)*
        }

        impl Error {
            /// What was attempted, on what, what the server answered.
            pub fn context(&self) -> &ErrorContext {
                match self { $(Error::$variant(context) => context,)* }
            }

            fn label(&self) -> &'static str {
                match self { $(Error::$variant(_) => $label,)* }
            }

            fn group(&self) -> Group {
                match self { $(Error::$variant(_) => Group::$group,)* }
            }
        }

        /// Makes an error of each kind from its context.
        impl ErrorContext {
            $(#[doc(hidden)]
            #[allow(non_snake_case, reason = "named as the variant it makes")]
            pub fn $variant(self) -> Error { Error::$variant(Box::new(self)) })*
        }

        #[cfg(test)]
        const EVERY_KIND: &[MakeError] = &[$(ErrorContext::$variant,)*];
    };
}

errors! {
    /// `connect` on a client that is connected; the live connection is untouched.
    AlreadyConnected, "already connected", Connection;
    /// The server refused the logon, or the authenticator failed.
    Authentication, "authentication failed", Connection;
    /// The server could not read the content filter.
    BadFilter, "bad filter", Command;
    /// The server could not read the topic as a regular expression.
    BadRegexTopic, "bad regex topic", Command;
    /// A SOW key is invalid or missing.
    BadSowKey, "bad SOW key", Command;
    /// The server refused a command for a reason that has no variant of its own; the text is in
    /// the context.
    Command, "command refused", Command;
    /// The transport failed in a way that has no variant of its own.
    Connection, "connection failed", Connection;
    /// Nobody answered at the address, or the dial failed; the operating system's error is the
    /// source.
    ConnectionRefused, "connection refused", Connection;
    /// There is no connection, or it was lost while the operation waited.
    Disconnected, "disconnected", Connection;
    /// A second logon on one connection.
    DuplicateLogon, "duplicate logon", Command;
    /// The bookmark cannot be read, or was not found and the command asked for a failure then.
    InvalidBookmark, "invalid bookmark", Command;
    /// The server refused an option.
    InvalidOptions, "invalid options", Command;
    /// The server refused the order, or needs one.
    InvalidOrderBy, "invalid order by", Command;
    /// A subscription id is unknown or malformed.
    InvalidSubId, "invalid subscription id", Command;
    /// The topic does not serve the command (no SOW, no transaction log), or is empty.
    InvalidTopic, "invalid topic", Command;
    /// An option of the connection string is unknown or has a bad value; nothing was opened.
    InvalidTransportOptions, "invalid transport options", Connection;
    /// The connection string is malformed; nothing was opened.
    InvalidUri, "invalid URI", Connection;
    /// A command before the logon.
    LogonRequired, "logon required", Command;
    /// The protocol in the connection string is not one this client speaks; nothing was opened.
    MessageType, "unknown protocol", Connection;
    /// The server does not know the message type.
    MessageTypeNotFound, "message type not found", Connection;
    /// Another user is connected under this client name.
    NameInUse, "name in use", Connection;
    /// The user may not do this.
    NotEntitled, "not entitled", Command;
    /// The server lags behind what the publish store has already let go.
    PublishStoreGap, "publish store gap", Other;
    /// The delay strategy gave up reconnecting.
    ReconnectMaximumExceeded, "reconnect maximum exceeded", Connection;
    /// A loss of the connection interrupted a stored command, which will be replayed; or the
    /// server asked for a logon retry too often.
    RetryOperation, "retry the operation", Connection;
    /// A store could not do its work.
    Store, "store failed", Other;
    /// The peer sent bytes that are not the AMPS protocol; the connection is closed.
    Stream, "protocol error", Connection;
    /// A live subscription has the same command id.
    SubscriptionAlreadyExists, "subscription already exists", Command;
    /// The subscription id is in use and `replace` was not asked for.
    SubIdInUse, "subscription id in use", Command;
    /// No answer came in time.
    TimedOut, "timed out", Both;
    /// The transport in the connection string is not one this client has; nothing was opened.
    TransportType, "unknown transport", Connection;
    /// The server refused a command without a reason.
    Unknown, "refused without a reason", Other;
    /// The call is not allowed in this state or on this thread; nothing was sent.
    Usage, "usage error", Other;
    /// A callback of the application failed or panicked; its error is the source.
    Handler, "handler failed", Other;
    /// The payload is not what the application asked for, such as text or JSON.
    Payload, "unexpected payload", Other;
}

impl Error {
    /// True if the connection at hand is gone or was never made: connecting anew may help.
    ///
    /// Also true for [`Error::TimedOut`], which may mean that the server is gone or just slow;
    /// whether there still is a connection tells [`Client::is_connected`](crate::Client).
    pub fn is_connection_error(&self) -> bool {
        matches!(self.group(), Group::Connection | Group::Both)
    }

    /// True if the server refused or did not answer one command; the connection is not affected.
    pub fn is_command_error(&self) -> bool {
        matches!(self.group(), Group::Command | Group::Both)
    }

    /// What the server answered, or why the client refused; empty if there is nothing to add.
    pub fn reason(&self) -> &str {
        self.context().reason()
    }

    /// The error for the `reason` of a refused command (protocol.md §12): trimmed, in any case;
    /// a text that is not known is a [`Error::Command`] that quotes it.
    pub(crate) fn refused(reason: &str, context: ErrorContext) -> Error {
        let text = reason.trim();
        let context = context.with_reason(text);
        for (known, make) in REASONS {
            if text.eq_ignore_ascii_case(known) {
                return make(context);
            }
        }
        if text.is_empty() {
            context.Unknown()
        } else {
            context.Command()
        }
    }
}

type MakeError = fn(ErrorContext) -> Error;

/// The reason texts that have a variant.
const REASONS: &[(&str, MakeError)] = &[
    (reason::BAD_FILTER, ErrorContext::BadFilter),
    (reason::BAD_REGEX_TOPIC, ErrorContext::BadRegexTopic),
    ("bad regex", ErrorContext::BadRegexTopic),
    ("bad sow key", ErrorContext::BadSowKey),
    ("invalid topic", ErrorContext::InvalidTopic),
    (reason::NO_TOPIC, ErrorContext::InvalidTopic),
    ("regex topic not supported", ErrorContext::InvalidTopic),
    (reason::NOT_ENTITLED, ErrorContext::NotEntitled),
    (reason::AUTH_FAILURE, ErrorContext::Authentication),
    ("authentication failed", ErrorContext::Authentication),
    ("auth", ErrorContext::Authentication),
    (reason::NAME_IN_USE, ErrorContext::NameInUse),
    (reason::SUBID_IN_USE, ErrorContext::SubIdInUse),
    (
        reason::SUBSCRIPTION_ALREADY_EXISTS,
        ErrorContext::SubscriptionAlreadyExists,
    ),
    ("already exists", ErrorContext::SubscriptionAlreadyExists),
    ("invalid options", ErrorContext::InvalidOptions),
    ("invalid bookmark", ErrorContext::InvalidBookmark),
    ("invalid order by", ErrorContext::InvalidOrderBy),
    ("invalid orderby", ErrorContext::InvalidOrderBy),
    ("orderby required", ErrorContext::InvalidOrderBy),
    ("invalid subid", ErrorContext::InvalidSubId),
    ("invalid sub id", ErrorContext::InvalidSubId),
    ("invalid message type", ErrorContext::MessageTypeNotFound),
    ("duplicate logon", ErrorContext::DuplicateLogon),
    ("duplicate logon attempt", ErrorContext::DuplicateLogon),
    ("logon required", ErrorContext::LogonRequired),
];

/// The kind, the attempt, its subject and the reason; not the source, which a report prints
/// itself.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.label(), self.context())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.context().source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> ErrorContext {
        ErrorContext::new("subscribe to", "orders")
    }

    #[test]
    fn an_error_is_small() {
        assert!(size_of::<Error>() <= 32);
        assert!(size_of::<Result<()>>() <= 32);
    }

    #[test]
    fn the_text_says_what_was_attempted_on_what_and_what_the_server_answered() {
        let error = Error::refused(" Bad Filter ", context());
        assert!(matches!(error, Error::BadFilter(_)));
        assert_eq!(
            error.to_string(),
            "bad filter: subscribe to orders: Bad Filter"
        );
        assert_eq!(error.context().subject(), "orders");
    }

    #[test]
    fn the_source_is_kept_and_not_repeated_in_the_text() {
        let io = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = ErrorContext::new("connect to", "x")
            .with_source(io)
            .ConnectionRefused();
        assert_eq!(error.to_string(), "connection refused: connect to x");
        assert!(error.source().unwrap().is::<std::io::Error>());
    }

    #[test]
    fn an_unknown_reason_is_quoted_and_no_reason_is_unknown() {
        let error = Error::refused("flux capacitor", context());
        assert!(matches!(error, Error::Command(_)));
        assert_eq!(error.reason(), "flux capacitor");
        assert!(matches!(Error::refused("", context()), Error::Unknown(_)));
    }

    #[test]
    fn the_reasons_of_the_documentation_have_their_variants() {
        for (text, variant) in [
            ("bad filter", "BadFilter"),
            ("bad regex topic", "BadRegexTopic"),
            ("bad sow key", "BadSowKey"),
            ("invalid topic", "InvalidTopic"),
            ("not entitled", "NotEntitled"),
            ("auth failure", "Authentication"),
            ("name in use", "NameInUse"),
            ("subid in use", "SubIdInUse"),
            ("subscription already exists", "SubscriptionAlreadyExists"),
            ("invalid options", "InvalidOptions"),
            ("invalid bookmark", "InvalidBookmark"),
            ("invalid order by", "InvalidOrderBy"),
            ("invalid sub id", "InvalidSubId"),
            ("invalid message type", "MessageTypeNotFound"),
            ("duplicate logon attempt", "DuplicateLogon"),
            ("logon required", "LogonRequired"),
            ("flux capacitor", "Command"),
            ("", "Unknown"),
        ] {
            let shown = format!("{:?}", Error::refused(text, context()));
            assert!(shown.starts_with(&format!("{variant}(")), "{text}: {shown}");
        }
    }

    #[test]
    fn a_time_out_is_of_both_groups_and_a_usage_error_of_none() {
        assert!(context().TimedOut().is_connection_error());
        assert!(context().TimedOut().is_command_error());
        assert!(!context().Usage().is_connection_error());
        assert!(!context().Usage().is_command_error());
        assert!(!context().BadFilter().is_connection_error());
        assert!(!context().Disconnected().is_command_error());
    }

    #[test]
    fn every_kind_shows_its_label_and_context() {
        for make in EVERY_KIND {
            let error = make(context());
            assert!(
                error.to_string().ends_with(": subscribe to orders"),
                "{error}"
            );
        }
    }
}
