"""Other engines, for `bailiwick bench ann --peers ann/bench/peers.py`.

Needs numpy and any of: pip install hnswlib faiss-cpu usearch
(hnswlib compiles for the processor it is installed on.) An engine that is not installed is left out.

Reads a question a line from standard input and writes an answer a line, both JSON:
  {"op": "load", "folder", "width", "metric", "cases", "k"}   -> {"engines": [names]}
  {"op": "build", "engine"}                                   -> {"bytes": a vector, "cpu_s"}
  {"op": "search", "engine", "case", "ef", "queries"}         -> {"cpu_us": all queries, "found"}
Each search is one batch call on one thread; `cpu_us` is the processor time of that call alone.
ANN_PEERS="hnswlib,faiss HNSW16" in the environment leaves the others out.
Filters go in as the engine takes them: faiss a bitmap, hnswlib a function, compiled here if pip install pybind11
and g++ allow it, so that no Python runs within a search; usearch takes none in Python. `faiss Flat` compares
just the matching rows that it is handed: what a caller could do who keeps lists of them.
"""
import json, os, subprocess, sys, sysconfig, tempfile, time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
import numpy as np

BUILD_THREADS = 2
NATIVE_FILTER = r"""
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
static const unsigned char *mask;
static bool allows(size_t row) { return mask[row] != 0; }
PYBIND11_MODULE(peers_filter, m) {
    m.def("allows", &allows);
    m.def("use", [](pybind11::array_t<unsigned char> bytes) { mask = bytes.data(); });
}
"""


def native_filter():
    """A filter that hnswlib calls without Python in between; None if it can't be compiled."""
    try:
        import pybind11
        folder = tempfile.mkdtemp()
        source = os.path.join(folder, "peers_filter.cpp")
        out = os.path.join(folder, "peers_filter" + sysconfig.get_config_var("EXT_SUFFIX"))
        with open(source, "w") as file:
            file.write(NATIVE_FILTER)
        includes = ["-I" + pybind11.get_include(), "-I" + sysconfig.get_path("include")]
        subprocess.run(["g++", "-O3", "-shared", "-fPIC", "-std=c++17", source, "-o", out] + includes, check=True)
        sys.path.append(folder)
        import peers_filter
        return peers_filter
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        print(f"hnswlib filters through Python: {error}", file=sys.stderr)
        return None


class Hnswlib:
    name = "hnswlib"

    def __init__(self, data):
        import hnswlib
        space = {"cosine": "ip", "ip": "ip", "l2": "l2"}[data.metric]
        self.index = hnswlib.Index(space=space, dim=data.width)
        self.index.init_index(max_elements=len(data.base), M=16, ef_construction=200, random_seed=1)
        self.index.add_items(data.base, np.arange(len(data.base)), num_threads=BUILD_THREADS)
        self.index.set_num_threads(1)
        self.bytes = self.index.index_file_size() / len(data.base)
        self.filter = native_filter()

    def search(self, queries, k, ef, mask):
        self.index.set_ef(max(ef, k))
        if mask is None:
            return lambda: self.index.knn_query(queries, k=k, num_threads=1)[0]
        if self.filter is not None:
            self.mask = mask.astype(np.uint8)
            self.filter.use(self.mask)
            return lambda: self.index.knn_query(queries, k=k, num_threads=1, filter=self.filter.allows)[0]
        allowed = mask.tolist()
        return lambda: self.index.knn_query(queries, k=k, num_threads=1, filter=lambda i: allowed[i])[0]


class Faiss:
    def build(self, data, text):
        import faiss
        faiss.omp_set_num_threads(BUILD_THREADS)
        metric = faiss.METRIC_L2 if data.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.index_factory(data.width, text, metric)
        return faiss

    def done(self, faiss, data):
        self.bytes = len(faiss.serialize_index(self.index)) / len(data.base)
        faiss.omp_set_num_threads(1)
        self.faiss = faiss


class FaissHnsw(Faiss):
    name = "faiss HNSW16"

    def __init__(self, data):
        faiss = self.build(data, "HNSW16")
        self.index.hnsw.efConstruction = 200
        self.index.add(data.base)
        self.done(faiss, data)

    def search(self, queries, k, ef, mask):
        selector = None if mask is None else self.faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))
        params = self.faiss.SearchParametersHNSW(efSearch=max(ef, k), sel=selector)
        return lambda: self.index.search(queries, k, params=params)[1]


class FaissFastScan(Faiss):
    name = "faiss IVF PQ4fs"

    def __init__(self, data):
        n = len(data.base)
        lists = 1024 if n >= 100_000 else 256
        faiss = self.build(data, f"IVF{lists},PQ{data.width // 2}x4fs,RFlat")
        self.index.train(data.base)
        self.index.add(data.base)
        self.done(faiss, data)

    def search(self, queries, k, ef, mask):
        if mask is not None:
            return None
        f = self.faiss
        inner = f.IVFSearchParameters(nprobe=max(1, ef // 8))
        params = f.IndexRefineSearchParameters(k_factor=max(2.0, ef / 10), base_index_params=inner)
        return lambda: self.index.search(queries, k, params=params)[1]


class FaissFlat(Faiss):
    name = "faiss Flat"

    def __init__(self, data):
        faiss = self.build(data, "Flat")
        self.index.add(data.base)
        self.done(faiss, data)

    def search(self, queries, k, ef, mask):
        if mask is None:
            return None
        params = self.faiss.SearchParameters(sel=self.faiss.IDSelectorArray(np.flatnonzero(mask)))
        return lambda: self.index.search(queries, k, params=params)[1]


class Usearch:
    def __init__(self, data):
        from usearch.index import Index
        self.index = Index(ndim=data.width, metric={"cosine": "cos", "ip": "ip", "l2": "l2sq"}[data.metric],
                           dtype=self.dtype, connectivity=16, expansion_add=128)
        self.index.add(np.arange(len(data.base)), data.base, threads=BUILD_THREADS)
        self.bytes = self.index.memory_usage / len(data.base)

    def search(self, queries, k, ef, mask):
        if mask is not None:
            return None
        self.index.expansion_search = max(ef, k)
        return lambda: self.index.search(queries, k, threads=1).keys


class UsearchF32(Usearch):
    name, dtype = "usearch f32", "f32"


class UsearchI8(Usearch):
    name, dtype = "usearch i8", "i8"


PACKAGES = {Hnswlib: "hnswlib", FaissHnsw: "faiss", FaissFastScan: "faiss", FaissFlat: "faiss",
            UsearchF32: "usearch", UsearchI8: "usearch"}


class Data:
    def __init__(self, q):
        read = lambda name: np.fromfile(os.path.join(q["folder"], name), np.float32).reshape(-1, q["width"])
        self.width, self.metric, self.k = q["width"], q["metric"], q["k"]
        self.base, self.queries = read("base.f32"), read("queries.f32")
        masks = [np.fromfile(os.path.join(q["folder"], f"filter{i}.u8"), np.uint8).astype(bool)
                 for i in range(q["cases"])]
        self.masks = [None if m.all() else m for m in masks]


def installed(package):
    try:
        __import__(package)
        return True
    except ImportError:
        print(f"{package} is not installed, left out", file=sys.stderr)
        return False


def main():
    data, engines = None, {}
    wanted = os.environ.get("ANN_PEERS")
    kinds = {kind.name: kind for kind, package in PACKAGES.items()
             if (wanted is None or kind.name in wanted.split(",")) and installed(package)}
    for line in sys.stdin:
        q = json.loads(line)
        if q["op"] == "end":
            return
        if q["op"] == "load":
            data = Data(q)
            answer = {"engines": list(kinds)}
        elif q["op"] == "build":
            began = time.process_time()
            engine = engines[q["engine"]] = kinds[q["engine"]](data)
            answer = {"bytes": engine.bytes, "cpu_s": time.process_time() - began}
        else:
            call = engines[q["engine"]].search(data.queries[:q["queries"]], data.k, q["ef"], data.masks[q["case"]])
            answer = {"cpu_us": None, "found": []}
            if call is not None:
                try:
                    began = time.process_time()
                    found = call()
                    took = time.process_time() - began
                    answer = {"cpu_us": took * 1e6, "found": np.asarray(found).astype(np.int64).tolist()}
                except RuntimeError as error:  # hnswlib refuses when it finds fewer than k
                    print(f"{q['engine']}: {error}", file=sys.stderr)
        print(json.dumps(answer), flush=True)


main()
