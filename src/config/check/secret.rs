//! Where secrets come from.

use std::path::Path;

use toml::Spanned;

use super::Checker;
use super::rights::Rights;
use crate::config::document::Span;
use crate::config::raw::RawSecret;
use crate::config::secret::ReadSecretError;
use crate::config::{Secret, SecretSource};

impl Checker<'_> {
    /// Reads a secret. `allowed` says which characters its use permits.
    pub(super) fn secret(
        &mut self,
        setting: Spanned<RawSecret>,
        allowed: fn(char) -> bool,
    ) -> Option<Secret> {
        let span = setting.span();
        if self.environment.leaves_secrets() {
            return Some(Secret::new(SecretSource::Plain, String::new()));
        }
        let secret = match setting.into_inner() {
            RawSecret::Plain(value) => {
                self.warn_of_plain(&span);
                Some(Secret::new(SecretSource::Plain, value))
            }
            RawSecret::File(path) => {
                let path = self.path(Spanned::new(span.clone(), path));
                path.is_absolute().then(|| self.file(&span, &path))?
            }
            RawSecret::Env(name) => self.variable(&span, name),
            RawSecret::Credential(name) => self.credential(&span, &name),
        }?;
        if secret.expose().is_empty() {
            self.refuse(&span, "the secret is empty");
        } else if !secret.expose().chars().all(allowed) {
            self.refuse(&span, "the secret holds a character that cannot be sent");
        }
        Some(secret)
    }

    fn warn_of_plain(&mut self, span: &Span) {
        self.warn(
            span,
            "a secret in the configuration is seen by all who see the file; better write \
             { file = \"/path\" } or { credential = \"name\" }",
        );
    }

    fn file(&mut self, span: &Span, path: &Path) -> Option<Secret> {
        match Secret::read_file(path) {
            Ok(secret) => {
                self.warn_of_rights(span, "secret file", path);
                Some(secret)
            }
            Err(error) => {
                self.refuse(span, error.to_string());
                None
            }
        }
    }

    /// Warns if somebody else may read or change a file that holds a secret.
    pub(super) fn warn_of_rights(&mut self, span: &Span, kind: &str, path: &Path) {
        let own_user = rustix::process::geteuid().as_raw();
        let complaint = Rights::of(path).and_then(|rights| rights.complaint(own_user));
        if let Some(complaint) = complaint {
            self.warn(span, format!("the {kind} {} {complaint}", path.display()));
        }
    }

    fn variable(&mut self, span: &Span, name: String) -> Option<Secret> {
        let Some(value) = self.environment.variable(&name) else {
            self.refuse(
                span,
                format!("the environment variable {name:?} is not set"),
            );
            return None;
        };
        let Some(value) = value.to_str() else {
            self.refuse(
                span,
                format!("the environment variable {name:?} is not UTF-8"),
            );
            return None;
        };
        let value = value.to_owned();
        Some(Secret::new(SecretSource::Env(name), value))
    }

    fn credential(&mut self, span: &Span, name: &str) -> Option<Secret> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            self.refuse(span, format!("{name:?} is not the name of a credential"));
            return None;
        }
        let Some(directory) = self.environment.credentials_directory() else {
            let what = format!(
                "the credential {name:?} needs $CREDENTIALS_DIRECTORY; run under systemd with \
                 LoadCredential={name}:/path, or set it to the folder of the secrets, such as \
                 /etc/cta-forwarder/secrets"
            );
            self.refuse(span, what);
            return None;
        };
        let path = directory.join(name);
        match Secret::read_file(&path) {
            Ok(secret) => Some(Secret::new(
                SecretSource::Credential(path),
                secret.expose().to_owned(),
            )),
            // What our unit hands over in the place of a file that is not there.
            Err(ReadSecretError::Empty { .. }) => {
                let what = format!(
                    "the credential {name:?} is empty; put the secret into the file that the unit's \
                     LoadCredential={name}: names, such as /etc/cta-forwarder/secrets/{name}"
                );
                self.refuse(span, what);
                None
            }
            Err(error) => {
                self.refuse(span, error.to_string());
                None
            }
        }
    }
}
