//! A small file system in memory that only the processes of a test see.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Ways to a mount of one's own: as root, or as root of a user namespace of one's own.
const WAYS: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];

/// Lives as long as this does.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    options: String,
    way: &'static [&'static str],
    /// Holds the mount.
    holder: Option<Child>,
}

impl SmallDisk {
    /// A disk of this size, such as `3m`; none where this machine lets nobody mount one, as in some
    /// containers.
    pub(crate) fn of(size: &'static str) -> Option<Self> {
        Self::with(format!("size={size}"))
    }

    /// The same that holds no more than so many files and folders.
    pub(crate) fn of_few_files(size: &'static str, files: u32) -> Option<Self> {
        Self::with(format!("size={size},nr_inodes={files}"))
    }

    fn with(options: String) -> Option<Self> {
        let works = |way: &&&[&str]| {
            let tried = Command::new("unshare").args(**way).arg("true").output();
            tried.is_ok_and(|output| output.status.success())
        };
        let way = WAYS.iter().find(works)?;
        Some(Self {
            options,
            way,
            holder: None,
        })
    }

    /// Mounts it, for the commands that come.
    pub(super) fn mount(&mut self, place: &Path) {
        std::fs::create_dir_all(place).unwrap();
        let script = format!(
            "mount -t tmpfs -o {} none '{}' && echo mounted && exec cat",
            self.options,
            place.display()
        );
        let mut holder = Command::new("unshare")
            .args(self.way)
            .args(["sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = holder.stdout.as_mut().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n");
        self.holder = Some(holder);
    }

    /// A command that sees it.
    pub(super) fn command(&self, program: &str) -> Command {
        let holder = self.holder.as_ref().unwrap().id();
        let mut command = Command::new("nsenter");
        command.args(["--target", &holder.to_string(), "--mount"]);
        if self.way.contains(&"--user") {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program);
        command
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}
