//! What the kernel tells of this process.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What is known; `/proc` may be hidden.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) cpu_s: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) max_files: Option<u64>,
}

impl Process {
    pub(super) fn look() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = std::time::Duration::try_from(cpu).ok();
        Self {
            cpu_s: cpu.map(|cpu| cpu.as_secs_f64()),
            resident_bytes: resident_bytes(),
            open_files: open_files(),
            max_files: getrlimit(Resource::Nofile).current,
        }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn open_files() -> Option<u64> {
    let files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // One of them is this list.
    files.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_what_is_opened() {
        let before = Process::look();
        let (cpu, bytes) = (before.cpu_s.unwrap(), before.resident_bytes.unwrap());
        assert!(cpu > 0.0 && bytes > 1 << 20, "{before:?}");
        let max = before.max_files.unwrap();
        assert!(before.open_files.unwrap() < max, "{before:?}");
        // Other tests open and close files at the same time: as many as none of them does.
        let open = || fs::File::open("/proc/self/status").unwrap();
        let files: Vec<fs::File> = (0..200).map(|_| open()).collect();
        let after = Process::look().open_files.unwrap();
        assert!(after + 100 > before.open_files.unwrap() + files.len() as u64);
    }
}
