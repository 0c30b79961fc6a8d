//! Vectors of one length, one after the other.

/// Rows of `width` values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matrix {
    width: usize,
    values: Vec<f32>,
}

/// A view of vectors of one length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    width: usize,
    values: &'a [f32],
}

impl<'a> Rows<'a> {
    pub(crate) fn new(width: usize, values: &'a [f32]) -> Self {
        Self { width: width.max(1), values }
    }

    /// The first rows.
    pub(crate) fn head(self, rows: usize) -> Self {
        Self { values: self.values.get(..rows * self.width).unwrap_or(self.values), ..self }
    }

    pub(crate) fn width(self) -> usize {
        self.width
    }

    pub(crate) fn len(self) -> usize {
        self.values.len() / self.width
    }

    /// The row, empty beyond the end.
    #[inline]
    pub(crate) fn row(self, at: usize) -> &'a [f32] {
        self.values.get(at * self.width..(at + 1) * self.width).unwrap_or_default()
    }

    pub(crate) fn iter(self) -> std::slice::ChunksExact<'a, f32> {
        self.values.chunks_exact(self.width)
    }

    pub(crate) fn values(self) -> &'a [f32] {
        self.values
    }
}

impl Matrix {
    pub(crate) fn with_capacity(width: usize, rows: usize) -> Self {
        Self { width, values: Vec::with_capacity(width * rows) }
    }

    pub(crate) fn from_values(width: usize, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len() % width.max(1), 0);
        Self { width, values }
    }

    /// Adds a row of `width` values.
    pub(crate) fn push(&mut self, row: &[f32]) {
        debug_assert_eq!(row.len(), self.width);
        self.values.extend_from_slice(row);
    }

    /// Copies of some rows.
    pub(crate) fn gather(from: &Self, rows: impl Iterator<Item = u32>) -> Self {
        let mut some = Self::with_capacity(from.width, rows.size_hint().0);
        rows.for_each(|row| some.push(from.row(row as usize)));
        some
    }

    /// All rows.
    pub(crate) fn view(&self) -> Rows<'_> {
        Rows::new(self.width, &self.values)
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// The row, empty beyond the end.
    #[inline]
    pub(crate) fn row(&self, at: usize) -> &[f32] {
        self.values.get(at * self.width..(at + 1) * self.width).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width.max(1))
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }
}
