//! Compiles the .proto files without a system protoc.

use std::path::PathBuf;

use prost::Message as _;

const PUBLIC: &str = "proto/bailiwick/v1/api.proto";
const INTERNAL: [&str; 3] = [
    "proto/bailiwick/edge/v1/edge.proto",
    "proto/bailiwick/peer/v1/peer.proto",
    "proto/bailiwick/store/v1/store.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let public = protox::compile([PUBLIC], ["proto"])?;
    std::fs::write(out.join("public.bin"), public.encode_to_vec())?;
    // Before the public file, since this writes an empty module in that one's place.
    tonic_prost_build::configure()
        .extern_path(".bailiwick.v1", "crate::v1")
        .btree_map(".")
        // The values of models and shares: read in the frame in which they came.
        .bytes(".bailiwick.peer.v1.LearnAsk.model")
        .bytes(".bailiwick.peer.v1.LearnTell.masked")
        .compile_fds(protox::compile(INTERNAL, ["proto"])?)?;
    // JSON takes the very names of the messages and refuses what it does not know.
    tonic_prost_build::configure()
        .type_attribute(
            ".",
            "#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]",
        )
        .type_attribute(".", "#[serde(default, deny_unknown_fields)]")
        .btree_map(".")
        .compile_fds(public)?;
    Ok(())
}
