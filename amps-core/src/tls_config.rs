//! How `tcps` connections are secured.

#[cfg(doc)]
use crate::Client;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use native_tls::{Certificate, Identity, Protocol, TlsConnector};
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3. The system's library may not know it: then connecting fails.
    Tls13,
}

/// How `tcps` connections are secured: whom to trust, and who we are.
///
/// Without one, a `tcps` connection trusts the certificates that the system trusts, checks the
/// host name of the connection string, asks for TLS 1.2 or later, and shows no certificate of its
/// own. The certificates that the system trusts are read with the first connection, once for each
/// configuration; clones share them. TLS is the system's: OpenSSL on Linux, Secure Transport on macOS, SChannel on Windows.
///
/// ```no_run
/// use amps_core::{Client, TlsConfig};
///
/// let config = TlsConfig::new()
///     .add_ca_pem(std::fs::read("company-ca.pem")?)?
///     .set_identity_pem(std::fs::read("client.pem")?, std::fs::read("client.key")?)?;
/// let client = Client::new("orders-viewer");
/// client.set_tls_config(config)?;
/// client.connect("tcps://amps.example.com:9443/amps/json")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Guide §12.4; rule Q2.
#[derive(Clone)]
pub struct TlsConfig {
    authorities: Vec<Certificate>,
    system_roots: bool,
    identity: Option<Identity>,
    min_version: TlsVersion,
    accept_invalid_certs: bool,
    accept_invalid_hostnames: bool,
    /// What the TLS library made of all this, once it was needed. Reading the authorities of the
    /// system takes it a tenth of a second, too long for every reconnect.
    connector: Arc<OnceLock<TlsConnector>>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        TlsConfig::new()
    }
}

impl TlsConfig {
    /// The defaults, as above.
    pub fn new() -> TlsConfig {
        TlsConfig {
            authorities: Vec::new(),
            system_roots: true,
            identity: None,
            min_version: TlsVersion::Tls12,
            accept_invalid_certs: false,
            accept_invalid_hostnames: false,
            connector: Arc::default(),
        }
    }

    /// The defaults, shared by all clients that have no configuration of their own.
    pub(crate) fn of_the_process() -> TlsConfig {
        static SHARED: LazyLock<TlsConfig> = LazyLock::new(TlsConfig::new);
        SHARED.clone()
    }

    /// Before a change: what was made of the configuration holds no longer.
    fn changing(mut self) -> TlsConfig {
        self.connector = Arc::default();
        self
    }

    /// Trusts the certificate authorities in a bundle of PEM certificates, as well as those of
    /// the system; see [`set_system_roots`](TlsConfig::set_system_roots).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTransportOptions`] if there is no certificate in it, or one that cannot be
    /// read.
    pub fn add_ca_pem(self, bundle: impl AsRef<[u8]>) -> Result<TlsConfig> {
        let context = || ErrorContext::new("read the certificate authorities", "");
        let found = Certificate::stack_from_pem(bundle.as_ref()).map_err(|error| {
            let reason = error.to_string();
            context()
                .with_reason(reason)
                .with_source(error)
                .InvalidTransportOptions()
        })?;
        if found.is_empty() {
            return Err(context()
                .with_reason("there is no PEM certificate in the bundle")
                .InvalidTransportOptions());
        }
        let mut config = self.changing();
        config.authorities.extend(found);
        Ok(config)
    }

    /// Whether to trust the certificate authorities that the system trusts; default true. Turn it
    /// off to trust only those of [`add_ca_pem`](TlsConfig::add_ca_pem).
    #[must_use]
    pub fn set_system_roots(self, trusted: bool) -> TlsConfig {
        TlsConfig {
            system_roots: trusted,
            ..self.changing()
        }
    }

    /// Shows the server a certificate: a PEM chain, our own certificate first, and its key as PEM
    /// in PKCS#8 form (`-----BEGIN PRIVATE KEY-----`).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTransportOptions`] if they cannot be read.
    pub fn set_identity_pem(
        self,
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<TlsConfig> {
        // What stands before the key, such as a comment, is not for the parser.
        let key = key.as_ref();
        let begin = key
            .windows(KEY_BEGIN.len())
            .position(|window| window == KEY_BEGIN);
        let identity = Identity::from_pkcs8(chain.as_ref(), &key[begin.unwrap_or(0)..]);
        let identity = identity.map_err(|error| {
            let reason = format!("{error}; the key must be PKCS#8 in PEM form, not encrypted");
            unreadable_identity(error, reason)
        })?;
        Ok(TlsConfig {
            identity: Some(identity),
            ..self.changing()
        })
    }

    /// Shows the server a certificate: a PKCS#12 archive (`.p12`, `.pfx`) and its password.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidTransportOptions`] if it cannot be read or the password is wrong.
    pub fn set_identity_pkcs12(
        self,
        archive: impl AsRef<[u8]>,
        password: impl AsRef<str>,
    ) -> Result<TlsConfig> {
        let identity = Identity::from_pkcs12(archive.as_ref(), password.as_ref());
        let identity = identity.map_err(|error| {
            let reason = error.to_string();
            unreadable_identity(error, reason)
        })?;
        Ok(TlsConfig {
            identity: Some(identity),
            ..self.changing()
        })
    }

    /// The oldest version of TLS to accept; default TLS 1.2.
    #[must_use]
    pub fn set_min_version(self, version: TlsVersion) -> TlsConfig {
        TlsConfig {
            min_version: version,
            ..self.changing()
        }
    }

    /// Whether to accept any certificate of the server: expired, self-signed, of anybody. Default
    /// false.
    ///
    /// **Dangerous:** the connection is then encrypted, but nothing says to whom; anyone on the
    /// way can read and change everything, passwords included. For tests only.
    #[must_use]
    pub fn danger_accept_invalid_certs(self, accept: bool) -> TlsConfig {
        TlsConfig {
            accept_invalid_certs: accept,
            ..self.changing()
        }
    }

    /// Whether to accept a certificate that was issued for another host. Default false.
    ///
    /// **Dangerous:** whoever holds any certificate of a trusted authority can then pose as the
    /// server.
    #[must_use]
    pub fn danger_accept_invalid_hostnames(self, accept: bool) -> TlsConfig {
        TlsConfig {
            accept_invalid_hostnames: accept,
            ..self.changing()
        }
    }

    /// What makes connections of this configuration.
    pub(crate) fn connector(&self) -> native_tls::Result<TlsConnector> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector.clone());
        }
        let connector = self.build()?;
        Ok(self.connector.get_or_init(|| connector).clone())
    }

    fn build(&self) -> native_tls::Result<TlsConnector> {
        let mut builder = TlsConnector::builder();
        for authority in &self.authorities {
            builder.add_root_certificate(authority.clone());
        }
        if let Some(identity) = &self.identity {
            builder.identity(identity.clone());
        }
        builder
            .disable_built_in_roots(!self.system_roots)
            .min_protocol_version(Some(match self.min_version {
                TlsVersion::Tls12 => Protocol::Tlsv12,
                TlsVersion::Tls13 => Protocol::Tlsv13,
            }))
            .danger_accept_invalid_certs(self.accept_invalid_certs)
            .danger_accept_invalid_hostnames(self.accept_invalid_hostnames)
            .build()
    }
}

const KEY_BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----";

fn unreadable_identity(error: native_tls::Error, reason: String) -> crate::Error {
    ErrorContext::new("read the client certificate", "")
        .with_reason(reason)
        .with_source(error)
        .InvalidTransportOptions()
}

/// What is set, but neither certificates nor keys.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("authorities", &self.authorities.len())
            .field("system_roots", &self.system_roots)
            .field("identity", &self.identity.as_ref().map(|_| "***"))
            .field("min_version", &self.min_version)
            .field("accept_invalid_certs", &self.accept_invalid_certs)
            .field("accept_invalid_hostnames", &self.accept_invalid_hostnames)
            .finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::error::Error as _;

    #[test]
    fn what_cannot_be_read_is_refused_with_its_cause() {
        let no_bundle = TlsConfig::new().add_ca_pem("no certificate").unwrap_err();
        assert!(no_bundle.to_string().contains("no PEM certificate"));
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for error in [
            no_bundle,
            TlsConfig::new().add_ca_pem(bad).unwrap_err(),
            TlsConfig::new()
                .set_identity_pem(bad, "no key")
                .unwrap_err(),
            TlsConfig::new()
                .set_identity_pkcs12("no archive", "s3cret")
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, Error::InvalidTransportOptions(_)),
                "{error}"
            );
            assert!(!format!("{error:?}").contains("s3cret"));
            let told = error.source().is_some() || error.to_string().contains("no PEM");
            assert!(told, "{error}");
        }
    }

    #[test]
    fn clones_share_what_was_made_of_a_configuration_and_changes_do_not() {
        let config = TlsConfig::new().set_system_roots(false);
        config.connector().unwrap();
        assert!(config.clone().connector.get().is_some());
        for changed in [
            config.clone().set_system_roots(true),
            config.clone().set_min_version(TlsVersion::Tls13),
            config.clone().danger_accept_invalid_certs(true),
            config.clone().danger_accept_invalid_hostnames(true),
        ] {
            assert!(changed.connector.get().is_none());
        }
        assert!(config.connector.get().is_some());
    }
}
