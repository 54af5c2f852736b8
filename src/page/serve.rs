//! How the page is reached.

use crate::{
    config::{PageConfig, kind::file_mode},
    net::{
        activation::Activated,
        http_door::{HttpDoor, HttpDoorError},
        unix_socket::Access,
    },
};

/// Why the page cannot be reached. For the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// A socket cannot be made or listened on.
    #[error("page.{0}")]
    Door(#[from] HttpDoorError),
    /// The mode of the unix socket is none.
    #[error("page.mode: {0}")]
    Mode(String),
    /// The system gives no random numbers.
    #[error("page: {0}")]
    Random(#[from] super::sign_in::NoRandomNumbers),
}

/// Opens the sockets of the page, systemd's or our own. Within a tokio runtime.
///
/// # Errors
/// When one cannot be opened.
pub fn open(config: &PageConfig, activated: &mut Activated) -> Result<HttpDoor, PageError> {
    let mode = file_mode(&config.mode).map_err(PageError::Mode)?;
    let access = Access::mode(mode).for_group(&config.group);
    let (path, listen) = (&config.path, &config.listen);
    Ok(HttpDoor::open("page", path, &access, listen, activated)?)
}
