//! Where subscriptions go on after a reconnection.

use crate::bookmark::{self, BookmarkRange};
use crate::client::Client;
use crate::command::Command;
use crate::error::Result;
use crate::protocol::list_items;
use std::collections::BTreeMap;

/// Makes a bookmark subscription go on where the bookmark store left off. Without a store it starts
/// where it did (rules L13, M3); of a range only the start changes (rule L22).
///
/// # Errors
///
/// `Store`: the bookmark store cannot tell.
pub(super) fn go_on(command: Command, client: &Client) -> Result<Command> {
    let Some(store) = client
        .bookmark_store()
        .filter(|_| !command.bookmark().is_empty())
    else {
        return Ok(command);
    };
    if !BookmarkRange::is_range(command.bookmark()) {
        return Ok(command.set_bookmark(bookmark::MOST_RECENT));
    }
    let range = BookmarkRange::parse(command.bookmark())?;
    let start = store.most_recent(command.sub_id())?;
    // The bracket stays: what is at the start may not have been discarded, and if it was, the
    // store suppresses it.
    let open = if range.start_inclusive() { '[' } else { '(' };
    let close = if range.end_inclusive() { ']' } else { ')' };
    Ok(command.set_bookmark(format!("{open}{start}:{}{close}", range.end())))
}

/// The one start of subscriptions that are resumed together: of each publisher the lowest bookmark
/// over all of them (rule M6, trap 84). None if there is no such thing, because they start at
/// points of different kinds: then each starts at its own.
///
/// # Errors
///
/// `Store`: the bookmark store cannot tell.
pub(super) fn of_group<'a>(
    commands: impl Iterator<Item = &'a Command>,
    client: &Client,
) -> Result<Option<String>> {
    let store = client.bookmark_store();
    let mut starts = Vec::new();
    for command in commands {
        if command.bookmark().is_empty() || BookmarkRange::is_range(command.bookmark()) {
            // A range keeps its end (rule L22).
            return Ok(None);
        }
        starts.push(match &store {
            Some(store) => store.most_recent(command.sub_id())?,
            None if command.bookmark() == bookmark::MOST_RECENT => bookmark::EPOCH.to_string(),
            None => command.bookmark().to_string(),
        });
    }
    Ok(lowest(&starts))
}

fn lowest(starts: &[String]) -> Option<String> {
    if starts.iter().any(BookmarkRange::is_range) {
        return None;
    }
    if starts.iter().any(|start| start == bookmark::EPOCH) {
        return Some(bookmark::EPOCH.to_string());
    }
    if starts.iter().all(|start| is_timestamp(start)) {
        // All of one length but for the last letter: the order of the text is that of time.
        return starts.iter().min().cloned();
    }
    let mut by_publisher = BTreeMap::<&str, (u64, &str)>::new();
    for start in starts {
        for item in list_items(start.as_bytes()) {
            let item = std::str::from_utf8(item).ok()?;
            if item == bookmark::NOW {
                // Whatever else there is comes before it.
                continue;
            }
            let (publisher, rest) = item.split_once('|')?;
            let sequence = rest.split('|').next()?.parse().ok()?;
            let known = by_publisher.entry(publisher).or_insert((sequence, item));
            if sequence < known.0 {
                *known = (sequence, item);
            }
        }
    }
    Some(match by_publisher.is_empty() {
        true => bookmark::NOW.to_string(),
        false => bookmark::list(by_publisher.values().map(|(_, item)| item)),
    })
}

fn is_timestamp(start: &str) -> bool {
    start.contains('T') && !start.contains('|')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowest_of(starts: &[&str]) -> Option<String> {
        lowest(
            &starts
                .iter()
                .map(|start| (*start).to_string())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn trap_84_the_lowest_bookmark_of_each_publisher_is_taken() {
        let start = lowest_of(&["1|10|,2|5|", "1|9|,3|7|", "2|6|"]);
        assert_eq!(start.as_deref(), Some("1|9|,2|5|,3|7|"));
    }

    #[test]
    fn the_beginning_of_the_log_comes_before_everything_and_now_after_it() {
        assert_eq!(lowest_of(&["1|10|", "0"]).as_deref(), Some("0"));
        assert_eq!(
            lowest_of(&["1|10|", bookmark::NOW]).as_deref(),
            Some("1|10|")
        );
        assert_eq!(lowest_of(&[bookmark::NOW]).as_deref(), Some(bookmark::NOW));
    }

    #[test]
    fn instants_are_compared_with_each_other_only() {
        let start = lowest_of(&["20240315T093000Z", "20240315T092959Z"]);
        assert_eq!(start.as_deref(), Some("20240315T092959Z"));
        assert_eq!(lowest_of(&["20240315T093000Z", "1|10|"]), None);
        assert_eq!(lowest_of(&["[1|2|:3|4|)"]), None);
    }
}
