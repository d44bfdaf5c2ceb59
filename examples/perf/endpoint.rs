//! Where both sides of a comparison connect to.

use crate::raw::Raw;
use crate::{Result, frames};
use amps::{AmpsUri, Client, TlsConfig, Transport};
use amps_core::protocol::{Field, find_field};
use std::time::Duration;

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server, or a peer that stands for one.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// For the client.
    uri: String,
    /// For plain sockets.
    host: String,
    port: u16,
    transport: Transport,
    nodelay: bool,
    preflight: bool,
    /// The certificate that a peer with TLS made for itself, as PEM.
    certificate: Option<String>,
    logon: Vec<u8>,
    pub(crate) topic: String,
}

impl Endpoint {
    /// Of a connection string.
    pub(crate) fn new(uri: &str, topic: &str) -> Result<Endpoint> {
        let parsed = AmpsUri::parse(uri)?;
        Ok(Endpoint {
            uri: uri.to_string(),
            host: parsed.host().to_string(),
            port: parsed.port(),
            transport: parsed.transport(),
            nodelay: parsed.options().tcp_nodelay,
            preflight: parsed.options().http_preflight,
            certificate: None,
            logon: frames::logon(
                parsed.message_type().unwrap_or_default(),
                parsed.user(),
                parsed.password(),
            ),
            topic: topic.to_string(),
        })
    }

    /// Trusts this certificate and no other.
    pub(crate) fn trusting(mut self, certificate: Option<String>) -> Endpoint {
        self.certificate = certificate;
        self
    }

    /// True if a connection without a client is possible.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.transport, Transport::Tcp | Transport::Tcps) && !self.preflight
    }

    /// A client of this name that is logged on.
    pub(crate) fn client(&self, name: &str) -> Result<Client> {
        let client = Client::new(name);
        self.log_on(&client)?;
        Ok(client)
    }

    pub(crate) fn log_on(&self, client: &Client) -> Result<()> {
        if let Some(certificate) = &self.certificate {
            let config = TlsConfig::new().set_system_roots(false);
            client.set_tls_config(config.add_ca_pem(certificate)?)?;
        }
        client.connect(&self.uri)?;
        client.logon()?;
        Ok(())
    }

    /// A connection without a client that is logged on.
    pub(crate) fn raw(&self) -> Result<Raw> {
        let address = (self.host.as_str(), self.port);
        let mut raw = match (self.transport, &self.certificate) {
            (Transport::Tcp, _) => Raw::tcp(address, self.nodelay)?,
            (Transport::Tcps, certificate) => {
                Raw::tls(address, self.nodelay, certificate.as_deref())?
            }
            (other, _) => return Err(format!("no plain connection by {other:?}").into()),
        };
        raw.write(&self.logon)?;
        let mut answer = None;
        while answer.is_none() {
            raw.read(|frame| answer = Some(frame.to_vec()))?;
        }
        let answer = answer.unwrap_or_default();
        match find_field(&answer, 0, Field::Status) {
            Some(b"success") => Ok(raw),
            _ => Err(format!("the logon of the floor: {}", answer.escape_ascii()).into()),
        }
    }

    /// A publish as the client sends it without a store.
    pub(crate) fn published(&self, payload: &[u8]) -> Vec<u8> {
        frames::published(&self.topic, payload)
    }
}
