//! What can go wrong while a broker starts.

use std::io;

/// Why a broker could not start, or could not listen again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The address is wrong, taken or not ours; [`std::error::Error::source`] says which.
    #[error("cannot listen on {address}")]
    Listen {
        /// What was asked for.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// A topic is configured in a way that cannot work.
    #[error("topic {topic}: {problem}")]
    Topic {
        /// The name of the topic.
        topic: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A setting other than a topic cannot work.
    #[error("{0}")]
    Setting(String),
    /// The journal cannot be used; it is left as it is.
    #[error("journal {file}: {problem}")]
    Journal {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration file cannot be read or understood.
    #[error("{file}: {problem}")]
    ConfigFile {
        /// The file.
        file: String,
        /// What is wrong with it, and where.
        problem: String,
    },
}
