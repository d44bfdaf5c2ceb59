//! A blocking client for AMPS.

pub use amps_core::{
    AckType, AmpsUri, Authenticator, Client, Command, CommandType, ConnectionState,
    DefaultAuthenticator, EndReason, Error, ErrorContext, HandlerOutcome, ListenerId, LogonOptions,
    Message, MessageStream, Result, StreamCanceller, TimeoutIter, Transport, TransportOptions,
    VersionInfo, WeakClient,
};
