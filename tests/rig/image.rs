//! An image that holds one program, made without a registry.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

/// Everything that is made for tests carries this label.
pub(crate) const LABEL: &str = "switchman.test";

/// An image that holds the agent program and what it is linked with, and nothing else. Its name tells the
/// content, so it is made once per build of the program.
pub(crate) async fn image(client: &Docker, program: &Path) -> String {
    image_of(client, "switchman-test-agent", &[(program, "/agent")]).await
}

/// An image that holds these programs, each under its path in the image, and what they are linked with.
pub(crate) async fn image_of(client: &Docker, repository: &str, programs: &[(&Path, &str)]) -> String {
    let mut digest = Sha256::new();
    let mut files = BTreeMap::new();
    for (program, path) in programs {
        let content = std::fs::read(program).unwrap();
        digest.update(&content);
        files.insert(PathBuf::from(path), content);
        for library in libraries(program) {
            let content = std::fs::read(&library).unwrap();
            files.insert(library, content);
        }
    }
    let digest: String = digest.finalize().iter().take(6).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let name = format!("{repository}:{digest}");
    // Tests run side by side; one imports and the others find it done.
    let lock = std::fs::File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("image.lock")).unwrap();
    lock.lock().unwrap();
    if client.inspect_image(&name).await.is_ok() {
        return name;
    }
    let mut archive = Vec::new();
    for (path, content) in &files {
        add_file(&mut archive, path, content);
    }
    archive.extend([0; 1024]);
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(repository)
        .tag(&digest)
        .changes(vec![format!("LABEL {LABEL}=1")])
        .build();
    let mut steps = client.create_image(Some(options), Some(bollard::body_full(archive.into())), None);
    while let Some(step) = steps.next().await {
        step.expect("import the test image");
    }
    name
}

/// What the dynamic linker loads; nothing for a static program.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let listed = std::process::Command::new("ldd").arg(program).output().expect("run ldd");
    String::from_utf8_lossy(&listed.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .collect()
}

/// One executable file in the format of tar (ustar).
fn add_file(archive: &mut Vec<u8>, path: &Path, content: &[u8]) {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: String| (&mut header[at..]).write_all(text.as_bytes()).unwrap();
    put(0, path.to_str().unwrap().trim_start_matches('/').to_owned());
    put(100, "0000755\0".to_owned());
    put(108, "0000000\0".to_owned());
    put(116, "0000000\0".to_owned());
    put(124, format!("{:011o}\0", content.len()));
    put(136, "00000000000\0".to_owned());
    put(148, " ".repeat(8));
    put(156, "0".to_owned());
    put(257, "ustar\0".to_owned());
    put(263, "00".to_owned());
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(header);
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
