//! Whom the system trusts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::RootCertStore;

/// What was read for one client serves all that are set up with it: it is some hundred certificates. Who
/// tries again later sees what a person has changed.
const SHARED_FOR: Duration = Duration::from_secs(1);

static OF_THE_SYSTEM: Shared = Shared(Mutex::new(None));

/// The authorities that the system trusts. On a machine that has none, every server is unknown.
pub(super) fn of_the_system(now: Instant) -> Arc<RootCertStore> {
    OF_THE_SYSTEM.get(now, read)
}

/// Authorities, and when they were read.
struct Shared(Mutex<Option<(Instant, Arc<RootCertStore>)>>);

impl Shared {
    fn get(&self, now: Instant, read: impl FnOnce() -> RootCertStore) -> Arc<RootCertStore> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(at, _): &&(Instant, _)| now.saturating_duration_since(*at) < SHARED_FOR;
        if let Some((_, roots)) = shared.as_ref().filter(fresh) {
            return Arc::clone(roots);
        }
        let roots = Arc::new(read());
        *shared = Some((now, Arc::clone(&roots)));
        roots
    }
}

fn read() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Systems have certificates that nobody can read; the others still count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        tracing::warn!(
            "this machine has no certificate authorities, so no server's certificate will be trusted: \
             install the ca-certificates package or set ca_file"
        );
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_set_up_together_shares_them_and_who_comes_later_reads_anew() {
        let shared = Shared(Mutex::new(None));
        let start = Instant::now();
        let reads = |after| {
            let mut has_read = false;
            let read = || {
                has_read = true;
                RootCertStore::empty()
            };
            let roots = shared.get(start + after, read);
            (has_read, roots)
        };
        let (has_read, first) = reads(Duration::ZERO);
        assert!(has_read);
        let (has_read, second) = reads(SHARED_FOR.mul_f32(0.9));
        assert!(!has_read && Arc::ptr_eq(&first, &second));
        assert!(reads(SHARED_FOR).0);
        assert!(!reads(SHARED_FOR.mul_f32(1.9)).0);
    }
}
