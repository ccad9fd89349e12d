//! `taxii push`: content to an inbox.

use std::path::{Path, PathBuf};

use super::connection::AtUrl;
use crate::cli::{CommandError, Exit, complain, print_line};
use crate::taxii::directory::unexpected;
use crate::taxii::inquiry::inquire;
use crate::taxii::message::{Ask, ContentBlock, InboxAsk};
use crate::taxii::response::{Answer, ServiceKind};
use crate::taxii::status::StatusType;
use crate::xml::whole_element;

/// Bytes of all files of one message.
const MAX_PUSH_BYTES: u64 = 64 << 20;

/// Push files to an inbox, each as one Content_Block
#[derive(Debug, clap::Args)]
pub(super) struct PushArguments {
    /// XML documents, such as STIX packages
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The collection that they are for; may be repeated. TAXII 1.0 has none
    #[arg(long, value_name = "COLLECTION")]
    to: Vec<String>,
    /// The format of the files
    #[arg(
        long,
        value_name = "BINDING",
        default_value = "urn:stix.mitre.org:xml:1.1.1"
    )]
    binding: String,
    #[command(flatten)]
    at: AtUrl,
    /// Write one JSON object, for scripts
    #[arg(long)]
    json: bool,
}

impl PushArguments {
    pub(super) async fn run(self, config: &Path) -> Result<Exit, CommandError> {
        let mut blocks = Vec::new();
        let mut left = MAX_PUSH_BYTES;
        for file in &self.files {
            blocks.push(ContentBlock {
                binding: self.binding.clone(),
                xml: element_of(file, &mut left)?,
                at: None,
            });
        }
        let ask = InboxAsk {
            destinations: self.to,
            blocks,
        };
        let peer = self.at.open(config).await?;
        let url = peer.address(&ServiceKind::Inbox)?;
        let inquired = inquire(&peer.client, &url, Ask::Inbox(&ask), peer.version).await?;
        match inquired.answer {
            Answer::Status(message) if message.status == StatusType::Success => {
                let taken = self.files.len();
                if self.json {
                    print_line(serde_json::json!({
                        "inbox": url,
                        "collections": ask.destinations,
                        "content_blocks": taken,
                        "message": message.message,
                    }))?;
                } else {
                    complain(format_args!("{taken} files were taken by {url}"));
                }
                Ok(Exit::Success)
            }
            answer => Err(unexpected(inquired.http, answer).into()),
        }
    }
}

/// The root of a document: what stands around it has no place inside another document.
fn element_of(file: &Path, left: &mut u64) -> Result<String, CommandError> {
    let failed = |what: String| CommandError::Failed(format!("{}: {what}", file.display()));
    let bytes = std::fs::metadata(file)
        .map_err(|error| failed(error.to_string()))?
        .len();
    *left = left.checked_sub(bytes).ok_or_else(|| {
        failed(format!(
            "the files of one message may have {MAX_PUSH_BYTES} bytes in all"
        ))
    })?;
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let element = whole_element(&text).map_err(|error| failed(error.to_string()))?;
    Ok(element.to_owned())
}
