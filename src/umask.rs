//! The process's umask, read once and without changing it.
//!
//! Files that we create get it from the kernel; modes that we set ourselves (packs, group-writable files) must apply it by
//! hand. `umask(2)` can only be read by setting it, which races with other threads; Linux shows it in `/proc`.

use std::sync::OnceLock;

/// The umask, or 022 where `/proc` does not tell.
pub fn current() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        std::fs::read_to_string("/proc/self/status").ok().and_then(|status| parse(&status)).unwrap_or(0o022)
    })
}

fn parse(status: &str) -> Option<u32> {
    let value = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(value.trim(), 8).ok()
}

/// `mode` under the umask. With `group_write` the group's bits survive: that is what the option is for, and a umask
/// of 077 or 022 would undo it.
pub fn apply(mode: u32, group_write: bool) -> u32 {
    let mask = if group_write { current() & !0o070 } else { current() };
    mode & !mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_proc_is_octal() {
        assert_eq!(parse("Name:\tx\nUmask:\t0077\nState:\tR\n"), Some(0o077));
        assert_eq!(parse("Name:\tx\n"), None);
    }

    #[test]
    fn group_bits_survive_when_asked_for() {
        assert_eq!(apply(0o775, true) & 0o070, 0o070);
    }
}
