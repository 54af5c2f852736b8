//! The socketmap over real sockets: with a hook that answers by heart, and with the real engine
//! between the kit's resolver and policy hosts.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use sealpost::{
    config::SocketmapConfig, doors::socketmap::Socketmap, hook::AsyncHook,
    net::activation::Activated, observe::Counters,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader},
    net::{TcpStream, UnixStream},
    sync::watch,
    task::JoinHandle,
};

mod cases;
mod conversation;
mod engine;

/// A door that is being served.
struct Door {
    counters: Arc<Counters>,
    path: PathBuf,
    addresses: Vec<SocketAddr>,
    shutdown: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

/// The settings of a door in this directory.
fn config(directory: &TempDir) -> SocketmapConfig {
    SocketmapConfig {
        path: directory.path().join("socketmap.sock"),
        group: String::new(),
        ..SocketmapConfig::default()
    }
}

impl Door {
    fn open(config: &SocketmapConfig, hook: Arc<dyn AsyncHook>) -> Self {
        let counters = Arc::new(Counters::default());
        let (shutdown, stop) = watch::channel(false);
        let door = Socketmap::open(config, &mut Activated::none(), Arc::clone(&counters)).unwrap();
        Self {
            counters,
            path: config.path.clone(),
            addresses: door.addresses(),
            shutdown,
            serving: tokio::spawn(door.serve(hook, stop)),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    async fn client(&self) -> Client<UnixStream> {
        Client::new(UnixStream::connect(&self.path).await.unwrap())
    }

    async fn tcp_client(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.addresses[0]).await.unwrap())
    }

    /// As SIGTERM does; ends when the last client has its replies.
    async fn stop(self) {
        self.shutdown.send(true).unwrap();
        self.serving.await.unwrap();
    }
}

struct Client<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.write_all(octets.as_ref()).await.unwrap();
    }

    /// The next reply; `end` at the end of the connection.
    async fn reply(&mut self) -> String {
        let mut length = 0;
        loop {
            match self.0.read_u8().await {
                Ok(b':') => break,
                Ok(digit) => length = length * 10 + usize::from(digit - b'0'),
                Err(_) => return "end".to_owned(),
            }
        }
        let mut reply = vec![0; length + 1];
        self.0.read_exact(&mut reply).await.unwrap();
        assert_eq!(reply.pop(), Some(b','));
        String::from_utf8(reply).unwrap()
    }

    async fn ask(&mut self, request: impl AsRef<[u8]>) -> String {
        self.send(netstring(request)).await;
        self.reply().await
    }

    /// What arrives before the end, however the end comes.
    async fn rest(&mut self) -> String {
        let mut octets = Vec::new();
        drop(self.0.read_to_end(&mut octets).await);
        String::from_utf8(octets).unwrap()
    }
}

fn netstring(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [format!("{}:", content.len()).as_bytes(), content, b","].concat()
}
