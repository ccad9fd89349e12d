use super::*;
use std::os::unix::fs::PermissionsExt;

#[test]
fn folders_are_made_with_those_above_and_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c");
    let disk = Disk::machine();
    disk.create_folders(&path).unwrap();
    disk.create_folders(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn each_new_folder_is_synced_into_the_one_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::machine();
    // Made, synced, made, synced.
    for step in 0..4 {
        refusal::refuse(step, 0);
        let path = folder.path().join(format!("{step}/b"));
        disk.create_folders(&path).unwrap_err();
        refusal::end();
    }
    refusal::refuse(u64::MAX, 0);
    disk.create_folders(&folder.path().join("last/b")).unwrap();
    assert_eq!(refusal::end(), 4);
}

#[test]
fn a_file_in_the_place_of_a_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let disk = Disk::machine();
    disk.write_file(&path, b"x").unwrap();
    disk.create_folders(&path).unwrap_err();
    disk.create_folders(&path.join("below")).unwrap_err();
}

#[test]
fn a_place_that_syncs_is_known_by_its_line_and_by_what_it_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::machine();
    disk.write_file(&folder.path().join("a"), b"x").unwrap();
    let file = site::take().unwrap();
    disk.rename(&folder.path().join("a"), &folder.path().join("b"))
        .unwrap();
    let name = site::take().unwrap();
    assert!(file.to_string().ends_with("(a file)"), "{file}");
    assert!(name.to_string().ends_with("(the old name)"), "{name}");
    assert!(file.file().ends_with("disk/tests.rs"), "{file}");
    assert!(file < name);
}
