//! The floor of delivery: ready-made bodies in a bare reqwest loop.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::time::Instant;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::runtime;

/// Send the events of a file of JSON lines, packed beforehand, and ask for their acknowledgement
///
/// Tells as JSON how long it took.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    events: std::path::PathBuf,
    #[arg(long)]
    url: String,
    #[arg(long)]
    token: String,
    /// Events in a request
    #[arg(long, default_value_t = 1000)]
    batch: usize,
    /// Requests at once
    #[arg(long, default_value_t = 2)]
    in_flight: usize,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let bodies = self.bodies()?;
        let bytes: usize = bodies.iter().map(Bytes::len).sum();
        // Without TLS, which reqwest wants to know nevertheless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        runtime()?.block_on(async {
            let client = reqwest::Client::new();
            let channel = Uuid::new_v4().to_string();
            let post = |path: &str| {
                client
                    .post(format!("{}/services/collector/{path}", self.url))
                    .header("authorization", format!("Splunk {}", self.token))
                    .header("x-splunk-request-channel", &channel)
            };
            let started = Instant::now();
            let sent = stream::iter(bodies)
                .map(|body| async {
                    let request = post("event").header("content-encoding", "gzip").body(body);
                    let answer = request.send().await?.error_for_status()?.bytes().await?;
                    let answer: Value = serde_json::from_slice(&answer)?;
                    Ok::<_, Box<dyn Error>>(answer.get("ackId").cloned().unwrap_or_default())
                })
                .buffered(self.in_flight);
            let acks: Vec<_> = sent.collect().await;
            let acks = acks.into_iter().collect::<Result<Vec<Value>, _>>()?;
            let asked = json!({ "acks": acks }).to_string();
            let request = post("ack").header("content-type", "application/json");
            let answer = request.body(asked).send().await?.error_for_status()?;
            let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
            let told = answer
                .get("acks")
                .and_then(Value::as_object)
                .ok_or("no acks")?;
            if told.len() != acks.len() || told.values().any(|told| *told != Value::Bool(true)) {
                return Err("not everything is acknowledged".into());
            }
            println!(
                "{{\"seconds\":{:.6},\"requests\":{},\"bytes\":{bytes}}}",
                started.elapsed().as_secs_f64(),
                acks.len()
            );
            Ok(())
        })
    }

    fn bodies(&self) -> Result<Vec<Bytes>, Box<dyn Error>> {
        let lines: Vec<String> = BufReader::new(File::open(&self.events)?)
            .lines()
            .collect::<Result<_, _>>()?;
        let bodies = lines.chunks(self.batch).map(|lines| {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            for line in lines {
                write!(
                    packed,
                    "{{\"time\":1767225600.000,\"host\":\"bench\",\"sourcetype\":\"cisco:cta:incident\",\
                     \"event\":{line}}}"
                )?;
            }
            Ok(packed.finish()?.into())
        });
        bodies.collect()
    }
}
