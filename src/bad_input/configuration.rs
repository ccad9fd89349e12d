//! Configuration files.

use crate::config::Problem;
use crate::config::bad_input::check_text;

/// Whatever stands in a configuration file: a configuration, or problems that say where and what.
pub fn file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let lines = text.lines().count().max(1);
    match check_text(&text) {
        Ok((config, warnings)) => {
            assert!(!config.services.is_empty() && !config.outputs.is_empty());
            assert!(config.services.iter().all(|service| {
                let limits = &service.limits;
                limits.max_parts > 0 && limits.max_response_bytes > 0 && limits.max_text_bytes > 0
            }));
            check_problems(&warnings, &text, lines);
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a word");
            check_problems(&problems, &text, lines);
        }
    }
}

fn check_problems(problems: &[Problem], text: &str, lines: usize) {
    // More than one problem a key, and a key has three bytes at least.
    assert!(
        problems.len() <= text.len() + 10,
        "{} problems",
        problems.len()
    );
    for problem in problems {
        let shown = problem.to_string();
        assert!(!problem.what.trim().is_empty(), "{shown}");
        assert!(
            problem
                .line
                .is_none_or(|line| (1..=lines + 1).contains(&line)),
            "{shown}"
        );
        assert!(
            shown.len() <= 8000 + 8 * text.len(),
            "{} bytes are said of a file of {}",
            shown.len(),
            text.len()
        );
    }
}
