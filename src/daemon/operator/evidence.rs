//! What auditors ask about the protection of the mail.

use super::{
    super::parts::host_name,
    Operator,
    security::{Found, not_begun, of_domain},
};
use crate::{
    ctl::{
        control::{EvidenceQuestion, Replied},
        protocol::{Refusal, RefusalKind},
        wire::{Evidence, SecurityOfDomain, rows_sha256},
    },
    store::DayPart,
};

impl Operator {
    pub(super) async fn evidence(&self, question: EvidenceQuestion) -> Replied<Evidence> {
        let now = self.clock.now();
        let (from, today) = (question.from, now.day());
        let to = question.to.unwrap_or(today.previous());
        if from > to {
            let why = format!("the range ends on {to}, before it begins on {from}");
            return Err(Refusal::new(RefusalKind::BadRequest, why));
        }
        // A statement about days to come would read as one about days without mail.
        if to > today {
            return Err(not_begun(to, today));
        }
        let domain = question.domain;
        let asked = domain.clone();
        let (found, held_since, cut_until) = self
            .read_newest(move |store, _| {
                let found = Found::read(store, from..=to, asked.as_ref())?;
                let held_since = store.days_of(DayPart::Counts)?.first().copied();
                Ok((found, held_since, store.cut_until(DayPart::Counts)?))
            })
            .await?;
        let domains: Vec<SecurityOfDomain> = found
            .domains
            .iter()
            .map(|(domain, protected)| of_domain(domain, protected))
            .collect();
        let loaded = self.loaded.load_full();
        let sender = &loaded.config.sender;
        let organization = Some(sender.organization.clone()).filter(|name| !name.is_empty());
        Ok(Evidence {
            program: concat!("sealpost ", env!("CARGO_PKG_VERSION")).to_owned(),
            organization,
            host: host_name(&loaded.config),
            made_at: now.to_string(),
            from: from.to_string(),
            to: to.to_string(),
            domain: domain.map(|domain| domain.to_string()),
            held_since: held_since.map(|day| day.to_string()),
            cut_until: cut_until.map(|day| day.to_string()),
            last_day_runs: to == today,
            days: found.days,
            not_noted: found.not_noted,
            total: (&found.total).into(),
            sha256: rows_sha256(&domains),
            domains,
        })
    }
}
