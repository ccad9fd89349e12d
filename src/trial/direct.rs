//! The event of a trial without an agent: sent once, by the output itself, past spool and state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{LONGEST_TRIAL, TrialResult, Tried};
use crate::config::{OutputConfig, OutputKind};
use crate::event::Event;
use crate::output::{BatchOrigin, FlightId, Landing, Outgoing, Output, Promise, Receipt, Verdict};

/// How often is asked whether the event is acknowledged, if the output does not say.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// What came of one peer.
struct Answer {
    result: TrialResult,
    what: String,
    mend: Option<String>,
    /// Whether the peer has judged the event: no other is asked then.
    is_taken: bool,
}

/// Sends the event to one peer after the other until one takes it; tells what became of it within that time.
pub async fn send_directly(
    config: &OutputConfig,
    origin: BatchOrigin,
    event: &Event,
    timeout: Duration,
) -> Tried {
    let tried = |answer: Answer| Tried {
        output: config.name.clone(),
        result: answer.result,
        what: answer.what,
        mend: answer.mend,
    };
    let mut output = match Output::new(config) {
        Ok(output) => output,
        Err(error) => {
            return tried(Answer {
                result: TrialResult::Held,
                what: error.to_string(),
                mend: Some("mend the configuration".to_owned()),
                is_taken: false,
            });
        }
    };
    let outgoing = Outgoing {
        origin: Arc::new(origin),
        event: event.clone(),
    };
    let deadline = Instant::now() + timeout.min(LONGEST_TRIAL);
    let peers = config.peers();
    let mut failed: Vec<String> = Vec::new();
    let mut last = None;
    for (peer, name) in peers.iter().enumerate() {
        let now = Instant::now();
        let left = peers.len() - peer;
        // Who says nothing leaves the others their part of the time.
        let part =
            deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX);
        let sending = send(&mut output, config, peer, &outgoing, now + part, deadline);
        let (peer, mut answer) = sending.await;
        // One that was given up may have answered meanwhile.
        let name = peers.get(peer).unwrap_or(name);
        answer.what = format!("{name}: {}", answer.what);
        if answer.is_taken {
            for other in failed.drain(..) {
                answer.what = format!("{}; {other}", answer.what);
            }
            last = Some(answer);
            break;
        }
        failed.push(answer.what.clone());
        last = Some(answer);
    }
    // Whoever does not hear our goodbye has had his time.
    let _ = tokio::time::timeout(timeout, output.close()).await;
    let nobody = || Answer {
        result: TrialResult::Held,
        what: "there is nobody to send to".to_owned(),
        mend: None,
        is_taken: false,
    };
    let mut answer = last.unwrap_or_else(nobody);
    if !failed.is_empty() {
        answer.what = failed.join("; ");
    }
    tried(answer)
}

/// Gives what a peer said, and which: this one, or one of those before it that has taken the event after
/// all.
async fn send(
    output: &mut Output,
    config: &OutputConfig,
    peer: usize,
    outgoing: &Outgoing,
    answered_by: Instant,
    acknowledged_by: Instant,
) -> (usize, Answer) {
    let flight = FlightId::try_from(peer).unwrap_or(FlightId::MAX);
    output.launch(peer, flight, std::slice::from_ref(outgoing));
    loop {
        let Ok(landing) = timeout_at(answered_by, output.landing()).await else {
            return (peer, waiting("nothing was said of it in time", false));
        };
        let Landing::Sent {
            peer: of,
            verdict,
            promise,
            ..
        } = landing
        else {
            continue;
        };
        let answer = answer(verdict);
        // What one that was given up refuses says nothing of this one.
        if of != peer && !answer.is_taken {
            continue;
        }
        return match promise {
            Promise::Given(receipt) if answer.result == TrialResult::Delivered => {
                let acknowledged = acknowledged(output, config, of, &receipt, acknowledged_by);
                (of, acknowledged.await)
            }
            _ => (of, answer),
        };
    }
}

async fn acknowledged(
    output: &mut Output,
    config: &OutputConfig,
    peer: usize,
    receipt: &Receipt,
    deadline: Instant,
) -> Answer {
    let interval = match &config.kind {
        OutputKind::SplunkHec(hec) => hec
            .acknowledgement
            .map(|acknowledgement| acknowledgement.interval),
        _ => None,
    };
    let interval = interval.unwrap_or(ASK_INTERVAL);
    let is_indexed = |acks: &BTreeMap<u64, bool>| acks.get(&receipt.ack_id) == Some(&true);
    let mut said =
        "it was accepted, and is not acknowledged yet: Splunk may take two minutes".to_owned();
    loop {
        output.ask(peer, &receipt.channel, vec![receipt.ack_id]);
        match timeout_at(deadline, output.landing()).await {
            Ok(Landing::Acknowledged {
                peer: of,
                answer: Ok(acks),
                ..
            }) if of == peer && is_indexed(&acks) => {
                return Answer {
                    result: TrialResult::Delivered,
                    what: "it is indexed, as the acknowledgement says".to_owned(),
                    mend: None,
                    is_taken: true,
                };
            }
            Ok(Landing::Acknowledged {
                answer: Err(problem),
                ..
            }) => said = problem.to_string(),
            Ok(_) => {}
            Err(_) => return waiting(&said, true),
        }
        if Instant::now() + interval >= deadline {
            return waiting(&said, true);
        }
        sleep(interval).await;
    }
}

fn waiting(what: &str, is_taken: bool) -> Answer {
    Answer {
        result: TrialResult::Waiting,
        what: what.to_owned(),
        mend: None,
        is_taken,
    }
}

/// What a verdict says of the only event.
fn answer(verdict: Verdict) -> Answer {
    let (result, what, mend) = match verdict {
        Verdict::Delivered { .. } => (
            TrialResult::Delivered,
            "the receiver has confirmed it".to_owned(),
            None,
        ),
        Verdict::Scattered { delivered, then } => {
            if delivered.iter().any(|places| places.contains(&0)) {
                return answer(Verdict::Delivered { slow_down: false });
            }
            return answer(*then);
        }
        Verdict::Retry { reason, .. } => (TrialResult::Failing, reason, None),
        Verdict::Hold { reason, mend, .. } => (TrialResult::Held, reason, Some(mend)),
        Verdict::Refused { code, reason, .. } => {
            (TrialResult::Refused, format!("{code}: {reason}"), None)
        }
        Verdict::TooLarge { reason } => (TrialResult::Refused, reason, None),
    };
    let is_taken = matches!(result, TrialResult::Delivered | TrialResult::Refused);
    Answer {
        result,
        what,
        mend,
        is_taken,
    }
}
