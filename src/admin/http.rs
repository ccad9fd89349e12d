//! What is answered, and to whom.

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap,
    HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::uri::Authority;
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use super::Admin;
use super::metrics::{self, Format, Sources};
use super::page::{self, ICON, SCRIPT, STYLE};
use crate::listener::{Answer, Peer};
use crate::observe::troubles::{self, Trouble};
use crate::tls;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// Characters of a strange name that are repeated.
const MAX_NAME: usize = 100;
/// Everything of the page comes from here, and nobody shows it inside a page of his own.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const PATHS: &str = "there is nothing at this path; there are / (the status page), /metrics, \
                     /healthz, /readyz and /status (JSON)\n";

/// `/readyz` and what is in the way.
#[derive(Serialize)]
struct Readiness<'a> {
    ready: bool,
    troubles: Vec<&'a Trouble>,
}

impl Admin {
    /// Answers a request.
    pub(super) fn answer(&self, peer: &Peer, request: &Request<Incoming>) -> Answer {
        let mut answer = self
            .refusal(peer, request)
            .unwrap_or_else(|| self.content(request.uri().path(), request.headers()));
        let headers = answer.headers_mut();
        for (name, value) in [
            (CACHE_CONTROL, "no-store"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    /// Why a request is not answered.
    fn refusal(&self, peer: &Peer, request: &Request<Incoming>) -> Option<Answer> {
        if let Some(refusal) = self.foreign_name(request) {
            return Some(refusal);
        }
        let names = self.own.tls.as_ref().map(|tls| tls.client_names.as_slice());
        let names = names.unwrap_or_default();
        let certificate = peer.certificate.as_ref();
        let is_known = certificate.is_some_and(|shown| tls::is_for_one_of(shown, names));
        if !names.is_empty() && !is_known {
            let what = "this certificate has none of the names that are let in \
                        (admin.tls.client_names)\n";
            return Some(text(StatusCode::FORBIDDEN, what));
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            let what = "it can only be looked at: GET and HEAD\n";
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, what);
            let allow = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allow);
            return Some(answer);
        }
        None
    }

    fn foreign_name(&self, request: &Request<Incoming>) -> Option<Answer> {
        let mut stated = request.headers().get_all(HOST).iter();
        let host = stated.next().and_then(|host| host.to_str().ok());
        let (Some(host), None) = (host, stated.next()) else {
            let what = "a request states the name that it is for, in one Host header\n";
            return Some(text(StatusCode::BAD_REQUEST, what));
        };
        // What stands in the request line goes before the header.
        let authority = request.uri().authority().map(Authority::as_str);
        let mut names = [Some(host), authority].into_iter().flatten();
        let foreign = names.find(|name| !self.hosts.allows(name))?;
        let foreign: String = foreign.chars().take(MAX_NAME).collect();
        let what = format!(
            "{foreign:?} is no name of this agent: ask for localhost or for the address that it \
             listens on, or write the name into allowed_hosts of [admin]\n"
        );
        Some(text(StatusCode::MISDIRECTED_REQUEST, what))
    }

    fn content(&self, path: &str, headers: &HeaderMap) -> Answer {
        match path {
            "/" => {
                let view = tokio::task::block_in_place(|| self.view());
                with_type(StatusCode::OK, HTML, page::html(&view))
            }
            "/style.css" => with_type(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            "/script.js" => with_type(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
            "/icon.svg" => with_type(StatusCode::OK, "image/svg+xml", ICON),
            "/metrics" => tokio::task::block_in_place(|| self.metrics(headers)),
            "/healthz" => match self.standstill() {
                None => text(StatusCode::OK, "ok\n"),
                Some(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
            },
            "/readyz" => tokio::task::block_in_place(|| self.readiness()),
            "/status" => {
                let view = tokio::task::block_in_place(|| self.view());
                json(StatusCode::OK, &view)
            }
            _ => text(StatusCode::NOT_FOUND, PATHS),
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Answer {
        let accept = headers.get_all(ACCEPT).iter();
        let accept: Vec<&str> = accept.filter_map(|value| value.to_str().ok()).collect();
        let format = Format::wanted(&accept.join(","));
        let status = self.status();
        let sources = Sources {
            status: &status,
            figures: &self.house.board.figures(),
            tally: &self.house.state.look_back(|diary| diary.tally().clone()),
            troubles: &troubles::find(&status),
            started_at: self.house.started_at,
        };
        let text = metrics::text(&sources, format);
        with_type(StatusCode::OK, format.content_type(), text)
    }

    fn readiness(&self) -> Answer {
        let status = self.status();
        let troubles = troubles::find(&status);
        let in_the_way: Vec<&Trouble> = troubles
            .iter()
            .filter(|trouble| trouble.is_in_the_way)
            .collect();
        let status = if in_the_way.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let readiness = Readiness {
            ready: in_the_way.is_empty(),
            troubles: in_the_way,
        };
        json(status, &readiness)
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_type(status, TEXT, text)
}

fn json(status: StatusCode, what: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(what) {
        Ok(json) => with_type(status, JSON, json + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn with_type(status: StatusCode, media: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let media = HeaderValue::from_static(media);
    answer.headers_mut().insert(CONTENT_TYPE, media);
    answer
}
