//! Connection strings.

#[cfg(doc)]
use crate::error::Error;
use crate::error::{ErrorContext, Result};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use url::{Host, Url};

/// Which network a connection uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// `tcp`: TCP/IP.
    Tcp,
    /// `tcps`: TLS over TCP/IP.
    Tcps,
    /// `unix`: a Unix domain socket.
    Unix,
}

impl Transport {
    /// As a connection string names it: `tcp`, `tcps` or `unix`.
    pub const fn scheme(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Tcps => "tcps",
            Transport::Unix => "unix",
        }
    }
}

/// The options of a connection string, with the defaults of guide §3.4.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportOptions {
    /// `tcp_rcvbuf`: size of the socket's receive buffer in bytes; default: the system's.
    pub tcp_rcvbuf: Option<u32>,
    /// `tcp_sndbuf`: size of the socket's send buffer in bytes; default: the system's.
    pub tcp_sndbuf: Option<u32>,
    /// `tcp_nodelay`: sends small messages at once; default false.
    pub tcp_nodelay: bool,
    /// `tcp_linger`: how long, in whole seconds, a deliberate disconnect may take to deliver what
    /// was sent; default 10 s. The wait is never longer than 1 s (see `Client::disconnect`).
    pub tcp_linger: Duration,
    /// `tcp_keepalive`: lets the system probe an idle connection; default true.
    pub tcp_keepalive: bool,
    /// `bind`: the local address to connect from; default: the system's choice. Addresses of the
    /// other IP version are then not tried.
    pub bind: Option<IpAddr>,
    /// `ip_protocol_prefer`: which addresses of a host name are tried first, `ipv4` or `ipv6`;
    /// default `ipv4`.
    pub ip_protocol_prefer: IpProtocol,
    /// `http_preflight`: begins with an HTTP request to switch protocols; default false. See
    /// `Client::add_http_preflight_header`.
    pub http_preflight: bool,
    /// `path`: the socket file of a `unix` connection.
    pub path: Option<String>,
}

/// A version of the Internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpProtocol {
    /// `ipv4`.
    Ipv4,
    /// `ipv6`.
    Ipv6,
}

impl Default for TransportOptions {
    fn default() -> Self {
        TransportOptions {
            tcp_rcvbuf: None,
            tcp_sndbuf: None,
            tcp_nodelay: false,
            tcp_linger: Duration::from_secs(10),
            tcp_keepalive: true,
            bind: None,
            ip_protocol_prefer: IpProtocol::Ipv4,
            http_preflight: false,
            path: None,
        }
    }
}

/// A connection string, taken apart: `tcp://user:password@host:port/amps/json?option=value`.
///
/// Guide §3.3 and §3.4; rules A1 to A7. [`Display`](fmt::Display) and [`Debug`](fmt::Debug) never
/// show the password.
///
/// ```
/// use amps_core::AmpsUri;
///
/// let uri = AmpsUri::parse("tcp://ana:s3cret@localhost:9007/amps/json?tcp_nodelay=true")?;
/// assert_eq!((uri.host(), uri.port()), ("localhost", 9007));
/// assert_eq!(uri.message_type(), Some("json"));
/// assert!(uri.options().tcp_nodelay);
/// assert_eq!(
///     uri.to_string(),
///     "tcp://ana:***@localhost:9007/amps/json?tcp_nodelay=true"
/// );
/// # Ok::<(), amps_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct AmpsUri {
    transport: Transport,
    user: String,
    password: String,
    host: String,
    port: u16,
    message_type: Option<String>,
    options: TransportOptions,
    shown: String,
}

impl AmpsUri {
    /// Takes a connection string apart.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUri`] for malformed text, [`Error::TransportType`] for a transport other
    /// than `tcp`, `tcps` and `unix`, [`Error::MessageType`] for a protocol other than `amps`, and
    /// [`Error::InvalidTransportOptions`] for an option that is unknown, has a bad value or is
    /// missing.
    pub fn parse(text: impl AsRef<str>) -> Result<AmpsUri> {
        let text = text.as_ref().trim();
        Parts {
            shown: redact(text),
        }
        .parse(text)
    }

    /// The network.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The user, with percent escapes undone; empty if there is none.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password, with percent escapes undone; empty if there is none.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The host name or address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 for a Unix socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The protocol: always `amps`.
    pub fn protocol(&self) -> &str {
        "amps"
    }

    /// The message type; `None` leaves the choice to the server's transport.
    pub fn message_type(&self) -> Option<&str> {
        self.message_type.as_deref()
    }

    /// The options.
    pub fn options(&self) -> &TransportOptions {
        &self.options
    }
}

/// The connection string as it was given, with `***` for the password.
impl fmt::Display for AmpsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for AmpsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AmpsUri({:?})", self.shown)
    }
}

/// What stays the same while one connection string is taken apart: how errors show it.
struct Parts {
    shown: String,
}

impl Parts {
    fn parse(self, text: &str) -> Result<AmpsUri> {
        let is_scheme = |scheme: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            !scheme.is_empty() && scheme.bytes().all(allowed)
        };
        let parts = text.split_once("://");
        let Some((scheme, rest)) = parts.filter(|(scheme, _)| is_scheme(scheme)) else {
            return Err(self
                .wrong("it has no transport (such as tcp://)")
                .InvalidUri());
        };
        let transport = match scheme {
            "tcp" => Transport::Tcp,
            "tcps" => Transport::Tcps,
            "unix" => Transport::Unix,
            other => {
                let reason = format!("the transport is '{other}', not tcp, tcps or unix");
                return Err(self.wrong(reason).TransportType());
            }
        };
        // Refused here, before an error text can quote what was meant to be a password.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if transport != Transport::Unix && rest[authority.len()..].contains('@') {
            let reason = "a '@' stands outside the credentials; write it as %40";
            return Err(self.wrong(reason).InvalidUri());
        }
        let url = if transport == Transport::Unix {
            Url::parse(&with_placeholder_address(rest))
        } else {
            Url::parse(text)
        };
        let url = url.map_err(|error| {
            let reason = error.to_string();
            self.wrong(reason).with_source(error).InvalidUri()
        })?;
        if url.fragment().is_some() {
            return Err(self.wrong("it contains a '#'").InvalidUri());
        }
        let (host, port) = match transport {
            Transport::Unix => ("localhost".to_string(), 0),
            _ => self.address(&url)?,
        };
        Ok(AmpsUri {
            transport,
            user: self.decode(url.username())?,
            password: self.decode(url.password().unwrap_or_default())?,
            host,
            port,
            message_type: self.message_type(&url)?,
            options: self.options(&url, transport)?,
            shown: self.shown,
        })
    }

    fn wrong(&self, reason: impl Into<String>) -> ErrorContext {
        ErrorContext::new("connect to", &self.shown).with_reason(reason)
    }

    fn address(&self, url: &Url) -> Result<(String, u16)> {
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Domain(name)) if !name.is_empty() => self.decode(name)?,
            _ => return Err(self.wrong("the host is missing").InvalidUri()),
        };
        match url.port() {
            Some(0) => Err(self.wrong("the port is 0").InvalidUri()),
            Some(port) => Ok((host, port)),
            None => Err(self.wrong("the port is missing").InvalidUri()),
        }
    }

    /// The message type, after the protocol was checked: `/amps/json`, `/amps`, or `/json`, which
    /// the server takes as a synonym of `/amps/json`.
    fn message_type(&self, url: &Url) -> Result<Option<String>> {
        let path = url.path().trim_matches('/');
        let (protocol, message_type) = match path.split_once('/') {
            Some((protocol, message_type)) => (protocol, Some(message_type)),
            None => (path, None),
        };
        match (protocol, message_type) {
            ("" | "amps", None) => Ok(None),
            ("json", None) => Ok(Some("json".to_string())),
            ("amps", Some(message_type)) if !message_type.contains('/') => {
                Ok(Some(self.decode(message_type)?))
            }
            ("amps", Some(_)) => Err(self.wrong("the path has too many parts").InvalidUri()),
            ("fix" | "nvfix" | "xml" | "soap", _) => {
                let reason = format!(
                    "the legacy protocol '{protocol}' is not supported; use /amps/{protocol}"
                );
                Err(self.wrong(reason).MessageType())
            }
            (other, _) => {
                let reason = format!("the protocol is '{other}', not amps");
                Err(self.wrong(reason).MessageType())
            }
        }
    }

    fn options(&self, url: &Url, transport: Transport) -> Result<TransportOptions> {
        let mut options = TransportOptions::default();
        for (key, value) in url.query_pairs() {
            let tcp = transport != Transport::Unix;
            match &*key {
                "tcp_rcvbuf" if tcp => options.tcp_rcvbuf = Some(self.integer(&key, &value)?),
                "tcp_sndbuf" if tcp => options.tcp_sndbuf = Some(self.integer(&key, &value)?),
                "tcp_nodelay" if tcp => options.tcp_nodelay = self.boolean(&key, &value)?,
                "tcp_keepalive" if tcp => options.tcp_keepalive = self.boolean(&key, &value)?,
                "tcp_linger" if tcp => {
                    let seconds = self.integer(&key, &value)?;
                    options.tcp_linger = Duration::from_secs(seconds.into());
                }
                "bind" if tcp => options.bind = Some(self.local_address(&value)?),
                "ip_protocol_prefer" if tcp => {
                    options.ip_protocol_prefer = self.ip_protocol(&value)?;
                }
                "http_preflight" if tcp => options.http_preflight = self.boolean(&key, &value)?,
                "compression" if tcp => {
                    let reason = "compression is not supported by this version";
                    return Err(self.wrong(reason).InvalidTransportOptions());
                }
                "path" if !tcp && !value.is_empty() => options.path = Some(value.into_owned()),
                _ => {
                    let reason = format!("'{key}' is not an option of {}", url.scheme());
                    return Err(self.wrong(reason).InvalidTransportOptions());
                }
            }
        }
        if transport == Transport::Unix && options.path.is_none() {
            let reason = "the option 'path' is missing";
            return Err(self.wrong(reason).InvalidTransportOptions());
        }
        Ok(options)
    }

    fn local_address(&self, value: &str) -> Result<IpAddr> {
        let bare = value
            .strip_prefix('[')
            .and_then(|value| value.strip_suffix(']'));
        bare.unwrap_or(value).parse().map_err(|error| {
            let reason = format!("bind is an IP address of this machine, not '{value}'");
            self.wrong(reason)
                .with_source(error)
                .InvalidTransportOptions()
        })
    }

    fn ip_protocol(&self, value: &str) -> Result<IpProtocol> {
        match value.to_ascii_lowercase().as_str() {
            "ipv4" => Ok(IpProtocol::Ipv4),
            "ipv6" => Ok(IpProtocol::Ipv6),
            _ => {
                let reason = format!("ip_protocol_prefer is ipv4 or ipv6, not '{value}'");
                Err(self.wrong(reason).InvalidTransportOptions())
            }
        }
    }

    fn integer(&self, key: &str, value: &str) -> Result<u32> {
        value
            .parse::<u32>()
            .ok()
            .filter(|&number| i32::try_from(number).is_ok())
            .ok_or_else(|| {
                let reason = format!("'{value}' is not a number that {key} can take");
                self.wrong(reason).InvalidTransportOptions()
            })
    }

    fn boolean(&self, key: &str, value: &str) -> Result<bool> {
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" | "y" | "yes" => Ok(true),
            "false" | "0" | "f" | "n" | "no" => Ok(false),
            _ => {
                let reason = format!("{key} is true or false, not '{value}'");
                Err(self.wrong(reason).InvalidTransportOptions())
            }
        }
    }

    fn decode(&self, text: &str) -> Result<String> {
        match percent_decode_str(text).decode_utf8() {
            Ok(decoded) => Ok(decoded.into_owned()),
            Err(error) => Err(self
                .wrong("a percent escape is not UTF-8")
                .with_source(error)
                .InvalidUri()),
        }
    }
}

/// A Unix URI whose host and port, which are ignored and may be any words (guide §3.4), are such
/// that a URL parser takes them. `rest` is what follows `unix://`.
fn with_placeholder_address(rest: &str) -> String {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("unix://{credentials}@localhost:0{path}"),
        None => format!("unix://localhost:0{path}"),
    }
}

/// The text with `***` where a password is; works on text that is no URI, too.
pub(crate) fn redact(text: &str) -> String {
    // The last '@' of the whole text: a password that was not percent-encoded may hold '/', '?'
    // or '@', and hiding too much of a wrong URI is better than showing a part of a password.
    let Some(at) = text.rfind('@') else {
        return text.to_string();
    };
    let scheme = text.find("://").map(|at| at + 3);
    let start = scheme.filter(|&start| start <= at).unwrap_or(0);
    match text[start..at].find(':') {
        Some(colon) => format!("{}:***{}", &text[..start + colon], &text[at..]),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests;
