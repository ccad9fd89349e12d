//! Which service is spoken to, and as whom.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use crate::cli::{CommandError, load};
use crate::config::{
    Authentication, Credentials, ProxyConfig, Secret, TlsConfig, check_header_name,
    may_stand_in_header,
};
use crate::taxii::client::{Client, Connection};
use crate::taxii::directory::{Directory, Greeting, greet};
use crate::taxii::fault::Fault;
use crate::taxii::response::{Discovery, ServiceKind};
use crate::taxii::version::Version;

/// A service as the command line names it.
#[derive(Debug, clap::Args)]
pub(super) struct At {
    /// The service: a discovery service, or the one that is meant itself
    #[arg(value_name = "URL", required_unless_present = "service")]
    url: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// The same beside another argument.
#[derive(Debug, clap::Args)]
pub(super) struct AtUrl {
    /// The service: a discovery service, or the one that is meant itself
    #[arg(long, value_name = "URL", required_unless_present = "service")]
    url: Option<String>,
    #[command(flatten)]
    access: Access,
}

/// How the service is spoken to.
#[derive(Debug, clap::Args)]
struct Access {
    /// A service of the configuration: its address, unless another is given, and all that
    /// authenticates
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The version of TAXII; without it the service is asked
    #[arg(long, value_name = "VERSION", value_parser = version)]
    taxii_version: Option<Version>,
    /// HTTP Basic authentication; the password is read from --password-file
    #[arg(long, value_name = "USER", requires = "password_file", conflicts_with_all = ["service", "bearer_token_file"])]
    username: Option<String>,
    /// A file that holds the password alone
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// A file that holds a bearer token alone
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    bearer_token_file: Option<PathBuf>,
    /// A header of each request, such as an API key: its name, and a file that holds its value
    /// alone; may be repeated
    #[arg(long, value_name = "NAME=FILE", conflicts_with = "service", value_parser = header)]
    header: Vec<(String, PathBuf)>,
    /// PEM certificates of the authorities to trust instead of the system's
    #[arg(long, value_name = "FILE", conflicts_with = "service")]
    ca_file: Option<PathBuf>,
    /// PEM certificate to show
    #[arg(
        long,
        value_name = "FILE",
        requires = "client_key_file",
        conflicts_with = "service"
    )]
    client_cert_file: Option<PathBuf>,
    /// PEM private key of that certificate
    #[arg(long, value_name = "FILE", requires = "client_cert_file")]
    client_key_file: Option<PathBuf>,
    /// http://, https://, socks5:// or socks5h:// proxy
    #[arg(long, value_name = "URL", conflicts_with = "service")]
    proxy: Option<String>,
    /// Whom the proxy knows us as; the password is read from --proxy-password-file
    #[arg(long, value_name = "USER", requires_all = ["proxy", "proxy_password_file"])]
    proxy_username: Option<String>,
    /// A file that holds the proxy's password alone
    #[arg(long, value_name = "FILE", requires = "proxy_username")]
    proxy_password_file: Option<PathBuf>,
    /// How long the whole request may take
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

fn version(text: &str) -> Result<Version, String> {
    let mut all = Version::ALL.into_iter();
    all.find(|version| version.to_string() == text)
        .ok_or_else(|| "write 1.0 or 1.1".to_owned())
}

fn header(text: &str) -> Result<(String, PathBuf), String> {
    let (name, file) = text
        .split_once('=')
        .ok_or("write NAME=FILE, the header and a file that holds its value")?;
    check_header_name(name)?;
    Ok((name.to_owned(), file.into()))
}

/// A service that is spoken to.
pub(super) struct Peer {
    pub(super) client: Client,
    /// What was given.
    pub(super) url: String,
    pub(super) version: Version,
    /// What it offers, if it is a discovery service; else why it does not tell.
    offer: Result<Discovery, Fault>,
}

impl At {
    pub(super) async fn open(self, config: &Path) -> Result<Peer, CommandError> {
        self.access.open(config, self.url).await
    }
}

impl AtUrl {
    pub(super) async fn open(self, config: &Path) -> Result<Peer, CommandError> {
        self.access.open(config, self.url).await
    }

    /// Whether the agent of this machine polls the service too.
    pub(super) fn is_configured(&self) -> bool {
        self.access.service.is_some()
    }
}

impl Access {
    async fn open(self, config: &Path, url: Option<String>) -> Result<Peer, CommandError> {
        let timeout = self.timeout;
        let (url, version, mut connection) = match &self.service {
            Some(name) => configured(config, name, url, self.taxii_version)?,
            None => (
                url.unwrap_or_default(),
                self.taxii_version,
                self.connection()?,
            ),
        };
        connection.connect_timeout = connection.connect_timeout.min(timeout);
        connection.request_timeout = timeout;
        check_url(&url)?;
        let client =
            Client::new(connection).map_err(|error| CommandError::Failed(error.to_string()))?;
        let Greeting { version, offer, .. } = greet(&client, &url, version).await;
        let silent = Fault::NotOffered {
            reason: "the service does not tell what it offers".to_owned(),
        };
        let offer = offer.unwrap_or(Err(silent));
        let version = match (version, &offer) {
            (None, Err(fault)) => return Err(fault.clone().into()),
            (version, _) => version.unwrap_or(Version::PREFERRED),
        };
        Ok(Peer {
            client,
            url,
            version,
            offer,
        })
    }

    fn connection(self) -> Result<Connection, CommandError> {
        let read = |path: &PathBuf| {
            let secret = Secret::read_file(path);
            secret.map_err(|error| CommandError::Failed(error.to_string()))
        };
        let authentication = match (self.username, &self.password_file, &self.bearer_token_file) {
            (Some(username), Some(file), _) => {
                let password = read(file)?;
                Authentication::Basic(Credentials { username, password })
            }
            (_, _, Some(file)) => Authentication::Bearer(read(file)?),
            _ => Authentication::None,
        };
        let proxy_credentials = match (self.proxy_username, &self.proxy_password_file) {
            (Some(username), Some(file)) => Some(Credentials {
                username,
                password: read(file)?,
            }),
            _ => None,
        };
        let mut headers = Vec::new();
        for (name, file) in self.header {
            let value = read(&file)?;
            if !value.expose().chars().all(may_stand_in_header) {
                let what = format!(
                    "{}: it holds a character that cannot be sent",
                    file.display()
                );
                return Err(CommandError::Failed(what));
            }
            headers.push((name, value));
        }
        Ok(Connection {
            tls: TlsConfig {
                ca_file: self.ca_file,
                client_cert_file: self.client_cert_file,
                client_key_file: self.client_key_file,
            },
            proxy: self.proxy.map(|url| ProxyConfig {
                url,
                credentials: proxy_credentials,
            }),
            connect_timeout: self.timeout,
            request_timeout: self.timeout,
            authentication,
            headers,
        })
    }
}

fn check_url(text: &str) -> Result<(), CommandError> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| ["https", "http"].contains(&url.scheme()) && url.has_host());
    let Some(url) = url else {
        let what = format!("{text:?} is not a URL; write one that begins with https:// or http://");
        return Err(CommandError::Failed(what));
    };
    if !url.username().is_empty() || url.password().is_some() {
        let what = "a URL with a user or password in it would be shown: use --username and \
                    --password-file";
        return Err(CommandError::Failed(what.to_owned()));
    }
    Ok(())
}

fn configured(
    config: &Path,
    name: &str,
    url: Option<String>,
    version: Option<Version>,
) -> Result<(String, Option<Version>, Connection), CommandError> {
    let services = load(config)?.config.services;
    let Some(service) = services.iter().find(|service| service.name == name) else {
        let names: Vec<&str> = services
            .iter()
            .map(|service| service.name.as_str())
            .collect();
        let known = names.join(", ");
        let what = format!("there is no service {name:?} in the configuration; there are: {known}");
        return Err(CommandError::Failed(what));
    };
    let own = service.address.url();
    let url = url.unwrap_or_else(|| own.to_owned());
    let host = |url: &str| {
        let url = Url::parse(url).ok()?;
        Some((url.scheme() == "https", url.host_str()?.to_owned()))
    };
    if host(&url) != host(own) {
        let what = format!(
            "{url} is on another host than {own}, or without its TLS: what authenticates the agent is \
             not sent there; leave --service out and give what that service wants to see"
        );
        return Err(CommandError::Failed(what));
    }
    Ok((url, version.or(service.version), Connection::from(service)))
}

impl Peer {
    pub(super) fn directory(&self) -> Directory<'_> {
        Directory {
            client: &self.client,
            url: &self.url,
            version: self.version,
        }
    }

    /// What it offers; an error if it does not tell.
    pub(super) fn into_discovery(self) -> Result<Discovery, CommandError> {
        Ok(self.offer?)
    }

    /// The address of a service of this kind: what the discovery service names, or the one that was
    /// given, which is that service then.
    pub(super) fn address(&self, kind: &ServiceKind) -> Result<String, CommandError> {
        let Ok(discovery) = &self.offer else {
            return Ok(self.url.clone());
        };
        if let Some(service) = discovery.offered(kind, self.version).first() {
            return Ok(self.directory().address_of(service)?);
        }
        Err(CommandError::Failed(format!(
            "{} offers no such service for TAXII {}: `cta-forwarder taxii discover` shows what there is",
            self.url, self.version
        )))
    }

    /// Whether it told what it offers.
    pub(super) fn is_discovery(&self) -> bool {
        self.offer.is_ok()
    }
}
