//! Laws of the sums, and what the vectors are good for.

use proptest::prelude::*;

use super::*;

const ITEMS: usize = 12;

fn interactions(people: &[Vec<u32>]) -> Interactions {
    let mut all = Interactions::new(ITEMS);
    for taken in people {
        all.push(taken, 1000).unwrap();
    }
    all
}

fn people() -> impl Strategy<Value = Vec<Vec<u32>>> {
    prop::collection::vec(prop::collection::vec(0..ITEMS as u32, 0..8), 1..30)
}

fn assert_near(a: &Block, b: &Block) {
    assert_eq!(a.shape(), b.shape());
    for (a, b) in a.values().iter().zip(b.values()) {
        assert!((a - b).abs() <= 1e-6 * (1.0 + a.abs()), "{a} and {b}");
    }
}

/// The people dealt over `domains`, as the owners say.
fn deal(people: &[Vec<u32>], owners: &[usize], domains: usize) -> Vec<Interactions> {
    let mine = |domain| {
        let owned = people.iter().zip(owners.iter().cycle()).filter(|(_, o)| **o == domain);
        interactions(&owned.map(|(taken, _)| taken.clone()).collect::<Vec<_>>())
    };
    (0..domains).map(mine).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However people are spread, the sums are what pooled data would have given, and so is every step
    /// that builds on sums alone. One of the four domains stays empty.
    #[test]
    fn shares_sum_to_the_central_result(
        people in people(),
        owners in prop::collection::vec(0..3_usize, 1..30),
    ) {
        let central = interactions(&people);
        let domains = deal(&people, &owners, 4);
        let degrees: Vec<Block> = domains.iter().map(Interactions::degrees).collect();
        let degrees = Block::sum(&degrees).unwrap();
        prop_assert_eq!(&degrees, &central.degrees());

        let scale = ItemScale::new(&degrees, 0.3).unwrap();
        let block = Block::seeded(ITEMS, 5, 7).orthonormalise();
        let shares: Vec<Block> =
            domains.iter().map(|d| share(d, &scale, &block).unwrap()).collect();
        assert_near(&Block::sum(&shares).unwrap(), &share(&central, &scale, &block).unwrap());
    }

    /// One person moves no column of a sum by more than that column is long.
    #[test]
    fn one_person_counts_for_at_most_one(taken in prop::collection::vec(0..ITEMS as u32, 1..12)) {
        let alone = interactions(&[taken]);
        let scale = ItemScale::new(&alone.degrees(), 0.3).unwrap();
        let answer = share(&alone, &scale, &Block::seeded(ITEMS, 4, 3).orthonormalise()).unwrap();
        for column in 0..4 {
            let values = answer.values().iter().skip(column).step_by(4);
            prop_assert!(values.map(|v| v * v).sum::<f32>() <= 1.0 + 1e-5);
        }
    }

    #[test]
    fn columns_become_orthonormal_or_zero(seed: u64, rank in 1..6_usize) {
        // Six columns of rank `rank`: the later ones repeat the earlier.
        let wide = Block::seeded(20, rank, seed);
        let values = wide.rows().flat_map(|row| (0..6).map(move |c| row[c % rank])).collect();
        let q = Block::new(20, 6, values).unwrap().orthonormalise();
        for (at, value) in q.gram(&q).into_iter().enumerate() {
            let expected = if at % 7 == 0 && at / 7 < rank { 1.0 } else { 0.0 };
            prop_assert!((value - expected).abs() < 1e-5, "{at}: {value}");
        }
    }

    #[test]
    fn the_eigenvectors_rebuild_the_matrix(values in prop::collection::vec(-1.0..1.0_f64, 25)) {
        let n = 5;
        let matrix: Vec<f64> =
            (0..25).map(|at| values[at] + values[(at % n) * n + at / n]).collect();
        let pairs = eigen::symmetric(&matrix, n);
        for (at, &expected) in matrix.iter().enumerate() {
            let built: f64 = pairs.iter().map(|(l, v)| l * v[at / n] * v[at % n]).sum();
            prop_assert!((built - expected).abs() < 1e-9, "{at}: {built} for {expected}");
        }
    }
}

/// Two circles of taste that share nothing: whoever took from one is recommended the rest of it.
#[test]
fn vectors_tell_tastes_apart() {
    let people: Vec<Vec<u32>> = (0..40_u32)
        .map(|person| (0..4).map(|i| (person % 2) * 6 + (person / 2 + i) % 6).collect())
        .collect();
    let domains = deal(&people, &[0, 1, 1], 2);
    let mut heard = Vec::new();
    // As many dimensions as tastes: with one for every item the vectors would tell items apart.
    let options = Options { dimensions: 2, ..Options::default() };
    let vectors = learn(&domains, options, |done, of| heard.push((done, of))).unwrap();
    assert_eq!(heard.last(), Some(&(10, 10)));
    let scores = vectors.scores(&vectors.pool([(0, 1.0), (1, 0.5)]).unwrap());
    let worst_of_mine = scores[..6].iter().copied().fold(f32::INFINITY, f32::min);
    let best_of_theirs = scores[6..].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    assert!(worst_of_mine > best_of_theirs + 0.1, "{scores:?}");
}

/// The figures of a run can be had again: the same people and seed give the same bytes.
#[test]
fn the_same_seed_gives_the_same_bytes() {
    let domains = [interactions(&[vec![0, 1, 2], vec![2, 3], vec![3, 4, 5, 0]])];
    let run = || learn(&domains, Options::default(), |_, _| ()).unwrap();
    assert_eq!(run(), run());
}

#[test]
fn items_that_nobody_took_have_no_vector() {
    let vectors = learn(&[interactions(&[vec![0, 1], vec![1, 2]])], Options::default(), |_, _| ());
    let vectors = vectors.unwrap();
    assert!(vectors.get(1).is_some());
    assert!(vectors.get(5).is_none());
    assert!(vectors.get(99).is_none());
    assert_eq!(vectors.pool([(5, 1.0), (99, 1.0)]), None);
}

#[test]
fn a_person_counts_by_their_newest_items_once_each() {
    let mut all = Interactions::new(ITEMS);
    all.push(&[3, 1, 2, 1, 4], 3).unwrap();
    assert_eq!(all.rows().collect::<Vec<_>>(), [&[1, 2, 4]]);
    assert_eq!(format!("{all:?}"), "Interactions { items: 12, people: 1, pairs: 3 }");
}

/// Nothing to learn from is no error: nobody, an empty catalogue, an empty history.
#[test]
fn nothing_to_learn_from_gives_no_vectors() {
    for people in [vec![], vec![vec![]]] {
        let vectors = learn(&[interactions(&people)], Options::default(), |_, _| ()).unwrap();
        assert!((0..ITEMS as u32).all(|item| vectors.get(item).is_none()));
    }
    let empty = learn(&[Interactions::new(0)], Options::default(), |_, _| ()).unwrap();
    assert!(empty.get(0).is_none());
}

#[test]
fn parts_of_the_wrong_shape_are_refused() {
    let one = interactions(&[vec![0]]);
    let scale = ItemScale::new(&one.degrees(), 0.3).unwrap();
    let refused = [
        Block::new(2, 2, vec![0.0; 3]).err(),
        Block::new(1, 2, vec![0.0, f32::NAN]).err(),
        Block::sum(&[Block::zeros(2, 2), Block::zeros(2, 3)]).err(),
        Block::sum(&[]).err(),
        share(&one, &scale, &Block::zeros(ITEMS + 1, 2)).err(),
        ItemScale::new(&Block::zeros(3, 2), 0.3).err(),
        Interactions::new(3).push(&[3], 9).err(),
        Rounds::start(Options { dimensions: 0, ..Options::default() }, one.degrees()).err(),
        Rounds::start(Options { rounds: 0, ..Options::default() }, one.degrees()).err(),
    ];
    for (at, error) in refused.into_iter().enumerate() {
        assert!(error.is_some(), "case {at}");
    }
}
