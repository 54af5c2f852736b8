//! Servers that do nothing but show a certificate chain in a TLS handshake, each by the name it is
//! asked for.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::Certified;

/// TLS servers at one address of loopback, told apart by SNI. They stop when this is dropped.
#[derive(Debug)]
pub struct ChainHosts {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl ChainHosts {
    /// Starts servers of these names. Each shows the certificates in the order given and has the key of
    /// the first.
    ///
    /// # Errors
    /// The operating system gives no port, or rustls takes no such key.
    pub async fn start<'a>(
        shown: impl IntoIterator<Item = (String, Vec<&'a Certified>)>,
    ) -> io::Result<Self> {
        let provider = ring::default_provider();
        let mut chains = HashMap::new();
        for (name, chain) in shown {
            let Some(own) = chain.first() else {
                continue;
            };
            let key = provider
                .key_provider
                .load_private_key(own.key().private_der());
            let key = key.map_err(io::Error::other)?;
            let der = chain
                .iter()
                .map(|of| CertificateDer::from(of.der().to_vec()));
            chains.insert(name, Arc::new(CertifiedKey::new(der.collect(), key)));
        }
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Shown(chains)));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, acceptor));
        Ok(Self {
            address,
            _accepting: accepting,
        })
    }

    /// Where they listen.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let acceptor = acceptor.clone();
        clients.spawn(async move {
            // A client may turn away from what it is shown.
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut said = [0; 512];
                while stream.read(&mut said).await.is_ok_and(|octets| octets > 0) {}
                let _closed = stream.shutdown().await.is_ok();
            }
        });
    }
}

#[derive(Debug)]
struct Shown(HashMap<String, Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(hello.server_name()?).cloned()
    }
}
