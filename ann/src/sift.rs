//! The kernel that searches spend their time in: score the codes named by a list, keep those above a
//! threshold. Integers, so every form gives the same.
#![allow(unsafe_code, reason = "prefetching, and loads at addresses computed from ids")]

use crate::codes::{Codes, LINE, QueryCode};
use crate::kernel::{Isa, isa};

/// Scores above a threshold, with the ids that have them.
#[derive(Debug, Default)]
pub(crate) struct Sifted {
    scores: Vec<i32>,
    ids: Vec<u32>,
    len: usize,
}

/// Ids scored together.
const GROUP: usize = 16;

impl Sifted {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, u32)> {
        self.scores.iter().copied().zip(self.ids.iter().copied()).take(self.len)
    }

    /// Makes room for `ids` results; the widest form stores a group past the last one.
    fn clear(&mut self, ids: usize) {
        self.len = 0;
        if self.scores.len() < ids + GROUP {
            self.scores.resize((ids + GROUP).next_power_of_two(), 0);
            self.ids.resize(self.scores.len(), 0);
        }
    }

    #[inline]
    fn push(&mut self, score: i32, id: u32) {
        if let (Some(s), Some(i)) = (self.scores.get_mut(self.len), self.ids.get_mut(self.len)) {
            (*s, *i) = (score, id);
            self.len += 1;
        }
    }
}

/// Scores each of `ids` and keeps those above `above`, in order. A score is the sum of the products
/// of the unsigned code and the signed query: its order is that of the inner product. Ids beyond the
/// last code count as the last.
///
/// The codes of `next` are asked for on the way: so they arrive while these are worked on.
#[inline(always)]
pub(crate) fn sift(
    codes: &Codes,
    query: &QueryCode,
    ids: &[u32],
    above: i32,
    found: &mut Sifted,
    next: &[u32],
) {
    sift_on(isa(), codes.bytes(), &query.bytes, Lists { ids, next }, above, found);
}

/// Asks for the codes of these.
#[inline(always)]
pub(crate) fn ask(codes: &Codes, ids: &[u32]) {
    let size = codes.lines() * LINE;
    for &id in ids {
        (0..size).step_by(LINE).for_each(|line| prefetch(codes.bytes(), id as usize * size + line));
    }
}

/// As [`sift`], for codes that lie in plain memory; each is as long as the query, in whole lines.
#[inline]
pub(crate) fn sift_bytes(codes: &[u8], query: &[i8], ids: &[u32], above: i32, found: &mut Sifted) {
    sift_on(isa(), codes, query, Lists { ids, next: &[] }, above, found);
}

/// Which codes to score, and which to ask for meanwhile.
#[derive(Debug, Clone, Copy)]
struct Lists<'a> {
    ids: &'a [u32],
    next: &'a [u32],
}

#[inline(always)]
fn sift_on(isa: Isa, bytes: &[u8], query: &[i8], lists: Lists<'_>, above: i32, found: &mut Sifted) {
    found.clear(lists.ids.len());
    let lines = query.len() / LINE;
    if lines == 0 || bytes.len() < lines * LINE {
        return;
    }
    let table = Table { bytes, lines, query, last: bytes.len() / (lines * LINE) - 1 };
    match isa {
        Isa::Plain => table.plain(lists, above, found),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `isa` is only ever one of `kernel::available()`.
        Isa::Avx2 => unsafe { table.avx2(lists, above, found) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above; each form has the number of lines it is named for.
        Isa::Avx512 => unsafe {
            match table.lines {
                1 => table.avx512::<1>(lists, above, found),
                2 => table.avx512::<2>(lists, above, found),
                3 => table.avx512::<3>(lists, above, found),
                4 => table.avx512::<4>(lists, above, found),
                6 => table.avx512::<6>(lists, above, found),
                _ => table.avx512_any(lists, above, found),
            }
        },
    }
}

/// Asks for the cache line at `at` of `table`. Beyond its end nothing happens.
#[inline(always)]
pub(crate) fn prefetch<T>(table: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program could see and faults nowhere; every
        // processor of the target has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(table.as_ptr().wrapping_add(at).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (table, at);
}

/// INVARIANT: `bytes` holds `last + 1` codes of `lines` lines, `query` has at least `lines` lines.
struct Table<'a> {
    bytes: &'a [u8],
    lines: usize,
    query: &'a [i8],
    /// Number of the last whole code.
    last: usize,
}

impl Table<'_> {
    fn size(&self) -> usize {
        self.lines * LINE
    }

    /// Asks for the codes of these.
    #[inline(always)]
    fn ask(&self, ids: &[u32], lines: usize) {
        for &id in ids {
            let at = id as usize * lines * LINE;
            (0..lines).for_each(|line| prefetch(self.bytes, at + line * LINE));
        }
    }

    fn plain(&self, lists: Lists<'_>, above: i32, found: &mut Sifted) {
        self.ask(lists.next, self.lines);
        for &id in lists.ids {
            let at = (id as usize).min(self.last) * self.size();
            let code = self.bytes.get(at..at + self.size()).unwrap_or_default();
            let products = code.iter().zip(self.query).map(|(&c, &q)| i32::from(c) * i32::from(q));
            let score = products.sum();
            if score > above {
                found.push(score, id);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{GROUP, LINE, Lists, Sifted, Table};

    impl Table<'_> {
        /// The code of `id`, or the last one.
        #[inline(always)]
        fn code(&self, id: u32) -> *const u8 {
            let at = (id as usize).min(self.last) * self.size();
            // SAFETY: `at` is the start of a whole code, by the clamp and the table's invariant.
            unsafe { self.bytes.as_ptr().add(at) }
        }

        #[target_feature(enable = "avx2")]
        pub(super) fn avx2(&self, lists: Lists<'_>, above: i32, found: &mut Sifted) {
            self.ask(lists.next, self.lines);
            for &id in lists.ids {
                let score = self.dot_avx2(self.code(id));
                if score > above {
                    found.push(score, id);
                }
            }
        }

        #[inline]
        #[target_feature(enable = "avx2")]
        fn dot_avx2(&self, code: *const u8) -> i32 {
            let mut sums = [_mm256_setzero_si256(); 2];
            for at in (0..self.size()).step_by(32) {
                for (half, sum) in sums.iter_mut().enumerate() {
                    let at = at + half * 16;
                    // SAFETY: `at + 16` is within the code and within the query, which is as long;
                    // neither load asks for alignment.
                    let (c, q) = unsafe {
                        let q = self.query.as_ptr().add(at);
                        (_mm_loadu_si128(code.add(at).cast()), _mm_loadu_si128(q.cast()))
                    };
                    let product =
                        _mm256_madd_epi16(_mm256_cvtepu8_epi16(c), _mm256_cvtepi8_epi16(q));
                    *sum = _mm256_add_epi32(*sum, product);
                }
            }
            let [a, b] = sums;
            let sum = _mm256_add_epi32(a, b);
            let sum =
                _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
            let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_11_10>(sum));
            _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32::<0b00_00_00_01>(sum)))
        }

        /// For codes of `LINES` lines, the query kept in registers.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        pub(super) fn avx512<const LINES: usize>(
            &self,
            lists: Lists<'_>,
            above: i32,
            found: &mut Sifted,
        ) {
            let query: [__m512i; LINES] = std::array::from_fn(|line| self.query_line(line));
            self.groups(lists, LINES, above, found, |codes| {
                let mut sums = [_mm512_setzero_si512(); 4];
                for (line, q) in query.iter().enumerate() {
                    add_line(&mut sums, codes, line, *q);
                }
                sums
            });
        }

        /// For codes of any size.
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        pub(super) fn avx512_any(&self, lists: Lists<'_>, above: i32, found: &mut Sifted) {
            self.groups(lists, self.lines, above, found, |codes| {
                let mut sums = [_mm512_setzero_si512(); 4];
                for line in 0..self.lines {
                    add_line(&mut sums, codes, line, self.query_line(line));
                }
                sums
            });
        }

        #[inline]
        #[target_feature(enable = "avx512f")]
        fn query_line(&self, line: usize) -> __m512i {
            debug_assert!(line < self.lines);
            // SAFETY: the query has `lines` lines; no alignment is asked for.
            unsafe { _mm512_loadu_si512(self.query.as_ptr().add(line * LINE).cast()) }
        }

        /// Goes through `ids` in groups of sixteen, four dot products at a time.
        #[inline]
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
        fn groups(
            &self,
            lists: Lists<'_>,
            lines: usize,
            above: i32,
            found: &mut Sifted,
            dots: impl Fn([*const u8; 4]) -> [__m512i; 4],
        ) {
            let above = _mm512_set1_epi32(above);
            let mut next = lists.next.chunks(4);
            for group in lists.ids.chunks(GROUP) {
                let mut padded = [0_u32; GROUP];
                padded.iter_mut().zip(group).for_each(|(slot, id)| *slot = *id);
                let mut quarters = [_mm_setzero_si128(); 4];
                let used = group.len().div_ceil(4);
                for (four, sums) in padded.as_chunks::<4>().0.iter().zip(&mut quarters).take(used) {
                    next.next().into_iter().for_each(|some| self.ask(some, lines));
                    *sums = add_across(dots(four.map(|id| self.code(id))));
                }
                let [a, b, c, d] = quarters;
                let low = _mm256_set_m128i(b, a);
                let scores =
                    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), _mm256_set_m128i(d, c));
                let whole = u16::MAX >> (GROUP - group.len());
                let keep = _mm512_mask_cmpgt_epi32_mask(whole, scores, above);
                if keep != 0 {
                    store(found, keep, scores, &padded);
                }
            }
            next.for_each(|some| self.ask(some, lines));
        }
    }

    /// Adds one line's products for four codes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn add_line(sums: &mut [__m512i; 4], codes: [*const u8; 4], line: usize, query: __m512i) {
        for (sum, code) in sums.iter_mut().zip(codes) {
            // SAFETY: `code` begins a whole code and `line` is one of its lines, by the callers.
            let bytes = unsafe { _mm512_loadu_si512(code.add(line * LINE).cast()) };
            *sum = _mm512_dpbusd_epi32(*sum, bytes, query);
        }
    }

    /// The four sums of sixteen lanes each.
    #[inline]
    #[target_feature(enable = "avx512f,avx512vl")]
    fn add_across(sums: [__m512i; 4]) -> __m128i {
        let [a, b, c, d] = sums.map(|x| {
            let high = _mm512_extracti64x4_epi64::<1>(x);
            _mm256_add_epi32(_mm512_castsi512_si256(x), high)
        });
        let x = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x))
    }

    /// Appends the kept ones of a group.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store(found: &mut Sifted, keep: __mmask16, scores: __m512i, ids: &[u32; GROUP]) {
        let (len, room) = (found.len, found.scores.len().min(found.ids.len()));
        if len + GROUP > room {
            return;
        }
        // SAFETY: a group's room is left behind `len` in both lists, checked just above; `ids` is a
        // whole group.
        unsafe {
            let ids = _mm512_loadu_si512(ids.as_ptr().cast());
            let (s, i) = (found.scores.as_mut_ptr().add(len), found.ids.as_mut_ptr().add(len));
            _mm512_storeu_si512(s.cast(), _mm512_maskz_compress_epi32(keep, scores));
            _mm512_storeu_si512(i.cast(), _mm512_maskz_compress_epi32(keep, ids));
        }
        found.len += keep.count_ones() as usize;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codes::{Coder, FITTED, Order};
    use crate::kernel::available;
    use crate::matrix::Rows;

    fn check(width: usize, values: &[f32], ids: &[u32], above: i32) {
        let rows = Rows::new(width, &values[..values.len() / width * width]);
        let coder = Coder::fit(rows, Order::Product, FITTED);
        let codes = Codes::of(&coder, rows.len(), rows.iter()).unwrap();
        let query = coder.query(&values[..width]);
        let found = |isa: Isa| {
            let mut found = Sifted::default();
            let lists = Lists { ids, next: ids };
            sift_on(isa, codes.bytes(), &query.bytes, lists, above, &mut found);
            found.iter().collect::<Vec<_>>()
        };
        let plain = found(Isa::Plain);
        assert!(plain.iter().all(|&(score, id)| score > above && ids.contains(&id)));
        assert!(above > i32::MIN || plain.len() == ids.len());
        for isa in available() {
            assert_eq!(found(isa), plain, "{isa:?}");
        }
    }

    proptest! {
        #[test]
        fn every_form_keeps_the_same(
            width in prop_oneof![1usize..70, 60usize..520],
            values in prop::collection::vec(-2.0f32..2.0, 520..1500),
            ids in prop::collection::vec(0u32..40, 0..70),
            above in prop_oneof![Just(i32::MIN), -3_000_000..3_000_000i32, -200_000..200_000i32],
        ) {
            check(width, &values, &ids, above);
        }
    }
}
