//! Recovery points: rules P1 to P5.

use crate::support::{SUB, discard, log, log_all, recent, work_off};
use amps_core::{BookmarkStore, Error, ErrorContext, Result};
use amps_stores::{
    ConflatingRecoveryPointAdapter, FixedRecoveryPoint, MemoryBookmarkStore, RecoveryPoint,
    RecoveryPointAdapter,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// What an adapter was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    Update(String, String),
    Purge,
    PurgeSub(String),
    Close,
}

fn update(sub_id: &str, bookmark: &str) -> Call {
    Call::Update(sub_id.to_string(), bookmark.to_string())
}

/// Notes what it is asked to do.
#[derive(Clone)]
struct Notes {
    calls: Arc<Mutex<Vec<Call>>>,
    news: Sender<Call>,
    fails: Arc<AtomicBool>,
    kept: Vec<FixedRecoveryPoint>,
}

fn notes() -> (Notes, Receiver<Call>) {
    let (news, calls) = channel();
    let notes = Notes {
        calls: Arc::default(),
        news,
        fails: Arc::default(),
        kept: Vec::new(),
    };
    (notes, calls)
}

impl Notes {
    fn note(&self, call: Call) -> Result<()> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(ErrorContext::new("note", "a point").Store());
        }
        self.calls.lock().unwrap().push(call.clone());
        let _ = self.news.send(call);
        Ok(())
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

impl RecoveryPointAdapter for Notes {
    fn recover(&mut self) -> Result<Vec<FixedRecoveryPoint>> {
        Ok(self.kept.clone())
    }

    fn update(&self, point: &dyn RecoveryPoint) -> Result<()> {
        self.note(update(point.sub_id(), &point.bookmark()))
    }

    fn purge(&self) -> Result<()> {
        self.note(Call::Purge)
    }

    fn purge_sub(&self, sub_id: &str) -> Result<()> {
        self.note(Call::PurgeSub(sub_id.to_string()))
    }

    fn close(&self) -> Result<()> {
        self.note(Call::Close)
    }
}

#[test]
fn p1_what_was_kept_is_the_most_recent_of_its_subscription() {
    let (mut notes, _calls) = notes();
    notes.kept = vec![
        FixedRecoveryPoint::new(SUB, "1|5|,2|6|"),
        FixedRecoveryPoint::new("other", "0"),
    ];
    let store = MemoryBookmarkStore::with_adapter(notes.clone()).unwrap();
    assert_eq!(recent(&store), "1|5|,2|6|");
    assert_eq!(store.most_recent("other").unwrap(), "0");
    assert_eq!(store.most_recent("unknown").unwrap(), "0");
    // To enter there is to go on.
    store.enter(SUB, "1|5|,2|6|").unwrap();
    log(&store, "2|7|");
    assert_eq!(recent(&store), "1|5|,2|6|");
    discard(&store, "2|7|");
    assert_eq!(recent(&store), "2|7|");
    assert_eq!(notes.calls().last(), Some(&update(SUB, "2|7|")));
}

#[test]
fn p2_each_move_of_the_resume_point_is_told_and_nothing_else() {
    let (notes, _calls) = notes();
    let store = MemoryBookmarkStore::with_adapter(notes.clone()).unwrap();
    store.enter(SUB, "9|9|").unwrap();
    log(&store, "1|1|");
    let before = notes.calls().len();
    // Of a publisher that is known, nothing moves it before the first discard.
    log_all(&store, &["1|2|", "1|3|"]);
    // Not in the prefix: it moves nothing.
    discard(&store, "1|2|");
    assert_eq!(notes.calls().len(), before);
    discard(&store, "1|1|");
    log(&store, "1|4|");
    assert_eq!(notes.calls()[before..], [update(SUB, "1|2|")]);
    // A new publisher that has nothing in the prefix moves it back.
    log(&store, "2|1|");
    assert_eq!(notes.calls().last(), Some(&update(SUB, "1|2|,9|9|")));
}

#[test]
fn p4_purges_are_forwarded_and_dropping_the_store_closes() {
    let (notes, _calls) = notes();
    let store = MemoryBookmarkStore::with_adapter(notes.clone()).unwrap();
    work_off(&store, &["1|1|"]);
    notes.calls.lock().unwrap().clear();
    store.purge_sub(SUB).unwrap();
    store.purge().unwrap();
    assert_eq!(recent(&store), "0");
    drop(store);
    let expected = [Call::PurgeSub(SUB.to_string()), Call::Purge, Call::Close];
    assert_eq!(notes.calls(), expected);
}

#[test]
fn the_error_of_an_adapter_is_the_error_of_the_discard_and_the_message_is_still_logged() {
    let (notes, _calls) = notes();
    let store = MemoryBookmarkStore::with_adapter(notes.clone()).unwrap();
    notes.fails.store(true, Ordering::SeqCst);
    assert_eq!(log(&store, "1|1|"), 1);
    assert!(matches!(store.discard(SUB, 1), Err(Error::Store(_))));
    assert!(store.purge().is_err());
    assert!(store.purge_sub(SUB).is_err());
    // A purge that failed forgot nothing.
    assert_eq!(recent(&store), "1|1|");
}

/// Takes its time, and looks whether two calls for one subscription meet.
struct Slow {
    inside: Mutex<BTreeMap<String, usize>>,
    last: Arc<Mutex<BTreeMap<String, String>>>,
    met: Arc<AtomicUsize>,
}

impl RecoveryPointAdapter for Slow {
    fn recover(&mut self) -> Result<Vec<FixedRecoveryPoint>> {
        Ok(Vec::new())
    }

    fn update(&self, point: &dyn RecoveryPoint) -> Result<()> {
        let sub_id = point.sub_id().to_string();
        let count = |change: isize| {
            let mut inside = self.inside.lock().unwrap();
            let inside = inside.entry(sub_id.clone()).or_default();
            *inside = inside.checked_add_signed(change).unwrap();
            *inside
        };
        self.met.fetch_max(count(1), Ordering::SeqCst);
        let bookmark = point.bookmark().into_owned();
        thread::yield_now();
        self.last.lock().unwrap().insert(sub_id.clone(), bookmark);
        count(-1);
        Ok(())
    }

    fn purge(&self) -> Result<()> {
        Ok(())
    }

    fn purge_sub(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn updates_of_one_subscription_come_one_at_a_time_the_newest_last_and_under_no_lock() {
    let (last, met) = (Arc::default(), Arc::default());
    let slow = Slow {
        inside: Mutex::default(),
        last: Arc::clone(&last),
        met: Arc::clone(&met),
    };
    let store = MemoryBookmarkStore::with_adapter(slow).unwrap();
    const EACH: u64 = 2_000;
    for sub in ["a", "b"] {
        for number in 1..=4 * EACH {
            store.log(sub, &format!("1|{number}|")).unwrap();
        }
    }
    thread::scope(|scope| {
        for worker in 0..4 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..EACH {
                    for sub in ["a", "b"] {
                        store.discard(sub, number * 4 + worker + 1).unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(met.load(Ordering::SeqCst), 1);
    let last = last.lock().unwrap();
    for sub in ["a", "b"] {
        assert_eq!(last[sub], format!("1|{}|", 4 * EACH));
    }
}

#[test]
fn p5_only_the_newest_point_is_written_once_there_were_enough_updates() {
    let (notes, calls) = notes();
    let adapter = ConflatingRecoveryPointAdapter::builder(notes.clone())
        .set_update_threshold(3)
        .set_timeout(Duration::from_secs(3600))
        .set_update_interval(Duration::from_millis(5))
        .build();
    let point = |number: u64| FixedRecoveryPoint::new(SUB, format!("1|{number}|"));
    adapter
        .update(&FixedRecoveryPoint::new("seldom", "7|7|"))
        .unwrap();
    for number in 1..=3 {
        adapter.update(&point(number)).unwrap();
    }
    // Looks may fall between the updates, so only the last one is certain.
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap(), update(SUB, "1|3|"));
    // What was updated once is neither old nor often enough, and written at the end.
    adapter.update(&point(4)).unwrap();
    adapter.close().unwrap();
    let end = [update(SUB, "1|4|"), update("seldom", "7|7|"), Call::Close];
    assert_eq!(notes.calls()[1..], end);
    assert!(matches!(adapter.update(&point(5)), Err(Error::Store(_))));
    adapter.close().unwrap();
    assert_eq!(notes.calls().len(), 4);
}

#[test]
fn p5_a_point_that_is_old_enough_is_written() {
    let (notes, calls) = notes();
    let adapter = ConflatingRecoveryPointAdapter::builder(notes)
        .set_update_threshold(u64::MAX)
        .set_timeout(Duration::from_millis(20))
        .set_update_interval(Duration::from_millis(5))
        .build();
    let begin = Instant::now();
    adapter
        .update(&FixedRecoveryPoint::new(SUB, "1|1|"))
        .unwrap();
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap(), update(SUB, "1|1|"));
    assert!(begin.elapsed() >= Duration::from_millis(20));
}

#[test]
fn p5_a_failing_write_is_told_and_tried_again() {
    let (notes, calls) = notes();
    let (told, errors) = channel();
    let adapter = ConflatingRecoveryPointAdapter::builder(notes.clone())
        .set_update_threshold(1)
        .set_update_interval(Duration::from_millis(1))
        .set_exception_listener(move |error: &Error| {
            let _ = told.send(error.to_string());
        })
        .build();
    notes.fails.store(true, Ordering::SeqCst);
    adapter
        .update(&FixedRecoveryPoint::new(SUB, "1|1|"))
        .unwrap();
    for _ in 0..2 {
        assert!(
            errors
                .recv_timeout(PATIENCE)
                .unwrap()
                .contains("note a point")
        );
    }
    notes.fails.store(false, Ordering::SeqCst);
    assert_eq!(calls.recv_timeout(PATIENCE).unwrap(), update(SUB, "1|1|"));
    notes.fails.store(true, Ordering::SeqCst);
    adapter
        .update(&FixedRecoveryPoint::new(SUB, "1|2|"))
        .unwrap();
    let error = adapter.close().unwrap_err();
    assert!(
        error.to_string().contains("1 points could not be written"),
        "{error}"
    );
}

#[test]
fn p5_a_purge_drops_what_is_pending() {
    let (notes, _calls) = notes();
    let adapter = ConflatingRecoveryPointAdapter::builder(notes.clone())
        .set_update_interval(Duration::from_secs(3600))
        .build();
    for sub in ["a", "b", "c"] {
        adapter
            .update(&FixedRecoveryPoint::new(sub, "1|1|"))
            .unwrap();
    }
    adapter.purge_sub("b").unwrap();
    adapter.close().unwrap();
    let expected = [
        Call::PurgeSub("b".to_string()),
        update("a", "1|1|"),
        update("c", "1|1|"),
        Call::Close,
    ];
    assert_eq!(notes.calls(), expected);
}

#[test]
fn p5_a_purge_waits_for_the_write_that_is_going_on() {
    /// Lets the test say when an update ends.
    struct Gate(
        Sender<()>,
        Mutex<Receiver<()>>,
        Arc<Mutex<Vec<&'static str>>>,
    );
    impl RecoveryPointAdapter for Gate {
        fn recover(&mut self) -> Result<Vec<FixedRecoveryPoint>> {
            Ok(Vec::new())
        }
        fn update(&self, _: &dyn RecoveryPoint) -> Result<()> {
            self.0.send(()).unwrap();
            self.1.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            self.2.lock().unwrap().push("updated");
            Ok(())
        }
        fn purge(&self) -> Result<()> {
            self.2.lock().unwrap().push("purged");
            Ok(())
        }
        fn purge_sub(&self, _: &str) -> Result<()> {
            Ok(())
        }
        fn close(&self) -> Result<()> {
            Ok(())
        }
    }
    let ((inside, entered), (leave, left)) = (channel(), channel());
    let order = Arc::new(Mutex::new(Vec::new()));
    let gate = Gate(inside, Mutex::new(left), Arc::clone(&order));
    let adapter = ConflatingRecoveryPointAdapter::builder(gate)
        .set_update_threshold(1)
        .set_update_interval(Duration::from_millis(1))
        .build();
    adapter
        .update(&FixedRecoveryPoint::new(SUB, "1|1|"))
        .unwrap();
    entered.recv_timeout(PATIENCE).unwrap();
    thread::scope(|scope| {
        let purge = scope.spawn(|| adapter.purge().unwrap());
        leave.send(()).unwrap();
        purge.join().unwrap();
    });
    assert_eq!(*order.lock().unwrap(), ["updated", "purged"]);
}
