//! The floor of delivery over syslog: ready-made messages in a bare loop.

use std::error::Error;
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
/// Tells as JSON how many.
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
        println!("{{\"messages\":{}}}", frames.len());
        Ok(())
    }

    fn frames(&self) -> Result<Vec<String>, Box<dyn Error>> {
        let mut frames = Vec::new();
        for (place, line) in BufReader::new(File::open(&self.events)?)
            .lines()
            .enumerate()
        {
            let message = format!("<134>1 2026-01-01T00:00:00.000Z bench rig - - - {}", line?);
            let length = message.len();
            frames.push(if self.transport == Transport::Relp {
                // The first number is that of the opening.
                format!("{} syslog {length} {message}\n", place + 2)
            } else {
                format!("{length} {message}")
            });
        }
        Ok(frames)
    }
}

async fn pour(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    frames: &[String],
) -> Result<(), Box<dyn Error>> {
    for together in frames.chunks(WINDOW) {
        stream.write_all(together.concat().as_bytes()).await?;
    }
    stream.shutdown().await?;
    // What nobody reads of the other side would reset the connection; how it ends tells nothing.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    Ok(())
}

/// For each answer the next message goes out.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    frames: &[String],
) -> Result<(), Box<dyn Error>> {
    let mut answers = Vec::new();
    stream.write_all(OPEN.as_bytes()).await?;
    while take_answers(&mut stream, &mut answers).await? == 0 {}
    let mut frames = frames.iter();
    let mut waiting = 0;
    loop {
        let next: Vec<&str> = frames
            .by_ref()
            .take(WINDOW - waiting)
            .map(String::as_str)
            .collect();
        waiting += next.len();
        if waiting == 0 {
            return Ok(());
        }
        stream.write_all(next.concat().as_bytes()).await?;
        waiting -= take_answers(&mut stream, &mut answers).await?;
    }
}

/// Reads once; gives how many answers began in what has come since the last time.
async fn take_answers(
    stream: &mut (impl AsyncRead + Unpin),
    answers: &mut Vec<u8>,
) -> Result<usize, Box<dyn Error>> {
    const ANSWER: &[u8] = b" rsp ";
    if stream.read_buf(answers).await? == 0 {
        return Err("the receiver has ended the connection".into());
    }
    let found = memchr::memmem::find_iter(answers, ANSWER).count();
    // Its first bytes may be the last ones.
    let last = memchr::memmem::rfind(answers, ANSWER).map_or(0, |at| at + ANSWER.len());
    answers.drain(..last.max(answers.len().saturating_sub(ANSWER.len() - 1)));
    Ok(found)
}
