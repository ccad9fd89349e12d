//! Shows the demo as it happens: a line for each thing, with the time since its start.

use std::fmt;
use std::io::{self, Stderr, Stdout, Write};
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

/// Where the lines go.
enum Out {
    Watched(Stdout),
    Beside(Stderr),
}

/// Writes the lines.
pub(super) struct Show {
    out: Out,
    paint: Paint,
    started: Instant,
}

impl Show {
    /// On standard output, for who watches.
    pub(super) fn on_stdout() -> Self {
        Self::new(Out::Watched(io::stdout()), Paint::of(&io::stdout()))
    }

    /// On standard error, beside a result that somebody wants in any case.
    pub(super) fn beside_result() -> Self {
        Self::new(Out::Beside(io::stderr()), Paint::of(&io::stderr()))
    }

    fn new(out: Out, paint: Paint) -> Self {
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
        self.out.line(text)
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
        self.out.line(format_args!("{time}  {name:<7} {what}"))
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

impl Out {
    fn line(&mut self, line: impl fmt::Display) -> io::Result<()> {
        match self {
            Self::Watched(stdout) => writeln!(stdout, "{line}"),
            Self::Beside(stderr) => {
                // Who does not read this still wants the result.
                let _ = writeln!(stderr, "{line}");
                Ok(())
            }
        }
    }
}

/// `2026-03-10T12:00:00` of a timestamp.
fn to_the_second(timestamp: &str) -> &str {
    timestamp.get(..19).unwrap_or(timestamp)
}
