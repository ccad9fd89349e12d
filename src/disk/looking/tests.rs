//! It behaves as the disk does, and changes nothing of it.

use std::fs;
use std::io::Read;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Something that is done to a file system.
#[derive(Debug, Clone)]
enum Action {
    CreateFolder(usize),
    CreateFile(usize, u8),
    Append(usize, u8),
    CutBack(usize),
    Link(usize, usize),
    Rename(usize, usize),
    RemoveFile(usize),
    RemoveFolder(usize),
}

/// Names that are used, folders and what lies in them.
const PATHS: [&str; 7] = ["a", "a/b", "a/b/c", "a/d", "e", "e/f", "g"];

fn action() -> impl Strategy<Value = Action> {
    let path = || 0..PATHS.len();
    prop_oneof![
        path().prop_map(Action::CreateFolder),
        (path(), any::<u8>()).prop_map(|(path, byte)| Action::CreateFile(path, byte)),
        (path(), any::<u8>()).prop_map(|(path, byte)| Action::Append(path, byte)),
        path().prop_map(Action::CutBack),
        (path(), path()).prop_map(|(from, to)| Action::Link(from, to)),
        (path(), path()).prop_map(|(from, to)| Action::Rename(from, to)),
        path().prop_map(Action::RemoveFile),
        path().prop_map(Action::RemoveFolder),
    ]
}

/// Does it below a folder, if it is something that spool and state do; tells whether it went well.
fn act(disk: &dyn FileSystem, root: &Path, action: &Action) -> bool {
    let path = |index: &usize| root.join(PATHS[*index]);
    let is_folder = |path: &Path| disk.metadata(path).is_ok_and(|found| found.is_folder);
    let done = match action {
        Action::CreateFolder(at) => disk.create_folder(&path(at)),
        Action::CreateFile(at, byte) => disk
            .create_file(&path(at))
            .and_then(|mut file| file.write_all(&[*byte])),
        Action::Append(at, byte) if !is_folder(&path(at)) => disk
            .append_file(&path(at))
            .and_then(|mut file| file.write_all(&[*byte])),
        Action::CutBack(at)
            if disk
                .metadata(&path(at))
                .is_ok_and(|found| !found.is_folder && found.bytes > 1) =>
        {
            disk.append_file(&path(at))
                .and_then(|mut file| file.cut_back(1))
        }
        Action::Link(from, to) if !is_folder(&path(from)) => disk.link(&path(from), &path(to)),
        // Nobody renames one thing onto another kind, onto a folder, into itself, or onto another name
        // of the same file.
        Action::Rename(from, to)
            if !path(to).starts_with(path(from))
                && !path(from).starts_with(path(to))
                && !is_folder(&path(to))
                && (!is_folder(&path(from)) || disk.metadata(&path(to)).is_err())
                && path(to).parent().is_some_and(is_folder)
                && (disk.metadata(&path(to)).is_err()
                    || read(disk, &path(from)) != read(disk, &path(to))) =>
        {
            disk.rename(&path(from), &path(to))
        }
        Action::RemoveFile(at) if !is_folder(&path(at)) => disk.remove_file(&path(at)),
        Action::RemoveFolder(at) if is_folder(&path(at)) => disk.remove_folder(&path(at)),
        _ => return false,
    };
    done.is_ok()
}

fn read(disk: &dyn FileSystem, path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    disk.open_file(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// All that a file system shows below a folder: folders, and files with what is in them.
fn shown(disk: &dyn FileSystem, root: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut names = disk.names(&folder).unwrap();
        names.sort();
        for name in names {
            let path = folder.join(name);
            let inside = path.strip_prefix(root).unwrap().to_owned();
            let found = disk.metadata(&path).unwrap();
            if found.is_folder {
                all.push((inside, None));
                folders.push(path);
            } else {
                let bytes = read(disk, &path).unwrap();
                assert_eq!(found.bytes, bytes.len() as u64);
                all.push((inside, Some(bytes)));
            }
        }
    }
    all.sort();
    all
}

proptest! {
    /// Two folders with the same in them: one is changed, the other looked at.
    #[test]
    fn it_shows_what_the_disk_would_and_leaves_that_as_it_is(
        before in vec(action(), 0..30),
        after in vec(action(), 0..30),
    ) {
        let (changed, looked_at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // It does not see which names below are the same file: nothing here links a file that goes on.
        let links_none = |action: &&Action| !matches!(action, Action::Link(..));
        for action in before.iter().filter(links_none) {
            act(&MachineDisk, changed.path(), action);
            act(&MachineDisk, looked_at.path(), action);
        }
        let lies_there = shown(&MachineDisk, looked_at.path());
        let looking = LookingDisk::default();
        for action in &after {
            let really = act(&MachineDisk, changed.path(), action);
            let seemingly = act(&looking, looked_at.path(), action);
            prop_assert_eq!(really, seemingly, "{:?}", action);
            let (really, seemingly) =
                (shown(&MachineDisk, changed.path()), shown(&looking, looked_at.path()));
            prop_assert_eq!(really, seemingly, "{:?}", action);
        }
        prop_assert_eq!(shown(&MachineDisk, looked_at.path()), lies_there);
    }
}

#[test]
fn it_knows_whether_anything_would_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let looking = LookingDisk::default();
    fs::write(folder.path().join("file"), "text").unwrap();
    looking.create_folder(&folder.path().join("new")).unwrap();
    assert!(!looking.would_change());
    looking.remove_file(&folder.path().join("file")).unwrap();
    assert!(looking.would_change());
}
