//! Where the collection is known to stand, and what was passed over since a person had it so.

use chrono::{DateTime, Utc};

use crate::taxii::Timestamp;

/// The checkpoint, as far as it is known from outside.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// That was last seen.
    last: Option<Timestamp>,
    /// Where a start may find it instead: what was asked for and not acknowledged, or what a start
    /// found that nobody had acknowledged.
    unheard: Vec<Option<Timestamp>>,
    /// The ledger's number at the last of these: a later record says that it is none of them.
    unheard_at: u64,
    /// Where it ever was.
    ever: Vec<Option<Timestamp>>,
    /// What it was moved over.
    passed_over: Vec<Span>,
    ever_passed_over: Vec<Span>,
}

/// After the one, up to the other.
#[derive(Debug, Clone)]
struct Span {
    exclusive_begin: Option<DateTime<Utc>>,
    inclusive_end: DateTime<Utc>,
}

impl Standing {
    /// A person has set it, and was told so.
    pub(super) fn is_set(&mut self, to: Option<Timestamp>) {
        self.unheard.clear();
        self.moved(to);
    }

    /// A person has asked for it, and was told that it did not go.
    pub(super) fn was_asked_for(&mut self, to: Option<Timestamp>, number: u64) {
        self.unheard.push(to);
        self.unheard_at = number;
    }

    /// Where a running agent says that it is.
    pub(super) fn seen(&mut self, now: Option<Timestamp>, number: u64) -> Result<(), String> {
        if number > self.unheard_at {
            self.unheard.clear();
        }
        if now != self.last {
            self.is_ahead(now.as_ref())?;
            self.ever.push(now.clone());
            self.last = now;
        }
        Ok(())
    }

    /// Where a start has found it; in doubt it may be wherever it once was.
    pub(super) fn found(
        &mut self,
        now: Option<Timestamp>,
        number: u64,
        is_doubtful: bool,
    ) -> Result<(), String> {
        if now == self.last {
            return Ok(());
        }
        let before = self.last.clone();
        if self.unheard.contains(&now) {
            self.moved(now);
        } else if is_doubtful && (now.is_none() || self.ever.contains(&now)) {
            self.passed_over.clone_from(&self.ever_passed_over);
            self.cut(now.as_ref());
            self.last = now;
        } else {
            self.is_ahead(now.as_ref())?;
            self.ever.push(now.clone());
            self.last = now;
        }
        // Nobody has heard of it: as long as nothing more is recorded, a crash may take it back.
        self.was_asked_for(before, number);
        Ok(())
    }

    /// Whether what was published then was passed over, and is not polled any more.
    pub(super) fn has_passed_over(&self, published: DateTime<Utc>) -> bool {
        self.passed_over.iter().any(|span| {
            published <= span.inclusive_end
                && span.exclusive_begin.is_none_or(|begin| published > begin)
        })
    }

    fn is_ahead(&self, now: Option<&Timestamp>) -> Result<(), String> {
        let (Some(before), now) = (&self.last, now) else {
            return Ok(());
        };
        if now.is_none_or(|now| now.time() < before.time()) {
            return Err(format!("the checkpoint went back from {before} to {now:?}"));
        }
        Ok(())
    }

    fn moved(&mut self, to: Option<Timestamp>) {
        let before = self.last.as_ref().map(Timestamp::time);
        match &to {
            Some(to) if before.is_none_or(|before| to.time() > before) => {
                let span = Span {
                    exclusive_begin: before,
                    inclusive_end: to.time(),
                };
                self.passed_over.push(span.clone());
                self.ever_passed_over.push(span);
            }
            to => self.cut(to.as_ref()),
        }
        self.ever.push(to.clone());
        self.last = to;
    }

    /// What comes after this is polled again.
    fn cut(&mut self, to: Option<&Timestamp>) {
        let Some(to) = to.map(Timestamp::time) else {
            self.passed_over.clear();
            return;
        };
        self.passed_over
            .retain(|span| span.exclusive_begin.is_none_or(|begin| begin < to));
        for span in &mut self.passed_over {
            span.inclusive_end = span.inclusive_end.min(to);
        }
    }
}
