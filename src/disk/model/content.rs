//! What a file holds: what is durable, and what was done to it since.

use super::{Blow, Losses};

/// The bytes of a file, as everybody sees them and as a crash may leave them.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    durable: Vec<u8>,
    changes: Vec<Change>,
    current: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Change {
    what: What,
    fate: Fate,
}

#[derive(Debug, Clone)]
enum What {
    Write { at: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It may be lost.
    Open,
    /// It is durable.
    Certain,
    /// A sync has failed over it: no later one makes it durable, though everybody sees it.
    Doomed,
}

impl Content {
    pub(super) fn current(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        let at = self.current.len();
        self.current.extend_from_slice(bytes);
        self.changes.push(Change {
            what: What::Write {
                at,
                bytes: bytes.to_vec(),
            },
            fate: Fate::Open,
        });
    }

    pub(super) fn cut(&mut self, length: usize) {
        self.current.resize(length, 0);
        self.changes.push(Change {
            what: What::Cut { length },
            fate: Fate::Open,
        });
    }

    pub(super) fn sync(&mut self) {
        self.settle(|| Fate::Certain);
    }

    pub(super) fn fail_to_sync(&mut self) {
        self.settle(|| Fate::Doomed);
    }

    /// Some of it becomes durable without having been asked for.
    pub(super) fn write_back(&mut self, random: &mut fastrand::Rng) {
        self.settle(|| {
            if random.bool() {
                Fate::Certain
            } else {
                Fate::Open
            }
        });
    }

    fn settle(&mut self, mut fate: impl FnMut() -> Fate) {
        for change in &mut self.changes {
            if change.fate == Fate::Open {
                change.fate = fate();
            }
        }
        let certain = self.changes.iter();
        let certain = certain.take_while(|change| change.fate == Fate::Certain);
        for change in self.changes.drain(..certain.count()).collect::<Vec<_>>() {
            change.what.apply(&mut self.durable, 0);
        }
    }

    /// Strikes what is durable, what is not, and what everybody sees.
    pub(super) fn strike(&mut self, blow: Blow) {
        blow.strike(&mut self.durable, 0);
        blow.strike(&mut self.current, 0);
        for change in &mut self.changes {
            match &mut change.what {
                What::Write { at, bytes } => blow.strike(bytes, *at),
                What::Cut { .. } => {}
            }
        }
    }

    /// What a crash leaves of it.
    pub(super) fn crash(&mut self, losses: &Losses, random: &mut fastrand::Rng) {
        let mut bytes = std::mem::take(&mut self.durable);
        for change in self.changes.drain(..) {
            let filler = if random.bool() { 0 } else { random.u8(1..) };
            match change.what {
                what if change.fate == Fate::Certain || losses.keeps_write(random) => {
                    what.apply(&mut bytes, filler);
                }
                What::Write { at, bytes: written } => match random.u8(0..3) {
                    0 => {}
                    // Only a piece of it.
                    1 => {
                        let from = random.usize(0..=written.len());
                        let to = random.usize(from..=written.len());
                        if from < to {
                            put(&mut bytes, at + from, &written[from..to], filler);
                        }
                    }
                    // Its length, and nothing of what was written.
                    _ => {
                        let length = bytes.len().max(at + written.len());
                        bytes.resize(length, filler);
                    }
                },
                What::Cut { .. } => {}
            }
        }
        self.current.clone_from(&bytes);
        self.durable = bytes;
    }
}

impl Blow {
    /// Strikes bytes that begin at this place of the file.
    fn strike(self, bytes: &mut Vec<u8>, begin: usize) {
        match self {
            Self::Flip { at, bit } => {
                let byte = at.checked_sub(begin).and_then(|at| bytes.get_mut(at));
                if let Some(byte) = byte {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut { length } => bytes.truncate(length.saturating_sub(begin)),
            Self::Gone => bytes.clear(),
        }
    }
}

impl What {
    fn apply(&self, bytes: &mut Vec<u8>, filler: u8) {
        match self {
            Self::Write { at, bytes: written } => put(bytes, *at, written, filler),
            Self::Cut { length } => bytes.resize(*length, 0),
        }
    }
}

/// Where the length was extended and nothing written there is, stands something.
fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8], filler: u8) {
    let end = at + written.len();
    if bytes.len() < at {
        bytes.resize(at, filler);
    }
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(written);
}
