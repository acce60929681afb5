//! When the next pass is. Pure: the clock, the dice and the past are arguments.

use std::time::Duration;

use crate::error::Remedy;

/// The longest pause that failures can make of a period.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// A pause is at most this much longer than the period, so that a thousand pods do not ask at once.
const JITTER: f64 = 0.1;

/// What the options say about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between passes.
    pub period: Duration,
    /// The same, until the first success.
    pub init_period: Duration,
    /// Consecutive failures tolerated; `None` = for ever.
    pub max_failures: Option<u32>,
    /// The same, until the first success.
    pub init_max_failures: Option<u32>,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Past {
    /// Whether a pass ever succeeded.
    pub succeeded: bool,
    /// Failures since then.
    pub failures: u32,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A pass after this pause, or at once when something wakes us.
    Wait(Duration),
    /// Too many failures in a row: the agent exits, as git-sync does.
    GiveUp,
}

impl Past {
    /// The past after one more pass; `None` is a success.
    pub fn after(self, failure: Option<Remedy>) -> Past {
        match failure {
            None => Past { succeeded: true, failures: 0 },
            Some(Remedy::Stopped) => self,
            Some(_) => Past { failures: self.failures.saturating_add(1), ..self },
        }
    }
}

/// The pause after a pass that ended with `failure`, or was a success. `dice` is uniform in 0..1.
pub fn next(pace: &Pace, past: Past, failure: Option<Remedy>, dice: f64) -> Next {
    let (period, budget) = match past.succeeded {
        true => (pace.period, pace.max_failures),
        false => (pace.init_period, pace.init_max_failures),
    };
    let Some(remedy) = failure else {
        return Next::Wait(period.mul_f64(1.0 + JITTER * dice));
    };
    if budget.is_some_and(|budget| past.failures > budget) {
        return Next::GiveUp;
    }
    // The first failure costs one period, the next ones two, four, eight: a remote that is down is asked less and less, up to
    // five minutes, but never less often than every period.
    let exponent = past.failures.saturating_sub(1).min(16);
    let backoff = period.saturating_mul(1 << exponent).min(MAX_BACKOFF.max(period));
    let pause = backoff.mul_f64(1.0 + JITTER * dice);
    Next::Wait(match remedy {
        Remedy::Retry { after: Some(after) } => pause.max(after),
        _ => pause,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        period: Duration::from_secs(10),
        init_period: Duration::from_secs(1),
        max_failures: None,
        init_max_failures: Some(2),
    };
    const RETRY: Option<Remedy> = Some(Remedy::Retry { after: None });

    fn wait(past: Past, failure: Option<Remedy>, dice: f64) -> u64 {
        match next(&PACE, past, failure, dice) {
            Next::Wait(pause) => pause.as_secs(),
            Next::GiveUp => panic!("gave up"),
        }
    }

    #[test]
    fn a_success_waits_a_period_with_jitter() {
        let past = Past { succeeded: true, failures: 0 };
        assert_eq!(wait(past, None, 0.0), 10);
        assert_eq!(wait(past, None, 0.999), 10);
        assert_eq!(next(&PACE, past, None, 1.0), Next::Wait(Duration::from_secs(11)));
    }

    #[test]
    fn dns_gone_backoff_is_jittered_and_capped() {
        let at = |failures, dice| wait(Past { succeeded: true, failures }, RETRY, dice);
        assert_eq!([1, 2, 3, 4].map(|n| at(n, 0.0)), [10, 20, 40, 80]);
        assert_eq!(at(100, 0.0), 300);
        assert_eq!(at(u32::MAX, 1.0), 330);
        assert_eq!(at(1, 1.0), 11);
    }

    #[test]
    fn a_period_longer_than_the_cap_is_kept() {
        let pace = Pace { period: Duration::from_secs(3600), ..PACE };
        let past = Past { succeeded: true, failures: 9 };
        assert_eq!(next(&pace, past, RETRY, 0.0), Next::Wait(Duration::from_secs(3600)));
    }

    #[test]
    fn the_server_may_ask_for_more_patience() {
        let after = Some(Remedy::Retry { after: Some(Duration::from_secs(77)) });
        assert_eq!(wait(Past { succeeded: true, failures: 1 }, after, 0.0), 77);
    }

    #[test]
    fn the_init_phase_has_its_own_pace_and_budget() {
        let failed = |failures| next(&PACE, Past { succeeded: false, failures }, RETRY, 0.0);
        assert_eq!(failed(1), Next::Wait(Duration::from_secs(1)));
        assert_eq!(failed(2), Next::Wait(Duration::from_secs(2)));
        assert_eq!(failed(3), Next::GiveUp);
    }

    #[test]
    fn a_budget_of_zero_gives_up_at_the_first_failure_as_git_sync_does() {
        let pace = Pace { max_failures: Some(0), ..PACE };
        assert_eq!(next(&pace, Past { succeeded: true, failures: 1 }, RETRY, 0.0), Next::GiveUp);
    }

    #[test]
    fn being_stopped_is_no_failure() {
        let past = Past { succeeded: true, failures: 3 };
        assert_eq!(past.after(Some(Remedy::Stopped)), past);
        assert_eq!(past.after(None), Past { succeeded: true, failures: 0 });
    }
}
