//! `reload`: the running agent reads its configuration again.

use std::path::Path;

use super::{CommandError, Exit, ask, load_without_secrets, print_line};
use crate::control::{Client, Reply, Request};

pub(super) async fn run(config: &Path) -> Result<Exit, CommandError> {
    let state = match load_without_secrets(config) {
        Ok(config) => config.state.directory,
        Err(error) => {
            return Err(CommandError::Misconfigured(format!(
                "the configuration stays as it was: {error}"
            )));
        }
    };
    let Some(client) = Client::connect(&state).await? else {
        return Err(CommandError::Failed(format!(
            "no agent runs on {}: the next start reads the configuration",
            state.display()
        )));
    };
    let message = ask::hear_all(
        ask::Reached::Running(client),
        Request::Reload,
        |_: Reply| Ok(()),
    )
    .await?;
    print_line(message)?;
    Ok(Exit::Success)
}
