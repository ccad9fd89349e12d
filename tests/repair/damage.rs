//! What lies in the spool, and what can happen to it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::world::World;

/// The folders of batches in place, oldest first.
pub(crate) fn batches(world: &World) -> Vec<PathBuf> {
    let ready = world.state_folder().join("spool/ready");
    let mut folders: Vec<PathBuf> = fs::read_dir(ready)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

/// The files of events of a batch, in order.
pub(crate) fn files(batch: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(batch).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect();
    files.sort();
    files
}

pub(crate) fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

pub(crate) fn cut(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 3]).unwrap();
}

pub(crate) fn gone(file: &Path) {
    fs::remove_file(file).unwrap();
}
