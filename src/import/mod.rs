//! The vendor's adapter, taxii-log-adapter: its configuration becomes ours, and its status our
//! checkpoints. Plain values: whoever calls reads and writes the files.

mod application;
mod configuration;
mod documents;
mod logback;
mod placeholder;
mod properties;
mod status;

pub use application::{Adapter, Around, ImportError, Proxy, SecretSetting, SecretText, Setting};
pub use configuration::{Imported, SecretFile, SecretForm, Secrets, Surroundings, write};
pub use logback::{Appender, AppenderKind, Appenders, read as read_logback};
pub use properties::ReadPropertiesError;
pub use status::{Feed, FeedState, read as read_status};
