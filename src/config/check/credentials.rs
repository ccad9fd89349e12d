//! Users with their passwords: those of services, and of proxies.

use toml::Spanned;

use super::Checker;
use super::value::is_loopback;
use crate::config::document::Span;
use crate::config::raw::{RawSecret, Setting};
use crate::config::{Credentials, ProxyConfig};

impl Checker<'_> {
    /// `keys` are the names of the two in the table.
    pub(super) fn credentials(
        &mut self,
        keys: [&str; 2],
        username: Setting<String>,
        password: Setting<RawSecret>,
        table: &Span,
    ) -> Option<Credentials> {
        let [user_key, password_key] = keys;
        match (&username, &password) {
            (Some(_), None) => {
                self.missing(Some(table), password_key, &format!("{user_key} needs it"));
            }
            (None, Some(_)) => {
                self.missing(Some(table), user_key, &format!("{password_key} needs it"));
            }
            _ => {}
        }
        if let Some(username) = username
            .as_ref()
            .filter(|name| name.get_ref().contains(':'))
        {
            let what = "holds a colon, which HTTP Basic authentication cannot send";
            self.refuse(&username.span(), what);
        }
        let username = self.text(username);
        let password = self.secret(password?, |c| !c.is_control());
        Some(Credentials {
            username: username?,
            password: password?,
        })
    }

    pub(super) fn proxy(
        &mut self,
        url: Setting<String>,
        username: Setting<String>,
        password: Setting<RawSecret>,
        table: &Span,
    ) -> Option<ProxyConfig> {
        let of_user = username.as_ref().map(Spanned::span);
        let span = of_user.or_else(|| password.as_ref().map(Spanned::span));
        let keys = ["proxy_username", "proxy_password"];
        let credentials = self.credentials(keys, username, password, table);
        let Some(url) = url else {
            if let Some(span) = span {
                self.refuse(&span, "needs proxy beside it, the URL of that proxy");
            }
            return None;
        };
        let parsed = self.url(&url, &["http", "https", "socks5", "socks5h"]);
        let is_open = parsed.is_some_and(|url| {
            url.scheme() != "https" && !is_loopback(url.host_str().unwrap_or_default())
        });
        if credentials.is_some() && is_open {
            let what = "the password of the proxy goes over the network in clear text; use https:// if \
                        the proxy offers it";
            self.warn(&url.span(), what);
        }
        Some(ProxyConfig {
            url: url.into_inner(),
            credentials,
        })
    }
}
