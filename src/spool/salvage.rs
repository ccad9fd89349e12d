//! Reads what can be read of a batch's events, though files may be damaged: a person takes out what
//! is left.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::IgnoredAny;
use zstd::stream::read::Decoder;

use crate::state::EventFile;

/// Opens a file of events by its name.
type Open = Box<dyn FnMut(&str) -> io::Result<Box<dyn Read + Send>> + Send>;

/// What a file of events holds.
type Text = BufReader<Decoder<'static, BufReader<Box<dyn Read + Send>>>>;

/// The events of a batch that can be read, in order.
pub struct Salvage {
    open: Open,
    files: std::vec::IntoIter<EventFile>,
    current: Option<Current>,
    /// The first line of the next file, as `batch.json` counts.
    next_line: u64,
    losses: Vec<String>,
}

struct Current {
    text: Text,
    file: EventFile,
    line: u64,
    /// Lines that must still come.
    left: u64,
    unreadable: u64,
}

/// What one more line of a file is.
enum Line {
    Event(String),
    Unreadable,
    End,
}

impl Salvage {
    pub(super) fn new(open: Open, files: Vec<EventFile>) -> Self {
        Self {
            open,
            files: files.into_iter(),
            current: None,
            next_line: 0,
            losses: Vec::new(),
        }
    }

    /// The next event that can be read, with its line in the batch.
    pub fn next_event(&mut self) -> Option<(u64, String)> {
        loop {
            let Some(current) = &mut self.current else {
                let file = self.files.next()?;
                let first = self.next_line;
                self.next_line += file.events;
                match open(&mut self.open, &file) {
                    Ok(text) => {
                        self.current = Some(Current {
                            text,
                            line: first,
                            left: file.events,
                            unreadable: 0,
                            file,
                        });
                    }
                    Err(error) => self.losses.push(format!("{}: {error}", file.name)),
                }
                continue;
            };
            let line = current.line;
            match current.next() {
                Ok(Line::Event(json)) => return Some((line, json)),
                Ok(Line::Unreadable) => continue,
                Ok(Line::End) => self.losses.extend(current.loss(None)),
                Err(error) => self.losses.extend(current.loss(Some(&error))),
            }
            self.current = None;
        }
    }

    /// What could not be read so far, in words.
    #[must_use]
    pub fn losses(&self) -> &[String] {
        &self.losses
    }
}

fn open(open: &mut Open, file: &EventFile) -> io::Result<Text> {
    Ok(BufReader::new(Decoder::new(open(&file.name)?)?))
}

impl Current {
    fn next(&mut self) -> io::Result<Line> {
        if self.left == 0 {
            return Ok(Line::End);
        }
        let mut text = Vec::new();
        self.text.read_until(b'\n', &mut text)?;
        // What does not end with a line break is not whole.
        if text.pop() != Some(b'\n') {
            return Ok(Line::End);
        }
        self.line += 1;
        self.left -= 1;
        let json = String::from_utf8(text).ok();
        let is_json = |text: &String| serde_json::from_str::<IgnoredAny>(text).is_ok();
        Ok(match json.filter(is_json) {
            Some(json) => Line::Event(json),
            None => {
                self.unreadable += 1;
                Line::Unreadable
            }
        })
    }

    /// What is lost of the file, if anything is.
    fn loss(&self, error: Option<&io::Error>) -> Option<String> {
        let lost = self.left + self.unreadable;
        if lost == 0 {
            return None;
        }
        let (name, events) = (&self.file.name, self.file.events);
        let why = error.map_or_else(String::new, |error| format!(" ({error})"));
        Some(format!(
            "{name}: {lost} of {events} events cannot be read{why}"
        ))
    }
}

impl fmt::Debug for Salvage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Salvage")
            .field("next_line", &self.next_line)
            .field("losses", &self.losses)
            .finish_non_exhaustive()
    }
}
