//! What can be asked for: the commands, their flags, and the help.

use crate::argv::{self, Kind};
use crate::failure::Failure;
use crate::format::Format;
use crate::target::{Given, Target};
use crate::{pace, seconds};
use clap::builder::{BoolishValueParser, NonEmptyStringValueParser, ValueParser};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::convert::Infallible;
use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

/// AMPS from the command line.
#[derive(Parser)]
#[command(
    name = "spark",
    disable_help_flag = true,
    disable_help_subcommand = true,
    after_help = "Flags are written with one dash or two, their values after a space or an \
        equals sign.\n`spark help COMMAND` lists the flags of a command.\n\nExit codes: 0 done, \
        1 the server refused or the connection failed, 2 wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Subcommand)]
#[command(rename_all = "snake_case")]
pub(crate) enum Action {
    #[command(skip)]
    Help(String),
    /// Connects, logs on, and says where to
    Ping(Ping),
    /// Publishes the lines of a file, of standard input, or one message
    Publish(Publish),
    /// Prints the records of a topic
    Sow(Sow),
    /// Prints the messages of a topic as they come
    Subscribe(Subscribe),
    /// Prints the records of a topic, then its messages as they come
    SowAndSubscribe(SowAndSubscribe),
    /// Deletes records, by filter, by keys, or by messages as they were published
    SowDelete(SowDelete),
}

#[derive(Args)]
pub(crate) struct Ping {
    #[command(flatten)]
    pub(crate) server: Server,
}

#[derive(Args)]
pub(crate) struct Publish {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) topic: Topic,
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// Publishes changes of records: delta_publish
    #[arg(long)]
    pub(crate) delta: Option<bool>,
    /// The most messages per second, also a fraction of one; default: no limit
    #[arg(long, value_parser = pace::parse)]
    pub(crate) rate: Option<f64>,
    /// Does not ask the server about each message: faster, but what it refuses goes unnoticed
    #[arg(long)]
    pub(crate) unchecked: Option<bool>,
}

#[derive(Args)]
pub(crate) struct Sow {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) topic: Topic,
    #[command(flatten)]
    pub(crate) receive: Receive,
    #[command(flatten)]
    pub(crate) query: Query,
}

#[derive(Args)]
pub(crate) struct Subscribe {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) topic: Topic,
    #[command(flatten)]
    pub(crate) receive: Receive,
    #[command(flatten)]
    pub(crate) follow: Follow,
}

#[derive(Args)]
pub(crate) struct SowAndSubscribe {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) topic: Topic,
    #[command(flatten)]
    pub(crate) receive: Receive,
    #[command(flatten)]
    pub(crate) query: Query,
    #[command(flatten)]
    pub(crate) follow: Follow,
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").multiple(false))]
pub(crate) struct SowDelete {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(flatten)]
    pub(crate) topic: Topic,
    /// Deletes what matches this content filter; 1=1 matches everything
    #[arg(long, group = "what", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) filter: Option<String>,
    /// Deletes the records with these keys, a comma list as {sowkey} shows them
    #[arg(long, group = "what", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) keys: Option<String>,
    #[command(flatten)]
    pub(crate) messages: Messages,
}

/// Where to connect to. Without `Debug`: the address may hold a password.
#[derive(Args)]
pub(crate) struct Server {
    /// host:port, user:password@host:port, or a full URI
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) server: String,
    /// The message type; default json
    #[arg(long = "type", value_name = "TYPE", value_parser = NonEmptyStringValueParser::new())]
    message_type: Option<String>,
    /// The protocol: amps, the default, is the one there is; json stands for it
    #[arg(long)]
    proto: Option<String>,
    /// Connects with TLS: tcps instead of tcp
    #[arg(long)]
    secure: Option<bool>,
    /// The transport: tcp, tcps or unix; goes before -secure
    #[arg(long, value_name = "SCHEME", value_parser = NonEmptyStringValueParser::new())]
    urischeme: Option<String>,
    /// Options of the connection, such as tcp_nodelay=true&tcp_sndbuf=100000
    #[arg(long, value_name = "OPTIONS", value_parser = NonEmptyStringValueParser::new())]
    uriopts: Option<String>,
    /// Not available: user and password of -server are what the logon sends
    #[arg(long, value_name = "CLASS", value_parser = no_authenticator)]
    authenticator: Option<Infallible>,
    /// The client name that the server sees; default spark-COMMAND-PROCESS
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,
    /// The longest wait for anything from the server, in seconds or as 500ms, 20s, 1m, 1h; 0 for
    /// ever. Default: 10s for its answers, for ever for the messages of a subscription
    #[arg(long, value_parser = seconds::parse)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Args)]
pub(crate) struct Topic {
    /// The topic; what receives also takes a regular expression
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) topic: String,
}

/// Where messages come from.
#[derive(Args)]
pub(crate) struct Messages {
    /// Reads messages from this file, or from the entries 1, 2, 3, ... of this zip archive;
    /// default: standard input
    #[arg(long, group = "what")]
    pub(crate) file: Option<PathBuf>,
    /// This message
    #[arg(long, group = "what")]
    pub(crate) data: Option<String>,
    /// The byte that ends a message, as a decimal number; default 10, the end of a line
    #[arg(
        long,
        default_value_t = b'\n',
        hide_default_value = true,
        value_name = "BYTE"
    )]
    pub(crate) delimiter: u8,
}

/// What all that receives has in common.
#[derive(Args)]
pub(crate) struct Receive {
    /// Only what matches this content filter
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) filter: Option<String>,
    /// How to print a message: text with {bookmark} {command} {correlation_id} {data} {expiration}
    /// {lease_period} {length} {sowkey} {timestamp} {topic} {user_id} and \t, \n; default {data}
    #[arg(long, value_parser = Format::parse, default_value = "{data}", hide_default_value = true)]
    pub(crate) format: Format,
    /// Also publishes what comes to this second server, written as -server is
    #[arg(long, value_name = "ADDRESS", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) copy: Option<String>,
    /// Ends after this many messages
    #[arg(long = "n", value_name = "COUNT")]
    pub(crate) count: Option<NonZeroU64>,
    /// Where to start in the transaction log: epoch, now, a bookmark, a timestamp or a range
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) bookmark: Option<String>,
    /// More options of the command, such as oof,conflation=1s
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) options: Option<String>,
}

/// For what queries.
#[derive(Args)]
pub(crate) struct Query {
    /// Records per frame; default 10
    #[arg(long, value_name = "COUNT")]
    pub(crate) batchsize: Option<NonZeroU32>,
    /// The order of the records: /field [ASC|DESC], ...
    #[arg(long, value_name = "FIELDS", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) orderby: Option<String>,
    /// The most records
    #[arg(long, value_name = "COUNT")]
    pub(crate) topn: Option<u32>,
}

/// For what subscribes.
#[derive(Args)]
pub(crate) struct Follow {
    /// Only the changes of records: delta_subscribe
    #[arg(long)]
    pub(crate) delta: Option<bool>,
    /// Acknowledges each message of a queue when it is printed, and copied if it is to be
    #[arg(long)]
    pub(crate) ack: Option<bool>,
    /// The most messages of a queue that may wait for their acknowledgement; default 1
    #[arg(long, value_name = "COUNT")]
    pub(crate) backlog: Option<NonZeroU32>,
}

impl Server {
    /// The connection string that the flags make.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        Given {
            server: &self.server,
            message_type: self.message_type.as_deref(),
            proto: self.proto.as_deref(),
            secure: self.secure,
            scheme: self.urischeme.as_deref(),
            options: self.uriopts.as_deref(),
        }
        .target()
    }

    /// How long to wait for an answer; zero is for ever.
    pub(crate) fn patience(&self) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(10);
        self.timeout.unwrap_or(DEFAULT)
    }
}

/// The authenticators of AMPS are classes that its own spark loads.
fn no_authenticator(_: &str) -> Result<Infallible, String> {
    Err(
        "there are no authenticators to load here: give user and password in -server, or write \
         a program with amps::Authenticator"
            .to_string(),
    )
}

/// Lets a switch, which is a flag with a truth value, have a value or none.
fn may_stand_alone(arg: Arg) -> Arg {
    if arg.get_value_parser().type_id() != ValueParser::bool().type_id() {
        return arg;
    }
    arg.num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(BoolishValueParser::new())
        .value_name("YES|NO")
        .hide_possible_values(true)
}

/// Reads the command line without the name of the program.
pub(crate) fn read(args: impl Iterator<Item = OsString>) -> Result<Action, Failure> {
    let args: Result<Vec<String>, _> = args.map(OsString::into_string).collect();
    let args = args.map_err(|_| Failure::Usage("an argument is not UTF-8".to_string()))?;
    let mut known =
        Arguments::command().mut_subcommands(|command| command.mut_args(may_stand_alone));
    known.build();
    let Some((name, flags)) = args.split_first() else {
        return Err(usage("say what to do", &known));
    };
    let is_help = |arg: &str| matches!(arg, "-help" | "--help" | "-h");
    match flags.first().map(String::as_str) {
        first if name == "help" || is_help(name) => return help(first, known),
        _ if matches!(name.as_str(), "-version" | "--version") => {
            let version = concat!("spark, of amps ", env!("CARGO_PKG_VERSION"));
            return Ok(Action::Help(version.to_string()));
        }
        _ if flags.iter().any(|flag| is_help(flag)) => return help(Some(name), known),
        _ => {}
    }
    let command = known
        .find_subcommand(name)
        .ok_or_else(|| usage(&format!("'{}' is no command", argv::shown(name)), &known))?;
    let kind = |flag: &str| {
        let arg = command
            .get_arguments()
            .find(|arg| arg.get_long() == Some(flag))?;
        let may_stand_alone = arg
            .get_num_args()
            .is_some_and(|count| count.min_values() == 0);
        Some(if may_stand_alone {
            Kind::Switch
        } else {
            Kind::Value
        })
    };
    let wrong = |reason: String| Failure::Usage(format!("{reason}; see: spark help {name}"));
    let flags = argv::translate(flags, kind).map_err(wrong)?;
    let words = ["spark".to_string(), name.clone()].into_iter().chain(flags);
    known
        .try_get_matches_from(words)
        .and_then(|matches| Arguments::from_arg_matches(&matches))
        .map(|arguments| arguments.action)
        .map_err(|error| wrong(one_line(&error)))
}

fn usage(problem: &str, known: &clap::Command) -> Failure {
    let names: Vec<&str> = known
        .get_subcommands()
        .map(clap::Command::get_name)
        .collect();
    Failure::Usage(format!(
        "{problem}: {} or help; see: spark help",
        names.join(", ")
    ))
}

/// The help of all, or of one command, with flags as AMPS users write them.
fn help(command: Option<&str>, mut known: clap::Command) -> Result<Action, Failure> {
    let text = match command {
        None => known.render_help(),
        Some(name) => match known.find_subcommand_mut(name) {
            Some(command) => command.render_help(),
            None => {
                let problem = format!("'{}' is no command", argv::shown(name));
                return Err(usage(&problem, &known));
            }
        },
    };
    Ok(Action::Help(one_dash(&text.to_string())))
}

/// What the parser has to say, without its headings.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        if part.starts_with("Usage:") || part.starts_with("For more information") {
            break;
        }
        match part.starts_with("--") || line.ends_with(':') {
            true => line.push(' '),
            false if line.is_empty() => {}
            false => line.push_str("; "),
        }
        line.push_str(part.strip_prefix("error: ").unwrap_or(part));
    }
    one_dash(&line)
}

fn one_dash(text: &str) -> String {
    text.replace("--", "-")
}
