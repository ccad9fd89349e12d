//! The data: an answer of the CTA service of any size.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use cta_forwarder::simulator::cta::{Volume, write_answer};

use crate::Content;

/// Write a poll response of packages of one size to a file, and tell what it holds as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    file: PathBuf,
    /// Packages follow each other until there are so many bytes of them
    #[arg(long, default_value_t = 100 << 20)]
    bytes: u64,
    #[command(flatten)]
    content: Content,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let volume = Volume {
            content: self.content.generator(),
            min_bytes: self.bytes,
            begin: "2026-01-01T00:00:00Z".parse()?,
        };
        let mut out = BufWriter::new(File::create(&self.file)?);
        let written = write_answer(&volume, &mut out)?;
        out.flush()?;
        println!(
            "{{\"packages\":{},\"events\":{},\"bytes\":{}}}",
            written.packages, written.events, written.bytes
        );
        Ok(())
    }
}
