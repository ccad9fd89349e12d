//! `dead-letters`: what no retry could deliver, and what a person makes of it.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use super::ask::{ask, ask_for_all, decide};
use super::confirm::confirm;
use super::table::Table;
use super::terminal::{Paint, Style, printable};
use super::{CommandError, Exit, complain, load_without_secrets, print_line};
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::letters::{Choice, MAX_IDS};
use crate::spool::{About, LetterHead};

/// At least so much of an id is shown.
const MIN_ID: usize = 8;
/// So much of a reason stands in the table; `show` has all of it.
const MAX_REASON: usize = 60;

/// Look at what no retry could deliver; send it again, or give it up
///
/// An event that a receiver refuses for good, and a content block that cannot be read, are set aside
/// with the reason, and everything else goes on. These commands work beside the running agent, and
/// without one. An id may be shortened as far as it stays the only one.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cta-forwarder dead-letters list --output splunk
  cta-forwarder dead-letters show 0f3a
  cta-forwarder dead-letters retry --all
  cta-forwarder dead-letters retry 0f3a --to local
  cta-forwarder dead-letters export --all > letters.jsonl
  cta-forwarder dead-letters drop --all --output splunk")]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show which there are
    List {
        /// Only those of this output
        #[arg(long, value_name = "NAME")]
        output: Option<String>,
        /// Only those of this collection
        #[arg(long, value_name = "NAME")]
        collection: Option<String>,
        /// Write one JSON object a line, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Show one with all that it holds
    Show {
        /// The id, or how it begins
        id: String,
    },
    /// Send events again, and read content blocks again
    ///
    /// Events become a new batch of the output that refused them. A content block that can be read
    /// by now, with another version or other limits, becomes a batch of every output that takes its
    /// collection. What is on its way again is no dead letter any more; what is refused again will be
    /// one.
    Retry {
        #[command(flatten)]
        which: Which,
        /// The output that gets them instead
        #[arg(long, value_name = "OUTPUT")]
        to: Option<String>,
    },
    /// Write them to standard output, one JSON object a line with all that they hold
    Export {
        #[command(flatten)]
        which: Which,
    },
    /// Give them up
    ///
    /// Dropped events count as discarded from then on.
    Drop {
        #[command(flatten)]
        which: Which,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Ids, or how they begin
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Of all only those of this output
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with = "ids")]
    output: Option<String>,
    /// Of all only those of this collection
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with = "ids")]
    collection: Option<String>,
}

impl Which {
    fn choice(self) -> Result<Choice, CommandError> {
        if self.ids.len() > MAX_IDS {
            return Err(CommandError::Failed(format!(
                "these are {} ids, at most {MAX_IDS} can be named at once: name fewer, or use --all",
                self.ids.len()
            )));
        }
        Ok(Choice {
            ids: self.ids,
            output: self.output,
            collection: self.collection,
        })
    }
}

impl DeadLetters {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let config = load_without_secrets(config)?;
        if !config.state.directory.exists() {
            complain(format_args!(
                "there is no state in {} yet, and so there are no dead letters",
                config.state.directory.display()
            ));
            return Ok(Exit::Success);
        }
        match self.action {
            Action::List {
                output,
                collection,
                json,
            } => {
                let choice = Choice {
                    ids: Vec::new(),
                    output,
                    collection,
                };
                list(config, choice, json).await
            }
            Action::Show { id } => {
                let choice = Choice {
                    ids: vec![id],
                    ..Choice::default()
                };
                show(config, choice).await
            }
            Action::Retry { which, to } => {
                let choice = which.choice()?;
                decide(config, Request::RetryLetters { choice, to }).await
            }
            Action::Export { which } => export(config, which.choice()?).await,
            Action::Drop { which, yes } => {
                let choice = which.choice()?;
                if !yes {
                    let count = count(config.clone(), choice.clone()).await?;
                    if count == 0 {
                        print_line(choice.none())?;
                        return Ok(Exit::Success);
                    }
                    let question = question(count, &choice);
                    if let Some(exit) = confirm("drop dead letters", &question)? {
                        return Ok(exit);
                    }
                }
                decide(config, Request::DropLetters { choice }).await
            }
        }
    }
}

/// How many letters are meant.
async fn count(config: Config, choice: Choice) -> Result<usize, CommandError> {
    let mut count = 0;
    ask(config, Request::ListLetters { choice }, |reply| {
        count += usize::from(matches!(reply, Reply::Letter(_)));
        Ok(())
    })
    .await?;
    Ok(count)
}

/// What a person is asked before so many letters are dropped.
fn question(count: usize, choice: &Choice) -> String {
    match count {
        1 => "1 dead letter will be given up. Drop it?".to_owned(),
        _ if choice.ids.is_empty() || count <= choice.ids.len() => {
            format!("{count} dead letters will be given up. Drop them?")
        }
        _ => format!(
            "{count} dead letters will be given up: others are for the same events as those that \
             were named. Drop them?"
        ),
    }
}

async fn list(config: Config, choice: Choice, json: bool) -> Result<Exit, CommandError> {
    let none = choice.none();
    let letter = |reply| match reply {
        Reply::Letter(letter) => Some(*letter),
        _ => None,
    };
    let request = Request::ListLetters { choice };
    let (letters, warning) = ask_for_all(config, request, json, letter).await?;
    if !json {
        let table = match letters.as_slice() {
            [] => none,
            letters => table(letters, Paint::of(&io::stdout())),
        };
        print_line(table)?;
    }
    if !warning.is_empty() {
        complain(warning);
    }
    Ok(Exit::Success)
}

/// The letters for a person.
fn table(letters: &[LetterHead], paint: Paint) -> String {
    let head = ["ID", "SET ASIDE", "COLLECTION", "OUTPUT", "CODE", "REASON"];
    let shown = shown_of_id(letters);
    let rows: Vec<[String; 6]> = letters
        .iter()
        .map(|letter| {
            let (output, code) = match &letter.about {
                About::Event { output, code, .. } => (output.as_str(), code.as_str()),
                About::Block { .. } => ("-", "block"),
            };
            [
                letter.id.get(..shown).unwrap_or(&letter.id).to_owned(),
                letter.at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                printable(&format!("{}/{}", letter.service, letter.collection)),
                output.to_owned(),
                printable(code),
                shortened(&printable(letter.reason())),
            ]
        })
        .collect();
    let table = Table::new(&head, &rows);
    let titles = paint.paint(Style::Bold, table.titles).to_string();
    let mut lines = vec![titles];
    lines.extend(table.rows);
    lines.join("\n")
}

/// How much of the ids is enough to tell them apart.
fn shown_of_id(letters: &[LetterHead]) -> usize {
    let mut ids: Vec<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
    ids.sort_unstable();
    let common = |pair: &[&str]| match pair {
        [one, other] => one
            .bytes()
            .zip(other.bytes())
            .take_while(|(a, b)| a == b)
            .count(),
        _ => 0,
    };
    let longest = ids.windows(2).map(common).max().unwrap_or(0);
    MIN_ID.max(longest + 1)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_REASON {
        return text.to_owned();
    }
    let begin: String = text.chars().take(MAX_REASON - 1).collect();
    format!("{begin}…")
}

async fn show(config: Config, choice: Choice) -> Result<Exit, CommandError> {
    let is_terminal = io::stdout().is_terminal();
    let mut out = io::stdout().lock();
    ask(config, Request::ExportLetters { choice }, |reply| {
        if let Reply::WholeLetter { json } = reply {
            let text = text(&json).map_err(|error| CommandError::Failed(error.to_string()))?;
            let text = if is_terminal {
                printable_lines(&text)
            } else {
                text
            };
            writeln!(out, "{}", text.trim_end()).map_err(CommandError::Print)?;
        }
        Ok(())
    })
    .await?;
    Ok(Exit::Success)
}

/// A letter with all that it holds, for a person: what is known of it, then the event or the block.
fn text(json: &str) -> Result<String, serde_json::Error> {
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json)?;
    let event = fields.remove("event");
    let block = fields.remove("text");
    let mut lines = Vec::new();
    for (name, value) in &fields {
        let value = match value {
            serde_json::Value::Null => continue,
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        lines.push(format!("{name:<12}{value}"));
    }
    if let Some(event) = event {
        lines.push(String::new());
        lines.push(serde_json::to_string_pretty(&event)?);
    }
    if let Some(serde_json::Value::String(block)) = block {
        lines.push(String::new());
        lines.push(block);
    }
    Ok(lines.join("\n"))
}

fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

async fn export(config: Config, choice: Choice) -> Result<Exit, CommandError> {
    let none = choice.none();
    let mut is_none = true;
    let mut out = BufWriter::new(io::stdout().lock());
    ask(config, Request::ExportLetters { choice }, |reply| {
        if let Reply::WholeLetter { json } = reply {
            is_none = false;
            writeln!(out, "{json}").map_err(CommandError::Print)?;
        }
        Ok(())
    })
    .await?;
    out.flush().map_err(CommandError::Print)?;
    if is_none {
        complain(none);
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_how_many_are_given_up() {
        let named = |count: usize| Choice {
            ids: vec!["0f3a".to_owned(); count],
            ..Choice::default()
        };
        for (count, ids, expect) in [
            (1, 0, "1 dead letter will be given up. Drop it?"),
            (1, 1, "1 dead letter will be given up. Drop it?"),
            (12, 0, "12 dead letters will be given up. Drop them?"),
            (2, 2, "2 dead letters will be given up. Drop them?"),
            (
                2,
                1,
                "2 dead letters will be given up: others are for the same events as those that were \
                 named. Drop them?",
            ),
        ] {
            assert_eq!(question(count, &named(ids)), expect);
        }
    }
}
