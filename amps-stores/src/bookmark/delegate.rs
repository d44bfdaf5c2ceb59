//! Public stores are thin: what they share is in [`Tracked`](super::tracked::Tracked).

/// Implements [`BookmarkStore`](amps_core::BookmarkStore) by the field `inner`.
macro_rules! delegate_bookmark_store {
    ($store:ty) => {
        impl amps_core::BookmarkStore for $store {
            fn log(&self, sub_id: &str, bookmark: &str) -> amps_core::Result<amps_core::Logged> {
                amps_core::BookmarkStore::log(&self.inner, sub_id, bookmark)
            }

            fn discard(&self, sub_id: &str, sequence: u64) -> amps_core::Result<()> {
                amps_core::BookmarkStore::discard(&self.inner, sub_id, sequence)
            }

            fn discard_bookmark(&self, sub_id: &str, bookmark: &str) -> amps_core::Result<()> {
                amps_core::BookmarkStore::discard_bookmark(&self.inner, sub_id, bookmark)
            }

            fn is_discarded(&self, sub_id: &str, bookmark: &str) -> bool {
                self.inner.is_discarded(sub_id, bookmark)
            }

            fn most_recent(&self, sub_id: &str) -> amps_core::Result<String> {
                self.inner.most_recent(sub_id)
            }

            fn enter(&self, sub_id: &str, bookmark: &str) -> amps_core::Result<()> {
                amps_core::BookmarkStore::enter(&self.inner, sub_id, bookmark)
            }

            fn completed(&self, sub_id: &str, bookmark: &str) -> amps_core::Result<()> {
                amps_core::BookmarkStore::completed(&self.inner, sub_id, bookmark)
            }

            fn persisted(&self, sub_id: &str, bookmark: &str) -> amps_core::Result<()> {
                amps_core::BookmarkStore::persisted(&self.inner, sub_id, bookmark)
            }

            fn oldest_bookmark_seq(&self, sub_id: &str) -> u64 {
                self.inner.oldest_bookmark_seq(sub_id)
            }

            fn purge(&self) -> amps_core::Result<()> {
                self.inner.purge()
            }

            fn purge_sub(&self, sub_id: &str) -> amps_core::Result<()> {
                self.inner.purge_sub(sub_id)
            }

            fn set_resize_handler(&self, handler: amps_core::BookmarkResizeHandler) {
                self.inner.set_resize_handler(handler);
            }
        }
    };
}

pub(super) use delegate_bookmark_store;
