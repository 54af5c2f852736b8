//! By the word of a resolver of this machine (RFC 7672 s2.1.1): it validates, and says by the AD bit what it
//! found.

use std::net::SocketAddr;

use hickory_proto::{
    op::ResponseCode,
    rr::{Name, RData, RecordType},
};

use super::{
    exchange::{Checking, Exchange, shown},
    reading::{found, server_error},
};
use crate::net::{
    address_guard::is_this_machine,
    dns::{DnsError, Lookup},
};

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
        let mut servers = exchange.servers().iter();
        match servers.find(|server| !is_this_machine(server.ip())) {
            Some(far) => Err(*far),
            None => Ok(Self { exchange }),
        }
    }

    /// What a name has, and whether the resolver found it signed.
    pub(super) async fn lookup(&self, name: &Name, kind: RecordType) -> Lookup<RData> {
        let message = match self.exchange.ask(name, kind, Checking::ByResolver).await {
            Ok(message) => message,
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
        match self.exchange.ask(name, kind, Checking::Disabled).await {
            Ok(message) => match message.metadata.response_code {
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

    /// Do the resolvers validate? The root is signed, so whoever does says so of its keys. Each that answers must:
    /// where one finds that signatures do not hold, the next is asked, and would hand out what the first refused.
    ///
    /// # Errors
    /// None gives an answer that says anything.
    pub(super) async fn validate(&self) -> Result<bool, DnsError> {
        let root = Name::root();
        let mut marked = None;
        let mut trouble = None;
        for answer in self.exchange.ask_each(&root, RecordType::DNSKEY).await {
            match answer {
                Ok(message) => match message.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => {
                        let all = marked.unwrap_or(true) && message.metadata.authentic_data;
                        marked = Some(all);
                    }
                    code => trouble = Some(server_error(&root, code)),
                },
                Err(error) => trouble = Some(error),
            }
        }
        match (marked, trouble) {
            (Some(marked), _) => Ok(marked),
            (None, Some(error)) => Err(error),
            (None, None) => Err(DnsError::Unreachable {
                name: shown(&root),
                reason: "no server to ask".to_owned(),
            }),
        }
    }
}
