//! Whom the system trusts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::RootCertStore;

/// What was read for one client serves all that are set up with it: it is some hundred files. Who tries
/// again later sees what a person has changed.
const SHARED_FOR: Duration = Duration::from_secs(1);

static OF_THE_SYSTEM: Shared = Shared(Mutex::new(None));

/// The authorities that the system trusts. On a machine that has none, every server is unknown.
pub(super) fn of_the_system(now: Instant) -> Arc<RootCertStore> {
    OF_THE_SYSTEM.get(now, read)
}

/// Authorities, and when they were read.
struct Shared(Mutex<Option<(Instant, Arc<RootCertStore>)>>);

/// What was read.
struct Found {
    roots: RootCertStore,
    /// There are some, and nothing was in the way.
    is_all: bool,
}

impl Shared {
    fn get(&self, now: Instant, read: impl FnOnce() -> Found) -> Arc<RootCertStore> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(at, _): &&(Instant, _)| now.saturating_duration_since(*at) < SHARED_FOR;
        if let Some((_, roots)) = shared.as_ref().filter(fresh) {
            return Arc::clone(roots);
        }
        let Found { roots, is_all } = read();
        let roots = Arc::new(roots);
        *shared = is_all.then(|| (now, Arc::clone(&roots)));
        roots
    }
}

fn read() -> Found {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    // Systems have certificates that nobody can read; the others still count.
    roots.add_parsable_certificates(found.certs);
    for error in &found.errors {
        tracing::debug!(%error, "certificates of the system's authorities cannot be read");
    }
    if roots.is_empty() {
        tracing::warn!(
            "this machine has no certificate authorities, so no server's certificate will be trusted: \
             install the ca-certificates package or set ca_file"
        );
    }
    let is_all = found.errors.is_empty() && !roots.is_empty();
    Found { roots, is_all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_set_up_together_shares_them_and_who_comes_later_reads_anew() {
        let shared = Shared(Mutex::new(None));
        let start = Instant::now();
        let reads = |after, is_all| {
            let mut has_read = false;
            let read = || {
                has_read = true;
                let roots = RootCertStore::empty();
                Found { roots, is_all }
            };
            let roots = shared.get(start + after, read);
            (has_read, roots)
        };
        // What was in the way may be gone for the next.
        assert!(reads(Duration::ZERO, false).0);
        let (has_read, first) = reads(Duration::ZERO, true);
        assert!(has_read);
        let (has_read, second) = reads(SHARED_FOR.mul_f32(0.9), true);
        assert!(!has_read && Arc::ptr_eq(&first, &second));
        assert!(reads(SHARED_FOR, true).0);
        assert!(!reads(SHARED_FOR.mul_f32(1.9), true).0);
    }
}
