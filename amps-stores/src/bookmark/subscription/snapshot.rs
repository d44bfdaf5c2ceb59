//! A subscription as the fewest changes that make it, for files that are rewritten.

use super::{Entry, ODD, OPAQUE, Subscription};
use crate::bookmark::event::Event;
use crate::bookmark::position::Position;
use crate::bookmark::publishers::Publisher;

impl Subscription {
    pub(super) fn restore_prefix(
        &mut self,
        position: Position<'_>,
        known: bool,
        listed: Option<u64>,
    ) {
        match position {
            Position::Numbered {
                publisher,
                sequence,
                padding,
            } => {
                let slot = self.publishers.slot(publisher);
                let publisher = self.publishers.get_mut(slot);
                publisher.prefix = known.then_some(sequence);
                publisher.listed = listed;
                publisher.padding = padding;
            }
            Position::Opaque(text) => {
                self.publishers.opaques.prefix = Some(text.into());
                self.publishers.opaques.listed = listed.is_some();
            }
            Position::Odd => {}
        }
    }

    pub(super) fn restore_ahead(&mut self, position: Position<'_>) {
        if let Position::Numbered {
            publisher,
            sequence,
            ..
        } = position
        {
            let slot = self.publishers.slot(publisher);
            // Numbers begin at 1: this one has left.
            self.publishers.get_mut(slot).insert(sequence, 0);
        }
    }

    /// Shows the changes that make this state from a new subscription with the same
    /// [`first`](Subscription::first) and [`entered_at`](Subscription::entered_at).
    pub(crate) fn snapshot<E>(
        &self,
        show: &mut impl FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.show_prefixes(show)?;
        show(&Event::Entered {
            point: &self.entry_point.text(),
            now: self.now,
            anew: false,
        })?;
        if self.completed {
            show(&Event::Completed(""))?;
        }
        let persisted = [self.waiting.as_ref(), self.persisted.as_ref()];
        if let [None, Some(settled)] = persisted {
            show(&Event::Persisted(&settled.point))?;
        }
        let mut persisted = match persisted {
            [None, _] => [None, None],
            both => both,
        };
        let mut show_persisted =
            |number: u64, show: &mut dyn FnMut(&Event<'_>) -> Result<(), E>| {
                for waiting in &mut persisted {
                    if let Some(due) = waiting.take_if(|due| due.before <= number) {
                        show(&Event::Persisted(&due.point))?;
                    }
                }
                Ok(())
            };
        for (number, entry) in (self.first..).zip(&self.entries) {
            show_persisted(number, show)?;
            show(&Event::Received(self.position(number, entry)))?;
        }
        show_persisted(self.next(), show)?;
        for (number, entry) in (self.first..).zip(&self.entries) {
            if entry.discarded {
                show(&Event::Discarded(number))?;
            }
        }
        self.show_ahead(show)
    }

    fn position(&self, number: u64, entry: &Entry) -> Position<'_> {
        match entry.publisher {
            ODD => Position::Odd,
            OPAQUE => Position::Opaque(self.publishers.opaques.text(number)),
            slot => numbered(self.publishers.get(slot), entry.sequence),
        }
    }

    fn show_prefixes<E>(
        &self,
        show: &mut impl FnMut(&Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for known in self.publishers.iter() {
            show(&Event::Prefix {
                position: numbered(known, known.prefix.unwrap_or_default()),
                known: known.prefix.is_some(),
                listed: known.listed,
            })?;
        }
        if let Some(last) = &self.publishers.opaques.prefix {
            show(&Event::Prefix {
                position: Position::Opaque(last),
                known: true,
                listed: self.publishers.opaques.listed.then_some(0),
            })?;
        }
        Ok(())
    }

    fn show_ahead<E>(&self, show: &mut impl FnMut(&Event<'_>) -> Result<(), E>) -> Result<(), E> {
        for known in self.publishers.iter() {
            let left = known.after.iter().filter(|pair| pair.1 < self.first);
            for &(sequence, _) in left {
                show(&Event::Ahead(numbered(known, sequence)))?;
            }
        }
        Ok(())
    }
}

fn numbered(known: &Publisher, sequence: u64) -> Position<'static> {
    Position::Numbered {
        publisher: known.id,
        sequence,
        padding: known.padding,
    }
}
