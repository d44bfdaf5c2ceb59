//! From the flags about the server to a connection string.

use crate::failure::Failure;
use amps::{AmpsUri, Transport};

/// What the command line says about a server. A flag that is not given is `None`.
#[derive(Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) server: &'a str,
    pub(crate) message_type: Option<&'a str>,
    pub(crate) proto: Option<&'a str>,
    pub(crate) secure: Option<bool>,
    pub(crate) scheme: Option<&'a str>,
    pub(crate) options: Option<&'a str>,
}

/// Where to connect to. Without `Debug`: `uri` may hold a password; `parts` shows none.
pub(crate) struct Target {
    pub(crate) uri: String,
    pub(crate) parts: AmpsUri,
}

impl Target {
    fn new(uri: String) -> Result<Target, Failure> {
        let parts = AmpsUri::parse(&uri)?;
        Ok(Target { uri, parts })
    }

    /// A second server for the same messages: what its address does not say is as for the first.
    pub(crate) fn second(&self, server: &str) -> Result<Target, Failure> {
        if is_uri(server) {
            return Target::new(server.to_string());
        }
        Given {
            server,
            message_type: self.parts.message_type(),
            proto: None,
            secure: Some(self.parts.transport() == Transport::Tcps),
            scheme: None,
            options: None,
        }
        .target()
    }
}

impl Given<'_> {
    /// # Errors
    ///
    /// [`Failure::Usage`], or what the library says of the connection string; neither shows a
    /// password.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        if let Some(legacy @ ("fix" | "nvfix" | "xml")) = self.proto {
            return Err(Failure::Usage(format!(
                "-proto {legacy}: the legacy protocols are not supported; for such messages over \
                 the amps protocol use -type {legacy}"
            )));
        }
        // The older way to say amps.
        let proto = self
            .proto
            .map(|proto| if proto == "json" { "amps" } else { proto });
        if is_uri(self.server) {
            return self.checked(proto);
        }
        let scheme = match self.secure {
            Some(true) => "tcps",
            _ => "tcp",
        };
        let mut uri = format!(
            "{}://{}/{}/{}",
            self.scheme.unwrap_or(scheme),
            self.server.trim_end_matches('/'),
            proto.unwrap_or("amps"),
            self.message_type.unwrap_or("json"),
        );
        if let Some(options) = self.options {
            uri.push('?');
            uri.push_str(options.trim_start_matches('?'));
        }
        Target::new(uri)
    }

    /// A full URI says everything; a flag may repeat that, but not contradict it.
    fn checked(&self, proto: Option<&str>) -> Result<Target, Failure> {
        let target = Target::new(self.server.trim().to_string())?;
        let parts = &target.parts;
        let scheme = target.uri.split("://").next();
        let is_secure = parts.transport() == Transport::Tcps;
        let contradicts = |flag: Option<&str>, uri: Option<&str>| flag.is_some() && flag != uri;
        let flag = if contradicts(self.message_type, parts.message_type()) {
            "-type"
        } else if contradicts(proto, Some(parts.protocol())) {
            "-proto"
        } else if contradicts(self.scheme, scheme) {
            "-urischeme"
        } else if self.scheme.is_none() && self.secure.is_some_and(|secure| secure != is_secure) {
            "-secure"
        } else if self.options.is_some() {
            "-uriopts"
        } else {
            return Ok(target);
        };
        Err(Failure::Usage(format!(
            "{flag} and the full URI in -server do not go together: leave out the flag, or write \
             -server as host:port"
        )))
    }
}

fn is_uri(server: &str) -> bool {
    server.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Given<'_> = Given {
        server: "localhost:9007",
        message_type: None,
        proto: None,
        secure: None,
        scheme: None,
        options: None,
    };

    fn uri(given: Given<'_>) -> String {
        given.target().map(|target| target.uri).unwrap()
    }

    fn error(given: Given<'_>) -> Failure {
        match given.target() {
            Ok(target) => panic!("made {}", target.uri),
            Err(error) => error,
        }
    }

    #[test]
    fn host_and_port_are_enough() {
        for server in ["localhost:9007", "localhost:9007/"] {
            assert_eq!(
                uri(Given { server, ..PLAIN }),
                "tcp://localhost:9007/amps/json"
            );
        }
    }

    #[test]
    fn every_flag_has_its_place_in_the_uri() {
        let given = Given {
            server: "ana:pw@[::1]:9007",
            message_type: Some("nvfix"),
            proto: Some("json"),
            secure: Some(true),
            scheme: None,
            options: Some("tcp_nodelay=true"),
        };
        assert_eq!(
            uri(given),
            "tcps://ana:pw@[::1]:9007/amps/nvfix?tcp_nodelay=true"
        );
    }

    #[test]
    fn the_scheme_goes_before_secure() {
        let scheme = Some("unix");
        let options = Some("?path=/tmp/amps");
        let secure = Some(true);
        let given = Given {
            scheme,
            secure,
            options,
            ..PLAIN
        };
        assert_eq!(uri(given), "unix://localhost:9007/amps/json?path=/tmp/amps");
        let secure = Some(false);
        assert!(uri(Given { secure, ..PLAIN }).starts_with("tcp://"));
    }

    #[test]
    fn a_full_uri_is_taken_as_it_is() {
        let server = "tcps://ana:pw@host:1/amps/fix?tcp_nodelay=true";
        let given = Given { server, ..PLAIN };
        assert_eq!(uri(given), server);
        let (message_type, secure) = (Some("fix"), Some(true));
        let repeated = Given {
            message_type,
            secure,
            proto: Some("amps"),
            ..given
        };
        assert_eq!(uri(repeated), server);
    }

    #[test]
    fn a_flag_that_contradicts_the_uri_is_named_and_no_password_is_shown() {
        let plain = Given {
            server: "tcp://ana:secret@host:1/amps/json",
            ..PLAIN
        };
        for (flag, given) in [
            (
                "-type",
                Given {
                    message_type: Some("fix"),
                    ..plain
                },
            ),
            (
                "-proto",
                Given {
                    proto: Some("soap"),
                    ..plain
                },
            ),
            (
                "-secure",
                Given {
                    secure: Some(true),
                    ..plain
                },
            ),
            (
                "-urischeme",
                Given {
                    scheme: Some("tcps"),
                    ..plain
                },
            ),
            (
                "-uriopts",
                Given {
                    options: Some("tcp_nodelay=1"),
                    ..plain
                },
            ),
        ] {
            let error = error(given);
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.starts_with(flag), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn what_makes_no_uri_is_wrong_usage_and_shows_no_password() {
        for given in [
            Given {
                server: "localhost",
                ..PLAIN
            },
            Given {
                server: "ana:secret@localhost",
                ..PLAIN
            },
            Given {
                server: "ana:sec@ret/@localhost:9007",
                ..PLAIN
            },
            Given {
                server: "ana:secret@localhost:99999",
                ..PLAIN
            },
            Given {
                proto: Some("fix"),
                ..PLAIN
            },
            Given {
                proto: Some("soap"),
                ..PLAIN
            },
            Given {
                scheme: Some("http"),
                ..PLAIN
            },
            Given {
                options: Some("nodelay"),
                ..PLAIN
            },
        ] {
            let error = error(given);
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(!error.to_string().contains("ret"), "{error}");
        }
    }

    #[test]
    fn a_second_server_is_as_the_first_unless_it_says_otherwise() {
        let server = "tcps://one:1/amps/fix";
        let first = Given { server, ..PLAIN }.target().ok().unwrap();
        let second = |server| first.second(server).ok().unwrap().uri;
        assert_eq!(second("two:2"), "tcps://two:2/amps/fix");
        assert_eq!(second("tcp://two:2/amps/json"), "tcp://two:2/amps/json");
    }
}
