//! A syslog receiver that counts.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use cta_forwarder::simulator::ServerTls;
use cta_forwarder::simulator::syslog::{
    SyslogFraming, SyslogReceiver, SyslogRules, SyslogTransport,
};

use crate::{runtime, until_stdin_ends};

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Relp,
}

/// Take messages and count them
///
/// Tells where it is as JSON, then when the expected number of messages has come, and ends with its
/// standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    transport: Transport,
    #[arg(long)]
    expect: usize,
    /// Certificate and key, as PEM
    #[arg(long)]
    certificate: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let tls = match &self.certificate {
            None => None,
            Some(file) => {
                let pem = std::fs::read_to_string(file)?;
                Some(ServerTls {
                    certificate_pem: pem.clone(),
                    key_pem: pem,
                    client_ca_pem: None,
                    offers_http2: false,
                })
            }
        };
        let transport = match self.transport {
            Transport::Relp => SyslogTransport::relp(),
            Transport::Tcp | Transport::Tls => SyslogTransport::Tcp {
                framing: SyslogFraming::OctetCounting,
                tls,
            },
        };
        runtime()?.block_on(async {
            let rules = SyslogRules {
                kept_messages: 0,
                ..SyslogRules::over(transport)
            };
            let receiver = SyslogReceiver::start(rules)?;
            println!("{{\"address\":\"{}\"}}", receiver.address());
            receiver.wait_for_messages(1).await;
            let started = Instant::now();
            receiver.wait_for_messages(self.expect).await;
            println!("{{\"seconds\":{:.6}}}", started.elapsed().as_secs_f64());
            until_stdin_ends().await;
            Ok(())
        })
    }
}
