//! Events in the last day: a row of bars for what came, and one for each output. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use super::html::Html;
use super::words::{Count, counted};
use crate::admin::view::{DayView, View};
use crate::state::day::QUARTERS;

/// Height of the tallest bar.
const HEIGHT: f64 = 32.0;
/// A bar that is there is seen.
const MIN_HEIGHT: f64 = 1.5;

pub(super) fn chart(html: &mut Html, view: &View) {
    let day = &view.day;
    let rows = day.delivered.values().chain([&day.fetched]);
    let top = rows.flatten().copied().max().unwrap_or(0).max(1);
    html.put(
        "<section aria-labelledby=\"day\"><h2 id=\"day\">Events in the last day</h2>\
         <div class=\"card chart\">",
        &[],
    );
    row(html, day, "fetched", "Fetched", &day.fetched, top);
    for (output, quarters) in &day.delivered {
        let title = format!("Delivered to {output}");
        row(html, day, "delivered", &title, quarters, top);
    }
    html.put(
        "<div class=\"axis\" aria-hidden=\"true\"><span>{}</span><span>{}</span>\
         <span>{}</span></div></div></section>",
        &[
            &day.begin.format("%H:%M"),
            &(day.begin + TimeDelta::hours(12)).format("%H:%M"),
            &"now (UTC)",
        ],
    );
}

fn row(
    html: &mut Html,
    day: &DayView,
    class: &'static str,
    title: &str,
    quarters: &[u64],
    top: u64,
) {
    let all = quarters.iter().sum();
    let said = format!(
        "{title}: {} in the last 24 hours{}",
        counted(all, "event", "events"),
        most(day.begin, quarters)
    );
    html.put(
        "<div class=\"row\"><h3>{} <b>{}</b></h3>\
         <svg class=\"{}\" viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{}\">",
        &[&title, &Count(all), &class, &QUARTERS, &HEIGHT, &said],
    );
    for (index, count) in quarters.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = bar(*count, top);
        let (from, to) = span(day.begin, index);
        html.put(
            "<rect x=\"{}\" y=\"{}\" width=\"0.8\" height=\"{}\"><title>{} to {} UTC: {}</title>\
             </rect>",
            &[
                &index,
                &format_args!("{:.2}", HEIGHT - height),
                &format_args!("{height:.2}"),
                &from.format("%H:%M"),
                &to.format("%H:%M"),
                &counted(*count, "event", "events"),
            ],
        );
    }
    html.put("</svg></div>", &[]);
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a picture needs no more digits than a double has"
)]
fn bar(count: u64, top: u64) -> f64 {
    (count as f64 / top as f64 * HEIGHT).max(MIN_HEIGHT)
}

fn most(begin: DateTime<Utc>, quarters: &[u64]) -> String {
    let highest = quarters.iter().enumerate().max_by_key(|(_, count)| **count);
    match highest {
        Some((index, count)) if *count > 0 => {
            let (from, to) = span(begin, index);
            format!(
                ", most of them from {} to {} UTC: {}",
                from.format("%H:%M"),
                to.format("%H:%M"),
                Count(*count)
            )
        }
        _ => String::new(),
    }
}

/// When a quarter begins and ends.
fn span(begin: DateTime<Utc>, index: usize) -> (DateTime<Utc>, DateTime<Utc>) {
    let quarters = i32::try_from(index).unwrap_or_default();
    let from = begin + TimeDelta::minutes(15) * quarters;
    (from, from + TimeDelta::minutes(15))
}
