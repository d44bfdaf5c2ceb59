//! Field paths: `/a/b`, `/a[0]`, `[/odd name]`, `/Order/@id`, `/55` (broker-behaviour §2.2).

use std::fmt;
use std::str::FromStr;

use super::error::FilterError;

/// No payload nests deeper than this (`serde_json` stops at 128), so a longer path names nothing.
const MAX_STEPS: usize = 128;

/// One step of a path: the name of a field, and which element if it is an array.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    pub(super) name: String,
    pub(super) index: Option<usize>,
}

impl Step {
    /// The name of the field. For a part of a composite-local message it is the part's number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The zero-based element that is meant, if one was given.
    pub fn index(&self) -> Option<usize> {
        self.index
    }
}

/// The path of a field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    pub(super) steps: Vec<Step>,
}

impl Path {
    /// Reads a text that is one path and nothing else.
    ///
    /// # Errors
    /// When the text is no path, or when something follows it.
    pub fn parse(text: &str) -> Result<Path, FilterError> {
        let (path, used) = Path::scan(text)?;
        if used < text.len() {
            return Err(FilterError::new(used, "text after the path"));
        }
        Ok(path)
    }

    /// The steps from the outermost field inwards.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Reads the path that `text` starts with, and says how many bytes it takes.
    pub(super) fn scan(text: &str) -> Result<(Path, usize), FilterError> {
        let (steps, used) = if text.starts_with('[') {
            scan_bracketed(text)?
        } else {
            scan_plain(text)?
        };
        if steps.len() > MAX_STEPS {
            return Err(FilterError::new(0, "path with too many steps"));
        }
        Ok((Path { steps }, used))
    }
}

fn scan_plain(text: &str) -> Result<(Vec<Step>, usize), FilterError> {
    let bytes = text.as_bytes();
    let mut steps = Vec::new();
    let mut at = 0;
    while bytes.get(at) == Some(&b'/') {
        let start = at + 1;
        at = start;
        if bytes.get(at) == Some(&b'@') {
            at += 1;
        }
        if !bytes.get(at).is_some_and(|&b| starts_name(b)) {
            return Err(FilterError::new(start, "expected the name of a field"));
        }
        while bytes.get(at).is_some_and(|&b| continues_name(b)) {
            at += 1;
        }
        // Names end at an ASCII byte or at the end, so this is a character boundary.
        let name = text.get(start..at).unwrap_or_default().to_owned();
        let index = scan_index(text, &mut at)?;
        steps.push(Step { name, index });
    }
    if steps.is_empty() {
        return Err(FilterError::new(0, "expected a path"));
    }
    Ok((steps, at))
}

fn scan_index(text: &str, at: &mut usize) -> Result<Option<usize>, FilterError> {
    let start = *at;
    let Some(rest) = text.get(start..).and_then(|rest| rest.strip_prefix('[')) else {
        return Ok(None);
    };
    let bad = || FilterError::new(start, "expected the number of an element and ']'");
    let (digits, _) = rest.split_once(']').ok_or_else(bad)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let index = digits.parse().map_err(|_| bad())?;
    *at = start + digits.len() + 2;
    if text.as_bytes().get(*at) == Some(&b'[') {
        return Err(FilterError::new(*at, "a second element number"));
    }
    Ok(Some(index))
}

fn scan_bracketed(text: &str) -> Result<(Vec<Step>, usize), FilterError> {
    let end = text
        .find(']')
        .ok_or_else(|| FilterError::new(0, "'[' without ']'"))?;
    let inner = text
        .get(1..end)
        .and_then(|inner| inner.strip_prefix('/'))
        .ok_or_else(|| FilterError::new(1, "expected '/' after '['"))?;
    let mut steps = Vec::new();
    for name in inner.split('/') {
        if name.is_empty() || name.contains('[') {
            return Err(FilterError::new(1, "not the name of a field"));
        }
        steps.push(Step {
            name: name.to_owned(),
            index: None,
        });
    }
    Ok((steps, end + 1))
}

/// XPath step names, plus the digits that FIX tags and part numbers start with.
fn starts_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || !b.is_ascii()
}

fn continues_name(b: u8) -> bool {
    starts_name(b) || matches!(b, b'-' | b'.' | b':')
}

impl FromStr for Path {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Path, FilterError> {
        Path::parse(text)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.steps.iter().all(|step| {
            let name = step.name.strip_prefix('@').unwrap_or(&step.name);
            name.bytes().next().is_some_and(starts_name) && name.bytes().all(continues_name)
        });
        if !plain {
            f.write_str("[")?;
        }
        for step in &self.steps {
            write!(f, "/{}", step.name)?;
            if let Some(index) = step.index {
                write!(f, "[{index}]")?;
            }
        }
        if !plain {
            f.write_str("]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_path_reads_back_from_its_own_text() {
        for text in [
            "/a",
            "/a/b",
            "/a[0]",
            "/c[2]/k[10]",
            "/Order/@id",
            "/55",
            "/0/a",
            "/a-b.c:d_e",
            "/größe",
            "[/odd name]",
            "[/odd name/b,c]",
        ] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            "a",
            "/",
            "/a/",
            "//a",
            "/-a",
            "/*",
            "/a[",
            "/a[]",
            "/a[x]",
            "/a[-1]",
            "/a[0][1]",
            "/a b",
            "[]",
            "[a]",
            "[/]",
            "[/a",
            "[/a[0]]",
            "[t].[/f]",
            "/a[99999999999999999999]",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_longer_than_any_payload_is_refused() {
        assert!(Path::parse(&"/a".repeat(MAX_STEPS)).is_ok());
        assert!(Path::parse(&"/a".repeat(MAX_STEPS + 1)).is_err());
    }
}
