//! Somebody who owns the folder plants things in the way while credentials are delivered into it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Deliveries that are raced against.
const ROUNDS: u64 = 300;

/// Puts one thing after the other into the way, until told to stop; removes each again.
fn plant_until(stop: &AtomicBool, folder: &Folder) {
    let aside = folder.inside.with_file_name("aside");
    let places = [&[folder.file(), folder.sidecar()], &folder.temporaries()[..]].concat();
    while !stop.load(Ordering::Relaxed) {
        for at in &places {
            for (kind, (_, _)) in PLANTS.iter().enumerate() {
                // What is in the way of the plant itself is removed; whether that comes off is the race.
                let _ = std::fs::remove_file(at).is_ok() || std::fs::remove_dir(at).is_ok();
                let _ = match kind {
                    0 => symlink(folder.outside.join("precious"), at).is_ok(),
                    1 => symlink(folder.outside.join("new"), at).is_ok(),
                    2 => std::fs::hard_link(folder.outside.join("precious"), at).is_ok(),
                    3 => mkfifoat(CWD, at, Mode::from_raw_mode(0o600)).is_ok(),
                    _ => std::fs::create_dir(at).is_ok(),
                };
            }
            let _ = std::fs::remove_file(at).is_ok() || std::fs::remove_dir(at).is_ok();
        }
        // The folder itself becomes a link to the outside, and itself again.
        std::fs::rename(&folder.inside, &aside).unwrap();
        symlink(&folder.outside, &folder.inside).unwrap();
        std::fs::remove_file(&folder.inside).unwrap();
        std::fs::rename(&aside, &folder.inside).unwrap();
    }
}

#[tokio::test]
async fn whoever_plants_while_we_write_gets_nothing_written_outside() {
    let folder = Arc::new(Folder::new());
    let stop = Arc::new(AtomicBool::new(false));
    let planting = std::thread::spawn({
        let (folder, stop) = (Arc::clone(&folder), Arc::clone(&stop));
        move || plant_until(&stop, &folder)
    });
    let delivery = folder.delivery("/state");
    for generation in 1..=ROUNDS {
        // Each may come off or be refused; neither may reach the outside, nor hang.
        for refused in [
            deliver(&delivery, &agent(), SECRET, generation).await.err(),
            delivery.found(&agent()).await.err(),
            delivery.preflight(&agent()).await.err(),
        ] {
            assert!(!format!("{refused:?}").contains(SECRET));
        }
        folder.assert_the_outside_is_untouched();
    }
    stop.store(true, Ordering::Relaxed);
    planting.join().unwrap();
    folder.assert_the_outside_is_untouched();
    for at in [&[folder.file(), folder.sidecar()], &folder.temporaries()[..]].concat() {
        let _ = std::fs::remove_file(&at).is_ok() || std::fs::remove_dir(at).is_ok();
    }
    deliver(&delivery, &agent(), SECRET, ROUNDS + 1).await.unwrap();
    assert_eq!(delivery.found(&agent()).await.unwrap(), found_of(print_of(SECRET)));
    assert_eq!(mode(&folder.file()), 0o600);
}
