//! Compiles the node protocol with protox, which needs no installed `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/marznode.proto");
    let descriptors = protox::compile(["proto/marznode.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
