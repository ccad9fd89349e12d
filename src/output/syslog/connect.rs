//! The way to an open connection: name, TCP, TLS.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ProtocolVersion, SignatureScheme};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Counted};
use super::failure::Failure;

/// How long a TLS 1.3 receiver that asked for a client certificate has to refuse it.
///
/// For the client the handshake is over before the receiver has seen its certificate, and TCP would
/// acknowledge events that the receiver throws away. One that sends a session ticket, as most do,
/// has accepted it.
const REFUSAL_WAIT: Duration = Duration::from_millis(500);

/// Opens connections to one receiver.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    address: String,
    /// How long it may take at most; who asked watches over it.
    patience: Duration,
    tls: Option<Tls>,
}

/// What TLS needs to know.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// Whose certificate the receiver must have.
    pub(super) name: ServerName<'static>,
}

/// Something that is being opened.
pub(super) struct Opening<T> {
    future: Pin<Box<dyn Future<Output = Result<T, Failure>> + Send>>,
}

impl Connector {
    /// With `tls` every connection speaks it from the first byte on.
    pub(super) fn new(address: String, tls: Option<Tls>, patience: Duration) -> Self {
        Self {
            address,
            patience,
            tls,
        }
    }

    /// Uses these authorities and this certificate from the next connection on.
    pub(super) fn set_tls(&mut self, config: Arc<ClientConfig>) {
        if let Some(tls) = &mut self.tls {
            tls.config = config;
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Begins to open a connection; it takes as long as it takes.
    pub(super) fn open(&self) -> Opening<Connection> {
        Opening::new(self.clone().connect())
    }

    async fn connect(self) -> Result<Connection, Failure> {
        let tcp = self.tcp().await.map_err(|error| Failure::of_io(&error))?;
        match self.tls {
            None => Ok(Connection::plain(tcp)),
            Some(tls) => tls.shake_hands(tcp).await,
        }
    }

    async fn tcp(&self) -> io::Result<Counted> {
        let addresses: Vec<SocketAddr> = lookup_host(&self.address).await?.collect();
        // One that swallows everything must leave time for those behind it.
        let share = self.patience / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
        let mut last_error = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => {
                    // What is written is written in large pieces already.
                    tcp.set_nodelay(true)?;
                    return Counted::new(tcp);
                }
                Ok(Err(error)) => last_error = error,
                Err(_) => {
                    let story = format!("{address} does not answer within {share:?}");
                    last_error = io::Error::new(ErrorKind::TimedOut, story);
                }
            }
        }
        Err(last_error)
    }
}

impl<T> Opening<T> {
    pub(super) fn new(future: impl Future<Output = Result<T, Failure>> + Send + 'static) -> Self {
        Self {
            future: Box::pin(future),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, Failure>> {
        self.future.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Opening<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opening")
    }
}

impl Tls {
    async fn shake_hands(self, tcp: Counted) -> Result<Connection, Failure> {
        let identity = Arc::new(Identity {
            inner: Arc::clone(&self.config.client_auth_cert_resolver),
            was_wanted: AtomicBool::new(false),
        });
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::clone(&identity) as Arc<dyn ResolvesClientCert>;
        let connector = TlsConnector::from(Arc::new(config));
        let connected = connector.connect(self.name, tcp).await;
        let stream = connected.map_err(|error| Failure::of_io(&error))?;

        let version = stream.get_ref().1.protocol_version();
        let mut connection = Connection::tls(stream);
        if version == Some(ProtocolVersion::TLSv1_3) && identity.was_wanted.load(Ordering::Relaxed)
        {
            // Silence is consent.
            timeout(REFUSAL_WAIT, first_word(&mut connection))
                .await
                .unwrap_or(Ok(()))?;
        }
        Ok(connection)
    }
}

/// Waits until the receiver has said anything after the handshake.
async fn first_word(connection: &mut Connection) -> Result<(), Failure> {
    let before = connection.received();
    poll_fn(|cx| {
        let mut said = [0; 64];
        Poll::Ready(match connection.poll_read(cx, &mut said) {
            Poll::Ready(Ok(0)) => Err(Failure::of_hang_up()),
            Poll::Ready(Ok(_)) => Ok(()),
            Poll::Ready(Err(error)) if is_hang_up(&error) => Err(Failure::of_hang_up()),
            Poll::Ready(Err(error)) => Err(Failure::of_io(&error)),
            // Session tickets are TLS's own business.
            Poll::Pending if connection.received() > before => Ok(()),
            Poll::Pending => return Poll::Pending,
        })
    })
    .await
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
    )
}

/// The client certificate, and whether the receiver wanted one.
#[derive(Debug)]
struct Identity {
    inner: Arc<dyn ResolvesClientCert>,
    was_wanted: AtomicBool,
}

impl ResolvesClientCert for Identity {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.was_wanted.store(true, Ordering::Relaxed);
        self.inner.resolve(authorities, schemes)
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
