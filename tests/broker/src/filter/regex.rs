//! Compiled patterns that come from clients: of LIKE, of the REGEXP functions and of topics.
//!
//! The engine of fancy-regex delegates a pattern without look-around, backreferences and the like
//! to an automaton, whose time is linear in the text; the others backtrack. The limits here are the
//! broker's own: a search takes place under the engine's lock.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fancy_regex::{BytesMode, CompileError, Error, RegexBuilder};

/// How often a search may backtrack before it is given up, which is no match.
const BACKTRACK_LIMIT: usize = 20_000;

/// How large a pattern may be that backtracks, in instructions.
const PROGRAM_LIMIT: usize = 10_000;

/// How large the automaton of a pattern may be, in bytes.
const SIZE_LIMIT: usize = 128 << 10;

/// The same where classes are those of Unicode, which are larger: topics.
const UNICODE_SIZE_LIMIT: usize = 1 << 20;

/// How much an automaton may remember of earlier searches, in bytes.
const CACHE_LIMIT: usize = 512 << 10;

/// The longest text in which a pattern that backtracks is looked for; in a longer one it is not
/// found. A look-ahead may read all of the text at each place of it.
const BACKTRACKING_TEXT_LIMIT: usize = 8 << 10;

/// What a pattern is tried on before it is accepted.
const TRIAL: &str = "a";

/// A pattern. To search with it never panics, whatever a client wrote.
#[derive(Clone, Debug)]
pub(crate) struct Regex {
    regex: fancy_regex::Regex,
    backtracks: bool,
}

impl Regex {
    /// A pattern of bytes.
    pub(crate) fn of_bytes(pattern: &str) -> Result<Regex, String> {
        Regex::compile(pattern, BytesMode::Ascii, SIZE_LIMIT)
    }

    /// A pattern of the characters of Unicode.
    pub(crate) fn of_characters(pattern: &str) -> Result<Regex, String> {
        Regex::compile(pattern, BytesMode::Unicode, UNICODE_SIZE_LIMIT)
    }

    fn compile(pattern: &str, mode: BytesMode, size: usize) -> Result<Regex, String> {
        let build = |program: usize| {
            RegexBuilder::new(pattern)
                .bytes_mode(mode)
                .backtrack_limit(BACKTRACK_LIMIT)
                .max_prog_size(program)
                .delegate_size_limit(size)
                .delegate_dfa_size_limit(CACHE_LIMIT)
                .delegate_dfa_skip_cache_capacity_check(false)
                .build()
        };
        // Only a pattern that backtracks is compiled to instructions, so one that gets by without
        // any does not.
        let compiled = guarded(pattern, || match build(0) {
            Err(Error::CompileError(error))
                if matches!(*error, CompileError::PatternTooComplex) =>
            {
                build(PROGRAM_LIMIT).map(|regex| (regex, true))
            }
            other => other.map(|regex| (regex, false)),
        });
        let (regex, backtracks) = compiled
            .ok_or("the pattern breaks the engine")?
            .map_err(|error| error.to_string())?;
        // Some patterns are compiled that break the engine when they are looked for.
        guarded(pattern, || regex.is_match(TRIAL).is_ok())
            .ok_or("the pattern breaks the engine")?;
        Ok(Regex { regex, backtracks })
    }

    /// Whether it takes backtracking to look for the pattern.
    pub(super) fn backtracks(&self) -> bool {
        self.backtracks
    }

    /// Whether the pattern is found anywhere in the bytes.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        self.search(text.len(), |regex| regex.is_match(text))
            .unwrap_or(false)
    }

    /// Whether the pattern is found anywhere in the text.
    pub(crate) fn is_in_text(&self, text: &str) -> bool {
        self.search(text.len(), |regex| regex.is_match(text))
            .unwrap_or(false)
    }

    /// Where the pattern is next found at or after `from`.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<(usize, usize)> {
        self.search(text.len(), |regex| regex.find_from_pos(text, from))?
            .map(|found| (found.start(), found.end()))
    }

    /// Searches a text of that length; `None` if that was given up.
    fn search<T>(
        &self,
        length: usize,
        search: impl FnOnce(&fancy_regex::Regex) -> Result<T, Error>,
    ) -> Option<T> {
        if self.backtracks && length > BACKTRACKING_TEXT_LIMIT {
            return None;
        }
        let pattern = self.regex.as_str();
        match guarded(pattern, || search(&self.regex))? {
            Ok(found) => Some(found),
            Err(error) => {
                log::debug!("pattern {pattern:?}: {error}; taken as no match");
                None
            }
        }
    }
}

/// Calls the engine; `None` if it panics.
fn guarded<T>(pattern: &str, call: impl FnOnce() -> T) -> Option<T> {
    // A search that breaks off leaves nothing behind but scratch memory, which is not used again.
    let result = catch_unwind(AssertUnwindSafe(call));
    if result.is_err() {
        log::warn!("pattern {pattern:?} breaks the engine");
    }
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::time_of_this_thread;
    use std::time::Duration;

    #[test]
    fn a_pattern_that_breaks_the_engine_at_once_is_refused() {
        assert!(Regex::of_bytes("(?(1))").is_err());
        assert!(Regex::of_characters("(?(1))").is_err());
    }

    #[test]
    fn a_pattern_that_breaks_the_engine_later_is_not_found() {
        let regex = Regex::of_bytes("xyz(?(1))").unwrap();
        assert!(!regex.is_in(b"xyz"));
        assert_eq!(regex.find(b"xyz", 0), None);
    }

    #[test]
    fn only_patterns_beyond_an_automaton_count_as_backtracking() {
        for (pattern, backtracks) in [
            ("^a.*b$", false),
            (r"(\d+)-x{2,9}|[a-z]+?", false),
            (r"(a)\1", true),
            ("(?=a)b", true),
            ("(?!a)b", true),
        ] {
            assert_eq!(Regex::of_bytes(pattern).unwrap().backtracks, backtracks);
            let regex = Regex::of_characters(pattern).unwrap();
            assert_eq!(regex.backtracks, backtracks, "{pattern}");
        }
    }

    #[test]
    fn a_backtracking_pattern_is_not_found_in_a_text_beyond_the_limit() {
        let regex = Regex::of_bytes("(?=x)x").unwrap();
        let mut text = vec![b'x'; BACKTRACKING_TEXT_LIMIT];
        assert!(regex.is_in(&text));
        text.push(b'x');
        assert!(!regex.is_in(&text));
        assert!(Regex::of_bytes("^x.*x$").unwrap().is_in(&text));
    }

    #[test]
    fn a_pattern_with_a_huge_repeat_is_refused() {
        assert!(Regex::of_bytes("(a{300}){250}").is_err());
        assert!(Regex::of_bytes(r"(?=b)(a{300}){250}").is_err());
        assert!(Regex::of_characters("(a{300}){250}").is_err());
    }

    #[test]
    fn classes_of_unicode_fit_into_a_topic_pattern() {
        assert!(
            Regex::of_characters(r"^\w+/\w+/\d+$")
                .unwrap()
                .is_in_text("ä/b/1")
        );
    }

    #[test]
    fn no_pattern_searches_the_longest_text_for_seconds() {
        let short = vec![b'a'; BACKTRACKING_TEXT_LIMIT];
        for pattern in [r"(?=.*xy)z", r"(a*)*\1c", r"(?=[ab]*a[ab]{300}c)z"] {
            let regex = Regex::of_bytes(pattern).unwrap();
            let begin = time_of_this_thread();
            assert!(!regex.is_in(&short), "{pattern}");
            let time = time_of_this_thread() - begin;
            assert!(time < Duration::from_secs(4), "{pattern}: {time:?}");
        }
    }
}
