//! The outputs as the ledger knows them. A new one is told of before a batch is owed by it, and what
//! one owes that is gone stays owed until a person gives it up.

use std::sync::MutexGuard;

use crate::config::{OutputConfig, StartAt, UnknownOutput, find_output};
use crate::crash::{self, Point};
use crate::house::House;
use crate::letters::{self, LettersError};
use crate::state::ledger::AppendError;
use crate::state::{ForgottenDebt, Picture, Record};

/// A batch cannot be for an output.
#[derive(Debug, thiserror::Error)]
pub enum NotThere {
    /// It is not configured, or not any more.
    #[error(transparent)]
    Unknown(#[from] UnknownOutput),
    /// The ledger does not know it, or not any more.
    #[error("the output {name:?} was forgotten meanwhile: ask again if it is to be there")]
    Forgotten {
        /// The output.
        name: String,
    },
}

/// An output cannot be forgotten.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// It is there.
    #[error(
        "the output {name:?} is still configured: take it out of the configuration and reload the \
         agent first"
    )]
    Configured {
        /// The output.
        name: String,
    },
    /// Nobody knows it.
    #[error("there is no output {name:?} in the state")]
    Unknown {
        /// The output.
        name: String,
    },
    /// The ledger cannot be told.
    #[error(transparent)]
    Ledger(#[from] AppendError),
}

/// Tells the ledger of an output that it does not know: the output starts with the next batch, or with
/// the oldest. Nobody decides about letters meanwhile, and nobody delivers for it yet.
pub fn join(
    house: &House,
    output: &OutputConfig,
    _deciding: &MutexGuard<'_, ()>,
) -> Result<(), LettersError> {
    let Some(owes) = owed_at_first(house, output) else {
        return Ok(());
    };
    let record = Record::OutputAdded {
        output: output.name.clone(),
        letters: letters::count_earlier(house, &output.name, &owes)?,
        owes,
    };
    house.state.append(house.clock.now().utc, &record)?;
    crash::point(Point::OutputAdded);
    // Letters from when it was configured before may be of what it owes.
    letters::catch_up_with(house, &output.name)
}

/// The batches in the spool that an output owes as soon as it joins; none if the ledger knows it.
#[must_use]
pub fn owed_at_first(house: &House, output: &OutputConfig) -> Option<Vec<u64>> {
    if is_known(house, &output.name) {
        return None;
    }
    Some(match output.start_at {
        StartAt::Now => Vec::new(),
        StartAt::Oldest => {
            let batches = house.batches();
            let taken = batches.filter(|head| output.takes(&head.collection));
            taken.map(|head| head.seq).collect()
        }
    })
}

/// Whether a batch can be for these outputs. Who has the commit's turn finds them there until the
/// ledger has its record.
pub fn check(house: &House, names: &[String]) -> Result<(), NotThere> {
    let configured = house.outputs.now();
    for name in names {
        find_output(&configured, name)?;
        if !is_known(house, name) {
            return Err(NotThere::Forgotten { name: name.clone() });
        }
    }
    Ok(())
}

/// Gives up what an output owes that is no longer configured, whether or not it has ever run. Blocks
/// while the disk works.
pub fn forget(house: &House, name: &str) -> Result<ForgottenDebt, ForgetError> {
    // No batch comes for it between the two.
    let turn = house.spool.commit_turn();
    if find_output(&house.outputs.now(), name).is_ok() {
        let name = name.to_owned();
        return Err(ForgetError::Configured { name });
    }
    let (is_there, owed) = house.state.look(|picture| {
        let owed = picture.batches.iter();
        let owed = owed.filter(|(_, batch)| batch.outputs.contains(name));
        let owed: Vec<u64> = owed.map(|(seq, _)| *seq).collect();
        (picture.output_names().contains(name), owed)
    });
    if !is_there {
        let name = name.to_owned();
        return Err(ForgetError::Unknown { name });
    }
    let now = house.clock.now().utc;
    let debt = house.state.forget_output(now, name)?;
    drop(turn);
    for seq in owed {
        house.put_away(seq, now);
    }
    Ok(debt)
}

/// Whether the ledger knows an output, and nobody has forgotten it.
#[must_use]
pub fn is_known(house: &House, name: &str) -> bool {
    let is_known = |picture: &Picture| picture.outputs.contains_key(name);
    house.state.look(is_known)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::{BatchContent, CollectionKey, Origin};
    use crate::world::{Setup, World};

    /// A world without an output called "ghost", and a batch that it owes: an older version made it so,
    /// or the ledger was lost.
    fn haunted() -> World {
        let world = World::new(Setup::default());
        let house = world.agent.house();
        let content = BatchContent {
            staged_at: world.utc(),
            window_end: world.utc(),
            end: None,
            files: Vec::new(),
        };
        let record = Record::BatchAdded {
            key: CollectionKey {
                service: "cta".to_owned(),
                collection: "flows".to_owned(),
            },
            origin: Origin::Replay,
            seq: house.spool.next_seq(),
            outputs: vec!["ghost".to_owned()],
            events: 3,
            letters: Vec::new(),
            window: None,
            content: Some(content),
            settles: None,
            copies: None,
        };
        house.state.append(world.utc(), &record).unwrap();
        world
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn whatever_a_batch_owes_is_shown_and_can_be_forgotten() {
        let mut world = haunted();
        world.run_for(Duration::from_secs(60)).await;
        let ghost = |world: &World| {
            let outputs = world.status().outputs;
            let ghost = outputs.into_iter().find(|output| output.name == "ghost");
            ghost.map(|ghost| (ghost.kind, ghost.pending_batches, ghost.pending_events))
        };
        assert_eq!(ghost(&world), Some((None, 1, 3)));
        let audited = world.audit().outputs;
        let audited = audited.iter().find(|account| account.output == "ghost");
        assert_eq!(audited.map(|account| account.fetched), Some(3));
        let house = world.agent.house();
        let debt = forget(house, "ghost").unwrap();
        assert_eq!((debt.batches, debt.events), (1, 3));
        assert_eq!(ghost(&world), None);
        assert!(
            house
                .state
                .look(|picture: &Picture| picture.batches.is_empty())
        );
        let given_up = house
            .state
            .look_back(|diary| diary.tally().given_up["ghost"]);
        assert_eq!((given_up.discarded, given_up.forgotten_batches), (3, 1));
        let audit = world.audit();
        assert!(audit.ok, "{audit:#?}");
        let [forgotten] = audit.forgotten.as_slice() else {
            panic!("{audit:#?}");
        };
        assert_eq!((forgotten.fetched, forgotten.discarded), (3, 3));
        let error = forget(house, "ghost").unwrap_err();
        assert!(matches!(error, ForgetError::Unknown { .. }), "{error}");
        let error = forget(house, "file").unwrap_err();
        assert!(matches!(error, ForgetError::Configured { .. }), "{error}");
    }
}
