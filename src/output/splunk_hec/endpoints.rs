//! The addresses of a collector.

use reqwest::Url;

use super::super::BuildOutputError;

const EVENT_PATH: &str = "services/collector/event";
const ACK_PATH: &str = "services/collector/ack";
const HEALTH_PATH: &str = "services/collector/health";

/// One collector's addresses.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// Where events go.
    pub(super) events: Url,
    /// Where acknowledgements are asked for.
    pub(super) acks: Url,
    /// Where it says how it is.
    pub(super) health: Url,
}

impl Endpoint {
    /// All of a list of base URLs, of which there must be at least one.
    pub(super) fn all(bases: &[String]) -> Result<Vec<Self>, BuildOutputError> {
        if bases.is_empty() {
            return Err(BuildOutputError::NoEndpoint);
        }
        bases.iter().map(|base| Self::new(base)).collect()
    }

    fn new(base: &str) -> Result<Self, BuildOutputError> {
        let url = base_url(base)?;
        let path = url.path().trim_matches('/').to_owned();
        let below = |end: &str| {
            let mut url = url.clone();
            let slash = if path.is_empty() { "" } else { "/" };
            url.set_path(&format!("/{path}{slash}{end}"));
            url
        };
        Ok(Self {
            events: below(EVENT_PATH),
            acks: below(ACK_PATH),
            health: below(HEALTH_PATH),
        })
    }
}

fn base_url(base: &str) -> Result<Url, BuildOutputError> {
    let wrong = |shown: &str, problem: String| BuildOutputError::Endpoint {
        endpoint: shown.to_owned(),
        problem,
    };
    let url = Url::parse(base).map_err(|error| {
        // What is no URL may still hold a password before the last @.
        let shown = base.rsplit('@').next().unwrap_or_default();
        wrong(
            shown,
            format!("is not a URL such as https://splunk.example.com:8088: {error}"),
        )
    })?;
    let host = url.host_str().unwrap_or_default();
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong(host, "must begin with https:// or http://".into()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            host,
            "must not hold a user or password: the token is set by `token`".into(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(host, "must end before the ? or #".into()));
    }
    if url.path().contains("services/collector") {
        return Err(wrong(
            base,
            "must be the base URL, without /services/collector".into(),
        ));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(bases: &[&str]) -> Result<Vec<Endpoint>, BuildOutputError> {
        let bases: Vec<_> = bases.iter().map(|&base| base.to_owned()).collect();
        Endpoint::all(&bases)
    }

    #[test]
    fn the_paths_are_added_to_the_base() {
        let all = endpoints(&[
            "https://a:8088",
            "http://b/",
            "https://proxy.example.com/splunk/",
        ]);
        let urls = all.unwrap().into_iter();
        let urls: Vec<_> = urls
            .map(|one| [one.events, one.acks].map(String::from))
            .collect();
        assert_eq!(
            urls,
            [
                [
                    "https://a:8088/services/collector/event",
                    "https://a:8088/services/collector/ack",
                ],
                [
                    "http://b/services/collector/event",
                    "http://b/services/collector/ack",
                ],
                [
                    "https://proxy.example.com/splunk/services/collector/event",
                    "https://proxy.example.com/splunk/services/collector/ack",
                ],
            ]
        );
    }

    #[test]
    fn what_cannot_be_an_endpoint_is_refused_with_the_reason() {
        assert!(
            endpoints(&[])
                .unwrap_err()
                .to_string()
                .starts_with("endpoints is empty")
        );
        for (base, expected) in [
            ("splunk", "is not a URL"),
            ("ftp://splunk", "must begin with https://"),
            ("https://user:hunter2@splunk", "must not hold a user"),
            ("https://user:hunter2@splunk:port", "is not a URL"),
            ("https://splunk/?a=b", "must end before the ?"),
            (
                "https://splunk/services/collector",
                "without /services/collector",
            ),
        ] {
            let error = endpoints(&[base]).unwrap_err().to_string();
            assert!(error.contains(expected), "{base}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
