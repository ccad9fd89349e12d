//! Reads a long answer on two threads.
//!
//! What a package says is found in its XML; then its events are put together, hashed, written as JSON and
//! compressed. The second needs nothing of the first but whole packages, and takes about as long: beside the
//! reading, an answer takes half of the time. Whoever takes the events sees the same calls in the same order as
//! by [`response::read_answer`].

use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Scope};

use super::response::{self, Answer, ContentSink, ReadResponseError, RefusedBlock, ResponseSink};
use crate::config::Limits;
use crate::flatten::{AtOnce, Counts, FlattenLimits, Origin, PackageSink, WholePackage};
use crate::stix::ReadPackageError;
use crate::tape::{Scratch, Tape};

/// Of a shorter answer the events leave where they are read: another thread would take more than it gives.
const BYTES_ALONE: u64 = 256 << 10;
/// What is handed over at once.
const BYTES_AT_ONCE: u64 = 64 << 10;
/// A package that is larger is waited for, so that two of them are not in memory.
const BYTES_WAITED_FOR: u64 = 1 << 20;
/// So many hand-overs wait until the other thread takes them.
const HAND_OVERS: usize = 2;

/// Reads one answer as [`response::read_answer`] does.
pub fn read_answer<S: ResponseSink + Send>(
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
    alone: Option<AtOnce<S>>,
    bytes_alone: u64,
    other: Option<Other>,
}

impl<'scope, S: ResponseSink + Send + 'scope> Beside<'scope, '_, S> {
    /// Has the sink go on on a thread of its own.
    fn start_other(&mut self) {
        let Some(mut leaving) = self.alone.take() else {
            return;
        };
        let (jobs, taken) = sync_channel(HAND_OVERS);
        let (done, finished) = channel();
        let failure = self.failure;
        let span = tracing::Span::current();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        self.scope.spawn(move || {
            let work = || span.in_scope(|| work(&taken, &mut leaving, &done));
            let ended = tracing::dispatcher::with_default(&dispatch, work);
            match ended {
                Ok(()) => {
                    // Nobody hears it where the reading has failed.
                    let _ = done.send(Done::All(leaving.finish()));
                }
                Err(error) => {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        });
        self.other = Some(Other {
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
            alone.block_read()?;
            if self.bytes_alone >= BYTES_ALONE {
                self.start_other();
            }
            return Ok(());
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
    Packages(Vec<Box<WholePackage>>),
    WaitedFor(Box<WholePackage>, Result<(), ReadPackageError>),
    Refused(Tape),
    All(Counts),
}

/// The other thread, as the one that reads sees it.
struct Other {
    /// None once there are no more.
    jobs: Option<SyncSender<Vec<Job>>>,
    finished: Receiver<Done>,
    pending: Vec<Job>,
    pending_bytes: u64,
    spare: Vec<Box<WholePackage>>,
}

impl Other {
    fn package(
        &mut self,
        package: &mut WholePackage,
        fresh: impl FnOnce() -> WholePackage,
    ) -> Result<(), ReadPackageError> {
        let is_waited_for = package.bytes() > BYTES_WAITED_FOR || package.may_be_refused();
        self.pending_bytes += package.bytes();
        let mut whole = self.spare.pop().unwrap_or_else(|| Box::new(fresh()));
        mem::swap(package, &mut whole);
        if !is_waited_for {
            self.pending.push(Job::Package(whole));
            return Ok(());
        }
        self.pending.push(Job::PackageWaitedFor(whole));
        self.hand_over().map_err(ReadPackageError::Keep)?;
        loop {
            match self.done().map_err(ReadPackageError::Keep)? {
                Done::WaitedFor(mut whole, verdict) => {
                    mem::swap(package, &mut whole);
                    self.spare.push(whole);
                    return verdict;
                }
                other => self.take(other),
            }
        }
    }

    fn block_read(&mut self) -> io::Result<()> {
        self.pending.push(Job::BlockRead);
        if self.pending_bytes < BYTES_AT_ONCE {
            return Ok(());
        }
        self.hand_over()
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
            self.spare.extend(packages);
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
                    spare.push(package);
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
    use std::io::Read as _;
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

    fn alone(document: &str, fails_at: Option<usize>) -> (Heard, String) {
        let mut heard = Heard {
            fails_at,
            ..Heard::default()
        };
        let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
        let mut input = document.as_bytes();
        let answer = response::read_answer(&mut input, None, &limits(), &scratch, &mut heard);
        (heard, format!("{answer:?}"))
    }

    fn beside(document: &str, fails_at: Option<usize>) -> (Heard, String) {
        let mut heard = Heard {
            fails_at,
            ..Heard::default()
        };
        let scratch: Arc<dyn Scratch> = Arc::new(MemoryScratch::default());
        let mut input = document.as_bytes();
        let answer = read_answer(&mut input, None, &limits(), &scratch, &mut heard);
        (heard, format!("{answer:?}"))
    }

    fn package(generator: &mut ContentGenerator) -> String {
        let published = "2026-03-01T12:00:00Z".parse().unwrap();
        generator.publication(published).package_xml
    }

    fn of_size(incidents: usize, flows: usize) -> ContentGenerator {
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

    /// Packages of all kinds: small ones, a large one, blocks that are refused as they are read, as they
    /// leave, and one that has references.
    fn document() -> String {
        const REFERENCES: &str = r#"<STIX_Package id="p"><Indicators><Indicator id="i"><Observable idref="o"/></Indicator></Indicators>
            <Observables><Observable id="o"><Object><Properties custom_name="x"><Custom_Properties>
            <Property name="a">1</Property></Custom_Properties></Properties></Object></Observable></Observables></STIX_Package>"#;
        let mut small = of_size(1, 40);
        let mut blocks = Vec::new();
        for number in 0..60 {
            blocks.push(package(&mut small));
            match number {
                20 => blocks.push("<note>no STIX</note>".to_owned()),
                25 => blocks.push(package(&mut of_size(1, 61))),
                30 => blocks.push(REFERENCES.to_owned()),
                35 => blocks.push(package(&mut of_size(60, 40))),
                40 => blocks.push(format!("{}<note/>", package(&mut small))),
                45 => blocks.push(String::new()),
                _ => {}
            }
        }
        let block = |content: String| {
            format!(
                "<Content_Block><Content_Binding binding_id=\"b\"/><Content>{content}</Content></Content_Block>"
            )
        };
        let blocks: String = blocks.into_iter().map(block).collect();
        format!(
            "<Poll_Response xmlns=\"http://taxii.mitre.org/messages/taxii_xml_binding-1.1\" \
             message_id=\"1\" in_response_to=\"2\" collection_name=\"c\">{blocks}</Poll_Response>"
        )
    }

    #[test]
    fn the_sink_hears_the_same_on_two_threads() {
        let document = document();
        let (one, answer) = alone(&document, None);
        let (two, same_answer) = beside(&document, None);
        assert_eq!(answer, same_answer);
        assert!(
            one.calls == two.calls,
            "{} and {} calls",
            one.calls.len(),
            two.calls.len()
        );
        let refused = two
            .calls
            .iter()
            .filter(|call| call.contains(" Some(\"b\") "));
        assert_eq!(
            refused.count(),
            4,
            "of the note, the many flows, the note behind a package, nothing"
        );
        assert_eq!((one.threads.len(), two.threads.len()), (1, 2));
    }

    #[test]
    fn a_short_answer_is_read_on_one() {
        let document = document();
        let (short, _) = document.split_at(document.len() / 20);
        let (heard, _) = beside(short, None);
        assert!(heard.calls.contains(&"read".to_owned()));
        assert_eq!(heard.threads.len(), 1);
    }

    #[test]
    fn what_cannot_be_kept_is_told_wherever_it_fails() {
        let document = document();
        let calls = alone(&document, None).0.calls.len();
        let (mut at, mut last) = (1, 0);
        while at <= calls {
            let (heard, answer) = beside(&document, Some(at));
            assert_eq!(heard.calls.len(), at, "nothing is heard behind a failure");
            assert_eq!(answer, alone(&document, Some(at)).1);
            assert!(answer.contains("the disk is full"), "{answer}");
            (at, last) = (at + 499, at);
        }
        assert!(last > 1000);
    }

    #[test]
    fn an_answer_that_is_cut_off_has_lost_something() {
        let document = document();
        for part in 1..20 {
            let length = document.floor_char_boundary(document.len() * part / 20);
            let cut = document.get(..length).unwrap();
            let ((one, answer), (two, same_answer)) = (alone(cut, None), beside(cut, None));
            assert_eq!(answer, same_answer);
            assert!(answer.contains("Truncated"), "{answer}");
            assert!(one.calls == two.calls, "part {part}");
        }
    }
}
