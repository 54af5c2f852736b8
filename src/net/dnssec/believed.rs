//! By the word of a resolver of this machine (RFC 7672 s2.1.1): it validates, and says by the AD bit what it
//! found.

use std::net::SocketAddr;

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, RecordType},
};

use super::{
    Looked,
    at_once::at_once,
    exchange::{Checking, Exchange, Whom, shown},
    in_time,
    reading::{found, server_error},
};
use crate::net::{address_guard::is_this_machine, dns::Lookup};

/// Resolvers whose AD bit is believed.
pub(super) struct Believed {
    exchange: Exchange,
}

impl Believed {
    /// Resolvers of this machine.
    ///
    /// # Errors
    /// The first that is not: between it and us anybody could set a bit.
    pub(super) fn new(exchange: Exchange) -> Result<Self, SocketAddr> {
        let far = exchange
            .servers()
            .find(|server| !is_this_machine(server.ip()));
        match far {
            Some(far) => Err(far),
            None => Ok(Self { exchange }),
        }
    }

    /// What a name has, and whether the resolver found it signed.
    pub(super) async fn lookup(&self, name: &Name, kind: RecordType) -> Lookup<RData> {
        let asking = self
            .exchange
            .ask(name, kind, Checking::ByResolver, Whom::InTurn);
        let message = match asking.await {
            Ok(answered) => answered.message,
            Err(error) => return Lookup::Failed(error),
        };
        let code = message.metadata.response_code;
        if code == ResponseCode::ServFail {
            return self.why_it_failed(name, kind).await;
        }
        if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Lookup::Failed(server_error(name, code));
        }
        match found(&message, name, kind) {
            // RFC 4035 s3.2.3: AD is said of the answers and of the proof that there is none.
            Ok(found) if message.metadata.authentic_data => Lookup::Secure(found),
            Ok(found) => Lookup::Insecure(found),
            Err(error) => Lookup::Failed(error),
        }
    }

    /// A resolver that validates answers SERVFAIL where it cannot reach anybody, and where a signature does
    /// not hold. Told not to look at signatures (CD), it answers in the second case.
    async fn why_it_failed(&self, name: &Name, kind: RecordType) -> Lookup<RData> {
        let failed = || Lookup::Failed(server_error(name, ResponseCode::ServFail));
        let asking = self
            .exchange
            .ask(name, kind, Checking::Disabled, Whom::InTurn);
        match asking.await {
            Ok(answered) => match answered.message.metadata.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => Lookup::Bogus(format!(
                    "{}: the resolver refuses the {kind} records, and has them where it is told not to \
                     validate",
                    shown(name)
                )),
                _ => failed(),
            },
            Err(_) => failed(),
        }
    }

    /// Does each of the resolvers validate? The root is signed, so whoever does says so of its keys.
    pub(super) async fn look_at_each(&self) -> Vec<Looked> {
        let places = 0..self.exchange.servers().len();
        at_once(places.map(|place| in_time(self.look_at(place)))).await
    }

    async fn look_at(&self, place: usize) -> Looked {
        let root = Name::root();
        let whom = Whom::Only(place);
        let asking = self
            .exchange
            .ask(&root, RecordType::DNSKEY, Checking::ByResolver, whom);
        let metadata = asking.await?.message.metadata;
        match metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain if metadata.authentic_data => Ok(Ok(())),
            ResponseCode::NoError | ResponseCode::NXDomain => {
                let reason = "a resolver does not mark the root's keys as signed (no AD bit)";
                Ok(Err(reason.to_owned()))
            }
            code => Err(server_error(&root, code)),
        }
    }
}
