//! What Postfix needs so that it can do DANE: signed answers, from resolvers on this machine.

use super::{Machine, Planner, Version};
use crate::{
    config::{DnssecValidation, TellsDane},
    net::validation::SystemResolvers,
};

impl Planner<'_> {
    /// Whether Postfix is to do DANE, by the configuration, and its resolvers let it.
    pub(super) fn can_do_dane(&self, machine: &Machine) -> bool {
        self.is_to_do_dane() && machine.resolvers == SystemResolvers::Mark
    }

    fn is_to_do_dane(&self) -> bool {
        self.config.dane.validation != DnssecValidation::Off
            && self.config.socketmap.dane_only != TellsDane::Never
    }

    /// RFC 7672 s2.1.1: DANE needs resolvers that are trusted, and asked for what they validated.
    pub(super) fn signed_answers(&mut self, machine: &Machine) {
        let is_dane = self
            .postfix
            .value("smtp_tls_security_level")
            .starts_with("dane");
        if (is_dane || self.can_do_dane(machine))
            && self.postfix.value("smtp_dns_support_level") != "disabled"
        {
            self.set(
                "smtp_dns_support_level",
                "dnssec",
                "Postfix asks its resolver which answers are signed: without it there is no DANE",
            );
        }
        let lookups = self.postfix.value("smtp_host_lookup");
        if self.can_do_dane(machine) && !lookups.is_empty() && !lookups.contains("dns") {
            self.stop(format!(
                "smtp_host_lookup is {lookups}: Postfix does no DANE without dns in it, and mail to \
                 domains with DANE waits"
            ));
        }
        if self.is_to_do_dane() || is_dane {
            self.resolvers(machine);
        }
    }

    fn resolvers(&mut self, machine: &Machine) {
        let list = machine.resolv_conf.display();
        let why = match &machine.resolvers {
            SystemResolvers::Mark => {
                self.trusts_resolvers();
                return;
            }
            SystemResolvers::NotHere(address) => format!(
                "{address} in {list} is not on this machine, and what a resolver says of DNSSEC over \
                 the network can be forged"
            ),
            SystemResolvers::DoNotMark => {
                format!("the resolvers of {list} do not say which answers are signed")
            }
            other @ (SystemResolvers::Silent(_) | SystemResolvers::Unreadable(_)) => {
                format!("the resolvers of {list}: {other}")
            }
        };
        let remedy = format!(
            "run a resolver here that validates, such as unbound, and name it alone in {list}"
        );
        if self.config.socketmap.dane_only == TellsDane::Always {
            self.stop(format!(
                "{why}. socketmap.dane_only is \"always\": mail to every domain with DANE waits; {remedy}"
            ));
        } else {
            self.trap(format!(
                "Postfix cannot do DANE: {why}. Domains with TLSA records are held to their MTA-STS \
                 policies alone; {remedy}"
            ));
        }
    }

    /// resolv.conf(5): since 2.31 glibc takes out what a resolver says of DNSSEC, unless it is told or
    /// asked not to.
    fn trusts_resolvers(&mut self) {
        let before = self.version < Version::TRUSTS_RESOLVERS;
        if before || self.version == Version::of(3, 5, 0) {
            self.trap(format!(
                "Postfix {} sees signed answers only with \"options trust-ad\" in /etc/resolv.conf, where \
                 glibc is 2.31 or later",
                self.version
            ));
        }
    }
}
