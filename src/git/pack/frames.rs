//! The objects that others are being made from, each made from the one below it: in bounded memory, few open files, and a bounded
//! part of the disk, however long a chain of deltas is and however it branches.
//!
//! What is beyond the bound of memory waits in one file, which is a stack too: the oldest objects move there first and are
//! needed last, so what is at its end is what goes first.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use super::content::{Content, nameless};
use super::{Error, check};
use crate::disk::{Point, Writable};

/// An object that others are being made from.
pub(super) struct Frame {
    pub(super) content: Content,
    /// Deltas of it that are still to be made.
    pub(super) children: Vec<u32>,
    /// How many deltas it was made of.
    pub(super) depth: usize,
}

/// What a stack may take.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Bytes in memory, not counting the youngest object.
    pub(super) memory: usize,
    /// Files that hold one object each. One more holds all others.
    pub(super) files: usize,
    /// Bytes in all files.
    pub(super) disk: u64,
}

/// The stack.
pub(super) struct Frames<'a> {
    folder: PathBuf,
    bounds: Bounds,
    interrupt: &'a AtomicBool,
    stack: Vec<Frame>,
    /// How many of them, from the oldest on, are in `file`.
    moved: usize,
    file: Option<Rc<Writable>>,
    /// Bytes in memory.
    held: usize,
    /// Frames with a file of their own.
    files: usize,
    /// Bytes in files.
    on_disk: u64,
}

impl<'a> Frames<'a> {
    pub(super) fn new(folder: PathBuf, bounds: Bounds, interrupt: &'a AtomicBool) -> Self {
        Frames {
            folder,
            bounds,
            interrupt,
            stack: Vec::new(),
            moved: 0,
            file: None,
            held: 0,
            files: 0,
            on_disk: 0,
        }
    }

    /// The youngest.
    pub(super) fn last_mut(&mut self) -> Option<&mut Frame> {
        self.stack.last_mut()
    }

    pub(super) fn push(&mut self, frame: Frame) -> Result<(), Error> {
        match &frame.content {
            Content::Memory(_) => self.held += frame.content.held(),
            Content::File { len, .. } => {
                self.files += 1;
                self.take_disk(*len)?;
            }
        }
        self.stack.push(frame);
        while (self.held > self.bounds.memory || self.files > self.bounds.files)
            && self.moved + 1 < self.stack.len()
        {
            self.move_oldest()?;
        }
        Ok(())
    }

    pub(super) fn pop(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        match &frame.content {
            Content::Memory(_) => self.held -= frame.content.held(),
            Content::File { len, .. } => {
                self.on_disk -= len;
                match self.stack.len() < self.moved {
                    true => self.moved -= 1,
                    false => self.files -= 1,
                }
            }
        }
    }

    /// Moves the oldest object that is not there yet to the end of the file of all.
    fn move_oldest(&mut self) -> Result<(), Error> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.file.insert(Rc::new(nameless(&self.folder).map_err(Error::Disk)?)).clone(),
        };
        let below = self.moved.checked_sub(1).map(|below| &self.stack[below].content);
        let start = match below {
            Some(Content::File { start, len, .. }) => start + len,
            _ => 0,
        };
        let (len, held) = (self.stack[self.moved].content.len(), self.stack[self.moved].content.held());
        if matches!(self.stack[self.moved].content, Content::Memory(_)) {
            self.take_disk(len)?;
            self.held -= held;
        } else {
            self.files -= 1;
        }
        let mut at = start;
        self.stack[self.moved].content.part(0, len, &mut |piece| {
            check(self.interrupt)?;
            file.write_all_at(Point::StoreObjectWrite, piece, at).map_err(Error::Disk)?;
            at += piece.len() as u64;
            Ok(())
        })?;
        self.stack[self.moved].content = Content::File { file, start, len };
        self.moved += 1;
        Ok(())
    }

    fn take_disk(&mut self, len: u64) -> Result<(), Error> {
        self.on_disk = self.on_disk.saturating_add(len);
        match self.on_disk > self.bounds.disk {
            true => Err(Error::damaged("its deltas need too much room at once")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::content::spool;
    use super::*;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn bytes(number: usize) -> Vec<u8> {
        vec![number as u8; 30 + number % 7]
    }

    fn frame(content: Content) -> Frame {
        Frame { content, children: Vec::new(), depth: 0 }
    }

    fn in_memory(number: usize) -> Frame {
        let mut data = bytes(number);
        data.shrink_to_fit();
        frame(Content::Memory(data))
    }

    fn in_a_file(number: usize, folder: &std::path::Path) -> Frame {
        let mut file = spool(folder).unwrap();
        file.write_all(&bytes(number)).unwrap();
        let file = Rc::new(file.into_inner().map_err(|err| err.into_error()).unwrap().into_inner());
        frame(Content::File { file, start: 0, len: bytes(number).len() as u64 })
    }

    fn read(content: &Content) -> Vec<u8> {
        let mut read = Vec::new();
        let mut each = |piece: &[u8]| {
            read.extend_from_slice(piece);
            Ok(())
        };
        content.part(0, content.len(), &mut each).unwrap();
        read
    }

    #[test]
    fn whatever_is_pushed_and_popped_is_there_and_all_bounds_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { memory: 200, files: 3, disk: 100_000 };
        let mut frames = Frames::new(dir.path().to_owned(), bounds, &GO_ON);
        let mut wanted = Vec::new();
        let mut random = fastrand::Rng::with_seed(11);
        for step in 0..3000 {
            // Up and down, and up again.
            let up = if step / 500 % 2 == 0 { 0.8 } else { 0.3 };
            if random.f64() < up {
                let number = random.usize(..256);
                let next = if random.bool() { in_memory(number) } else { in_a_file(number, dir.path()) };
                frames.push(next).unwrap();
                wanted.push(number);
            } else {
                frames.pop();
                wanted.pop();
            }
            assert_eq!(frames.last_mut().map(|frame| read(&frame.content)), wanted.last().map(|n| bytes(*n)));
            let older = &frames.stack[..frames.stack.len().saturating_sub(1)];
            assert!(older.iter().map(|frame| frame.content.held()).sum::<usize>() <= 200);
            let shared = frames.file.as_ref();
            let own = older.iter().filter(|frame| match &frame.content {
                Content::File { file, .. } => !shared.is_some_and(|shared| Rc::ptr_eq(shared, file)),
                Content::Memory(_) => false,
            });
            assert!(own.count() <= 3);
        }
        while let Some(number) = wanted.pop() {
            assert_eq!(read(&frames.last_mut().unwrap().content), bytes(number));
            frames.pop();
        }
        assert_eq!((frames.held, frames.files, frames.on_disk, frames.moved), (0, 0, 0, 0));
    }

    #[test]
    fn the_disk_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds { memory: 100, files: 3, disk: 1000 };
        let mut frames = Frames::new(dir.path().to_owned(), bounds, &GO_ON);
        let refused = (0..100).find_map(|number| frames.push(in_memory(number)).err()).unwrap();
        assert!(matches!(refused, Error::Damaged(_)), "{refused}");
        let len = frames.file.unwrap().look(|file| file.metadata().map(|meta| meta.len())).unwrap();
        assert!((900..=1000).contains(&len), "{len}");
    }
}
