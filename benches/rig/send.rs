//! The floor of delivery over syslog: ready-made messages in a bare loop.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::receiver::Transport;
use crate::runtime;

/// Send the events of a file of JSON lines, framed beforehand
///
/// Tells as JSON in how many pieces.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    events: PathBuf,
    #[arg(long)]
    transport: Transport,
    #[arg(long)]
    address: String,
    /// The receiver's certificate, as PEM
    #[arg(long)]
    certificate: Option<PathBuf>,
}

/// Frames that are without an answer over RELP.
const WINDOW: usize = 128;
const OPEN: &str = "1 open 85 relp_version=0\nrelp_software=rig,1,https://example.com\ncommands=syslog,open,close,bye\n";

impl Arguments {
    pub(crate) fn run(self) -> Result<(), Box<dyn Error>> {
        let frames = self.frames()?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sent: Result<(), Box<dyn Error>> = runtime()?.block_on(async {
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            match (self.transport, &self.certificate) {
                (Transport::Relp, _) => converse(stream, &frames).await,
                (Transport::Tls, Some(certificate)) => {
                    let mut roots = RootCertStore::empty();
                    roots.add(CertificateDer::from_pem_file(certificate)?)?;
                    let config = ClientConfig::builder()
                        .with_root_certificates(roots)
                        .with_no_client_auth();
                    let name = ServerName::try_from("127.0.0.1")?;
                    let connector = TlsConnector::from(Arc::new(config));
                    pour(connector.connect(name, stream).await?, &frames).await
                }
                _ => pour(stream, &frames).await,
            }
        });
        sent?;
        println!("{{\"pieces\":{}}}", frames.len());
        Ok(())
    }

    /// As many as go together.
    fn frames(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let mut frames = vec![String::new()];
        for (place, line) in BufReader::new(File::open(&self.events)?)
            .lines()
            .enumerate()
        {
            let message = format!("<134>1 2026-01-01T00:00:00.000Z bench rig - - - {}", line?);
            if place % WINDOW == 0 && place > 0 {
                frames.push(String::new());
            }
            let Some(last) = frames.last_mut() else {
                continue;
            };
            if self.transport == Transport::Relp {
                // The first number is that of the opening.
                let number = place + 2;
                writeln!(last, "{number} syslog {} {message}", message.len())?;
            } else {
                write!(last, "{} {message}", message.len())?;
            }
        }
        Ok(frames)
    }
}

async fn pour(
    mut stream: impl AsyncWrite + Unpin,
    frames: &[String],
) -> Result<(), Box<dyn Error>> {
    for together in frames {
        stream.write_all(together.as_bytes()).await?;
    }
    stream.shutdown().await?;
    Ok(())
}

/// A window of messages goes out when the one before is answered.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    frames: &[String],
) -> Result<(), Box<dyn Error>> {
    let mut answers = Vec::new();
    stream.write_all(OPEN.as_bytes()).await?;
    wait_for_answers(&mut stream, &mut answers, 1).await?;
    for together in frames {
        answers.clear();
        stream.write_all(together.as_bytes()).await?;
        let messages = together.matches(" syslog ").count();
        wait_for_answers(&mut stream, &mut answers, messages).await?;
    }
    Ok(())
}

async fn wait_for_answers(
    stream: &mut (impl AsyncRead + Unpin),
    answers: &mut Vec<u8>,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    const ANSWER: &[u8] = b" rsp ";
    while memchr::memmem::find_iter(answers, ANSWER).count() < count {
        if stream.read_buf(answers).await? == 0 {
            return Err("the receiver has ended the connection".into());
        }
    }
    Ok(())
}
