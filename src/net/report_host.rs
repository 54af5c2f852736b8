//! The way of a report to a host that takes it by HTTPS (RFC 8460 s5.4).

use super::handover::{Accepted, SendError};
use crate::clock::BoxFuture;

/// Brings a finished report to an `https:` URI of a rua.
pub trait ReportHost: Send + Sync {
    /// One POST of the gzipped JSON. Follows no redirect. Taken is what a status of 2xx says is taken.
    fn post<'a>(
        &'a self,
        uri: &'a str,
        gzip: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>>;
}
