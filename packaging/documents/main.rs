//! What the packages hold beside the binary and is written by the program itself: man pages, shell
//! completions, and the Debian changelog.
//!
//! `cargo run --example generate-documents -- FOLDER`, as `packaging/build` does.

mod changelog;
mod commands;
mod configuration;
mod roff;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;
use cta_forwarder::cli::Cli;

/// The shells that a security engineer meets on a server.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return complain("usage: generate-documents FOLDER");
    };
    match generate(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!(
            "the documents cannot be written to {}: {error}",
            folder.display()
        )),
    }
}

fn generate(folder: &Path) -> io::Result<()> {
    let sources = moment_of_sources()?;
    let pages = emptied(&folder.join("man"))?;
    commands::write_pages(Cli::command(), &sources.day(), &pages)?;
    fs::write(
        pages.join("cta-forwarder.toml.5"),
        configuration::page(
            include_str!("../../config/cta-forwarder.toml"),
            &sources.day(),
        ),
    )?;
    let completions = emptied(&folder.join("completions"))?;
    for shell in SHELLS {
        clap_complete::generate_to(shell, &mut Cli::command(), "cta-forwarder", &completions)?;
    }
    let changelog = changelog::debian(include_str!("../../CHANGELOG.md"), &sources);
    fs::write(folder.join("changelog.Debian"), changelog)
}

/// A page of a command that is gone must not be packed.
fn emptied(folder: &Path) -> io::Result<PathBuf> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::create_dir_all(folder)?,
    }
    Ok(folder.to_owned())
}

/// When the sources were last changed, which makes a second build the same as the first.
fn moment_of_sources() -> io::Result<changelog::Moment> {
    let seconds = std::env::var("SOURCE_DATE_EPOCH").map_err(io::Error::other)?;
    changelog::Moment::of_epoch(&seconds).ok_or_else(|| {
        io::Error::other(format!(
            "SOURCE_DATE_EPOCH {seconds:?} is no number of seconds"
        ))
    })
}

fn complain(what: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(io::stderr(), "{what}");
    ExitCode::FAILURE
}
