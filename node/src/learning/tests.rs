//! Sums that are exact, of shares that show nothing.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::ids::DomainId;
use bailiwick_core::learning::{
    Fineness, Interactions, PackedShare, Round, Training, TrainingOptions,
};
use ring::rand::SystemRandom;

use super::*;

const RUN: RunId = RunId([7; 16]);
const FIRST: Attempt = Attempt { round: 1, attempt: 0 };
const AGAIN: Attempt = Attempt { round: 1, attempt: 1 };
const ITEMS: usize = 200;
const DIMENSIONS: usize = 16;

fn domain(name: &str) -> DomainId {
    name.parse().unwrap()
}

fn domains() -> BTreeSet<DomainId> {
    ["us", "eu", "in"].map(domain).into()
}

/// Every domain makes its offer, the keys change hands, and all agree.
fn agreed() -> BTreeMap<DomainId, PairMasks> {
    let all = domains();
    let offers: BTreeMap<_, _> = all
        .iter()
        .map(|own| (own.clone(), Offer::new(RUN, own, &all, &SystemRandom::new()).unwrap()))
        .collect();
    let public: BTreeMap<_, _> = offers.iter().map(|(own, o)| (own.clone(), o.public())).collect();
    let agree = |(own, offer): (DomainId, Offer)| {
        let made_for_own = |(peer, keys): (&DomainId, &BTreeMap<DomainId, Vec<u8>>)| {
            keys.get(&own).map(|key| (peer.clone(), key.clone()))
        };
        let theirs = public.iter().filter_map(made_for_own).collect();
        let masks = offer.agree(&theirs).unwrap();
        (own, masks)
    };
    offers.into_iter().map(agree).collect()
}

/// A real share: of people who took a few items each, so that most of it is zero.
fn share(seed: u64) -> PackedShare {
    let mut people = Interactions::new(ITEMS);
    for person in 0..20 {
        let taken: Vec<u32> = (0..5).map(|i| (person * 13 + i * 7 + seed as u32) % 200).collect();
        people.push_as(seed * 100 + u64::from(person), &taken, 100).unwrap();
    }
    let options = TrainingOptions { dimensions: DIMENSIONS, ..TrainingOptions::default() };
    let census = bailiwick_core::learning::Census::of(&people);
    let training = Training::start(options, ITEMS, census).unwrap();
    let mut round: Round = training.round().unwrap();
    round.form.negatives = 20;
    let share = round.share(&people, training.model(), &round.groups(&people)).unwrap();
    share.packed(fineness())
}

fn fineness() -> [Fineness; 2] {
    Default::default()
}

fn zeros() -> PackedShare {
    PackedShare::zeros((ITEMS, DIMENSIONS), fineness())
}

/// All words, and the halves of the numbers beside them.
fn words(share: &PackedShare) -> Vec<u32> {
    let words = share.words().into_iter().flatten().copied();
    let halves = share.numbers().iter().flat_map(|number| [*number as u32, (number >> 32) as u32]);
    words.chain(halves).collect()
}

/// Chi-square of the bytes against an even spread, 255 degrees of freedom: 255 in the mean, deviation 23.
fn unevenness(share: &PackedShare) -> f64 {
    let mut counts = [0_u32; 256];
    let bytes: Vec<u8> = words(share).iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let even = bytes.len() as f64 / 256.0;
    counts.iter().map(|&count| (f64::from(count) - even).powi(2) / even).sum()
}

#[test]
fn the_sum_of_masked_shares_is_the_sum_of_shares() {
    let mut gathering = Gathering::new(FIRST, domains(), (ITEMS, DIMENSIONS), fineness()).unwrap();
    let mut expected = zeros();
    for (seed, masks) in (1..).zip(agreed().values_mut()) {
        expected.add(&share(seed)).unwrap();
        gathering.take(&masks.mask(FIRST, share(seed)).unwrap()).unwrap();
    }
    assert_eq!(gathering.total().unwrap(), expected);
}

/// With masks off this fails: a share is mostly zeros and small numbers.
#[test]
fn a_masked_share_shows_nothing() {
    for (seed, mut masks) in (1..).zip(agreed().into_values()) {
        let plain = share(seed);
        let masked = masks.mask(FIRST, plain.clone()).unwrap();
        let differ =
            words(&plain).iter().zip(words(masked.masked())).filter(|(p, m)| *p != m).count();
        // By chance one word of 2^32 is masked by 0.
        assert!(differ + 1 >= words(&plain).len(), "places are as they were");
        // 8 deviations: one run in 10^15 is beyond by chance.
        assert!(unevenness(&plain) > 1000.0, "the measure sees nothing: {}", unevenness(&plain));
        assert!(unevenness(masked.masked()) < 440.0, "{}", unevenness(masked.masked()));
    }
}

/// Two shares of one domain and two domains of one attempt have no mask in common: neither a difference
/// over time nor the sum of all but one shows a share.
#[test]
fn no_part_of_the_shares_shows_the_rest() {
    let masked =
        |masks: &mut PairMasks, at, seed| masks.mask(at, share(seed)).unwrap().masked().clone();
    let mut all = agreed();
    let [eu, third, us] = all.values_mut().collect::<Vec<_>>().try_into().unwrap();
    let (first, again) = (masked(eu, FIRST, 1), masked(eu, AGAIN, 1));
    let mut difference = zeros();
    let pairs = difference.words_mut().into_iter().zip(first.words()).zip(again.words());
    for ((out, a), b) in pairs {
        let places = out.iter_mut().zip(a).zip(b);
        places.for_each(|((out, a), b)| *out = a.wrapping_sub(*b));
    }
    assert!(unevenness(&difference) < 440.0, "{}", unevenness(&difference));
    let mut two = first;
    two.add(&masked(us, FIRST, 2)).unwrap();
    assert!(unevenness(&two) < 440.0, "{}", unevenness(&two));
    two.add(&masked(third, FIRST, 3)).unwrap();
    assert!(unevenness(&two) > 1000.0, "the sum of all is to be read");
}

/// The Indian domain goes dark. What was sent can't be read; the others begin the round again without it.
#[test]
fn a_domain_that_drops_out_costs_one_attempt() {
    let (mut all, gone) = (agreed(), domain("in"));
    let mut gathering = Gathering::new(FIRST, domains(), (ITEMS, DIMENSIONS), fineness()).unwrap();
    all.remove(&gone).unwrap();
    for (seed, masks) in (1..).zip(all.values_mut()) {
        gathering.take(&masks.mask(FIRST, share(seed)).unwrap()).unwrap();
    }
    assert_eq!(gathering.waiting(), &BTreeSet::from([gone.clone()]));
    assert_eq!(
        gathering.total().unwrap_err().to_string(),
        "1 of 3 shares are missing, the first that of in"
    );

    let left: BTreeSet<DomainId> = all.keys().cloned().collect();
    let mut gathering = Gathering::new(AGAIN, left, (ITEMS, DIMENSIONS), fineness()).unwrap();
    let mut expected = zeros();
    for (seed, masks) in (1..).zip(all.values_mut()) {
        masks.without(&gone).unwrap();
        expected.add(&share(seed)).unwrap();
        gathering.take(&masks.mask(AGAIN, share(seed)).unwrap()).unwrap();
    }
    assert_eq!(gathering.total().unwrap(), expected);
}

#[test]
fn a_mask_serves_once() {
    let mut all = agreed();
    let masks = all.get_mut(&domain("eu")).unwrap();
    masks.mask(AGAIN, share(1)).unwrap();
    for spent in [FIRST, AGAIN] {
        assert!(matches!(masks.mask(spent, share(2)), Err(SumError::Spent { .. })), "{spent}");
    }
    masks.mask(Attempt { round: 2, attempt: 0 }, share(2)).unwrap();
}

#[test]
fn what_does_not_belong_is_refused() {
    let from = |name: &str, at, share| MaskedShare::new(domain(name), at, share);
    let mut gathering = Gathering::new(FIRST, domains(), (ITEMS, DIMENSIONS), fineness()).unwrap();
    gathering.take(&from("eu", FIRST, zeros())).unwrap();
    let cases = [
        (from("eu", FIRST, zeros()), "eu sent its share already"),
        (from("cn", FIRST, zeros()), "cn does not take part in this sum"),
        (
            from("us", AGAIN, zeros()),
            "us sent a share of attempt 1 at round 1, attempt 0 at round 1",
        ),
        (
            from("us", FIRST, PackedShare::zeros((ITEMS, 2), fineness())),
            "a part has the shape (200, 2)",
        ),
    ];
    for (share, expected) in cases {
        let found = gathering.take(&share).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found}");
    }
    assert_eq!(gathering.waiting().len(), 2);
}

#[test]
fn nobody_sums_alone_and_no_key_is_guessed() {
    let random = SystemRandom::new();
    let alone = BTreeSet::from([domain("eu")]);
    assert!(matches!(Offer::new(RUN, &domain("eu"), &alone, &random), Err(SumError::Alone { .. })));
    assert!(matches!(
        Gathering::new(FIRST, alone, (1, 1), fineness()),
        Err(SumError::Alone { domains: 1 })
    ));
    let offer = || Offer::new(RUN, &domain("eu"), &domains(), &random).unwrap();
    assert!(matches!(offer().agree(&BTreeMap::new()), Err(SumError::NoKey { .. })));
    // All-zero keys are of small order: what is agreed on with them is known to everyone.
    let known = domains().into_iter().map(|peer| (peer, vec![0; 32])).collect();
    assert!(matches!(offer().agree(&known), Err(SumError::Agreement { .. })));
    let short = domains().into_iter().map(|peer| (peer, vec![9; 5])).collect();
    assert!(matches!(offer().agree(&short), Err(SumError::Agreement { .. })));

    let mut two = agreed().remove(&domain("eu")).unwrap();
    two.without(&domain("in")).unwrap();
    assert!(matches!(two.without(&domain("us")), Err(SumError::Alone { .. })));
    assert_eq!(two.peers().collect::<Vec<_>>(), [&domain("us")]);
}
