//! What Postfix needs so that it can do DANE: signed answers, from resolvers on this machine.

use super::{About, Machine, Planner, Trap, Version};
use crate::{
    config::{DnssecValidation, InsecureMx, TellsDane},
    net::validation::SystemResolvers,
};

impl Planner<'_> {
    /// Whether Postfix is to do DANE by a level of its own, by the configuration, and its resolvers let it.
    // C18: what is only audited Postfix must not enforce.
    pub(super) fn can_do_dane(&self, machine: &Machine) -> bool {
        self.may_be_told()
            && self.config.dane_audited_by(machine.today).is_none()
            && machine.resolvers == SystemResolvers::Mark
    }

    /// Whether Postfix may be told `dane-only`. Also where DANE is only audited: some domain may be demanded
    /// it of.
    fn may_be_told(&self) -> bool {
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
        if self.may_be_told() && machine.resolvers == SystemResolvers::Mark {
            self.keeps_postfix_from_dane();
        }
        if let Some(why) = self.config.dane_audited_by(machine.today) {
            self.audited_at_a_level_above(why);
        } else if self.may_be_told() || is_dane {
            self.resolvers(machine);
        }
        if is_dane || self.can_do_dane(machine) {
            self.below_insecure_mx();
        }
    }

    /// What else Postfix does no DANE with: all mail that is told `dane-only` then waits.
    fn keeps_postfix_from_dane(&mut self) {
        let waits = "Postfix does no DANE so, and mail to domains with DANE waits";
        let lookups = self.postfix.value("smtp_host_lookup");
        if !lookups.is_empty() && !lookups.contains("dns") {
            self.stop(format!(
                "smtp_host_lookup is {lookups}, without dns: {waits}"
            ));
        }
        if self.postfix.value("ignore_mx_lookup_error") == "yes" {
            self.stop(format!("ignore_mx_lookup_error is yes: {waits}"));
        }
        let options = self.postfix.value("smtp_dns_resolver_options");
        if ["res_defnames", "res_dnsrch"]
            .iter()
            .any(|one| options.contains(one))
        {
            self.stop(format!("smtp_dns_resolver_options is {options}: {waits}"));
        }
        for service in &self.postfix.services {
            let level = service
                .overrides
                .iter()
                .find(|(name, value)| name == "smtp_dns_support_level" && value != "dnssec");
            if let Some((name, value)) = level {
                self.traps.push(Trap {
                    about: About::Service,
                    stops: true,
                    text: format!(
                        "the service {} of master.cf sets {name}={value}: {waits}",
                        service.name
                    ),
                });
            }
        }
    }

    /// Domains with TLSA records are answered `may` while DANE is audited, which is less than this level.
    fn audited_at_a_level_above(&mut self, why: &str) {
        let level = self.postfix.value("smtp_tls_security_level");
        let above = ["encrypt", "verify", "secure", "fingerprint"].contains(&level);
        if above && self.may_be_told() {
            self.trap(format!(
                "smtp_tls_security_level is {level}, and {why}: domains with TLSA records are \
                 answered may, which is less. Postfix does no DANE by this level, so set \
                 socketmap.dane_only = \"never\" in the configuration of sealpost for that time"
            ));
        }
    }

    /// RFC 7672 s2.2.1: Postfix has a setting of its own for what `dane.insecure_mx` says, and goes by that.
    fn below_insecure_mx(&mut self) {
        let name = "smtp_tls_dane_insecure_mx_policy";
        let next = match self.config.dane.insecure_mx {
            InsecureMx::Dane => "dane",
            InsecureMx::Encrypt => "encrypt",
            InsecureMx::May => "may",
        };
        // postconf(5): where nothing is set it is `dane` at the level `dane`, which is the one in question.
        let written = self.postfix.written(name);
        let now = match written.contains("smtp_tls_security_level") || written.is_empty() {
            true => "dane",
            false => self.postfix.value(name),
        };
        if now != next {
            self.set(
                name,
                next,
                "what TLSA records are worth where the MX records are not signed, as dane.insecure_mx says",
            );
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
