//! An upload of items: lines in, batches out, bounded memory, errors by line.

use std::collections::VecDeque;

use bailiwick_core::limits;
use bailiwick_proto::failure::Failure;
use bailiwick_proto::{v1, validate};
use bytes::Bytes;
use prost::Message as _;

use crate::edge::Edge;
use crate::visit::Visit;

/// Items of one batch.
const BATCH_ITEMS_MAX: usize = 200;
/// Bytes of one batch, so that it fits in one message to a node.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Errors that an answer lists; further ones are counted.
const ERRORS_MAX: usize = 1000;

/// An upload under way.
pub(crate) struct Upload<'a> {
    edge: &'a Edge,
    visit: &'a Visit,
    lines: Vec<u32>,
    batch: Vec<v1::Item>,
    bytes: usize,
    unlisted: u64,
    answer: v1::PutItemsResponse,
}

impl<'a> Upload<'a> {
    pub(crate) fn new(edge: &'a Edge, visit: &'a Visit) -> Self {
        let answer = v1::PutItemsResponse::default();
        Self { edge, visit, lines: Vec::new(), batch: Vec::new(), bytes: 0, unlisted: 0, answer }
    }

    /// Takes line `number`, from 1.
    pub(crate) async fn line(&mut self, number: u32, line: &[u8]) -> Result<(), Failure> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        match validate::item_line(line) {
            Ok(item) => self.take(number, item).await,
            Err(failure) => {
                self.error(number, &failure);
                Ok(())
            }
        }
    }

    /// Takes a message that stands for line `number`.
    pub(crate) async fn item(&mut self, number: u32, item: v1::Item) -> Result<(), Failure> {
        match validate::item(item.clone()) {
            Ok(_) => self.take(number, item).await,
            Err(failure) => {
                self.error(number, &failure);
                Ok(())
            }
        }
    }

    async fn take(&mut self, number: u32, item: v1::Item) -> Result<(), Failure> {
        self.bytes += item.encoded_len();
        self.lines.push(number);
        self.batch.push(item);
        if self.batch.len() >= BATCH_ITEMS_MAX || self.bytes >= BATCH_BYTES_MAX {
            self.flush().await?;
        }
        Ok(())
    }

    /// Says what is wrong with a line; the others go on.
    pub(crate) fn error(&mut self, line: u32, failure: &Failure) {
        self.refuse(line, failure.message.clone());
    }

    fn refuse(&mut self, line: u32, error: String) {
        if self.answer.errors.len() < ERRORS_MAX {
            self.answer.errors.push(v1::LineError { line, error });
        } else {
            self.unlisted += 1;
        }
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let (lines, items) = (std::mem::take(&mut self.lines), std::mem::take(&mut self.batch));
        self.bytes = 0;
        let first = lines.first().copied().unwrap_or_default();
        let answer = self.edge.put_batch(self.visit, items).await;
        let answer = answer.map_err(|failure| self.broken_off(first, failure))?;
        self.answer.upserted += answer.upserted;
        if answer.revision.is_some() {
            self.answer.revision = answer.revision;
        }
        for error in answer.errors {
            // A node counts from 1 inside the batch.
            let at = usize::try_from(error.line).ok().and_then(|n| n.checked_sub(1));
            let line = at.and_then(|at| lines.get(at)).copied().unwrap_or(first);
            self.refuse(line, error.error);
        }
        Ok(())
    }

    /// The caller may send the rest again, or everything: an item that is put twice is the same.
    fn broken_off(&self, line: u32, failure: Failure) -> Failure {
        let message = format!(
            "{} ({} items were upserted; send again from line {line})",
            failure.message, self.answer.upserted
        );
        Failure { message, ..failure }
    }

    /// Sends what is left and sums up.
    pub(crate) async fn finish(mut self) -> Result<v1::PutItemsResponse, Failure> {
        self.flush().await?;
        if self.unlisted > 0 {
            let error = format!("{} further errors are not listed", self.unlisted);
            self.answer.errors.push(v1::LineError { line: 0, error });
        }
        self.answer.errors.sort_by_key(|error| (error.line == 0, error.line));
        Ok(self.answer)
    }
}

/// One line of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line that fits.
    Whole(Vec<u8>),
    /// A line over its limit, with the bytes it had.
    TooLong(usize),
}

/// Cuts chunks into lines and holds no more than one line of them.
#[derive(Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    length: usize,
    ready: VecDeque<Line>,
}

impl Lines {
    /// Takes a chunk; the lines that it ends are then ready.
    pub(crate) fn push(&mut self, chunk: &Bytes) {
        let mut parts = chunk.split(|byte| *byte == b'\n');
        if let Some(first) = parts.next() {
            self.extend(first);
        }
        for part in parts {
            self.end();
            self.extend(part);
        }
    }

    fn extend(&mut self, part: &[u8]) {
        self.length += part.len();
        if self.length <= limits::ITEM_LINE_BYTES_MAX {
            self.begun.extend_from_slice(part);
        } else {
            self.begun = Vec::new();
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.begun);
        let length = std::mem::take(&mut self.length);
        self.ready.push_back(match length <= limits::ITEM_LINE_BYTES_MAX {
            true => Line::Whole(line),
            false => Line::TooLong(length),
        });
    }

    /// The next line that is ready.
    pub(crate) fn next(&mut self) -> Option<Line> {
        self.ready.pop_front()
    }

    /// The last line, where the body did not end with a line break.
    pub(crate) fn last(mut self) -> Option<Line> {
        if self.length > 0 {
            self.end();
        }
        self.next()
    }
}

impl Line {
    /// Puts the line into the upload.
    pub(crate) async fn put(self, number: u32, upload: &mut Upload<'_>) -> Result<(), Failure> {
        match self {
            Self::Whole(line) => upload.line(number, &line).await,
            Self::TooLong(bytes) => {
                let most = limits::ITEM_LINE_BYTES_MAX;
                let words = format!("the line has {bytes} bytes, at most {most} are allowed");
                upload.error(number, &Failure::invalid("item", words));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&str], expected: &[&str]) {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in chunks {
            lines.push(&Bytes::copy_from_slice(chunk.as_bytes()));
            found.extend(std::iter::from_fn(|| lines.next()));
        }
        found.extend(lines.last());
        let expected: Vec<_> =
            expected.iter().map(|l| Line::Whole(l.as_bytes().to_vec())).collect();
        assert_eq!(found, expected, "{chunks:?}");
    }

    #[test]
    fn lines_are_found_however_the_body_is_cut() {
        check(&["a\nb\n"], &["a", "b"]);
        check(&["a\nb"], &["a", "b"]);
        check(&["a", "b\n", "c"], &["ab", "c"]);
        check(&["\n\na"], &["", "", "a"]);
        check(&[""], &[]);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.push(&Bytes::from(vec![b'x'; 10_000]));
            assert!(lines.begun.capacity() <= 2 * limits::ITEM_LINE_BYTES_MAX);
        }
        lines.push(&Bytes::from_static(b"\nok"));
        assert_eq!(lines.next(), Some(Line::TooLong(1_000_000)));
        assert_eq!(lines.last(), Some(Line::Whole(b"ok".to_vec())));
    }
}
