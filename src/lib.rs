//! A blocking client for AMPS.

pub use amps_codecs as codecs;
pub use amps_codecs::{
    CodecError, CompositeMessageBuilder, CompositeMessageParser, FixBuilder, FixShredder,
    NvfixBuilder, NvfixShredder,
};
pub use amps_core::{
    AckType, AmpsUri, Authenticator, Client, Command, CommandType, ConnectionState,
    DefaultAuthenticator, EndReason, Error, ErrorContext, HandlerOutcome, ListenerId, LogonOptions,
    Message, MessageStream, Result, StreamCanceller, TimeoutIter, Transport, TransportOptions,
    VersionInfo, WeakClient,
};

// The guide, chapter by chapter: its code blocks are compiled and run with the doctests.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide/11-utilities.md")]
mod guide_11_utilities {}
