//! Reads a long answer on two threads.
//!
//! What a package says is found in its XML; then its events are put together, hashed, written as JSON and
//! compressed. The second needs nothing of the first but whole packages, and takes about as long; where both
//! threads are those of one core, the answer takes three quarters of the time. Whoever takes the events sees
//! the same calls in the same order as by [`response::read_answer`].

use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{Receiver, SendError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use super::response::{self, Answer, ContentSink, ReadResponseError, RefusedBlock, ResponseSink};
use crate::config::Limits;
use crate::flatten::{AtOnce, Counts, FlattenLimits, Origin, PackageSink, WholePackage};
use crate::stix::ReadPackageError;
use crate::tape::{Scratch, Tape};

/// How many bytes are read, and handed over, before something is done.
#[derive(Debug, Clone, Copy)]
struct Thresholds {
    /// Of a shorter answer the events leave where they are read: another thread would take more than it
    /// gives.
    alone: u64,
    /// What is handed over at once.
    at_once: u64,
    /// A package that is larger is waited for, so that two of them are not in memory.
    waited_for: u64,
}

const THRESHOLDS: Thresholds = Thresholds {
    alone: 256 << 10,
    at_once: 64 << 10,
    waited_for: 1 << 20,
};
/// So many packages and ends of blocks are handed over at once, however small they are.
const JOBS_AT_ONCE: usize = 64;
/// So many hand-overs wait until the other thread takes them.
const HAND_OVERS: usize = 2;
/// So many packages are kept for those that follow.
const MAX_SPARE: usize = 2 * JOBS_AT_ONCE;
const THREAD_NAME: &str = "events-leave";

/// Reads one answer as [`response::read_answer`] does.
pub fn read_answer<S: ResponseSink + Send>(
    input: &mut dyn Read,
    origin: Option<Origin<'_>>,
    limits: &Limits,
    scratch: &Arc<dyn Scratch>,
    sink: S,
) -> Result<Answer, ReadResponseError> {
    read_answer_by(THRESHOLDS, input, origin, limits, scratch, sink)
}

/// The same, with the other thread from the first package on: for tests.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_answer_at_once<S: ResponseSink + Send>(
    input: &mut dyn Read,
    origin: Option<Origin<'_>>,
    limits: &Limits,
    scratch: &Arc<dyn Scratch>,
    sink: S,
) -> Result<Answer, ReadResponseError> {
    let thresholds = Thresholds {
        alone: 0,
        at_once: 0,
        ..THRESHOLDS
    };
    read_answer_by(thresholds, input, origin, limits, scratch, sink)
}

fn read_answer_by<S: ResponseSink + Send>(
    thresholds: Thresholds,
    input: &mut dyn Read,
    origin: Option<Origin<'_>>,
    limits: &Limits,
    scratch: &Arc<dyn Scratch>,
    sink: S,
) -> Result<Answer, ReadResponseError> {
    let failure = Mutex::new(None);
    let read = thread::scope(|scope| {
        let beside = Beside {
            scope,
            failure: &failure,
            limits: FlattenLimits::from(limits),
            scratch,
            thresholds,
            alone: Some(AtOnce::new(sink)),
            bytes_alone: 0,
            other: None,
        };
        response::read_answer_into(input, origin, limits, scratch, beside)
    });
    // It came before whatever the reading met.
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(ReadResponseError::Keep(failure)),
        None => read,
    }
}

/// Where the packages go: at first to the sink, then to the thread that has it.
struct Beside<'scope, 'env, S> {
    scope: &'scope Scope<'scope, 'env>,
    /// Why the other thread has ended early.
    failure: &'scope Mutex<Option<io::Error>>,
    limits: FlattenLimits,
    scratch: &'scope Arc<dyn Scratch>,
    thresholds: Thresholds,
    alone: Option<AtOnce<S>>,
    bytes_alone: u64,
    other: Option<Other>,
}

impl<'scope, S: ResponseSink + Send + 'scope> Beside<'scope, '_, S> {
    /// Has the sink go on on a thread of its own, or where it is if there is none to be had.
    fn start_other(&mut self, alone: AtOnce<S>) {
        let (jobs, taken) = sync_channel(HAND_OVERS);
        let (done, finished) = channel();
        let (give, given) = channel::<AtOnce<S>>();
        let failure = self.failure;
        let span = tracing::Span::current();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let work = move || {
            let Ok(mut leaving) = given.recv() else {
                return;
            };
            let work = || span.in_scope(|| work(&taken, &mut leaving, &done));
            match tracing::dispatcher::with_default(&dispatch, work) {
                // Nobody hears it where the reading has failed.
                Ok(()) => drop(done.send(Done::All(leaving.finish()))),
                Err(error) => {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        };
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned());
        let alone = match thread.spawn_scoped(self.scope, work) {
            Ok(_) => give.send(alone).err().map(|SendError(alone)| alone),
            Err(error) => {
                tracing::warn!(%error, "there is no second thread to be had; the answer is read on one");
                Some(alone)
            }
        };
        if alone.is_some() {
            // It is tried again after as much again.
            self.bytes_alone = 0;
            self.alone = alone;
            return;
        }
        self.other = Some(Other {
            thresholds: self.thresholds,
            jobs: Some(jobs),
            finished,
            pending: Vec::new(),
            pending_bytes: 0,
            spare: Vec::new(),
        });
    }
}

impl<'scope, S: ResponseSink + Send + 'scope> PackageSink for Beside<'scope, '_, S> {
    fn package(&mut self, package: &mut WholePackage) -> Result<(), ReadPackageError> {
        let is_long = self.bytes_alone >= self.thresholds.alone;
        if let Some(alone) = self.alone.take_if(|_| is_long) {
            self.start_other(alone);
        }
        if let Some(alone) = &mut self.alone {
            self.bytes_alone += package.bytes();
            return alone.package(package);
        }
        let (limits, scratch) = (self.limits, self.scratch);
        let other = self.other.as_mut().ok_or_else(ended);
        let other = other.map_err(ReadPackageError::Keep)?;
        other.package(package, || WholePackage::new(limits, scratch))
    }
}

impl<'scope, S: ResponseSink + Send + 'scope> ContentSink for Beside<'scope, '_, S> {
    fn block_read(&mut self) -> io::Result<()> {
        if let Some(alone) = &mut self.alone {
            return alone.block_read();
        }
        self.other.as_mut().ok_or_else(ended)?.block_read()
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
        if let Some(alone) = &mut self.alone {
            return alone.block_refused(block);
        }
        let nothing = Tape::new(Arc::clone(self.scratch), 0, 0);
        let other = self.other.as_mut().ok_or_else(ended)?;
        other.block_refused(block, nothing)
    }

    fn finish(self) -> io::Result<Counts> {
        match (self.alone, self.other) {
            (Some(alone), _) => ContentSink::finish(alone),
            (None, Some(other)) => other.finish(),
            (None, None) => Err(ended()),
        }
    }
}

/// What the other thread is to do.
enum Job {
    Package(Box<WholePackage>),
    /// The reading goes on when it is done.
    PackageWaitedFor(Box<WholePackage>),
    BlockRead,
    /// This too is waited for.
    BlockRefused {
        number: u64,
        binding: Option<String>,
        reason: String,
        raw: Tape,
    },
}

/// What the other thread has done.
enum Done {
    /// These packages can be used again.
    Packages(Vec<WholePackage>),
    WaitedFor(Box<WholePackage>, Result<(), ReadPackageError>),
    Refused(Tape),
    All(Counts),
}

/// The other thread, as the one that reads sees it.
struct Other {
    thresholds: Thresholds,
    /// None once there are no more.
    jobs: Option<SyncSender<Vec<Job>>>,
    finished: Receiver<Done>,
    pending: Vec<Job>,
    pending_bytes: u64,
    spare: Vec<WholePackage>,
}

impl Other {
    fn package(
        &mut self,
        package: &mut WholePackage,
        fresh: impl FnOnce() -> WholePackage,
    ) -> Result<(), ReadPackageError> {
        let is_large = package.bytes() > self.thresholds.waited_for;
        let is_waited_for = is_large || package.may_be_refused();
        self.pending_bytes += package.bytes();
        let mut whole = Box::new(self.spare.pop().unwrap_or_else(fresh));
        mem::swap(package, &mut whole);
        if !is_waited_for {
            self.pending.push(Job::Package(whole));
            return self.hand_over_if_enough().map_err(ReadPackageError::Keep);
        }
        self.pending.push(Job::PackageWaitedFor(whole));
        self.hand_over().map_err(ReadPackageError::Keep)?;
        loop {
            match self.done().map_err(ReadPackageError::Keep)? {
                Done::WaitedFor(mut whole, verdict) => {
                    mem::swap(package, &mut whole);
                    self.keep_spare(*whole);
                    return verdict;
                }
                other => self.take(other),
            }
        }
    }

    fn block_read(&mut self) -> io::Result<()> {
        self.pending.push(Job::BlockRead);
        self.hand_over_if_enough()
    }

    fn block_refused(&mut self, block: RefusedBlock<'_>, nothing: Tape) -> io::Result<()> {
        self.pending.push(Job::BlockRefused {
            number: block.number,
            binding: block.binding.map(str::to_owned),
            reason: block.reason,
            raw: mem::replace(block.raw, nothing),
        });
        self.hand_over()?;
        loop {
            match self.done()? {
                Done::Refused(raw) => {
                    *block.raw = raw;
                    return Ok(());
                }
                other => self.take(other),
            }
        }
    }

    fn finish(mut self) -> io::Result<Counts> {
        self.hand_over()?;
        self.jobs = None;
        let all = self.finished.iter().find_map(|done| match done {
            Done::All(counts) => Some(counts),
            _ => None,
        });
        all.ok_or_else(ended)
    }

    fn hand_over_if_enough(&mut self) -> io::Result<()> {
        let is_enough =
            self.pending_bytes >= self.thresholds.at_once || self.pending.len() >= JOBS_AT_ONCE;
        if is_enough { self.hand_over() } else { Ok(()) }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        while let Ok(done) = self.finished.try_recv() {
            self.take(done);
        }
        self.pending_bytes = 0;
        let pending = mem::take(&mut self.pending);
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(pending).map_err(|_| ended())
    }

    fn done(&mut self) -> io::Result<Done> {
        self.finished.recv().map_err(|_| ended())
    }

    fn take(&mut self, done: Done) {
        if let Done::Packages(packages) = done {
            for package in packages {
                self.keep_spare(package);
            }
        }
    }

    /// One that has held much is not kept for those that hold little.
    fn keep_spare(&mut self, package: WholePackage) {
        let is_large = package.capacity() as u64 > self.thresholds.waited_for;
        if !is_large && self.spare.len() < MAX_SPARE {
            self.spare.push(package);
        }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // What was read before the reading failed leaves too. That the other one has ended is told by it.
        let _ = self.hand_over();
    }
}

/// What the other thread does until there are no more jobs, or until one fails.
fn work<S: ResponseSink>(
    jobs: &Receiver<Vec<Job>>,
    leaving: &mut AtOnce<S>,
    done: &Sender<Done>,
) -> io::Result<()> {
    // That nobody hears what is done does not matter: the reading has failed then.
    let tell = |what| drop(done.send(what));
    for batch in jobs {
        let mut spare = Vec::with_capacity(batch.len());
        for job in batch {
            match job {
                Job::Package(mut package) => {
                    leaving.package(&mut package).map_err(unexpected)?;
                    spare.push(*package);
                }
                Job::PackageWaitedFor(mut package) => match leaving.package(&mut package) {
                    Err(ReadPackageError::Keep(error)) => return Err(error),
                    verdict => tell(Done::WaitedFor(package, verdict)),
                },
                Job::BlockRead => leaving.block_read()?,
                Job::BlockRefused {
                    number,
                    binding,
                    reason,
                    mut raw,
                } => {
                    leaving.block_refused(RefusedBlock {
                        number,
                        binding: binding.as_deref(),
                        reason,
                        raw: &mut raw,
                    })?;
                    tell(Done::Refused(raw));
                }
            }
        }
        tell(Done::Packages(spare));
    }
    Ok(())
}

/// Of a package that is not waited for nothing can be refused, but what comes of it can fail to be kept.
fn unexpected(error: ReadPackageError) -> io::Error {
    match error {
        ReadPackageError::Keep(error) => error,
        other => io::Error::other(other),
    }
}

/// Why is told by the thread that has ended.
fn ended() -> io::Error {
    io::Error::other("the thread on which events leave has ended")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread::ThreadId;

    use super::*;
    use crate::flatten::{EventSink, FlatEvent};
    use crate::simulator::content::{ContentGenerator, Manner, PackageSize};
    use crate::tape::MemoryScratch;

    /// Hears all calls, and fails at one of them.
    #[derive(Default)]
    struct Heard {
        calls: Vec<String>,
        fails_at: Option<usize>,
        threads: HashSet<ThreadId>,
    }

    impl Heard {
        fn hear(&mut self, call: String) -> io::Result<()> {
            self.threads.insert(thread::current().id());
            self.calls.push(call);
            if self.fails_at == Some(self.calls.len()) {
                return Err(io::Error::other("the disk is full"));
            }
            Ok(())
        }
    }

    impl EventSink for Heard {
        fn event(&mut self, event: FlatEvent<'_>) -> io::Result<()> {
            self.hear(String::from_utf8(event.json.to_vec()).unwrap())
        }
    }

    impl ResponseSink for Heard {
        fn block_read(&mut self) -> io::Result<()> {
            self.hear("read".to_owned())
        }

        fn block_refused(&mut self, block: RefusedBlock<'_>) -> io::Result<()> {
            let mut raw = String::new();
            block.raw.rewind()?.read_to_string(&mut raw)?;
            let (number, binding) = (block.number, block.binding);
            self.hear(format!("{number} {binding:?} {} {raw}", block.reason))
        }
    }

    fn limits() -> Limits {
        Limits {
            max_observables: 60,
            ..Limits::default()
        }
    }

    fn heard(
        read: impl FnOnce(
            &mut dyn Read,
            &Arc<dyn Scratch>,
            &mut Heard,
        ) -> Result<Answer, ReadResponseError>,
        document: &str,
        fails_at: Option<usize>,
    ) -> (Heard, String) {
        let mut heard = Heard {
            fails_at,
            ..Heard::default()
        };
        let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
        let answer = read(&mut document.as_bytes(), &scratch, &mut heard);
        (heard, format!("{answer:?}"))
    }

    fn alone(document: &str, limits: &Limits, fails_at: Option<usize>) -> (Heard, String) {
        let read = |input: &mut dyn Read, scratch: &_, sink: &mut Heard| {
            response::read_answer(input, None, limits, scratch, sink)
        };
        heard(read, document, fails_at)
    }

    fn beside(
        thresholds: Thresholds,
        document: &str,
        limits: &Limits,
        fails_at: Option<usize>,
    ) -> (Heard, String) {
        let read = |input: &mut dyn Read, scratch: &_, sink: &mut Heard| {
            read_answer_by(thresholds, input, None, limits, scratch, sink)
        };
        heard(read, document, fails_at)
    }

    fn generator(incidents: usize, flows: usize) -> ContentGenerator {
        let size = PackageSize {
            incidents,
            indicators: 1,
            flows,
            exact: true,
        };
        ContentGenerator::new(9)
            .with_size(size)
            .with_manner(Manner::Sample)
    }

    fn package(generator: &mut ContentGenerator) -> String {
        let published = "2026-03-01T12:00:00Z".parse().unwrap();
        generator.publication(published).package_xml.to_string()
    }

    /// The contents of blocks of all kinds, in an order that `random` makes: packages of any size, several
    /// together, such as give no event, such as are refused as they are read or as they leave.
    fn contents(random: &mut fastrand::Rng, count: usize) -> Vec<String> {
        const REFERENCES: &str = r#"<STIX_Package id="p"><Indicators><Indicator id="i"><Observable idref="o"/></Indicator></Indicators>
            <Observables><Observable id="o"><Object><Properties custom_name="x"><Custom_Properties>
            <Property name="a">1</Property></Custom_Properties></Properties></Object></Observable></Observables></STIX_Package>"#;
        const CIRCLE: &str = r#"<STIX_Package id="p"><Indicators><Indicator id="i"><Observable idref="o"/></Indicator></Indicators>
            <Observables><Observable id="o"><Observable_Composition><Observable idref="o"/></Observable_Composition>
            </Observable></Observables></STIX_Package>"#;
        const DEFINITIONS: &str = r#"<STIX_Package id="d"><TTPs><TTP id="t"><Title>alone</Title></TTP></TTPs></STIX_Package>"#;
        let mut small = generator(1, 5);
        let kinds = |random: &mut fastrand::Rng, small: &mut ContentGenerator| match random.u8(..12)
        {
            0 => "<note>no STIX</note>".to_owned(),
            1 => package(&mut generator(1, 61)),
            2 => REFERENCES.to_owned(),
            3 => CIRCLE.to_owned(),
            4 => DEFINITIONS.to_owned(),
            5 => format!("{}<note/>", package(small)),
            6 => String::new(),
            7 => [package(small), DEFINITIONS.to_owned(), package(small)].concat(),
            8 => format!("<![CDATA[{}]]>", package(small)),
            9 => format!("<![CDATA[{}</x>]]>", package(small)),
            _ => package(small),
        };
        (0..count).map(|_| kinds(random, &mut small)).collect()
    }

    fn document(contents: &[String]) -> String {
        let block = |content: &String| {
            format!(
                "<Content_Block><Content_Binding binding_id=\"b\"/><Content>{content}</Content></Content_Block>"
            )
        };
        let blocks: String = contents.iter().map(block).collect();
        format!(
            "<Poll_Response xmlns=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\" \
             message_id=\"1\" in_response_to=\"2\" collection_name=\"c\">{blocks}</Poll_Response>"
        )
    }

    /// Some that are met within few packages.
    fn thresholds(random: &mut fastrand::Rng) -> Thresholds {
        let mut one_of = |choices: [u64; 3]| random.choice(choices).unwrap_or_default();
        Thresholds {
            alone: one_of([0, 1, 20_000]),
            at_once: one_of([0, 10_000, 1 << 20]),
            waited_for: one_of([0, 5_000, 1 << 20]),
        }
    }

    #[test]
    fn the_sink_hears_the_same_on_two_threads() {
        let mut threads = HashSet::new();
        for seed in 0..60 {
            let mut random = fastrand::Rng::with_seed(seed);
            let document = document(&contents(&mut random, 30));
            let limits = Limits {
                max_refused_blocks: random.u32(2..40),
                ..limits()
            };
            let thresholds = thresholds(&mut random);
            let (one, answer) = alone(&document, &limits, None);
            let (two, same_answer) = beside(thresholds, &document, &limits, None);
            assert_eq!(answer, same_answer, "seed {seed}");
            assert!(one.calls == two.calls, "seed {seed}");
            threads.insert(two.threads.len());
        }
        assert_eq!(threads, HashSet::from([1, 2]));
    }

    #[test]
    fn what_cannot_be_kept_is_told_wherever_it_fails() {
        for seed in 0..8 {
            let mut random = fastrand::Rng::with_seed(seed);
            let document = document(&contents(&mut random, 12));
            let thresholds = thresholds(&mut random);
            let calls = alone(&document, &limits(), None).0.calls.len();
            for at in 1..=calls {
                let (heard, answer) = beside(thresholds, &document, &limits(), Some(at));
                assert_eq!(heard.calls.len(), at, "nothing is heard behind a failure");
                assert_eq!(
                    answer,
                    alone(&document, &limits(), Some(at)).1,
                    "seed {seed}"
                );
                assert!(answer.contains("the disk is full"), "{answer}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_cut_off_has_lost_something() {
        for seed in 0..8 {
            let mut random = fastrand::Rng::with_seed(seed);
            let document = document(&contents(&mut random, 12));
            let thresholds = thresholds(&mut random);
            for part in 1..20 {
                let length = document.floor_char_boundary(document.len() * part / 20);
                let cut = document.get(..length).unwrap();
                let (one, answer) = alone(cut, &limits(), None);
                let (two, same_answer) = beside(thresholds, cut, &limits(), None);
                assert_eq!(answer, same_answer);
                assert!(answer.contains("Truncated"), "{answer}");
                assert!(one.calls == two.calls, "seed {seed}, part {part}");
            }
        }
    }

    #[test]
    fn a_panic_of_the_sink_is_one_of_the_reading() {
        struct Panics;
        impl EventSink for Panics {
            fn event(&mut self, _: FlatEvent<'_>) -> io::Result<()> {
                panic!("no more")
            }
        }
        impl ResponseSink for Panics {
            fn block_read(&mut self) -> io::Result<()> {
                Ok(())
            }
            fn block_refused(&mut self, _: RefusedBlock<'_>) -> io::Result<()> {
                Ok(())
            }
        }
        let document = document(&[package(&mut generator(1, 5))]);
        let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
        let read =
            || read_answer_at_once(&mut document.as_bytes(), None, &limits(), &scratch, Panics);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err());
    }

    /// A long answer as it comes: a thread of its own only then.
    #[test]
    fn only_a_long_answer_takes_a_thread() {
        let long: Vec<String> = std::iter::repeat_with(|| package(&mut generator(1, 40)))
            .take(40)
            .collect();
        let (heard, _) = beside(THRESHOLDS, &document(&long), &limits(), None);
        assert_eq!(heard.threads.len(), 2);
        // In one block too.
        let (heard, _) = beside(THRESHOLDS, &document(&[long.concat()]), &limits(), None);
        assert_eq!(heard.threads.len(), 2);
        let (heard, _) = beside(
            THRESHOLDS,
            &document(long.get(..5).unwrap()),
            &limits(),
            None,
        );
        assert_eq!(heard.threads.len(), 1);
    }

    /// How many packages are under way at once does not depend on how many there are.
    #[test]
    fn memory_is_bounded() {
        const MANY: usize = 1000;
        let mut other = Other {
            thresholds: THRESHOLDS,
            jobs: None,
            finished: channel().1,
            pending: Vec::new(),
            pending_bytes: 0,
            spare: Vec::new(),
        };
        let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
        let fresh = || WholePackage::new(FlattenLimits::from(&limits()), &scratch);
        // Nobody takes them: there is an error as soon as there is enough to hand over.
        let mut packages = 0;
        while other.package(&mut fresh(), fresh).is_ok() {
            packages += 1;
            assert!(packages < MANY);
        }
        assert!(other.spare.is_empty() && other.pending.is_empty());
        for _ in 0..MANY {
            other.keep_spare(fresh());
        }
        assert_eq!(other.spare.len(), MAX_SPARE);
    }
}
