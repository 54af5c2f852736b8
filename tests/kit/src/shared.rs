//! What several servers of the kit share.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::net::TcpListener;

/// How often a free port is looked for before it is given up.
pub(crate) const PORT_ATTEMPTS_MAX: usize = 50;

/// The value behind the lock. A test that panicked while it held it does not take the rest along.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A name as the kit compares it: lower case, without the dot at the end.
pub(crate) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Listens on this port of every address. With port 0 the operating system picks one for the first
/// address, and the others get the same; where one of them is taken already, it picks again.
pub(crate) async fn listen_on_all(
    addresses: &[IpAddr],
    port: u16,
) -> io::Result<(Vec<TcpListener>, u16)> {
    let attempts = if port == 0 { PORT_ATTEMPTS_MAX } else { 1 };
    let mut last_error = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..attempts {
        match listen_on_each(addresses, port).await {
            Ok(found) => return Ok(found),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last_error = error,
            Err(error) => return Err(error),
        }
    }
    Err(last_error)
}

async fn listen_on_each(
    addresses: &[IpAddr],
    mut port: u16,
) -> io::Result<(Vec<TcpListener>, u16)> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        let wanted = SocketAddr::new(*address, port);
        let listener = TcpListener::bind(wanted)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{wanted}: {error}")))?;
        port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok((listeners, port))
}
