//! Commands: everything that can be asked of a server.

use crate::ack::AckType;
use crate::command_type::CommandType;
use crate::fields::Fields;
use crate::message::Message;
use crate::protocol::{Field, FrameWriter, option_items};
use std::time::Duration;

/// A command to the server, built field by field.
///
/// The named methods of [`Client`](crate::Client) cover the common commands in their short form;
/// a `Command` covers all of them in full. Give it to
/// [`Client::execute`](crate::Client::execute) or
/// [`Client::execute_async`](crate::Client::execute_async). A field that is not set is not sent;
/// setting a text field to the empty string unsets it. Guide chapter 10.
///
/// ```
/// use amps_core::{AckType, Command};
///
/// let query = Command::new("sow")
///     .set_topic("orders")
///     .set_filter("/qty > 50")
///     .set_order_by("/id")
///     .set_top_n(10)
///     .add_ack_type(AckType::STATS);
/// assert_eq!(query.topic(), "orders");
/// assert!(query.is_sow() && query.has_stats_ack());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    command: CommandType,
    fields: Fields,
    data: Vec<u8>,
    acks: AckType,
    timeout: Duration,
}

impl Command {
    /// A command by its name, such as `sow_and_subscribe`.
    ///
    /// A name that this version of the client does not know is sent as it stands.
    pub fn new(name: impl AsRef<str>) -> Command {
        let name = name.as_ref();
        let command = CommandType::parse(name);
        let mut fields = Fields::default();
        if command == CommandType::Unknown {
            fields.set_text(Field::Command, name);
        }
        Command {
            command,
            fields,
            data: Vec::new(),
            acks: AckType::NONE,
            timeout: Duration::ZERO,
        }
    }

    /// Of what a message has; `fields` names the command only if its type does not.
    pub(crate) fn from_parts(
        command: CommandType,
        fields: Fields,
        data: Vec<u8>,
        acks: AckType,
    ) -> Command {
        Command {
            command,
            fields,
            data,
            acks,
            timeout: Duration::ZERO,
        }
    }

    /// Makes it another command; every other field stays.
    #[must_use]
    pub fn set_command(mut self, name: impl AsRef<str>) -> Command {
        let other = Command::new(name);
        self.command = other.command;
        let name = other.fields.text(Field::Command).unwrap_or_default();
        self.fields.set_text(Field::Command, name);
        self
    }

    /// What it is; `Unknown` for a name this version does not know.
    pub fn command(&self) -> CommandType {
        self.command
    }

    /// Sets the payload, which is sent as it stands.
    #[must_use]
    pub fn set_data(mut self, data: impl AsRef<[u8]>) -> Command {
        self.data.clear();
        self.data.extend_from_slice(data.as_ref());
        self
    }

    /// The payload.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Sets the acknowledgements that the application wants to see, in place of earlier ones.
    ///
    /// Those that the client needs for itself are asked for in any case and consumed by it.
    #[must_use]
    pub fn set_ack_type(mut self, acks: AckType) -> Command {
        self.acks = acks;
        self
    }

    /// Adds acknowledgements that the application wants to see.
    ///
    /// A server with a transaction log acknowledges publishes as persisted in one go for many,
    /// without a command id (rule C13): then the handler of a single publish hears nothing, and
    /// stays until the connection ends.
    #[must_use]
    pub fn add_ack_type(mut self, acks: AckType) -> Command {
        self.acks |= acks;
        self
    }

    /// The acknowledgements that the application wants to see; none by default.
    pub fn ack_type(&self) -> AckType {
        self.acks
    }

    /// Sets how long a call waits for the server to accept the command; zero, the default, means
    /// for ever.
    #[must_use]
    pub fn set_timeout(mut self, timeout: Duration) -> Command {
        self.timeout = timeout;
        self
    }

    /// How long a call waits for the server to accept the command; zero means for ever.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sets the lifetime of a published record, in whole seconds (a part of one counts as one);
    /// zero means that it never expires, which is not the same as not setting it.
    #[must_use]
    pub fn set_expiration(mut self, lifetime: Duration) -> Command {
        self.fields
            .set_number(Field::Expiration, whole_seconds(lifetime));
        self
    }

    /// The lifetime of a published record.
    pub fn expiration(&self) -> Option<Duration> {
        self.fields
            .number(Field::Expiration)
            .map(Duration::from_secs)
    }

    /// The message that would be sent as the command stands: without the ids and acknowledgements
    /// that the client adds.
    pub fn message(&self) -> Message {
        Message::of_command(self.name(), self.fields.clone(), &self.data, self.acks)
    }

    /// True if the application wants the processed acknowledgement.
    pub fn has_processed_ack(&self) -> bool {
        self.acks.contains(AckType::PROCESSED)
    }

    /// True if the application wants the statistics.
    pub fn has_stats_ack(&self) -> bool {
        self.acks.contains(AckType::STATS)
    }

    /// True for the commands that query a topic.
    pub fn is_sow(&self) -> bool {
        self.command.is_sow()
    }

    /// True for the commands that leave a subscription behind.
    pub fn is_subscribe(&self) -> bool {
        self.command.is_subscribe()
    }

    /// True for the commands that may wait in a batch of publishes.
    pub(crate) fn is_publish(&self) -> bool {
        matches!(
            self.command,
            CommandType::Publish | CommandType::DeltaPublish
        )
    }

    /// True for the commands that a publish store numbers.
    pub fn needs_sequence_number(&self) -> bool {
        self.command.needs_sequence_number()
    }

    /// Clears every field for use as another command.
    #[must_use]
    pub fn reset(self, name: impl AsRef<str>) -> Command {
        Command::new(name)
    }

    /// The name as it is sent.
    pub(crate) fn name(&self) -> &str {
        match self.command {
            CommandType::Unknown => self.fields.text(Field::Command).unwrap_or_default(),
            known => known.name(),
        }
    }

    /// True if `word` is one of the options.
    pub(crate) fn has_option(&self, word: &str) -> bool {
        option_items(self.options()).any(|option| option == word)
    }

    /// For the ids that the client assigns when it executes the command.
    pub(crate) fn set_field(&mut self, field: Field, value: &str) {
        self.fields.set_text(field, value);
    }

    /// Writes the header; `acks` is what the application and the client ask for together.
    pub(crate) fn write_header<'a>(&self, out: &'a mut Vec<u8>, acks: AckType) -> FrameWriter<'a> {
        if acks.is_empty() {
            return self.write_fields(out, &self.fields);
        }
        // A copy of a short list, so that the acknowledgements stand in their place.
        let mut fields = self.fields.clone();
        fields.set_text(Field::AckType, &acks.to_string());
        self.write_fields(out, &fields)
    }

    /// The same with the number that a publish store gave the command.
    pub(crate) fn write_numbered_header<'a>(
        &self,
        out: &'a mut Vec<u8>,
        acks: AckType,
        sequence: u64,
    ) -> FrameWriter<'a> {
        let mut fields = self.fields.clone();
        fields.set_number(Field::Sequence, sequence);
        fields.set_text(Field::AckType, &acks.to_string());
        self.write_fields(out, &fields)
    }

    fn write_fields<'a>(&self, out: &'a mut Vec<u8>, fields: &Fields) -> FrameWriter<'a> {
        let mut frame = match self.command {
            CommandType::Unknown => FrameWriter::begin_named(out, self.name().as_bytes()),
            known => FrameWriter::begin(out, known),
        };
        fields.write(&mut frame);
        frame
    }
}

impl From<CommandType> for Command {
    fn from(command: CommandType) -> Command {
        Command::new(command.name())
    }
}

/// Whole seconds for the wire; a part of a second counts as one.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

macro_rules! text_fields {
    ($($(#[$doc:meta])* $set:ident, $get:ident = $field:ident;)*) => {
        /// Text fields. Getters return the empty string for a field that is not set.
        impl Command {
            $($(#[$doc])*
            #[must_use]
            pub fn $set(mut self, value: impl AsRef<str>) -> Command {
                self.fields.set_text(Field::$field, value.as_ref());
                self
            }

            #[doc = concat!("What [`Command::", stringify!($set), "`] set.")]
            pub fn $get(&self) -> &str {
                self.fields.text(Field::$field).unwrap_or_default()
            })*
        }
    };
}

macro_rules! number_fields {
    ($($(#[$doc:meta])* $set:ident, $get:ident = $field:ident, $type:ty;)*) => {
        /// Numbers. Zero is a value of its own, not the same as not setting the field.
        impl Command {
            $($(#[$doc])*
            #[must_use]
            pub fn $set(mut self, value: $type) -> Command {
                self.fields.set_number(Field::$field, value.into());
                self
            }

            #[doc = concat!("What [`Command::", stringify!($set), "`] set.")]
            pub fn $get(&self) -> Option<$type> {
                self.fields
                    .number(Field::$field)
                    .and_then(|number| <$type>::try_from(number).ok())
            })*
        }
    };
}

text_fields! {
    /// Sets the topic: literal, or for receiving commands also a regular expression.
    set_topic, topic = Topic;
    /// Sets the content filter.
    set_filter, filter = Filter;
    /// Sets the options, a comma list; see [`Options`](crate::Options).
    set_options, options = Options;
    /// Sets the bookmark to start after, a list, a timestamp or a range (see
    /// [`bookmark`](crate::bookmark)); on `sow_delete` the messages of a queue to acknowledge.
    set_bookmark, bookmark = Bookmark;
    /// Sets the subscription id; default: the command id.
    set_sub_id, sub_id = SubId;
    /// Sets the query id; default: the subscription id, else the command id.
    set_query_id, query_id = QueryId;
    /// Sets the command id; default: one is generated at each execution.
    set_command_id, command_id = CommandId;
    /// Sets the publisher's token: characters of the Base64 alphabet.
    set_correlation_id, correlation_id = CorrelationId;
    /// Sets the key of the record, for topics whose publishers choose it.
    set_sow_key, sow_key = SowKey;
    /// Sets a comma list of record keys, for queries and deletes.
    set_sow_keys, sow_keys = SowKeys;
    /// Sets the order of a query result: `/field [ASC|DESC], ...`.
    set_order_by, order_by = OrderBy;
}

number_fields! {
    /// Sets the most records wanted; 0 asks for the counters only.
    set_top_n, top_n = TopN, u32;
    /// Sets the records per frame of a query result; default 10, the server takes at most 10 000.
    set_batch_size, batch_size = BatchSize, u32;
    /// Sets the sequence number; normally the publish store does.
    set_sequence, sequence = Sequence, u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(command: &Command, acks: AckType) -> String {
        let mut out = Vec::new();
        command.write_header(&mut out, acks).finish(command.data());
        String::from_utf8_lossy(&out[4..]).into_owned()
    }

    #[test]
    fn only_what_is_set_is_sent() {
        let command = Command::new("publish")
            .set_topic("orders")
            .set_filter("/a")
            .set_filter("")
            .set_expiration(Duration::ZERO)
            .set_data("{}");
        assert_eq!(
            encoded(&command, AckType::NONE),
            r#"{"c":"p","t":"orders","e":0}{}"#
        );
    }

    #[test]
    fn a_part_of_a_second_counts_as_one() {
        let command = Command::new("publish").set_expiration(Duration::from_millis(1001));
        assert_eq!(command.expiration(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_name_that_is_not_known_is_sent_as_it_stands() {
        let command = Command::new("teleport").set_topic("x");
        assert_eq!(command.command(), CommandType::Unknown);
        assert_eq!(
            encoded(&command, AckType::NONE),
            r#"{"c":"teleport","t":"x"}"#
        );
        let command = command.set_command("flush");
        assert_eq!(
            encoded(&command, AckType::COMPLETED),
            r#"{"c":"flush","t":"x","a":"completed"}"#
        );
    }

    #[test]
    fn options_are_found_as_whole_words() {
        let command = Command::new("subscribe").set_options("oof, replace");
        assert!(command.has_option("replace"));
        assert!(!command.has_option("rep"));
        let command = command.set_options("select=[+/a,replace]");
        assert!(!command.has_option("replace"));
    }
}
