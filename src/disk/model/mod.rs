//! A file system in memory that loses at a crash whatever a real one may.
//!
//! What was written and not synced is kept apart from what is durable: of each file the writes since
//! its last sync, of each folder the names that came and went since its. At a crash any part of that
//! is kept, torn and in any order; a process that is killed loses none of it, but whoever reads it
//! after the next start has no more than that either.

mod blow;
mod content;
mod file;
mod machine;
mod names;
mod operations;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::site::Site;
use crate::clock::Clock;
pub(crate) use blow::Blow;
use file::ModelFile;
use machine::{Machine, ROOT, Step, error, parts};
use names::{Inode, Names};

/// Errors of the system, by their numbers on Linux.
pub(crate) mod code {
    pub(crate) const PERM: i32 = 1;
    pub(crate) const NOENT: i32 = 2;
    pub(crate) const IO: i32 = 5;
    pub(crate) const EXIST: i32 = 17;
    pub(crate) const NOTDIR: i32 = 20;
    pub(crate) const ISDIR: i32 = 21;
    pub(crate) const INVAL: i32 = 22;
    pub(crate) const NOSPC: i32 = 28;
    pub(crate) const NOTEMPTY: i32 = 39;
}

/// The disk of a simulated machine; what is cloned is the same disk.
#[derive(Clone)]
pub(crate) struct ModelDisk {
    machine: Arc<Mutex<Machine>>,
    stopped: watch::Sender<bool>,
}

/// How much a crash keeps of what it may lose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Losses {
    kept_writes: f64,
    kept_names: f64,
}

impl Losses {
    /// From all to nothing, of writes and of names each.
    pub(crate) fn draw(random: &mut fastrand::Rng) -> Self {
        const SHARES: [f64; 5] = [0.0, 0.2, 0.5, 0.8, 1.0];
        let mut share = || SHARES[random.usize(..SHARES.len())];
        Self {
            kept_writes: share(),
            kept_names: share(),
        }
    }

    fn keeps_write(&self, random: &mut fastrand::Rng) -> bool {
        random.f64() < self.kept_writes
    }

    fn keeps_name(&self, random: &mut fastrand::Rng) -> bool {
        random.f64() < self.kept_names
    }
}

impl ModelDisk {
    /// An empty disk; what a stop leaves half done is drawn from `seed`.
    pub(crate) fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            machine: Arc::new(Mutex::new(Machine {
                names: Names::default(),
                files: BTreeMap::new(),
                folders: BTreeSet::from([ROOT]),
                next: ROOT + 1,
                clock,
                random: fastrand::Rng::with_seed(seed),
                starts: 0,
                steps: 0,
                stop_at: None,
                is_stopped: false,
                refused: BTreeMap::new(),
                unreadable: BTreeSet::new(),
                capacity: None,
                left_out: None,
                stops_after: None,
                sites: BTreeSet::new(),
            })),
            stopped: watch::Sender::new(false),
        }
    }

    /// A folder that has always been there.
    pub(crate) fn with_folder(self, path: &Path) -> Self {
        let mut machine = self.lock();
        let mut folder = ROOT;
        for name in parts(path) {
            folder = match machine.names.find(folder, name) {
                Some(found) => found,
                None => {
                    let made = machine.make(folder, name);
                    machine.folders.insert(made);
                    machine.names.sync(folder);
                    made
                }
            };
        }
        drop(machine);
        self
    }

    /// The power fails: what is durable stays, and of the rest what the losses leave.
    pub(crate) fn crash(&self, random: &mut fastrand::Rng) {
        let losses = Losses::draw(random);
        let mut machine = self.lock();
        let machine = &mut *machine;
        machine.names.crash(&losses, random);
        let named = machine.names.named();
        machine.files.retain(|inode, _| named.contains(inode));
        machine
            .folders
            .retain(|inode| *inode == ROOT || named.contains(inode));
        for file in machine.files.values_mut() {
            file.content.crash(&losses, random);
        }
        self.start(machine);
    }

    /// The process is no more, but the machine goes on: nothing is lost, and nothing more durable.
    pub(crate) fn kill(&self) {
        self.start(&mut self.lock());
    }

    fn start(&self, machine: &mut Machine) {
        machine.starts += 1;
        machine.stop_at = None;
        machine.is_stopped = false;
        machine.refused.clear();
        self.stopped.send_replace(false);
    }

    /// The machine writes some of it out by itself.
    pub(crate) fn write_back(&self, random: &mut fastrand::Rng) {
        let mut machine = self.lock();
        machine.names.write_back(random);
        for file in machine.files.values_mut() {
            file.content.write_back(random);
        }
    }

    /// The machine stops `after` so many more steps, in the midst of the next: from then on
    /// everything fails.
    pub(crate) fn stop(&self, after: u64) {
        let mut machine = self.lock();
        machine.stop_at = Some(machine.steps + after);
    }

    /// Is done when the machine has stopped.
    pub(crate) async fn stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender is here.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// Refuses the step `after` so many more with this error.
    pub(crate) fn refuse(&self, after: u64, code: i32) {
        let mut machine = self.lock();
        let step = machine.steps + after;
        machine.refused.insert(step, code);
    }

    /// The disk cannot read this file any more, whatever it will be called.
    pub(crate) fn make_unreadable(&self, path: &Path) {
        let mut machine = self.lock();
        let inode = machine.find(path).unwrap();
        machine.unreadable.insert(inode);
    }

    /// Nothing is refused any more, and nothing stops.
    pub(crate) fn allow(&self) {
        let mut machine = self.lock();
        machine.refused.clear();
        machine.stop_at = None;
    }

    /// How much fits on the disk; without a number, anything.
    pub(crate) fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        self.lock().used()
    }

    /// How many steps there were: what changes something, or syncs it.
    pub(crate) fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// The syncs of this place do nothing from now on.
    pub(crate) fn leave_out(&self, site: Option<Site>) {
        self.lock().left_out = site;
    }

    /// From now on the machine often stops soon after a sync of this place.
    pub(crate) fn stop_after(&self, site: Option<Site>) {
        self.lock().stops_after = site;
    }

    /// The places that have synced something.
    pub(crate) fn sites(&self) -> BTreeSet<Site> {
        self.lock().sites.clone()
    }

    /// Something else on the same machine takes a step.
    pub(crate) fn step<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.change(|_| act())
    }

    pub(crate) fn alive(&self) -> io::Result<()> {
        self.lock().alive()
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, unless it is refused or the machine stops.
    fn change<T>(&self, change: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        let mut machine = self.lock();
        match machine.step(&self.stopped)? {
            Step::Done => change(&mut machine),
            Step::DoneUnheard => {
                // Its outcome is not heard of either.
                let _ = change(&mut machine);
                Err(error(code::IO))
            }
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Machine) -> io::Result<T>) -> io::Result<T> {
        let machine = self.lock();
        machine.alive()?;
        look(&machine)
    }

    fn open(&self, inode: Inode, machine: &Machine) -> ModelFile {
        ModelFile {
            disk: self.clone(),
            inode,
            starts: machine.starts,
            read: 0,
        }
    }
}

impl fmt::Debug for ModelDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = self.lock();
        f.debug_struct("ModelDisk")
            .field("steps", &machine.steps)
            .field("is_stopped", &machine.is_stopped)
            .finish_non_exhaustive()
    }
}
