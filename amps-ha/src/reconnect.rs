//! The reconnect loop: choose, delay, connect, log on, report, recover; and again.

use crate::chooser::ServerChooser;
use crate::delay::ReconnectDelayStrategy;
use crate::lend::Lend;
use amps_core::supervise::{Recovery, Supervisor};
use amps_core::{
    AmpsUri, Authenticator, ConnectionInfo, Error, ErrorContext, LogonOptions, Result,
};
use log::{info, warn};
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connection that is lost sooner than this after it was made did not succeed: the delays go on
/// growing, so that a server that accepts everybody and keeps nobody is not stormed.
const PROVEN: Duration = Duration::from_secs(1);

/// Keeps the connection of one client. Holds no handle of it: the client holds this.
pub(crate) struct Reconnect {
    pub(crate) settings: Mutex<Settings>,
    chooser: Lend<Box<dyn ServerChooser>>,
    delays: Lend<Box<dyn ReconnectDelayStrategy>>,
    flapping: Mutex<Flapping>,
}

/// What the application configures; seen at the next attempt.
pub(crate) struct Settings {
    /// Zero is no limit.
    pub(crate) timeout: Duration,
    pub(crate) logon_options: String,
    /// Zero with a strategy of the application's own.
    pub(crate) reconnect_delay: Duration,
}

/// Whether connections are lost as soon as they are made.
#[derive(Default)]
struct Flapping {
    /// When the last connection was made.
    connected: Option<Instant>,
    /// It was lost before it had proven itself.
    is_flapping: bool,
}

impl Reconnect {
    pub(crate) fn new(
        settings: Settings,
        chooser: impl ServerChooser + 'static,
        delays: impl ReconnectDelayStrategy + 'static,
    ) -> Reconnect {
        Reconnect {
            settings: Mutex::new(settings),
            chooser: Lend::new(Box::new(chooser)),
            delays: Lend::new(Box::new(delays)),
            flapping: Mutex::default(),
        }
    }

    pub(crate) fn set_chooser(&self, chooser: impl ServerChooser + 'static) {
        self.chooser.replace(Box::new(chooser));
    }

    pub(crate) fn set_delays(&self, delays: impl ReconnectDelayStrategy + 'static) {
        self.delays.replace(Box::new(delays));
    }

    /// Connects for the first time, or anew after a disconnect or after a loop that gave up.
    pub(crate) fn connect(&self, recovery: Recovery) -> Result<()> {
        let mut run = Run::new(self, recovery);
        *self.flapping.lock() = Flapping::default();
        run.with_delays(|delays| delays.reset())?;
        run.until_recovered()
    }
}

impl Supervisor for Reconnect {
    fn lost(&self, recovery: Recovery, error: &Error) {
        let mut run = Run::new(self, recovery);
        if let Err(error) = run.after(error) {
            let is_over = run.is_over();
            let recovery = run.recovery;
            match is_over {
                true => drop(recovery),
                false => recovery.give_up(&error),
            }
        }
    }

    fn may_connect(&self) -> Result<()> {
        Err(ErrorContext::new("connect", "")
            .with_reason("an HaClient is connected by connect_and_logon alone")
            .Usage())
    }
}

/// How an attempt ended without success.
enum Failure {
    /// The chooser hears of it, and the loop goes on.
    Attempt(Error),
    /// The loop ends.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // No other attempt changes what is wrong with a store.
            Error::Store(_) => Failure::Final(error),
            error => Failure::Attempt(error),
        }
    }
}

/// One run of the loop. There is one at a time: the recovery is the right to it.
struct Run<'a> {
    reconnect: &'a Reconnect,
    recovery: Recovery,
    name: String,
    /// The server of the attempt at hand, for the chooser and the log.
    server: ConnectionInfo,
}

impl<'a> Run<'a> {
    fn new(reconnect: &'a Reconnect, recovery: Recovery) -> Run<'a> {
        Run {
            reconnect,
            name: recovery.name(),
            recovery,
            server: ConnectionInfo::default(),
        }
    }

    /// Makes a loss good.
    fn after(&mut self, error: &Error) -> Result<()> {
        let uri = self.recovery.client().and_then(|client| client.uri());
        self.server = describe(&uri.unwrap_or_default(), &self.name);
        info!("{} reconnects", self.name);
        self.note_loss()?;
        self.report_failure(error)?;
        self.until_recovered()
    }

    /// The loop (rule J1). Ends with a client that is recovered, or with the reason why there will
    /// be none.
    fn until_recovered(&mut self) -> Result<()> {
        for number in 1_u64.. {
            let error = match self.attempt() {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Attempt(error)) => error,
            };
            if self.is_over() {
                break;
            }
            warn!(
                "{}: attempt {number} at {} failed: {error}",
                self.name, self.server
            );
            self.report_failure(&error)?;
        }
        Err(self.cancelled())
    }

    /// One attempt, in the order of the guide: choose, delay, connect, log on, report, recover.
    fn attempt(&mut self) -> Result<(), Failure> {
        let (uri, authenticator) = self.choose().map_err(Failure::Final)?;
        self.server = describe(&uri, &self.name);
        let delay = self.delay(&uri).map_err(Failure::Final)?;
        if !self.recovery.sleep(delay) {
            return Err(Failure::Final(self.cancelled()));
        }
        let (timeout, options) = {
            let settings = self.reconnect.settings.lock();
            (settings.timeout, settings.logon_options.clone())
        };
        let begun = Instant::now();
        self.recovery.connect(&uri, timeout)?;
        let options = LogonOptions::new()
            .set_timeout(rest_of(timeout, begun))
            .set_authenticator(authenticator)
            .set_options(options);
        self.recovery.logon(&options)?;
        self.report_success().map_err(Failure::Final)?;
        self.recovery.restore()?;
        self.recovery.finish()?;
        // From here on the next loss is another run's, which may have the strategy already.
        if let Err(error) = self.succeeded()
            && !matches!(error, Error::Disconnected(_))
        {
            self.recovery.report(&error);
        }
        Ok(())
    }

    /// The server for the next attempt, and who logs on there.
    fn choose(&self) -> Result<(String, Arc<dyn Authenticator>)> {
        let choice = self.with_chooser(|chooser| {
            match chooser.current_uri().filter(|uri| !uri.is_empty()) {
                Some(uri) => Ok((uri, chooser.current_authenticator())),
                None => Err(chooser.error()),
            }
        })?;
        choice.map_err(|said| {
            let mut reason = String::from("the server chooser has no server");
            if !said.is_empty() {
                reason = format!("{reason}: {said}");
            }
            self.context().with_reason(reason).Connection()
        })
    }

    fn delay(&self, uri: &str) -> Result<Duration> {
        let delay = self.with_delays(|delays| delays.connect_wait_duration(uri))?;
        delay.map_err(|error| {
            self.context()
                .with_reason(format!("the delay strategy gave up: {error}"))
                .with_source(error)
                .Connection()
        })
    }

    fn report_failure(&self, error: &Error) -> Result<()> {
        self.with_chooser(|chooser| chooser.report_failure(error, &self.server))
    }

    fn report_success(&self) -> Result<()> {
        let client = self.recovery.client();
        let info = client.map_or_else(|| self.server.clone(), |client| client.connection_info());
        self.with_chooser(|chooser| chooser.report_success(&info))
    }

    /// Lets the delays begin again, unless the last connection was lost as soon as it was made.
    fn succeeded(&self) -> Result<()> {
        let is_flapping = {
            let mut flapping = self.reconnect.flapping.lock();
            flapping.connected = Some(Instant::now());
            flapping.is_flapping
        };
        match is_flapping {
            true => Ok(()),
            false => self.with_delays(|delays| delays.reset()),
        }
    }

    /// Notes whether the connection that was lost had proven itself. If it had, the delays begin
    /// again, if they have not yet.
    fn note_loss(&self) -> Result<()> {
        let reset = {
            let mut flapping = self.reconnect.flapping.lock();
            let held = flapping.connected.is_some_and(|at| at.elapsed() >= PROVEN);
            let was_flapping = std::mem::replace(&mut flapping.is_flapping, !held);
            held && was_flapping
        };
        match reset {
            true => self.with_delays(|delays| delays.reset()),
            false => Ok(()),
        }
    }

    fn with_chooser<R>(&self, call: impl FnOnce(&mut dyn ServerChooser) -> R) -> Result<R> {
        let chooser = &self.reconnect.chooser;
        self.guarded("server chooser", || {
            chooser.with(
                || self.recovery.is_cancelled(),
                |chooser| call(&mut **chooser),
            )
        })
    }

    fn with_delays<R>(&self, call: impl FnOnce(&mut dyn ReconnectDelayStrategy) -> R) -> Result<R> {
        let delays = &self.reconnect.delays;
        self.guarded("delay strategy", || {
            delays.with(
                || self.recovery.is_cancelled(),
                |delays| call(&mut **delays),
            )
        })
    }

    /// Calls code of the application. A panic in it ends the loop.
    fn guarded<R>(&self, what: &str, call: impl FnOnce() -> Option<R>) -> Result<R> {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Some(result)) => Ok(result),
            Ok(None) => Err(self.cancelled()),
            Err(_) => Err(self
                .context()
                .with_reason(format!("the {what} panicked"))
                .Connection()),
        }
    }

    /// True if nobody wants the connection any more.
    fn is_over(&self) -> bool {
        self.recovery.is_cancelled() || self.recovery.client().is_none()
    }

    fn context(&self) -> ErrorContext {
        ErrorContext::new("connect and log on", self.name.clone())
    }

    fn cancelled(&self) -> Error {
        self.context()
            .with_reason("disconnect was called")
            .Disconnected()
    }
}

/// What is left of the time of an attempt.
fn rest_of(timeout: Duration, begun: Instant) -> Duration {
    if timeout.is_zero() {
        return timeout;
    }
    // Zero would be no limit.
    let least = Duration::from_millis(1);
    timeout.saturating_sub(begun.elapsed()).max(least)
}

/// What choosers and logs are told of an attempt, as [`amps_core::Client::connection_info`] tells
/// it; never a password.
fn describe(uri: &str, client_name: &str) -> ConnectionInfo {
    ConnectionInfo::of_attempt(AmpsUri::parse(uri).ok().as_ref(), client_name)
}
