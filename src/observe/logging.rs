//! The log: lines on standard error, and JSON in a file for each day if the configuration wants it.
//!
//! Under systemd the journal stamps the time, so a line carries its priority instead.

use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{LogConfig, LogFileConfig};

/// The environment variable that overrides the configured level.
pub const LEVEL_VARIABLE: &str = "CTA_FORWARDER_LOG";

const FILE_PREFIX: &str = "cta-forwarder";
const FILE_SUFFIX: &str = "log.json";

/// Starts the log of this process. It ends with the guard.
pub fn init(config: &LogConfig, surroundings: &Surroundings) -> Result<LogGuard, InitLogError> {
    let (subscriber, guard) = subscriber(config, surroundings, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| InitLogError::AlreadyStarted)?;
    Ok(guard)
}

/// What the log depends on beside its configuration.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The value of [`LEVEL_VARIABLE`].
    pub level: Option<String>,
    /// Where standard error leads.
    pub stderr: StandardError,
}

/// Where standard error leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StandardError {
    /// To a file or a pipe: with the time, without colours.
    #[default]
    Stream,
    /// To a person: with the time and colours.
    Terminal,
    /// To the journal: with a priority such as `<6>`, without a time.
    Journal,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let stderr = if leads_to_journal() {
            StandardError::Journal
        } else if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            StandardError::Terminal
        } else {
            StandardError::Stream
        };
        Self {
            level: std::env::var(LEVEL_VARIABLE).ok(),
            stderr,
        }
    }
}

/// `$JOURNAL_STREAM` is inherited even where standard error was redirected: systemd asks to compare.
fn leads_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

/// Keeps the log file open; dropped last, it writes what is still on its way.
#[derive(Debug)]
#[must_use = "the log file ends with its guard"]
pub struct LogGuard {
    file: Option<(WorkerGuard, ErrorCounter)>,
    filter: reload::Handle<EnvFilter, Registry>,
    /// [`LEVEL_VARIABLE`] says what is logged, whatever is configured.
    is_overridden: bool,
}

impl LogGuard {
    /// Lines that the log file missed since its disk was too slow.
    #[must_use]
    pub fn missed_lines(&self) -> usize {
        self.file
            .as_ref()
            .map_or(0, |(_, missed)| missed.dropped_lines())
    }

    /// From now on so much is logged; tells whether that is so: [`LEVEL_VARIABLE`] has the last word.
    #[must_use]
    pub fn set_level(&self, level: &str) -> bool {
        // It was checked with the rest of the configuration.
        let filter = parse_filter(level).ok().filter(|_| !self.is_overridden);
        filter.is_some_and(|filter| self.filter.reload(filter).is_ok())
    }
}

/// The log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum InitLogError {
    /// The level is none.
    #[error("{from}: {what}")]
    Level {
        /// Where it is written.
        from: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The folder of the log file could not be created.
    #[error("the log folder {} cannot be created: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log file could not be opened.
    #[error("a log file in {} cannot be opened: {source}", path.display())]
    File {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: tracing_appender::rolling::InitError,
    },
    /// This process has a log already.
    #[error("the log of this process was started before")]
    AlreadyStarted,
}

/// Says why a text is no level and no filter.
pub fn check_filter(text: &str) -> Result<(), String> {
    parse_filter(text).map(drop)
}

/// A lone level is ours; of the libraries only warnings come through, since what they do is of no
/// use to an operator. Who wants more of them writes a filter.
fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let allowed = || {
        format!(
            "{text:?} is not a log level; write one of {} or a filter such as \
             \"info,cta_forwarder::taxii=debug\"",
            LEVELS.join(", ")
        )
    };
    // A part without "=" would otherwise be a target, so that "verbose" silenced everything else.
    let is_level = |part: &str| LEVELS.contains(&part);
    let is_known = |part: &str| part.contains(['=', '[', ']']) || is_level(part);
    if !text.split(',').all(is_known) {
        return Err(allowed());
    }
    let filter = match text {
        level @ ("info" | "debug" | "trace") => format!("warn,cta_forwarder={level}"),
        filter => filter.to_owned(),
    };
    EnvFilter::builder().parse(filter).map_err(|_| allowed())
}

fn subscriber<W>(
    config: &LogConfig,
    surroundings: &Surroundings,
    stderr: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogGuard), InitLogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = surroundings.level.as_ref().filter(|text| !text.is_empty());
    let is_overridden = level.is_some();
    let (from, level) = match level {
        Some(level) => (LEVEL_VARIABLE, level),
        None => ("log.level", &config.level),
    };
    let filter = parse_filter(level).map_err(|what| InitLogError::Level { from, what })?;
    let file = config.file.as_ref().map(open_file).transpose()?;
    let (file_layer, file) = match file {
        Some((writer, guard)) => {
            let missed = writer.error_counter();
            (Some(json_layer(writer)), Some((guard, missed)))
        }
        None => (None, None),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber = Registry::default()
        .with(filter)
        .with(file_layer)
        .with(line_layer(surroundings.stderr, stderr));
    let guard = LogGuard {
        file,
        filter: handle,
        is_overridden,
    };
    Ok((subscriber, guard))
}

fn open_file(config: &LogFileConfig) -> Result<(NonBlocking, WorkerGuard), InitLogError> {
    let folder: &Path = &config.directory;
    std::fs::create_dir_all(folder).map_err(|source| InitLogError::Folder {
        path: folder.to_owned(),
        source,
    })?;
    let appender = RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(FILE_PREFIX)
        .filename_suffix(FILE_SUFFIX)
        // It counts today's file, and at a restart removes one more than it must.
        .max_log_files(config.keep.saturating_add(1))
        .build(folder)
        .map_err(|source| InitLogError::File {
            path: folder.to_owned(),
            source,
        })?;
    Ok(tracing_appender::non_blocking(appender))
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

fn json_layer<S>(writer: NonBlocking) -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(writer)
        .boxed()
}

fn line_layer<S, W>(stderr: StandardError, writer: W) -> BoxedLayer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let colours = stderr == StandardError::Terminal;
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(colours)
        .with_writer(writer);
    let format = tracing_subscriber::fmt::format().with_ansi(colours);
    match stderr {
        StandardError::Journal => layer
            .event_format(OneLine {
                priority: true,
                inner: format.without_time().with_level(false),
            })
            .boxed(),
        StandardError::Stream | StandardError::Terminal => layer
            .event_format(OneLine {
                priority: false,
                inner: format,
            })
            .boxed(),
    }
}

/// An event on exactly one line: a line break that came from outside must not forge another.
struct OneLine<F> {
    /// Whether the line begins with the priority of `sd-daemon(3)`.
    priority: bool,
    inner: F,
}

impl<S, N, F> FormatEvent<S, N> for OneLine<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        if self.priority {
            write!(writer, "<{}>", priority_of(*event.metadata().level()))?;
        }
        let line = line.trim_end().replace('\r', "\\r").replace('\n', "\\n");
        writeln!(writer, "{line}")
    }
}

/// The severity of syslog.
fn priority_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests;
