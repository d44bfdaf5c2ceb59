//! The commands of the protocol and their names.

use std::fmt;

macro_rules! command_types {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal $(| $also:literal)? , $name:literal;)*) => {
        /// What a message or a command is.
        ///
        /// The same names serve both directions: an application sends `subscribe`, the server
        /// answers with `ack`, `publish`, `sow` and so on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CommandType {
            $($(#[$doc])* $variant,)*
            /// A name this version of the client does not know.
            Unknown,
        }

        impl CommandType {
            /// The name as the documentation writes it, such as `publish`; empty for `Unknown`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(CommandType::$variant => $name,)*
                    CommandType::Unknown => "",
                }
            }

            /// The name as it is written into a header: `p` for publish, else the long name.
            #[doc(hidden)]
            pub const fn wire_name(self) -> &'static str {
                match self {
                    $(CommandType::$variant => $wire,)*
                    CommandType::Unknown => "",
                }
            }

            /// What a frame of it begins with: room for the length, and the header up to here.
            pub(crate) const fn frame_start(self) -> &'static [u8] {
                match self {
                    $(CommandType::$variant => {
                        concat!("\0\0\0\0{\"c\":\"", $wire, "\"").as_bytes()
                    })*
                    CommandType::Unknown => b"\0\0\0\0{\"c\":\"\"",
                }
            }

            /// Reads a name in either spelling; any other text is `Unknown`.
            #[doc(hidden)]
            pub fn from_wire(name: &[u8]) -> CommandType {
                match name {
                    $(name if name == $wire.as_bytes() $(|| name == $also.as_bytes())? => {
                        CommandType::$variant
                    })*
                    _ => CommandType::Unknown,
                }
            }
        }
    };
}

command_types! {
    /// A message: sent by a publisher, delivered to subscribers.
    Publish = "p" | "publish", "publish";
    /// An answer of the server to a command.
    Ack = "ack", "ack";
    /// A record of a query result.
    Sow = "sow", "sow";
    /// The start of a query result.
    GroupBegin = "group_begin", "group_begin";
    /// The end of a query result.
    GroupEnd = "group_end", "group_end";
    /// A record that left the scope of a subscription (out of focus).
    Oof = "oof", "oof";
    /// A sign of life, in both directions.
    Heartbeat = "heartbeat", "heartbeat";
    /// A publish that carries only the changed fields of a record.
    DeltaPublish = "delta_publish", "delta_publish";
    /// Asks for the messages of a topic.
    Subscribe = "subscribe", "subscribe";
    /// Asks for the changes of records.
    DeltaSubscribe = "delta_subscribe", "delta_subscribe";
    /// Ends subscriptions or a running query.
    Unsubscribe = "unsubscribe", "unsubscribe";
    /// Queries a topic, then subscribes to it, in one step.
    SowAndSubscribe = "sow_and_subscribe", "sow_and_subscribe";
    /// Queries a topic, then subscribes to the changes of its records, in one step.
    SowAndDeltaSubscribe = "sow_and_delta_subscribe", "sow_and_delta_subscribe";
    /// Deletes records, or acknowledges messages of a queue.
    SowDelete = "sow_delete", "sow_delete";
    /// Asks to be told when all earlier commands are done.
    Flush = "flush", "flush";
    /// Names the client and proves who it is.
    Logon = "logon", "logon";
    /// Starts a timer in the server (deprecated there).
    StartTimer = "start_timer", "start_timer";
    /// Stops a timer in the server (deprecated there).
    StopTimer = "stop_timer", "stop_timer";
}

impl CommandType {
    /// Reads a name as the documentation writes it; any other text is `Unknown`.
    pub fn parse(name: impl AsRef<str>) -> CommandType {
        CommandType::from_wire(name.as_ref().as_bytes())
    }

    /// True for the commands that query a topic: `sow` and the two that also subscribe.
    pub const fn is_sow(self) -> bool {
        matches!(
            self,
            CommandType::Sow | CommandType::SowAndSubscribe | CommandType::SowAndDeltaSubscribe
        )
    }

    /// True for the four commands that leave a subscription behind.
    pub const fn is_subscribe(self) -> bool {
        matches!(
            self,
            CommandType::Subscribe
                | CommandType::DeltaSubscribe
                | CommandType::SowAndSubscribe
                | CommandType::SowAndDeltaSubscribe
        )
    }

    /// True for the commands that change data and are numbered by a publish store.
    pub const fn needs_sequence_number(self) -> bool {
        matches!(
            self,
            CommandType::Publish | CommandType::DeltaPublish | CommandType::SowDelete
        )
    }
}

impl fmt::Display for CommandType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CommandType::Unknown => "unknown command",
            known => known.name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_is_written_short_and_read_in_both_forms() {
        assert_eq!(CommandType::Publish.wire_name(), "p");
        assert_eq!(CommandType::from_wire(b"p"), CommandType::Publish);
        assert_eq!(CommandType::from_wire(b"publish"), CommandType::Publish);
        assert_eq!(CommandType::Publish.to_string(), "publish");
    }

    #[test]
    fn no_other_command_has_a_short_form() {
        assert_eq!(CommandType::from_wire(b"s"), CommandType::Unknown);
        assert_eq!(
            CommandType::parse("delta_publish"),
            CommandType::DeltaPublish
        );
    }
}
