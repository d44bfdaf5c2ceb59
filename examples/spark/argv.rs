//! The command line as AMPS users type it, written as the parser wants it: `-topic orders` and
//! `--topic orders` become `--topic=orders`.
//!
//! A value is joined to its flag, so that one which begins with a dash is a value all the same. No
//! message here shows what may be a password.

/// What follows a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value.
    Value,
    /// Nothing, or one of the words of [`is_yes_or_no`].
    Switch,
}

/// Writes the flags of one command anew; `kind` knows them. An unknown flag ends the work and is
/// left to the parser, which knows what to suggest.
pub(crate) fn translate(
    args: &[String],
    kind: impl Fn(&str) -> Option<Kind>,
) -> Result<Vec<String>, String> {
    let known_flag = |arg: &str| {
        let name = flag_name(arg.split('=').next()?)?;
        kind(name).map(|_| name.to_string())
    };
    let mut out = Vec::new();
    let mut rest = args.iter().peekable();
    while let Some(arg) = rest.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (arg.as_str(), None),
        };
        let Some(name) = flag_name(flag) else {
            return Err(format!("'{}' belongs to no flag", shown(arg)));
        };
        let (kind, joined) = match (kind(name), value) {
            (None, _) => {
                out.push(format!("--{name}"));
                return Ok(out);
            }
            (Some(kind), Some(value)) => (kind, Some(value.to_string())),
            (Some(kind), None) => (kind, None),
        };
        let following = match kind {
            Kind::Switch => rest.next_if(|next| joined.is_none() && is_yes_or_no(next)),
            Kind::Value if joined.is_some() => None,
            Kind::Value => {
                if let Some(next) = rest.peek().and_then(|next| known_flag(next)) {
                    return Err(format!(
                        "-{name} needs a value, but -{next} follows; a value that looks like a \
                         flag is written -{name}=VALUE"
                    ));
                }
                rest.next()
            }
        };
        out.push(match joined.as_ref().or(following) {
            Some(value) => format!("--{name}={value}"),
            None => format!("--{name}"),
        });
    }
    Ok(out)
}

/// The name behind one dash or two; none for what cannot be a flag, such as a number.
fn flag_name(arg: &str) -> Option<&str> {
    let name = arg.strip_prefix('-')?;
    let name = name.strip_prefix('-').unwrap_or(name);
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (begins && name.chars().all(allowed)).then_some(name)
}

/// The words that may follow a switch.
fn is_yes_or_no(word: &str) -> bool {
    matches!(
        word.to_ascii_lowercase().as_str(),
        "true" | "t" | "yes" | "y" | "on" | "1" | "false" | "f" | "no" | "n" | "off" | "0"
    )
}

/// An argument in a message, without the credentials that it may begin with.
pub(crate) fn shown(arg: &str) -> String {
    match arg.rfind('@') {
        Some(at) => format!("***{}", &arg[at..]),
        None => arg.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(line: &str) -> Result<String, String> {
        let args: Vec<String> = line.split(' ').map(str::to_string).collect();
        let kind = |name: &str| match name {
            "server" | "topic" | "filter" | "n" => Some(Kind::Value),
            "delta" | "ack" => Some(Kind::Switch),
            _ => None,
        };
        translate(&args, kind).map(|args| args.join(" "))
    }

    #[test]
    fn one_dash_and_two_are_the_same() {
        let expected = "--server=localhost:9007 --topic=orders --n=3";
        for line in [
            "-server localhost:9007 -topic orders -n 3",
            "--server localhost:9007 --topic orders --n 3",
            "-server=localhost:9007 --topic=orders -n=3",
        ] {
            assert_eq!(translated(line).unwrap(), expected);
        }
    }

    #[test]
    fn trap_101_a_switch_has_a_value_or_none() {
        for (line, expected) in [
            ("-delta -ack", "--delta --ack"),
            ("-delta true -ack no", "--delta=true --ack=no"),
            ("-delta=0 --ack=YES", "--delta=0 --ack=YES"),
            ("-ack -topic true", "--ack --topic=true"),
            ("-ack Off -delta", "--ack=Off --delta"),
        ] {
            assert_eq!(translated(line).unwrap(), expected);
        }
    }

    #[test]
    fn a_value_may_look_like_a_number_or_hold_an_equals_sign() {
        assert_eq!(translated("-filter -1").unwrap(), "--filter=-1");
        assert_eq!(translated("-filter /a=-1").unwrap(), "--filter=/a=-1");
        assert_eq!(translated("-filter=/a=1").unwrap(), "--filter=/a=1");
        assert_eq!(translated("-filter=-topic").unwrap(), "--filter=-topic");
    }

    #[test]
    fn a_flag_in_the_place_of_a_value_is_found() {
        for line in ["-topic -server x", "-topic --server=ana:secret@x"] {
            let error = translated(line).unwrap_err();
            assert!(
                error.starts_with("-topic needs a value, but -server follows"),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_belongs_to_no_flag_is_refused_without_its_credentials() {
        let error = translated("-delta ana:secret@localhost:9007").unwrap_err();
        assert_eq!(error, "'***@localhost:9007' belongs to no flag");
        let error = translated("-ana:secret@localhost:9007").unwrap_err();
        assert_eq!(error, "'***@localhost:9007' belongs to no flag");
    }

    #[test]
    fn an_unknown_flag_is_left_to_the_parser_without_its_value() {
        assert_eq!(
            translated("-topic x -sever=a:b@c").unwrap(),
            "--topic=x --sever"
        );
        assert_eq!(translated("-sever a:b@c").unwrap(), "--sever");
    }

    #[test]
    fn a_flag_at_the_end_without_its_value_is_left_to_the_parser() {
        assert_eq!(translated("-topic").unwrap(), "--topic");
    }
}
