//! Tries what a configuration names: everything at once, told in the order of the file.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::rights::Rights;
use super::row::Row;
use super::state::RunningAgent;
use super::{listen, output, service, state};
use crate::cli::CommandError;
use crate::config::Config;

/// Services and outputs that are tried at once.
const AT_ONCE: usize = 16;

/// Tries everything; each step for at most so long.
pub(super) async fn check(
    config: &Config,
    timeout: Duration,
    user: Option<&str>,
) -> Result<Vec<Row>, CommandError> {
    let rights = Rights::of(user, &config.state.directory)?;
    let agent = RunningAgent::find(&config.state.directory, timeout).await;
    let mut rows = state::check(config, &rights, &agent);
    let mut checks: Vec<BoxFuture<'_, Vec<Row>>> = Vec::new();
    for one in &config.services {
        checks.push(service::check(one, timeout).boxed());
    }
    if let Some(inbox) = &config.inbox {
        checks.push(std::future::ready(listen::check_inbox(inbox, &rights, &agent)).boxed());
    }
    if let Some(admin) = &config.admin {
        checks.push(std::future::ready(listen::check_page(admin, &rights, &agent)).boxed());
    }
    for one in &config.outputs {
        checks.push(output::check(one, timeout, &rights).boxed());
    }
    let checked: Vec<Vec<Row>> = stream::iter(checks).buffered(AT_ONCE).collect().await;
    rows.extend(checked.into_iter().flatten());
    Ok(rows)
}
