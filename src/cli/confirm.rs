//! Asks before something is given up.

use std::io::{self, BufRead, IsTerminal, Write};

use super::{CommandError, Exit, complain};

/// Whether a person agrees; else how the command ends. `what` is what `--yes` would do without a
/// question.
pub(super) fn confirm(what: &str, question: &str) -> Result<Option<Exit>, CommandError> {
    if !io::stdin().is_terminal() {
        complain(format_args!(
            "nobody can be asked here: say --yes to {what}"
        ));
        return Ok(Some(Exit::Usage));
    }
    let mut terminal = io::stderr();
    write!(terminal, "{question} [y/N] ")
        .and_then(|()| terminal.flush())
        .map_err(CommandError::failed("nobody can be asked"))?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(CommandError::failed("the answer cannot be read"))?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(None);
    }
    complain("nothing was changed");
    Ok(Some(Exit::Failure))
}
