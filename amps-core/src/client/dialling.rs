//! What is set before a client connects: TLS and the HTTP preflight.

use super::Client;
#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use crate::tls_config::TlsConfig;

/// Settings for the connections to come.
impl Client {
    /// Sets how `tcps` connections made from now on are secured.
    ///
    /// Guide §12.4; rule Q2.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] while connected; the setting stays as it was.
    pub fn set_tls_config(&self, config: TlsConfig) -> Result<()> {
        if self.is_connected() {
            return Err(
                ErrorContext::new("set the TLS configuration of", self.name())
                    .with_reason("it is connected")
                    .Usage(),
            );
        }
        self.shared().settings.lock().dial.tls = config;
        Ok(())
    }

    /// Adds a header, `Name: value`, to the HTTP request with which connections begin whose
    /// connection string has `http_preflight=true`. A blank one is ignored.
    ///
    /// The request is `GET /amps/<message type>` with the headers `Host`, `Connection: Upgrade`
    /// and `Upgrade: amps`, each unless one of that name is added here. Any answer but
    /// `101` makes `connect` fail. Takes effect with the next `connect`. Rule Q5.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if it is no header, or has a line break in it; nothing is added.
    pub fn add_http_preflight_header(&self, header: impl AsRef<str>) -> Result<()> {
        let header = header.as_ref();
        self.shared().settings.lock().dial.preflight.add(header)
    }

    /// As [`Client::add_http_preflight_header`], from a name and a value.
    ///
    /// # Errors
    ///
    /// As [`Client::add_http_preflight_header`].
    pub fn add_http_preflight_header_kv(
        &self,
        name: impl AsRef<str>,
        value: impl AsRef<str>,
    ) -> Result<()> {
        let header = format!("{}: {}", name.as_ref(), value.as_ref());
        self.add_http_preflight_header(header)
    }

    /// Sets the headers anew; see [`Client::add_http_preflight_header`].
    ///
    /// # Errors
    ///
    /// As [`Client::add_http_preflight_header`]; then all stay as they were.
    pub fn set_http_preflight_headers<H: AsRef<str>>(
        &self,
        headers: impl IntoIterator<Item = H>,
    ) -> Result<()> {
        let mut all = crate::transport::PreflightHeaders::default();
        for header in headers {
            all.add(header.as_ref())?;
        }
        self.shared().settings.lock().dial.preflight = all;
        Ok(())
    }

    /// Removes all headers that were added for the HTTP preflight.
    pub fn clear_http_preflight_headers(&self) {
        self.shared().settings.lock().dial.preflight = Default::default();
    }
}
