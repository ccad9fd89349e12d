//! What a syslog message looks like, and how large it may be.

use toml::Spanned;

use crate::config::check::Checker;
use crate::config::document::Span;
use crate::config::raw::Setting;
use crate::config::value::Size;
use crate::config::{SyslogFormat, SyslogTransport};

/// RFC 5424: every receiver must accept messages of this size.
const MIN_MESSAGE_BYTES: usize = 480;

/// The most that fits into one UDP datagram over IPv4.
const MAX_DATAGRAM_BYTES: usize = 65_507;

/// The most that RELP lets a frame carry.
const MAX_RELP_BYTES: usize = 128 << 10;

/// 32473 is the enterprise number that is set aside for examples.
const DEFAULT_SD_ID: &str = "cta@32473";

impl Checker<'_> {
    pub(super) fn app_name(
        &mut self,
        setting: Setting<String>,
        format: Option<SyslogFormat>,
    ) -> String {
        let Some(name) = setting else {
            return "cta-forwarder".to_owned();
        };
        let text = name.get_ref();
        if !is_printable(text, 48) {
            let what = "syslog allows 1 to 48 printable ASCII characters without a space";
            self.refuse(&name.span(), what);
        } else if format == Some(SyslogFormat::Rfc3164) && !is_tag(text) {
            let what = "format \"rfc3164\" allows 1 to 32 letters, digits, dots, dashes, slashes or \
                        underscores";
            self.refuse(&name.span(), what);
        }
        name.into_inner()
    }

    pub(super) fn structured_data(
        &mut self,
        wanted: Option<bool>,
        sd_id: Setting<String>,
        table: &Span,
        format: Option<SyslogFormat>,
    ) -> Option<String> {
        let wanted = self.choice(table, "structured_data", wanted, false);
        if let Some(id) = &sd_id {
            if wanted == Some(false) && format == Some(SyslogFormat::Rfc5424) {
                self.refuse(&id.span(), "needs structured_data = true beside it");
            }
            self.sd_id(id);
        }
        wanted
            .unwrap_or(false)
            .then(|| sd_id.map_or_else(|| DEFAULT_SD_ID.to_owned(), Spanned::into_inner))
    }

    fn sd_id(&mut self, id: &Spanned<String>) {
        let text = id.get_ref();
        if !is_printable(text, 32) || text.contains(['=', ']', '"']) {
            let what = format!(
                "{text:?} is not an SD-ID; write 1 to 32 printable ASCII characters without a \
                 space, =, ] and \""
            );
            self.refuse(&id.span(), what);
        } else if !has_enterprise_number(text) {
            let what = format!(
                "{text:?} is not an SD-ID of your own; write a name, @ and an enterprise number, \
                 such as {DEFAULT_SD_ID:?}"
            );
            self.refuse(&id.span(), what);
        }
    }

    pub(super) fn max_message_bytes(
        &mut self,
        setting: Setting<Size>,
        transport: Option<SyslogTransport>,
    ) -> usize {
        let span = setting.as_ref().map(Spanned::span);
        let default = match transport {
            Some(SyslogTransport::Udp) => 2048,
            _ => 8000,
        };
        let bytes = self.memory_size(setting, default);
        if let Some(what) = transport.and_then(|transport| beyond(transport, bytes))
            && let Some(span) = &span
        {
            self.refuse(span, what);
        }
        if let Some(span) = &span
            && (1..MIN_MESSAGE_BYTES).contains(&bytes)
        {
            let what = format!(
                "{bytes} bytes are less than every receiver must accept; write at least \
                 {MIN_MESSAGE_BYTES}"
            );
            self.refuse(span, what);
        }
        bytes
    }
}

/// Why a transport cannot carry so much.
fn beyond(transport: SyslogTransport, bytes: usize) -> Option<String> {
    let (carrier, max) = match transport {
        SyslogTransport::Udp => ("a datagram", MAX_DATAGRAM_BYTES),
        SyslogTransport::Relp | SyslogTransport::RelpTls => ("a RELP frame", MAX_RELP_BYTES),
        SyslogTransport::Tcp | SyslogTransport::Tls => return None,
    };
    (bytes > max).then(|| format!("{carrier} holds at most {max} bytes"))
}

fn is_printable(text: &str, max_bytes: usize) -> bool {
    (1..=max_bytes).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// RFC 3164 has letters and digits alone; receivers end a TAG at a colon, a bracket or a space.
fn is_tag(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    text.len() <= 32 && text.bytes().all(allowed)
}

/// RFC 5424 keeps the names without one, such as `meta`, for itself.
fn has_enterprise_number(id: &str) -> bool {
    id.split_once('@').is_some_and(|(name, number)| {
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        !name.is_empty() && number.split('.').all(is_part)
    })
}
