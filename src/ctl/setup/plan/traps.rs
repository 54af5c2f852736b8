//! Traps: what an operator should know of this Postfix, and what only an operator can mend.

use super::{About, Machine, Planner, REPORTS, Version};
use crate::policy::PolicyDomain;

impl Planner<'_> {
    /// Looks for all that keeps sessions from Sealpost, or Sealpost from them.
    pub(super) fn look_for_traps(&mut self, machine: &Machine) {
        for service in &self.postfix.services {
            for (name, value) in &service.overrides {
                let mutes = match name.as_str() {
                    "smtp_tls_policy_maps" => service.name != REPORTS,
                    "smtp_tls_security_level" => value.is_empty() || value == "none",
                    "smtp_tlsrpt_enable" => value == "no",
                    _ => false,
                };
                if mutes {
                    self.trap_about(
                        About::Service,
                        format!(
                            "the service {} of master.cf sets {name}={value}: what goes through it \
                             goes past Sealpost",
                            service.name
                        ),
                    );
                }
            }
        }
        if self.postfix.value("smtp_dns_support_level") == "disabled" {
            self.stop(
                "smtp_dns_support_level is disabled: Postfix looks up no MX and tells of no session",
            );
        }
        let told = self.version >= Version::TELLS;
        if told && machine.datagrams_queued_max.is_some_and(|most| most < 512) {
            self.trap_about(
                About::DatagramQueue,
                "net.unix.max_dgram_qlen is below 512, and Postfix drops what finds no room: set it \
                 in /etc/sysctl.d and have its socket made anew",
            );
        }
        self.smart_host();
    }

    /// What Postfix is to trust is named, but can it read that?
    pub(super) fn trusted_roots_are_read(&mut self, machine: &Machine) {
        let (file, directory) = (
            self.postfix.value("smtp_tls_CAfile").to_owned(),
            self.postfix.value("smtp_tls_CApath").to_owned(),
        );
        if !machine.trusted_file_is_there {
            self.stop(format!(
                "smtp_tls_CAfile names {file}, which cannot be read: Postfix then does no TLS at all; \
                 install ca-certificates, or name another"
            ));
        }
        let alone = file.is_empty() && self.postfix.value("tls_append_default_CA") != "yes";
        if alone && self.postfix.any_chrooted() && !machine.trusted_directory_is_in_chroot {
            self.stop(format!(
                "smtp_tls_CApath names {directory}, which a chrooted smtp looks for in {} and does not \
                 find: set smtp_tls_CAfile, which is read before, or mail to every domain with a policy \
                 waits",
                self.postfix.queue_directory().display()
            ));
        }
    }

    /// RFC 8461 s3.4: the smart host's own domain is asked about.
    fn smart_host(&mut self) {
        let relay = self.postfix.value("relayhost").to_owned();
        if relay.is_empty() {
            return;
        }
        let name = relay.trim_start_matches('[');
        let name = name.split([']', ':']).next().unwrap_or_default();
        let whose = if name.parse::<PolicyDomain>().is_ok() {
            format!("the policy of {name} alone counts, and the report goes to it")
        } else {
            "an address has no policy, and no report".to_owned()
        };
        self.trap_about(
            About::SmartHost,
            format!("all mail goes through relayhost {relay}: {whose}"),
        );
    }
}
