//! Where passwords go: none stands in the configuration.

use std::path::PathBuf;

use super::draft::{Draft, quoted};
use crate::import::{SecretSetting, SecretText};

/// What the packages' unit hands over.
const OF_THE_UNIT: [&str; 2] = ["taxii-password", "hec-token"];

/// Where secrets are, and how the agent gets them.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// The folder where they lie, or must be put.
    pub folder: PathBuf,
    /// How the configuration names them.
    pub form: SecretForm,
    /// Whether they are written there.
    pub are_written: bool,
}

/// How the agent gets its secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    /// It reads the file.
    File,
    /// systemd reads the file and hands it over.
    Credential,
}

/// A secret, and the file where it belongs.
#[derive(Debug, Clone)]
pub struct SecretFile {
    /// The file.
    pub path: PathBuf,
    /// What it must hold, alone.
    pub secret: SecretText,
}

impl Secrets {
    /// Names a secret by `key`, and gives it if it must be written to its file. `theirs` is what it is
    /// called in application.yml.
    pub(super) fn name(
        &self,
        draft: &mut Draft,
        [key, theirs, file]: [&str; 3],
        secret: Option<&SecretSetting>,
    ) -> Option<SecretFile> {
        let path = self.folder.join(file);
        let shown = path.display();
        let who = match self.form {
            SecretForm::File => "the agent's user",
            SecretForm::Credential => "root",
        };
        let written = match secret {
            Some(SecretSetting::Known(secret)) if self.are_written => Some(secret.clone()),
            Some(SecretSetting::Known(_)) => {
                draft.todo(format_args!(
                    "put {theirs}, alone on one line, into {shown}, readable by {who} alone; \
                     --secrets DIR writes it"
                ));
                None
            }
            Some(SecretSetting::Unknown(why)) => {
                draft.todo(format_args!(
                    "{why}, so it was not written: put the password itself, alone on one line, into \
                     {shown}, readable by {who} alone"
                ));
                None
            }
            None => {
                draft.todo(format_args!(
                    "{theirs} is missing there: put the password, alone on one line, into {shown}, \
                     readable by {who} alone"
                ));
                None
            }
        };
        if self.form == SecretForm::Credential && !OF_THE_UNIT.contains(&file) {
            draft.todo(format_args!(
                "have the unit hand it over: LoadCredential={file}:{shown} in a drop-in, see \
                 docs/install.md"
            ));
        }
        draft.line(format_args!("{key} = {{ {} }}", self.source(file)));
        written.map(|secret| SecretFile { path, secret })
    }

    /// Where the agent gets it from.
    pub(super) fn source(&self, file: &str) -> String {
        match self.form {
            SecretForm::File => {
                let path = self.folder.join(file);
                format!("file = {}", quoted(&path.display().to_string()))
            }
            SecretForm::Credential => format!("credential = {}", quoted(file)),
        }
    }
}
