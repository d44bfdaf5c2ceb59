//! TLS of peers, with a certificate that each makes for itself.

use crate::Result;
use native_tls::{Identity, TlsAcceptor};
use std::io::BufRead;

/// The last line of a certificate.
const END: &str = "-----END CERTIFICATE-----";

/// What accepts connections, and the certificate it shows.
pub(super) fn acceptor() -> Result<(TlsAcceptor, String)> {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_string()])?;
    let certificate = own.cert.pem();
    let key = own.signing_key.serialize_pem();
    let identity = Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes())?;
    Ok((TlsAcceptor::new(identity)?, certificate))
}

/// Reads a certificate that a peer has printed.
pub(super) fn read_certificate(mut output: impl BufRead) -> Result<String> {
    let mut pem = String::new();
    while !pem.trim_end().ends_with(END) {
        if output.read_line(&mut pem)? == 0 {
            return Err("the peer printed no certificate".into());
        }
    }
    Ok(pem)
}
