//! How a broker is set up for TLS.

use crate::error::BrokerError;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use std::fmt;
use std::sync::Arc;

/// The certificate that a broker shows, and whether it asks its clients for one: for
/// [`Builder::tls`](crate::Builder::tls).
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// A broker with this certificate, a PEM chain with the broker's own first, and the key to
    /// it, also in PEM form. Clients need no certificate.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Setting`] if they cannot be read or do not belong together.
    pub fn new(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<ServerTls, BrokerError> {
        ServerTls::build(chain.as_ref(), key.as_ref(), None, rustls::ALL_VERSIONS)
    }

    /// As [`ServerTls::new`]; only clients with a certificate from these authorities, a PEM
    /// bundle, get in.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::new`].
    pub fn with_client_certificates(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
        authorities: impl AsRef<[u8]>,
    ) -> Result<ServerTls, BrokerError> {
        let authorities = Some(authorities.as_ref());
        ServerTls::build(
            chain.as_ref(),
            key.as_ref(),
            authorities,
            rustls::ALL_VERSIONS,
        )
    }

    /// As [`ServerTls::new`], speaking TLS 1.2 only.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::new`].
    pub fn tls12_only(
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<ServerTls, BrokerError> {
        ServerTls::build(chain.as_ref(), key.as_ref(), None, &[&version::TLS12])
    }

    fn build(
        chain: &[u8],
        key: &[u8],
        authorities: Option<&[u8]>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<ServerTls, BrokerError> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| wrong("the protocol versions", &error))?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(bundle) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(bundle)? {
                    roots
                        .add(authority)
                        .map_err(|error| wrong("a certificate authority", &error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| wrong("the certificate authorities", &error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong("the key", &error))?;
        let config = builder
            .with_single_cert(certificates(chain)?, key)
            .map_err(|error| wrong("the certificate and its key", &error))?;
        Ok(ServerTls {
            config: Arc::new(config),
        })
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BrokerError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong("the certificates", &error))
}

fn wrong(what: &str, error: &dyn fmt::Display) -> BrokerError {
    BrokerError::Setting(format!("TLS: {what}: {error}"))
}

/// No keys.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}
