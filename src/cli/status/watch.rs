//! `status --watch`: the status again and again, on a terminal in place.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::rates::Rates;
use super::screen::{Key, Screen, Size, keys};
use super::table::{View, text};
use super::{Told, ask_running, take};
use crate::cli::signals::Signals;
use crate::cli::terminal::{Paint, Style, printable};
use crate::cli::{CommandError, Exit, print_line};
use crate::config::Config;
use crate::observe::status::Status;

/// How long an agent may take to tell its status.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known, and since when nothing new is.
struct Watched {
    config: Config,
    status: Status,
    rates: Option<Rates>,
    /// What came between, and when.
    note: Option<(Style, String)>,
}

/// Watches until a person or a signal ends it.
pub(super) async fn run(config: Config, every: Duration, json: bool) -> Result<Exit, CommandError> {
    let signals = Signals::listen_on_terminal()?;
    let status = take(config.clone()).await?;
    let watched = Watched {
        config,
        status,
        rates: None,
        note: None,
    };
    if !json && io::stdout().is_terminal() {
        draw(watched, every, signals).await
    } else {
        print(watched, every, json, signals).await
    }
}

/// One snapshot after the other, for a pipe.
async fn print(
    mut watched: Watched,
    every: Duration,
    json: bool,
    mut signals: Signals,
) -> Result<Exit, CommandError> {
    let mut ticks = ticks(every);
    let mut news = Ok(());
    loop {
        match (&news, json) {
            (Ok(()), true) => print_json(&Told::of(&watched.status))?,
            (Ok(()), false) => {
                let at = watched.status.at.to_rfc3339_opts(SecondsFormat::Secs, true);
                let text = watched.text(Paint::of(&io::stdout()), None);
                print_line(format_args!("{at}\n{text}\n"))?;
            }
            (Err(nothing), true) => print_json(nothing)?,
            (Err(Nothing { at, error }), false) => {
                let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
                print_line(format_args!("{at}\n{}\n", printable(error)))?;
            }
        }
        tokio::select! {
            _ = ticks.tick() => {}
            _ = signals.next() => return Ok(Exit::Success),
        }
        tokio::select! {
            renewed = watched.renew() => news = renewed,
            _ = signals.next() => return Ok(Exit::Success),
        }
    }
}

/// Stands where a status would, when there is no new one.
#[derive(Debug, Serialize)]
struct Nothing {
    at: DateTime<Utc>,
    error: String,
}

fn print_json(what: &impl Serialize) -> Result<(), CommandError> {
    let line = serde_json::to_string(what);
    print_line(line.map_err(|error| CommandError::Failed(error.to_string()))?)
}

async fn draw(
    mut watched: Watched,
    every: Duration,
    mut signals: Signals,
) -> Result<Exit, CommandError> {
    let failed = CommandError::failed("signals cannot be listened to");
    let mut resized = signal(SignalKind::window_change()).map_err(failed)?;
    let screen = Screen::enter().map_err(CommandError::Print)?;
    let mut keys = keys();
    let mut has_keys = true;
    let mut ticks = ticks(every);
    let mut top = 0;
    let paint = Paint::of(&io::stdout());
    loop {
        let size = screen.size();
        let lines = watched.text(paint, Some(size.columns));
        let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
        let page = size.rows.saturating_sub(1).max(1);
        let last_top = lines.len().saturating_sub(page);
        top = top.min(last_top);
        let foot = foot(every, top, last_top, watched.status.at);
        let shown = lines.into_iter().skip(top).take(page);
        let mut shown: Vec<String> = shown.collect();
        shown.resize(page, String::new());
        shown.push(paint.paint(Style::Faint, cut(&foot, size)).to_string());
        screen.draw(&shown).map_err(CommandError::Print)?;
        tokio::select! {
            _ = signals.next() => return Ok(Exit::Success),
            _ = resized.recv() => {}
            key = keys.recv(), if has_keys => match key {
                Some(Key::Quit) => return Ok(Exit::Success),
                Some(Key::Up) => top = top.saturating_sub(1),
                Some(Key::Down) => top += 1,
                Some(Key::PageUp) => top = top.saturating_sub(page),
                Some(Key::PageDown) => top += page,
                Some(Key::Top) => top = 0,
                // Without a keyboard a signal ends it.
                None => has_keys = false,
            },
            _ = ticks.tick() => tokio::select! {
                // What there is stays, with a note that says since when.
                _ = watched.renew() => {}
                _ = signals.next() => return Ok(Exit::Success),
            },
        }
    }
}

/// Who looks less often than that does not look.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first is at once, and that has been.
    ticks.reset_at(Instant::now() + every.min(LONGEST_INTERVAL));
    ticks
}

fn foot(every: Duration, top: usize, last_top: usize, at: DateTime<Utc>) -> String {
    let scroll = match (top, last_top) {
        (_, 0) => String::new(),
        (top, last) if top < last => format!("; {} more lines below (space, arrows)", last - top),
        _ => "; the end (b, arrows)".to_owned(),
    };
    format!(
        "{} UTC, every {}{scroll}; q ends",
        at.format("%F %T"),
        humantime::format_duration(every)
    )
}

fn cut(text: &str, size: Size) -> String {
    text.chars().take(size.columns).collect()
}

impl Watched {
    /// Asks the agent again. Nobody takes the state for a look: an agent that starts meanwhile must find
    /// it free.
    async fn renew(&mut self) -> Result<(), Nothing> {
        let asked = ask_running(&self.config.state.directory);
        let at = Utc::now();
        let now = at.format("%T");
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Some(status))) => {
                let (before, after) = (self.status.pid, status.pid);
                if let (Some(before), Some(after)) = (before, after)
                    && before != after
                {
                    let what = format!("the agent was restarted: process {before} is {after} now");
                    self.note = Some((Style::Doubtful, format!("{now}: {what}")));
                } else if before.is_some() {
                    self.note = self.note.take().filter(|(style, _)| *style != Style::Bad);
                } else {
                    self.note = None;
                }
                self.rates = Rates::between(&self.status, &status);
                self.status = status;
            }
            Ok(Ok(None)) => return Err(self.nothing(at, "no agent runs")),
            Ok(Err(error)) => return Err(self.nothing(at, &error.to_string())),
            Err(_) => return Err(self.nothing(at, "the agent does not answer in time")),
        }
        Ok(())
    }

    fn nothing(&mut self, at: DateTime<Utc>, reason: &str) -> Nothing {
        self.note_once(reason);
        let error = reason.to_owned();
        Nothing { at, error }
    }

    /// Says since when nothing new is known, with the first reason.
    fn note_once(&mut self, reason: &str) {
        self.rates = None;
        let is_said = matches!(&self.note, Some((Style::Bad, said)) if said.ends_with(reason));
        if self.status.pid.is_some() && !is_said {
            let at = Utc::now().format("%T");
            let what = format!(
                "what stands below is as of {}; {at}: {reason}",
                self.status.at.format("%T")
            );
            self.note = Some((Style::Bad, what));
        }
    }

    fn text(&self, paint: Paint, width: Option<usize>) -> String {
        let view = View {
            rates: self.rates.as_ref(),
            note: self.note.as_ref(),
            width,
            is_live: self
                .note
                .as_ref()
                .is_none_or(|(style, _)| *style != Style::Bad),
        };
        text(&self.status, paint, &view).trim_end().to_owned()
    }
}
