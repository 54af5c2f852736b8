//! What stands between a client and the signed Internet, and may lose what is signed, or say more than it knows.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use hickory_proto::{
    op::Metadata,
    rr::{Record, RecordType},
};
use hickory_server::Server;

use super::{Handler, Reply, SignedInternet};
use crate::{dns::bind, shared::hold};

/// What becomes of an answer on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Relaying {
    /// It stays as it is.
    #[default]
    AsIs,
    /// The proofs that something is not there are lost (NSEC and NSEC3), as some forwarders do.
    WithoutProofs,
    /// All signatures and proofs are lost, as with a forwarder that knows nothing of DNSSEC.
    WithoutSignatures,
    /// It is marked as signed (AD), whatever it is.
    Marked,
}

/// A server that passes on what the signed Internet has. Stops when dropped.
pub struct Relay {
    address: SocketAddr,
    relaying: Arc<Mutex<Relaying>>,
    _server: Server<Handler>,
}

impl SignedInternet {
    /// Starts a server that passes on what is here, on a port of `127.0.0.1`.
    ///
    /// # Errors
    /// No socket can be bound.
    pub async fn relay(&self, relaying: Relaying) -> io::Result<Relay> {
        let (udp, tcp) = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let address = udp.local_addr()?;
        let relaying = Arc::new(Mutex::new(relaying));
        let mut server = Server::new(Handler {
            state: Arc::clone(&self.state),
            relaying: Arc::clone(&relaying),
        });
        server.register_socket(udp);
        server.register_listener(tcp, Duration::from_secs(30), 64);
        Ok(Relay {
            address,
            relaying,
            _server: server,
        })
    }
}

impl Relay {
    /// Where it listens, for UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does something else with answers from now on.
    pub fn set(&self, relaying: Relaying) {
        *hold(&self.relaying) = relaying;
    }
}

impl Relaying {
    /// Does it to an answer.
    pub(super) fn apply(self, reply: &mut Reply, metadata: &mut Metadata) {
        let lost: &[RecordType] = match self {
            Self::AsIs => &[],
            Self::Marked => {
                metadata.authentic_data = true;
                &[]
            }
            Self::WithoutProofs => &[RecordType::NSEC, RecordType::NSEC3],
            Self::WithoutSignatures => &[RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3],
        };
        if let Reply::Records {
            answers,
            authorities,
            ..
        } = reply
        {
            let stays = |record: &Record| !lost.contains(&record.record_type());
            answers.retain(stays);
            authorities.retain(stays);
        }
    }
}
