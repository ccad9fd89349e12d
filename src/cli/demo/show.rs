//! Shows the demo as it happens: a line for each thing, with the time since its start.

use std::fmt;
use std::io::{self, Write};
use std::time::Instant;

use super::log_line::LogLine;
use crate::cli::terminal::{Paint, Style};

/// Who did what is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Actor {
    /// The demo: what it does to the agent and its surroundings.
    Demo,
    /// The agent, by its log.
    Agent,
    /// The simulated Splunk.
    Splunk,
}

/// Writes the lines.
pub(super) struct Show {
    out: Box<dyn Write>,
    paint: Paint,
    started: Instant,
}

impl Show {
    pub(super) fn new(out: Box<dyn Write>, paint: Paint) -> Self {
        Self {
            out,
            paint,
            started: Instant::now(),
        }
    }

    pub(super) fn paint(&self) -> Paint {
        self.paint
    }

    /// Seconds since the start.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// A text as it is.
    pub(super) fn text(&mut self, text: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// What somebody did.
    pub(super) fn line(
        &mut self,
        actor: Actor,
        style: Style,
        what: impl fmt::Display,
    ) -> io::Result<()> {
        let time = format!("{:6.1} s", self.seconds());
        let name = match actor {
            Actor::Demo => "demo",
            Actor::Agent => "agent",
            Actor::Splunk => "splunk",
        };
        let time = self.paint.paint(Style::Faint, time);
        let name = self.paint.paint(Style::Faint, name);
        let what = self.paint.paint(style, what);
        writeln!(self.out, "{time}  {name:<7} {what}")?;
        self.out.flush()
    }

    /// What the agent logs, in short.
    pub(super) fn log(&mut self, line: &str) -> io::Result<()> {
        let Some(line) = LogLine::parse(line) else {
            return self.line(Actor::Agent, Style::Plain, line);
        };
        let style = match line.level {
            "ERROR" => Style::Bad,
            "WARN" => Style::Doubtful,
            _ => Style::Plain,
        };
        if line.message != "polled" {
            return self.line(Actor::Agent, style, line.in_short());
        }
        let second = |name| line.field(name).map_or("", to_the_second);
        let count = |name| line.field(name).unwrap_or("?");
        let what = format!(
            "polled {} .. {}  {:>3} incidents, {:>3} events",
            second("begin"),
            second("end"),
            count("incidents"),
            count("events"),
        );
        self.line(Actor::Agent, style, what)
    }
}

/// `2026-03-10T12:00:00` of a timestamp.
fn to_the_second(timestamp: &str) -> &str {
    timestamp.get(..19).unwrap_or(timestamp)
}
