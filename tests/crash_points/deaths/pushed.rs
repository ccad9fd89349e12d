//! Deaths while a message is pushed: its sender does not hear of SUCCESS, and pushes it again.

use cta_forwarder::crash::Point;

use super::{Death, MESSAGE, NONE};
use crate::life::Story;

/// The deaths at this point, if the message is on its way there.
pub(crate) fn deaths(point: Point) -> Vec<Death> {
    use Point::*;
    let (twice, then): (usize, &'static [Point]) = match point {
        EventsMade | EventsSynced | StagedDurably | PushStaged | HeadWritten | FolderSynced => {
            (NONE, &[])
        }
        Renamed | NewNameSynced | Committed | PushCommitted => (MESSAGE, &[BatchRecorded]),
        PushRecorded => (MESSAGE, &[]),
        _ => return Vec::new(),
    };
    let death = |time| Death {
        point,
        time,
        twice,
        then,
        acknowledges: false,
        story: Story::Pushed,
    };
    [1, 2].map(death).to_vec()
}
