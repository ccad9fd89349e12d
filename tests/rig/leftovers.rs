//! What a stopped agent leaves on the disk when everything is delivered: nothing strange.

use std::fs;
use std::path::Path;

/// Segments that the ledger keeps, and the one that is written.
const MAX_SEGMENTS: usize = 64;
/// What sled takes of its own accord for next to nothing, and some room above that.
const MAX_STORE_BYTES: u64 = 64 << 20;
/// The archive's limit, and the batch that has just come.
const MAX_ARCHIVE_BYTES: u64 = 2 * (100 << 10);

/// Looks at the state folder; gives its sizes in a few words, or what should not be there.
pub(crate) fn look(state: &Path) -> Result<String, String> {
    look_beside(state, &[])
}

/// The same, with things in quarantine whose names end like these, each of which must be there.
pub(crate) fn look_beside(state: &Path, quarantined: &[&str]) -> Result<String, String> {
    let kept = names(&state.join("quarantine"));
    for end in quarantined {
        if !kept.iter().any(|name| name.ends_with(end)) {
            return Err(format!("{end} is not in quarantine"));
        }
    }
    let known = [
        "archive",
        "ledger",
        "lock",
        "quarantine",
        "spool",
        "state.sled",
    ];
    for name in names(state) {
        if !known.contains(&name.as_str()) {
            return Err(format!("{name} is left in the state folder"));
        }
    }
    let spool = state.join("spool");
    for (folder, known) in [
        (state.join("quarantine"), quarantined),
        (spool.join("staging"), &[]),
        (spool.join("ready"), &[]),
        (spool.join("dead-letters"), &[".jsonl", ".xml"]),
        (state.join("ledger"), &[".jsonl"]),
    ] {
        for name in names(&folder) {
            if !known.iter().any(|end| name.ends_with(end)) {
                return Err(format!("{} is left in {}", name, folder.display()));
            }
        }
    }
    let segments = names(&state.join("ledger")).len();
    let [store, archive, ledger] =
        ["state.sled", "archive", "ledger"].map(|name| bytes(&state.join(name)));
    if segments > MAX_SEGMENTS || store > MAX_STORE_BYTES || archive > MAX_ARCHIVE_BYTES {
        return Err(format!(
            "{segments} segments of the ledger, {store} bytes of the store, {archive} of the archive"
        ));
    }
    Ok(format!(
        "ledger: {segments} segments, {} KiB; store {} KiB; archive {} KiB",
        ledger >> 10,
        store >> 10,
        archive >> 10
    ))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let names = entries.map(name);
    names.map(|name| name.into_string().unwrap()).collect()
}

fn bytes(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        bytes += if metadata.is_dir() {
            self::bytes(&entry.path())
        } else {
            metadata.len()
        };
    }
    bytes
}
