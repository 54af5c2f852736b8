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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::dns::DnsError;

    fn lookup(word: &str, address: &str) -> Lookup<IpAddr> {
        let found = |count| Found {
            values: vec![address.parse().unwrap(); count],
            expanded: None,
            time_to_live: Duration::from_secs(60),
        };
        match word {
            "secure" => Lookup::Secure(found(1)),
            "secure none" => Lookup::Secure(found(0)),
            "insecure" => Lookup::Insecure(found(1)),
            "insecure none" => Lookup::Insecure(found(0)),
            "bogus" => Lookup::Bogus("x".to_owned()),
            _ => Lookup::Failed(DnsError::BadName {
                name: "x".to_owned(),
            }),
        }
    }

    fn told(lookup: &Lookup<IpAddr>) -> String {
        match lookup {
            Lookup::Secure(found) => format!("secure {}", found.values.len()),
            Lookup::Insecure(found) => format!("insecure {}", found.values.len()),
            Lookup::Bogus(_) => "bogus".to_owned(),
            Lookup::Failed(_) => "failed".to_owned(),
        }
    }

    #[test]
    fn c2_one_family_is_enough_and_none_is_no_absence() {
        for (one, other, expected) in [
            ("secure", "secure", "secure 2"),
            ("secure", "secure none", "secure 1"),
            ("secure none", "secure none", "secure 0"),
            ("secure", "insecure", "insecure 2"),
            ("secure", "insecure none", "insecure 1"),
            ("insecure none", "secure none", "insecure 0"),
            ("secure", "failed", "secure 1"),
            ("secure", "bogus", "secure 1"),
            ("insecure", "failed", "insecure 1"),
            ("secure none", "failed", "failed"),
            ("insecure none", "failed", "failed"),
            ("secure none", "bogus", "bogus"),
            ("failed", "bogus", "bogus"),
            ("failed", "failed", "failed"),
        ] {
            let (four, six) = ("192.0.2.1", "2001:db8::1");
            let both = together(lookup(one, four), lookup(other, six));
            assert_eq!(told(&both), expected, "{one}, {other}");
            let both = together(lookup(other, four), lookup(one, six));
            assert_eq!(told(&both), expected, "{other}, {one}");
        }
    }
}
