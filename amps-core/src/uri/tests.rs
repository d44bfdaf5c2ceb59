//! Connection strings, rule by rule.

use super::*;
use crate::error::Error;

fn parse(text: &str) -> Result<AmpsUri> {
    AmpsUri::parse(text)
}

#[test]
fn a1_all_parts_are_found() {
    let uri = parse("tcp://ana:pw@example.com:9007/amps/nvfix?tcp_linger=3").unwrap();
    assert_eq!(uri.transport(), Transport::Tcp);
    assert_eq!((uri.user(), uri.password()), ("ana", "pw"));
    assert_eq!((uri.host(), uri.port()), ("example.com", 9007));
    assert_eq!(
        (uri.protocol(), uri.message_type()),
        ("amps", Some("nvfix"))
    );
    assert_eq!(uri.options().tcp_linger, Duration::from_secs(3));
}

#[test]
fn a1_malformed_text_and_unknown_transports_are_told_apart() {
    for text in [
        "",
        "localhost:9007/amps/json",
        "tcp://",
        "tcp://:9007/amps",
        "tcp://host/amps/json",
        "tcp://host:0/amps/json",
        "tcp://host:99999/amps/json",
        "tcp://host:port/amps/json",
        "tcp://host:9007/amps/json/more",
        "tcp://[::1/amps",
        "tcp://host:9007/amps/json#x",
    ] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, Error::InvalidUri(_)), "{text}: {error}");
    }
    for text in [
        "udp://host:9007/amps",
        "http://host:80/",
        "TCP://host:1/amps",
    ] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, Error::TransportType(_)), "{text}: {error}");
    }
}

#[test]
fn a2_legacy_protocols_are_refused_with_a_hint() {
    let error = parse("tcp://host:9007/fix").unwrap_err();
    assert!(matches!(error, Error::MessageType(_)));
    assert!(error.to_string().contains("use /amps/fix"), "{error}");
    assert!(matches!(
        parse("tcp://host:9007/smtp/json").unwrap_err(),
        Error::MessageType(_)
    ));
    assert_eq!(
        parse("tcp://h:1/json").unwrap().message_type(),
        Some("json")
    );
}

#[test]
fn a3_without_a_message_type_none_is_sent() {
    for text in ["tcp://h:1/amps", "tcp://h:1/amps/", "tcp://h:1"] {
        assert_eq!(parse(text).unwrap().message_type(), None, "{text}");
    }
}

#[test]
fn a4_the_options_have_the_defaults_of_the_guide() {
    let options = parse("tcp://h:1/amps/json").unwrap().options().clone();
    assert_eq!(options, TransportOptions::default());
    assert!(!options.tcp_nodelay && options.tcp_keepalive);
    assert_eq!(options.tcp_linger, Duration::from_secs(10));
    let uri = parse(
        "tcps://h:1/amps/json?tcp_nodelay=true&tcp_sndbuf=100000&tcp_rcvbuf=5&tcp_keepalive=N",
    );
    let uri = uri.unwrap();
    assert!(uri.options().tcp_nodelay && !uri.options().tcp_keepalive);
    assert_eq!(uri.options().tcp_sndbuf, Some(100_000));
    assert_eq!(uri.options().tcp_rcvbuf, Some(5));
}

#[test]
fn a4_the_local_address_the_ip_version_and_the_preflight_can_be_chosen() {
    let uri = parse("tcp://h:1/amps/json?bind=[::1]&ip_protocol_prefer=IPv6&http_preflight=true");
    let options = uri.unwrap().options().clone();
    assert_eq!(options.bind, Some("::1".parse().unwrap()));
    assert_eq!(options.ip_protocol_prefer, IpProtocol::Ipv6);
    assert!(options.http_preflight);
    let uri = parse("tcps://h:1/amps/json?bind=10.0.0.7").unwrap();
    assert_eq!(uri.options().bind, Some(IpAddr::from([10, 0, 0, 7])));
}

#[test]
fn a5_the_address_of_a_unix_uri_is_ignored_and_its_path_required() {
    for address in ["localhost:0", "unix:unix", "ana:pw@unix:unix"] {
        let uri = parse(&format!("unix://{address}/amps/json?path=/tmp/the socket")).unwrap();
        assert_eq!(uri.transport(), Transport::Unix);
        assert_eq!(uri.options().path.as_deref(), Some("/tmp/the socket"));
        assert_eq!(uri.message_type(), Some("json"));
    }
    for text in ["unix://localhost:0/amps/json", "unix://u:u/amps?path="] {
        let error = parse(text).unwrap_err();
        assert!(
            matches!(error, Error::InvalidTransportOptions(_)),
            "{error}"
        );
    }
}

/// Trap 18.
#[test]
fn a6_unknown_options_and_bad_values_are_refused() {
    for option in [
        "nodelay=true",
        "tcp_nodelay=maybe",
        "tcp_nodelay",
        "tcp_sndbuf=-1",
        "tcp_sndbuf=x",
        "tcp_linger=4294967295",
        "path=/x",
        "bind=localhost",
        "bind=127.0.0.1:80",
        "ip_protocol_prefer=5",
        "http_preflight=please",
        "compression=zlib",
    ] {
        let error = parse(&format!("tcp://h:1/amps/json?{option}")).unwrap_err();
        assert!(
            matches!(error, Error::InvalidTransportOptions(_)),
            "{option}: {error}"
        );
    }
    let error = parse("unix://h:1/amps?path=/x&tcp_nodelay=1").unwrap_err();
    assert!(matches!(error, Error::InvalidTransportOptions(_)));
}

#[test]
fn a7_credentials_are_percent_decoded() {
    let uri = parse("tcp://an%61:p%40ss%2Fw@h:1/amps/json").unwrap();
    assert_eq!((uri.user(), uri.password()), ("ana", "p@ss/w"));
}

#[test]
fn ipv6_addresses_stand_in_brackets() {
    let uri = parse("tcp://[::1]:9007/amps/json").unwrap();
    assert_eq!((uri.host(), uri.port()), ("::1", 9007));
}

#[test]
fn the_password_is_shown_nowhere() {
    let good = "tcp://ana:s3cret@h:1/amps/json";
    let uri = parse(good).unwrap();
    assert!(!format!("{uri} {uri:?}").contains("s3cret"));
    for text in [
        "tcp://ana:s3cret@h/amps",
        "ana:s3cret@h:1/amps",
        "udp://ana:s3cret@h:1/amps",
        "tcp://ana:s3/cret@h:1/amps",
        "tcp://ana:s3@cret@h/amps",
        "tcp://ana:s3?cret@h:1/amps/json",
        "tcp://ana:33?cret@h:1/amps/json",
        "tcp://ana:33/cret@h:1/amps/json",
        "ana:s3cret@tcp://h:1/amps/json",
        "ana:s3cret@h:1/tcp://x",
        "tcp:/ana:s3cret@h://1",
    ] {
        let error = parse(text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("cret"), "{shown}");
    }
}
