//! The `cta-forwarder` command.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use cta_forwarder::cli::{Cli, Exit};
use rustix::fs::Mode;
use rustix::process::umask;

fn main() -> ExitCode {
    // Whatever is made by a library that says nothing of rights is this user's alone.
    umask(Mode::RWXG | Mode::RWXO);
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Help, the version, or what is wrong; who does not read it needs no error about that.
            let _ = answer.print();
            return if answer.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Success.into()
            };
        }
    };
    // Several threads: the library blocks in place while it reads and writes its disk.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(cli.run());
            // Whatever is still under way ends with the process: to take the runtime down beneath it
            // would make it panic.
            std::mem::forget(runtime);
            exit.into()
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "the runtime cannot be started: {error}");
            Exit::Failure.into()
        }
    }
}
