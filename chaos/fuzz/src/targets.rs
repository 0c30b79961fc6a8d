//! The decoders. Each takes any bytes and must neither panic, hang nor ask for memory without bound.

use std::cell::RefCell;
use std::path::Path;
use std::sync::LazyLock;

use bailiwick_ann::{Filter, LiveIndex, Metric, Options, Predicate, Space};
use bailiwick_core::ids::UnixMillis;
use bailiwick_core::policy::PackFile;
use bailiwick_net::token::{TokenMinter, TokenSettings, TokenVerifier};
use bailiwick_node::{decisions, fuzz, store};
use bailiwick_proto::{v1, validate};
use prost::Message;
use tempfile::TempDir;

/// What is done with an input.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 11] = [
    ("pack", pack),
    ("token", token),
    ("json", json),
    ("protobuf", protobuf),
    ("frame", bailiwick_net::fuzz::frames),
    ("log", log),
    ("stored", fuzz::stored_forms),
    ("carried", carried),
    ("snapshot", snapshot),
    ("index", index),
    ("files", files),
];

const NOW: UnixMillis = UnixMillis(1_795_000_000_000);

fn pack(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(errors) = PackFile::parse(text) {
        assert!(!errors.to_string().is_empty(), "a refusal says why");
    }
}

fn token(bytes: &[u8]) {
    static VERIFIER: LazyLock<TokenVerifier> = LazyLock::new(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let issuer = "dev".parse().expect("an issuer");
        let minter = TokenMinter::open(&dir.path().join("key.pem"), issuer, "bailiwick");
        let jwks = dir.path().join("jwks.json");
        minter.expect("a key").write_jwks(&jwks).expect("a key set");
        let settings = TokenSettings {
            jwks,
            issuers: ["dev".parse().expect("an issuer")].into(),
            audience: "bailiwick".into(),
            clients: Default::default(),
        };
        let verifier = TokenVerifier::open(settings).expect("a verifier");
        // The key set is looked at again.
        std::mem::forget(dir);
        verifier
    });
    bailiwick_net::fuzz::token(&VERIFIER, bytes, NOW);
}

fn json(bytes: &[u8]) {
    if let Ok(request) = validate::read_json(bytes) {
        let _ = validate::recommend(request);
    }
    if let Ok(request) = validate::read_json(bytes) {
        let _ = validate::events(request);
    }
    if let Ok(request) = validate::read_json(bytes) {
        let _ = validate::consent(&request);
    }
    if let Ok(request) = validate::read_json(bytes) {
        let _ = validate::interests(&request);
    }
    if let Ok(item) = validate::item_line(bytes) {
        let _ = validate::item(item);
    }
}

fn protobuf(bytes: &[u8]) {
    fn read<T: Message + Default>(bytes: &[u8]) -> Option<T> {
        T::decode(bytes).ok()
    }
    read(bytes).map(validate::recommend);
    read(bytes).map(validate::events);
    read(bytes).map(validate::item);
    read::<v1::PutConsentRequest>(bytes).map(|request| validate::consent(&request));
    read::<v1::PutInterestsRequest>(bytes).map(|request| validate::interests(&request));
}

fn log(bytes: &[u8]) {
    fuzz::log_record(bytes);
    fuzz::raft_values(bytes);
}

fn carried(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        fuzz::carried(text);
    }
}

/// Gives a target its input as a file, in memory where the system has a file system there.
fn as_file(bytes: &[u8], look: impl FnOnce(&Path)) {
    thread_local!(static DIR: RefCell<Option<TempDir>> = const { RefCell::new(None) });
    DIR.with_borrow_mut(|dir| {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = dir.get_or_insert_with(|| tempfile::tempdir_in(place).expect("a folder"));
        let path = dir.path().join("input");
        std::fs::write(&path, bytes).expect("a file");
        look(&path);
    });
}

fn snapshot(bytes: &[u8]) {
    as_file(bytes, fuzz::snapshot);
}

fn index(bytes: &[u8]) {
    let space = Space::new("m1", 3, Metric::L2).expect("a space");
    let options = Options { threads: 1, memory_max: 64 << 20, ..Options::default() };
    as_file(bytes, |path| {
        let opened = LiveIndex::open(path, &space, options.clone(), None).map(|(index, _)| index);
        let mapped = LiveIndex::map(path, &space, options, None).map(|opened| opened.index);
        for index in [opened, mapped].into_iter().flatten() {
            let _ = index.search(&[1.0, 0.0, 0.0], 5, 10, Filter::All);
            let red = Predicate::is("colour", "red");
            let _ = index.search(&[1.0, 0.0, 0.0], 5, 10, &red);
            let _ = index.matching(&Predicate::between("year", 2, 7));
        }
    });
}

/// Small files of a node: the decision log, and how far its state is durable.
fn files(bytes: &[u8]) {
    as_file(bytes, |path| {
        let _ = decisions::chain::read(path);
        let _ = store::checkpoint::read(path);
    });
}
