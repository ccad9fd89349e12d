//! `audit`: whether every event is where it should be.

use std::io;
use std::path::Path;

use super::account::{TITLES, cells, style};
use super::ask::ask;
use super::table::Table;
use super::terminal::{Paint, Style, printable};
use super::{CommandError, Exit, complain, load_without_secrets, print_line};
use crate::audit::{Account, Audit};
use crate::control::{Reply, Request};

/// Check that every event is where it should be
///
/// For each batch in the spool and each output that owes it, and for each output over all: fetched =
/// delivered + dead letters + discarded + abandoned + repaired + lost + pending + repairing, from what
/// is physically there. Repairing are events of damaged files whose window is polled again; repaired
/// went out with another batch then, lost could not be had again, dead letters that were damaged
/// among it. What an output owed that was forgotten is discarded. Every file of the spool is read to its end, so this takes a while when much waits. Events of retried
/// dead letters count in their new batch, and stay dead letters of their first. The exit code is 1
/// if anything does not hold; what it is, is named.
#[derive(Debug, clap::Args)]
pub(super) struct AuditCommand {
    /// Write one JSON object, for scripts
    #[arg(long)]
    json: bool,
}

impl AuditCommand {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let config = load_without_secrets(config)?;
        let folder = config.state.directory.clone();
        if !folder.exists() {
            complain(format_args!(
                "there is no state in {} yet: the first `cta-forwarder run` makes it",
                folder.display()
            ));
            return Ok(Exit::Success);
        }
        let mut found = None;
        ask(config, Request::Audit, |reply| {
            if let Reply::Audit(audit) = reply {
                found = Some(*audit);
            }
            Ok(())
        })
        .await?;
        let audit =
            found.ok_or_else(|| CommandError::Failed("the agent told nothing".to_owned()))?;
        if self.json {
            let json = serde_json::to_string_pretty(&audit)
                .map_err(|error| CommandError::Failed(error.to_string()))?;
            print_line(json)?;
        } else {
            print_line(text(&audit, Paint::of(&io::stdout())))?;
        }
        Ok(if audit.ok {
            Exit::Success
        } else {
            Exit::Failure
        })
    }
}

fn text(audit: &Audit, paint: Paint) -> String {
    let mut lines = Vec::new();
    let head = [&["BATCH", "COLLECTION"][..], &TITLES, &["DIFFERENCE"]].concat();
    let of_batch = |account: &Account| {
        let seq = account.seq.map(|seq| seq.to_string());
        seq.unwrap_or_else(|| "all".to_owned())
    };
    let accounts = audit.batches.iter().chain(&audit.outputs);
    let rows = accounts
        .clone()
        .map(|account| row(of_batch(account), account));
    let forgotten = audit.forgotten.iter();
    let rows = rows.chain(forgotten.map(|account| row("forgotten".to_owned(), account)));
    let rows: Vec<Vec<String>> = rows.collect();
    let table = Table::new(&head, &rows);
    lines.push(paint.paint(Style::Bold, table.titles).to_string());
    for (account, row) in accounts.chain(&audit.forgotten).zip(table.rows) {
        lines.push(paint.paint(style(account), row).to_string());
    }
    lines.push(String::new());
    if audit.ok {
        let well = "everything is where it should be";
        lines.push(paint.paint(Style::Good, well).to_string());
    }
    for difference in &audit.differences {
        let difference = printable(difference);
        lines.push(paint.paint(Style::Bad, difference).to_string());
    }
    lines.join("\n")
}

fn row(what: String, account: &Account) -> Vec<String> {
    let difference = i128::from(account.total()) - i128::from(account.fetched);
    let mut row = vec![
        what,
        account.collection.clone().unwrap_or_else(|| "-".to_owned()),
    ];
    row.extend(cells(account));
    row.push(match difference {
        0 => "ok".to_owned(),
        difference => format!("{difference:+}"),
    });
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_hold_stands_out() {
        let account = |seq, collection: Option<&str>, pending| Account {
            seq,
            collection: collection.map(str::to_owned),
            output: "splunk".to_owned(),
            fetched: 1010,
            delivered: 990,
            dead_letters: 4,
            discarded: 3,
            abandoned: 2,
            repaired: 0,
            lost: 0,
            pending,
            repairing: 0,
        };
        let audit = Audit {
            ok: false,
            batches: vec![account(Some(7), Some("flows"), 10)],
            outputs: vec![account(None, None, 11)],
            forgotten: vec![Account {
                discarded: 14,
                output: "gone".to_owned(),
                ..account(None, None, 0)
            }],
            differences: vec!["batch 7: \u{1b}[2J".to_owned()],
        };
        let expect = "\
BATCH      COLLECTION  OUTPUT  FETCHED  DELIVERED  DEAD LETTERS  DISCARDED  ABANDONED  REPAIRED  LOST  PENDING  REPAIRING  DIFFERENCE
7          flows       splunk     1010        990             4          3          2         0     0       10          0  -1
all        -           splunk     1010        990             4          3          2         0     0       11          0  ok
forgotten  -           gone       1010        990             4         14          2         0     0        0          0  ok

batch 7: \\u{1b}[2J";
        assert_eq!(text(&audit, Paint::none()), expect);
    }
}
