//! Acknowledgements as they go out.

use amps_core::CommandType;
use amps_core::protocol::{Field, FrameWriter};

/// The one type that an acknowledgement is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kind {
    Received,
    #[default]
    Processed,
    Completed,
    Persisted,
    Stats,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Received => "received",
            Kind::Processed => "processed",
            Kind::Completed => "completed",
            Kind::Persisted => "persisted",
            Kind::Stats => "stats",
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Status {
    #[default]
    Success,
    Failure,
    Retry,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::Failure => "failure",
            Status::Retry => "retry",
        }
    }
}

/// The counters of a `stats` acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counters {
    /// Records sent, for queries.
    pub(crate) returned: Option<u64>,
    /// Records removed, for deletes.
    pub(crate) deleted: Option<u64>,
    /// Records that topic and filter let through.
    pub(crate) matches: u64,
    /// Records looked at.
    pub(crate) topic_matches: u64,
}

/// An acknowledgement; an empty text is left out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ack<'a> {
    pub(crate) command_id: &'a [u8],
    pub(crate) sub_id: &'a [u8],
    pub(crate) query_id: &'a [u8],
    pub(crate) options: &'a [u8],
    pub(crate) sequence: Option<u64>,
    pub(crate) bookmark: &'a [u8],
    pub(crate) client_name: &'a [u8],
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    pub(crate) reason: &'a [u8],
    pub(crate) user_id: &'a [u8],
    pub(crate) password: &'a [u8],
    pub(crate) version: &'a [u8],
    pub(crate) counters: Option<Counters>,
}

impl Ack<'_> {
    /// Writes the frame, its fields in the order of the examples in `protocol §4.1` and `§5`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut frame = FrameWriter::begin(out, CommandType::Ack);
        frame.text_if(Field::CommandId, self.command_id);
        frame.text_if(Field::SubId, self.sub_id);
        frame.text_if(Field::QueryId, self.query_id);
        frame.text_if(Field::Options, self.options);
        if let Some(sequence) = self.sequence {
            frame.number(Field::Sequence, sequence);
        }
        frame.text_if(Field::Bookmark, self.bookmark);
        frame.text_if(Field::ClientName, self.client_name);
        frame.text(Field::AckType, self.kind.name().as_bytes());
        frame.text(Field::Status, self.status.name().as_bytes());
        frame.text_if(Field::Reason, self.reason);
        frame.text_if(Field::UserId, self.user_id);
        frame.text_if(Field::Password, self.password);
        frame.text_if(Field::Version, self.version);
        if let Some(counters) = self.counters {
            if let Some(returned) = counters.returned {
                frame.number(Field::RecordsReturned, returned);
            }
            if let Some(deleted) = counters.deleted {
                frame.number(Field::RecordsDeleted, deleted);
            }
            frame.number(Field::Matches, counters.matches);
            frame.number(Field::TopicMatches, counters.topic_matches);
        }
        frame.finish(b"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(ack: &Ack<'_>) -> String {
        let mut out = Vec::new();
        ack.write(&mut out);
        assert_eq!(out[..4], (out.len() as u32 - 4).to_be_bytes());
        String::from_utf8(out.split_off(4)).unwrap()
    }

    #[test]
    fn the_frames_are_those_of_the_protocol_reference() {
        assert_eq!(
            body(&Ack {
                command_id: b"4",
                sub_id: b"4",
                ..Ack::default()
            }),
            r#"{"c":"ack","cid":"4","sub_id":"4","a":"processed","status":"success"}"#
        );
        assert_eq!(
            body(&Ack {
                command_id: b"7",
                query_id: b"7",
                kind: Kind::Stats,
                counters: Some(Counters {
                    returned: Some(3),
                    deleted: None,
                    matches: 41,
                    topic_matches: 200
                }),
                ..Ack::default()
            }),
            r#"{"c":"ack","cid":"7","query_id":"7","a":"stats","status":"success","records_returned":3,"matches":41,"topic_matches":200}"#
        );
        assert_eq!(
            body(&Ack {
                command_id: b"0",
                client_name: b"risk-gui-1",
                status: Status::Retry,
                reason: b"challenge:9f31",
                user_id: b"ana",
                password: b"token-2",
                ..Ack::default()
            }),
            r#"{"c":"ack","cid":"0","client_name":"risk-gui-1","a":"processed","status":"retry","reason":"challenge:9f31","user_id":"ana","pw":"token-2"}"#
        );
        assert_eq!(
            body(&Ack {
                command_id: b"16",
                sequence: Some(1),
                kind: Kind::Persisted,
                ..Ack::default()
            }),
            r#"{"c":"ack","cid":"16","s":1,"a":"persisted","status":"success"}"#
        );
    }
}
