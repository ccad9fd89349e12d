//! `taxii discover`: which services there are.

use std::path::Path;

use super::connection::At;
use crate::cli::table::Table;
use crate::cli::terminal::printable;
use crate::cli::{CommandError, Exit, print_line};
use crate::taxii::message::ContentBinding;
use crate::taxii::response::{ServiceInstance, ServiceKind};
use crate::taxii::version::Version;

pub(super) async fn run(config: &Path, at: At, json: bool) -> Result<Exit, CommandError> {
    let discovery = at.open(config).await?.into_discovery()?;
    if json {
        print_line(serde_json::json!(discovery))?;
        return Ok(Exit::Success);
    }
    if discovery.services.is_empty() {
        print_line("the service names no services")?;
        return Ok(Exit::Success);
    }
    let rows: Vec<_> = discovery.services.iter().map(row).collect();
    let head = [
        "SERVICE",
        "TAXII",
        "AVAILABLE",
        "ADDRESS",
        "CONTENT",
        "MESSAGE",
    ];
    Table::new(&head, &rows).print()?;
    Ok(Exit::Success)
}

fn row(service: &ServiceInstance) -> [String; 6] {
    let kind = match &service.kind {
        ServiceKind::Discovery => "discovery",
        ServiceKind::CollectionManagement => "collections",
        ServiceKind::Inbox => "inbox",
        ServiceKind::Poll => "poll",
        ServiceKind::Other(other) => other,
    };
    [
        printable(kind),
        versions(&service.contact.message_bindings),
        yes_or_no(service.is_available),
        printable(&service.contact.address),
        formats(&service.content_bindings),
        printable(service.message.as_deref().unwrap_or_default()),
    ]
}

pub(super) fn versions(bindings: &[String]) -> String {
    let version = |binding: &String| match Version::of_message_binding(binding) {
        Some(version) => version.to_string(),
        None => printable(binding),
    };
    let mut versions: Vec<String> = bindings.iter().map(version).collect();
    versions.sort();
    versions.join(", ")
}

pub(super) fn yes_or_no(told: Option<bool>) -> String {
    match told {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    }
    .to_owned()
}

pub(super) fn formats(bindings: &[ContentBinding]) -> String {
    if bindings.is_empty() {
        return "any".to_owned();
    }
    let ids: Vec<String> = bindings
        .iter()
        .map(|binding| printable(&binding.id))
        .collect();
    ids.join(", ")
}
