// SPDX-License-Identifier: Apache-2.0

// Generate the messages of nsexec.v1 from the schema that NSEXEC_PROTO names.
use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let schema = PathBuf::from(env::var("NSEXEC_PROTO").expect("use build.sh"));
    // What is generated begins with inner attributes and so must be a module
    // in a file of its own.
    fs::write(out.join("mod.rs"), "pub mod nsexec;").expect("mod.rs");
    protobuf_codegen_pure::Codegen::new()
        .out_dir(&out)
        .include(schema.parent().expect("a directory"))
        .input(&schema)
        .run()
        .expect("the schema compiles");
    println!("cargo:rerun-if-env-changed=NSEXEC_PROTO");
    println!("cargo:rerun-if-changed={}", schema.display());
}
