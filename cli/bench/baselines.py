"""Slates of well-known recommenders, for `bailiwick eval --against`.

    pip install numpy scipy implicit
    python3 cli/bench/baselines.py SPLIT OUT [--models knn,ials,ease] [--threads 2]

Reads train.tsv.gz and test.tsv.gz of SPLIT, and users.tsv.gz or user_map.tsv.gz where there is one: if it tells ages,
adults alone are learned from and judged, as `bailiwick eval` does. Writes OUT/MODEL.tsv.gz (columns user and item, the
best first, 20 of each person) and prints Recall@20, NDCG@20, seconds of training and the most memory, each model in a
process of its own so that the memory is its own. `ease` has items by items in memory: it is left out above 20,000 of
them, where `ials` has settings for large catalogues. Figures are of everybody judged; `--against` compares.
"""
import argparse, gzip, os, resource, subprocess, sys, time

AT = 20
MODELS = ("knn", "ials", "ease")
EASE_ITEMS_MAX = 20_000


def table(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        names = next(lines).rstrip("\n").split("\t")
        return [dict(zip(names, line.rstrip("\n").split("\t"))) for line in lines]


def read(folder):
    """Train and test as sparse 0/1 matrices of the lawful people, others' rows empty."""
    import numpy as np
    from scipy.sparse import csr_matrix
    sides = []
    for name in ("train", "test"):
        rows = table(os.path.join(folder, f"{name}.tsv.gz"))
        sides.append(np.array([(int(row["user"]), int(row["item"])) for row in rows]).reshape(-1, 2))
    shape = tuple(int(max(side[:, at].max() for side in sides if len(side))) + 1 for at in (0, 1))
    lawful = np.ones(shape[0], bool)
    told = [f for f in ("users.tsv.gz", "user_map.tsv.gz") if os.path.exists(os.path.join(folder, f))]
    people = table(os.path.join(folder, told[0])) if told else []
    if people and "age" in people[0]:
        lawful[:] = False
        for row in people:
            if row["age"] and int(row["age"]) >= 18 and int(row["user"]) < shape[0]:
                lawful[int(row["user"])] = True
    matrices = []
    for side in sides:
        side = side[lawful[side[:, 0]]]
        matrix = csr_matrix((np.ones(len(side), np.float32), (side[:, 0], side[:, 1])), shape)
        matrix.data[:] = 1.0
        matrices.append(matrix)
    return matrices


def knn(train, threads):
    """Cosine of item sets with shrinking 20; an item is spoken for by the 100 nearest to it."""
    import numpy as np
    from scipy.sparse import csr_matrix
    both = (train.T @ train).tocsr()
    taken = np.sqrt(both.diagonal())
    both.setdiag(0)
    both.eliminate_zeros()
    rows, columns = both.nonzero()
    both.data = both.data / (taken[rows] * taken[columns] + 20)
    data, at, starts = [], [], [0]
    for row in range(both.shape[0]):
        part = slice(both.indptr[row], both.indptr[row + 1])
        values, items = both.data[part], both.indices[part]
        if len(values) > 100:
            best = np.argpartition(-values, 100)[:100]
            values, items = values[best], items[best]
        data.append(values), at.append(items), starts.append(starts[-1] + len(values))
    lists = csr_matrix((np.concatenate(data), np.concatenate(at), starts), both.shape)
    return lambda part: (part @ lists.T).toarray()


def ials(train, threads):
    """Implicit feedback by alternating least squares: 64 factors, 15 iterations."""
    from implicit.als import AlternatingLeastSquares
    alpha, regularization = (150, 300) if train.shape[1] > EASE_ITEMS_MAX else (10, 50)
    model = AlternatingLeastSquares(64, regularization=regularization, iterations=15, num_threads=threads, random_state=1)
    model.fit(train * alpha, show_progress=False)
    items = model.item_factors
    def scores(part, people):
        return model.user_factors[people] @ items.T
    scores.by_person = True
    return scores


def ease(train, threads):
    """A linear model of items by items in closed form, lambda 200."""
    import numpy as np
    gram = (train.T @ train).toarray().astype(np.float32)
    gram[np.diag_indices_from(gram)] += 200.0
    weights = np.linalg.inv(gram)
    weights /= -np.diag(weights)
    np.fill_diagonal(weights, 0)
    return lambda part: part @ weights


def slates(train, score, people):
    import numpy as np
    for start in range(0, len(people), 256):
        some = people[start:start + 256]
        part = train[some]
        scores = np.asarray(score(part, some) if hasattr(score, "by_person") else score(part))
        scores[part.nonzero()] = -np.inf
        top = np.argpartition(-scores, AT, axis=1)[:, :AT]
        order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
        yield from zip(some, np.take_along_axis(top, order, 1))


def judge(model, folder, out, threads):
    import numpy as np
    train, test = read(folder)
    began = time.time()
    score = globals()[model](train, threads)
    seconds = time.time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    gains = 1 / np.log2(np.arange(2, AT + 2))
    recalls, ndcgs = [], []
    with gzip.open(os.path.join(out, f"{model}.tsv.gz"), "wt") as lines:
        lines.write("user\titem\n")
        for person, slate in slates(train, score, np.flatnonzero(np.diff(test.indptr))):
            wanted = test.indices[test.indptr[person]:test.indptr[person + 1]]
            hits = np.isin(slate, wanted)
            recalls.append(hits.sum() / len(wanted))
            ndcgs.append((gains * hits).sum() / gains[:min(AT, len(wanted))].sum())
            lines.writelines(f"{person}\t{item}\n" for item in slate)
    print(f"{model:6}{np.mean(recalls):>11.4f}{np.mean(ndcgs):>9.4f}{seconds:>9.1f} s{peak:>9.0f} MiB", flush=True)


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("split"), ask.add_argument("out")
    ask.add_argument("--models", default="knn,ials,ease"), ask.add_argument("--threads", type=int, default=2)
    ask.add_argument("--one", choices=MODELS, help=argparse.SUPPRESS)
    args = ask.parse_args()
    os.makedirs(args.out, exist_ok=True)
    if args.one:
        return judge(args.one, args.split, args.out, args.threads)
    print(f"{'model':6}{'recall@20':>11}{'ndcg@20':>9}{'training':>11}{'memory':>13}", flush=True)
    few = max(int(row["item"]) for row in table(os.path.join(args.split, "train.tsv.gz"))) < EASE_ITEMS_MAX
    for model in args.models.split(","):
        if model not in MODELS:
            ask.error(f"{model} is none of {', '.join(MODELS)}")
        if model != "ease" or few:
            threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1" if model == "ials" else str(args.threads))
            one = [sys.executable, __file__, args.split, args.out, "--one", model, "--threads", str(args.threads)]
            subprocess.run(one, env=os.environ | threads, check=True)


if __name__ == "__main__":
    main()
