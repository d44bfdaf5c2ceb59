//! Rule Q2: who is trusted, and how a handshake fails.

use crate::certificates::{Authority, Issued};
use crate::{
    HERE, PATIENCE, assert_handshake_failed, broker, client, eventually, logged_on, trusting,
};
use amps::{Client, Error, Message, TlsConfig, TlsVersion};
use amps_broker::{Broker, ServerTls, framed};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A broker with this certificate, and the error of a client that trusts this authority.
fn refused(shown: &Issued, trusted: &Authority, host: &str) -> Error {
    let tls = ServerTls::new(&shown.chain, &shown.key).unwrap();
    let broker = Broker::builder().tls(tls).start().unwrap();
    let client = client("refused", trusting(trusted));
    client.set_disconnect_handler(|_| panic!("a failed connect calls no disconnect handler"));
    let port = broker.tls_address().unwrap().port();
    let error = client
        .connect(format!("tcps://{host}:{port}/amps/json"))
        .unwrap_err();
    assert!(!client.is_connected());
    error
}

#[test]
fn q2_a_server_of_a_trusted_authority_is_accepted_by_address_and_by_name() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let client = logged_on(&broker, &authority, "trusting");
    let mut stream = client.subscribe("t").unwrap();
    client.publish("t", "hello").unwrap();
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(message.data_str().unwrap(), "hello");
    drop(stream);
    client.disconnect().unwrap();

    let port = broker.tls_address().unwrap().port();
    client
        .connect(format!("tcps://localhost:{port}/amps/json"))
        .unwrap();
    client.logon().unwrap();
    client.disconnect().unwrap();
}

#[test]
fn q2_an_ipv6_address_is_compared_with_the_certificate_as_well() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let authority = Authority::new("ours");
    let broker = |names: &[&str]| {
        let Issued { chain, key } = authority.issue(names);
        let tls = ServerTls::new(chain, key).unwrap();
        let builder = Broker::builder().tls(tls).tls_listen("[::1]:0");
        builder.start().unwrap()
    };
    let client = client("six", trusting(&authority));
    let (right, wrong) = (broker(&["::1"]), broker(&HERE));
    client.connect(right.tls_uri("json")).unwrap();
    client.disconnect().unwrap();
    let error = client.connect(wrong.tls_uri("json")).unwrap_err();
    assert_handshake_failed(&error);
}

#[test]
fn q2_without_a_configuration_only_authorities_of_the_system_are_trusted() {
    let broker = broker(&Authority::new("ours"));
    let error = Client::new("default")
        .connect(broker.tls_uri("json"))
        .unwrap_err();
    assert_handshake_failed(&error);
}

#[test]
fn q2_a_foreign_authority_is_refused() {
    let shown = Authority::new("theirs").issue(&HERE);
    let error = refused(&shown, &Authority::new("ours"), "localhost");
    assert_handshake_failed(&error);
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn q2_an_expired_certificate_is_refused() {
    let authority = Authority::new("ours");
    let shown = authority.issue_expired(&HERE);
    let error = refused(&shown, &authority, "localhost");
    assert_handshake_failed(&error);
    #[cfg(target_os = "linux")]
    assert!(error.to_string().contains("expired"), "{error}");
}

#[test]
fn q2_the_certificate_of_another_host_is_refused() {
    let authority = Authority::new("ours");
    let shown = authority.issue(&["amps.example.com", "10.1.2.3"]);
    for host in HERE {
        let error = refused(&shown, &authority, host);
        assert_handshake_failed(&error);
        #[cfg(target_os = "linux")]
        assert!(error.to_string().contains("mismatch"), "{error}");
    }
}

#[test]
fn the_checks_can_be_turned_off_one_by_one() {
    let authority = Authority::new("ours");
    let broker = |shown: Issued| {
        let tls = ServerTls::new(shown.chain, shown.key).unwrap();
        Broker::builder().tls(tls).start().unwrap()
    };
    let other_host = broker(authority.issue(&["amps.example.com"]));
    let config = trusting(&authority).danger_accept_invalid_hostnames(true);
    let any_host = client("any-host", config);
    any_host.connect(other_host.tls_uri("json")).unwrap();
    any_host.logon().unwrap();

    // Whose certificate it is, is still looked at.
    let foreign = broker(Authority::new("theirs").issue(&HERE));
    any_host.disconnect().unwrap();
    let error = any_host.connect(foreign.tls_uri("json")).unwrap_err();
    assert_handshake_failed(&error);

    let permissive = TlsConfig::new().danger_accept_invalid_certs(true);
    let anybody = client("anybody", permissive.clone());
    anybody.connect(foreign.tls_uri("json")).unwrap();
    anybody.logon().unwrap();

    // What was made of a configuration in use does not outlive a change to it.
    let strict = client("strict", permissive.danger_accept_invalid_certs(false));
    let error = strict.connect(foreign.tls_uri("json")).unwrap_err();
    assert_handshake_failed(&error);
}

#[test]
fn a_server_that_is_older_than_asked_for_is_refused() {
    let authority = Authority::new("ours");
    let Issued { chain, key } = authority.issue(&HERE);
    let tls = ServerTls::tls12_only(chain, key).unwrap();
    let broker = Broker::builder().tls(tls).start().unwrap();
    let client = client("modern", trusting(&authority));
    client.connect(broker.tls_uri("json")).unwrap();
    client.logon().unwrap();
    let mut stream = client.subscribe("t").unwrap();
    client.publish("t", vec![b'x'; 1 << 20]).unwrap();
    let message = stream.next_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(message.data().len(), 1 << 20);
    client.disconnect().unwrap();
    let config = trusting(&authority).set_min_version(TlsVersion::Tls13);
    client.set_tls_config(config).unwrap();
    let error = client.connect(broker.tls_uri("json")).unwrap_err();
    assert_handshake_failed(&error);
}

/// A broker that asks its clients for a certificate of this authority.
fn asking(authority: &Authority) -> Broker {
    let Issued { chain, key } = authority.issue(&HERE);
    let tls = ServerTls::with_client_certificates(chain, key, authority.pem()).unwrap();
    Broker::builder().tls(tls).start().unwrap()
}

#[test]
fn a_client_shows_its_certificate_if_asked() {
    let authority = Authority::new("ours");
    let broker = asking(&authority);
    let own = authority.issue(&["client"]);
    let key = format!("a comment, as some tools write\n{}", own.key);
    let config = trusting(&authority)
        .set_identity_pem(&own.chain, key)
        .unwrap();
    assert!(!format!("{config:?}").contains("PRIVATE"));
    let client = client("known", config);
    client.connect(broker.tls_uri("json")).unwrap();
    client.logon().unwrap();
    client.disconnect().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_shows_its_certificate_out_of_a_pkcs12_archive() {
    use openssl::{pkcs12::Pkcs12, pkey::PKey, x509::X509};

    let authority = Authority::new("ours");
    let broker = asking(&authority);
    let own = authority.issue(&["client"]);
    let archive = Pkcs12::builder()
        .cert(&X509::from_pem(own.chain.as_bytes()).unwrap())
        .pkey(&PKey::private_key_from_pem(own.key.as_bytes()).unwrap())
        .build2("s3cret")
        .and_then(|archive| archive.to_der())
        .unwrap();
    let error = trusting(&authority)
        .set_identity_pkcs12(&archive, "wrong")
        .unwrap_err();
    assert!(
        matches!(error, Error::InvalidTransportOptions(_)),
        "{error}"
    );
    let config = trusting(&authority)
        .set_identity_pkcs12(&archive, "s3cret")
        .unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    let client = client("archived", config);
    client.connect(broker.tls_uri("json")).unwrap();
    client.logon().unwrap();
}

#[test]
fn a_client_without_the_certificate_that_is_asked_for_is_told_so() {
    let authority = Authority::new("ours");
    let broker = asking(&authority);
    let foreign = Authority::new("theirs").issue(&["client"]);
    let with_foreign = trusting(&authority)
        .set_identity_pem(foreign.chain, foreign.key)
        .unwrap();
    for config in [trusting(&authority), with_foreign] {
        let client = client("unknown", config);
        let (sender, told) = mpsc::channel();
        client.set_exception_listener(move |error| {
            let _ = sender.send(error.to_string());
        });
        // With TLS 1.3 the client is done before the server looks at its certificate, so
        // connecting may succeed.
        let error = client
            .connect(broker.tls_uri("json"))
            .and_then(|()| client.logon())
            .unwrap_err();
        assert!(error.is_connection_error(), "{error}");
        let reason = match error {
            Error::Connection(_) => error.to_string(),
            _ => told.recv_timeout(PATIENCE).unwrap(),
        };
        let says_why = reason.contains("certificate") || reason.contains("unknown ca");
        assert!(says_why, "{reason}");
    }
}

/// Accepts one connection, reads what comes, and says this and nothing more until the returned
/// sender is dropped.
fn mute_server(says: &'static [u8]) -> (SocketAddr, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, until) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(says);
        let _: Result<(), _> = until.recv();
    });
    (address, sender)
}

/// The beginning of a record that promises 100 bytes.
const HALF_A_RECORD: &[u8] = &[22, 3, 3, 0, 100, 2, 0];

#[test]
fn a_peer_that_stops_in_the_middle_of_the_handshake_times_out() {
    for says in [b"", HALF_A_RECORD] {
        let (address, _until) = mute_server(says);
        let client = Client::new("patient");
        // The first time takes longer, because the system's authorities are read.
        let nobody = "tcps://127.0.0.1:1/amps/json";
        assert!(matches!(
            client.connect(nobody),
            Err(Error::ConnectionRefused(_))
        ));
        client.set_connect_timeout(Duration::from_secs(1));
        let start = Instant::now();
        let error = client
            .connect(format!("tcps://{address}/amps/json"))
            .unwrap_err();
        assert!(matches!(error, Error::TimedOut(_)), "{error}");
        assert!(start.elapsed() >= Duration::from_secs(1));
        assert!(start.elapsed() < Duration::from_secs(10));
        assert!(error.to_string().contains("TLS handshake"), "{error}");
        assert!(!client.is_connected());
    }
}

#[test]
fn a_handshake_ends_at_once_when_another_thread_disconnects() {
    let (address, _until) = mute_server(HALF_A_RECORD);
    let client = Client::new("impatient");
    client.set_connect_timeout(Duration::from_secs(60));
    thread::scope(|scope| {
        let connect = scope.spawn(|| client.connect(format!("tcps://{address}/amps/json")));
        // Disconnecting before the dial has begun does nothing, so it is repeated.
        eventually("the handshake ends", || {
            client.disconnect().unwrap();
            connect.is_finished()
        });
        let error = connect.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Disconnected(_)), "{error}");
    });
    assert!(!client.is_connected());
}

#[test]
fn a_server_without_tls_is_no_tls_server() {
    let broker = Broker::builder().start().unwrap();
    let uri = broker.uri("json").replace("tcp://", "tcps://");
    let client = Client::new("hopeful");
    assert_handshake_failed(&client.connect(uri).unwrap_err());

    let (address, _until) = mute_server(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let uri = format!("tcps://{address}/amps/json");
    assert_handshake_failed(&client.connect(uri).unwrap_err());
}

#[test]
fn a_client_without_tls_is_turned_away_by_a_tls_server() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let uri = broker.tls_uri("json").replace("tcps://", "tcp://");
    let client = Client::new("plain");
    client.connect(uri).unwrap();
    let error = client.logon().unwrap_err();
    assert!(error.is_connection_error(), "{error}");
    assert!(!client.is_logged_on());
}

#[test]
fn the_configuration_is_fixed_while_connected() {
    let authority = Authority::new("ours");
    let broker = broker(&authority);
    let client = logged_on(&broker, &authority, "fixed");
    let error = client.set_tls_config(TlsConfig::new()).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
    client.disconnect().unwrap();
    client.connect(broker.tls_uri("json")).unwrap();
    client.disconnect().unwrap();
    client.set_tls_config(TlsConfig::new()).unwrap();
    assert_handshake_failed(&client.connect(broker.tls_uri("json")).unwrap_err());
}

#[test]
fn q5_the_preflight_goes_through_tls() {
    let authority = Authority::new("ours");
    let (peer, uri) = crate::peer::Peer::listen(&authority);
    let client = client("preflight", trusting(&authority));
    client
        .add_http_preflight_header_kv("Authorization", "Bearer abc")
        .unwrap();
    let (sender, received) = mpsc::channel();
    client.set_last_chance_message_handler(move |message: &Message| {
        let _ = sender.send(message.topic().to_string());
    });
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut peer = peer.accept();
            let request = peer.read_head();
            // The first frame comes in the same record as the answer.
            let mut answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
            answer.extend(framed(br#"{"c":"publish","t":"early"}"#));
            peer.write(&answer);
            peer.answer_logon();
            (request, peer)
        });
        client
            .connect(format!("{uri}?http_preflight=true"))
            .unwrap();
        assert_eq!(received.recv_timeout(PATIENCE).unwrap(), "early");
        client.logon().unwrap();
        let (request, _peer) = server.join().unwrap();
        assert!(request.starts_with("GET /amps/json HTTP/1.1\r\n"));
        assert!(request.contains("\r\nAuthorization: Bearer abc\r\n"));
    });
}
