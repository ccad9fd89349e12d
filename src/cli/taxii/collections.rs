//! `taxii collections`: which collections there are.

use std::path::Path;

use super::connection::At;
use super::discover::{formats, yes_or_no};
use crate::cli::table::Table;
use crate::cli::terminal::printable;
use crate::cli::{CommandError, Exit, print_line};
use crate::taxii::response::{CollectionInformation, CollectionKind, ServiceKind};

pub(super) async fn run(config: &Path, at: At, json: bool) -> Result<Exit, CommandError> {
    let peer = at.open(config).await?;
    let url = peer.address(&ServiceKind::CollectionManagement)?;
    let collections = peer.directory().collections_at(&url).await?;
    if json {
        print_line(serde_json::json!(collections))?;
        return Ok(Exit::Success);
    }
    if collections.collections.is_empty() {
        print_line("the service names no collections for this account")?;
        return Ok(Exit::Success);
    }
    let rows: Vec<_> = collections.collections.iter().map(row).collect();
    let head = [
        "COLLECTION",
        "TYPE",
        "AVAILABLE",
        "ITEMS A DAY",
        "POLL",
        "SUBSCRIBE",
        "PUSH",
        "CONTENT",
        "DESCRIPTION",
    ];
    Table::new(&head, &rows).print()?;
    Ok(Exit::Success)
}

fn row(collection: &CollectionInformation) -> [String; 9] {
    let can = |is: bool| yes_or_no(Some(is));
    [
        printable(&collection.name),
        match collection.kind {
            CollectionKind::DataFeed => "feed",
            CollectionKind::DataSet => "set",
        }
        .to_owned(),
        yes_or_no(collection.is_available),
        collection
            .volume
            .map_or_else(|| "-".to_owned(), |volume| volume.to_string()),
        can(!collection.polling.is_empty()),
        can(!collection.subscription.is_empty()),
        can(!collection.push_methods.is_empty()),
        formats(&collection.content_bindings),
        printable(&collection.description),
    ]
}
