//! What goes to and fro while a process runs, in the caller: its output, what it reads, what it is told.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};

use crate::control::{Control, Order};
use crate::input::{Input, set_nonblocking};
use crate::sandbox::Stream;
use crate::{run::Cancel, terminal, wire};

/// What comes out of a file.
#[derive(Clone, Copy)]
pub(crate) enum Feed {
    Output(Stream),
    Messages,
}

/// Who may say something to the process.
#[derive(Clone, Copy)]
pub(crate) enum Told<'a> {
    /// That it is to end.
    Cancel(&'a Cancel),
    /// Anything.
    Control(&'a Control),
}

/// What was heard when all was over.
pub(crate) struct Heard {
    pub(crate) messages: Vec<u8>,
    pub(crate) is_cancelled: bool,
}

/// A run, seen from the caller.
pub(crate) struct Followed<'a> {
    keeper: UnixStream,
    feeds: Vec<(Feed, OwnedFd)>,
    told: Told<'a>,
    /// What the process is to read from the terminal that is not there yet.
    source: Option<OwnedFd>,
    input: Option<Input>,
    terminal: Option<OwnedFd>,
    heard: Heard,
}

/// What can be gone on with.
#[derive(Clone, Copy)]
enum Ready {
    Feed(usize),
    Told,
    Input,
}

impl<'a> Followed<'a> {
    /// One whose keeper is at the other end of `keeper`.
    pub(crate) fn new(
        keeper: UnixStream,
        outputs: [(Stream, Option<OwnedFd>); 2],
        told: Told<'a>,
    ) -> io::Result<Self> {
        let messages = (Feed::Messages, keeper.try_clone()?.into());
        let outputs = outputs.into_iter().filter_map(|(stream, file)| Some((Feed::Output(stream), file?)));
        let heard = Heard { messages: Vec::new(), is_cancelled: false };
        let feeds = outputs.chain([messages]).collect();
        Ok(Self { keeper, feeds, told, source: None, input: None, terminal: None, heard })
    }

    /// Passes on what this file has: to `sink`, or to the terminal that the process makes.
    pub(crate) fn with_input(mut self, source: Option<OwnedFd>, sink: Option<OwnedFd>) -> io::Result<Self> {
        match (source, sink) {
            (Some(source), Some(sink)) => self.input = Some(Input::new(source, sink)?),
            (source, _) => self.source = source,
        }
        Ok(self)
    }

    /// Passes on what is written until nobody is left to write.
    pub(crate) fn finish(mut self, output: &mut dyn FnMut(Stream, &[u8])) -> io::Result<Heard> {
        let mut buffer = vec![0; 64 << 10];
        while !self.feeds.is_empty() {
            for ready in self.wait()?.into_iter().rev() {
                match ready {
                    Ready::Feed(index) => self.read(index, &mut buffer, output)?,
                    Ready::Told => self.obey()?,
                    Ready::Input => drop(self.input.take_if(|input| !input.advance())),
                }
            }
        }
        Ok(self.heard)
    }

    /// Waits until something can be gone on with.
    fn wait(&self) -> io::Result<Vec<Ready>> {
        let feeds = self.feeds.iter().enumerate();
        let feeds = feeds.map(|(index, (_, file))| (Ready::Feed(index), PollFd::new(file, PollFlags::IN)));
        let told = match self.told {
            Told::Cancel(cancel) => (!self.heard.is_cancelled).then(|| cancel.as_fd()),
            Told::Control(control) => Some(control.as_fd()),
        };
        let told = told.map(|file| (Ready::Told, PollFd::from_borrowed_fd(file, PollFlags::IN)));
        let input = self.input.as_ref().map(|input| (Ready::Input, input.waits_for()));
        let (kinds, mut files): (Vec<Ready>, Vec<PollFd<'_>>) = feeds.chain(told).chain(input).unzip();
        rustix::io::retry_on_intr(|| poll(&mut files, None))?;
        let ready = kinds.into_iter().zip(files).filter(|(_, file)| !file.revents().is_empty());
        Ok(ready.map(|(kind, _)| kind).collect())
    }

    /// Reads from one of the feeds, and forgets it at its end.
    fn read(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> io::Result<()> {
        let Some((feed, file)) = self.feeds.get(index) else { return Ok(()) };
        let (length, terminal) = match feed {
            Feed::Output(_) => (read(file, &mut *buffer), None),
            Feed::Messages => wire::hear(file.as_fd(), buffer),
        };
        let length = match length {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            // A keeper that was killed resets the socket; a terminal that nobody has open has no other end.
            length => length.unwrap_or(0),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        match feed {
            _ if bytes.is_empty() => drop(self.feeds.remove(index)),
            Feed::Output(stream) => output(*stream, bytes),
            Feed::Messages => self.heard.messages.extend_from_slice(bytes),
        }
        terminal.map_or(Ok(()), |terminal| self.attach(terminal))
    }

    /// Has a terminal written to and read from.
    fn attach(&mut self, terminal: OwnedFd) -> io::Result<()> {
        set_nonblocking(&terminal)?;
        self.feeds.push((Feed::Output(Stream::Stdout), terminal.try_clone()?));
        if let Some(source) = self.source.take() {
            self.input = Some(Input::new(source, terminal.try_clone()?)?);
        }
        self.terminal = Some(terminal);
        Ok(())
    }

    /// Does what the process is told.
    fn obey(&mut self) -> io::Result<()> {
        let order = match self.told {
            Told::Cancel(_) => {
                self.heard.is_cancelled = true;
                // The keeper takes it for our end, and answers.
                let _gone_already = self.keeper.shutdown(Shutdown::Write);
                return Ok(());
            }
            Told::Control(control) => control.next()?,
        };
        let _too_late = match (order, &self.terminal) {
            (Some(Order::Signal(signal)), _) => write(&self.keeper, &[signal]).map(drop),
            (Some(Order::Resize { rows, columns }), Some(terminal)) => {
                terminal::resize(terminal, rows, columns)
            }
            _ => Ok(()),
        };
        Ok(())
    }
}
