//! `sow_delete`.

use super::Session;
use super::query::{keeps_records, read_keys, read_topic};
use crate::ack::{Ack, Counters, Kind};
use crate::engine::Engine;
use crate::filter_gate;
use crate::options;
use crate::reason::{Refusal, text};
use crate::request::Request;
use crate::topic::Pattern;
use amps_core::AckType;
use amps_core::protocol::Field;

/// Which records go.
enum Doomed {
    All,
    Keys(Vec<Vec<u8>>),
    /// The ones that publishing this data would update.
    Data,
}

impl Session {
    pub(super) fn sow_delete(
        &self,
        engine: &mut Engine,
        message_type: usize,
        request: &Request<'_>,
    ) -> Result<(), Refusal> {
        let pattern = read_topic(request, false)?;
        let doomed = read_doomed(request)?;
        if let Pattern::Literal(name) = &pattern
            && !keeps_records(engine, message_type, name)
        {
            return Err(Refusal::new(
                text::INVALID_TOPIC,
                "the topic keeps no records",
            ));
        }
        let counters = delete(engine, message_type, &pattern, &doomed, request.payload)?;
        let by_filter = matches!(doomed, Doomed::All);
        for (wanted, kind) in [
            (AckType::PROCESSED, Kind::Processed),
            (AckType::COMPLETED, Kind::Completed),
            (AckType::STATS, Kind::Stats),
            (AckType::PERSISTED, Kind::Persisted),
        ] {
            if !request.wants(wanted) || (kind == Kind::Completed && !by_filter) {
                continue;
            }
            let ack = Ack {
                command_id: &request.text(Field::CommandId),
                sequence: match kind {
                    Kind::Persisted => request.number(Field::Sequence),
                    _ => None,
                },
                kind,
                counters: (kind == Kind::Stats).then_some(counters),
                ..Ack::default()
            };
            engine.send(&self.connection, |out| ack.write(out));
        }
        Ok(())
    }
}

/// Exactly one way to select; only keys and a filter may go together, as they do in a query.
fn read_doomed(request: &Request<'_>) -> Result<Doomed, Refusal> {
    if let Some(item) = options::items(&request.text(Field::Options)).first() {
        return Err(Refusal::new(
            text::INVALID_OPTIONS,
            format!("{}: queues are not supported yet", item.name),
        ));
    }
    if request.has(Field::Bookmark) {
        return Err(Refusal::new(
            text::INVALID_TOPIC,
            "only a queue takes bookmarks, and the topic is none",
        ));
    }
    let filtered = filter_gate::check(request)?;
    let keys = read_keys(request)?;
    let has_data = !request.payload.is_empty();
    match (keys, filtered, has_data) {
        (Some(keys), _, false) => Ok(Doomed::Keys(keys)),
        (None, true, false) => Ok(Doomed::All),
        (None, false, true) => Ok(Doomed::Data),
        (None, false, false) => Err(Refusal::new(text::BAD_SOW_KEY, "nothing to delete")),
        _ => Err(Refusal::new(
            text::INVALID_OPTIONS,
            "data and another way to select records",
        )),
    }
}

fn delete(
    engine: &mut Engine,
    message_type: usize,
    pattern: &Pattern,
    doomed: &Doomed,
    data: &[u8],
) -> Result<Counters, Refusal> {
    let mut deleted = 0;
    let mut looked_at = 0;
    for at in engine.topics.matching(message_type, pattern) {
        let topic = engine.topics.at_mut(at);
        let Some(sow) = &mut topic.sow else {
            continue;
        };
        match doomed {
            Doomed::All => {
                let count = sow.clear();
                looked_at += count;
                deleted += count;
            }
            Doomed::Keys(keys) => {
                let count = keys.iter().filter(|key| sow.remove(key).is_some()).count() as u64;
                looked_at += count;
                deleted += count;
            }
            Doomed::Data => {
                let key = sow.rule.of_data(&topic.name, data)?;
                let count = u64::from(sow.remove(&key).is_some());
                looked_at += count;
                deleted += count;
            }
        }
    }
    Ok(Counters {
        returned: None,
        deleted: Some(deleted),
        matches: deleted,
        topic_matches: looked_at,
    })
}
