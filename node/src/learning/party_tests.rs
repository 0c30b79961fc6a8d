//! Domains that learn together, without the links between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bailiwick_core::ids::DomainId;
use bailiwick_core::learning::{
    Balance, Budget, Census, Fineness, Interactions, LearningError, PooledModel, Round, Share,
    Training, TrainingOptions, summed, train,
};
use bailiwick_core::pinned::{Pinned, Standpoint};
use proptest::prelude::*;
use ring::rand::SystemRandom;

use super::wire::{ArrivingModel, ArrivingShare, model_parts, share_parts};
use super::*;

const ITEMS: usize = 60;

fn options() -> TrainingOptions {
    TrainingOptions {
        dimensions: 16,
        rounds: 12,
        round_examples: 400,
        ..TrainingOptions::default()
    }
}

/// What a person of two tastes takes.
fn taken(person: u32) -> Vec<u32> {
    (0..8).map(|at| (person % 2) * 30 + (person * 7 + at * at) % 30).collect()
}

fn people(numbers: impl Iterator<Item = u32>) -> Interactions {
    let mut people = Interactions::new(ITEMS);
    numbers.for_each(|person| people.push_as(person.into(), &taken(person), 100).unwrap());
    people
}

fn domains() -> BTreeSet<DomainId> {
    ["eu", "in", "us"].map(|name| name.parse().unwrap()).into()
}

fn terms(options: TrainingOptions) -> Terms {
    Terms { options, domains: 3 }
}

/// Three parties that have agreed, with 120 people dealt over them.
fn parties() -> BTreeMap<DomainId, Party> {
    parties_on(terms(options()))
}

fn parties_on(terms: Terms) -> BTreeMap<DomainId, Party> {
    parties_paid(terms, &|_| Some(allowance(&Arc::default(), 0, 100)))
}

/// An allowance of a run's node.
fn allowance(tally: &Arc<Tally>, done: u64, paid: u64) -> Allowance {
    Allowance { tally: Arc::clone(tally), run: vec![3; 16], done, paid }
}

fn parties_paid(
    terms: Terms,
    paid: &dyn Fn(&DomainId) -> Option<Allowance>,
) -> BTreeMap<DomainId, Party> {
    let all = domains();
    let run = RunId([3; 16]);
    let offer = |own: &DomainId| Offer::new(run, own, &all, &SystemRandom::new()).unwrap();
    let offers: BTreeMap<_, _> = all.iter().map(|own| (own.clone(), offer(own))).collect();
    let public: BTreeMap<_, _> = offers.iter().map(|(own, o)| (own.clone(), o.public())).collect();
    let mut parties = BTreeMap::new();
    for (at, (own, offer)) in (0..).zip(offers) {
        let key = |(peer, keys): (&DomainId, &BTreeMap<DomainId, Vec<u8>>)| {
            keys.get(&own).map(|key| (peer.clone(), key.clone()))
        };
        let theirs = public.iter().filter_map(key).collect();
        let mine = people((0..120).filter(|person| person % 3 == at));
        let pinned = Pinned::new(own.clone(), mine);
        let here = Standpoint::attested(own.clone());
        let mut party = Party::new(pinned, here, terms, paid(&own));
        party.agreed(offer.agree(&theirs).unwrap());
        parties.insert(own, party);
    }
    parties
}

/// Over the wire and back.
fn sent(from: &DomainId, share: &MaskedShare, shape: (usize, usize)) -> MaskedShare {
    let mut arriving = ArrivingShare::of(shape, share.masked().fineness());
    share_parts(share).for_each(|part| arriving.take(&part).unwrap());
    assert!(!arriving.is_missing());
    arriving.whole(from, share.attempt()).unwrap()
}

fn received(model: &PooledModel) -> PooledModel {
    let shape = model.targets().shape();
    let mut arriving = ArrivingModel::of(shape);
    model_parts(model).for_each(|part| arriving.take(&part).unwrap());
    arriving.whole().unwrap()
}

fn gathered(
    parties: &mut BTreeMap<DomainId, Party>,
    at: Attempt,
    shape: (usize, usize),
    fineness: [Fineness; 2],
    ask: impl Fn(&mut Party) -> MaskedShare,
) -> Share {
    let mut gathering = Gathering::new(at, domains(), shape, fineness).unwrap();
    for (domain, party) in parties {
        gathering.take(&sent(domain, &ask(party), shape)).unwrap();
    }
    gathering.total().unwrap().unpacked().unwrap()
}

fn first() -> [Fineness; 2] {
    Default::default()
}

/// The same people, masked and domain by domain, or pooled: the same model, to rounding.
#[test]
fn federated_equals_central() {
    let mut parties = parties();
    let at = Attempt { round: 0, attempt: 1 };
    let total = gathered(&mut parties, at, (0, 1), first(), |party| party.census(at).unwrap());
    let census = Census::of_share(&total);
    assert_eq!(census, Census::of(&people(0..120)));
    let mut training = Training::start(options(), ITEMS, census).unwrap();
    while let Some(round) = training.round() {
        let at = Attempt { round: training.progress().0 + 1, attempt: 1 };
        let model = received(&training.asked().unwrap());
        assert_eq!(model, training.asked().unwrap(), "all domains reckon by the same bits");
        let shape = model.targets().shape();
        let total = gathered(&mut parties, at, shape, round.fineness, |party| {
            party.share(at, &round, &model, census.people).unwrap()
        });
        training.advance(&total).unwrap();
    }
    let federated = training.finish();
    let all = [people(0..120)];
    let central = train(&all, options(), |round, model| summed(&all, round, model), |_, _, _| ());
    let central = central.unwrap();
    for (ours, theirs) in
        [(federated.targets(), central.targets()), (federated.history(), central.history())]
    {
        let pairs = ours.values().iter().zip(theirs.values());
        let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-6, "{apart}");
    }
    assert!((0..60).any(|item| central.knows(item)), "something was learned");
}

/// Under a budget each domain adds its part of the noise, and all together add what the budget asks for.
#[test]
fn parties_add_the_noise_that_the_budget_asks_for() {
    let private = options().under(Budget::new(5.0, 1e-6).unwrap());
    let mut parties = parties_on(terms(private));
    let at = Attempt { round: 0, attempt: 1 };
    let total = gathered(&mut parties, at, (0, 1), first(), |party| party.census(at).unwrap());
    assert_ne!(Census::of_share(&total), Census::of(&people(0..120)), "the census has noise too");
    let training = Training::start(private, ITEMS, Census::of(&people(0..120))).unwrap();
    let (round, model) = (training.round().unwrap(), training.asked().unwrap());
    let at = Attempt { round: 1, attempt: 1 };
    let shape = model.targets().shape();
    let total = gathered(&mut parties, at, shape, round.fineness, |party| {
        party.share(at, &round, &model, 120).unwrap()
    });
    let plain = summed(&[people(0..120)], &round, &model).unwrap();
    for (noisy, plain) in total.blocks().into_iter().zip(plain.blocks()).take(2) {
        let (noisy, plain) = (noisy.scaled(1.0), plain.scaled(1.0));
        let apart = noisy.values().iter().zip(plain.values()).map(|(n, p)| f64::from(n - p));
        let squares: Vec<f64> = apart.map(|apart| apart.powi(2)).collect();
        let deviation = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
        let wanted = private.deviation(|whole| whole);
        // 960 draws: five standard errors are 11 %.
        assert!((deviation / wanted - 1.0).abs() < 0.12, "{deviation} where {wanted} is asked for");
    }
}

/// Under noise the coordinator has no say in the steps of a share: with steps above the noise it would not hide.
#[test]
fn a_party_gives_no_noisy_share_in_other_steps() {
    let mut party = parties_on(terms(private())).pop_first().unwrap().1;
    let training = Training::start(private(), ITEMS, Census::of(&people(0..120))).unwrap();
    let (round, model) = (training.round().unwrap(), training.asked().unwrap());
    let at = |round| Attempt { round, attempt: 1 };
    let coarse = Round { fineness: [Fineness::new(4).unwrap(); 2], ..round };
    let refused = party.share(at(1), &coarse, &model, 120).unwrap_err();
    assert!(matches!(refused, PartyError::Fineness));
    assert!(party.share(at(1), &round, &model, 120).is_ok());
}

/// A sum that does not fit is asked for again in greater steps, and then is what it would have been.
#[test]
fn a_sum_that_went_round_is_had_in_greater_steps() {
    let mut parties = parties();
    let training = Training::start(options(), ITEMS, Census::of(&people(0..120))).unwrap();
    let (round, model) = (training.round().unwrap(), training.asked().unwrap());
    let shape = model.targets().shape();
    let mut asked = |attempt, bits| {
        let round = Round { fineness: [Fineness::new(bits).unwrap(); 2], ..round };
        let at = Attempt { round: 1, attempt };
        let mut gathering = Gathering::new(at, domains(), shape, round.fineness).unwrap();
        for (domain, party) in &mut parties {
            let share = party.share(at, &round, &model, 120).unwrap();
            gathering.take(&sent(domain, &share, shape)).unwrap();
        }
        gathering.total().unwrap().unpacked()
    };
    assert_eq!(asked(1, 36), Err(LearningError::WentRound));
    let found = asked(2, 24).unwrap();
    let dealt = [0, 1, 2].map(|at| people((0..120).filter(|person| person % 3 == at)));
    let plain = summed(&dealt, &round, &model).unwrap();
    // Of three shares each was rounded by half a step of 2^-24 at most, which is 2^12 of those that they are added in.
    for (found, plain) in found.blocks().into_iter().zip(plain.blocks()).take(2) {
        let pairs = found.steps().iter().zip(plain.steps());
        let apart = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(apart <= 3 << 11, "{apart}");
    }
}

fn private() -> TrainingOptions {
    options().under(Budget::new(5.0, 1e-6).unwrap())
}

/// A coordinator that asks for more sums than it paid for, in however many sessions, gets no share.
#[test]
fn a_party_gives_no_more_noisy_shares_than_are_paid_for() {
    let (tally, eu): (Arc<Tally>, DomainId) = (Arc::default(), "eu".parse().unwrap());
    let session = |paid| {
        let mut all = parties_paid(terms(private()), &|_| Some(allowance(&tally, 0, paid)));
        all.remove(&eu).unwrap()
    };
    let training = Training::start(private(), ITEMS, Census::of(&people(0..120))).unwrap();
    let (round, model) = (training.round().unwrap(), training.model().clone());
    let share = |party: &mut Party, at: u32| {
        party.share(Attempt { round: at, attempt: 1 }, &round, &model, 120).map(drop)
    };
    let mut first = session(3);
    assert!(first.census(Attempt { round: 0, attempt: 1 }).is_ok());
    assert!(share(&mut first, 1).is_ok());
    // The domains meet anew, and the round is asked for again: one more than is needed without that.
    let mut second = session(3);
    assert!(share(&mut second, 1).is_ok());
    for party in [&mut first, &mut second, &mut session(3)] {
        let refused = share(party, 2).unwrap_err();
        assert_eq!(refused.to_string(), "3 shares under noise were given, 3 are paid for");
    }
    assert!(share(&mut session(4), 2).is_ok(), "the next is paid for");
    let mut unpaid = parties_paid(terms(private()), &|_| None).remove(&eu).unwrap();
    assert!(matches!(share(&mut unpaid, 1), Err(PartyError::Unpaid(_))), "nothing says it is paid");
    let mut plain = parties_paid(terms(options()), &|_| None).remove(&eu).unwrap();
    assert!(share(&mut plain, 1).is_ok(), "without a budget shares cost nothing");
}

proptest! {
    /// Whatever is paid for when, and however many runs go on: no run gets more shares than it paid for, and none
    /// less, less those that were given before the process began.
    #[test]
    fn shares_given_are_shares_paid_for(
        steps in prop::collection::vec((0..3_u8, prop::bool::ANY), 1..200),
        done in 0..5_u64,
    ) {
        let tally = Arc::default();
        let (mut paid, mut given) = ([0_u64; 3], [0_u64; 3]);
        for (run, pays) in steps {
            let at = usize::from(run);
            if pays {
                paid[at] += 1;
                continue;
            }
            let allowed = Allowance { tally: Arc::clone(&tally), run: vec![run], done, paid: paid[at] };
            let taken = allowed.take().is_ok();
            prop_assert_eq!(taken, given[at] + done < paid[at]);
            given[at] += u64::from(taken);
        }
    }
}

/// With a balance, a domain of few people counts as much as its weight says.
#[test]
fn a_small_domain_weighs_its_share() {
    let balanced = TrainingOptions { balance: Balance::new(1.0).unwrap(), ..options() };
    let training = Training::start(options(), ITEMS, Census::of(&people(0..120))).unwrap();
    let (round, model) = (training.round().unwrap(), training.model().clone());
    let own = people(0..20);
    let mut expected = round.share(&own, &model, &round.groups(&own)).unwrap();
    let mut found = expected.clone();
    terms(balanced).apply(&mut found, &own, 120);
    expected.weigh(2.0);
    assert_eq!(found, expected, "20 of 120 people over three domains count twice");
    terms(options()).apply(&mut found, &own, 120);
    assert_eq!(found, expected, "without a balance nothing is weighed");
}

#[test]
fn nothing_leaves_a_party_that_has_not_agreed() {
    let own: DomainId = "eu".parse().unwrap();
    let pinned = Pinned::new(own.clone(), people(0..30));
    let mut party = Party::new(pinned, Standpoint::attested(own), terms(options()), None);
    let at = Attempt { round: 0, attempt: 0 };
    assert!(matches!(party.census(at), Err(PartyError::NoMasks)));
}

/// People of one domain are not read by a process of another, masks or not.
#[test]
fn a_party_reads_its_own_people_alone() {
    let mut parties = parties();
    let (us, eu): (DomainId, DomainId) = ("us".parse().unwrap(), "eu".parse().unwrap());
    let astray = Pinned::new(eu, people(0..30));
    let held = parties.remove(&us).unwrap();
    let mut party = held.with_people(astray);
    let at = Attempt { round: 0, attempt: 0 };
    assert!(matches!(party.census(at), Err(PartyError::Pin(_))));
}

/// A domain that lies about the form is refused, and nothing of it is added.
#[test]
fn what_is_not_a_share_is_refused() {
    let from = domains().pop_first().unwrap();
    let mut share = ArrivingShare::of((2, 2), first());
    assert!(share.take(&[0; 4 * 5]).is_err(), "a part that goes on into the next block");
    assert!(share.take(&[0; 4 * 3 + 1]).is_err(), "half a value");
    assert!(share.take(&[]).is_err(), "a part without bytes");
    for values in [3, 1, 4] {
        assert!(share.is_missing());
        share.take(&vec![0; 4 * values]).unwrap();
    }
    assert!(share.take(&[0; 8 * 4 + 4]).is_err(), "half a number");
    assert!(share.take(&[0; 8 * 6]).is_err(), "a number too many");
    for numbers in [2, 3] {
        assert!(share.is_missing());
        share.take(&vec![0; 8 * numbers]).unwrap();
    }
    assert!(!share.is_missing());
    assert!(share.take(&[0; 8]).is_err(), "a value too many");
    assert!(share.whole(&from, Attempt { round: 0, attempt: 0 }).is_ok());
    let half = ArrivingShare::of((2, 2), first()).whole(&from, Attempt { round: 0, attempt: 0 });
    assert!(half.is_err(), "a share of which nothing came");
    let mut model = ArrivingModel::of((1, 1));
    // The upper half of a NaN, and of 1.
    model.take(&0x7fc0_u16.to_le_bytes()).unwrap();
    model.take(&0x3f80_u16.to_le_bytes()).unwrap();
    assert!(model.whole().is_err(), "not a number");
}
