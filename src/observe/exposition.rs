//! The metrics as Prometheus reads them: text format 0.0.4.
//!
//! Every counter of [`Counters`] is one of them by being in that list; what is timed and what goes up and
//! down is named here. The values are read where they are counted, when somebody asks.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet, prometheus_text},
    metrics::MetricType,
    registry::Registry,
};

use super::{
    Counter, Counters,
    gauges::{Gauges, Held},
    measured::{Each, Measured, Times},
    words::Word,
};
use crate::clock::Timestamp;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Stands before every name.
const PREFIX: &str = "sealpost";

/// What the daemon counts and is like now, as text.
///
/// # Errors
/// None that can happen: the text grows in memory, and every label is a word of ours.
pub fn text(
    counters: &Arc<Counters>,
    gauges: Gauges,
    now: Timestamp,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Shown {
        counters: Arc::clone(counters),
        gauges,
        now,
    }));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// What is shown once.
#[derive(Debug)]
struct Shown {
    counters: Arc<Counters>,
    gauges: Gauges,
    now: Timestamp,
}

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(&mut encoder);
        for (name, help, value) in self.counters.described() {
            page.metric(name, help, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        page.measured(&self.counters.measured)?;
        page.gauges(&self.gauges, self.now)?;
        match &self.gauges.held {
            Some(held) => page.held(held, self.now),
            None => Ok(()),
        }
    }
}

/// What is written on.
struct Page<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn metric<'s>(
        &'s mut self,
        name: &'s str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'s>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn gauge(&mut self, name: &str, help: &str, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.metric(name, help, MetricType::Gauge)?
            .encode_gauge(value)
    }

    fn measured(&mut self, measured: &Measured) -> fmt::Result {
        self.by_two(
            ("policy_answers", ["way", "demand"]),
            "Answers to policy questions: from memory or after something was looked up, by what they demand",
            &measured.answers,
        )?;
        let help =
            "How long answers to policy questions took; of those from memory one in 64 is timed";
        let mut metric = self.metric("policy_answer_seconds", help, MetricType::Histogram)?;
        for (way, times) in measured.answer_times.each() {
            for (demand, times) in times.each().filter(|(_, times)| times.is_used()) {
                let labels = [("way", way.word()), ("demand", demand.word())];
                times.encode(metric.encode_family(&labels)?)?;
            }
        }
        self.times(
            ("policy_fetch_seconds", "result"),
            "How long fetches of policy documents took, by what came of them",
            &measured.fetch_times,
        )?;
        self.by_two(
            ("dns_lookups", ["record", "result"]),
            "Lookups in the DNS, by what was asked for and what was said",
            &measured.lookups,
        )?;
        self.times(
            ("dns_lookup_seconds", "result"),
            "How long lookups in the DNS took, by what was said",
            &measured.lookup_times,
        )?;
        self.by_two(
            ("policy_sessions", ["policy_type", "result"]),
            "Sessions counted, under each policy that they are counted under",
            &measured.sessions,
        )?;
        self.by_two(
            ("policy_session_failures", ["policy_type", "result_type"]),
            "Failed sessions by result type of RFC 8460; a session can be in several",
            &measured.failures,
        )?;
        let help = "Parts of days that the quota took before their time (`store.size_max_mib`)";
        let mut metric = self.metric("store_quota_forgotten", help, MetricType::Counter)?;
        for (part, counter) in measured.forgotten.each() {
            metric
                .encode_family(&[("part", part.word())])?
                .encode_counter::<NoLabelSet, _, u64>(&counter.value(), None)?;
        }
        self.times(
            ("store_commit_seconds", "result"),
            "How long batches took to come to the disk",
            &measured.commit_times,
        )
    }

    fn by_two<A: Word, B: Word>(
        &mut self,
        (name, [one, other]): (&str, [&'static str; 2]),
        help: &str,
        counters: &Each<A, Each<B, Counter>>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Counter)?;
        for (a, counters) in counters.each() {
            for (b, counter) in counters.each() {
                let labels = [(one, a.word()), (other, b.word())];
                metric
                    .encode_family(&labels)?
                    .encode_counter::<NoLabelSet, _, u64>(&counter.value(), None)?;
            }
        }
        Ok(())
    }

    fn times<W: Word>(
        &mut self,
        (name, label): (&str, &'static str),
        help: &str,
        times: &Each<W, Times>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Histogram)?;
        for (word, times) in times.each() {
            times.encode(metric.encode_family(&[(label, word.word())])?)?;
        }
        Ok(())
    }

    fn gauges(&mut self, gauges: &Gauges, now: Timestamp) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        self.metric("build_info", "The release that runs", MetricType::Gauge)?
            .encode_family(&version)?
            .encode_gauge(&1_i64)?;
        if let Some(started_at) = gauges.started_at {
            let help = "When the daemon started, in seconds since 1970";
            self.gauge("start_time_seconds", help, &started_at.0)?;
        }
        let help = "The daemon's clock, in seconds since 1970";
        self.gauge("time_seconds", help, &now.0)?;
        let help = "Alarms that `sealpost status` shows";
        self.gauge("alarms", help, &gauges.alarms)?;
        self.each(
            ("alerts", "rule"),
            "Alerts that hold; `sealpost alert list` names the domains",
            &gauges.alerts,
        )?;
        let help = "1 while sessions come to the disk, 0 while they are kept in memory only";
        self.gauge("store_recording", help, &i64::from(gauges.recording))?;
        let help = "Changed rows that wait in memory for the disk";
        self.gauge("store_waiting_rows", help, &gauges.waiting_rows)?;
        let help = "Rows held in memory, changed or not";
        self.gauge("store_rows_in_memory", help, &gauges.rows_in_memory)?;
        if let Some(quota) = &gauges.quota {
            let help = "How many octets the store may hold; absent where it has no quota";
            self.gauge("store_size_max_bytes", help, &quota.octets_max)?;
            let help = "How large the store's file is, where it has a quota";
            self.gauge("store_file_bytes", help, &quota.file_octets)?;
            if let Some(held) = quota.held_octets {
                let help = "What the store holds, in octets of keys and values; absent while the file is within the quota";
                self.gauge("store_held_bytes", help, &held)?;
            }
        }
        let help =
            "1 where the store could be read for the numbers below, 0 where they are missing";
        self.gauge("store_readable", help, &i64::from(gauges.held.is_some()))
    }

    fn held(&mut self, held: &Held, now: Timestamp) -> fmt::Result {
        self.each(
            ("policies_kept", "mode"),
            "MTA-STS policies that are kept",
            &held.policies,
        )?;
        let help = "Kept policies that hold and could not be fetched at the last try";
        self.gauge("policies_unrefreshed", help, &held.unrefreshed)?;
        if let Some(at) = held.next_expiry_at {
            let help = "Seconds until the first kept policy expires; absent where none is kept";
            self.gauge("policy_next_expiry_seconds", help, &at.seconds_since(now))?;
        }
        if let Some(at) = held.next_unrefreshed_expiry_at {
            let help = "Seconds until the first of the unrefreshed policies expires; absent where there is none";
            let left = at.seconds_since(now);
            self.gauge("policy_next_unrefreshed_expiry_seconds", help, &left)?;
        }
        self.each(
            ("reports", "state"),
            "Reports of the last two days, one for each destination, by how they stand",
            &held.reports,
        )?;
        let help = "For how many seconds the report has been due that has waited longest; 0 where none waits";
        let late = held.oldest_turn_at.map_or(0, |at| now.seconds_since(at));
        self.gauge("report_oldest_waiting_seconds", help, &late.max(0))?;
        let help = "Destinations to which no report is sent now";
        self.gauge("destinations_suppressed_now", help, &held.suppressed)?;
        let help = "For how many seconds the numbers of policies and reports have stood; they are read once a minute";
        let age = now.seconds_since(held.at);
        self.gauge("store_read_age_seconds", help, &age.max(0))
    }

    fn each(
        &mut self,
        (name, label): (&str, &'static str),
        help: &str,
        numbers: &BTreeMap<&'static str, u64>,
    ) -> fmt::Result {
        let mut metric = self.metric(name, help, MetricType::Gauge)?;
        for (word, number) in numbers {
            metric
                .encode_family(&[(label, *word)])?
                .encode_gauge(number)?;
        }
        Ok(())
    }
}

impl Times {
    fn is_used(&self) -> bool {
        self.sum() > Duration::ZERO || self.classes().iter().any(|(_, count)| *count > 0)
    }

    fn encode(&self, mut metric: MetricEncoder<'_>) -> fmt::Result {
        let classes = self.classes();
        let count = classes.iter().map(|(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(self.sum().as_secs_f64(), count, &classes, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{
        gauges::QuotaGauges,
        words::{Asked, Fetched, Found},
    };

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn shown(counters: &Arc<Counters>, held: Option<Held>) -> Vec<String> {
        let gauges = Gauges {
            held,
            alarms: 2,
            ..Gauges::default()
        };
        let text = text(counters, gauges, NOW).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn has(lines: &[String], line: &str) {
        assert!(lines.iter().any(|each| each == line), "{line}: {lines:#?}");
    }

    #[tokio::test]
    async fn every_counter_is_a_metric_by_its_name_with_what_it_counts() {
        let counters = Arc::new(Counters::default());
        counters.mx_refused.add(7);
        let described = counters.described();
        let told: Vec<_> = described
            .iter()
            .map(|(name, _, value)| (*name, *value))
            .collect();
        assert_eq!(told, counters.list());
        assert!(described.iter().all(|(_, help, _)| help.ends_with('.')));
        let lines = shown(&counters, None);
        has(&lines, "sealpost_mx_refused_total 7");
        for (name, help, value) in counters.described() {
            has(&lines, &format!("# HELP sealpost_{name}_total {help}"));
            has(&lines, &format!("sealpost_{name}_total {value}"));
        }
        has(&lines, "sealpost_alarms 2");
        has(&lines, "sealpost_store_readable 0");
        assert!(!lines.iter().any(|line| line.contains("policies_kept")));
    }

    #[tokio::test]
    async fn what_is_timed_is_in_its_class_and_in_every_wider_one() {
        let counters = Arc::new(Counters::default());
        let measured = &counters.measured;
        measured
            .fetch_times
            .took(Fetched::Policy, Duration::from_millis(30));
        let failed = async { crate::net::dns::Lookup::<()>::Bogus(String::new()) };
        measured.looking_up(Asked::Tlsa, failed).await;
        let lines = shown(&counters, None);
        let bucket = |le: &str| {
            format!("sealpost_policy_fetch_seconds_bucket{{result=\"fetched\",le=\"{le}\"}}")
        };
        has(&lines, &format!("{} 0", bucket("0.025")));
        has(&lines, &format!("{} 1", bucket("0.05")));
        has(&lines, &format!("{} 1", bucket("+Inf")));
        has(
            &lines,
            "sealpost_dns_lookups_total{record=\"tlsa\",result=\"bogus\"} 1",
        );
        let bogus = measured.lookups.of(Asked::Tlsa).unwrap();
        assert_eq!(bogus.of(Found::Bogus).unwrap().value(), 1);
    }

    #[test]
    fn what_is_to_come_is_shown_in_seconds_from_now() {
        let held = Held {
            next_expiry_at: Some(NOW.plus_seconds(60)),
            oldest_turn_at: Some(NOW.plus_seconds(-90)),
            ..Held::at(NOW.plus_seconds(-5))
        };
        let lines = shown(&Arc::default(), Some(held));
        has(&lines, "sealpost_policy_next_expiry_seconds 60");
        has(&lines, "sealpost_report_oldest_waiting_seconds 90");
        has(&lines, "sealpost_store_read_age_seconds 5");
        has(&lines, "sealpost_policies_kept{mode=\"enforce\"} 0");
        let absent = "sealpost_policy_next_unrefreshed_expiry_seconds";
        assert!(!lines.iter().any(|line| line.contains(absent)));
    }

    /// `docs/metrics.md`.
    fn page() -> String {
        let held = Held {
            next_expiry_at: Some(NOW),
            next_unrefreshed_expiry_at: Some(NOW),
            ..Held::at(NOW)
        };
        let gauges = Gauges {
            started_at: Some(NOW),
            alerts: [("alarm", 0)].into(),
            quota: Some(QuotaGauges {
                held_octets: Some(0),
                ..QuotaGauges::default()
            }),
            held: Some(held),
            ..Gauges::default()
        };
        let text = text(&Arc::default(), gauges, NOW).unwrap();
        let mut page = String::from(
            "# Metrics\n\nMade from the program; a test holds this page to it. [Monitoring](guide/monitoring.md) \
             says how to have them read. A histogram has `_bucket`, `_sum` and `_count`; times are in seconds. \
             Every label has a closed set of values: no name of a recipient domain, and nothing else that \
             comes over a network, is ever one.\n\n| metric | kind | labels | what it is |\n|---|---|---|---|\n",
        );
        let mut helps = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
        for kind in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = kind.split_once(' ').unwrap();
            let help = helps.find_map(|help| help.strip_prefix(name)).unwrap();
            let sample = text
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.split_once('{'))
                .find(|(suffix, _)| ["", "_bucket"].contains(suffix));
            let labels = sample.map_or("", |(_, labels)| labels.split('}').next().unwrap());
            let labels: Vec<_> = labels
                .split(',')
                .filter_map(|label| label.split('=').next())
                .filter(|label| !label.is_empty() && *label != "le")
                .map(|label| format!("`{label}`"))
                .collect();
            let labels = labels.join(", ");
            page.push_str(&format!("| `{name}` | {kind} | {labels} |{help} |\n"));
        }
        page
    }

    #[test]
    fn the_page_of_metrics_is_what_the_program_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        let page = page();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            page,
            "{path} is not what the program gives; UPDATE_GOLDEN=1 rewrites it"
        );
    }
}
