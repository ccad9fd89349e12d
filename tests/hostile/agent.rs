//! An agent among enemies.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long anything may take: only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(300);
/// A file tells nobody that it grows.
const LOOK: Duration = Duration::from_millis(100);

/// The real binary with its log.
pub(crate) struct Agent {
    folder: tempfile::TempDir,
    child: Child,
}

impl Agent {
    /// With these sections; `{folder}` is filled in.
    pub(crate) fn start(sections: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "s3cret\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let mut toml = format!("[state]\ndirectory = \"{path}/state\"\nmin_free_disk = \"1MiB\"\n");
        write!(toml, "{}", sections.replace("{folder}", path)).unwrap();
        let config = folder.path().join("cta-forwarder.toml");
        fs::write(&config, toml).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cta-forwarder"))
            .args(["run", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { folder, child }
    }

    /// Waits until one line of the log holds all of these words, for each of `expected`.
    pub(crate) async fn says(&mut self, expected: &[Vec<String>]) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let log = self.log();
            let is_said = |words: &&Vec<String>| {
                let mut lines = log.lines();
                !lines.any(|line| words.iter().all(|word| line.contains(word)))
            };
            let missing: Vec<&Vec<String>> = expected.iter().filter(is_said).collect();
            if missing.is_empty() {
                break;
            }
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended: {log}");
            let is_late = tokio::time::Instant::now() > deadline;
            assert!(!is_late, "{missing:#?} is not said in\n{}", shown(&log));
            tokio::time::sleep(LOOK).await;
        }
        self.is_well();
    }

    /// It lives, and no line of its log is too long to be read.
    fn is_well(&mut self) {
        let log = self.log();
        assert_eq!(
            self.child.try_wait().unwrap(),
            None,
            "it ended: {}",
            shown(&log)
        );
        let longest = log.lines().map(str::len).max().unwrap_or_default();
        assert!(
            longest < 8 << 10,
            "a line of {longest} bytes:\n{}",
            shown(&log)
        );
        assert!(!log.contains("panicked"), "{}", shown(&log));
    }

    /// The most memory that it ever had.
    pub(crate) fn peak_mebibytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kibibytes.parse::<u64>().unwrap() >> 10
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

/// The beginning of each line.
fn shown(log: &str) -> String {
    let lines = log
        .lines()
        .map(|line| line.chars().take(400).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
