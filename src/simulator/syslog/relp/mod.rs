//! RELP as a server must understand it: frames, what may come when, and the answers.

mod conversation;
mod frame;
mod session;

pub(super) use self::conversation::RelpConversation;
