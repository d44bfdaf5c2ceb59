//! One subscription at one topic: what it makes of a change.

use super::change::{Change, Event, Seen};
use super::conflator::Conflator;
use super::groups::{Groups, Regrouped, Source};
use super::news::{News, Reason};
use super::window::{Shift, Window};
use super::{Subscription, Topic};
use crate::entitlement::Grant;
use crate::filter::{Candidate, Extractor, Projection, SortKey, diff};
use crate::message_type::MessageType;
use crate::sow::{Record, Sow};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

/// A subscription at a topic, with what it remembers of that topic.
pub(crate) struct Listener {
    pub(super) subscription: Arc<Subscription>,
    /// What its owner may see here.
    grant: Grant,
    /// The page that it shows, if it is paginated.
    window: Option<Window>,
    /// The groups that it shows, if it is aggregated.
    groups: Option<Groups>,
    /// What waits to be sent, if it is conflated.
    pub(super) conflator: Option<Conflator>,
}

/// What a change means to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is none of its business.
    Silent,
    /// There is a message, to be sent with all its fields or only with those that changed.
    Message { whole: bool },
    /// A record is out of focus, and the client wants to know.
    Leaves(Reason),
    /// The page knows.
    Page,
    /// The groups know.
    Groups,
}

impl Listener {
    pub(crate) fn new(subscription: &Arc<Subscription>, grant: Grant, topic: &Topic) -> Listener {
        let sow = topic.sow.as_ref();
        let conflator = subscription
            .conflation
            .as_ref()
            // Without a key there is nothing to conflate by.
            .filter(|conflation| sow.is_some() || conflation.key.is_some())
            .map(|conflation| Conflator::new(conflation.interval, subscription.oof));
        let window = subscription.page.as_ref().filter(|_| sow.is_some());
        let mut listener = Listener {
            subscription: subscription.clone(),
            grant,
            window: window.map(Window::new),
            groups: subscription.projection.as_ref().map(|_| Groups::default()),
            conflator,
        };
        if let Some(sow) = sow {
            listener.learn(topic, sow);
        }
        listener
    }

    /// Looks at the records that are there already.
    fn learn(&mut self, topic: &Topic, sow: &Sow) {
        let message_type = &topic.message_type;
        let seen = |record| Seen::record(message_type, &topic.name, record);
        if self.groups.is_some() {
            return self.learn_groups(topic, sow);
        }
        if self.window.is_some() {
            for record in sow.records() {
                if !self.covers(&seen(record)) {
                    continue;
                }
                let sort = self.sort_key(message_type, &record.payload);
                if let (Some(window), Some(page)) = (&mut self.window, &self.subscription.page) {
                    window.set(page.order.as_ref(), &record.key, Some(sort));
                }
            }
        }
        if self.conflator.is_some() {
            for record in sow.records() {
                if self.subscription.had.has(topic.at, &record.key)
                    && self.shows(&seen(record), &record.key)
                    && let Some(conflator) = &mut self.conflator
                    && let Some(shown) = self.subscription.selected(message_type, &record.payload)
                {
                    conflator.note_sent(&record.key, &shown);
                }
            }
        }
    }

    /// As [`Listener::learn`], for groups.
    fn learn_groups(&mut self, topic: &Topic, sow: &Sow) {
        let (Some(mut groups), Some(projection)) =
            (self.groups.take(), &self.subscription.projection)
        else {
            return;
        };
        let source = Source {
            message_type: &topic.message_type,
            topic: &topic.name,
            sow,
        };
        let covered =
            |record: &&Record| self.covers(&Seen::record(&topic.message_type, &topic.name, record));
        groups.fill(projection, source, sow.records().filter(covered));
        if let Some(conflator) = &mut self.conflator {
            let known = groups
                .all()
                .filter(|(key, _)| self.subscription.had.has(topic.at, key));
            known.for_each(|(key, payload)| conflator.note_sent(key, payload));
        }
        self.groups = Some(groups);
    }

    fn sort_key(&self, message_type: &MessageType, payload: &[u8]) -> Option<SortKey> {
        let order = self.subscription.page.as_ref()?.order.as_ref()?;
        Some(order.key(message_type, payload))
    }

    /// True if it takes every message whole and at once.
    pub(super) fn is_plain(&self) -> bool {
        let Subscription {
            filter,
            select,
            delta,
            ..
        } = &*self.subscription;
        filter.is_none()
            && select.is_none()
            && !delta
            && matches!(self.grant, Grant::Everything)
            && self.window.is_none()
            && self.groups.is_none()
            && self.conflator.is_none()
    }

    /// True if the message is what the client wants and may see.
    #[inline]
    pub(crate) fn covers(&self, candidate: &dyn Candidate) -> bool {
        self.grant.covers(candidate)
            && self
                .subscription
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(candidate))
    }

    /// True if the record is in focus.
    pub(crate) fn shows(&self, seen: &Seen<'_>, key: &[u8]) -> bool {
        match &self.window {
            Some(window) => window.shows(key),
            None => self.covers(seen),
        }
    }

    /// Decides what a change means (`broker-behaviour §4, §5`).
    pub(crate) fn judge(&self, change: &Change<'_>) -> Verdict {
        if self.window.is_some() {
            return Verdict::Page;
        }
        if self.groups.is_some() {
            return Verdict::Groups;
        }
        let oof = self.subscription.oof;
        // Worth asking only where it makes a difference: it evaluates the filter once more.
        let was_shown = || change.before().is_some_and(|before| self.covers(&before));
        if change.event == Event::Published && self.covers(&change.now()) {
            let whole = !self.sends_deltas(change) || (oof && !was_shown());
            return Verdict::Message { whole };
        }
        match oof && was_shown() {
            true => Verdict::Leaves(self.reason_to_leave(change)),
            false => Verdict::Silent,
        }
    }

    fn sends_deltas(&self, change: &Change<'_>) -> bool {
        self.subscription.delta && change.old.is_some() && change.message_type.has_deltas()
    }

    /// Why the record of a change is out of focus.
    fn reason_to_leave(&self, change: &Change<'_>) -> Reason {
        match change.event {
            Event::Deleted => Reason::Deleted,
            Event::Expired => Reason::Expired,
            Event::Published if self.grant.covers(&change.now()) => Reason::Match,
            Event::Published => Reason::Entitlement,
        }
    }

    /// What the client is told. `whole` asks for all fields in any case.
    pub(crate) fn news<'c>(
        &self,
        verdict: Verdict,
        change: &'c Change<'_>,
        whole: bool,
    ) -> Option<News<'c>> {
        match verdict {
            Verdict::Silent | Verdict::Page | Verdict::Groups => None,
            Verdict::Leaves(reason) => self.leaving(change, reason),
            Verdict::Message { whole: wanted } => self.message(change, whole || wanted),
        }
    }

    fn message<'c>(&self, change: &'c Change<'_>, whole: bool) -> Option<News<'c>> {
        let new = self
            .subscription
            .selected(change.message_type, change.payload)?;
        let payload = match change.old.filter(|_| !whole) {
            None => new,
            Some(old) if self.subscription.select.is_some() => {
                // Only the fields that the client sees can have changed for it.
                let old = self
                    .subscription
                    .selected(change.message_type, &old.payload)?;
                let delta = change.diff(&old, &new);
                if self.subscription.no_empties && !delta.changed {
                    return None;
                }
                Cow::Owned(delta.payload)
            }
            Some(_) if self.subscription.no_empties && !change.delta().changed => return None,
            Some(_) => Cow::Borrowed(&*change.delta().payload),
        };
        Some(News::message(change, payload, whole))
    }

    fn leaving<'c>(&self, change: &'c Change<'_>, reason: Reason) -> Option<News<'c>> {
        // Who may no longer see a record is shown what could be seen before.
        let (payload, correlation_id) = match (reason, change.old) {
            (Reason::Entitlement, Some(old)) => (&*old.payload, &*old.correlation_id),
            _ => (change.payload, change.correlation_id),
        };
        Some(News {
            oof: Some(reason),
            payload: self.subscription.selected(change.message_type, payload)?,
            whole: true,
            key: Cow::Borrowed(change.key),
            correlation_id: Cow::Borrowed(correlation_id),
            processed: change.processed,
            bookmark: None,
        })
    }

    /// Moves the page as a change demands, and says what that means to the client: first what
    /// leaves, so that it never holds more than a page.
    pub(super) fn turn_page<'c>(&mut self, change: &'c Change<'_>, mut each: impl FnMut(News<'c>)) {
        let covered = change.event == Event::Published && self.covers(&change.now());
        let sort = covered.then(|| self.sort_key(change.message_type, change.payload));
        let order = self
            .subscription
            .page
            .as_ref()
            .and_then(|page| page.order.as_ref());
        let Some(window) = &mut self.window else {
            return;
        };
        let stays = window.shows(change.key);
        let Shift { left, entered } = window.update(order, change.key, sort);
        let stays = stays && window.shows(change.key);
        let moved = |key: &[u8], oof| {
            let record = change.sow.and_then(|sow| sow.get(key))?;
            self.subscription
                .record_news(change.message_type, record, oof)
        };
        for key in left.iter().filter(|_| self.subscription.oof) {
            let news = match **key == *change.key {
                true => self.leaving(change, self.reason_to_leave(change)),
                false => moved(key, Some(Reason::Match)),
            };
            news.into_iter().for_each(&mut each);
        }
        if stays {
            let whole = !self.sends_deltas(change);
            self.message(change, whole).into_iter().for_each(&mut each);
        }
        for key in &entered {
            let news = match **key == *change.key {
                true => self.message(change, true),
                false => moved(key, None),
            };
            news.into_iter().for_each(&mut each);
        }
    }

    /// Works out what a change does to the groups, and what that means to the client.
    pub(super) fn regroup<'c>(&mut self, change: &'c Change<'_>, each: impl FnMut(News<'c>)) {
        let covered = change.event == Event::Published && self.covers(&change.now());
        let subscription = self.subscription.clone();
        let (Some(groups), Some(projection)) = (&mut self.groups, &subscription.projection) else {
            return;
        };
        let regrouped = groups.update(projection, change, covered);
        regrouped
            .into_iter()
            .filter_map(|group| self.group_news(change, projection, group))
            .for_each(each);
    }

    fn group_news<'c>(
        &self,
        change: &Change<'_>,
        projection: &Projection,
        group: Regrouped,
    ) -> Option<News<'c>> {
        let Regrouped { key, old, new } = group;
        let news = |oof, payload, whole| News {
            oof,
            payload: Cow::Owned(payload),
            whole,
            key: Cow::Owned(key.into()),
            correlation_id: Cow::Borrowed(b""),
            processed: change.processed,
            // A group is of many messages.
            bookmark: None,
        };
        match (old, new) {
            (Some(old), Some(new)) if self.subscription.delta => {
                let delta = diff(change.message_type, &old, &new, projection.keys());
                let silent = self.subscription.no_empties && !delta.changed;
                (!silent).then(|| news(None, delta.payload, false))
            }
            (_, Some(new)) => Some(news(None, new, true)),
            (Some(old), None) if self.subscription.oof => {
                Some(news(Some(self.reason_to_leave(change)), old, true))
            }
            _ => None,
        }
    }

    /// Holds news back if the subscription is conflated, and says when a timer is to come for it
    /// if none is set. Otherwise gives it back.
    pub(super) fn conflate<'c>(
        &mut self,
        change: &Change<'_>,
        news: News<'c>,
    ) -> Result<Option<Instant>, News<'c>> {
        if self.conflator.is_none() {
            return Err(news);
        }
        let key = self.conflation_key(change, &news);
        match &mut self.conflator {
            Some(conflator) => Ok(conflator.hold(change.message_type, &key, news, Instant::now())),
            None => Err(news),
        }
    }

    /// What tells records apart when updates are conflated.
    fn conflation_key(&self, change: &Change<'_>, news: &News<'_>) -> Box<[u8]> {
        let custom = self
            .subscription
            .conflation
            .as_ref()
            .and_then(|conflation| conflation.key.as_ref())
            // Records that go out of focus, or of a page, are known by their key.
            .filter(|_| change.sow.is_none() || !(self.subscription.oof || self.window.is_some()));
        match custom {
            Some((extractor, count)) => values(extractor, *count, change),
            None => (&*news.key).into(),
        }
    }
}

/// The values of fields, one after the other, each with its length.
fn values(extractor: &Extractor, count: usize, change: &Change<'_>) -> Box<[u8]> {
    let found = extractor.extract(change.message_type, change.payload);
    let mut key = Vec::new();
    for at in 0..count {
        let text = found.get(at).into_text().unwrap_or_default();
        key.extend_from_slice(&text.len().to_be_bytes());
        key.extend_from_slice(&text);
    }
    key.into()
}
