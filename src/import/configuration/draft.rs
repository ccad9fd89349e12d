//! The text of a configuration, as it is written line by line.

use std::fmt::{Display, Write as _};

use crate::import::Setting;

/// What a person must look at begins like this.
const TODO: &str = "# TODO: ";

/// A configuration as far as it is written.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    /// What a person must look at, as it stands in the text too.
    pub(super) todo: Vec<String>,
}

impl Draft {
    pub(super) fn line(&mut self, line: impl Display) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// What was theirs: on one line, whatever it holds.
    pub(super) fn comment(&mut self, what: impl Display) {
        let what = one_line(&what.to_string());
        self.line(format_args!("# {what}"));
    }

    pub(super) fn todo(&mut self, what: impl Display) {
        let what = one_line(&what.to_string());
        self.line(format_args!("{TODO}{what}"));
        self.todo.push(what);
    }

    pub(super) fn key(&mut self, key: &str, value: &str) {
        self.line(format_args!("{key} = {}", quoted(value)));
    }

    /// The value of a setting; what must be told of it stands above the key that it becomes.
    pub(super) fn take<'a>(&mut self, setting: &'a Setting, key: &str) -> Option<&'a str> {
        match setting {
            Setting::Known { value, remark } => {
                if let Some(remark) = remark {
                    self.todo(remark);
                }
                Some(value)
            }
            Setting::Unknown(why) => {
                self.todo(format_args!("{why}: write {key}"));
                None
            }
        }
    }
}

pub(super) fn quoted(text: &str) -> String {
    toml::Value::from(one_line(text)).to_string()
}

fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}
