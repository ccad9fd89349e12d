//! What has happened in sequences, to see that enough does.

/// How often.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) actions: u64,
    pub(super) crashes: u64,
    pub(super) kills: u64,
    pub(super) rolled_back: u64,
    pub(super) failed_starts: u64,
    pub(super) doubts: u64,
    pub(super) polls: u64,
    pub(super) events: u64,
    pub(super) steps: u64,
    pub(super) again: u64,
    pub(super) letters: u64,
    pub(super) checkpoints_set: u64,
    pub(super) damaged: u64,
    pub(super) ledger_damaged: u64,
    pub(super) mended: u64,
    pub(super) repairs: u64,
    pub(super) pushed: u64,
    pub(super) pushed_again: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.actions += other.actions;
        self.crashes += other.crashes;
        self.kills += other.kills;
        self.rolled_back += other.rolled_back;
        self.failed_starts += other.failed_starts;
        self.doubts += other.doubts;
        self.polls += other.polls;
        self.events += other.events;
        self.steps += other.steps;
        self.again += other.again;
        self.letters += other.letters;
        self.checkpoints_set += other.checkpoints_set;
        self.damaged += other.damaged;
        self.ledger_damaged += other.ledger_damaged;
        self.mended += other.mended;
        self.repairs += other.repairs;
        self.pushed += other.pushed;
        self.pushed_again += other.pushed_again;
    }

    /// Whether everything that can happen has.
    pub(super) fn is_rich(&self) -> bool {
        [
            self.crashes,
            self.kills,
            self.rolled_back,
            self.failed_starts,
            self.events,
            self.again,
            self.letters,
            self.checkpoints_set,
            self.damaged,
            self.ledger_damaged,
            self.mended,
            self.repairs,
            self.pushed,
            self.pushed_again,
        ]
        .iter()
        .all(|count| *count > 0)
    }
}
