//! Whom we trust to certify policy hosts and report hosts: is that still whom the world trusts?

use std::path::PathBuf;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::{
    finding::{Examined, traps},
    scene::Scene,
};
use crate::clock::{SECONDS_PER_DAY, Timestamp, UtcDay};

traps! {
    OLD = "roots-old", Warning,
        "The roots that are built in are more than a year old. Authorities come and go: a policy host with a \
         certificate of a new one counts as untrusted, its domain's policy as not to be had, and one that the world has \
         given up is still believed.",
        "Install a newer release.";
    EXTRA_UNUSABLE = "extra-roots-unusable", Trouble,
        "A file of policy.extra_roots cannot be used: the daemon does not start.",
        "Mend the file: certificates in PEM. Or take it out of policy.extra_roots.";
    EXTRA_EXPIRED = "extra-root-expired", Warning,
        "A root of the operator's own has expired. It is trusted on, for a root is trusted for its key; others do not, \
         and what it certifies will have expired with it.",
        "Replace the certificate in the file.";
}

/// When the crate `webpki-roots` of this version came out.
// A test holds it to what is built in.
const BUILT_IN: (&str, &str) = ("1.0.10", "2026-10-19");

/// The built-in ones are old after so many days.
const DAYS_MAX: i64 = 400;

/// What was seen.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) today: UtcDay,
    /// When the built-in roots came out.
    pub(super) built_in: UtcDay,
    /// Each file of the operator's, with its roots.
    pub(super) extra: Vec<(PathBuf, Result<Vec<Root>, String>)>,
}

/// One root of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) subject: String,
    pub(super) not_after: Timestamp,
}

pub(super) fn judge(facts: &Facts) -> Examined {
    let mut examined = Examined::default();
    let age_days = facts
        .today
        .first_second()
        .seconds_since(facts.built_in.first_second())
        / SECONDS_PER_DAY;
    let (version, _) = BUILT_IN;
    let seen = format!(
        "the built-in roots are of {} (webpki-roots {version})",
        facts.built_in
    );
    if age_days > DAYS_MAX {
        examined.found(OLD, format!("{seen}: {age_days} days"));
    } else {
        examined.well(seen);
    }
    for (path, roots) in &facts.extra {
        let shown = path.display();
        match roots {
            Err(why) => examined.found(EXTRA_UNUSABLE, format!("{shown}: {why}")),
            Ok(roots) => {
                examined.well(format!("{shown} holds {} roots", roots.len()));
                for root in roots {
                    if root.not_after < facts.today.first_second() {
                        let seen =
                            format!("{shown}: {} expired at {}", root.subject, root.not_after);
                        examined.found(EXTRA_EXPIRED, seen);
                    }
                }
            }
        }
    }
    examined
}

pub(super) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    let (_, day) = BUILT_IN;
    let built_in = match day.parse() {
        Ok(day) => day,
        Err(error) => return Examined::not_seen(format!("{error}")),
    };
    let files = config.policy.extra_roots.clone();
    let reading = move || -> Vec<_> {
        let files = files.into_iter();
        files.map(|file| (file.clone(), roots_in(&file))).collect()
    };
    match tokio::task::spawn_blocking(reading).await {
        Ok(extra) => judge(&Facts {
            today: scene.clock.now().day(),
            built_in,
            extra,
        }),
        Err(error) => Examined::not_seen(error.to_string()),
    }
}

fn roots_in(file: &std::path::Path) -> Result<Vec<Root>, String> {
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("it holds no certificate in PEM".to_owned());
    }
    let read = certificates.iter().map(|certificate| {
        let (_, root) =
            X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
        Ok(Root {
            subject: root.subject().to_string(),
            not_after: Timestamp(root.validity().not_after.timestamp()),
        })
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_the_built_in_roots_is_that_of_what_is_built_in() {
        let lock = include_str!("../../../Cargo.lock");
        let (version, day) = BUILT_IN;
        let entry = format!("name = \"webpki-roots\"\nversion = \"{version}\"");
        assert!(
            lock.contains(&entry),
            "another version is built in: note its day in BUILT_IN"
        );
        day.parse::<UtcDay>().unwrap();
    }
}
