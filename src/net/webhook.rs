//! A POST of JSON to a URL that the operator set. It is the operator's own, so it may lead to private
//! addresses; without TLS only to this machine. No redirect is followed, and what is answered is not kept.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::{RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    address_guard::{PrivateAddresses, is_this_machine},
    dns::Dns,
    handover::shown,
    trust::TrustError,
    web::{self, NoConnection, TlsFailure, WebHosts},
};
use crate::clock::Clock;

/// How long one POST may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Where the webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl {
    host: String,
    port: u16,
    target: String,
    authority: String,
    is_tls: bool,
}

impl WebhookUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// Why nothing can be posted there, in words.
    pub fn read(text: &str) -> Result<Self, String> {
        let wrong = || "write it as \"https://host/path\"".to_owned();
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        if authority.as_str().contains('@') {
            return Err(
                "a password in a URL is shown in logs: let the path carry the secret".to_owned(),
            );
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let on_this_machine = match host.parse::<IpAddr>() {
            Ok(address) => is_this_machine(address),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        if !is_tls && !on_this_machine {
            return Err(
                "without TLS only this machine is posted to: https://, or http://127.0.0.1"
                    .to_owned(),
            );
        }
        let default = if is_tls { 443 } else { 80 };
        Ok(Self {
            port: authority.port_u16().unwrap_or(default),
            target: uri
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
            authority: authority.to_string(),
            host,
            is_tls,
        })
    }
}

/// Posts to it.
pub struct Webhook {
    url: WebhookUrl,
    hosts: WebHosts,
    tls: TlsConnector,
}

impl Webhook {
    /// Trusts these roots. The clock says what has expired.
    ///
    /// # Errors
    /// When the TLS library refuses its settings.
    pub fn new(
        url: WebhookUrl,
        dns: Arc<dyn Dns>,
        clock: Arc<dyn Clock>,
        roots: Arc<RootCertStore>,
    ) -> Result<Self, TrustError> {
        Ok(Self {
            url,
            hosts: WebHosts::new(dns, PrivateAddresses::allowed_by(true)),
            tls: web::verified_tls(clock, roots)?,
        })
    }

    /// Posts it once.
    ///
    /// # Errors
    /// In words, made safe to show, when it was not taken with a status of 200 to 299.
    pub async fn post(&self, json: Vec<u8>) -> Result<String, String> {
        match timeout(LIMIT, self.try_post(json)).await {
            Ok(posted) => posted,
            Err(_) => Err(format!(
                "{}: not done within {} s",
                self.url.host,
                LIMIT.as_secs()
            )),
        }
    }

    async fn try_post(&self, json: Vec<u8>) -> Result<String, String> {
        let url = &self.url;
        let addresses = match url.host.as_str() {
            // Whatever a resolver says of this name.
            "localhost" => vec![IpAddr::from([127, 0, 0, 1])],
            host => self.hosts.addresses(host).await.map_err(said)?,
        };
        let targets = addresses
            .into_iter()
            .map(|address| SocketAddr::new(address, url.port));
        let (stream, address) = web::connect(targets, LIMIT).await.map_err(said)?;
        let by = format!("{} [{address}]", url.host);
        let status = if url.is_tls {
            let name = ServerName::try_from(url.host.clone())
                .map_err(|_| format!("{} is not a host name", shown(&url.host)))?;
            let stream = self.tls.connect(name, stream).await;
            let stream = stream.map_err(|error| match TlsFailure::from(error) {
                TlsFailure::Certificate(code) => {
                    format!("the certificate of {by} is not valid: {code}")
                }
                TlsFailure::Other(words) => format!("TLS with {by} fails: {}", shown(&words)),
            })?;
            post(stream, url, json).await
        } else {
            post(stream, url, json).await
        };
        match status.map_err(|error| format!("HTTP with {by} fails: {}", shown(&error)))? {
            status @ 200..=299 => Ok(format!("{by} answers {status}")),
            status => Err(format!("{by} answers {status}")),
        }
    }
}

fn said(why: NoConnection) -> String {
    match why {
        NoConnection::Lookup(reason)
        | NoConnection::NoAddress(reason)
        | NoConnection::Connect(reason) => shown(&reason),
        NoConnection::NotPublic(address) => format!("{address} may not be connected to"),
    }
}

/// Sends it, and gives the status.
async fn post<S>(stream: S, url: &WebhookUrl, json: Vec<u8>) -> Result<u16, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let (mut sender, connection) = web::http()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| told(&error))?;
    let request = Request::post(&url.target)
        .header(header::HOST, &url.authority)
        .header(header::USER_AGENT, web::USER_AGENT)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(json)))
        .map_err(|error| told(&error))?;
    let exchange = async {
        let answer = sender.send_request(request).await;
        answer.map(|answer| answer.status().as_u16())
    };
    let answer = web::moving(connection, exchange).await;
    answer.map_err(|error| told(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_with_tls_and_without_it_on_this_machine_only() {
        for (text, host, port, target) in [
            (
                "https://hooks.example.org/a?b=c",
                "hooks.example.org",
                443,
                "/a?b=c",
            ),
            ("https://10.0.0.1:8443", "10.0.0.1", 8_443, "/"),
            ("http://127.0.0.1:9/x", "127.0.0.1", 9, "/x"),
            ("http://[::1]:9/x", "::1", 9, "/x"),
            ("http://localhost/x", "localhost", 80, "/x"),
        ] {
            let url = WebhookUrl::read(text).unwrap();
            assert_eq!(
                (&*url.host, url.port, &*url.target),
                (host, port, target),
                "{text}"
            );
        }
        for text in [
            "",
            "hooks.example.org",
            "ftp://h/",
            "http://hooks.example.org/",
            "https://u:p@h/",
        ] {
            assert!(WebhookUrl::read(text).is_err(), "{text}");
        }
    }
}
