//! `check`: is the configuration right, and does what it names answer?

mod certificate;
mod listen;
mod online;
mod output;
mod proxy;
mod rights;
mod row;
mod service;
mod state;
mod summary;
mod way;

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use self::row::{Outcome, Row, Rows};
use super::terminal::{Paint, Style};
use super::{CommandError, Exit, complain, load, print_line};
use crate::config::{LoadError, Loaded};

/// Check the configuration, and with --online what it names
///
/// Reads it with the secrets that it names and shows in short what it says; or tells every mistake
/// with its line. Without --online it connects to nothing.
///
/// With --online it also tries what the agent will do, beside a running agent or without one: names,
/// connections, TLS and the days until certificates expire, the proxy, whether each service takes
/// the account (a Discovery_Request, which spends no poll), whether each collector takes the token
/// (an empty request), whether syslog receivers can be reached, and whether state folder, files and
/// listen addresses can be used. It polls nothing and sends no event.
///
/// The exit code is 78 if the configuration is wrong, 69 if something failed online; warnings alone
/// leave it 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder check
  sudo cta-forwarder check --online --user cta-forwarder
  cta-forwarder check --online --json | jq '.checks[] | select(.result == \"failed\")'")]
pub(super) struct Check {
    /// Also try what the configuration names
    #[arg(long)]
    online: bool,
    /// Write one JSON object, for scripts
    #[arg(long)]
    json: bool,
    /// How long each step may take at most
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// The agent's user, whose rights to folders and files are looked at
    ///
    /// Without it that is who owns the state folder, or else whoever runs this.
    #[arg(long, value_name = "NAME", requires = "online")]
    user: Option<String>,
}

impl Check {
    pub(super) async fn run(self, path: &Path) -> Result<Exit, CommandError> {
        let loaded = match load(path) {
            Ok(loaded) => loaded,
            Err(error) if self.json => return tell_mistakes(&error),
            Err(error) => return Err(error.into()),
        };
        if !self.json {
            tell_summary(path, &loaded, self.online)?;
        }
        let mut rows = Rows::new("configuration");
        rows.ok("file", format!("{} is right", path.display()));
        for warning in &loaded.warnings {
            rows.warning(
                "file",
                warning.to_string(),
                "see the documented configuration",
            );
        }
        let mut rows = rows.into_all();
        if self.online {
            match online::check(&loaded.config, self.timeout, self.user.as_deref()).await {
                Ok(online) => rows.extend(online),
                Err(error) if self.json => return tell_failure(rows, &error),
                Err(error) => return Err(error),
            }
        }
        let worst = rows.iter().map(|row| row.result).max();
        if self.json {
            print_line(json(worst, &rows)?)?;
        } else if self.online {
            // The configuration's own are told above.
            let online: Vec<Row> = rows.into_iter().filter(Row::is_online).collect();
            print_line(row::table(&online, Paint::of(&io::stdout())))?;
        }
        Ok(match worst {
            Some(Outcome::Failed) => Exit::Unavailable,
            _ => Exit::Success,
        })
    }
}

fn tell_summary(path: &Path, loaded: &Loaded, is_brief: bool) -> Result<(), CommandError> {
    for warning in &loaded.warnings {
        complain(format_args!("warning: {warning}"));
    }
    let paint = Paint::of(&io::stdout());
    let verdict = paint.paint(Style::Good, "is right");
    if is_brief {
        print_line(format_args!("{} {verdict}", path.display()))?;
        let config = &loaded.config;
        complain(format_args!(
            "trying services: {}, outputs: {} …",
            config.services.len(),
            config.outputs.len()
        ));
        return Ok(());
    }
    let summary = summary::summary(&loaded.config, paint);
    print_line(format_args!("{} {verdict}\n\n{summary}", path.display()))
}

/// A script gets the same object where the configuration is wrong.
fn tell_mistakes(error: &LoadError) -> Result<Exit, CommandError> {
    let mut rows = Rows::new("configuration");
    let mend = "mend the configuration file";
    match error {
        LoadError::Read { .. } => rows.failed("file", error.to_string(), mend),
        LoadError::Invalid { problems } => {
            for problem in problems {
                rows.failed("file", problem.to_string(), mend);
            }
        }
    }
    print_line(json(Some(Outcome::Failed), &rows.into_all())?)?;
    Ok(Exit::Configuration)
}

/// Nor where nothing could be tried.
fn tell_failure(mut rows: Vec<Row>, error: &CommandError) -> Result<Exit, CommandError> {
    let mut failed = Rows::new("check");
    failed.failed(
        "user",
        error.to_string(),
        "name the agent's user with --user",
    );
    rows.extend(failed.into_all());
    print_line(json(Some(Outcome::Failed), &rows)?)?;
    Ok(Exit::Failure)
}

/// What a script gets.
#[derive(Serialize)]
struct Report<'a> {
    /// The worst of all.
    result: Outcome,
    checks: &'a [Row],
}

fn json(worst: Option<Outcome>, checks: &[Row]) -> Result<String, CommandError> {
    let result = worst.unwrap_or(Outcome::Ok);
    let json = serde_json::to_string_pretty(&Report { result, checks });
    json.map_err(|error| CommandError::Failed(error.to_string()))
}
