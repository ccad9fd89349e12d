//! Which of several collectors is spoken to.

use std::collections::VecDeque;
use std::mem;

use reqwest::Url;

use super::super::BuildOutputError;

const EVENT_PATH: &str = "services/collector/event";

/// The collectors, the one in use first.
#[derive(Debug)]
pub(super) struct Endpoints {
    current: Url,
    others: VecDeque<Url>,
}

impl Endpoints {
    /// From base URLs.
    pub(super) fn new(bases: &[String]) -> Result<Self, BuildOutputError> {
        let mut urls = bases
            .iter()
            .map(|base| event_url(base))
            .collect::<Result<VecDeque<_>, _>>()?;
        let current = urls.pop_front().ok_or(BuildOutputError::NoEndpoint)?;
        Ok(Self {
            current,
            others: urls,
        })
    }

    /// Where the next request goes.
    pub(super) fn current(&self) -> &Url {
        &self.current
    }

    /// The current one did not take a request for now: the next one may.
    pub(super) fn turn(&mut self) {
        if let Some(next) = self.others.pop_front() {
            self.others.push_back(mem::replace(&mut self.current, next));
        }
    }
}

fn event_url(base: &str) -> Result<Url, BuildOutputError> {
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
    let path = url.path().trim_matches('/');
    if path.contains("services/collector") {
        return Err(wrong(
            base,
            "must be the base URL, without /services/collector".into(),
        ));
    }
    let path = if path.is_empty() {
        format!("/{EVENT_PATH}")
    } else {
        format!("/{path}/{EVENT_PATH}")
    };
    let mut url = url;
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(bases: &[&str]) -> Result<Endpoints, BuildOutputError> {
        let bases: Vec<_> = bases.iter().map(|&base| base.to_owned()).collect();
        Endpoints::new(&bases)
    }

    #[test]
    fn goes_around() {
        let mut endpoints = endpoints(&[
            "https://a:8088",
            "http://b/",
            "https://proxy.example.com/splunk/",
        ])
        .unwrap();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(endpoints.current().to_string());
            endpoints.turn();
        }
        assert_eq!(
            seen,
            [
                "https://a:8088/services/collector/event",
                "http://b/services/collector/event",
                "https://proxy.example.com/splunk/services/collector/event",
                "https://a:8088/services/collector/event",
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
