//! The floor of reading: a bare quick-xml reader that reads every event and does nothing.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Read a file to its end with nothing but quick-xml
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    file: PathBuf,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let mut reader = Reader::from_reader(BufReader::new(File::open(&self.file)?));
        let mut buffer = Vec::new();
        let mut events = 0_u64;
        while !matches!(reader.read_event_into(&mut buffer)?, Event::Eof) {
            buffer.clear();
            events += 1;
        }
        println!("{events}");
        Ok(())
    }
}
