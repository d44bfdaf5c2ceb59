//! What is known about content filters for now: that they are not supported, but for one.

use crate::reason::{Refusal, text};
use crate::request::Request;
use amps_core::protocol::Field;

/// Refuses every filter but `1=1`, which is the documented way to mean everything
/// (`broker-behaviour §2.3`). True if the request has a filter.
pub(crate) fn check(request: &Request<'_>) -> Result<bool, Refusal> {
    let filter = request.text(Field::Filter);
    let mut bare = filter.iter().filter(|byte| !byte.is_ascii_whitespace());
    if bare.clone().next().is_none() {
        return Ok(false);
    }
    if bare.by_ref().eq(b"1=1") {
        return Ok(true);
    }
    Err(Refusal::new(
        text::BAD_FILTER,
        format!(
            "filters are not supported yet: {:?}",
            String::from_utf8_lossy(&filter)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(filter: &str) -> Result<bool, &'static str> {
        let frame = format!(r#"{{"c":"sow","f":"{filter}"}}"#);
        let request = Request::parse(frame.as_bytes()).unwrap();
        check(&request).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_filter_is_refused_unless_it_means_everything() {
        assert_eq!(checked(""), Ok(false));
        assert_eq!(checked("1=1"), Ok(true));
        assert_eq!(checked(" 1 = 1 "), Ok(true));
        for filter in ["/a = 1", "1=1 AND /a = 1", "1=2", "11=1", "1=="] {
            assert_eq!(checked(filter), Err(text::BAD_FILTER), "{filter}");
        }
    }
}
