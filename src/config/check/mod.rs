//! From the raw file to the checked [`Config`].
//!
//! A value that is wrong is told and replaced by some other value, so that the search goes on; a
//! `Config` with such a value never leaves this room.

mod admin;
mod credentials;
mod inbox;
mod output;
mod rights;
mod secret;
mod service;
mod value;

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;

use super::document::{Document, Span};
use super::load::{CheckCron, Environment, Loaded};
use super::problem::Problem;
use super::raw::{RawArchive, RawConfig, RawLog, RawState, Section, Setting};
use super::{ArchiveConfig, Config, LogConfig, LogFileConfig, StateConfig};

/// Resolves the file into a configuration, or tells every problem in it.
pub(super) fn check(
    document: &Document<'_>,
    environment: &Environment,
    check_cron: CheckCron,
) -> Result<Loaded, Vec<Problem>> {
    let mut checker = Checker {
        document,
        environment,
        check_cron,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let config = document
        .deserialize(&mut checker.problems)
        .map(|raw| checker.config(raw));
    checker.warnings.sort_by_key(|warning| warning.line);
    checker.problems.sort_by_key(|problem| problem.line);
    match config {
        Some(config) if checker.problems.is_empty() => Ok(Loaded {
            config,
            warnings: checker.warnings,
        }),
        _ => Err(checker.problems),
    }
}

struct Checker<'a> {
    document: &'a Document<'a>,
    environment: &'a Environment,
    check_cron: CheckCron,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Checker<'_> {
    fn config(&mut self, raw: RawConfig) -> Config {
        let state = self.state(raw.state);
        let polled = raw.service.iter().map(|service| &service.get_ref().0);
        let polled = polled.filter_map(|service| service.collections.as_ref());
        let pushed = raw.inbox.as_ref().map(|inbox| &inbox.get_ref().0);
        let pushed = pushed.and_then(|inbox| inbox.collections.as_ref());
        let brought: Vec<Spanned<String>> = polled
            .chain(pushed)
            .flat_map(|collections| collections.get_ref().iter().cloned())
            .collect();
        if raw.service.is_empty() && raw.inbox.is_none() {
            let what = "at least one [[service]] to poll is needed, or an [inbox]";
            self.missing(None, "service", what);
        }
        let services = self.services(raw.service);
        let inbox = raw.inbox.map(|inbox| self.inbox(inbox, &services));
        let admin = raw.admin.and_then(|admin| self.admin(admin));
        let known: Vec<String> = brought.iter().map(|name| name.get_ref().clone()).collect();
        let outputs = self.outputs(raw.output, &known);
        for collection in brought {
            if !outputs
                .iter()
                .any(|output| output.takes(collection.get_ref()))
            {
                let what = "no output takes this collection: its events would go nowhere";
                self.warn(&collection.span(), what);
            }
        }
        Config {
            state,
            services,
            inbox,
            admin,
            outputs,
            log: self.log(raw.log.0),
            shutdown_timeout: self.positive_period(raw.shutdown_timeout, Duration::from_secs(30)),
        }
    }

    fn state(&mut self, raw: Setting<Section<RawState>>) -> StateConfig {
        if raw.is_none() {
            self.missing(None, "state", "write [state] with a directory");
        }
        let span = raw.as_ref().map(Spanned::span);
        let raw = raw.map(Spanned::into_inner).unwrap_or_default().0;
        StateConfig {
            directory: span.map_or_else(PathBuf::new, |span| {
                self.state_directory(raw.directory, &span)
            }),
            max_spool_bytes: self.positive_size(raw.max_spool_bytes, 2 << 30),
            min_free_disk: self.positive_size(raw.min_free_disk, 512 << 20),
            archive: self.archive(raw.archive.0),
            max_dead_letter_bytes: self.positive_size(raw.max_dead_letter_bytes, 256 << 20),
            max_quarantine_bytes: self.positive_size(raw.max_quarantine_bytes, 1 << 30),
        }
    }

    /// The control socket lies in it, and the kernel bounds the length of a socket's path.
    fn state_directory(&mut self, directory: Setting<PathBuf>, table: &Span) -> PathBuf {
        const MAX_BYTES: usize = 90;
        let span = directory.as_ref().map(Spanned::span);
        let directory = self.required_path(directory, table, "directory");
        let bytes = directory.as_os_str().len();
        if let Some(span) = span.filter(|_| bytes > MAX_BYTES) {
            let what = format!(
                "a path of {bytes} bytes; the control socket lies there, so write at most {MAX_BYTES}"
            );
            self.refuse(&span, what);
        }
        directory
    }

    fn archive(&mut self, raw: RawArchive) -> ArchiveConfig {
        const DAY: Duration = Duration::from_secs(86_400);
        ArchiveConfig {
            keep: raw.keep.map_or(30 * DAY, |keep| keep.into_inner().0),
            max_bytes: self.positive_size(raw.max_bytes, 1 << 30),
            keep_raw: raw.keep_raw.unwrap_or(false),
        }
    }

    fn log(&mut self, raw: RawLog) -> LogConfig {
        let file = raw.file.map(|file| {
            let span = file.span();
            let file = file.into_inner().0;
            LogFileConfig {
                directory: self.required_path(file.directory, &span, "directory"),
                keep: self.positive_count(file.keep, 14) as usize,
            }
        });
        LogConfig {
            level: self.log_level(raw.level),
            file,
        }
    }

    fn log_level(&mut self, level: Setting<String>) -> String {
        let Some(level) = level else {
            return "info".to_owned();
        };
        if let Err(what) = crate::observe::logging::check_filter(level.get_ref()) {
            self.refuse(&level.span(), what);
        }
        level.into_inner()
    }

    fn refuse(&mut self, at: &Span, what: impl Into<String>) {
        self.problems.push(self.document.problem(at, what));
    }

    fn warn(&mut self, at: &Span, what: impl Into<String>) {
        self.warnings.push(self.document.problem(at, what));
    }

    /// Tells that a key is missing, unless its value was refused already.
    fn missing(&mut self, table: Option<&Span>, key: &str, what: &str) {
        let problem = self.document.missing(table, key, what);
        let told = |other: &Problem| {
            let rest = other.key.strip_prefix(&problem.key);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
        };
        if !self.problems.iter().any(told) {
            self.problems.push(problem);
        }
    }
}
