//! Updates of one subscription that wait for the end of their interval (`broker-behaviour §6`).

use super::news::News;
use crate::filter::overlay;
use crate::message_type::MessageType;
use crate::time::now_micros;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is held back, by what tells records apart.
pub(crate) struct Conflator {
    interval: Duration,
    held: FxHashMap<Box<[u8]>, Held>,
    /// When each one is due. All wait equally long, so the order of arrival is that of the ends.
    due: VecDeque<(Instant, Box<[u8]>)>,
    /// What the client last got of each record; only if it wants out-of-focus messages, as it is
    /// what they show.
    sent: Option<FxHashMap<Box<[u8]>, Vec<u8>>>,
    /// A timer is set for the first that is due.
    armed: bool,
}

struct Held {
    due: Instant,
    news: News<'static>,
}

impl Conflator {
    pub(crate) fn new(interval: Duration, oof: bool) -> Conflator {
        Conflator {
            interval,
            held: FxHashMap::default(),
            due: VecDeque::new(),
            sent: oof.then(FxHashMap::default),
            armed: false,
        }
    }

    /// Notes what the client has got otherwise: the records of its query.
    pub(crate) fn note_sent(&mut self, key: &[u8], payload: &[u8]) {
        if let Some(sent) = &mut self.sent {
            sent.insert(key.into(), payload.to_vec());
        }
    }

    /// Holds news back, in the place of earlier news of the same record. Returns when a timer is
    /// to come for it, if none is set.
    pub(crate) fn hold(
        &mut self,
        message_type: &MessageType,
        key: &[u8],
        news: News<'_>,
        now: Instant,
    ) -> Option<Instant> {
        let mut news = owned(news);
        if news.oof.is_some() {
            let Some(shown) = self.sent.as_ref().and_then(|sent| sent.get(key)) else {
                // The client never saw it: there is nothing to take back.
                self.held.remove(key);
                return None;
            };
            news.payload = Cow::Owned(shown.clone());
        }
        match self.held.get_mut(key) {
            Some(held) => {
                // The first message gives the time and the bookmark, the last one everything else.
                news.processed = held.news.processed;
                news.bookmark = held.news.bookmark;
                // By a key of its own, a subscription may conflate several records: their deltas
                // have nothing to do with each other.
                if held.news.oof.is_none()
                    && !news.whole
                    && held.news.key == news.key
                    && let Ok(merged) = overlay(message_type, &held.news.payload, &news.payload)
                {
                    news.payload = Cow::Owned(merged);
                    news.whole = held.news.whole;
                }
                held.news = news;
            }
            None => {
                news.processed.get_or_insert_with(now_micros);
                let due = now + self.interval;
                self.held.insert(key.into(), Held { due, news });
                self.due.push_back((due, key.into()));
            }
        }
        self.arm()
    }

    /// Lets out what is due at `now`, or all of it.
    pub(crate) fn release(&mut self, now: Option<Instant>, mut each: impl FnMut(&News<'_>)) {
        while let Some((due, _)) = self.due.front()
            && now.is_none_or(|now| *due <= now)
            && let Some((due, key)) = self.due.pop_front()
        {
            // Another one may have been held for this record since.
            if self.held.get(&key).is_none_or(|held| held.due != due) {
                continue;
            }
            let Some(Held { news, .. }) = self.held.remove(&key) else {
                continue;
            };
            each(&news);
            match (&mut self.sent, news.oof) {
                (Some(sent), None) => {
                    sent.insert(key, news.payload.into_owned());
                }
                (Some(sent), Some(_)) => {
                    sent.remove(&key);
                }
                (None, _) => {}
            }
        }
    }

    /// The timer has come.
    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }

    /// When a timer is to come, if none is set.
    pub(crate) fn arm(&mut self) -> Option<Instant> {
        if self.armed {
            return None;
        }
        let (first, _) = self.due.front()?;
        self.armed = true;
        Some(*first)
    }
}

fn owned(news: News<'_>) -> News<'static> {
    News {
        oof: news.oof,
        payload: Cow::Owned(news.payload.into_owned()),
        whole: news.whole,
        key: Cow::Owned(news.key.into_owned()),
        correlation_id: Cow::Owned(news.correlation_id.into_owned()),
        processed: news.processed,
        bookmark: news.bookmark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Reason;

    fn news(oof: Option<Reason>, payload: &str, processed: u64) -> News<'_> {
        News {
            oof,
            payload: Cow::Borrowed(payload.as_bytes()),
            whole: !payload.contains("delta"),
            key: Cow::Borrowed(b"k"),
            correlation_id: Cow::Borrowed(b""),
            processed: Some(processed),
            bookmark: None,
        }
    }

    struct Case {
        conflator: Conflator,
        now: Instant,
    }

    impl Case {
        fn new(oof: bool) -> Case {
            Case {
                conflator: Conflator::new(Duration::from_millis(100), oof),
                now: Instant::now(),
            }
        }

        fn hold(&mut self, key: &str, news: News<'_>) -> bool {
            let armed = self
                .conflator
                .hold(&MessageType::Json, key.as_bytes(), news, self.now);
            armed.is_some()
        }

        fn after(&mut self, millis: u64) -> Vec<String> {
            self.now += Duration::from_millis(millis);
            let mut out = Vec::new();
            self.conflator.disarm();
            self.conflator.release(Some(self.now), |news| {
                let what = news.oof.map_or("", |_| "oof ");
                let payload = String::from_utf8_lossy(&news.payload);
                out.push(format!("{what}{payload} {}", news.processed.unwrap()));
            });
            out
        }
    }

    #[test]
    fn the_last_update_goes_out_at_the_end_with_the_time_of_the_first() {
        let mut case = Case::new(false);
        assert!(case.hold("a", news(None, "1", 1)));
        assert!(!case.hold("a", news(None, "2", 2)), "the timer is set");
        case.hold("b", news(None, "3", 3));
        assert_eq!(case.after(99), [""; 0]);
        assert_eq!(case.after(1), ["2 1", "3 3"]);
        assert_eq!(case.after(1000), [""; 0]);
        assert!(case.hold("a", news(None, "4", 4)));
    }

    #[test]
    fn deltas_of_an_interval_are_merged() {
        let mut case = Case::new(false);
        case.hold("a", news(None, r#"{"delta":1,"x":1}"#, 1));
        case.hold("a", news(None, r#"{"delta":1,"y":2}"#, 2));
        assert_eq!(case.after(100), [r#"{"delta":1,"x":1,"y":2} 1"#]);
    }

    #[test]
    fn a_field_that_becomes_null_in_an_interval_is_delivered_as_null() {
        let mut case = Case::new(false);
        case.hold("a", news(None, r#"{"delta":1,"x":5}"#, 1));
        case.hold("a", news(None, r#"{"delta":1,"x":null}"#, 2));
        assert_eq!(case.after(100), [r#"{"delta":1,"x":null} 1"#]);
    }

    #[test]
    fn a_record_goes_out_of_focus_only_if_the_client_knows_it_and_shows_what_it_knows() {
        let mut case = Case::new(true);
        case.hold("a", news(None, "1", 1));
        case.hold("a", news(Some(Reason::Match), "2", 2));
        assert_eq!(case.after(100), [""; 0]);
        case.hold("a", news(None, "3", 3));
        assert_eq!(case.after(100), ["3 3"]);
        case.hold("a", news(None, "4", 4));
        case.hold("a", news(Some(Reason::Match), "5", 5));
        assert_eq!(case.after(100), ["oof 3 4"]);
        case.hold("a", news(None, "6", 6));
        assert_eq!(case.after(100), ["6 6"]);
        case.hold("a", news(Some(Reason::Deleted), "6", 7));
        case.hold("a", news(None, "8", 8));
        assert_eq!(case.after(100), ["8 7"]);
    }

    #[test]
    fn what_is_held_anew_waits_for_its_own_end() {
        let mut case = Case::new(true);
        case.hold("a", news(None, "1", 1));
        case.hold("a", news(Some(Reason::Match), "2", 2));
        assert_eq!(case.after(50), [""; 0]);
        case.hold("a", news(None, "3", 3));
        assert_eq!(case.after(50), [""; 0]);
        assert_eq!(case.after(50), ["3 3"]);
    }
}
