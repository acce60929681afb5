//! Where symlinks lead, found out link by link over the listing.
//!
//! By text alone, `a/d -> ../..` from three folders down and `a/l -> d/../..` both stay inside; together they leave
//! (the check that Argo CD had). So a target is followed as the kernel follows it: through the links of the tree
//! itself, from the folder a link really is in. What is not in the listing is taken for a folder, so a target that
//! dangles today cannot come to lead outside when somebody makes that folder (`__pycache__`).
//!
//! Each link is followed once and its end remembered, so the work is the sum of the targets, not their product, and a
//! circle is a link met again while it is being followed. A circle never leads anywhere: allowed, as in git.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use gix::bstr::{BStr, BString, ByteSlice};
use gix::objs::{Find, FindHeader};

use super::Symlinks;
use super::walk::read_error;
use super::{Bound, Entry, Error, Kind, LinkProblem, Listing, Policy, collide};

/// `PATH_MAX` less the NUL: no system call takes a longer one.
const TARGET_BYTES: u64 = 4095;
/// Half a million links of ordinary length; bounds the memory and the time that hostile links can take.
const ALL_TARGETS_BYTES: u64 = 16 << 20;
/// The same for the paths they lead to, which are made of many targets.
const ALL_ENDS_BYTES: u64 = 8 * ALL_TARGETS_BYTES;

/// Refuses links that no file system can hold, and under [`Symlinks::Inside`] those that lead out of the tree.
pub(super) fn check<O: Find + FindHeader>(
    objects: &O,
    listing: &Listing,
    policy: &Policy,
    interrupt: &AtomicBool,
) -> Result<(), Error> {
    if !listing.has_symlinks() {
        return Ok(());
    }
    let mut links = Vec::new();
    let mut total = 0;
    let mut buffer = Vec::new();
    for entry in listing.entries().filter(|entry| entry.kind == Kind::Symlink) {
        if interrupt.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if entry.size > TARGET_BYTES {
            return Err(refused(&entry, BString::default(), LinkProblem::TooLong));
        }
        total += entry.size;
        if total > ALL_TARGETS_BYTES {
            let path = entry.path.to_owned();
            return Err(Error::TooMuch { bound: Bound::LinkBytes, max: ALL_TARGETS_BYTES, path });
        }
        let found = objects.try_find(&entry.id, &mut buffer).map_err(|e| read_error(entry.id, e))?;
        let target = found.ok_or(Error::Missing { id: entry.id })?.data.as_bstr();
        let problem = if target.is_empty() {
            Some(LinkProblem::Empty)
        } else if target.contains(&0) {
            Some(LinkProblem::Nul)
        } else if policy.symlinks == Symlinks::Inside && target.starts_with(b"/") {
            Some(LinkProblem::Absolute)
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(refused(&entry, target.to_owned(), problem));
        }
        if policy.symlinks == Symlinks::Inside {
            links.push((entry, target.to_owned()));
        }
    }
    Graph::new(&links, policy.case_insensitive).follow_all(interrupt)
}

fn refused(entry: &Entry<'_>, target: BString, problem: LinkProblem) -> Error {
    Error::Link { path: entry.path.to_owned(), target, problem }
}

/// What is known of a link.
#[derive(Clone)]
enum State {
    Unknown,
    /// Being followed: whoever meets it now goes in a circle.
    Open,
    /// Its end: a path without links, inside the tree.
    End(BString),
    Circle,
}

/// A link that is being followed.
struct Frame {
    link: usize,
    /// How much of the target is done.
    done: usize,
    /// The path so far, without links.
    at: BString,
}

struct Graph<'a> {
    links: &'a [(Entry<'a>, BString)],
    /// Path of a link, folded when case folds, → its place in `links`.
    by_path: HashMap<Vec<u8>, usize>,
    fold: bool,
    states: Vec<State>,
    ends_bytes: u64,
}

impl<'a> Graph<'a> {
    fn new(links: &'a [(Entry<'a>, BString)], fold: bool) -> Self {
        let states = vec![State::Unknown; links.len()];
        let mut graph = Graph { links, by_path: HashMap::new(), fold, states, ends_bytes: 0 };
        for (at, (entry, _)) in links.iter().enumerate() {
            let key = graph.key(entry.path);
            graph.by_path.insert(key, at);
        }
        graph
    }

    fn key(&self, path: &BStr) -> Vec<u8> {
        if !self.fold {
            return path.to_vec();
        }
        let mut key = Vec::with_capacity(path.len());
        collide::fold(path, &mut key);
        key
    }

    fn follow_all(&mut self, interrupt: &AtomicBool) -> Result<(), Error> {
        for link in 0..self.links.len() {
            if interrupt.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            if matches!(self.states[link], State::Unknown) {
                self.follow(link)?;
            }
        }
        Ok(())
    }

    /// Follows one link, and first those that it goes through. A stack of its own: a chain may have a million links.
    fn follow(&mut self, link: usize) -> Result<(), Error> {
        let mut stack = vec![self.open(link)];
        'frames: while let Some(frame) = stack.last_mut() {
            let (entry, target) = &self.links[frame.link];
            while frame.done < target.len() {
                let rest = &target[frame.done..];
                let len = rest.find_byte(b'/').unwrap_or(rest.len());
                let name = &rest[..len];
                match name {
                    b"" | b"." => {}
                    b".." => {
                        if frame.at.is_empty() {
                            return Err(refused(entry, target.clone(), LinkProblem::Outside));
                        }
                        let parent = frame.at.rfind_byte(b'/').unwrap_or(0);
                        frame.at.truncate(parent);
                    }
                    name => {
                        let parent = frame.at.len();
                        if parent > 0 {
                            frame.at.push(b'/');
                        }
                        frame.at.extend_from_slice(name);
                        // Chains of dangling links add up to paths that nothing can have made.
                        if frame.at.len() as u64 > TARGET_BYTES {
                            let path = entry.path.to_owned();
                            return Err(Error::TooMuch { bound: Bound::Path, max: TARGET_BYTES, path });
                        }
                        let met = if self.fold {
                            let mut key = Vec::with_capacity(frame.at.len());
                            collide::fold(frame.at.as_bstr(), &mut key);
                            self.by_path.get(&key)
                        } else {
                            self.by_path.get(frame.at.as_slice())
                        };
                        if let Some(next) = met.copied() {
                            match &self.states[next] {
                                State::End(end) => frame.at.clone_from(end),
                                State::Circle | State::Open => {
                                    self.states[frame.link] = State::Circle;
                                    stack.pop();
                                    continue 'frames;
                                }
                                State::Unknown => {
                                    // Come back to this name when its link is known.
                                    frame.at.truncate(parent);
                                    let opened = self.open(next);
                                    stack.push(opened);
                                    continue 'frames;
                                }
                            }
                        }
                    }
                }
                frame.done += len + 1;
            }
            self.ends_bytes += frame.at.len() as u64;
            if self.ends_bytes > ALL_ENDS_BYTES {
                let path = entry.path.to_owned();
                return Err(Error::TooMuch { bound: Bound::LinkBytes, max: ALL_ENDS_BYTES, path });
            }
            self.states[frame.link] = State::End(std::mem::take(&mut frame.at));
            stack.pop();
        }
        Ok(())
    }

    fn open(&mut self, link: usize) -> Frame {
        self.states[link] = State::Open;
        let path = self.links[link].0.path;
        // The folder of a listed link is a real folder: a tree has no entry below a link.
        let folder = path.rfind_byte(b'/').unwrap_or(0);
        Frame { link, done: 0, at: path[..folder].into() }
    }
}
