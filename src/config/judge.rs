//! Walks the file before it becomes a [`Config`], and gathers everything that is wrong with it.

use std::{ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    Config, DnssecValidation, OverrideMode, OverrideScope, Problem, Via,
    kind::{self, Kind, quoted},
    load::Purpose,
    near::nearest,
    setting::{Default as SettingDefault, Section, Shape},
    settings,
};
use crate::{
    alert::quiet::QuietHours,
    net::{address_guard::is_this_machine, webhook::WebhookUrl},
    policy::rua_record::DESTINATIONS_MAX,
    store::keeping::{DayPart, Keeping, UNDER_WAY_DAYS},
};

/// Walks the file and gathers what is wrong with it.
pub(super) struct Judge<'a> {
    text: &'a str,
    directory: &'a Path,
    purpose: Purpose,
    problems: Vec<Problem>,
}

impl<'a> Judge<'a> {
    /// A judge of a file's text whose paths are relative to `directory`.
    pub(super) const fn of(text: &'a str, directory: &'a Path, purpose: Purpose) -> Self {
        Self {
            text,
            directory,
            purpose,
            problems: Vec::new(),
        }
    }

    /// Nothing is wrong so far.
    pub(super) const fn is_content(&self) -> bool {
        self.problems.is_empty()
    }

    /// Everything that is wrong, in the order of the file.
    pub(super) fn verdict<T>(mut self) -> Result<T, Vec<Problem>> {
        // Where a line is no TOML, what the parser guessed in its place says nothing.
        self.problems.sort();
        self.problems.dedup_by(|later, first| {
            later == first || (later.line == first.line && first.setting.is_empty())
        });
        Err(self.problems)
    }

    /// Something is wrong with `setting` at `span`, octets of the text.
    pub(super) fn complain(&mut self, span: Range<usize>, setting: &str, reason: String) {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        self.problems.push(Problem {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            setting: setting.to_owned(),
            reason,
        });
    }

    /// Every section and value by itself.
    pub(super) fn sections(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let Some(section) = settings::section(name.get_ref()) else {
                self.unknown_section(name, value);
                continue;
            };
            match section.shape {
                Shape::Single => match value.get_ref().as_table() {
                    Some(part) => self.settings(section, section.name, part, name.span()),
                    None => self.not_a_section(section, value),
                },
                Shape::List => self.list(section, value),
                Shape::ByDomain => self.domains(section, value),
            }
        }
    }

    fn unknown_section(&mut self, name: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) {
        let known = settings::SECTIONS.iter().map(|section| section.name);
        let reason = match nearest(name.get_ref(), known) {
            Some(meant) => format!("unknown section; did you mean [{meant}]?"),
            None if value.get_ref().is_table() => "unknown section".to_owned(),
            None => "unknown setting; every setting stands below its [section]".to_owned(),
        };
        self.complain(name.span(), &shown(name.get_ref()), reason);
    }

    fn not_a_section(&mut self, section: &Section, value: &Spanned<DeValue<'_>>) {
        let reason = format!("write it as a section, {}", section.header());
        self.complain(value.span(), section.name, reason);
    }

    fn list(&mut self, section: &Section, value: &Spanned<DeValue<'_>>) {
        let Some(items) = value.get_ref().as_array() else {
            return self.not_a_section(section, value);
        };
        for item in items {
            match item.get_ref().as_table() {
                Some(part) => self.settings(section, section.name, part, item.span()),
                None => self.not_a_section(section, item),
            }
        }
        match section.name {
            "dkim" => self.same_selectors(items.iter()),
            "destination" => self.destinations(items.iter()),
            _ => {}
        }
    }

    /// Sections whose settings do not fit together, and such as nothing ever comes to.
    fn destinations<'i>(&mut self, items: impl Iterator<Item = &'i Spanned<DeValue<'i>>>) {
        let mut takes_all = false;
        for item in items {
            if takes_all {
                let reason =
                    "no destination comes to this section: the one before is for all of them"
                        .to_owned();
                self.complain(item.span(), "destination", reason);
                return;
            }
            let text = |key| {
                item.get_ref()
                    .get(key)
                    .and_then(|value| value.get_ref().as_str())
            };
            let is_open = |key| text(key).is_none_or(str::is_empty);
            takes_all = is_open("policy_domain") && is_open("rua_domain");
            self.destinations_to(item, text("action").unwrap_or_default());
        }
    }

    /// `to` belongs to the actions that name other destinations, and to them alone.
    fn destinations_to(&mut self, item: &Spanned<DeValue<'_>>, action: &str) {
        let to = item.get_ref().get("to");
        let named = to.and_then(|to| to.get_ref().as_array());
        let named = named.map_or(0, |named| named.iter().count());
        let reason = match (action, named) {
            ("replace" | "add", 0) => {
                format!("missing; \"{action}\" needs {}", Kind::Destinations)
            }
            ("replace" | "add", _) if named > DESTINATIONS_MAX => {
                format!("{named} destinations; there may be {DESTINATIONS_MAX}")
            }
            ("accept" | "discard", 1..) => {
                format!("\"{action}\" sends nothing to other destinations")
            }
            _ => return,
        };
        let at = to.map_or_else(|| item.span(), Spanned::span);
        self.complain(at, "destination.to", reason);
    }

    /// RFC 6376 s3.1: a selector names one key.
    fn same_selectors<'i>(&mut self, items: impl Iterator<Item = &'i Spanned<DeValue<'i>>>) {
        let mut seen: Vec<&str> = Vec::new();
        for item in items {
            let Some(value) = item.get_ref().get("selector") else {
                continue;
            };
            let Some(selector) = value.get_ref().as_str() else {
                continue;
            };
            if seen.iter().any(|one| one.eq_ignore_ascii_case(selector)) {
                let reason = format!("the selector {} is there already", quoted(selector));
                self.complain(value.span(), "dkim.selector", reason);
            }
            seen.push(selector);
        }
    }

    fn domains(&mut self, section: &Section, value: &Spanned<DeValue<'_>>) {
        let Some(domains) = value.get_ref().as_table() else {
            return self.not_a_section(section, value);
        };
        let mut seen = Vec::new();
        for (name, part) in domains {
            let called = format!("domain.{}", quoted(name.get_ref()));
            match kind::scope(name.get_ref()) {
                Err(reason) => self.complain(name.span(), &called, reason),
                Ok(scope) if seen.contains(&scope) => {
                    let reason = format!("{scope} has a section already");
                    self.complain(name.span(), &called, reason);
                }
                Ok(scope) => {
                    if scope == OverrideScope::EveryOther {
                        self.mode_for_all(&called, part);
                    }
                    seen.push(scope);
                }
            }
            match part.get_ref().as_table() {
                Some(part) => self.settings(section, &called, part, name.span()),
                None => self.not_a_section(section, part),
            }
        }
    }

    /// What may be done for every domain at once.
    // OURS: `off` for all is not to run us, `without-dane` is `dane.validation = "off"`; and what demands more than domains
    // ask for would keep mail from most of them.
    fn mode_for_all(&mut self, called: &str, part: &Spanned<DeValue<'_>>) {
        let mode = part.get_ref().as_table().and_then(|part| part.get("mode"));
        let is_audit = |mode: &DeValue<'_>| mode.as_str() == Some(OverrideMode::Audit.name());
        if let Some(mode) = mode.filter(|mode| !is_audit(mode.get_ref())) {
            let reason = "for every domain (\"*\") only \"audit\" can be set".to_owned();
            self.complain(mode.span(), &format!("{called}.mode"), reason);
        }
    }

    /// The settings of one section that stands at `at` and is called `called`.
    fn settings(&mut self, section: &Section, called: &str, part: &DeTable<'_>, at: Range<usize>) {
        for (key, value) in part {
            let name = format!("{called}.{}", shown(key.get_ref()));
            match section.setting(key.get_ref()) {
                // Whoever may read the file need not be one who may read the keys.
                Some(setting)
                    if setting.kind == Kind::PrivateKey && self.purpose == Purpose::Command => {}
                Some(setting) => {
                    for (span, reason) in setting.kind.complaints(value, self.directory) {
                        self.complain(span, &name, reason);
                    }
                }
                None => {
                    let known = section.settings.iter().map(|setting| setting.key);
                    let reason = match nearest(key.get_ref(), known) {
                        Some(meant) => {
                            format!("unknown setting; did you mean \"{meant}\"?")
                        }
                        None => "unknown setting".to_owned(),
                    };
                    self.complain(key.span(), &name, reason);
                }
            }
        }
        for setting in section.settings {
            let missing = !part.keys().any(|key| key.get_ref() == setting.key);
            if setting.default == SettingDefault::Required && missing {
                let name = format!("{called}.{}", setting.key);
                self.complain(
                    at.clone(),
                    &name,
                    format!("missing; it is {}", setting.kind),
                );
            }
        }
    }

    /// What only shows when the settings are seen together.
    pub(super) fn whole(&mut self, config: &Config, table: &DeTable<'_>) {
        self.believed_resolvers(config, table);
        self.page(config, table);
        self.alert(config, table);
        self.keeping(config, table);
        if config.report.enabled {
            self.reports(config, table);
        }
    }

    /// RFC 7672 s2.1.1: a resolver's word on signatures counts where nobody can change it on the way.
    fn believed_resolvers(&mut self, config: &Config, table: &DeTable<'_>) {
        let mut servers = config.dns.servers.iter();
        let far = servers.find(|server| !is_this_machine(server.ip()));
        if let (DnssecValidation::Resolver, Some(far)) = (config.dane.validation, far) {
            let reason = format!(
                "\"resolver\" needs resolvers on this machine, and dns.servers has {far}: on the way from \
                 there anybody could say that an answer is signed. \"own\" validates here"
            );
            let at = span_of(table, "dane", "validation");
            self.complain(at, "dane.validation", reason);
        }
    }

    /// Who can reach the page must not be anybody.
    fn page(&mut self, config: &Config, table: &DeTable<'_>) {
        if let Some(far) = config.page.open_to_all() {
            let reason = format!(
                "{far} can be reached from other machines: set page.token_file, or page.proxies and \
                 page.user_header, or listen on 127.0.0.1"
            );
            self.complain(span_of(table, "page", "listen"), "page.listen", reason);
        }
        let named = !config.page.user_header.is_empty();
        let reason = if !named {
            return;
        } else if !crate::page::is_header_name(&config.page.user_header) {
            "not the name of an HTTP header such as \"X-Remote-User\""
        } else if config.page.proxies.is_empty() && config.page.path.as_os_str().is_empty() {
            "it is believed of page.proxies and on page.path, and neither is set"
        } else {
            return;
        };
        let at = span_of(table, "page", "user_header");
        self.complain(at, "page.user_header", reason.to_owned());
    }

    /// Whom alerts cannot reach as they are set.
    fn alert(&mut self, config: &Config, table: &DeTable<'_>) {
        let alert = &config.alert;
        let mut complain = |key: &str, reason: String| {
            let at = span_of(table, "alert", key);
            self.complain(at, &format!("alert.{key}"), reason);
        };
        if !alert.quiet.is_empty()
            && let Err(reason) = alert.quiet.parse::<QuietHours>()
        {
            complain("quiet", reason);
        }
        if !alert.webhook_url.is_empty()
            && let Err(reason) = WebhookUrl::read(&alert.webhook_url)
        {
            complain("webhook_url", reason);
        }
        let unnamed = config.sender.contact.is_empty() || config.sender.organization.is_empty();
        if !alert.mail_to.is_empty() && unnamed {
            let reason =
                "the mail is from sender.contact: set organization and contact below [sender]";
            complain("mail_to", reason.to_owned());
        }
    }

    /// What cannot be kept so long, or so short.
    fn keeping(&mut self, config: &Config, table: &DeTable<'_>) {
        let store = &config.store;
        let (failures, reports) = (store.keep_failures_days, store.keep_reports_days);
        // As long as tallies are really kept: what may be reported stays whatever is set.
        let tallies = Keeping::of(store).days(DayPart::Counts);
        let mut complain = |key: &str, reason: String| {
            let at = span_of(table, "store", key);
            self.complain(at, &format!("store.{key}"), reason);
        };
        if (1..UNDER_WAY_DAYS).contains(&failures) {
            let reason = format!(
                "a report can be under way for {UNDER_WAY_DAYS} days after its own, and says at which times of the \
                 day a failure was seen: write at least {UNDER_WAY_DAYS}, or 0 to keep them as long as tallies"
            );
            complain("keep_failures_days", reason);
        } else if failures > tallies {
            let reason = format!(
                "single failures are kept no longer than the tallies they are part of, for {tallies} days: write at \
                 most {tallies}, or raise store.keep_days"
            );
            complain("keep_failures_days", reason);
        }
        if (1..tallies).contains(&reports) {
            let reason = format!(
                "tallies are kept for {tallies} days, and without knowing what was sent the report of one of them \
                 could be sent again: write at least {tallies}, or lower store.keep_days"
            );
            complain("keep_reports_days", reason);
        }
    }

    /// What reports need.
    fn reports(&mut self, config: &Config, table: &DeTable<'_>) {
        let sender = &config.sender;
        let needed = [
            ("organization", &sender.organization, "\"Example Org\""),
            ("contact", &sender.contact, "\"postmaster@example.org\""),
        ];
        for (key, value, example) in needed {
            if value.trim().is_empty() {
                let reason = format!(
                    "reports need it: set {key} = {example} below [sender], or report.enabled = false \
                     to send none"
                );
                self.complain(
                    span_of(table, "sender", key),
                    &format!("sender.{key}"),
                    reason,
                );
            }
        }
        if config.deliver.via == Via::Mx && config.dkim.is_empty() {
            // RFC 8460 s3: receivers must ignore a report without a valid signature.
            let reason =
                "\"mx\" needs a [[dkim]] key: nobody after us would sign the reports, and \
                          receivers ignore unsigned ones"
                    .to_owned();
            self.complain(span_of(table, "deliver", "via"), "deliver.via", reason);
        }
    }
}

/// Where a setting stands, else its section, else the start of the file.
fn span_of(table: &DeTable<'_>, section: &str, key: &str) -> Range<usize> {
    let Some((name, part)) = table.iter().find(|(name, _)| name.get_ref() == section) else {
        return 0..0;
    };
    part.get_ref()
        .get(key)
        .map_or_else(|| name.span(), Spanned::span)
}

/// A key of the file within a message.
fn shown(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if key.len() <= 80 && key.bytes().all(plain) && !key.is_empty() {
        key.to_owned()
    } else {
        quoted(key)
    }
}
