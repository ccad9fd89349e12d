//! The status page.

use super::view::View;

/// Its looks.
pub(super) const STYLE: &str = include_str!("style.css");
/// What keeps it up to date.
pub(super) const SCRIPT: &str = include_str!("script.js");
/// Its picture in a tab.
pub(super) const ICON: &str = include_str!("icon.svg");

/// The page as it is now.
pub(super) fn html(view: &View) -> String {
    view.status.version.clone()
}
