use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

use tracing::{debug, error, info, info_span, trace, warn};

use super::*;

/// Standard error, kept.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn config(level: &str) -> LogConfig {
    LogConfig {
        level: level.to_owned(),
        file: None,
    }
}

fn surroundings(stderr: StandardError) -> Surroundings {
    Surroundings {
        level: None,
        stderr,
    }
}

/// What stands on standard error after `say`.
fn logged(config: &LogConfig, surroundings: &Surroundings, say: impl FnOnce()) -> String {
    let stderr = Captured::default();
    let writer = stderr.clone();
    let (subscriber, guard) = subscriber(config, surroundings, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, say);
    drop(guard);
    stderr.text()
}

#[test]
fn a_line_for_the_journal_has_a_priority_and_no_time() {
    let text = logged(
        &config("trace"),
        &surroundings(StandardError::Journal),
        || {
            error!("lost");
            warn!("late");
            info!(collection = "flows", events = 3, "polled");
            debug!("byte");
            trace!("bit");
        },
    );
    let target = module_path!();
    assert_eq!(
        text,
        format!(
            "<3>{target}: lost\n\
             <4>{target}: late\n\
             <6>{target}: polled collection=\"flows\" events=3\n\
             <7>{target}: byte\n\
             <7>{target}: bit\n"
        )
    );
}

#[test]
fn a_line_for_a_stream_has_a_time_and_no_colours() {
    let text = logged(
        &config("info"),
        &surroundings(StandardError::Stream),
        || info_span!("poll", collection = "flows").in_scope(|| info!("polled")),
    );
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(
        chrono::DateTime::parse_from_rfc3339(time).is_ok(),
        "{time:?}"
    );
    let target = module_path!();
    let expect = format!(" INFO poll{{collection=\"flows\"}}: {target}: polled\n");
    assert_eq!(rest, expect);
}

#[test]
fn a_line_for_a_terminal_has_colours() {
    let text = logged(
        &config("info"),
        &surroundings(StandardError::Terminal),
        || info!("polled"),
    );
    assert!(text.contains("\u{1b}["), "{text:?}");
}

#[test]
fn a_line_break_from_outside_makes_no_line() {
    for stderr in [StandardError::Journal, StandardError::Stream] {
        let text = logged(&config("info"), &surroundings(stderr), || {
            info!("answer: a\r\n<0>forged");
        });
        assert!(text.ends_with("answer: a\\r\\n<0>forged\n"), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }
}

#[test]
fn the_environment_goes_before_the_configuration() {
    let loud = Surroundings {
        level: Some("debug".to_owned()),
        stderr: StandardError::Journal,
    };
    let say = || debug!("byte");
    assert!(logged(&config("info"), &loud, say).contains("byte"));
    assert_eq!(logged(&config("info"), &Surroundings::default(), say), "");

    let unset = Surroundings {
        level: Some(String::new()),
        stderr: StandardError::Journal,
    };
    assert!(logged(&config("debug"), &unset, say).contains("byte"));
}

#[test]
fn a_lone_level_keeps_the_libraries_quiet() {
    let say = || {
        trace!("ours");
        info!(target: "hyper", "theirs");
        warn!(target: "hyper", "greeting");
    };
    let surroundings = surroundings(StandardError::Journal);
    let text = logged(&config("trace"), &surroundings, say);
    assert!(
        text.contains("ours") && text.contains("greeting"),
        "{text:?}"
    );
    assert!(!text.contains("theirs"), "{text:?}");
    let text = logged(&config("hyper=info"), &surroundings, say);
    assert!(text.contains("theirs"), "{text:?}");
}

#[test]
fn a_level_that_is_none_is_told_with_its_place() {
    let wrong = Surroundings {
        level: Some("loud".to_owned()),
        stderr: StandardError::Stream,
    };
    let Err(error) = subscriber(&config("info"), &wrong, io::sink) else {
        panic!("it started");
    };
    assert_eq!(
        error.to_string(),
        "CTA_FORWARDER_LOG: \"loud\" is not a log level; write one of off, error, warn, info, \
         debug, trace or a filter such as \"info,cta_forwarder::taxii=debug\""
    );
    for filter in [
        "",
        "info, warn",
        "info,loud",
        "info,a=loud",
        "a=b=c",
        "info,",
    ] {
        assert!(check_filter(filter).is_err(), "{filter:?}");
    }
    for filter in [
        "off",
        "trace",
        "info,hyper=debug",
        "warn,[poll{collection=flows}]=debug",
    ] {
        assert_eq!(check_filter(filter), Ok(()), "{filter:?}");
    }
}

fn with_file(folder: &Path, keep: usize) -> LogConfig {
    LogConfig {
        level: "info".to_owned(),
        file: Some(LogFileConfig {
            directory: folder.to_owned(),
            keep,
        }),
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_file_has_an_object_on_each_line() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let text = logged(
        &with_file(&folder, 3),
        &surroundings(StandardError::Terminal),
        || info_span!("poll", collection = "flows").in_scope(|| info!(events = 3, "a\nb")),
    );
    assert!(text.contains("events"), "standard error too: {text:?}");

    let names = names_in(&folder);
    assert_eq!(names.len(), 1, "{names:?}");
    let date = names[0]
        .strip_prefix("cta-forwarder.")
        .and_then(|name| name.strip_suffix(".log.json"))
        .unwrap();
    date.parse::<chrono::NaiveDate>().unwrap();

    let written = fs::read_to_string(folder.join(&names[0])).unwrap();
    assert_eq!(written.lines().count(), 1, "{written}");
    let line: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "a\nb");
    assert_eq!(line["events"], 3);
    assert_eq!(line["span"]["collection"], "flows");
    assert_eq!(line["target"], module_path!());
    assert!(line["timestamp"].is_string());
}

#[test]
fn a_restart_goes_on_with_the_file_of_the_day() {
    let folder = tempfile::tempdir().unwrap();
    for message in ["first", "second"] {
        logged(
            &with_file(folder.path(), 1),
            &Surroundings::default(),
            || info!("{message}"),
        );
    }
    let names = names_in(folder.path());
    // Two files if midnight came between.
    let written: String = names
        .iter()
        .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
        .collect();
    assert!(
        written.contains("first") && written.contains("second"),
        "{names:?} {written}"
    );
}

#[test]
fn so_many_files_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for day in 1..=9 {
        let name = format!("cta-forwarder.2020-01-0{day}.log.json");
        fs::write(folder.path().join(name), "").unwrap();
    }
    fs::write(folder.path().join("events.jsonl"), "").unwrap();
    logged(
        &with_file(folder.path(), 3),
        &Surroundings::default(),
        || info!("today"),
    );
    let names = names_in(folder.path());
    assert_eq!(names.len(), 3 + 1 + 1, "{names:?}");
    assert!(names.contains(&"events.jsonl".to_owned()), "{names:?}");
}

#[test]
fn a_folder_that_cannot_be_is_told_with_its_path() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let config = with_file(&file.join("logs"), 3);
    let Err(error) = subscriber(&config, &Surroundings::default(), io::sink) else {
        panic!("it started");
    };
    let expect = format!(
        "the log folder {}/logs cannot be created: Not a directory (os error 20)",
        file.display()
    );
    assert_eq!(error.to_string(), expect);
}
