//! What is damaged of the dead letters: it is set aside, and the whole lines stay.
//!
//! A copy of the segment first, then the blocks that no line names any more, then the segment
//! without its damaged lines: a stop between any two of them leaves the damage where it is found
//! again. A mark that lies there from before the first step says that letters may be missing, until
//! somebody has counted them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use super::segments::{Found, Inventory, Segments, each_line_of, segment_name};
use super::{DeadLetters, Inner};
use crate::spool::letter::{LetterHead, Line};

/// Letters may be missing, and the ledger was not told yet.
const MARK: &str = "damaged";

/// A segment of the dead letters that cannot be read, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSegment {
    number: u64,
    /// Its name in `spool/dead-letters/`.
    pub file: String,
    /// The lines that cannot be read; where nothing of it can, there are none.
    pub lines: Vec<DamagedLine>,
    /// Why nothing of it can be read.
    pub unreadable: Option<String>,
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedLine {
    /// Its number in the segment, from 1.
    pub number: u64,
    /// What stands there.
    pub text: String,
    /// The last letter before it in the segment that can be read.
    pub after: Option<LetterHead>,
}

/// A damaged segment that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// What was damaged.
    pub segment: DamagedSegment,
    /// Its name in `quarantine/`.
    pub quarantined: String,
    /// The damaged lines that are back, by their numbers.
    pub restored: BTreeSet<u64>,
}

impl DeadLetters {
    /// Whether letters may be missing: lines cannot be read, or were set aside and not counted yet.
    pub fn may_lack_letters(&self) -> bool {
        let inner = self.lock();
        inner.damaged > 0 || inner.is_marked
    }

    /// The ledger knows how many letters there are.
    pub fn are_counted(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.is_marked {
            let disk = &self.segments.disk;
            disk.remove_file_if_there(&self.segments.folder.join(MARK))?;
            disk.sync_folder(&self.segments.folder)?;
            inner.is_marked = false;
        }
        Ok(())
    }

    pub(super) fn look_for_mark(&self, inner: &mut Inner) -> io::Result<()> {
        let mark = self.segments.folder.join(MARK);
        inner.is_marked = self.segments.disk.exists(&mark)?;
        Ok(())
    }

    fn mark(&self, inner: &mut Inner) -> io::Result<()> {
        if !inner.is_marked {
            let (disk, folder) = (&self.segments.disk, &self.segments.folder);
            if !disk.exists(&folder.join(MARK))? {
                disk.write_file(&folder.join(MARK), b"")?;
            }
            disk.sync_folder(folder)?;
            inner.is_marked = true;
        }
        Ok(())
    }

    /// What is damaged, oldest first; what the disk cannot read as well.
    pub fn damaged(&self) -> io::Result<Vec<DamagedSegment>> {
        let inner = self.lock();
        let unreadable = self.segments.unreadable()?;
        let damaged = self.find_damaged(unreadable);
        drop(inner);
        damaged
    }

    /// Sets aside what is damaged, and with `is_asked` what the disk cannot read as well: the segment
    /// goes to `quarantine`, and so do content blocks that no letter names any more. The whole lines
    /// stay, and so does what `restore` gives for a damaged one, line break and all.
    pub(in crate::spool) fn mend(
        &self,
        quarantine: &Path,
        is_asked: bool,
        restore: impl FnMut(&DamagedLine) -> Option<Vec<u8>>,
    ) -> io::Result<Vec<SetAside>> {
        // Until its letter is written, no line names a block that is new.
        let _linking = self.linking();
        let mut inner = self.lock();
        self.cut_back(&mut inner);
        let unreadable = if is_asked {
            self.segments.unreadable()?
        } else {
            BTreeMap::new()
        };
        let damaged = self.find_damaged(unreadable)?;
        self.set_aside(&mut inner, quarantine, damaged, restore)
    }

    /// Sets aside what the disk cannot read.
    pub(super) fn set_aside_unreadable(
        &self,
        inner: &mut Inner,
        quarantine: &Path,
    ) -> io::Result<Vec<SetAside>> {
        let unreadable = self.segments.unreadable()?;
        let unreadable = unreadable.into_iter();
        let unreadable = unreadable.map(|(number, why)| DamagedSegment::unreadable(number, why));
        self.set_aside(inner, quarantine, unreadable.collect(), |_| None)
    }

    fn find_damaged(&self, unreadable: BTreeMap<u64, String>) -> io::Result<Vec<DamagedSegment>> {
        let mut damaged: BTreeMap<u64, DamagedSegment> = BTreeMap::new();
        let mut after: Option<(u64, LetterHead)> = None;
        let readable = self.segments.without(unreadable.keys());
        readable.each_line(|number, found| match found {
            Found::Line(Line::Letter(head, _)) => after = Some((number, *head)),
            Found::Line(Line::Removed(_)) => {}
            Found::Damaged(line, text) => {
                let segment = damaged
                    .entry(number)
                    .or_insert_with(|| DamagedSegment::new(number));
                let after = after.as_ref().filter(|(of, _)| *of == number);
                segment.lines.push(DamagedLine {
                    number: line,
                    text: String::from_utf8_lossy(text).into_owned(),
                    after: after.map(|(_, head)| head.clone()),
                });
            }
            Found::Nothing(why) => {
                damaged.insert(number, DamagedSegment::unreadable(number, why));
            }
        })?;
        for (number, why) in unreadable {
            damaged.insert(number, DamagedSegment::unreadable(number, why));
        }
        Ok(damaged.into_values().collect())
    }

    fn set_aside(
        &self,
        inner: &mut Inner,
        quarantine: &Path,
        damaged: Vec<DamagedSegment>,
        mut restore: impl FnMut(&DamagedLine) -> Option<Vec<u8>>,
    ) -> io::Result<Vec<SetAside>> {
        if damaged.is_empty() {
            return Ok(Vec::new());
        }
        if inner.too_long.is_some() {
            return Err(io::Error::other(
                "a segment of the dead letters cannot be cut back to what was kept",
            ));
        }
        // Nothing is added to what is being copied.
        inner.segment = None;
        let (disk, folder) = (&self.segments.disk, &self.segments.folder);
        disk.create_folders(quarantine)?;
        let mut plans = Vec::new();
        for segment in damaged {
            plans.push(self.plan(segment, quarantine, &mut restore)?);
        }
        let kept = self
            .mark(inner)
            .and_then(|()| self.keep_copies(&plans, quarantine));
        if let Err(error) = kept {
            // The next try makes them again.
            for plan in &plans {
                let _ = disk.remove_file_if_there(&quarantine.join(&plan.set_aside.quarantined));
            }
            return Err(error);
        }
        inner.quarantined += plans.len() as u64;
        self.move_nameless_blocks(&plans, quarantine)?;
        for plan in &plans {
            let number = plan.set_aside.segment.number;
            match &plan.lines {
                Some(lines) => self.segments.write_anew(number, lines)?,
                None => {
                    disk.remove_file(&self.segments.path(number))?;
                    disk.sync_folder(folder)?;
                }
            }
        }
        let found = Inventory::take(&self.segments)?;
        self.count_and_clear(inner, found);
        Ok(plans.into_iter().map(|plan| plan.set_aside).collect())
    }

    /// What is to become of a segment.
    fn plan(
        &self,
        segment: DamagedSegment,
        quarantine: &Path,
        restore: &mut impl FnMut(&DamagedLine) -> Option<Vec<u8>>,
    ) -> io::Result<Plan> {
        let disk = &self.segments.disk;
        let quarantined = disk.free_name(quarantine, |number| match number {
            1 => format!("dead-letters-{}", segment.file),
            _ => format!("dead-letters-{}.{number}", segment.file),
        })?;
        let mut restored = BTreeSet::new();
        let lines = match segment.unreadable {
            Some(_) => None,
            None => {
                let text = self.segments.read(segment.number)?;
                let mut lines = Vec::new();
                let mut whole = text
                    .split_inclusive(|&byte| byte == b'\n')
                    .filter(|line| line.ends_with(b"\n"));
                each_line_of(&text, |found| {
                    let line = whole.next();
                    match found {
                        Found::Line(_) => lines.extend_from_slice(line.unwrap_or_default()),
                        Found::Damaged(number, _) => {
                            let damaged = segment.lines.iter().find(|line| line.number == number);
                            if let Some(line) = damaged.and_then(&mut *restore) {
                                lines.extend_from_slice(&line);
                                restored.insert(number);
                            }
                        }
                        Found::Nothing(_) => {}
                    }
                });
                Some(lines)
            }
        };
        Ok(Plan {
            set_aside: SetAside {
                segment,
                quarantined,
                restored,
            },
            lines,
        })
    }

    /// A second name for each, which needs no room and no reading.
    fn keep_copies(&self, plans: &[Plan], quarantine: &Path) -> io::Result<()> {
        let disk = &self.segments.disk;
        for plan in plans {
            let from = self.segments.path(plan.set_aside.segment.number);
            disk.link(&from, &quarantine.join(&plan.set_aside.quarantined))?;
        }
        disk.sync_folder(quarantine)
    }

    /// Blocks whose letters cannot be read: the next start would take them for left over.
    fn move_nameless_blocks(&self, plans: &[Plan], quarantine: &Path) -> io::Result<()> {
        let unreadable = plans.iter().filter(|plan| plan.lines.is_none());
        let unreadable = unreadable.map(|plan| &plan.set_aside.segment.number);
        let inventory = Inventory::take(&self.segments.without(unreadable))?;
        let mut restored = BTreeSet::new();
        for lines in plans.iter().filter_map(|plan| plan.lines.as_ref()) {
            each_line_of(lines, |found| {
                if let Found::Line(Line::Letter(head, _)) = found {
                    restored.extend(head.file().map(str::to_owned));
                }
            });
        }
        let (disk, folder) = (&self.segments.disk, &self.segments.folder);
        for name in disk.names(folder)? {
            if inventory.is_nameless(&name) && !restored.contains(&name) {
                disk.rename(&folder.join(&name), &quarantine.join(&name))?;
            }
        }
        Ok(())
    }
}

/// A damaged segment, and what is to stand in its place; nothing if nothing of it can be read.
struct Plan {
    set_aside: SetAside,
    lines: Option<Vec<u8>>,
}

impl SetAside {
    /// Says of the segment what became of it.
    pub fn tell(&self) {
        let segment = &self.segment;
        let quarantine = &self.quarantined;
        match &segment.unreadable {
            Some(why) => tracing::error!(
                segment = segment.file,
                damage = why,
                quarantine,
                "a segment of the dead letters cannot be read: it is moved to quarantine/. Look at the \
                 disk"
            ),
            None => tracing::error!(
                segment = segment.file,
                lines = segment.lines.len(),
                restored = self.restored.len(),
                quarantine,
                "a segment of the dead letters is damaged: a copy is set aside, and it is written anew \
                 with the lines that are whole. Look at the disk"
            ),
        }
    }
}

impl DamagedSegment {
    fn new(number: u64) -> Self {
        Self {
            number,
            file: segment_name(number),
            lines: Vec::new(),
            unreadable: None,
        }
    }

    fn unreadable(number: u64, why: String) -> Self {
        Self {
            unreadable: Some(why),
            ..Self::new(number)
        }
    }
}

impl Segments {
    /// All but these.
    fn without<'a>(&self, numbers: impl Iterator<Item = &'a u64>) -> Self {
        let mut others = self.clone();
        others.passed_over.extend(numbers.copied());
        others
    }
}

#[cfg(test)]
mod tests;
