//! What the stores differ in: what they keep beyond memory.

use super::event::Event;
use super::file::LogFile;
use super::format::{FLAVOUR_FULL, FLAVOUR_RING, Record};
use super::journal::{Journal, Snapshot};
use super::options::BookmarkFileOptions;
use super::subscription::Subscription;
use super::subscriptions::{Named, Subscriptions};
use amps_core::Result;
use std::path::Path;

/// Keeps the changes of subscriptions.
pub(super) trait Keeper: Send + 'static {
    /// Keeps a change before it is made (trap 68). If it fails, the change is not made.
    fn before(&mut self, named: &mut Named, event: &Event<'_>) -> Result<()>;

    /// Keeps what a change has led to.
    fn after(&mut self, named: &mut Named) -> Result<()>;

    /// Keeps that a subscription, or all of them, are about to be forgotten.
    fn purge(&mut self, named: Option<&mut Named>) -> Result<()>;

    /// True if [`rewrite`](Keeper::rewrite) is due.
    fn is_long(&self) -> bool;

    /// Keeps the present state and no more.
    fn rewrite(&mut self, all: &mut Subscriptions) -> Result<()>;
}

/// Keeps nothing.
pub(super) struct Nothing;

impl Keeper for Nothing {
    fn before(&mut self, _: &mut Named, _: &Event<'_>) -> Result<()> {
        Ok(())
    }

    fn after(&mut self, _: &mut Named) -> Result<()> {
        Ok(())
    }

    fn purge(&mut self, _: Option<&mut Named>) -> Result<()> {
        Ok(())
    }

    fn is_long(&self) -> bool {
        false
    }

    fn rewrite(&mut self, _: &mut Subscriptions) -> Result<()> {
        Ok(())
    }
}

/// Keeps every change in a file.
pub(super) struct FullLog<F> {
    journal: Journal<F>,
}

/// Keeps only the resume points in a file.
pub(super) struct Ring<F> {
    journal: Journal<F>,
    /// The resume point that was written last: the place for the next one.
    point: String,
}

/// Opens a file and brings back the subscriptions in it.
fn open<F: LogFile>(
    path: &Path,
    flavour: u32,
    options: BookmarkFileOptions,
) -> Result<(Journal<F>, bool, Subscriptions)> {
    let mut all = Subscriptions::default();
    let mut show = |index: u32, record: &Record<'_>| restore(&mut all, index, record);
    let (journal, stale) = Journal::open(path, flavour, options, &mut show)?;
    for named in all.iter_mut() {
        named.written = named.state.revision();
    }
    Ok((journal, stale, all))
}

/// The highest index that a file may use: beyond it is no number of subscriptions but damage.
const INDEX_MAX: u32 = 1 << 24;

fn restore(all: &mut Subscriptions, index: u32, record: &Record<'_>) -> Result<(), &'static str> {
    if let Record::Subscription {
        name,
        first,
        entered_at,
    } = *record
    {
        if index > INDEX_MAX || first == 0 || first > u64::MAX / 2 {
            return Err("its numbers are impossible");
        }
        if all.get(index).is_some() || all.find(name).is_some() {
            return Err("it makes a subscription that is there");
        }
        let mut state = Subscription::new(first);
        state.set_entered_at(entered_at);
        all.add(index, name, state);
        if let Some(named) = all.get_mut(index) {
            named.defined = true;
        }
        return Ok(());
    }
    let Some(named) = all.get_mut(index) else {
        return Err("its subscription is not known");
    };
    match record {
        Record::Event(event) => named.state.apply(event),
        Record::Purged => all.remove(index),
        _ => {}
    }
    Ok(())
}

fn define<F: LogFile>(journal: &mut Journal<F>, named: &mut Named) -> Result<()> {
    if !named.defined {
        let record = Record::Subscription {
            name: &named.name,
            first: named.state.first(),
            entered_at: named.state.entered_at(),
        };
        journal.append(named.index, &record)?;
        named.defined = true;
    }
    Ok(())
}

fn purge<F: LogFile>(journal: &mut Journal<F>, named: Option<&mut Named>) -> Result<()> {
    match named {
        // All of it at once.
        None => journal.rewrite(|_| {}),
        Some(named) if named.defined => journal.append(named.index, &Record::Purged),
        Some(_) => Ok(()),
    }
}

fn write_name(snapshot: &mut Snapshot, named: &Named) {
    snapshot.push(
        named.index,
        &Record::Subscription {
            name: &named.name,
            first: named.state.first(),
            entered_at: named.state.entered_at(),
        },
    );
}

fn all_are_defined(all: &mut Subscriptions) {
    all.iter_mut().for_each(|named| named.defined = true);
}

impl<F: LogFile> FullLog<F> {
    pub(super) fn open(
        path: &Path,
        options: BookmarkFileOptions,
    ) -> Result<(FullLog<F>, bool, Subscriptions)> {
        let (journal, stale, all) = open(path, FLAVOUR_FULL, options)?;
        Ok((FullLog { journal }, stale, all))
    }
}

impl<F: LogFile> Keeper for FullLog<F> {
    fn before(&mut self, named: &mut Named, event: &Event<'_>) -> Result<()> {
        define(&mut self.journal, named)?;
        self.journal.append(named.index, &Record::Event(*event))
    }

    fn after(&mut self, _: &mut Named) -> Result<()> {
        Ok(())
    }

    fn purge(&mut self, named: Option<&mut Named>) -> Result<()> {
        purge(&mut self.journal, named)
    }

    fn is_long(&self) -> bool {
        self.journal.is_long()
    }

    fn rewrite(&mut self, all: &mut Subscriptions) -> Result<()> {
        self.journal.rewrite(|snapshot| {
            for named in all.iter() {
                write_name(snapshot, named);
                let index = named.index;
                let shown = named.state.snapshot(&mut |event| {
                    snapshot.push(index, &Record::Event(*event));
                    Ok::<(), std::convert::Infallible>(())
                });
                let Ok(()) = shown;
            }
        })?;
        all_are_defined(all);
        Ok(())
    }
}

impl<F: LogFile> Ring<F> {
    pub(super) fn open(
        path: &Path,
        options: BookmarkFileOptions,
    ) -> Result<(Ring<F>, bool, Subscriptions)> {
        let (journal, stale, all) = open(path, FLAVOUR_RING, options)?;
        let point = String::new();
        Ok((Ring { journal, point }, stale, all))
    }
}

impl<F: LogFile> Keeper for Ring<F> {
    fn before(&mut self, _: &mut Named, _: &Event<'_>) -> Result<()> {
        Ok(())
    }

    /// The file lags behind memory, never the other way round: if it cannot be written, the next
    /// change tries again, and a restart meanwhile starts earlier.
    fn after(&mut self, named: &mut Named) -> Result<()> {
        let revision = named.state.revision();
        if revision == named.written {
            return Ok(());
        }
        define(&mut self.journal, named)?;
        self.point = named.state.resume_point_in(std::mem::take(&mut self.point));
        self.journal.append(named.index, &resume_at(&self.point))?;
        named.written = revision;
        Ok(())
    }

    fn purge(&mut self, named: Option<&mut Named>) -> Result<()> {
        purge(&mut self.journal, named)
    }

    fn is_long(&self) -> bool {
        self.journal.is_long()
    }

    fn rewrite(&mut self, all: &mut Subscriptions) -> Result<()> {
        self.journal.rewrite(|snapshot| {
            for named in all.iter() {
                write_name(snapshot, named);
                snapshot.push(named.index, &resume_at(&named.state.resume_point()));
            }
        })?;
        all_are_defined(all);
        for named in all.iter_mut() {
            named.written = named.state.revision();
        }
        Ok(())
    }
}

fn resume_at(point: &str) -> Record<'_> {
    Record::Event(Event::Entered {
        point,
        now: false,
        anew: false,
    })
}
