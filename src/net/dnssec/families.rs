//! The addresses of a host, IPv4 and IPv6, made one lookup (RFC 7672 s2.1.3, s2.2).

use std::net::IpAddr;

use crate::net::dns::{Found, Lookup};

/// What both families come to. One that has addresses is enough: a server that fails for AAAA must not
/// keep mail from an IPv4 host.
pub(super) fn together(four: Lookup<IpAddr>, six: Lookup<IpAddr>) -> Lookup<IpAddr> {
    use Lookup::{Bogus, Failed, Insecure, Secure};
    match (four, six) {
        (Secure(four), Secure(six)) => Secure(joined(four, six)),
        // What is there is worth no more than the weaker of the two.
        (Secure(four) | Insecure(four), Secure(six) | Insecure(six)) => Insecure(joined(four, six)),
        (answer @ (Secure(_) | Insecure(_)), trouble @ (Bogus(_) | Failed(_)))
        | (trouble @ (Bogus(_) | Failed(_)), answer @ (Secure(_) | Insecure(_))) => {
            if has_values(&answer) { answer } else { trouble }
        }
        // That signatures do not hold says more than that nobody answered.
        (bogus @ Bogus(_), _) | (_, bogus @ Bogus(_)) => bogus,
        (failed @ Failed(_), Failed(_)) => failed,
    }
}

fn has_values(lookup: &Lookup<IpAddr>) -> bool {
    match lookup {
        Lookup::Secure(found) | Lookup::Insecure(found) => !found.values.is_empty(),
        Lookup::Bogus(_) | Lookup::Failed(_) => false,
    }
}

fn joined(four: Found<IpAddr>, six: Found<IpAddr>) -> Found<IpAddr> {
    // Both have the same aliases but while these are being changed; those count that lead somewhere.
    let (mut first, second) = if four.values.is_empty() {
        (six, four)
    } else {
        (four, six)
    };
    first.expanded = first.expanded.or(second.expanded);
    first.time_to_live = first.time_to_live.min(second.time_to_live);
    first.values.extend(second.values);
    first
}
