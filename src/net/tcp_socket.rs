//! A TCP socket to listen on: taken over from systemd, or bound.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use super::activation::Activated;

/// Why nobody can connect to an address. For the operator.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// How many clients may wait to be accepted; the kernel's `net.core.somaxconn` may allow fewer.
const LISTEN_QUEUE: u32 = 1_024;

/// Listens on an address: with systemd's socket, if it passed one, else with one of our own. Must
/// be called inside a tokio runtime. Clients can connect from now on.
///
/// # Errors
/// When the address is taken or not ours, or the system refuses.
pub fn open(address: SocketAddr, activated: &mut Activated) -> Result<TcpListener, ListenError> {
    let listener = match activated.tcp_listener(address) {
        Some(listener) => {
            tracing::info!(%address, "the socket comes from systemd");
            // systemd passes blocking sockets.
            listener
                .set_nonblocking(true)
                .and_then(|()| TcpListener::from_std(listener))
        }
        None => bind(address),
    };
    listener.map_err(|source| ListenError { address, source })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Connections of the last daemon that have not gone yet do not keep the next one out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(LISTEN_QUEUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_listened_on_and_one_that_is_taken_is_named() {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = open(any, &mut Activated::none()).unwrap();
        let address = first.local_addr().unwrap();
        let refused = open(address, &mut Activated::none()).unwrap_err();
        let said = refused.to_string();
        assert!(
            said.starts_with(&format!("cannot listen on {address}: ")),
            "{said}"
        );
        // Connections that the last one had do not keep the next one out.
        let client = tokio::net::TcpStream::connect(address).await.unwrap();
        let (accepted, _) = first.accept().await.unwrap();
        drop((accepted, first, client));
        let second = open(address, &mut Activated::none()).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn systemds_socket_goes_on_taking_clients_between_two_daemons() {
        let systemd = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = systemd.local_addr().unwrap();
        for _ in 0..2 {
            let passed = systemd.try_clone().unwrap();
            let mut activated = Activated::of([passed.into()]).unwrap();
            // Nobody is there; it waits.
            let client = tokio::net::TcpStream::connect(address).await.unwrap();
            let listener = open(address, &mut activated).unwrap();
            activated.leftover().unwrap();
            let (_, from) = listener.accept().await.unwrap();
            assert_eq!(from, client.local_addr().unwrap());
        }
    }
}
