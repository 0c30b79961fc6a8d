//! Learns from a public split and prints Recall@20 and NDCG@20.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use bailiwick_core::learning::*;
use std::collections::BTreeMap;
use std::time::Instant;

fn read(path: &str) -> Vec<(u32, u32)> {
    let file = std::fs::File::open(path).unwrap();
    let mut reader =
        csv::ReaderBuilder::new().delimiter(b'\t').from_reader(flate2::read::GzDecoder::new(file));
    reader.deserialize().map(|r| r.unwrap()).collect()
}

fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let rest: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    (rest[11].parse::<f64>().unwrap() + rest[12].parse::<f64>().unwrap()) / 100.0
}

fn rss() -> u64 {
    let t = std::fs::read_to_string("/proc/self/status").unwrap();
    t.lines()
        .find(|l| l.starts_with("VmHWM"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

struct Args(BTreeMap<String, String>);
impl Args {
    fn f(&self, k: &str, d: f64) -> f64 {
        self.0.get(k).map_or(d, |v| v.parse().unwrap())
    }
    fn u(&self, k: &str, d: usize) -> usize {
        self.f(k, d as f64) as usize
    }
}

type Data = (usize, Vec<Vec<u32>>, Vec<Vec<u32>>);
fn load(dir: &str, holdout: bool) -> Data {
    let train = read(&format!("{dir}/train.tsv.gz"));
    let test = read(&format!("{dir}/test.tsv.gz"));
    let people = train.iter().chain(&test).map(|p| p.0).max().unwrap() as usize + 1;
    let items = train.iter().chain(&test).map(|p| p.1).max().unwrap() as usize + 1;
    let (mut a, mut b) = (vec![vec![]; people], vec![vec![]; people]);
    let draws = Draws::new(99);
    for (u, i) in train {
        if holdout && draws.stream(u.into()).happens(i.into(), 0.2) && !a[u as usize].is_empty() {
            b[u as usize].push(i)
        } else {
            a[u as usize].push(i)
        }
    }
    if !holdout {
        for (u, i) in test {
            b[u as usize].push(i)
        }
    }
    (items, a, b)
}

fn figures(list: &[u32], test: &[u32]) -> (f64, f64) {
    let gain = |at: usize| 1.0 / ((at + 2) as f64).log2();
    let mut hits = 0.0;
    let mut dcg = 0.0;
    for (at, i) in list.iter().enumerate() {
        if test.contains(i) {
            hits += 1.0;
            dcg += gain(at);
        }
    }
    let ideal: f64 = (0..test.len().min(20)).map(gain).sum();
    (hits / test.len() as f64, dcg / ideal)
}

fn evaluate(
    data: &Data,
    step: usize,
    score: &(dyn Fn(usize) -> Vec<f32> + Sync),
    threads: usize,
) -> (f64, f64) {
    let judged: Vec<usize> =
        (0..data.1.len()).filter(|&u| !data.2[u].is_empty()).step_by(step).collect();
    let parts: Vec<(f64, f64)> = std::thread::scope(|s| {
        let hs: Vec<_> = (0..threads)
            .map(|t| {
                let judged = &judged;
                s.spawn(move || {
                    let mut r = (0.0, 0.0);
                    for &u in judged.iter().skip(t).step_by(threads) {
                        if data.1[u].is_empty() {
                            continue;
                        }
                        let mut scores = score(u);
                        for &i in &data.1[u] {
                            scores[i as usize] = f32::NEG_INFINITY;
                        }
                        let mut order: Vec<(f32, u32)> = scores.into_iter().zip(0..).collect();
                        let better = |a: &(f32, u32), b: &(f32, u32)| {
                            b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
                        };
                        order.select_nth_unstable_by(20, better);
                        order.truncate(20);
                        order.sort_by(better);
                        let list: Vec<u32> = order.into_iter().map(|o| o.1).collect();
                        let f = figures(&list, &data.2[u]);
                        r.0 += f.0;
                        r.1 += f.1;
                    }
                    r
                })
            })
            .collect();
        hs.into_iter().map(|h| h.join().unwrap()).collect()
    });
    let n = judged.len() as f64;
    (parts.iter().map(|p| p.0).sum::<f64>() / n, parts.iter().map(|p| p.1).sum::<f64>() / n)
}

#[allow(dead_code)]
fn unit(v: &mut [f32]) {
    let l = v.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    v.iter_mut().for_each(|x| *x /= l);
}

#[allow(dead_code)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut s = [0.0f32; 16];
    for (a, b) in a.chunks(16).zip(b.chunks(16)) {
        for i in 0..a.len() {
            s[i] += a[i] * b[i];
        }
    }
    s.iter().sum()
}

fn main() {
    let mut it = std::env::args().skip(1);
    let dir = it.next().unwrap();
    let args = Args(
        it.map(|a| {
            let (k, v) = a.split_once('=').unwrap();
            (k.to_owned(), v.to_owned())
        })
        .collect(),
    );
    let data = load(&dir, args.u("holdout", 1) == 1);
    let threads = args.u("threads", 2);
    let (items, d) = (data.0, args.u("d", 64));
    let mut people = Interactions::new(items);
    for (u, taken) in data.1.iter().enumerate() {
        people.push_as(u as u64, taken, args.u("history", 1000)).unwrap();
    }
    let lists = {
        let o = ListOptions {
            length_max: args.u("k", 100),
            person_exponent: args.f("lp", 0.0) as f32,
            item_exponent: args.f("li", 0.5) as f32,
            shrink: args.f("ls", 20.0) as f32,
            power: args.f("lw", 1.0) as f32,
        };
        let c = cpu();
        let takers = Takers::of(&people);
        let parts: Vec<ItemLists> = std::thread::scope(|s| {
            let hs: Vec<_> = (0..16)
                .map(|t| {
                    let takers = &takers;
                    let o = &o;
                    s.spawn(move || takers.lists(items * t / 16..items * (t + 1) / 16, o))
                })
                .collect();
            hs.into_iter().map(|h| h.join().unwrap()).collect()
        });
        println!("lists cpu {:.1}", cpu() - c);
        let lists = ItemLists::join(parts);
        if args.u("turn", 1) == 1 { lists.turned() } else { lists }
    };
    let list_scores = |u: usize| {
        let mut s = vec![0.0; items];
        for &i in people.row(u) {
            for &(j, w) in lists.of(i) {
                s[j as usize] += w;
            }
        }
        s
    };
    if args.u("lists", 1) == 1 {
        println!(
            "lists {:?} cpu {:.0}",
            evaluate(&data, args.u("laststep", 1), &list_scores, threads),
            cpu()
        );
    }
    let base = TrainingOptions::default();
    let options = TrainingOptions {
        dimensions: d,
        rounds: args.u("rounds", base.rounds as usize) as u32,
        round_examples: args.u("examples", base.round_examples),
        group_examples: args.u("group", base.group_examples),
        form: Form {
            person_examples_max: args.u("most", base.form.person_examples_max),
            negatives: args.u("neg", base.form.negatives),
            negative_weight: args.f("nw", base.form.negative_weight.into()) as f32,
            temperature: args.f("t", base.form.temperature.into()) as f32,
            dropout: args.f("drop", base.form.dropout),
            contribution_max: args.f("clip", base.form.contribution_max.into()) as f32,
        },
        learning_rate: args.f("lr", base.learning_rate),
        warm_up: args.u("warmup", base.warm_up as usize) as u32,
        seed: args.u("seed", 1) as u64,
        ..base
    };
    let power = (args.u("power", 0) == 1).then(|| {
        learn(&[people.clone()], Options { dimensions: d, ..Options::default() }, |_, _| ())
            .unwrap()
    });
    let power_scores = |u: usize| {
        let v = power.as_ref().unwrap();
        v.scores(&v.pool(people.row(u).iter().map(|&i| (i, 1.0))).unwrap_or(vec![0.0; d]))
    };
    if power.is_some() {
        println!(
            "power {:?} cpu {:.0}",
            evaluate(&data, args.u("step", 8), &power_scores, threads),
            cpu()
        );
    }
    let (started, cpu0, mut spent) = (Instant::now(), cpu(), 0.0);
    let every = args.u("every", 40) as u32;
    let census = Census::of(&people);
    let mut training = Training::start(options, items, census).unwrap();
    while let Some(round) = training.round() {
        let groups = round.groups(&people);
        let model = training.model();
        let parts: Vec<Share> = std::thread::scope(|s| {
            let hs: Vec<_> = (0..threads)
                .map(|t| {
                    let groups = &groups;
                    let people = &people;
                    s.spawn(move || {
                        round.share(people, model, groups.iter().skip(t).step_by(threads)).unwrap()
                    })
                })
                .collect();
            hs.into_iter().map(|h| h.join().unwrap()).collect()
        });
        let total = parts
            .into_iter()
            .reduce(|mut a, b| {
                a.add(&b).unwrap();
                a
            })
            .unwrap();
        let counts = training.advance(&total).unwrap();
        let (done, of) = training.progress();
        if done % every == 0 || done == of {
            let c = cpu();
            let model = training.clone().finish();
            let score = |u: usize| {
                model
                    .pool(people.row(u).iter().map(|&i| (i, 1.0)))
                    .map_or(vec![0.0; items], |p| model.scores(&p))
            };
            let step = if done == of { args.u("laststep", 1) } else { args.u("step", 8) };
            let f = evaluate(&data, step, &score, threads);
            println!(
                "round {done} loss {:.4} ex {} recall {:.4} ndcg {:.4} cpu {:.0} wall {:.0} rss {}",
                counts.loss / counts.examples,
                counts.examples,
                f.0,
                f.1,
                c - cpu0 - spent,
                started.elapsed().as_secs_f64(),
                rss()
            );
            if done == of && power.is_some() {
                let nums = |k: &str, d: &str| {
                    args.0
                        .get(k)
                        .map_or(d.to_owned(), |s| s.clone())
                        .split(',')
                        .map(|x| x.parse::<f32>().unwrap())
                        .collect::<Vec<_>>()
                };
                let step = args.u("bstep", step);
                for kind in ["a", "b"] {
                    for &lp in &nums("lp_", "0,0.3,0.6") {
                        for &ll in &nums(
                            "ll_",
                            if kind == "a" { "0,0.2,0.4,0.8" } else { "0,0.1,0.2,0.4" },
                        ) {
                            let tau = args.f("bt", 0.12) as f32;
                            let blend = |u: usize| {
                                let (mut v, mut p, mut s) =
                                    (score(u), power_scores(u), list_scores(u));
                                for &i in people.row(u) {
                                    v[i as usize] = -1.0;
                                    p[i as usize] = 0.0;
                                    s[i as usize] = 0.0;
                                }
                                let max = |x: &[f32]| x.iter().copied().fold(1e-9, f32::max);
                                let (mv, mp, ms) = (max(&v), max(&p), max(&s));
                                v.iter().zip(&p).zip(&s).map(|((v, p), s)| if kind == "a" { ((v - mv) / tau).exp() } else { *v } + lp * p / mp + ll * s / ms).collect()
                            };
                            let f = evaluate(&data, step, &blend, threads);
                            println!("blend {kind} p {lp} l {ll} {:.4} {:.4}", f.0, f.1);
                        }
                    }
                }
            }
            spent += cpu() - c;
        }
    }
}
