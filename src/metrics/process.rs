//! What the process costs, read from `/proc/self` when somebody asks. The names are those of every Prometheus client.

use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};

/// Name, help, whether it is a counter.
const TABLE: [(&str, &str, bool); 6] = [
    ("process_cpu_seconds_total", "CPU time spent in user and system mode", true),
    ("process_resident_memory_bytes", "Resident memory, file-backed pages included", false),
    ("process_virtual_memory_bytes", "Virtual memory", false),
    ("process_threads", "Threads", false),
    ("process_open_fds", "Open file descriptors", false),
    ("process_start_time_seconds", "Start of the process as a Unix timestamp", false),
];

/// Collects [`TABLE`]; what `/proc` does not tell is left out.
pub(super) struct Process {
    descs: Vec<Desc>,
    started: f64,
}

impl Process {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let desc = |(name, help, _): &(&str, &str, bool)| {
            Desc::new((*name).into(), (*help).into(), vec![], HashMap::new())
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Ok(Process {
            descs: TABLE.iter().map(desc).collect::<Result<_, _>>()?,
            // Asked once: the boot time that the kernel reports moves when the clock is set.
            started: started().unwrap_or(now),
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text));
        let of_stat = |value: fn(&Stat) -> f64| stat.as_ref().map(value);
        let values = [
            of_stat(|stat| stat.cpu_ticks as f64 / ticks_per_second()),
            of_stat(|stat| stat.resident_pages as f64 * rustix::param::page_size() as f64),
            of_stat(|stat| stat.virtual_bytes as f64),
            of_stat(|stat| stat.threads as f64),
            // Less the one that reads the directory.
            fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as f64),
            Some(self.started),
        ];
        TABLE.iter().zip(values).filter_map(|(row, value)| Some(family(row, value?))).collect()
    }
}

fn family((name, help, counts): &(&str, &str, bool), value: f64) -> MetricFamily {
    let mut metric = Metric::default();
    let mut family = MetricFamily::default();
    if *counts {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
        family.set_field_type(MetricType::COUNTER);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        family.set_field_type(MetricType::GAUGE);
    }
    family.set_name((*name).to_owned());
    family.set_help((*help).to_owned());
    family.set_metric(vec![metric]);
    family
}

/// The fields of `/proc/<pid>/stat` that are used here, see proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The second field is the program's name in parentheses and may itself hold spaces and parentheses.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // Field 3 of the manual page is the first here.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Start of this process as a Unix timestamp.
fn started() -> Option<f64> {
    let stat = Stat::parse(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted as f64 + stat.start_ticks as f64 / ticks_per_second())
}

fn ticks_per_second() -> f64 {
    rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_program_with_a_strange_name_is_read() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 11 31 0 0 20 0 5 0 777 90000 250 18446744073709551615 1";
        let expected =
            Stat { cpu_ticks: 42, threads: 5, start_ticks: 777, virtual_bytes: 90000, resident_pages: 250 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("7 (a) S 1"), None);
    }

    #[test]
    fn our_own_process_is_described() {
        let families = Process::new().unwrap().collect();
        let value = |name: &str| {
            let metric = &families.iter().find(|family| family.name() == name).unwrap().get_metric()[0];
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };
        assert_eq!(families.len(), TABLE.len());
        assert!(value("process_resident_memory_bytes") > 500_000.0);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_threads") >= 1.0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..86_400.0).contains(&age), "{age}");
    }
}
