//! What DNS names an authority may speak for: the name constraints of its certificate (RFC 5280
//! s4.2.1.10).

use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

/// The name constraints of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Constraints {
    /// The names below which it may speak; none where any name will do.
    permitted: Vec<String>,
    /// The names below which it may not.
    excluded: Vec<String>,
    /// Whether it says something of names of a kind that rustls-webpki does not compare: it then refuses
    /// all such names.
    pub(super) of_other_kinds: bool,
}

impl Constraints {
    /// Reads them; nothing where there are none.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Option<Self> {
        let mut constraints = Self {
            permitted: Vec::new(),
            excluded: Vec::new(),
            of_other_kinds: false,
        };
        let Ok(extension) = certificate.name_constraints() else {
            // What cannot be read is of a kind that nobody compares.
            constraints.of_other_kinds = true;
            return Some(constraints);
        };
        let value = extension?.value;
        for (subtrees, names) in [
            (&value.permitted_subtrees, &mut constraints.permitted),
            (&value.excluded_subtrees, &mut constraints.excluded),
        ] {
            for subtree in subtrees.iter().flatten() {
                match &subtree.base {
                    GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                    GeneralName::IPAddress(_) => {}
                    _ => constraints.of_other_kinds = true,
                }
            }
        }
        Some(constraints)
    }

    /// Whether a DNS name, which may begin with a wildcard, is one that it may speak for.
    pub(super) fn admit(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_permitted =
            self.permitted.is_empty() || self.permitted.iter().any(|base| is_within(&name, base));
        // A wildcard must not stand for what is excluded.
        let stands_for = |base: &str| {
            name.strip_prefix("*.")
                .is_some_and(|parent| is_within(base, parent))
        };
        let mut excluded = self.excluded.iter();
        is_permitted && !excluded.any(|base| is_within(&name, base) || stands_for(base))
    }
}

/// Whether a name is this base or stands below it. RFC 5280 s4.2.1.10: labels may be added on the left; a
/// base that begins with a dot is met in the field, and then at least one must be.
fn is_within(name: &str, base: &str) -> bool {
    let Some(added) = name.strip_suffix(base) else {
        return false;
    };
    added.is_empty() || base.is_empty() || base.starts_with('.') || added.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c13_a_name_is_held_to_what_an_authority_may_speak_for() {
        let of = |permitted: &[&str], excluded: &[&str]| Constraints {
            permitted: permitted.iter().map(|&name| name.into()).collect(),
            excluded: excluded.iter().map(|&name| name.into()).collect(),
            of_other_kinds: false,
        };
        for (permitted, excluded, name, expected) in [
            (&[][..], &[][..], "mx.a.test", true),
            (&["a.test"], &[], "a.test", true),
            (&["a.test"], &[], "MX.A.Test", true),
            (&["a.test"], &[], "ba.test", false),
            (&["a.test"], &[], "b.test", false),
            (&[".a.test"], &[], "mx.a.test", true),
            (&[".a.test"], &[], "a.test", false),
            (&["b.test", "a.test"], &[], "mx.a.test", true),
            (&["a.test"], &[], "*.a.test", true),
            (&["mx.a.test"], &[], "*.a.test", false),
            (&[], &["a.test"], "mx.a.test", false),
            (&[], &["a.test"], "mx.b.test", true),
            (&[], &["mx.a.test"], "*.a.test", false),
            (&[], &["mx.a.test"], "*.b.test", true),
            (&[], &[""], "mx.b.test", false),
            (&["a.test"], &["mx.a.test"], "mx.a.test", false),
            (&["a.test"], &["mx.a.test"], "mx2.a.test", true),
        ] {
            let admitted = of(permitted, excluded).admit(name);
            assert_eq!(admitted, expected, "{permitted:?} {excluded:?} {name}");
        }
    }
}
