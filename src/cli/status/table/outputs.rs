//! Where events go.

use super::layout::{Page, none};
use crate::cli::status::rates::shown;
use crate::cli::terminal::Style;
use crate::observe::status::{OutputStatus, Status};
use crate::observe::troubles::{Kind, peer_name};

pub(super) fn outputs(page: &mut Page<'_>, status: &Status) {
    let outputs = &status.outputs;
    let mut head = vec![
        "OUTPUT",
        "TYPE",
        "PENDING",
        "DELIVERED",
        "DEAD LETTERS",
        "GIVEN UP",
    ];
    let rates = page.view().rates;
    if rates.is_some() {
        head.push("NOW");
    }
    let rows: Vec<Vec<String>> = outputs
        .iter()
        .map(|output| {
            let finished = &output.finished;
            let rate = rates.map(|rates| shown(rates.of_output(&output.name)));
            let mut row = vec![
                output.name.clone(),
                output.kind.clone().unwrap_or_else(none),
                output.pending_events.to_string(),
                finished.delivered.to_string(),
                finished.dead_letters.to_string(),
                (finished.discarded + finished.abandoned + finished.lost).to_string(),
            ];
            row.extend(rate);
            row
        })
        .collect();
    page.table(&head, &rows, |page, index| {
        if let Some(output) = outputs.get(index) {
            output_remarks(page, output);
        }
    });
}

fn output_remarks(page: &mut Page<'_>, output: &OutputStatus) {
    let activity = &output.activity;
    page.troubles_of(Kind::Output, &output.name);
    for peer in &activity.peers {
        page.troubles_of_peer(&peer_name(&output.name, &peer.name), &peer.name);
    }
    if activity.awaiting_acknowledgement > 0 {
        let events = activity.awaiting_acknowledgement;
        page.remark(
            Style::Faint,
            format_args!("accepted and not yet acknowledged: {events}"),
        );
    }
}
