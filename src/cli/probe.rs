//! The arguments of `dagsync probe`, for clusters whose probes are commands: the image has no shell and no curl.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::ArgMatches;

use crate::cli::duration;
use crate::config::value::parse_bind;
use crate::config::{Errors, Problem, Surroundings, options};

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Does the process answer?
    Live,
    /// Did a pass succeed yet?
    Ready,
}

/// `dagsync probe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeArgs {
    /// Which question.
    pub probe: Probe,
    /// Whom to ask. Never an unspecified address: the agent's `:1234` is asked over loopback.
    pub address: SocketAddr,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// Kubernetes gives an exec probe one second unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn args(matches: &ArgMatches, around: &Surroundings, errors: &mut Errors) -> ProbeArgs {
    let probe = match matches.get_one::<String>("question").map(String::as_str) {
        Some("live") => Probe::Live,
        _ => Probe::Ready,
    };
    let flag = matches.get_one::<String>("http-bind").map(String::as_str).filter(|text| !text.is_empty());
    let vars = options::find("http-bind").map_or(&[][..], |opt| opt.vars);
    let said = flag.or_else(|| vars.iter().find_map(|var| around.var(var)));
    let address = parse_bind(said.unwrap_or(":1234"), false).unwrap_or_else(|why| {
        errors.push(Problem::new(format!("http-bind: the value {why}")));
        SocketAddr::from(([127, 0, 0, 1], 1234))
    });
    // `[::]` takes IPv4 along, so loopback over IPv4 reaches both.
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    let timeout = duration(matches, "timeout", errors).unwrap_or(TIMEOUT);
    ProbeArgs { probe, address: SocketAddr::new(ip, address.port()), timeout }
}
