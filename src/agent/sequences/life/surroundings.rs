//! What is around an agent: the service, the receivers, and its configuration.

use std::fmt::Write as _;

use super::{IN_FLIGHT, OUTPUTS};
use crate::config::{Config, Environment};
use crate::schedule;
use crate::simulator::cta::{CtaRules, CtaService};
use crate::simulator::hec::{HecRules, HecServer};

/// A collection, and an output for each receiver.
pub(super) fn config(
    random: &mut fastrand::Rng,
    folder: &std::path::Path,
    cta: &CtaService,
    splunk: &[HecServer],
) -> Config {
    let path = folder.display();
    let keep = ["0s", "30d"][random.usize(..2)];
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
    let mut toml = format!(
        "[state]\ndirectory = \"{path}/state\"\nmin_free_disk = \"1KiB\"\n\
         archive = {{ keep = \"{keep}\" }}\n\
         [[service]]\nname = \"cta\"\npoll_url = \"{}\"\nusername = \"user\"\n\
         password = {{ file = \"{path}/password\" }}\ntls = {{ ca_file = \"{authority}\" }}\n\
         collections = [\"{}\"]\ninitial_lookback = \"12h\"\n\
         [inbox]\nlisten = \"127.0.0.1:0\"\ncollections = [\"pushed\"]\n",
        cta.poll_url(),
        CtaRules::COLLECTION,
    );
    for (name, splunk) in OUTPUTS.iter().zip(splunk) {
        let acknowledge = *name == "acked";
        let _ = write!(
            toml,
            "[[output]]\nname = \"{name}\"\ntype = \"splunk_hec\"\nendpoints = [\"{}\"]\n\
             token = {{ file = \"{path}/token\" }}\ntls = {{ ca_file = \"{authority}\" }}\n\
             acknowledge = {acknowledge}\nmax_in_flight = 1\n\
             batch = {{ max_events = {IN_FLIGHT}, max_wait = \"1s\" }}\n",
            splunk.url(),
        );
    }
    std::fs::write(folder.join("password"), "pass\n").unwrap();
    std::fs::write(folder.join("token"), HecRules::default().token).unwrap();
    let file = folder.join("cta-forwarder.toml");
    std::fs::write(&file, &toml).unwrap();
    let environment = Environment::new("forwarder.example");
    match Config::load(&file, &environment, schedule::check) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}\n{toml}"),
    }
}
