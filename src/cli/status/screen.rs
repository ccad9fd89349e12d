//! The terminal's other screen, which is drawn over and over, and given back as it was.

use std::io::{self, Read as _, Write as _};
use std::thread;

use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::sync::mpsc;

/// The other screen, without a cursor and without line breaks of the terminal's own.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Where a terminal does not tell its size.
const USUAL_SIZE: Size = Size {
    rows: 24,
    columns: 80,
};

/// Columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// What a person wants of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
}

/// Whoever has it draws on the other screen; when it is dropped everything is as before.
#[derive(Debug)]
pub(super) struct Screen {
    /// None where keys cannot be heard one by one.
    before: Option<Termios>,
}

impl Screen {
    pub(super) fn enter() -> io::Result<Self> {
        let screen = Self {
            before: listen_to_keys(),
        };
        write(ENTER)?;
        Ok(screen)
    }

    #[expect(
        clippy::unused_self,
        reason = "only who has the screen knows that it has a size"
    )]
    pub(super) fn size(&self) -> Size {
        let told = tcgetwinsize(stdout()).ok();
        let told = told.filter(|size| size.ws_row > 0 && size.ws_col > 0);
        told.map_or(USUAL_SIZE, |size| Size {
            rows: size.ws_row.into(),
            columns: size.ws_col.into(),
        })
    }

    /// Draws these lines over what is there, in one go: nothing flickers.
    #[expect(clippy::unused_self, reason = "only who has the screen may draw on it")]
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Where the terminal has gone there is nothing to give back.
        let _ = write(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Flush, before);
        }
    }
}

/// The keys that are pressed, as long as somebody listens.
pub(super) fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        let mut bytes = [0; 64];
        while let Ok(read @ 1..) = io::stdin().read(&mut bytes) {
            let typed = bytes.get(..read).unwrap_or_default();
            for key in strokes(typed).into_iter().filter_map(key) {
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

/// What was typed in one go, key by key: a byte each, or what begins with an escape.
fn strokes(mut typed: &[u8]) -> Vec<&[u8]> {
    let mut strokes = Vec::new();
    while let [first, rest @ ..] = typed {
        let length = match (first, rest) {
            (0x1b, [b'[' | b'O', parameters @ ..]) => {
                let mut parameters = parameters.iter();
                let last = parameters.position(|byte| !matches!(byte, b'0'..=b'9' | b';'));
                last.map_or(typed.len(), |last| last + 3)
            }
            _ => 1,
        };
        let (stroke, left) = typed.split_at(length.min(typed.len()));
        strokes.push(stroke);
        typed = left;
    }
    strokes
}

fn key(typed: &[u8]) -> Option<Key> {
    Some(match typed {
        b"q" | b"Q" | b"\x03" | b"\x04" => Key::Quit,
        b"k" | b"\x1b[A" | b"\x1bOA" => Key::Up,
        b"j" | b"\x1b[B" | b"\x1bOB" => Key::Down,
        b"b" | b"\x1b[5~" => Key::PageUp,
        b" " | b"f" | b"\x1b[6~" => Key::PageDown,
        b"g" | b"\x1b[H" => Key::Top,
        _ => return None,
    })
}

/// Keys come one by one and are not shown; gives how it was before.
fn listen_to_keys() -> Option<Termios> {
    let before = tcgetattr(stdin()).ok()?;
    let mut now = before.clone();
    now.local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO);
    // Who stops the process would be left on the other screen.
    now.special_codes[SpecialCodeIndex::VSUSP] = 0;
    tcsetattr(stdin(), OptionalActions::Flush, &now).ok()?;
    Some(before)
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        assert_eq!(key(b"q"), Some(Key::Quit));
        assert_eq!(key(b"\x03"), Some(Key::Quit));
        assert_eq!(key(b"\x1b[B"), Some(Key::Down));
        assert_eq!(key(b"x"), None);
        assert_eq!(key(b""), None);
        let typed = strokes(b"jj\x1b[6~\x1b[Aq");
        let keys: Vec<_> = typed.into_iter().filter_map(key).collect();
        let expect = [Key::Down, Key::Down, Key::PageDown, Key::Up, Key::Quit];
        assert_eq!(keys, expect);
    }
}
