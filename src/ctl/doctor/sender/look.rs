//! Looks up what the DNS says of the sender.

use super::{
    super::{finding::Examined, scene::Scene},
    Facts, Named, Sample, TakesMail, judge,
    sample::{made, read_back},
};
use crate::{
    clock::Timestamp,
    daemon::{parts::publisher, reports::Publisher, signing::dmarc_record},
    net::dns::{Dns, DnsError},
    report::{
        Submitter,
        submitter::mailbox,
        verify::{Broken, signatures},
    },
};

pub(in crate::ctl::doctor) async fn examine(scene: &Scene) -> Examined {
    let config = match scene.config() {
        Ok(config) => config,
        Err(why) => return Examined::not_seen(why),
    };
    if !config.report.enabled {
        let mut examined = Examined::default();
        examined.well("report.enabled is false: nothing is sent");
        return examined;
    }
    let dns = match scene.dns() {
        Ok(dns) => dns,
        Err(why) => return Examined::not_seen(why),
    };
    let named = match publisher(config) {
        Err(error) => Err(error.to_string()),
        Ok(publisher) => match &publisher.submitter {
            None => Err("[sender] does not say who we are".to_owned()),
            Some(submitter) => Ok(look(&publisher, submitter, scene.clock.now(), &dns).await),
        },
    };
    judge(&Facts { named })
}

async fn look(
    publisher: &Publisher,
    submitter: &Submitter,
    now: Timestamp,
    dns: &dyn Dns,
) -> Named {
    let contact = submitter.domain().to_string();
    let envelope = mailbox(submitter.envelope_from());
    let envelope = envelope.map_or_else(|_| contact.clone(), |(_, domain)| domain.to_string());
    let (sample, dmarc, spf, contact_mail, envelope_mail) = tokio::join!(
        look_at_sample(publisher, submitter, now, dns),
        dmarc_record(dns, submitter.domain()),
        dns.txt(&envelope),
        takes_mail(dns, &contact),
        takes_mail(dns, &envelope),
    );
    let in_words = |error: DnsError| error.to_string();
    Named {
        host_name: submitter.host_name().to_owned(),
        sample,
        dmarc: dmarc
            .map(|found| found.map(|(name, record)| (name, record.policy)))
            .map_err(in_words),
        spf: spf
            .map(|answer| spf_among(&answer.values))
            .map_err(in_words),
        contact_mail: contact_mail.map_err(in_words),
        envelope_mail: envelope_mail.map_err(in_words),
        contact_domain: contact,
        envelope_domain: envelope,
    }
}

async fn look_at_sample(
    publisher: &Publisher,
    submitter: &Submitter,
    now: Timestamp,
    dns: &dyn Dns,
) -> Result<Sample, String> {
    let (report, mail) = made(publisher, submitter, now)?;
    let mut sample = read_back(&report, &mail)?;
    for (of, signature) in sample.signatures.iter_mut().zip(signatures(&mail)) {
        let signature = signature.map_err(|error| error.to_string())?;
        match dns.txt(&signature.record_name()).await {
            Err(error) => of.verified = Err(error.to_string()),
            Ok(answer) => match signature.verify(&mail, &answer.values) {
                Ok(_) => of.verified = Ok(true),
                // That it is not published is said of the key.
                Err(Broken::NoKey(_)) => of.verified = Ok(false),
                Err(error) => {
                    of.verified = Ok(false);
                    of.broken = Some(error.to_string());
                }
            },
        }
    }
    Ok(sample)
}

/// RFC 7208 s4.5: the record that begins with the version.
fn spf_among(records: &[Vec<u8>]) -> Option<String> {
    let mut texts = records
        .iter()
        .map(|record| String::from_utf8_lossy(record).into_owned());
    texts.find(|text| {
        let version = text.split(' ').next().unwrap_or_default();
        version.eq_ignore_ascii_case("v=spf1")
    })
}

async fn takes_mail(dns: &dyn Dns, domain: &str) -> Result<TakesMail, DnsError> {
    let hosts = dns.mx(domain).await?.values;
    if hosts.iter().any(|host| host.exchange.is_empty()) {
        return Ok(TakesMail::NullMx);
    }
    // RFC 5321 s5.1: without MX records a domain is its own mail host.
    if hosts.is_empty() && dns.addresses(domain).await?.values.is_empty() {
        return Ok(TakesMail::Nowhere);
    }
    Ok(TakesMail::Yes)
}
