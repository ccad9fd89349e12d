//! The vendor's adapter, taxii-log-adapter: its configuration becomes ours, and its status our
//! checkpoints. Plain values: whoever calls reads and writes the files.

mod application;
mod configuration;
mod logback;
mod properties;
mod status;

pub use application::{Adapter, ImportError, Proxy, SecretText};
pub use configuration::{Imported, SecretFile, Surroundings, write};
pub use logback::{Appender, AppenderKind, read as read_logback};
pub use properties::ReadPropertiesError;
pub use status::{Feed, FeedState, read as read_status};
