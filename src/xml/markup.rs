//! Where tags and other markup end, and which elements are open. What was looked at is not looked at
//! again when more of it comes.

/// Looks for the end of what starts at the first of some bytes, of which there are more each time.
pub(super) trait Find {
    /// How many bytes it has, if its end is among them.
    fn find(&mut self, bytes: &[u8]) -> Option<usize>;
}

/// A start tag: a bracket in an attribute's value does not end it.
#[derive(Debug, Default)]
pub(super) struct StartTag {
    seen: usize,
    quote: Option<u8>,
}

impl Find for StartTag {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        loop {
            let unseen = bytes.get(self.seen..)?;
            let found = match self.quote {
                Some(quote) => memchr::memchr(quote, unseen),
                None => memchr::memchr3(b'>', b'"', b'\'', unseen),
            };
            let Some(found) = found else {
                self.seen = bytes.len();
                return None;
            };
            let byte = unseen.get(found).copied();
            self.seen += found + 1;
            match (byte, self.quote) {
                (Some(b'>'), None) => return Some(self.seen),
                (_, Some(_)) => self.quote = None,
                (quote, None) => self.quote = quote,
            }
        }
    }
}

/// What some text ends.
#[derive(Debug)]
pub(super) struct Until {
    end: &'static str,
    seen: usize,
}

impl Until {
    pub(super) fn new(end: &'static str) -> Self {
        Self { end, seen: 0 }
    }

    /// Not among the first bytes, which are the start.
    pub(super) fn behind(start: &str, end: &'static str) -> Self {
        let seen = start.len();
        Self { end, seen }
    }
}

impl Find for Until {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let unseen = bytes.get(self.seen..)?;
        let found = match self.end.as_bytes() {
            [byte] => memchr::memchr(*byte, unseen),
            end => memchr::memmem::find(unseen, end),
        };
        if let Some(found) = found {
            return Some(self.seen + found + self.end.len());
        }
        // Its first bytes may be there.
        self.seen = (bytes.len() + 1).saturating_sub(self.end.len());
        None
    }
}

/// A reference: a semicolon ends it, or markup or another one that shows that it has none.
#[derive(Debug, Default)]
pub(super) struct Reference {
    seen: usize,
}

impl Find for Reference {
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let start = self.seen.max(1);
        let found = memchr::memchr3(b';', b'<', b'&', bytes.get(start..)?);
        self.seen = bytes.len();
        found.map(|found| start + found + 1)
    }
}

/// The names of the elements that are open.
#[derive(Debug, Default)]
pub(super) struct OpenNames {
    names: String,
    /// Where each starts.
    starts: Vec<usize>,
}

impl OpenNames {
    pub(super) fn push(&mut self, name: &str) {
        self.starts.push(self.names.len());
        self.names.push_str(name);
    }

    pub(super) fn last(&self) -> Option<&str> {
        self.names.get(*self.starts.last()?..)
    }

    pub(super) fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.names.truncate(start);
        }
    }
}
