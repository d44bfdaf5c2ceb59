//! The texts with which a server gives the reason of a refusal.
//!
//! [`Error`](crate::Error) has a variant for each kind of refusal, which is the better way to tell
//! them apart; the texts are for those who read acknowledgements themselves
//! ([`Message::reason`](crate::Message::reason)). They are compared without regard to case.

/// The content filter cannot be read: [`Error::BadFilter`](crate::Error::BadFilter).
pub const BAD_FILTER: &str = "bad filter";
/// The topic is no valid regular expression: [`Error::BadRegexTopic`](crate::Error::BadRegexTopic).
pub const BAD_REGEX_TOPIC: &str = "bad regex topic";
/// A live subscription has the same command id:
/// [`Error::SubscriptionAlreadyExists`](crate::Error::SubscriptionAlreadyExists).
pub const SUBSCRIPTION_ALREADY_EXISTS: &str = "subscription already exists";
/// Another user is connected under this name: [`Error::NameInUse`](crate::Error::NameInUse).
pub const NAME_IN_USE: &str = "name in use";
/// The credentials are wrong: [`Error::Authentication`](crate::Error::Authentication).
pub const AUTH_FAILURE: &str = "auth failure";
/// The server asks for no credentials. Comes with a logon that succeeded.
pub const AUTH_DISABLED: &str = "authentication disabled";
/// The user may not do this: [`Error::NotEntitled`](crate::Error::NotEntitled).
pub const NOT_ENTITLED: &str = "not entitled";
/// The subscription id is in use: [`Error::SubIdInUse`](crate::Error::SubIdInUse).
pub const SUBID_IN_USE: &str = "subid in use";
/// The command names no topic: [`Error::InvalidTopic`](crate::Error::InvalidTopic).
pub const NO_TOPIC: &str = "no topic";
/// The server has the message already. Not an error (rule H6).
pub const DUPLICATE: &str = "duplicate";
