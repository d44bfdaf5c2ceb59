//! Which server to connect to.

use amps_core::{Authenticator, ConnectionInfo, DefaultAuthenticator, Error};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connection that is lost sooner than this after the logon was short-lived.
const SHORT: Duration = Duration::from_secs(1);

/// So many short-lived connections in a row, and a server is left like one that fails.
const MOST_SHORT: u32 = 3;

/// Names the server for each connection attempt of an `HaClient`, and hears how it went.
///
/// Called on the thread that drives the reconnect, one call at a time and with no lock held, so it
/// may take its time: `disconnect` does not wait for it. It only informs: it does not connect, and
/// does not call the client (rule O4). A panic ends the reconnect like an empty answer.
/// Guide §9.3; rules J, O.
pub trait ServerChooser: Send {
    /// The connection string for the next attempt; `None` or an empty one gives up.
    fn current_uri(&mut self) -> Option<String>;

    /// Who logs on at the server that `current_uri` named last. The default logs on with the
    /// password of the connection string.
    fn current_authenticator(&mut self) -> Arc<dyn Authenticator> {
        Arc::new(DefaultAuthenticator)
    }

    /// An attempt failed, or a connection was lost.
    fn report_failure(&mut self, error: &Error, info: &ConnectionInfo);

    /// An attempt succeeded: the client is logged on.
    fn report_success(&mut self, info: &ConnectionInfo);

    /// What there is to say when `current_uri` gives up; it becomes a part of the error.
    fn error(&self) -> String {
        String::new()
    }
}

/// Takes the servers of a list in turn, beginning with the first.
///
/// A failed attempt moves on to the next server, and from the last to the first. A connection that
/// was lost is first tried again where it was; but a server that loses three in a row, each within a
/// second of its logon, counts as one that fails: it accepts everybody and keeps nobody. Clones share the list, so one of them can add and
/// remove servers while a client uses the other; the client sees it at its next attempt.
/// Rules O1 to O3.
///
/// ```
/// use amps_ha::{DefaultServerChooser, ServerChooser};
///
/// let mut chooser = DefaultServerChooser::new()
///     .add("tcp://primary:9007/amps/json")
///     .add("tcp://secondary:9007/amps/json");
/// assert_eq!(chooser.current_uri().as_deref(), Some("tcp://primary:9007/amps/json"));
/// chooser.next();
/// assert_eq!(chooser.current_uri().as_deref(), Some("tcp://secondary:9007/amps/json"));
/// ```
#[derive(Clone, Default)]
pub struct DefaultServerChooser {
    list: Arc<Mutex<List>>,
}

#[derive(Clone)]
struct Server {
    uri: String,
    authenticator: Arc<dyn Authenticator>,
}

#[derive(Default)]
struct List {
    servers: Vec<Server>,
    current: usize,
    /// The server of the attempt under way: its authenticator is asked for next, whatever becomes
    /// of the list meanwhile.
    attempted: Option<Server>,
    /// When the attempt succeeded: the next failure is the loss of a working connection.
    connected: Option<Instant>,
    /// How many short-lived connections there were in a row.
    short: u32,
    error: String,
}

impl List {
    /// Whether a connection was lost that its server may well give us again.
    fn is_plain_loss(&mut self, error: &Error) -> bool {
        let held = self.connected.take().map(|at| at.elapsed());
        let Some(held) = held.filter(|_| matches!(error, Error::Disconnected(_))) else {
            return false;
        };
        self.short = if held < SHORT { self.short + 1 } else { 0 };
        self.short < MOST_SHORT
    }

    fn advance(&mut self) {
        self.short = 0;
        self.current = match self.servers.len() {
            0 => 0,
            count => (self.current + 1) % count,
        };
    }
}

impl DefaultServerChooser {
    /// A list without servers.
    pub fn new() -> DefaultServerChooser {
        DefaultServerChooser::default()
    }

    /// Appends a server, whose logon takes the password of the connection string; returns another
    /// handle of the same list. A server may be in the list more than once.
    pub fn add(&self, uri: impl AsRef<str>) -> DefaultServerChooser {
        self.add_with_authenticator(uri, Arc::new(DefaultAuthenticator))
    }

    /// Appends a server with its authenticator.
    pub fn add_with_authenticator(
        &self,
        uri: impl AsRef<str>,
        authenticator: Arc<dyn Authenticator>,
    ) -> DefaultServerChooser {
        self.list.lock().servers.push(Server {
            uri: uri.as_ref().to_string(),
            authenticator,
        });
        self.clone()
    }

    /// Appends servers.
    pub fn add_all<S: AsRef<str>>(
        &self,
        uris: impl IntoIterator<Item = S>,
    ) -> DefaultServerChooser {
        for uri in uris {
            self.add(uri);
        }
        self.clone()
    }

    /// Takes a server out of the list, wherever it stands in it. The current one stays current;
    /// if it is the one that goes, the one after it takes its place.
    pub fn remove(&self, uri: impl AsRef<str>) {
        let mut list = self.list.lock();
        let mut index = 0;
        while index < list.servers.len() {
            if list.servers[index].uri == uri.as_ref() {
                list.servers.remove(index);
                if index < list.current {
                    list.current -= 1;
                }
            } else {
                index += 1;
            }
        }
        if list.current >= list.servers.len() {
            list.current = 0;
        }
    }

    /// Moves on to the next server, for the next attempt.
    pub fn next(&self) {
        self.list.lock().advance();
    }
}

impl ServerChooser for DefaultServerChooser {
    fn current_uri(&mut self) -> Option<String> {
        let mut list = self.list.lock();
        list.attempted = list.servers.get(list.current).cloned();
        list.attempted.as_ref().map(|server| server.uri.clone())
    }

    fn current_authenticator(&mut self) -> Arc<dyn Authenticator> {
        match &self.list.lock().attempted {
            Some(server) => server.authenticator.clone(),
            None => Arc::new(DefaultAuthenticator),
        }
    }

    fn report_failure(&mut self, error: &Error, _info: &ConnectionInfo) {
        let mut list = self.list.lock();
        list.error = error.to_string();
        if list.is_plain_loss(error) {
            return;
        }
        let attempted = list.attempted.as_ref().map(|server| &server.uri);
        let current = list.servers.get(list.current).map(|server| &server.uri);
        // It may have been removed, or the list moved on, during the attempt.
        if attempted == current {
            list.advance();
        }
    }

    fn report_success(&mut self, _info: &ConnectionInfo) {
        let mut list = self.list.lock();
        list.connected = Some(Instant::now());
        list.error.clear();
    }

    fn error(&self) -> String {
        self.list.lock().error.clone()
    }
}

/// The servers; their passwords are left out.
impl fmt::Debug for DefaultServerChooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list.lock();
        f.debug_struct("DefaultServerChooser")
            .field("servers", &list.servers.len())
            .field("current", &list.current)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amps_core::ErrorContext;

    fn refused() -> Error {
        ErrorContext::new("connect to", "a").ConnectionRefused()
    }

    fn lost() -> Error {
        ErrorContext::new("read from", "a").Disconnected()
    }

    fn info() -> ConnectionInfo {
        ConnectionInfo::default()
    }

    fn current(chooser: &mut DefaultServerChooser) -> String {
        chooser.current_uri().unwrap_or_default()
    }

    #[test]
    fn o1_an_empty_list_has_no_server() {
        let mut chooser = DefaultServerChooser::new();
        assert_eq!(chooser.current_uri(), None);
        chooser.next();
        chooser.report_failure(&refused(), &info());
        assert_eq!(chooser.current_uri(), None);
    }

    #[test]
    fn o2_a_failed_attempt_moves_on_and_wraps() {
        let mut chooser = DefaultServerChooser::new().add_all(["a", "b", "a"]);
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(current(&mut chooser));
            chooser.report_failure(&refused(), &info());
        }
        assert_eq!(seen, ["a", "b", "a", "a"]);
    }

    #[test]
    fn o2_a_lost_connection_is_tried_again_where_it_was() {
        let mut chooser = DefaultServerChooser::new().add("a").add("b");
        assert_eq!(current(&mut chooser), "a");
        chooser.report_success(&info());
        chooser.report_failure(&lost(), &info());
        assert_eq!(current(&mut chooser), "a");
    }

    #[test]
    fn o2_a_server_that_keeps_nobody_is_left() {
        let mut chooser = DefaultServerChooser::new().add("a").add("b");
        for expected in ["a", "a", "a", "b", "b", "b", "a"] {
            assert_eq!(current(&mut chooser), expected);
            chooser.report_success(&info());
            chooser.report_failure(&lost(), &info());
        }
    }

    #[test]
    fn o2_a_server_that_hangs_up_on_every_attempt_is_left() {
        let mut chooser = DefaultServerChooser::new().add("a").add("b");
        assert_eq!(current(&mut chooser), "a");
        chooser.report_failure(&lost(), &info());
        assert_eq!(current(&mut chooser), "b");
    }

    #[test]
    fn o3_success_stays_and_clears_the_error() {
        let mut chooser = DefaultServerChooser::new().add("a").add("b");
        assert_eq!(current(&mut chooser), "a");
        chooser.report_failure(&refused(), &info());
        assert!(chooser.error().contains("connect to a"));
        assert_eq!(current(&mut chooser), "b");
        chooser.report_success(&info());
        assert_eq!(
            (current(&mut chooser), chooser.error()),
            ("b".into(), String::new())
        );
    }

    #[test]
    fn trap_87_removing_a_server_keeps_the_current_one_current() {
        let mut chooser = DefaultServerChooser::new().add_all(["a", "b", "c"]);
        chooser.next();
        chooser.remove("a");
        assert_eq!(current(&mut chooser), "b");
        chooser.remove("b");
        assert_eq!(current(&mut chooser), "c");
        // The failure of "c" must not skip a server, although "c" is gone by now.
        let other = chooser.clone();
        other.add("d").remove("c");
        chooser.report_failure(&refused(), &info());
        assert_eq!(current(&mut chooser), "d");
    }

    #[test]
    fn trap_87_uri_and_authenticator_are_of_one_server() {
        let (one, two): (Arc<dyn Authenticator>, Arc<dyn Authenticator>) =
            (Arc::new(DefaultAuthenticator), Arc::new(Named));
        let mut chooser = DefaultServerChooser::new()
            .add_with_authenticator("a", one)
            .add_with_authenticator("b", two.clone());
        chooser.next();
        assert_eq!(current(&mut chooser), "b");
        let other = chooser.clone();
        other.remove("b");
        assert!(Arc::ptr_eq(&chooser.current_authenticator(), &two));
    }

    /// Not of size zero, so that its address tells it apart.
    struct Named;

    impl Authenticator for Named {
        fn authenticate(&self, _: &str, _: &str) -> amps_core::Result<String> {
            Ok("token".to_string())
        }
        fn retry(&self, _: &str, _: &str) -> amps_core::Result<String> {
            Ok("token".to_string())
        }
        fn completed(&self, _: &str, _: &str, _: &str) {}
    }

    #[test]
    fn debug_shows_no_password() {
        let chooser = DefaultServerChooser::new().add("tcp://u:s3cret@h:1/amps/json");
        assert!(!format!("{chooser:?}").contains("s3cret"));
    }
}
