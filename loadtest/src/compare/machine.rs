//! Facts about the machine without which a figure means little.

use std::fs;

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    /// Some pace their packets even on the loopback interface.
    pub(super) tcp_congestion_control: String,
}

impl Machine {
    pub(super) fn of_this() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let processors = read("/proc/cpuinfo");
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        let model = model
            .and_then(|rest| rest.split_once(": "))
            .map(|(_, name)| name);
        Self {
            processor: model.unwrap_or("unknown processor").to_owned(),
            cores: processors
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            tcp_congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control")
                .trim()
                .to_owned(),
        }
    }
}
