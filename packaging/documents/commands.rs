//! A man page for each command, from the same description that `--help` prints.

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_mangen::Man;

use crate::roff::Page;

/// What a service manager runs rather than a person: section 8 of the manual.
const OF_THE_SYSTEM: [&str; 2] = ["cta-forwarder-run", "cta-forwarder-reload"];

/// Files and variables that every command knows; they stand where one looks for them.
const WITH_SURROUNDINGS: [&str; 2] = ["cta-forwarder", "cta-forwarder-run"];
const FILES: [(&str, &str); 4] = [
    (
        "/etc/cta-forwarder/cta-forwarder.toml",
        "The configuration: see cta-forwarder.toml(5).",
    ),
    (
        "/etc/cta-forwarder/secrets/",
        "Passwords and tokens, which systemd hands to the service as credentials.",
    ),
    (
        "/var/lib/cta-forwarder/",
        "The state: spool, ledger, archive, dead letters.",
    ),
    (
        "/var/log/cta-forwarder/",
        "Log files and file outputs, where the configuration wants them.",
    ),
];
const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "CTA_FORWARDER_LOG",
        "The level of the log, before that of the configuration: error, warn, info, debug, trace.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Where secrets lie that the configuration names as credentials. systemd sets it.",
    ),
];

/// Writes the pages of a command and of all below it.
pub(crate) fn write_pages(mut command: Command, day: &str, folder: &Path) -> io::Result<()> {
    command = command.disable_help_subcommand(true);
    command.build();
    write_page(&command, None, day, folder)
}

fn write_page(command: &Command, parent: Option<&str>, day: &str, folder: &Path) -> io::Result<()> {
    let name = page_name(command);
    let below: Vec<&Command> = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
        .collect();
    let mut related: Vec<String> = parent.map(reference).into_iter().collect();
    related.extend(below.iter().map(|below| reference(&page_name(below))));
    related.push("cta\\-forwarder.toml(5)".to_owned());
    let file = folder.join(format!("{name}.{}", section(&name)));
    fs::write(file, page(command, &name, &related, day)?)?;
    below
        .into_iter()
        .try_for_each(|below| write_page(below, Some(&name), day, folder))
}

fn page(command: &Command, name: &str, related: &[String], day: &str) -> io::Result<String> {
    let man = Man::new(command.clone().disable_help_subcommand(true))
        .title(name.to_uppercase())
        .section(section(name))
        .date(day)
        .source(format!("cta-forwarder {}", env!("CARGO_PKG_VERSION")))
        .manual("cta-forwarder");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    let mut page = Page::going_on(text);
    let help = command.get_after_long_help().or(command.get_after_help());
    if let Some(help) = help {
        after_help(&mut page, &help.to_string());
    }
    if WITH_SURROUNDINGS.contains(&name) {
        explained(&mut page, "files", &FILES);
        explained(&mut page, "environment", &ENVIRONMENT);
    }
    page.section("see also");
    let mut text = page.into_text();
    text.push_str(&related.join(",\n"));
    text.push('\n');
    Ok(text)
}

/// `Title:` and the lines below it are a section.
fn after_help(page: &mut Page, help: &str) {
    for part in help.split("\n\n") {
        let (title, lines) = part.split_once(":\n").unwrap_or(("notes", part));
        page.section(match title {
            "Exit codes" => "exit status",
            title => title,
        });
        let lines: Vec<&str> = lines.lines().map(str::trim_start).collect();
        page.verbatim(&lines);
    }
}

fn explained(page: &mut Page, title: &str, entries: &[(&str, &str)]) {
    page.section(title);
    for (term, meaning) in entries {
        page.tagged(&[(*term).to_owned()]);
        page.prose(meaning);
    }
}

/// `cta-forwarder-spool-list` for `cta-forwarder spool list`.
fn page_name(command: &Command) -> String {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
        .to_owned()
}

fn section(name: &str) -> &'static str {
    if OF_THE_SYSTEM.contains(&name) {
        "8"
    } else {
        "1"
    }
}

fn reference(name: &str) -> String {
    format!("{}({})", name.replace('-', "\\-"), section(name))
}
