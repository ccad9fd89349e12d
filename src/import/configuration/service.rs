//! What is polled, when, and by which way.

use super::draft::{Draft, quoted};
use super::secrets::SecretFile;
use super::{SERVICE, Surroundings};
use crate::import::{Adapter, Proxy, SecretSetting, Setting};

/// Writes `[[service]]`; gives the secrets that it names.
pub(super) fn write(
    draft: &mut Draft,
    adapter: &Adapter,
    feeds: &[String],
    around: &Surroundings,
) -> Vec<SecretFile> {
    draft.line("[[service]]");
    draft.comment("In events this is `service`; the adapter told none.");
    draft.key("name", SERVICE);
    endpoint(draft, adapter);
    let account = account(draft, adapter, around);
    collections(draft, feeds);
    schedule(draft, adapter.cron.as_ref(), around);
    let proxy = proxy(draft, &adapter.proxy, around);
    draft.line("");
    account.into_iter().chain(proxy).collect()
}

fn endpoint(draft: &mut Draft, adapter: &Adapter) {
    let endpoint = adapter.poll_endpoint.as_ref();
    let Some(endpoint) = endpoint.and_then(|endpoint| draft.take(endpoint, "poll_url")) else {
        return;
    };
    let url = without_user(endpoint);
    if url != endpoint {
        draft.comment("taxii-service.pollEndpoint held a user, which is left out");
    }
    draft.key("poll_url", &url);
}

fn account(draft: &mut Draft, adapter: &Adapter, around: &Surroundings) -> Option<SecretFile> {
    match &adapter.username {
        Some(username) => {
            if let Some(username) = draft.take(username, "username") {
                draft.key("username", username);
            }
        }
        None if adapter.password.is_none() => {
            draft.todo(
                "taxii-service.username and taxii-service.password are missing there: write username \
                 and password, if the service wants them",
            );
            return None;
        }
        None => draft.todo("taxii-service.username is missing there: write username"),
    }
    let names = ["password", "taxii-service.password", "taxii-password"];
    let secrets = &around.secrets;
    secrets.name(draft, names, adapter.password.as_ref())
}

fn collections(draft: &mut Draft, feeds: &[String]) {
    draft.comment("taxii-service.feeds");
    let mut names: Vec<String> = Vec::new();
    for feed in feeds {
        let name = quoted(feed);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        draft.todo("no feed is known: write the names of the collections");
    }
    draft.line(format_args!("collections = [{}]", names.join(", ")));
}

fn schedule(draft: &mut Draft, cron: Option<&Setting>, around: &Surroundings) {
    let Some(cron) = cron else {
        draft.comment("schedule.cron is missing there: every ten minutes, as the service allows");
        return;
    };
    let Some(cron) = draft.take(cron, "schedule, or polls are every ten minutes") else {
        return;
    };
    let cron = cron.trim();
    if let Err(why) = (around.check_cron)(cron) {
        draft.todo(format_args!(
            "schedule.cron {cron:?} cannot be used ({why}): polls are every ten minutes, write another \
             schedule if that is too often"
        ));
        return;
    }
    let mut fields = cron.split_whitespace().skip(2);
    if fields.any(|field| field != "*" && field != "?") {
        draft.todo(format_args!(
            "schedule.cron {cron:?} was in the time zone of that machine, and this is UTC: move its \
             hours and days"
        ));
    } else {
        draft.comment("schedule.cron; here in UTC");
    }
    draft.key("schedule", cron);
}

fn proxy(draft: &mut Draft, proxy: &Proxy, around: &Surroundings) -> Option<SecretFile> {
    let has_account = proxy.username.is_some() || has_text(proxy.password.as_ref());
    let Some(url) = &proxy.url else {
        if has_account {
            draft.comment(
                "proxy.username and proxy.password are not taken over, since there is no proxy.url",
            );
        }
        return None;
    };
    draft.comment("proxy.url");
    let url = draft.take(url, "proxy, or polls go without one")?;
    draft.key("proxy", without_user(url).trim_end_matches('/'));
    let kind = proxy.authentication.as_deref().unwrap_or("none");
    match kind.to_ascii_lowercase().as_str() {
        "none" if has_account => {
            draft.todo(
                "proxy.username and proxy.password are not taken over, since \
                 proxy.authenticationType does not say basic: write proxy_username and \
                 proxy_password if the proxy wants them",
            );
            None
        }
        "none" => None,
        "basic" => basic(draft, proxy, around),
        other => {
            draft.todo(format_args!(
                "proxy.authenticationType is {other:?}, and this agent knows basic alone: let the \
                 proxy allow this machine without authentication or with basic; its user and password \
                 are not taken over"
            ));
            None
        }
    }
}

fn basic(draft: &mut Draft, proxy: &Proxy, around: &Surroundings) -> Option<SecretFile> {
    let Some(username) = &proxy.username else {
        draft.todo(
            "proxy.authenticationType is basic, and proxy.username is missing there, so no user and no \
             password is taken over: write proxy_username and proxy_password",
        );
        return None;
    };
    if let Some(username) = draft.take(username, "proxy_username") {
        draft.key("proxy_username", username);
    }
    let names = ["proxy_password", "proxy.password", "proxy-password"];
    let secrets = &around.secrets;
    secrets.name(draft, names, proxy.password.as_ref())
}

fn has_text(secret: Option<&SecretSetting>) -> bool {
    matches!(secret, Some(SecretSetting::Known(_)))
}

/// A URL without a user and a password in it, which would be shown.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}
