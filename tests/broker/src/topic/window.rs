//! The page of a result that a paginated subscription keeps up to date (`broker-behaviour §4`).

use super::subscription::Page;
use crate::filter::{OrderBy, SortKey};
use std::cmp::Ordering;
use std::ops::Range;

/// Every record that matches, in order, of which a range is visible.
pub(crate) struct Window {
    entries: Vec<Entry>,
    skip: usize,
    top: usize,
}

/// A record in the order.
struct Entry {
    /// What the client sorts by; ties are decided by the key.
    sort: Option<SortKey>,
    key: Box<[u8]>,
}

/// What became of the page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Shift {
    /// The keys of the records that are no longer in the page.
    pub(crate) left: Vec<Box<[u8]>>,
    /// The keys of the records that are new in it.
    pub(crate) entered: Vec<Box<[u8]>>,
}

/// The order of records on pages.
pub(crate) fn compare(
    order: Option<&OrderBy>,
    left: (&Option<SortKey>, &[u8]),
    right: (&Option<SortKey>, &[u8]),
) -> Ordering {
    let wanted = match (order, left.0, right.0) {
        (Some(order), Some(left), Some(right)) => order.compare(left, right),
        _ => Ordering::Equal,
    };
    wanted.then_with(|| left.1.cmp(right.1))
}

impl Window {
    pub(crate) fn new(page: &Page) -> Window {
        Window {
            entries: Vec::new(),
            skip: page.skip,
            top: page.top,
        }
    }

    /// True if the record is in the page.
    pub(crate) fn shows(&self, key: &[u8]) -> bool {
        self.page().iter().any(|entry| *entry.key == *key)
    }

    /// Puts a record in its place, or takes it out if it does not match: then there is no `sort`.
    pub(crate) fn update(
        &mut self,
        order: Option<&OrderBy>,
        key: &[u8],
        sort: Option<Option<SortKey>>,
    ) -> Shift {
        let before = self.keys();
        self.set(order, key, sort);
        let after = self.page();
        let mut shift = Shift {
            entered: after
                .iter()
                .filter(|entry| !before.contains(&entry.key))
                .map(|entry| entry.key.clone())
                .collect(),
            left: before,
        };
        shift.left.retain(|key| !self.shows(key));
        shift
    }

    /// As [`Window::update`], for those who do not ask what it changes.
    pub(crate) fn set(
        &mut self,
        order: Option<&OrderBy>,
        key: &[u8],
        sort: Option<Option<SortKey>>,
    ) {
        if let Some(at) = self.entries.iter().position(|entry| *entry.key == *key) {
            self.entries.remove(at);
        }
        if let Some(sort) = sort {
            let at = self.entries.partition_point(|entry| {
                compare(order, (&entry.sort, &entry.key), (&sort, key)).is_lt()
            });
            let key = key.into();
            self.entries.insert(at, Entry { sort, key });
        }
    }

    fn page(&self) -> &[Entry] {
        let count = self.entries.len();
        let start = self.skip.min(count);
        let range: Range<usize> = start..start.saturating_add(self.top).min(count);
        &self.entries[range]
    }

    fn keys(&self) -> Vec<Box<[u8]>> {
        self.page().iter().map(|entry| entry.key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message_type::MessageType;

    fn shift(left: &[&str], entered: &[&str]) -> Shift {
        let boxed = |keys: &[&str]| keys.iter().map(|key| key.as_bytes().into()).collect();
        Shift {
            left: boxed(left),
            entered: boxed(entered),
        }
    }

    #[test]
    fn records_enter_and_leave_the_page_as_others_move() {
        let order = OrderBy::parse("/n").unwrap();
        let mut window = Window::new(&Page {
            skip: 1,
            top: 2,
            order: None,
        });
        let mut put = |key: &str, number: Option<u32>| {
            let sort = number.map(|number| {
                let payload = format!(r#"{{"n":{number}}}"#);
                Some(order.key(&MessageType::Json, payload.as_bytes()))
            });
            window.update(Some(&order), key.as_bytes(), sort)
        };
        assert_eq!(put("a", Some(10)), shift(&[], &[]));
        assert_eq!(put("b", Some(20)), shift(&[], &["b"]));
        assert_eq!(put("c", Some(30)), shift(&[], &["c"]));
        assert_eq!(put("d", Some(40)), shift(&[], &[]));
        assert_eq!(put("e", Some(15)), shift(&["c"], &["e"]));
        assert_eq!(put("a", Some(50)), shift(&["e"], &["c"]));
        assert_eq!(put("b", None), shift(&["b"], &[]).and_entered("d", &["c"]));
        assert_eq!(put("d", Some(40)), shift(&[], &[]));
    }

    impl Shift {
        /// After the removal of `b` the page is `c`, `d`: only `d` is new.
        fn and_entered(mut self, key: &str, stays: &[&str]) -> Shift {
            assert!(stays.iter().all(|stays| *stays != key));
            self.entered.push(key.as_bytes().into());
            self
        }
    }
}
