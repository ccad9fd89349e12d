//! A secret that cannot be printed.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Credentials;

/// A password or token, and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    source: SecretSource,
    value: String,
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The configuration itself holds it.
    Plain,
    /// `{ file = "…" }`: read again before each probe of a held output.
    File(PathBuf),
    /// `{ env = "…" }`
    Env(String),
    /// `{ credential = "…" }`: a file in `$CREDENTIALS_DIRECTORY`.
    Credential(PathBuf),
}

/// What a mend ends with where the secret [stays as it is](SecretSource::stays_until_restart).
pub const THEN_RESTART: &str = "; then restart the service (`systemctl restart cta-forwarder`): it keeps \
                                what it was started with";

impl SecretSource {
    /// Whether another secret there is seen by the next start alone: systemd lays down a credential
    /// once, and a variable stays what it is.
    #[must_use]
    pub fn stays_until_restart(&self) -> bool {
        match self {
            Self::Credential(_) | Self::Env(_) => true,
            Self::Plain | Self::File(_) => false,
        }
    }
}

/// A secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadSecretError {
    /// The file is missing or unreadable.
    #[error("the secret file {path:?} cannot be read: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds nothing.
    #[error("the secret file {path:?} is empty; put the secret into it, alone on one line")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file holds more than one line.
    #[error("the secret file {path:?} must hold the secret alone, on one line")]
    Shape {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// A secret with a known value.
    #[must_use]
    pub fn new(source: SecretSource, value: String) -> Self {
        Self { source, value }
    }

    /// Reads a secret from a file, without the line break at its end.
    pub fn read_file(path: &Path) -> Result<Self, ReadSecretError> {
        let value = read(path)?;
        Ok(Self::new(SecretSource::File(path.to_owned()), value))
    }

    /// The value itself: for the header of a request, nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// A text of somebody who knows the secret and may repeat it, without it.
    ///
    /// A short one stays: as a part of other words it would be shown by its absence.
    #[must_use]
    pub fn hide_in(&self, text: &str) -> String {
        if self.value.len() < MIN_HIDDEN_BYTES {
            return text.to_owned();
        }
        text.replace(&self.value, HIDDEN)
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &SecretSource {
        &self.source
    }

    /// Reads it again if it lies in a file. A file that cannot be read leaves the old value.
    pub fn reload(&mut self) -> Result<(), ReadSecretError> {
        if let SecretSource::File(path) = &self.source {
            self.value = read(path)?;
        }
        Ok(())
    }
}

impl Credentials {
    /// A text of somebody who knows them and may repeat them, without the password, also as it
    /// travels.
    #[must_use]
    pub fn hide_in(&self, text: &str) -> String {
        let Self { username, password } = self;
        let sent = BASE64_STANDARD.encode(format!("{username}:{}", password.expose()));
        password.hide_in(&text.replace(&sent, HIDDEN))
    }
}

/// What stands where a secret was.
const HIDDEN: &str = "[hidden]";

/// What is shorter may be an ordinary word.
const MIN_HIDDEN_BYTES: usize = 8;

/// No password is that long: whoever names another file by mistake gets an answer.
const MAX_SECRET_BYTES: u64 = 64 << 10;

fn read(path: &Path) -> Result<String, ReadSecretError> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text))
        .map_err(|source| ReadSecretError::File {
            path: path.to_owned(),
            source,
        })?;
    let value = text.trim_end_matches(['\n', '\r']);
    if value.is_empty() {
        return Err(ReadSecretError::Empty {
            path: path.to_owned(),
        });
    }
    let is_too_long = text.len() as u64 > MAX_SECRET_BYTES;
    if is_too_long || value.contains(['\n', '\r', '\0']) {
        return Err(ReadSecretError::Shape {
            path: path.to_owned(),
        });
    }
    Ok(value.to_owned())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret(from {:?}, hidden)", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_value() {
        let secret = Secret::new(SecretSource::Env("TOKEN".into()), "hunter2".into());
        let shown = format!("{secret:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("TOKEN"), "{shown}");
    }

    #[test]
    fn what_others_repeat_is_hidden() {
        let secret = |value: &str| Secret::new(SecretSource::Plain, value.into());
        for (value, text, expect) in [
            ("hunter2-horse", "no: hunter2-horse!", "no: [hidden]!"),
            (
                "hunter2-horse",
                "hunter2-horsehunter2-horse",
                "[hidden][hidden]",
            ),
            ("hunter2-horse", "nothing", "nothing"),
            ("pass", "a wrong password", "a wrong password"),
            ("", "nothing", "nothing"),
        ] {
            assert_eq!(secret(value).hide_in(text), expect);
        }
    }

    #[test]
    fn a_file_holds_the_secret_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut secret = Secret::new(SecretSource::File(path.clone()), "old".into());
        let too_long = "x".repeat(64 * 1024 + 1);
        for (content, expect) in [
            ("a", Some("a")),
            ("a b\r\n", Some("a b")),
            ("\n", None),
            ("a\nb\n", None),
            (&too_long, None),
            (&too_long[1..], Some(&too_long[1..])),
        ] {
            std::fs::write(&path, content).unwrap();
            let before = secret.expose().to_owned();
            let read = secret.reload();
            assert_eq!(read.is_ok(), expect.is_some(), "{content:.10}");
            assert_eq!(secret.expose(), expect.unwrap_or(&before));
        }
    }
}
