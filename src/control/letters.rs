//! Dead letters, as a person asks for them.

use tokio::task::block_in_place;

use super::{Control, Replies, Reply, reply};
use crate::letters::{self, Choice, Dropped, LettersError};
use crate::tape::Tape;

impl Control {
    pub(super) async fn list_letters(
        &self,
        choice: &Choice,
        replies: &Replies,
    ) -> Result<String, String> {
        let found = block_in_place(|| letters::list(&self.house, choice));
        let (mut tape, damaged) = found.map_err(|error| error.to_string())?;
        send(&mut tape, replies, |json| {
            serde_json::from_slice(json)
                .map(|head| Reply::Letter(Box::new(head)))
                .map_err(|error| error.to_string())
        })
        .await?;
        Ok(match damaged {
            0 => String::new(),
            1 => "1 line in spool/dead-letters/ cannot be read".to_owned(),
            lines => format!("{lines} lines in spool/dead-letters/ cannot be read"),
        })
    }

    pub(super) async fn export_letters(
        &self,
        choice: &Choice,
        replies: &Replies,
    ) -> Result<String, String> {
        let found = block_in_place(|| letters::export(&self.house, choice));
        let mut tape = found.map_err(|error| error.to_string())?;
        send(&mut tape, replies, |json| {
            let json = String::from_utf8_lossy(json).into_owned();
            Ok(Reply::WholeLetter { json })
        })
        .await?;
        Ok(String::new())
    }

    pub(super) async fn retry_letters(
        &self,
        choice: &Choice,
        to: Option<&str>,
        replies: &Replies,
    ) -> Result<String, String> {
        let mut told = Vec::new();
        let retried = block_in_place(|| {
            let services = &self.current().config.services;
            letters::retry(&self.house, services, choice, to, |what| told.push(what))
        });
        for message in told {
            reply(replies, Reply::Progress { message }).await;
        }
        let retried = retried.map_err(|error| error.to_string())?;
        let way = if self.is_delivering() {
            "on the way again"
        } else {
            "in the spool again, waiting for an agent"
        };
        match (retried.retried, retried.kept) {
            (0, 0) => Ok(choice.none()),
            (sent, 0) => Ok(format!("{} {way}{}", count(sent), along(retried.along))),
            (0, kept) => Err(format!("{} as before: see above", stay(kept))),
            (sent, kept) => Err(format!(
                "{} {way}, {} as before: see above",
                count(sent),
                stay(kept)
            )),
        }
    }

    pub(super) fn drop_letters(&self, choice: &Choice) -> Result<String, String> {
        let dropped = block_in_place(|| letters::drop(&self.house, choice));
        match dropped {
            Ok(Dropped { dropped: 0, .. }) => Ok(choice.none()),
            Ok(letters) => Ok(format!(
                "{} dropped{}",
                count(letters.dropped),
                along(letters.along)
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn count(letters: usize) -> String {
    match letters {
        1 => "1 dead letter is".to_owned(),
        more => format!("{more} dead letters are"),
    }
}

/// Says that more letters went than were named.
fn along(letters: usize) -> String {
    match letters {
        0 => String::new(),
        1 => ", 1 of them for the same event as one that was named".to_owned(),
        more => format!(", {more} of them for the same events as others that were named"),
    }
}

fn stay(letters: usize) -> String {
    match letters {
        1 => "1 stays".to_owned(),
        more => format!("{more} stay"),
    }
}

/// Sends the records of a tape, one after the other.
async fn send(
    tape: &mut Tape,
    replies: &Replies,
    make: impl Fn(&[u8]) -> Result<Reply, String>,
) -> Result<(), String> {
    let failed = |error| LettersError::Io(error).to_string();
    let mut reader = tape.rewind().map_err(failed)?;
    let mut record = Vec::new();
    while block_in_place(|| reader.read_record(&mut record)).map_err(failed)? {
        reply(replies, make(&record)?).await;
    }
    Ok(())
}
