//! One file for each part of the program, each against real sockets of the test kit.

mod capi;
mod consumers;
mod daemon;
mod dane;
mod dane_openssl;
mod dane_verifier;
mod datagram;
mod deliver;
mod demo;
mod exim;
mod exim_dane;
mod in_process;
mod plugin_socket;
mod policy;
mod postfix;
mod postfix_log;
mod probe;
mod report;
mod report_post;
mod report_show;
mod secure_dns;
mod sendmail;
mod socketmap;
mod store;
mod systemd;
