//! A person at the command line, now and then.

use std::collections::BTreeMap;
use std::process::Child;

use chrono::{SecondsFormat, TimeDelta};
use cta_forwarder::simulator::cta::CtaRules;

use super::Soak;
use super::books::OUTPUTS;
use super::rig::syslog::id_of;

/// Commands that were started and may still run.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    running: Vec<Child>,
    /// How often each was given.
    pub(crate) given: BTreeMap<&'static str, usize>,
}

impl Commands {
    /// kill -9 of a command: without an agent it has the state itself.
    pub(crate) fn kill_one_at_random(&mut self, random: &mut fastrand::Rng) {
        self.running
            .retain_mut(|command| command.try_wait().unwrap().is_none());
        if random.u8(..) < 100
            && let Some(mut command) = self.running.pop()
        {
            command.kill().unwrap();
            command.wait().unwrap();
        }
    }

    pub(crate) fn wait_for_all(&mut self) {
        for mut command in self.running.drain(..) {
            command.wait().unwrap();
        }
    }
}

impl Soak {
    /// Gives a command in one round of two, beside whatever is done.
    pub(crate) fn command_at_random(&mut self) {
        match self.random.u8(..14) {
            0 => self.give("status", &["status", "--json"]),
            1 => self.give("audit", &["audit"]),
            2 => self.give("list", &["dead-letters", "list"]),
            3 => self.give("retry", &["dead-letters", "retry", "--all"]),
            4 => self.drop_a_letter(),
            5 => self.send_a_letter_elsewhere(),
            6 => self.poll_by_hand(),
            _ => {}
        }
    }

    fn give(&mut self, name: &'static str, arguments: &[&str]) {
        self.commands
            .running
            .push(self.rig.start_command(arguments));
        *self.commands.given.entry(name).or_default() += 1;
    }

    /// A dead letter of an output, with its id.
    fn a_letter(&mut self) -> Option<(String, serde_json::Value)> {
        let (code, said) = self.rig.command(&["dead-letters", "export", "--all"]);
        if code != Some(0) {
            return None;
        }
        let letters = said.lines().filter(|line| line.starts_with('{'));
        let letters = letters.map(|line| serde_json::from_str(line).unwrap());
        let letters: Vec<serde_json::Value> = letters.collect();
        let letter = self.random.choice(&letters)?.clone();
        Some((letter["id"].as_str().unwrap().to_owned(), letter))
    }

    fn drop_a_letter(&mut self) {
        let Some((id, letter)) = self.a_letter() else {
            return;
        };
        self.give_up(&letter);
        self.give("drop", &["dead-letters", "drop", &id, "--yes"]);
    }

    fn send_a_letter_elsewhere(&mut self) {
        let Some((id, letter)) = self.a_letter() else {
            return;
        };
        self.give_up(&letter);
        *self.books.by_hand.entry("local").or_default() += 1;
        self.give(
            "retry --to",
            &["dead-letters", "retry", &id, "--to", "local"],
        );
    }

    fn give_up(&mut self, letter: &serde_json::Value) {
        if let Some(output) = letter["output"].as_str() {
            let of_output = self.books.given_up.entry(output.to_owned()).or_default();
            of_output.insert(id_of(letter));
        }
    }

    /// The last seconds again, for one output or for the person.
    fn poll_by_hand(&mut self) {
        let end = self.rig.cta.now();
        let begin = end - TimeDelta::seconds(2);
        let output = OUTPUTS.get(self.random.usize(..4)).copied();
        if let Some(output) = output {
            let events = self.books.count_in(begin, end);
            *self.books.by_hand.entry(output).or_default() += events;
        }
        let [begin, end] =
            [begin, end].map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true));
        let to = output.unwrap_or("stdout");
        let collection = CtaRules::COLLECTION;
        let arguments = [
            "poll", collection, "--begin", &begin, "--end", &end, "--to", to,
        ];
        self.give("poll", &arguments);
    }
}
