//! A connection by TLS: the server shows a certificate of the company's own authority, the client
//! shows one, too, and a client that trusts somebody else does not get through.
//!
//! `cargo run --example tls` makes an authority and certificates, and starts a broker with them.
//! To use a server instead, name it and the files:
//!
//! `AMPS_URI=tcps://amps.example.com:9443/amps/json AMPS_CA=ca.pem AMPS_CERT=client.pem
//! AMPS_KEY=client.key cargo run --example tls` (without AMPS_CERT, no certificate is shown)

use amps::{Client, Error, TlsConfig};
use amps_broker::{Broker, ServerTls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Where to connect, whom to trust, and what to show.
struct Setup {
    uri: String,
    authority: Vec<u8>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    /// Lives as long as this does.
    _broker: Option<Broker>,
}

fn main() -> Outcome {
    let setup = match std::env::var("AMPS_URI") {
        Ok(uri) => a_server(uri)?,
        Err(_) => a_broker()?,
    };

    let mut config = TlsConfig::new().add_ca_pem(&setup.authority)?;
    if let Some((certificate, key)) = &setup.identity {
        config = config.set_identity_pem(certificate, key)?;
    }
    let client = Client::new("tls-example");
    client.set_tls_config(config)?;
    client.connect(&setup.uri)?;
    client.logon()?;
    println!("logged on by TLS at {}", setup.uri);

    let mut stream = client.subscribe("secrets")?;
    client.publish("secrets", r#"{"for":"your eyes only"}"#)?;
    let message = stream.next_timeout(TIMEOUT)?.ok_or("the stream ended")?;
    println!("received {}", message.data_str()?);
    assert_eq!(message.data_str()?, r#"{"for":"your eyes only"}"#);
    drop(stream);
    client.disconnect()?;

    // The authority of somebody else, and none of the system's.
    let (stranger, _) = authority("a stranger")?;
    let config = TlsConfig::new()
        .set_system_roots(false)
        .add_ca_pem(stranger)?;
    client.set_tls_config(config)?;
    match client.connect(&setup.uri) {
        Err(Error::Connection(context)) => println!("as it should be: {context}"),
        other => return Err(format!("not refused as it should be: {other:?}").into()),
    }
    Ok(())
}

fn a_server(uri: String) -> Outcome<Setup> {
    let file = |variable| -> Outcome<Vec<u8>> { Ok(std::fs::read(std::env::var(variable)?)?) };
    let identity = match std::env::var("AMPS_CERT") {
        Ok(certificate) => Some((std::fs::read(certificate)?, file("AMPS_KEY")?)),
        Err(_) => None,
    };
    Ok(Setup {
        uri,
        authority: file("AMPS_CA")?,
        identity,
        _broker: None,
    })
}

/// A broker that lets in only clients with a certificate of the authority that made its own.
fn a_broker() -> Outcome<Setup> {
    let (authority, issuer) = authority("ours")?;
    let (certificate, key) = issue(&issuer, &["localhost", "127.0.0.1"])?;
    let tls = ServerTls::with_client_certificates(certificate, key, &authority)?;
    let broker = Broker::builder().tls(tls).start()?;
    let (certificate, key) = issue(&issuer, &["tls-example"])?;
    Ok(Setup {
        uri: broker.tls_uri("json"),
        authority: authority.into_bytes(),
        identity: Some((certificate.into_bytes(), key.into_bytes())),
        _broker: Some(broker),
    })
}

/// A new authority: its certificate as PEM, and what it makes certificates with.
fn authority(name: &str) -> Outcome<(String, Issuer<'static, KeyPair>)> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), Issuer::new(params, key)))
}

/// A certificate for these names, and its key, both as PEM.
fn issue(issuer: &Issuer<'_, KeyPair>, names: &[&str]) -> Outcome<(String, String)> {
    let names = names.iter().map(|name| (*name).to_string());
    let mut params = CertificateParams::new(names.collect::<Vec<_>>())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "somebody");
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
